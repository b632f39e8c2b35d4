"""Rooms: the worlds that are being played now. Viewers of one world share its room, and so its session."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from perdure.runtime.session import Session, Stepper
from perdure.server import protocol
from perdure.server.map import SmallMap
from perdure.server.video import JpegEncoder
from perdure.world.state import World
from perdure.world.store import MAIN, Store

log = logging.getLogger(__name__)

Report = Callable[[str, float], None]
"""Called with a stage in words and how far the whole has come, 0 to 1; from any thread."""


class Keeper(Protocol):
    """What the server asks of whoever keeps the worlds. All may block; users' mistakes raise `ValueError`."""

    def list(self) -> Sequence[protocol.WorldInfo]: ...

    def open(self, name: str, report: Report) -> tuple[Stepper, World, Store | None] | Session:
        """What a session is made of, or one that plays already: it is shown, and goes on when nobody watches."""
        ...

    def close(self, world: World) -> None: ...

    def new(self, name: str, scene: str, seed: int) -> str:
        """Make a world; the name that it is opened by."""
        ...

    def fork(self, world: World, name: str) -> str:
        """Fork a world that is open, as it is now; the name that the fork is opened by."""
        ...


class Recording(Protocol):
    """What keeps a session as it is shown, until that ends; `tape.Tape` is one."""

    def join(self) -> None:
        """Wait until all is kept."""
        ...


Record = Callable[[Session, str], Recording]
"""Begins to keep a session, before it starts, of a world of this name."""


class Busy(RuntimeError):
    """As many worlds are being played as this server is set to play."""


@dataclass(eq=False)
class _Place:
    """A name that is taken: by a room, by one that is being opened, or by one that is being closed."""

    viewers: int = 0
    reports: list[Report] = field(default_factory=list)
    opening: "asyncio.Task[Room] | None" = None
    leaving: asyncio.Task[None] | None = None
    closing: bool = False  # past the point where a new viewer could still keep it open


class Room:
    """One world being played. `own`: the session is this room's, and rests and ends with it."""

    def __init__(
        self, name: str, session: Session, place: _Place, own: bool = True, tape: Recording | None = None
    ) -> None:
        self.name, self.session, self.own, self.tape = name, session, own, tape
        self.jpeg = JpegEncoder()
        self._place = place
        self._map = SmallMap()
        self._mapping = asyncio.Lock()

    @property
    def viewers(self) -> int:
        return self._place.viewers

    async def small_map(self) -> protocol.Map | None:
        """The map by now; the same object until there is more to show."""
        async with self._mapping:
            return await asyncio.to_thread(self._map.picture, self.session.world.geometry.keyframes)


class Rooms:
    """At most `limit` rooms. A room without viewers is paused, and closed after `linger` seconds."""

    def __init__(self, keeper: Keeper, limit: int, linger: float, record: Record | None = None) -> None:
        """`record` keeps sessions as they are shown."""
        self._keeper, self._limit, self._linger, self._record = keeper, limit, linger, record
        self._places: dict[str, _Place] = {}
        self._turns: dict[int, threading.Lock] = {}  # by id of an engine; engines live as long as the server

    def __iter__(self) -> Iterator[Room]:
        for place in self._places.values():
            if (
                place.opening
                and place.opening.done()
                and not place.opening.cancelled()
                and not place.opening.exception()
            ):
                yield place.opening.result()

    async def enter(self, name: str, report: Report) -> Room:
        """The room of a world, opened if need be. Raises `Busy`, or what the keeper raised."""
        name = name.removesuffix(f"/{MAIN}")  # which a world's own name means: two rooms would write to one branch
        while (over := self._in_the_way(name)) is not None:
            await self._shut(*over, linger=0.0)
        place = self._places.get(name)
        if place is None:
            if len(self._places) >= self._limit:
                raise Busy(f"expected at most {self._limit} worlds at once, and all are being played")
            place = self._places[name] = _Place()
            place.opening = asyncio.create_task(self._open(name, place))
        assert place.opening is not None
        if place.leaving is not None:
            place.leaving.cancel()
            place.leaving = None
        place.viewers += 1
        place.reports.append(report)
        try:
            room = await asyncio.shield(place.opening)
        except BaseException:
            self._go(name, place)
            raise
        finally:
            place.reports.remove(report)
        if room.viewers == 1 and room.own:
            room.session.resume()
        return room

    def leave(self, room: Room) -> None:
        self._go(room.name, room._place)
        if not room.viewers and room.own:
            room.session.pause()

    async def close(self) -> None:
        """Close every room now."""
        await asyncio.gather(*(self._shut(name, place, linger=0.0) for name, place in self._places.items()))

    def _in_the_way(self, name: str) -> tuple[str, _Place] | None:
        """A place that must be closed before a world can be entered: its own that is over, or one that is idle."""
        place = self._places.get(name)
        if place is not None:
            return (name, place) if self._is_over(place) else None
        if len(self._places) < self._limit:
            return None
        return next((item for item in self._places.items() if not item[1].viewers), None)

    @staticmethod
    def _is_over(place: _Place) -> bool:
        if place.closing or place.opening is None or not place.opening.done():
            return place.closing
        return bool(place.opening.exception() or place.opening.result().session.ended)

    async def _open(self, name: str, place: _Place) -> Room:
        loop = asyncio.get_running_loop()

        def tell(stage: str, fraction: float) -> None:
            for report in list(place.reports):
                report(stage, fraction)

        def report(stage: str, fraction: float) -> None:
            loop.call_soon_threadsafe(tell, stage, fraction)

        opened = await asyncio.to_thread(self._keeper.open, name, report)
        if isinstance(opened, Session):
            return Room(name, opened, place, own=False)
        engine, world, store = opened
        session = Session(engine, world, store, turn=self._turns.setdefault(id(engine), threading.Lock()))
        try:
            tape = None if self._record is None else await asyncio.to_thread(self._record, session, name)
        except BaseException:
            await asyncio.to_thread(self._keeper.close, world)
            raise
        if not place.viewers:  # all left while it opened
            session.pause()
        session.start()
        return Room(name, session, place, tape=tape)

    def _go(self, name: str, place: _Place) -> None:
        place.viewers -= 1
        if not place.viewers:
            self._shut(name, place, self._linger)

    def _shut(self, name: str, place: _Place, linger: float) -> asyncio.Future[None]:
        """Begin to close a place, anew if it is only lingering; done when it is closed."""
        if place.leaving is None or not place.closing:
            if place.leaving is not None:
                place.leaving.cancel()
            place.closing = not linger
            place.leaving = asyncio.create_task(self._close(name, place, linger))
        return asyncio.shield(place.leaving)

    async def _close(self, name: str, place: _Place, linger: float) -> None:
        assert place.opening is not None
        await asyncio.wait([place.opening])
        if place.opening.exception() is None:
            room = place.opening.result()
            if room.session.ended is None:
                await asyncio.sleep(linger)
            place.closing = True
            try:
                if room.own:
                    await asyncio.to_thread(room.session.close)
                    if room.tape is not None:
                        await asyncio.to_thread(room.tape.join)
                    await asyncio.to_thread(self._keeper.close, room.session.world)
            except Exception:
                log.exception("closing %s failed; what was promised durable is", name)
        del self._places[name]
