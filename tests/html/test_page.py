"""The page of a report in a browser: what it shows is what the run folder says, and every part reacts as a reader expects."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_lite.data.digits import load_digits
from mnist_lite.insight.comparison import compare_runs
from mnist_lite.insight.predictions import predict
from mnist_lite.insight.saved_run import load_run
from tests.html.conftest import OpenPage, page_data, write_page

SECTIONS = ["canvas", "curves", "layers", "confusion", "mistakes", "calibration", "parameters", "commands"]
TEST = load_digits()[1]


def texts(locator: Any) -> list[str]:
    return [text.strip() for text in locator.all_inner_texts()]


def open_values(page: Any) -> None:
    """Opens the table of the curves, which is filled when it opens."""
    page.locator("#curves summary").click()
    page.locator("#curves tbody tr").first.wait_for()


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return found


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


# --- one run


def test_the_verdict_is_that_of_the_run(small_run: Path, seen_run: Any):
    summary, page = summary_of(small_run), seen_run
    assert page.title() == "small · mnist-lite"
    assert page.locator("h1").inner_text() == "small"
    assert page.locator("#verdict .figure").inner_text() == f"{summary['accuracy']['test']['final']:.2f} %"
    headline = page.locator("#verdict .headline").inner_text()
    assert "50 test images of digits (NOT MNIST)" in headline and f"{summary['parameters']:,} parameters" in headline
    requirements = texts(page.locator("#verdict .budget .requirement"))
    assert requirements == [check["requirement"] for check in summary["budget"]["checks"]]
    assert [each.get_attribute("id") for each in page.locator("main section").all()][1:] == SECTIONS


def test_the_curves_have_the_values_of_the_metrics(small_run: Path, run_page: Path, open_page: OpenPage):
    page = open_page(run_page)
    open_values(page)
    shown = [[float(text) for text in texts(row.locator("th, td"))] for row in page.locator("#curves tbody tr").all()]
    evaluations = [row for row in rows_of(small_run) if "test/accuracy" in row]
    expected = [[row["epoch"], row["test/accuracy"], row["train/epoch_accuracy"]] for row in evaluations]
    assert np.allclose(shown, expected, rtol=1e-4) and len(shown) == 4
    page.locator("#curves").get_by_label("Loss", exact=True).check(force=True)
    page.locator("#curves").get_by_label("seconds").check(force=True)
    shown = [[float(text) for text in texts(row.locator("th, td"))] for row in page.locator("#curves tbody tr").all()]
    seconds = np.cumsum([row["seconds/train"] for row in evaluations])
    losses = [[row["test/loss"], row["train/epoch_loss"]] for row in evaluations]
    assert np.allclose(shown, np.column_stack([seconds, losses]), rtol=1e-4)


def scale(page: Any) -> list[float]:
    """The epochs at the left and at the right end of the picture."""
    page.evaluate("new Promise(requestAnimationFrame)")  # uPlot draws in the next frame
    words = page.locator("#curves .plot").get_attribute("aria-label").split(",")[0].split()
    return [float(words[-3]), float(words[-1])]


def test_the_curves_zoom_and_show_all_again(run_page: Path, open_page: OpenPage):
    page = open_page(run_page)
    page.locator("#curves .plot").scroll_into_view_if_needed()
    assert scale(page) == pytest.approx([1, 4], abs=0.05)
    box = page.locator("#curves .u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 3, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 2 * box["width"] / 3, middle, steps=5)
    page.mouse.up()
    assert scale(page) == pytest.approx([2, 3], abs=0.05)
    page.mouse.dblclick(box["x"] + 40, middle)
    assert scale(page) == pytest.approx([1, 4], abs=0.05)
    page.locator("#curves .plot").press("+")
    first, last = scale(page)
    assert last - first == pytest.approx(1.5, abs=0.1)
    page.locator("#zoom-out").click()
    assert scale(page) == pytest.approx([1, 4], abs=0.05)


def test_the_arrow_keys_read_the_curves(small_run: Path, run_page: Path, open_page: OpenPage):
    page, plot = (page := open_page(run_page)), page.locator("#curves .plot")
    evaluations = [row for row in rows_of(small_run) if "test/accuracy" in row]
    for row in evaluations[:2]:
        plot.press("ArrowRight")
        assert page.locator("#curves .position").inner_text() == f"At epoch {row['epoch']}:"
        assert page.locator("#curves .chip").first.inner_text().split() == ["test", f"{row['test/accuracy']:.2f}"]


def ink(page: Any, selector: str) -> int:
    """The number of pixels of a canvas that are not transparent."""
    count: int = page.locator(selector).evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v > 0).length"
    )
    return count


def test_a_click_on_a_name_hides_the_line(run_page: Path, open_page: OpenPage):
    page = open_page(run_page)
    chip = page.locator("#curves .chip").nth(1)
    before = ink(page, "#curves canvas")
    chip.click()
    assert chip.get_attribute("aria-pressed") == "false" and ink(page, "#curves canvas") != before
    chip.click()
    assert chip.get_attribute("aria-pressed") == "true" and ink(page, "#curves canvas") == before


def test_smoothing_changes_the_line_and_no_value(run_page: Path, open_page: OpenPage):
    page = open_page(run_page)
    open_values(page)
    before = page.locator("#curves tbody").inner_text(), page.locator("#curves .chips").inner_text()
    pixels = ink(page, "#curves canvas")
    page.locator("#smoothing").fill("0.5")
    assert page.locator("#curves output").inner_text() == "0.5"
    assert ink(page, "#curves canvas") != pixels
    assert (page.locator("#curves tbody").inner_text(), page.locator("#curves .chips").inner_text()) == before


def test_a_value_is_that_of_the_place_that_is_named(small_run: Path, run_page: Path, open_page: OpenPage):
    page = open_page(run_page)
    page.locator("#curves .plot").scroll_into_view_if_needed()
    box = page.locator("#curves .u-over").bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 40)  # epoch 2.2
    row = [row for row in rows_of(small_run) if "test/accuracy" in row][1]
    assert page.locator("#curves .position").inner_text() == "At epoch 2:"
    assert page.locator("#curves .chip").first.inner_text().split() == ["test", f"{row['test/accuracy']:.2f}"]


def test_a_curve_of_one_evaluation_is_a_point_and_absent_metrics_are_hidden(
    small_run: Path, tmp_path: Path, open_page: OpenPage
):
    folder = Path(shutil.copytree(small_run, tmp_path / "one"))
    row = next(row for row in rows_of(small_run) if "test/accuracy" in row)
    (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    page = open_page(write_page([folder], tmp_path / "one.html"))
    blue = page.locator("#curves canvas").evaluate(
        """c => { const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        return p.filter((v, i) => i % 4 === 0 && p[i] === 0 && p[i + 1] === 0x72 && p[i + 2] === 0xb2).length }"""
    )
    assert blue > 25
    assert texts(page.locator("#curves fieldset").first.locator("span")) == ["Accuracy", "Error", "Loss"]


def test_a_click_on_a_layer_shows_its_field_and_its_maps(small_run: Path, seen_run: Any):
    page, network = seen_run, load_run(small_run).network
    assert page.locator("#layers tbody tr").count() == len(network.layers)
    for layer in (network.layers[0], network.layers[4]):
        page.locator("#layers tbody button").nth(layer.number - 1).click()
        first, last = layer.rows_of_image(layer.middle)
        square = page.locator("#layers rect.field")
        assert [float(square.get_attribute(name)) for name in ("x", "width")] == [first, last - first + 1]
        channels, side, _ = layer.output
        maps = page.locator("#layers .maps canvas")
        assert maps.count() == channels and maps.first.get_attribute("width") == str(side)
    before = page.locator("#layers .digit canvas").get_attribute("aria-label")
    page.locator("#layers .next").click()
    assert page.locator("#layers .digit canvas").get_attribute("aria-label") != before


def test_a_click_on_a_cell_shows_its_images(small_run: Path, run_page: Path, seen_run: Any):
    page, data = seen_run, page_data(run_page)
    answers = predict(load_run(small_run), TEST.images).argmax(1)
    digit, answer = next((t, p) for t, p in zip(TEST.labels.tolist(), answers.tolist(), strict=True) if t != p)
    wanted = ((TEST.labels == digit) & (answers == answer)).nonzero().flatten().tolist()
    page.get_by_label(f"of {digit} taken for {answer}", exact=False).click()
    images = page.locator("#confusion .thumbnails canvas")
    assert page.locator("#confusion .cell-images h3").inner_text() == f"{digit} taken for {answer}"
    shown = [int(each.get_attribute("aria-label").split()[2].rstrip(",")) for each in images.all()]
    assert sorted(shown) == wanted[:100]
    pixels = images.first.evaluate("c => Array.from(c.getContext('2d').getImageData(0, 0, 28, 28).data)")
    # ink is dark on light paper: red is mixed from 255 (paper) to 27 (ink)
    expected = np.rint(255 + TEST.images[shown[0], 0].numpy().astype(float) / 255 * (27 - 255))
    assert np.abs(np.array(pixels[::4]).reshape(28, 28) - expected).max() <= 1
    assert data["tested"][0]["confusion"][digit][answer] == len(wanted)


def test_the_confusion_matrix_is_that_of_the_weights(small_run: Path, seen_run: Any):
    answers = predict(load_run(small_run), TEST.images).argmax(1)
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (TEST.labels.numpy(), answers.numpy()), 1)
    rows = seen_run.locator("#confusion table.confusion tbody tr").all()
    shown = [[int(text.replace("·", "0").replace(",", "")) for text in texts(row.locator("td"))] for row in rows]
    assert shown == expected.tolist()


def test_the_gallery_shows_all_mistakes_worst_first(small_run: Path, run_page: Path, seen_run: Any):
    page, data = seen_run, page_data(run_page)
    probabilities = predict(load_run(small_run), TEST.images).double().softmax(1)
    wrong = (probabilities.argmax(1) != TEST.labels).nonzero().flatten()
    of_truth = probabilities[wrong, TEST.labels[wrong]]
    worst_first = wrong[of_truth.argsort()].tolist()
    cards = page.locator("#mistakes .mistake")
    assert cards.count() == 12
    page.get_by_text(f"Show all {len(wrong)}").click()
    assert cards.count() == len(wrong)
    assert cards.first.get_attribute("aria-label").startswith(f"Test image {worst_first[0]}: ")
    assert [data["images"]["index"][each["image"]] for each in data["tested"][0]["mistakes"]] == worst_first
    assert cards.first.locator("canvas").count() == 3


def test_a_class_map_of_the_page_has_its_sign_and_its_largest_value(run_page: Path):
    maps = page_data(run_page)["tested"][0]["maps"]
    values = np.frombuffer(b64decode(maps["values"]), np.int8).reshape(-1, 2, maps["height"], maps["width"])
    assert (np.abs(values).max((1, 2, 3)) == 127).all()
    assert maps["exact"] == (values.min() < 0)


def test_the_calibration_has_a_point_for_each_bin(run_page: Path, seen_run: Any):
    page, tested = seen_run, page_data(run_page)["tested"][0]
    bins = [each for each in tested["bins"] if each["images"]]
    circles = page.locator("#calibration circle")
    assert circles.count() == len(bins) and sum(each["images"] for each in bins) == len(TEST)
    box = page.locator("#calibration line.ideal").evaluate(
        "l => ['x1', 'y1', 'x2', 'y2'].map((n) => Number(l.getAttribute(n)))"
    )
    x, y = (float(circles.first.get_attribute(name)) for name in ("cx", "cy"))
    assert (x - box[0]) / (box[2] - box[0]) == pytest.approx(bins[0]["confidence"], abs=1e-6)
    assert (y - box[1]) / (box[3] - box[1]) == pytest.approx(bins[0]["accuracy"], abs=1e-6)


def test_a_page_of_other_data_has_no_published_points(seen_run: Any):
    page = seen_run
    assert page.locator("#parameters .published").count() == 0 and page.locator("#parameters .own").count() >= 1


def test_the_command_can_be_copied_as_text(small_run: Path, seen_run: Any):
    command = seen_run.locator("#commands pre").inner_text()
    assert command.startswith("mnist-lite train model=step4 ") and command.endswith(" seed=0")


def test_the_page_says_what_it_leaves_out(run_page: Path, seen_run: Any):
    data = page_data(run_page)
    shown = texts(seen_run.locator("footer li"))
    assert shown == data["left_out"]
    assert any(line.startswith("Most test images") for line in shown) == (data["images"]["count"] < len(TEST))


def test_the_theme_changes_every_picture_and_nothing_else(run_page: Path, open_page: OpenPage):
    page = open_page(run_page)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    corner = "c => Array.from(c.getContext('2d').getImageData(0, 0, 1, 1).data)"
    page.locator("#layers tbody button").nth(2).click()
    page.locator("#mistakes").get_by_role("button").click()
    cards = page.locator("#mistakes .mistake").count()
    assert page.locator("#mistakes canvas").first.evaluate(corner)[0] > 240
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    for picture in ("#layers .digit canvas", "#mistakes .mistake:last-child canvas:first-child", "#confusion canvas"):
        assert page.locator(picture).first.evaluate(corner)[0] < 40
    assert page.locator("#theme").inner_text() == "Light theme"
    assert page.locator("#layer-name").inner_text().startswith("3 · ")
    assert page.locator("#mistakes .mistake").count() == cards > 12


# --- several runs


def test_a_comparison_says_which_is_better(compared_folders: list[Path], seen_comparison: Any):
    page, groups = seen_comparison, compare_runs(compared_folders).groups
    assert page.locator("#verdict .figure").inner_text() == "96.10 %"
    assert page.locator("#verdict .best").inner_text() == f"Highest mean: B · {groups[1].name}"
    assert (
        "Is B better than A? Yes: the mean difference is +6.000 percentage points"
        in page.locator(".answers").inner_text()
    )
    assert page.locator("#canvas").count() == 0
    assert "The canvas: only the page of a single run has it" in page.locator("footer").inner_text()


def test_a_click_on_a_head_sorts_the_runs(seen_comparison: Any):
    page = seen_comparison
    letters = lambda: [text[0] for text in texts(page.locator("#runs table.runs tbody th"))]  # noqa: E731
    assert letters() == ["A", "B", "C"]
    head = page.locator("#runs th", has_text="Final test accuracy")
    head.get_by_role("button").click()
    assert letters() == ["B", "A", "C"] and head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").press("Enter")
    assert letters() == ["C", "A", "B"] and head.get_attribute("aria-sort") == "ascending"
    page.locator("#runs th", has_text="Seeds").get_by_role("button").click()
    assert letters()[-1] == "C" and head.get_attribute("aria-sort") is None


def test_the_config_differences_are_shown(seen_comparison: Any):
    row = seen_comparison.locator("#runs .differences tr", has_text="optimizer.lr")
    assert texts(row.locator("td")) == ["0.01", "0.1", "0.5"]


def test_another_network_can_be_chosen(seen_comparison: Any):
    page = seen_comparison
    assert page.locator(".picker select").input_value() == "1"
    page.locator(".picker select").select_option("0")
    assert page.locator("#confusion").count() == 1 and page.locator("#layers tbody tr").count() > 3
    assert page.get_by_text("are those of seed 0, the first of the 3 runs.").count() == 1


def test_a_network_without_figures_says_why_and_keeps_its_sections(
    compared_folders: list[Path], tmp_path: Path, open_page: OpenPage
):
    first = Path(shutil.copytree(compared_folders[0], tmp_path / "first", ignore=shutil.ignore_patterns("*.pt")))
    page = open_page(write_page([first, compared_folders[3]], tmp_path / "two.html"))
    page.locator(".picker select").select_option("0")
    for section in ("confusion", "mistakes", "calibration"):
        assert "has no weights: last.pt is missing" in page.locator(f"#{section} .lead").inner_text()
    assert page.locator("nav a[href='#confusion']").count() == 1


def test_bands_and_groups_can_be_hidden(seen_comparison: Any):
    page = seen_comparison
    names = [chip.get_attribute("data-key") for chip in page.locator("#curves .chip").all()]
    assert names == ["A", "B", "C", "test", "train"]
    before = ink(page, "#curves canvas")
    page.locator("#curves .chip[data-key=train]").click()
    assert ink(page, "#curves canvas") != before


def test_each_run_has_its_command(seen_comparison: Any):
    commands = seen_comparison.locator("#commands pre").all_text_contents()
    assert len(commands) == 7
    assert [command.split("seed=")[1] for command in commands] == ["0", "1", "2", "0", "1", "2", "0"]
    assert all("optimizer.lr=0.1 " in command for command in commands[3:6])
