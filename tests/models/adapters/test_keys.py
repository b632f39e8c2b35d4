"""Keys: the waves are diffusers', a motion counts once the adapter has learnt, features are taken as they are."""

import pytest
import torch
from diffusers.models.embeddings import TimestepEmbedding, Timesteps

from perdure.models.adapters.keys import Keys
from perdure.world.action import ACTION_FEATURES, MOTIONS


@torch.no_grad()
def test_motions_go_through_what_worldplay_puts_them_through() -> None:
    torch.manual_seed(0)
    ours = Keys("81-way", 48, ACTION_FEATURES, 256)
    theirs = TimestepEmbedding(256, 48)
    torch.nn.init.normal_(ours.linear_2.weight)
    theirs.load_state_dict(ours.state_dict())
    motions = torch.arange(MOTIONS)
    wave = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0)(motions)
    said = ours(motions.view(9, 9)).flatten(0, 1)
    torch.testing.assert_close(said, theirs(wave), atol=1e-6, rtol=1e-5)
    assert (torch.cdist(said, said) + torch.eye(MOTIONS)).min() > 1e-3  # no two motions say the same


@pytest.mark.parametrize("kind", ["81-way", "multi-hot"])
def test_they_say_nothing_before_they_learn(kind: str) -> None:
    torch.manual_seed(0)
    keys = Keys(kind, 16, ACTION_FEATURES, 32)
    given = torch.randint(0, MOTIONS, (2, 3)) if kind == "81-way" else torch.randn(2, 3, ACTION_FEATURES)
    said = keys(given)
    assert said.shape == (2, 3, 16) and not said.any()
    optimiser = torch.optim.SGD(keys.parameters(), lr=1.0)
    for moved in ({"linear_2.weight", "linear_2.bias"}, {name for name, _ in keys.named_parameters()}):
        optimiser.zero_grad()
        (keys(given) - torch.ones(16)).square().mean().backward()
        assert {n for n, p in keys.named_parameters() if p.grad is not None and p.grad.any()} == moved
        optimiser.step()


def test_another_kind_of_keys_is_refused() -> None:
    with pytest.raises(ValueError, match=r"multi-hot.*two-hot"):
        Keys("two-hot", 16, 10, 32)
