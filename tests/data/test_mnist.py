"""Real MNIST's files: the tensors are right to the byte, and an error names the file that is wrong."""

from __future__ import annotations

import gzip
import http.server
import importlib
import multiprocessing
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_lite.data.mnist import FILES, load_mnist
from mnist_lite.errors import MachineError, UserError

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = (file.name for file in FILES)


def idx(path: Path) -> np.ndarray:
    """Reads an IDX file by its specification, without torchvision."""
    raw = gzip.decompress(path.read_bytes())
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", dimensions, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def link_files(source: Path, target: Path, pattern: str = "*") -> None:
    target.mkdir(parents=True)
    for file in source.glob(pattern):
        (target / file.name).symlink_to(file)


@pytest.fixture
def packed(mnist_root: Path, tmp_path: Path) -> Path:
    """A folder with ``.gz`` files only. The files are links."""
    link_files(mnist_root / "MNIST" / "raw", tmp_path / "packed" / "MNIST" / "raw", "*.gz")
    return tmp_path / "packed"


@pytest.fixture(scope="session")
def extracted_files(mnist_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extracted")
    for file in FILES:
        packed = mnist_root / "MNIST" / "raw" / f"{file.name}.gz"
        (folder / file.name).write_bytes(gzip.decompress(packed.read_bytes()))
    return folder


@pytest.fixture
def extracted(extracted_files: Path, tmp_path: Path) -> Path:
    """A folder with extracted files only. The files are links."""
    link_files(extracted_files, tmp_path / "extracted" / "MNIST" / "raw")
    return tmp_path / "extracted"


@contextmanager
def unprivileged() -> Iterator[None]:
    """Runs as a user that file permissions apply to. They do not apply to root."""
    if os.geteuid() != 0:
        yield
        return
    importlib.import_module("torchvision.datasets")  # load_mnist imports it, and root's Python may be closed to others
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter. pytest's folders are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=True)
    shutil.rmtree(folder)


def test_real_mnist_is_byte_for_byte_the_files(mnist_root: Path, packed: Path):
    train, test = load_mnist(packed)
    raw = mnist_root / "MNIST" / "raw"
    for split, prefix, count in ((train, "train", 60_000), (test, "t10k", 10_000)):
        assert split.images.shape == (count, 1, 28, 28) and split.images.dtype == torch.uint8
        assert split.labels.shape == (count,) and split.labels.dtype == torch.int64
        assert np.array_equal(split.images[:, 0].numpy(), idx(raw / f"{prefix}-images-idx3-ubyte.gz"))
        assert np.array_equal(split.labels.numpy(), idx(raw / f"{prefix}-labels-idx1-ubyte.gz"))


def test_extracted_files_are_enough(extracted: Path, offline: None):
    assert len(load_mnist(extracted)[0]) == 60_000
    assert {path.name for path in (extracted / "MNIST" / "raw").iterdir()} == {file.name for file in FILES}


def test_packed_files_are_extracted_once(packed: Path, offline: None):
    load_mnist(packed)
    for file in (packed / "MNIST" / "raw").glob("*.gz"):
        file.unlink()
    assert len(load_mnist(packed)[1]) == 10_000


def make_read_only(folder: Path) -> None:
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_a_folder_that_cannot_be_written_to_is_read(mnist_root: Path, open_folder: Path, offline: None):
    shutil.copytree(mnist_root, open_folder / "data")
    make_read_only(open_folder)
    before = sorted((open_folder / "data").rglob("*"))
    with unprivileged():
        assert len(load_mnist(open_folder / "data")[1]) == 10_000
    assert sorted((open_folder / "data").rglob("*")) == before


def test_a_folder_without_permission_is_one_line(mnist_root: Path, open_folder: Path, offline: None):
    shutil.copytree(mnist_root, open_folder / "data")
    make_read_only(open_folder)
    (open_folder / "data" / "MNIST" / "raw").chmod(0)
    with unprivileged(), pytest.raises(UserError, match="Permission denied") as caught:
        load_mnist(open_folder / "data")
    assert "\n" not in str(caught.value)


def test_an_empty_folder_that_cannot_be_written_to_is_one_line(open_folder: Path, offline: None):
    (open_folder / "data").mkdir(mode=0o555)
    with unprivileged(), pytest.raises(UserError, match=f"{IMAGES}.gz is missing, and no mirror has it"):
        load_mnist(open_folder / "data")


def test_fetched_files_that_cannot_be_saved_are_used(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full_disk(path: Path, content: bytes) -> None:
        raise MachineError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("mnist_lite.files.write", full_disk)
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [mirror])
    assert load_mnist(tmp_path / "data")[0].labels.bincount().tolist() == DIGITS


def test_mnist_that_is_not_available_is_one_line(tmp_path: Path, offline: None):
    with pytest.raises(UserError) as caught:
        load_mnist(tmp_path / "empty")
    text = str(caught.value)
    assert "\n" not in text
    assert str(tmp_path / "empty" / "MNIST" / "raw") in text
    assert "no mirror has it" in text and "data=digits" in text and "MNIST_LITE_DATA" in text
    assert not (tmp_path / "empty").exists()


Damage = Callable[[Path], object]
"""Changes the files in a folder."""


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Damage:
    def damage(raw: Path) -> None:
        content = (raw / name).read_bytes()
        (raw / name).unlink()  # it is a link to a file that other tests use
        (raw / name).write_bytes(change(content))

    return damage


def overwrite(name: str, content: bytes) -> Damage:
    return rewrite(name, lambda _old: content)


def replace_bytes(name: str, place: int, new: bytes) -> Damage:
    return rewrite(name, lambda old: old[:place] + new + old[place + len(new) :])


def truncate(name: str, size: int) -> Damage:
    return rewrite(name, lambda old: old[:size])


def swap(one: str, other: str) -> Damage:
    def damage(raw: Path) -> None:
        (raw / one).rename(raw / "third")
        (raw / other).rename(raw / one)
        (raw / "third").rename(raw / other)

    return damage


HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: (raw / f"{LABELS}.gz").unlink(), f"{LABELS}.gz is missing, and no mirror"),
        (overwrite(f"{TEST_IMAGES}.gz", HTML), f"{TEST_IMAGES}.gz is a web page"),
        (overwrite(f"{IMAGES}.gz", b""), f"{IMAGES}.gz is damaged"),
        (overwrite(f"{IMAGES}.gz", b"PK" + bytes(50)), f"{IMAGES}.gz is damaged: it is not a gzip file"),
        (truncate(f"{IMAGES}.gz", 500_000), f"{IMAGES}.gz is damaged: it ends too early"),
        (truncate(f"{TEST_LABELS}.gz", 11), f"{TEST_LABELS}.gz is damaged"),
        (replace_bytes(f"{TEST_LABELS}.gz", 2000, b"\0\1\2\3"), f"{TEST_LABELS}.gz is damaged"),
        (swap(f"{LABELS}.gz", f"{IMAGES}.gz"), f"{IMAGES}.gz is damaged: its md5 is"),
        (swap(f"{LABELS}.gz", f"{TEST_LABELS}.gz"), f"{LABELS}.gz is damaged: its md5 is"),
    ],
)
def test_a_damaged_packed_file_is_named(damage: Damage, message: str, packed: Path, offline: None):
    assert_refused(packed, damage, message)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate(LABELS, 100), f"{LABELS} is damaged: its md5 is"),
        (overwrite(TEST_IMAGES, b""), f"{TEST_IMAGES} is damaged"),
        (replace_bytes(TEST_LABELS, 10_007, b"\xc8"), f"{TEST_LABELS} is damaged"),
        (replace_bytes(IMAGES, 30_000_000, b"\xc8\xc8"), f"{IMAGES} is damaged"),
        (replace_bytes(LABELS, 3, b"\3"), f"{LABELS} is damaged"),
        (replace_bytes(IMAGES, 7, b"\0"), f"{IMAGES} is damaged"),
        (overwrite(TEST_LABELS, HTML), f"{TEST_LABELS} is damaged"),
        (swap(LABELS, IMAGES), f"{IMAGES} is damaged"),
        (swap(IMAGES, TEST_IMAGES), f"{IMAGES} is damaged"),
        (lambda raw: (raw / LABELS).mkdir() if (raw / LABELS).unlink() is None else 0, "Is a directory"),
    ],
)
def test_a_damaged_extracted_file_is_named(damage: Damage, message: str, extracted: Path, offline: None):
    assert_refused(extracted, damage, message)


