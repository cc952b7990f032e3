"""How many cores this process may use. The scheduler and the control groups (of a container) limit them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def usable(root: Path = ROOT) -> int:
    """The number of cores, at least 1. A quota of 1.5 cores counts as 2, so that no part of a core is unused.

    ``root`` is the folder that has ``proc`` and the mounted control groups. Tests set it.
    """
    allowed = min((quota for folder in _groups(root) if (quota := _quota(folder)) is not None), default=math.inf)
    return max(1, math.ceil(min(_affinity(), allowed)))


def _affinity() -> int:
    """The number of cores that the scheduler allows. ``taskset``, SLURM and the core list of a container limit them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the control groups of this process, and of all groups above them. Each of them can set a limit.

    Formats: ``man 7 cgroups`` for ``/proc/self/cgroup``, ``man 5 proc_pid_mountinfo`` for ``/proc/self/mountinfo``.
    """
    try:
        memberships = (root / "proc/self/cgroup").read_text("utf-8", "replace").splitlines()
        mounts = (root / "proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return  # not Linux
    paths = {}
    for line in memberships:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            paths["cgroup" if controllers else "cgroup2"] = path
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind not in paths or (kind == "cgroup" and "cpu" not in options.split(",")):
            continue
        top, point = before.split(" ")[3:5]
        mounted, group = root / point.lstrip("/"), Path(paths[kind])
        # In a container often only its own group is mounted. Its path is then the path outside of the container.
        inside = group.relative_to(top) if group.is_relative_to(top) else Path()
        for folder in (inside, *inside.parents):
            yield mounted / folder


def _quota(group: Path) -> float | None:
    """The cores that a control group of version 2 (``cpu.max``) or 1 may use at a time. None: it has no limit."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text("utf-8").split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text("utf-8") for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # "max" is not a number: no limit
        return None
