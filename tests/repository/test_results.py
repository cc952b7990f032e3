"""The tables of results follow from docs/results.csv."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Compose, load_script
from tests.insight.test_saved_run import trained
from tests.published import NOTATION

results = load_script("results")
ROWS = results.read_results(REPOSITORY / results.RESULTS)


def test_every_table_is_made_from_the_file():
    for name, text in results.pages(ROWS).items():
        assert (REPOSITORY / name).read_text(encoding="utf-8") == text, f"{name}: run python scripts/results.py"


def test_the_rows_are_of_the_published_recipes():
    assert max(Counter((row.recipe, row.seed) for row in ROWS).values(), default=1) == 1
    for row in ROWS:
        assert row.recipe in results.RECIPES and row.parameters == NOTATION[row.recipe][0]
        assert all(0 < accuracy <= 100 for accuracy in (*row.test, row.train)) and row.seconds > 0


def test_the_table_has_means_and_deviations_by_hand():
    first = results.Result("step3", 0, 7216, 98.0, 120, 1, "", (90.0, 95.0, 96.0, 98.0, 97.0, 97.0))
    rows = [first, first._replace(seed=1, seconds=180, test=(90.0, 95.0, 96.0, 98.0, 97.0, 99.0))]
    (line,) = [line for line in results.results_table(rows).splitlines() if line.startswith("| step3 ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:6] == ["7,216", "6", "2", "98.00 ± 1.41", "96.80 ± 0.28"]
    assert cells[6:8] == ["98.50 ± 0.71", "90.00 ± 0.00"] and cells[9:] == ["0.00 ± 1.41", "2.5", "97.53"]
    assert results.mean_and_deviation([1.5]) == "1.50"
    assert results.count([*rows, first._replace(seed=2, test=(9.8, 89.9))]) == "3, 1 of them below 90 %"


def test_the_file_keeps_every_figure(tmp_path: Path):
    rows = [results.Result("step3", 0, 7216, 98.25, 120.5, 1, "abc", (90.0, 97.01))]
    path = tmp_path / "results.csv"
    path.write_bytes(results.as_csv(rows))
    assert results.read_results(path) == rows


def test_only_a_whole_published_recipe_on_mnist_counts(
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
