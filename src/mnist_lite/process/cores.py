"""How many cores this process may use: those that it may run on, and no more than its control groups (a container) allow."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def usable(root: Path = ROOT) -> int:
    """At least 1. A quota of 1.5 cores counts as 2: a worker that is slowed down at times beats a core that is left unused.

    ``root`` is where ``proc`` and the mounted control groups are, for tests.
    """
    allowed = min((quota for folder in _groups(root) if (quota := _quota(folder)) is not None), default=math.inf)
    return max(1, math.ceil(min(_affinity(), allowed)))


def _affinity() -> int:
    """Cores that this process may be scheduled on: ``taskset``, SLURM and a container's list of cores limit them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _groups(root: Path) -> Iterator[Path]:
    """Folders of the control groups that this process is in, with all groups above them, which limit it as well.

    Formats: ``man 7 cgroups`` for ``/proc/self/cgroup``, ``man 5 proc_pid_mountinfo`` for ``/proc/self/mountinfo``.
    """
    try:
        memberships = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
        mounts = (root / "proc/self/mountinfo").read_text("utf-8").splitlines()
    except (OSError, ValueError):
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
        # In a container only its own group may be mounted, under a path that is that of the group outside of it.
        inside = group.relative_to(top) if group.is_relative_to(top) else Path()
        for folder in (inside, *inside.parents):
            yield mounted / folder


def _quota(group: Path) -> float | None:
    """Cores that a control group may use at a time, of version 2 (``cpu.max``) or 1; None: it has no limit."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text("utf-8").split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text("utf-8") for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number
        return None
