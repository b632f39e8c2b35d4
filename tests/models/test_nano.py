"""The transformer: memories stand by themselves, and their order in the slots does not matter."""

import pytest
import torch

from perdure.models.config import DitConfig
from perdure.models.nano import Hindsight, NanoTransformer, Scene

CONFIG = DitConfig(dim=64, layers=2, head_dim=32, ffn_ratio=2, recent=2, recalled=1)


@pytest.fixture
def dit() -> NanoTransformer:
    torch.manual_seed(0)
    model = NanoTransformer(CONFIG).eval()
    for name in ("proj_out.weight", "action_embedder.2.weight"):
        torch.nn.init.normal_(model.get_parameter(name), std=0.1)  # a model that has learnt something
    return model


def scene(count: int) -> Scene:
    eye = torch.eye(4).expand(count, 4, 4)
    maps = torch.randn(count, 16, 4, 6), torch.rand(count, 1, 4, 6), torch.randn(count, 5, 4, 6)
    return Scene(*maps, eye, eye, torch.randn(count, 10))


def past(dit: NanoTransformer, latents: torch.Tensor, ages: list[float], present: list[bool]) -> Hindsight:
    m = len(ages)
    keys, values = dit.remember(latents, torch.zeros(m), torch.zeros(m, 10))
    cameras = torch.eye(4).repeat(1, m, 1, 1)
    cameras[0, :, 0, 3] = torch.arange(m)
    return Hindsight(
        keys.transpose(0, 1).unsqueeze(0),
        values.transpose(0, 1).unsqueeze(0),
        torch.tensor([present]),
        torch.tensor([ages]),
        cameras,
    )


@torch.no_grad()
def test_a_memory_depends_on_itself_alone(dit: NanoTransformer) -> None:
    latents, actions = torch.randn(3, 16, 4, 6), torch.randn(3, 10)
    together = dit.remember(latents, torch.zeros(3), actions)
    alone = dit.remember(latents[1:2], torch.zeros(1), actions[1:2])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:2], b)


@torch.no_grad()
def test_slots_may_be_filled_in_any_order(dit: NanoTransformer) -> None:
    latents, noisy, sigma, s = torch.randn(3, 16, 4, 6), torch.randn(1, 16, 4, 6), torch.ones(1), scene(1)
    there = past(dit, latents, [3.0, 2.0, 1.0], [True] * 3)
    order = [2, 0, 1]
    shuffled = Hindsight(
        there.keys[:, :, order], there.values[:, :, order], there.present, there.ages[:, order], there.cameras[:, order]
    )
    torch.testing.assert_close(
        dit.denoise(noisy, sigma, s, there), dit.denoise(noisy, sigma, s, shuffled), atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
def test_an_empty_slot_says_nothing_and_a_full_one_does(dit: NanoTransformer) -> None:
    latents, noisy, sigma, s = torch.randn(3, 16, 4, 6), torch.randn(1, 16, 4, 6), torch.ones(1), scene(1)
    other = latents.clone()
    other[0] = 3.0

    def draw(latents: torch.Tensor, present: list[bool]) -> torch.Tensor:
        return dit.denoise(noisy, sigma, s, past(dit, latents, [3.0, 2.0, 1.0], present))

    assert torch.equal(draw(latents, [False, True, True]), draw(other, [False, True, True]))
    assert (draw(latents, [True] * 3) - draw(other, [True] * 3)).abs().max() > 1e-3


@torch.no_grad()
def test_age_camera_and_action_all_count(dit: NanoTransformer) -> None:
    latents, noisy, sigma, s = torch.randn(3, 16, 4, 6), torch.randn(1, 16, 4, 6), torch.ones(1), scene(1)
    there = past(dit, latents, [3.0, 2.0, 1.0], [True] * 3)
    base = dit.denoise(noisy, sigma, s, there)
    moved = there._replace(cameras=there.cameras + torch.randn(4, 4))
    for other in (
        dit.denoise(noisy, sigma, s, there._replace(ages=there.ages + 2)),
        dit.denoise(noisy, sigma, s, moved),
        dit.denoise(noisy, sigma, s._replace(action=s.action + 1), there),
        dit.denoise(noisy, sigma * 0.5, s, there),
    ):
        assert (base - other).abs().max() > 1e-4


def test_a_fresh_model_moves_nothing() -> None:
    """Its output starts at zero, and so does what actions add."""
    model = NanoTransformer(CONFIG)
    latents = torch.randn(3, 16, 4, 6)
    out = model.denoise(
        torch.randn(1, 16, 4, 6), torch.ones(1), scene(1), past(model, latents, [3.0, 2.0, 1.0], [True] * 3)
    )
    assert out.abs().max() == 0
