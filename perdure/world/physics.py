"""P, the physics: a MuJoCo state as a value. `advance` is a pure function of the state and the action.

Everything moves at every tick, whether anyone looks at it or not: the player by its keys, creatures by
their wandering, things by forces. What they are made of is the `Mechanism`, which things can be put
into and taken out of between two chunks; all that goes on moving is the `Physics`, a few hundred numbers.

Shapes: T frames of a chunk, H height, W width. Poses are 4x4 float64, camera or body to world.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec
import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.world import acting, breaking, hands, mounted, player, posing, sight, troupe
from perdure.world.action import FRAMES_PER_CHUNK, STANDARD, Action, Hand, Rates, Word
from perdure.world.body import Body, Pose
from perdure.world.deed import Condition, Vitals
from perdure.world.follow import Chase, Mount
from perdure.world.history import Note
from perdure.world.law import Law
from perdure.world.mechanism import (
    EYE_HEIGHT,
    STATE,
    SUBSTEPS,
    TICK,
    Compiled,
    Mechanism,
    place,
    standing,
)
from perdure.world.motion import Motion
from perdure.world.mover import Gait, Mover, Part, fit, root_pose, settle
from perdure.world.rules import Breach, Rule
from perdure.world.terrain import Terrain
from perdure.world.transplant import transplant

__all__ = ["EYE", "EYE_HEIGHT", "Gait", "Mechanism", "Motion", "Mover", "Part", "Physics"]

Array = NDArray[np.float64]
Observer = Callable[[mujoco.MjModel, mujoco.MjData, Array], None]

EYE = Intrinsics.from_fov(256, 144, 75.0)


@dataclass(frozen=True, eq=False)
class Physics:
    mechanism: Mechanism
    state: Array  # mjSTATE_INTEGRATION: all that MuJoCo needs to go on bit for bit
    gaits: tuple[Gait, ...]  # one for each of the mechanism's creatures
    yaw: float
    pitch: float
    tick: int  # 24 a second since the world began
    held: int = -1  # the entity that the player carries
    chase: Chase | None = None  # where the camera is in following the player; None where it has not begun to
    cracked: tuple[int, ...] = ()  # entities that broke in this chunk: the next begins with their pieces

    @classmethod
    def from_xml(
        cls,
        xml: str,
        movers: tuple[Mover, ...] = (),
        spawn: tuple[float, float, float] = (0.0, 0.0, 0.0),
        seed: int = 0,
        intrinsics: Intrinsics = EYE,
        bodies: tuple[Body, ...] = (),
        rates: Rates = STANDARD,
        mount: Mount | None = None,
    ) -> "Physics":
        """Physics as it begins; `spawn` is the player's x, y and yaw."""
        mechanism = Mechanism.found(xml, movers, seed, intrinsics, bodies, rates, mount)
        compiled, movers = mechanism.compiled, mechanism.creatures
        data = mujoco.MjData(compiled.model)
        for axis in (0, 1):
            data.qpos[compiled.slides[axis]] = spawn[axis] - compiled.model.body_pos[compiled.player, axis]
        posing.stand(compiled, data, float(compiled.model.body_pos[compiled.player, 2]))
        here = (float(spawn[0]), float(spawn[1]))
        gaits = tuple(settle(mover, seed) for mover in movers)
        gaits = tuple(g if m.entity else acting.joined(g, here, float(spawn[2])) for m, g in zip(movers, gaits))
        place(compiled, data, movers, gaits)
        mujoco.mj_forward(compiled.model, data)
        physics = cls(mechanism, _state(compiled.model, data), gaits, float(spawn[2]), 0.0, 0)
        for body in bodies:
            if body.pose is not None:
                physics = physics.with_pose(body.entity, body.pose.to_bytes())
        return physics

    def advance(
        self, action: Action, observe: Observer | None = None, rules: Sequence[Rule] = ()
    ) -> tuple["Physics", Motion]:
        """Four ticks. `observe(model, data, camera)`, if given, is called after each, and must change nothing."""
        compiled, movers = self.mechanism.compiled, self.mechanism.creatures
        model, data = compiled.model, compiled.scratch()
        mujoco.mj_setState(model, data, self.state, STATE)
        mujoco.mj_kinematics(model, data)
        rates, (forward, sideways, turns, ups) = self.mechanism.rates, mounted.axes(action, self.mechanism.mount)
        pace = rates.walk / math.hypot(forward, sideways) if forward or sideways else 0.0
        mount, chase, own = self.mechanism.mount, self.chase, compiled.avatar >= 0
        turn = turns * rates.turn * TICK
        if mounted.swings(action, mount):
            turn += rates.swung(action.turn) / FRAMES_PER_CHUNK
        tilt = ups * rates.turn * TICK + rates.swung(action.tilt) / FRAMES_PER_CHUNK
        gaits, yaw, pitch, held = self.gaits, self.yaw, self.pitch, self.held
        path = None if action.path is None else action.path.poses
        notes: list[Note] = []
        if action.hand != Hand.NONE:
            deed = self._act(compiled, data, action.hand)
            held = deed.held
            notes.append(hands.noted(deed))
        gaits, heard = troupe.told(movers, gaits, action.words)
        notes += heard
        law = Law(compiled, data, movers, held, rules) if rules else None
        fall = 0.0
        if compiled.rise is not None:
            fall, data.qvel[compiled.rise[1]] = -float(data.qvel[compiled.rise[1]]), 0.0
        broken: dict[tuple[str, int], Breach] = {}
        cracked: dict[int, int] = {}  # entity -> frame
        cameras = np.empty((FRAMES_PER_CHUNK, 4, 4))
        bodies = {mover.entity: np.zeros((FRAMES_PER_CHUNK, 4, 4)) for mover in movers}
        conditions: dict[int, list[Condition]] = {mover.entity: [] for mover in movers if mover.deeds}
        things = {seat.entity: np.zeros((FRAMES_PER_CHUNK, 4, 4)) for seat in compiled.things}
        for i in range(FRAMES_PER_CHUNK):
            if law:
                law.begin(gaits)
            before = gaits
            gaits, met = troupe.moved(compiled, data, movers, gaits, self.mechanism.seed, self.tick + i, held)
            notes += [replace(note, args={**note.args, "frame": i}) for note in met]
            place(compiled, data, movers, gaits)
            loads = troupe.carry(compiled, data, movers, before, gaits) if compiled.rigs else []
            speeds = breaking.speeds(compiled, data) if compiled.brittle else None
            if own and not mounted.alive(movers, gaits):
                pace = 0.0
            # Half the turn before the step and half after it: so an action and its reverse cancel out.
            middle = yaw + 0.5 * turn
            velocity = (
                pace * (forward * math.cos(middle) - sideways * math.sin(middle)),
                pace * (forward * math.sin(middle) + sideways * math.cos(middle)),
            )
            if path is not None:
                velocity, middle, pitch = player.follow(compiled, data, path[i], rates)
                turn, yaw = math.remainder(middle - yaw, 2 * math.pi), middle
            for _ in range(SUBSTEPS):
                data.qvel[compiled.dofs[0]], data.qvel[compiled.dofs[1]] = velocity
                if held >= 0 and not player.hold(compiled, data, held, middle, pitch, velocity, turn / TICK):
                    notes.append(Note("act", "player", (held,), {"hand": "slip"}))
                    held = -1
                for load in loads:
                    load.pull(compiled, data)
                mujoco.mj_step(model, data)
                if compiled.rise is not None:
                    fall = player.tread(compiled, data, fall)
            if speeds is not None:
                carried = {held, *(gait.act.held for gait in gaits if gait.act)}
                cracked = dict.fromkeys(breaking.jolted(compiled, data, speeds, carried), i) | cracked
            for load in loads:
                load.let_go(data)  # as the player's hold, it is made anew
            mujoco.mj_kinematics(model, data)  # mj_step leaves the frames of bodies where they were before it
            if law:
                law.held = held
                gaits, breaches = law.enforce(gaits, (self.tick + i + 1) * TICK)
                broken |= {(b.rule.name, b.entity): b for b in breaches if (b.rule.name, b.entity) not in broken}
            if path is None:
                yaw = math.remainder(yaw + turn, 2 * math.pi)
                pitch = rates.level(pitch + tilt)
                cameras[i] = player.camera(compiled, data, yaw, pitch)
            else:
                cameras[i] = path[i]
            if own:
                gaits, met = troupe.led(compiled, data, movers, gaits, yaw, held)
                notes += [replace(note, args={**note.args, "frame": i}) for note in met]
                place(compiled, data, movers, gaits)
                mujoco.mj_kinematics(model, data)
            if mount is not None:
                chase, camera = mounted.chased(mount, compiled, data, yaw, pitch, chase, held, TICK)
                chase, cameras[i] = (None, path[i]) if path is not None else (chase, camera)
            for mover, gait in zip(movers, gaits):
                if gait.act is None:
                    bodies[mover.entity][i] = root_pose(mover, gait)
                else:
                    root = compiled.seats[mover.entity].body if mover.entity else compiled.avatar
                    _frame(data, root, bodies[mover.entity][i])
                    conditions[mover.entity].append(acting.condition(mover, gait.act))
            for seat in compiled.things:
                _frame(data, seat.body, things[seat.entity][i])
            if observe is not None:
                observe(model, data, cameras[i])
        if held >= 0:
            player.let_go(compiled, data, held)  # the hold is made anew with each substep, and is no part of the state
        if compiled.rise is not None:
            data.qvel[compiled.rise[1]] = -fall
        bodies |= things
        for poses in (cameras, *bodies.values()):
            poses.setflags(write=False)
        notes += [_told(breach) for breach in broken.values()]
        cracked = breaking.kicked(compiled, notes) | cracked
        notes += [Note("break", "physics", (entity,), {"frame": i}) for entity, i in sorted(cracked.items())]
        moved = replace(
            self,
            state=_state(model, data),
            gaits=gaits,
            yaw=yaw,
            pitch=pitch,
            tick=self.tick + FRAMES_PER_CHUNK,
            held=held,
            chase=chase,
            cracked=tuple(sorted(cracked)),
        )
        told = {entity: tuple(frames) for entity, frames in conditions.items()}
        return moved, Motion(cameras, self.mechanism.intrinsics, bodies, tuple(notes), told)

    def still(self) -> Motion:
        """The motion of a chunk in which nothing moves: what a world has before its first step."""
        _, data = self.posed()
        compiled = self.mechanism.compiled
        camera = player.camera(compiled, data, self.yaw, self.pitch)
        if self.mechanism.mount is not None:
            at = compiled, data, self.yaw, self.pitch, self.chase, self.held, 0.0
            camera = mounted.chased(self.mechanism.mount, *at)[1]
        pairs = [(mover, gait) for mover, gait in zip(self.mechanism.creatures, self.gaits) if gait.act is None]
        roots = {entity: _frame(data, seat.body, np.zeros((4, 4))) for entity, seat in compiled.seats.items()}
        if compiled.avatar >= 0:
            roots[0] = _frame(data, compiled.avatar, np.zeros((4, 4)))
        roots |= {mover.entity: root_pose(mover, gait) for mover, gait in pairs}
        held = {entity: np.broadcast_to(root, (FRAMES_PER_CHUNK, 4, 4)) for entity, root in roots.items()}
        return Motion(np.broadcast_to(camera, (FRAMES_PER_CHUNK, 4, 4)), self.mechanism.intrinsics, held)

    def posed(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """The model, which is shared and must not be changed, and data of your own, posed as the world now is."""
        compiled = self.mechanism.compiled
        return compiled.model, self._posing(mujoco.MjData(compiled.model))

    def proxy(self, motion: Motion, width: int, height: int) -> NDArray[np.float32]:
        """(5, H, W) what physics knows of the motion's last frame (`sight.proxy`)."""
        compiled = self.mechanism.compiled
        return sight.proxy(compiled, self._posing(compiled.scratch()), motion, width, height)

    def silhouette(self, motion: Motion, width: int, height: int) -> NDArray[np.float32]:
        """(H, W) inverse depth of the nearest creature or thing in it (`sight.silhouette`)."""
        compiled = self.mechanism.compiled
        return sight.silhouette(compiled, self._posing(compiled.scratch()), motion, width, height)

    def usable(self) -> hands.Outcome:
        """What using a hand would come to, as things are now."""
        compiled = self.mechanism.compiled
        data = self._posing(compiled.spare())
        return self._act(compiled, data, Hand.USE)

    # Putting in, taking out, moving

    @property
    def entities(self) -> tuple[int, ...]:
        """All that have a body, the player first."""
        return (0, *sorted(self.mechanism.compiled.seats))

    @property
    def standing(self) -> float:
        """How high the player stands."""
        return standing(self.mechanism.compiled, self._spare())

    @property
    def things(self) -> tuple[int, ...]:
        """Those of them that are no creatures."""
        return tuple(seat.entity for seat in self.mechanism.compiled.things)

    @property
    def terrain(self) -> Terrain | None:
        """How high the ground is; None where it is even all over."""
        compiled = self.mechanism.compiled
        return None if compiled.rise is None else compiled.terrain

    def body(self, entity: int) -> bytes | None:
        """How an entity is built, and where it is: written back after it was taken out, it is there as it was."""
        body = self.mechanism.body(entity)
        return None if body is None else replace(body, pose=self._pose(entity)).to_bytes()

    def with_body(self, entity: int, payload: bytes | None) -> "Physics":
        """With an entity built like this, or without it; all others go on bit for bit.

        Where the payload has a pose it stands like that; else as before, if it was there and moved in the
        same way, or where its MJCF says.
        """
        body = None if payload is None else Body.from_bytes(payload)
        mechanism = self.mechanism.with_body(entity, body)
        gaits = {mover.entity: gait for mover, gait in zip(self.mechanism.creatures, self.gaits)}
        new = tuple(
            fit(mover, gaits.get(mover.entity) or settle(mover, mechanism.seed)) for mover in mechanism.creatures
        )
        old, compiled = self.mechanism.compiled, mechanism.compiled
        was, now = old.seats.get(entity), compiled.seats.get(entity)
        data = transplant(old, compiled, self.posed()[1])
        place(compiled, data, mechanism.creatures, new)
        held = self.held
        if held == entity and (now is None or now.kind != "free"):
            held = -1
        physics = replace(self, mechanism=mechanism, state=_state(compiled.model, data), gaits=new, held=held)
        if body is None:
            return physics
        pose = body.pose
        if pose is None and was is not None and now is not None and was.kind == now.kind:
            pose = self._pose(entity)
        if pose is not None:
            return physics.with_pose(entity, pose.to_bytes())
        if now is not None:
            posing.check_stand(physics.posed()[1], now)
        return physics

    def pose(self, entity: int) -> bytes | None:
        """Where an entity is and how it moves (`body.Pose`); 0 is the player."""
        pose = self._pose(entity)
        return None if pose is None else pose.to_bytes()

    def with_pose(self, entity: int, payload: bytes) -> "Physics":
        """With an entity where this says, moving as this says; what a pose leaves out is at rest."""
        pose, compiled, movers = Pose.from_bytes(payload), self.mechanism.compiled, self.mechanism.creatures
        seat = compiled.seats.get(entity)
        if entity and seat is None:
            there = ", ".join(map(str, self.entities))
            raise ValueError(f"no entity {entity} with a body in this world: there are {there}")
        data = self._spare()
        physics = self
        if seat is None:
            posing.write_player(compiled, data, pose)
            pitch = self.mechanism.rates.level(pose.place[3])
            gaits = list(self.gaits)
            for i, mover in enumerate(movers):
                if mover.entity == 0:
                    at = pose.place[0], pose.place[1]
                    gaits[i] = fit(mover, pose.gait or acting.joined(gaits[i], at, pose.place[2]))
                    place(compiled, data, (mover,), (gaits[i],))
            physics = replace(self, yaw=pose.place[2], pitch=pitch, gaits=tuple(gaits), chase=pose.chase)
        elif seat.kind == "creature":
            order = self._order(entity)
            gait = posing.write_creature(compiled, data, movers[order], self.gaits[order], pose)
            physics = replace(self, gaits=(*self.gaits[:order], gait, *self.gaits[order + 1 :]))
        else:
            posing.write(data, seat, pose)
            if self.held in (-1, entity):
                physics = replace(self, held=entity if pose.held and seat.kind == "free" else -1)
        return replace(physics, state=_state(compiled.model, data))

    def vitals(self, entity: int) -> bytes | None:
        """How a creature is (`deed.Vitals`), to be written back exactly; None for what has no deeds."""
        told = self.gaits[self._order(entity)].act if entity in self.mechanism.compiled.rigs else None
        return None if told is None else Vitals(told.health, told).to_bytes()

    def with_vitals(self, entity: int, payload: bytes) -> "Physics":
        """With a creature healed, hurt, killed or brought back to life."""
        vitals, compiled = Vitals.from_bytes(payload), self.mechanism.compiled
        if entity not in compiled.rigs:
            there = ", ".join(map(str, sorted(compiled.rigs))) or "none"
            raise ValueError(f"no creature {entity} that has deeds, and so health, in this world: there are {there}")
        order, data = self._order(entity), self._spare()
        mover = self.mechanism.creatures[order]
        gait = acting.restored(mover, self.gaits[order], vitals)
        place(compiled, data, (mover,), (gait,))
        gaits = (*self.gaits[:order], gait, *self.gaits[order + 1 :])
        return replace(self, state=_state(compiled.model, data), gaits=gaits)

    def told(self, word: Word) -> tuple[bytes, str]:
        """The vitals of a creature that has heard this, and why it does not obey."""
        order = self._order(word.entity)
        gait, why = acting.heed(self.mechanism.creatures[order], self.gaits[order], word.text)
        return (Vitals(gait.act.health, gait.act).to_bytes() if gait.act else b""), why

    def breaches(self, rules: Sequence[Rule], before: "Physics") -> tuple[Breach, ...]:
        """What is broken by whatever made `self` of `before` between two ticks."""
        return self._judged(rules, before)[1]

    def obeying(self, rules: Sequence[Rule], before: "Physics") -> tuple["Physics | None", tuple[Breach, ...]]:
        """`self` brought to obey the rules, and what it broke; None where a hard rule forbids it.

        Only what differs from `before` is judged: a change is not refused for what was so already.
        """
        return self._judged(rules, before)

    def projected(self, rules: Sequence[Rule], before: "Physics") -> "Physics":
        """`self` brought to obey the rules; `before` itself where a hard one forbids it."""
        return self._judged(rules, before)[0] or before

    def _judged(self, rules: Sequence[Rule], before: "Physics") -> tuple["Physics | None", tuple[Breach, ...]]:
        if not rules or self is before:
            return self, ()
        changed = [entity for entity in self.entities if self._differs(entity, before)]
        was = Law(before.mechanism.compiled, before.posed()[1], before.mechanism.creatures, before.held, rules, changed)
        was.begin(before.gaits)
        law = Law(self.mechanism.compiled, self.posed()[1], self.mechanism.creatures, self.held, rules, changed)
        law.before, law.energies, law.instant = was.before, was.energies, True
        gaits, breaches = law.enforce(self.gaits, self.tick * TICK)
        if any(breach.rule.hard for breach in breaches):
            return None, tuple(breaches)
        if not breaches:
            return self, ()
        return replace(self, state=_state(law.compiled.model, law.data), gaits=gaits), tuple(breaches)

    def _differs(self, entity: int, before: "Physics") -> bool:
        built = self.mechanism is not before.mechanism and self.mechanism.body(entity) != before.mechanism.body(entity)
        return built or self._pose(entity) != before._pose(entity)

    @cached_property
    def pages(self) -> tuple[bytes, ...]:
        """Digests of the parts of this state, the leaves that its world's hash is made of."""
        return self.mechanism.digest, hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """All but the mechanism, which is kept once and not at every step. With empty hands, as in the first format."""
        fields = self.state.tobytes(), self.gaits, self.yaw, self.pitch, self.tick
        if self.cracked:
            return msgspec.msgpack.encode((*fields, self.held, self.chase, self.cracked))
        if self.chase is not None:
            return msgspec.msgpack.encode((*fields, self.held, self.chase))
        return msgspec.msgpack.encode(fields if self.held < 0 else (*fields, self.held))

    @classmethod
    def from_bytes(cls, mechanism: Mechanism, payload: bytes) -> "Physics":
        said = msgspec.msgpack.decode(payload, type=_Said)
        state = np.frombuffer(said.state, np.float64)
        return cls(mechanism, state, said.gaits, said.yaw, said.pitch, said.tick, said.held, said.chase, said.cracked)

    def condition(self, entity: int) -> Condition | None:
        """How a creature is doing; None for what has no deeds."""
        for mover, gait in zip(self.mechanism.creatures, self.gaits):
            if mover.entity == entity and gait.act is not None:
                return acting.condition(mover, gait.act)
        return None

    def _pose(self, entity: int) -> Pose | None:
        compiled = self.mechanism.compiled
        seat = compiled.seats.get(entity)
        if entity == 0:
            gait = self.gaits[self._order(0)] if compiled.avatar >= 0 else None
            return posing.read_player(compiled, self._spare(), self.yaw, self.pitch, gait, self.chase)
        if seat is None:
            return None
        gait = self.gaits[self._order(entity)] if seat.kind == "creature" else None
        return posing.read(self._spare(), seat, gait, self.held == entity)

    def _spare(self) -> mujoco.MjData:
        """This state in data that others use too: to be read at once."""
        compiled = self.mechanism.compiled
        data = compiled.spare()
        mujoco.mj_setState(compiled.model, data, self.state, STATE)
        return data

    def _posing(self, data: mujoco.MjData) -> mujoco.MjData:
        """Data posed as the world now is."""
        mujoco.mj_setState(self.mechanism.compiled.model, data, self.state, STATE)
        mujoco.mj_kinematics(self.mechanism.compiled.model, data)
        return data

    def _order(self, entity: int) -> int:
        return [mover.entity for mover in self.mechanism.creatures].index(entity)

    def _act(self, compiled: Compiled, data: mujoco.MjData, hand: Hand) -> hands.Outcome:
        eye = player.camera(compiled, data, self.yaw, self.pitch)
        if hand == Hand.USE:
            return hands.use(compiled, data, eye, self.held)
        if hand == Hand.PLACE:
            return hands.place(compiled, data, eye, player.feet(compiled, data), self.yaw, self.held)
        return hands.throw(compiled, data, eye, self.held)


class _Said(msgspec.Struct, array_like=True):
    """Physics as it is written down; fields at the end may be missing."""

    state: bytes
    gaits: tuple[Gait, ...]
    yaw: float
    pitch: float
    tick: int
    held: int = -1
    chase: Chase | None = None
    cracked: tuple[int, ...] = ()


def _state(model: mujoco.MjModel, data: mujoco.MjData) -> Array:
    state = np.empty(mujoco.mj_stateSize(model, STATE))
    mujoco.mj_getState(model, data, state, STATE)
    state.setflags(write=False)
    return state


def _frame(data: mujoco.MjData, body: int, out: Array) -> Array:
    out[:3, :3] = data.xmat[body].reshape(3, 3)
    out[:3, 3] = data.xpos[body]
    out[3, 3] = 1.0
    return out


def _told(breach: Breach) -> Note:
    kind = "reject" if breach.rule.hard else "rule"
    verdict = f"{'rejected' if breach.rule.hard else 'projected'}: {breach.why}"
    return Note(kind, "physics", (breach.entity,), {"rule": breach.rule.name}, verdict=verdict)
