"""Names in files lead nowhere but where they should: manifests, archives, stored latents."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
import torch
from hostile_files import tar
from PIL import Image

from decoders.latents import StoredLatents, file_of, write
from qa.assets import downloads
from qa.errors import QaError, UsageError
from qa.store import RunFolder
from qa.tracking import baselines
from qa.types import Sample
from qa.untrusted import unpack
from suites.folder import Folder


@pytest.fixture
def secret(tmp_path) -> Path:
    """A picture that is nobody else's business, beside the suite's folder."""
    file = tmp_path / "private" / "secret.png"
    file.parent.mkdir()
    Image.new("RGB", (8, 8), (9, 9, 9)).save(file)
    (tmp_path / "suite").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "suite" / "own.png")
    return file


def manifest(folder: Path, *images: str) -> Path:
    file = folder / "list.jsonl"
    file.write_text("".join(json.dumps({"image": name}) + "\n" for name in images))
    return file


def names_of(secret: Path) -> dict[str, str]:
    """Ways to say it in a manifest of the folder `suite` beside `private`."""
    (secret.parents[1] / "suite" / "link.png").symlink_to(secret)
    (secret.parents[1] / "suite" / "folder").symlink_to(secret.parent)
    return {
        "up": "../private/secret.png", "absolute": str(secret), "link": "link.png",
        "folder": "folder/secret.png", "there and back": "folder/../private/secret.png",
    }  # fmt: skip


@pytest.mark.parametrize("way", ["up", "absolute", "link", "folder", "there and back"])
def test_a_manifest_names_no_file_outside_of_its_folder(way, secret, tmp_path):
    suite = tmp_path / "suite"
    file = manifest(suite, "own.png", names_of(secret)[way])
    with pytest.raises(UsageError, match=r"(?s)1 pictures lie outside.*suite\.outside=true"):
        Folder(file).samples()
    found = Folder(file, outside=True).samples()
    assert [s.image.name for s in found if s.problem is None and s.image] != []
    assert len(found) == 2, "negative control: allowed, it is read"


def test_negative_control_without_the_check_it_is_read(secret, tmp_path, monkeypatch):
    file = manifest(tmp_path / "suite", "../private/secret.png")
    monkeypatch.setattr("suites.folder.leaves", lambda file, folder: False)
    (sample,) = Folder(file).samples()
    assert sample.sha256 is not None


def test_a_folder_with_a_link_out_of_it(secret, tmp_path):
    suite = tmp_path / "suite"
    (suite / "link.png").symlink_to(secret)
    with pytest.raises(UsageError, match="lie outside"):
        Folder(suite).samples()
    assert len(Folder(suite, outside=True).samples()) == 2
    (suite / "link.png").unlink()
    (suite / "link.png").symlink_to(suite / "own.png")
    assert len(Folder(suite).samples()) == 2, "a link that stays inside is a picture"


def test_links_in_a_circle_and_devices_are_problems_of_their_samples(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    found = {s.id: s.problem for s in Folder(tmp_path).samples()}
    assert found["pipe"] == "pipe.png: not a regular file"
    assert all(found.values())


def test_what_a_manifest_names_need_not_be_a_picture(tmp_path):
    """A file inside the folder that is none is a sample with a problem when it is read."""
    from qa import images

    (tmp_path / "notes.png").write_text("root:x:0:0")
    (sample,) = Folder(manifest(tmp_path, "notes.png")).samples()
    with pytest.raises(images.ImageProblem, match="not a picture"):
        images.read(sample.image)


IDS = ["../../outside", "/abs", "a/../../b", "..", ".", "a\\..\\b", "a/./b", "x\x00y", "",
       "con\n", "é" * 300, "a" * 5000]  # fmt: skip


@pytest.mark.parametrize("name", IDS)
def test_ids_become_names_of_files_inside_of_the_run(name, tmp_path):
    run = RunFolder(tmp_path / "run")
    for file in (run.picture_file(name, 0), run.reference_file(name), run.map_file(name, 0, name)):
        assert file.resolve().is_relative_to((tmp_path / "run").resolve())
        assert max(len(part.encode()) for part in file.parts) < 256
        assert ".." not in file.parts
        assert "\x00" not in str(file)


@pytest.mark.parametrize("name", ["../out", "/abs", "a/../../b", "..", "a\\..\\b", "./a", "a//b"])
def test_ids_name_no_latent_outside_of_the_folder(name, tmp_path):
    write(tmp_path / "latents" / "a.safetensors", torch.zeros(16, 2, 2), space="flux1")
    write(tmp_path / "out.safetensors", torch.zeros(16, 2, 2), space="flux1")
    source = StoredLatents(str(tmp_path / "latents"))
    with pytest.raises(QaError, match="does not name a file of the folder"):
        source.latent(Sample(name), None)
    with pytest.raises(QaError):
        file_of(tmp_path / "latents", name)
    assert source.latent(Sample("a"), None).tensor.shape == (16, 2, 2), "negative control"


def unpacked(tmp_path: Path, monkeypatch, *entries) -> list[str]:
    """What an asset's archive with these entries leaves on the disk, below tmp_path/a."""
    file = tar(tmp_path / "packed.tar.gz", *entries)
    monkeypatch.setattr(
        downloads, "from_url", lambda url, target: target.write_bytes(file.read_bytes())
    )
    scratch = tmp_path / "a" / "scratch"
    scratch.mkdir(parents=True)
    downloads.from_archive("url", "wanted", tmp_path / "a" / "out", scratch)
    found = (f for f in (tmp_path / "a").rglob("*") if f.is_symlink() or f.is_file())
    return sorted(f.relative_to(tmp_path / "a").as_posix() for f in found if f.parent != scratch)


