"""Building the library, caching it, and the errors that can happen."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from mnist_lite.backends.kernels import build
from mnist_lite.backends.kernels.build import BuildError, compiler_command

pytestmark = pytest.mark.skipif(not compiler_command(), reason="no C++ compiler here")

FUNCTIONS = (
    "mnist_lite_bfloat16_products",
    "mnist_lite_float32_products",
    "mnist_lite_new",
    "mnist_lite_delete",
    "mnist_lite_run",
    "mnist_lite_update",
)


def write_sources(folder: Path) -> None:
    folder.mkdir()
    (folder / "network.cpp").write_text("".join(f'extern "C" int {name}() {{ return 0; }}\n' for name in FUNCTIONS))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty cache folder, and no loaded library. The library is a small one, which is built in a moment."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    write_sources(tmp_path / "sources")
    monkeypatch.setattr(build, "SOURCES", tmp_path / "sources")
    build.load.cache_clear()
    yield tmp_path / "mnist-lite"
    build.load.cache_clear()


def libraries(home: Path) -> list[Path]:
    return sorted(home.glob("*.so"))


def files_in(home: Path) -> set[str]:
    return {path.name for path in home.glob("*")}


def test_the_library_is_built_once(home: Path, monkeypatch: pytest.MonkeyPatch):
    build.load()
    (library,) = libraries(home)
    file = library.stat().st_ino
    build.load.cache_clear()
    build.load()
    assert [library] == libraries(home)
    assert library.stat().st_ino == file
    build.load.cache_clear()
    monkeypatch.setattr(build, "processor_flags", lambda: "another processor")
    build.load()
    assert len(libraries(home)) == 2


def test_a_change_of_a_source_needs_a_new_build(home: Path):
    build.load()
    (build.SOURCES / "new.h").write_text("// new\n")
    build.load.cache_clear()
    build.load()
    assert len(libraries(home)) == 2


def test_a_build_is_known_in_advance(home: Path, monkeypatch: pytest.MonkeyPatch):
    assert build.must_build()
    build.load()
    assert not build.must_build()
    (library,) = libraries(home)
    library.write_bytes(b"damaged")
    assert build.must_build()


def test_no_compiler(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(home))
    assert not build.must_build()
    with pytest.raises(BuildError, match=r"no C\+\+ compiler"):
        build.load()


def test_the_error_of_the_compiler_is_shown(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build, "FLAGS", ("-no-such-flag",))
    with pytest.raises(BuildError, match="no-such-flag"):
        build.load()
    assert files_in(home) <= {build.LOCK}


def test_a_compiler_with_arguments(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", f"{compiler_command()[0]} -DUNUSED_WORD=1")
    build.load()
    assert len(libraries(home)) == 1


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 0", "has written nothing"),
        (r"printf 'caf\351' >&2; exit 1", "caf"),
        (r"printf 'v\377'; exit 0", "has written nothing"),
    ],
)
def test_a_broken_compiler_is_one_line(
    script: str, message: str, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    broken = tmp_path / "broken"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o700)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(BuildError, match=f"broken: .*{message}"):
        build.load()
    assert files_in(home) <= {build.LOCK}


def test_a_build_that_is_stopped_leaves_nothing_running(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The processes that the compiler has started are ended, too."""
    slow, mark = tmp_path / "slow", f"sleep 98.{os.getpid()}"
    slow.write_text(f'#!/bin/sh\n[ "$1" = --version ] || {{ {mark} & wait; }}\n')
    slow.chmod(0o700)
    monkeypatch.setenv("CXX", str(slow))
    monkeypatch.setattr(build, "MAX_SECONDS", 0.5)
    with pytest.raises(BuildError, match="timed out"):
        build.load()
    assert files_in(home) <= {build.LOCK}
    time.sleep(0.2)
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(mark.encode().replace(b" ", b"\0") in line for line in running)


def test_a_missing_compiler(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(BuildError, match="/no/such/compiler"):
        build.load()


@pytest.mark.parametrize("damage", ["truncated", "empty", "altered"])
def test_a_library_that_is_damaged_is_built_again(damage: str, home: Path):
    """Loading a truncated library would end the process with SIGBUS."""
    build.load()
    (library,) = libraries(home)
    content = library.read_bytes()
    library.unlink()  # not overwritten, because this process has it mapped
    middle = len(content) // 2
    damaged = {"truncated": content[:middle], "empty": b"", "altered": content[:middle] + b"!" + content[middle + 1 :]}
    library.write_bytes(damaged[damage])
    build.load.cache_clear()
    build.load()
    assert library.read_bytes() == content


def test_a_cache_folder_that_cannot_be_created(home: Path):
    home.write_text("a file where the folder should be")
    with pytest.raises(BuildError, match="mnist-lite"):
        build.load()


LOAD = """
import sys
from pathlib import Path
from mnist_lite.backends.kernels import build
build.SOURCES = Path(sys.argv[1])
print("imported", flush=True)
build.load()
"""
COUNTING = """#!/bin/sh
[ "$1" = --version ] && exec {compiler} "$@"
echo $$ >> {log}
{before}
exec {compiler} "$@"
"""


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[int]]:
    """``builds("sleep 1")`` sets a compiler that runs this command first. Each call returns the builds so far."""
    log, script = tmp_path / "builds", tmp_path / "counting"

    def start(before: str = "") -> list[int]:
        if not log.exists():
            log.touch()
            script.write_text(COUNTING.format(compiler=compiler_command()[0], log=log, before=before))
            script.chmod(0o700)
            monkeypatch.setenv("CXX", str(script))
        return [int(line) for line in log.read_text().split()]

    return start


