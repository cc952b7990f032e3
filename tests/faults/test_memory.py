"""Out of memory, and a GPU that does not exist."""

from __future__ import annotations

import re
import resource
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.faults.child import train
from tests.faults.recipes import FEW, SMALL


@dataclass
class SmallDevice:
    """A device with memory for ``images`` images in training. With more, torch's own error is raised."""

    images: int

    def __call__(self) -> None:
        original = nn.Sequential.forward

        def faulty(network: nn.Sequential, images: torch.Tensor) -> torch.Tensor:
            if network.training and len(images) > self.images:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 has ...")
            result: torch.Tensor = original(network, images)
            return result

        setattr(nn.Sequential, "forward", faulty)  # noqa: B010


@pytest.mark.parametrize(("images", "fitting"), [(100, 60), (8, 7)])
def test_out_of_memory_names_the_batch_size_and_what_fits(images: int, fitting: int, tmp_path: Path):
    done = train(tmp_path, *FEW, *SMALL, "batch_size=120", "checkpoint.steps=1", fault=SmallDevice(images))
    assert done.code == 1, done.text
    (line,) = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert "batch_size=120" in line and f"batch_size={fitting} fits" in line, line
    assert "Traceback" not in done.text


class LittleMemory:
    """The process can allocate 600 MB more than it has."""

    def __call__(self) -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        limit = pages * resource.getpagesize() + 600_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_a_machine_without_more_memory(tmp_path: Path):
    """A real error of the CPU's allocator. ``base`` keeps about 2 MB of activations for an image."""
    few = [word for word in FEW if not word.startswith(("data.train", "batch_size"))]
    large = ("model=base", "init=torch", "precision=fp32", "batch_size=400", "data.train_limit=400")
    done = train(tmp_path, *few, *large, fault=LittleMemory())
    assert done.code == 1, done.text
    errors = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.text
    line = errors[0]
    assert "batch_size=400" in line and re.search(r"batch_size=\d+ fits", line), line


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps"])
def test_a_gpu_that_does_not_exist_is_one_line(device: str, tmp_path: Path):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has one")
    few = [word for word in FEW if not word.startswith("device")]
    done = train(tmp_path, *few, *SMALL, f"device={device}")
    assert done.code == 2
    assert done.text.count("\n") == 1 and done.text.startswith("error: device: "), done.text
    assert list(tmp_path.iterdir()) == []
