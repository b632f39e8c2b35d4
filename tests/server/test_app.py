"""The server over a socket: what a page is told, how worlds are shared, and what happens when things go wrong."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from perdure.runtime.session import Session
from perdure.server import protocol
from tests.server.fake_app import FakeKeeper
from tests.server.fake_engine import FakeEngine


class Page:
    """What a page does, over the test client's socket."""

    def __init__(self, socket) -> None:
        self._socket = socket
        self.heard: list[dict] = []

    def say(self, message: protocol.FromPage) -> None:
        self._socket.send_text(json.dumps(json.loads(protocol._encoder.encode(message))))

    def say_raw(self, text: str) -> None:
        self._socket.send_text(text)

    def hear(self) -> dict | tuple[protocol.FrameHeader, bytes]:
        data = self._socket.receive()
        if data["type"] == "websocket.close":
            raise WebSocketDisconnect(data["code"], data.get("reason"))
        if data.get("bytes"):
            return protocol.decode_frame(data["bytes"])
        message = json.loads(data["text"])
        self.heard.append(message)
        return message

    def hear_until(self, kind: str) -> dict:
        """The next message of this kind; frames on the way are acknowledged."""
        while True:
            message = self.hear()
            if isinstance(message, tuple):
                self.say(protocol.Ack(seq=message[0].seq))
            elif message["type"] == kind:
                return message
            elif message["type"] == "error":
                raise AssertionError(message)

    def frame(self, ack: bool = True) -> tuple[protocol.FrameHeader, bytes]:
        while not isinstance(message := self.hear(), tuple):
            assert message["type"] != "error", message
        if ack:
            self.say(protocol.Ack(seq=message[0].seq))
        return message

    def open(self, world: str = "first") -> dict:
        self.say(protocol.Open(world=world))
        return self.hear_until("opened")


class House:
    def __init__(self, keeper: FakeKeeper, client: TestClient) -> None:
        self.keeper, self.client = keeper, client

    @contextmanager
    def page(self, **headers: str) -> Iterator[Page]:
        with self.client.websocket_connect("/ws", headers=headers) as socket:
            page = Page(socket)
            assert page.hear_until("welcome")["version"] == protocol.VERSION
            page.say(protocol.Hello(version=protocol.VERSION))
            yield page


@pytest.fixture
def house() -> Iterator[Callable[..., House]]:
    clients: list[TestClient] = []

    def build(engine: FakeEngine | None = None, **settings) -> House:
        keeper = FakeKeeper(engine or FakeEngine(0.02))
        client = TestClient(keeper.app(**{"linger": 0.2, **settings}))
        client.__enter__()
        clients.append(client)
        return House(keeper, client)

    yield build
    for client in clients:
        client.__exit__(None, None, None)


