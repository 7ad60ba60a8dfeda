"""The stage of a worst picture: side by side, wipe, flicker, zoom, by mouse and by keyboard."""

from datetime import UTC, datetime, timedelta

import pytest

START = datetime(2026, 1, 1, tzinfo=UTC)
TRANSFORMS = """all => all.filter(one => one.checkVisibility())
    .map(one => new DOMMatrix(getComputedStyle(one).transform))
    .map(matrix => [matrix.a, matrix.e, matrix.f])"""
"""Scale and shift in screen pixels, across and down, of what is not hidden."""
SIDE_AT = """(view, share) => {
    const box = view.getBoundingClientRect();
    const found = document.elementFromPoint(box.left + share * box.width, box.top + 9);
    return found.closest(".pane").dataset.side;
}"""
"""Which of the two pictures is seen at a share of the view's width."""


class Stage:
    """The stage of the worst picture, in a page whose time stands still until `run_for`."""

    def __init__(self, page, report):
        page.clock.install(time=START)
        page.goto(report.as_uri())
        page.clock.pause_at(START + timedelta(minutes=1))
        self.page = page
        self.root = page.locator(".stage").first
        self.area = self.root.locator(".panes")
        self.slider = self.root.get_by_role("slider")
        self.root.scroll_into_view_if_needed()
        self.frame()

    def frame(self):
        """What was asked for is drawn."""
        self.page.clock.run_for(50)

    def press(self, name):
        self.root.get_by_role("button", name=name, exact=True).click()
        self.frame()

    def keys(self, *names):
        self.area.focus()
        for name in names:
            self.page.keyboard.press(name)
        self.frame()

    def pane(self, kind):
        return self.root.locator(f".pane[data-kind={kind}]")

    def matrix(self):
        """Scale and shift of all panes, which must be one."""
        first, *others = self.root.locator(".content").evaluate_all(TRANSFORMS)
        assert others == [first] * len(others)
        return first

    def size(self, kind="candidate"):
        view = self.pane(kind).locator(".view")
        return view.evaluate("one => [one.clientWidth, one.clientHeight]")

    def shown(self):
        return [
            pane.get_attribute("data-kind")
            for pane in self.root.locator(".pane").all()
            if pane.locator(".view").is_visible()
        ]

    def mouse(self, kind, across=0.5, down=0.5):
        view = self.pane(kind).locator(".view")
        view.scroll_into_view_if_needed()
        box = view.bounding_box()
        place = box["x"] + across * box["width"], box["y"] + down * box["height"]
        self.page.mouse.move(*place)
        return place


@pytest.fixture
def stage(page, report):
    return Stage(page, report)


def until(page, truth, about=None):
    """The page's policy lets no text become a script, so that Playwright's own wait cannot."""
    for _ in range(2000):
        if page.evaluate(truth, about):
            return
        page.wait_for_timeout(10)
    raise AssertionError(truth)


def box_of(locator):
    box = locator.bounding_box()
    return [box[name] for name in ("x", "y", "width", "height")]


def test_all_panes_and_every_seed_are_shown_at_first(stage):
    assert stage.shown() == ["reference", "candidate", "baseline", "error", "spread"]
    assert not stage.slider.is_visible()
    article = stage.page.locator(".case").first
    texts = article.locator(".seeds figcaption").all_inner_texts()
    assert [text.split("\n")[0] for text in texts] == [
        "Reference", "Baseline, seed 2", "Absolute error", "Seed 0", "Seed 1", "Seed 2, the worst",
    ]  # fmt: skip
    assert "psnr 26.0" in texts[-1].replace("\n", " ")  # 30 - seed 2 - bias 2 - 0.01 of "b"


def test_the_wipe_follows_its_slider_by_keyboard(stage):
    stage.press("Wipe")
    assert stage.shown() == ["reference", "candidate"]
    view = stage.pane("candidate").locator(".view")
    assert [view.evaluate(SIDE_AT, share) for share in (0.4, 0.6)] == ["a", "b"]
    stage.slider.focus()
    for _ in range(25):
        stage.page.keyboard.press("ArrowRight")
    assert stage.slider.input_value() == "75"
    assert view.evaluate("one => getComputedStyle(one).clipPath") == "inset(0px 0px 0px 75%)"
    assert [view.evaluate(SIDE_AT, share) for share in (0.7, 0.8)] == ["a", "b"]


