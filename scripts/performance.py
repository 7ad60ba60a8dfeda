"""Write docs/performance.md from the committed measurements.

    python scripts/performance.py

Each script beside this one measures something, keeps it in docs/measurements and says in `section`
how it reads; a measurement that was not made has no section.
"""

from __future__ import annotations

import json
from pathlib import Path

import measure_4k
import time_frechet
import time_pid
import time_scoring
import time_suites
import time_words

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
SCRIPTS = (time_scoring, time_frechet, measure_4k, time_pid, time_suites, time_words)
HEAD = """# Performance

Written by `python scripts/performance.py` from the files in `docs/measurements/`, which the scripts
named below write; nothing is estimated. Machines differ and are noisy: compare within one table
only.

"""
FOOT = """
## GPU

Not measured.
"""


def page() -> str:
    """The whole page."""
    sections = [
        script.section(json.loads(script.RESULT.read_text()))
        for script in SCRIPTS
        if script.RESULT.is_file()
    ]
    return HEAD + "\n".join(sections) + FOOT


if __name__ == "__main__":
    PAGE.write_text(page())
