"""The page of a comparison in a real browser: whole at every width, accessible, its stage works."""

import pytest
from sidebyside import compared, made

from reports.compare import write


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """Three arms of six pictures of 200x200."""
    folder = tmp_path_factory.mktemp("comparison")
    biases = {"pid": 1.0, "vae": 0.0, "jpeg": 2.0}
    arms = [made(folder / name, size=200, bias=bias) for name, bias in biases.items()]
    return write(compared(*arms), arms, folder / "pid" / "compare.html")


def wide(page):
    """Elements that reach out of the window and do not scroll by themselves."""
    return page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )


@pytest.mark.parametrize("width", [1280, 700, 400])
def test_nothing_is_wider_than_the_window(page, comparison, planted, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(comparison.as_uri())
    assert not wide(page)
    page.goto(planted(comparison, '<h2 id="arms">', f'<h2 id="arms">{"w" * 500}').as_uri())
    assert wide(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_rule_of_accessibility_is_broken(page, comparison, planted, serious, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(comparison.as_uri())
    assert serious() == []
    page.goto(planted(comparison, ' role="img" aria-label="best"', ' role="img"').as_uri())
    assert any(rule.startswith("role-img-alt") for rule in serious())


def test_all_arms_stand_in_one_stage_and_take_turns(page, comparison):
    page.goto(comparison.as_uri())
    stage = page.locator(".stage").first
    panes = stage.locator(".pane")
    kinds = [pane.get_attribute("data-kind") for pane in panes.all()]
    assert kinds == ["reference", "candidate", "arm-B", "arm-C"]
    assert all(pane.is_visible() for pane in panes.all())
    stage.get_by_role("button", name="Wipe", exact=True).click()
    stage.locator("select[data-side=a]").select_option("2")
    shown = [pane.get_attribute("data-kind") for pane in panes.all() if pane.is_visible()]
    assert shown == ["candidate", "arm-B"]


def test_the_page_is_whole_without_scripts(browser, comparison):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(comparison.as_uri())
        for said in ("A pid against B vae", "On the front: B. Beaten: A, C."):
            assert page.get_by_text(said).first.is_visible()
        assert page.locator(".stage").first.locator("img").first.is_visible()
        assert not page.get_by_role("button", name="Wipe").first.is_visible()


def test_a_point_of_a_front_lies_where_its_values_say(page, comparison):
    page.goto(comparison.as_uri())
    field = page.locator("#fronts ~ .p-fronts .field").first
    centres = {
        letter: mark.locator("circle").bounding_box()
        for letter, mark in (
            (one.locator("text").text_content(), one) for one in field.locator("g").all()
        )
    }
    assert centres.keys() == {"A", "B", "C"}
    right = sorted(centres, key=lambda letter: -centres[letter]["x"])
    top = sorted(centres, key=lambda letter: centres[letter]["y"])
    assert right == top == ["B", "A", "C"], "by construction B is best in both, C worst"
