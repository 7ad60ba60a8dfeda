"""Build the wheel and assert what it installs: four packages, the configuration, the weights."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = {"qa", "decoders", "suites", "reports"}
FILES = {
    "qa/py.typed",
    "qa/conf/__init__.py",
    *(f"qa/{f.relative_to(ROOT)}" for f in (ROOT / "conf").rglob("*.yaml")),
    *(
        str(f.relative_to(ROOT))
        for folder in ("templates", "vendor")
        for f in (ROOT / "reports" / folder).iterdir()
    ),
    *(str(f.relative_to(ROOT)) for p in PACKAGES for f in (ROOT / p).rglob("*.py")),
    *(
        f"decoders/mini/{name}_mini.{kind}"
        for name in ("vae", "pid", "l2p")
        for kind in ("safetensors", "md", "json")
    ),
    *(f"decoders/{name}/checkpoints.toml" for name in ("l2p", "pid")),
}


def main() -> int:
    """0 if the wheel holds what it should and nothing else at top level."""
    with tempfile.TemporaryDirectory() as folder:
        # From a copy: a build/ left in the checkout would put deleted modules into the wheel.
        source = Path(folder) / "source"
        ignored = shutil.ignore_patterns(".venv", ".git", "build", "dist", "runs", "*.egg-info")
        shutil.copytree(ROOT, source, ignore=ignored)
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
        built = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
        if built.returncode:
            print(built.stdout, built.stderr, sep="\n", file=sys.stderr)
            return 1
        (wheel,) = Path(folder).glob("*.whl")
        names = set(zipfile.ZipFile(wheel).namelist())
        size = wheel.stat().st_size
    top = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    problems = [f"top-level names are {sorted(top)}"] if top != PACKAGES else []
    files = {name for name in names if ".dist-info/" not in name}
    problems += [f"not in the wheel: {name}" for name in sorted(FILES - files)]
    problems += [f"not ours: {name}" for name in sorted(files - FILES)]
    for problem in problems:
        print(f"wheel: {problem}", file=sys.stderr)
    if not problems:
        print(f"wheel: {len(names)} files, {size / 1e6:.1f} MB, top level {' '.join(sorted(top))}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
