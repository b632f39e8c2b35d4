"""Law: what rules of physics say of the state that MuJoCo is in, and how it is brought to obey them.

After a tick, an entity that breaks a hard rule is put back to where it was before, at rest; one that breaks a soft
rule is brought back within it: slowed down, moved inside, pulled out of what it is pressed into. Where no rule is
given nothing here is called.

A `Stand` is where one entity is and how it moves, in the coordinates that physics keeps it in.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.world.hands import lowest, penetration
from perdure.world.mechanism import TICK, Compiled, Seat, place
from perdure.world.mover import Gait, Mover
from perdure.world.rules import Breach, Rule

Array = NDArray[np.float64]

_HALVINGS = 12  # to find how far along its motion an entity still obeys a rule of the user's own
_PULLS = 8  # at most, to get something out of what it is pressed into


@dataclass(frozen=True)
class Stand:
    qpos: Array
    qvel: Array
    gait: Gait | None = None


class Law:
    """The rules, held to one `MjData` over a chunk. `gaits` are the creatures', as physics goes on with them."""

    def __init__(
        self,
        compiled: Compiled,
        data: mujoco.MjData,
        movers: tuple[Mover, ...],
        held: int,
        rules: Sequence[Rule],
        among: Sequence[int] | None = None,  # whom to judge; everyone, unless said
        instant: bool = False,  # between two ticks, where what was put elsewhere has not gone there
    ) -> None:
        self.compiled, self.data, self.movers, self.rules, self.held = compiled, data, movers, rules, held
        self.instant = instant
        self._order = {mover.entity: i for i, mover in enumerate(movers)}
        self._touching = any(rule.speaks_of("penetration") for rule in rules)
        self._energy = any(rule.speaks_of("energy") for rule in rules)
        everyone = [entity for entity in (0, *compiled.seats) if among is None or entity in among]
        self.bound = tuple(entity for entity in everyone if any(rule.binds(entity) for rule in rules))

    def stands(self, gaits: tuple[Gait, ...]) -> dict[int, Stand]:
        """Where all that rules are for are now."""
        return {entity: self._stand(entity, gaits) for entity in self.bound}

    def energies(self) -> dict[int, float]:
        """What they have of it, if any rule asks."""
        if not self._energy:
            return {}
        return {e: self._energy_of(self.compiled.seats[e]) for e in self.bound if e in self.compiled.seats}

    def enforce(
        self,
        gaits: tuple[Gait, ...],
        before: Mapping[int, Stand],
        energies: Mapping[int, float],
        time: float,
    ) -> tuple[tuple[Gait, ...], list[Breach]]:
        """Bring everyone to obey; the gaits to go on with, and what was broken. `data` has been posed, and is again."""
        breaches: list[Breach] = []
        if self._touching:
            mujoco.mj_collision(self.compiled.model, self.data)
        for entity in self.bound:
            old = before.get(entity)
            for rule in self.rules:
                if not rule.binds(entity):
                    continue
                why = self._broken(rule, entity, gaits, old, energies, time)
                if not why:
                    continue
                breaches.append(Breach(rule, entity, why))
                if rule.hard:
                    if old is not None:
                        gaits = self._put(entity, self._at_rest(entity, old, gaits), gaits)
                    break  # at rest where it was, it has nothing more to answer for
                gaits = self._bring(rule, entity, gaits, old, energies, time)
        return gaits, breaches

    # Judging

    def _broken(
        self,
        rule: Rule,
        entity: int,
        gaits: tuple[Gait, ...],
        old: Stand | None,
        energies: Mapping[int, float],
        time: float,
    ) -> str:
        return rule.broken(self._quantities(entity, gaits, old, time, rule), energies.get(entity))

    def _quantities(
        self, entity: int, gaits: tuple[Gait, ...], old: Stand | None, time: float, rule: Rule
    ) -> dict[str, float]:
        seat = self.compiled.seats.get(entity)
        body = self.compiled.player if seat is None else seat.body
        x, y, z = map(float, self.data.xpos[body])
        vx, vy, vz = self._velocity(entity, gaits, old)
        free = seat is not None and seat.kind in ("free", "hinge")
        out = {"x": x, "y": y, "z": z, "vx": vx, "vy": vy, "vz": vz, "speed": math.sqrt(vx * vx + vy * vy + vz * vz)}
        out["mass"] = seat.mass if seat is not None and free else 0.0
        out["held"], out["time"] = float(entity == self.held), time
        asked = rule.speaks_of
        out["height"] = 0.0 if not asked("height") else z if seat is None else lowest(self.compiled, self.data, seat)
        out["penetration"] = penetration(self.compiled, self.data, seat) if asked("penetration") else 0.0
        out["energy"] = self._energy_of(seat) if seat is not None and asked("energy") else 0.0
        return out

    def _velocity(self, entity: int, gaits: tuple[Gait, ...], old: Stand | None) -> tuple[float, float, float]:
        """What forces move has a velocity; what moves by will has gone so far in the tick."""
        data, seat = self.data, self.compiled.seats.get(entity)
        if seat is None:
            if old is None or self.instant:
                return 0.0, 0.0, 0.0
            dx, dy = map(float, self._stand(entity, gaits).qpos - old.qpos)
            return dx / TICK, dy / TICK, 0.0
        if seat.kind == "creature":
            gait = gaits[self._order[entity]]
            if old is None or old.gait is None or self.instant:
                return 0.0, 0.0, 0.0
            return (gait.x - old.gait.x) / TICK, (gait.y - old.gait.y) / TICK, 0.0
        if seat.kind == "free":
            vx, vy, vz = map(float, data.qvel[seat.dofs.start : seat.dofs.start + 3])
            return vx, vy, vz
        if seat.kind == "hinge":
            joint = int(self.compiled.model.body_jntadr[seat.body])
            rate = float(data.qvel[seat.dofs.start])
            vx, vy, vz = map(float, rate * np.cross(data.xaxis[joint], data.xipos[seat.body] - data.xanchor[joint]))
            return vx, vy, vz
        return 0.0, 0.0, 0.0

    def _energy_of(self, seat: Seat) -> float:
        """Joules: of its motion, and of its height."""
        if seat.kind not in ("free", "hinge"):
            return 0.0
        model, data, body = self.compiled.model, self.data, seat.body
        if seat.kind == "free":
            dof = seat.dofs.start
            spin = data.xmat[body].reshape(3, 3) @ data.qvel[dof + 3 : dof + 6]
            velocity = data.qvel[dof : dof + 3] + np.cross(spin, data.xipos[body] - data.xpos[body])
        else:
            joint = int(model.body_jntadr[body])
            spin = data.xaxis[joint] * data.qvel[seat.dofs.start]
            velocity = np.cross(spin, data.xipos[body] - data.xanchor[joint])
        turning = data.ximat[body].reshape(3, 3).T @ spin
        moving = 0.5 * seat.mass * float(velocity @ velocity)
        moving += 0.5 * float(turning @ (model.body_inertia[body] * turning))
        return moving - seat.mass * float(model.opt.gravity @ data.xipos[body])

    # Putting right

    def _stand(self, entity: int, gaits: tuple[Gait, ...]) -> Stand:
        seat = self.compiled.seats.get(entity)
        if seat is None:
            slides, dofs = list(self.compiled.slides), list(self.compiled.dofs)
            return Stand(self.data.qpos[slides].copy(), self.data.qvel[dofs].copy())
        gait = gaits[self._order[entity]] if seat.kind == "creature" else None
        return Stand(self.data.qpos[seat.qpos].copy(), self.data.qvel[seat.dofs].copy(), gait)

    def _put(self, entity: int, stand: Stand, gaits: tuple[Gait, ...]) -> tuple[Gait, ...]:
        """Have an entity stand like this, and pose the model anew."""
        seat = self.compiled.seats.get(entity)
        if seat is None:
            self.data.qpos[list(self.compiled.slides)] = stand.qpos
            self.data.qvel[list(self.compiled.dofs)] = stand.qvel
        elif stand.gait is not None:
            at = self._order[entity]
            gaits = (*gaits[:at], stand.gait, *gaits[at + 1 :])
            place(self.compiled, self.data, (self.movers[at],), (stand.gait,))
        else:
            self.data.qpos[seat.qpos], self.data.qvel[seat.dofs] = stand.qpos, stand.qvel
        mujoco.mj_kinematics(self.compiled.model, self.data)
        if self._touching:
            mujoco.mj_collision(self.compiled.model, self.data)
        return gaits

    def _at_rest(self, entity: int, old: Stand, gaits: tuple[Gait, ...]) -> Stand:
        gait = None
        if old.gait is not None:
            # It stays where it was, yet its patience runs out, so that it will want to go elsewhere.
            now = gaits[self._order[entity]]
            gait = replace(now, x=old.gait.x, y=old.gait.y, strides=old.gait.strides, pace=0.0)
        return Stand(old.qpos, np.zeros_like(old.qvel), gait)

    def _bring(
        self,
        rule: Rule,
        entity: int,
        gaits: tuple[Gait, ...],
        old: Stand | None,
        energies: Mapping[int, float],
        time: float,
    ) -> tuple[Gait, ...]:
        """Bring an entity back within a soft rule: the least change of its kind that will do."""
        now, seat = self._stand(entity, gaits), self.compiled.seats.get(entity)
        free = seat is not None and seat.kind == "free"
        match rule.kind:
            case "bounds" if free or seat is None:
                at = self.data.xpos[self.compiled.player if seat is None else seat.body]
                moved = np.clip(at, *rule.box) - at
                count = 3 if free else 2
                qpos, qvel = now.qpos.copy(), now.qvel.copy()
                qpos[:count] += moved[:count]
                outward = moved[:count] * qvel[:count] < 0
                qvel[:count][outward] = 0.0
                gaits = self._put(entity, Stand(qpos, qvel), gaits)
            case "speed" if seat is not None and seat.kind in ("free", "hinge"):
                speed = math.sqrt(sum(v * v for v in self._velocity(entity, gaits, old)))
                qvel = now.qvel.copy()
                qvel[:3] *= rule.limit / speed
                gaits = self._put(entity, Stand(now.qpos, qvel), gaits)
            case "energy" if seat is not None and seat.kind in ("free", "hinge"):
                whole = self._energy_of(seat)
                over = whole - energies.get(entity, math.inf) - rule.limit
                self._put(entity, Stand(now.qpos, np.zeros_like(now.qvel)), gaits)
                moving = whole - self._energy_of(seat)
                share = math.sqrt(max(0.0, 1.0 - over / moving)) if moving > 0 else 0.0
                gaits = self._put(entity, Stand(now.qpos, share * now.qvel), gaits)
            case "penetration" if free or seat is None:
                gaits = self._pull_out(rule, entity, seat, gaits)
            case _:
                pass
        if old is None or not self._broken(rule, entity, gaits, old, energies, time):
            return gaits
        # Whatever else it takes: as far along its motion as it still obeys, at worst not at all.
        now, low, high = self._stand(entity, gaits), 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            gaits = self._put(entity, _between(entity, old, now, middle), gaits)
            if self._broken(rule, entity, gaits, old, energies, time):
                high = middle
            else:
                low = middle
        if low == 0.0:
            return self._put(entity, self._at_rest(entity, old, gaits), gaits)
        return self._put(entity, _between(entity, old, now, low), gaits)

    def _pull_out(self, rule: Rule, entity: int, seat: Seat | None, gaits: tuple[Gait, ...]) -> tuple[Gait, ...]:
        model, data, count = self.compiled.model, self.data, 2 if seat is None else 3
        for _ in range(_PULLS):
            if penetration(self.compiled, data, seat) <= rule.limit + rule.tolerance:
                break
            pairs = self.compiled.owners[model.geom_bodyid[data.contact.geom]] == entity
            mine = np.flatnonzero(pairs.any(1) & ~pairs.all(1))
            deepest = int(mine[np.argmin(data.contact.dist[mine])])
            away = data.contact.frame[deepest, :3] * (-1.0 if pairs[deepest, 0] else 1.0)
            now = self._stand(entity, gaits)
            qpos, qvel = now.qpos.copy(), now.qvel.copy()
            qpos[:count] += (-float(data.contact.dist[deepest]) - rule.limit) * away[:count]
            qvel[:count] -= min(0.0, float(qvel[:count] @ away[:count])) * away[:count]
            gaits = self._put(entity, Stand(qpos, qvel), gaits)
        return gaits


def _between(entity: int, old: Stand, now: Stand, share: float) -> Stand:
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