def test_the_wipe_follows_slider_and_divider_by_mouse(stage):
    stage.press("Wipe")
    x, y, width, height = box_of(stage.slider)
    stage.page.mouse.click(x + width / 4, y + height / 2)
    value = float(stage.slider.input_value())
    assert value == pytest.approx(25, abs=2)  # the knob takes a part of the track
    clip = "one => getComputedStyle(one).clipPath"
    view = stage.pane("candidate").locator(".view")
    assert view.evaluate(clip) == f"inset(0px 0px 0px {value:g}%)"
    start = stage.mouse("candidate", value / 100)
    stage.page.mouse.down()
    stage.mouse("candidate", 0.9)
    stage.page.mouse.up()
    assert start[0] < stage.page.viewport_size["width"]
    assert stage.slider.input_value() == "90"
    assert view.evaluate(clip) == "inset(0px 0px 0px 90%)"
    assert stage.matrix() == [1, 0, 0], "the divider was dragged, not the picture"


def test_the_divider_follows_a_hand_that_takes_its_time(stage):
    """Once it is away from where it was taken, the browser must not drag the picture there."""
    stage.press("Wipe")
    stage.page.evaluate("""() => {
        window.lost = [];
        for (const name of ["dragstart", "pointercancel"])
            document.addEventListener(name, () => lost.push(name));
    }""")
    stage.mouse("candidate", 0.5)
    stage.page.mouse.down()
    for step in range(1, 9):
        stage.mouse("candidate", 0.5 + 0.05 * step)
        stage.page.wait_for_timeout(20)
        assert float(stage.slider.input_value()) == pytest.approx(50 + 5 * step, abs=0.5)
    stage.page.mouse.up()
    assert stage.page.evaluate("lost") == []
    stage.mouse("candidate", 0.2)
    assert stage.slider.input_value() == "90", "it was let go"


def test_a_long_prompt_scrolls_by_itself_and_by_keyboard(page, report, planted, serious):
    text = "a very long prompt\n" * 60
    page.goto(report.as_uri())
    assert page.locator(".case p.pre").count() == 0
    head = '<h3 id="worst-1">'
    long = planted(report, head, f'<p class="pre">{text}</p><p class="pre">short</p>{head}')
    page.goto(long.as_uri())
    prompt, short = page.locator(".case p.pre").all()
    assert box_of(prompt)[3] < 250
    assert prompt.evaluate("one => one.scrollHeight") > 1000
    assert [one.get_attribute("tabindex") for one in (prompt, short)] == ["0", None]
    assert serious() == []
    page.emulate_media(media="print")
    assert box_of(prompt)[3] > 800, "paper has it all"


def test_flicker_alternates_and_pauses(stage):
    stage.press("Flicker")
    stage.page.clock.run_for(150)  # 50 passed since
    order = []
    for _ in range(4):
        order += stage.shown()
        stage.page.clock.run_for(250)
    assert order == ["reference", "candidate"] * 2
    stage.press("Pause")
    before = stage.shown()
    stage.page.clock.run_for(2000)
    assert stage.shown() == before
    stage.press("Play")
    stage.page.clock.run_for(200)
    assert stage.shown() != before


def test_flicker_ends_when_another_way_is_chosen(stage):
    stage.press("Flicker")
    stage.press("Wipe")
    stage.page.clock.run_for(1000)
    assert stage.shown() == ["reference", "candidate"]


def test_with_reduced_motion_flicker_waits_for_a_key(stage):
    stage.page.emulate_media(reduced_motion="reduce")
    stage.press("Flicker")
    stage.page.clock.run_for(2000)
    assert stage.shown() == ["reference"]
    assert stage.root.get_by_role("button", name="Play").is_visible()
    status = stage.root.get_by_role("status")
    assert status.inner_text() == ""
    stage.keys("Space")
    assert stage.shown() == ["candidate"]
    assert status.inner_text() == "Candidate, seed 2"
    stage.keys("Space")
    assert stage.shown() == ["reference"]


def test_the_two_pictures_are_chosen_and_never_the_same(stage):
    stage.press("Wipe")
    first, second = stage.root.get_by_role("combobox").all()
    second.select_option("Absolute error")
    assert stage.shown() == ["reference", "error"]
    first.select_option("Absolute error")
    assert stage.shown() == ["reference", "error"]
    assert stage.pane("error").get_attribute("data-side") == "a"
    assert second.evaluate("one => one.selectedOptions[0].text") == "Reference"


