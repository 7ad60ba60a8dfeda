"""A folder of stored latents."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from decoders.latents import StoredLatents, file_of, metadata, write
from qa.errors import QaError, UsageError
from qa.files import PARTIAL, sha256
from qa.types import Sample


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(("one", "deep/two")):
        file = tmp_path / f"{name}.safetensors"
        write(file, torch.full((16, 2, 3), float(i)), space="flux1", sigma=i / 4, prompt="a cat")
    return tmp_path


def stored(folder, tensor, name="odd", key="latent", **metadata):
    file = folder / f"{name}.safetensors"
    save_file({key: tensor}, file, metadata={"space": "flux1", **metadata})
    return folder


def test_what_is_written_is_what_is_read(folder):
    latents = StoredLatents(str(folder))
    assert latents.space.name == "flux1"
    two = latents.latent(Sample("deep/two"), None)
    assert two.sigma == 0.25
    assert two.tensor.dtype == torch.float32
    assert torch.equal(two.tensor, torch.ones(16, 2, 3))
    assert latents.header("one").prompt == "a cat"
    assert latents.header("one").source is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_becomes_float32(tmp_path, dtype):
    stored(tmp_path, torch.full((16, 1, 1), 0.5, dtype=dtype))
    latent = StoredLatents(str(tmp_path)).latent(Sample("odd"), None)
    assert latent.tensor.dtype == torch.float32
    assert latent.sigma == 0
    assert (latent.tensor == 0.5).all()


def test_the_digest_stands_for_names_and_contents(folder):
    before = StoredLatents(str(folder)).digest
    assert StoredLatents(str(folder)).digest == before
    (folder / "one.safetensors").rename(folder / "three.safetensors")
    renamed = StoredLatents(str(folder)).digest
    write(folder / "three.safetensors", torch.full((16, 2, 3), 9.0), space="flux1")
    assert len({before, renamed, StoredLatents(str(folder)).digest}) == 3


def test_a_file_that_changes_during_the_run_is_refused(folder):
    latents = StoredLatents(str(folder))
    write(folder / "one.safetensors", torch.full((16, 2, 3), 9.0), space="flux1")
    with pytest.raises(QaError, match="changed while it was in use"):
        latents.latent(Sample("one"), None)
    assert latents.latent(Sample("deep/two"), None).tensor.max() == 1


@pytest.mark.parametrize(
    "sample",
    ["../one", "/one", "deep/../one", "", ".", "deep\\two", "./one", "deep//two", "one/",
     "deep/./two", f"{PARTIAL}one"],
)  # fmt: skip
def test_ids_that_name_no_file_of_their_own_are_refused(folder, sample):
    with pytest.raises(UsageError, match="does not name a file of the folder"):
        StoredLatents(str(folder)).latent(Sample(sample), None)


def test_the_licences_of_the_files_are_the_folders(tmp_path):
    for name, licence in (("a", "B 1.0"), ("b", "A 2.0"), ("c", "B 1.0"), ("d", None)):
        write(tmp_path / f"{name}.safetensors", torch.zeros(16, 1, 1), space="flux1",
              licence=licence)  # fmt: skip
    latents = StoredLatents(str(tmp_path))
    assert latents.licence == "A 2.0; B 1.0"
    assert (latents.header("a").licence, latents.header("d").licence) == ("B 1.0", "")
    for name in "abc":
        (tmp_path / f"{name}.safetensors").unlink()
    assert StoredLatents(str(tmp_path)).licence == ""


def test_an_empty_prompt_is_a_prompt(tmp_path):
    write(tmp_path / "a.safetensors", torch.zeros(16, 1, 1), space="flux1", prompt="")
    write(tmp_path / "b.safetensors", torch.zeros(16, 1, 1), space="flux1")
    latents = StoredLatents(str(tmp_path))
    assert (latents.header("a").prompt, latents.header("b").prompt) == ("", None)


def test_a_missing_latent_names_its_file(folder):
    with pytest.raises(QaError, match=r"three\.safetensors does not exist"):
        StoredLatents(str(folder)).latent(Sample("three"), None)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path, value):
    tensor = torch.zeros(16, 2, 2)
    tensor[3, 1, 1] = value
    latents = StoredLatents(str(stored(tmp_path, tensor)))
    with pytest.raises(QaError, match="1 of 64 values"):
        latents.latent(Sample("odd"), None)


@pytest.mark.parametrize(
    ("tensor", "options", "message"),
    [
        (torch.zeros(4, 2, 2), {}, r"shape \[4, 2, 2\]"),
        (torch.zeros(1, 16, 2, 2), {}, r"shape \[1, 16, 2, 2\]"),
        (torch.zeros(16, 0, 2), {}, r"shape \[16, 0, 2\]"),
        (torch.zeros(16, 2, 2, dtype=torch.int32), {}, "I32"),
        (torch.zeros(16, 2, 2), {"key": "z"}, "no tensor 'latent'"),
        (torch.zeros(16, 2, 2), {"space": "flux9"}, "no latent space 'flux9'"),
        (torch.zeros(16, 2, 2), {"space": "sd3"}, "different spaces.*flux1.*sd3"),
        (torch.zeros(16, 2, 2), {"sigma": "1.5"}, "'1.5'"),
        (torch.zeros(16, 2, 2), {"sigma": "much"}, "'much'"),
        (torch.zeros(16, 2, 2), {"sigma": "nan"}, "'nan'"),
    ],
)
def test_a_folder_that_contradicts_itself_is_refused_at_once(tmp_path, tensor, options, message):
    if options.get("space") == "sd3":
        write(tmp_path / "fine.safetensors", torch.zeros(16, 1, 1), space="flux1")
    stored(tmp_path, tensor, **options)
    with pytest.raises(UsageError, match=message):
        StoredLatents(str(tmp_path))


def test_a_file_without_a_space_is_refused(tmp_path):
    save_file({"latent": torch.zeros(16, 1, 1)}, tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match="does not say which latent space"):
        StoredLatents(str(tmp_path))


def test_an_empty_or_absent_folder_and_rubbish_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="holds no latents"):
        StoredLatents(str(tmp_path))
    with pytest.raises(UsageError, match="not a folder"):
        StoredLatents(str(tmp_path / "absent"))
    (tmp_path / "a.safetensors").write_bytes(b"rubbish")
    with pytest.raises(UsageError, match="no safetensors file"):
        StoredLatents(str(tmp_path))


WRITES = """
import sys, torch
from pathlib import Path
from decoders.latents import write
write(Path(sys.argv[1]), torch.arange(32.).reshape(16, 1, 2), space="flux1", sigma=0.25,
      prompt="\u732b", source="b", facts={"seed": "0", "step": "2", "identity": "x"})
