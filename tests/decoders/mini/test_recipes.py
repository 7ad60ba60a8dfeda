"""What the recipes do in a step, spied on or by hand, and which checkpoints they go on from."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decoders.mini import l2p_batch, pages, train_l2p, train_pid
from decoders.mini.drawn import KINDS, Drawn
from decoders.mini.l2p_batch import Model
from decoders.mini.pid import CHECKPOINT
from decoders.mini.train_l2p import L2PTraining
from decoders.mini.train_pid import CELL, CROP, Pages, PiDTraining, distance
from decoders.mini.train_vae import Recipe as VAERecipe
from decoders.mini.train_vae import VAETraining
from decoders.mini.training import CPU, KEPT, Training, arguments, command
from decoders.pid.network import PiDNetwork
from decoders.pid.samplers import STUDENT_TIMES
from qa.drawings import EVALUATION_SEEDS, draw
from qa.drawings.figures import WORDS
from qa.errors import UsageError

SIZES = {**CHECKPOINT.sizes, "hidden": 64, "heads": 2, "pixel_width": 16, "pixel_heads": 2}
SMALL = replace(CHECKPOINT, sizes=SIZES, adapter={"width": 64, "blocks": 1})
PID = train_pid.Recipe(steps=3, batch=2, pool=2, first=3)
L2P = train_l2p.Recipe(steps=2, batch=2)
VAE = VAERecipe(steps=3, pool=3, widths=(8, 16, 16), crops=((2, 64), (1, 128)))
FIRST, LATER = STUDENT_TIMES[0], set(torch.tensor(STUDENT_TIMES[1:-1]).tolist())


@pytest.fixture(autouse=True)
def _small(one_thread, monkeypatch):
    monkeypatch.setattr(train_pid, "CHECKPOINT", SMALL)


# ------------------------------------------------------------------------------------ a PiD step


@dataclass
class Seen:
    """A step of `PiDTraining.loss`: what went into it, and what it asked the network for."""

    loss: Tensor
    page: Tensor
    latent: Tensor
    sigma: Tensor
    noise: list[Tensor]
    conditions: list[tuple[Tensor, Tensor]]
    asked: list[tuple[Tensor, Tensor, Tensor, Any]]
    """x, t, the picture that came back, the condition"""


@pytest.fixture
def look(monkeypatch) -> Callable[[int], Seen]:
    """The network is replaced by one that answers 3 x: where it is clamped shows."""
    run = PiDTraining(replace(PID, batch=8), fitted=False)
    generator = torch.Generator().manual_seed(5)
    x = 2 * torch.rand(8, 3, CROP, CROP, generator=generator) - 1
    z = torch.randn(8, 16, CROP // CELL, CROP // CELL, generator=generator)

    def look(step: int) -> Seen:
        seen = Seen(torch.zeros(()), x, z, torch.zeros(8), [], [], [])

        def batch(number: int) -> tuple[Tensor, Tensor]:
            assert number == step
            return x, z

        def condition_of(network: nn.Module, latent: Tensor, sigma: Tensor) -> str:
            assert network is run.model
            seen.conditions.append((latent, sigma))
            return "condition"

        def predicted(network: nn.Module, mixed: Tensor, t: Tensor, condition: Any) -> Tensor:
            assert network is run.model
            seen.asked.append((mixed, t, 3 * mixed, condition))
            return 3 * mixed

        def corrupted(count: int, generator: torch.Generator) -> Tensor:
            seen.sigma = levels(count, generator)
            return seen.sigma

        def noise(like: Tensor, generator: torch.Generator) -> Tensor:
            seen.noise.append(torch.randn(like.shape, generator=generator))
            return seen.noise[-1]

        monkeypatch.setattr(run.pages, "batch", batch)
        monkeypatch.setattr(run, "_noise", noise)
        monkeypatch.setattr(train_pid, "condition_of", condition_of)
        monkeypatch.setattr(train_pid, "predicted", predicted)
        monkeypatch.setattr(train_pid, "corrupted", corrupted)
        run.step = step
        seen.loss = run.loss()
        return seen

    levels = train_pid.corrupted
    return look


@pytest.mark.parametrize("step", range(8))
def test_a_step_of_pid(step: int, look: Callable[[int], Seen]) -> None:
    """Even steps have t = 0.999; of the odd ones three in four begin from the own picture."""
    seen = look(step)
    own = step in (1, 3, 5)
    begin = seen.page
    assert len(seen.asked) == (2 if own else 1)
    if own:
        start, time, answer, condition = seen.asked[0]
        assert torch.equal(start, seen.noise[1])
        assert torch.equal(time, torch.full((8,), FIRST))
        assert condition == "condition"
        assert answer.abs().max() > 1.1
        begin = answer.clamp(-1.1, 1.1)
    mixed, time, answer, condition = seen.asked[-1]
    assert set(time.tolist()) <= (LATER if step % 2 else set(torch.tensor([FIRST]).tolist()))
    t = time[:, None, None, None]
    assert torch.allclose(mixed, (1 - t) * begin + t * seen.noise[-1], atol=1e-6)
    assert condition == "condition"
    assert len(seen.noise) == (3 if own else 2)
    assert torch.equal(seen.loss, distance(answer, seen.page))


def test_latents_of_pid_carry_the_noise_that_is_told(look: Callable[[int], Seen]) -> None:
    seen = look(0)
    (latent, told) = seen.conditions[0]
    level = seen.sigma[:, None, None, None]
    assert len(seen.conditions) == 1
    assert 0 < (seen.sigma > 0).sum() < 8
    assert torch.equal(told, seen.sigma)
    assert torch.allclose(latent, (1 - level) * seen.latent + level * seen.noise[0], atol=1e-6)


def test_all_later_times_come_up(look: Callable[[int], Seen]) -> None:
    times = {time for step in (1, 3, 5, 7) for time in look(step).asked[-1][1].tolist()}
    assert times == LATER


def test_the_rate_of_pid_rises_stays_and_falls() -> None:
    """To the full rate within 100 steps; over the last 30 % of the run down to nothing."""
    run = PiDTraining(replace(PID, steps=10_000, rate=2.0), fitted=False)
    rates = []
    for run.step in (0, 49, 99, 7000, 8500, 10_000):
        rates.append(run.rate())
    assert rates == pytest.approx([0.02, 1, 2, 2, 1, 0])


# ------------------------------------------------------------------------------------ an L2P step


def test_the_loss_of_l2p_is_that_of_velocities_and_a_tenth_of_that_of_names(monkeypatch) -> None:
    run, steps, given = L2PTraining(replace(L2P, seed=3), CPU), [], []
    batch = run.drawn.batch

    def drawn(step: int) -> Any:
        steps.append(step)
        return batch(step)

    def losses(x: Tensor, said: list[str], kinds: Tensor, generator: torch.Generator) -> Any:
        given.append((x, said, kinds, generator.initial_seed()))
        return torch.tensor([1.0, 3.0]), torch.tensor([10.0, 20.0])

    monkeypatch.setattr(run.drawn, "batch", drawn)
    monkeypatch.setattr(run.model, "losses", losses)
    for run.step in (0, 7):
        assert run.loss().item() == pytest.approx(2 + 0.1 * 15)
    assert steps == [0, 7]
    for step, (x, said, kinds, seed) in zip(steps, given, strict=True):
        pictures, prompts, named = Drawn(3, 2).batch(step)
        assert torch.equal(x, pictures)
        assert said == prompts
        assert torch.equal(kinds, named)
        assert seed == 3 * 10**9 + step


def test_names_are_read_after_two_thirds_of_the_layers(monkeypatch) -> None:
    model, made, read = Model(WORDS, KINDS), {}, []
    block = l2p_batch._block

    def spy(layer: nn.Module, x: Tensor, *more: Any) -> Tensor:
        made[layer] = block(layer, x, *more)
        return made[layer]

    monkeypatch.setattr(l2p_batch, "_block", spy)
    model.marks.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    x, said, _ = Drawn(0, 2).batch(0)
    with torch.no_grad():
        _, scores = model(x, torch.tensor([0.3, 0.8]), said)
    layers = list(model.network.layers)
    rows = [made[layer][:, :64] for layer in layers]
    assert len(layers) % 3 == 0
    assert [torch.equal(read[0], one) for one in rows].index(True) == len(layers) * 2 // 3 - 1
    assert sum(torch.equal(read[0], one) for one in rows) == 1
    assert scores.shape == (2, 64, KINDS)


# ------------------------------------------------------------------------------- steps by hand


@dataclass(frozen=True)
class HandRecipe:
    """Two numbers a and b, each with its optimiser, b's at a quarter of the rate."""

    seed: int = 0
    steps: int = 100
    slope: float = 1.0


