"""Where pictures are looked at: by hand on small pictures, and never by order."""

import itertools

import pytest
import torch

from qa.config import build, compose
from qa.errors import UsageError
from qa.features.perview import chosen
from qa.features.resize import pillow
from qa.features.views import (
    Patches,
    Whole,
    anyres256,
    hific256,
    pixverve299x20,
    ultrapixel299x3,
    views,
)


def numbered(height, width):
    """Red and green say the row, blue the column, modulo 256 each."""
    rows = torch.arange(height)[:, None].expand(height, width)
    columns = torch.arange(width).expand(height, width)
    return torch.stack([rows % 256, rows // 256, columns % 256]).to(torch.uint8)


def corners(patches):
    """(top, left) of each patch, for pictures narrower than 256."""
    return [(int(p[0, 0, 0]) + 256 * int(p[1, 0, 0]), int(p[2, 0, 0])) for p in patches]


def test_whole_is_the_picture():
    picture = numbered(5, 7)
    (view,) = Whole()(picture, "any")
    assert torch.equal(view, picture)


def test_grid_by_hand():
    """A 4x4 grid of 8 would need 32; 20 x 17 has room for 2 x 2, the rest is not looked at."""
    seen = list(Patches(8)(numbered(20, 17), ""))
    assert corners(seen) == [(0, 0), (0, 8), (8, 0), (8, 8)]
    assert all(torch.equal(p, numbered(20, 17)[:, y:y + 8, x:x + 8])
               for p, (y, x) in zip(seen, corners(seen), strict=True))  # fmt: skip


@pytest.mark.parametrize(
    ("height", "width", "second"),
    [(16, 16, [(4, 4)]), (12, 12, [(4, 4)]), (12, 20, [(4, 4), (4, 12)]), (11, 40, []),
     (40, 11, []), (8, 8, [])],
)  # fmt: skip
def test_the_second_grid_by_hand(height, width, second):
    """Half a patch further, where both sides have 1.5 patches."""
    first = list(Patches(8)(numbered(height, width), ""))
    both = list(Patches(8, "grid+shift")(numbered(height, width), ""))
    assert corners(both) == corners(first) + second


@pytest.mark.parametrize(
    ("height", "width", "count"), [(512, 768, 6 + 2), (384, 384, 2), (383, 800, 3), (256, 256, 1)]
)
def test_hific256(height, width, count):
    """512 x 768: 2 x 3 patches, then (512-128)//256 x (768-128)//256 = 1 x 2."""
    seen = list(hific256()(torch.zeros(3, height, width, dtype=torch.uint8), ""))
    assert len(seen) == count
    assert {tuple(p.shape) for p in seen} == {(3, 256, 256)}


def test_random_places_belong_to_seed_key_and_size():
    rule = Patches(8, "random", 5)
    picture = numbered(60, 50)
    places = corners(rule(picture, "a"))
    assert places == corners(rule(picture, "a"))
    assert len(set(places)) > 1
    others = [
        corners(rule(picture, "b")),
        corners(rule(numbered(60, 51), "a")),
        corners(Patches(8, "random", 5, seed=1)(picture, "a")),
    ]
    assert all(places != other for other in others)


def test_a_picture_and_its_reference_are_seen_in_the_same_places():
    rule, reference = Patches(8, "random", 4, (16, 0)), numbered(60, 50)
    candidate = reference.clone()
    candidate[2] = 255 - candidate[2]
    for a, b in zip(rule(reference, "x"), rule(candidate, "x"), strict=True):
        assert (a[0].int() - b[0].int()).abs().max() == 0
        assert not torch.equal(a, b)


def test_places_do_not_depend_on_order():
    rule, keys = Patches(8, "random", 3), ["a", "b", "c"]
    picture = numbered(40, 40)
    wanted = {key: corners(rule(picture, key)) for key in keys}
    for order in itertools.permutations(keys):
        assert {key: corners(rule(picture, key)) for key in order} == wanted


def test_fewer_views_are_the_first_of_more():
    picture = numbered(40, 40)
    few, many = (corners(Patches(8, "random", n)(picture, "a")) for n in (3, 9))
    assert many[:3] == few


def test_random_places_cover_all_of_the_picture():
    """Chi-square of 2000 places over 11 columns (10 degrees of freedom): 99.9 % lie below 29.6."""
    lefts = [p[1] for p in corners(Patches(8, "random", 2000)(numbered(18, 18), "k"))]
    counts = [lefts.count(left) for left in range(11)]
    assert sum(counts) == 2000
    assert sum((n - 2000 / 11) ** 2 / (2000 / 11) for n in counts) < 29.6


def test_the_global_generator_is_not_touched():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(Patches(8, "random", 9, (8, 0))(numbered(40, 40), "a"))
    assert torch.equal(torch.get_rng_state(), before)


def test_pixverve_resizes_first(picture):
    """Every patch is a window of the squeezed picture."""
    tall = picture(200, 100)
    seen = list(pixverve299x20(303)(tall, "k"))

    def windows(filter):
        squeezed = pillow(tall, (303, 303), filter)
        return {
            squeezed[:, top : top + 299, left : left + 299].contiguous().numpy().tobytes()
            for top, left in itertools.product(range(5), range(5))
        }

    found = {patch.contiguous().numpy().tobytes() for patch in seen}
    assert len(seen) == 20
    assert found <= windows("lanczos")
    assert not found & windows("bicubic")  # negative control


def test_anyres_shrinks_to_sides_within_its_range(monkeypatch):
    sides = []

    def spy(picture, size, filter):
        sides.append((*size, filter))
        return pillow(picture, size, filter)

    monkeypatch.setattr("qa.features.views.pillow", spy)
    rule = Patches(16, "random", 60, (16, 20))
    assert {tuple(p.shape) for p in rule(numbered(24, 48), "k")} == {(3, 16, 16)}
    assert {side[0] for side in sides} == {16, 17, 18, 19, 20}
    assert all(w == 2 * h and filter == "lanczos" for h, w, filter in sides)


def test_anyres_never_enlarges():
    seen = list(Patches(16, "random", 5, (16, 4000))(numbered(18, 18), "k"))
    assert len(seen) == 5
    with pytest.raises(ValueError, match=r"18 pixels; 20\.\.18"):
        list(Patches(16, "random", 1, (20, 0))(numbered(18, 18), "k"))


@pytest.mark.parametrize(
    "rule", [hific256(), ultrapixel299x3(), views("anyres256"), Patches(8), Patches(8, "random", 2)]
)
def test_too_small_a_picture_names_both_numbers(rule):
    small = numbered(rule.patch - 1, 400)
    with pytest.raises(ValueError, match=f"{rule.patch - 1} pixels.*{rule.patch}"):
        list(rule(small, "k"))


def test_contradictions_are_refused():
    for settings in (
        {"sampling": "random"},
        {"sampling": "grid", "count": 3},
        {"sampling": "grid", "resize": (8, 16)},
        {"sampling": "spiral"},
        {"sampling": "random", "count": -1},
        {"sampling": "random", "count": 1, "resize": [8]},
    ):
        with pytest.raises(UsageError):
            Patches(8, **settings)


def test_presets_by_name():
    assert views("whole") == Whole()
    assert views("hific256") == Patches(256, "grid+shift")
    assert views("anyres256") == Patches(256, "random", 1, (256, 0))
    assert views("ultrapixel299x3") == Patches(299, "random", 3)
    assert views("pixverve299x20", 2048) == Patches(299, "random", 20, 2048, 42)
    for wrong in (("patches",), ("pixverve299x20",), ("hific256", 512)):
        with pytest.raises(UsageError):
            views(*wrong)


def configured(value):
    """What a metric's constructor is given for `metric.patch_fid.views=...`."""
    node = compose(["metric=[patch_fid]", f"metric.patch_fid.views={value}"]).group("metric")
    given = node["patch_fid"]["views"]
    return build(given, "views") if isinstance(given, dict) else given


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("anyres256", Patches(256, "random", 1, (256, 0))),
        ("{_target_: qa.features.views.Patches, patch: 512}", Patches(512)),
        ("{_target_: qa.features.views.Patches, patch: 64, sampling: grid+shift, resize: 512}",
         Patches(64, "grid+shift", resize=512)),
        ("{_target_: qa.features.views.Patches, patch: 9, sampling: random, count: 2, seed: 5, "
         "resize: [16, 32]}", Patches(9, "random", 2, (16, 32), 5)),
        ("{_target_: qa.features.views.anyres256, least: 512, most: 1024}", anyres256(512, 1024)),
        ("{_target_: qa.features.views.pixverve299x20, size: 512}", pixverve299x20(512)),
    ],
)  # fmt: skip
def test_rules_can_be_written_on_the_command_line(text, rule):
    made = chosen(configured(text), None)
    assert made == rule
    assert made.facts == rule.facts


