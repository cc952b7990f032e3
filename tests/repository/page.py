"""The code blocks of a Markdown page, and a checkout in which their lines run as a reader types them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY

COPIED = ("README.md", "LICENSE", "conf", "docs", "pyproject.toml", "scripts", "src", "tests")
ACTIVATE = "source .venv/bin/activate"
SITE = """
import os, sys
command = sys.orig_argv[1:3] if sys.argv[:1] == ["-m"] else sys.argv[:1]
if command[:1] == ["-m"] and command[1].startswith("mnist_lite.") or command and command[0].endswith("/mnist-lite"):
    sys.argv += os.environ.pop("ADDED_OVERRIDES", "").split()
"""
"""Runs when Python starts: adds overrides to the command itself, and not to the processes that the command starts."""


@dataclass(frozen=True)
class Block:
    """One code block: its language and its text."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The path in the first line of a YAML block, such as ``mine/model/tiny.yaml``."""
        match = re.match(r"# (mine/\S+\.yaml)\n", self.text)
        return match[1] if match and self.language == "yaml" else None


def blocks(page: Path) -> list[Block]:
    """The code blocks of ``page``, in order."""
    text = page.read_text(encoding="utf-8")
    return [Block(*match) for match in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def commands(page: Path) -> list[str]:
    """Every line of every ``bash`` block."""
    return [line for block in blocks(page) if block.language == "bash" for line in block.text.splitlines() if line]


def write_files(page: Path, folder: Path) -> None:
    """Writes the YAML files that ``page`` shows to where the page says."""
    for block in blocks(page):
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")


def make_checkout(folder: Path) -> Path:
    """A copy of the checkout with a finished ``.venv``. The ``.venv`` borrows the packages of this Python: no download."""
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, checkout / name, symlinks=True, ignore=ignored)  # npm's commands are links
        else:
            shutil.copy2(source, checkout / name)
    venv = checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = (venv / "lib").glob("python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    lines = [str(checkout / "src"), *borrowed, "import added_overrides"]
    (site / "borrowed.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (site / "added_overrides.py").write_text(SITE, encoding="utf-8")
    pyproject = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    for name, entry in re.findall(r'^(mnist-lite) = "(\S+)"', pyproject, re.MULTILINE):
        add_console_script(venv / "bin", name, entry)
    add_console_script(venv / "bin", "lint-imports", "importlinter.cli:lint_imports_command")
    stamp = hashlib.sha256((checkout / "pyproject.toml").read_bytes()).hexdigest()
    for name in ("installed", "installed[test]"):
        (venv / name).write_text(stamp + "\n", encoding="utf-8")
    return checkout


def add_console_script(folder: Path, name: str, entry: str) -> None:
    """Writes the script that pip writes for ``entry``, such as ``package.module:function``, into ``folder`` of ``.venv``."""
    module, function = entry.split(":")
    lines = [f"#!{folder / 'python'}", "import sys", f"from {module} import {function}"]
    lines += ["if __name__ == '__main__':", f"    sys.exit({function}())", ""]
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    (folder / name).chmod(0o755)


def run_line(line: str, checkout: Path, added: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs ``line`` in a new bash, as in a new terminal: without any environment of these tests.

    Args:
        line: as the page has it.
        checkout: the working directory.
        added: overrides that make the command short.
        env: further environment variables.
    """
    ours = {str(Path(sys.executable).parent), str(Path(sys.prefix) / "bin"), str(REPOSITORY / ".venv" / "bin")}
    path = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if folder not in ours)
    kept = {key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR") if key in os.environ}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", line],
        cwd=checkout,
        env={**kept, **env, "PATH": path, "ADDED_OVERRIDES": " ".join(added)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
