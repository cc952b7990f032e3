"""The benchmark: the table, the plain loop, configs that it refuses, and a short real benchmark."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mnist_lite.benchmark import baseline
from mnist_lite.benchmark.ab import Timing
from mnist_lite.benchmark.report import as_text, bench
from mnist_lite.config.schema import BenchConfig
from mnist_lite.data.dataset import load
from mnist_lite.errors import UserError
from mnist_lite.model.build import build
from tests.commands import command_config
from tests.conftest import Compose

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


def test_the_table_has_at_most_80_columns():
    slow, fast = [9_999_999.0] * 3, [999_999_999.0] * 3
    lines = as_text(Timing("cpu", 99.9, slow, slow, 10**11), Timing("cpu", 99.9, fast, fast, 10**11)).splitlines()
    assert max(map(len, lines)) <= 80


def test_the_plain_loop_trains_every_image_once_an_epoch(mnist_root: Path):
    torch.manual_seed(0)
    network = build({"layers": LAYERS}).module
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    before = [p.detach().clone() for p in network.parameters()]
    steps = list(islice(baseline.train(mnist_root, network, optimizer, [{"rotate": 6}], 64, CPU, 0), 3))
    assert [images for images, _loss in steps] == [64, 64, 64]
    assert all(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_the_plain_evaluation_is_right(mnist_root: Path, composed: Compose):
    torch.manual_seed(0)
    network = build({"layers": LAYERS}).module
    loss, accuracy = baseline.evaluate(mnist_root, network, 300, CPU)
    config = composed("data=mnist")
    config.data.root = str(mnist_root)
    split = load(config.data).test
    with torch.no_grad():
        logits = network((split.images[:300].float() / 255 - 0.1307) / 0.3081)
    assert loss == pytest.approx(float(F.cross_entropy(logits, split.labels[:300])), rel=1e-5)
    assert accuracy == pytest.approx(100 * float((logits.argmax(1) == split.labels[:300]).float().mean()))


def test_the_plain_loop_has_the_transforms_of_the_config():
    rotation, *_ = baseline.training_transforms([{"rotate": 6}]).transforms
    assert rotation.degrees == [-6.0, 6.0]
    shift, *_ = baseline.training_transforms([{"translate": 1}]).transforms
    assert shift.translate == (1 / 28, 1 / 28)
    with pytest.raises(UserError, match="rotate and translate, not crop"):
        baseline.training_transforms([{"crop": 2}])


@pytest.fixture
def bench_config(mnist_root: Path) -> Callable[..., BenchConfig]:
    """``bench_config("rounds=2", ...)``: the checked config of a bench command."""

    def make(*overrides: str) -> BenchConfig:
        return command_config("bench", BenchConfig, f"data.root={mnist_root}", *overrides)

    return make


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("images=100000", "do not fit"),
        ("rounds=50", "do not fit"),
        ("rounds=0", "rounds: 0 is out of range"),
        ("data=digits", "both loops use all of MNIST"),
        ("data.train_limit=500", "both loops use all of MNIST"),
        ("augment=crop", "rotate and translate, not crop"),
    ],
)
def test_a_config_that_is_refused(override: str, message: str, bench_config: Callable[..., BenchConfig]):
    with pytest.raises(UserError, match=message):
        bench(bench_config(override))


def test_a_short_benchmark(
    bench_config: Callable[..., BenchConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert bench(bench_config("model=era4", "rounds=2", "images=256", "batch_size=64", "threads=1")) == 0
    training = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("training"))
    slow, fast, low, middle, high = (float(word.replace(",", "")) for word in training.split()[2:])
    assert 0 < low <= middle <= high
    assert fast > slow
    assert not (tmp_path / "runs").exists()
