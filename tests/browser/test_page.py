"""The page as a browser makes it: safe, calm, in both themes, on paper, and for everybody."""

import pytest
from browsers import watch
from runfolders import build, gate, judged

from reports import html

ARABIC, EMOJI = "صورة اختبار", "👩‍🔬🖼️"
LONG = "0123456789" * 1000
SCRIPT = "</script><script>window.ran = 1</script>"
HANDLER = "<img src=x onerror='window.ran = 1'>"
TRICK = "a\u202egnp.exe"
WIDTH = "() => document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A report whose every foreign text would like to be more than a text."""
    folder = tmp_path_factory.mktemp("hostile")
    ids = [HANDLER, LONG, f"{ARABIC} {EMOJI}", TRICK]
    prompts = {HANDLER: SCRIPT, LONG: LONG, ids[2]: f"{ARABIC} {SCRIPT}", TRICK: EMOJI}
    tags = ("first", SCRIPT, HANDLER, ARABIC, LONG)
    run = build(folder / "run", ids, prompts=prompts, tags=tags, failed={(TRICK, 0)})
    failures = [{"sample": TRICK, "seed": 0, "why": f"{HANDLER} {LONG}"}]
    why = {"margin_why": SCRIPT, "why": HANDLER}
    gates = [gate("psnr", "FAIL", ids, **why), gate("lpips", "INVALID", [TRICK], **why)]
    return html.write(judged(run, "INVALID", gates, failures, [SCRIPT, LONG]))


def test_columns_are_sorted_by_mouse_and_by_keyboard(page, report):
    page.goto(report.as_uri())
    table = page.locator("table.pictures")
    ids = "all => all.map(one => one.dataset.key)"

    def order():
        return table.locator("tbody th").evaluate_all(ids)

    first = order()
    head = table.get_by_role("columnheader", name="Picture")
    head.get_by_role("button").click()
    assert (order(), head.get_attribute("aria-sort")) == (["a", "b", "c"], "ascending")
    head.get_by_role("button").press("Enter")
    assert (order(), head.get_attribute("aria-sort")) == (["c", "b", "a"], "descending")
    value = table.get_by_role("columnheader", name="psnr")
    value.get_by_role("button").press("Space")
    assert value.get_attribute("aria-sort") == "descending"
    assert head.get_attribute("aria-sort") is None
    keys = "all => all.map(one => Number(one.dataset.key))"
    column = table.locator("tbody td.num:nth-of-type(2)").evaluate_all(keys)
    assert column == sorted(column, reverse=True)
    assert sorted(order()) == sorted(first)


def colours(page):
    style = "one => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor]"
    return page.locator("body").evaluate(style)


def lightness(colour):
    return sum(map(float, colour.strip("rgb()").split(",")[:3]))


def test_light_dark_and_paper_have_colours_of_their_own(page, report):
    page.goto(report.as_uri())
    ink, ground = map(lightness, colours(page))
    assert ink < ground
    page.emulate_media(color_scheme="dark")
    ink, ground = map(lightness, colours(page))
    assert ink > ground
    page.emulate_media(media="print")
    ink, ground = map(lightness, colours(page))
    assert (ink, ground) == (0, 3 * 255), "paper is white, whatever the screen"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("mode", ["Side by side", "Wipe", "Flicker"])
def test_no_serious_fault_of_accessibility(page, report, serious, scheme, mode):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(report.as_uri())
    page.locator(".stage").first.get_by_role("button", name=mode).click()
    assert serious() == []


def test_contrast_and_texts_of_pictures_are_looked_at(page, report, serious, planted):
    faint = planted(report, "<footer>", '<footer><font color="#d8d8d8">hardly there</font>')
    page.goto(faint.as_uri())
    assert [one.partition(":")[0] for one in serious()] == ["color-contrast"]
    page.goto(planted(report, "<footer>", "<footer><img>").as_uri())
    assert [one.partition(":")[0] for one in serious()] == ["image-alt"]


@pytest.mark.parametrize("width", [1280, 400])
def test_hostile_texts_are_texts_and_fit(page, hostile, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(hostile.as_uri())
    assert page.evaluate("window.ran") is None
    text = page.locator("body").inner_text()
    for said in (SCRIPT, HANDLER, ARABIC, EMOJI, LONG, "a<U+202E>gnp.exe"):
        assert said in text
    assert "\u202e" not in page.content()
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate(WIDTH) <= width


def test_a_text_that_cannot_break_would_be_noticed(page, hostile, planted):
    page.goto(planted(hostile, "<footer>", f"<footer><nobr>{LONG}</nobr>").as_uri())
    assert page.evaluate(WIDTH) > 1280


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hostile_texts_do_not_spoil_accessibility(page, hostile, serious, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(hostile.as_uri())
    assert serious() == []


def test_the_policy_stops_a_script_that_got_in(page, seen, report, planted):
    body = "</body>", "<script>window.ran = 1</script></body>"
    page.goto(planted(report, *body).as_uri())
    assert page.evaluate("window.ran") is None
    assert len(seen) == 1
    assert "Content Security Policy" in seen[0]
    seen.clear()
    open_door = planted(planted(report, *body), 'http-equiv="Content-Security-Policy"', "data-no")
    page.goto(open_door.as_uri())
    assert page.evaluate("window.ran") == 1, "negative control: without the policy it runs"


@pytest.mark.parametrize(
    "markup",
    ["<img src='http://127.0.0.1:9/x.png' alt='x'>", "<link rel=stylesheet href='http://127.0.0.1:9/x.css'>",
     "<script src='http://127.0.0.1:9/x.js'></script>", "<iframe src='http://127.0.0.1:9/'></iframe>",
     "<p style='color:red'>x</p>", "<svg onload='window.ran = 1'></svg>"],
)  # fmt: skip
def test_the_policy_stops_everything_from_elsewhere(page, seen, report, planted, markup):
    page.goto(planted(report, "</body>", f"{markup}</body>").as_uri())
    assert seen
    assert page.evaluate("window.ran") is None
    assert all("Content Security Policy" in one for one in seen if not one.startswith("http"))
    seen.clear()


def test_the_page_is_complete_without_script(browser, report):
    seen = []
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        watch(page, seen)
        page.goto(report.as_uri())
        assert page.get_by_role("heading", level=1).is_visible()
        assert page.locator("table.pictures tbody tr").count() == 3
    assert not seen


def test_it_prints_without_controls(page, report):
    page.goto(report.as_uri())
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator(".stage button:visible").count() == 0
    assert page.evaluate(WIDTH) <= 1280
    assert page.pdf(format="A4").startswith(b"%PDF")
