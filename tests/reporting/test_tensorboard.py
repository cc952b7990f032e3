"""TensorBoard gets what metrics.jsonl has. The writer of the package is replaced by one that records its calls."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mnist_lite.config.compose import compose_run
from mnist_lite.data.dataset import load
from mnist_lite.errors import UserError
from mnist_lite.insight.saved_run import load_run
from mnist_lite.reporting.console import Console
from mnist_lite.runner.metrics_file import read_rows
from mnist_lite.runner.run import train
from tests.faults.recipes import FEW, SMALL


class Writer:
    """Records what it is given."""

    made: ClassVar[list[Writer]] = []

    def __init__(self, folder: str, purge_step: int | None) -> None:
        self.folder, self.purge_step = folder, purge_step
        self.scalars: dict[tuple[str, int], float] = {}
        self.texts: dict[str, str] = {}
        self.images: dict[str, np.ndarray[Any, Any]] = {}
        self.closed = False
        Writer.made.append(self)

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars[tag, step] = value

    def add_text(self, tag: str, text: str) -> None:
        self.texts[tag] = text

    def add_image(self, tag: str, image: np.ndarray[Any, Any], _step: int) -> None:
        self.images[tag] = image

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=Writer, __spec__=object()))
    monkeypatch.setattr(Writer, "made", [])
    return Writer.made


def test_the_writer_gets_every_metric_the_config_the_layers_and_the_mistakes(writers: list[Writer], tmp_path: Path):
    config = compose_run([*FEW, *SMALL, "tensorboard=true", f"runs_dir={tmp_path}"])
    folder = train(config, Console(lambda *_: None)).folder
    (writer,) = writers
    assert (writer.folder, writer.purge_step, writer.closed) == (str(folder), None, True)
    expected = {
        (key, row["step"]): value
        for row in read_rows(folder)
        for key, value in row.items()
        if key not in ("step", "epoch", "epoch_end")
    }
    assert writer.scalars == expected and ("train/loss", 20) in expected and ("test/accuracy", 20) in expected
    assert "    seed: 0" in writer.texts["config"] and "conv 6 kernel=5 stride=2" in writer.texts["layers"]

    test, saved = load(config.data).test, load_run(folder)
    logits = saved.classifier()(test.images)
    wrong = (logits.argmax(1) != test.labels).nonzero().flatten().tolist()
    losses = {i: float(F.cross_entropy(logits[i : i + 1], test.labels[i : i + 1])) for i in wrong}
    worst = sorted(wrong, key=lambda i: -losses[i])[:25]
    assert list(writer.images) == [
        f"mistakes/{number:02d}_{int(test.labels[i])}_taken_for_{int(logits[i].argmax())}_loss_{losses[i]:.2f}"
        for number, i in enumerate(worst, 1)
    ]
    first = torch.from_numpy(next(iter(writer.images.values())))
    assert first.shape == (1, 112, 112) and torch.equal(first[:, ::4, ::4], test.images[worst[0]])


def test_a_resumed_run_hides_the_steps_that_it_trains_again(writers: list[Writer], tmp_path: Path):
    config = compose_run([*FEW, *SMALL, "tensorboard=true", f"runs_dir={tmp_path}", "epochs=2"])
    folder = train(config, Console(lambda *_: None)).folder
    config.resume = str(folder)
    (folder / "summary.json").unlink()
    train(config, Console(lambda *_: None))
    assert [writer.purge_step for writer in writers] == [None, 11]


def test_a_missing_writer_is_one_line_before_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("mnist_lite.errors.find_spec", lambda _: None)
    config = compose_run([*FEW, *SMALL, "tensorboard=true", f"runs_dir={tmp_path / 'runs'}"])
    with pytest.raises(UserError, match=r'tensorboard=true needs tensorboardX, .* pip install -e "\.\[tensorboard\]"'):
        train(config, Console(lambda *_: None))
    assert not (tmp_path / "runs").exists()


def test_the_event_file_of_the_real_writer_is_a_plain_file_of_the_run_folder(tmp_path: Path):
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: pip install -e '.[tensorboard]'")
    config = compose_run([*FEW, *SMALL, "tensorboard=true", f"runs_dir={tmp_path}"])
    folder = train(config, Console(lambda *_: None)).folder
    (events,) = folder.glob("events.out.tfevents.*")
    content = events.read_bytes()
    for text in (b"train/loss", b"test/accuracy", b"mistakes/01_", b"config", b"layers"):
        assert text in content
    assert all(path.is_file() for path in folder.iterdir())
