"""The sampler: exact where it can be, equal to diffusers' where that is what others trained for, the same for numpy and
torch, and random by counter alone."""

from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.bench import wans
from perdure.models.config import TransformerConfig
from perdure.sampling import (
    SELF_FORCING,
    WORLDPLAY,
    Levels,
    alike,
    cleaned,
    euler_levels,
    guided,
    held,
    holding,
    keyed,
    noise,
    noised,
    sample,
    shifted,
    solve,
    staggered,
    unipc_levels,
    velocity_to,
)

SHAPE = (1, 2, 3, 4, 4)  # B C T h w


def crooked(x: Any, timestep: float) -> Any:
    """A velocity that bends, to tell integrators apart."""
    ours = torch if isinstance(x, torch.Tensor) else np
    return ours.sin(3 * x) * (0.3 + timestep / 1000) - 0.2 * ours.cos(2 * x)


def asked(levels: Levels) -> Callable[[Any, float], Any]:
    told = dict(zip(*levels))
    return lambda x, sigma: crooked(x, told[sigma])


def test_a_straight_flow_is_followed_exactly() -> None:
    """If the velocity is noise minus latent everywhere, any number of steps ends at the latent."""
    latent, start = np.full(3, 2.0), np.array([0.5, -1.0, 4.0])
    for sigmas in ((1.0,), (1.0, 0.5), (1.0, 0.9, 0.3, 0.1)):
        np.testing.assert_allclose(sample(lambda x, sigma: start - latent, start, sigmas), latent)


def test_where_the_clean_latent_is_known_every_sampler_finds_it() -> None:
    """A model that always points at one latent: whatever was mixed in on the way, the last step arrives there."""
    latent, start = noise(1, SHAPE), noise(2, SHAPE)

    def velocity(x: Any, sigma: Any) -> Any:
        return velocity_to(x, latent, sigma)

    for steps in (1, 2, 5):
        levels = unipc_levels(steps, 3.0)
        np.testing.assert_allclose(solve(velocity, start, levels.sigmas), latent, atol=1e-5)
    for sigmas in (SELF_FORCING, WORLDPLAY, SELF_FORCING[:1]):
        np.testing.assert_allclose(sample(velocity, start, sigmas, keyed(3)), latent, atol=1e-5)
        np.testing.assert_allclose(sample(velocity, start, sigmas), latent, atol=1e-5)


@pytest.mark.parametrize("shift", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 20, 50])
def test_whole_trajectories_equal_those_of_diffusers(steps: int, shift: float) -> None:
    start = torch.from_numpy(noise(3, SHAPE))
    for order in (1, 2, 3):
        unipc: Any = UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, solver_order=order
        )
        levels = unipc_levels(steps, shift)
        theirs = followed(unipc, start, steps, levels)
        close(solve(asked(levels), start, levels.sigmas, order), theirs)
    levels = euler_levels(steps, shift)
    theirs = followed(FlowMatchEulerDiscreteScheduler(shift=shift), start, steps, levels)
    close(sample(asked(levels), start, levels.sigmas), theirs)


def followed(scheduler: Any, start: torch.Tensor, steps: int, levels: Levels) -> torch.Tensor:
    scheduler.set_timesteps(steps)
    np.testing.assert_allclose(levels.sigmas, scheduler.sigmas[:-1].numpy(), rtol=3e-7)
    np.testing.assert_allclose(levels.timesteps, scheduler.timesteps.numpy(), rtol=3e-7)
    x = start
    for timestep in scheduler.timesteps:
        x = scheduler.step(crooked(x, float(timestep)), timestep, x, return_dict=False)[0]
    return x


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert float((ours - theirs).abs().max() / theirs.abs().max()) <= 1e-5


def test_unipc_is_of_higher_order_than_euler() -> None:
    """Against a trajectory of 4,000 steps: twice the steps halve Euler's error, and quarter that of UniPC or better."""
    start = noise(3, (200,)).astype(np.float64)
    true = sample(crooked_by_sigma, start, euler_levels(4000, 1.0).sigmas)

    def errors(through: Callable[[int], Any]) -> float:
        return float(np.abs(through(20) - true).mean() / np.abs(through(40) - true).mean())

    def evenly(steps: int, first: float) -> tuple[float, ...]:
        return tuple(first * (1 - np.arange(steps) / steps))

    assert 1.6 < errors(lambda steps: sample(crooked_by_sigma, start, evenly(steps, 1.0))) < 2.5
    assert errors(lambda steps: solve(crooked_by_sigma, start, evenly(steps, 1 - 1e-6))) > 3.2


def crooked_by_sigma(x: Any, sigma: float) -> Any:
    return crooked(x, 1000 * sigma)


