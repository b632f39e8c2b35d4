"""Is a creature known when it is seen again, and is an impostor turned away?

    python benchmarks/identity.py --seeds 14 --json FILE

Each creature of each scene is known by its founding looks. It then wanders, and is seen by the player's
camera from all sides and from 1.5 to 7 metres, half of the time in another light (sun, exposure, haze).
`alone` asks of each look whether it would be taken for an entity on appearance only: its own, or
an impostor's: another creature of its kind in other colours, one of another kind, and a twin (its kind
in the same colours, which no colour can tell apart). `in place` asks the whole roster, with physics saying where
everybody is: the creature where it is, an impostor standing in its place, and its own double elsewhere.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import mujoco
import numpy as np

from perdure.camera import Array, Intrinsics, look
from perdure.data.founding import creatures
from perdure.data.painting.painter import Painter
from perdure.data.scenes import KINDS, build
from perdure.memory.appearance import PLAIN, sight
from perdure.memory.track import AROUND
from perdure.world.action import Action
from perdure.world.bank import FINEST, Look
from perdure.world.identity import Entity
from perdure.world.roster import POOR, Place, Sighting, agreement, associate, turned
from perdure.world.state import World

EYE = Intrinsics.from_fov(256, 144, 75.0)
MOMENTS = 12  # a scene
CHUNKS = 8  # between them


@dataclass(frozen=True)
class Case:
    """A creature as it was seen, and what is true of it."""

    scene: int
    entity: int
    place: Place  # of its body
    sighting: Sighting
    light: str
    metres: float


@dataclass(frozen=True)
class Known:
    """A creature as it is known, and what it is painted with."""

    scene: int
    entity: Entity
    kind: str
    paint: tuple[object, ...]


def gather(seeds: range) -> tuple[list[Known], list[Case]]:
    known, cases = [], []
    for number, (seed, kind) in enumerate((seed, kind) for seed in seeds for kind in KINDS):
        scene = build(kind, seed)
        rng = np.random.default_rng((seed, number))
        world = World.create("bench", kind, seed, scene.xml, scene.movers, scene.spawn, seed=seed)
        physics = world.physics
        model, data = physics.posed()
        painter = Painter(scene, model)
        for entity in creatures(scene, painter, data):
            own = f"creature{entity.id - 1}_"
            paint = tuple(surface.colours for name, surface in scene.surfaces.items() if name.startswith(own))
            known.append(Known(number, entity, scene.names[entity.id], paint))
        sky = replace(
            scene.sky,
            sun_yaw=float(rng.uniform(-3, 3)),
            sun_pitch=float(rng.uniform(0.3, 1.3)),
            sun_strength=scene.sky.sun_strength * float(rng.uniform(0.4, 1.2)),
            exposure=scene.sky.exposure * float(rng.uniform(0.7, 1.3)),
            fog=scene.sky.fog * float(rng.uniform(0.5, 2)),
        )
        lights = {"same": painter, "other": Painter(replace(scene, sky=sky), model)}
        for _ in range(MOMENTS):
            for _ in range(CHUNKS):
                physics, motion = physics.advance(Action())
            model, data = physics.posed()
            for light, brush in lights.items():
                for mover in scene.movers:
                    body = motion.bodies[mover.entity][-1]
                    case = see(brush, data, body, mover.entity, physics.tick / 24, rng)
                    if case is not None:
                        metres, sighting = case
                        x, y, z = body[:3, 3]
                        place = Place((float(x), float(y), float(z)), sighting.time, 3.0, body[:3, :3])
                        cases.append(Case(number, mover.entity, place, sighting, light, metres))
        print(f"{kind} {seed}: {len(known)} creatures, {len(cases)} looks", flush=True)
    return known, cases


def see(
    painter: Painter, data: mujoco.MjData, body: Array, entity: int, time: float, rng: np.random.Generator
) -> tuple[float, Sighting] | None:
    """A creature from somewhere about it, more or less in the middle of the picture."""
    yaw, pitch, metres = rng.uniform(-np.pi, np.pi), -rng.uniform(0, 0.35), float(rng.uniform(1.5, 7))
    ahead = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    eye = body[:3, 3] - metres * ahead
    camera = look(eye, float(yaw + rng.uniform(-0.3, 0.3)), float(pitch + rng.uniform(-0.15, 0.15)))
    picture = painter.paint(data, camera, EYE)
    sighting = sight(picture.rgb, picture.depth, picture.entity == 1 + entity, camera, EYE, time, round(6 * time))
    return None if sighting is None or sighting.look.quality < POOR else (metres, sighting)


def alone(known: list[Known], cases: list[Case], radius: float) -> dict[str, list[float]]:
    """Of each kind of pair, how many are taken for one another by appearance."""
    rates: dict[str, list[float]] = defaultdict(list)
    truth = {(one.scene, one.entity.id): one for one in known}
    for case in cases:
        mine = truth[case.scene, case.entity]
        seen = turned(case.sighting.look, case.place.rotation)
        for one in known:
            if one.entity.exemplar is None:
                continue
            taken = float(agreement(one.entity, seen, radius) is not None)
            if one is mine:
                sides = "all sides" if len(one.entity.patches) == AROUND else "few sides"
                for name in (
                    "itself",
                    f"itself, {case.light} light",
                    f"itself, {grade(seen)}",
                    f"itself, {sides} known",
                ):
                    rates[name].append(taken)
            elif (one.scene, one.entity.id) != (case.scene, case.entity):
                pair = "another kind" if one.kind != mine.kind else "twin" if one.paint == mine.paint else "its kind"
                rates[pair].append(taken)
    return rates


def grade(seen: Look) -> str:
    return "poor look" if seen.quality <= FINEST // 2 else "good look"


def in_place(known: list[Known], cases: list[Case], radius: float) -> dict[str, list[float]]:
    """What the roster of a scene makes of the creature, of an impostor in its place, and of its double elsewhere."""
    rates: dict[str, list[float]] = defaultdict(list)
    truth = {(one.scene, one.entity.id): one for one in known}
    rng = np.random.default_rng(7)
    for case in cases:
        mine = truth[case.scene, case.entity]
        if mine.entity.exemplar is None:
            continue
        cast = tuple(one.entity for one in known if one.scene == case.scene)
        others = {c.entity: c.place for c in cases if c.scene == case.scene and c.sighting.time == case.sighting.time}
        places = others | {case.entity: case.place}

        def taken(sighting: Sighting) -> bool:
            _, (match,) = associate(cast, [sighting], places, radius)  # noqa: B023
            return match.id == case.entity  # noqa: B023

        rates["itself known"].append(taken(case.sighting))
        x, y, z = case.sighting.position
        rates["double elsewhere absorbed"].append(taken(replace(case.sighting, position=(x + 6, y, z))))
        for name, same in (("impostor of its kind absorbed", True), ("impostor of another kind absorbed", False)):
            pool = [
                c
                for c in (cases[int(n)] for n in rng.integers(len(cases), size=12))
                if (truth[c.scene, c.entity].kind == mine.kind) == same and truth[c.scene, c.entity].paint != mine.paint
            ]
            for other in pool[:2]:
                # As it was seen there, it is now seen here: its side turned with the place.
                rotation = case.place.rotation @ other.place.rotation.T
                seen = turned(other.sighting.look, rotation.T)
                rates[name].append(taken(replace(case.sighting, look=seen)))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=14)
    parser.add_argument("--first", type=int, default=200, help="seeds below 200 were looked at when it was made")
    parser.add_argument("--radius", type=float, default=PLAIN.radius)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    known, cases = gather(range(args.first, args.first + args.seeds))
    figures: dict[str, object] = {"creatures": len(known), "looks": len(cases), "radius": args.radius}
    for name, rates in (("alone", alone(known, cases, args.radius)), ("in place", in_place(known, cases, args.radius))):
        figures[name] = {key: {"share": round(float(np.mean(r)), 4), "of": len(r)} for key, r in sorted(rates.items())}
        for key, rate in sorted(rates.items()):
            print(f"{name:9} {key:36} {np.mean(rate):7.4f} of {len(rate)}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
