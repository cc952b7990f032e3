"""What ``mnist-lite evaluate`` does: evaluates runs, prints the figures, and writes them and the pictures to a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from mnist_lite import files
from mnist_lite.errors import UserError, printable
from mnist_lite.insight import evaluation_text
from mnist_lite.insight.activations import measure_activity
from mnist_lite.insight.evaluated_run import EvaluatedRun, evaluate_run
from mnist_lite.insight.locate import find_runs
from mnist_lite.insight.saved_run import load_run
from mnist_lite.reporting import text_layout

OUTPUT = Path("evaluation")
"""The default folder of the output, in the current folder."""
JSON, CSV = "evaluation.json", "evaluation.csv"


def evaluate_runs(names: Sequence[str], output: str, image: int) -> int:
    """Evaluates the runs that ``names`` stand for. Prints all figures of one run, or one line for each of several runs.

    Args:
        names: See ``locate.find_runs``.
        output: The folder for the files. Empty: ``evaluation/<name of the run>``, or ``evaluation`` for several runs.
        image: The number of the test image whose feature maps are drawn.

    Returns:
        The exit code: 1 if a run of several could not be evaluated.

    Raises:
        UserError: no run can be evaluated, or a name stands for nothing.
        MachineError: a file cannot be written.
    """
    paths = find_runs(names)
    if len(paths) == 1:
        return _evaluate_one(paths[0], Path(output) if output else OUTPUT / paths[0].name, image)
    return _evaluate_several(paths, Path(output) if output else OUTPUT)


def make_folder(folder: Path, runs: Sequence[Path]) -> Path:
    """Creates ``folder`` for output, if it is outside of the folders ``runs``. Returns its real path.

    Raises:
        UserError: it is a folder in ``runs``, or inside of one.
        MachineError: it cannot be created.
    """
    inside = next((run for run in runs if folder.resolve().is_relative_to(run.resolve())), None)
    if inside is not None:
        raise UserError(f"output: {folder} is inside the run folder {inside}, which must not change; name another folder")
    with files.machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return files.real_folder(folder)


def short_names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of ``paths`` that differ from each other: ``era4``, or ``ada/era4`` and ``ben/era4``."""
    parts = [path.absolute().parts for path in paths]
    for length in range(1, max(map(len, parts))):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _evaluate_one(path: Path, output: Path, image: int) -> int:
    folder = make_folder(output, [path])
    evaluated = evaluate_run(load_run(path))
    activity = measure_activity(evaluated.run, evaluated.data.test.images)
    print(evaluation_text.as_text(evaluated, activity, text_layout.width_of(sys.stdout)))
    files.write(folder / JSON, evaluation_text.as_json(evaluated, activity))
    print(f"\nwritten to {printable(str(output))}: {JSON}")
    return 0


def _evaluate_several(paths: Sequence[Path], output: Path) -> int:
    folder = make_folder(output, paths)
    runs: list[tuple[str, EvaluatedRun]] = []
    failures: list[str] = []
    for name, path in tqdm(zip(short_names(paths), paths, strict=True), total=len(paths), unit="run", delay=2, disable=None, leave=False):
        try:
            runs.append((name, evaluate_run(load_run(path))))
        except UserError as error:
            failures.append(f"{name}: {error}")
    if not runs:
        raise UserError(f"no run can be evaluated: {'; '.join(failures)}")
    print(evaluation_text.as_table(runs, text_layout.width_of(sys.stdout)))
    files.write(folder / CSV, evaluation_text.as_csv(runs))
    print(f"written to {printable(str(output / CSV))}")
    for failure in failures:
        print(f"warning: not evaluated: {printable(failure)}", file=sys.stderr)
    return 1 if failures else 0