def start_loading() -> subprocess.Popen[bytes]:
    program = [sys.executable, "-c", LOAD, str(build.SOURCES)]
    process = subprocess.Popen(program, env=dict(os.environ), stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"imported\n"
    return process


def test_one_of_several_processes_builds(home: Path, builds: Callable[[str], list[int]]):
    builds("sleep 3")
    with ThreadPoolExecutor() as pool:
        processes = list(pool.map(lambda _: start_loading(), range(3)))
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert len(builds("")) == 1 and len(libraries(home)) == 1


def test_a_builder_that_is_killed_does_not_block_the_others(home: Path, builds: Callable[[str], list[int]]):
    builds(f"[ $(wc -l < {home.parent}/builds) = 1 ] && exec sleep 60")
    first = start_loading()
    wait_until(lambda: len(builds("")) == 1)
    second = start_loading()
    time.sleep(1)
    assert second.poll() is None and len(builds("")) == 1  # it waits
    first.kill()
    assert second.wait(120) == 0
    os.kill(builds("")[0], signal.SIGKILL)  # the compiler of the killed process
    assert first.wait(10) == -9 and len(builds("")) == 2 and len(libraries(home)) == 1


def test_a_lock_that_is_never_released_only_costs_time(home: Path, monkeypatch: pytest.MonkeyPatch):
    """Some network file systems keep a lock after its process has ended."""
    home.mkdir()
    monkeypatch.setattr(FileLock, "acquire", lambda _lock, timeout: (_ for _ in ()).throw(Timeout("build.lock")))
    build.load()
    assert len(libraries(home)) == 1


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_update_of_the_system_needs_no_new_library(home: Path, monkeypatch: pytest.MonkeyPatch):
    build.load()
    for name in ("platform", "release", "version"):
        monkeypatch.setattr(platform, name, lambda *_arguments, **_more: "another")
    build.load.cache_clear()
    build.load()
    assert len(libraries(home)) == 1


def test_another_c_library_needs_a_new_build(home: Path, monkeypatch: pytest.MonkeyPatch):
    build.load()
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "9.9"))
    build.load.cache_clear()
    build.load()
    assert len(libraries(home)) == 2


def test_unused_libraries_are_removed(home: Path, monkeypatch: pytest.MonkeyPatch):
    build.load()
    (ours,) = libraries(home)
    days = {"kernels-old-1.so": 31, "kernels-recent-1.so": 29, "note.txt": 400}
    for name, age in days.items():
        (home / name).write_bytes(b"")
        os.utime(home / name, (time.time() - age * 86_400,) * 2)
    os.utime(ours, (0, 0))
    build.load.cache_clear()
    build.load()  # which counts as a use
    assert len(libraries(home)) == 3 and time.time() - ours.stat().st_mtime < 60
    build.load.cache_clear()
    monkeypatch.setattr(build, "processor_flags", lambda: "another processor")
    build.load()
    names = {path.name for path in home.iterdir()}
    assert {ours.name, "kernels-recent-1.so", "note.txt"} <= names and "kernels-old-1.so" not in names


MARKING = """
#include <cstdio>
__attribute__((constructor)) static void run() {{ std::fclose(std::fopen("{mark}", "w")); }}
"""


