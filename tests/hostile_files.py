"""Files that somebody made to do harm: code in pickles, archives that unpack to far too much."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
import zlib
from pathlib import Path

import torch
from verdicts import HOSTILE

RICH = "[bold red]x[/] [link=https://evil.example]y[/link] [/closing]"
TEXTS = {
    "id": HOSTILE.replace("/", "∕") + " " + RICH, "prompt": HOSTILE + "\x00\x9b31m" + RICH,
    "tag": f"</script><img src=x onerror=alert(1)> {RICH}\x1b]0;title\x07",
    "text": "'); DROP TABLE scores; -- \u202etxt.exe <b>OCR</b> ${oc.env:HOME}",
}  # fmt: skip
PLANTED = {
    "OPENAI_API_KEY": "sk-sesame-openai-0001", "HF_TOKEN": "hf_sesame0002",
    "MLFLOW_TRACKING_TOKEN": "sesame-mlflow-0003", "MLFLOW_TRACKING_PASSWORD": "sesame-pw-0004",
    "MLFLOW_TRACKING_USERNAME": "sesame-user-0005", "AWS_SECRET_ACCESS_KEY": "sesame-aws-0006",
    "WANDB_API_KEY": "sesame-wandb-0007", "DATABASE_PASSWORD": "sesame-db-0008",
    "SECRET_OF_MINE": "sesame-own-0009",
}  # fmt: skip
"""Environment variables with secrets in them."""
BLOCK = bytes(2**24)


class Runs:
    """Unpickling it makes a file: code has run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


def pickled(file: Path, marker: Path, legacy: bool = False) -> Path:
    """A checkpoint beside whose tensors code is waiting, in PyTorch's zip form or the older one."""
    state = {"weight": torch.zeros(2), "state_dict": {}, "run": Runs(marker)}
    torch.save(state, file, _use_new_zipfile_serialization=not legacy)
    return file


def plain_pickle(file: Path, marker: Path) -> Path:
    """A pickle as Python writes it."""
    file.write_bytes(pickle.dumps({"run": Runs(marker)}, protocol=2))
    return file


def deflated(file: Path, size: int) -> Path:
    """A checkpoint of one tensor of so many bytes, zeros, in a zip file that is compressed."""
    plain = file.with_suffix(".plain")
    with torch.serialization.skip_data():
        torch.save({"a": torch.empty(size, dtype=torch.uint8)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(
        file, "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as new:  # fmt: skip
        for entry in old.infolist():
            if not entry.filename.endswith("/data/0"):
                new.writestr(entry.filename, old.read(entry))
                continue
            with new.open(entry.filename, "w", force_zip64=True) as zeros:
                for _ in range(size // len(BLOCK)):
                    zeros.write(BLOCK)
    plain.unlink()
    return file


def npz(file: Path, shape: tuple[int, ...], values: int, member: str = "sigma") -> Path:
    """Statistics in which an array declares a shape and has so many float64 zeros."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape!r}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    head = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    mean = io.BytesIO()
    import numpy as np

    np.save(mean, np.zeros(4))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("mu.npy", mean.getvalue())
        with archive.open(f"{member}.npy", "w", force_zip64=True) as opened:
            opened.write(head)
            whole, rest = divmod(values * 8, len(BLOCK))
            for _ in range(whole):
                opened.write(BLOCK)
            opened.write(bytes(rest))
    return file


def png(file: Path, side: int, depth: int = 8) -> Path:
    """A PNG of one colour that claims side x side pixels and has the first rows of them."""
    row = bytes(1 + side * 3 * depth // 8)
    packed = zlib.compressobj(1)
    data = b"".join(packed.compress(row) for _ in range(8)) + packed.flush()
    head = side.to_bytes(4, "big") * 2 + bytes([depth, 2, 0, 0, 0])
    chunks = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
        for name, body in chunks
    ))  # fmt: skip
    return file


def tiff(file: Path, side: int) -> Path:
    """A TIFF of a few bytes that claims side x side pixels."""
    entries = [(256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8),
               (277, 3, 1), (278, 4, side), (279, 4, side * side)]  # fmt: skip
    body = b"II*\x00\x08\x00\x00\x00" + len(entries).to_bytes(2, "little")
    for tag, kind, value in entries:
        body += tag.to_bytes(2, "little") + kind.to_bytes(2, "little")
        body += (1).to_bytes(4, "little") + (value & 0xFFFFFFFF).to_bytes(4, "little")
    file.write_bytes(body + bytes(64))
    return file


def safetensors(file: Path, header: object, data: bytes = bytes(16), length: int = -1) -> Path:
    """A file with this header, whatever it claims; `length` replaces the header's."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length < 0 else length
    file.write_bytes(size.to_bytes(8, "little") + text + data)
    return file


def tar(file: Path, *entries: tuple[str, bytes, str], zeros: int = 0) -> Path:
    """A tar.gz: (name, content, kind: file, link, hard or device), then a file of many zeros."""
    kinds = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}
    with tarfile.open(file, "w:gz", compresslevel=1) as archive:
        for name, content, kind in entries:
            entry = tarfile.TarInfo(name)
            if kind == "file":
                entry.size = len(content)
            else:
                entry.type, entry.linkname = kinds[kind], content.decode()
            archive.addfile(entry, io.BytesIO(content if kind == "file" else b""))
        if zeros:
            entry = tarfile.TarInfo("top/wanted/zeros")
            entry.size = zeros
            archive.addfile(entry, _Zeros())
    return file


class _Zeros(io.RawIOBase):
    """A file of zeros without end."""

    def read(self, size: int = -1) -> bytes:
        return bytes(size)
