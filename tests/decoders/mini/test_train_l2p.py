"""The recipe of the small L2P, and that its card says what the shipped weights do."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from decoders.mini import drawn, train_l2p
from decoders.mini.drawn import KINDS, MIX, Drawn, held_out, kinds
from decoders.mini.l2p import TABLE, WEIGHTS, L2PMini
from decoders.mini.l2p_batch import SHIFT, Model
from decoders.mini.train_l2p import L2PTraining, Recipe, export, measure, show
from decoders.mini.training import CPU, train
from qa.drawings import EVALUATION_SEEDS
from qa.drawings.figures import COLOURS, SHAPES, TAGS, WORDS, draw_prompt, is_held_out, prompts

CARD, NUMBERS = WEIGHTS.with_suffix(".md"), WEIGHTS.with_suffix(".json")
TOLERANCE = 0.02
"""Of a loss, relative: float32 on another machine."""
TINY = Recipe(steps=2, batch=2)


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    pass


@pytest.fixture(scope="module")
def card() -> dict:
    return json.loads(NUMBERS.read_text())


def shipped() -> Model:
    model, state = Model(WORDS, KINDS), load_file(WEIGHTS)
    model.table.data = state.pop(TABLE).float()
    model.network.load_state_dict({key: value.float() for key, value in state.items()})
    return model.eval().requires_grad_(False)


@pytest.fixture
def two_tags(monkeypatch) -> set[str]:
    """The loss of two tags alone is measured: enough for a negative control."""
    monkeypatch.setattr(train_l2p, "MIX", {tag: MIX[tag] for tag in ("colors", "color_attr")})
    return set(train_l2p.MIX)


def deviations(model: Model, card: dict) -> dict[str, float]:
    """Tags whose measured loss is not the one on the card, and by which share of it."""
    found = measure(model)
    off = {tag: loss / card["held_out"][tag] - 1 for tag, loss in found.items()}
    return {tag: value for tag, value in off.items() if abs(value) > TOLERANCE}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def tiny_run(tmp_path: Path) -> L2PTraining:
    training = L2PTraining(TINY, CPU)
    train(training, tmp_path, show)
    return training


# --------------------------------------------------------------------------------------- the card


def test_the_losses_on_the_card_are_what_the_weights_give(card: dict) -> None:
    assert set(card["held_out"]) == set(TAGS)
    assert deviations(shipped(), card) == {}


def test_the_card_would_notice_other_weights(card: dict, two_tags: set[str]) -> None:
    model = shipped()
    model.network.local_decoder.out_conv.weight.mul_(1.1)
    assert set(deviations(model, card)) == two_tags


def test_the_losses_tell_whether_prompts_are_heard(card: dict, two_tags: set[str]) -> None:
    """The same drawings with their prompts left out cost more."""
    model = shipped()
    forward = model.forward
    model.forward = lambda x, s, said: forward(x, s, [""] * len(said))
    deaf = measure(model)
    assert deaf["colors"] > 1.03 * card["held_out"]["colors"]
    assert deaf["color_attr"] > card["held_out"]["color_attr"]


def test_the_card_for_people_says_what_the_numbers_say(card: dict, script) -> None:
    tables, filled = script("score_l2p_mini").tables, script("mini_cards").filled
    text = CARD.read_text(encoding="utf-8")
    assert card["sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert filled(text, tables(card)) == text
    for other in ({"steps": 1}, {"sha256": ""}, {"held_out": {"colors": 9.0}}):
        assert filled(text, tables({**card, **other})) != text


FEW = 8
"""All four of `single_object` and four of `two_object`."""


def test_the_weights_draw_again_what_the_card_says(card: dict, script, workdir: Path) -> None:
    found = script("score_l2p_mini").scores(workdir, "suite.pictures=1", f"limit={FEW}")
    assert flips(found["first"], card["figures"]["first"][:FEW]) <= 1


@pytest.mark.grid
def test_the_weights_draw_all_of_it_again(card: dict, script, workdir: Path) -> None:
    found = script("score_l2p_mini").measure(workdir, "suite.pictures=1")
    for part in ("figures", "shuffled"):
        assert flips(found[part]["first"], card[part]["first"]) <= 5


def test_other_weights_would_not_draw_it(card: dict) -> None:
    nothing = "0" * FEW
    assert flips(nothing, card["figures"]["first"][:FEW]) > 1


def flips(one: str, other: str) -> int:
    """Pictures that came out otherwise; float32 on another machine may move a borderline one."""
    return sum(a != b for a, b in zip(one, other, strict=True))


# -------------------------------------------------------------------------------------- the recipe


def test_training_never_asks_for_what_is_held_out_nor_draws_what_measures(monkeypatch) -> None:
    asked: list[tuple[str, int]] = []

    def spy(prompt: str, seed: int) -> object:
        asked.append((prompt, seed))
        return draw_prompt(prompt, seed)

    monkeypatch.setattr(drawn, "draw_prompt", spy)
    source = Drawn(0, 64)
    for step in (0, 1, 7, EVALUATION_SEEDS // 64, EVALUATION_SEEDS):
        source.batch(step)
    assert len(asked) == 5 * 64
    assert not [prompt for prompt, _ in asked if is_held_out(prompt)]
    assert max(seed for _, seed in asked) < EVALUATION_SEEDS
    asked.clear()
    for tag in MIX:
        _, said, _ = held_out(tag, 40)
        assert set(said) <= set(prompts(tag))
        assert all(map(is_held_out, said)) == any(map(is_held_out, prompts(tag)))
    assert min(seed for _, seed in asked) >= EVALUATION_SEEDS


def test_a_batch_is_true_drawings_with_a_tenth_of_the_prompts_left_out() -> None:
    pictures, said, found = Drawn(0, 500).batch(3)
    assert pictures.shape == (500, 3, 64, 64)
    assert found.shape == (500, 64)
    assert pictures.min() >= -1
    assert pictures.max() == 1
    assert said.count("") == pytest.approx(50, abs=4 * np.sqrt(500 * 0.1 * 0.9))
    assert torch.equal(Drawn(0, 4).batch(3)[0], Drawn(0, 4).batch(3)[0])
    assert not torch.equal(Drawn(0, 4).batch(3)[0], Drawn(0, 4).batch(4)[0])
    assert not torch.equal(Drawn(0, 4).batch(3)[0], Drawn(1, 4).batch(3)[0])
    assert sum(MIX.values()) == pytest.approx(1)


def test_a_patch_is_named_after_the_figure_whose_ink_it_holds() -> None:
    for seed in range(20):
        drawing = draw_prompt("a blue square and a yellow star", seed)
        names = kinds(drawing).reshape(8, 8)
        for row in range(8):
            for column in range(8):
                ink = {
                    shape: (patch(drawing.image, row, column) == COLOURS[colour]).all(-1).sum()
                    for shape, colour in (("square", "blue"), ("star", "yellow"))
                }
                shape = max(ink, key=ink.__getitem__)
                if ink[shape] > 12 and min(ink.values()) == 0:
                    colour = {"square": "blue", "star": "yellow"}[shape]
                    assert names[row, column] == name(shape, colour)
                if (patch(drawing.image, row, column) == drawing.image[0, 0]).all():
                    assert names[row, column] == 0
        assert set(np.unique(names)) == {0, name("square", "blue"), name("star", "yellow")}
    every = {name(shape, colour) for shape in SHAPES for colour in COLOURS}
    assert every == set(range(1, KINDS))


def patch(image: np.ndarray, row: int, column: int) -> np.ndarray:
    return image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]


def name(shape: str, colour: str) -> int:
    return 1 + SHAPES.index(shape) * len(COLOURS) + list(COLOURS).index(colour)


def test_the_loss_is_zero_for_the_velocity_of_the_path_and_only_for_it() -> None:
    """x_s = (1-s) x + s e, so a network that knows x can answer e - x = (x_s - x) / s."""
    x, said, found = Drawn(0, 8).batch(0)
    levels: list[torch.Tensor] = []

    def knows(x_s: torch.Tensor, s: torch.Tensor, said: list[str]) -> tuple[torch.Tensor, ...]:
        levels.append(s)
        sure = torch.nn.functional.one_hot(found, KINDS).float() * 100
        return (x_s - x) / s[:, None, None, None], sure

    def guesses(x_s: torch.Tensor, s: torch.Tensor, said: list[str]) -> tuple[torch.Tensor, ...]:
        return -knows(x_s, s, said)[0], torch.zeros(8, 64, KINDS)

    model = Model(WORDS, KINDS)
    model.forward = knows
    for losses in model.losses(x, said, found, torch.Generator().manual_seed(0)):
        assert losses.shape == (8,)
        assert losses.max() < 1e-6
    u = levels[0] / (SHIFT - (SHIFT - 1) * levels[0])
    assert torch.equal((u * 8).floor(), torch.arange(8.0))
    model.forward = guesses
    velocity, named = model.losses(x, said, found, torch.Generator().manual_seed(0))
    assert velocity.min() > 1
    assert named.tolist() == pytest.approx([np.log(KINDS)] * 8)


def test_the_head_starts_with_weights_that_keep_a_signal() -> None:
    head = Model(WORDS, KINDS).network.local_decoder
    active = torch.nn.functional.silu(torch.randn(1, 64 + 128, 32, 32))
    with torch.no_grad():
        after = head.bottleneck(active)
    assert active.square().mean().item() == pytest.approx(0.356, rel=0.05)
    assert after.square().mean().item() == pytest.approx(0.356, rel=0.25)


def test_the_rate_rises_stays_and_falls() -> None:
    training = L2PTraining(replace(TINY, steps=10_000), CPU)
    rates = []
    for training.step in (0, 199, 5000, 7500, 8750, 10_000):
        rates.append(training.rate() / 2e-3)
    assert rates == pytest.approx([1 / 200, 1, 1, 1, 0.5, 0])


def test_two_runs_are_equal_and_one_that_was_cut_off_ends_like_them(tmp_path: Path) -> None:
    one, two = tiny_run(tmp_path), tiny_run(tmp_path)
    assert one.step == two.step == 2
    assert equal(one.average, two.average)
    assert not equal(one.average, L2PTraining(TINY, CPU).average)
    cut = L2PTraining(TINY, CPU)
    cut.advance()
    cut.save(tmp_path / "checkpoint.pt")
    resumed = L2PTraining(TINY, CPU)
    resumed.resume(tmp_path / "checkpoint.pt")
    train(resumed, tmp_path, show)
    assert equal(resumed.average, one.average)
    assert equal(resumed.model.state_dict(), one.model.state_dict())


def test_what_is_exported_is_what_the_decoder_reads(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(train_l2p, "measure", lambda model: {})
    training = L2PTraining(TINY, CPU)
    training.advance()
    export(training, tmp_path)
    decoder = L2PMini(path=str(tmp_path / "l2p_mini.safetensors"), device="cpu")
    for key, value in decoder.network.state_dict().items():
        assert torch.equal(value, training.average[f"network.{key}"].half().float())
    known = json.loads((tmp_path / "l2p_mini.json").read_text())
    assert known["steps"] == 1
    assert known["recipe"] == {"seed": 0, "steps": 2, "batch": 2, "rate": 2e-3}
