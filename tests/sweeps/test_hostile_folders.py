"""Looking at the folder of a sweep from a stranger: nothing outside is read or written, and nothing hangs.

Each test puts something hostile in the place of a file of a good sweep, and compares it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mnist_lite.errors import ExpectedError, exit_code_of
from mnist_lite.sweeps.compare import compare
from tests.faults.child import train
from tests.faults.recipes import FEW
from tests.sweeps.fake_sweep import write_manifest, write_run
from tests.sweeps.inline import RunInline

OUTPUTS = {"sweep.csv", "sweep.json", "curves.png", "accuracy_by_lr.png", "search.png"}
SECRET = "the secret of the user"
JOBS = ("a", "b")


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Ends a test that waits for a pipe or reads an endless file."""
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _too_long(*_arguments: object) -> None:
    raise AssertionError("the test hangs")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file outside of the sweep."""
    path = tmp_path / "victim"
    path.write_text(SECRET)
    return path


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep with two jobs that are done."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    for seed, name in enumerate(JOBS):
        write_run(folder, name, [90.0, 99.0], seed=seed)
    write_manifest(folder, [{"overrides": [f"lr=0.{seed + 1}"], "folder": name} for seed, name in enumerate(JOBS)])
    return folder


def everything(folder: Path) -> dict[str, bytes | str]:
    """The content of all files but the outputs of ``compare``. For other things, what they are."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1e6
        else str(path.lstat().st_mode)
        for path in folder.rglob("*")
        if path.name not in OUTPUTS
    }


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def link_to_zeros(path: Path, _victim: Path) -> None:
    path.symlink_to("/dev/zero")


def pipe(path: Path, _victim: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, _victim: Path) -> None:
    path.mkdir()


def unix_socket(path: Path, _victim: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        server.bind(path.name)
    finally:
        os.chdir(here)
        server.close()


def huge(path: Path, _victim: Path) -> None:
    with path.open("wb") as file:
        file.truncate(200 * 1024**3)


def deep(path: Path, _victim: Path) -> None:
    path.write_text("[" * 200_000 + "\n")


def not_text(path: Path, _victim: Path) -> None:
    path.write_bytes(b'{"\xff\xfe": 1}\n' * 9)


def not_finite(path: Path, _victim: Path) -> None:
    text = path.read_text() if path.is_file() else '{"op_code": 0, "worker_id": 0.5}\n'
    path.write_text(text.replace("0.5", "NaN").replace("99.0", "1e999").replace("0.1", "Infinity"))


Put = Callable[[Path, Path], None]
REPLACED: tuple[Put, ...] = (link, link_to_zeros, pipe, folder, unix_socket, huge, deep, not_text)
FILES = ("jobs.jsonl", "study.log", "a/summary.json", "a/metrics.jsonl", "a/error.txt", "a/config.yaml")


@pytest.mark.parametrize("put", REPLACED, ids=lambda put: put.__name__)
@pytest.mark.parametrize("name", FILES)
def test_compare_reads_and_writes_nothing_outside(
    name: str, put: Put, sweep: Path, victim: Path, capsys: pytest.CaptureFixture[str]
):
    (sweep / name).unlink(missing_ok=True)
    if name == "a/error.txt":
        (sweep / "a" / "summary.json").unlink()
    put(sweep / name, victim)
    before = everything(sweep)
    code = exit_code_of(lambda: compare(sweep, verify=True))
    output = capsys.readouterr()
    assert code in (0, 1, 2)
    if code:
        assert Path(name).name in output.err and output.err.count("\n") <= 2
    assert everything(sweep) == before
    assert victim.read_text() == SECRET
    shown = [output.out, output.err, *(path.read_text() for path in sweep.glob("sweep.*"))]
    assert not any(SECRET in text for text in shown)


@pytest.mark.parametrize("name", ["jobs.jsonl", "a/summary.json", "a/metrics.jsonl"])
def test_numbers_that_are_not_finite_are_one_line(name: str, sweep: Path, victim: Path, capsys):
    not_finite(sweep / name, victim)
    code = exit_code_of(lambda: compare(sweep, verify=True))
    assert code in (0, 1, 2) and capsys.readouterr().err.count("\n") <= 1


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("accuracy", "test", "final"), -1.0),
        (("accuracy", "test", "final"), 100.1),
        (("accuracy", "test", "best_epoch"), 2**70),
        (("data", "test"), 0),
        (("data", "test"), -5),
        (("parameters",), 10**300),
        (("seconds", "train"), -1.0),
        (("seed",), -1),
        (("name",), ["x"]),
        (("versions",), None),
    ],
)
def test_a_summary_with_an_impossible_value_is_not_a_result(keys: tuple[str, ...], value: object, sweep: Path, capsys):
    path = sweep / "a" / "summary.json"
    content = node = json.loads(path.read_text())
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    path.write_text(json.dumps(content))
    assert compare(sweep, verify=False) == 0
    assert "2 jobs: 1 done, 1 to do" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["..", ".", "../sweep/a", "a/../a", "/etc", "", "a\0b", "x" * 300])