def eventually(true: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


def test_a_world_opens_with_staged_progress_and_plays(house):
    with house().page() as page:
        assert not page.open()["driven"]
        assert next(m["stage"] for m in page.heard if m["type"] == "progress") == "reading the world"
        headers = []
        for _ in range(12):
            header, jpeg = page.frame()
            headers.append(header)
            assert np.asarray(Image.open(BytesIO(jpeg))).shape == (36, 64, 3)
        assert [h.seq for h in headers] == list(range(1, 13))
        assert not headers[0].new
        assert headers[-1].new
        assert {"sample", "step", "jpeg", "held"} <= set(headers[-1].stages)


def test_keys_move_the_camera_and_the_clients_time_comes_back(house):
    with house().page() as page:
        page.open()
        start, _ = page.frame()
        page.say(protocol.Input(keys=1, turn=0.0, tilt=0.0, time=4321.5))
        while (header := page.frame()[0]).echo is None:
            pass
        assert header.echo == 4321.5
        assert (header.x, header.y) != (start.x, start.y)


def test_hands_do_what_is_offered_and_each_press_is_one_deed(house):
    house = house()
    with house.page() as page:
        page.open()
        take = {"hand": 1, "text": "take the crate"}
        put, throw = {"hand": 2, "text": "put the crate down"}, {"hand": 3, "text": "throw"}
        assert page.hear_until("offers")["offers"] == [take]
        page.say(protocol.Input(keys=0, turn=0.0, tilt=0.0, time=1.0, hand=1))
        assert page.hear_until("offers")["offers"] == [put, throw]
        page.say(protocol.Input(keys=0, turn=0.0, tilt=0.0, time=2.0, hand=3))
        assert throw not in page.hear_until("offers")["offers"]
        page.say(protocol.Input(keys=0, turn=0.0, tilt=0.0, time=3.0, hand=3))
        assert page.hear_until("told")["text"] == "nothing is held"
        assert [action.hand for action in house.keeper.engine.actions if action.hand] == [1, 3, 3]
        page.say(protocol.Input(keys=0, turn=0.0, tilt=0.0, time=4.0, hand=7))
        with pytest.raises(AssertionError, match="expected a hand"):
            page.hear_until("told")


def test_no_more_than_two_frames_are_in_flight_and_the_oldest_are_dropped(house):
    with house(FakeEngine(0.01)).page() as page:
        page.open()
        first, second = page.frame(ack=False)[0], page.frame(ack=False)[0]
        assert second.in_flight == 2
        time.sleep(0.6)  # a dozen frames come meanwhile, and none may be sent
        page.say(protocol.Ack(seq=second.seq))
        third = page.frame()[0]
        assert third.seq == second.seq + 1
        assert third.step * 4 + third.index > second.step * 4 + second.index + 6
        assert third.queued <= 2
        assert first.seq == 1
        while page.hear_until("status")["dropped"] < 6:
            pass


def test_two_viewers_share_one_session(house):
    place = house()
    with place.page() as one, place.page() as two:
        one.open()
        one.frame()
        two.open()
        while two.hear_until("status")["viewers"] != 2:
            pass
        assert place.client.get("/health").json()["sessions"] == 1
        one.say(protocol.Input(keys=1, turn=0.0, tilt=0.0, time=10.0))
        while one.frame()[0].echo is None:
            pass
        assert two.frame()[0].echo is None  # the clocks of two pages have nothing to do with each other


def test_a_world_and_its_main_branch_are_one_room(house):
    """Two sessions that write to one branch would end one another."""
    h = house()
    with h.page() as one, h.page() as other:
        one.open()
        assert other.open("first/main")["world"] == "first/main"
        assert h.client.get("/health").json()["sessions"] == 1
        other.say(protocol.Leave())
        assert other.hear_until("left")["world"] == "first/main"


def test_a_world_that_is_left_while_it_opens_rests(house):
    engine = FakeEngine(0.02)
    place = house(engine, linger=60.0)
    place.keeper._opening = 0.3
    with place.page() as page:
        page.say(protocol.Open(world="first"))
        page.hear_until("progress")
        page.say(protocol.Leave())
        page.hear_until("worlds")
        eventually(lambda: place.client.get("/health").json()["sessions"] == 1)
        time.sleep(0.5)
        assert not engine.actions
        page.open()
        eventually(lambda: bool(engine.actions))


def test_a_world_that_is_being_closed_has_not_failed(house):
    class Tape:
        def __init__(self, session: Session, name: str) -> None:
            sessions.append(session)

        def join(self) -> None:
            kept.wait(5.0)

    sessions, kept = list[Session](), threading.Event()
    place = house(record=Tape, linger=0.01)
    with place.page() as page:
        page.open()
        page.frame()
    eventually(lambda: sessions[0].ended is not None)
    health = place.client.get("/health")
    kept.set()
    assert (health.status_code, health.json()["failed"], health.json()["sessions"]) == (200, [], 1)


def test_the_last_one_leaving_pauses_then_closes(house):
    place = house()
    with place.page() as page:
        page.open()
        page.frame()
        page.say(protocol.Leave())
        page.hear_until("left")
        assert not place.keeper.closed
        eventually(lambda: place.keeper.closed == ["first"])
        assert place.client.get("/health").json()["sessions"] == 0


def test_coming_back_in_time_finds_the_world_still_open(house):
    place = house(linger=5.0)
    with place.page() as page:
        page.open()
        for _ in range(8):
            step = page.frame()[0].step
    with place.page() as page:
        page.open()
        while page.frame()[0].step <= step:
            pass
        assert not place.keeper.closed


def test_coming_back_late_finds_the_world_as_it_was_left(house):
    place = house(linger=0.01)
    with place.page() as page:
        page.open()
        for _ in range(8):
            page.frame()
    eventually(lambda: place.keeper.closed == ["first"])
    left_at = place.keeper.worlds["first"][0].step
    with place.page() as page:
        assert page.open()["step"] == left_at
        assert page.frame()[0].step == left_at


def test_too_many_worlds_are_a_clean_busy(house):
    place = house(max_sessions=1)
    place.keeper.new("second", "hall", 1)
    with place.page() as one, place.page() as two:
        one.open()
        two.say(protocol.Open(world="second"))
        while (error := two.hear())["type"] != "error":
            pass
        assert error["code"] == "busy"
        two.open("first")  # a world that is played already has room for more


def test_a_world_that_nobody_watches_makes_room_for_another(house):
    place = house(max_sessions=1, linger=60.0)
    place.keeper.new("second", "hall", 1)
    with place.page() as page:
        page.open()
        page.frame()
        page.open("second")
        assert place.keeper.closed == ["first"]


def test_new_and_fork_make_worlds_that_open(house):
    with house().page() as page:
        page.say(protocol.New(name="second", scene="hall", seed=5))
        assert page.hear_until("created")["parent"] is None
        assert {w["name"] for w in page.hear_until("worlds")["worlds"]} == {"first", "second"}
        page.open("second")
        page.frame()
        page.say(protocol.Fork(name="third"))
        assert page.hear_until("created") == {"type": "created", "world": "second/third", "parent": "second"}
        assert page.open("second/third")["world"] == "second/third"


def test_pause_and_resume(house):
    with house().page() as page:
        page.open()
        page.frame()
        page.say(protocol.Pause())
        while not page.hear_until("status")["paused"]:
            pass
        page.say(protocol.Resume())
        while page.hear_until("status")["paused"]:
            pass
        page.frame()


def test_the_map_shows_what_was_seen(house):
    with house().page() as page:
        page.open()
        shown = page.hear_until("map")
        assert shown["keyframes"] >= 1
        assert shown["png"].startswith("iVBOR")
        assert -6.2 <= shown["left"] <= 0 <= shown["top"] <= 4.2


MISTAKES = {
    "not JSON": ("{", "bad-message"),
    "unknown tag": ('{"type": "dance"}', "bad-message"),
    "missing field": ('{"type": "open"}', "bad-message"),
    "unknown field": ('{"type": "pause", "for": 3}', "bad-message"),
    "wrong type": ('{"type": "ack", "seq": "one"}', "bad-message"),
    "no world": ('{"type": "open", "world": "nowhere"}', "no-world"),
    "nothing open": ('{"type": "pause"}', "not-open"),
    "a bad name": ('{"type": "new", "name": "../etc", "scene": "hall", "seed": 1}', "refused"),
    "a taken name": ('{"type": "new", "name": "first", "scene": "hall", "seed": 1}', "refused"),
    "no such scene": ('{"type": "new", "name": "x", "scene": "moon", "seed": 1}', "refused"),
}


def test_words_reach_the_engine_one_saying_a_chunk(house):
    house = house()
    with house.page() as page:
        page.open()
        for text in ("it starts to snow", "the golem slams"):
            page.say(protocol.Say(text=text))
        while len(said := [action.events for action in house.keeper.engine.actions if action.events]) < 2:
            page.frame()
        assert said == [("it starts to snow",), ("the golem slams",)]
        page.say(protocol.Say(text="x" * 300))
        with pytest.raises(AssertionError, match="at most 200 characters"):
            page.hear_until("told")


def test_mistakes_are_told_and_the_connection_stays(house):
    with house().page() as page:
        for mistake, (text, code) in MISTAKES.items():
            page.say_raw(text)
            while (error := page.hear())["type"] != "error":
                pass
            assert error["code"] == code, mistake
            assert error["expected"], mistake
            assert error["came"], mistake
        page.open()
        page.say_raw('{"type": "input", "keys": 999, "turn": 0, "tilt": 0, "time": 1}')
        while isinstance(error := page.hear(), tuple) or error["type"] != "error":
            pass
        assert "0..255" in error["came"]


def test_another_protocol_version_is_told_and_turned_away(house):
    with house().client.websocket_connect("/ws") as socket:
        page = Page(socket)
        page.hear_until("welcome")
        page.say(protocol.Hello(version=protocol.VERSION + 1))
        assert page.hear()["code"] == "version"  # type: ignore[call-overload]
        with pytest.raises(WebSocketDisconnect):
            page.hear()


def test_a_failing_step_is_told_and_the_world_opens_again(house, caplog):
    engine = FakeEngine(0.02, fail_at=3)
    with house(engine).page() as page:
        page.open()
        while isinstance(message := page.hear(), tuple) or message["type"] != "error":
            if isinstance(message, tuple):
                page.say(protocol.Ack(seq=message[0].seq))
        assert message["code"] == "failed"
        assert "the model drew NaN" in message["came"]
        page.hear_until("left")
        engine._fail_at = -1
        page.open()
        while page.frame()[0].step <= 3:
            pass
    assert "the model drew NaN" in caplog.text


def test_a_world_that_cannot_be_recorded_is_told_and_let_go(house):
    def record(*_: object) -> None:
        raise NotADirectoryError("no folder to record in")

    h = house(record=record)
    with h.page() as page:
        for opened in (1, 2):
            page.say(protocol.Open(world="first"))
            while not isinstance(heard := page.hear(), dict) or heard["type"] != "error":
                pass
            assert "no folder" in heard["came"]
            assert h.keeper.closed == ["first"] * opened


def test_a_folder_that_cannot_be_read_is_told_and_the_page_still_works(house, monkeypatch):
    place = house()

    def broken() -> list[protocol.WorldInfo]:
        raise ValueError("expected a world in format 1, got 7: use its release")

    monkeypatch.setattr(place.keeper, "list", broken)
    with place.client.websocket_connect("/ws") as socket:
        page = Page(socket)
        assert "use its release" in page.hear()["came"]  # type: ignore[call-overload]
        assert page.hear_until("welcome")["worlds"] == []
        page.open("first")
        page.frame()


def test_pages_of_other_sites_are_turned_away(house):
    place = house()
    with pytest.raises(WebSocketDisconnect), place.page(origin="https://elsewhere.example"):
        pass
    with place.page(origin="http://testserver") as page:
        page.open()


def test_plain_addresses(house):
    place = house()
    assert [w["name"] for w in place.client.get("/api/worlds").json()] == ["first"]
    assert place.client.get("/health").json() == {"ok": True, "sessions": 0, "max_sessions": 2, "failed": []}
    with place.page() as page:
        page.open()
        for _ in range(6):
            page.frame()
        metrics = place.client.get("/metrics").text
    assert 'perdure_viewers{world="first"} 1' in metrics
    assert 'perdure_stage_ms{world="first",stage="sample"}' in metrics
    assert "perdure_sessions 1" in metrics


def test_only_named_hosts_are_answered():
    with TestClient(FakeKeeper(FakeEngine()).app(hosts=["localhost"])) as client:
        assert client.get("/health").status_code == 400
        assert client.get("/health", headers={"host": "localhost"}).status_code == 200
