"""Sweeps that earlier versions wrote can be read."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from mnist_lite.sweeps.compare import compare
from mnist_lite.sweeps.job import Job
from mnist_lite.sweeps.manifest import FORMAT, add_entries, manifest_entry, read_manifest
from tests.sweeps.fake_sweep import CONFIG

FORMATS = Path(__file__).with_name("formats")


@pytest.mark.parametrize("sweep", sorted(FORMATS.glob("*/*/")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_compare_prints_the_table_of_an_old_sweep(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = Path(shutil.copytree(sweep, tmp_path / "sweep"))
    assert compare(folder, verify=True) == 0
    output = capsys.readouterr()
    table = [line.split() for line in output.out.split("\n\ntable: ")[0].splitlines()]
    expected = [line.split() for line in (sweep / "table.txt").read_text().splitlines()]
    for line, old in zip(table, expected, strict=True):
        if "mnist_lite.train" in old:  # the command starts with the Python of this machine
            line[0] = old[0]
        assert line == old or set("".join(line)) == {"-"}
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    with (folder / "sweep.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == [job["status"] for job in jobs]
    if (sweep / "sweep.csv").exists():
        with (sweep / "sweep.csv").open(encoding="utf-8", newline="") as file:
            old_rows = [{**row, "status": row["status"].replace("cut", "interrupted")} for row in csv.DictReader(file)]
        results = (
            "status",
            "final",
            "best",
            "train_final",
            "parameters",
            "seconds",
            "budget",
            "error",
            "folder",
            "group",
        )
        assert [[row[key] for key in results] for row in rows] == [[row[key] for key in results] for row in old_rows]


def test_new_entries_say_their_format(tmp_path: Path):
    job = Job(("seed=1",), CONFIG, tmp_path / "run_1", "digits")
    add_entries(tmp_path, [manifest_entry(job, "digest")])
    assert json.loads((tmp_path / "jobs.jsonl").read_text())["format"] == FORMAT
    (entry,) = read_manifest(tmp_path)
    assert entry == manifest_entry(job, "digest") and entry.auto_data == "digits"
