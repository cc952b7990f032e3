"""The pool with fake workers: which worker gets which job, and what happens when memory is short or a worker dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from mnist_lite.config.schema import Config
from mnist_lite.errors import RunError
from mnist_lite.sweeps import pool
from mnist_lite.sweeps.job import Job, Outcome
from mnist_lite.sweeps.job_status import failure, is_skipped
from mnist_lite.sweeps.source import JobSource
from tests.sweeps.fake_sweep import sweep_config


class FakeSource(JobSource):
    """Gives the jobs, and receives what the display of the progress would show."""

    is_adaptive = False

    def __init__(self, jobs: list[Job], folder: Path) -> None:
        super().__init__((), lambda overrides: jobs[0], sweep_config(folder))
        self.waiting, self.ended_jobs = deque(jobs), dict[Job, str | None]()

    @property
    def count(self) -> int:
        return len(self.waiting)

    def jobs(self) -> Iterator[Job]:
        while self.waiting:
            yield self.waiting.popleft()

    def ended(self, job: Job, error: str | None, seconds: float) -> None:
        self.ended_jobs[job] = error


class FakeProcess:
    """A process and the parent's end of a pipe."""

    exitcode = 0

    def __init__(self) -> None:
        self.closed = False

    def send(self, job: Job) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def join(self, _timeout: float = 0) -> None:
        pass


START_WORKER = pool._Pool._start_worker


@pytest.fixture(autouse=True)
def fake_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def start_worker(self: pool._Pool) -> pool._Worker:
        worker = pool._Worker(FakeProcess(), FakeProcess(), FakeProcess())  # type: ignore[arg-type]
        self._workers.append(worker)
        return worker

    monkeypatch.setattr(pool._Pool, "_start_worker", start_worker)


def start(folder: Path, jobs: int, workers: int) -> tuple[pool._Pool, FakeSource]:
    source = FakeSource([Job((f"seed={i}",), Config(), folder / str(i)) for i in range(jobs)], folder)
    started = pool._Pool(source, workers, fail_fast=False, display=source)  # type: ignore[arg-type]
    started.start_workers()
    assert started.assign_jobs()
    return started, source


def running(of: pool._Pool) -> list[str]:
    return sorted(worker.job.folder.name for worker in of._workers if worker.job)


def end(of: pool._Pool, name: str, outcome: Outcome) -> None:
    (worker,) = (worker for worker in of._workers if worker.job and worker.job.folder.name == name)
    of._handle(worker, outcome)


def test_a_job_without_memory_waits_until_another_job_ends(tmp_path: Path):
    workers, source = start(tmp_path, jobs=5, workers=3)
    assert running(workers) == ["0", "1", "2"]
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "fault.txt").write_text("out of memory\n")
    pipe = next(worker.pipe for worker in workers._workers if worker.job and worker.job.folder.name == "2")
    end(workers, "2", Outcome("out of memory", no_memory=True))
    assert pipe.closed and not (tmp_path / "2" / "fault.txt").exists()
    assert workers.assign_jobs() and running(workers) == ["0", "1"]
    end(workers, "0", Outcome(None))
    assert workers.assign_jobs() and running(workers) == ["1", "2"]  # two at a time from now on
    for name, left in (("1", ["2", "3"]), ("2", ["3", "4"]), ("3", ["4"])):
        end(workers, name, Outcome(None))
        assert workers.assign_jobs() and running(workers) == left
    end(workers, "4", Outcome(None))
    assert not workers.assign_jobs()
    assert list(source.ended_jobs.values()) == [None] * 5


def test_a_job_that_does_not_fit_alone_has_failed(tmp_path: Path):
    workers, source = start(tmp_path, jobs=1, workers=1)
    end(workers, "0", Outcome("out of memory", no_memory=True))
    assert list(source.ended_jobs.values()) == ["out of memory"]
    assert not workers.assign_jobs() and workers.failures == 1


def test_while_all_workers_are_busy_one_job_is_taken_in_advance(tmp_path: Path):
    workers, source = start(tmp_path, jobs=5, workers=2)
    assert workers.assign_jobs() and workers.assign_jobs()
    assert running(workers) == ["0", "1"] and source.count == 2


@pytest.mark.parametrize(("code", "lasting"), [(-9, False), (-7, False), (1, False), (-11, True), (-6, True)])
def test_a_job_has_failed_after_three_deaths_of_its_worker(
    code: int, lasting: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """If the worker crashed, the next start skips the job. If it was killed, as when memory is short, the job runs again."""
    monkeypatch.setattr(FakeProcess, "exitcode", code)
    workers, source = start(tmp_path, jobs=2, workers=1)
    for _ in range(pool.MAX_DEATHS):
        assert running(workers) == ["0"] and not source.ended_jobs
        workers._handle_death(workers._workers[0])
        assert workers.assign_jobs()
    assert [(job.folder.name, "died 3 times" in str(error)) for job, error in source.ended_jobs.items()] == [
        ("0", True)
    ]
    assert running(workers) == ["1"]
    assert is_skipped(tmp_path / "0", retry_failed=False) == lasting
    assert f"exit code {code}" in str(failure(tmp_path / "0"))


def test_a_fork_server_that_has_died_ends_the_sweep_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def start(_process: object) -> NoReturn:
        raise EOFError("unexpected EOF")

    monkeypatch.setattr(pool._Pool, "_start_worker", START_WORKER)
    monkeypatch.setattr(pool, "start_without_ctrl_c", start)
    source = FakeSource([Job(("seed=0",), Config(), tmp_path / "0")], tmp_path)
    with pytest.raises(RunError, match="no worker can be started: unexpected EOF"):
        pool.run_jobs(source, 1, fail_fast=False, display=source)  # type: ignore[arg-type]
