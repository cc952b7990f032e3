"""Where and with what a run took place: device, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch


def conditions(device: torch.device, plan: Mapping[str, object]) -> dict[str, str]:
    """What can change the bits of a run beside its config and its data, each as one word or two; with what ``auto`` chose."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        **{key: str(value) for key, value in plan.items()},
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "torch": str(torch.__version__),
        "mnist-lite": version("mnist-lite"),
        "code": str(git_commit(Path(__file__).parent)),
    }


def record(device: torch.device, plan: Mapping[str, object]) -> dict[str, object]:
    """Where and how a run took place, for its summary."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        **plan,
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__), **_versions()},
        "git": git_commit(Path(__file__).parent),
    }


def _versions() -> dict[str, str]:
    names = ("mnist-lite", "torchvision", "hydra-core", "omegaconf", "numpy")
    return {name: version(name) for name in names}


def git_commit(folder: Path) -> str | None:
    """The commit of the checkout that ``folder`` is in, with ``-dirty`` for local changes; None outside of a checkout."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        # a checkout that ignores this folder (an environment inside somebody's project) is not ours to name
        ignored = subprocess.run(
            [*command[:3], "check-ignore", "-q", "."], capture_output=True, timeout=10, check=False
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 and ignored.returncode == 1 else None
