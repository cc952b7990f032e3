"""Carries a sweep out: what is missing is run, everything is written down, and one table ends it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from mnist_lite import durable
from mnist_lite.schema import SweepConfig
from mnist_lite.stop import Interrupted
from mnist_lite.sweep import pool
from mnist_lite.sweep.board import Board
from mnist_lite.sweep.job import DONE, FAILED, Job, Refused, labels, status
from mnist_lite.sweep.table import PLAN, as_text, read, read_plan, write

MOST_ON_GPU = 4
MOST_CODE = 100


def conduct(wanted: Sequence[Job | Refused], sweep: SweepConfig) -> int:
    """Runs what is missing of ``wanted``, prints and writes the results. The exit code: how many jobs have failed, at most 100.

    Raises:
        Interrupted: a signal came. All that ran can be gone on with.
        RunError: the sweep's folder cannot be written.
    """
    folder = Path(sweep.dir).expanduser()
    jobs = list({job.folder: job for job in wanted if isinstance(job, Job)}.values())
    names = labels(wanted)
    refused = [job for job in wanted if isinstance(job, Refused)]
    for job in refused:
        print(f"error: job {names[job]}: {job.error}", file=sys.stderr, flush=True)
    if not jobs:
        return min(MOST_CODE, len(refused))  # and nothing is written
    write_plan(folder, wanted)
    states = {job: status(job.folder) for job in jobs}
    left_out = (DONE,) if sweep.retry_failed else (DONE, FAILED)
    missing = [job for job in jobs if states[job] not in left_out]
    workers = min(len(missing), sweep.workers or default_workers(missing)) or 1
    print(f"sweep of {len(wanted)} jobs in {folder}: {_counted(list(states.values()))}{workers} at a time", flush=True)
    try:
        if not (sweep.fail_fast and refused):
            with closing(Board(missing, {job.folder: names[job] for job in jobs})) as board:
                pool.work([_with_threads(job) for job in missing], workers, sweep.fail_fast, board)
    except Interrupted as reason:
        print(f"stopped by {reason}; saved. To go on, the same command with sweep.dir={folder}", flush=True)
        raise
    finally:
        rows = read(folder)
        if any(row.final is not None for row in rows):
            from mnist_lite.sweep.plots import write_plots  # imports matplotlib, which workers need not wait for

            write(folder, rows)
            write_plots(folder, rows)
    print(f"\n{as_text(rows)}", flush=True)
    return min(MOST_CODE, sum(row.status == FAILED for row in rows))


def default_workers(jobs: Sequence[Job]) -> int:
    """One for each core that this process may use; on a GPU, which small runs do not fill, up to four."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if jobs and jobs[0].config.device.startswith(("cuda", "mps")):
        return min(cores, MOST_ON_GPU)
    return cores


def write_plan(folder: Path, wanted: Sequence[Job | Refused]) -> None:
    """Adds ``wanted`` to what the sweep in ``folder`` is known to consist of; jobs on many nodes may do so at once."""
    with durable.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".jobs.lock"):
        known = {entry.get("folder", tuple(entry["overrides"])): entry for entry in read_plan(folder)}
        for job in wanted:
            entry = {"folder": job.folder.name} if isinstance(job, Job) else {"error": job.error}
            known.setdefault(entry.get("folder", job.overrides), {"overrides": list(job.overrides), **entry})
        durable.write(folder / PLAN, (json.dumps(list(known.values()), indent=1) + "\n").encode())


def _with_threads(job: Job) -> Job:
    """Each worker has one core, unless the user says otherwise."""
    if job.config.threads is not None:
        return job
    return replace(job, config=replace(job.config, threads=1))


def _counted(states: Sequence[str]) -> str:
    parts = [f"{states.count(state)} {state}, " for state in ("done", "cut", "failed", "missing") if state in states]
    return "".join(parts)
