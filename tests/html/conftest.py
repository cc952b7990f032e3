"""A headless browser, and a bare page with the JavaScript of the report."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mnist_lite

HTML = Path(mnist_lite.__file__).parent / "reporting" / "html"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium. Where there is none, the tests are skipped; in CI they fail."""
    chromium = shutil.which("chromium")
    if chromium is None:
        message = "no chromium on this machine"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


def joined_modules() -> str:
    """All modules as one classic script, in the order of their imports."""
    done: list[str] = []
    parts: list[str] = []

    def add(name: str) -> None:
        if name in done:
            return
        done.append(name)
        text = (HTML / name).read_text(encoding="utf-8")
        for needed in re.findall(r"^import [^;]* from '\./([^']+)';$", text, re.M):
            add(needed)
        text = re.sub(r"^import [^;]*;\n", "", text, flags=re.M)
        parts.append(re.sub(r"^export ", "", text, flags=re.M))

    for path in sorted(HTML.glob("*.mjs")):
        add(path.name)
    return "\n".join(parts)


@pytest.fixture(scope="module")
def bare_page(browser: Any) -> Iterator[Any]:
    """An empty page in which all functions of the modules can be called."""
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.set_content("<!doctype html><title>test</title><main></main>")
    page.add_script_tag(content=joined_modules())
    yield page
    page.close()
    assert errors == []
