"""The roster: finding, joining, parting and asking for the entities of a world. All of it is pure.

Who something is, is decided by how it looks and by where it is. It must look like the first look that
was ever had of somebody, or like several later ones; it must be where that one is or can have gone; and
nobody else may be nearly as likely. Else it is a stranger, with an identity of its own until somebody
says who it was (`renamed`, `merge`). So an impostor is never absorbed, and drift cannot walk a bank away: no look
is farther from one that was vouched for than LINKS times the radius of its embedding.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.world.bank import SAME_SIDE, Look, angles, apart, distance, kept
from perdure.world.edit import Change, Edit
from perdure.world.identity import FIELDS, UNKNOWN, WORDS, Entity, Seen, stranger

Entities = tuple[Entity, ...]

LINKS = 4  # looks that may lie between one and the one that was vouched for
SEVERAL = 2  # looks, of different moments, that may speak for one from a new side
NEAR = 1.0  # metres: what is seen of a thing, and its origin, are within this of each other
MARGIN = 0.15  # of the score, that the best must be ahead of the next
POOR = 2  # quality below which nothing is learned from a look, nor anybody made of it
STRANGERS = 32  # that a world keeps; of more, the one not seen for longest is forgotten
SPEED = 3.0  # metres a second, of who knows what

EYES: NDArray[np.float64] = np.eye(3)
EYES.setflags(write=False)


@dataclass(frozen=True, eq=False)
class Sighting:
    """Something that was seen, told from its surroundings but not yet known. `look` is in the world's frame."""

    look: Look
    position: tuple[float, float, float]  # metres, the middle of what was seen of it
    time: float  # seconds of the world's own time


@dataclass(frozen=True, eq=False)
class Place:
    """Where an entity is, or was last known to be."""

    position: tuple[float, float, float]
    time: float
    speed: float = 0.0  # metres a second: how fast it can have gone since, or have come
    rotation: NDArray[np.float64] = field(default_factory=lambda: EYES)  # (3, 3) body to world

    def reach(self, time: float) -> float:
        """How far from here it may be at another time, metres."""
        return NEAR + self.speed * abs(time - self.time)


@dataclass(frozen=True)
class Match:
    """Who a sighting was taken for."""

    id: int | None  # None: too little was seen of a stranger to make somebody of it
    new: bool  # whether this entity was made for it
    score: float  # of the likeliest, in 0..1: 1 looks the same and stands where it is
    margin: float  # over the next
    reason: str


@dataclass(frozen=True)
class Claim:
    """What speaks for a sighting being an entity."""

    id: int
    known: bool
    score: float
    links: int | None  # that the look would have in its bank; None if it does not look like the entity


def associate(
    entities: Entities, sightings: Sequence[Sighting], places: Mapping[int, Place] | None = None, radius: float = 0.5
) -> tuple[Entities, tuple[Match, ...]]:
    """Who was seen in one instant, and the entities as they are known since.

    `places` are those of entities that physics moves; the others are where they were last seen. `radius` is
    how far apart, in its space, an embedding puts two looks at the same thing. The order of the sightings does
    not matter, except that matches are in it. No two sightings are taken for the same entity.
    """
    places = _places(entities) | dict(places or {})
    claims = [_claims(entities, sighting, places, radius) for sighting in sightings]
    order = sorted(range(len(sightings)), key=lambda n: (sightings[n].look, sightings[n].position, sightings[n].time))
    found = _alone([_match(mine) for mine in claims], claims, order)
    changed = {entity.id: entity for entity in entities}
    fresh = next_id(entities)
    for n in order:
        number = found[n].id
        if number is not None:
            links = next(claim.links for claim in claims[n] if claim.id == number)
            changed[number] = _met(changed[number], sightings[n], places.get(number), links or 0)
        elif sightings[n].look.quality >= POOR:
            changed[fresh] = _stranger(fresh, sightings[n])
            found[n] = replace(found[n], id=fresh, new=True)
            fresh += 1
    return _remembered(changed.values()), tuple(found)