class Hand(Training[nn.ParameterDict]):
    """Loss slope (3a + 4b): a gradient of length 5 slope, everywhere."""

    def __init__(self, recipe: HandRecipe) -> None:
        self.recipe = recipe
        model = nn.ParameterDict({name: nn.Parameter(torch.tensor(1.0)) for name in "ab"})
        descents = [
            torch.optim.SGD([{"params": [model["a"]]}], 9.0),
            torch.optim.SGD([{"params": [model["b"]], "scale": 0.25}], 9.0),
        ]
        super().__init__(model, descents, recipe.steps, CPU, keep=0.28)

    @property
    def seed(self) -> int:
        return self.recipe.seed

    def rate(self) -> float:
        return 0.1 * (self.step + 1)

    def loss(self) -> Tensor:
        return self.recipe.slope * (3 * self.model["a"] + 4 * self.model["b"])


@pytest.mark.parametrize(("slope", "a", "b"), [(1.0, 0.6, 0.8), (0.1, 0.3, 0.4)])
def test_steps_by_hand(slope: float, a: float, b: float) -> None:
    """Gradients (a, b) of at most length 1, times rate and scale; after step n an average."""
    run, at, average = Hand(HandRecipe(slope=slope)), (1.0, 1.0), (1.0, 1.0)
    for n, keep in ((1, 2 / 11), (2, 3 / 12), (3, 0.28), (4, 0.28)):
        assert run.advance() == pytest.approx(slope * (3 * at[0] + 4 * at[1]))
        at = at[0] - 0.1 * n * a, at[1] - 0.1 * n * 0.25 * b
        average = tuple(keep * old + (1 - keep) * new for old, new in zip(average, at, strict=True))
        assert run.step == n
        assert [run.model[name].item() for name in "ab"] == pytest.approx(at, abs=1e-5)
        assert [run.average[name].item() for name in "ab"] == pytest.approx(average, abs=1e-5)
    half = [value.half().item() for value in run.average.values()]
    assert [value.item() for value in run.averaged().parameters()] == half