def test_numpy_and_torch_agree() -> None:
    start = noise(7, SHAPE)
    levels = unipc_levels(4, 5.0)
    for through in (
        lambda x: sample(crooked_by_sigma, x, (1.0, 0.6, 0.2)),
        lambda x: sample(crooked_by_sigma, x, (1.0, 0.6, 0.2), keyed(5)),
        lambda x: solve(asked(levels), x, levels.sigmas),
        lambda x: sample(lambda x, sigma: x * sigma, x, staggered((1.0, 0.5), 3, 1, x), keyed(5)),
        lambda x: sample(holding(lambda x, sigma: x * sigma, 0 * x, alike(np.ones((3, 1, 1)), x)), x, (1.0, 0.5)),
    ):
        there, twin = through(start), through(torch.from_numpy(start))
        assert there.dtype == np.float32 and twin.dtype == torch.float32
        np.testing.assert_allclose(there, twin.numpy(), rtol=1e-5, atol=1e-6)


def test_noise_is_a_function_of_its_seed_and_draw() -> None:
    assert np.array_equal(noise(3, (4, 4)), noise(3, (4, 4)))
    assert not np.array_equal(noise(3, (4, 4)), noise(4, (4, 4)))
    draws = [noise(3, (4, 4), draw) for draw in range(4)]
    assert all(not np.array_equal(draws[i], draws[j]) for i in range(4) for j in range(i))
    many = noise(5, (100_000,))
    assert abs(float(many.mean())) < 0.02 and abs(float(many.std()) - 1) < 0.02


def test_noise_levels_must_fall_from_one() -> None:
    row = np.array([1.0, 0.5], np.float32)
    arrays = [[row, row + 0.1], [row, row * np.nan], [row * 1.1], [-row], [1.0, row, 0.6], [row, 0.5, 0.5]]
    twins = [[torch.as_tensor(level) for level in levels] for levels in arrays[:4]]
    for bad in ((), (0.9, 0.1), (1.0, 0.5, 0.5), (1.0, float("nan")), (1.0, -0.5), *arrays, *twins):
        with pytest.raises(ValueError, match="fall from 1"):
            sample(lambda x, sigma: x, 0.0, bad)
    for bad in ((), (1.0, 0.1), (0.9, 0.5, 0.5), (0.9, 0.0), (0.9, float("nan"))):
        with pytest.raises(ValueError, match="that fall"):
            solve(lambda x, sigma: x, 0.0, bad)


def test_steps_as_published() -> None:
    """Self-Forcing's 1000, 750, 500, 250 at shift 5; WorldPlay's at shift 8."""
    assert [round(1000 * sigma, 1) for sigma in SELF_FORCING] == [1000, 937.5, 833.3, 625.0]
    assert [round(1000 * sigma, 1) for sigma in WORLDPLAY] == [1000, 960.0, 888.9, 727.3]
    assert shifted(0.3, 1.0) == 0.3


