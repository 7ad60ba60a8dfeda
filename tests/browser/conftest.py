"""What tests in a browser share: a watched page, accessibility, planted faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium, watch
from ratings import SIZE, Rating, leave, serving
from review_toys import mixed, plan, review
from runfolders import build, gate, judged

from reports import html
from reports.review import site


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium for one module, not for the session: other tests run event loops of their own."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three pictures of 200x200 in three seeds, with a baseline; "b" is the worst."""
    folder = tmp_path_factory.mktemp("report")
    run, base = (
        build(folder / name, ["a", "b", "c"], seeds=3, size=200, bias=bias)
        for name, bias in (("run", 2.0), ("base", 0.0))
    )
    judged(run, "FAIL", [gate("psnr", "FAIL", ["b", "a"]), gate("lpips", "PASS", ["c"])])
    return html.write(run, base)


@pytest.fixture
def seen() -> list[str]:
    """Errors and requests of the test's page so far; one that plants them empties it."""
    return []


@pytest.fixture
def page(browser: Any, seen: list[str]) -> Iterator[Any]:
    """An empty page of 1280x800 in light colours. What goes wrong in it fails the test."""
    with browser.new_context(
        viewport={"width": 1280, "height": 800}, color_scheme="light"
    ) as context:
        page = context.new_page()
        watch(page, seen)
        yield page
    assert not seen


@pytest.fixture
def serious(page: Any) -> Callable[[], list[str]]:
    """Rules of accessibility that the page breaks badly, by axe: `rule: place`."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")

    def broken() -> list[str]:
        found = axe.Axe().run(page).response["violations"]
        return [
            f"{rule['id']}: {place['target']} {place['failureSummary']}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for place in rule["nodes"]
        ]

    return broken


@pytest.fixture
def planted(tmp_path: Path) -> Callable[[Path, str, str], Path]:
    """A copy of a page in which one text stands in another's place."""

    def copy(file: Path, old: str, new: str) -> Path:
        text = file.read_text(encoding="utf-8")
        assert old in text
        changed = tmp_path / "planted.html"
        changed.write_text(text.replace(old, new, 1), encoding="utf-8")
        return changed

    return copy


@pytest.fixture
def served(page: Any, seen: list[str], tmp_path: Path) -> Iterator[Any]:
    """Make and serve a review: `served(plan)` → server and folder."""
    with ExitStack() as servers:

        def make(registered: Any) -> Any:
            run, arms, folder = review(tmp_path, registered, SIZE)
            server = servers.enter_context(serving(site(run, arms, folder)))
            servers.callback(leave, page, seen, server)
            return server, folder

        yield make


@pytest.fixture
def rating(page: Any, served: Any) -> Rating:
    """Ada at the first of ten pairs, of which the fifth and the last are catch trials."""
    return Rating(page, *served(plan(mixed(10)))).start()
