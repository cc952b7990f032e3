"""The pages name tests, files and modules that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

TESTS = REPOSITORY / "tests"
PACKAGE = REPOSITORY / "src" / "mnist_lite"
PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]


def names_in(path: Path) -> set[str]:
    return set(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def test_reliability_names_tests_that_exist_and_every_fault_test():
    page = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_/]+)::(test_\w+)`", page))
    assert len(named) > 40
    missing = {
        (file, name)
        for file, name in named
        if not (TESTS / f"{file}.py").is_file() or name not in names_in(TESTS / f"{file}.py")
    }
    assert missing == set()
    faults = {(f"faults/{path.stem}", name) for path in TESTS.glob("faults/test_*.py") for name in names_in(path)}
    assert faults - named == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_in_backticks_exist(page: Path):
    paths = re.findall(r"`((?:src|tests|docs|conf|scripts)/[\w/.]+)(?:::\w+)?`", page.read_text(encoding="utf-8"))
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []


def test_contributing_names_every_module():
    page = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = page[page.index("src/mnist_lite/\n") : page.index("src/hydra_plugins/")]
    shown, folder = [], ""
    for line in tree.splitlines()[1:]:
        if not line.startswith("    "):
            package = re.match(r"  (\w+/)", line)
            folder = package[1] if package else ""
        shown += [folder + path for path in re.findall(r"[\w/]+\.py\b", line)]
    modules = [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    assert sorted(shown) == sorted(modules)


def test_no_page_installs_the_package_from_an_index():
    """No index has mnist-lite, so a stranger could publish a package with this name."""
    files = [*PAGES, *(path for name in ("src", "conf", "scripts") for path in (REPOSITORY / name).rglob("*"))]
    texts = [path.read_text(encoding="utf-8") for path in files if path.suffix in (".py", ".yaml", ".md", ".sh")]
    texts += [(REPOSITORY / "scripts" / name).read_text(encoding="utf-8") for name in ("train", "test")]
    assert [
        line for text in texts for line in text.splitlines() if re.search(r"install.*\bmnist[-_]lite\[", line)
    ] == []