@given(st.floats(0.001, 1.0), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_velocity_latent_and_noise_go_both_ways(sigma: float, seed: int) -> None:
    latent, new = noise(seed, (50,)), noise(seed, (50,), 1)
    x = noised(latent, new, sigma)
    np.testing.assert_allclose(cleaned(x, new - latent, sigma), latent, atol=1e-6)
    np.testing.assert_allclose(cleaned(x, velocity_to(x, latent, sigma), sigma), latent, atol=1e-6)


def test_a_step_of_a_distilled_model_forgets_its_noise() -> None:
    """Each step starts from the last one's latent and noise of its own: the model is shown just that."""
    shown: list[Any] = []

    def velocity(x: Any, sigma: float) -> Any:
        shown.append(x)
        return velocity_to(x, np.full_like(x, 2.0), sigma)

    start = noise(1, (6,))
    sample(velocity, start, SELF_FORCING, keyed(9))
    assert np.array_equal(shown[0], start)
    for step, sigma in enumerate(SELF_FORCING[1:], 1):
        wanted = noised(np.full(6, 2.0), noise(9, (6,), step), sigma)
        np.testing.assert_allclose(shown[step], wanted, rtol=1e-6)


def test_leaving_early_is_to_sample_with_fewer_levels() -> None:
    """What rollouts for distillation need: the latent as the model sees it after k steps."""
    seen: list[Any] = []

    def velocity(x: Any, sigma: float) -> Any:
        seen.append(cleaned(x, crooked_by_sigma(x, sigma), sigma))
        return crooked_by_sigma(x, sigma)

    start = noise(1, (6,))
    sample(velocity, start, SELF_FORCING, keyed(4))
    for steps in (1, 2, 3, 4):
        assert np.array_equal(sample(crooked_by_sigma, start, SELF_FORCING[:steps], keyed(4)), seen[steps - 1])


def test_a_held_latent_is_shown_clean_at_level_0_and_stays() -> None:
    known, start = noise(1, SHAPE), noise(2, SHAPE)
    free = np.array([0.0, 1.0, 1.0], np.float32).reshape(3, 1, 1)
    asked: list[tuple[Any, Any]] = []

    def velocity(x: Any, sigma: Any) -> Any:
        asked.append((x, sigma))
        return x

    x = held(sample(holding(velocity, known, free), start, (1.0, 0.5)), known, free)
    for (shown, level), sigma in zip(asked, (1.0, 0.5)):
        assert np.array_equal(shown[:, :, 0], known[:, :, 0]) and level.ravel().tolist() == [0, sigma, sigma]
    assert np.array_equal(x[:, :, 0], known[:, :, 0])
    assert np.array_equal(x[:, :, 1:], sample(lambda x, _: x, start, (1.0, 0.5))[:, :, 1:])


@pytest.mark.parametrize("seed", [None, 8])
def test_chunks_that_start_later_end_as_if_they_were_alone(seed: int | None) -> None:
    """Diffusion forcing with a model that looks at each latent by itself; whoever waits is left as it is."""
    sigmas, start = (1.0, 0.6, 0.2), noise(2, SHAPE)
    rows = staggered(sigmas, 3, 2, start)
    assert [row.ravel().tolist() for row in rows[:3]] == [[1, 1, 1], [np.float32(0.6), 1, 1], [np.float32(0.2), 1, 1]]
    assert rows[-1].ravel().tolist() == [0, 0, np.float32(0.2)]
    shown: list[Any] = []

    def velocity(x: Any, sigma: Any) -> Any:
        shown.append(x)
        return np.sin(x) * sigma

    fresh = None if seed is None else keyed(seed)
    together = sample(velocity, start, rows, fresh)
    assert np.array_equal(shown[1][:, :, 1:], start[:, :, 1:])
    alone = sample(lambda x, sigma: np.sin(x) * sigma, start, sigmas, fresh)
    np.testing.assert_allclose(together[:, :, 0], alone[:, :, 0], atol=1e-6)
    if seed is None:
        np.testing.assert_allclose(together, alone, atol=1e-6)
    with pytest.raises(ValueError, match="fall from 1"):
        staggered((0.5,), 3, 2, start)


def test_levels_keep_their_precision_where_latents_have_little() -> None:
    start = torch.from_numpy(noise(2, SHAPE))
    for kind in (torch.bfloat16, torch.float16, torch.float32):
        rows = staggered(WORLDPLAY, 3, 1, start.to(kind))
        assert {row.dtype for row in rows} == {torch.float32}
        assert rows[2].ravel().tolist() == [np.float32(WORLDPLAY[2]), np.float32(WORLDPLAY[1]), 1.0]
        for fresh in (None, keyed(3)):
            made = sample(lambda x, sigma: torch.sin(x) * sigma, start.to(kind), rows, fresh)
            true = sample(lambda x, sigma: torch.sin(x) * sigma, start, rows, fresh)
            assert made.dtype == kind
            assert float((made - true).abs().max() / true.abs().max()) <= 4 * torch.finfo(kind).eps


@torch.no_grad()
@pytest.mark.parametrize("seed", [None, 6])
def test_a_level_for_each_token_is_the_plain_formula_token_by_token(seed: int | None) -> None:
    """As TI2V-5B is asked: known tokens at level 0, beside others that fall, each from a height of its own."""
    torch.manual_seed(0)
    model = wans.learnt(
        TransformerConfig(
            heads=2, head_dim=24, layers=2, ffn=32, frequency_dim=32, text_dim=0, in_channels=4, out_channels=4
        )
    )
    start, height = torch.from_numpy(noise(4, (1, 4, 3, 4, 4))), torch.rand(3, 2, 2)
    height[0] = 0
    levels = [height * share for share in (1.0, 0.75, 0.3, 0.0)]
    spread = [level.repeat_interleave(2, 1).repeat_interleave(2, 2) for level in levels]  # a token is 2 x 2 wide
    fresh = None if seed is None else keyed(seed)
    made = sample(lambda x, level: model(x, 1000 * level[:, ::2, ::2].reshape(1, -1)), start, spread[:-1], fresh)

    x = start.clone()
    for step, (here, there) in enumerate(pairwise(levels), 1):
        velocity = model(x, 1000 * here.reshape(1, -1))
        new = velocity if fresh is None else fresh(step, x)
        for t, row, column in product(range(3), range(2), range(2)):
            at = ..., t, slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2)
            a, b = float(here[t, row, column]), float(there[t, row, column])
            if fresh is None:
                x[at] = x[at] - (a - b) * velocity[at]
            elif t:
                x[at] = (1 - b) * (x[at] - a * velocity[at]) + b * new[at]
    assert torch.equal(made[:, :, 0], start[:, :, 0]) and float((made - start).abs().max()) > 0.1
    close(made, x)


def test_guidance_by_latent() -> None:
    with_words, without = noise(1, SHAPE), noise(2, SHAPE)
    scale = np.array([1.0, 5.0, 0.0], np.float32).reshape(3, 1, 1)
    mixed = guided(with_words, without, scale)
    np.testing.assert_allclose(mixed[:, :, 0], with_words[:, :, 0], atol=1e-6)
    np.testing.assert_allclose(mixed[:, :, 1], guided(with_words, without, 5.0)[:, :, 1], atol=1e-6)
    assert np.array_equal(mixed[:, :, 2], without[:, :, 2])
