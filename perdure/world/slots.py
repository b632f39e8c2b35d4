"""Slots: the fields of the state by name, read and written as bytes. What the names mean is said in `edit.py`.

Writing back what was read restores the state exactly, its hash and all.
"""

from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from perdure.world.anchor import Anchor
from perdure.world.geometry import Geometry
from perdure.world.identity import Entity
from perdure.world.physics import Physics
from perdure.world.rules import Rule
from perdure.world.setting import Onset, Setting, Spectacle


class State(Protocol):
    """G, I and P: what slots are fields of."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def geometry(self) -> Geometry: ...
    @property
    def entities(self) -> tuple[Entity, ...]: ...
    @property
    def physics(self) -> Physics: ...
    @property
    def setting(self) -> Setting: ...


S = TypeVar("S", bound=State)


def read(state: State, slot: str, value: bytes | None = None) -> bytes | None:
    """What a slot holds. `value` is what it is about to hold: of splats, the same rows are read."""
    match slot.split("/"):
        case ["environment", field]:
            return state.setting.environment.field(field)
        case ["onset", field]:
            onset = state.setting.onset(field)
            return None if onset is None else onset.to_bytes()
        case ["spectacle", name]:
            spectacle = state.setting.spectacle(name)
            return None if spectacle is None else spectacle.to_bytes()
        case ["rule", name]:
            rule = state.setting.rule(name)
            return None if rule is None else msgspec.msgpack.encode(rule)
        case ["anchor", name]:
            anchor = state.geometry.anchor(name)
            return None if anchor is None else anchor.to_bytes()
        case ["splats"]:
            return state.geometry.splats.read(_packed(value))
        case ["entity", number]:
            entity = _entity(state, number)
            return None if entity is None else entity.to_bytes()
        case ["entity", number, field]:
            return _known(state, number).field(field)
        case ["body", number]:
            return state.physics.body(_number(number))
        case ["pose", number]:
            return state.physics.pose(_number(number))
        case ["condition", number]:
            return state.physics.vitals(_number(number))
        case _:
            raise _unknown(slot)


def write(state: S, slot: str, value: bytes | None) -> S:
    """The state with this slot holding `value`; None takes it away."""
    match slot.split("/"):
        case ["environment", field]:
            environment = state.setting.environment.with_field(field, value)
            return replace(state, setting=replace(state.setting, environment=environment))
        case ["onset", field]:
            onset = None if value is None else Onset.from_bytes(value)
            return replace(state, setting=state.setting.with_onset(field, onset))
        case ["spectacle", name]:
            spectacle = None if value is None else Spectacle.from_bytes(value)
            return replace(state, setting=state.setting.with_spectacle(name, spectacle))
        case ["rule", name]:
            return replace(state, setting=state.setting.with_rule(name, None if value is None else _rule(name, value)))
        case ["anchor", name]:
            anchor = None if value is None else Anchor.from_bytes(value)
            return replace(state, geometry=state.geometry.with_anchor(name, anchor))
        case ["splats"]:
            return replace(state, geometry=replace(state.geometry, splats=state.geometry.splats.write(_packed(value))))
        case ["entity", number]:
            others = [entity for entity in state.entities if entity.id != _number(number)]
            if value is not None:
                others.append(Entity.from_bytes(value))
            elif _number(number) == 0:
                raise ValueError("the player cannot be taken out of a world")
            return replace(state, entities=tuple(sorted(others, key=lambda entity: entity.id)))
        case ["entity", number, field]:
            changed = _known(state, number).with_field(field, value)
            entities = tuple(changed if entity.id == changed.id else entity for entity in state.entities)
            return replace(state, entities=entities)
        case ["body", number]:
            return replace(state, physics=state.physics.with_body(_number(number), value))
        case ["pose", number]:
            if value is None:
                raise ValueError(f"expected a pose for entity {number}, got none: to take it away, write body/{number}")
            return replace(state, physics=state.physics.with_pose(_number(number), value))
        case ["condition", number]:
            if value is None:
                raise ValueError(f"expected how creature {number} is to be, got nothing: to kill it, give it no health")
            return replace(state, physics=state.physics.with_vitals(_number(number), value))
        case _:
            raise _unknown(slot)


def _packed(value: bytes | None) -> bytes:
    if value is None:
        raise ValueError("expected packed splats, which also say what is to be gone; got nothing")
    return value


def _rule(name: str, value: bytes) -> Rule:
    try:
        rule = msgspec.msgpack.decode(value, type=Rule)
    except msgspec.MsgspecError as error:
        raise ValueError(f"expected a rule of physics: {error}") from None
    if rule.name != name:
        raise ValueError(f"expected a rule named {name!r} in this slot, got {rule.name!r}")
    return rule


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"expected the number of an entity in a slot, got {text!r}")
    return int(text)


def _entity(state: State, number: str) -> Entity | None:
    return next((entity for entity in state.entities if entity.id == _number(number)), None)


def _known(state: State, number: str) -> Entity:
    entity = _entity(state, number)
    if entity is None:
        there = ", ".join(f"{entity.id} ({entity.name})" for entity in state.entities)
        raise ValueError(f"no entity {number} in this world: there are {there}")
    return entity


def _unknown(slot: str) -> ValueError:
    kinds = (
        "environment/FIELD, onset/FIELD, spectacle/NAME, rule/NAME, anchor/NAME, entity/ID, entity/ID/FIELD, body/ID, "
        "pose/ID, condition/ID or splats"
    )
    return ValueError(f"expected a slot such as {kinds}, got {slot!r}")
