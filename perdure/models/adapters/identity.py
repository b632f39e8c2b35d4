"""Identity: what each entity looks like, as tokens that every block may look at, behind a gate that starts shut.

The features of an entity are whatever the state keeps of its appearance, and where it stands if the caller
puts that in; entities have no order. They are looked at with the queries that look at the text, so a block has
one question and two places to ask it; a model without text has queries for them alone. A token that is
always there keeps attention defined where nobody is.

Shapes: B batch, I entities, A features, W width of a token, N tokens of the picture, H heads, D head size,
E width of the model.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.attention import attend

WIDTH = 256


class Identity(nn.Module):
    """(B, I, A) features to (B, 1 + I, W) tokens, nobody's first, and (B, 1 + I) who is there; once for all blocks."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.nobody = nn.Parameter(torch.randn(1, 1, WIDTH) / WIDTH**0.5)
        self.linear_1, self.linear_2 = nn.Linear(features, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, features: Tensor, present_BI: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        x = self.linear_2(F.silu(self.linear_1(features.to(self.linear_1.weight.dtype))))
        seen = None if present_BI is None else F.pad(present_BI, (1, 0), value=True)
        return torch.cat([self.nobody.expand(len(x), -1, -1), x], 1), seen


class Recognise(nn.Module):
    """A block's look at who is there."""

    def __init__(self, dim: int, heads: int, eps: float = 1e-6, alone: bool = False) -> None:
        """`alone` is where no text is looked at, so that the queries are its own."""
        super().__init__()
        self.heads, self.alone = heads, alone
        if alone:
            self.norm = nn.LayerNorm(dim, eps, elementwise_affine=False)
            self.to_q, self.norm_q = nn.Linear(dim, dim), nn.RMSNorm(dim, eps=eps)
        self.to_k, self.to_v = nn.Linear(WIDTH, dim), nn.Linear(WIDTH, dim)
        self.norm_k = nn.RMSNorm(dim, eps=eps)
        self.gate = nn.Parameter(torch.zeros(dim))

    def forward(self, q_NHD: Tensor, tokens: Tensor, seen: Tensor | None) -> Tensor:
        """(B, N, H, D), to be added to what was found in the text; `seen` (B, 1 + I) says who is there, None: all."""
        k, v = (x.unflatten(-1, (self.heads, -1)) for x in (self.norm_k(self.to_k(tokens)), self.to_v(tokens)))
        return attend(q_NHD, k, v, seen) * self.gate.view(self.heads, -1)

    def ask(self, x_BNE: Tensor) -> Tensor:
        """(B, N, H, D) queries of its own."""
        return self.norm_q(self.to_q(self.norm(x_BNE))).unflatten(-1, (self.heads, -1))
