"""Both samplers on fields whose answer is known in closed form."""

import math
import warnings

import pytest
import torch

from decoders.pid.samplers import Noise, _in_double, student, student_times, teacher, teacher_times


def one_point(x0):
    """The exact field of data that is a single picture: v = (x - x0) / t."""
    return lambda x, t: (x - x0) / (t[:, None, None, None] / 1000)


def gaussian(s):
    """The exact field of data N(0, s²): dx/dt = x (t - (1-t) s²) / (t² + (1-t)² s²)."""

    def velocity(x, t):
        t = (t / 1000)[:, None, None, None]
        return x * (t - (1 - t) * s**2) / (t**2 + (1 - t) ** 2 * s**2)

    return velocity


def noises(count):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, 4, 4, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_the_student_is_exact_for_a_single_picture(steps):
    x0 = torch.linspace(-1, 1, 48).reshape(1, 3, 4, 4)
    torch.testing.assert_close(
        student(one_point(x0), noises(steps)), x0.expand(2, -1, -1, -1), rtol=0, atol=2e-6
    )


def test_the_students_steps_by_hand():
    """A field of zeros leaves x̂0 = x, so the noises are mixed with the published weights."""
    e = noises(4)
    x = e[0]
    for k, t in enumerate((0.866, 0.634, 0.342)):
        x = (1 - t) * x + t * e[k + 1]
    torch.testing.assert_close(student(lambda x, t: torch.zeros_like(x), e), x)


def test_the_student_asks_at_the_published_times():
    asked = []

    def velocity(x, t):
        asked.append(t[0].item())
        return torch.zeros_like(x)

    student(velocity, noises(4))
    assert asked == pytest.approx([999, 866, 634, 342])


def test_noise_is_drawn_once_and_only_when_the_network_before_it_was_called():
    """So that the next noise is drawn while a GPU computes the step."""
    e, told = noises(4), []

    def draw(step):
        told.append(f"noise {step}")
        return e[step]

    def velocity(x, t):
        told.append("network")
        return 0.1 * x

    drawn = Noise(4, draw)
    assert torch.equal(student(velocity, drawn), student(lambda x, t: 0.1 * x, e))
    assert told == ["noise 0", *(one for k in (1, 2, 3) for one in ("network", f"noise {k}")),
                    "network"]  # fmt: skip
    assert [one.sum() for one in drawn] == [one.sum() for one in e]
    with pytest.raises(IndexError):
        drawn[4]


def test_step_counts():
    assert student_times(1).tolist() == [1.0, 0.0]
    assert student_times(2).tolist() == pytest.approx([0.999, 0.634, 0.0])
    assert student_times(3).tolist() == pytest.approx([0.999, 0.866, 0.342, 0.0])
    assert student_times(4).tolist() == pytest.approx([0.999, 0.866, 0.634, 0.342, 0.0])
    for steps in (0, 5, 8, -1):
        with pytest.raises(ValueError, match=f"{steps} steps"):
            student_times(steps)
    # What is refused: rounding five steps onto the four intervals repeats a time.
    places = [round(4 * k / 5) for k in range(6)]
    assert len(set(places)) < 6


def test_x0_is_rounded_once():
    x, v = (torch.randn(1000, generator=torch.Generator().manual_seed(k)) for k in (1, 2))
    t = torch.tensor(0.866)
    exact = torch.from_numpy(x.double().numpy() - float(t) * v.double().numpy()).float()
    assert torch.equal(_in_double(x, t, v), exact)
    assert not torch.equal(x - t * v, exact)


def test_the_teachers_published_times():
    times = 1000 * teacher_times(25, 6.0)
    assert times[:4].tolist() == pytest.approx([999.83, 992.93, 985.54, 977.6], abs=0.01)
    assert times[-3:].tolist() == pytest.approx([342.61, 199.83, 0], abs=0.01)
    assert len(times) == 26
    for steps, shift in ((0, 6.0), (4, 0.0)):
        with pytest.raises(ValueError, match=r"steps|shift"):
            teacher_times(steps, shift)


@pytest.mark.parametrize("steps", [1, 2, 3, 25])
def test_the_teacher_is_exact_for_a_single_picture(steps):
    x0 = torch.linspace(-1, 1, 48, dtype=torch.float64).reshape(1, 3, 4, 4)
    found = teacher(one_point(x0), noises(1)[0].double(), steps=steps, shift=6.0)
    # The first time is 0.99983, where x - t e is divided by 0.00017 of float32 precision.
    torch.testing.assert_close(found, x0.expand(2, -1, -1, -1), rtol=0, atol=1e-3)


def by_diffusers(velocity, x, times, order=2):
    """The same solver from diffusers, on our times."""
    from diffusers import DPMSolverMultistepScheduler

    solver = DPMSolverMultistepScheduler(
        solver_order=order, use_flow_sigmas=True, prediction_type="flow_prediction",
        euler_at_final=True, final_sigmas_type="zero",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # diffusers 0.42 with NumPy 2
        solver.set_timesteps(len(times) - 1)
    solver.sigmas = times.double()
    solver.timesteps = 1000 * times[:-1].double()
    solver.set_begin_index(0)
    for t in solver.timesteps:
        x = solver.step(velocity(x, t.expand(len(x))), t, x).prev_sample
    return x


@pytest.mark.parametrize("steps", [2, 5, 20])
def test_the_teacher_is_diffusers_second_order_solver(steps):
    times, start = teacher_times(steps, 3.0), noises(1)[0].double()
    found = teacher(gaussian(0.5), start, steps=steps, shift=3.0)
    wanted = by_diffusers(gaussian(0.5), start, times)
    # Our times are float32 and near 1, where rounding grows by 1 / (1 - t) = 3000.
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    if steps > 2:  # two steps are first and last, both of first order
        assert (wanted - by_diffusers(gaussian(0.5), start, times, order=1)).abs().max() > 1e-2


def test_guidance_is_applied_to_the_noise():
    """With v_c = a x and v_u = b x the guided field is (b + w (a - b)) x: the same for v and e."""
    start = noises(1)[0].double()
    a, b, w = 0.3, 0.1, 5.0
    guided = teacher(
        lambda x, t: a * x, start, steps=6, shift=3.0, guidance=w, negative=lambda x, t: b * x
    )
    plain = teacher(lambda x, t: (b + w * (a - b)) * x, start, steps=6, shift=3.0)
    torch.testing.assert_close(guided, plain, rtol=1e-5, atol=1e-5)
    alone = teacher(lambda x, t: a * x, start, steps=6, shift=3.0)
    assert (guided - alone).abs().max() > 0.1


def test_guidance_one_asks_once_and_more_needs_a_negative():
    def never(x, t):
        raise AssertionError("called")

    start = noises(1)[0]
    teacher(one_point(0.0), start, steps=2, shift=6.0, guidance=1.0, negative=never)
    with pytest.raises(ValueError, match="negative prompt"):
        teacher(one_point(0.0), start, steps=2, shift=6.0, guidance=2.0)


def test_nothing_is_clamped():
    x0 = torch.full((1, 3, 4, 4), 1.7)
    assert student(one_point(x0), noises(4)).max() > 1.6
    assert math.isclose(teacher(one_point(x0), noises(1)[0], steps=4, shift=6.0).max(), 1.7,
                        abs_tol=0.05)  # fmt: skip