def assert_refused(root: Path, damage: Damage, message: str) -> None:
    raw = root / "MNIST" / "raw"
    damage(raw)
    before = {path.name: path.stat().st_size for path in raw.iterdir()}
    with pytest.raises(UserError) as caught:
        load_mnist(root)
    assert message in str(caught.value) and str(raw) in str(caught.value)
    assert "\n" not in str(caught.value)
    after = {path.name: path.stat().st_size for path in raw.iterdir()}
    assert before.items() <= after.items()  # the other files may have been extracted


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


class LoginPage(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(HTML)

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def serve(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """A web server on this machine. The value is its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mirror(mnist_root: Path) -> Iterator[str]:
    """The address of a mirror of MNIST."""
    with serve(partial(Files, directory=str(mnist_root / "MNIST" / "raw"))) as address:
        yield address


DIGITS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]  # LeCun's counts of the training labels


def fetch(root: Path, barrier: Barrier) -> None:
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    barrier.wait(60)
    train, test = load_mnist(root)
    assert train.labels.bincount().tolist() == DIGITS and len(test) == 10_000


def test_processes_that_start_on_an_empty_folder_at_once_all_end_with_good_data(
    mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [mirror])
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    processes = [context.Process(target=fetch, args=(tmp_path / "data", barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert {path.name for path in (tmp_path / "data" / "MNIST" / "raw").iterdir()} == {file.name for file in FILES}


def test_a_mirror_that_answers_with_a_page_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with serve(LoginPage) as address:
        monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [address])
        with pytest.raises(UserError, match=r"no mirror has it: .* is a web page"):
            load_mnist(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_the_next_mirror_is_used_after_one_that_fails(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with serve(LoginPage) as page:
        monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", ["http://127.0.0.1:1/", page, mirror])
        assert len(load_mnist(tmp_path / "data")[1]) == 10_000


def test_a_mirror_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mnist_lite.data.mnist.MIRROR_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        with pytest.raises(UserError, match=r"no mirror has it: .*timed out"):
            load_mnist(tmp_path / "data")