@pytest.mark.parametrize("kind", ["reference", "error"])
def test_the_wheel_zooms_all_panes_about_the_pointer(stage, kind):
    stage.mouse(kind, 0.75, 0.25)
    stage.page.keyboard.down("Control")
    stage.page.mouse.wheel(0, -100)
    stage.frame()
    stage.page.mouse.wheel(0, -100)
    stage.frame()
    stage.page.keyboard.up("Control")
    scale, x, y = stage.matrix()
    width, height = stage.size(kind)
    assert scale > 1.1
    # A point p of the picture lies at W/2 + scale (p - W/2) + x: the one under the pointer stays.
    assert width / 2 + scale * 0.25 * width + x == pytest.approx(0.75 * width, abs=1)
    assert height / 2 - scale * 0.25 * height + y == pytest.approx(0.25 * height, abs=1)


@pytest.mark.parametrize(("focused", "way"), [(False, -100), (False, 100), (True, 100)])
def test_the_wheel_scrolls_the_page_without_focus_or_with_nothing_to_zoom(stage, focused, way):
    if focused:
        stage.area.focus()
    stage.mouse("candidate")
    before = stage.page.evaluate("scrollY")
    stage.page.mouse.wheel(0, way)
    until(stage.page, f"Math.sign(scrollY - {before}) === {way // 100}")
    assert stage.matrix() == [1, 0, 0]


def test_arrows_scroll_the_page_while_all_is_in_view(stage):
    before = stage.page.evaluate("scrollY")
    stage.keys("ArrowDown")
    until(stage.page, f"scrollY > {before}")


def test_a_click_gives_the_wheel_to_the_stage(stage):
    stage.mouse("candidate")
    stage.page.mouse.down()
    stage.page.mouse.up()
    before = stage.page.evaluate("scrollY")
    for way in (-100, 100):
        was = stage.matrix()[0]
        stage.page.mouse.wheel(0, way)
        stage.frame()
        assert (stage.matrix()[0] > was) == (way < 0)
    assert stage.matrix()[0] == 1
    assert stage.page.evaluate("scrollY") == before


def test_dragging_moves_all_panes_but_never_beyond_the_picture(stage):
    stage.press("Zoom in")
    scale, *shift = stage.matrix()
    assert scale == 1.5
    assert shift == [0, 0]
    x, y = stage.mouse("candidate")
    stage.page.mouse.down()
    stage.page.mouse.move(x + 30, y - 20)
    stage.frame()
    assert stage.matrix() == pytest.approx([1.5, 30, -20], abs=0.01)
    stage.page.mouse.move(x + 3000, y - 20)
    stage.frame()
    stage.page.mouse.up()
    stage.frame()
    width = stage.size()[0]
    assert stage.matrix() == pytest.approx([1.5, width / 4, -20], abs=0.01)
    # The next drag begins where the picture is, not where the pointer had gone.
    x, y = stage.mouse("candidate")
    stage.page.mouse.down()
    stage.page.mouse.move(x - 10, y)
    stage.frame()
    stage.page.mouse.up()
    assert stage.matrix() == pytest.approx([1.5, width / 4 - 10, -20], abs=0.01)


@pytest.mark.parametrize("how", ["button", "key", "wipe"])
def test_the_worst_window_fills_every_view(stage, how):
    if how == "key":
        stage.keys("w")
    else:
        if how == "wipe":
            stage.press("Wipe")
        stage.press("Worst window")
    assert stage.matrix()[0] == pytest.approx(200 / 64, rel=1e-3)
    for kind in ("reference", "candidate") if how == "wipe" else ("reference", "error", "spread"):
        view = box_of(stage.pane(kind).locator(".view"))
        assert box_of(stage.pane(kind).locator(".mark .inner")) == pytest.approx(view, abs=2)
    stage.press("Fit")
    assert stage.matrix() == [1, 0, 0]
    view = box_of(stage.pane("candidate").locator(".view"))
    mark = box_of(stage.pane("candidate").locator(".mark .inner"))
    assert mark[2] == pytest.approx(view[2] * 64 / 200, abs=2)


def test_zoomed_in_the_window_has_its_exact_pixels(stage):
    patch = stage.pane("candidate").locator(".patch")
    assert not patch.is_visible()
    stage.press("Worst window")
    assert box_of(patch) == pytest.approx(
        box_of(stage.pane("candidate").locator(".mark .inner")), abs=2
    )
    assert patch.evaluate("one => one.naturalWidth") == 64
    assert patch.evaluate("one => getComputedStyle(one).imageRendering") == "pixelated"
    tile = stage.page.locator(".case").first.locator(".tile.worst img")
    assert patch.get_attribute("src") == tile.get_attribute("src")
    assert stage.pane("spread").locator(".patch").count() == 0


