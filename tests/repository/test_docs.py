"""What docs/reliability.md says of its tests is so."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([a-z_/]+)::(test_\w+)` (\d+)", PAGE)


def test_every_test_that_is_named_is_there_with_as_many_cases():
    assert len(NAMED) > 40
    files = sorted({f"tests/{file}.py" for file, _, _ in NAMED})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:randomly", *files]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    found = Counter(re.findall(r"^tests/([a-z_/]+)\.py::(test_\w+)", done.stdout, re.MULTILINE))
    wrong = [f"{file}::{name} {count}" for file, name, count in NAMED if found[file, name] != int(count)]
    assert not wrong, [(text, found[tuple(text.split(" ")[0].split("::"))]) for text in wrong]


def test_every_fault_test_is_named():
    ours = {
        (f"faults/{path.stem}", name)
        for path in (REPOSITORY / "tests" / "faults").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert not ours - {(file, name) for file, name, _ in NAMED}


def test_nothing_says_to_install_the_package_by_its_name():
    """There is no mnist-lite on the index, so anyone could put a package of this name there."""
    shipped = [REPOSITORY / "README.md"]
    for folder in ("src", "conf", "docs", "scripts"):
        shipped += [
            path for path in (REPOSITORY / folder).rglob("*") if path.suffix in (".py", ".yaml", ".md", ".sh", "")
        ]
    texts = [path.read_text(encoding="utf-8") for path in shipped if path.is_file()]
    found = [line for text in texts for line in text.splitlines() if re.search(r"install.*\bmnist[-_]lite\[", line)]
    assert not found
