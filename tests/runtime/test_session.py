"""The session: how evenly frames come, who is told of an end."""

import threading
import time
from typing import Any, cast

import numpy as np
import pytest

from perdure.runtime.session import Frame, Session, SessionEnded, Subscription
from perdure.world.action import FRAMES_PER_CHUNK, Action, Keys
from tests.server.fake_engine import FakeEngine, fake_world


def collect(subscription: Subscription, count: int, timeout: float = 5.0) -> list[Frame]:
    return [subscription.get(timeout) for _ in range(count)]


@pytest.fixture
def play():
    """Starts sessions, and closes them whatever the test does."""
    open_sessions: list[Session] = []

    def start(engine: FakeEngine, **settings) -> tuple[Session, Subscription]:
        session = Session(engine, cast(Any, fake_world()), **settings)
        open_sessions.append(session)
        subscription = session.subscribe(size=1000)
        session.start()
        return session, subscription

    yield start
    for session in open_sessions:
        session.close(5.0)


# Subscriptions


def test_a_full_queue_drops_its_oldest_frame(play):
    session, everything = play(FakeEngine(0.01))
    slow = session.subscribe(size=2)
    seen = collect(everything, 12)
    session.pause()
    waiting = [slow.take(), slow.take()]
    assert slow.take() is None
    assert slow.dropped >= 8
    assert waiting[0].seq >= seen[-1].seq - 1
    assert waiting[1].seq == waiting[0].seq + 1


def test_who_comes_late_to_a_paused_world_still_sees_it(play):
    session, everything = play(FakeEngine())
    collect(everything, 8)
    session.pause()
    time.sleep(0.5)
    last = session.subscribe().take()
    assert last is not None
    assert last.step == session.world.step


# Playing


def test_frames_come_in_order_and_begin_with_the_replay(play):
    _, subscription = play(FakeEngine())
    frames = collect(subscription, 12)
    assert [f.seq for f in frames] == list(range(12))
    assert [(f.step, f.index) for f in frames] == [(s, i) for s in range(3) for i in range(FRAMES_PER_CHUNK)]
    assert [f.replayed for f in frames] == [True] * 4 + [False] * 8
    assert "sample" in frames[-1].stages


@pytest.mark.alone
@pytest.mark.parametrize(("seconds", "rate"), [(0.02, 24.0), (0.24, 4 / 0.24)])
def test_frames_come_evenly(play, seconds: float, rate: float):
    """At 24 a second when steps are fast, else spread over the time that a step takes."""
    _, subscription = play(FakeEngine(seconds))
    collect(subscription, 12)
    times = [(subscription.get(5.0), time.perf_counter())[1] for _ in range(24)]
    intervals = np.diff(times)
    assert len(times) / (times[-1] - times[0]) == pytest.approx(rate, rel=0.1)
    assert np.median(np.abs(intervals - 1 / rate)) < 0.006


def test_a_step_runs_while_the_last_chunk_is_shown_and_no_further(play):
    engine = FakeEngine(0.12)
    _, subscription = play(engine)
    ahead = [len(engine.actions) - subscription.get(5.0).step for _ in range(40)]
    assert max(ahead) <= 1
    assert ahead.count(1) > 10


def test_input_reaches_the_next_step_and_its_time_comes_back(play):
    session, subscription = play(FakeEngine(0.05))
    collect(subscription, 8)
    session.inbox.put(Keys.FORWARD, time=123.0, sender="me")
    frames = collect(subscription, 16)
    first = next(f for f in frames if f.echoes.get("me") == 123.0)
    before = next(f for f in reversed(frames) if f.seq == first.seq - 1)
    assert first.index == 0
    assert first.step <= frames[0].step + 3
    assert not np.allclose(first.camera[:3, 3], before.camera[:3, 3])


def test_pause_rests_and_resume_goes_on(play):
    session, subscription = play(FakeEngine(0.01))
    collect(subscription, 6)
    session.pause()
    time.sleep(0.6)
    at_rest = session.world.step
    time.sleep(0.2)
    assert session.world.step == at_rest
    assert session.figures().paused
    session.resume()
    while subscription.get(5.0).step <= at_rest:
        pass


def test_an_agent_acts_in_place_of_the_inbox(play):
    engine = FakeEngine()
    _, subscription = play(engine, agent=lambda world, frames: Action(Keys.FORWARD if world.step % 2 else Keys.BACK))
    collect(subscription, 16)
    assert [a.keys for a in engine.actions[:3]] == [Keys.BACK, Keys.FORWARD, Keys.BACK]


def test_jobs_run_between_steps_even_while_paused(play):
    session, _ = play(FakeEngine(0.02))
    assert session.between_steps(lambda world: world.name).result(5.0) == "room"
    session.pause()
    assert session.between_steps(lambda world: threading.current_thread().name).result(5.0) == "perdure-step"
    with pytest.raises(ZeroDivisionError):
        session.between_steps(lambda world: 1 / 0).result(5.0)


def test_who_asks_for_a_job_and_goes_takes_nobody_along(play):
    session, subscription = play(FakeEngine(0.02))
    began, done = threading.Event(), threading.Event()

    def slow(world: Any) -> None:
        began.set()
        time.sleep(0.1)
        done.set()

    running = session.between_steps(slow)
    waiting = session.between_steps(lambda world: pytest.fail("who asked for it has gone"))
    assert waiting.cancel()
    assert began.wait(5.0) and not running.cancel() and done.wait(5.0)
    at = session.world.step
    while subscription.get(5.0).step <= at + 2:
        pass


def test_a_failing_step_is_told_to_all_who_watch(play):
    session, subscription = play(FakeEngine(fail_at=3))
    with pytest.raises(SessionEnded, match="the model drew NaN") as caught:
        collect(subscription, 100)
    assert isinstance(caught.value.__cause__, ArithmeticError)
    with pytest.raises(SessionEnded):
        session.between_steps(lambda world: None)
    late = session.subscribe()
    assert late.take() is not None
    with pytest.raises(SessionEnded):
        late.take()


def test_closing_ends_threads_and_subscriptions():
    session = Session(FakeEngine(0.05), cast(Any, fake_world()))
    subscription = session.subscribe()
    session.start()
    subscription.get(5.0)
    session.close(5.0)
    assert not [t for t in threading.enumerate() if t.name.startswith("perdure-")]
    with pytest.raises(SessionEnded, match="closed"):
        collect(subscription, 20)


def test_sessions_that_share_an_engine_take_turns(play):
    inside: list[int] = []

    class Watched(FakeEngine):
        def step(self, world, action, cache, store=None):
            inside.append(1)
            try:
                assert len(inside) == 1
                return super().step(world, action, cache, store)
            finally:
                inside.pop()

    engine, turn = Watched(0.02), threading.Lock()
    watching = [play(engine, turn=turn)[1] for _ in range(3)]
    for subscription in watching:
        assert collect(subscription, 12)[-1].step == 2
