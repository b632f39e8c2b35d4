"""The recorder: a world's way, frame by frame, with all that is known of everyone in it at the instant of each frame.

    recorder = Recorder(world, painter, chunks)
    while not recorder.full:
        world = recorder.advance(world, agent(world, recorder.frames))
    clip = recorder.clip("name", ...)

Physics runs once; its own observer paints. States are read where the frame is, not before and not after. What was not
there in a frame has no state in it: NaN, or -1.

Shapes: N frames (four a chunk), H W frame size.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import angles
from perdure.data.clip import Actor, Clip, Moment, Recipe
from perdure.data.painting.painter import Painter, Picture
from perdure.data.painting.scenery import scenery
from perdure.data.truth import shown
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, Action
from perdure.world.events import understood
from perdure.world.history import Note
from perdure.world.physics import Observer
from perdure.world.state import World

LASTING = {
    "hit": 12,
    "block": 12,
    "death": 36,
    "open": 24,
    "close": 24,
    "take": 12,
    "place": 12,
    "throw": 24,
    "break": 24,
}
"""Frames that what creatures and hands did can be seen, about."""

ACTED = ("hit", "block", "death", "break")
"""Kinds of notes that tell what creatures did to each other, and what broke."""

TOLD = {"take": "{who} take{s} up {whom}", "place": "{who} put{s} {whom} down", "throw": "{who} throw{s} {whom}",
        "open": "{who} open{s} {whom}", "close": "{who} close{s} {whom}", "hit": "{who} strike{s} {whom}",
        "block": "{whom} blocks {who}", "death": "{whom} falls to {who}", "break": "{who} breaks"}  # fmt: skip
"""How it is said; {s} is there unless it is you who do it."""

Values = dict[str, NDArray[Any]]


class Recorder:
    def __init__(self, world: World, painter: Painter | None, chunks: int, view: str = "first") -> None:
        """Without a painter, frames are told: `told`."""
        self.start, self.view = world, view
        self.painter = None if painter is None else shown(painter, world)
        self.hidden = (0,) if world.physics.mechanism.mount is None else ()  # who looks is not seen
        self.intrinsics = world.motion.intrinsics
        n, h, w = chunks * FRAMES_PER_CHUNK, self.intrinsics.height, self.intrinsics.width
        self.rgb = np.empty((n, h, w, 3), np.uint8)
        self.depth, self.entity = np.empty((n, h, w), np.float32), np.empty((n, h, w), np.uint8)
        self.poses = np.empty((n, 4, 4))
        self.at = 0  # frames so far
        self.actions: list[Action] = []
        self.moments: list[Moment] = []
        self._groups: list[str] = []  # one for each moment: what it is about, where only one such can be
        self.states: dict[int, Values] = {}
        self.deeds: dict[int, list[str]] = {}  # names by number
        self.cast: dict[int, Actor] = {}
        self._mechanism = world.physics.mechanism
        self._meet(world)

    @property
    def full(self) -> bool:
        return self.at == len(self.rgb)

    @property
    def frames(self) -> NDArray[np.uint8] | None:
        """Of the last chunk."""
        return self.rgb[self.at - FRAMES_PER_CHUNK : self.at] if self.at else None

    def advance(self, world: World, action: Action) -> World:
        """The world a chunk later, its frames and states recorded."""
        begun = world.begun(action)
        after = world.advance(action, self.watched(begun))
        return self._lived(world, begun, after, action)

    def watched(self, begun: World) -> Observer:
        """Who looks on at each tick of the chunk that begins."""
        if begun.physics.mechanism is not self._mechanism:
            self._mechanism = begun.physics.mechanism
            self.painter = None if self.painter is None else shown(self.painter, begun)
            self._meet(begun)
        first, tick = self.at, begun.physics.tick

        def observe(model: mujoco.MjModel, data: mujoco.MjData, camera: NDArray[np.float64]) -> None:
            if self.painter is not None:
                now = scenery(begun, tick + self.at - first + 1)
                page = Picture(self.rgb[self.at], self.depth[self.at], self.entity[self.at])
                self.painter.paint(data, camera, self.intrinsics, now, self.hidden, page)
            self.poses[self.at] = camera
            self._read_things(data)
            self.at += 1

        return observe

    def told(self, before: World, after: World, action: Action, frames: NDArray[np.uint8]) -> None:
        """A chunk that was watched, and what was shown of it."""
        self.rgb[self.at - FRAMES_PER_CHUNK : self.at] = frames
        self._lived(before, after, after, action)

    def _lived(self, before: World, begun: World, after: World, action: Action) -> World:
        first = self.at - FRAMES_PER_CHUNK
        self._tell_events(begun, before, first)
        self.actions.append(action)
        self._read_creatures(after, first)
        for note in after.motion.notes:
            self._tell(note, first)
        return after

    def clip(
        self,
        name: str,
        source: str,
        licence: str,
        seed: int,
        tags: Mapping[str, str],
        recipe: Recipe | None = None,
    ) -> Clip:
        """All of it, once it is full."""
        if not self.full:
            raise ValueError(f"expected {len(self.rgb)} frames of {name}, got {self.at} so far")
        acts = {entity for entity, actor in self.cast.items() if actor.role == "creature"} | ({0} & self.deeds.keys())
        said = {entity: [""] * len(self.actions) for entity in sorted(acts)}
        for chunk, action in enumerate(self.actions):
            for word in action.words:
                if word.entity in said:
                    said[word.entity][chunk] = word.text
        known = {f"deeds {entity}": ",".join(names) for entity, names in self.deeds.items()}
        return Clip(
            name=name,
            source=source,
            licence=licence,
            fps=FRAMES_PER_SECOND,
            rgb=self.rgb,
            seed=seed,
            view=self.view,
            intrinsics=self.intrinsics,
            poses=self.poses,
            depth=None if self.painter is None else self.depth,
            entity=None if self.painter is None else self.entity,
            actions=tuple(self.actions),
            cast=tuple(self.cast[entity] for entity in sorted(self.cast)),
            commands={entity: tuple(words) for entity, words in said.items()},
            states=self.states,
            events=tuple(sorted(self._ended(), key=lambda moment: (moment.start, moment.end, moment.kind))),
            tags={**tags, **known},
            start=self.start,
            recipe=recipe,
        )

    # Who is there

    def _meet(self, world: World) -> None:
        """Take those into the cast who were not there before."""
        names = {entity.id: entity for entity in world.entities}
        compiled = world.physics.mechanism.compiled
        movers = {mover.entity: mover for mover in world.physics.mechanism.creatures}
        self._seats = compiled.things
        self._player = compiled.player
        for number in (0, *movers, *(seat.entity for seat in compiled.things)):
            if number in self.cast:
                continue
            known, mover = names.get(number), movers.get(number)
            kind = (
                "player" if number == 0 else (mover.kind if mover is not None else "") or (known.kind if known else "")
            )
            name = known.name if known is not None and known.name else kind
            doors = {seat.entity for seat in compiled.things if seat.aim >= 0}
            role = "player" if number == 0 else "creature" if mover is not None else "thing"
            self.cast[number] = Actor(number, kind or role, name or role, "door" if number in doors else role)
            if mover is not None and mover.deeds:
                self.deeds[number] = [deed.name for deed in mover.deeds]

    # What is known of them

    def _put(self, entity: int, what: str, frames: slice | int, values: Any, blank: float = np.nan) -> None:
        known = self.states.setdefault(entity, {})
        values = np.asarray(values)
        if what not in known:
            shape = values.shape[1:] if isinstance(frames, slice) else values.shape
            kind = np.float64 if values.dtype.kind == "f" else np.int16
            known[what] = np.full((len(self.rgb), *shape), blank, kind)
        known[what][frames] = values

    def _read_things(self, data: mujoco.MjData) -> None:
        """In the very frame: poses of things, angles of doors, and where the player stands."""
        self._put(0, "position", self.at, data.xpos[self._player])
        for seat in self._seats:
            if seat.kind == "hinge":
                self._put(seat.entity, "angle", self.at, float(data.qpos[seat.qpos][0]))
            else:
                self._put(seat.entity, "position", self.at, data.xpos[seat.body])
                self._put(seat.entity, "quaternion", self.at, data.xquat[seat.body])

    def _read_creatures(self, world: World, first: int) -> None:
        """What the chunk's motion tells of its four frames."""
        frames = slice(first, self.at)
        yaw, pitch = angles(world.motion.cameras)
        self._put(0, "yaw", frames, yaw)
        self._put(0, "pitch", frames, pitch)
        self._put(0, "held", frames, np.full(FRAMES_PER_CHUNK, world.physics.held), -1)
        for mover in world.physics.mechanism.creatures:
            body = world.motion.bodies[mover.entity]
            if mover.entity:
                self._put(mover.entity, "position", frames, body[:, :3, 3])
            self._put(mover.entity, "heading", frames, np.arctan2(body[:, 1, 0], body[:, 0, 0]))
            conditions = world.motion.conditions.get(mover.entity, ())
            if not conditions:
                continue
            names = self.deeds[mover.entity]
            deed = [names.index(each.deed) if each.deed else -1 for each in conditions]
            self._put(mover.entity, "deed", frames, deed, -1)
            self._put(mover.entity, "clock", frames, [each.clock for each in conditions])
            self._put(mover.entity, "health", frames, [each.health for each in conditions])
            for what in ("staggered", "alive", "commanded"):
                self._put(mover.entity, what, frames, [int(getattr(each, what)) for each in conditions], -1)
            if mover.entity:
                self._put(mover.entity, "held", frames, [each.held for each in conditions], -1)

    # What happened

    def _tell_events(self, begun: World, world: World, first: int) -> None:
        """What was asked for in words, and came to be."""
        for event in begun.history.events[len(world.history.events) :]:
            said = event.args.get("said")
            meant = understood(str(said)) if said else None
            if event.kind != "event" or meant is None:
                continue
            slots = event.args.get("slots")
            slots = slots if isinstance(slots, tuple) else ()
            group = next((str(slot) for slot in slots if str(slot).startswith(("environment/", "spectacle/"))), "")
            end = first + 24
            if group.startswith("environment/"):
                end = len(self.rgb)
            elif group:
                shown = begun.setting.spectacle(group.partition("/")[2])
                last = shown.start + min(shown.seconds, 1e6) * FRAMES_PER_SECOND if shown else 0.0
                end = first + max(1, round(last - begun.physics.tick))
            target = event.targets[0] if event.targets else None
            self._groups.append(group)
            self.moments.append(Moment(first, min(end, len(self.rgb)), meant.kind, str(said), target))

    def _tell(self, note: Note, first: int) -> None:
        """What hands did, and what creatures did to each other."""
        kind = note.kind if note.kind in ACTED else str(note.args.get("hand", "")) if note.kind == "act" else ""
        if kind not in TOLD or note.verdict != "applied":
            return
        start = first + int(str(note.args.get("frame", 0)))
        by = [0, *note.targets] if note.actor == "player" else [*note.targets]
        who, whom = (self._called(entity) for entity in [*by, -1, -1][:2])
        words = TOLD[kind].format(who=who, whom=whom, s="" if who == "you" else "s")
        end = min(start + LASTING[kind], len(self.rgb))
        self._groups.append("")
        self.moments.append(Moment(start, end, kind, words, by[1] if kind in ACTED and len(by) > 1 else by[0]))

    def _called(self, entity: int) -> str:
        """How one speaks of someone or something: "the crate"."""
        name = self.cast[entity].name if entity in self.cast else "something"
        return name if name.startswith(("the ", "you", "some")) else f"the {name}"

    def _ended(self) -> Sequence[Moment]:
        """The moments, each ended where another takes its place: night ends where day comes."""
        out: list[Moment] = []
        for n, (moment, group) in enumerate(zip(self.moments, self._groups)):
            later = [m.start for m, g in zip(self.moments[n + 1 :], self._groups[n + 1 :]) if group and g == group]
            end = min([moment.end, *later])
            if end > moment.start:
                out.append(Moment(moment.start, end, moment.kind, moment.words, moment.entity))
        return out
