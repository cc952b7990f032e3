"""A headless browser, pages of the report, and a bare page with its JavaScript."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

from mnist_lite.insight.comparison import compare_runs
from mnist_lite.insight.report import collect
from mnist_lite.reporting.html_page import render
from tests.conftest import REPOSITORY, load_script

NPM = REPOSITORY / "tests" / "html" / "node_modules"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SEEDS = (0, 1, 2)


def joined_modules() -> str:
    """All modules as one script that does nothing by itself."""
    text: str = load_script("build_report").modules()
    return text


def missing(what: str) -> NoReturn:
    """Skips the test. In CI, it fails: there everything is installed."""
    if os.environ.get("CI"):
        pytest.fail(f"CI has no {what}")
    pytest.skip(f"no {what} on this machine")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The Chromium of this machine. Playwright downloads nothing."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        missing("Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def npm() -> Path:
    """The folder with the packages of package.json: see scripts/test."""
    if not (NPM / "axe-core").is_dir():
        missing("npm packages (npm ci --prefix tests/html)")
    return NPM


@pytest.fixture(scope="session")
def compared_folders(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two groups of three seeds: copies of one run with other accuracies. B is better than A, and C has one run."""
    folder = tmp_path_factory.mktemp("compared")
    groups = [("slow", 0.01, 90.0), ("fast", 0.1, 96.0)]
    paths = [
        changed_copy(small_run, folder / f"{name}_{seed}", name, lr, seed, accuracy + seed / 10)
        for name, lr, accuracy in groups
        for seed in SEEDS
    ]
    return [*paths, changed_copy(small_run, folder / "one", "one", 0.5, 0, 80.0)]


def changed_copy(source: Path, path: Path, name: str, lr: float, seed: int, final: float) -> Path:
    """A copy of a run folder, with another name, learning rate, seed and final accuracy."""
    shutil.copytree(source, path)
    config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    config |= {"name": name, "seed": seed, "optimizer": {**config["optimizer"], "lr": lr}}
    (path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    summary |= {"name": name, "seed": seed}
    summary["accuracy"]["test"]["final"] = final
    (path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def run_page(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of one run."""
    return write_page([small_run], tmp_path_factory.mktemp("page") / "run.html")


@pytest.fixture(scope="session")
def compared_page(compared_folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a comparison."""
    return write_page(compared_folders, tmp_path_factory.mktemp("page") / "compared.html")


def write_page(folders: list[Path], path: Path) -> Path:
    path.write_bytes(render(collect(compare_runs(folders))))
    return path


OpenPage = Callable[..., Any]


@contextmanager
def pages(browser: Any) -> Iterator[OpenPage]:
    """``open_file(path, width=1600, theme="dark")`` opens a page from its file.

    At the end, there must be no error in the console, and no request beside the files themselves.
    """
    opened, errors, requests = [], [], []

    def open_file(path: Path, width: int = 1280, theme: str = "light") -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
        opened.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("request", lambda request: requests.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        return page

    yield open_file
    for page in opened:
        page.close()
    assert (errors, requests) == ([], [])


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """``pages`` for one test."""
    with pages(browser) as open_file:
        yield open_file


@pytest.fixture(scope="module")
def seen_run(browser: Any, run_page: Path) -> Iterator[Any]:
    """The page of one run, for tests that read it, or that change a part which no other test looks at."""
    with pages(browser) as open_file:
        yield open_file(run_page)


@pytest.fixture(scope="module")
def seen_comparison(browser: Any, compared_page: Path) -> Iterator[Any]:
    """The page of a comparison, as ``seen_run``."""
    with pages(browser) as open_file:
        yield open_file(compared_page)


def page_data(path: Path) -> dict[str, Any]:
    """The data in a page."""
    text = path.read_text(encoding="utf-8")
    start = text.index('id="report-data">') + len('id="report-data">')
    found: dict[str, Any] = json.loads(text[start : text.index("</script>", start)])
    return found


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
