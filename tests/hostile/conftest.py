"""One run that all tests of what is shown and kept look at: it takes the longest."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
from hostile_files import PLANTED, TEXTS
from PIL import Image
from toyruns import toy_overrides

from qa.cli import run


@pytest.fixture(scope="session")
def shown(tmp_path_factory):
    """A run over a hostile manifest, with secrets in the environment: (folder, stdout, stderr)."""
    place = tmp_path_factory.mktemp("markup")
    lines = []
    for number in range(3):
        file = place / "suite" / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (24, 16), (40 * number, 90, 30)).save(file)
        lines.append({
            "id": f"{TEXTS['id']} {number}", "image": file.name, "prompt": TEXTS["prompt"],
            "tags": [TEXTS["tag"]], "regions": [{"text": TEXTS["text"], "box": [1, 1, 9, 9]}],
        })  # fmt: skip
    lines.append({"id": TEXTS["id"], "image": "gone.png"})
    manifest = place / "suite" / "list.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = [w for w in toy_overrides(manifest) if w not in ("tracking=none", "report=null")]
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("QA_CACHE", str(place / "cache"))
        for name, value in PLANTED.items():
            patch.setenv(name, value)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            run(["run", *words, "seeds=1", "out=made", f"tracking.uri=sqlite:///{place}/m.db"])
            for form in ("md", "junit"):
                run(["report", "made", "--format", form, "--out", f"{form}.out"])
            run(["judge", "made", "--baseline", "made"])
            run(["compare", "made", "made"])
    return place, out.getvalue(), err.getvalue()
