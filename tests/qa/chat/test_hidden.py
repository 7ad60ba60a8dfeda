"""A secret is found in every spelling in which a server may send it back."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from qa.chat.hidden import HIDDEN, hidden

SECRET = 'sk-a/b"c<d>+e'


def repeated(secret):
    """How servers give back what they were sent."""
    pairs = [each.encode() for each in (f"user:{secret}", f"Bearer {secret}", f"ab{secret}!")]
    coded = [code(each).decode() for each in pairs for code in (b64encode, urlsafe_b64encode)]
    told = json.dumps(secret)
    escaped = [told, told.replace("/", "\\/"), html.escape(secret)]
    return [secret, quote(secret), quote(secret, ""), *escaped, *coded]


def test_no_spelling_of_a_key_is_left():
    for before, text in zip(repeated("another-key-00"), repeated(SECRET), strict=True):
        found = hidden(f"You sent {text}, friend", SECRET)
        assert HIDDEN in found
        longest = max(len(part) for part in found.replace(HIDDEN, " ").split())
        assert longest <= len("Bearer ") * 4 / 3 + 3, text
        assert hidden(before, SECRET) == before
    assert hidden("nothing", "") == "nothing"


@pytest.mark.parametrize("key", ["sk-abc+d/e==", 'a&b<c>d"e', "plain"])
def test_a_key_is_found_letter_by_letter(key):
    for form in ("\\u{:04X}", "\\u{:04x}", "%{:02X}", "&#{};", "&#x{:x};"):
        odd = "".join(c if c.isalnum() else form.format(ord(c)) for c in key)
        whole = "".join(form.format(ord(c)) for c in key)
        assert hidden(f"<{odd}> {whole} other", key) == f"<{HIDDEN}> {HIDDEN} other"
