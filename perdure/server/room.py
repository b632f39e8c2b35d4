"""Rooms: the worlds that are being played now. Viewers of one world share its room, and so its session."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perdure.runtime.session import Session, Stepper
from perdure.server import protocol
from perdure.server.map import SmallMap
from perdure.server.video import JpegEncoder

if TYPE_CHECKING:
    from perdure.world.state import World

log = logging.getLogger(__name__)

Report = Callable[[str, float], None]
"""Called with a stage in words and how far the whole has come, 0 to 1; from any thread."""


@dataclass(frozen=True)
class Keeper:
    """What the server asks of whoever keeps the worlds. All may block; users' mistakes raise `ValueError`."""

    open: "Callable[[str, Report], tuple[Stepper, World]]"
    close: "Callable[[World], None]"
    list: Callable[[], list[protocol.WorldInfo]]
    new: Callable[[str, str, int], None]  # name, scene, seed
    fork: "Callable[[World, str], None]"  # the world as it is now, the new name


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
    """One world being played."""

    def __init__(self, name: str, session: Session, place: _Place) -> None:
        self.name, self.session = name, session
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

    def __init__(self, keeper: Keeper, limit: int, linger: float) -> None:
        self._keeper, self._limit, self._linger = keeper, limit, linger
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
        while (place := self._places.get(name)) and self._is_over(place):
            self._shut(name, place, linger=0.0)
            assert place.leaving is not None
            await asyncio.shield(place.leaving)
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
        if room.viewers == 1:
            room.session.resume()
        return room

    def leave(self, room: Room) -> None:
        self._go(room.name, room._place)
        if not room.viewers:
            room.session.pause()

    async def close(self) -> None:
        """Close every room now."""
        places = list(self._places.items())
        for name, place in places:
            self._shut(name, place, linger=0.0)
        await asyncio.gather(*(place.leaving for _, place in places if place.leaving), return_exceptions=True)

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

        engine, world = await asyncio.to_thread(self._keeper.open, name, report)
        session = Session(engine, world, turn=self._turns.setdefault(id(engine), threading.Lock()))
        session.start()
        return Room(name, session, place)

    def _go(self, name: str, place: _Place) -> None:
        place.viewers -= 1
        if not place.viewers:
            self._shut(name, place, self._linger)

    def _shut(self, name: str, place: _Place, linger: float) -> None:
        if place.closing:
            return
        if place.leaving is not None:
            place.leaving.cancel()
        place.closing = not linger
        place.leaving = asyncio.create_task(self._close(name, place, linger))

    async def _close(self, name: str, place: _Place, linger: float) -> None:
        assert place.opening is not None
        await asyncio.wait([place.opening])
        if place.opening.exception() is None:
            room = place.opening.result()
            if room.session.ended is None:
                await asyncio.sleep(linger)
            place.closing = True
            try:
                await asyncio.to_thread(room.session.close)
                await asyncio.to_thread(self._keeper.close, room.session.world)
            except Exception:
                log.exception("closing %s failed; what was promised durable is", name)
        del self._places[name]
