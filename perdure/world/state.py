"""The world: geometry, identity, physics and history as one frozen value.

`advance` moves it by a chunk; `memory/commit.py` then adds what the model drew. `edit` changes it
between two ticks, and `undo` changes it back. Nothing here reads a clock or draws a random number, so
the same actions, edits and findings always lead to the same state.

The state is made of *pieces*: values that never change, each known by the SHA-256 of its bytes. A step
makes new pieces only where it changed something, and shares the rest with the world that it came from.

Shapes: H height, W width.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.world.action import FRAMES_PER_SECOND, STANDARD, Action, Rates, Word
from perdure.world.anchor import Anchor
from perdure.world.body import Body
from perdure.world.command import addressed
from perdure.world.command import understood as obeys
from perdure.world.edit import Change, Edit, digest
from perdure.world.events import happening, understood
from perdure.world.follow import Mount
from perdure.world.geometry import Geometry, Keyframe
from perdure.world.happenings import shattered
from perdure.world.history import Event, History, Memory, Note, Value
from perdure.world.identity import Entity
from perdure.world.mover import Mover
from perdure.world.physics import EYE, Mechanism, Motion, Observer, Physics
from perdure.world.setting import Setting
from perdure.world.slots import read, write
from perdure.world.splats import SplatPage, Splats

FINDING_LAG = 2
"""What is found in chunk n enters the state with chunk n + FINDING_LAG, never sooner or later."""

PAGE = 64


Piece = Keyframe | SplatPage | Anchor | Entity | Mechanism | Setting
"""A part of the state that is kept as it is: large, or slow to change. Its `digest` is that of its `to_bytes()`."""

PIECES: Mapping[str, Callable[[bytes | memoryview, bytes], Piece]] = {
    "keyframes": Keyframe.from_bytes,
    "splats": SplatPage.from_bytes,
    "anchors": Anchor.from_bytes,
    "entities": Entity.from_bytes,
    "mechanism": Mechanism.from_bytes,
    "setting": Setting.from_bytes,
}
"""How the pieces of each part are read back, from their bytes and digest."""


@dataclass(frozen=True, eq=False)
class Finding:
    """What the observer found in a decoded chunk: a keyframe to be."""

    step: int
    pose: NDArray[np.float64]  # (4, 4) camera to world
    intrinsics: Intrinsics
    rgb: NDArray[np.uint8]  # (H, W, 3)
    depth: NDArray[np.uint16]  # (H, W) millimetres
    mask: NDArray[np.bool_]  # (H, W) what is new


@dataclass(frozen=True, eq=False)
class World:
    name: str
    branch: str
    step: int  # chunks made so far: 0 before the first
    seed: int
    scene: tuple[str, int]  # kind and seed of what it was made from
    physics: Physics
    geometry: Geometry
    entities: tuple[Entity, ...]  # by id
    history: History
    motion: Motion  # of the chunk that led here
    setting: Setting = Setting()
    pending: tuple[Finding, ...] = ()  # found, not yet state; made anew when a world is opened
    fresh: int = 0  # how many of the last keyframes came in with this step
    before: str = ""  # the hash of the state that this step began from

    @classmethod
    def create(
        cls,
        name: str,
        scene_kind: str,
        scene_seed: int,
        xml: str,
        movers: tuple[Mover, ...] = (),
        spawn: tuple[float, float, float] = (0.0, 0.0, 0.0),
        entities: Sequence[Entity] = (),
        keyframes: Sequence[Keyframe] = (),
        intrinsics: Intrinsics = EYE,
        seed: int = 0,
        rates: Rates = STANDARD,
        bodies: tuple[Body, ...] = (),
        mount: Mount | None = None,
    ) -> "World":
        """A world as it begins. `keyframes` are its seeds: what is known before anything is drawn; `bodies` are
        things that stand in its scene."""
        ids = [entity.id for entity in entities]
        if len(set(ids)) != len(ids):
            raise ValueError(f"expected entities with different ids, got {ids}")
        physics = Physics.from_xml(xml, movers, spawn, seed, intrinsics, bodies, rates, mount)
        world = cls(
            name=name,
            branch="main",
            step=0,
            seed=seed,
            scene=(scene_kind, scene_seed),
            physics=physics,
            geometry=Geometry(tuple(keyframes)),
            entities=tuple(sorted(entities, key=lambda entity: entity.id)),
            history=History(),
            motion=physics.still(),
        )
        # Without hashes: who founds it may still put pieces in.
        event = Event(0, 0.0, "maker", "create", args={"kind": scene_kind, "seed": scene_seed}, seed=seed)
        return replace(world, history=world.history.append([], [event]))

    # Moving on

    def advance(self, action: Action, observe: Observer | None = None) -> "World":
        """The world moved on by a chunk, and what was found two chunks ago now part of it.

        `observe` is called after each tick, as `Physics.advance` does.
        """
        world, step = self.begun(action), self.step + 1
        physics, motion = world.physics.advance(action, observe, world.setting.rules)
        due = sorted((f for f in world.pending if f.step <= step - FINDING_LAG), key=lambda f: f.step)
        found = [Keyframe(f.step, f.pose, f.intrinsics, f.rgb, f.depth, f.mask) for f in due if f.mask.any()]
        geometry = world.geometry.append(*found)
        return replace(
            world,
            step=step,
            physics=physics,
            motion=motion,
            geometry=geometry,
            pending=tuple(f for f in world.pending if f.step > step - FINDING_LAG),
            fresh=len(geometry.keyframes) - len(world.geometry.keyframes),
            before=world.state,
        )

    def begun(self, action: Action) -> "World":
        """The world after the edits and events of an action, before the first tick of its chunk."""
        world = self._shattered() if self.physics.cracked else self
        there = {*world.physics.entities}
        for edit in action.edits:
            world = world.asked(edit)
        new = tuple(sorted({*world.physics.entities} - there))
        for said in action.events:
            world = world.happens(said, new)
        return world

    def _shattered(self) -> "World":
        """The world with what broke in its last chunk in pieces, unless it was mended or taken away since."""
        brittle = {seat.entity for seat in self.physics.mechanism.compiled.brittle}
        world = replace(self, physics=replace(self.physics, cracked=()))
        for entity in self.physics.cracked:
            if entity in brittle:
                world = world.asked(shattered(world, entity))
        return world

    def expect(self, finding: Finding) -> "World":
        """The world with something found, that will be part of it when its time has come."""
        if not self.step - FINDING_LAG < finding.step <= self.step:
            raise ValueError(
                f"expected a finding of the last {FINDING_LAG} steps (world at step {self.step}), "
                f"got one of step {finding.step}: make the step wait for it"
            )
        return replace(self, pending=(*self.pending, finding))

    def __deepcopy__(self, memo: object) -> "World":
        return self  # a value: nothing of it ever changes

    def fork(self, branch: str) -> "World":
        """The same world under another name, from here on with a chance of its own."""
        return replace(self, branch=branch)

    # Changing it

    def edit(self, edit: Edit, said: str = "") -> "World":
        """The world with these slots written, as far as the rules of its physics allow it; logged either way, with
        the words that asked for it."""
        old = [read(self, change.slot, change.value) for change in edit.changes]
        world = self
        for change in edit.changes:
            world = write(world, change.slot, change.value)
        physics, breaches = world.physics.obeying(world.setting.rules, self.physics)
        reason = "; ".join(str(breach) for breach in breaches)
        if physics is None:
            return self._refused(edit, reason, said)
        note = Note(edit.kind, edit.actor, edit.targets, {"said": said} if said else {})
        if breaches:  # what was asked for is kept too: from what was made of it, it could not be done again
            asked = tuple(digest(change.value) for change in edit.changes)
            note = replace(note, args={**note.args, "asked": asked}, verdict=f"projected: {reason}")
        return replace(world, physics=physics)._written(self, note, edit, old)

    def asked(self, edit: Edit, said: str = "") -> "World":
        """The world after an edit that was asked for while it runs: one that makes no sense is logged as rejected."""
        try:
            return self.edit(edit, said)
        except ValueError as error:
            return self._refused(edit, str(error), said)

    def happens(self, said: str, new: tuple[int, ...] = ()) -> "World":
        """The world after an event that was asked for in words, or with a creature told what they tell it: "the golem
        slams"; what cannot be is logged as rejected.

        `new` are the entities that came in with edits beside it: where the words only tell of them, nothing more
        is done.
        """
        word = self._addressed(said)
        if word is not None:
            vitals, why = self.physics.told(word)
            edit = Edit((Change(f"condition/{word.entity}", vitals),), "command")
            return self._refused(edit, why, said) if why else self.asked(edit, said)
        event = understood(said)
        if event is not None and event.kind in ("object", "creature") and new:
            return self.log(Note("event", "player", new, {"said": said}), before=self.state)
        try:
            return self.asked(happening(said, self), said)
        except ValueError as error:
            return self._refused(Edit(()), str(error), said)

    def _addressed(self, said: str) -> Word | None:
        """What these words tell a creature, where they begin with its name and are no event that begins like that."""
        able = {mover.entity: mover for mover in self.physics.mechanism.creatures if mover.deeds}
        names = {e.id: (e.name, able[e.id].kind) for e in self.entities if e.id in able}
        word = addressed(said, names)
        if word is None or obeys(able[word.entity].deeds, word.text) or understood(said) is None:
            return word
        return None

    def undo(self, seq: int | None = None) -> "World":
        """The inverse of an edit, now: its slots hold again what they held before it.

        `seq` is that of its event; the last that is still in effect unless said, leaving out what was only
        recognised. Undoing a `revert` does the edit again.
        """
        event = self._undoable(seq)
        slots, old, new = (event.args[name] for name in ("slots", "old", "new"))
        assert isinstance(slots, tuple) and isinstance(old, tuple) and isinstance(new, tuple)
        world, changes, now = self, list[Change](), list[bytes | None]()
        for slot, was, became in reversed([*zip(slots, old, new)]):  # as they were written, backwards
            before = None if was is None else self.history.record(bytes.fromhex(str(was)))
            now.append(read(world, str(slot), before))
            if digest(now[-1]) != became and not str(slot).startswith(("pose/", "body/", "condition/")):
                raise ValueError(f"{slot} has been changed since event {event.seq}: undo what came after it first")
            changes.append(Change(str(slot), before))
            world = write(world, str(slot), before)
        physics, breaches = world.physics.obeying(world.setting.rules, self.physics)
        if physics is None:
            raise ValueError("the rules forbid what was before: " + "; ".join(str(breach) for breach in breaches))
        edit = Edit(tuple(changes), "revert")
        return world._written(self, Note("revert", "player", edit.targets, {"undoes": event.seq}), edit, now)

    def log(
        self,
        *notes: Note,
        before: str = "",
        memories: Sequence[Memory] = (),
        records: Mapping[bytes, bytes] | None = None,
    ) -> "World":
        """The world with these in its history; together they led from the state `before` to the one it is in now."""
        seq, time = len(self.history.events), self.physics.tick / FRAMES_PER_SECOND
        events: list[Event] = []
        for i, note in enumerate(notes, 1):
            after = self.state if i == len(notes) else before
            place = seq + i - 1, time, note.actor, note.kind, note.targets, note.args, note.seed
            events.append(Event(*place, before, after, note.verdict))
        return replace(self, history=self.history.append(memories, events, records))

    def _refused(self, edit: Edit, reason: str, said: str = "") -> "World":
        args: dict[str, Value] = {"slots": tuple(change.slot for change in edit.changes)}
        if said:
            args["said"] = said
        note = Note("reject", edit.actor, edit.targets, args, verdict=f"rejected: {reason}")
        return self.log(note, before=self.state)

    def _written(self, before: "World", note: Note, edit: Edit, old: Sequence[bytes | None]) -> "World":
        """Log that slots were written: what they held, and what they hold now."""
        new = [read(self, change.slot, change.value) for change in edit.changes]
        sides = {"old": tuple(map(digest, old)), "new": tuple(map(digest, new))}
        args = {**note.args, "slots": tuple(change.slot for change in edit.changes), **sides}
        values = (*old, *new, *(change.value for change in edit.changes))
        records = {hashlib.sha256(value).digest(): value for value in values if value is not None}
        world = replace(self, fresh=0)
        if self.physics is not before.physics:
            world = replace(world, motion=self.physics.still())
        return world.log(replace(note, args=args), before=before.state, records=records)

    def _undoable(self, seq: int | None) -> Event:
        undone = set[int]()
        for event in self._backwards():
            written, asked = "old" in event.args, event.kind not in ("revert", "associate")
            if written and event.seq not in undone and (event.seq == seq or (seq is None and asked)):
                return event
            if event.seq == seq:
                raise ValueError(
                    f"event {seq} ({event.kind}) {'is undone already' if written else 'wrote nothing to undo'}"
                )
            if "undoes" in event.args and event.seq not in undone:
                undone.add(int(str(event.args["undoes"])))
        raise ValueError("there is no edit to undo" if seq is None else f"there is no event {seq} in this history")

    def _backwards(self, page: int = 1024) -> Iterator[Event]:
        """What happened, the newest first; of a long past, so many at a time."""
        events = self.history.events
        for end in range(len(events), 0, -page):
            yield from reversed(events[max(0, end - page) : end])

    # What it is made of

    @property
    def parts(self) -> Mapping[str, tuple[Piece, ...]]:
        """All that is kept as it is, by the names in `PIECES`."""
        return {
            "keyframes": self.geometry.keyframes,
            "splats": self.geometry.splats.pages,
            "anchors": self.geometry.anchors,
            "entities": self.entities,
            "mechanism": (self.physics.mechanism,),
            "setting": (self.setting,),
        }

    @cached_property
    def moving(self) -> bytes:
        """All of the state that is not in `parts`: what moves with every tick."""
        return self.physics.to_bytes()

    @classmethod
    def restore(
        cls,
        name: str,
        branch: str,
        step: int,
        seed: int,
        scene: tuple[str, int],
        parts: Mapping[str, tuple[Piece, ...]],
        moving: bytes,
        history: History,
        motion: Motion,
        fresh: int = 0,
        before: str = "",
    ) -> "World":
        """The world whose `parts` and `moving` these were."""
        (mechanism,), (setting,) = cast(tuple[Mechanism], parts["mechanism"]), cast(tuple[Setting], parts["setting"])
        return cls(
            name=name,
            branch=branch,
            step=step,
            seed=seed,
            scene=scene,
            physics=Physics.from_bytes(mechanism, moving),
            geometry=Geometry(
                cast(tuple[Keyframe, ...], parts["keyframes"]),
                Splats(cast(tuple[SplatPage, ...], parts["splats"])),
                cast(tuple[Anchor, ...], parts["anchors"]),
            ),
            entities=cast(tuple[Entity, ...], parts["entities"]),
            history=history,
            motion=motion,
            setting=setting,
            fresh=fresh,
            before=before,
        )

    @cached_property
    def state(self) -> str:
        """Merkle root of geometry, identity and physics, in hex: equal for equal worlds, whatever led to them."""
        digests = {name: [piece.digest for piece in pieces] for name, pieces in self.parts.items()}
        return state_root(digests, self.moving).hex()

    @property
    def noise_seed(self) -> int:
        """64 bits for the chunk of this step, a function of world, branch and step alone."""
        text = f"{self.seed}/{self.branch}/{self.step}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")

    @property
    def head(self) -> str:
        """The end of the chain of events, in hex: it names all that ever happened."""
        return self.history.head.hex()


def state_root(parts: Mapping[str, Sequence[bytes]], moving: bytes) -> bytes:
    """A state's hash, from the digests of its pieces and from what moves."""
    roots = {name: merkle(digests) for name, digests in parts.items()}
    geometry = merkle([roots["keyframes"], roots["splats"], roots["anchors"]])
    identity = merkle([roots["entities"]])
    physics = merkle([roots["mechanism"], roots["setting"], hashlib.sha256(moving).digest()])
    return merkle([geometry, identity, physics])


def merkle(leaves: Sequence[bytes]) -> bytes:
    """The root over pages of 64 digests, pages of pages, and so on; the count is part of it."""
    level = list(leaves)
    while len(level) > 1:
        level = [hashlib.sha256(b"".join(level[i : i + PAGE])).digest() for i in range(0, len(level), PAGE)]
    return hashlib.sha256(len(leaves).to_bytes(8, "little") + b"".join(level)).digest()
