"""Grades the runs of students by a teacher's budget.

A folder can claim anything, so the grade comes from its weights: they are loaded from ``last.pt`` and evaluated now. The number
of epochs, and the accuracies of earlier epochs, cannot be measured again. They are taken from the folder and marked "claimed".

Training on test images leaves no trace in a folder, so it cannot be detected.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from mnist_lite import files
from mnist_lite.config.overrides import user_path
from mnist_lite.config.schema import Budget, DataConfig, validate_node
from mnist_lite.config.yaml_file import read_config_file
from mnist_lite.data.dataset import load
from mnist_lite.data.split import Split
from mnist_lite.errors import UserError
from mnist_lite.insight.evaluate_runs import OUTPUT, make_folder, short_names
from mnist_lite.insight.evaluated_run import check_size
from mnist_lite.insight.evaluation import evaluate
from mnist_lite.insight.locate import find_submissions
from mnist_lite.insight.predictions import data_root, predict
from mnist_lite.insight.saved_run import SavedRun, load_run
from mnist_lite.model.budget import Check, RunResults, after_training, describe_test_set
from mnist_lite.reporting import text_layout
from mnist_lite.runner.metrics import epoch_ends
from mnist_lite.runner.metrics_file import read_evaluations

CSV = "grades.csv"
CLAIMED = "claimed"
COLUMNS = (
    *("run", "grade", "parameters", "layers", "fully_connected", "accuracy", "test_images"),
    *("claimed_epochs", "claimed_accuracy", "not_met", "notes"),
)
"""Of ``grades.csv``."""
TOLERANCE = 0.1
"""Percentage points. A claimed accuracy that differs by more is reported. Other devices and bf16 differ by some images."""
MAX_EPOCHS = 10**5
"""Claims of more epochs are cut, so that a row with a huge number takes no memory."""
NOT_REQUIRED: dict[str, Any] = {
    **dict.fromkeys(
        ("parameters", "epochs", "accuracy", "fully_connected", "published_parameters", "published_epochs")
    ),
    "last_epochs": 1,
    "accuracy_on": "mnist",
    "enforce": True,
}
"""The defaults of a budget."""


@dataclass(frozen=True)
class Grade:
    """The grade of one folder."""

    name: str
    """What is shown for the folder."""
    problem: str = ""
    """Why there is no grade. Empty: there is one, and all other fields have values."""
    parameters: int | None = None
    layers: int | None = None
    fully_connected: bool | None = None
    accuracy: float | None = None
    """Computed again, in percent."""
    test_images: int | None = None
    epochs: int | None = None
    """Claimed."""
    claimed: tuple[float | None, ...] = ()
    """The accuracy after each epoch, in percent, by the folder's metrics. None: there is no row."""
    checks: tuple[Check, ...] = ()
    interrupted: str = ""
    """Which weights were measured, if they are from the middle of an epoch. Empty: they are those of a whole epoch."""
    claimed_images: str = ""
    """The test images of the claimed accuracies. Empty: they are those that were measured."""

    @property
    def passes(self) -> bool:
        """Whether every requirement is met."""
        return not self.problem and all(check.met for check in self.checks)

    @property
    def missed(self) -> list[str]:
        """The keys of the requirements that are not met, such as ``parameters``."""
        return [check.key for check in self.checks if not check.met]

    @property
    def doubt(self) -> str:
        """Says that the claimed accuracy of the last epoch is not what was measured. Empty: it is, or nothing is claimed.

        Of an interrupted epoch, nothing is claimed.
        """
        last = self.claimed[-1] if self.claimed else None
        if self.interrupted or last is None or self.accuracy is None or abs(last - self.accuracy) <= TOLERANCE:
            return ""
        return f"the folder says {last:.2f}" + (f" on {self.claimed_images}" if self.claimed_images else "")


