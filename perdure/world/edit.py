"""Edits: changes of the state that someone asks for, each a list of slots and their new values.

A slot names one field of the state, a value is that field as bytes (None: absent). So everything that
can be edited is edited, logged, undone and replayed by the same few lines: an edit writes values, the
log keeps which values they replaced, and undoing it writes those back.

    environment/FIELD   one field of the environment, as JSON
    onset/FIELD         since when it holds, and what it held before, as MessagePack
    spectacle/NAME      something to be seen that has no body, as MessagePack
    rule/NAME           a rule of physics, as MessagePack
    anchor/NAME         a place with a name
    entity/ID           an entity, whole
    entity/ID/FIELD     one field of it
    body/ID             how it is built, and how it moves
    pose/ID             where it is and how it moves
    condition/ID        how a creature that has deeds is: its health, what it does, as MessagePack
    splats              rows of splats, by their ids
"""

import hashlib
from dataclasses import dataclass

import msgspec

from perdure.world.anchor import Anchor
from perdure.world.body import Body, Pose
from perdure.world.deed import Vitals
from perdure.world.identity import Entity
from perdure.world.rules import Rule

_OF_ENTITIES = ("entity", "body", "pose", "condition")


@dataclass(frozen=True)
class Change:
    slot: str
    value: bytes | None


@dataclass(frozen=True)
class Edit:
    changes: tuple[Change, ...]
    kind: str = "edit"  # what its event is called: edit, event, anchor, rule or associate
    actor: str = "player"

    @property
    def targets(self) -> tuple[int, ...]:
        """The entities whose slots it writes."""
        parts = (change.slot.split("/") for change in self.changes)
        return tuple(sorted({int(p[1]) for p in parts if p[0] in _OF_ENTITIES and p[1].isdecimal()}))


def digest(value: bytes | None) -> str | None:
    """How an event names a value, in hex."""
    return None if value is None else hashlib.sha256(value).hexdigest()


# Makers of edits that people ask for


def rename(entity: int, name: str) -> Edit:
    return Edit((Change(f"entity/{entity}/name", name.encode()),))


def environment(**fields: str | float) -> Edit:
    """What holds everywhere: `environment(weather="snow", hour=19.5)`."""
    return Edit(tuple(Change(f"environment/{name}", msgspec.json.encode(value)) for name, value in fields.items()))


def rule(rule: Rule) -> Edit:
    """A rule of physics laid down, in place of the one of that name."""
    return Edit((Change(f"rule/{rule.name}", msgspec.msgpack.encode(rule)),), "rule")


def lift(name: str) -> Edit:
    """A rule of physics taken back."""
    return Edit((Change(f"rule/{name}", None),), "rule")


def anchor(anchor: Anchor) -> Edit:
    return Edit((Change(f"anchor/{anchor.name}", anchor.to_bytes()),), "anchor")


def unanchor(name: str) -> Edit:
    """A place that is to have that name no more."""
    return Edit((Change(f"anchor/{name}", None),), "anchor")


def add(entity: Entity, body: Body) -> Edit:
    """Someone or something more; `body` is what physics has to know of it."""
    return Edit((Change(f"body/{entity.id}", body.to_bytes()), Change(f"entity/{entity.id}", entity.to_bytes())))


def remove(entity: int) -> Edit:
    return Edit((Change(f"body/{entity}", None), Change(f"entity/{entity}", None)))


def move(entity: int, pose: Pose) -> Edit:
    return Edit((Change(f"pose/{entity}", pose.to_bytes()),))


def condition(entity: int, health: float) -> Edit:
    """A creature healed or hurt; at 0 it dies, and above it who was dead lives again."""
    return Edit((Change(f"condition/{entity}", Vitals(float(health)).to_bytes()),))
