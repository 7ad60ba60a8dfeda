"""Fetch the JavaScript of others that pages carry: `reports/vendor/vendor.toml` says which.

    npm pack ──► the package, its SHA-512 as pinned ──► NAME.min.js and NAME.licence.txt

The files are committed and ship with the package, so that nobody who installs or reads a report
needs npm or a network.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "reports" / "vendor"


def main() -> int:
    """0 if every package was what its integrity says; else nothing of it is kept."""
    table = FOLDER / "vendor.toml"
    for name, entry in tomllib.loads(table.read_text(encoding="utf-8")).items():
        with tempfile.TemporaryDirectory() as folder:
            package = packed(entry, Path(folder))
            if integrity(package) != entry["integrity"]:
                print(f"{name}: {integrity(package)} is not the pinned package", file=sys.stderr)
                return 1
            digest = unpack(package, name, entry)
        text = table.read_text(encoding="utf-8")
        table.write_text(with_digest(text, name, digest), encoding="utf-8")
        print(f"{name} {entry['version']}: {digest}")
    return 0


def packed(entry: Mapping[str, str], folder: Path) -> Path:
    """The package as npm has it: one .tgz in `folder`."""
    wanted = f"{entry['package']}@{entry['version']}"
    command = ["npm", "pack", wanted, "--silent", "--pack-destination", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (package,) = folder.glob("*.tgz")
    return package


def integrity(package: Path) -> str:
    """SHA-512 of a file as npm writes it."""
    digest = hashlib.sha512(package.read_bytes()).digest()
    return f"sha512-{base64.b64encode(digest).decode()}"


def unpack(package: Path, name: str, entry: Mapping[str, str]) -> str:
    """Put the script and its licence into `FOLDER`; returns the script's SHA-256."""
    with tarfile.open(package) as archive:
        script, licence = (_member(archive, entry[kind]) for kind in ("file", "licence_file"))
    (FOLDER / f"{name}.min.js").write_bytes(script)
    (FOLDER / f"{name}.licence.txt").write_bytes(licence)
    return hashlib.sha256(script).hexdigest()


def with_digest(text: str, name: str, digest: str) -> str:
    """The table with this SHA-256 of one file in place of the one it had."""
    entry = rf"(\[{re.escape(name)}\][^\[]*?\nsha256 = )\"\w*\""
    return re.sub(entry, rf'\g<1>"{digest}"', text)


def _member(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(f"package/{path}")
    assert file is not None, f"{path} is no file"
    return file.read()


if __name__ == "__main__":
    sys.exit(main())
