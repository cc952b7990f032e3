"""The comparison of runs: groups, figures, config differences, answers, and the pictures' data."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from scipy.stats import ttest_rel

from mnist_lite.config.schema import Config
from mnist_lite.errors import UserError
from mnist_lite.insight.comparison import Comparison, FinishedRun, compare_runs, pareto_front
from mnist_lite.insight.comparison_plots import curve, draw_curves, draw_parameters
from mnist_lite.insight.comparison_report import report
from mnist_lite.insight.comparison_text import MAX_GROUPS, answers, as_csv, as_markdown, as_text
from mnist_lite.insight.published import PUBLISHED
from mnist_lite.runner.config_file import as_yaml
from mnist_lite.runner.metrics import seconds
from mnist_lite.runner.metrics_file import read_evaluations
from mnist_lite.runner.summary import read_summary
from tests.conftest import REPOSITORY, Compose
from tests.published import NOTATION
from tests.sweeps.fake_sweep import write_run

MakeRun = Callable[..., Path]


@pytest.fixture(scope="module")
def base() -> dict[str, Config]:
    return {}


@pytest.fixture
def make(composed: Compose, base: dict[str, Config], tmp_path: Path) -> MakeRun:
    """``make("a", [98.0, 99.0], seed=1, overrides=("model=era4",), **options)``: a finished run."""

    def make_run(
        name: str, accuracies: list[float], seed: int = 0, overrides: tuple[str, ...] = (), **options: Any
    ) -> Path:
        key = " ".join(overrides)
        if key not in base:
            base[key] = composed(*overrides)
        choices = dict(item.split("=") for item in overrides if item.startswith("data="))
        write_run(tmp_path, name, accuracies, seed, **options)
        config = replace(base[key], seed=seed, choices={"model": "step3", **choices})
        (tmp_path / name / "config.yaml").write_bytes(as_yaml(config))
        return tmp_path / name

    return make_run


def change_summary(path: Path, **fields: object) -> None:
    summary = json.loads((path / "summary.json").read_bytes()) | fields
    (path / "summary.json").write_text(json.dumps(summary))


A, B = [99.12, 99.20, 99.30, 99.25], [99.02, 99.14, 99.20, 99.18]


@pytest.fixture
def two(make: MakeRun) -> Comparison:
    """Two groups of four seeds. They differ in the learning rate, and B has other threads."""
    paths = [make(f"a{seed}", [90.0, value], seed) for seed, value in enumerate(A)]
    other = ("optimizer.lr=0.03", "threads=1")
    paths += [make(f"b{seed}", [90.0, value], seed, other) for seed, value in enumerate(B)]
    return compare_runs(paths)


def test_runs_that_differ_in_their_seed_only_are_a_group(two: Comparison):
    assert [(group.letter, group.seeds) for group in two.groups] == [("A", [0, 1, 2, 3]), ("B", [0, 1, 2, 3])]


def test_the_figures_are_means_over_the_seeds(two: Comparison):
    group = two.groups[0]
    assert group.final.mean == pytest.approx(sum(A) / 4)
    assert group.gap == pytest.approx(-1)  # the fake runs have a train accuracy of 1 point below
    assert group.mean(lambda summary: summary.accuracy.test.mean_last_5) is None  # there are only two epochs


def test_the_answer_is_that_of_scipys_paired_test(two: Comparison):
    expected = ttest_rel(A, B)
    test = two.groups[1].results.comparison
    assert test is not None and test.p == pytest.approx(expected.pvalue)
    answer = answers(two)[0]
    assert expected.pvalue < 0.05
    assert answer == (
        f"Is A better than B? Yes: the mean difference is {(sum(A) - sum(B)) / 4:+.3f} percentage points over 4 seeds, "
        f"p = {expected.pvalue:.2g}."
    )


def test_a_difference_that_is_not_significant_is_not_shown(make: MakeRun):
    paths = [make(f"a{seed}", [value], seed) for seed, value in enumerate([99.0, 99.2, 99.1])]
    paths += [make(f"b{seed}", [value], seed, ("epochs=3",)) for seed, value in enumerate([99.1, 99.1, 99.0])]
    assert answers(compare_runs(paths))[0].startswith("Is A better than B? Not shown: the mean difference is +0.033 ")


def test_without_three_common_seeds_there_is_no_answer(make: MakeRun):
    paths = [make(f"a{seed}", [99.0], seed) for seed in (0, 1, 2)]
    paths += [make(f"b{seed}", [99.5], seed, ("epochs=3",)) for seed in (2, 3)]
    (answer,) = answers(compare_runs(paths))
    assert answer == (
        "Is B better than A? No answer yet: the paired test needs 3 seeds that both groups have, and they have 1. "
        "B has seeds 2, 3, A has seeds 0, 1, 2."
    )


def test_other_images_give_no_answer(make: MakeRun):
    paths = [make("a", [99.0]), make("b", [99.5], 0, ("data=digits",), data=("digits", 360))]
    (answer,) = answers(compare_runs(paths))
    assert "MNIST's 10,000 test images and 360 test images of digits (NOT MNIST)" in answer


def test_held_out_images_decide(make: MakeRun):
    paths = [make(f"a{seed}", [99.0 + seed / 50], seed, holdout=98.0 + seed / 50) for seed in range(3)]
    paths += [make(f"b{seed}", [98.0], seed, ("epochs=3",), holdout=98.5 + seed / 50) for seed in range(3)]
    comparison = compare_runs(paths)
    assert comparison.split == "holdout" and answers(comparison)[0].startswith("Is B better than A? Yes: ")
    assert "the groups are tested against each other on 5,000 held-out training images of mnist" in as_text(comparison)


def test_only_the_differences_of_the_configs_are_shown(two: Comparison):
    assert two.differences == [
        ("threads", ["null", "1"]),
        ("optimizer.lr", ["0.01", "0.03"]),
        ("scheduler.max_lr", ["0.01", "0.03"]),
    ]
    assert [group.name for group in two.groups] == ["run, threads null, lr 0.01", "run, threads 1, lr 0.03"]


def test_of_a_list_only_the_part_that_differs_is_shown(make: MakeRun):
    layers = "model.layers=[{conv: 10, kernel: 3}, %s {conv: 10, kernel: 1}, global_avg_pool]"
    paths = [make("a", [90.0], 0, (layers % "relu,",)), make("b", [90.0], 0, (layers % "batch_norm, relu,",))]
    assert compare_runs(paths).differences == [("model.layers", ["..., ...", "..., batch_norm, ..."])]
    paths.append(make("c", [90.0], 0, (layers % "{dropout: 0.1},",)))
    assert compare_runs(paths).differences == [
        ("model.layers", ["..., relu, ...", "..., batch_norm, relu, ...", "..., {dropout: 0.1}, ..."])
    ]


def test_equal_configs_do_not_differ(make: MakeRun):
    comparison = compare_runs([make("a", [99.0], 0), make("b", [99.1], 1)])
    assert comparison.differences == [] and len(comparison.groups) == 1
    assert "Is " not in as_text(comparison)


def test_unfinished_and_repeated_runs_are_named(make: MakeRun, tmp_path: Path):
    first, again, stopped = make("first", [99.0]), make("again", [98.0]), make("stopped", [97.0])
    (stopped / "summary.json").unlink()
    comparison = compare_runs([first, again, stopped])
    assert comparison.groups[0].final.mean == 99.0
    assert comparison.left_out == [
        f"{again} is left out: it repeats seed 0 of {first}",
        f"{stopped} is left out: it is not finished",
    ]
    with pytest.raises(UserError, match=r"no run can be used: .*stopped is left out: it is not finished"):
        compare_runs([stopped])


@pytest.mark.parametrize("content", ["a: 1\n", "data: 3\n", "{}\n", "budget: {accuracy: x}\n", "- 1\n"])
def test_a_damaged_config_is_one_line(content: str, make: MakeRun):
    path = make("a", [99.0])
    if content.startswith("budget"):
        config = OmegaConf.load(path / "config.yaml")
        content = OmegaConf.to_yaml(OmegaConf.merge(config, OmegaConf.create(content)))
    (path / "config.yaml").write_text(content)
    with pytest.raises(UserError, match=r"config\.yaml"):
        compare_runs([path])


def test_the_verdict_counts_the_runs(make: MakeRun):
    budget = ("budget.accuracy=99", "budget.parameters=8000")
    comparison = compare_runs([make("a", [99.5], 0, budget), make("b", [98.0], 1, budget)])
    assert next(csv.DictReader(io.StringIO(as_csv(comparison))))["budget"] == "1 met, 1 missed"


def test_the_csv_file_has_every_figure(two: Comparison):
    a, b = csv.DictReader(io.StringIO(as_csv(two)))
    assert (a["group"], a["n"], a["seeds"], a["parameters"], a["multiply_adds"]) == ("A", "4", "0 1 2 3", "100", "1")
    assert float(a["final"]) == pytest.approx(sum(A) / 4) and float(a["seconds"]) == pytest.approx(3)
    assert float(b["difference_from_best"]) == pytest.approx((sum(B) - sum(A)) / 4)
    assert a["p"] == "" and (a["config.optimizer.lr"], b["config.optimizer.lr"]) == ("0.01", "0.03")


def test_markdown_has_one_cell_for_each_head(two: Comparison):
    page = as_markdown(two, ["x.png"])
    tables = [
        lines for block in page.split("\n\n") if (lines := [line for line in block.splitlines() if line[:1] == "|"])
    ]
    assert [len({line.count("|") for line in table}) for table in tables] == [1, 1]
    assert "![x.png](x.png)" in page


def test_a_name_cannot_break_the_texts(make: MakeRun):
    path = make("a", [99.0])
    change_summary(path, name="x|y\n\x1b[2J<b>")
    comparison = compare_runs([path])
    assert "\x1b" not in as_text(comparison) + as_markdown(comparison, [])
    assert "| x\\|y \\x1b[2J&lt;b> |" in as_markdown(comparison, [])


def test_of_many_groups_the_best_are_shown(make: MakeRun, base: dict[str, Config], composed: Compose, tmp_path: Path):
    config = composed()
    paths = []
    for number in range(30):
        paths.append(make(f"r{number}", [90 + number / 10]))
        (paths[-1] / "config.yaml").write_bytes(as_yaml(replace(config, batch_size=number + 1)))
    comparison = compare_runs(paths)
    assert [group.letter for group in comparison.groups][24:28] == ["Y", "Z", "AA", "AB"]
    text = as_text(comparison)
    assert f"the {MAX_GROUPS} best of 30 groups" in text and len(re.findall(r"^[A-Z]+ +run", text, re.M)) == MAX_GROUPS
    assert len(as_csv(comparison).splitlines()) == 31
    (answer,) = answers(comparison)
    assert answer.startswith("Is AD better than K, L, M,") and "fewer than 3 seeds in common" in answer
    assert draw_curves(comparison) and draw_parameters(comparison)


def test_the_pareto_front_is_that_of_brute_force():
    generator = random.Random(0)
    for _ in range(200):
        points = [(generator.randint(1, 8), float(generator.randint(1, 8))) for _ in range(generator.randint(1, 12))]
        front = {(x, y) for x, y in points if not any(u <= x and v >= y and (u, v) != (x, y) for u, v in points)}
        assert pareto_front(points) == sorted(front)


def test_the_published_figures_are_those_of_the_recipes():
    for network in PUBLISHED:
        assert network.parameters == NOTATION[network.name][0]
        comment = (REPOSITORY / "conf" / "experiment" / f"{network.name}.yaml").read_text().split("# Published: ")[1]
        figures = re.findall(r"(?:test |^)(\d\d\.\d+)", comment.split("\n# Open")[0])
        assert float(figures[-1]) == network.accuracy
    assert {network.name for network in PUBLISHED} == set(NOTATION) - {"base"}


def test_the_curve_has_steps_epochs_and_seconds(make: MakeRun):
    """Two evaluations in each epoch of 10 steps. The time of training counts from the start of its epoch."""
    path = make("a", [90.0])
    rows = []
    for step, train, test in ((5, 1.0, 0.1), (10, 2.5, 0.2), (15, 1.5, 0.3), (20, 3.0, 0.4)):
        row = {"step": step, "epoch": (step + 9) // 10, "epoch_end": step % 10 == 0, "lr": 0.1, "train/epoch_loss": 1.0}
        row |= {"train/epoch_accuracy": 80.0, "test/loss": 1.0, "test/accuracy": 80.0 + step}
        rows.append({**row, "seconds/train": train, "seconds/eval": test})
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = read_summary(path)
    assert summary is not None
    data = {**summary.data, "train": 95}
    change_summary(path, data=data)
    summary = read_summary(path)
    assert summary is not None
    points = curve(FinishedRun(path, {"batch_size": 10}, summary))
    assert [(step, epoch) for step, epoch, _, _ in points] == [(5, 0.5), (10, 1.0), (15, 1.5), (20, 2.0)]
    assert [time for _, _, time, _ in points] == pytest.approx([1.1, 2.8, 4.6, 6.5])
    total = seconds(read_evaluations(path))
    assert points[-1][2] == pytest.approx(total.train + total.eval)
    assert [accuracy for *_, accuracy in points] == [85, 90, 95, 100]


def test_the_report_writes_markdown_csv_and_pictures(make: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    paths = [make("a", [90.0, 99.0]), make("b", [90.0, 99.1], 0, ("epochs=3",))]
    before = {path: path.read_bytes() for each in paths for path in each.iterdir()}
    assert report(paths, tmp_path / "out" / "new", verify=True) == 0
    assert "Is B better than A? No answer yet" in capsys.readouterr().out
    written = {path.name: path.stat().st_size for path in (tmp_path / "out" / "new").iterdir()}
    assert set(written) == {"comparison.md", "comparison.csv", "comparison_curves.png", "comparison_parameters.png"}
    assert min(written.values()) > 200
    assert {path: path.read_bytes() for each in paths for path in each.iterdir()} == before


def test_a_changed_summary_is_a_warning(make: MakeRun, capsys: pytest.CaptureFixture[str]):
    path = make("a", [99.0])
    change_summary(path, epochs=9)
    assert report([path], None, verify=False) == 1
    assert "a: epochs is 9 in summary.json, and 1 follows from metrics.jsonl" in capsys.readouterr().err
