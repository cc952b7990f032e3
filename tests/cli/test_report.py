"""The command line of report: where the page is written, and one line for bad input."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import RunCommand


@pytest.fixture
def run(small_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_run, tmp_path / "runs" / small_run.name))


def test_the_page_has_the_name_of_the_run(run: Path, call: RunCommand):
    done = call("report", f"runs/{run.name}")
    assert (done.returncode, done.stderr) == (0, "")
    page = Path(f"{run.name}.html")
    assert done.stdout == f"{page}  {page.stat().st_size / 1e6:.2f} MB; open it in a browser\n"
    assert page.read_bytes().startswith(b"<!doctype html>")


def test_the_output_can_be_named(run: Path, call: RunCommand):
    assert call("report", "latest", "output=pages/mine.html").returncode == 0
    assert Path("pages/mine.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "report: expected run folders"),
        (("nowhere",), "nowhere: no run folder"),
        (("latest", "out=x"), "out: unknown option; did you mean output?"),
        (("latest", "output=."), "output: . is a folder; name a file, such as report.html"),
        (("latest", "output=page.txt"), "output: page.txt is not a name for a page; name it page.html"),
        (("Zoo:era4",), "Zoo:era4: no shipped network; did you mean zoo:era4?"),
        ((__file__,), "test_report.py: this is a file, and a run is a folder"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], message: str, run: Path, call: RunCommand):
    done = call("report", *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_page_of_a_pattern_is_report_html(run: Path, call: RunCommand, tmp_path: Path):
    assert call("report", "runs/*").returncode == 0
    (tmp_path / f"{run.name}.html").rename(tmp_path / "one.html")  # the pattern stands for one run
    shutil.copytree(run, run.parent / "other")
    assert call("report", "runs/*").returncode == 0
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["one.html", "report.html"]


def test_a_page_is_not_written_into_a_run_folder(run: Path, call: RunCommand):
    done = call("report", "latest", f"output=runs/{run.name}/page.html")
    assert done.returncode == 2 and "is inside the run folder" in done.stderr