def _claims(entities: Entities, sighting: Sighting, places: Mapping[int, Place], radius: float) -> tuple[Claim, ...]:
    """Those who can be where it was seen, the likeliest first."""
    out: list[Claim] = []
    for entity in entities:
        if entity.exemplar is None:
            continue
        place, look, off = places.get(entity.id), sighting.look, NEAR
        if place is not None:
            off = math.dist(place.position, sighting.position)
            if off > place.reach(sighting.time):
                continue
            look = turned(look, place.rotation)
        likeness = max(0.0, 1.0 - 0.5 * min(distance(one, look) for one in entity.looks) / radius)
        score = likeness * (0.5 + 0.5 * NEAR / (NEAR + off))
        out.append(Claim(entity.id, entity.known, score, agreement(entity, look, radius)))
    return tuple(sorted(out, key=lambda claim: (-claim.score, claim.id)))


def _match(claims: tuple[Claim, ...]) -> Match:
    """What one sighting is taken for. `new` is for `associate` to say."""
    if not claims:
        return Match(None, False, 0.0, 0.0, "nobody can be there")
    best = claims[0]
    margin = best.score - (claims[1].score if len(claims) > 1 else 0.0)
    if best.links is not None and margin >= MARGIN:
        return Match(best.id, False, best.score, margin, f"looks like {best.id}, who can be there")
    close = [claim for claim in claims if claim.score > best.score - MARGIN]
    if all(claim.links is None for claim in close):
        return Match(None, False, best.score, margin, f"does not look like {best.id}, the likeliest to be there")
    # It may be one or the other. A stranger among them can have it: nobody is taken for somebody by that.
    reason = f"may be any of {', '.join(str(claim.id) for claim in close)}"
    strangers = [claim for claim in close if claim.links is not None and not claim.known]
    return Match(strangers[0].id if strangers else None, False, best.score, margin, reason)


def _alone(found: list[Match], claims: Sequence[tuple[Claim, ...]], order: Sequence[int]) -> list[Match]:
    """The matches, with no entity in two of them: the likelier has it, if it is so by enough."""
    taken: dict[int, list[int]] = {}
    for n in order:
        number = found[n].id
        if number is not None:
            taken.setdefault(number, []).append(n)
    out = list(found)
    for number, rivals in taken.items():
        scores = {n: next(claim.score for claim in claims[n] if claim.id == number) for n in rivals}
        rivals = sorted(rivals, key=lambda n: -scores[n])
        known = any(claim.known for claim in claims[rivals[0]] if claim.id == number)
        sure = len(rivals) == 1 or not known or scores[rivals[0]] - scores[rivals[1]] >= MARGIN
        for n in rivals[1:] if sure else rivals:
            out[n] = replace(found[n], id=None, reason=f"another was seen that may be {number}")
    return out


def agreement(entity: Entity, look: Look, radius: float) -> int | None:
    """How many links the look would have in the entity's bank, None if it does not look like the entity.

    A look from a side that somebody vouched for must be like what was vouched for, whatever came later.
    From another side, several looks must speak for it, and their chain must not be long.
    """
    looks = [one for one in entity.looks if one.by == look.by]
    beside = [one for one in looks if one.links == 0 and apart(one, look) <= SAME_SIDE]
    if beside:
        return 1 if any(distance(one, look) <= radius for one in beside) else None
    like = [one for one in looks if one.links < LINKS and distance(one, look) <= radius]
    if not any(one.links == 0 for one in like) and len({one.step for one in like}) < SEVERAL:
        return None
    return 1 + min(one.links for one in like)


def turned(look: Look, rotation: NDArray[np.float64]) -> Look:
    """A look that is told in the world's frame, in the frame of a body of this rotation (3, 3)."""
    azimuth, elevation = angles(np.array(look.view) @ rotation)
    return msgspec.structs.replace(look, azimuth=azimuth, elevation=elevation)


def _met(entity: Entity, sighting: Sighting, place: Place | None, links: int) -> Entity:
    """The entity, seen again."""
    look = sighting.look if place is None else turned(sighting.look, place.rotation)
    if look.quality >= POOR:
        entity = replace(entity, bank=kept((*entity.bank, msgspec.structs.replace(look, links=links))))
    if not entity.body:
        speed = SPEED if entity.seen is None else entity.seen.speed
        entity = replace(entity, seen=Seen(sighting.position, sighting.time, speed))
    return entity


def _stranger(number: int, sighting: Sighting) -> Entity:
    """Somebody new, of whom no more is known than this."""
    first = msgspec.structs.replace(sighting.look, links=0)
    seen = Seen(sighting.position, sighting.time, SPEED)
    return Entity(number, UNKNOWN, stranger(number), "", exemplar=first, bank=(first,), seen=seen)


