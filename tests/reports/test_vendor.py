"""What others made and pages carry: pinned, unchanged, and with its licence."""

import hashlib
import io
import tarfile
import tomllib

import pytest

from reports import page

ENTRIES = tomllib.loads((page.VENDOR / "vendor.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ENTRIES)
def test_every_file_is_the_pinned_one_and_has_its_licence(name):
    entry = ENTRIES[name]
    code = (page.VENDOR / f"{name}.min.js").read_bytes()
    assert hashlib.sha256(code).hexdigest() == entry["sha256"]
    assert hashlib.sha256(code + b" ").hexdigest() != entry["sha256"], "negative control"
    assert entry["version"] in code[:200].decode()
    licence = (page.VENDOR / f"{name}.licence.txt").read_text(encoding="utf-8")
    assert entry["licence"] == "MIT"
    assert "Permission is hereby granted, free of charge" in licence


def test_nothing_else_lies_there():
    expected = {f"{name}{end}" for name in ENTRIES for end in (".min.js", ".licence.txt")}
    assert {file.name for file in page.VENDOR.iterdir()} == expected | {"vendor.toml"}


def test_a_page_that_carries_one_carries_its_licence():
    framed = page.frame(["panzoom.min.js"], [])
    assert "Permission is hereby granted, free of charge" in framed["script"]
    assert (page.VENDOR / "panzoom.min.js").read_text().strip() in framed["script"]


def archive(file, members):
    with tarfile.open(file, "w:gz") as found:
        for name, content in members.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            found.addfile(info, io.BytesIO(content))
    return file


@pytest.fixture
def vendor(script, monkeypatch, tmp_path):
    """scripts/vendor.py with a package of its own instead of npm's, and an empty folder."""
    found = script("vendor")
    members = {"dist/a.min.js": b"code()", "LICENSE": b"as you like", "other.js": b"no"}
    package = archive(tmp_path / "a-1.tgz", members)
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / "vendor.toml").write_text(
        f'# kept\n[a]\npackage = "@x/a"\nversion = "1"\nintegrity = "{found.integrity(package)}"\n'
        'licence = "MIT"\nfile = "dist/a.min.js"\nlicence_file = "LICENSE"\nsha256 = "00"\n'
    )
    monkeypatch.setattr(found, "FOLDER", folder)
    monkeypatch.setattr(found, "packed", lambda entry, folder: package)
    return found


def test_the_script_takes_what_is_pinned_and_notes_its_digest(vendor):
    assert vendor.main() == 0
    assert (vendor.FOLDER / "a.min.js").read_bytes() == b"code()"
    assert (vendor.FOLDER / "a.licence.txt").read_bytes() == b"as you like"
    text = (vendor.FOLDER / "vendor.toml").read_text()
    assert text.startswith("# kept")
    assert tomllib.loads(text)["a"]["sha256"] == hashlib.sha256(b"code()").hexdigest()
    assert len(list(vendor.FOLDER.iterdir())) == 3


def test_the_script_refuses_any_other_package(vendor, monkeypatch, tmp_path, capsys):
    other = archive(tmp_path / "b.tgz", {"dist/a.min.js": b"evil()", "LICENSE": b""})
    monkeypatch.setattr(vendor, "packed", lambda entry, folder: other)
    assert vendor.main() == 1
    assert "is not the pinned package" in capsys.readouterr().err
    assert [file.name for file in vendor.FOLDER.iterdir()] == ["vendor.toml"]
