"""Exports a network for other programs. Each export is read back and checked on all test images before the file is written."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mnist_lite import files
from mnist_lite.backends.device import default_tf32
from mnist_lite.errors import RunError, UserError, require_packages
from mnist_lite.insight import safetensors_file
from mnist_lite.insight.predictions import BATCH, load_data, predict_with_torch
from mnist_lite.insight.saved_run import METADATA, Description, PixelClassifier, SavedRun, load_network, load_run
from mnist_lite.model.budget import describe_test_set

TOLERANCE = 1e-4
"""The largest allowed difference of a logit."""
Classifier = Callable[[torch.Tensor], torch.Tensor]


def export_all(folders: Sequence[Path], kind: str, output: str) -> int:
    """Exports the runs in ``folders`` and prints what was done. Returns the exit code.

    ``output`` is the path of the file. Empty: the name of the folder of the run, in the current folder.

    Raises:
        UserError: there are several runs for one file, or the file has the ending of another format. Or see ``export``.
        RunError: see ``export``.
    """
    if output and len(folders) > 1:
        raise UserError(f"output: one file cannot hold {len(folders)} networks; leave output out")
    runs: dict[Path, Path] = {}
    for folder in folders:
        path = Path(output or f"{folder.name}.{kind}").expanduser()
        if path in runs:
            raise UserError(
                f"{runs[path]} and {folder} would have the same file, {path}; export one at a time, with output"
            )
        runs[path] = folder
        ending = path.suffix.removeprefix(".")
        if ending in FORMATS and ending != kind:
            raise UserError(
                f"output: {path} has the ending of another format; add format={ending}, or name a .{kind} file"
            )
    for path, folder in runs.items():
        print("\n".join(export(load_run(folder), kind, path)))
    return 0


def export(run: SavedRun, kind: str, path: Path) -> list[str]:
    """Writes ``run`` to the file ``path`` in the format ``kind``: ``onnx``, ``safetensors`` or ``pt2``.

    Returns:
        Lines for the user: what was written, and how it was checked.

    Raises:
        UserError: the package of the format or the data set is missing, or the folder of ``path`` does not exist.
        RunError: the exported network gives other answers. Nothing is written.
    """
    if not path.parent.is_dir():
        raise UserError(f"output: there is no folder {path.parent}")
    pack, unpack = FORMATS[kind]
    content = pack(run)
    data = load_data(run)
    images = data.test.images
    difference = largest_difference(predict_with_torch(run, images), _logits(unpack(content), images))
    files.write(files.real_folder(path.parent) / path.name, content)
    shape = "images (N, 1, 28, 28) uint8, 0..255; ink is 255"
    return [
        f"{run.name}: {path} ({len(content):,} bytes)",
        f"checked on {describe_test_set(data.name, len(data.test))}: "
        f"the same predictions; largest difference of a logit: {difference:.1e}",
        f"input: {shape if kind != 'safetensors' else f'see the metadata; {METADATA!r} has the normalisation and the config'}",
    ]


def largest_difference(expected: torch.Tensor, found: torch.Tensor) -> float:
    """The largest difference of a logit. Both tensors are ``(N, 10)``.

    Raises:
        RunError: a prediction differs, or a logit differs by more than ``TOLERANCE``.
    """
    difference = float((expected - found).abs().max())
    changed = int((expected.argmax(1) != found.argmax(1)).sum())
    if changed or not difference <= TOLERANCE:  # not >: the difference can be NaN
        raise RunError(
            f"the exported network gives other answers: {changed} of {len(expected):,} predictions differ, logits differ "
            f"by up to {difference:.1e} (allowed: {TOLERANCE:.0e}). Nothing was written"
        )
    return difference


def as_safetensors(run: SavedRun) -> bytes:
    """The weights. The metadata have a ``Description`` in JSON."""
    described = Description(config=dict(run.config), data=run.data, epoch=run.epoch)
    # "format" tells other programs that the names of the tensors are those of torch
    return safetensors_file.pack(run.network.module.state_dict(), {"format": "pt", METADATA: json.dumps(described)})


def _from_safetensors(content: bytes) -> Classifier:
    state, texts = safetensors_file.unpack(content)
    described = files.decode(texts[METADATA].encode(), Description)
    network = load_network(described["config"]["model"], state, "the exported file")
    return PixelClassifier(network.module, described["data"]["mean"], described["data"]["std"])


def _program(run: SavedRun) -> torch.export.ExportedProgram:
    """The graph of the network with its normalisation. The number of images is free."""
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    shapes = {"images": {0: torch.export.Dim("n", min=1)}}
    with default_tf32():
        return torch.export.export(run.classifier(), (images,), dynamic_shapes=shapes)


def _as_pt2(run: SavedRun) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(_program(run), buffer)
    return buffer.getvalue()


def _from_pt2(content: bytes) -> Classifier:
    return torch.export.load(io.BytesIO(content)).module()


def _as_onnx(run: SavedRun) -> bytes:
    require_packages("format=onnx", ("onnx", "onnxscript", "onnxruntime"), "onnx")
    with default_tf32(), contextlib.redirect_stdout(io.StringIO()):  # torch prints its steps
        program = torch.onnx.export(
            _program(run), input_names=["images"], output_names=["logits"], dynamo=True, verbose=False
        )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def _from_onnx(content: bytes) -> Classifier:
    from onnxruntime import InferenceSession

    session = InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


FORMATS: dict[str, tuple[Callable[[SavedRun], bytes], Callable[[bytes], Classifier]]] = {
    "onnx": (_as_onnx, _from_onnx),
    "safetensors": (as_safetensors, _from_safetensors),
    "pt2": (_as_pt2, _from_pt2),
}


def _logits(classifier: Classifier, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.cat([classifier(batch) for batch in images.split(BATCH)])
