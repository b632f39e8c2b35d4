"""Diff: in what two worlds differ, in words that a person can check."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import msgspec
import numpy as np

from perdure.camera import Array
from perdure.world.rules import Rule
from perdure.world.setting import Spectacle
from perdure.world.state import World

STILL = 1e-3
"""Metres: what has moved less has not moved."""


@dataclass(frozen=True)
class Difference:
    what: str
    left: str  # as it is in the first world; empty where it is not there
    right: str


def diff(left: World, right: World) -> list[Difference]:
    """What one would have to change of the first world to have the second; nothing, where their states are equal."""
    return [*_setting(left, right), *_entities(left, right), *_geometry(left, right), *_motion(left, right)]


def _setting(left: World, right: World) -> Iterator[Difference]:
    for field in fields(left.setting.environment):
        sides = (getattr(world.setting.environment, field.name) for world in (left, right))
        yield from _either(f"environment {field.name}", *map(str, sides))
    shown = [{it.name: it for it in world.setting.spectacles} for world in (left, right)]
    for name in sorted({*shown[0], *shown[1]}):
        yield from _either(f"spectacle {name}", *(_shown(side.get(name)) for side in shown))
    rules = [{rule.name: rule for rule in world.setting.rules} for world in (left, right)]
    for name in sorted({*rules[0], *rules[1]}):
        yield from _either(f"rule {name}", *(_rule(side[name]) if name in side else "" for side in rules))


def _shown(spectacle: Spectacle | None) -> str:
    if spectacle is None:
        return ""
    x, y, z = spectacle.place
    return f"{spectacle.kind} at {x:.2f}, {y:.2f}, {z:.2f} from tick {spectacle.start} for {spectacle.seconds:g} s"


def _entities(left: World, right: World) -> Iterator[Difference]:
    named = [{entity.id: entity for entity in world.entities} for world in (left, right)]
    for number in sorted({*named[0], *named[1]}):
        one, other = (side.get(number) for side in named)
        if one is None or other is None:
            yield Difference(f"entity {number}", one.name if one else "", other.name if other else "")
        elif one.digest != other.digest:
            for field in fields(one):
                sides = getattr(one, field.name), getattr(other, field.name)
                if isinstance(sides[0], str | int | float):
                    yield from _either(f"entity {number} {field.name}", *map(str, sides))
                elif field.name != "patches" and repr(sides[0]) != repr(sides[1]):
                    yield Difference(f"entity {number} {field.name}", _short(sides[0]), _short(sides[1]))
            if len(one.patches) != len(other.patches):
                yield from _either(f"entity {number} looks", str(len(one.patches)), str(len(other.patches)))


def _geometry(left: World, right: World) -> Iterator[Difference]:
    shared = {keyframe.digest for keyframe in left.geometry.keyframes}
    shared &= {keyframe.digest for keyframe in right.geometry.keyframes}
    own = [len(world.geometry.keyframes) - len(shared) for world in (left, right)]
    if any(own):
        yield Difference(f"keyframes, besides {len(shared)} shared", str(own[0]), str(own[1]))
    anchors = [{anchor.name: anchor for anchor in world.geometry.anchors} for world in (left, right)]
    for name in sorted({*anchors[0], *anchors[1]}):
        one, other = (side.get(name) for side in anchors)
        if one is None or other is None or one.digest != other.digest:
            yield Difference(f"anchor {name}", *(f"{_place(it.pose)} {it.text}" if it else "" for it in (one, other)))
    splats = [world.geometry.splats for world in (left, right)]
    changed = {page.digest for page in splats[0].pages} ^ {page.digest for page in splats[1].pages}
    if changed:
        yield Difference(f"splats, {len(changed)} pages", str(len(splats[0])), str(len(splats[1])))


def _motion(left: World, right: World) -> Iterator[Difference]:
    yield from _either("step", str(left.step), str(right.step))
    sides = [
        {0: world.motion.cameras[-1], **{e: poses[-1] for e, poses in world.motion.bodies.items()}}
        for world in (left, right)
    ]
    for number in sorted({*sides[0]} & {*sides[1]}):
        one, other = (world.physics.condition(number) for world in (left, right))
        if one and other:
            yield from _either(f"entity {number} health", f"{one.health:.3g}", f"{other.health:.3g}")
            yield from _either(f"entity {number} does", one.deed, other.deed)
        one, other = sides[0][number], sides[1][number]
        moved, turned = float(np.linalg.norm(one[:3, 3] - other[:3, 3])), _angle(one, other)
        if moved > STILL or turned > 0.1:
            what = "eye" if number == 0 else f"entity {number}"
            yield Difference(f"{what}, {moved:.2f} m and {turned:.0f} degrees apart", _place(one), _place(other))


def _rule(rule: Rule) -> str:
    return " ".join(f"{name}={value}" for name, value in msgspec.to_builtins(rule).items() if name != "name")


def _angle(one: Array, other: Array) -> float:
    """Degrees between two rotations."""
    return float(np.degrees(np.arccos(np.clip((np.trace(one[:3, :3].T @ other[:3, :3]) - 1) / 2, -1, 1))))


def _place(pose: Array) -> str:
    return ", ".join(f"{value:.2f}" for value in pose[:3, 3])


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + "..."


def _either(what: str, left: str, right: str) -> Iterator[Difference]:
    if left != right:
        yield Difference(what, left, right)