def test_an_assets_archive_writes_into_its_folder_only(tmp_path, monkeypatch):
    target = str(tmp_path / "stolen").encode()
    found = unpacked(
        tmp_path, monkeypatch,
        ("top/wanted/good.txt", b"x", "file"), ("top/wanted/../up.txt", b"x", "file"),
        ("top/wanted/deep/../../over.txt", b"x", "file"),
        ("/abs/wanted/abs.txt", b"x", "file"), ("top/wanted//etc/deep.txt", b"x", "file"),
        ("top/wanted/link", target, "link"), ("top/wanted/link/through.txt", b"x", "file"),
        ("top/wanted/hard", b"/etc/passwd", "hard"), ("top/wanted/null", b"", "device"),
    )  # fmt: skip
    assert set(found) <= {"out/good.txt", "out/etc/deep.txt", "out/link/through.txt"}
    assert "out/good.txt" in found, "negative control: what is wanted is there"
    assert not (tmp_path / "stolen").exists()
    assert not list(tmp_path.glob("up.txt"))


@pytest.mark.parametrize("name", ["../up.txt", "/abs.txt", "a/../../up.txt"])
def test_a_baselines_archive_writes_into_its_folder_only(name, tmp_path):
    file = tmp_path / "baseline.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("record.json", "{}")
        archive.writestr(name, "x")
    with pytest.raises(ValueError, match="leads outside"):
        unpack(file, tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("*.txt"))


def test_a_baselines_archive_makes_no_links(tmp_path):
    file, entry = tmp_path / "baseline.zip", zipfile.ZipInfo("link")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ValueError, match="leads outside"):
        unpack(file, tmp_path / "out")


def test_what_we_pack_is_unpacked(tmp_path):
    (tmp_path / "run" / "images" / "a").mkdir(parents=True)
    (tmp_path / "run" / "images" / "a" / "seed0.png").write_bytes(bytes(1000))
    (tmp_path / "run" / "record.json").write_text("{}")
    unpack(baselines._packed(tmp_path / "run", tmp_path / "b.zip"), tmp_path / "out")
    files = {f.relative_to(tmp_path / "out").as_posix(): f.read_bytes()
             for f in (tmp_path / "out").rglob("*") if f.is_file()}  # fmt: skip
    assert files == {"images/a/seed0.png": bytes(1000), "record.json": b"{}"}


def test_downloads_of_baselines_go_through_that_check(tmp_path, monkeypatch):
    """`download` of a store that gives a bad archive."""
    archive = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(10**6))

    class Client:
        def download_artifacts(self, *_: object) -> str:
            return str(archive)

    monkeypatch.setattr(baselines, "reach", lambda uri: None)
    monkeypatch.setattr(baselines, "open_client", lambda uri, ours: Client())
    (tmp_path / "m.db").touch()
    with pytest.raises(QaError, match="unpacks to 1000000"):
        baselines.download(f"mlflow:sqlite:///{tmp_path}/m.db#abc", tmp_path / "here" / "base")
    assert not (tmp_path / "here" / "base").exists()
