"""Words for entities, as a model hears them: one slot an entity, encoded by itself.

What a slot says depends on its own entity alone, so telling one creature something, or no longer, changes nothing
that another hears; and slots come and go while a world streams. A slot without words is absent. The other way,
as Incantation does it, is one sentence for all (`template`): then a word more for one moves the words of all others.

Shapes: S slots, L tokens of a slot, E channels of a token, A numbers of an anchor.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perdure.models.context import ANCHOR, Slot

F32 = NDArray[np.float32]


class Words(NamedTuple):
    """Slots side by side, at one padded shape; arrays, or tensors with a batch before."""

    tokens: Any  # (S, L, E)
    heard: Any  # (S, L) bool: which tokens are there
    anchors: Any  # (S, A)
    kinds: Any  # (S,) which of the model's own table of kinds, -1 none of them
    deeds: Any  # (S,) the same of deeds

    def silent(self) -> "Words":
        """The same with nobody told anything: what guidance leads away from."""
        return self._replace(heard=self.heard & False, deeds=self.deeds * 0 - 1)

    def without(self, slots_S: Any) -> "Words":
        """The same with some slots absent, where `slots` (S,) is True; leading axes as the words have them."""
        return self._replace(heard=self.heard & ~slots_S[..., None], deeds=self.deeds * ~slots_S - 1 * slots_S)


def pack(
    slots: Sequence[Slot], count: int, length: int, width: int, kinds: Sequence[str] = (), deeds: Sequence[str] = ()
) -> Words:
    """`count` slots of `length` tokens of `width` channels: what is told first, then absent ones.

    What is longer is cut; a config says the shape (`Adapters.told`, `word_dim`). `kinds` and `deeds` are the tables
    of a model that hears numbers instead of words.
    """
    if len(slots) > count:
        raise ValueError(f"expected at most {count} slots, got {len(slots)}: leave out those that matter least")
    words = Words(
        np.zeros((count, length, width), np.float32), np.zeros((count, length), np.bool_),
        np.zeros((count, ANCHOR), np.float32), np.full(count, -1, np.int64), np.full(count, -1, np.int64),
    )  # fmt: skip
    for i, slot in enumerate(slots):
        if slot.tokens.ndim != 2 or slot.tokens.shape[1] != width or slot.anchor.shape != (ANCHOR,):
            raise ValueError(
                f"expected tokens (L, {width}) and an anchor ({ANCHOR},) for entity {slot.entity}, "
                f"got {slot.tokens.shape} and {slot.anchor.shape}"
            )
        told = slot.tokens[:length]
        words.tokens[i, : len(told)], words.heard[i, : len(told)] = told, True
        words.anchors[i] = slot.anchor
        words.kinds[i] = kinds.index(slot.kind) if slot.kind in kinds else -1
        words.deeds[i] = deeds.index(slot.deed) if slot.deed in deeds else -1
    return words


def template(told: Sequence[tuple[str, str]]) -> str:
    """One sentence for each who is told something, in one prompt: "The red knight performs a leap. ..."."""
    return " ".join(f"{name[:1].upper()}{name[1:]} performs {text.strip().rstrip('.')}." for name, text in told)
