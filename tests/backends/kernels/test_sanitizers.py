"""The kernels under the sanitizers of the compiler: no access outside of memory, no undefined behaviour, no data race."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mnist_lite.backends.kernels.build import FLAGS, SOURCES, compiler_command

FOLDER = Path(__file__).parent
NOT_FOR_A_PROGRAM = ("-shared", "-fPIC", "-O3")
SANITIZERS = {
    "address and undefined behaviour": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "threads": ("-fsanitize=thread",),
}

pytestmark = pytest.mark.skipif(not compiler_command(), reason="no C++ compiler here")


def run_with_sanitizer(name: str, driver: str, folder: Path) -> list[str]:
    """Builds and runs a C++ program with a sanitizer, which must find nothing. Returns the lines that the program prints."""
    flags = [*(flag for flag in FLAGS if flag not in NOT_FOR_A_PROGRAM), "-O0", "-g", f"-I{SOURCES}", *SANITIZERS[name]]
    program = str(folder / "driver")
    built = subprocess.run(
        [*compiler_command(), *flags, str(FOLDER / driver), "-o", program], capture_output=True, text=True, check=False
    )
    if built.returncode != 0 and "cannot find" in built.stderr:
        pytest.skip(f"this compiler has no library for {name}")
    assert built.returncode == 0, built.stderr
    # setarch: the addresses of a hardened system are too random for the sanitizer of threads
    setarch = shutil.which("setarch") if name == "threads" else None
    run = [setarch, "--addr-no-randomize", program] if setarch else [program]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "nan" not in done.stdout
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", SANITIZERS)
def test_a_sanitizer_finds_nothing(name: str, tmp_path: Path):
    assert len(run_with_sanitizer(name, "driver.cpp", tmp_path)) in (12, 16, 28)


def test_every_shape_of_winograds_method(tmp_path: Path):
    """Its buffers have a size of their own for each shape."""
    assert len(run_with_sanitizer("address and undefined behaviour", "winograd_driver.cpp", tmp_path)) == 35
