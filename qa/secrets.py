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
    r"(?i)://[^/\s?#\[:]*:(?!\d+[/?#,\]}'\"])\S{0,1000}@"  # a password before the host; no port
    r"|https?://[^/\s?#]+@"  # a name there may be a token
    r"|[?&;](?:[\w.-]*[_.-])?(?:pass|password|passwd|pwd|token|secret|api_?key|key|sig|signature)"
    r"=[^&\s]"
)
NAME = re.compile(
    r"(?i)(?:token|secret|password|passwd|passphrase|apikey|credentials?|_pwd"
    r"|(?:^|_)(?:key|pass|pat))$"
)
"""How variables are called that hold secrets, and options that name such a variable."""
SHORTEST = 8
"""Characters of a value that is looked for: shorter ones would be found by accident."""


def check(content: Any) -> None:
    """UsageError where a text in `content`, at any depth, holds a password, token or key."""
    named = set(_named(content))
    held = {
        value: name
        for name, value in os.environ.items()
        if (name in named or NAME.search(name)) and len(value) >= SHORTEST
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


def _named(content: Any) -> Iterator[str]:
    """What options called `key`, `token` and the like say: they name a variable."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if isinstance(value, str) and NAME.search(str(key)):
                yield value
            yield from _named(value)
    elif isinstance(content, Sequence) and not isinstance(content, str):
        for value in content:
            yield from _named(value)


def _refusal(what: str) -> UsageError:
    return UsageError(  # without the value
        f"The configuration holds {what}.",
        "A configuration is kept with the run, so it must hold no secret.",
        "leave it in the environment: MLFLOW_TRACKING_URI, MLFLOW_TRACKING_TOKEN, HF_TOKEN, or "
        "the variable that key= names",
    )
