"""The kernels' device: `pytest tests/decoders/kernels --device cuda` compiles and runs them."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_battery import results


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", choices=("cpu", "cuda"), help="where kernels run: cpu interprets")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--device", default=None) or "cpu"


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest, device: str) -> dict[str, dict[str, Any]]:
    """What the cases of this test file showed, by name."""
    return results(str(request.path), device)