def read_budget(text: str) -> Budget:
    """The budget in ``text``: ``{parameters: 8000, accuracy: 99.4}``, or the name of a YAML file with such a mapping.

    In a file, the mapping may be the value of the key ``budget``, as in the files of ``conf/model``.

    Raises:
        UserError: there is no such file, it is no mapping, a key is unknown or a value is not allowed, or nothing is required.
    """
    inline = text.lstrip().startswith("{")
    where = "budget" if inline else f"budget: {text}"
    if not inline and not Path(text).is_file():
        raise UserError(
            f"{where}: there is no such file; name a YAML file, or give '{{parameters: 8000, accuracy: 99.4}}'"
        )
    try:
        values = yaml.safe_load(text if inline else read_config_file(Path(text), Path(text).parent))
    except yaml.YAMLError as error:
        raise UserError(f"{where}: this is not YAML: {str(error).splitlines()[0]}") from error
    if not inline and isinstance(values, dict) and "budget" in values:
        values = values["budget"]
    if not isinstance(values, dict):
        raise UserError(f"{where}: a mapping is expected, such as {{parameters: 8000, accuracy: 99.4}}")
    budget = validate_node({**NOT_REQUIRED, **values}, Budget, "budget.")
    if not requirements(budget):
        raise UserError(
            f"{where}: it has no limit; give at least one of parameters, epochs, accuracy and fully_connected"
        )
    return replace(budget, published_parameters=None, published_epochs=None)


def requirements(budget: Budget) -> list[str]:
    """The requirements of ``budget`` in words."""
    return [check.requirement for check in judge(budget, RunResults(0, False, 0, [0.0], "mnist", 0))]


def judge(budget: Budget, results: RunResults) -> tuple[Check, ...]:
    """The requirements of ``budget`` and whether they are met. Only the last of ``results.test_accuracies`` was measured.

    The other accuracies, and the number of epochs, are marked as claimed.
    """
    measured = after_training(replace(budget, last_epochs=1), results).checks
    checks = [replace(check, note=CLAIMED) if check.key == "epochs" else check for check in measured]
    before = budget.last_epochs - 1
    if budget.accuracy is not None and before:
        claimed = list(results.test_accuracies[:-1])[-before:]
        met = len(claimed) == before and all(a is not None and a >= budget.accuracy for a in claimed)
        shown = ", ".join("none" if a is None else f"{a:.2f}" for a in claimed) or "none"
        which = "the epoch before" if before == 1 else f"each of the {before} epochs before"
        requirement = f">= {budget.accuracy:g} % in {which}"
        checks.append(Check("earlier epochs", requirement, shown, met, CLAIMED))
    return tuple(checks)


def grade_run(path: Path, name: str, budget: Budget, root: str = "") -> Grade:
    """The grade of the run in the folder ``path``. A folder that cannot be evaluated has a ``problem``.

    ``root`` is the folder of MNIST: see ``predictions.load_data``.

    Raises:
        UserError: MNIST is not there.
    """
    if budget.accuracy_on != "any":
        _test_images("mnist", data_root(root))  # if they are missing, this is not the student's problem
    try:
        run = load_run(path)
        check_size(run)
        data = "mnist" if budget.accuracy_on != "any" else run.data["name"]
        test = _test_images(data, data_root(root))
        accuracy = evaluate(predict(run, test.images), test.labels).accuracy
    except UserError as error:
        return Grade(name, problem=str(error))
    claimed = _claimed_accuracies(run)
    epochs = max(run.epoch, len(claimed))
    earlier = [*claimed, *[None] * (epochs - len(claimed))][: epochs - 1]
    network = run.network
    same_images = (run.data["name"], run.data["test"]) == (data, len(test.labels))
    results = RunResults(
        network.parameters, network.fully_connected, epochs, [*earlier, accuracy], data, len(test.labels)
    )
    return Grade(
        name,
        "",
        network.parameters,
        len(network.layers),
        network.fully_connected,
        accuracy,
        len(test.labels),
        epochs,
        tuple(claimed),
        judge(budget, results),
        f"interrupted: {run.weights}" if run.in_epoch else "",
        "" if same_images else describe_test_set(run.data["name"], run.data["test"]),
    )


