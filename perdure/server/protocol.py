"""The wire between server and page: every message, once. `client/src/protocol.ts` is generated from here.

Messages are JSON with a tag, except a frame, which is binary: a little-endian uint32 with the length
of a JSON `FrameHeader`, that header, and a JPEG.

    python -m perdure.server.protocol > client/src/protocol.ts
"""

import struct
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from perdure.world.action import Hand, Keys

VERSION = 2


class Message(msgspec.Struct, tag_field="type", tag=str.lower, kw_only=True, forbid_unknown_fields=True):
    """What all messages share: a tag, and no fields that nobody declared."""


# From the page


class Hello(Message):
    """The first message of a page: the protocol that it was built for."""

    version: int


class Open(Message):
    world: str


class Leave(Message):
    """Stop watching the world that is open; the connection stays."""


class Input(Message):
    keys: int  # bit mask of Keys
    turn: float  # radians since the last message, positive to the left
    tilt: float  # radians since the last message, positive upward
    time: float  # milliseconds on the page's clock, of the oldest event in this message
    hand: int = 0  # a Hand: one deed for each message that has one


class Say(Message):
    """Words: what is to happen ("it starts to snow"), or for someone by name ("the red knight bows")."""

    text: str


class Ack(Message):
    """A frame was drawn (or given up): another may come."""

    seq: int


class Pause(Message):
    pass


class Resume(Message):
    pass


class New(Message):
    name: str
    scene: str
    seed: int


class Fork(Message):
    """Copy the open world, as it is between two steps, under another name."""

    name: str


# From the server


class WorldInfo(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    scene: str = ""
    step: int = 0
    seed: int | None = None
    parent: str | None = None  # the world that it was forked from
    modified: float | None = None  # seconds since 1970


class Welcome(Message):
    """The server's answer to a connection, before anything else."""

    version: int
    worlds: list[WorldInfo]
    scenes: list[str]


class Worlds(Message):
    worlds: list[WorldInfo]


class Progress(Message):
    """How far the opening of a world has come."""

    stage: str
    fraction: float  # 0 to 1


class Opened(Message):
    world: str
    step: int
    frames_per_second: int
    driven: bool  # by somebody else: this page only watches


class Left(Message):
    world: str


class Created(Message):
    """A world was made, by `New` or by `Fork`."""

    world: str
    parent: str | None


class Map(Message):
    """What is known of the place, from above: a PNG whose top is +y and whose right is +x."""

    png: str  # base64
    left: float  # world x of the picture's left edge, metres
    top: float  # world y of its top edge
    metres: float  # size of a pixel
    keyframes: int


class Status(Message):
    """The session's own figures, about twice a second."""

    paused: bool
    viewers: int
    step: int
    frames_per_second: float
    step_ms: float
    stalls: int
    dropped: int  # frames that this viewer was too slow for
    keyframes: int


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    hand: int  # a Hand
    text: str  # what it would do: "take the crate"


class Offers(Message):
    """What hands can do now with what is looked at, or held; sent when it changes."""

    offers: list[Offer]


class Told(Message):
    """Something that came of what was done, in words: why it was refused."""

    text: str


class Error(Message):
    """What went wrong, in words for the one who has to mend it. The connection stays, except after `version`."""

    code: str  # "bad-message", "version", "busy", "no-world", "failed", "not-open", "refused"
    expected: str
    came: str
    todo: str


class FrameHeader(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    step: int
    index: int  # place in its chunk
    new: bool  # False for the frames that were already there when the world was opened
    echo: float | None  # newest `Input.time` of this page that the frame has applied
    queued: int  # frames that wait for this viewer behind this one
    in_flight: int  # frames sent and not yet acknowledged, this one included
    x: float  # where the camera stands, metres
    y: float
    yaw: float  # radians
    stages: dict[str, float]  # milliseconds: the engine's own, then `jpeg` and `held` (made to sent)


FromPage = Hello | Open | Leave | Input | Say | Ack | Pause | Resume | New | Fork
FromServer = Welcome | Worlds | Progress | Opened | Left | Created | Map | Status | Offers | Told | Error

_decoder = msgspec.json.Decoder(FromPage)
_encoder = msgspec.json.Encoder()
_header = msgspec.json.Decoder(FrameHeader)


def decode(data: str | bytes) -> FromPage:
    """A message from a page. Raises `ValueError` that says where it went wrong."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


def encode(message: FromServer) -> str:
    return _encoder.encode(message).decode()


def encode_frame(header: FrameHeader, jpeg: bytes) -> bytes:
    head = _encoder.encode(header)
    return struct.pack("<I", len(head)) + head + jpeg


def decode_frame(data: bytes) -> tuple[FrameHeader, bytes]:
    """The header and the JPEG of a binary message: what the page does, for tests and for other clients."""
    if len(data) < 4:
        raise ValueError(f"expected a frame of at least 4 bytes, got {len(data)}")
    (size,) = struct.unpack_from("<I", data)
    if len(data) < 4 + size:
        raise ValueError(f"expected a header of {size} bytes, got {len(data) - 4}")
    return _header.decode(data[4 : 4 + size]), data[4 + size :]


# TypeScript

_SCALARS = {int: "number", float: "number", str: "string", bool: "boolean", type(None): "null"}


def _typescript(kind: Any) -> str:
    """A type annotation as TypeScript."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind.__name__
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, Union):
        return " | ".join(_typescript(a) for a in arguments)
    if origin is list:
        return f"{_typescript(arguments[0])}[]"
    if origin is dict:
        return f"Record<{_typescript(arguments[0])}, {_typescript(arguments[1])}>"
    raise ValueError(f"expected a scalar, a struct, a union, a list or a dict on the wire, got {kind}")


def _interface(struct_type: type[msgspec.Struct]) -> str:
    tag = struct_type.__struct_config__.tag
    lines = [f'  type: "{tag}";'] if tag is not None else []
    lines += [f"  {name}: {_typescript(kind)};" for name, kind in get_type_hints(struct_type).items()]
    return "\n".join([f"export interface {struct_type.__name__} {{", *lines, "}"])


def typescript() -> str:
    """The whole of `client/src/protocol.ts`."""
    page, server = get_args(FromPage), get_args(FromServer)
    parts = ["// Generated by `python -m perdure.server.protocol`; do not edit.", f"export const VERSION = {VERSION};"]
    for name, members in (("Keys", Keys), ("Hand", Hand)):
        lines = "\n".join(f"  {one.name}: {one.value}," for one in members)
        parts.append(f"export const {name} = {{\n{lines}\n}} as const;")
    parts += [_interface(kind) for kind in (*page, WorldInfo, Offer, *server, FrameHeader)]
    for name, union in (("FromPage", page), ("FromServer", server)):
        parts.append(f"export type {name} = " + " | ".join(kind.__name__ for kind in union) + ";")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(typescript(), end="")
