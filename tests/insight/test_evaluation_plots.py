"""Pictures show the figures that they are given, and can be drawn in extreme cases."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mnist_lite.insight import evaluation_plots, network_plots
from mnist_lite.insight.activations import feature_maps
from mnist_lite.insight.evaluation import evaluate
from mnist_lite.insight.evaluation_plots import percent
from tests.insight.networks import random_images, random_run
from tests.insight.test_evaluation import random_answers

PNG = b"\x89PNG"


def test_the_confusion_picture_has_the_counts_in_their_cells():
    found = evaluate(*random_answers(0))
    axes = evaluation_plots._confusion(found, "era4").axes[0]
    shown = {(int(y), int(x)): int(text.get_text()) for text in axes.texts for x, y in [text.get_position()]}
    expected = {(t, p): n for t, row in enumerate(found.confusion) for p, n in enumerate(row) if n}
    assert shown == expected
    assert axes.get_title().startswith("era4\n")


def test_the_reliability_picture_has_a_point_for_each_bin_with_images():
    found = evaluate(*random_answers(1))
    axes: Any
    counts: Any
    axes, counts = evaluation_plots._reliability(found, "era4").axes
    points = [tuple(container.lines[0].get_xydata()[0]) for container in axes.containers]
    assert points == [(b.confidence, b.accuracy) for b in found.bins if b.images]
    assert [bar.get_height() for bar in counts.patches] == [b.images for b in found.bins]


def test_the_gallery_has_both_confidences_and_the_loss():
    found = evaluate(*random_answers(2))
    panels = evaluation_plots._gallery(found, random_images(400), "era4").axes
    for axes, mistake in zip(panels, found.mistakes, strict=False):
        lines = axes.get_title().splitlines()
        assert lines[1] == f"is {mistake.true}: {percent(mistake.true_confidence)}"
        assert lines[2] == f"taken for {mistake.predicted}: {percent(mistake.predicted_confidence)}"
        assert lines[3] == f"loss {mistake.loss:.2f}"
    losses = [mistake.loss for mistake in found.mistakes]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize(
    ("share", "text"), [(0.9624, "96.2 %"), (0.01, "1.0 %"), (0.0003, "0.03 %"), (0, "0 %"), (1, "100.0 %")]
)
def test_small_confidences_are_not_rounded_to_zero(share: float, text: str):
    assert percent(share) == text


@pytest.mark.parametrize(
    "layers",
    [
        [{"conv": 10}, "global_avg_pool"],
        [{"conv": 70, "kernel": 5, "stride": 4}, "relu", {"conv": 10, "kernel": 3}, "global_avg_pool"],
        [{"conv": 4, "kernel": 1}, "relu", "flatten", {"linear": 10}],
        ["flatten", {"linear": 10}],
    ],
    ids=["large maps", "small maps", "Grad-CAM", "no maps"],
)
def test_pictures_of_any_network_can_be_drawn(layers: list[object]):
    run, images = random_run(layers), random_images(3)
    images[0] = 0  # no outline
    labels = torch.tensor([0, 1, 2])
    found = evaluate(run.classifier()(images), labels)
    worst = found.mistakes[:2]
    kinds = network_plots.class_maps_of(run, images[[mistake.index for mistake in worst]])
    assert bool(kinds) == (layers[0] != "flatten")
    if kinds:
        assert network_plots.draw_class_maps(worst, images, kinds, "random").startswith(PNG)
    filters = network_plots.first_filters(run.network)
    assert filters is not None and network_plots.draw_filters(filters, "random").startswith(PNG)
    maps = feature_maps(run, images[0])
    assert network_plots.draw_feature_maps(images[0], maps, "random").startswith(PNG)


def test_a_network_that_is_always_right_has_its_pictures():
    found = evaluate(50 * torch.eye(10), torch.arange(10))
    assert evaluation_plots.draw_confusion(found, "all right").startswith(PNG)
    assert evaluation_plots.draw_reliability(found, "all right").startswith(PNG)
