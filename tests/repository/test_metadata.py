"""Files that describe the project agree with each other."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
import yaml

import mnist_lite
from tests.conftest import REPOSITORY

PYPROJECT = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def test_version_and_licence_are_the_same_everywhere():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == mnist_lite.__version__
    assert f'version = "{mnist_lite.__version__}"' in PYPROJECT
    assert citation["license"] == "MIT" and 'license = "MIT"' in PYPROJECT and read("LICENSE").startswith("MIT License")


def test_constraints_have_every_dependency():
    project = pytest.importorskip("tomllib").loads(PYPROJECT)["project"]
    requirements = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in requirements} - {"mnist-lite"}
    lines = [line for line in read("constraints.txt").splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert names - {line.partition("==")[0].lower() for line in lines} == set()


def test_every_dependency_has_a_comment():
    block = PYPROJECT[PYPROJECT.index("\ndependencies = [") : PYPROJECT.index("\n[tool.hatch")].splitlines()
    for before, line in pairwise(block):
        if re.search(r'"\w.*[<>=]', line):
            assert "  # " in line or before.startswith("# "), line


def test_the_workflow_only_calls_ci_run():
    (job,) = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
