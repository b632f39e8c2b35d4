"""Words: what each entity is told, heard by what is being drawn, and by nothing that is remembered.

Every slot becomes tokens by itself: its words, in their order, bound to its entity by where that stands in the
coming view. A block then looks from the picture's tokens at all slots' tokens, through an output that starts
at zero. The picture's tokens know where they are, so that "leap" finds the one of two knights that it was said to.
Slots have no order, and one that is absent is not looked at; a token that is always there, nobody's, keeps
attention defined when nobody is told anything, which is also what guidance leads away from.

Two ways without words, to compare with: a learned table of kinds by deeds, and one of low rank whose factors come
from embedded words, so that a deed that was never learnt has an entry near those that mean alike.

Shapes: B batch, S slots, L tokens of a slot, E channels of a word, A numbers of an anchor, W width of a
token, N tokens of the picture, D width of the model, K deeds or kinds, R rank.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.config import Adapters
from perdure.models.context import ANCHOR
from perdure.models.words import Words

WIDTH, HEADS = 256, 4
WAVES = 4  # by which a place in the picture is told: half a wave across it, and its doublings


class Spoken(nn.Module):
    """(B, S, L, E) to (B, S, L, W)."""

    def __init__(self, config: Adapters) -> None:
        super().__init__()
        self.linear = nn.Linear(config.word_dim, WIDTH)
        self.order = nn.Parameter(torch.randn(config.told[1], WIDTH) / WIDTH**0.5)

    def forward(self, words: Words) -> tuple[Tensor, Tensor]:
        return self.linear(words.tokens.to(self.linear.weight.dtype)) + self.order, words.heard


class Index(nn.Module):
    """A learned table: a token (B, S, 1, W) for each kind and deed; kinds that it does not know share a row."""

    def __init__(self, config: Adapters) -> None:
        super().__init__()
        self.deeds = config.word_deeds
        self.table = nn.Embedding((config.word_kinds + 1) * self.deeds, WIDTH)

    def forward(self, words: Words) -> tuple[Tensor, Tensor]:
        told = words.deeds >= 0
        row = (words.kinds + 1) * self.deeds + words.deeds.clamp_min(0)
        return self.table(row).unsqueeze(-2), told.unsqueeze(-1)


class Factors(nn.Module):
    """The same from two small codes, of the kind and of the deed, which `start` takes from embedded words.

    Frozen codes keep the neighbourhoods of the words that they came from; trained ones may leave them.
    """

    def __init__(self, config: Adapters) -> None:
        super().__init__()
        for name, rows in (("kinds", config.word_kinds), ("deeds", config.word_deeds)):
            code = torch.randn(rows, config.word_rank) / config.word_rank**0.5
            if config.word_frozen:
                self.register_buffer(name, code)
            else:
                self.register_parameter(name, nn.Parameter(code))
        self.of_kind = nn.Linear(config.word_rank, WIDTH)
        self.of_deed = nn.Linear(config.word_rank, WIDTH)

    @torch.no_grad()
    def start(self, kinds_KE: Tensor, deeds_KE: Tensor) -> None:
        """Codes of the words of all kinds and all deeds, by number: their best low-rank likeness."""
        for name, words in (("kinds", kinds_KE), ("deeds", deeds_KE)):
            code: Tensor = getattr(self, name)
            if len(words) != len(code):
                raise ValueError(f"expected words of {len(code)} {name}, got {len(words)}")
            code.copy_(factors(words, code.shape[1]))

    def forward(self, words: Words) -> tuple[Tensor, Tensor]:
        told, known = words.deeds >= 0, words.kinds >= 0
        deed = self.of_deed(self.deeds[words.deeds.clamp_min(0)])  # type: ignore[index]
        kind = self.of_kind(self.kinds[words.kinds.clamp_min(0)])  # type: ignore[index]
        return (deed + kind * known.unsqueeze(-1)).unsqueeze(-2), told.unsqueeze(-1)


def factors(words_KE: Tensor, rank: int) -> Tensor:
    """(K, R) codes whose inner products are as near as may be to those of the words; each of length 1 or so."""
    words = F.normalize(words_KE.float(), dim=-1)
    left, size, right = torch.linalg.svd(words - words.mean(0), full_matrices=False)
    signs = torch.where(right.sum(1) < 0, -1, 1)  # of factors are anyone's: fixed here
    code = (left * size * signs)[:, :rank]
    return F.pad(code, (0, rank - code.shape[1])) * (len(words) ** 0.5 / size.norm().clamp_min(1e-6))


class Hearing(nn.Module):
    """Words to tokens (B, 1 + S * L, W), nobody's first, and (B, 1 + S * L) which are there; once for all blocks."""

    def __init__(self, config: Adapters) -> None:
        super().__init__()
        ways = {"template": Spoken, "slots": Spoken, "index": Index, "factors": Factors}
        if config.words not in ways:
            raise ValueError(f"expected words of {', '.join(map(repr, ways))} or '', got {config.words!r}")
        if config.words in ("index", "factors") and not (config.word_kinds and config.word_deeds):
            raise ValueError(f"expected numbers of kinds and deeds for words of {config.words!r}, got none")
        self.nobody = nn.Parameter(torch.randn(1, 1, WIDTH) / WIDTH**0.5)
        self.told = ways[config.words](config)
        self.anchor = nn.Sequential(nn.Linear(4 * WAVES + ANCHOR, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.place = nn.Linear(4 * WAVES, WIDTH)  # of the picture's tokens, for all blocks

    def forward(self, words: Words) -> tuple[Tensor, Tensor]:
        said, heard = self.told(words)
        anchors = words.anchors.float()
        whose = self.anchor(torch.cat([waves(anchors[..., :2]), anchors], -1).to(said.dtype))
        tokens = (said + whose.unsqueeze(-2)).flatten(1, 2)
        tokens = torch.cat([self.nobody.expand(len(tokens), -1, -1), tokens], 1)
        heard = heard.flatten(1)
        return tokens, torch.cat([torch.ones_like(heard[:, :1]), heard], 1)

    def places(self, t: int, h: int, w: int) -> Tensor:
        """(t * h * w, W) where the tokens of t latents of h x w are in the picture."""
        weight = self.place.weight
        y, x = ((torch.arange(n, device=weight.device, dtype=torch.float32) * 2 + 1) / n - 1 for n in (h, w))
        at = torch.stack([x.expand(h, w), y.unsqueeze(1).expand(h, w)], -1).flatten(0, 1)
        return self.place(waves(at).to(weight.dtype)).repeat(t, 1)


def waves(places_2: Tensor) -> Tensor:
    """(..., 2) places, -1..1 across the picture, to (..., 4 * WAVES)."""
    rate = torch.pi / 2 * 2.0 ** torch.arange(WAVES, device=places_2.device, dtype=places_2.dtype)
    angle = (places_2.unsqueeze(-1) * rate).flatten(-2)
    return torch.cat([angle.sin(), angle.cos()], -1)


class Listen(nn.Module):
    """A block's look at what is told: narrow, with queries of its own, so that it fits where nothing else is read."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps, elementwise_affine=False)
        self.to_q, self.to_out = nn.Linear(dim, WIDTH), nn.Linear(WIDTH, dim)
        self.to_k, self.to_v = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norm_q, self.norm_k = nn.RMSNorm(WIDTH, eps=eps), nn.RMSNorm(WIDTH, eps=eps)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)

    def forward(self, x_BND: Tensor, tokens: Tensor, heard: Tensor, places_NW: Tensor) -> Tensor:
        """(B, N, D), to be added to what is being drawn."""
        q = self.norm_q(self.to_q(self.norm(x_BND)) + places_NW)
        k, v = self.norm_k(self.to_k(tokens)), self.to_v(tokens)
        q, k, v = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (q, k, v))
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=heard[:, None, None, :])
        return self.to_out(found.transpose(1, 2).flatten(2))
