"""Measuring in this process, on one thread, with tiny ceilings."""

from __future__ import annotations

import pytest

from decoders.bench import measure, operations


@pytest.fixture(autouse=True)
def small(monkeypatch, one_thread):
    """Ceilings and memory that take no time; what they are is not looked at."""
    monkeypatch.setattr(measure, "SIDES", {"cpu": 64})
    monkeypatch.setattr(measure, "COPIED", {"cpu": 2**16})
    monkeypatch.setattr(measure, "in_fresh_process", lambda asked: (2**20, False))
    monkeypatch.setattr(operations, "SIDES", {"cpu": (64, 32)})
