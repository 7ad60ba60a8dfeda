"""The harness finds what it looks for: each of its checks fails on a planted fault."""

import pytest


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<script>console.error('broken')</script>", "broken"),
        ("<script>nowhere()</script>", "nowhere is not defined"),
        ("<img src='http://127.0.0.1:9/x.png' alt=''>", "http://127.0.0.1:9/x.png"),
    ],
)
def test_an_error_and_a_request_are_noted(page, seen, tmp_path, body, said):
    file = tmp_path / "page.html"
    file.write_text(f"<!doctype html><title>x</title>{body}")
    page.goto(file.as_uri())
    assert any(said in one for one in seen)
    seen.clear()


def test_a_calm_page_leaves_nothing(page, seen, tmp_path):
    file = tmp_path / "page.html"
    file.write_text("<!doctype html><title>x</title><script>console.log('fine')</script>")
    page.goto(file.as_uri())
    assert seen == []


def test_axe_finds_a_picture_without_a_text(page, serious, tmp_path):
    file = tmp_path / "page.html"
    good = "<!doctype html><html lang=en><title>x</title><main><h1>x</h1>{}</main>"
    file.write_text(
        good.format("<img alt='a dot' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>")
    )
    page.goto(file.as_uri())
    assert serious() == []
    file.write_text(good.format("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"))
    page.goto(file.as_uri())
    assert [one.partition(":")[0] for one in serious()] == ["image-alt"]
