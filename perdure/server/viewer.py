"""One viewer: a WebSocket, and at most one world that is watched and played through it.

At most two frames are in flight: sent, and not yet acknowledged by the page. A viewer that is slower
than the world loses frames, the oldest first; it never falls behind.
"""

import asyncio
import logging
import re
import time
import uuid
from collections import deque
from typing import assert_never

from starlette.websockets import WebSocket, WebSocketDisconnect

from perdure.camera import yaw_pitch
from perdure.runtime.session import Frame, SessionEnded, Subscription
from perdure.server import protocol
from perdure.server.offers import offers, told
from perdure.server.room import Busy, Keeper, Room, Rooms
from perdure.world.action import FRAMES_PER_SECOND

log = logging.getLogger(__name__)

IN_FLIGHT = 2
QUEUE = 2  # frames that wait for acknowledgements of those before
STATUS_EVERY = 0.5  # seconds
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")  # also a folder's name


class Viewer:
    def __init__(self, socket: WebSocket, rooms: Rooms, keeper: Keeper, scenes: list[str]) -> None:
        self._socket, self._rooms, self._keeper, self._scenes = socket, rooms, keeper, scenes
        self._id = uuid.uuid4().hex  # this viewer's hand in the session's inbox
        self._room: Room | None = None
        self._called = ""  # what the page calls its world: a room has one name, a world's main branch two
        self._frames: Subscription | None = None
        self._opening: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._outbox: asyncio.Queue[protocol.FromServer] = asyncio.Queue()  # what must keep its order
        self._in_flight: deque[int] = deque()
        self._seq = 0
        self._map_shown: protocol.Map | None = None
        self._step_told = -1  # the last one that this viewer knows of what hands did in it
        self._offers: list[protocol.Offer] = []
        self._welcome = True  # False once the page turned out to speak another version

    async def serve(self) -> None:
        """Until the page goes away."""
        await self._socket.accept()
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._send(
                    protocol.Welcome(version=protocol.VERSION, worlds=await self._list(), scenes=self._scenes)
                )
                loops = [
                    tasks.create_task(loop) for loop in (self._send_frames(), self._send_status(), self._send_outbox())
                ]
                while self._welcome and (data := await self._receive()) is not None:
                    await self._handle(data, tasks)
                for task in loops:
                    task.cancel()
                self._stop_watching()
        except* WebSocketDisconnect:
            log.debug("viewer %s went away while something was being sent", self._id)
        finally:
            self._stop_watching()

    # Receiving

    async def _receive(self) -> str | bytes | None:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        return message.get("text") or message.get("bytes") or b""

    async def _handle(self, data: str | bytes, tasks: asyncio.TaskGroup) -> None:
        try:
            message = protocol.decode(data)
        except ValueError as error:
            await self._complain("bad-message", "a message of the protocol", str(error), "reload the page")
            return
        match message:
            case protocol.Hello(version=version):
                if version != protocol.VERSION:
                    came = f"version {version}"
                    await self._complain("version", f"protocol version {protocol.VERSION}", came, "reload the page")
                    await self._socket.close(4000, "version")
                    self._welcome = False
            case protocol.Open(world=name):
                self._stop_watching()
                self._opening = tasks.create_task(self._open(name))
            case protocol.Leave():
                if self._room is not None:
                    self._stop_watching()
                    await self._send(protocol.Left(world=self._called))
                self._stop_watching()
                await self._send(protocol.Worlds(worlds=await self._list()))
            case protocol.New(name=name, scene=scene, seed=seed):
                await self._new(name, scene, seed)
            case protocol.Ack(seq=seq):
                while self._in_flight and self._in_flight[0] <= seq:
                    self._in_flight.popleft()
                self._wake.set()
            case protocol.Input() | protocol.Say() | protocol.Pause() | protocol.Resume() | protocol.Fork():
                await self._play(message)
            case _:
                assert_never(message)

    async def _play(
        self, message: protocol.Input | protocol.Say | protocol.Pause | protocol.Resume | protocol.Fork
    ) -> None:
        """What only makes sense while a world is open."""
        if self._room is None:
            if self._opening is None:  # input that came while a world opens is no mistake
                came = f"{type(message).__name__.lower()} without one"
                await self._complain("not-open", "an open world", came, "open a world first")
            return
        session = self._room.session
        match message:
            case protocol.Input(keys=keys, turn=turn, tilt=tilt, time=when, hand=hand):
                try:
                    session.inbox.put(keys, turn, tilt, when, self._id, hand)
                except ValueError as error:
                    await self._complain("bad-message", "input that a hand can make", str(error), "reload the page")
            case protocol.Say(text=text):
                try:
                    session.inbox.say(text, sender=self._id)
                except ValueError as error:
                    await self._complain("refused", "words", str(error), "say it in fewer words, or a little later")
            case protocol.Pause():
                if self._room.own:  # who drives another's is not to wait for who watches
                    session.pause()
                await self._send_figures(self._room)
            case protocol.Resume():
                if self._room.own:
                    session.resume()
                await self._send_figures(self._room)
            case protocol.Fork(name=name):
                await self._fork(self._room, name)

    # Worlds

    async def _list(self) -> list[protocol.WorldInfo]:
        try:
            return list(await asyncio.to_thread(self._keeper.list))
        except ValueError as error:  # a damaged folder must not keep the page from the other verbs
            await self._complain("refused", "worlds that can be read", str(error), "mend that folder, or move it away")
            return []

    async def _open(self, name: str) -> None:
        loop = asyncio.get_running_loop()

        def report(stage: str, fraction: float) -> None:
            self._outbox.put_nowait(protocol.Progress(stage=stage, fraction=fraction))

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        try:
            self._room, self._called = await self._rooms.enter(name, report), name
        except Busy as error:
            await self._complain("busy", "a free place on this server", str(error), "try again in a little while")
        except ValueError as error:
            await self._complain("no-world", "a world that can be opened", str(error), "choose another, or make one")
        except Exception as error:
            log.exception("opening %s failed", name)
            await self._complain(
                "failed", "the world to open", f"{type(error).__name__}: {error}", "see the server's log"
            )
        else:
            step = self._room.session.world.step
            driven, rate = not self._room.own, FRAMES_PER_SECOND
            self._outbox.put_nowait(protocol.Opened(world=name, step=step, frames_per_second=rate, driven=driven))
            await self._outbox.join()
            self._map_shown = None
            self._step_told, self._offers = -1, []
            self._in_flight.clear()
            self._frames = self._room.session.subscribe(QUEUE, wake)
        finally:
            if self._opening is asyncio.current_task():
                self._opening = None

    def _stop_watching(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._room is not None:
            room, self._room = self._room, None
            room.session.inbox.leave(self._id)
            if self._frames is not None:
                room.session.unsubscribe(self._frames)
                self._frames = None
            self._rooms.leave(room)

    async def _new(self, name: str, scene: str, seed: int) -> None:
        if scene not in self._scenes:
            await self._complain("refused", f"one of {', '.join(self._scenes)}", repr(scene), "choose another scene")
        elif await self._is_name(name):
            try:
                made = await asyncio.to_thread(self._keeper.new, name, scene, seed)
            except ValueError as error:
                await self._complain("refused", "a world that can be made", str(error), "change what was asked for")
                return
            await self._send(protocol.Created(world=made, parent=None))
            await self._send(protocol.Worlds(worlds=await self._list()))

    async def _fork(self, room: Room, name: str) -> None:
        if await self._is_name(name):
            try:
                forking = room.session.between_steps(lambda world: self._keeper.fork(world, name))
                made = await asyncio.wrap_future(forking)
            except (ValueError, SessionEnded) as error:
                await self._complain("refused", "a world that can be forked", str(error), "choose another name")
                return
            await self._send(protocol.Created(world=made, parent=room.name))
            await self._send(protocol.Worlds(worlds=await self._list()))

    async def _is_name(self, name: str) -> bool:
        if NAME.fullmatch(name):
            return True
        rule = "a name of up to 48 small letters, digits, - and _"
        await self._complain("refused", rule, repr(name[:60]), "choose another name")
        return False

    # Sending

    async def _send(self, message: protocol.FromServer) -> None:
        await self._socket.send_text(protocol.encode(message))

    async def _complain(self, code: str, expected: str, came: str, todo: str) -> None:
        await self._send(protocol.Error(code=code, expected=expected, came=came, todo=todo))

    async def _send_outbox(self) -> None:
        while True:
            await self._send(await self._outbox.get())
            self._outbox.task_done()

    async def _send_frames(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (room := self._room) and (frames := self._frames) and len(self._in_flight) < IN_FLIGHT:
                try:
                    frame = frames.take()
                except SessionEnded as ended:
                    if ended.__cause__ is not None:
                        log.error("the session of %s ended", room.name, exc_info=ended.__cause__)
                    self._stop_watching()
                    await self._complain(
                        "failed", "the next frame", str(ended), "open the world again: nothing was lost"
                    )
                    await self._send(protocol.Left(world=self._called))
                    break
                if frame is None:
                    break
                await self._send_frame(room, frame, frames.waiting)

    async def _send_frame(self, room: Room, frame: Frame, queued: int) -> None:
        began = time.perf_counter()
        jpeg = room.jpeg(frame)
        now = time.perf_counter()
        self._seq += 1
        self._in_flight.append(self._seq)
        yaw, _ = yaw_pitch(frame.camera)
        header = protocol.FrameHeader(
            seq=self._seq,
            step=frame.step,
            index=frame.index,
            new=not frame.replayed,
            echo=frame.echoes.get(self._id),
            queued=queued,
            in_flight=len(self._in_flight),
            x=float(frame.camera[0, 3]),
            y=float(frame.camera[1, 3]),
            yaw=yaw,
            stages={**frame.stages, "jpeg": 1e3 * (now - began), "held": 1e3 * (now - frame.made)},
        )
        await self._socket.send_bytes(protocol.encode_frame(header, jpeg))
        if room.own and frame.step != self._step_told:  # who watches another's has no hands here
            self._step_told = frame.step
            await self._send_offers(room, frame)

    async def _send_offers(self, room: Room, frame: Frame) -> None:
        """What came of what hands did in this step, and what they can do after it."""
        world = room.session.world
        if not frame.replayed:
            for text in told(frame.notes, world.entities):
                await self._send(protocol.Told(text=text))
        now = offers(world)
        if now != self._offers:
            self._offers = now
            await self._send(protocol.Offers(offers=now))

    async def _send_status(self) -> None:
        while True:
            await asyncio.sleep(STATUS_EVERY)
            if room := self._room:
                await self._send_figures(room)
                shown = await room.small_map()
                if shown is not None and shown is not self._map_shown and room is self._room:
                    self._map_shown = shown
                    await self._send(shown)

    async def _send_figures(self, room: Room) -> None:
        figures = room.session.figures()
        await self._send(
            protocol.Status(
                paused=figures.paused,
                viewers=room.viewers,
                step=figures.step,
                frames_per_second=figures.frames_per_second,
                step_ms=figures.step_ms,
                stalls=figures.stalls,
                dropped=self._frames.dropped if self._frames else 0,
                keyframes=len(room.session.world.geometry.keyframes),
            )
        )
