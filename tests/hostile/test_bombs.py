"""Small files that ask for much memory or disk are refused by what they declare."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from hostile_files import BLOCK, deflated, npz, png, tar, tiff
from PIL import Image

from qa import images
from qa.assets import downloads
from qa.untrusted import arrays, check_zip, unpack

SMALL = 32.0
"""MB that a refusal may take."""
READER = Path(__file__).parents[1] / "hostile_reader.py"


def zipped(file: Path, blocks: int) -> Path:
    """A zip file that unpacks to so many blocks of zeros."""
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("scores.parquet", "w", force_zip64=True) as opened,
    ):
        for _ in range(blocks):
            opened.write(BLOCK)
    return file


@pytest.fixture(scope="module")
def bombs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bombs")
    deflated(folder / "weights.pt", 2**28 + 2**26)
    npz(folder / "sigma.npz", (10**6, 10**6), 1)
    npz(folder / "wide.npz", (8300, 8300), 8300 * 8300)
    png(folder / "deep.png", 30000, depth=16)
    png(folder / "flat.png", 30000)
    tiff(folder / "page.tif", 60000)
    tar(folder / "asset.tar.gz", ("top/wanted/a.txt", b"x", "file"), zeros=2**29 + 2**20)
    zipped(folder / "baseline.zip", 8)
    for file in folder.iterdir():
        assert file.stat().st_size < 2**24, file.name
    return folder


def read_by_another(folder: Path, *options: str) -> dict[str, tuple[str, float]]:
    path = os.pathsep.join([str(READER.parents[1]), str(READER.parent)])
    done = subprocess.run(
        [sys.executable, str(READER), str(folder), *options],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


SAID = {
    "weights.pt": "unpacks to 33554",
    "sigma.npz": "declares 8000000000000 bytes",
    "wide.npz": "declares 551120000 bytes",
    "deep.png": "decompression bomb",
    "flat.png": "decompression bomb",
    "page.tif": "decompression bomb",
    "asset.tar.gz": "it unpacks to more than 536870912 bytes",
    "baseline.zip": "unpacks to 134217728",
}


def test_bombs_are_refused_in_little_memory(bombs):
    told = read_by_another(bombs)
    assert told.keys() == SAID.keys()
    for name, (said, grown) in told.items():
        assert SAID[name] in said, (name, said)
        assert grown < SMALL, (name, grown)
    assert sum(f.stat().st_size for f in (bombs / "out").rglob("*")) < 10**4


def test_negative_control_without_the_defences_they_go_off(bombs, tmp_path):
    """Each asks for more than there is, or fills memory or disk."""
    for file in bombs.iterdir():
        if file.suffix in {".pt", ".npz", ".png", ".tif", ".zip"}:
            (tmp_path / file.name).symlink_to(file)
    told = read_by_another(tmp_path, "unguarded")
    assert not [name for name, (said, _) in told.items() if SAID[name] in said]
    asked = [name for name, (said, grown) in told.items()
             if grown > 4 * SMALL or "emory" in said or "RuntimeError" in said]  # fmt: skip
    assert {"weights.pt", "sigma.npz", "wide.npz"} <= set(asked), told
    assert told["baseline.zip"][0] == "read"


def test_what_our_own_programs_write_is_read(tmp_path):
    """The limits are not in the way of whole files."""
    torch.save({"a": torch.rand(1000, 100)}, tmp_path / "a.pt")
    check_zip(tmp_path / "a.pt")
    with pytest.raises(ValueError, match="unpacks to"):
        check_zip(deflated(tmp_path / "b.pt", 2**25), spare=2**20)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", mu=np.arange(3.0), sigma=np.eye(3))
        mu, sigma = arrays(tmp_path / "a.npz", ("mu", "sigma"), 2**20)
        assert mu.tolist() == [0, 1, 2]
        assert sigma.trace() == 3


def test_overlapping_entries_count_each(tmp_path):
    """A zip file whose entries share their bytes declares more than it has."""
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", bytes(10**5))
        for name in "bcde":
            archive.filelist.append(_twin(archive.filelist[0], name))
            archive._didModify = True
    with pytest.raises(ValueError, match="unpacks to 500000"):
        unpack(file, tmp_path / "out")


def _twin(entry: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    import copy

    other = copy.copy(entry)
    other.filename = name
    return other


def test_a_header_of_an_archive_that_wants_memory_is_refused(tmp_path, monkeypatch):
    """A pax header is read as one piece, of whatever size it declares."""
    entry = tarfile.TarInfo("top/wanted/x")
    entry.type, entry.size = tarfile.XHDTYPE, 2**26
    file = tmp_path / "a.tar.gz"
    with gzip.open(file, "wb", 1) as opened:
        opened.write(entry.tobuf())
        for _ in range(4):
            opened.write(BLOCK)
    monkeypatch.setattr(
        downloads, "from_url", lambda url, target: target.write_bytes(file.read_bytes())
    )
    with pytest.raises(OSError, match="asks for 67108864 bytes at once"):
        downloads.from_archive("url", "wanted", tmp_path / "out", tmp_path)


def test_headers_of_an_archive_count_too(tmp_path, monkeypatch):
    """None is large, none is a file that declares its size, and together they have no end."""
    headers = []
    for number in range(6):
        entry = tarfile.TarInfo("x")
        entry.type, entry.size = tarfile.XHDTYPE, 2**19
        line = b"%d comment=" % 2**19
        headers += [entry.tobuf(), line + b"x" * (2**19 - len(line) - 1) + b"\n"]
        plain = tarfile.TarInfo(f"top/wanted/{number}")
        headers += [plain.tobuf()]
    file = tmp_path / "a.tar.gz"
    file.write_bytes(gzip.compress(b"".join(headers) + bytes(1024), 1))
    monkeypatch.setattr(
        downloads, "from_url", lambda url, target: target.write_bytes(file.read_bytes())
    )
    monkeypatch.setattr(downloads, "UNPACKED", 2**21)
    with pytest.raises(OSError, match="it has more than 2097152 bytes"):
        downloads.from_archive("url", "wanted", tmp_path / "out", tmp_path)
    monkeypatch.setattr(downloads, "UNPACKED", 2**22)
    downloads.from_archive("url", "wanted", tmp_path / "whole", tmp_path)
    assert len(list((tmp_path / "whole").iterdir())) == 6, "negative control"


@contextmanager
def endless(blocks: int) -> Iterator[tuple[str, list[int]]]:
    """A server that answers once, with so many MiB unless nobody listens: (url, what it sent)."""
    sent: list[int] = []

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while len(sent) < blocks:
                    self.wfile.write(bytes(2**20))
                    sent.append(1)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Endless)
    thread = Thread(target=server.handle_request)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", sent
    finally:
        thread.join()
        server.server_close()


def test_a_server_that_does_not_stop_sending_is_not_heard_out(tmp_path):
    with (
        endless(64) as (url, sent),
        pytest.raises(OSError, match=f"more than {1000 + downloads.READ} bytes"),
    ):
        downloads.from_url(url, tmp_path / "a", size=1000)
    assert len(sent) < 64, "negative control: all of it would have been taken"
    assert (tmp_path / "a").stat().st_size <= 1000 + downloads.READ


def test_a_download_of_unknown_size_ends_too(tmp_path, monkeypatch):
    assert downloads.LARGEST == 2**38
    monkeypatch.setattr(downloads, "LARGEST", 2**21)
    with endless(64) as (url, sent), pytest.raises(OSError, match="more than 2097152 bytes"):
        downloads.from_url(url, tmp_path / "a")
    assert len(sent) < 64
    with endless(2) as (url, _):
        downloads.from_url(url, tmp_path / "whole")
    assert (tmp_path / "whole").stat().st_size == 2**21, "negative control"


def test_an_array_that_declares_more_than_it_has_is_refused(tmp_path):
    """Less than may be read, so only its own size is against it."""
    file = npz(tmp_path / "a.npz", (5000, 5000), 10)
    with pytest.raises(ValueError, match=r"declares 200000000 bytes; it has 208,"):
        arrays(file, ("sigma",), 2**29)
    (found,) = arrays(npz(tmp_path / "b.npz", (2, 5), 10), ("sigma",), 2**29)
    assert found.shape == (2, 5), "negative control"


def test_a_large_picture_is_neither_refused_nor_warned_about(tmp_path, recwarn):
    """Between Pillow's warning (89 million pixels) and our limit there is only a picture."""
    side = 9600
    file = tmp_path / "a.png"
    Image.new("L", (side, side)).save(file, compress_level=1)
    before = Image.MAX_IMAGE_PIXELS
    assert images.read(file).shape == (3, side, side)
    assert before is None or side * side > 89_478_485
    assert not recwarn.list
