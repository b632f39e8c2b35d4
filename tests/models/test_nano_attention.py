"""Attention: the fast path against its formula, and the two things that are applied when it runs."""

import torch

from perdure.models.nano_attention import (
    attend,
    attend_plain,
    place,
    placed,
    rotary_angles,
    rotate,
    seen_through,
    spread,
    through,
)


def heads(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 3, 32)


@torch.no_grad()
def test_attend_agrees_with_its_plain_twin() -> None:
    torch.manual_seed(0)
    q, k, v = heads(2, 5), heads(2, 9), heads(2, 9)
    mask = torch.rand(2, 9) > 0.3
    mask[:, 0] = True
    torch.testing.assert_close(attend(q, k, v, mask), attend_plain(q, k, v, mask))
    torch.testing.assert_close(attend(q, k, v), attend_plain(q, k, v))


@torch.no_grad()
def test_what_is_masked_has_no_influence() -> None:
    torch.manual_seed(0)
    q, k, v = heads(1, 4), heads(1, 6), heads(1, 6)
    mask = torch.tensor([[True, True, True, True, False, False]])
    changed_k, changed_v = k.clone(), v.clone()
    changed_k[:, 4:], changed_v[:, 4:] = 7, -7
    assert torch.equal(attend(q, k, v, mask), attend(q, changed_k, changed_v, mask))


def test_rotation_keeps_lengths_and_only_differences_count() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(1, 1, 1, 32), torch.randn(1, 1, 1, 32)

    def score(at: float, to: float) -> torch.Tensor:
        angles = [rotary_angles(torch.tensor([t]), torch.tensor([t]), torch.tensor([0.0]), 32) for t in (at, to)]
        turned = [rotate(x, a.cos(), a.sin()) for x, a in zip((q, k), angles, strict=True)]
        torch.testing.assert_close(turned[0].norm(), q.norm())
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(score(2, 5), score(7, 10))
    assert abs(float(score(2, 5) - score(2, 6))) > 1e-4


def rigid(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    out = torch.eye(4)
    out[:3, :3] = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
    out[:3, 3] = torch.randn(3, generator=generator)
    return out.unsqueeze(0)


def test_only_the_relative_camera_counts() -> None:
    """Moving the whole world, viewer and memory alike, changes nothing that attention gives."""
    torch.manual_seed(0)
    q, k, v = heads(1, 4), heads(1, 6), heads(1, 6)
    viewer, memory, world = rigid(1), rigid(2), rigid(3)

    def seen(viewer_from_world: torch.Tensor, world_from_memory: torch.Tensor) -> torch.Tensor:
        query = place(torch.zeros(1, 4, 8), viewer_from_world.transpose(-1, -2), 16, torch.float32)
        key = place(torch.zeros(1, 6, 8), world_from_memory, 16, torch.float32)
        out = attend(placed(q, query), placed(k, key), seen_through(v, key.camera))
        return seen_through(out, spread(viewer_from_world, 16))

    there = seen(viewer, memory)
    torch.testing.assert_close(there, seen(viewer @ torch.linalg.inv(world), world @ memory), atol=1e-4, rtol=1e-4)
    assert (there - seen(viewer, rigid(4))).abs().max() > 0.01


def test_through_multiplies_groups_of_four() -> None:
    x, matrix = torch.arange(8.0).view(1, 1, 1, 8), torch.diag(torch.tensor([1.0, 2, 3, 4])).unsqueeze(0)
    assert through(x, spread(matrix, 8)).flatten().tolist() == [0, 2, 6, 12, 4, 10, 18, 28]
