"""A session: one world being played, on threads of its own. It knows no network.

Two threads. The first steps the engine, a chunk at a time. The second publishes the frames of the
chunk before, one by one and evenly spaced, so drawing the next chunk and showing the last overlap.
A chunk is begun when the one before it starts to be shown, and as late as will still be in time:
every millisecond that a step waits is a millisecond that the player's hand may still change it.

    inbox.put(...)  ->  step thread: engine.step  ->  one chunk waits  ->  pace thread  ->  subscriptions

Shapes: T frames in a chunk, H height, W width.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from perdure.runtime.inbox import Inbox
from perdure.world.action import FRAMES_PER_SECOND, Action
from perdure.world.history import Note
from perdure.world.state import World
from perdure.world.store import Store

Frames = NDArray[np.uint8]
Agent = Callable[[World, Frames | None], Action | World]
"""Who acts: given the world and its last frames (None before the first step of a new world), the next action. One may
answer with another world to go on from, and one that has done raises `SessionEnded`."""
Result = TypeVar("Result")

PERIOD = 1.0 / FRAMES_PER_SECOND
RECENT = 8  # steps that the pace is judged by: a slow one is forgotten within two seconds
MARGIN = 0.006  # seconds that a step is begun early, over the slowest of the recent ones


class Stepper(Protocol):
    """What a session asks of an engine."""

    @property
    def timings(self) -> Mapping[str, float]: ...

    def open(self, world: World, store: Store | None = None) -> tuple[World, Any, Frames | None]: ...

    def step(self, world: World, action: Action, cache: Any, store: Store | None = None) -> tuple[World, Frames]: ...


class SessionEnded(RuntimeError):
    """No more frames will come. `__cause__` is the error that ended the session, or None if it was closed."""


@dataclass(frozen=True, eq=False)
class Frame:
    seq: int  # counts the frames that this session published
    step: int  # world.step after the chunk that it belongs to
    index: int  # place in its chunk
    replayed: bool  # True for the frames that were already there when the world was opened
    rgb: Frames  # (H, W, 3)
    camera: NDArray[np.float64]  # (4, 4) camera to world
    echoes: Mapping[str, float]  # sender -> its newest timestamp among the input that this frame has applied
    stages: Mapping[str, float]  # stage -> milliseconds, of the step that made it
    made: float  # perf_counter when its step ended
    notes: tuple[Note, ...] = ()  # what hands did in its chunk, and what was refused


@dataclass(frozen=True, eq=False)
class _Chunk:
    step: int
    replayed: bool
    frames: Frames  # (T, H, W, 3)
    cameras: NDArray[np.float64]  # (T, 4, 4)
    echoes: Mapping[str, float]
    stages: Mapping[str, float]
    made: float
    notes: tuple[Note, ...]


class Subscription:
    """One watcher's own queue of frames. When it is full the oldest frame is dropped, never the session's pace.

    `notify` is called (on the session's threads) whenever there is something to take; it must not block.
    """

    def __init__(self, size: int, notify: Callable[[], None] | None = None) -> None:
        if size < 1:
            raise ValueError(f"expected a queue of at least one frame, got {size}")
        self._frames: deque[Frame] = deque(maxlen=size)
        self._changed = threading.Condition()
        self._notify = notify
        self._ended: SessionEnded | None = None
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Frames that wait to be taken."""
        return len(self._frames)

    def take(self) -> Frame | None:
        """The oldest frame that waits, or None. Raises `SessionEnded` once all were taken and none will come."""
        with self._changed:
            if self._frames:
                return self._frames.popleft()
            if self._ended is not None:
                raise self._ended
            return None

    def get(self, timeout: float) -> Frame:
        """As `take`, but waits; raises `TimeoutError` when nothing came within `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._ended, timeout)
        frame = self.take()
        if frame is None:
            raise TimeoutError(f"expected a frame within {timeout} s, none came; is the session paused?")
        return frame

    def _put(self, frame: Frame) -> None:
        with self._changed:
            self.dropped += len(self._frames) == self._frames.maxlen
            self._frames.append(frame)
            self._changed.notify_all()
        if self._notify:
            self._notify()

    def _end(self, reason: SessionEnded) -> None:
        with self._changed:
            self._ended = reason
            self._changed.notify_all()
        if self._notify:
            self._notify()


@dataclass(frozen=True)
class Figures:
    """How a session is doing."""

    step: int
    published: int
    dropped: int  # by all the watchers together
    frames_per_second: float  # at which the last frames were published
    step_ms: float  # median of the recent steps
    stalls: int  # chunks that came too late for an even pace
    paused: bool
    stages: Mapping[str, float] = field(default_factory=dict)


class Session:
    """Plays one world until it is closed. With a store, every step is in it before its frames are seen.

    `agent`, if given, acts in place of the inbox. `turn` is held while the engine works: sessions that
    share an engine share one. `subscribe` before `start` to see every frame.
    """

    def __init__(
        self,
        engine: Stepper,
        world: World,
        store: Store | None = None,
        *,
        agent: Agent | None = None,
        turn: AbstractContextManager[Any] | None = None,
    ) -> None:
        self.inbox = Inbox()
        self.world = world  # the newest durable state; a frozen value, so reading it needs no lock
        self._engine, self._store = engine, store
        self._agent = agent
        self._turn = turn or threading.Lock()
        self._cache: Any = None  # the step thread's own, as are the frames
        self._frames: Frames | None = None
        self._changed = threading.Condition()  # guards all that follows
        self._waiting: _Chunk | None = None  # made, and not yet begun to be shown
        self._jobs: deque[tuple[Callable[[Any], Any], Future[Any]]] = deque()
        self._paused = False
        self._closing = False
        self._stepped_out = False  # the step thread has ended
        self._cause: BaseException | None = None
        self._ended: SessionEnded | None = None
        self._subscriptions: list[Subscription] = []
        self._costs: deque[float] = deque(maxlen=RECENT)  # seconds of the recent steps
        self._shown: deque[float] = deque(maxlen=2 * FRAMES_PER_SECOND)  # when the last frames were published
        self._next_due = 0.0  # when the chunk that is being shown ends
        self._last: Frame | None = None
        self._seq = self._dropped = self._stalls = 0
        self._threads = [
            threading.Thread(target=self._step_loop, name="perdure-step", daemon=True),
            threading.Thread(target=self._pace_loop, name="perdure-pace", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def subscribe(self, size: int = 2, notify: Callable[[], None] | None = None) -> Subscription:
        """Frames from now on, beginning with the last one shown: a paused world is seen as well."""
        subscription = Subscription(size, notify)
        with self._changed:
            if self._last is not None:
                subscription._put(self._last)
            if self._ended is not None:
                subscription._end(self._ended)
            self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        with self._changed:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
                self._dropped += subscription.dropped

    @property
    def ended(self) -> SessionEnded | None:
        """Why no more frames will come; None while they do."""
        return self._ended

    def pause(self) -> None:
        """Begin no more steps. What was made is still shown, so the picture rests where the world does."""
        with self._changed:
            self._paused = True
            self._changed.notify_all()

    def resume(self) -> None:
        with self._changed:
            if self._paused:
                self.inbox.rest()
                self._paused = False
                self._changed.notify_all()

    def between_steps(self, job: Callable[[World], Result]) -> Future[Result]:
        """Run `job(world)` on the step's thread while no step runs: to fork, to save, to look closely."""
        future: Future[Result] = Future()
        with self._changed:
            if self._closing or self._stepped_out:
                raise SessionEnded("expected a session that plays, this one has ended; open the world again")
            self._jobs.append((job, future))
            self._changed.notify_all()
        return future

    def figures(self) -> Figures:
        with self._changed:
            shown, costs = list(self._shown), sorted(self._costs)
            rate = (len(shown) - 1) / (shown[-1] - shown[0]) if len(shown) > 1 else 0.0
            dropped = self._dropped + sum(s.dropped for s in self._subscriptions)
            stages = self._last.stages if self._last else {}
            step_ms = 1e3 * costs[len(costs) // 2] if costs else 0.0
            return Figures(self.world.step, self._seq, dropped, rate, step_ms, self._stalls, self._paused, stages)

    def close(self, timeout: float = 30.0) -> None:
        """Finish the step that runs and end. `world` is then the state as it was left."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout)
                if thread.is_alive():
                    raise TimeoutError(f"expected {thread.name} to end within {timeout} s, it still runs")
        self._tell_the_end()

    # The step thread

    def _step_loop(self) -> None:
        try:
            self._open(self.world)
            while task := self._next_task():
                task()
        except SessionEnded:
            pass  # its agent has done
        except BaseException as error:  # whatever it was, those who watch must hear of it
            self._cause = error
        finally:
            with self._changed:
                self._stepped_out = True
                jobs, self._jobs = self._jobs, deque()
                self._changed.notify_all()
            for _, future in jobs:
                if future.set_running_or_notify_cancel():
                    future.set_exception(SessionEnded("the session ended before this could be done"))

    def _open(self, world: World) -> None:
        with self._turn:
            self.world, self._cache, self._frames = self._engine.open(world, self._store)
        if self._frames is not None:
            self._hand_over(self._frames, {}, {}, (), replayed=True)

    def _next_task(self) -> Callable[[], None] | None:
        """Wait until there is something to do: a job that was asked for, else a step whose time has come."""
        with self._changed:
            while not self._closing:
                if self._jobs:
                    job, future = self._jobs.popleft()
                    return lambda: self._do(job, future)
                if self._paused or self._waiting is not None:
                    self._changed.wait()
                    continue
                begin = self._next_due - max(self._costs, default=1.0) - MARGIN
                if (early := begin - time.perf_counter()) < 0.001:
                    return self._step
                self._changed.wait(early)
            return None

    def _do(self, job: Callable[[Any], Any], future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return  # whoever asked has gone; from here on it cannot be cancelled
        try:
            future.set_result(job(self.world))
        except Exception as error:  # belongs to whoever asked, who finds it in the future
            future.set_exception(error)

    def _step(self) -> None:
        action, echoes = self.inbox.take() if self._agent is None else (self._agent(self.world, self._frames), {})
        if not isinstance(action, Action):
            return self._open(action)
        known = len(self.world.history.events) if action.events else 0
        began = time.perf_counter()
        with self._turn:
            self.world, frames = self._engine.step(self.world, action, self._cache, self._store)
            stages = dict(self._engine.timings)
        cost = time.perf_counter() - began
        with self._changed:
            self._costs.append(cost)
        refused = tuple(
            Note(event.kind, event.actor, event.targets, event.args, verdict=event.verdict)
            for event in (self.world.history.events[known:] if action.events else ())
            if event.kind == "reject"
        )
        self._hand_over(frames, echoes, {**stages, "step": 1e3 * cost}, refused, replayed=False)

    def _hand_over(
        self,
        frames: Frames,
        echoes: Mapping[str, float],
        stages: Mapping[str, float],
        refused: tuple[Note, ...],
        *,
        replayed: bool,
    ) -> None:
        world, self._frames = self.world, frames
        cameras = np.asarray(world.motion.cameras)
        if len(cameras) != len(frames):
            raise ValueError(f"expected a camera for each of {len(frames)} frames of a chunk, got {len(cameras)}")
        now, notes = time.perf_counter(), (*world.motion.notes, *refused)
        chunk = _Chunk(world.step, replayed, frames, cameras, echoes, stages, now, notes)
        with self._changed:
            self._waiting = chunk
            self._changed.notify_all()

    # The pace thread

    def _pace_loop(self) -> None:
        due = 0.0
        while (chunk := self._next_chunk()) is not None:
            interval = self._interval(len(chunk.frames))
            now = time.perf_counter()
            if now > due + 0.25 * interval and due > 0 and not chunk.replayed:
                self._stalls += 1
            due = max(now, due)
            with self._changed:
                self._next_due = due + interval * len(chunk.frames)
                self._changed.notify_all()
            for index in range(len(chunk.frames)):
                if self._closes_before(due):
                    break
                self._publish(chunk, index)
                due += interval
        self._tell_the_end()

    def _closes_before(self, due: float) -> bool:
        """Wait until it is time; True at once if the session closes: nobody waits for the rest then."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closing, max(0.0, due - time.perf_counter()))

    def _next_chunk(self) -> _Chunk | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._stepped_out)
            chunk, self._waiting = self._waiting, None
            self._changed.notify_all()
            return chunk

    def _interval(self, frames: int) -> float:
        """Seconds from frame to frame: 24 a second, or what three of four recent steps keep up with."""
        with self._changed:
            costs = sorted(self._costs)
        return max(PERIOD, costs[3 * (len(costs) - 1) // 4] / frames) if costs else PERIOD

    def _publish(self, chunk: _Chunk, index: int) -> None:
        with self._changed:
            frame = Frame(
                self._seq, chunk.step, index, chunk.replayed, chunk.frames[index], chunk.cameras[index],
                chunk.echoes, chunk.stages, chunk.made, chunk.notes,
            )  # fmt: skip
            self._seq += 1
            self._last = frame
            self._shown.append(time.perf_counter())
            for subscription in self._subscriptions:
                subscription._put(frame)

    def _tell_the_end(self) -> None:
        with self._changed:
            if self._ended is not None:
                return
            if self._cause is None:
                self._ended = SessionEnded("the session was closed")
            else:
                self._ended = SessionEnded(f"the step failed: {type(self._cause).__name__}: {self._cause}")
                self._ended.__cause__ = self._cause
            for subscription in self._subscriptions:
                subscription._end(self._ended)
