"""A judge on loopback for the tests of this folder."""

from __future__ import annotations

import pytest
from judge_server import MODEL

from suites.dpg.judges.endpoint import Endpoint


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def judge(tmp_path):
    def made(url, **more):
        settings = {"pause": 0.0, "cache": str(tmp_path / "cache"), **more}
        return Endpoint(model=settings.pop("model", MODEL), url=url, **settings)

    return made
