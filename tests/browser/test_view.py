"""The viewer in a browser: the list, the seeds, the stage at full resolution, the address."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit

import pytest
from runfolders import build, gate, judged
from verdicts import HOSTILE

from reports.serving import Server
from reports.viewer import viewer
from reports.wording import visible

IDS = ["a", "b", "c d", HOSTILE]
SHOWN = " ".join(visible(HOSTILE).split())
SIZE = 700
TRANSFORMS = "all => all.map(one => getComputedStyle(one).transform)"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Four pictures of 700x700 in three seeds, the last one worst, and a baseline."""
    folder = tmp_path_factory.mktemp("view")
    prompts = {"a": "a red bicycle", HOSTILE: HOSTILE}
    run = build(folder / "run", IDS, seeds=3, size=SIZE, bias=2.0, prompts=prompts)
    base = build(folder / "base", IDS[::-1], seeds=3, size=SIZE, prompts=prompts)
    rows = [row | {"tags": ["sign"] if row["id"] in ("a", "b") else []} for row in run.samples()]
    run.write_samples(rows)
    judged(run, "FAIL", [gate("psnr", "FAIL", ["a"]), gate("lpips", "PASS", ["b"])])
    with Server(viewer(run, (base,))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class View:
    """The viewer in a page; `requests` are all that it made."""

    def __init__(self, page, url):
        self.page, self.requests = page, []
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(url)
        self.links = page.locator(".v-list a")
        self.main = page.locator("main")
        self.until()

    def until(self, title=None):
        """The picture of this title is shown, with all its files."""
        for _ in range(2000):
            busy = self.main.get_attribute("aria-busy")
            right = title is None or self.page.title().startswith(title)
            if not busy and right and self.page.evaluate(
                "[...document.querySelectorAll('main img')].every(one => one.complete)"
            ):  # fmt: skip
                return
            self.page.wait_for_timeout(10)
        raise AssertionError(self.page.title())

    def key(self, name, title):
        self.page.keyboard.press(name)
        self.until(title)

    def shown(self):
        return self.main.locator("h2").inner_text()

    def listed(self):
        return [
            link.locator(".v-id").inner_text() for link in self.links.all() if link.is_visible()
        ]

    def zooms(self):
        return self.main.locator(".content").evaluate_all(TRANSFORMS)


@pytest.fixture
def view(page, seen, site):
    found = View(page, site.url)
    yield found
    origin = site.url.removesuffix(f"{site.token}/")
    assert all(url.startswith((origin, "data:")) for url in found.requests)
    seen[:] = [one for one in seen if not one.startswith(origin)]  # the harness wants no network


def test_the_worst_picture_is_shown_first_as_it_is_stored(view):
    assert view.shown() == SHOWN
    assert view.listed()[1:] == ["c d", "b", "a"]
    images = view.main.locator(".stage img")
    sizes = images.evaluate_all("all => all.map(one => [one.naturalWidth, one.naturalHeight])")
    assert sizes == [[SIZE, SIZE]] * 4
    names = [urlsplit(source).path.rpartition("/")[2] for source in (
        images.evaluate_all("all => all.map(one => one.currentSrc)")
    )]  # fmt: skip
    assert names == ["reference.png", "candidate.png", "baseline1.png", "error.png"]
    assert images.nth(0).evaluate("one => one.closest('.pane').dataset.kind") == "reference"


def test_only_what_is_looked_at_is_loaded(view):
    pictures = [url for url in view.requests if url.endswith(".png")]
    assert len(pictures) == 4
    view.page.locator(".v-list").focus()
    view.links.nth(1).click()
    view.until("c d, seed 2")
    assert len([url for url in view.requests if url.endswith(".png")]) == 8


def test_search_tag_and_harm_choose_from_the_list(view):
    status = view.page.locator(".v-browse [role=status]")
    search = view.page.get_by_label("Search")
    search.fill("BICYCLE")
    assert view.listed() == ["a"]
    assert status.inner_text() == "1 of 4 pictures"
    search.fill("nothing like it")
    assert view.listed() == []
    assert view.page.locator(".v-none").is_visible()
    search.press("Escape")
    assert len(view.listed()) == 4
    view.page.get_by_label("Tag").select_option("sign")
    assert view.listed() == ["b", "a"]
    assert status.inner_text() == "2 of 4 pictures"


def test_keys_lead_through_what_the_list_shows(view):
    view.key("j", "c d, seed 2")
    view.key("ArrowDown", "b, seed 2")
    assert view.links.nth(2).get_attribute("aria-current") == "true"
    assert view.links.nth(2).evaluate("one => one === document.activeElement")
    view.key("k", "c d, seed 2")
    view.key("End", "a, seed 2")
    view.key("j", "a, seed 2")
    view.page.get_by_label("Tag").select_option("sign")
    view.links.nth(3).focus()
    view.key("ArrowUp", "b, seed 2")
    view.key("ArrowUp", "b, seed 2")
    tabs = view.links.evaluate_all("all => all.map(one => one.tabIndex)")
    assert tabs == [-1, -1, 0, -1], "the list takes one tab"


def test_after_a_filter_the_list_is_entered_where_it_is_seen(view):
    tabs = "all => all.map(one => one.tabIndex)"
    tag = view.page.get_by_label("Tag")
    tag.select_option("sign")  # the current picture, the first, has no such tag
    assert view.listed() == ["b", "a"]
    assert view.links.evaluate_all(tabs) == [-1, -1, 0, -1]
    tag.focus()
    for _ in range(9):
        view.page.keyboard.press("Tab")
        if view.page.evaluate("document.activeElement.closest('.v-list li') !== null"):
            break
    assert view.links.nth(2).evaluate("one => one === document.activeElement")
    view.key("Enter", "b, seed 2")
    view.key("j", "a, seed 2")
    tag.select_option("")
    assert view.links.evaluate_all(tabs) == [-1, -1, -1, 0], "the current one, where it is seen"


def test_an_arrow_leads_from_the_search_to_the_list(view):
    search = view.page.get_by_label("Search")
    view.key("[", f"{SHOWN}, seed 1")
    search.press("ArrowDown")
    assert view.links.nth(0).evaluate("one => one === document.activeElement")
    assert view.page.url.endswith("seed=1"), "the picture that is shown stays as it is"
    search.fill("BICYCLE")
    search.press("ArrowDown")
    view.until("a, seed 2")
    assert view.links.nth(3).evaluate("one => one === document.activeElement")
    search.fill("nothing like it")
    search.press("ArrowDown")
    assert search.evaluate("one => one === document.activeElement")


def test_letters_and_brackets_work_wherever_nothing_is_written(view):
    view.page.evaluate("document.activeElement.blur()")
    view.key("j", "c d, seed 2")
    view.key("[", "c d, seed 1")
    view.main.locator(".panes").focus()
    view.key("j", "b, seed 2")
    assert view.main.locator(".panes").evaluate("one => one === document.activeElement")
    view.main.get_by_role("button", name="Fit").focus()
    view.key("k", "c d, seed 2")
    view.page.get_by_label("Search").fill("BICYCLE")
    view.page.evaluate("document.activeElement.blur()")
    view.key("j", "a, seed 2")
    view.key("k", "a, seed 2")
    tag = view.page.get_by_label("Tag")
    tag.focus()
    for name in ("k", "[", "ArrowDown"):
        view.key(name, "a, seed 2")
    assert tag.evaluate("one => one === document.activeElement"), "keys of a choice are its own"


def test_a_key_that_is_held_loads_no_picture_on_the_way(view):
    before = len(view.requests)
    view.page.evaluate("""() => ["j", "j", "j"].forEach((key) => {
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    })""")
    view.until("a, seed 2")
    assert len([url for url in view.requests[before:] if not url.endswith(".png")]) == 1


def test_keys_in_a_text_are_text(view):
    search = view.page.get_by_label("Search")
    search.press_sequentially("j[]k")
    assert search.input_value() == "j[]k"
    assert "seed 2" in view.page.title()


def test_another_seed_keeps_place_and_way_of_comparing(view):
    view.main.get_by_role("button", name="Wipe").click()
    view.main.get_by_role("button", name="Worst window").click()
    place = "document.querySelector('.stage .content').style.transform"
    before = view.page.evaluate(place)
    view.main.locator(".panes").focus()
    view.key("[", f"{SHOWN}, seed 1")
    assert view.main.locator(".v-seeds [aria-current]").inner_text() == "1"
    assert view.main.locator(".stage").get_attribute("data-mode") == "wipe"
    assert view.page.evaluate(place) == before
    assert "translate(0%, 0%)" not in before
    view.page.wait_for_timeout(100)
    assert view.page.evaluate(place) == before, "nor does it leave it in the next frames"
    assert view.main.locator(".panes").evaluate("one => one === document.activeElement")
    view.main.locator(".v-seeds a").nth(0).click()
    view.until(f"{SHOWN}, seed 0")
    assert view.page.url.endswith("seed=0")


def test_all_panes_zoom_together_down_to_the_stored_pixels(view):
    view.key("j", "c d")
    assert set(view.zooms()) == {"matrix(1, 0, 0, 1, 0, 0)"}
    view.main.get_by_role("button", name="Worst window").click()
    (zoom,) = set(view.zooms())
    scale = float(zoom.removeprefix("matrix(").partition(",")[0])
    assert scale == pytest.approx(SIZE / 64, rel=1e-4), "the window's place is said in 0.001 %"
    near = view.main.locator(".stage img").evaluate_all(
        "all => all.map(one => getComputedStyle(one).imageRendering)"
    )
    assert near == ["pixelated"] * 4
    assert view.main.locator(".mark").count() == 4
    view.page.locator(".v-list a").nth(2).click()
    view.until("b,")
    assert set(view.zooms()) == {"matrix(1, 0, 0, 1, 0, 0)"}, "another picture is shown whole"


def test_a_picture_that_comes_late_is_smooth_once_it_is_there(view):
    def late(route):
        time.sleep(0.8)  # twice as long as the stage waits
        route.continue_()

    view.page.route("**/error.png", late)
    view.links.nth(1).click()
    view.until("c d")
    images = view.main.locator(".stage img")
    assert "near" not in images.evaluate_all("all => all.map(one => one.className)")
    assert images.nth(3).evaluate("one => one.naturalWidth") == SIZE


def test_the_address_is_the_picture(view):
    view.key("j", "c d, seed 2")
    view.key("[", "c d, seed 1")
    url = view.page.url
    assert url.endswith("#picture=c%20d&seed=1")
    view.page.reload()
    view.until("c d, seed 1")
    assert view.page.url == url
    view.links.nth(3).click()
    view.until("a, seed 2")
    view.page.go_back()
    view.until("c d, seed 1")
    assert view.links.nth(1).get_attribute("aria-current") == "true"


def test_an_address_that_names_nothing_says_so(view):
    view.page.evaluate("location.hash = '#picture=nobody'")
    view.until("This run has no such picture.")
    assert view.main.inner_text() == "This run has no such picture."
    view.page.evaluate("location.hash = '#picture=a&seed=..%2F..'")
    view.until("a, seed 2")
    assert view.shown() == "a", "a seed that is no number is the worst one"


def test_a_seed_that_is_not_there_says_so(view, seen):
    view.page.evaluate("location.hash = '#picture=a&seed=7'")
    view.until("This picture has no such seed.")
    assert [one for one in seen if not one.startswith("http:")], "the browser noted the 404"
    seen.clear()


def test_a_long_tag_scrolls_by_itself_and_by_keyboard(view, serious):
    def lengthened(route):
        answer = route.fetch()
        text = answer.text().replace(">sign<", f">{'sign ' * 500}<")
        route.fulfill(response=answer, body=text)

    tag = view.main.locator(".tag")
    view.links.nth(3).click()
    view.until("a, seed 2")
    assert tag.get_attribute("tabindex") is None, "a short one is no stop of the tab"
    view.page.route("**/picture/*/2", lengthened)
    view.links.nth(2).click()
    view.until("b, seed 2")
    assert tag.get_attribute("tabindex") == "0"
    assert tag.bounding_box()["height"] < 100 < tag.evaluate("one => one.scrollHeight")
    assert serious() == []


def test_flicker_ends_with_its_stage(view):
    view.main.get_by_role("button", name="Flicker").click()
    view.page.evaluate("window.old = document.querySelector('.stage')")
    view.links.nth(1).click()
    view.until("c d")
    old = "document.contains(old) ? 'there' : old.dataset.shown"
    before = view.page.evaluate(old)
    assert before != "there"
    view.page.wait_for_timeout(600)  # two beats
    assert view.page.evaluate(old) == before
    assert view.main.locator(".stage").get_attribute("data-mode") == "flicker"


def test_hostile_texts_are_texts_and_no_script_gets_in(view, seen):
    names = view.page.locator("b, script, img[src=x]").evaluate_all(
        "all => all.filter(one => !one.closest('main p.small')).map(one => one.tagName)"
    )
    assert names == ["SCRIPT"], "the page's own"
    plant = """() => {
        const script = document.createElement("script");
        script.textContent = "window.planted = true";
        document.body.append(script);
        return window.planted === true;
    }"""
    assert view.page.evaluate(plant) is False
    assert any("Content Security Policy" in one for one in seen)
    seen.clear()
    other = view.page.context.new_page()
    other.set_content("<p>without a policy</p>")
    assert other.evaluate(plant) is True, "the check can fail"


def test_nobody_is_asked_but_the_server(view, seen):
    refused = view.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 0, () => 1)")
    assert refused == 1
    assert any("connect-src" in one for one in seen), "the policy refuses it, not the network"
    seen.clear()


def test_it_can_be_used_by_everybody(view, serious):
    assert serious() == []


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1400, "dark")])
def test_nothing_is_cut_off(browser, site, seen, width, scheme):
    with browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    ) as context:
        found = View(context.new_page(), site.url)
        found.key("End", "a")
        assert found.page.evaluate("document.documentElement.scrollWidth") == width