@pytest.fixture
def planted(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A library with our functions in the cache folder, and the file that appears when its code runs."""
    mark = tmp_path / "the-code-ran"
    source = build.SOURCES / "network.cpp"
    good = source.read_text()
    source.write_text(good + MARKING.format(mark=mark))
    build.load()
    (library,) = libraries(home)
    name = library.name.split("-")
    source.write_text(good)
    content = library.read_bytes()
    library.unlink()
    mark.unlink()
    build.load.cache_clear()
    fingerprint = build._fingerprint(compiler_command())
    planted = home / "-".join([name[0], fingerprint, name[2]])
    planted.write_bytes(content)
    planted.chmod(0o700)
    return planted, mark


def test_a_library_of_this_user_is_loaded(planted: tuple[Path, Path]):
    """The next tests change one thing each."""
    build.load()
    assert planted[1].exists()


def replace_by_link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def others_may_write(mode: int) -> Callable[[Path], None]:
    return lambda path: path.chmod(mode)


@pytest.mark.parametrize(
    "change",
    [others_may_write(0o720), others_may_write(0o702), others_may_write(0o777), replace_by_link],
    ids=["group", "others", "all", "link"],
)
def test_a_library_that_may_not_be_ours_is_built_again(change: Callable[[Path], None], planted: tuple[Path, Path]):
    library, mark = planted
    change(library)
    build.load()
    assert not mark.exists(), "the code of the library ran"
    assert len([path for path in libraries(library.parent) if path != library]) == 1


@pytest.mark.parametrize(
    "change",
    [others_may_write(0o770), others_may_write(0o707), others_may_write(0o1777), replace_by_link],
    ids=["group", "others", "all, with the sticky bit", "link"],
)
def test_from_a_folder_that_may_not_be_ours_nothing_is_loaded(
    change: Callable[[Path], None], planted: tuple[Path, Path]
):
    library, mark = planted
    change(library.parent)
    before = files_in(library.parent)
    with pytest.raises(BuildError, match=r"other users may write .*mnist-lite|mnist-lite is a link"):
        build.load()
    assert not mark.exists(), "the code of the library ran"
    assert files_in(library.parent) == before


def test_the_folder_of_another_user(planted: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(BuildError, match="other users may write"):
        build.load()
    assert not planted[1].exists()


def test_the_library_of_another_user(planted: tuple[Path, Path]):
    library, mark = planted
    try:
        os.chown(library, 65534, -1)
    except PermissionError:
        pytest.skip("only root can give a file to another user")
    build.load()
    assert not mark.exists()


def test_what_is_built_can_be_loaded_again_with_any_umask(home: Path):
    before = os.umask(0)
    try:
        build.load()
        (library,) = libraries(home)
        file = library.stat().st_ino
        build.load.cache_clear()
        build.load()
    finally:
        os.umask(before)
    assert library.stat().st_ino == file and library.stat().st_mode & 0o777 == 0o700
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("missing", FUNCTIONS)
def test_a_library_without_our_functions_is_refused(missing: str, home: Path):
    source = build.SOURCES / "network.cpp"
    source.write_text(source.read_text().replace(missing, "other"))
    with pytest.raises(BuildError, match=rf"\.so does not have {missing}; remove it"):
        build.load()


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, Path.touch], ids=["FIFO", "folder", "empty file"])
def test_something_else_in_the_place_of_a_library(make: Callable[[Path], object], home: Path):
    build.load()
    (library,) = libraries(home)
    fingerprint = library.name.split("-")[1]
    library.unlink()
    build.load.cache_clear()
    other = home / f"kernels-{fingerprint}-0000000000000000.so"
    make(other)
    build.load()
    assert library.exists()


@pytest.mark.parametrize("command", ['g++ "', "'", "g++ -DX='", '"g++" "-O2', "g++ \\"])
def test_a_quote_without_its_other_half_in_cxx(command: str, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", command)
    with pytest.raises(BuildError, match=r"CXX is not a command: No (closing quotation|escaped character)"):
        build.load()
    assert not home.exists()


@pytest.mark.parametrize("command", ["", " ", "\t\n"])
def test_a_cxx_without_a_word_is_no_cxx(command: str, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", command)
    build.load()
    assert len(libraries(home)) == 1


@pytest.mark.parametrize("command", ["''", "/", ".", "\udcff", "g++ -DX=\udcff -no-such-flag", "g++\n-no-such-flag"])
def test_a_cxx_that_is_no_compiler(command: str, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", command)
    with pytest.raises(BuildError) as caught:
        build.load()
    assert "\n" not in str(caught.value)
    assert files_in(home) <= {build.LOCK}


def test_a_compiler_in_a_folder_with_a_space(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "compiler").symlink_to(Path(shutil.which(compiler_command()[0]) or ""))
    monkeypatch.setenv("CXX", f"'{tmp_path}/a folder/compiler' -DX=\"a b\"")
    build.load()
    assert len(libraries(home)) == 1


def test_a_compiler_cannot_wait_for_the_keyboard(home: Path, builds: Callable[[str], list[int]]):
    reader, writer = os.pipe()
    before = os.dup(0)
    os.dup2(reader, 0)  # nobody ever writes into this pipe
    try:
        builds("read answer")
        build.load()
    finally:
        os.dup2(before, 0)
        for descriptor in (reader, writer, before):
            os.close(descriptor)
    assert len(libraries(home)) == 1


@pytest.mark.parametrize("path", ["cache", "./cache", "~/cache", "~nobody-has-this-name/cache", ".", "a\nb", ""])
def test_an_xdg_cache_home_that_is_not_absolute_does_not_count(
    path: str, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", path)
    build.load()
    assert len(libraries(tmp_path / "home" / ".cache" / "mnist-lite")) == 1
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("path", ["/dev/null", "/dev/null/cache", "/proc/cache", "/" + "x" * 300, "/proc/\udcff"])
def test_an_xdg_cache_home_that_cannot_be_a_folder(path: str, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", path)
    with pytest.raises(BuildError):
        build.load()


def test_a_cache_folder_with_bytes_that_are_not_text(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/caf\udce9")
    build.load()
    assert len(libraries(tmp_path / "caf\udce9" / "mnist-lite")) == 1
