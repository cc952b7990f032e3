"""Runs the jobs of a sweep on worker processes of this machine."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from mnist_lite.config.schema import SweepConfig
from mnist_lite.process import cores
from mnist_lite.reporting import text_layout
from mnist_lite.sweeps import pool
from mnist_lite.sweeps.progress import ProgressDisplay
from mnist_lite.sweeps.source import JobSource

MAX_WORKERS_ON_GPU = 4


def run_local(headline: str, source: JobSource, device: str, sweep: SweepConfig) -> int:
    """Runs the jobs of ``source``, and prints ``headline`` first. Returns the number of failed jobs.

    Raises:
        Interrupted: a signal came. All running jobs have saved their state.
    """
    workers = min(source.count, sweep.workers or default_workers(device))
    text = f"{headline}; {workers} at a time" if workers else headline
    print(text_layout.wrapped(text, text_layout.width_of(sys.stdout)), flush=True)
    if not workers:
        return 0
    with closing(ProgressDisplay(source.count, source.label)) as display:
        return pool.run_jobs(source, workers, sweep.fail_fast, display)


def default_workers(device: str) -> int:
    """One worker per core that this process may use. Small runs share a GPU: up to four workers there."""
    allowed = cores.usable()
    on_gpu = device.startswith(("cuda", "mps")) or (device == "auto" and Path("/dev/nvidia0").exists())
    return min(allowed, MAX_WORKERS_ON_GPU) if on_gpu else allowed
