"""The Python API, and the notebook that shows it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import mnist_lite as ml
from mnist_lite.errors import UserError
from tests.conftest import REPOSITORY
from tests.faults.recipes import FEW, SMALL


def test_importing_the_package_is_quick():
    code = "import sys, mnist_lite; assert {'load', 'fit'} <= {*dir(mnist_lite)}; print({'torch', 'hydra'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
    assert not list((REPOSITORY / "src" / "mnist_lite").glob("fit*"))  # a module would replace the function


def test_fit_trains_and_load_reads_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = ml.fit([*FEW, *SMALL, "seed=3"], verbose=False)
    assert capsys.readouterr().out == ""
    again = ml.load("latest")
    assert again.path == run.path and run.path.parent == Path("runs") and run.name == "step4"
    assert run.config["seed"] == 3 and run.config["choices"]["model"] == "step4"
    images = run.data.test.images
    logits = run.network(images)
    assert logits.shape == (len(images), 10) and torch.equal(logits, again.network(images))
    assert run.summary is not None and run.summary.seed == 3
    assert "step4" in repr(run)


def test_the_images_can_have_gradients():
    run = ml.load("zoo:era4")
    images = torch.zeros(1, 1, 28, 28, requires_grad=True)
    run.network(images)[0, 3].backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


def test_metrics_are_columns(tmp_path: Path):
    run = ml.fit([*FEW, *SMALL, "seed=3", f"runs_dir={tmp_path}"], verbose=False)
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert {len(column) for column in run.metrics.values()} == {len(lines)}
    for i, line in enumerate(lines):
        for key, column in run.metrics.items():
            assert column[i] == line[key] if key in line else (column[i] is False or math.isnan(column[i]))
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(run.metrics)
    assert frame.shape == (len(lines), len(run.metrics)) and frame["test/accuracy"].dropna().size == 4
    assert set(map(str, frame.dtypes)) == {"int64", "float64", "bool"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["epochs=0"], "epochs: 0 is out of range"),
        (["modl=step3"], "modl: unknown key; did you mean model"),
        (["experiment=no"], "experiment"),
        (["resume=runs/x"], "resume: continues one run"),
        (["sweep=lr"], "sweep"),
        ("epochs=1", "a list of texts is expected"),
    ],
)
def test_what_fit_cannot_use_is_one_line(overrides: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        ml.fit(overrides)
    assert list(tmp_path.iterdir()) == []


def test_load_takes_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
    with pytest.raises(UserError, match="stands for 2 runs"):
        ml.load("[ab]")
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        ml.lod  # noqa: B018  # type: ignore[attr-defined]


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its code is run as it is. It trains on the small digits, so it takes seconds and needs no network."""
    notebook = json.loads((REPOSITORY / "docs" / "api.ipynb").read_text(encoding="utf-8"))
    assert len(notebook["cells"]) == 10
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "docs/api.ipynb", "exec"), names)
    assert isinstance(names["run"], ml.Run)
