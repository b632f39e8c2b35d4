"""Two transformers that share the work by noise level, of which one is on the device.

Wan 2.2's A14B has one for layout, asked down to a boundary, and one for detail, asked below it. A clip crosses
the boundary once, a chunk of a live world once as well.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

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


def from_host(high: nn.Module, low: nn.Module, device: str | torch.device) -> Callable[[int], nn.Module]:
    """For `Experts`: both wait in host memory, and the one that is asked for is copied to the device."""
    return lambda who: copied((high, low)[who], device)


def copied(module: nn.Module, device: str | torch.device) -> nn.Module:
    """A module of the same making whose parameters and buffers are on the device."""
    there: dict[int, Any] = {id(p): nn.Parameter(p.detach().to(device), p.requires_grad) for p in module.parameters()}
    there |= {id(buffer): buffer.to(device) for buffer in module.buffers()}
    return deepcopy(module, there)  # which takes these for done
