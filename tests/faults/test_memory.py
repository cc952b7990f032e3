"""Memory that runs out, and a GPU that is not there."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.faults.child import train
from tests.faults.recipes import FEW

ENOUGH = 100


@dataclass
class SmallDevice:
    """torch's own error whenever a network in training meets more than ``most`` images."""

    most: int

    def __call__(self) -> None:
        """Arms it."""
        original = nn.Sequential.forward

        def stricken(network: nn.Sequential, images: torch.Tensor) -> torch.Tensor:
            if network.training and len(images) > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 has ...")
            result: torch.Tensor = original(network, images)
            return result

        setattr(nn.Sequential, "forward", stricken)  # noqa: B010


@pytest.mark.parametrize(("most", "said"), [(ENOUGH, "batch_size=60 fits"), (8, "batch_size=7 fits")])
def test_out_of_memory_names_the_batch_size_and_what_fits(most: int, said: str, tmp_path: Path):
    done = train(tmp_path, *FEW, "model=era4", "batch_size=120", "checkpoint.steps=1", fault=SmallDevice(most))
    assert done.code == 1, done.text
    (line,) = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert "out of memory on cpu with batch_size=120" in line and said in line, line
    assert "Traceback" not in done.text


class LittleMemory:
    """The process may take 1.5 GB more than it has."""

    def __call__(self) -> None:
        """Arms it."""
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        limit = pages * resource.getpagesize() + 1_500_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_a_machine_that_really_has_no_more_memory(tmp_path: Path):
    """base keeps about 2 MB of activations for an image."""
    few = [word for word in FEW if not word.startswith(("data.train", "batch_size"))]
    done = train(tmp_path, *few, "model=base", "init=torch", "precision=fp32", "batch_size=1437", fault=LittleMemory())
    assert done.code == 1, done.text
    (line,) = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert "out of memory on cpu with batch_size=1437; a step with batch_size=" in line, line


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps"])
def test_a_gpu_that_is_not_there_is_one_line(device: str, tmp_path: Path):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one here")
    done = subprocess.run(
        [sys.executable, "-m", "mnist_lite.train", *FEW[:4], f"device={device}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"error: device: {device} is not available")
    assert list(tmp_path.iterdir()) == []
