"""PRoPE: only where cameras stand to each other counts, each token's pair by pair, in any frame."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.models.adapters.camera import Cameras, cameras, lenses, lift, look_through
from perdure.models.adapters.rays import ray_map
from perdure.models.camera import look, rotation
from perdure.models.context import lift as lift_array

KINDS = ["prope", "fx_fy"]
seeds = st.integers(0, 2**31)


def shots(seed: int, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Poses (2, T, 4, 4) about a town, far from its origin, and lenses (2, T, 4)."""
    maker = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return 2 * torch.rand(*shape, generator=maker, dtype=torch.float64) - 1

    poses = look(300 + 3 * uniform(2, count, 3), 3 * uniform(2, count), uniform(2, count))
    return poses, torch.tensor([0.65, 1.1, 0.5, 0.5], dtype=torch.float64) + 0.1 * uniform(2, count, 4)


def seen(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, at: Cameras) -> torch.Tensor:
    return look_through(q, k, v, lenses(at, None, q.shape[-1], q.dtype))


def heads(seed: int, tokens: int) -> list[torch.Tensor]:
    maker = torch.Generator().manual_seed(seed)
    return [torch.randn(2, tokens, 2, 8, generator=maker, dtype=torch.float64) for _ in range(3)]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_attention_between_each_two_cameras(kind: str) -> None:
    """The formula, written out token by token: q' P(i) P(j)^-1 k, and values as the eye has them."""
    poses, lens = shots(0)
    q, k, v = heads(1, 6)
    at = cameras(poses, lens, scale=0.2, kind=kind)
    found = seen(q, k, v, at)
    b, head, i = 1, 1, 3  # a token of the second of three latents, two tokens each
    turn = [at.to_clip[b, i // 2] @ at.from_clip[b, j // 2] for j in range(6)]
    scores = torch.stack(
        [(q[b, i, head].view(2, 4) * (k[b, j, head].view(2, 4) @ turn[j].mT)).sum() / 8**0.5 for j in range(6)]
    )
    values = torch.stack([(v[b, j, head].view(2, 4) @ turn[j].mT).flatten() for j in range(6)])
    torch.testing.assert_close(found[b, i, head], scores.softmax(0) @ values)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_moving_the_whole_world_changes_nothing(kind: str, seed: int) -> None:
    poses, lens = shots(seed)
    q, k, v = heads(seed + 1, 6)
    move = torch.eye(4, dtype=torch.float64)
    move[:3, :3] = rotation(torch.randn(4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    move[:3, 3] = torch.tensor([40.0, -7.0, 900.0])
    found: list[torch.Tensor] = []
    for where in (poses, move @ poses):
        at = cameras(where, lens, scale=0.2, kind=kind)
        found.append(seen(q, k, v, at))
    torch.testing.assert_close(found[0], found[1], atol=1e-8, rtol=1e-8)
    # Nor does which camera the numbers are seen from.
    at = cameras(poses, lens, poses[:, 0], scale=0.2, kind=kind)
    torch.testing.assert_close(seen(q, k, v, at), found[0], atol=1e-8, rtol=1e-8)


def test_where_one_camera_stands_does_change_it() -> None:
    poses, lens = shots(0)
    q, k, v = heads(1, 6)
    moved = poses.clone()
    moved[:, 0, 0, 3] += 1
    one, other = (cameras(p, lens, scale=0.2) for p in (poses, moved))
    before, after = (seen(q, k, v, at) for at in (one, other))
    assert (before - after).abs().max() > 1e-2


def test_the_frustum_and_what_comes_back_from_it() -> None:
    poses, lens = shots(0)
    for kind in KINDS:
        at = cameras(poses, lens, scale=0.2, kind=kind)
        eye = torch.eye(4, dtype=torch.float64).expand(2, 3, 4, 4)
        torch.testing.assert_close(at.to_clip @ at.from_clip, eye, atol=1e-9, rtol=0)
    torch.testing.assert_close(lift(lens)[0][0, 0], torch.from_numpy(lift_array(lens[0, 0].numpy())))
    # A corner of the picture, 3 m off, lies at (1, 1) in the full frustum, whatever the lens.
    fx, fy, cx, cy = lens.unbind(-1)
    one = torch.ones_like(cx)
    corner = torch.stack([3 * (1 - cx) / fx, 3 * (1 - cy) / fy, 3 * one, one], -1)
    clip = (lift(lens)[0] @ corner.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(clip[..., :2] / clip[..., 2:3], torch.ones(2, 3, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"prope.*round"):
        lift(lens, "round")


def test_far_from_the_origin_half_precision_is_enough() -> None:
    """Numbers are those of the distances between cameras, not of where the town is."""
    poses, lens = shots(0)
    far = poses.clone()
    far[..., :3, 3] += 1e5
    near_by, far_off = (cameras(p, lens, scale=0.2).to_clip.bfloat16() for p in (poses, far))
    torch.testing.assert_close(near_by, far_off, atol=2e-2, rtol=1e-2)


def test_in_whatever_frame_cameras_are_told_half_precision_is_enough() -> None:
    """A stream that goes on for hours tells all of them in one frame, from which it is by now far away."""
    poses, lens = shots(0)
    eye = torch.eye(4, dtype=torch.float64).expand(2, 4, 4)
    near_by, far_off = (
        lenses(cameras(poses, lens, at, scale=0.2), None, 8, torch.bfloat16) for at in (poses[:, 0], eye)
    )
    for one, other in zip(near_by, far_off, strict=True):
        torch.testing.assert_close(one, other, atol=1e-2, rtol=1e-2)


def test_a_memory_is_seen_with_the_keys_it_was_kept_with() -> None:
    """Whole clip at once, or its last latent alone that looks at all: the same, with cameras given when it looks."""
    poses, lens = shots(3)
    q, k, v = heads(4, 6)
    whole = seen(q, k, v, cameras(poses, lens, scale=0.2))
    other = cameras(poses, lens, poses[:, 1], scale=0.2)  # numbers as another camera has them
    last = Cameras(other.to_clip[:, 2:], other.from_clip[:, 2:])
    by = lenses(last, other.from_clip[:, :2], 8, q.dtype)
    alone = look_through(q[:, 4:], k[:, 4:], v[:, 4:], by, (k[:, :4], v[:, :4]))
    torch.testing.assert_close(alone, whole[:, 4:], atol=1e-9, rtol=1e-9)
    without = look_through(q[:, 4:], k[:, 4:], v[:, 4:], by)  # in a layer that does not look back
    torch.testing.assert_close(without, seen(q[:, 4:], k[:, 4:], v[:, 4:], last), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    "made", [partial(cameras, scale=0.2), partial(ray_map, before=None, height=4, width=6, scale=1.0)]
)
def test_poses_that_are_none_are_told(made: Callable[[torch.Tensor, torch.Tensor], object]) -> None:
    """They are turned back by transposition, which of a stretched one is not its inverse."""
    poses, lens = shots(0)
    made(poses.float(), lens.float())
    made(poses.bfloat16(), lens.bfloat16())
    stretched, mirrored, projection, lost = (poses.clone() for _ in range(4))
    stretched[1, 2, 0, 0] += 0.01
    mirrored[0, 0, :3, 0] *= -1
    projection[0, 1, 3, 2] = 1
    lost[1, 0, 0, 3] = float("nan")
    for wrong, says in (
        (stretched, r"expected rotations in the poses, got a matrix off orthonormal by 0\.0"),
        (mirrored, "or a mirror"),
        (projection, "last row is 0 0 0 1"),
        (lost, "expected finite poses, got NaN"),
        (poses[..., :3, :], r"poses \(\.\.\., 4, 4\), got shape \(2, 3, 3, 4\)"),
    ):
        with pytest.raises(ValueError, match=says):
            made(wrong, lens)
    for wrong in (-lens, lens * 0, lens / 0):
        with pytest.raises(ValueError, match="finite intrinsics with focal lengths above 0"):
            made(poses, wrong)
