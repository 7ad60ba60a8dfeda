"""What the cases of a test file showed, once for all of its tests."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_battery import results


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest, device: str) -> dict[str, dict[str, Any]]:
    """What the cases of this test file showed, by name."""
    return results(str(request.path), device)
