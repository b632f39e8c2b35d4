"""Offers: what a player's hands can do just now, and what came of what they did, in a few words."""

from collections.abc import Iterator, Sequence

from perdure.server.protocol import Offer
from perdure.world.action import Hand
from perdure.world.history import Note
from perdure.world.identity import Entity
from perdure.world.state import World

REFUSED = "refused: ", "rejected: "  # how the verdict of a note begins


def offers(world: World) -> list[Offer]:
    """What each hand would do that can do something. A ray and no more: cheap enough for every chunk."""
    held, deed = world.physics.held, world.physics.usable()
    out: list[Offer] = []
    if not deed.refused:
        out.append(Offer(hand=Hand.USE, text=f"{deed.did} {called(world.entities, deed.entity)}"))
    if held >= 0:
        out.append(Offer(hand=Hand.PLACE, text=f"put {called(world.entities, held)} down"))
        out.append(Offer(hand=Hand.THROW, text="throw"))
    return out


def told(notes: Sequence[Note], entities: Sequence[Entity]) -> Iterator[str]:
    """What a player should hear of: what was refused, what slipped away, and what broke."""
    for note in notes:
        if note.kind == "hit" and note.targets[1:] == (0,):
            yield f"{called(entities, note.targets[0])} strikes you"
        if note.kind == "break":
            yield f"{called(entities, note.targets[0])} breaks"
        if note.kind not in ("act", "command", "reject") or note.actor != "player":
            continue
        if note.verdict.startswith(REFUSED):
            yield note.verdict.partition(": ")[2]
        elif note.args.get("hand") == "slip":
            yield f"{called(entities, note.targets[0])} slipped out of your hands"


def called(entities: Sequence[Entity], number: int) -> str:
    """By its name, with an article where that is a word for its kind."""
    entity = next((entity for entity in entities if entity.id == number), None)
    if entity is None:
        return "it"
    return entity.name if entity.name[0].isupper() else f"the {entity.name}"
