"""Two experts: the right one is asked, and never are both on the device."""

import weakref
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from perdure.bench import wans
from perdure.models.conditions import Past
from perdure.models.config import TransformerConfig
from perdure.models.experts import HIGH, LOW, Expert, Experts, copied, from_host
from perdure.models.streaming import Roll, Whole
from perdure.sampling import sample

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


@torch.no_grad()
@pytest.mark.parametrize("history", ["chunk-causal", "memory-and-chunk"])
def test_a_live_chunk_is_drawn_by_both_each_from_its_own_memory(history: str) -> None:
    """Against two models that are both there and are asked in turn, a step at a time."""
    torch.manual_seed(0)
    config = TransformerConfig(
        heads=2, head_dim=24, layers=2, ffn=64, frequency_dim=32, text_dim=20, in_channels=4, out_channels=4,
        history=history, sink=1, recent=2,
    )  # fmt: skip
    pair, came, alive = [wans.learnt(config) for _ in range(2)], list[int](), list[weakref.ref[nn.Module]]()
    text, noises, sigmas = torch.randn(1, 5, 20), torch.randn(5, 1, 4, 1, 4, 4), (1.0, 0.75, 0.4, 0.2)

    def summon(who: int) -> nn.Module:
        assert all(made() is None for made in alive)  # one at a time
        made = copied(pair[who], "cpu")
        came.append(who)
        alive.append(weakref.ref(made))
        return made

    def streams(models: list[Any]) -> list[Any]:
        return [Roll(each, (4, 4), cap=4) if history == "chunk-causal" else Whole(each, (4, 4)) for each in models]

    def seen(stream: Any, finished: list[Tensor]) -> tuple[Past, Tensor]:
        if isinstance(stream, Whole):
            return stream.past([latent[0, :, 0] for latent in finished[-3:]], 1, text)
        for latent in finished[stream.cache.next :]:
            stream.add(latent, text)
        return stream.past(1)

    experts = Experts(config, summon, 500.0)
    own, live = streams([Expert(experts, who) for who in (HIGH, LOW)]), list[Tensor]()
    came.clear()
    for noise in noises:
        live.append(sample(experts.drawing(lambda who: seen(own[who], live), text=text), noise, sigmas))
    assert came == [HIGH, LOW] * 5

    both, by_hand = streams(pair), list[Tensor]()
    for noise in noises:
        x, pasts = noise, [seen(stream, by_hand) for stream in both]
        for here, there in pairwise([*sigmas, 0.0]):
            who = HIGH if 1000 * here >= 500 else LOW
            past, times = pasts[who]
            x = x - (here - there) * pair[who].denoise(x, torch.tensor([1000 * here]), past, text, times=times)
        by_hand.append(x)
    assert all(map(torch.equal, live, by_hand))
    swapped = pasts[LOW][0], pasts[HIGH][1]
    other = sample(experts.drawing(lambda who: swapped, text=text), noises[-1], sigmas)
    assert (other - live[-1]).abs().max() > 1e-3  # a memory of the other's is another one
