"""Files in ``data.root`` and answers of mirrors that are no MNIST file: one line, little memory, no waiting."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import importlib
import itertools
import os
import signal
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mnist_lite.data import mnist
from mnist_lite.errors import UserError
from tests.data.test_mnist import serve

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = (file.name for file in mnist.FILES)
HUGE = 200_000_000_000
MEGABYTE = 1 << 20
CONTENTS = {name: bytes(16 + 7840) for name in (IMAGES, TEST_IMAGES)} | {
    name: bytes(18) for name in (LABELS, TEST_LABELS)
}
"""The content of a small MNIST: 10 images and 10 labels in each split, all zeros."""


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Ends a test that hangs."""
    importlib.import_module("torchvision.datasets")  # load_mnist imports it, which takes memory

    def stop(*_args: object) -> None:
        raise AssertionError("still waiting after 20 s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 20)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a small MNIST, extracted. Its four sizes and checksums are known as those of the real files are."""
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    small = [
        replace(file, shape=(10, *file.shape[1:]), md5=hashlib.md5(CONTENTS[file.name]).hexdigest())
        for file in mnist.FILES
    ]
    monkeypatch.setattr(mnist, "FILES", small)
    return folder


def assert_refused(root: Path, *words: str, megabytes: float = 2.0) -> None:
    """``load_mnist`` gives one line with these ``words`` and takes at most this memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as caught:
            mnist.load_mnist(root)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert text.startswith("data.root: ") and "\n" not in text and len(text) < 600
    assert all(word in text for word in words), text
    assert peak < megabytes * MEGABYTE, f"{peak:,} bytes"


def test_the_small_mnist_is_read(raw: Path, offline: None):
    train, test = mnist.load_mnist(raw.parents[1])
    assert (train.images.shape, len(test)) == ((10, 1, 28, 28), 10)


@pytest.mark.parametrize("file", mnist.FILES, ids=lambda file: file.name)
def test_the_sizes_are_those_of_the_real_files(file: mnist.IdxFile):
    images = file.shape[0]
    assert file.size == (16 + 784 * images if "images" in file.name else 8 + images)


Make = Callable[[Path], object]


def make_socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the address of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"\x1f\x8b\x08")
        file.truncate(HUGE)


def link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("fifo"))
    path.symlink_to("fifo")


def link_to_terminal(path: Path) -> None:
    _, terminal = os.openpty()
    path.symlink_to(os.ttyname(terminal))


SPECIAL: dict[str, tuple[Make, str]] = {
    "a FIFO": (os.mkfifo, "is not a regular file"),
    "a link to a FIFO": (link_to_fifo, "is not a regular file"),
    "a link to zeros": (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    "a link to random bytes": (lambda path: path.symlink_to("/dev/urandom"), "is not a regular file"),
    "a terminal": (link_to_terminal, "is not a regular file"),
    "a folder": (Path.mkdir, "Is a directory"),
    "a socket": (make_socket, "No such device or address"),
    "a sparse file": (make_sparse, "200,000,000,000 bytes"),
    "a file that is one byte too large": (lambda path: path.write_bytes(CONTENTS[IMAGES] + bytes(65_537)), "bytes"),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", [IMAGES, TEST_LABELS])
@pytest.mark.parametrize("kind", SPECIAL)
def test_only_regular_files_of_the_right_size_are_read(kind: str, name: str, ending: str, raw: Path, offline: None):
    make, words = SPECIAL[kind]
    (raw / name).unlink()
    make(raw / f"{name}{ending}")
    assert_refused(raw.parents[1], f"{name}{ending}", words)


@pytest.mark.parametrize("target", ["nowhere", IMAGES], ids=["dangling", "loop"])
def test_a_link_to_nothing_is_a_missing_file(target: str, raw: Path, offline: None):
    (raw / IMAGES).unlink()
    (raw / IMAGES).symlink_to(target)
    assert_refused(raw.parents[1], f"{IMAGES}.gz is missing")


def test_a_file_that_grows_while_it_is_read(raw: Path, offline: None, monkeypatch: pytest.MonkeyPatch):
    """It was small when its size was checked."""
    (raw / IMAGES).unlink()
    (raw / IMAGES).symlink_to("/dev/zero")
    monkeypatch.setattr("stat.S_ISREG", lambda _mode: True)
    assert_refused(raw.parents[1], f"{IMAGES} is damaged")


def bomb(megabytes: int) -> bytes:
    """A gzip file of at most 3 kB for each of the ``megabytes`` of zeros that it unpacks to."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * (megabytes - 1) + packer.flush()


GOOD = gzip.compress(CONTENTS[IMAGES])
PACKED: dict[str, tuple[bytes, str]] = {
    "a bomb of 60 MB": (bomb(60), "unpacks to more than 7,856 bytes"),
    "a bomb after good images": (GOOD + bomb(60), "more after its end"),
    "60 members of 1 MB": (gzip.compress(bytes(MEGABYTE)) * 60, "unpacks to more than 7,856 bytes"),
    "one byte too many": (gzip.compress(CONTENTS[IMAGES] + b"x"), "unpacks to more than 7,856 bytes"),
    "one byte too few": (gzip.compress(CONTENTS[IMAGES][:-1]), "its md5 is"),
    "many empty members": (gzip.compress(b"") * 3000, "more after its end"),
    "a member for each half": (
        gzip.compress(CONTENTS[IMAGES][:50]) + gzip.compress(CONTENTS[IMAGES][50:]),
        "more after",
    ),
    "bytes after the end": (GOOD + b"garbage", "more after its end"),
    "zeros after the end": (GOOD + bytes(9), "more after its end"),
    "a wrong checksum": (GOOD[:-8] + bytes(4) + GOOD[-4:], "incorrect data check"),
    "a wrong length": (GOOD[:-4] + bytes(4), "incorrect length check"),
    "without its last byte": (GOOD[:-1], "it ends too early"),
    "nothing": (b"", "it is not a gzip file"),
    "a header alone": (GOOD[:10], "it ends too early"),
    "an endless file name": (GOOD[:3] + b"\x08" + GOOD[4:10] + b"n" * 50_000, "it ends too early"),
    "another format": (zlib.compress(CONTENTS[IMAGES]), "it is not a gzip file"),
}


@pytest.mark.parametrize("kind", PACKED)
def test_what_a_packed_file_unpacks_to_is_bounded(kind: str, raw: Path, offline: None):
    content, words = PACKED[kind]
    (raw / IMAGES).unlink()
    (raw / f"{IMAGES}.gz").write_bytes(content)
    assert_refused(raw.parents[1], f"{IMAGES}.gz is damaged", words)
    assert not (raw / IMAGES).exists()


def test_a_bomb_of_8_gigabytes_of_the_size_of_mnist(tmp_path: Path, offline: None):
    """The real sizes. The images of MNIST take 47 MB."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    content = bomb(8_000)
    assert len(content) < 25_000_000
    (folder / f"{IMAGES}.gz").write_bytes(content)
    assert_refused(tmp_path, "unpacks to more than 47,040,016 bytes", megabytes=200)


Answer = Callable[[http.server.BaseHTTPRequestHandler], Iterator[bytes]]


def endless(_handler: object) -> Iterator[bytes]:
    return itertools.repeat(bytes(65_536))


def slow(_handler: object) -> Iterator[bytes]:
    for byte in itertools.cycle(GOOD):
        time.sleep(0.02)
        yield bytes([byte])


def chunked(_handler: object) -> Iterator[bytes]:
    return itertools.repeat(b"10000\r\n" + bytes(65_536) + b"\r\n")


def packed_bomb(_handler: object) -> Iterator[bytes]:
    return iter([bomb(60)])


def cut(_handler: object) -> Iterator[bytes]:
    return iter([GOOD[:20]])


ANSWERS: dict[str, tuple[Answer, dict[str, str], str]] = {
    "endless": (endless, {}, "larger than"),
    "endless in chunks": (chunked, {"Transfer-Encoding": "chunked"}, "larger than"),
    "200 GB": (endless, {"Content-Length": str(HUGE)}, "larger than"),
    "a length below zero": (endless, {"Content-Length": "-5"}, "larger than"),
    "slow": (slow, {}, "takes longer than 0.5 s"),
    "a bomb": (packed_bomb, {}, "unpacks to more than"),
    "less than it says": (cut, {"Content-Length": str(len(GOOD))}, "it ends too early"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_of_a_mirror_is_bounded(kind: str, raw: Path, monkeypatch: pytest.MonkeyPatch):
    answer, headers, words = ANSWERS[kind]

    class Mirror(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if "Transfer-Encoding" in headers else "HTTP/1.0"

        def do_GET(self) -> None:
            self.send_response(200)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            self.close_connection = True
            try:
                for piece in answer(self):
                    self.wfile.write(piece)
            except ConnectionError:  # the client has enough
                pass

        def log_message(self, *_args: object) -> None:
            pass

    monkeypatch.setattr(mnist, "MIRROR_MAX_SECONDS", 0.5)
    root = raw.parents[1]
    with serve(Mirror) as address:
        monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [address])
        (raw / IMAGES).unlink()
        before = sorted(root.rglob("*"))
        assert_refused(root, f"{IMAGES}.gz is missing, and no mirror has it", words)
    assert sorted(root.rglob("*")) == before
