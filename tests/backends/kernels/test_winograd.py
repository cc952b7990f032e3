"""Winograd's method for 3 x 3 convolutions: its errors, and where it is chosen."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from mnist_lite.backends.kernels.build import FLAGS, SOURCES, compiler_command

DRIVER = Path(__file__).with_name("winograd_driver.cpp")
NOT_FOR_A_PROGRAM = ("-shared", "-fPIC")

pytestmark = pytest.mark.skipif(not compiler_command(), reason="no C++ compiler here")


class Line(NamedTuple):
    """A line of the driver: a convolution, whether each of its three products is Winograd's, and the errors."""

    inputs: int
    outputs: int
    rows: int
    columns: int
    zeros: int
    chosen: tuple[bool, bool, bool]
    forward: float
    winograd_forward: float
    weight_grad: float
    winograd_weight_grad: float


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    program = str(tmp_path_factory.mktemp("winograd") / "driver")
    flags = [flag for flag in FLAGS if flag not in NOT_FOR_A_PROGRAM]
    command = [*compiler_command(), *flags, f"-I{SOURCES}", str(DRIVER), "-o", program]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    done = subprocess.run([program], capture_output=True, text=True, check=True, timeout=120)
    return [parse(line.split()) for line in done.stdout.splitlines()]


def parse(words: list[str]) -> Line:
    inputs, outputs, rows, columns, zeros, *chosen = map(int, words[:8])
    forward, backward, weight_grad = (bool(each) for each in chosen)
    return Line(inputs, outputs, rows, columns, zeros, (forward, backward, weight_grad), *map(float, words[8:]))


def test_the_errors_are_those_of_float32(lines: list[Line]):
    """With every width of the last tile of a row, every border, and several bands of rows.

    The direct product has up to 5e-7 of the largest value. The transforms of Winograd's method add a few roundings.
    """
    assert len(lines) == 35
    assert {line.columns % 4 for line in lines} == {0, 1, 2, 3}
    for line in lines:
        assert line.forward < 1e-6 and line.weight_grad < 1e-6, line
        assert line.winograd_forward < 4e-6 and line.winograd_weight_grad < 4e-6, line


def test_it_is_chosen_where_it_saves_time(lines: list[Line]):
    """The large layers of the published networks gain in all three products. One input channel is too few."""
    chosen = {line[:4]: line.chosen for line in lines}
    assert chosen[10, 16, 24, 24] == (True, True, True)
    assert chosen[24, 24, 28, 28] == (True, True, True)
    assert chosen[1, 10, 26, 26] == (False, False, False)
    assert not chosen[16, 16, 2, 4][2]
