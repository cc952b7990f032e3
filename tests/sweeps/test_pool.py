"""The pool with workers of straw: who gets which job, and when there is no room for another."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest

from mnist_lite.config.schema import Config
from mnist_lite.sweeps import pool
from mnist_lite.sweeps.job import Job, failure, is_settled
from mnist_lite.sweeps.worker import Ended


class Source:
    def __init__(self, jobs: list[Job]) -> None:
        self.stopped = False
        self.waiting, self.done = deque(jobs), dict[Job, str | None]()

    @property
    def count(self) -> int:
        return len(self.waiting)

    def label(self, job: Job) -> str:
        return job.folder.name

    def next_job(self) -> Job | None:
        return self.waiting.popleft() if self.waiting else None

    def prepare_next(self) -> bool:
        return False

    def moved(self, job: Job, progress: object) -> None:
        raise AssertionError

    def interrupted(self, jobs: list[Job]) -> None:
        raise AssertionError

    def ended(self, job: Job, error: str | None, seconds: float = 0) -> None:
        self.done[job] = error


class Straw:
    """The parent's end of a pipe, and a process."""

    exitcode = 0

    def __init__(self) -> None:
        self.closed = False
        self.sent: list[Job] = []

    def send(self, job: Job) -> None:
        self.sent.append(job)

    def close(self) -> None:
        self.closed = True

    def join(self, _timeout: float = 0) -> None:
        pass

    def is_alive(self) -> bool:
        return False


@pytest.fixture
def straw(monkeypatch: pytest.MonkeyPatch) -> None:
    def start_workers(self: pool._Pool) -> pool._Worker:
        worker = pool._Worker(Straw(), Straw(), Straw())  # type: ignore[arg-type]
        self._workers.append(worker)
        return worker

    monkeypatch.setattr(pool._Pool, "_start_worker", start_workers)


def begin(folder: Path, count: int, most: int) -> tuple[pool._Pool, Source]:
    source = Source([Job((f"seed={i}",), Config(), folder / str(i)) for i in range(count)])
    made = pool._Pool(source, source, fail_fast=False)
    made.start_workers(most)
    assert made.assign_jobs(most)
    return made, source


def running(made: pool._Pool) -> list[str]:
    return sorted(worker.job.folder.name for worker in made._workers if worker.job)


def end(made: pool._Pool, name: str, message: Ended) -> None:
    (worker,) = (worker for worker in made._workers if worker.job and worker.job.folder.name == name)
    made._take(worker, message)


@pytest.mark.usefixtures("straw")
def test_a_job_without_room_waits_for_another_to_end(tmp_path: Path):
    made, source = begin(tmp_path, count=5, most=3)
    assert running(made) == ["0", "1", "2"]
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "fault.txt").write_text("out of memory\n")
    full = next(worker.pipe for worker in made._workers if worker.job and worker.job.folder.name == "2")
    end(made, "2", Ended("out of memory", crowded=True))
    assert full.closed and not (tmp_path / "2" / "fault.txt").exists()
    assert made.assign_jobs(3) and running(made) == ["0", "1"]
    end(made, "0", Ended(None))
    assert made.assign_jobs(3) and running(made) == ["1", "2"]  # never again three at a time
    for name, left in (("1", ["2", "3"]), ("2", ["3", "4"]), ("3", ["4"])):
        end(made, name, Ended(None))
        assert made.assign_jobs(3) and running(made) == left
    end(made, "4", Ended(None))
    assert not made.assign_jobs(3)
    assert [source.done[job] for job in source.done] == [None] * 5 and len(source.done) == 5


@pytest.mark.usefixtures("straw")
def test_a_job_that_does_not_fit_alone_has_failed(tmp_path: Path):
    made, source = begin(tmp_path, count=1, most=1)
    end(made, "0", Ended("out of memory", crowded=True))
    assert list(source.done.values()) == ["out of memory"]
    assert not made.assign_jobs(1)


@pytest.mark.usefixtures("straw")
@pytest.mark.parametrize(("code", "lasting"), [(-9, False), (-7, False), (1, False), (-11, True), (-6, True)])
def test_a_job_under_which_worker_after_worker_dies_has_failed(
    code: int, lasting: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """For good if the worker crashed; if it was killed, as when memory is short, the next start tries the job again."""
    monkeypatch.setattr(Straw, "exitcode", code)
    made, source = begin(tmp_path, count=2, most=1)
    for _ in range(pool.MAX_DEATHS):
        assert running(made) == ["0"] and not source.done
        made._reap(made._workers[0])
        assert made.assign_jobs(1)
    assert [(job.folder.name, "died 3 times" in str(error)) for job, error in source.done.items()] == [("0", True)]
    assert running(made) == ["1"]
    assert is_settled(tmp_path / "0", retry_failed=False) == lasting
    assert f"with code {code}" in str(failure(tmp_path / "0"))
