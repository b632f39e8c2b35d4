"""Telling: who is told what in the coming chunk, as slots of words for the model.

An entity hears what the action says to it; later, for as long as it goes on with what it was asked for, the
plainest words for that. Both are functions of state and action alone, so what was heard can be heard again.

Shapes: S words, E channels of a word, T frames a chunk.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.camera import invert
from perdure.models.config import Adapters
from perdure.models.context import ANCHOR, Slot
from perdure.models.tokens import table
from perdure.models.words import template
from perdure.world.action import Action
from perdure.world.state import World

F32 = NDArray[np.float32]
NEAR = 0.1  # metres before the camera, from which on an entity can be in the picture
SIZE = 1.0  # metres: the height of what has no deeds and is told something all the same


@dataclass(frozen=True)
class Ear:
    """How a model hears: what turns words into vectors (S, E), and how many entities it hears of at once."""

    read: Callable[[str], F32]
    slots: int = 4
    together: bool = False  # all that is told in one slot, a sentence for each
    length: int = 16  # words that an entity's share of such a slot holds

    @classmethod
    def of(cls, adapters: Adapters) -> "Ear | None":
        """That of a model with these adapters, which hears the words of Perdure's own table; None where it has none."""
        on = adapters
        return cls(table(), on.word_slots, on.words == "template", on.word_length) if on.words else None


def told(world: World, action: Action, ear: Ear) -> list[Slot]:
    """By entity; where more are told something than there are slots, those that are spoken to now, then the nearest."""
    said: dict[int, str] = {}
    for word in action.words:
        said[word.entity] = f"{said[word.entity]}, {word.text}" if word.entity in said else word.text
    now = set(said)
    kinds, deeds, heights = dict[int, str](), dict[int, str](), dict[int, float]()
    for mover in world.physics.mechanism.creatures:
        doing = world.physics.condition(mover.entity)
        kinds[mover.entity], heights[mover.entity] = mover.kind, mover.height
        if doing is None or not doing.commanded:
            continue
        deed = next((d for d in mover.deeds if d.name == doing.deed), None)
        if deed is not None:
            deeds[mover.entity] = deed.name
            said.setdefault(mover.entity, (deed.words or (deed.name,))[0])
    anchors = {entity: anchor(world, entity, heights.get(entity, SIZE)) for entity in said}
    heard = sorted(said, key=lambda entity: (entity not in now, -anchors[entity][2], entity))[: ear.slots]
    if ear.together and said:
        names = {entity.id: entity.name for entity in world.entities}
        sentences = [template([(names.get(entity, "someone"), said[entity])]) for entity in sorted(heard)]
        tokens = ear.read(" ".join(sentences))
        if len(tokens) > ear.slots * ear.length:  # the end of each is cut, and nobody is left out
            tokens = np.concatenate([ear.read(sentence)[: ear.length] for sentence in sentences])
        return [Slot(min(heard), tokens, np.zeros(ANCHOR, np.float32))]
    return [
        Slot(entity, ear.read(said[entity]), anchors[entity], kinds.get(entity, ""), deeds.get(entity, ""))
        for entity in sorted(heard)
    ]


def anchor(world: World, entity: int, height: float) -> F32:
    """(ANCHOR,) where an entity of this height stands in the last frame of the coming chunk."""
    out = np.zeros(ANCHOR, np.float32)
    motion, lens = world.motion, world.motion.intrinsics
    if entity not in motion.bodies:
        return out
    x, y, z = (invert(motion.cameras[-1]) @ motion.bodies[entity][-1])[:3, 3]
    if z < NEAR:
        return out
    across, down = 2 * (lens.fx * x / z + lens.cx) / lens.width - 1, 2 * (lens.fy * y / z + lens.cy) / lens.height - 1
    size = lens.fy * height / z / lens.height
    within = abs(across) < 1 and abs(down) < 1 + size
    out[:] = np.clip([across, down, 1 / z, size, within], -2, 2)
    return out