"""


@pytest.mark.slow
def test_equal_latents_are_equal_files_in_every_process(tmp_path):
    """safetensors itself orders metadata differently from process to process."""
    files = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for file in files:
        subprocess.run([sys.executable, "-c", WRITES, file], check=True)
    assert len({sha256(file) for file in files}) == 1
    assert torch.equal(load_file(files[0])["latent"], torch.arange(32.0).reshape(16, 1, 2))
    assert metadata(files[0]) == {"space": "flux1", "sigma": "0.25", "prompt": "\u732b",
                                  "source": "b", "seed": "0", "step": "2",
                                  "identity": "x"}  # fmt: skip
    assert StoredLatents(str(tmp_path)).latent(Sample("0"), None).sigma == 0.25


@pytest.mark.parametrize("length", range(9))
def test_the_data_stay_where_they_were_whatever_the_header(tmp_path, length):
    """The header is padded to whole words; a tensor read through it must not move."""
    tensor = torch.randn(16, 2, 3, generator=torch.Generator().manual_seed(length))
    write(tmp_path / "a.safetensors", tensor, space="flux1", prompt="x" * (length + 1))
    assert torch.equal(load_file(tmp_path / "a.safetensors")["latent"], tensor)
    data = (tmp_path / "a.safetensors").read_bytes()
    assert int.from_bytes(data[:8], "little") % 8 == 0


def test_a_file_that_is_being_written_is_not_read(folder):
    before = StoredLatents(str(folder)).digest
    (folder / "deep" / f"{PARTIAL}two.safetensors").write_bytes(b"half a lat")
    assert StoredLatents(str(folder)).digest == before
    (folder / "deep" / "three.safetensors").write_bytes(b"half a lat")
    with pytest.raises(UsageError, match="no safetensors file"):
        StoredLatents(str(folder))


def test_a_failed_write_leaves_what_was_there(folder, monkeypatch):
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    monkeypatch.setattr("pathlib.Path.replace", _full)
    with pytest.raises(QaError, match="The disk is full"):
        write(folder / "one.safetensors", torch.zeros(16, 1, 1), space="flux1")
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def _full(*_):
    raise OSError(28, "No space left on device")


def test_where_a_latent_lies(tmp_path):
    assert file_of(tmp_path, "deep/two") == tmp_path / "deep" / "two.safetensors"
    with pytest.raises(QaError, match="does not name a file"):
        file_of(tmp_path, "../two")
