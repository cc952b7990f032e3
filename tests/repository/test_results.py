"""The tables of results follow from docs/results.csv."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from pathlib import Path

import pytest

from mnist_lite.insight import zoo
from mnist_lite.insight.locate import find_runs
from mnist_lite.insight.saved_run import load_run
from tests.conftest import REPOSITORY, Compose, load_script
from tests.insight.test_saved_run import trained
from tests.published import NOTATION

results, results_file = load_script("results"), load_script("results_file")
tables, picture = load_script("results_tables"), load_script("results_picture")
Result = results_file.Result
ROWS = results_file.read_results(REPOSITORY / results_file.RESULTS)


def test_every_table_is_made_from_the_file():
    for name, text in tables.pages(ROWS).items():
        assert (REPOSITORY / name).read_text(encoding="utf-8") == text, f"{name}: run python scripts/results.py"


def test_the_rows_are_of_our_recipes():
    assert max(Counter((row.recipe, row.seed) for row in ROWS).values(), default=1) == 1
    for row in ROWS:
        if row.recipe in results_file.PUBLISHED_RECIPES:
            assert row.parameters == NOTATION[row.recipe][0]
        elif row.recipe in results_file.GOALS:
            limit = 1000 * int(row.recipe.removeprefix("frontier_").removesuffix("k"))
            assert row.parameters < limit and row.epochs <= 15
        else:
            assert row.recipe in results_file.FAST_RECIPES
        assert all(0 < accuracy <= 100 for accuracy in (*row.test, row.train)) and row.seconds > 0


def test_the_table_has_means_and_deviations_by_hand():
    first = Result("step3", 0, 7216, 98.0, 120, 1, "", (90.0, 95.0, 96.0, 98.0, 97.0, 97.0))
    rows = [first, first._replace(seed=1, seconds=180, test=(90.0, 95.0, 96.0, 98.0, 97.0, 99.0))]
    (line,) = [line for line in tables.published_table(rows).splitlines() if line.startswith("| step3 ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:6] == ["7,216", "6", "2", "98.00 ± 1.41", "96.80 ± 0.28"]
    assert cells[6:8] == ["98.50 ± 0.71", "90.00 ± 0.00"] and cells[9:] == ["0.00 ± 1.41", "2.5", "97.53"]
    assert tables.mean_and_deviation([1.5]) == "1.50"
    assert tables.count([*rows, first._replace(seed=2, test=(9.8, 89.9))]) == "3, 1 of them below 90 %"


def test_the_frontier_has_the_lowest_of_the_last_five_epochs_of_all_runs():
    first = Result("frontier_8k", 0, 7090, 98.5, 60, 1, "", (99.9, 99.0, 99.3, 99.1, 99.2, 99.4))
    rows = [first, first._replace(seed=1, test=(90.0, 99.2, 99.3, 99.1, 98.7, 99.2))]
    (line,) = tables.frontier_table(rows).splitlines()[2:]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:8] == ["frontier_8k", "7,090", "2", "99.30 ± 0.14", "98.70", "98.50 ± 0.00", "1.0", "99.60"]


def test_the_picture_has_a_point_for_each_recipe_that_was_trained(tmp_path: Path):
    first = Result("era4", 0, 7838, 99.0, 60, 1, "", (99.0, 99.2))
    rows = [first._replace(seed=seed, test=(99.0, final)) for seed, final in enumerate((99.2, 99.3, 99.4))]
    ((name, parameters, mean, low, high),) = picture.points(rows, results_file.PUBLISHED_RECIPES)
    assert (name, parameters, round(mean, 9)) == ("era4", 7838, 99.3)

    def logit(percent: float) -> float:
        return math.log(percent / (100 - percent))

    half = 4.302653 * 0.1 / 3**0.5 * 100 / (99.3 * 0.7)  # Student's t with two degrees of freedom, on the logit scale
    assert logit(low) == pytest.approx(logit(99.3) - half, rel=1e-5)
    assert logit(high) == pytest.approx(logit(99.3) + half, rel=1e-5)
    picture.draw(rows, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_file_keeps_every_figure(tmp_path: Path):
    rows = [Result("step3", 0, 7216, 98.25, 120.5, 1, "abc", (90.0, 97.01))]
    path = tmp_path / "results.csv"
    path.write_bytes(results_file.as_csv(rows))
    assert results_file.read_results(path) == rows


def test_only_a_whole_shipped_recipe_on_mnist_counts(
    composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = trained(composed, tmp_path)
    assert results.result_of(folder) is None  # a run of the digits
    text = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    text["experiment"], text["data"]["name"], text["data"]["test"] = "step3", "mnist", 10_000
    (folder / "summary.json").write_text(json.dumps(text), encoding="utf-8")
    assert results.result_of(folder) is None  # its config has changes
    monkeypatch.setattr(results, "changes", lambda _config: ["experiment=step3", "seed=1"])
    found = results.result_of(folder)
    assert found is not None and found.recipe == "step3" and found.final == round(text["accuracy"]["test"]["final"], 2)


@pytest.mark.parametrize("name", zoo.names())
def test_the_mean_over_seeds_on_a_card_is_that_of_the_file(name: str):
    (folder,) = find_runs([f"zoo:{name}"])
    summary, over_seeds = load_run(folder).summary, zoo.read_card(folder).over_seeds
    assert summary is not None
    final = [row.final for row in ROWS if row.recipe == summary.experiment]
    assert over_seeds.n == len(final) and over_seeds.mean == pytest.approx(statistics.fmean(final), abs=1e-3)
    assert over_seeds.deviation == pytest.approx(statistics.stdev(final), abs=1e-3)
    if name != "era4":  # its weights are older than the file
        (same,) = [row for row in ROWS if row.recipe == summary.experiment and row.seed == summary.seed]
        assert summary.accuracy.test.final == pytest.approx(same.final)
