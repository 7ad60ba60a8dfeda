"""Search, tags and groups in a browser: what they hide, what stays, and by keyboard alone."""

import pytest
from runfolders import build, gate, judged
from stored import put_scores

from reports import html

IDS = [f"drawn/{number:02d}" for number in range(30)] + ["page (1).*", "page [2]"]
HALF = 16
"""Of 32 pictures, in each group."""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """32 pictures, each a hundredth of a dB worse than the one before; two have another tag."""
    path = tmp_path_factory.mktemp("gallery")
    prompts = {IDS[3]: "A Lighthouse at DUSK", IDS[4]: "an owl"}
    runs = [build(path / n, IDS, seeds=1, size=16, prompts=prompts) for n in ("run", "base")]
    scores = runs[1].scores()
    scores.loc[scores["metric"] == "psnr", "value"] += 1.0
    scores.loc[(scores["sample"] == IDS[0]) & (scores["metric"] == "psnr"), "value"] += 5.0
    put_scores(runs[1], scores)
    rows = runs[0].samples()
    for row in rows:
        row["tags"] = ["text", "a b"] if row["id"].startswith("page") else ["drawn"]
    runs[0].write_samples(rows)
    judged(runs[0], "FAIL", [gate("psnr", "FAIL", [IDS[0]], margin=1.5)])
    return html.write(runs[0], runs[1])


class Pictures:
    """The part of the page that is searched."""

    def __init__(self, page, report):
        page.goto(report.as_uri())
        self.page = page
        self.search = page.get_by_role("searchbox", name="Search")
        self.tag = page.get_by_role("combobox", name="Tag")
        self.clear = page.get_by_role("button", name="Clear")
        self.status = page.locator(".filter").get_by_role("status")

    def rows(self):
        """Ids of the table's rows that are shown, from the top."""
        return self._shown("table.pictures tbody tr", "row => row.cells[1].dataset.key")

    def gallery(self):
        return self._shown(".g-grid li", "item => item.dataset.sample")

    def faded(self):
        marks = self.page.locator(".s-field .faded")
        return set(marks.evaluate_all("all => all.map(one => one.dataset.sample)"))

    def _shown(self, css, name):
        script = f"all => all.filter(one => one.checkVisibility()).map({name})"
        return self.page.locator(css).evaluate_all(script)

    def find(self, text, count):
        """Search, and wait until so many pictures are said to match."""
        self.search.fill(text)
        self.status.get_by_text(f"{count} of 32 pictures match").wait_for()


@pytest.fixture
def pictures(page, many):
    return Pictures(page, many)


def test_nothing_is_hidden_or_faded_before_a_search(pictures):
    assert sorted(pictures.rows()) == sorted(IDS)
    assert pictures.faded() == set()
    assert pictures.status.inner_text() == "32 pictures"
    assert pictures.clear.is_disabled()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("drawn/07", ["drawn/07"]),
        ("  LIGHTHOUSE at dusk ", ["drawn/03"]),
        ("(1).*", ["page (1).*"]),
        ("a b", ["page (1).*", "page [2]"]),
        ("[", ["page [2]"]),
        ("no such thing", []),
    ],
)
def test_a_search_finds_ids_prompts_and_tags_as_plain_text(pictures, text, found):
    pictures.find(text, len(found))
    assert sorted(pictures.rows()) == found
    assert set(pictures.gallery()) <= set(found)
    assert pictures.faded() == set(IDS) - set(found)


def test_what_matches_nothing_is_said_and_escape_brings_all_back(pictures):
    nothing = pictures.page.get_by_text("Nothing matches.")
    part = pictures.page.get_by_text("No match in this part of the gallery.")
    assert not nothing.is_visible()
    pictures.find("zzz", 0)
    assert nothing.is_visible()
    assert part.is_visible()
    pictures.search.press("Escape")
    assert pictures.status.inner_text() == "32 pictures"
    assert len(pictures.rows()) == 32
    assert not nothing.is_visible()
    assert not part.is_visible()
    assert pictures.search.input_value() == ""


def test_a_tag_and_a_search_narrow_each_other(pictures):
    pictures.tag.select_option("text")
    assert sorted(pictures.rows()) == ["page (1).*", "page [2]"]
    pictures.find("[2", 1)
    assert pictures.rows() == ["page [2]"]
    pictures.tag.select_option("drawn")
    assert pictures.rows() == []
    pictures.clear.click()
    assert len(pictures.rows()) == 32
    assert pictures.tag.input_value() == ""
    assert pictures.clear.is_disabled()
    assert pictures.search.evaluate("one => one === document.activeElement")


