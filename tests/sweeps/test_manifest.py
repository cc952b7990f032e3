"""``jobs.jsonl``, the list of the jobs of a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_lite.sweeps.manifest import MANIFEST, ManifestEntry, add_entries, read_manifest


def test_each_job_is_read_once_with_its_latest_entry(tmp_path: Path):
    first, same = ManifestEntry(("a=1",), "x"), ManifestEntry(("a=01",), "x")
    invalid = ManifestEntry(("a=-1",), error="out of range")
    add_entries(tmp_path, [first, invalid])
    add_entries(tmp_path, [same])
    assert read_manifest(tmp_path) == [same, invalid]  # in the place of the first entry
    corrected = ManifestEntry(("a=-1",), "y", config_digest="other files")
    add_entries(tmp_path, [corrected])
    assert read_manifest(tmp_path) == [same, corrected]


@pytest.mark.parametrize("length", [1, 10, 30])
def test_half_a_line_is_not_a_job_and_the_next_line_is_complete(length: int, tmp_path: Path):
    first, second, third = (ManifestEntry((f"seed={i}",), f"run_{i}") for i in range(3))
    add_entries(tmp_path, [first])
    add_entries(tmp_path, [second])
    content = (tmp_path / MANIFEST).read_bytes()
    (tmp_path / MANIFEST).write_bytes(content[:-length])
    assert read_manifest(tmp_path) == [first]
    add_entries(tmp_path, [third])
    assert read_manifest(tmp_path) == [first, third]
