"""docs/metrics.md names every metric there is, and none that is not."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "metrics.md"


def named(text):
    """Names in the first column of its tables."""
    rows = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_the_page_names_every_metric():
    known = {file.stem for file in (ROOT / "conf" / "metric").glob("*.yaml")}
    assert named(PAGE.read_text(encoding="utf-8")) == known


def test_a_missing_name_would_be_seen():
    text = PAGE.read_text(encoding="utf-8")
    assert "kid" in named(text)
    assert "kid" not in named(text.replace("`kid`", "kid"))
