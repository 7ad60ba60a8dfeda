"""A model on loopback as a judge of pairs, with a cache of its own."""

from __future__ import annotations

import pytest
from judge_server import MODEL

from qa.review.model import Judge


@pytest.fixture(autouse=True)
def loopback(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "qa-cache"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def judge(tmp_path):
    def made(server, **more):
        settings = {"model": MODEL, "pause": 0.0, "retries": 2, "concurrency": 3, **more}
        return Judge(url=server.url, **settings)

    return made
