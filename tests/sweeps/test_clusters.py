"""Sweeps by the launchers of clusters: jobs are preempted, nodes are killed, and the runs are the same as on one machine."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sweeps.commands import SWEEP, Sweep, assert_same_sweep, children, linux, run, wait_for

SUBMITIT = ("hydra/launcher=submitit_local", "threads=1")


def descendants(pid: int) -> list[int]:
    return [each for child in children(pid) for each in (child, *descendants(child))]


def handles(pid: int, number: int) -> bool:
    """True if the process has a handler for the signal. Without one, the signal would end the process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (number - 1) & 1)


def logs(sweep: Sweep) -> list[str]:
    return [path.read_text() for path in sweep.folder.glob("*/run.log")]


@linux
def test_a_preempted_job_continues_from_its_checkpoint(reference: Path, tmp_path: Path):
    sweep = Sweep(tmp_path, *SWEEP, *SUBMITIT)
    sweep.wait_for(lambda: sweep.checkpoints() > 0)
    command_lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in descendants(sweep.process.pid)}
    jobs = [pid for pid, command_line in command_lines.items() if b"submitit.core._submit" in command_line]
    wait_for(lambda: all(handles(pid, signal.SIGUSR2) for pid in jobs))
    assert jobs
    for pid in jobs:
        os.kill(pid, signal.SIGUSR2)  # SLURM sends this signal before it takes the node
    code, text = sweep.end()
    assert code == 0 and "4 jobs: 4 done" in text, text
    assert_same_sweep(sweep.folder, reference)
    saved = [
        re.search(r"stopped by SIGUSR2 after step (\d+).*resuming after step (\d+)", log, re.DOTALL)
        for log in logs(sweep)
    ]
    steps = [found.groups() for found in saved if found]
    assert steps and all(stopped == resumed for stopped, resumed in steps)  # no step is lost


@pytest.mark.long
def test_a_sweep_by_submitit_is_finished_on_this_machine(reference: Path, tmp_path: Path):
    code, text = run(tmp_path, *SWEEP, *SUBMITIT)
    assert code == 0 and "4 jobs: 4 done" in text, text
    assert_same_sweep(tmp_path / "sweep", reference)
    code, text = run(tmp_path, *SWEEP)  # nothing is left to do
    assert code == 0 and " %  optimizer.lr=" not in text


@pytest.mark.long
def test_a_job_that_fails_on_a_node_is_counted(tmp_path: Path):
    arguments = (*SWEEP, *SUBMITIT, "epochs=1", "scheduler=constant", "optimizer=sgd", "seed=1")
    code, text = run(tmp_path, *arguments, "optimizer.lr=0.01,1e30")
    assert code == 1, text
    assert "1 failed" in text and "Traceback" not in text


class Cluster:
    """Two nodes of Ray on this machine, with one processor each."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._log = folder / "ray.log"
        port = self.address.rpartition(":")[2]
        self.head = self._start("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")
        self.node = self._start(f"--address={self.address}")

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        ray = Path(sys.executable).with_name("ray")
        options = ("--num-cpus=1", "--block", "--disable-usage-stats", "--node-ip-address=127.0.0.1")
        with self._log.open("ab") as log:
            before = log.tell()
            process = subprocess.Popen([ray, "start", *arguments, *options], stdout=log, stderr=log)
        wait_for(lambda: b"Ray runtime started" in self._log.read_bytes()[before:])
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kills a node and all its processes, as a power cut does."""
        for pid in [process.pid, *descendants(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("ray", reason="Ray is an extra")
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:  # sockets need short paths
        started = Cluster(Path(folder))
        yield started
        for process in (started.node, started.head):
            started.kill(process)


@pytest.mark.long
@linux
def test_jobs_of_a_ray_node_that_dies_continue_on_another_node(cluster: Cluster, tmp_path: Path):
    arguments = (*(each for each in SWEEP if "lr" not in each), "epochs=40", "scheduler=constant")
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    code, text = run(tmp_path / "here", *arguments)
    assert code == 0, text
    ray = ("hydra/launcher=ray_cluster", f"hydra.launcher.ray.init.address={cluster.address}", "threads=1")
    sweep = Sweep(tmp_path / "there", *arguments, *ray)
    sweep.wait_for(lambda: sweep.checkpoints() == 2)  # both nodes run a job
    cluster.kill(cluster.node)
    code, text = sweep.end()
    assert code == 0, text
    assert_same_sweep(sweep.folder, tmp_path / "here" / "sweep")
    assert sum("after step" in log for log in logs(sweep)) == 1
