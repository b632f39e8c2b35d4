"""Clips of what was played: out of stored worlds, and out of tapes."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perdure.data import shards
from perdure.data.clip import Skipped
from perdure.data.sources import recording
from perdure.data.tapes import parts, pieces
from perdure.runtime.session import Session
from perdure.server.tape import PART, Tape
from perdure.world import edit
from perdure.world.action import Action, Hand, Keys, Word
from perdure.world.state import World
from perdure.world.store import Store
from tests.world import yard
from tests.world.test_mounted import world as mounted

SIZE = 144, 256


def picture(world: World) -> np.ndarray:
    """(4, H, W, 3) made up: a function of the step."""
    return np.full((4, *SIZE, 3), 20 + 5 * (world.step % 40), np.uint8)


def drawing() -> Callable[[World], np.ndarray]:
    return picture


def played(folder: Path, chunks: int) -> list[World]:
    """A world that was played in, edited once on the way; as it stood after each chunk."""
    rng, now = np.random.default_rng(5), mounted()
    out = [now]
    with Store.create(folder, now) as store:
        for n in range(chunks):
            if n == 10:
                now = now.edit(edit.condition(2, 0.5))
                store.commit(now)
            words = (Word(0, "slam"),) if n % 9 == 3 else ()
            action = Action(Keys(int(rng.integers(0, 16))), float(rng.uniform(-0.2, 0.2)), words=words)
            now = yard.step(now, action, store)
            out.append(now)
    return out


def test_a_stored_world_gives_clips_of_just_what_was(tmp_path: Path):
    lived = played(tmp_path, 70)
    jobs = recording.plan(paths=[tmp_path / "ring"], seconds=6.0, draw=__name__, licence="mine")
    assert [job.seconds for job in jobs] == pytest.approx([35 / 6] * 2)
    clips = [clip for job in jobs for clip in recording.make(job)]
    assert [clip.view for clip in clips] == ["third"] * 2 and {clip.licence for clip in clips} == {"mine"}
    assert len({clip.name for clip in clips}) == 2
    for clip, start in zip(clips, (0, 35)):
        steps = lived[start + 1 : start + 36]
        np.testing.assert_array_equal(clip.poses, np.concatenate([then.motion.cameras for then in steps]))
        np.testing.assert_array_equal(clip.rgb, np.concatenate([picture(then) for then in steps]))
        assert clip.actions == tuple(then.history.memories[-1].action for then in steps)
        assert clip.as_world().state == lived[start].state
        assert clip.commands[0] == tuple("slam" if a.words else "" for a in clip.actions or ())
        for entity in (0, 2):
            told = [condition for then in steps for condition in then.motion.conditions[entity]]
            np.testing.assert_array_equal(clip.states[entity]["health"], [c.health for c in told])
            np.testing.assert_array_equal(clip.states[entity]["clock"], [c.clock for c in told])
        again = shards.clip_of(shards.files(clip))
        assert again.as_world().state == lived[start].state and again.actions == clip.actions


def test_what_is_too_short_or_unknown_is_said(tmp_path: Path):
    played(tmp_path, 12)
    (job,) = recording.plan(paths=[tmp_path / "ring"], draw=__name__)
    with pytest.raises(Skipped, match=r"2\.0 s only"):
        next(recording.make(job))
    with pytest.raises(ValueError, match="a branch of ring out of main"):
        recording.plan(paths=[tmp_path / "ring"], draw=__name__, branch="other")
    with pytest.raises(ValueError, match="out of draw"):
        recording.plan(paths=[tmp_path / "ring"], speed=2)
    assert pieces(719, 60.0) == [(0, 359), (359, 719)] and pieces(0, 60.0) == []


class Stepper:
    """An engine that draws a made-up picture, quickly."""

    timings: dict[str, float] = {}  # noqa: RUF012

    def open(self, world: World, store: Store | None = None) -> tuple[World, None, None]:
        return world, None, None

    def step(self, world: World, action: Action, cache: None, store: Store | None = None) -> tuple[World, np.ndarray]:
        world = yard.step(world, action, store)
        return world, picture(world)


def test_a_tape_holds_what_was_shown_and_each_control_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("perdure.runtime.session.PERIOD", 1 / 400)
    session = Session(Stepper(), mounted())
    seen = session.subscribe(4000)
    tape = Tape(session, "ring", tmp_path)
    session.start()
    for n in range(30):
        session.inbox.put(Keys.FORWARD if n % 2 else Keys.LEFT, 0.01, 0.0, 100.0 + n, "me", Hand.USE if n == 7 else 0)
        time.sleep(0.02)
    session.inbox.say("the blue knight sings", 131.0, "me")
    until = max(45, session.world.step + 8)
    while session.world.step < until:
        time.sleep(0.02)
    session.close()
    tape.join()
    shown = []
    while (frame := _taken(seen)) is not None:
        shown.append(frame)
    kept = parts(tape.folder)
    frames = [frame for part in kept for frame in part.frames]
    assert tape.dropped == 0 and [f.seq for f in frames] == [f.seq for f in shown]
    controls = [control for part in kept for control in part.controls]
    assert [control.sent for control in controls] == [100.0 + n for n in range(30)] + [131.0]
    assert [c.came for c in controls] == sorted(c.came for c in controls)
    assert controls[7].hand == Hand.USE and controls[-1].text == "the blue knight sings"
    jobs = recording.plan(paths=[tape.folder])
    clip = next(recording.make(jobs[0]))
    n = len(clip.rgb)
    np.testing.assert_array_equal(clip.poses, np.stack([f.camera for f in shown[:n]]))
    assert np.abs(clip.rgb.astype(int) - np.stack([f.rgb for f in shown[:n]])).max() <= 3  # as H.264 keeps it
    memories = session.world.history.memories
    assert clip.actions == tuple(memories[f.step - 1].action for f in shown[:n:4])
    stamps = clip.states[0]["control"]
    assert np.nanmax(stamps) == 129.0 and (np.diff(stamps[np.isfinite(stamps)]) >= 0).all()
    # What is not whole is as if it were not there.
    last = sorted(tape.folder.glob("*.json"))[len(kept) - 1]
    last.unlink()
    assert len(parts(tape.folder)) == len(kept) - 1


def _taken(seen: object) -> object:
    try:
        return seen.take()  # type: ignore[attr-defined]
    except RuntimeError:
        return None


def test_a_slow_disk_does_not_hold_a_session_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("perdure.runtime.session.PERIOD", 1 / 1000)
    monkeypatch.setattr("perdure.server.tape.WAITING", 8)
    monkeypatch.setattr("perdure.server.tape.PART", 8)
    stuck, wait = threading.Event(), threading.Event()

    def slow(*_: object) -> bytes:
        stuck.set()
        wait.wait(20.0)
        return b""

    monkeypatch.setattr("perdure.data.shards.encoded", slow)
    session = Session(Stepper(), mounted())
    tape = Tape(session, "ring", tmp_path)
    session.start()
    assert stuck.wait(20.0)
    at = session.world.step
    while session.world.step < at + 12:  # it goes on
        time.sleep(0.01)
    wait.set()
    session.close()
    tape.join()
    assert parts(tape.folder)[-1].dropped > 0 and PART == 120


def test_tapes_that_would_be_named_alike_are_told_before_any_work(tmp_path: Path):
    paths = [tmp_path / day / "keep" for day in ("monday", "tuesday")]
    for path in paths:
        path.mkdir(parents=True)
        (path / "session.json").write_text("{}")
    with pytest.raises(ValueError, match=r"monday/keep and .*tuesday/keep would be named alike"):
        recording.plan(paths=paths)
    with pytest.raises(ValueError, match="expected clips of 5 to 60 seconds, got 'abc'"):
        recording.plan(paths=paths[:1], seconds="abc")  # type: ignore[arg-type]
