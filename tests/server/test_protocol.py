"""The wire: what goes in comes out, and the page's types are those of the server."""

from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.server import protocol

PROTOCOL_TS = Path(__file__).parents[2] / "client" / "src" / "protocol.ts"
finite = st.floats(allow_nan=False, allow_infinity=False)

FROM_PAGE = [
    protocol.Hello(version=1),
    protocol.Open(world="court-7"),
    protocol.Leave(),
    protocol.Input(keys=5, turn=0.25, tilt=-0.5, time=1234.5, hand=1),
    protocol.Ack(seq=12),
    protocol.Pause(),
    protocol.Resume(),
    protocol.New(name="court-7", scene="court", seed=7),
    protocol.Say(text="it starts to snow"),
    protocol.Fork(name="fork-1"),
]


@pytest.mark.parametrize("message", FROM_PAGE, ids=lambda message: type(message).__name__)
def test_what_a_page_says_is_heard(message: protocol.FromPage):
    assert protocol.decode(msgspec.json.encode(message)) == message


def test_every_message_of_a_page_is_tried_above():
    assert {type(message) for message in FROM_PAGE} == set(get_args(protocol.FromPage))


@given(keys=st.integers(), turn=finite, tilt=finite, time=finite)
def test_input_survives_the_wire(keys: int, turn: float, tilt: float, time: float):
    message = protocol.Input(keys=keys, turn=turn, tilt=tilt, time=time)
    if -(2**63) <= keys < 2**64:
        assert protocol.decode(msgspec.json.encode(message)) == message


def test_what_the_server_says_carries_its_tag():
    info = protocol.WorldInfo(name="court-7", scene="court", step=3)
    text = protocol.encode(protocol.Worlds(worlds=[info]))
    assert msgspec.json.decode(text)["type"] == "worlds"
    assert msgspec.json.decode(text)["worlds"][0]["parent"] is None


@given(
    jpeg=st.binary(max_size=300),
    echo=st.none() | finite,
    stage=st.dictionaries(st.text(max_size=8), finite, max_size=4),
)
def test_frames_survive_the_wire(jpeg: bytes, echo: float | None, stage: dict[str, float]):
    header = protocol.FrameHeader(
        seq=1, step=2, index=3, new=True, echo=echo, queued=0, in_flight=1, x=0.1, y=-0.2, yaw=3.0, stages=stage
    )
    assert protocol.decode_frame(protocol.encode_frame(header, jpeg)) == (header, jpeg)


@pytest.mark.parametrize("data", [b"", b"\x01", b"\xff\x00\x00\x00{}", b"\x02\x00\x00\x00{}"])
def test_broken_frames_are_refused(data: bytes):
    with pytest.raises((ValueError, msgspec.ValidationError), match=r"[Ee]xpected|missing"):
        protocol.decode_frame(data)


@pytest.mark.parametrize("data", ["", "[]", "null", '{"type": "input", "keys": "w"}', b"\xff\xfe", '{"type": "hello"}'])
def test_nonsense_is_a_users_mistake(data: str | bytes):
    with pytest.raises(ValueError, match=r".+"):
        protocol.decode(data)


def test_the_pages_types_have_not_drifted():
    assert PROTOCOL_TS.read_text() == protocol.typescript(), (
        "run: python -m perdure.server.protocol > client/src/protocol.ts"
    )


def test_a_type_that_the_page_cannot_have_is_refused():
    with pytest.raises(ValueError, match="on the wire"):
        protocol._typescript(bytes)