def test_a_rule_from_the_command_line_is_in_the_metric(picture):
    """And says where it looks: 100 x 160 has room for 2 patches of 80, and none further in."""
    text = "{_target_: qa.features.views.Patches, patch: 80, sampling: grid+shift}"
    nodes = compose(["metric=[patch_fid_random]", f"metric.patch_fid_random.views={text}"])
    metric = build(nodes.group("metric")["patch_fid_random"], "patch_fid_random")
    assert metric.facts.protocol["patch"] == 80
    assert metric.facts.protocol["sampling"] == "grid+shift"
    assert metric.features(picture(100, 160), "k").shape == (2, 2048)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spiral", "no views 'spiral'"),
        ("{patch: 512}", "no rule of where to look"),
        ("{_target_: qa.features.views.Patches, side: 512}", "side"),
        ("{_target_: qa.features.views.Patches, patch: 0}", "no patches 0"),
        ("{_target_: qa.features.views.anyres256, least: 256, most: 300, size: 3}", "size"),
    ],
)
def test_rules_that_do_not_exist_are_refused(text, said):
    nodes = compose(["metric=[patch_fid_random]", f"metric.patch_fid_random.views={text}"])
    with pytest.raises(UsageError, match=said):
        build(nodes.group("metric")["patch_fid_random"], "patch_fid_random")


def test_facts_tell_rules_apart():
    rules = [
        Whole(), Patches(8), Patches(9), Patches(8, "grid+shift"), Patches(8, "random", 2),
        Patches(8, "random", 3), Patches(8, "random", 2, 16), Patches(8, "random", 2, 17),
        Patches(8, "random", 2, (16, 0)), Patches(8, "random", 2, (16, 20)),
        Patches(8, "random", 2, seed=1), Patches(8, "grid", resize=16),
    ]  # fmt: skip
    assert len({str(rule.facts) for rule in rules}) == len(rules)