def _remembered(entities: Iterable[Entity]) -> Entities:
    """All but the strangers that are too many, by id."""
    entities = sorted(entities, key=lambda entity: entity.id)
    strangers = [entity for entity in entities if not entity.known]
    strangers.sort(key=lambda entity: (entity.seen.time if entity.seen else -math.inf, entity.id))
    gone = {entity.id for entity in strangers[: max(0, len(strangers) - STRANGERS)]}
    return tuple(entity for entity in entities if entity.id not in gone)


def acquainted(entity: Entity, looks: Sequence[Look]) -> Entity:
    """The entity with looks that are known to be its own; the first is its exemplar, unless it has one."""
    sure = [msgspec.structs.replace(look, links=0) for look in looks]
    if not sure:
        return entity
    exemplar = entity.exemplar or sure[0]
    return replace(entity, exemplar=exemplar, bank=kept((exemplar, *entity.bank, *sure)))


def resolve(entities: Entities, number: int) -> Entity | None:
    """Who an id means today: its entity, or the one that it was merged into."""
    for entity in entities:
        if entity.id == number:
            return entity
    return next((entity for entity in entities if number in entity.merged), None)


def next_id(entities: Iterable[Entity]) -> int:
    """An id that nobody has or had."""
    return 1 + max((number for entity in entities for number in (entity.id, *entity.merged)), default=0)


def renamed(entity: Entity, name: str) -> Entity:
    """The entity under a new name; it still answers to the old one."""
    aliases = [alias for alias in entity.aliases if alias != name]
    if entity.known and entity.name != name and entity.name not in aliases:
        aliases.append(entity.name)
    return replace(entity, name=name, aliases=tuple(aliases[-WORDS:]))


def merge(entities: Entities, keep: int, gone: int) -> Entities:
    """Two ids were one. `keep` stays, with its exemplar; `gone` still means it.

    What only the other knew is taken over: its body, a name where `keep` was a stranger, its looks and words.
    """
    one, other = _known(entities, keep), _known(entities, gone)
    if one.id == other.id:
        raise ValueError(f"expected two entities to merge, got {keep} twice (it is {one.name})")
    if 0 in (one.id, other.id):
        raise ValueError("the player is nobody else: expected other entities to merge")
    if one.body and other.body:
        raise ValueError(f"both {one.name} ({one.id}) and {other.name} ({other.id}) have a body: take one out first")
    named = one if one.known or not other.known else other
    unnamed = other if named is one else one
    aliases = [*one.aliases, *other.aliases, *([unnamed.name] if unnamed.known else [])]
    last = max((seen for seen in (one.seen, other.seen) if seen), key=lambda seen: seen.time, default=None)
    body = one.body or other.body
    merged = replace(
        one,
        kind=named.kind,
        name=named.name,
        body=body,
        patches=(one.patches or other.patches) if one.body == body else (other.patches or one.patches),
        aliases=_unique(alias for alias in aliases if alias != named.name),
        merged=tuple(sorted({*one.merged, other.id, *other.merged})),
        attributes=_unique((*one.attributes, *other.attributes)),
        tags=_unique((*one.tags, *other.tags)),
        parts=one.parts or other.parts,
        exemplar=one.exemplar or other.exemplar,
        bank=kept((*one.bank, *other.looks)),
        seen=None if body else last,
    )
    return _with([entity for entity in entities if entity.id != other.id], merged)


def split(entities: Entities, number: int, looks: Iterable[Look], name: str, new: int | None = None) -> Entities:
    """Some looks of an entity's bank were of another, who gets them, and `name`.

    `new` is its id: one that was merged into the entity, or by default one that nobody had. The oldest of the
    looks that are vouched for, or else the oldest, becomes its exemplar; the entity's own stays where it is.
    """
    entity, looks = _known(entities, number), list(looks)
    taken = kept(looks)
    strange = [look for look in taken if look not in entity.bank]
    if not taken or strange:
        raise ValueError(f"expected looks out of the bank of {entity.name} ({entity.id}), got {len(strange)} others")
    if entity.exemplar in taken:
        raise ValueError(f"the exemplar of {entity.name} ({entity.id}) stays with it: split off the others instead")
    if new is None:
        new = next_id(entities)
    elif any(other.id == new for other in entities) or resolve(entities, new) not in (None, entity):
        raise ValueError(f"expected an id that is free for what is split off, got {new}, which somebody has")
    first = min(looks, key=lambda look: (look.links, look.step))
    bank = kept((msgspec.structs.replace(first, links=0), *(look for look in taken if look != first)))
    first = msgspec.structs.replace(first, links=0)
    other = Entity(new, entity.kind, name or stranger(new), "", exemplar=first, bank=bank, seen=entity.seen)
    rest = replace(
        entity,
        bank=tuple(look for look in entity.bank if look not in taken),
        merged=tuple(old for old in entity.merged if old != new),
    )
    return _with(_with(entities, rest), other)


