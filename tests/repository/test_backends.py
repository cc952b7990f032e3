"""The comparison of the backends' accuracy: docs/backends.csv, and its table in docs/performance.md."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Compose, load_script
from tests.insight.test_saved_run import trained

backends = load_script("backends")
BackendRun = backends.BackendRun
ROWS = backends.read_backends()


def test_the_table_is_made_from_the_file():
    text = (REPOSITORY / backends.PAGE).read_text(encoding="utf-8")
    assert backends.page(ROWS) == text, "run python scripts/backends.py"


def test_each_run_has_one_line():
    assert max(Counter(row[:3] for row in ROWS).values()) == 1
    assert {row.backend for row in ROWS} == {"kernels", "torch"}
    assert all(98 < row.final < 100 for row in ROWS)


def test_the_difference_and_its_standard_error_by_hand():
    finals = {"kernels": (99.0, 99.2, 99.4), "torch": (98.0, 98.2)}  # variances 0.04 and 0.02
    rows = [BackendRun("era4", name, i, final, "") for name, values in finals.items() for i, final in enumerate(values)]
    only_one_backend = BackendRun("eva5", "torch", 0, 99.0, "")
    (line,) = backends.backends_table([*rows, only_one_backend]).splitlines()[2:]
    error = (0.04 / 3 + 0.02 / 2) ** 0.5
    assert line == f"| era4 | 99.20 ± 0.20 (n = 3) | 98.10 ± 0.14 (n = 2) | +1.100 ± {error:.3f} |"


@pytest.mark.parametrize(
    ("changed", "stop", "counts"),
    [
        (["backend=torch", "precision=fp32"], None, True),
        (["optimizer.lr=0.1"], None, False),
        (["stop_at_accuracy=99"], 99.0, False),
    ],
)
def test_a_run_counts_if_only_its_backend_was_changed(
    changed: list[str], stop: float | None, counts: bool, composed: Compose, tmp_path: Path, monkeypatch
):
    folder = trained(composed, tmp_path)
    text = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    text["experiment"], text["data"]["name"], text["data"]["test"] = "era4", "mnist", 10_000
    (folder / "summary.json").write_text(json.dumps(text), encoding="utf-8")
    results = load_script("results")
    monkeypatch.setattr(results, "changes", lambda _config: ["experiment=era4", "seed=1", *changed])
    monkeypatch.setattr(backends, "read_config", lambda _folder: {"stop_at_accuracy": stop})
    found = backends.backend_run(folder)
    assert (found is not None) == counts
    if found is not None:
        final = round(text["accuracy"]["test"]["final"], 2)
        assert found[:4] == ("era4", text["backend"], text["seed"], final)
