"""What a sweep remembers of its jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mnist_lite.config.schema import SweepConfig
from mnist_lite.sweeps.grid import AHEAD, Grid
from mnist_lite.sweeps.job import InvalidJob, Job
from mnist_lite.sweeps.manifest import MANIFEST, ManifestEntry, add, read_manifest
from tests.sweeps.folders import CONFIG, finished


def sweep_config(folder: Path, fail_fast: bool = False, retry_failed: bool = False) -> SweepConfig:
    return SweepConfig(dir=str(folder), workers=None, fail_fast=fail_fast, retry_failed=retry_failed)


class Maker:
    """Makes jobs of words, and remembers of which; seed 13 is refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, words: Sequence[str]) -> Job | InvalidJob:
        self.asked.append(tuple(words))
        if "seed=13" in words:
            return InvalidJob(tuple(words), "seed 13 is bad luck")
        return Job(
            tuple(words),
            CONFIG,
            self.folder / words[-1],
        )


def seeds(count: int) -> list[tuple[str, ...]]:
    return [("model=era4", f"seed={number}") for number in range(count)]


def on_mnist() -> str:
    """What ``data=auto`` is."""
    return "mnist"


def test_what_is_added_is_read_each_job_once(tmp_path: Path):
    first, same = ManifestEntry(("a=1",), "x"), ManifestEntry(("a=01",), "x")
    refused = ManifestEntry(("a=-1",), None, "out of range")
    add(tmp_path, [first, refused])
    add(tmp_path, [same])
    assert read_manifest(tmp_path) == [same, refused]  # at the place of the first, with the words of the last
    mended = ManifestEntry(("a=-1",), "y", None, "other files")
    add(tmp_path, [mended])
    assert read_manifest(tmp_path) == [same, mended]


@pytest.mark.parametrize("length", [1, 10, 30])
def test_half_a_line_is_no_job_and_the_next_is_whole(length: int, tmp_path: Path):
    first, second, third = (ManifestEntry((f"seed={i}",), f"run_{i}") for i in range(3))
    add(tmp_path, [first])
    add(tmp_path, [second])
    content = (tmp_path / MANIFEST).read_bytes()
    (tmp_path / MANIFEST).write_bytes(content[:-length])
    assert read_manifest(tmp_path) == [first]
    add(tmp_path, [third])
    assert read_manifest(tmp_path) == [first, third]


def test_jobs_are_composed_when_they_are_wanted(tmp_path: Path):
    make = Maker(tmp_path)
    grid = Grid(seeds(200), make, sweep_config(tmp_path), "conf", on_mnist)
    assert grid.count == 200 and make.asked == []
    assert grid.next_job() is not None
    assert len(make.asked) == 1
    while grid.prepare_next():
        pass
    assert AHEAD <= len(make.asked) <= AHEAD + 2  # the first, and a refused one that takes no place
    assert [job.error for job in grid.refused] == ["seed 13 is bad luck"]
    taken = 1
    while grid.next_job() is not None:
        taken += 1
    assert taken == 199 and grid.count == 0 and not grid.stopped


def test_a_refusal_stops_a_sweep_that_is_to_fail_fast(tmp_path: Path):
    grid = Grid([("seed=13",), ("seed=1",)], Maker(tmp_path), sweep_config(tmp_path, fail_fast=True), "conf", on_mnist)
    assert grid.prepare_next() and grid.stopped
    assert not (tmp_path / MANIFEST).exists()


def test_the_same_job_by_two_words_is_done_once(tmp_path: Path):
    def make(words: Sequence[str]) -> Job:
        return Job(
            tuple(words),
            CONFIG,
            tmp_path / "the_one",
        )

    grid = Grid([("lr=0.1",), ("lr=1e-1",)], make, sweep_config(tmp_path), "conf", on_mnist)
    assert grid.next_job() is not None
    assert grid.next_job() is None
    assert grid.job_folder(("lr=1e-1",)) == grid.job_folder(("lr=0.1",)) == tmp_path / "the_one"


@pytest.mark.parametrize(("mark", "retry", "left"), [("error", False, 1), ("error", True, 2), ("fault", False, 2)])
def test_jobs_that_have_failed_by_themselves_are_left_unless_asked_for(
    mark: str, retry: bool, left: int, tmp_path: Path
):
    begun = Grid(seeds(3), Maker(tmp_path), sweep_config(tmp_path), "conf", on_mnist)
    folders = [job.folder for _ in range(3) if (job := begun.next_job()) is not None]
    finished(tmp_path, folders[0].name, [99.0])
    folders[1].mkdir()
    (folders[1] / f"{mark}.txt").write_text("no luck\n")
    grid = Grid(seeds(3), Maker(tmp_path), sweep_config(tmp_path, retry_failed=retry), "conf", on_mnist)
    assert dict(grid.states) == {"done": 1, "failed": 1, "missing": 1}
    assert grid.count == left


def test_ten_thousand_jobs_are_gone_on_with_in_seconds(tmp_path: Path):
    """Two thirds done: none of those is composed again, and the first that is missing comes at once."""
    wanted = seeds(10_000)
    add(tmp_path, [ManifestEntry(words, words[-1], None, "conf") for words in wanted])
    for words in wanted[:6_667]:
        finished(tmp_path, words[-1], [99.0])
    make = Maker(tmp_path)
    started = time.perf_counter()
    grid = Grid(wanted, make, sweep_config(tmp_path), "conf", on_mnist)
    job = grid.next_job()
    assert time.perf_counter() - started < 10  # 0.3 s on a quiet machine
    assert dict(grid.states) == {"done": 6_667, "missing": 3_333}
    assert job is not None and job.folder.name == "seed=6667" and len(make.asked) == 1


def test_jobs_on_other_data_are_other_jobs(tmp_path: Path):
    """The words say data=auto. It was the digits at the first start, and it is MNIST now."""
    wanted = seeds(3)
    add(tmp_path, [ManifestEntry(words, f"digits_{words[-1]}", None, "conf", found="digits") for words in wanted])
    for words in wanted:
        finished(tmp_path, f"digits_{words[-1]}", [99.0])
    grid = Grid(wanted, Maker(tmp_path), sweep_config(tmp_path), "conf", lambda: "digits")
    assert dict(grid.states) == {"done": 3}
    grid = Grid(wanted, Maker(tmp_path), sweep_config(tmp_path), "conf", on_mnist)
    assert dict(grid.states) == {"missing": 3}


def test_other_config_files_make_other_jobs(tmp_path: Path):
    """Then words alone say nothing of what is done."""
    wanted = seeds(3)
    add(tmp_path, [ManifestEntry(words, f"before_{words[-1]}", None, "before") for words in wanted])
    for words in wanted:
        finished(tmp_path, f"before_{words[-1]}", [99.0])
    make = Maker(tmp_path)
    grid = Grid(wanted, make, sweep_config(tmp_path), "now", on_mnist)
    assert len(make.asked) == 3 and dict(grid.states) == {"missing": 3}


def test_the_plan_grows_no_further_when_nothing_is_new(tmp_path: Path):
    for _ in range(3):
        grid = Grid(seeds(4), Maker(tmp_path), sweep_config(tmp_path), "conf", on_mnist)
        while grid.next_job() is not None:
            pass
    lines = (tmp_path / MANIFEST).read_text().splitlines()
    assert len(lines) == 4 and all(json.loads(line)["conf"] == "conf" for line in lines)
