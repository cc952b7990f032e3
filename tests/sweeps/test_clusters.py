"""The same sweep by the launchers of clusters: jobs preempted, nodes killed, and the runs still those of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sweeps.commands import SWEEP, Sweep, assert_same_sweep, linux, run

LOCAL = ("hydra/launcher=submitit_local", "threads=1")


def descendants(pid: int) -> list[int]:
    try:
        children = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(pid for child in children for pid in descendants(child))]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_job_of_submitit_is_the_same_run(reference: Path, tmp_path: Path):
    code, text = run(tmp_path, *SWEEP, *LOCAL)
    assert code == 0, text
    assert_same_sweep(tmp_path / "sweep", reference)
    assert "4 jobs: 4 done" in text
    code, text = run(tmp_path, *SWEEP)  # and this machine finds nothing left to do
    assert code == 0 and " %  optimizer.lr=" not in text


@linux
def test_a_job_that_is_preempted_goes_on_from_its_checkpoint(reference: Path, tmp_path: Path):
    sweep = Sweep(tmp_path, *SWEEP, *LOCAL)
    sweep.wait_for(lambda: sweep.checkpoints() > 0)
    jobs = [
        pid
        for pid in descendants(sweep.process.pid)
        if b"submitit.core._submit" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert jobs
    for pid in jobs:
        os.kill(pid, signal.SIGUSR2)  # which is how a cluster takes a node back
    code, text = sweep.end()
    assert code == 0, text
    assert_same_sweep(tmp_path / "sweep", reference)
    logs = [path.read_text() for path in sweep.folder.glob("*/run.log")]
    assert any("going on after step" in log for log in logs)


def test_a_job_that_fails_there_is_counted_here(tmp_path: Path):
    words = [word for word in SWEEP if not word.startswith(("optimizer.lr", "seed"))]
    code, text = run(
        tmp_path, *words, *LOCAL, "epochs=1", "scheduler=constant", "optimizer=sgd", "optimizer.lr=0.01,1e30"
    )
    assert code == 1, text
    assert "1 failed" in text and "Traceback" not in text


class Cluster:
    """Two nodes of Ray on this machine, with a processor each."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._folder = folder
        self.head = self._start(
            "--head", f"--port={self.address.rpartition(':')[2]}", "--include-dashboard=false", f"--temp-dir={folder}"
        )
        self.node = self._start(f"--address={self.address}")

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        log = (self._folder / "ray.log").open("ab")
        before = (self._folder / "ray.log").stat().st_size
        process = subprocess.Popen(
            [
                Path(sys.executable).with_name("ray"),
                "start",
                *words,
                "--num-cpus=1",
                "--block",
                "--disable-usage-stats",
                "--node-ip-address=127.0.0.1",
            ],
            stdout=log,
            stderr=log,
        )
        wait_for(lambda: b"Ray runtime started" in (self._folder / "ray.log").read_bytes()[before:])
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """As when its power is cut."""
        for pid in [process.pid, *descendants(process.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("ray", reason="Ray is an extra")
    import tempfile

    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:  # sockets want short paths
        started = Cluster(Path(folder))
        yield started
        for process in (started.node, started.head):
            started.kill(process)


@linux
def test_a_node_of_ray_that_dies_costs_nothing_but_time(cluster: Cluster, tmp_path: Path):
    long = (*(word for word in SWEEP if "lr" not in word), "epochs=40", "scheduler=constant")
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    code, text = run(tmp_path / "here", *long)
    assert code == 0, text
    where = ("hydra/launcher=ray_cluster", f"hydra.launcher.ray.init.address={cluster.address}", "threads=1")
    sweep = Sweep(tmp_path / "there", *long, *where)
    sweep.wait_for(lambda: sweep.checkpoints() == 2)  # both nodes are at work
    cluster.kill(cluster.node)
    code, text = sweep.end()
    assert code == 0, text
    assert_same_sweep(sweep.folder, tmp_path / "here" / "sweep")
    logs = [path.read_text() for path in sweep.folder.glob("*/run.log")]
    assert sum("going on after step" in log for log in logs) == 1