def test_groups_show_their_own_pictures_in_their_own_order(pictures):
    page = pictures.page
    table = pictures.rows()
    assert pictures.gallery() == table[:HALF], "the worst, as the table ranks them"
    page.locator(".g-groups").get_by_text("Best").click()
    assert pictures.gallery() == table[::-1][:HALF]
    page.locator(".g-groups input[value=near]").check(force=True)
    # All harms are 1.0 of a margin of 1.5 but the first picture's, which is 6.0.
    assert pictures.gallery() == sorted(set(IDS) - {IDS[0]})[:HALF]
    page.locator(".g-groups input[value='']").check(force=True)
    assert sorted(pictures.gallery()) == sorted(IDS)
    assert pictures.rows() == table, "groups choose pictures of the gallery only"


def test_a_search_survives_sorting_and_another_group(pictures):
    pictures.find("drawn/1", 10)
    before = pictures.rows()
    sorter = pictures.page.locator("table.pictures th[data-sort=words] button")
    sorter.click()
    assert pictures.rows() == sorted(before)
    sorter.click()
    assert pictures.rows() == sorted(before, reverse=True)
    pictures.page.locator(".g-groups input[value='']").check(force=True)
    assert sorted(pictures.gallery()) == sorted(before)
    assert pictures.search.input_value() == "drawn/1"


def test_columns_stand_still_while_rows_are_hidden(pictures):
    widths = "all => all.map(one => Math.round(one.getBoundingClientRect().width))"
    heads = pictures.page.locator("table.pictures thead th")
    before = heads.evaluate_all(widths)
    pictures.find("page [2]", 1)
    assert heads.evaluate_all(widths) == pytest.approx(before, abs=1)
    pictures.find("zzz", 0)
    assert heads.evaluate_all(widths) == pytest.approx(before, abs=1)
    # Negative control: without the widths that the script holds they would move.
    heads.evaluate_all("all => all.forEach(one => { one.style.width = '' })")
    assert heads.evaluate_all(widths) != pytest.approx(before, abs=1)


def test_everything_can_be_reached_and_used_by_keyboard(pictures):
    page = pictures.page
    pictures.search.focus()
    page.keyboard.type("page")
    pictures.status.get_by_text("2 of 32 pictures match").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.type("text")
    assert pictures.tag.input_value() == "text"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert pictures.status.inner_text() == "32 pictures"
    page.locator(".g-groups input:checked").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator(".g-groups input:checked").get_attribute("value") == "best"
    assert pictures.gallery() == pictures.rows()[::-1][:HALF]
    page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.closest('li').dataset.sample")
    assert focused == pictures.gallery()[0], "focus follows the order that is seen"


def test_without_a_script_all_groups_are_there_and_nothing_that_needs_one(browser, many):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(many.as_uri())
        assert page.locator(".g-grid li").count() == 32
        assert page.locator(".g-grid li:visible").count() == 32
        assert not page.locator(".filter").is_visible()
        assert not page.locator(".g-groups").is_visible()


def test_on_paper_the_gallery_is_the_worst_and_those_near_the_margin(pictures):
    page = pictures.page
    page.locator(".g-groups input[value='']").check(force=True)
    script = "(item, key) => { delete item.dataset[key] }"
    for key in ("worst", "near"):  # as if the last one were in neither
        page.locator(".g-grid li").last.evaluate(script, key)
    everywhere = pictures.gallery()
    page.emulate_media(media="print")
    assert pictures.gallery() == everywhere[:-1]
    assert not page.locator(".filter").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screens_scroll_only_downwards(browser, many, scheme):
    with browser.new_context(
        viewport={"width": 400, "height": 800}, color_scheme=scheme
    ) as context:
        page = context.new_page()
        page.goto(many.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 400


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(pictures, serious, scheme):
    pictures.page.emulate_media(color_scheme=scheme)
    assert serious() == []
    # Negative control: a search box without a name.
    script = """box => { box.placeholder = ""; box.closest(".filter").append(box) }"""
    pictures.search.evaluate(script)
    assert [one.partition(":")[0] for one in serious()] == ["label"]
