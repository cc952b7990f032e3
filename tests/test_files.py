from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mnist_lite import files
from mnist_lite.errors import RunError


def test_the_folder_has_the_new_content_and_no_other_file(tmp_path: Path):
    files.write(tmp_path / "a", b"one")
    files.write(tmp_path / "a", b"two")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"two"}


def test_the_old_file_is_kept(tmp_path: Path):
    for content in (b"one", b"two", b"three"):
        files.write(tmp_path / "a", content, keep=tmp_path / "b")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"three", "b": b"two"}


def test_the_order_is_fsync_rename_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def kind(descriptor: int) -> str:
        return "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"

    def noted_fsync(descriptor: int) -> None:
        done.append(f"fsync {kind(descriptor)}")
        fsync(descriptor)

    def noted_replace(path: Path, target: Path) -> None:
        done.append("rename")
        replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    files.write(tmp_path / "a", b"one")
    assert done == ["fsync file", "rename", "fsync folder"]


@pytest.mark.parametrize("what", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_file(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files.write(tmp_path / "a", b"old")

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(*((os, "fsync", fail) if what == "fsync" else (Path, "replace", fail)))
        with pytest.raises(RunError) as caught:
            files.write(tmp_path / "a", b"new")
    assert str(caught.value) == f"cannot write {tmp_path / 'a'}: No space left on device"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_a_file_that_reads_back_differently_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files.write(tmp_path / "a", b"old", keep=tmp_path / "b")
    monkeypatch.setattr(Path, "read_bytes", lambda _path: b"rotten")
    with pytest.raises(RunError, match="reads back differently"):
        files.write(tmp_path / "a", b"new", keep=tmp_path / "b")
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_a_missing_folder_is_one_line(tmp_path: Path):
    with pytest.raises(RunError, match="No such file"):
        files.write(tmp_path / "no" / "a", b"x")