def grade_runs(names: Sequence[str], budget_text: str, output: str) -> int:
    """Grades the runs that ``names`` stand for, prints a table and writes ``grades.csv``.

    Args:
        names: See ``find_submissions``.
        budget_text: See ``read_budget``.
        output: The folder of ``grades.csv``. Empty: ``evaluation``.

    Returns:
        The exit code: 0 if every folder passes, else 1.

    Raises:
        UserError: the budget is not usable, there is no run, or MNIST is not there.
        MachineError: the file cannot be written.
    """
    budget = read_budget(budget_text)
    found = find_submissions(names)
    place = user_path("output", output) if output else OUTPUT
    folder = make_folder(place, list(found))
    grades = []
    named = list(zip(short_names(list(found)), found.items(), strict=True))
    for name, (path, problem) in tqdm(named, "grade", unit="run", delay=2, disable=None, leave=False):
        grades.append(Grade(name, problem) if problem else grade_run(path, name, budget))
    files.write(folder / CSV, as_csv(grades))
    print(as_text(grades, budget, text_layout.width_of(sys.stdout)))
    print(text_layout.wrapped(f"written to {place / CSV}", None))
    return 0 if all(grade.passes for grade in grades) else 1


def as_text(grades: Sequence[Grade], budget: Budget, width: int | None) -> str:
    """The table of the grades, one line for each folder, and what its columns mean."""
    heads = ("run", "grade", "parameters", "layers", "accuracy", "epochs, claimed", "not met")
    rows = [
        (
            grade.name,
            _word(grade),
            "" if grade.parameters is None else f"{grade.parameters:,}",
            "" if grade.layers is None else str(grade.layers),
            "" if grade.accuracy is None else f"{grade.accuracy:.2f}",
            "" if grade.epochs is None else str(grade.epochs),
            "; ".join(filter(None, [", ".join(grade.missed), grade.doubt, grade.interrupted])),
        )
        for grade in grades
    ]
    passed = sum(grade.passes for grade in grades)
    measured = "MNIST's 10,000 test images" if budget.accuracy_on != "any" else "the test images of the run's data set"
    notes = [
        *(f"{grade.name}: no grade: {grade.problem}" for grade in grades if grade.problem),
        f"{passed} of {len(grades)} pass: {'; '.join(requirements(budget))}",
        f"parameters, layers and accuracy: computed again with the weights in last.pt, on {measured}",
        "claimed: the folder says so, and it cannot be measured again. 'earlier epochs' are claimed, too.",
        "Training on test images cannot be detected from a folder.",
    ]
    lines = text_layout.table(heads, rows, left={0, 1, 6}, width=width, drop=(3,))
    return "\n".join([*lines, *(text_layout.wrapped(note, width) for note in notes)])


def as_csv(grades: Sequence[Grade]) -> bytes:
    """The grades in full precision, for ``grades.csv``."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for g in grades:
        last = g.claimed[-1] if g.claimed else None
        checks = "; ".join(str(check) for check in g.checks if not check.met)
        values = [
            g.name,
            _word(g),
            g.parameters,
            g.layers,
            g.fully_connected,
            g.accuracy,
            g.test_images,
            g.epochs,
            last,
        ]
        table.writerow(
            ["" if v is None else _cell(v) for v in [*values, checks, g.problem or g.doubt or g.interrupted]]
        )
    return text.getvalue().encode()


def _word(grade: Grade) -> str:
    return "no grade" if grade.problem else "pass" if grade.passes else "fail"


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe: names of folders come from students."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _claimed_accuracies(run: SavedRun) -> list[float | None]:
    """The test accuracy after each epoch, in percent, by ``metrics.jsonl``. Empty: the file cannot be read."""
    try:
        rows = epoch_ends(read_evaluations(run.path))
    except OSError:
        return []
    by_epoch = {int(row["epoch"]): row["test/accuracy"] for row in rows}
    last = min(max(by_epoch, default=0), MAX_EPOCHS)
    return [by_epoch.get(epoch) for epoch in range(1, last + 1)]


@lru_cache(maxsize=2)
def _test_images(name: str, root: str) -> Split:
    return load(DataConfig(name=name, root=root)).test
