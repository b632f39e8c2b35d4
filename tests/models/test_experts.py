"""Two experts: the right one is asked, and never are both on the device."""

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from perdure.models.config import TransformerConfig
from perdure.models.experts import HIGH, LOW, Experts, copied, from_host

CONFIG = TransformerConfig()


class Says(nn.Module):
    def __init__(self, who: float) -> None:
        super().__init__()
        self.who = nn.Parameter(torch.tensor(float(who)))
        self.kept = nn.Buffer(torch.tensor(2.0), persistent=False)

    def forward(self, latents: Tensor, timestep: Tensor, text: Tensor | None = None) -> Tensor:
        return torch.zeros_like(latents) + self.who * self.kept


def test_the_boundary_itself_belongs_to_the_one_for_layout() -> None:
    experts = Experts(CONFIG, Says, 875.0)
    x = torch.zeros(1, 2, 3)
    for timestep, who in ((999.0, HIGH), (875.0, HIGH), (874.9, LOW), (1.0, LOW), (900.0, HIGH)):
        assert torch.equal(experts(x, torch.tensor([timestep]), text=x), x + 2.0 * who)
    mixed = torch.tensor([[0.0, 900.0, 900.0]])  # a held latent has timestep 0
    assert torch.equal(experts(x, mixed), x)


def test_one_is_let_go_before_the_other_comes() -> None:
    alive: list[weakref.ref[Says]] = []
    most = 0

    def summon(who: int) -> nn.Module:
        nonlocal most
        made = Says(who)
        alive.append(weakref.ref(made))
        most = max(most, sum(made() is not None for made in alive))
        return made

    experts = Experts(CONFIG, summon, 500.0)
    for timestep in (900.0, 800.0, 400.0, 300.0, 900.0):
        experts(torch.zeros(1), torch.tensor([timestep]))
    assert len(alive) == 3 and most == 1


def test_who_waits_in_host_memory_is_copied_whole() -> None:
    pair = Says(0.0), Says(1.0)
    there: Any = copied(pair[LOW], "meta")  # a device that is always at hand
    assert there.who.is_meta and there.kept.is_meta and not pair[LOW].who.is_meta
    experts = Experts(CONFIG, from_host(*pair, "cpu"), 500.0)
    assert torch.equal(experts(torch.zeros(1), torch.tensor([400.0])), torch.full((1,), 2.0))


def test_a_boundary_that_is_a_share_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1000"):
        Experts(CONFIG, Says, 1000.0)
