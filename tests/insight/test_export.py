"""Exported networks against torch. Each is loaded by another program's own loader where there is one."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mnist_lite.backends.device import set_arithmetic
from mnist_lite.errors import RunError, UserError
from mnist_lite.insight import export as exports
from mnist_lite.insight import safetensors_file
from mnist_lite.insight.export import export, export_all, largest_difference
from mnist_lite.insight.locate import find_runs
from mnist_lite.insight.predictions import load_data, predict
from mnist_lite.insight.saved_run import SavedRun, load_run


@pytest.fixture
def run() -> SavedRun:
    """The shipped network. It is checked on the small digits, because not every machine has MNIST."""
    run = load_run(find_runs(["zoo:era4"])[0])
    return replace(run, data={**run.data, "name": "digits"})


def images(run: SavedRun) -> torch.Tensor:
    return load_data(run).test.images


def test_an_export_after_a_run_in_the_same_process(run: SavedRun, tmp_path: Path):
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    set_arithmetic(torch.device("cpu"), "fp32")  # as a run does
    conv = getattr(torch.backends.cudnn, "conv", None)
    precision = getattr(conv, "fp32_precision", None)
    export(run, "pt2", tmp_path / "a.pt2")
    assert getattr(conv, "fp32_precision", None) == precision
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before


def test_pt2_has_the_normalisation_inside(run: SavedRun, tmp_path: Path):
    lines = export(run, "pt2", tmp_path / "a.pt2")
    assert "360" in lines[1] and "the same predictions" in lines[1]
    program = torch.export.load(io.BytesIO((tmp_path / "a.pt2").read_bytes())).module()
    for count in (1, 2, 360):
        pixels = images(run)[:count]
        assert torch.allclose(program(pixels), predict(run, pixels), atol=1e-4, rtol=0)


def test_onnx_has_the_normalisation_inside(run: SavedRun, tmp_path: Path):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install -e '.[onnx]'")
    import onnxruntime

    export(run, "onnx", tmp_path / "a.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    assert [(node.name, node.type) for node in session.get_inputs()] == [("images", "tensor(uint8)")]
    for count in (1, 2, 360):
        pixels = images(run)[:count]
        (logits,) = session.run(None, {"images": pixels.numpy()})
        assert torch.allclose(torch.from_numpy(logits), predict(run, pixels), atol=1e-4, rtol=0)


def test_safetensors_has_the_config_and_the_normalisation_in_its_metadata(run: SavedRun, tmp_path: Path):
    export(run, "safetensors", tmp_path / "weights.safetensors")
    state, texts = safetensors_file.unpack((tmp_path / "weights.safetensors").read_bytes())
    described = json.loads(texts["mnist_lite"])
    pixels, module = images(run), run.network.module
    module.load_state_dict(state)
    inputs = (pixels.float() / 255 - described["data"]["mean"]) / described["data"]["std"]
    assert torch.allclose(module(inputs), predict(run, pixels), atol=1e-4, rtol=0)
    assert described["config"]["model"]["layers"] == run.config["model"]["layers"]
    assert torch.equal(predict(load_run(tmp_path), pixels), predict(run, pixels))  # the folder is a run for load_run


def test_an_export_that_answers_otherwise_is_not_written(
    run: SavedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pack, unpack = exports.FORMATS["pt2"]
    monkeypatch.setitem(exports.FORMATS, "pt2", (pack, lambda content: lambda pixels: unpack(content)(pixels) + 2e-4))
    with pytest.raises(RunError, match="0 of 360 predictions differ, logits differ by up to 2"):
        export(run, "pt2", tmp_path / "a.pt2")
    assert list(tmp_path.iterdir()) == []


def test_the_check_of_an_export():
    logits = torch.tensor([[0.0, 1.0], [1.0, 1.00001]])
    assert largest_difference(logits, logits - 5e-5) == pytest.approx(5e-5, rel=0.01)
    for wrong in (logits + 2e-4, logits.flip(1), logits * torch.nan, torch.tensor([[0.0, 1.0], [1.00002, 1.0]])):
        with pytest.raises(RunError):
            largest_difference(logits, wrong)


def test_a_missing_package_is_one_line(run: SavedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mnist_lite.errors.find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(
        UserError, match=r'format=onnx needs onnxruntime, which is not installed; .*pip install -e "\.\[onnx\]"'
    ):
        export(run, "onnx", tmp_path / "a.onnx")
    with pytest.raises(UserError, match="there is no folder"):
        export(run, "pt2", tmp_path / "no" / "a.pt2")


def test_two_runs_never_get_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"a/run and b/run would have the same file, run\.pt2"):
        export_all([Path("a/run"), Path("b/run")], "pt2", "")
    assert not list(tmp_path.iterdir())


def test_a_file_has_no_ending_of_another_format(tmp_path: Path):
    with pytest.raises(
        UserError, match=r"x\.onnx has the ending of another format; add format=onnx, or name a \.pt2 file"
    ):
        export_all([Path("run")], "pt2", str(tmp_path / "x.onnx"))