# ------------------------------------------------------------------------------------ checkpoints


RUNS: dict[str, Callable[[int], Training]] = {
    "pid": lambda seed: PiDTraining(replace(PID, seed=seed), fitted=False),
    "l2p": lambda seed: L2PTraining(replace(L2P, seed=seed), CPU),
    "vae": lambda seed: VAETraining(replace(VAE, seed=seed), CPU),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_checkpoint_knows_its_recipe(name: str, tmp_path: Path) -> None:
    run = RUNS[name](4)
    run.step = 1
    run.save(tmp_path / KEPT)
    other = RUNS[name](5)
    before = {key: value.clone() for key, value in other.model.state_dict().items()}
    with pytest.raises(UsageError, match="seed 4 and not 5") as refused:
        other.resume(tmp_path / KEPT)
    assert refused.value.fix == "--seed 4"
    assert all(torch.equal(before[key], value) for key, value in other.model.state_dict().items())
    same = RUNS[name](4)
    same.resume(tmp_path / KEPT)
    assert same.step == 1


def test_other_recipes_are_refused_longer_and_old_ones_are_not() -> None:
    state = Hand(HandRecipe()).state() | {"step": 60}
    for other in (HandRecipe(steps=60), HandRecipe(steps=200)):
        run = Hand(other)
        run.restore(state)
        assert run.step == 60
    with pytest.raises(UsageError, match=r"slope 1.0 and not 2.0") as refused:
        Hand(HandRecipe(slope=2.0)).restore(state)
    assert "--out" in refused.value.fix
    with pytest.raises(UsageError, match=r"step 60 of a run of 59 steps"):
        Hand(HandRecipe(steps=59)).restore(state)
    with pytest.raises(UsageError, match=r"width 8 and not None"):
        Hand(HandRecipe()).restore(state | {"recipe": {**state["recipe"], "width": 8}})
    del state["recipe"]
    old = Hand(HandRecipe(slope=2.0))
    old.restore(state)
    assert old.step == 60


def test_a_run_that_goes_on_needs_no_fitted_start(tmp_path: Path, monkeypatch) -> None:
    one = PiDTraining(PID)
    one.advance()
    one.save(tmp_path / KEPT)
    monkeypatch.setattr(train_pid, "start", lambda *more: pytest.fail("fitted"))
    again = PiDTraining(PID, fitted=False)
    again.resume(tmp_path / KEPT)
    one.advance()
    again.advance()
    assert all(torch.equal(one.average[key], again.average[key]) for key in one.average)
    with pytest.raises(pytest.fail.Exception):
        PiDTraining(PID)


# ------------------------------------------------------------------------------- the command line


@pytest.fixture
def words(monkeypatch, tmp_path: Path) -> Callable[..., None]:
    """Sets the command line; the folder is OUT."""

    def words(*more: str) -> None:
        monkeypatch.setattr(sys, "argv", ["train", "--out", str(tmp_path / "out"), *more])

    return words


def test_no_thread_and_no_checkpoint_are_refused(words, tmp_path: Path) -> None:
    words("--threads", "0")
    with pytest.raises(UsageError, match="--threads 0 leaves nothing to compute with"):
        arguments("", 5)
    for flag in ("--resume", "--export"):
        words(flag, "--threads", "1")
        with pytest.raises(UsageError, match=r"There is no .*out.checkpoint\.pt") as refused:
            arguments("", 5)
        assert "--out" in refused.value.fix
    assert not (tmp_path / "out").exists()
    words("--threads", "1")
    assert arguments("", 5).steps == 5
    assert (tmp_path / "out").is_dir()


def test_the_length_of_a_run_is_kept_with_it(words, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    file, state = tmp_path / "out" / KEPT, Hand(HandRecipe(steps=60)).state()
    torch.save(state, file)

    def steps(*more: str) -> int:
        words("--threads", "1", *more)
        return int(arguments("", 5).steps)

    assert steps("--resume") == steps("--export") == steps("--export", "--steps", "7") == 60
    assert steps("--resume", "--steps", "70") == 70
    assert steps() == 5
    del state["recipe"]
    torch.save(state, file)
    assert steps("--resume") == steps("--export") == 5
    assert steps("--export", "--steps", "7") == 7


def test_a_card_tells_of_the_run_it_came_from(words, monkeypatch, tmp_path: Path) -> None:
    """Without fitting the start again; and not of a run with another seed."""
    run = PiDTraining(train_pid.Recipe(seed=2, steps=7), fitted=False)
    run.step, run.seconds = 6, 90.0
    (tmp_path / "out").mkdir()
    run.save(tmp_path / "out" / KEPT)
    monkeypatch.setattr(train_pid, "start", lambda *more: pytest.fail("fitted"))
    words("--export", "--threads", "1", "--device", "cpu")
    with pytest.raises(UsageError, match="seed 2 and not 0"):
        train_pid.main()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [KEPT]
    words("--export", "--threads", "1", "--device", "cpu", "--seed", "2")
    train_pid.main()
    card = json.loads((tmp_path / "out" / "pid_mini.json").read_text())
    assert (card["steps"], card["minutes"]) == (6, 1.5)
    assert (card["recipe"]["seed"], card["recipe"]["steps"]) == (2, 7)


def test_errors_for_users_have_no_traceback(capsys) -> None:
    def refuses() -> None:
        raise UsageError("What.", "Why.", "fix it")

    def fails() -> None:
        raise ValueError("a bug")

    with pytest.raises(SystemExit) as left:
        command(refuses)
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: What. Why.\n  fix: fix it\n"
    with pytest.raises(ValueError, match="a bug"):
        command(fails)


# ------------------------------------------------------------------------------------------ seeds


@pytest.fixture
def drawn(monkeypatch) -> list[int]:
    """Numbers that pages and drawings are made from."""
    seeds: list[int] = []

    def spy_draw(kind: str, seed: int) -> Any:
        seeds.append(seed)
        return draw(kind, seed)

    def spy_page(number: int) -> Any:
        seeds.append(number)
        return page(number)

    page = pages.page
    monkeypatch.setattr(pages, "draw", spy_draw)
    monkeypatch.setattr(pages, "page", spy_page)
    return seeds


def test_pages_that_measure_have_seeds_of_their_own(
    drawn: list[int], monkeypatch, tmp_path
) -> None:
    last = EVALUATION_SEEDS
    source = Pages(replace(PID, pool=3), CPU)
    for step in (0, last - 4, last - 1, last, 3 * last):
        source.batch(step)
    for number in range(last - 4, last + 4):
        source.page(number)
    assert drawn
    assert max(drawn) < last
    drawn.clear()
    monkeypatch.setattr(train_pid, "decode", lambda network, z, *_, seed: still(z))
    assert "cascade at 0.4" in train_pid.show(PiDNetwork(SMALL.config()), tmp_path)
    assert drawn == list(range(last, last + 8))


def test_every_kind_of_picture_has_the_seed_it_is_asked_for(drawn: list[int]) -> None:
    """Three pictures in four are pages; the others are drawings, with the same number."""
    kinds = set()
    for number in range(EVALUATION_SEEDS, EVALUATION_SEEDS + 40):
        kinds.add(pages.picture(number).tobytes() == pages.page(number).tobytes())
    assert kinds == {True, False}
    assert min(drawn) == EVALUATION_SEEDS


def still(z: Tensor) -> Tensor:
    """Grey pictures of latents [B,16,h,w]."""
    return torch.full((len(z), 3, CELL * z.shape[2], CELL * z.shape[3]), 128, dtype=torch.uint8)