def edit(before: Entities, after: Entities, kind: str = "edit", actor: str = "player") -> Edit:
    """What leads from these entities to those, field by field: for `World.edit`."""
    was = {entity.id: entity for entity in before}
    now = {entity.id: entity for entity in after}
    changes: list[Change] = []
    for number in sorted({*was, *now}):
        old, new = was.get(number), now.get(number)
        if old is new or (old is not None and new is not None and old.digest == new.digest):
            continue
        if old is None or new is None or old.exemplar != new.exemplar:
            changes.append(Change(f"entity/{number}", None if new is None else new.to_bytes()))
            continue
        for name in FIELDS:
            value = new.field(name)
            if value != old.field(name):
                changes.append(Change(f"entity/{number}/{name}", value))
    return Edit(tuple(changes), kind, actor)


_WORD = re.compile(r"\w+")
_SILENT = frozenset(
    ("a", "an", "and", "in", "is", "it", "of", "on", "one", "ones", "that", "the", "this", "who", "with")
)


def query(
    entities: Entities,
    words: str = "",
    kind: str = "",
    near: tuple[float, float, float] | None = None,
    within: float = math.inf,
    places: Mapping[int, Place] | None = None,
) -> Entities:
    """The entities that all of the words fit ("the red knight", "the tall one"), the likeliest first.

    A word fits a name best, then another name, its kind, an attribute, a tag. Those that fit equally well are
    in order of distance from `near`, if given, then of id. With `near`, only those within so many metres.
    """
    asked = sorted(set(_words(words)) - _SILENT) or (sorted(set(_words(words))) if _is_name(entities, words) else [])
    places = _places(entities) | dict(places or {})
    out: list[tuple[float, float, int, Entity]] = []
    for entity in entities:
        if kind and entity.kind.casefold() != kind.casefold():
            continue
        off = 0.0
        if near is not None:
            off = math.dist(places[entity.id].position, near) if entity.id in places else math.inf
            if off > within or off == math.inf:
                continue
        fits = [_fit(entity, word) for word in asked]
        if all(fits):
            whole = any(_words(name) == _words(words) for name in (entity.name, *entity.aliases)) if words else False
            out.append((-sum(fits) - 10 * whole, off, entity.id, entity))
    return tuple(entity for *_, entity in sorted(out, key=lambda row: row[:3]))


def _fit(entity: Entity, word: str) -> int:
    sources = ((entity.name,), entity.aliases, (entity.kind,), entity.attributes, entity.tags)
    for weight, texts in zip((5, 4, 3, 2, 1), sources):
        if any(word in _words(text) for text in texts):
            return weight
    return 0


def _is_name(entities: Entities, words: str) -> bool:
    return any(_words(name) == _words(words) for entity in entities for name in (entity.name, *entity.aliases))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _places(entities: Entities) -> dict[int, Place]:
    """Where those without a body were last seen."""
    seen = ((entity.id, entity.seen) for entity in entities)
    return {number: Place(last.position, last.time, last.speed) for number, last in seen if last is not None}


def _known(entities: Entities, number: int) -> Entity:
    entity = resolve(entities, number)
    if entity is None:
        there = ", ".join(f"{entity.id} ({entity.name})" for entity in entities)
        raise ValueError(f"no entity {number}: there are {there}")
    return entity


def _with(entities: Iterable[Entity], entity: Entity) -> Entities:
    """The entities with this one, in place of the one of its id."""
    return tuple(sorted((*(e for e in entities if e.id != entity.id), entity), key=lambda e: e.id))


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))[:WORDS]
