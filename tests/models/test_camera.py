"""The camera for tensors and the camera for arrays say the same."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure import camera as arrays
from perdure.models import camera as tensors
from tests.test_camera import LENS, poses, quaternions

seeds = st.integers(0, 2**32 - 1)
NORMALISED = torch.from_numpy(LENS.normalised())


def same(found: torch.Tensor, expected: np.ndarray, off: float = 1e-12) -> None:
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=off, atol=off)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_they_agree(seed: int):
    rng = np.random.default_rng(seed)
    spots, yaws, pitches = rng.uniform(-9, 9, (5, 3)), rng.uniform(-4, 4, 5), rng.uniform(-1.5, 1.5, 5)
    looks = arrays.look(spots, yaws, pitches)
    same(tensors.look(*map(torch.from_numpy, (spots, yaws, pitches))), looks)
    for found, expected in zip(tensors.angles(torch.from_numpy(looks)), arrays.angles(looks)):
        same(found, expected, 1e-9 if abs(pitches).max() > 1.4 else 1e-12)  # asin loses digits near the poles

    one, other = poses(seed), poses(seed + 3)
    one_t, other_t = torch.from_numpy(one), torch.from_numpy(other)
    same(tensors.invert(one_t), arrays.invert(one))
    same(tensors.compose(one_t, other_t), arrays.compose(one, other))
    same(tensors.relative(one_t, other_t), arrays.relative(one, other))
    for found, expected in zip(tensors.apart(one_t, other_t), arrays.apart(one, other)):
        same(found, expected)

    q, r = quaternions(seed), quaternions(seed + 5)
    same(tensors.rotation(torch.from_numpy(q)), arrays.rotation(q))
    same(tensors.quaternion(one_t[:, :3, :3]), arrays.quaternion(one[:, :3, :3]))
    share = rng.random(8)
    same(tensors.slerp(*map(torch.from_numpy, (q, r, share))), arrays.slerp(q, r, share))
    times, at = np.arange(8.0), rng.uniform(-1, 9, 20)
    found = tensors.interpolate(one_t, torch.from_numpy(times), torch.from_numpy(at))
    same(found, arrays.interpolate(one, times, at))

    depth = rng.uniform(0.1, 20, (8, 18, 32))
    same(tensors.rays(NORMALISED, 32, 18), arrays.rays(LENS))
    points = arrays.unproject(depth, LENS, one).reshape(8, -1, 3)
    same(tensors.unproject(torch.from_numpy(depth), NORMALISED, one_t).reshape(8, -1, 3), points, 1e-11)
    found = tensors.project(torch.from_numpy(points), NORMALISED, one_t, 32, 18)
    for mine, theirs in zip(found, arrays.project(points, LENS, one)):
        same(mine, theirs, 1e-9)  # pixels, of points at depths of 0.1 m and positions of 20 m


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_they_agree_on_what_two_views_share(seed: int):
    one, other = poses(seed)[:, None], poses(seed + 3)[None]
    lens = torch.from_numpy(arrays.Intrinsics.from_fov(20, 20, 40.0).normalised())
    found = tensors.overlap(torch.from_numpy(one), torch.from_numpy(other), NORMALISED, lens)
    expected = arrays.overlap(one, other, LENS, arrays.Intrinsics.from_fov(20, 20, 40.0))
    np.testing.assert_allclose(found.numpy(), expected, atol=2 / 768)  # a point may lie on an edge


def test_gradients_are_finite_where_nothing_has_moved_yet():
    still = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1).requires_grad_()
    turned = tensors.quaternion(still[:, :3, :3])
    between = tensors.rotation(tensors.slerp(turned[0], turned[1], torch.tensor(0.3, dtype=torch.float64)))
    moved, angle = tensors.apart(still[0], still[1])
    times = torch.arange(2.0, dtype=torch.float64)
    middle = tensors.interpolate(still, times, torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64))
    points, depths = tensors.project(still[:, None, :3, 3] + 1.0, NORMALISED, still, 32, 18)
    whole = torch.cat([v.flatten() for v in (between, moved, angle, middle, points, depths)])
    gradient = torch.autograd.grad((whole * torch.arange(len(whole)).cos()).sum(), still)[0]
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0

    level = [torch.zeros(3, dtype=torch.float64), *torch.zeros(2, dtype=torch.float64)]
    level = [v.clone().requires_grad_() for v in level]
    gradients = torch.autograd.grad(sum(a.sum() for a in tensors.angles(tensors.look(*level))), level[1:])
    np.testing.assert_allclose([g.item() for g in gradients], 1.0)


def test_gradients_are_those_of_small_steps():
    rng = np.random.default_rng(0)
    q, r = (torch.from_numpy(quaternions(seed)[6:]).requires_grad_() for seed in (1, 2))
    share = torch.from_numpy(rng.random(2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda *a: tensors.quaternion(tensors.rotation(tensors.slerp(*a))), (q, r, share))
    matrices = torch.from_numpy(poses(3)[6:]).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: tensors.quaternion(m[:, :3, :3]), (matrices,))
    assert torch.autograd.gradcheck(lambda m: tensors.apart(m[0], m[1]), (matrices,))
