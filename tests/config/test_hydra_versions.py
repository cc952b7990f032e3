"""The versions of Hydra and Python that are supported. ``mnist_lite.config.hydra_versions`` says what differs.

These tests do not run on Python 3.14. Its check of help texts is imitated by ``tests/config/python314.py``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
from hydra._internal.utils import get_args_parser
from hydra.errors import ConfigCompositionException
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mnist_lite.config.hydra_versions import VERSION_BASE, run_hydra, starting_hydra
from tests.config import python314
from tests.conftest import REPOSITORY, RunCommand

PYPROJECT = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
BADLY_FORMED = "badly formed help string"


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives argparse the check of Python 3.14. The fixture is a function that asserts that the check is still there."""
    for name, function in python314.CHANGES.items():
        monkeypatch.setattr(argparse.ArgumentParser, name, function, raising=False)
    check = argparse.ArgumentParser._check_help  # type: ignore[attr-defined]
    own = "_check_help" in vars(argparse.ArgumentParser)

    def as_before() -> None:
        assert argparse.ArgumentParser._check_help is check  # type: ignore[attr-defined]
        assert ("_check_help" in vars(argparse.ArgumentParser)) == own

    return as_before


def test_hydras_parser_fails_with_the_check_of_python_3_14_and_works_where_we_start_it(checked: Callable[..., None]):
    if sys.version_info < (3, 14) or hydra.__version__.startswith("1.3."):  # Hydra 1.4 works on Python 3.14
        with pytest.raises(ValueError, match=BADLY_FORMED):
            get_args_parser()
    with starting_hydra():
        assert get_args_parser().parse_args(["--cfg", "job", "epochs=3"]).overrides == ["epochs=3"]
    checked()


def test_help_texts_are_still_checked_and_argparse_is_as_before_afterwards(checked: Callable[..., None]):
    with starting_hydra(), pytest.raises(ValueError, match=BADLY_FORMED):
        argparse.ArgumentParser().add_argument("--x", help="%(nothing)s")
    checked()
    with pytest.raises(KeyboardInterrupt), starting_hydra():
        raise KeyboardInterrupt
    checked()


@pytest.mark.skipif(not python314.CHANGES, reason="this Python has the check")
def test_a_python_without_the_check_is_left_alone():
    before = dict(vars(argparse.ArgumentParser))
    with starting_hydra():
        assert dict(vars(argparse.ArgumentParser)) == before


COMMAND = "from tests.config import python314; python314.install(); from mnist_lite.train import main; main()"


@pytest.mark.parametrize(
    ("arguments", "code", "output", "errors"),
    [
        (("--cfg", "job"), 0, "epochs: 14", ""),
        (("epochs=3", "--cfg", "job"), 0, "epochs: 3", ""),
        (("--help",), 0, "model=<name>", ""),
        (("--hydra-help",), 0, "shell completion", ""),
        (("epochs=0",), 2, "", "error: epochs: 0 is out of range; expected > 0\n"),
        (("--cfg", "jobs"), 2, "", "invalid choice: 'jobs'"),
        (("data=digits", "data.train_limit=20", "model=step4", "epochs=1"), 0, "final test accuracy", ""),
        (("-m", "data=digits", "data.train_limit=20", "model=step4", "epochs=1", "seed=0"), 0, "[1/1]", ""),
    ],
)
def test_the_command_works_with_the_check_of_python_3_14(arguments, code, output, errors, tmp_path: Path):
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", COMMAND, *arguments]
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert (result.returncode, "Traceback" in result.stderr) == (code, False), result.stderr
    assert output in result.stdout and errors in result.stderr


def test_where_hydra_1_4_wants_a_flag_for_a_prepared_sweep_it_gets_it(monkeypatch: pytest.MonkeyPatch):
    seen: list[list[str]] = []

    def main() -> None:
        seen.append(list(sys.argv))
        if "-m" not in sys.argv:
            raise ConfigCompositionException("hydra.mode changed during config composition; set it directly")

    monkeypatch.setattr(sys, "argv", ["train", "sweep=lr"])
    run_hydra(main)
    assert seen == [["train", "sweep=lr"], ["train", "-m", "sweep=lr"]]


@pytest.mark.parametrize(("arguments", "error"), [(("-m",), "hydra.mode changed during"), ((), "something else")])
def test_other_errors_of_hydra_are_passed_on_at_once(arguments, error, monkeypatch: pytest.MonkeyPatch):
    calls: list[int] = []

    def main() -> None:
        calls.append(1)
        raise ConfigCompositionException(f"{error} config composition")

    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    with pytest.raises(ConfigCompositionException):
        run_hydra(main)
    assert calls == [1]


def test_hydra_starts_without_a_warning(run_command: RunCommand):
    """Hydra 1.3 warns without ``version_base``, and 1.4 warns with it. OmegaConf 2.4 warns about the plugin for Ray."""
    result = run_command("train", "--cfg", "job")
    assert (result.returncode, result.stderr) == (0, "")
    assert bool(VERSION_BASE) == hydra.__version__.startswith("1.3.")


def test_hydra_1_3_and_1_4_and_all_pythons_from_3_10_on_are_accepted():
    def requirement(name: str) -> SpecifierSet:
        (line,) = re.findall(rf'^    "({name}[^"]*)",(?:  #.*)?$', PYPROJECT, re.MULTILINE)
        return Requirement(line).specifier

    wanted = {"1.3.6": False, "1.3.7": True, "1.3.8": True, "1.4.0rc3": True, "1.4.0": True, "1.5.0": False}
    allowed = requirement("hydra-core")
    assert {one: allowed.contains(one, prereleases=True) for one in wanted} == wanted
    assert allowed.contains(hydra.__version__, prereleases=True)
    assert all(requirement("omegaconf").contains(one, prereleases=True) for one in ("2.3.0", "2.4.1rc1", "2.4.1"))
    (pythons,) = re.findall(r'^requires-python = "(.*)"$', PYPROJECT, re.MULTILINE)
    minors = [minor for minor in range(8, 20) if SpecifierSet(pythons).contains(f"3.{minor}.0")]
    assert minors == list(range(10, 20))
