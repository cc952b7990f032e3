"""Makes shipped weights of a run: the folder src/mnist_lite/zoo/<name>/. All test images are evaluated again.

python scripts/zoo.py runs/<run> <name>

The mean over seeds is that of the recipe in docs/results.csv.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import yaml
from results import result_of
from results_file import PUBLISHED_RECIPES, RESULTS, TOP, read_results
from scipy.stats import binomtest

from mnist_lite import files
from mnist_lite.insight import zoo
from mnist_lite.insight.export import as_safetensors
from mnist_lite.insight.locate import find_runs
from mnist_lite.insight.predictions import load_data, predict
from mnist_lite.insight.saved_run import WEIGHTS, load_run
from mnist_lite.insight.zoo import Card, Figure, OverSeeds
from mnist_lite.runner.config_file import CONFIG
from mnist_lite.runner.metrics_file import METRICS
from mnist_lite.runner.summary import SUMMARY, as_json

HOW_TESTED = (
    "No weight was trained on them. They were evaluated after each of the {epochs} epochs. The weights are those "
    "of the last epoch: no epoch and no seed was chosen by its test accuracy."
)
PUBLISHED_CHOICE = (
    "The layers and the recipe are published work. Their authors may have chosen them by the accuracy "
    "on the same test images."
)
OUR_CHOICE = "The layers and the recipe were chosen with 10,000 held-out training images: see docs/experiments.md."


def main(path: Path, name: str) -> None:
    """Writes the folder and prints the card."""
    run = load_run(path)
    summary = run.summary
    if summary is None:
        sys.exit(f"{path} is not finished")
    if run.config["stop_at_accuracy"] is not None and not run.data["holdout"]:
        sys.exit("the end of this run was chosen on the test images")
    config = {
        **run.config,  # without folders of this machine
        "runs_dir": "runs",
        "data": {**run.config["data"], "root": "data"},
        "sweep": {**run.config["sweep"], "dir": "runs/sweeps"},
    }
    run = replace(run, config=config)
    data = load_data(run)
    n = len(data.test)
    correct = int((predict(run, data.test.images).argmax(1) == data.test.labels).sum())
    if abs(100 * correct / n - summary.accuracy.test.final) > 1e-9:
        sys.exit(f"the weights give {100 * correct / n} %, but the run recorded {summary.accuracy.test.final} %")
    low, high = binomtest(correct, n).proportion_ci(method="wilson")
    figures = [
        Figure(
            what="test accuracy",
            percent=100 * correct / n,
            n=n,
            interval=(round(100 * float(low), 4), round(100 * float(high), 4)),
        ),
        Figure(
            what="training accuracy in the last epoch, with augmentation and dropout",
            percent=summary.accuracy.train.final,
            n=run.data["train"],
        ),
    ]
    if summary.accuracy.test.mean_last_5 is not None:
        mean = Figure(what="test accuracy, mean of the last 5 epochs", percent=summary.accuracy.test.mean_last_5, n=n)
        figures.insert(1, mean)
    results, result = read_results(TOP / RESULTS), result_of(path)
    if result not in results:
        sys.exit(f"{path} is not in {RESULTS}: python scripts/results.py {path}")
    final = [r.final for r in results if r.recipe == summary.experiment]
    choice = PUBLISHED_CHOICE if summary.experiment in PUBLISHED_RECIPES else OUR_CHOICE
    weights = as_safetensors(run)
    card = Card(
        name=name,
        sha256=hashlib.sha256(weights).hexdigest(),
        parameters=run.network.parameters,
        multiply_adds=summary.multiply_adds,
        seed=summary.seed,
        epochs=summary.epochs,
        data=run.data,
        figures=figures,
        over_seeds=OverSeeds(mean=round(fmean(final), 4), deviation=round(stdev(final), 4), n=len(final)),
        test_images=f"{HOW_TESTED.format(epochs=summary.epochs)} {choice}",
        versions=summary.versions,
        git=summary.git,
        config=config,
    )
    folder = zoo.ZOO / name
    folder.mkdir(parents=True, exist_ok=True)
    evaluations = [row for row in run.rows if "test/accuracy" in row]
    contents = {
        WEIGHTS: weights,
        zoo.CARD: zoo.card_json(card),
        "card.md": zoo.card_text(card).encode(),
        CONFIG: yaml.safe_dump({"format": summary.format, **config}, sort_keys=False).encode(),
        SUMMARY: as_json(summary),
        METRICS: "".join(json.dumps(row) + "\n" for row in evaluations).encode(),
    }
    for file, content in contents.items():
        files.write(folder / file, content)
    print(zoo.card_text(card))


if __name__ == "__main__":
    (found,) = find_runs(sys.argv[1:2])
    main(found, sys.argv[2])
