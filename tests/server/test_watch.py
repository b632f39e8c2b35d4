"""Watching what another drives, with a real client over a real socket."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from websockets.sync.client import ClientConnection, connect

from perdure.runtime.driven import Driven
from perdure.runtime.session import Frame
from perdure.server import protocol
from perdure.server.video import JpegEncoder
from perdure.server.watch import Watch
from perdure.world.action import Action, Keys
from tests.server.fake_engine import FakeEngine, fake_world


@pytest.fixture
def run() -> Iterator[tuple[Driven, Watch, FakeEngine]]:
    engine = FakeEngine()
    driven, world = Driven(engine, {"steps": 0}), fake_world("garden")
    driven.begin(world, engine._frames(world))  # type: ignore[arg-type]
    watch = Watch(driven.session, "garden", port=0)
    yield driven, watch, engine
    driven.close()
    watch.close()


@contextmanager
def page(watch: Watch) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{watch.port}/ws", proxy=None) as client:
        say(client, type="hello", version=protocol.VERSION)
        say(client, type="open", world="garden")
        yield client


def say(client: ClientConnection, **message: Any) -> None:
    client.send(json.dumps(message))


def hear(client: ClientConnection) -> dict[str, Any] | tuple[protocol.FrameHeader, bytes]:
    """The next message; a frame is acknowledged."""
    message = client.recv(timeout=10)
    if isinstance(message, str):
        return json.loads(message)
    header, jpeg = protocol.decode_frame(message)
    say(client, type="ack", seq=header.seq)
    return header, jpeg


def hear_kind(client: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        message = hear(client)
        if isinstance(message, dict) and message["type"] == kind:
            return message


def test_who_watches_sees_the_bytes_that_the_driver_got(run):
    driven, watch, _ = run
    shown: dict[tuple[int, int], bytes] = {}
    seen: dict[tuple[int, int], bytes] = {}
    with page(watch) as client:
        hear_kind(client, "opened")

        def look() -> None:
            while (6, 3) not in seen:
                if isinstance(message := hear(client), tuple):
                    seen[message[0].step, message[0].index] = message[1]

        looking = threading.Thread(target=look)
        looking.start()
        for _ in range(6):
            world, frames = driven.step(Action(Keys.FORWARD, turn=0.2))
            for i, rgb in enumerate(frames):
                shown[world.step, i] = JpegEncoder()(Frame(0, 0, 0, False, rgb, np.eye(4), {}, {}, 0.0))
        looking.join(20.0)
    both = shown.keys() & seen.keys()
    assert len(both) >= 12  # of 24: a page that is too slow loses frames, and the machine may be busy
    assert all(shown[at] == seen[at] for at in both)


def test_a_page_moves_nothing_and_stops_nothing(run):
    driven, watch, engine = run
    with page(watch) as client:
        hear_kind(client, "opened")
        say(client, type="input", keys=int(Keys.FORWARD), turn=0.3, tilt=0.0, time=1.0)
        say(client, type="pause")
        assert hear_kind(client, "status")["paused"] is False
        before = driven.session.world.motion.cameras[-1]
        for _ in range(3):
            world, _ = driven.step(Action())
        assert np.array_equal(world.motion.cameras[-1], before)
    time.sleep(0.3)
    world, _ = driven.step(Action())  # though nobody watches any more
    assert world.step == 4
    with page(watch) as client:
        opened = hear_kind(client, "opened")
        assert (opened["step"], opened["driven"]) == (4, True)


def test_it_shows_one_world_alone(run):
    driven, watch, _ = run
    with page(watch) as client:
        hear_kind(client, "opened")
        say(client, type="open", world="other")
        assert "alone" in hear_kind(client, "error")["came"]
        say(client, type="new", name="other", scene="court", seed=1)
        assert hear_kind(client, "error")["code"] == "refused"
    with urlopen(f"http://127.0.0.1:{watch.port}/api/worlds", timeout=10) as answer:
        assert [world["name"] for world in json.load(answer)] == ["garden"]


def test_the_end_of_a_run_is_told(run):
    driven, watch, _ = run
    with page(watch) as client:
        hear_kind(client, "opened")
        driven.step(Action())
        driven.close()
        assert hear_kind(client, "left")["world"] == "garden"


def test_a_port_that_is_taken(run):
    driven, _, _ = run
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ValueError, match="another port"):
        Watch(driven.session, "garden", taken.getsockname()[1])
