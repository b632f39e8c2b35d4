"""A session that is driven from another thread: who drives gets what is shown, and at the pace of those who watch."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import numpy as np
import pytest

from perdure.runtime.driven import Driven
from perdure.runtime.session import Frame, SessionEnded, Subscription
from perdure.world.action import Action, Keys
from tests.server.fake_engine import FakeEngine, FakeWorld, fake_world


@pytest.fixture
def drive() -> Iterator[Callable[[FakeEngine], tuple[Driven, Any]]]:
    begun: list[Driven] = []

    def start(engine: FakeEngine) -> tuple[Driven, Any]:
        driven, world = Driven(engine, {"steps": 0}), cast(Any, fake_world())
        begun.append(driven)
        driven.begin(world, engine._frames(world))
        return driven, world

    yield start
    for driven in begun:
        driven.close()


def rest_of(subscription: Subscription) -> list[Frame]:
    """All that was published, until the session ended."""
    frames: list[Frame] = []
    with suppress(SessionEnded):
        while True:
            frames.append(subscription.get(5.0))
    return frames


def test_the_driver_gets_every_step_and_watchers_see_the_same_frames(drive):
    driven, _ = drive(FakeEngine())
    watching = driven.session.subscribe(100)
    got: list[tuple[Any, np.ndarray]] = [driven.step(Action(Keys.FORWARD, turn=0.1 * i)) for i in range(4)]
    assert [world.step for world, _ in got] == [1, 2, 3, 4]
    driven.close()
    seen = {(frame.step, frame.index): frame.rgb for frame in rest_of(watching)}
    for world, frames in got:
        for i in range(4):
            assert np.array_equal(seen[world.step, i], frames[i])


@pytest.mark.alone
def test_a_step_comes_back_before_it_is_shown_and_the_next_waits_its_turn(drive):
    driven, _ = drive(FakeEngine(0.01))
    driven.step(Action())
    times = []
    for _ in range(7):
        driven.step(Action())
        times.append(time.perf_counter())
    assert np.mean(np.diff(times)) == pytest.approx(4 / 24, rel=0.15)


def test_it_can_go_on_from_another_world(drive):
    engine = FakeEngine()
    driven, first = drive(engine)
    watching = driven.session.subscribe(100)
    for _ in range(3):
        driven.step(Action(Keys.TURN_LEFT))
    driven.begin(first, engine._frames(first))
    world, _ = driven.step(Action())
    assert isinstance(world, FakeWorld) and world.step == 1
    assert np.allclose(world.motion.cameras[-1], first.motion.cameras[-1])
    driven.close()
    ends = [(frame.step, frame.replayed) for frame in rest_of(watching) if frame.index == 3]
    assert ends[-5:] == [(1, False), (2, False), (3, False), (0, True), (1, False)]


def test_who_was_interrupted_gets_the_answer_to_its_next_question(drive, monkeypatch: pytest.MonkeyPatch):
    def stop(**_: float) -> None:
        raise KeyboardInterrupt

    engine = FakeEngine()
    driven, first = drive(engine)
    with monkeypatch.context() as patch:
        patch.setattr(driven, "_made", stop)
        with pytest.raises(KeyboardInterrupt):
            driven.step(Action(Keys.FORWARD))
    driven.begin(first, engine._frames(first))
    assert [driven.step(Action())[0].step for _ in range(2)] == [1, 2]


def test_nothing_is_stepped_that_nobody_asked_for(drive):
    engine = FakeEngine()
    driven, _ = drive(engine)
    driven.step(Action(Keys.BACK))
    time.sleep(0.5)
    assert [a.keys for a in engine.actions] == [Keys.BACK]
    driven.close()
    assert len(engine.actions) == 1
    assert not [t for t in threading.enumerate() if t.name in ("perdure-step", "perdure-pace")]


def test_a_failing_step_is_the_drivers_too(drive):
    driven, _ = drive(FakeEngine(fail_at=2))
    driven.step(Action())
    for _ in range(2):
        with pytest.raises(SessionEnded, match="the model drew NaN") as caught:
            driven.step(Action())
        assert isinstance(caught.value.__cause__, ArithmeticError)


def test_a_session_needs_a_world():
    driven = Driven(FakeEngine(), {})
    with pytest.raises(ValueError, match="begun"):
        _ = driven.session
    driven.close()
