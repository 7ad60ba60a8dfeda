"""A real browser for the pages: headless Chromium, watched for errors and for requests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""What a machine may call a browser that Playwright can drive."""
LOCAL = ("file:", "data:", "blob:", "about:")
"""Addresses that need no network."""


@contextmanager
def chromium() -> Iterator[Any]:
    """The machine's own, or Playwright's; the test is skipped where there is neither.

    While it runs, so does Playwright's event loop in this thread: no test can start another one.
    """
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    # As root there is no sandbox. The pages come from the tests themselves.
    options = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    with api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=options)
        except api.Error as error:
            pytest.skip(f"no Chromium: {error.message.splitlines()[0]}")
        with browser:
            yield browser


def watch(page: Any, seen: list[str]) -> None:
    """Note every error of the console or of a script, and every request that needs a network."""
    page.on(
        "console",
        lambda message: seen.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: seen.append(error.message))
    page.on(
        "request",
        lambda request: seen.append(request.url) if not request.url.startswith(LOCAL) else None,
    )
