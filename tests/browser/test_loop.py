"""A browser leaves nothing behind that keeps other tests from running event loops."""

import asyncio

import pytest
from browsers import chromium


def test_a_loop_can_run_when_the_browser_is_gone():
    with chromium():
        never = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="running event loop"):
            asyncio.run(never)
        never.close()
    assert asyncio.run(asyncio.sleep(0, "ran")) == "ran"
