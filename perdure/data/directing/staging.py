"""Staging: the world that a clip begins in, from a few numbers that say all of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from perdure.data import props
from perdure.data.casting import Part, recast
from perdure.data.directing.director import ahead
from perdure.data.directing.schedule import Direction
from perdure.data.founding import found
from perdure.data.furnishing import furnish
from perdure.data.ground import LEVEL, Ground, Point
from perdure.data.painting.painter import Painter
from perdure.data.scenes import build
from perdure.data.scenes.scene import Scene
from perdure.presets.nano import nano
from perdure.world import edit
from perdure.world.body import Pose
from perdure.world.physics import Physics
from perdure.world.state import World

LOOKS = (6, 6, 3, 1)  # directions of the look around that a world begins with, in turn
APART = 1.3  # metres between two creatures at the start
DUEL = (1.5, 2.4)  # metres between two that are to fight


_built = lru_cache(maxsize=2)(build)
"""A scene is built once for a recipe and for what is staged of it."""


def recipe(direction: Direction, number: int) -> dict[str, Any]:
    """What `stage` needs: plain data."""
    scene = _built(direction.scene, direction.scene_seed)
    rng = np.random.default_rng([14, direction.scene_seed, number])
    bare = Physics.from_xml(scene.xml, scene.movers, scene.spawn)
    ground = Ground.around(bare, scene.extent)
    broad = direction.view != "first"  # who has a body that is seen needs room for it
    spawn = scene.spawn if rng.random() < 0.5 and not broad else _start(ground, rng) or scene.spawn
    homes = _homes(direction, ground, spawn, rng)
    high = [ground.high(home[:2]) for home in homes]
    cast = [[part.kind, part.seed, *_plain((*home, z))] for part, home, z in zip(direction.cast, homes, high)]
    handy = [home for home, lines in zip(homes, direction.deeds) if "grab" in lines]
    gifts = [gift for home in handy for gift in _gift(ground, home, rng)]
    return {
        "scene": direction.scene,
        "scene_seed": direction.scene_seed,
        "spawn": _plain(spawn),
        "cast": cast,
        "gifts": gifts,
        "environment": {
            "hour": direction.hour,
            "weather": direction.weather,
            "season": direction.season,
            "style": direction.style,
        },
        "looks": LOOKS[number % len(LOOKS)],
        "view": direction.view,
        "avatar": direction.avatar,
        "seed": number,
    }


def stage(data: Mapping[str, Any]) -> tuple[Scene, World, Painter]:
    """The scene with its cast, the world as it is founded, furnished and lit, and the painter of it."""
    scene = _built(str(data["scene"]), int(data["scene_seed"]))
    x, y, yaw = (float(value) for value in data["spawn"])
    cast = [Part(str(kind), int(seed)) for kind, seed, *_ in data["cast"]]
    places = [(float(a), float(b), float(heading)) for _, _, a, b, heading, *_ in data["cast"]]
    # Recipes made before creatures could be on upper levels do not say how high.
    grounds = [float(z) for *_, z in data["cast"]] if all(len(part) > 5 for part in data["cast"]) else []
    scene = replace(recast(scene, cast, [place[:2] for place in places], grounds), spawn=(x, y, yaw))
    view, avatar = str(data.get("view", "first")), str(data.get("avatar", ""))
    world, painter = found(scene, nano(), seed=int(data["seed"]), looks=int(data["looks"]), view=view, avatar=avatar)
    world = furnish(world, scene)
    for kind, seed, a, b, z in data["gifts"]:
        number = 1 + max(entity.id for entity in world.entities)
        world = world.edit(edit.add(*props.prop(str(kind), number, (float(a), float(b), float(z)), int(seed))))
    for mover, place in zip(scene.movers, places):
        world = world.edit(edit.move(mover.entity, Pose(place)))
    fields = {name: value for name, value in data["environment"].items() if value not in ("", 12.0, "clear")}
    if fields:
        world = world.edit(edit.environment(**fields))
    return scene, world, painter


def _plain(values: Sequence[float]) -> list[float]:
    """To the millimetre, as JSON has it."""
    return [round(float(value), 3) for value in values]


def _gift(ground: Ground, place: tuple[float, float, float], rng: np.random.Generator) -> list[list[Any]]:
    """Something small for a creature to take up, a step before it; nothing where there is no room."""
    x, y, facing = place
    for turn in (0.0, 0.6, -0.6, 1.2, -1.2):
        spot = x + 0.95 * math.cos(facing + turn), y + 0.95 * math.sin(facing + turn)
        if ground.straight((x, y), spot):
            return [[str(rng.choice(["ball", "crate"])), int(rng.integers(8)), *_plain((*spot, ground.high(spot)))]]
    return []


def _start(ground: Ground, rng: np.random.Generator) -> tuple[float, float, float] | None:
    """Somewhere with room about, facing where there is most of it."""
    cells = ground.cells[ground.room[tuple(ground.cells.T)] >= 0.5]
    if not len(cells):
        return None
    x, y = ground.middle(tuple(cells[int(rng.integers(len(cells)))]))
    yaws = rng.uniform(-math.pi, math.pi, 12)
    free = [len(_seen(ground, (x, y), float(yaw))) for yaw in yaws]
    return x, y, float(yaws[int(np.argmax(free))])


def _seen(ground: Ground, eye: Point, yaw: float, far: float = 5.5) -> list[Point]:
    """Free spots before an eye that it could walk straight to."""
    return [spot for spot in ahead(ground.spots, eye, yaw, 2.0, far, 0.45) if ground.straight(eye, spot)]


def _homes(
    direction: Direction, ground: Ground, spawn: tuple[float, float, float], rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Where each of the cast begins, and faces: in view, if there is room; two that are to fight, face to face."""
    eye, yaw = spawn[:2], spawn[2]
    seen = _seen(ground, eye, yaw) or [(float(x), float(y)) for x, y in ground.spots]
    seen = [p for p in seen if ground.level(p)] or seen
    out: list[tuple[float, float, float]] = []
    for n in range(len(direction.cast)):
        some = [seen[int(i)] for i in rng.permutation(len(seen))[:60]]
        taken = [place[:2] for place in out]
        if n == 1 and direction.drama == "fight":
            near = [p for p in seen if DUEL[0] < math.dist(p, taken[0]) < DUEL[1]]
            near = [p for p in near if abs(ground.high(p) - ground.high(taken[0])) < LEVEL]
            some = [near[int(i)] for i in rng.permutation(len(near))[:60]] or some
            apart = 0.0
        else:
            apart = APART
        fit = [p for p in some if all(math.dist(p, other) > apart for other in taken)]
        if not fit:
            anywhere = [(float(x), float(y)) for x, y in ground.spots[rng.permutation(len(ground.spots))]]
            fit = [p for p in anywhere if all(math.dist(p, q) > 0.8 for q in (*taken, eye))] or anywhere
            fit = [p for p in fit if ground.level(p)] or fit
        x, y = fit[0]
        facing = float(rng.uniform(-math.pi, math.pi)) if rng.random() < 0.5 else math.atan2(eye[1] - y, eye[0] - x)
        out.append((x, y, facing))
    if direction.drama == "fight" and len(out) > 1:
        (ax, ay, _), (bx, by, _) = out[:2]
        out[0] = ax, ay, math.atan2(by - ay, bx - ax)
        out[1] = bx, by, math.atan2(ay - by, ax - bx)
    return out
