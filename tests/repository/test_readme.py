"""The README is true: its commands work as typed, its files work, its figures are those of the code."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mnist_lite.model.build import build
from tests.conftest import REPOSITORY, Compose
from tests.published import ALIASES, NOTATION
from tests.repository import page

README = REPOSITORY / "README.md"
CONFIGS = REPOSITORY / "docs" / "configs.md"
SHORT = ("data.train_limit=200", "data.test_limit=100", "epochs=1", "batch_size=50", "budget.enforce=false")
OUTPUT = {
    "scripts/train": "final test accuracy",
    "scripts/test": "tests collected",
    "summary --config-dir": "3,736 parameters",
    "train --help": "optimizer=<name>",
    "-m experiment=era4": "4 done",
    "evaluate": "accuracy ",
    "predict": "seven.jpg: 7",
    "summary zoo": "receptive fields: fields.png",
    "export": "checked on ",
    "preview": "standard deviation",
    "lr_find": "steepest slope",
    "compare": "4 done",
    "report zoo:era4": "era4.html",
    "report runs/sweeps": "MB; open it in a browser",
    "resume=runs/<run> ": "epoch 20/20",
    "bench": "ratio (min, median, max)",
}
"""Parts of lines of the README, and a part of what each of these lines prints."""


def added(line: str, data: tuple[str, ...]) -> list[str]:
    """Overrides that make the command in ``line`` short."""
    if "bench" in line:
        return ["rounds=1", "images=128"]
    if re.search("preview|lr_find", line):
        return list(data)
    if not re.search(r"train (?!--help)", line) or "resume=" in line:
        return []
    overrides = [*SHORT, *data]
    if " -m " in line:
        overrides += ["seed=1,2", "optimizer.lr=0.01,0.03"]
    return overrides


def test_readme_is_short():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 240
    assert [line for line in lines if len(line) > 120] == []


def test_every_block_is_of_a_tested_kind():
    for block in page.blocks(README):
        assert block.language in ("bash", "text") or block.file is not None, block
    for block in page.blocks(CONFIGS):
        assert block.language in ("bash", "console") or block.file is not None, block


def test_every_line_works_in_a_new_terminal(request: pytest.FixtureRequest, tmp_path: Path):
    """Lines without <angle brackets> are independent of each other; two run at a time. Then come the others.

    Every line after the one that activates the environment runs in an activated shell. Only the names in angle brackets are
    replaced: by a run of era4, and by the sweep over learning rates.
    """
    data: tuple[str, ...] = ("data=digits",)
    env = {
        "OMP_NUM_THREADS": "1",  # no slower for small networks, and other tests run at the same time
        "MYPY_CACHE_DIR": str(REPOSITORY / ".mypy_cache"),
        "PYTEST_ADDOPTS": "--collect-only -q -p no:cacheprovider tests/repository/test_environment_sh.py",
    }
    try:
        env["MNIST_LITE_DATA"] = str(request.getfixturevalue("mnist_root"))
        data = ()
    except pytest.skip.Exception:
        pass
    checkout = page.make_checkout(tmp_path)
    page.write_files(README, checkout)
    lines = page.commands(README)
    activation = next(index for index, line in enumerate(lines) if line.startswith(page.ACTIVATE))
    outputs: dict[str, str] = {}

    def run(chain: list[str]) -> None:
        for line in chain:
            if data and re.search("bench|evaluate|picture=|export", line):
                continue  # these need real MNIST, which this machine does not have
            typed = line
            for name, pattern in (("<run>", "runs/*_era4"), ("<name>", "runs/sweeps/*/accuracy_by_optimizer.lr.png")):
                if name in line:
                    (found,) = checkout.glob(pattern)
                    typed = line.replace(name, found.name if found.is_dir() else found.parent.name)
            if line in lines[activation + 1 :]:
                typed = f"{lines[activation]}\n{typed}"
            done = page.run_line(typed, checkout, added(line, data), env)
            assert done.returncode == 0, f"{typed}: exit code {done.returncode}\n{done.stdout}"
            outputs[line] = done.stdout

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, [[line] for line in lines if "<" not in line]))
        list(pool.map(run, [[line for line in lines if name in line] for name in ("<run>", "<name>")]))
    runs = sorted(path.parent.name.split("_", 2)[2] for path in checkout.glob("runs/*/summary.json"))
    assert runs == ["era4", "smoke", "step3", "step3", "tiny"]
    for part, expected in OUTPUT.items():
        (line,) = [line for line in lines if part in line]
        assert line not in outputs or expected in outputs[line], (line, outputs[line])
    check_table(outputs[lines[0]])


def check_table(output: str) -> None:
    """Every line of the layer table in the README is in what the first command prints."""
    table = next(block.text for block in page.blocks(README) if "receptive field" in block.text)
    for line in table[: table.index("\n\n")].splitlines():
        assert line == "..." or line in output.splitlines(), line


@pytest.mark.parametrize("block", [block for block in page.blocks(CONFIGS) if block.language == "console"])
def test_error_messages_are_the_shown_ones(block: page.Block, checkout: Path):
    command, shown = block.text.split("\n", 1)
    done = page.run_line(f"{page.ACTIVATE}\n{command.removeprefix('$ ')}", checkout, [], {})
    assert (done.returncode, done.stdout) == (2, shown)


@pytest.mark.parametrize("line", page.commands(CONFIGS))
def test_commands_of_the_reference_work(line: str, checkout: Path):
    page.write_files(CONFIGS, checkout)
    trains = "--config-dir" in line
    flags = [] if "--" in line else ["--cfg", "job"]
    done = page.run_line(f"{page.ACTIVATE}\n{line}", checkout, [*SHORT, "data=digits"] if trains else flags, {})
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One checkout for all tests that do not look at its ``runs/``."""
    return page.make_checkout(tmp_path_factory.mktemp("reference"))


def test_table_of_models_is_right(composed: Compose):
    text = README.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| ([\d,]+) \|", text, re.MULTILINE)
    assert {name for name, _ in rows} == set(NOTATION)
    for name, count in rows:
        assert build(composed(f"model={name}").model).parameters == int(count.replace(",", ""))
    for alias, name in ALIASES.items():
        assert f"`{alias}` is {name}" in text
