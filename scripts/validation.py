"""Write docs/validation.md from the committed measurements.

    python scripts/validation.py

Each script named below measures something, keeps it in docs/measurements and says in `section` how
it reads; a measurement that was not made has no section.
"""

from __future__ import annotations

import json
from pathlib import Path

import same_decoder
import seeded_defects
import validate_gates

PAGE = Path(__file__).parent.parent / "docs" / "validation.md"
SCRIPTS = (validate_gates, same_decoder, seeded_defects)
HEAD = """# Validation of the gates

How often a verdict is wrong, measured. Written by `python scripts/validation.py` from the files in
`docs/measurements/`, which the scripts named below write.

"""


def page() -> str:
    """The whole page."""
    sections = [
        script.section(json.loads(script.RESULT.read_text()))
        for script in SCRIPTS
        if script.RESULT.is_file()
    ]
    return HEAD + "\n".join(sections)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
