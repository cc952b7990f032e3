"""Where and with what a run was trained: device, settings, machine, versions, commit. Part of ``summary.json``."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import asdict

if TYPE_CHECKING:
    import torch

PACKAGES = ("mnist-lite", "torchvision", "hydra-core", "omegaconf", "numpy")


class Provenance(Struct, frozen=True, kw_only=True):
    """The first six fields are what the run used. They are never ``auto``. ``backends/select.py`` explains them."""

    device: str
    """The name of the GPU, or ``cpu`` or ``mps``."""
    threads: int
    precision: str
    backend: str = ""
    """Format 1 does not have this key."""
    kernels: str
    memory_format: str
    machine: str
    cpu_capability: str
    """The vector instructions that torch uses, such as ``AVX512``."""
    cores: int | None
    platform: str
    versions: dict[str, str]
    git: str | None
    """The commit of the checkout, with ``-dirty`` if files were changed. None: the code is not in a checkout."""


def collect(device: torch.device, plan: Mapping[str, Any]) -> Provenance:
    """The provenance of a run on ``device``. ``plan`` is ``ExecutionPlan.record``."""
    import torch

    installed = {name: version(name) for name in PACKAGES}
    return Provenance(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        **plan,
        machine=platform.machine(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        cores=os.cpu_count(),
        platform=platform.platform(),
        versions={"python": platform.python_version(), "torch": str(torch.__version__), **installed},
        git=git_commit(Path(__file__).parent),
    )


def conditions(provenance: Provenance) -> dict[str, str]:
    """All that can change the last bits of a result, beside the config and the data."""
    fields = asdict(provenance)
    irrelevant = ("cores", "platform", "versions")
    versions = {name: provenance.versions[name] for name in ("torch", "mnist-lite")}
    return {**{key: str(value) for key, value in fields.items() if key not in irrelevant}, **versions}


def git_commit(folder: Path) -> str | None:
    """The commit of the checkout that contains ``folder``, with ``-dirty`` for local changes. None: there is no checkout."""
    git = ["git", "-C", str(folder)]
    try:
        # we may be installed in an environment inside another project's checkout; git ignores the environment there
        ignored = subprocess.run([*git, "check-ignore", "-q", "."], capture_output=True, timeout=10, check=False)
        describe = [*git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        done = subprocess.run(describe, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):  # git is not installed, or the disk is slow
        return None
    return done.stdout.strip() if done.returncode == 0 and ignored.returncode == 1 else None