def test_pixels_are_not_smoothed_from_two_screen_pixels_on(stage):
    image = stage.pane("candidate").locator("img").first
    rendering = "one => getComputedStyle(one).imageRendering"
    width = stage.size()[0]
    assert width < 400  # so a pixel of the 200 takes less than two
    assert image.evaluate(rendering) == "auto"
    stage.press("Worst window")
    assert image.evaluate(rendering) == "pixelated"


def test_keys_of_a_focused_stage(stage):
    stage.keys("+", "+")
    assert stage.matrix()[0] == 2.25
    stage.keys("-")
    stage.keys("ArrowRight", "ArrowDown", "ArrowDown")
    width, height = stage.size()
    assert stage.matrix() == pytest.approx([1.5, -width / 10, -height / 5], abs=0.01)
    stage.keys("ArrowLeft", "ArrowUp", "ArrowUp")
    assert stage.matrix() == pytest.approx([1.5, 0, 0], abs=0.01)
    stage.keys("0")
    assert stage.matrix() == [1, 0, 0]
    pressed = stage.root.locator("[aria-pressed=true]")
    for key, name in (("2", "Wipe"), ("3", "Flicker"), ("1", "Side by side")):
        stage.keys(key)
        assert pressed.all_inner_texts() == [name]


def test_keys_mean_nothing_outside_the_stage_or_with_control(stage):
    stage.page.locator("body").press("w")
    stage.frame()
    assert stage.matrix() == [1, 0, 0]
    stage.keys("Alt+w")
    assert stage.matrix() == [1, 0, 0]
    other = stage.page.locator(".stage").nth(1).locator(".content")
    stage.keys("w")
    assert stage.matrix()[0] > 1
    assert other.evaluate_all(TRANSFORMS)[0] == [1, 0, 0], "each picture has a stage of its own"


def test_the_toolbar_takes_one_tab_and_arrows_lead_on(stage):
    name = "() => document.activeElement.textContent"
    stage.root.get_by_role("button", name="Side by side").focus()
    stage.page.keyboard.press("ArrowRight")
    assert stage.page.evaluate(name) == "Wipe"
    stage.page.keyboard.press("End")
    assert stage.page.evaluate(name) == "Worst window"
    stage.page.keyboard.press("ArrowRight")
    assert stage.page.evaluate(name) == "Side by side"
    stage.page.keyboard.press("Tab")
    assert stage.page.evaluate("() => document.activeElement.className") == "panes"
    outline = stage.area.evaluate("one => getComputedStyle(one).outlineStyle")
    assert outline == "solid"
    stage.page.keyboard.press("Shift+Tab")
    assert stage.page.evaluate(name) == "Side by side"


def test_views_keep_their_place_when_the_window_changes(stage):
    stage.press("Worst window")
    stage.page.set_viewport_size({"width": 500, "height": 800})
    stage.frame()
    view = box_of(stage.pane("candidate").locator(".view"))
    assert box_of(stage.pane("candidate").locator(".mark .inner")) == pytest.approx(view, abs=2)
    x, y = stage.mouse("candidate")
    stage.page.mouse.down()
    stage.page.mouse.move(x - 10, y)
    stage.frame()
    stage.page.mouse.up()
    moved = box_of(stage.pane("candidate").locator(".mark .inner"))
    assert moved[0] == pytest.approx(view[0] - 10, abs=2)


def test_a_viewer_gives_the_stored_picture_once_it_is_zoomed(stage):
    full = stage.pane("reference").locator("img").first.get_attribute("src")
    image = stage.pane("candidate").locator("img").first
    own = image.get_attribute("src")
    image.evaluate("(one, full) => { one.dataset.full = full }", full)
    stage.press("Wipe")
    assert image.get_attribute("src") == own != full
    stage.press("Zoom in")
    until(
        stage.page, "full => document.querySelector('[data-kind=candidate] img').src === full", full
    )


def test_on_paper_all_pictures_stand_whole(stage):
    stage.press("Flicker")
    stage.press("Worst window")
    stage.page.emulate_media(media="print")
    assert stage.shown() == ["reference", "candidate", "baseline", "error", "spread"]
    assert stage.matrix() == [1, 0, 0]
    for name in (".tools", ".pair", ".keys", ".divider", ".patch"):
        assert not stage.root.locator(name).first.is_visible(), name
    images = stage.page.locator(".case img:not(.patch)").all()
    assert len(images) == 3 * (5 + 6)
    assert all(image.is_visible() for image in images)


def test_without_script_all_pictures_are_there_and_no_controls(browser, report):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(report.as_uri())
        case = page.locator(".case").first
        assert all(image.is_visible() for image in case.locator("img").all())
        assert case.locator("img").count() == 5 + 6
        assert case.locator("button:visible, select:visible, input:visible").count() == 0
