"""Physics, measured: how many ticks a second a court full of things gives, and whether it comes back bit for bit.

    perdure bench physics --json

The player walks about a court into which twelve things were put, pushing, taking, placing and throwing.
Another process is given the bytes of the first moment and the actions, and must arrive at the same
pages. Every entity is taken out and put back, and something new put in and taken out: both must leave
no trace, and what follows must be the same.
"""

import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import msgspec
import mujoco

from perdure.bench.bounds import Bound, judged
from perdure.data.scenes import build
from perdure.world.action import FRAMES_PER_CHUNK, Action, Hand, Keys
from perdure.world.body import Body, ball, crate, door, plank
from perdure.world.measure import depths
from perdure.world.mechanism import Mechanism
from perdure.world.physics import Physics

THINGS = 12
FIRST = 100  # the number of the first thing
RUNS = 5  # of which the best counts
BOUNDS: Mapping[str, Bound] = {"replay_bitwise": ("exactly", True), "restore_bitwise": ("exactly", True)}


def run(chunks: int = 600, puts: int = 24) -> dict[str, Any]:
    scene = build("court", 0)
    bare = Physics.from_xml(scene.xml, scene.movers, scene.spawn)
    full, took = furnished(bare, scene.spawn[:2]), list[float]()
    todo = walk(full, chunks, 0)
    bare_rate, _ = rate(bare, todo)
    full_rate, end = rate(full, todo)
    for i in range(puts):
        new = crate(FIRST + 50, (0.0, 0.0, 20.0 + i), mass=1.0 + i)  # another each time: nothing is compiled yet
        began = perf_counter()
        end.with_body(new.entity, new.to_bytes())
        took.append(1000 * (perf_counter() - began))
    traces = leaves_a_trace(end, todo[:8])
    figures = {
        "things": len(full.entities) - len(bare.entities),
        "ticks_per_s": round(full_rate),
        "bare_ticks_per_s": round(bare_rate),
        "add_body_ms": round(median(took), 2),
        "replay_bitwise": replayed(full, todo) == digest(end),
        "replayed_chunks": chunks,
        "restore_bitwise": not traces,
        "restored": 2 * (len(full.entities) - 1),
        "left_a_trace": traces,
    }
    return {**judged(figures, BOUNDS), **figures}


def furnished(physics: Physics, middle: tuple[float, float]) -> Physics:
    """With things about a place, each where it touches nothing."""
    chance, entity = random.Random(0), FIRST
    while entity < FIRST + THINGS:
        angle, far = chance.uniform(-math.pi, math.pi), chance.uniform(1.2, 6.0)
        at = (middle[0] + far * math.cos(angle), middle[1] + far * math.sin(angle), 0.01)
        put = physics.with_body(entity, thing(entity, at, angle).to_bytes())
        model, data = put.posed()
        mujoco.mj_collision(model, data)
        if entity not in depths(put.mechanism.compiled, data):
            physics, entity = put, entity + 1
    return physics


def thing(entity: int, at: tuple[float, float, float], yaw: float) -> Body:
    match entity % 6:
        case 0 | 1:
            return crate(entity, at, size=(0.35, 0.35, 0.35), mass=4.0, yaw=yaw)
        case 2:
            return crate(entity, at, size=(0.6, 0.6, 0.9), mass=30.0, yaw=yaw)
        case 3:
            return ball(entity, at)
        case 4:
            return plank(entity, at, yaw=yaw)
        case _:
            return door(entity, at, yaw)


def walk(physics: Physics, chunks: int, seed: int) -> list[Action]:
    """What a player does who goes from thing to thing, and takes up, carries, throws, puts down or opens each."""
    chance, todo = random.Random(seed), list[Action]()
    target, since = FIRST, 0
    for _ in range(chunks):
        motion = physics.still()
        eye, since = motion.cameras[-1], since + 1
        if physics.held >= 0:
            hand = chance.choice((Hand.PLACE, Hand.THROW)) if since > 9 else Hand.NONE
            action = Action(Keys.FORWARD, chance.uniform(-0.3, 0.3), -0.5 * physics.pitch, hand)
        else:
            x, y, z = motion.bodies[target][-1, :3, 3] - eye[:3, 3]
            far = math.hypot(x, y)
            turn = math.remainder(math.atan2(y, x) - physics.yaw, 2 * math.pi)
            tilt = math.atan2(z, far) - physics.pitch
            there = far < 1.6 and abs(turn) < 0.1 and abs(tilt) < 0.1
            keys = Keys.FORWARD if far > 1.2 and abs(turn) < 0.8 else 0
            action = Action(keys, turn, tilt, Hand.USE if there else Hand.NONE)
        if action.hand or since > 40:  # done with this one, or it cannot be reached
            target, since = FIRST + chance.randrange(THINGS), 0
        todo.append(action)
        physics = physics.advance(action)[0]
    return todo


def rate(physics: Physics, todo: list[Action]) -> tuple[float, Physics]:
    """Ticks a second, the best of a few runs of the same, and where they end."""
    best, end = 0.0, physics
    for _ in range(RUNS):
        began, end = perf_counter(), physics
        for action in todo:
            end = end.advance(action)[0]
        best = max(best, FRAMES_PER_CHUNK * len(todo) / (perf_counter() - began))
    return best, end


def leaves_a_trace(physics: Physics, todo: list[Action]) -> list[str]:
    """What could not be taken out and put back, or put in and taken out, without anything changing."""
    traces = list[str]()
    expected = physics.pages, follow(physics, todo)
    for entity in physics.entities[1:]:
        payload = physics.body(entity)
        back = physics.with_body(entity, None).with_body(entity, payload)
        if (back.pages, follow(back, todo)) != expected:
            traces.append(f"entity {entity}, taken out and put back")
        new = thing(entity + 500, (0.0, 0.0, 3.0), 0.0)
        without = physics.with_body(new.entity, new.to_bytes()).with_body(new.entity, None)
        if (without.pages, follow(without, todo)) != expected:
            traces.append(f"entity {new.entity}, put in and taken out")
    return traces


def follow(physics: Physics, todo: list[Action]) -> str:
    for action in todo:
        physics = physics.advance(action)[0]
    return digest(physics)


def digest(physics: Physics) -> str:
    return b"".join(physics.pages).hex()


def replayed(physics: Physics, todo: list[Action]) -> str:
    """The digest that another process arrives at."""
    with tempfile.TemporaryDirectory(prefix="perdure-physics-") as folder:
        order = Path(folder) / "order"
        parts = physics.mechanism.to_bytes(), physics.to_bytes(), [action.to_bytes() for action in todo]
        order.write_bytes(msgspec.msgpack.encode(parts))
        command = [sys.executable, "-m", "perdure.bench.physics", str(order)]
        here = Path(__file__).parents[2]
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def replay(order: Path) -> str:
    fields = tuple[bytes, bytes, list[bytes]]
    mechanism, state, todo = msgspec.msgpack.decode(order.read_bytes(), type=fields)
    physics = Physics.from_bytes(Mechanism.from_bytes(mechanism), state)
    return follow(physics, [Action.from_bytes(action) for action in todo])


if __name__ == "__main__":
    print(replay(Path(sys.argv[1])))
