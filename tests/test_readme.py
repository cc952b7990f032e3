"""What the README says is true: its commands run, its files work, its figures are the ones of the code."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_lite.model import build
from tests.conftest import REPOSITORY, Compose
from tests.published import ALIASES, NOTATION

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(line, comments=True) for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
TRAINS = [c for c in COMMANDS if c[:3] == ["python", "-m", "mnist_lite.train"] and not {"--help", "--cfg"} & set(c)]
RESUMES = [c for c in TRAINS if any(word.startswith("resume=") for word in c)]
TRAINS = [c for c in TRAINS if c not in RESUMES]
COMPARES = [c for c in COMMANDS if c[:3] == ["python", "-m", "mnist_lite.compare"]]
SWEEPS = [c for c in TRAINS if "-m" in c[3:] or any(word.startswith("sweep=") for word in c)]
BENCHES = [c for c in COMMANDS if c[:3] == ["python", "-m", "mnist_lite.bench"]]
TALKS = [c for c in COMMANDS if c[0] == "python" and c not in TRAINS + RESUMES + BENCHES + COMPARES]
SCRIPTS = [c for c in COMMANDS if c[0].startswith("scripts/")]
FEW = ["data.train_limit=200", "data.test_limit=100", "epochs=1", "batch_size=50", "budget.enforce=false"]


@pytest.fixture
def few(request: pytest.FixtureRequest) -> tuple[list[str], dict[str, str]]:
    """What makes a training command short: overrides and environment. On real MNIST where this machine has it."""
    try:
        root = request.getfixturevalue("mnist_root")
    except pytest.skip.Exception:
        return ["data=digits", *FEW], {}
    return FEW, {"MNIST_LITE_DATA": str(root)}


@pytest.fixture
def mine(tmp_path: Path) -> None:
    """The files that the README shows, where it says they are."""
    for kind, text in BLOCKS:
        place = re.match(r"# (mine/\S+\.yaml)", text)
        if kind == "yaml" and place:
            (tmp_path / place[1]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place[1]).write_text(text, encoding="utf-8")


def run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *command[1:]] if command[0] == "python" else command
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )


def named(command: list[str]) -> str:
    return " ".join(command[2:])


def test_there_are_commands_of_every_kind():
    assert [c[0] for c in SCRIPTS] == ["scripts/train", "scripts/test"]
    assert len(TRAINS) >= 5 and len(TALKS) >= 4 and BENCHES


@pytest.mark.parametrize("command", TRAINS, ids=named)
def test_training_command(command, few, mine, tmp_path):
    overrides, env = few
    shorter = {
        "data.holdout=5000": "data.holdout=50",
        "seed=range(5)": "seed=1,2",
        "sweep=search_rates": "sweep=search_rates hydra.sweeper.n_trials=3",
        "optimizer.lr=0.003,0.01,0.03,0.1": "optimizer.lr=0.003,0.01",
    }
    short = " ".join(shorter.get(word, word) for word in command).split(" ")
    done = run([*short, *overrides, *(["scheduler=constant"] if command in SWEEPS else [])], tmp_path, env)
    assert done.returncode == 0, done.stderr
    runs = list((tmp_path / "runs").glob("**/summary.json"))
    jobs = {"experiment=era4": 4, "sweep=seeds": 10, "sweep=search_rates": 3, "model=step3": 3}
    assert len(runs) == (jobs[command[4] if "-m" in command[3:] else command[3]] if command in SWEEPS else 1)


def test_commands_that_go_on_with_a_run(tmp_path):
    assert len(RESUMES) == 2
    train = [*RESUMES[0][:3], "model=era4", "data=digits", *FEW, "scheduler=constant"]
    assert run(train, tmp_path).returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    for command, said in zip(RESUMES, ("is finished", "epoch 20/20"), strict=True):
        done = run([word.replace("<run>", folder.name) for word in command], tmp_path)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout


@pytest.mark.parametrize("command", COMPARES, ids=named)
def test_compare_command(command, tmp_path):
    sweep = [
        "python",
        "-m",
        "mnist_lite.train",
        "-m",
        "model=era4",
        "data=digits",
        *FEW,
        "scheduler=constant",
        "seed=1,2",
    ]
    assert run(sweep, tmp_path).returncode == 0
    (folder,) = (tmp_path / "runs" / "sweeps").iterdir()
    (folder / "sweep.csv").unlink()
    done = run([word.replace("<name>", folder.name) for word in command], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "95 % interval" in done.stdout
    assert (folder / "sweep.csv").is_file()


@pytest.mark.parametrize("command", TALKS, ids=named)
def test_other_command(command, mine, tmp_path):
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 5


@pytest.mark.parametrize("command", BENCHES, ids=named)
def test_bench_command(command, mnist_root, tmp_path):
    done = run([*command, "rounds=1", "images=128"], tmp_path, {"MNIST_LITE_DATA": str(mnist_root)})
    assert done.returncode == 0, done.stderr
    assert "ratio (min, median, max)" in done.stdout


def test_setup_scripts(few, tmp_path):
    """In the environment that runs this test, active or the checkout's own; both pass their arguments on."""
    env = {} if Path(sys.prefix) == REPOSITORY / ".venv" else {"VIRTUAL_ENV": sys.prefix}
    done = run([str(REPOSITORY / SCRIPTS[0][0]), *SCRIPTS[0][1:], *few[0]], tmp_path, {**few[1], **env})
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").glob("*_step3/summary.json"))) == 1
    done = run([str(REPOSITORY / SCRIPTS[1][0]), "--collect-only", "-q", "tests/test_readme.py"], tmp_path, env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_setup_scripts" in done.stdout


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
