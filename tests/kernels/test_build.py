"""Building and keeping the library, and everything that can go wrong with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnist_lite.kernels import build
from mnist_lite.kernels.build import BuildError, compiler

pytestmark = pytest.mark.skipif(not compiler(), reason="no C++ compiler here")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty cache folder, and nothing loaded yet. It builds quickly: what is tested is not the code."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "FLAGS", tuple("-O0" if flag == "-O3" else flag for flag in build.FLAGS))
    build.load.cache_clear()
    yield tmp_path / "mnist-lite"
    build.load.cache_clear()


def test_it_is_built_once_and_kept(home: Path, monkeypatch: pytest.MonkeyPatch):
    build.load()
    (library,) = home.iterdir()
    written = library.stat().st_mtime_ns
    build.load.cache_clear()
    build.load()
    assert [library] == list(home.iterdir())
    assert library.stat().st_mtime_ns == written
    build.load.cache_clear()
    monkeypatch.setattr(build, "processor_flags", lambda: "another processor")
    build.load()
    assert len(list(home.iterdir())) == 2


def test_no_compiler(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(BuildError, match=r"no C\+\+ compiler"):
        build.load()


def test_a_compiler_that_fails_is_quoted(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build, "FLAGS", ("-no-such-flag",))
    with pytest.raises(BuildError, match="no-such-flag"):
        build.load()
    assert not home.exists() or not list(home.iterdir())


def test_a_compiler_with_arguments(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", f"{compiler()[0]} -DUNUSED_WORD=1")
    build.load()
    assert len(list(home.iterdir())) == 1


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", "has written nothing"),
        (r"printf 'caf\351' >&2; exit 1", "caf"),
        (r"printf 'v\377'; exit 0", "has written nothing"),
    ],
)
def test_a_strange_compiler_is_one_line(
    script: str, said: str, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    strange = tmp_path / "strange"
    strange.write_text(f"#!/bin/sh\n{script}\n")
    strange.chmod(0o700)
    monkeypatch.setenv("CXX", str(strange))
    with pytest.raises(BuildError, match=f"strange: .*{said}"):
        build.load()
    assert not list(home.glob("*"))


def test_a_build_that_is_stopped_leaves_nothing_running(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Not even what the compiler has started."""
    slow, mark = tmp_path / "slow", f"sleep 98.{os.getpid()}"
    slow.write_text(f'#!/bin/sh\n[ "$1" = --version ] || {{ {mark} & wait; }}\n')
    slow.chmod(0o700)
    monkeypatch.setenv("CXX", str(slow))
    monkeypatch.setattr(build, "LONGEST", 0.5)
    with pytest.raises(BuildError, match="timed out"):
        build.load()
    assert not list(home.glob("*"))
    time.sleep(0.2)
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(mark.encode().replace(b" ", b"\0") in line for line in running)


def test_a_compiler_that_is_not_there(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(BuildError, match="/no/such/compiler"):
        build.load()


@pytest.mark.parametrize("damage", ["cut", "empty", "altered"])
def test_a_library_that_is_damaged_is_built_again(damage: str, home: Path):
    """A program that loads a library which has been cut is ended by the kernel."""
    build.load()
    (library,) = home.iterdir()
    content = library.read_bytes()
    library.unlink()  # and not written over: this process has it mapped
    middle = len(content) // 2
    damaged = {"cut": content[:middle], "empty": b"", "altered": content[:middle] + b"!" + content[middle + 1 :]}
    library.write_bytes(damaged[damage])
    build.load.cache_clear()
    build.load()
    assert library.read_bytes() == content


def test_a_cache_that_cannot_be_made(home: Path):
    home.write_text("a file where the folder should be")
    with pytest.raises(BuildError, match="mnist-lite"):
        build.load()


def test_two_that_build_at_once_both_have_it(home: Path):
    program = "from mnist_lite.kernels import build; build.FLAGS = (*build.FLAGS, '-O0'); build.load()"
    both = [subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ)) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert len(list(home.iterdir())) == 1
