"""Secrets do not belong into a configuration: it is kept with the run, copied and shown.

Nothing reads environment variables into a record but those of `qa.environment.VARIABLES`. What
somebody wrote into the configuration is refused here, without being repeated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qa.errors import UsageError

URL = re.compile(
    r"(?i)[a-z][a-z0-9+.-]*://[^/\s?#]*:[^/\s]*@"  # a password before the host
    r"|https?://[^/\s?#]+@"  # a name there may be a token
    r"|[?&;](?:pass|password|passwd|pwd|token|access_token|secret|api_?key|sig|signature)=[^&\s]"
)
NAME = re.compile(r"(?i)(?:^|_)(?:token|secret|password|passwd|api_?key|access_key|secret_key)$")
"""How variables are called that hold secrets."""
SHORTEST = 8
"""Characters of a value that is looked for: shorter ones would be found by accident."""


def check(content: Any) -> None:
    """UsageError where a text in `content`, at any depth, holds a password, token or key."""
    held = {
        value: name
        for name, value in os.environ.items()
        if NAME.search(name) and len(value) >= SHORTEST
    }
    for text in _texts(content):
        variable = next((name for value, name in held.items() if value in text), None)
        if variable is not None:
            raise _refusal(f"the value of the environment variable {variable}")
        if URL.search(text):
            raise _refusal("an address with a name, password or key in it")


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(content, Sequence):
        for value in content:
            yield from _texts(value)


def _refusal(what: str) -> UsageError:
    return UsageError(  # without the value
        f"The configuration holds {what}.",
        "A configuration is kept with the run, so it must hold no secret.",
        "leave it in the environment: MLFLOW_TRACKING_URI, MLFLOW_TRACKING_TOKEN, HF_TOKEN, or "
        "the variable that key= names",
    )
