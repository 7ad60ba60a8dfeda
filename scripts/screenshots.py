"""Make the pictures of the README from a report, in the browser that drives the tests.

    python scripts/screenshots.py RUN BASE

`docs/report.webp` is the head of the page down to the plot of the gates, `docs/stage.webp` its
first worst picture with the wipe in the middle, `docs/review.webp` a pair as `qa review` shows it
to people. RUN and BASE are the candidate and the baseline of `make demo`, say.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parent.parent
WIDTH = 1180


def main() -> None:
    """Write the pages anew, open them, cut the pictures out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("base", metavar="BASE")
    options = parser.parse_args()
    from reports import html  # before tests/, which has folders of the same names

    sys.path.append(str(ROOT / "tests"))
    from browsers import chromium

    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        file = html.write(options.run, options.base, Path(folder) / "report.html")
        page = browser.new_page(
            viewport={"width": WIDTH, "height": 1000}, color_scheme="light", device_scale_factor=1.5
        )
        _save(_pair(page, options.run, options.base, Path(folder)), ROOT / "docs" / "review.webp")
        page.goto(file.resolve().as_uri())
        _save(_head(page), ROOT / "docs" / "report.webp")
        _save(_stage(page), ROOT / "docs" / "stage.webp")


def _pair(page: Any, run: str, base: str, folder: Path) -> bytes:
    """A pair that is no catch trial."""
    from qa.gates.use_case import load as use_case
    from qa.pairing import Terms, plan
    from qa.results import load
    from qa.review.plan import Question, ReviewFolder
    from qa.store import RunFolder
    from reports import review
    from reports.serving import Server

    question = Question("overall", "Which picture is better?")
    shares = {"harm": 0.9, "margin": 0.0, "random": 0.1}
    terms = Terms(question, 0.1, "of a picture for the README", 12, shares, catch=0.0)
    place = ReviewFolder(folder / "overall")
    place.register(plan([load(run), load(base)], terms, use_case("document")))
    arms = {"A": RunFolder(Path(run)), "B": RunFolder(Path(base))}
    site = review.site(arms["A"], arms, place)
    with Server(site, accept=site.accept) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.goto(f"{server.url}#rater=Ada")
        page.get_by_role("button", name="Left is better").wait_for()
        page.wait_for_timeout(1000)
        found: bytes = page.screenshot()
        server.shutdown()
    return found


def _head(page: Any) -> bytes:
    """From the top of the page to the end of the forest plot."""
    plot = page.locator(".forest").first.bounding_box()
    area = {"x": 0, "y": 0, "width": WIDTH, "height": plot["y"] + plot["height"] + 16}
    return page.screenshot(full_page=True, clip=area)


def _stage(page: Any) -> bytes:
    """The first worst picture, reference and candidate in a wipe."""
    card = page.locator("#worst ~ article").first
    card.get_by_role("button", name="Wipe").click()
    page.wait_for_timeout(300)
    return card.screenshot()


def _save(png: bytes, file: Path) -> None:
    Image.open(io.BytesIO(png)).convert("RGB").save(file, "webp", quality=84, method=6)
    print(f"{file.relative_to(ROOT)}  {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
