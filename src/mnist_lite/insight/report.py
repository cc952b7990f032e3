"""What ``mnist-lite report`` does: collects what run folders say, evaluates the networks, and writes one HTML page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mnist_lite import files
from mnist_lite.config.overrides import user_path
from mnist_lite.data.dataset import Dataset
from mnist_lite.errors import UserError, printable
from mnist_lite.insight.comparison import ComparedGroup, Comparison, compare_runs
from mnist_lite.insight.comparison_text import MAX_GROUPS, shown_groups
from mnist_lite.insight.evaluate_runs import make_folder
from mnist_lite.insight.locate import find_runs, is_sweep
from mnist_lite.insight.predictions import load_data
from mnist_lite.insight.report_images import RunAnswers, answers_of, chosen_images, image_record, tested_record
from mnist_lite.insight.report_network import network_for_page
from mnist_lite.insight.report_runs import curves, group_record, published, verdict
from mnist_lite.insight.saved_run import load_run
from mnist_lite.reporting.html_page import render

MAX_KEYS = 2
"""The largest number of keys in the title of a sweep."""
VERSION = 1
"""The version of the data format of the page."""


def write_report(names: Sequence[str], output: str) -> int:
    """Writes the page of the runs that ``names`` stand for, and prints its path. Returns the exit code.

    ``output`` is the file. Empty: the name of the run or of the sweep, in the current folder.

    Raises:
        UserError: a name stands for nothing, no run can be used, or a config is damaged.
        MachineError: the file cannot be written.
    """
    paths = find_runs(names)
    path = user_path("output", output) if output else Path(_file_name(names, paths))
    if path.is_dir():
        raise UserError(f"output: {path} is a folder; name a file, such as {path / 'report.html'}")
    if path.suffix not in (".html", ".htm"):
        raise UserError(f"output: {path} is not a name for a page; name it {path.with_suffix('.html')}")
    folder = make_folder(path.parent, paths)
    comparison = compare_runs(paths, "report")
    for line in comparison.left_out:
        print(f"warning: {printable(line)}", file=sys.stderr)
    content = render(collect(comparison, sweep=len(names) == 1 and is_sweep(Path(names[0]))))
    files.write(folder / path.name, content)
    print(printable(f"{path}  {len(content) / 1e6:.2f} MB; open it in a browser"))
    return 0


def collect(comparison: Comparison, sweep: bool = False) -> dict[str, Any]:
    """The data of the page of the runs that ``comparison`` has, as plain values. ``sweep``: they are the runs of one sweep."""
    title = _title(comparison, sweep)
    runs_left_out = [f"{line}." for line in comparison.left_out]
    comparison, left_out = _shown(comparison)
    groups = comparison.groups
    curve_records, missing = curves(groups)
    judged = verdict(comparison)
    networks, data, reasons = _evaluated(groups, groups[judged["best"]].summary.data["name"])
    chosen = chosen_images(networks, data.test) if data else []
    tested = [tested_record(each, chosen, data) for each in networks] if data else []
    images = {**image_record(chosen, data.test), "predictions": tested[0]["predictions"]} if data and tested else None
    network, reason = _network(groups)
    untested = [f"Confusion matrix, mistakes and calibration of {groups[i].name}: {why}." for i, why in reasons]
    return {
        "version": VERSION,
        "made": date.today().isoformat(),
        "title": title,
        "verdict": judged,
        "runs": [group_record(group) for group in groups],
        "differences": comparison.differences,
        "curves": curve_records,
        "tested": tested,
        "untested": [{"group": i, "reason": why} for i, why in reasons],
        "images": images,
        "network": network,
        "published": published(),
        "left_out": [*runs_left_out, *left_out, *reason, *missing, *untested, *_not_in_page(groups, tested, images)],
    }


def _shown(comparison: Comparison) -> tuple[Comparison, list[str]]:
    """The comparison with at most ``MAX_GROUPS`` groups, and what is left out."""
    groups = shown_groups(comparison)
    if len(groups) == len(comparison.groups):
        return comparison, []
    places = [comparison.groups.index(group) for group in groups]
    differences = [(key, [cells[i] for i in places]) for key, cells in comparison.differences]
    shown = Comparison(groups, differences, comparison.split, comparison.measured_on, comparison.left_out)
    return shown, [f"Groups of runs: the page has the {MAX_GROUPS} best of {len(comparison.groups):,}."]


def _evaluated(
    groups: Sequence[ComparedGroup], name: str
) -> tuple[list[RunAnswers], Dataset | None, list[tuple[int, str]]]:
    """The first run of each group on all test images. And the data, and the groups that are missing, with the reason.

    The runs of a page share their images, so runs on another data set than ``name``, that of the best one, are not evaluated.
    """
    tested: list[RunAnswers] = []
    data: Dataset | None = None
    reasons: list[tuple[int, str]] = []
    for i, group in tqdm(list(enumerate(groups)), "report", unit="network", delay=2, disable=None, leave=False):
        try:
            run = load_run(group.runs[0].path)
            if run.data["name"] != name:
                raise UserError(f"it was trained on {run.data['name']}, and the images of this page are of {name}")
            data = data or load_data(run)
            tested.append(answers_of(run, i, data))
        except UserError as error:
            reasons.append((i, str(error)))
    return tested, data, reasons


def _network(groups: Sequence[ComparedGroup]) -> tuple[dict[str, Any] | None, list[str]]:
    """The network for the canvas, or why there is no canvas."""
    if len(groups) > 1 or len(groups[0].runs) > 1:
        return None, ["The canvas: only the page of a single run has it, such as mnist-lite report runs/<run>."]
    try:
        network = network_for_page(load_run(groups[0].runs[0].path))
    except UserError as error:
        return None, [f"The canvas: {error}."]
    return network, [f"The canvas: {network['unsupported']}"] if network["unsupported"] else []


def _not_in_page(
    groups: Sequence[ComparedGroup], tested: Sequence[dict[str, Any]], images: dict[str, Any] | None
) -> list[str]:
    """What is left out to keep the page small."""
    lines = []
    if tested and images:
        total = max(each["images"] for each in tested)
        if images["count"] < total:
            lines.append(
                f"Most test images: the page has {images['count']:,} of {total:,}. All figures are of {total:,} images."
            )
    cut = [
        f"{len(each['mistakes']):,} of the {each['mistakes_in_all']:,} of {groups[each['group']].name}"
        for each in tested
        if len(each["mistakes"]) < each["mistakes_in_all"]
    ]
    if cut:
        lines.append(f"Many mistakes: the page has {', '.join(cut)}.")
    if any(len(each["mistakes"]) for each in tested if each["maps"] is None):
        lines.append("Class maps: a network has no maps that are large enough to show places.")
    return lines


def _title(comparison: Comparison, sweep: bool) -> str:
    """``Sweep of era4: optimizer.lr``, ``5 runs``, or the name of one group."""
    groups = comparison.groups
    if len(groups) == 1:
        return groups[0].name
    if not sweep:
        return f"{sum(len(group.runs) for group in groups):,} runs"
    keys = [key for key, _ in comparison.differences]
    more = f" and {len(keys) - MAX_KEYS} more" if len(keys) > MAX_KEYS else ""
    choices = {group.summary.experiment or group.summary.model or "a model" for group in groups}
    of = f" of {choices.pop()}" if len(choices) == 1 else ""
    return f"Sweep{of}: {', '.join(keys[:MAX_KEYS])}{more}"


def _file_name(names: Sequence[str], paths: Sequence[Path]) -> str:
    """The name of the file: that of the run or of the sweep, else ``report``."""
    if len(paths) == 1:
        return f"{files.slug(paths[0].name)}.html"
    is_folder = len(names) == 1 and Path(names[0]).is_dir()  # not a pattern
    return f"{files.slug(Path(names[0]).absolute().name)}.html" if is_folder else "report.html"
