"""The jobs of a grid: which are composed, which are left out, and what is written into the manifest."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import pytest

from mnist_lite.sweeps.grid import Grid
from mnist_lite.sweeps.job import InvalidJob, Job, Overrides
from mnist_lite.sweeps.manifest import MANIFEST, ManifestEntry, add_entries, read_manifest
from tests.sweeps.fake_sweep import CONFIG, sweep_config, write_run


class Maker:
    """Makes jobs, and records their overrides. ``seed=13`` is invalid."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.composed: list[Overrides] = []

    def __call__(self, overrides: Overrides) -> Job | InvalidJob:
        self.composed.append(overrides)
        if "seed=13" in overrides:
            return InvalidJob(overrides, "13 is not a seed")
        return Job(overrides, CONFIG, self.folder / overrides[-1])


def seeds(count: int) -> list[Overrides]:
    return [("model=era4", f"seed={number}") for number in range(count)]


def on_mnist() -> str:
    """What ``data=auto`` is."""
    return "mnist"


def test_a_job_is_composed_when_it_is_asked_for(tmp_path: Path):
    make = Maker(tmp_path)
    grid = Grid(seeds(20), make, sweep_config(tmp_path), "conf", on_mnist)
    assert grid.count == 20 and make.composed == []
    jobs = grid.jobs()
    assert next(jobs).folder.name == "seed=0"
    assert len(make.composed) == 1
    assert len(list(jobs)) == 18  # seed=13 is invalid
    assert grid.count == 0 and not grid.stopped
    assert [job.error for job in grid.invalid_jobs] == ["13 is not a seed"]


def test_an_invalid_job_stops_a_sweep_with_fail_fast(tmp_path: Path):
    grid = Grid([("seed=13",), ("seed=1",)], Maker(tmp_path), sweep_config(tmp_path, fail_fast=True), "conf", on_mnist)
    assert list(grid.jobs()) == [] and grid.stopped
    assert not (tmp_path / MANIFEST).exists()


@pytest.mark.parametrize("order", [(13, 1), (1, 13)])
def test_invalid_jobs_are_in_the_manifest_if_a_job_is_valid(order: tuple[int, int], tmp_path: Path):
    grid = Grid([(f"seed={seed}",) for seed in order], Maker(tmp_path), sweep_config(tmp_path), "conf", on_mnist)
    assert len(list(grid.jobs())) == 1
    assert {entry.error for entry in read_manifest(tmp_path)} == {None, "13 is not a seed"}


def test_the_same_job_by_other_overrides_runs_once(tmp_path: Path):
    def make(overrides: Overrides) -> Job:
        return Job(overrides, CONFIG, tmp_path / "the_same")

    grid = Grid([("lr=0.1",), ("lr=1e-1",)], make, sweep_config(tmp_path), "conf", on_mnist)
    assert len(list(grid.jobs())) == 1
    again = Grid([("lr=0.1",), ("lr=1e-1",)], make, sweep_config(tmp_path), "conf", on_mnist)
    assert again.count == 1


@pytest.mark.parametrize(("mark", "retry", "left"), [("error", False, 1), ("error", True, 2), ("fault", False, 2)])
def test_a_job_that_failed_by_itself_runs_again_only_with_retry_failed(
    mark: str, retry: bool, left: int, tmp_path: Path
):
    first = Grid(seeds(3), Maker(tmp_path), sweep_config(tmp_path), "conf", on_mnist)
    done, failed, _ = (job.folder for job in first.jobs())
    write_run(tmp_path, done.name, [99.0])
    failed.mkdir()
    (failed / f"{mark}.txt").write_text("a reason\n")
    grid = Grid(seeds(3), Maker(tmp_path), sweep_config(tmp_path, retry_failed=retry), "conf", on_mnist)
    assert dict(grid.states) == {"done": 1, "failed": 1, "missing": 1}
    assert grid.count == left == len(list(grid.jobs()))


def test_ten_thousand_jobs_are_resumed_in_seconds(tmp_path: Path):
    """Two thirds are done. None of them is composed again, and the first missing job comes at once."""
    wanted = seeds(10_000)
    add_entries(tmp_path, [ManifestEntry(overrides, overrides[-1], config_digest="conf") for overrides in wanted])
    for overrides in wanted[:6_667]:
        write_run(tmp_path, overrides[-1], [99.0])
    make = Maker(tmp_path)
    started = time.perf_counter()
    grid = Grid(wanted, make, sweep_config(tmp_path), "conf", on_mnist)
    (job,) = islice(grid.jobs(), 1)
    assert time.perf_counter() - started < 10  # 0.3 s on a quiet machine
    assert dict(grid.states) == {"done": 6_667, "missing": 3_333}
    assert job.folder.name == "seed=6667" and len(make.composed) == 1


def test_jobs_on_other_data_are_other_jobs(tmp_path: Path):
    """``data=auto`` was the digits at the first start, and is MNIST now."""
    wanted = seeds(3)
    add_entries(
        tmp_path,
        [ManifestEntry(each, f"digits_{each[-1]}", config_digest="conf", auto_data="digits") for each in wanted],
    )
    for overrides in wanted:
        write_run(tmp_path, f"digits_{overrides[-1]}", [99.0])
    grid = Grid(wanted, Maker(tmp_path), sweep_config(tmp_path), "conf", lambda: "digits")
    assert dict(grid.states) == {"done": 3}
    grid = Grid(wanted, Maker(tmp_path), sweep_config(tmp_path), "conf", on_mnist)
    assert dict(grid.states) == {"missing": 3}


def test_the_same_overrides_with_other_config_files_are_other_jobs(tmp_path: Path):
    wanted = seeds(3)
    add_entries(tmp_path, [ManifestEntry(each, f"before_{each[-1]}", config_digest="before") for each in wanted])
    for overrides in wanted:
        write_run(tmp_path, f"before_{overrides[-1]}", [99.0])
    make = Maker(tmp_path)
    grid = Grid(wanted, make, sweep_config(tmp_path), "now", on_mnist)
    assert len(make.composed) == 3 and dict(grid.states) == {"missing": 3}


def test_the_manifest_does_not_grow_when_nothing_is_new(tmp_path: Path):
    for _ in range(3):
        grid = Grid(seeds(4), Maker(tmp_path), sweep_config(tmp_path), "conf", on_mnist)
        assert len(list(grid.jobs())) == 4
    assert len((tmp_path / MANIFEST).read_text().splitlines()) == 4
    assert {entry.config_digest for entry in read_manifest(tmp_path)} == {"conf"}
