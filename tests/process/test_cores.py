"""The number of usable cores, for imitations of /proc and /sys of Linux, Docker, Kubernetes and systemd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mnist_lite.process import cores
from mnist_lite.sweeps import run_local

V2 = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
V1_DOCKER = "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct"
V2_HYBRID = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"
NO_GROUP = "22 1 0:20 / / rw - overlay overlay rw"


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)


def tree(root: Path, memberships: str, mounts: tuple[str, ...], files: dict[str, str]) -> Path:
    content = {"proc/self/cgroup": memberships, "proc/self/mountinfo": "\n".join(mounts) + "\n"}
    for name, text in {**content, **{f"sys/fs/cgroup/{key}": value for key, value in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def v1(group: str, quota: int, period: int = 100_000) -> dict[str, str]:
    return {f"{group}/cpu.cfs_quota_us": f"{quota}\n", f"{group}/cpu.cfs_period_us": f"{period}\n"}


CPU = "cpu,cpuacct"


@pytest.mark.parametrize(
    ("memberships", "mounts", "files", "expected"),
    [
        pytest.param("0::/\n", (V2,), {"cpu.max": "200000 100000\n"}, 2, id="version 2, container"),
        pytest.param("0::/\n", (V2,), {"cpu.max": "150000 100000\n"}, 2, id="1.5 cores"),
        pytest.param("0::/\n", (V2,), {"cpu.max": "20000 100000\n"}, 1, id="0.2 cores"),
        pytest.param("0::/\n", (V2,), {"cpu.max": "max 100000\n"}, 8, id="version 2, no limit"),
        pytest.param("0::/\n", (V2,), {"cpu.max": "9900000 100000\n"}, 8, id="more than there are"),
        pytest.param("0::/a/b\n", (V2,), {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3, id="parent"),
        pytest.param("0::/a/b\n", (V2,), {"a/cpu.max": "500000 100000", "a/b/cpu.max": "50000 50000"}, 1, id="both"),
        pytest.param("0::/a\n", (V2,), {"b/cpu.max": "100000 100000"}, 8, id="another group"),
        pytest.param(f"4:{CPU}:/\n1:name=systemd:/\n", (V1,), v1(CPU, 400_000), 4, id="version 1"),
        pytest.param(f"4:{CPU}:/\n", (V1,), v1(CPU, -1), 8, id="version 1, no limit"),
        pytest.param(f"4:{CPU}:/a\n", (V1,), v1(f"{CPU}/a", 30_000, 10_000), 3, id="version 1, group"),
        pytest.param(f"4:{CPU}:/docker/abc\n", (V1_DOCKER,), v1(CPU, 250_000), 3, id="version 1, Docker"),
        pytest.param(f"4:{CPU}:/docker/abc/x\n", (V1_DOCKER,), v1(f"{CPU}/x", 250_000), 3, id="a group in Docker"),
        pytest.param(f"4:{CPU}:/other\n", (V1_DOCKER,), v1(CPU, 250_000), 3, id="a path outside of the container"),
        pytest.param(
            f"4:{CPU}:/\n2:memory:/m\n0::/u\n", (V1_MEMORY, V2_HYBRID, V1), v1(CPU, 500_000), 5, id="both versions"
        ),
        pytest.param("0::/\n", (V2,), {"cpu.max": "nonsense\n"}, 8, id="nonsense"),
        pytest.param("0::/\n", (NO_GROUP,), {}, 8, id="nothing mounted"),
    ],
)
def test_the_quota_of_control_groups_counts(
    memberships: str, mounts: tuple[str, ...], files: dict[str, str], expected: int, tmp_path: Path
):
    assert cores.usable(tree(tmp_path, memberships, mounts, files)) == expected


def test_without_proc_the_cores_that_may_be_run_on_count(tmp_path: Path):
    assert cores.usable(tmp_path) == 8


def test_a_sweep_has_as_many_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tree(tmp_path, "0::/\n", (V2,), {"cpu.max": "200000 100000\n"})
    monkeypatch.setattr(cores.usable, "__defaults__", (tmp_path,))
    assert run_local.default_workers("cpu") == 2
    assert run_local.default_workers("cuda") == 2


def test_this_machine_has_at_least_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    assert 1 <= cores.usable() <= (os.cpu_count() or 1)
