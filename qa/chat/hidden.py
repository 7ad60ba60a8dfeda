"""Taking a secret out of a text, in every spelling in which a server may send it back."""

from __future__ import annotations

import base64
import html
import re
from urllib.parse import quote

HIDDEN = "[key]"


def hidden(text: str, secret: str) -> str:
    """The text with `HIDDEN` in place of the secret: as it is, quoted, or in base64."""
    if not secret:
        return text
    for spelling in sorted(_spellings(secret), key=len, reverse=True):
        text = text.replace(spelling, HIDDEN)
    return re.sub("".join(map(_letter, secret)), HIDDEN, text)


def _letter(letter: str) -> str:
    """A pattern of a character as it is or as a number: JSON's u002B, %2B, HTML's &#43;."""
    code = ord(letter)
    numbers = rf"\\u{code:04x}|%{code:02x}|&\#x0*{code:x};|&\#0*{code};"
    return rf"(?:\\?{re.escape(letter)}|(?i:{numbers}))"


def _spellings(secret: str) -> set[str]:
    escaped = secret.replace("\\", "\\\\").replace('"', '\\"')
    found = {escaped, escaped.replace("/", "\\/"), html.escape(secret)}
    found |= {quote(secret), quote(secret, "")}
    for before in range(3):
        # Base64 of "Bearer KEY" or "user:KEY": a letter holds six bits, and those that the key
        # shares with its neighbours are not known.
        coded = base64.b64encode(bytes(before) + secret.encode()).decode()
        known = coded[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        found |= {known, known.replace("+", "-").replace("/", "_")}
    return {secret} | {each for each in found if len(each) > 3}
