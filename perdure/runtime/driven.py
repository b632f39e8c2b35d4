"""A session that another thread drives: it begins worlds and steps them, while people may watch.

What the driver asks for goes in where a session asks its agent. What came of it goes back as soon as
the engine made it, so the driver thinks about it while it is shown.

    driver: step(action)  ->  session: agent, then engine.step  ->  driver: world, frames
                                            └─> shown, at the session's own pace
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from queue import Empty, SimpleQueue
from typing import Any

from perdure.runtime.session import Frames, Session, SessionEnded, Stepper
from perdure.world.action import Action
from perdure.world.state import World
from perdure.world.store import Store

LISTEN = 0.5  # seconds after which it is looked whether the session still lives


class Driven:
    """Drives a session of its own, whose first world is the first that is begun. For one thread at a time."""

    def __init__(
        self, engine: Stepper, cache: Any, store: Store | None = None, turn: AbstractContextManager[Any] | None = None
    ) -> None:
        self._stage = _Stage(engine, cache)
        self._store, self._turn = store, turn
        self._session: Session | None = None
        self._asked = 0  # how often: who is interrupted while it waits must not get that answer to its next question

    @property
    def session(self) -> Session:
        if self._session is None:
            raise ValueError("expected a world to be begun before its session is asked for")
        return self._session

    def begin(self, world: World, frames: Frames) -> None:
        """Go on from this world, which is open, and of which these frames are shown first."""
        self._stage.begun = world, frames
        if self._session is None:
            self._session = Session(self._stage, world, self._store, agent=self._stage.ask, turn=self._turn)
            self._session.start()
        else:
            self._ask(world)
        self._made()

    def step(self, action: Action) -> tuple[World, Frames]:
        """A step further, when its time has come. Raises `SessionEnded` if the session failed."""
        self._ask(action)
        return self._made()

    def close(self) -> None:
        """End the session, once all that was made has been shown."""
        if self._session is None:
            return
        last = self._session.subscribe(1)
        self._ask(None)
        with suppress(SessionEnded, TimeoutError):
            while True:
                last.get(2.0)
        self._session.close()

    def _ask(self, what: Action | World | None) -> None:
        self._asked += 1
        self._stage.asked.put((self._asked, what))

    def _made(self) -> tuple[World, Frames]:
        while True:
            with suppress(Empty):
                number, made = self._stage.made.get(timeout=LISTEN)
                if number == self._asked:
                    return made
            if self.session.ended is not None:
                raise self.session.ended


class _Stage:
    """What the session takes for its agent (`ask`) and for its engine."""

    def __init__(self, engine: Stepper, cache: Any) -> None:
        self._engine, self._cache = engine, cache
        self.begun: tuple[World, Frames] | None = None
        self.asked: SimpleQueue[tuple[int, Action | World | None]] = SimpleQueue()
        self.made: SimpleQueue[tuple[int, tuple[World, Frames]]] = SimpleQueue()
        self._number = 0  # of what was asked last; the first world is begun unasked

    @property
    def timings(self) -> Mapping[str, float]:
        return self._engine.timings

    def ask(self, world: World, frames: Frames | None) -> Action | World:
        self._number, asked = self.asked.get()
        if asked is None:
            raise SessionEnded("its driver has done")
        return asked

    def open(self, world: World, store: Store | None = None) -> tuple[World, Any, Frames]:
        assert self.begun is not None
        self.made.put((self._number, self.begun))
        return self.begun[0], self._cache, self.begun[1]

    def step(self, world: World, action: Action, cache: Any, store: Store | None = None) -> tuple[World, Frames]:
        made = self._engine.step(world, action, cache, store)
        self.made.put((self._number, made))
        return made
