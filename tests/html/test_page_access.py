"""The page for everyone: both themes, narrow and wide, the keyboard alone, print, and axe-core's rules."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

from tests.html.conftest import OpenPage

FOCUSED = """() => {
  const node = document.activeElement;
  const shown = node.matches('.radios input') ? node.nextElementSibling : node;
  const box = shown.getBoundingClientRect();
  const style = getComputedStyle(shown);
  return {
    tag: node.tagName, id: node.id, classes: node.className.toString(), section: node.closest('section')?.id ?? '',
    text: (node.getAttribute('aria-label') ?? node.textContent ?? '').trim().slice(0, 40),
    outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, top: box.top + scrollY, width: box.width,
  };
}"""


def violations(page: Any, npm: Path) -> list[str]:
    """The serious violations of axe-core's rules."""
    page.evaluate((npm / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{each['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def test_axe_finds_no_serious_violation(run_page: Path, compared_page: Path, open_page: OpenPage, npm: Path):
    for path in (run_page, compared_page):
        page = open_page(path)
        page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        for width, theme in product((360, 1600), ("light", "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme)
            assert violations(page, npm) == [], (path.name, width, theme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_keyboard_reaches_everything_in_order_with_a_visible_focus(run_page: Path, open_page: OpenPage):
    page = open_page(run_page)
    focused = []
    for _ in range(400):
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUSED)
        if now["tag"] == "BODY":
            break
        focused.append(now)
    assert [each for each in focused if not each["outline"] or each["width"] == 0] == []
    assert focused[0]["classes"] == "skip" and focused[1]["id"] == "theme"
    order = list(dict.fromkeys(each["section"] for each in focused if each["section"]))
    assert order == ["canvas", "curves", "layers", "confusion", "mistakes", "calibration", "parameters", "commands"]
    wanted = page.evaluate(
        "[...document.querySelectorAll('button, a, select, summary, input:not([type=radio])')]"
        ".filter((node) => node.checkVisibility()).length"
    )
    reached = [each for each in focused if each["tag"] in ("BUTTON", "A", "SELECT", "SUMMARY", "INPUT")]
    radios = page.locator("input[type=radio]:checked").count()
    assert len(reached) == wanted + radios


def test_the_keyboard_alone_opens_a_cell_a_layer_and_a_table(run_page: Path, open_page: OpenPage):
    page = open_page(run_page)
    page.locator("#layers tbody button").nth(3).focus()
    page.keyboard.press("Enter")
    assert page.locator("#layer-name").inner_text().startswith("4 · ")
    cell = page.locator("#confusion td.right button").first
    cell.focus()
    page.keyboard.press("Space")
    assert page.locator("#confusion .cell-images h3").inner_text().endswith("recognised")
    summary = page.locator("#calibration summary")
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("#calibration details table").is_visible()
    chosen = page.locator("#curves input[name=metric]:checked")
    chosen.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#curves input[name=metric]:checked").get_attribute("value") == "error"


def test_on_a_narrow_screen_a_layer_scrolls_into_view_and_cells_hold_their_numbers(run_page: Path, open_page: OpenPage):
    page = open_page(run_page, width=360)
    page.emulate_media(reduced_motion="reduce")  # no smooth scrolling, which takes time
    page.locator("#layers tbody button").first.click()
    assert 0 <= page.evaluate("document.querySelector('#layer-name').getBoundingClientRect().top") < 200
    assert page.locator("#layer-name").inner_text().startswith("1 · ")
    widths = page.evaluate(
        "[...document.querySelectorAll('table.confusion thead th')].map((cell) => cell.getBoundingClientRect().width)"
    )
    assert len(widths) == 10 and max(widths) - min(widths) < 1.5
    too_wide = (
        "[...document.querySelectorAll('table.confusion button')].filter((b) => b.scrollWidth > b.clientWidth).length"
    )
    assert page.evaluate(too_wide) == 0
    assert page.locator("#parameters svg").get_attribute("viewBox") == "0 0 420 430"


def test_every_picture_has_a_table_as_its_text(run_page: Path, open_page: OpenPage):
    page = open_page(run_page)
    for section in ("curves", "calibration", "parameters"):
        page.locator(f"#{section} summary").first.click()
        page.locator(f"#{section} details table tbody tr").first.wait_for()
    unnamed = (
        "[...document.querySelectorAll('canvas, svg')]"
        ".filter((each) => !each.closest('[aria-hidden], .plot') && !each.getAttribute('aria-label')).length"
    )
    assert page.evaluate(unnamed) == 0


def test_print_has_no_controls_and_is_light(run_page: Path, open_page: OpenPage):
    page = open_page(run_page, theme="dark")
    page.emulate_media(media="print")
    for hidden in ("nav", "#curves .controls", "#theme", "#commands button", ".screen-only", "#calibration details"):
        assert not page.locator(hidden).first.is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper').trim()") == "#ffffff"
    assert page.locator("#verdict .figure").is_visible() and page.locator("#confusion table").first.is_visible()
    corner = "c => Array.from(c.getContext('2d').getImageData(0, 0, 1, 1).data)"
    assert page.locator("#layers .digit canvas").evaluate(corner) == [255, 255, 255, 255]
    assert len(page.pdf()) > 10_000
