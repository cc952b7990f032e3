"""The benchmark: its arithmetic, its plain loop, its refusals, and a short real one."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mnist_lite.benchmark import baseline
from mnist_lite.benchmark.ab import Timing
from mnist_lite.benchmark.report import as_text
from mnist_lite.data.dataset import load
from mnist_lite.errors import UserError
from mnist_lite.model.build import build
from tests.conftest import Compose, RunCommand

CPU = torch.device("cpu")
LAYERS = [{"conv": 4, "kernel": 5, "stride": 3}, "relu", {"conv": 10}, "global_avg_pool"]


def test_the_table():
    a = Timing("cpu", 3.0, [100.0, 200.0, 100.0], [10.0, 10.0, 10.0], 1_000_000)
    b = Timing("cpu too", 2.0, [500.0, 800.0, 300.0], [20.0, 50.0, 30.0], 2_000_000)
    lines = as_text(a, b).splitlines()
    assert lines[4].split() == ["training,", "images/s", "100", "500", "3.00", "4.00", "5.00"]
    assert lines[5].split() == ["evaluation,", "images/s", "10", "30", "2.00", "3.00", "5.00"]
    assert lines[6].split()[-2:] == ["3.0", "2.0"]
    assert lines[7].split()[-2:] == ["1", "2"]


def test_the_plain_loop_trains_every_image_once_an_epoch(mnist_root: Path):
    torch.manual_seed(0)
    network = build({"layers": LAYERS}).module
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    before = [p.detach().clone() for p in network.parameters()]
    steps = list(islice(baseline.train(mnist_root, network, optimizer, [{"rotate": 6}], 64, CPU), 3))
    assert steps == [64, 64, 64]
    assert all(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_the_plain_evaluation_is_that_of_the_data(mnist_root: Path, composed: Compose):
    torch.manual_seed(0)
    network = build({"layers": LAYERS}).module
    loss, accuracy = baseline.test(mnist_root, network, 300, CPU)
    config = composed("data=mnist")
    config.data.root = str(mnist_root)
    split = load(config.data).test
    with torch.no_grad():
        logits = network((split.images[:300].float() / 255 - 0.1307) / 0.3081)
    assert loss == pytest.approx(float(F.cross_entropy(logits, split.labels[:300])), rel=1e-5)
    assert accuracy == pytest.approx(100 * float((logits.argmax(1) == split.labels[:300]).float().mean()))


def test_the_plain_loop_turns_as_far_as_it_is_told():
    turn, *_ = baseline.training_transforms([{"rotate": 6}]).transforms
    assert turn.degrees == [-6.0, 6.0]
    shift, *_ = baseline.training_transforms([{"translate": 1}]).transforms
    assert shift.translate == (1 / 28, 1 / 28)
    with pytest.raises(UserError, match="rotate and translate, not crop"):
        baseline.training_transforms([{"crop": 2}])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("images=100000", "do not fit"),
        ("rounds=50", "do not fit"),
        ("rounds=0", "rounds: 0 is out of range"),
        ("data=digits", "both loops take all of MNIST"),
        ("data.train_limit=500", "both loops take all of MNIST"),
        ("augment=crop", "rotate and translate, not crop"),
    ],
)
def test_what_it_refuses(run_command: RunCommand, override: str, said: str, mnist_root: Path):
    done = run_command("bench", override, f"data.root={mnist_root}" if "=digits" not in override else "seed=1")
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_short_one(run_command: RunCommand, mnist_root: Path, tmp_path: Path):
    done = run_command(
        "bench", "model=era4", f"data.root={mnist_root}", "rounds=2", "images=256", "batch_size=64", "threads=1"
    )
    assert done.returncode == 0, done.stderr
    training = next(line for line in done.stdout.splitlines() if line.startswith("training"))
    slow, fast, low, middle, high = (float(word.replace(",", "")) for word in training.split()[2:])
    assert 0 < low <= middle <= high
    assert fast > slow
    assert not (tmp_path / "runs").exists()
