"""What the README says is true: its commands run, its files work, its figures are the ones of the code."""

from __future__ import annotations

import hashlib
import os
import re
import select
import shlex
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mnist_lite.model.build import build
from tests.conftest import REPOSITORY, Compose
from tests.published import ALIASES, NOTATION

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
CHECKOUT = ("README.md", "conf", "docs", "pyproject.toml", "scripts", "src", "tests")
FEW = ["data.train_limit=200", "data.test_limit=100", "epochs=1", "batch_size=50", "budget.enforce=false"]
SHORTER = """
import os, sys
argv = sys.argv
if argv[:1] == ["-m"] and sys.orig_argv[1:3] == ["-m", "mnist_lite.train"] and not {"--help", "--cfg"} & set(argv):
    if not any(word.startswith("resume=") for word in argv):
        short = {"data.holdout=5000": "data.holdout=50", "seed=range(5)": "seed=1,2"}
        argv[:] = [short.get(word, word) for word in argv] + os.environ["SHORTER"].split()
        argv += ["seed=1,2"] * ("sweep=seeds" in argv) + ["hydra.sweeper.n_trials=3"] * ("sweep=search_rates" in argv)
elif argv[:1] == ["-m"] and sys.orig_argv[1:3] == ["-m", "mnist_lite.bench"]:
    argv += ["rounds=1", "images=128"]
"""
"""Put into the environment of the clone: the commands stay as the README has them, and what they train is small."""


@pytest.fixture
def mine(tmp_path: Path) -> None:
    """The files that the README shows, where it says they are."""
    for path, text in files():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")


def files() -> list[tuple[str, str]]:
    places = [(re.match(r"# (mine/\S+\.yaml)", text), text) for kind, text in BLOCKS if kind == "yaml"]
    return [(place[1], text) for place, text in places if place]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *command[1:]] if command[0] == "python" else command
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)


