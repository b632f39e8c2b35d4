"""Two transformers that share the work by noise level, of which one is on the device.

Wan 2.2's A14B has one for layout, asked down to a boundary, and one for detail, asked below it. A clip crosses
the boundary once. So does each chunk of a live world, and for the next one HIGH comes back: what HIGH made of a memory
LOW cannot read, so each has a stream of its own, and what was finished is remembered by each when it is there.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn

from perdure.models.conditions import Past
from perdure.models.config import TransformerConfig

HIGH, LOW = 0, 1


class Experts:
    """Called like a transformer. `summon` gives HIGH or LOW on the device; who was there is let go of first."""

    def __init__(self, config: TransformerConfig, summon: Callable[[int], nn.Module], boundary: float) -> None:
        """`boundary` is a timestep: HIGH is asked there and above."""
        if not 0 < boundary < config.timesteps:
            raise ValueError(f"expected a timestep between 0 and {config.timesteps:g} as the boundary, got {boundary}")
        self.config, self.summon, self.boundary = config, summon, boundary
        self.who: int | None = None
        self._resident: nn.Module | None = None

    def which(self, timestep: float) -> int:
        return HIGH if timestep >= self.boundary else LOW

    def __call__(self, latents: Tensor, timestep: Tensor, *others: Any, **named: Any) -> Tensor:
        """`timestep` may differ between latents or tokens: the noisiest says who is asked."""
        return self.expert(self.which(float(timestep.max())))(latents, timestep, *others, **named)

    def expert(self, who: int) -> nn.Module:
        """HIGH or LOW itself, there until the other is asked for."""
        if who != self.who or self._resident is None:
            self._resident = self.who = None
            self._resident, self.who = self.summon(who), who
        return self._resident

    def drawing(self, past: Callable[[int], tuple[Past, Tensor]], **told: Any) -> Callable[[Tensor, Any], Tensor]:
        """The velocity of one coming chunk, for `sample`.

        `past` gives what HIGH or LOW sees, and where the chunk stands, as streams do: asked once, with who it is for on
        the device. `told` is the rest that `denoise` takes; text as its encoder gave it, for both read it.
        """
        seen: dict[int, tuple[Past, Tensor]] = {}

        def velocity(x: Tensor, sigma: Any) -> Tensor:
            """`sigma` is a number, or (T, 1, 1)."""
            at = sigma * self.config.timesteps
            number = isinstance(at, int | float)
            who = self.which(at if number else float(at.max()))
            timestep = x.new_ones(1, 1, dtype=torch.float32) * (at if number else at.reshape(1, -1))
            expert = cast(Any, self.expert(who))
            if who not in seen:
                seen[who] = past(who)
            there, times = seen[who]
            return expert.denoise(x, timestep, there, times=times, **told)

        return velocity


class Expert:
    """One of two, for a stream that wants a transformer: it is there when something is asked of it."""

    def __init__(self, experts: Experts, who: int) -> None:
        self.experts, self.who, self.config = experts, who, experts.config

    def __getattr__(self, name: str) -> Any:
        return getattr(self.experts.expert(self.who), name)


def from_host(high: nn.Module, low: nn.Module, device: str | torch.device) -> Callable[[int], nn.Module]:
    """For `Experts`: both wait in host memory, and the one that is asked for is copied to the device."""
    return lambda who: copied((high, low)[who], device)


def copied(module: nn.Module, device: str | torch.device) -> nn.Module:
    """A module of the same making whose parameters and buffers are on the device."""
    there: dict[int, Any] = {id(p): nn.Parameter(p.detach().to(device), p.requires_grad) for p in module.parameters()}
    there |= {id(buffer): buffer.to(device) for buffer in module.buffers()}
    return deepcopy(module, there)  # which takes these for done
