"""Attention: fast paths against the formula, who may look at whom, and what is applied when it runs."""

from dataclasses import replace

import pytest
import torch

from perdure.models.adapters.camera import lenses, look_through
from perdure.models.attention import (
    KINDS,
    Place,
    Roles,
    Scope,
    attend,
    attend_plain,
    dense_mask,
    flex_mask,
    look,
    place,
    spread,
    through,
)
from perdure.models.conditions import Cameras
from perdure.models.config import Adapters, TransformerConfig

WAN = TransformerConfig(heads=2, head_dim=32)
CAMERAS = replace(WAN, rotary=(4, 6, 6), rotary_base=100.0, rotary_pairs="halves", adapters=Adapters(camera="heads"))
# A clip of six latents: two finished chunks of two, a third as it was finished, and the third as it is drawn.
ROLES = Roles(torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([False] * 5 + [True]))


def heads(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 2, 32)


@torch.no_grad()
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_plain_fused_and_flex_are_equal(kind: str, alone: bool) -> None:
    torch.manual_seed(0)
    tokens = 3
    q, k, v = (heads(2, 6 * tokens) for _ in range(3))
    mask, blocks = dense_mask(kind, ROLES, tokens, alone), flex_mask(kind, ROLES, tokens, alone)
    true = attend_plain(q, k, v, mask)
    torch.testing.assert_close(attend(q, k, v, mask), true)
    torch.testing.assert_close(attend(q, k, v, blocks), true)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_cameras_are_seen_through_alike_in_flex(kind: str) -> None:
    """In both ways that cameras have: as a share of the heads, and as a second attention."""
    torch.manual_seed(0)
    tokens, to_clip = 3, torch.eye(4) + 0.2 * torch.randn(2, 6, 4, 4)
    seen = Cameras(to_clip, torch.linalg.inv(to_clip))
    q, k, v = (heads(2, 6 * tokens) for _ in range(3))
    here = place(torch.arange(6.0).unsqueeze(0), (1, tokens), CAMERAS, q.dtype, seen)
    dense, blocks = dense_mask(kind, ROLES, tokens), flex_mask(kind, ROLES, tokens)
    shared = [look(q, k, v, Scope(here, None, mask)) for mask in (dense, blocks)]
    second = [look_through(q, k, v, lenses(seen, None, 32, q.dtype), mask=mask) for mask in (dense, blocks)]
    for plain, flex in (shared, second):
        torch.testing.assert_close(flex, plain)
        assert not torch.allclose(plain, attend(q, k, v, dense), atol=1e-2)  # cameras count


def test_who_may_look_at_whom() -> None:
    seen = {kind: dense_mask(kind, ROLES, 1)[0].int().tolist() for kind in KINDS}
    assert seen["full"] == [[1] * 6] * 6
    finished = [[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0]]
    target = [1, 1, 1, 1, 0, 1]  # not what it is to become
    assert seen["chunk-causal"] == seen["history-and-target"] == [*finished, target]
    assert seen["memory-and-chunk"] == [[1, 1, 1, 1, 1, 0]] * 5 + [target]
    apart = [[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 0]]
    assert seen["block-diagonal"] == [*apart, target]
    assert dense_mask("block-diagonal", ROLES, 1, alone=True)[0].int().tolist() == [*apart, [0, 0, 0, 0, 0, 1]]
    rolled = Roles(torch.arange(5), torch.zeros(5, dtype=torch.bool))
    assert dense_mask("chunk-causal", rolled, 1, window=1, sink=1)[0, 4].int().tolist() == [1, 0, 0, 1, 1]
    with pytest.raises(ValueError, match="one of full, chunk-causal"):
        dense_mask("backwards", ROLES, 1)


@torch.no_grad()
def test_what_is_masked_has_no_influence() -> None:
    torch.manual_seed(0)
    q, k, v = heads(1, 4), heads(1, 6), heads(1, 6)
    mask = torch.tensor([[True, True, True, True, False, False]])
    changed_k, changed_v = k.clone(), v.clone()
    changed_k[:, 4:], changed_v[:, 4:] = 7, -7
    assert torch.equal(attend(q, k, v, mask), attend(q, changed_k, changed_v, mask))


@torch.no_grad()
@pytest.mark.parametrize("config", [WAN, CAMERAS])
def test_only_how_far_apart_things_stand_counts(config: TransformerConfig) -> None:
    torch.manual_seed(0)
    q, k, v = heads(1, 4), heads(1, 4), heads(1, 4)
    old_k, old_v = heads(1, 8), heads(1, 8)

    def seen(here: float, there: list[float]) -> torch.Tensor:
        at, past = (place(torch.tensor([t]), (2, 2), config, torch.float32) for t in ([here], there))
        return look(q, k, v, Scope(at, past), (old_k, old_v))

    base = seen(5, [0, 3])
    torch.testing.assert_close(base, seen(4_905, [4_900, 4_903]), atol=1e-4, rtol=1e-4)
    assert (base - seen(5, [1, 3])).abs().max() > 1e-3


def rigid(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    out = torch.eye(4)
    out[:3, :3] = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
    out[:3, 3] = torch.randn(3, generator=generator)
    return out


@torch.no_grad()
def test_only_the_relative_camera_counts() -> None:
    """Moving the whole world, viewer and memory alike, changes nothing that attention gives."""
    torch.manual_seed(0)
    q, k, v, old_k, old_v = heads(1, 8), heads(1, 8), heads(1, 8), heads(1, 4), heads(1, 4)

    def seen(viewers: list[torch.Tensor], memory: torch.Tensor) -> torch.Tensor:
        to_clip = torch.stack(viewers)[None]
        here = place(torch.zeros(1, 2), (2, 2), CAMERAS, torch.float32, (to_clip, torch.linalg.inv(to_clip)))
        there = place(torch.zeros(1, 1), (2, 2), CAMERAS, torch.float32, (None, memory[None, None]))
        return look(q, k, v, Scope(here, there), (old_k, old_v))

    world, viewers, memory = rigid(3), [rigid(1), rigid(5)], rigid(2)
    there = seen(viewers, memory)
    moved = seen([viewer @ torch.linalg.inv(world) for viewer in viewers], world @ memory)
    torch.testing.assert_close(there, moved, atol=1e-4, rtol=1e-4)
    assert (there - seen(viewers, rigid(4))).abs().max() > 0.01
    assert (there - seen([viewers[0], rigid(4)], memory)).abs().max() > 0.01


def test_pairs_of_channels_turn_as_neighbours_or_as_halves() -> None:
    """The same function of the same channels, in another order: so either's weights can be the other's."""
    torch.manual_seed(0)
    q, k, v = heads(1, 4), heads(1, 4), heads(1, 4)
    halves = torch.cat([torch.arange(0, 32, 2), torch.arange(1, 32, 2)])

    def seen(q: torch.Tensor, k: torch.Tensor, pairs: str) -> torch.Tensor:
        at: Place = place(torch.zeros(1, 1), (2, 2), replace(WAN, rotary_pairs=pairs), torch.float32)
        return look(q, k, v, Scope(at))

    torch.testing.assert_close(seen(q, k, "neighbours"), seen(q[..., halves], k[..., halves], "halves"))


def test_through_multiplies_groups_of_four_of_each_latent() -> None:
    x = torch.arange(16.0).view(1, 2, 1, 8)
    matrices = torch.stack([torch.diag(torch.tensor([1.0, 2, 3, 4])), torch.eye(4)]).unsqueeze(0)
    assert through(x, spread(matrices, 8)).flatten().tolist() == [0, 2, 6, 12, 4, 10, 18, 28, *range(8, 16)]
