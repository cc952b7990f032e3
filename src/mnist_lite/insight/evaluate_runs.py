"""What ``mnist-lite evaluate`` does: evaluates runs, prints the figures, and writes them and the pictures to a folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from mnist_lite import files
from mnist_lite.config.overrides import user_path
from mnist_lite.errors import UserError, printable
from mnist_lite.insight import evaluation_plots, evaluation_text, network_plots
from mnist_lite.insight.activations import feature_maps
from mnist_lite.insight.evaluated_run import EvaluatedRun, evaluate_run
from mnist_lite.insight.locate import find_submissions
from mnist_lite.insight.predictions import load_data
from mnist_lite.insight.saved_run import load_run
from mnist_lite.model.budget import describe_test_set
from mnist_lite.reporting import text_layout
from mnist_lite.reporting.png import DrawingError

OUTPUT = Path("evaluation")
"""The default folder of the output, in the current folder."""
JSON, CSV = "evaluation.json", "evaluation.csv"
SHOWN_MAPS = 6
"""Mistakes whose class maps are drawn."""
STAGES = 7
"""The steps of the progress bar when one run is evaluated: the metrics and six pictures."""


def evaluate_runs(names: Sequence[str], output: str, image: str) -> int:
    """Evaluates the runs that ``names`` stand for. Prints all figures of one run, or one line for each of several runs.

    Args:
        names: See ``locate.find_runs``.
        output: The folder for the files. Empty: ``evaluation/<name of the run>``, or ``evaluation`` for several runs.
        image: The number of the test image whose feature maps are drawn.

    Returns:
        The exit code: 1 if a run of several could not be evaluated.

    Raises:
        UserError: no run can be evaluated, ``image`` is no number of a test image, or a name stands for nothing.
        MachineError: a file cannot be written.
    """
    if not image.isdecimal():
        raise UserError(f"image: {image!r} is not allowed; expected the number of a test image, from 0")
    found = find_submissions(names)
    for path, problem in found.items():
        if problem and not path.is_dir():  # a typing error, not a folder without a run
            raise UserError(problem)
    paths = list(found)
    if len(paths) == 1:
        return _evaluate_one(paths[0], user_path("output", output) if output else OUTPUT / paths[0].name, int(image))
    return _evaluate_several(found, user_path("output", output) if output else OUTPUT)


def make_folder(folder: Path, runs: Sequence[Path]) -> Path:
    """Creates ``folder`` for output, if it is outside of the folders ``runs``. Returns its real path.

    Raises:
        UserError: it is a folder in ``runs``, or inside of one.
        MachineError: it cannot be created.
    """
    inside = next((run for run in runs if folder.resolve().is_relative_to(run.resolve())), None)
    if inside is not None:
        raise UserError(
            f"output: {folder} is inside the run folder {inside}, which must not change; name another folder"
        )
    if folder.is_file():
        raise UserError(f"output: {folder} is a file; name a folder")
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


def write_pictures(
    evaluated: EvaluatedRun, image: int, folder: Path, progress: Callable[[], object] = lambda: None
) -> list[str]:
    """Writes the pictures of ``evaluated`` into ``folder``, and returns their names. ``progress`` is called after each picture.

    Without mistakes there is no picture of them. ``image`` is the number of the test image whose feature maps are drawn.

    Raises:
        DrawingError: a picture cannot be drawn.
        MachineError: a file cannot be written.
    """
    run, test, split = evaluated.run, evaluated.test, evaluated.data.test
    title = f"{run.name} ({run.network.parameters:,} parameters)"
    measured = f"{title} on {describe_test_set(evaluated.data.name, test.images)}"
    worst = test.mistakes[:SHOWN_MAPS]
    images = split.images[[mistake.index for mistake in worst]]
    pictures: dict[str, Callable[[], bytes]] = {
        "confusion.png": lambda: evaluation_plots.draw_confusion(test, measured),
        "reliability.png": lambda: evaluation_plots.draw_reliability(test, measured),
    }
    if worst:
        pictures["mistakes.png"] = lambda: evaluation_plots.draw_mistakes(test, split.images, measured)
        if kinds := network_plots.class_maps_of(run, images):
            pictures["class_maps.png"] = lambda: network_plots.draw_class_maps(worst, images, kinds, measured)
    filters = network_plots.first_filters(run.network)
    if filters is not None:
        trained = f"{title}, trained on {len(evaluated.data.train):,} images of {evaluated.data.name}"
        pictures["filters.png"] = lambda: network_plots.draw_filters(filters, trained)
    one = f"{title}, test image {image} of {evaluated.data.name}: a {int(split.labels[image])}"
    maps = feature_maps(run, split.images[image])
    pictures["feature_maps.png"] = lambda: network_plots.draw_feature_maps(split.images[image], maps, one)
    for name, draw in pictures.items():
        files.write(folder / name, draw())
        progress()
    return list(pictures)


def _evaluate_one(path: Path, output: Path, image: int) -> int:
    run = load_run(path)
    count = len(load_data(run).test)
    if image >= count:
        raise UserError(f"image: {image} is not in 0 to {count - 1:,}, the numbers of the test images")
    folder = make_folder(output, [path])
    with tqdm(total=STAGES, desc="evaluate", delay=2, disable=None, leave=False, bar_format="{l_bar}{bar}|") as bar:
        evaluated = evaluate_run(run)
        bar.update()
        files.write(folder / JSON, evaluation_text.as_json(evaluated))
        written, warning = [JSON], ""
        try:
            written += write_pictures(evaluated, image, folder, bar.update)
        except DrawingError as error:
            warning = f"warning: not all pictures are drawn: {error}"
    print(evaluation_text.as_text(evaluated, width := text_layout.width_of(sys.stdout)))
    print("\n" + text_layout.wrapped(f"written to {output}: {', '.join(written)}", width))
    if warning:
        print(warning, file=sys.stderr)
    return 0


def _evaluate_several(found: Mapping[Path, str], output: Path) -> int:
    """``found`` has a problem for each folder that is no run: see ``locate.find_submissions``."""
    paths = list(found)
    folder = make_folder(output, paths)
    runs: list[tuple[str, EvaluatedRun]] = []
    failures: list[str] = []
    named = list(zip(short_names(paths), paths, strict=True))
    for name, path in tqdm(named, "evaluate", unit="run", delay=2, disable=None, leave=False):
        try:
            if found[path]:
                raise UserError(found[path])
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
