"""Law: what rules of physics say of the state that MuJoCo is in, and how it is brought to obey them.

After a tick, an entity that breaks a hard rule is put back to where it was before, at rest; one that breaks a soft
rule is brought back within it: slowed down, moved inside, pulled out of what it is pressed into. Where no rule is
given nothing here is called.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from perdure.world import measure
from perdure.world.mechanism import TICK, Compiled, Seat, place
from perdure.world.mover import Gait, Mover
from perdure.world.rules import Breach, Rule

Array = NDArray[np.float64]

_HALVINGS = 12  # to find how far along its motion an entity still obeys a rule
_PULLS = 8  # at most, to get something out of what it is pressed into
_WORSE = 1e-9  # by how much more a rule must be broken than it was


@dataclass(frozen=True)
class Stand:
    """Where an entity is and how it moves, in the coordinates that physics keeps it in."""

    qpos: Array
    qvel: Array
    gait: Gait | None = None


class Quantities(dict[str, float]):
    """What a rule may ask of an entity, measured when it is asked."""

    def __init__(self, law: "Law", entity: int, known: Mapping[str, float]) -> None:
        super().__init__(known)
        self._law, self._entity = law, entity

    def __missing__(self, name: str) -> float:
        law, seat = self._law, self._law.compiled.seats.get(self._entity)
        match name:
            case "x" | "y" | "z":
                body = law.compiled.player if seat is None else seat.body
                self["x"], self["y"], self["z"] = law.data.xpos[body].tolist()
            case "vx" | "vy" | "vz":
                self["vx"], self["vy"], self["vz"] = law.velocity(self._entity)
            case "speed":
                self["speed"] = math.sqrt(self["vx"] ** 2 + self["vy"] ** 2 + self["vz"] ** 2)
            case "height":
                self["height"] = self["z"] if seat is None else measure.lowest(law.compiled, law.data, seat)
            case "mass":
                self["mass"] = seat.mass if seat is not None and seat.kind in ("free", "hinge") else 0.0
            case "energy":
                self["energy"] = 0.0 if seat is None else measure.energy(law.compiled, law.data, seat)
            case "penetration":
                self["penetration"] = law.depths().get(self._entity, 0.0)
            case "held":
                self["held"] = float(self._entity == law.held)
            case "time":
                self["time"] = law.time
            case _:
                raise KeyError(name)
        return self[name]


class Law:
    """The rules, held to one `MjData`: `begin` before a tick, `enforce` after it."""

    def __init__(
        self,
        compiled: Compiled,
        data: mujoco.MjData,
        movers: tuple[Mover, ...],
        held: int,
        rules: Sequence[Rule],
        among: Sequence[int] | None = None,  # whom to judge; everyone, unless said
    ) -> None:
        self.compiled, self.data, self.rules, self.held = compiled, data, rules, held
        self.time = 0.0
        self.gaits: tuple[Gait, ...] = ()
        self.instant = False  # between two ticks, where what was put elsewhere has not gone there
        self.before: dict[int, Stand] = {}
        self.energies: dict[int, float] = {}
        self._movers = movers
        self._order = {mover.entity: i for i, mover in enumerate(movers)}
        self._seen: Quantities | None = None  # of the entity that is being judged
        self._depths: dict[int, float] | None = None
        everyone = [entity for entity in (0, *compiled.seats) if among is None or entity in among]
        self._bound = {e: mine for e in everyone if (mine := [rule for rule in rules if rule.binds(e)])}
        self._touching = any(rule.speaks_of("penetration") for rule in rules)
        self._weighing = any(rule.kind == "energy" for rule in rules)

    def begin(self, gaits: tuple[Gait, ...]) -> None:
        """How everyone stands before a tick."""
        self.gaits = gaits
        self.before = {entity: self._stand(entity) for entity in self._bound}
        if self._weighing:
            seats = {entity: self.compiled.seats[entity] for entity in self._bound if entity}
            self.energies = {e: measure.energy(self.compiled, self.data, seat) for e, seat in seats.items()}

    def enforce(self, gaits: tuple[Gait, ...], time: float) -> tuple[tuple[Gait, ...], list[Breach]]:
        """Bring everyone to obey; the gaits to go on with, and what was broken. `data` has been posed, and is again."""
        self.gaits, self.time = gaits, time
        breaches: list[Breach] = []
        self._posed()
        for entity, rules in self._bound.items():
            self._seen = None
            for rule in rules:
                why = self._broken(rule, entity)
                if not why or (rule.hard and not self._worse(rule, entity)):
                    continue
                breaches.append(Breach(rule, entity, why))
                if rule.hard:
                    if entity in self.before:
                        self._put(entity, self._at_rest(entity))
                    break  # at rest where it was, it has nothing more to answer for
                self._bring(rule, entity)
        return self.gaits, breaches

    # Judging

    def velocity(self, entity: int) -> tuple[float, float, float]:
        """What forces move has one; what moves by will has gone so far in the tick."""
        seat, old = self.compiled.seats.get(entity), self.before.get(entity)
        if seat is not None and seat.kind != "creature":
            return measure.velocity(self.compiled, self.data, seat)
        if old is None or self.instant:
            return 0.0, 0.0, 0.0
        now = self._stand(entity)
        if now.gait is not None and old.gait is not None:
            return (now.gait.x - old.gait.x) / TICK, (now.gait.y - old.gait.y) / TICK, 0.0
        dx, dy = (now.qpos - old.qpos).tolist()
        return dx / TICK, dy / TICK, 0.0

    def depths(self) -> dict[int, float]:
        if self._depths is None:
            self._depths = measure.depths(self.compiled, self.data)
        return self._depths

    def _quantities(self, entity: int) -> Quantities:
        if self._seen is None:
            self._seen = Quantities(self, entity, {})
        return self._seen

    def _broken(self, rule: Rule, entity: int) -> str:
        return rule.broken(self._quantities(entity), self.energies.get(entity))

    def _worse(self, rule: Rule, entity: int) -> bool:
        """Whether it breaks a rule more than it did: who was out of bounds before may at least come back."""
        old, now = self.before.get(entity), self._stand(entity)
        if old is None or rule.kind in ("speed", "energy"):
            return True  # to be at rest is to obey
        broken = rule.excess(self._quantities(entity))
        self._put(entity, old)
        was = rule.excess(self._quantities(entity))
        self._put(entity, now)
        return broken > was + _WORSE

    # Putting right

    def _stand(self, entity: int) -> Stand:
        seat = self.compiled.seats.get(entity)
        if seat is None:
            slides, dofs = list(self.compiled.slides), list(self.compiled.dofs)
            return Stand(self.data.qpos[slides], self.data.qvel[dofs])
        if seat.kind == "mocap":
            return Stand(
                np.concatenate((self.data.mocap_pos[seat.mocap], self.data.mocap_quat[seat.mocap])), np.empty(0)
            )
        gait = self.gaits[self._order[entity]] if seat.kind == "creature" else None
        return Stand(self.data.qpos[seat.qpos].copy(), self.data.qvel[seat.dofs].copy(), gait)

    def _put(self, entity: int, stand: Stand) -> None:
        """Have an entity stand like this, and pose the model anew."""
        seat = self.compiled.seats.get(entity)
        if seat is None:
            self.data.qpos[list(self.compiled.slides)] = stand.qpos
            self.data.qvel[list(self.compiled.dofs)] = stand.qvel
        elif stand.gait is not None:
            at = self._order[entity]
            self.gaits = (*self.gaits[:at], stand.gait, *self.gaits[at + 1 :])
            place(self.compiled, self.data, (self._movers[at],), (stand.gait,))
        elif seat.kind == "mocap":
            self.data.mocap_pos[seat.mocap], self.data.mocap_quat[seat.mocap] = stand.qpos[:3], stand.qpos[3:]
        else:
            self.data.qpos[seat.qpos], self.data.qvel[seat.dofs] = stand.qpos, stand.qvel
        mujoco.mj_kinematics(self.compiled.model, self.data)
        self._posed()

    def _posed(self) -> None:
        self._seen = self._depths = None
        if self._touching:
            mujoco.mj_collision(self.compiled.model, self.data)

    def _at_rest(self, entity: int) -> Stand:
        old, gait = self.before[entity], None
        if old.gait is not None:
            # It stays where it was, yet its patience runs out, so that it will want to go elsewhere.
            now = self.gaits[self._order[entity]]
            gait = replace(now, x=old.gait.x, y=old.gait.y, strides=old.gait.strides, pace=0.0)
        return Stand(old.qpos, np.zeros_like(old.qvel), gait)

    def _bring(self, rule: Rule, entity: int) -> None:
        """Bring an entity back within a soft rule, by the least change of its kind that will do."""
        now, seat = self._stand(entity), self.compiled.seats.get(entity)
        forced = seat is not None and seat.kind in ("free", "hinge")
        placed = seat is None or seat.kind in ("free", "mocap")
        if rule.kind == "bounds" and placed:
            self._move_inside(rule, entity, seat, now)
        elif rule.kind == "speed" and forced:
            qvel = now.qvel.copy()
            qvel[:3] *= rule.limit / self._quantities(entity)["speed"]
            self._put(entity, Stand(now.qpos, qvel))
        elif rule.kind == "energy" and seat is not None and forced:
            self._calm(rule, entity, now)
        elif rule.kind == "penetration" and placed:
            self._pull_out(rule, entity, seat)
        if entity not in self.before or not self._broken(rule, entity):
            return
        # Whatever else it takes: as far along its motion as it still obeys, at worst not at all.
        old, now, low, high = self.before[entity], self._stand(entity), 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            self._put(entity, _between(old, now, middle))
            if self._broken(rule, entity):
                high = middle
            else:
                low = middle
        self._put(entity, _between(old, now, low) if low else self._at_rest(entity))

    def _move_inside(self, rule: Rule, entity: int, seat: Seat | None, now: Stand) -> None:
        at = self.data.xpos[self.compiled.player if seat is None else seat.body]
        count = 2 if seat is None else 3
        moved = (np.clip(at, *rule.box) - at)[:count]
        qpos, qvel = now.qpos.copy(), now.qvel.copy()
        qpos[:count] += moved
        if len(qvel):
            qvel[:count][moved * qvel[:count] < 0] = 0.0
        self._put(entity, Stand(qpos, qvel))

    def _calm(self, rule: Rule, entity: int, now: Stand) -> None:
        whole = self._quantities(entity)["energy"]
        over = whole - self.energies.get(entity, math.inf) - rule.limit
        self._put(entity, Stand(now.qpos, np.zeros_like(now.qvel)))
        moving = whole - self._quantities(entity)["energy"]
        share = math.sqrt(max(0.0, 1.0 - over / moving)) if moving > 0 else 0.0
        self._put(entity, Stand(now.qpos, share * now.qvel))

    def _pull_out(self, rule: Rule, entity: int, seat: Seat | None) -> None:
        count = 2 if seat is None else 3
        for _ in range(_PULLS):
            if self.depths().get(entity, 0.0) <= rule.limit + rule.tolerance:
                return
            contact = self.data.contact
            pairs = self.compiled.owners[self.compiled.model.geom_bodyid[contact.geom]] == entity
            mine = np.flatnonzero(pairs.any(1) & ~pairs.all(1))
            deepest = int(mine[np.argmin(contact.dist[mine])])
            away = (contact.frame[deepest, :3] * (-1.0 if pairs[deepest, 0] else 1.0))[:count]
            far, now = -float(contact.dist[deepest]), self._stand(entity)
            qpos, qvel = now.qpos.copy(), now.qvel.copy()
            qpos[:count] += (far - rule.limit) * away
            if len(qvel):
                qvel[:count] -= min(0.0, float(qvel[:count] @ away)) * away
            self._put(entity, Stand(qpos, qvel))


def _between(old: Stand, now: Stand, share: float) -> Stand:
    """So much of the way from one stand to another, and of the other's motion."""
    qpos = old.qpos + share * (now.qpos - old.qpos)
    if len(qpos) == 7:
        near = now.qpos[3:] if old.qpos[3:] @ now.qpos[3:] >= 0 else -now.qpos[3:]
        turned = old.qpos[3:] + share * (near - old.qpos[3:])
        qpos[3:] = turned / np.linalg.norm(turned)
    gait = now.gait
    if gait is not None and old.gait is not None:
        x, y = (old.gait.x + share * (gait.x - old.gait.x), old.gait.y + share * (gait.y - old.gait.y))
        strides = old.gait.strides + share * (gait.strides - old.gait.strides)
        gait = replace(gait, x=x, y=y, strides=strides, pace=share * gait.pace)
    return Stand(qpos, share * now.qvel, gait)