class Shell:
    """One bash, fresh as in a new terminal: nothing of the environment of these tests is active in it."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        ours = {str(Path(sys.executable).parent), str(Path(sys.prefix) / "bin"), str(REPOSITORY / ".venv" / "bin")}
        path = os.pathsep.join(place for place in os.environ["PATH"].split(os.pathsep) if place not in ours)
        kept = {key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR") if key in os.environ}
        self._output = (folder.parent / "output").open("w+", encoding="utf-8")
        self._status, status = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env={**kept, **env, "PATH": path},
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[status],
        )
        os.close(status)
        self._said = f"echo $? >&{status}\n"

    def type(self, line: str) -> tuple[int, str]:
        """The exit code of ``line``, and what it printed."""
        assert self._bash.stdin is not None
        self._output.seek(0)
        self._output.truncate()
        self._bash.stdin.write(f"{line}\n{self._said}")
        self._bash.stdin.flush()
        ready, _, _ = select.select([self._status], [], [], 600)
        assert ready, f"still running after 600 s: {line}"
        answer = os.read(self._status, 10)
        assert answer, f"the shell has ended: {line}"
        self._output.seek(0)
        return int(answer), self._output.read()

    def close(self) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        self._bash.wait(60)
        self._output.close()
        os.close(self._status)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout with the ``.venv`` that scripts/train and scripts/test make, but for the download: it borrows our packages."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in CHECKOUT:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, clone / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(clone / ".venv")], check=True)
    (site,) = (clone / ".venv" / "lib").glob("python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "borrowed.pth").write_text("\n".join([str(clone / "src"), *borrowed, "import shorter"]) + "\n")
    (site / "shorter.py").write_text(SHORTER)
    stamp = hashlib.sha256((clone / "pyproject.toml").read_bytes()).hexdigest()
    for name in ("installed", "installed[test]"):
        (clone / ".venv" / name).write_text(stamp + "\n")
    return clone


def lines() -> list[str]:
    """What a reader types, and ``write <file>`` where they save a file that is shown, in the order of the page."""
    typed = []
    for kind, text in BLOCKS:
        place = re.match(r"# (mine/\S+\.yaml)", text)
        if kind == "yaml" and place:
            typed.append(f"write {place[1]}")
        typed += [line for line in text.splitlines() if line.strip()] if kind == "bash" else []
    return typed


def test_there_are_commands_of_every_kind():
    for words in (
        "scripts/train",
        "scripts/test",
        "activate",
        "mnist_lite.train",
        "mnist_lite.summary",
        "mnist_lite.bench",
    ):
        assert any(words in line for line in lines()), words
    assert any("mnist_lite.compare" in line for line in lines()) and any("resume=" in line for line in lines())


def test_every_command_works_as_typed_in_a_new_terminal(request: pytest.FixtureRequest, clone: Path):
    """Line after line in one shell, as a reader would type them; the first that fails ends the test.

    Only what stands in <angle brackets> is replaced: by the name of the first run of a recipe, and of the first sweep.
    """
    few, env = ["data=digits", *FEW], {"PYTEST_ADDOPTS": "--collect-only -q tests/test_readme.py -p no:cacheprovider"}
    try:
        env["MNIST_LITE_DATA"] = str(request.getfixturevalue("mnist_root"))
        few = FEW
    except pytest.skip.Exception:
        pass
    env["OMP_NUM_THREADS"] = "1"  # small networks are no slower, and other tests run at the same time
    env |= {"SHORTER": " ".join(few), "MYPY_CACHE_DIR": str(REPOSITORY / ".mypy_cache")}
    texts, said = dict(files()), {}
    with closing(Shell(clone, env)) as shell:
        for line in lines():
            if line.startswith("write "):
                path = clone / line.removeprefix("write ")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(texts[line.removeprefix("write ")], encoding="utf-8")
                continue
            if "mnist_lite.bench" in line and "MNIST_LITE_DATA" not in env:
                continue  # it measures on MNIST, which this machine does not have
            typed = line
            for name, pattern in (("<run>", "runs/*_era4"), ("<name>", "runs/sweeps/*")):
                if name in line:
                    typed = line.replace(name, min(path.name for path in clone.glob(pattern)))
            code, said[line] = shell.type(typed)
            assert code == 0, f"{typed}: exit code {code}\n{said[line]}"
    runs = {path.parent.name.split("_", 2)[2] for path in clone.glob("runs/*/summary.json")}
    assert runs == {"step3", "era4", "smoke", "tiny"}
    jobs = sorted(len(list(sweep.glob("*/summary.json"))) for sweep in clone.glob("runs/sweeps/*"))
    assert jobs == [2, 3, 3, 8]  # seeds, three rates, the search, four rates at two seeds
    for words, expected in {
        "scripts/test": "test_there_are_commands_of_every_kind",
        "resume=runs/<run>": "is finished",
        "epochs=20": "epoch 20/20",
        "mnist_lite.compare": "sweep.csv",
        "--help": "optimizer",
        "--cfg job": "batch_size: 128",
        "mnist_lite.summary model=step3": "7,216 parameters",
        "mnist_lite.bench": "ratio (min, median, max)",
    }.items():
        shown = [text for line, text in said.items() if words in line]
        assert (words == "mnist_lite.bench" and not shown) or expected in shown[0], (words, shown)


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "console"])
def test_shown_errors_are_what_is_printed(text, tmp_path):
    command, shown = text.split("\n", 1)
    done = run(shlex.split(command.removeprefix("$ ")), tmp_path)
    assert (done.returncode, done.stderr) == (2, shown)


def test_optimizer_and_scheduler_files_work(mine, tmp_path):
    few = ["data=digits", *FEW]
    command = [
        "python",
        "-m",
        "mnist_lite.train",
        "--config-dir",
        "mine",
        "optimizer=nadam",
        "scheduler=slow_start",
        "model=era4",
    ]
    done = run([*command, *few], tmp_path)
    assert done.returncode == 0, done.stderr


def test_table_of_models_is_right(composed: Compose):
    rows = re.findall(r"^\| (\w+) \| ([\d,]+) \|", README, re.MULTILINE)
    assert {name for name, _ in rows} == set(NOTATION)
    for name, count in rows:
        assert build(composed(f"model={name}").model).parameters == int(count.replace(",", ""))
    for alias, name in ALIASES.items():
        assert f"`{alias}` is {name}" in README


def test_tree_names_every_module():
    for path in (REPOSITORY / "src" / "mnist_lite").iterdir():
        if path.name not in {"__init__.py", "__pycache__"}:
            assert path.name in README or f"{path.name}/" in README, path.name


def test_pictures_and_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (REPOSITORY / target).exists(), target
