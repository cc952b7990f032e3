"""The notation and the tables of the search for small networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mnist_lite.model.build import build
from tests.conftest import REPOSITORY, load_script

search_file, search_layers = load_script("search_file"), load_script("search_layers")
SearchRun = search_file.SearchRun


def test_the_notation_of_a_shipped_network_is_its_layer_list():
    shipped = yaml.safe_load((REPOSITORY / "conf/model/frontier_8k.yaml").read_text(encoding="utf-8"))
    found = build({"layers": search_layers.layers_of("12 24sn M 24snpr 24snpr 32sn M 32snpr 48sn")})
    expected = build(shipped)
    assert [(row.kind, row.output, row.parameters) for row in found.layers] == [
        (row.kind, row.output, row.parameters) for row in expected.layers
    ]


@pytest.mark.parametrize(
    ("notation", "parameters"),
    [
        ("8", 72 + 16 + 90),
        ("@silu 8k5 M", 200 + 16 + 90),
        ("8 12s", 88 + 72 + 16 + 96 + 24 + 130),
        ("8 12sn", 88 + 72 + 96 + 24 + 130),
        ("8 8snpr 8xd2 A G", 88 + 72 + 64 + 16 + 576 + 16 + 72 + 16 + 90),
        ("8 8snprg2 M3 12mn 12anpr", 88 + 72 + 32 + 16 + 96 + 24 + 144 + 24 + 130),
        ("8 2( 8p M ) 3( 8s5npr )", 88 + 576 + 2 * 16 + 200 + 64 + 3 * 16 + 90),
    ],
)
def test_parameters_by_hand(notation: str, parameters: int):
    assert build({"layers": search_layers.layers_of(notation)}).parameters == parameters


def test_pools_by_hand():
    """Pools have no parameters, so the test above cannot see them."""
    norm = ["batch_norm", "relu"]
    assert search_layers.layers_of("8anp 12mn M3 A3 A")[:-2] == [
        *({"avg_pool": 3, "stride": 1, "padding": 1}, {"conv": 8, "kernel": 1}, *norm),
        *({"max_pool": 3, "stride": 1}, {"conv": 12, "kernel": 1}, *norm),
        *({"max_pool": 3, "stride": 2}, {"avg_pool": 3, "stride": 2}, {"avg_pool": 2}),
    ]


@pytest.mark.parametrize("notation", ["8 M8", "x", "8 12q", "8sd3", "8g2", "8 ) 12", "8 ( 12 )"])
def test_a_word_that_is_not_in_the_notation_is_named(notation: str):
    with pytest.raises(ValueError, match="is not in the notation"):
        search_layers.layers_of(notation)


def test_a_bracket_that_is_not_closed_is_an_error():
    with pytest.raises(ValueError, match="a bracket that is not closed"):
        search_layers.layers_of("8 2( 8p")


def test_the_file_keeps_every_figure_and_is_sorted(tmp_path: Path):
    runs = [
        SearchRun("8 M", 300, "augment=affine batch_size=32 epochs=5 optimizer.lr=0.1", 1, 98.5, 0.0301, 97.25),
        SearchRun("8", 178, "augment=affine batch_size=32 optimizer.lr=0.1", 0, 98.25, 0.04, 97.0),
    ]
    path = tmp_path / "search.csv"
    search_file.write_search(path, [*runs, runs[0]])
    assert search_file.read_search(path) == [runs[1], runs[0]]
    assert [run.epochs for run in runs] == [5, 15]


def test_a_table_has_a_line_for_each_configuration_and_the_lowest_loss_first():
    usual = "augment=affine batch_size=32 optimizer.lr=0.1"
    runs = [
        SearchRun("8", 178, usual, 0, 98.0, 0.05, 97.0),
        SearchRun("8", 178, usual, 1, 98.5, 0.03, 97.0),
        SearchRun("8 M", 178, "augment=none batch_size=32 optimizer.lr=0.1", 0, 98.5, 0.02, 97.0),
        SearchRun("12", 178, "augment=affine batch_size=32 epochs=5 optimizer.lr=0.1", 0, 97.0, 0.01, 97.0),
        SearchRun("12", 178, "augment=affine batch_size=32 epochs=2 optimizer.lr=0.1", 0, 97.0, 0.01, 97.0),
        SearchRun("16", 1000, usual, 0, 99.0, 0.01, 97.0),
    ]
    chosen = search_file.choose(runs, range(100, 1000), range(5, 16))
    assert search_file.search_table(chosen) == [
        ("178", "`8 M`", "`augment=none`", "98.50", "98.50", "0.0200"),
        ("178", "`8`", "", "98.00, 98.50", "98.25", "0.0400"),
        ("178", "`12`", "`epochs=5`", "97.00", "97.00", "0.0100"),
    ]
    assert search_file.configurations(chosen) == 3 and len(chosen) == 4
    assert search_file.choose(runs, range(100, 1000), range(1, 5)) == [runs[4]]


def test_the_file_in_the_repository_has_the_parameters_of_its_notation():
    for run in search_file.read_search(REPOSITORY / search_file.SEARCH):
        if run.seed == 0:
            assert build({"layers": search_layers.layers_of(run.layers)}).parameters == run.parameters
