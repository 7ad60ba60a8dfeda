"""Write docs/performance.md from the committed measurements.

    python scripts/performance.py

Each script beside this one measures something, keeps it in docs/measurements and says in `section`
how it reads; a measurement that was not made has no section. `qa bench` keeps one file
a device, and each of them has a section (bench_page.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import bench_page
import kill_runs
import measure_4k
import time_frechet
import time_overhead
import time_pid
import time_plans
import time_pool
import time_report
import time_scoring
import time_suites
import time_words

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
SCRIPTS = (
    time_scoring, time_overhead, time_pool, kill_runs, time_plans, time_report, time_frechet,
    measure_4k, time_pid, time_suites, time_words,
)  # fmt: skip
HEAD = """# Performance

Written by `python scripts/performance.py` from the files in `docs/measurements/`, which the scripts
named below write; nothing is estimated. Machines differ and are noisy: compare within one table
only.

"""
FOOT = """
## GPU

Not measured.
"""
"""Where no CUDA device has a file of `qa bench`."""


def page() -> str:
    """The whole page."""
    devices = bench_page.documents()
    sections = [
        script.section(json.loads(script.RESULT.read_text()))
        for script in SCRIPTS
        if script.RESULT.is_file()
    ]
    sections += [bench_page.section(document, name) for name, document in devices.items()]
    measured = any(document["device"]["kind"] == "cuda" for document in devices.values())
    return HEAD + "\n".join(sections) + ("" if measured else FOOT)


if __name__ == "__main__":
    PAGE.write_text(page())