def test_a_name_that_leads_out_of_the_sweep_is_refused(name: str, sweep: Path):
    write_manifest(sweep, [{"overrides": ["lr=0.1"], "folder": name}])
    with pytest.raises(ExpectedError, match=r"line 1 of .*jobs\.jsonl is not a job"):
        compare(sweep, verify=True)


def test_a_job_folder_that_is_a_link_is_not_read(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (sweep / "a").rename(tmp_path / "elsewhere")
    (sweep / "a").symlink_to(tmp_path / "elsewhere")
    before = everything(tmp_path)
    assert compare(sweep, verify=True) == 0
    assert "2 jobs: 1 done" in capsys.readouterr().out
    assert everything(tmp_path) == before


def test_the_user_may_name_a_link_to_a_sweep(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "latest").symlink_to(sweep)
    assert compare(tmp_path / "latest", verify=True) == 0
    assert "2 jobs: 2 done" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["run.log", "metrics.jsonl", ".lock", "summary.json", "last.pt", "x"])
@pytest.mark.parametrize("put", [link, pipe, folder], ids=lambda put: put.__name__)
def test_a_sweep_does_not_train_in_a_hostile_job_folder(
    name: str, put: Put, run_inline: RunInline, tmp_path: Path, victim: Path
):
    job = ("-m", *FEW, "seed=1")
    code, text = run_inline(*job)
    assert code == 0, text
    (run,) = (path.parent for path in (tmp_path / "sweep").glob("*/summary.json"))
    for path in run.iterdir():
        path.unlink()
    put(run / name, victim)
    before = everything(run)
    code, text = run_inline(*job)
    assert code in (1, 2) and "Traceback" not in text, text
    assert victim.read_text() == SECRET
    after = everything(run)
    after.pop("error.txt", None)
    assert after == before


@pytest.mark.parametrize("name", ["jobs.jsonl", ".jobs.lock"])
@pytest.mark.parametrize("put", [link, pipe, folder], ids=lambda put: put.__name__)
def test_a_sweep_is_not_started_in_a_hostile_folder(
    name: str, put: Put, run_inline: RunInline, tmp_path: Path, victim: Path
):
    (tmp_path / "sweep").mkdir()
    put(tmp_path / "sweep" / name, victim)
    code, text = run_inline("-m", *FEW, "seed=1")
    assert code in (1, 2) and name in text and "Traceback" not in text, text
    assert victim.read_text() == SECRET


def test_a_job_folder_that_is_a_link_is_not_trained_in(run_inline: RunInline, tmp_path: Path):
    code, text = run_inline("-m", *FEW, "seed=1")
    assert code == 0, text
    (run,) = (path.parent for path in (tmp_path / "sweep").glob("*/summary.json"))
    for path in run.iterdir():
        path.unlink()
    (tmp_path / "elsewhere").mkdir()
    run.rmdir()
    run.symlink_to(tmp_path / "elsewhere")
    code, text = run_inline("-m", *FEW, "seed=1")
    assert code == 1 and "Traceback" not in text, text
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_user_may_name_a_link_to_a_run(tmp_path: Path):
    assert train(tmp_path, *FEW).code == 0
    (run,) = (tmp_path / "runs").iterdir()
    (tmp_path / "latest").symlink_to(run)
    assert train(tmp_path, "resume=latest").code == 0
