"""Nothing from a stranger's run folder becomes markup or script, and the page can use no network."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnist_lite.insight.comparison import compare_runs
from mnist_lite.insight.report import collect
from mnist_lite.reporting.html_page import as_json, policy, render
from tests.html.conftest import OpenPage, page_data, write_page

HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    '"><svg onload=window.hacked=1>',
    "<!--<script>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:window.hacked=1",
    "&lt;b&gt;\u2028\u202egnp.exe\x1b[31m\ud800",
)


class Tags(HTMLParser):
    """Counts the tags of a page, and keeps the contents of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.current = ""
        self.contents: dict[str, list[str]] = {"script": [], "style": []}
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.current = tag
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        self.current = ""

    def handle_data(self, data: str) -> None:
        if self.current in self.contents:
            self.contents[self.current].append(data)


@pytest.fixture(scope="module")
def hostile_folders(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Runs whose folder, name, model, config values and summary are hostile. Each differs in its learning rate."""
    top = tmp_path_factory.mktemp("hostile")
    paths = []
    for i, text in enumerate(HOSTILE):
        folder = top / re.sub(r"[/\0\ud800]", "_", text)
        shutil.copytree(small_run, folder)
        paths.append(folder)
        config: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        plain = text.replace("\ud800", "").replace("\x1b", "")  # YAML has no such characters
        config |= {"name": plain, plain: plain}
        config["optimizer"] = {**config["optimizer"], "lr": i + 1, plain: plain}
        config["choices"] = {**config["choices"], "model": plain, "experiment": plain}
        (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        summary |= {"name": plain, "model": plain, "experiment": plain, "device": plain, "git": plain}
        summary["versions"] = {"torch": plain, "mnist-lite": plain}
        check = {"key": plain, "requirement": plain, "value": plain, "met": None, "note": plain}
        summary["budget"] = {"met": None, "checks": [check]}
        (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def hostile_page(hostile_folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(hostile_folders, tmp_path_factory.mktemp("page") / "hostile.html")


@pytest.fixture(scope="module")
def attacked(browser: Any, run_page: Path) -> Iterator[Any]:
    """A page that lists what its policy has stopped. Its console has errors, so ``open_page`` cannot open it."""
    page = browser.new_page()
    page.goto(run_page.as_uri())
    listen = "document.addEventListener('securitypolicyviolation', (event) => stopped.push(event.effectiveDirective))"
    page.evaluate(f"window.stopped = []; {listen}")
    yield page
    page.close()


def test_hostile_texts_are_shown_as_texts(hostile_page: Path, open_page: OpenPage):
    page = open_page(hostile_page)
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    for i in range(len(HOSTILE)):
        page.locator(".picker select").select_option(str(i))
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, object, embed, link, base, form").count() == 0
    assert page.locator("script").count() == 2
    handlers = "[...document.querySelectorAll('*')].some((n) => [...n.attributes].some((a) => a.name.startsWith('on')))"
    assert not page.evaluate(handlers)
    assert page.evaluate("[...document.querySelectorAll('a')].every((a) => a.getAttribute('href').startsWith('#'))")
    shown = page.locator("#runs").inner_text()
    assert HOSTILE[0] in shown and HOSTILE[1] in shown
    assert not set("\u202e\u2028\x1b") & set(page.locator("body").inner_text())


def test_a_single_hostile_run_is_shown_as_text(hostile_folders: list[Path], tmp_path: Path, open_page: OpenPage):
    page = open_page(write_page(hostile_folders[:1], tmp_path / "one.html"))
    assert page.locator("h1").inner_text() == HOSTILE[0] and page.title() == f"{HOSTILE[0]} · mnist-lite"
    assert page.locator(".budget .requirement").inner_text() == HOSTILE[0]
    assert page.evaluate("window.hacked") is None


def test_the_markup_is_the_same_whatever_the_data_say(hostile_page: Path, run_page: Path):
    hostile, usual = (Tags(path.read_text(encoding="utf-8")) for path in (hostile_page, run_page))
    assert hostile.tags == usual.tags and hostile.attributes == usual.attributes


def test_the_policy_names_the_script_and_the_style_by_their_hash(run_page: Path):
    tags = Tags(run_page.read_text(encoding="utf-8"))
    (found,) = [value for name, value in tags.attributes if name == "content" and value and "default-src" in value]
    directives = dict(part.strip().split(" ", 1) for part in found.split(";"))
    digest = lambda text: f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"  # noqa: E731
    assert directives == {
        "default-src": "'none'",
        "script-src": digest(tags.contents["script"][-1]),
        "style-src": digest("".join(tags.contents["style"])),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


@pytest.mark.parametrize(
    ("attack", "directive"),
    [
        (
            "const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s)",
            "script-src",
        ),
        ("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 1\">')", "img-src"),
        ("fetch('http://127.0.0.1:9/').catch(() => {})", "connect-src"),
        (
            "const f = document.createElement('iframe'); f.src = 'http://127.0.0.1:9/'; document.body.append(f)",
            "frame-src",
        ),
    ],
)
def test_the_policy_stops_scripts_and_the_network(attack: str, directive: str, attacked: Any):
    attacked.evaluate("stopped.length = 0")
    attacked.evaluate(f"() => {{ {attack} }}")
    for _ in range(100):  # wait_for_function would need eval, which the policy forbids
        if attacked.evaluate("stopped.length"):
            break
        attacked.wait_for_timeout(50)
    assert any(found.startswith(directive) for found in attacked.evaluate("stopped"))
    assert attacked.evaluate("window.hacked") is None


def test_json_has_no_sign_that_html_knows_and_keeps_every_text():
    data = {"a": [*HOSTILE[:-1], 1.5, None], "<b>": True}
    text = as_json(data)
    assert not set("<>&\u2028\u2029") & set(text) and text.isascii()
    assert json.loads(text) == data
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json({"loss": float("nan")})


def test_a_title_is_escaped():
    page = render({"title": "</title><script>alert(1)</script>"}).decode()
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page


def test_the_policy_changes_with_the_script():
    assert policy("a", "b") != policy("a ", "b")


def test_the_page_has_no_path_of_this_machine(small_run: Path, run_page: Path):
    assert str(small_run.parent) not in run_page.read_text(encoding="utf-8")
    assert "/" not in page_data(run_page)["runs"][0]["folders"][0]


def test_the_small_run_does_not_change(small_run: Path):
    before = {path.name: path.read_bytes() for path in small_run.iterdir()}
    collect(compare_runs([small_run]))
    assert {path.name: path.read_bytes() for path in small_run.iterdir()} == before
