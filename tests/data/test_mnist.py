"""Real MNIST's files: what is read is right to the byte, what is wrong is named."""

from __future__ import annotations

import gzip
import http.server
import importlib
import multiprocessing
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_lite.data.mnist import FILES, load_mnist
from mnist_lite.errors import UserError

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = (file.name for file in FILES)


def idx(path: Path) -> np.ndarray:
    """Reads an IDX file by its specification, without torchvision."""
    raw = gzip.decompress(path.read_bytes())
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", dimensions, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


@pytest.fixture
def packed(mnist_root: Path, tmp_path: Path) -> Path:
    """A copy of the folder with ``.gz`` files only."""
    shutil.copytree(mnist_root, tmp_path / "packed", ignore=shutil.ignore_patterns("*ubyte"))
    return tmp_path / "packed"


@pytest.fixture
def plain(packed: Path) -> Path:
    """A copy of the folder with extracted files only."""
    raw = packed / "MNIST" / "raw"
    for file in raw.glob("*.gz"):
        (raw / file.name.removesuffix(".gz")).write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    return packed


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user whom permissions hold back; root is not."""
    if os.geteuid() != 0:
        yield
        return
    importlib.import_module(
        "torchvision.datasets"
    )  # which load_mnist imports; a Python in root's home is closed to others
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=True)
    shutil.rmtree(folder)


def test_real_mnist_is_byte_for_byte_the_files(mnist_root):
    train, test = load_mnist(mnist_root)
    raw = mnist_root / "MNIST" / "raw"
    for split, prefix, count in ((train, "train", 60_000), (test, "t10k", 10_000)):
        assert split.images.shape == (count, 1, 28, 28) and split.images.dtype == torch.uint8
        assert split.labels.shape == (count,) and split.labels.dtype == torch.int64
        assert np.array_equal(split.images[:, 0].numpy(), idx(raw / f"{prefix}-images-idx3-ubyte.gz"))
        assert np.array_equal(split.labels.numpy(), idx(raw / f"{prefix}-labels-idx1-ubyte.gz"))


def test_extracted_files_alone_do(plain: Path, offline: None):
    assert len(load_mnist(plain)[0]) == 60_000
    assert {path.name for path in (plain / "MNIST" / "raw").iterdir()} == {file.name for file in FILES}


def test_packed_files_are_extracted_once(packed: Path, offline: None):
    load_mnist(packed)
    for file in (packed / "MNIST" / "raw").glob("*.gz"):
        file.unlink()
    assert len(load_mnist(packed)[1]) == 10_000


def readable(folder: Path) -> None:
    """For everybody to read and for nobody to write."""
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_a_folder_that_cannot_be_written_to_is_read(mnist_root: Path, open_folder: Path, offline: None):
    shutil.copytree(mnist_root, open_folder / "data")
    readable(open_folder)
    before = sorted((open_folder / "data").rglob("*"))
    with unprivileged():
        assert len(load_mnist(open_folder / "data")[1]) == 10_000
    assert sorted((open_folder / "data").rglob("*")) == before


def test_a_folder_without_permission_is_one_line(mnist_root: Path, open_folder: Path, offline: None):
    shutil.copytree(mnist_root, open_folder / "data")
    readable(open_folder)
    (open_folder / "data" / "MNIST" / "raw").chmod(0)
    with unprivileged(), pytest.raises(UserError, match="Permission denied") as caught:
        load_mnist(open_folder / "data")
    assert "\n" not in str(caught.value)


def test_an_empty_folder_that_cannot_be_written_to_is_one_line(open_folder: Path, offline: None):
    (open_folder / "data").mkdir(mode=0o555)
    with unprivileged(), pytest.raises(UserError, match="none can be put there: Permission denied"):
        load_mnist(open_folder / "data")


def test_mnist_that_cannot_be_had_is_one_line(tmp_path: Path, offline: None):
    with pytest.raises(UserError) as caught:
        load_mnist(tmp_path / "empty")
    text = str(caught.value)
    assert "\n" not in text
    assert str(tmp_path / "empty" / "MNIST" / "raw") in text
    assert "no mirror answers" in text and "data=digits" in text and "MNIST_LITE_DATA" in text
    assert not (tmp_path / "empty").exists()


Damage = Callable[[Path], object]


def overwrite(name: str, content: bytes) -> Damage:
    return lambda raw: (raw / name).write_bytes(content)


def change(name: str, place: int, content: bytes) -> Damage:
    def damage(raw: Path) -> None:
        with (raw / name).open("r+b") as file:
            file.seek(place, os.SEEK_END if place < 0 else os.SEEK_SET)
            file.write(content)

    return damage


def cut(name: str, size: int) -> Damage:
    return lambda raw: os.truncate(raw / name, size)


def swap(one: str, other: str) -> Damage:
    def damage(raw: Path) -> None:
        (raw / one).rename(raw / "kept")
        (raw / other).rename(raw / one)
        (raw / "kept").rename(raw / other)

    return damage


HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda raw: (raw / f"{LABELS}.gz").unlink(), f"{LABELS}.gz is missing, and no mirror"),
        (overwrite(f"{TEST_IMAGES}.gz", HTML), f"{TEST_IMAGES}.gz is a web page"),
        (overwrite(f"{IMAGES}.gz", b""), f"{IMAGES}.gz is empty"),
        (overwrite(f"{IMAGES}.gz", b"PK" + bytes(50)), f"{IMAGES}.gz is not a gzip file"),
        (cut(f"{IMAGES}.gz", 500_000), f"{IMAGES}.gz is cut short: it has 500000 bytes"),
        (cut(f"{TEST_LABELS}.gz", 11), f"{TEST_LABELS}.gz is cut short"),
        (change(f"{TEST_LABELS}.gz", 2000, b"\0\1\2\3"), f"{TEST_LABELS}.gz is damaged: its md5 is"),
        (swap(f"{LABELS}.gz", f"{IMAGES}.gz"), f"{IMAGES}.gz holds what belongs into {LABELS}.gz"),
        (swap(f"{LABELS}.gz", f"{TEST_LABELS}.gz"), f"{LABELS}.gz holds what belongs into {TEST_LABELS}.gz"),
    ],
)
def test_a_damaged_packed_file_is_named(damage: Damage, said: str, packed: Path, offline: None):
    assert_refused(packed, damage, said)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut(LABELS, 100), f"{LABELS} has 100 bytes instead of 60008"),
        (overwrite(TEST_IMAGES, b""), f"{TEST_IMAGES} is empty"),
        (change(TEST_LABELS, -1, b"\xc8"), f"{TEST_LABELS} is damaged: its md5 is"),
        (change(IMAGES, 30_000_000, b"\xc8\xc8"), f"{IMAGES} is damaged: its md5 is"),
        (change(LABELS, 3, b"\3"), f"{LABELS} begins with 00 00 08 03, not 00 00 08 01"),
        (change(IMAGES, 7, b"\0"), f"{IMAGES} is damaged"),
        (overwrite(TEST_LABELS, HTML), f"{TEST_LABELS} is a web page"),
        (swap(LABELS, IMAGES), f"{IMAGES} holds what belongs into {LABELS}"),
        (swap(IMAGES, TEST_IMAGES), f"{IMAGES} holds what belongs into {TEST_IMAGES}"),
        (lambda raw: (raw / LABELS).mkdir() if (raw / LABELS).unlink() is None else 0, "Is a directory"),
    ],
)
def test_a_damaged_extracted_file_is_named(damage: Damage, said: str, plain: Path, offline: None):
    assert_refused(plain, damage, said)


def assert_refused(root: Path, damage: Damage, said: str) -> None:
    raw = root / "MNIST" / "raw"
    damage(raw)
    before = {path.name: path.stat().st_size for path in raw.iterdir()}
    with pytest.raises(UserError) as caught:
        load_mnist(root)
    assert said in str(caught.value) and str(raw) in str(caught.value)
    assert "\n" not in str(caught.value)
    after = {path.name: path.stat().st_size for path in raw.iterdir()}
    assert before.items() <= after.items()  # good files may have been extracted; nothing else is there


class Mirror(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def mirror(mnist_root: Path) -> Iterator[str]:
    """A mirror on this machine; its address."""
    raw = str(mnist_root / "MNIST" / "raw")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Mirror(*a, directory=raw))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


DIGITS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]  # LeCun's counts of the training labels


def fetch(root: Path, address: str, barrier: object) -> None:
    from torchvision.datasets import MNIST

    MNIST.mirrors = [address]
    torch.set_num_threads(1)
    barrier.wait(60)  # type: ignore[attr-defined]
    train, test = load_mnist(root)
    assert train.labels.bincount().tolist() == DIGITS and len(test) == 10_000


def test_processes_that_start_on_an_empty_folder_at_once_all_end_with_good_data(mirror: str, tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=fetch, args=(tmp_path / "data", mirror, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    names = {name for file in FILES for name in (file.name, f"{file.name}.gz")}
    assert {path.name for path in (tmp_path / "data" / "MNIST" / "raw").iterdir()} == names


def test_a_mirror_that_answers_with_a_page_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(HTML)

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    with pytest.raises(UserError, match="no mirror answers"):
        load_mnist(tmp_path / "data")
    server.shutdown()
    thread.join()
    server.server_close()
    assert not (tmp_path / "data").exists()
