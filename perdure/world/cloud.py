"""Splats in files: `.ply` as 3D Gaussian splatting writes it, and `.spz`, which is a tenth as large.

Both hold position, shape, opacity and colour with its harmonics, and no more: numbers, entities and parts
are ours alone. Each has axes of its own by custom, and nothing in the file says so: a `.ply` has x to the
right, y down and z forward, as COLMAP and OpenCV; an `.spz` has x to the right, y up and z back, as OpenGL.
`read` turns them to ours, x forward, y to the left and z up, and `write` turns them back.

`.ply` is read and written exactly. `.spz` rounds: to 1/4096 m (less where a cloud is large), a sixteenth of
a scale's logarithm, an 8-bit opacity and colour, about a thousandth of a rotation, and 5 or 4 bits a harmonic.

Own code, because the one reader of `.ply` that is well kept comes under the GPL, and the bindings of
`.spz` need a compiler. `gsply`, an independent library, is the oracle of the tests.

Shapes: N splats, K harmonics.
"""

import gzip
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Array, quaternion, rotation
from perdure.world.splats import HARMONICS, Rows, blank

OF_PLY = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # right, down, forward, to ours
OF_SPZ = np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]])  # right, up, back, to ours
MOST = 20_000_000  # splats in a file; more is taken for a broken one

_PLY_HEADER = re.compile(rb"ply\r?\n.*?end_header\r?\n", re.DOTALL)
_PLY_TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
              "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4",
              "uint32": "u4", "float32": "f4", "float64": "f8"}  # fmt: skip
_SPZ_HEADER = struct.Struct("<4sIIBBBB")  # magic, version, splats, degree, fractional bits, flags, and one to spare
_SPZ_MAGIC = b"NGSP"
_SPZ_COLOUR = 0.15 * 255  # steps of a byte for a unit of the coefficient of degree 0
_NINE = 511  # nine bits for a component of a rotation, of at most sqrt(1/2)


def read(path: Path) -> Rows:
    """The splats of a `.ply` or `.spz` file, numbered from 0, in our axes."""
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read splats from {path}: {error.strerror}") from None
    try:
        match path.suffix.lower():
            case ".ply":
                return placed(from_ply(payload), OF_PLY)
            case ".spz":
                return placed(from_spz(payload), OF_SPZ)
            case other:
                raise ValueError(f"expected a .ply or .spz file, got {other or 'one without a suffix'}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def write(path: Path, rows: Rows) -> None:
    """Splats in our axes into a file; what belongs to a body is written as it lies to the body."""
    match path.suffix.lower():
        case ".ply":
            path.write_bytes(to_ply(placed(rows, OF_PLY.T)))
        case ".spz":
            path.write_bytes(to_spz(placed(rows, OF_SPZ.T)))
        case other:
            raise ValueError(f"expected a name that ends in .ply or .spz, got {other or 'one without a suffix'}")


def placed(rows: Rows, turn: Array, shift: tuple[float, float, float] = (0.0, 0.0, 0.0), size: float = 1.0) -> Rows:
    """The splats turned (3, 3), made `size` times as large, and shifted."""
    out = rows.copy()
    out["mean"] = size * rows["mean"].astype(np.float64) @ turn.T + shift
    out["rotation"] = quaternion(turn @ rotation(rows["rotation"].astype(np.float64)))
    out["scale"] = rows["scale"] + np.float32(np.log(size))
    count = rows["harmonics"].shape[1]
    for first, last in ((0, 3), (3, 8), (8, 15)):
        if last <= count:
            # A turned harmonic is a mixture of those of its degree: which, is asked at enough directions.
            ways = _WAYS @ turn
            mixture = np.linalg.lstsq(basis(_WAYS)[:, first:last], basis(ways)[:, first:last], rcond=None)[0]
            out["harmonics"][:, first:last] = np.einsum("kj,njc->nkc", mixture, rows["harmonics"][:, first:last])
    return out


_GRID = np.array([[x, y, z] for x in (-2.0, -1.0, 1.0, 2.0) for y in (-2.0, 1.0, 3.0) for z in (-1.0, 2.0)])
_WAYS = _GRID / np.linalg.norm(_GRID, axis=1, keepdims=True)


def basis(ways_N3: Array) -> Array:
    """(N, 15) real harmonics of degree 1 to 3, in the order and with the signs that both kinds of file have."""
    x, y, z = ways_N3.T
    first = [-y, z, -x]
    second = [x * y, -y * z, 2 * z * z - x * x - y * y, -x * z, x * x - y * y]
    third = [-y * (3 * x * x - y * y), x * y * z, -y * (4 * z * z - x * x - y * y),
             z * (2 * z * z - 3 * x * x - 3 * y * y), -x * (4 * z * z - x * x - y * y), z * (x * x - y * y),
             -x * (x * x - 3 * y * y)]  # fmt: skip
    size = [3 / 4] * 3 + [15 / 4, 15 / 4, 5 / 16, 15 / 4, 15 / 16]
    size += [35 / 32, 105 / 4, 21 / 32, 7 / 16, 21 / 32, 105 / 16, 35 / 32]
    return np.stack([*first, *second, *third], -1) * np.sqrt(np.array(size) / np.pi)


def from_ply(payload: bytes) -> Rows:
    """The splats of a `.ply`, in its own axes."""
    found = _PLY_HEADER.match(payload[: 1 << 16])
    if found is None:
        raise ValueError("expected a .ply file, got one without its header")
    lines = [line.split() for line in found[0].decode("ascii", "replace").splitlines()]
    formats = [line[1:] for line in lines if line[:1] == ["format"]]
    elements = [line[1:] for line in lines if line[:1] == ["element"]]
    if not elements or elements[0][0] != "vertex" or len(elements[0]) != 2 or not elements[0][1].isdecimal():
        raise ValueError("expected a .ply file that begins with its vertices")
    count = int(elements[0][1])
    if count > MOST:
        raise ValueError(f"expected at most {MOST} splats, got {count}")
    until = next((i for i, line in enumerate(lines) if line[:1] == ["element"] and line[1] != "vertex"), len(lines))
    properties = [line[1:] for line in lines[:until] if line[:1] == ["property"]]
    if any(len(it) != 2 or it[0] not in _PLY_TYPES for it in properties):
        raise ValueError("expected vertices of plain numbers in a .ply file")
    names = [name for _, name in properties]
    rest = sum(bool(re.fullmatch(r"f_rest_\d+", name)) for name in names)
    wanted = {"x", "y", "z", "opacity", *_numbered("f_dc", 3), *_numbered("scale", 3), *_numbered("rot", 4)}
    if missing := sorted({*wanted, *_numbered("f_rest", rest)} - set(names)):
        raise ValueError(f"expected a .ply of splats: it has no {', '.join(missing)}")
    if rest % 3 or rest // 3 not in HARMONICS:
        raise ValueError(f"expected 0, 9, 24 or 45 f_rest properties, got {rest}")
    body = memoryview(payload)[found.end() :]
    match formats:
        case [["ascii", _]]:
            values = np.array(bytes(body).split()[: count * len(names)], np.float64)
            if len(values) < count * len(names):
                raise ValueError(f"expected {count} splats, and the file ends before the last")
            column = dict(zip(names, values.reshape(count, len(names)).T))
        case [[("binary_little_endian" | "binary_big_endian") as kind, _]]:
            order = "<" if "little" in kind else ">"
            row = np.dtype([(name, order + _PLY_TYPES[it]) for it, name in properties])
            if len(body) < count * row.itemsize:
                raise ValueError(f"expected {count} splats, and the file ends before the last")
            table = np.frombuffer(body, row, count)
            column = {name: table[name] for name in names}
        case _:
            raise ValueError("expected a .ply file in a format that is known, ascii or binary")

    def columns(*wanted: str) -> NDArray[np.float32]:
        return np.stack([column[name].astype(np.float32) for name in wanted], -1)

    rows = blank(count, harmonics=rest // 3)
    rows["mean"], rows["opacity"] = columns("x", "y", "z"), np.clip(columns("opacity")[:, 0], -30, 30)
    rows["colour"], rows["scale"] = columns(*_numbered("f_dc", 3)), columns(*_numbered("scale", 3))
    rows["rotation"] = columns(*_numbered("rot", 4))
    if rest:
        rows["harmonics"] = columns(*_numbered("f_rest", rest)).reshape(count, 3, rest // 3).transpose(0, 2, 1)
    return _sound(rows)


def to_ply(rows: Rows) -> bytes:
    rest = 3 * rows["harmonics"].shape[1]
    names = ["x", "y", "z", "nx", "ny", "nz", *_numbered("f_dc", 3), *_numbered("f_rest", rest), "opacity"]
    names += [*_numbered("scale", 3), *_numbered("rot", 4)]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
    header += [*(f"property float {name}" for name in names), "end_header\n"]
    table = np.concatenate(
        [
            rows["mean"],
            np.zeros((len(rows), 3), np.float32),
            rows["colour"],
            rows["harmonics"].transpose(0, 2, 1).reshape(len(rows), rest),
            rows["opacity"][:, None],
            rows["scale"],
            rows["rotation"],
        ],
        1,
    )
    return "\n".join(header).encode() + table.astype("<f4").tobytes()


def from_spz(payload: bytes) -> Rows:
    """The splats of an `.spz` of version 2 or 3, in its own axes."""
    if payload[:4] == _SPZ_MAGIC:
        raise ValueError("expected an .spz of version 2 or 3, got a later one: save it as version 3")
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        header = stream.decompress(payload, _SPZ_HEADER.size)
        if len(header) < _SPZ_HEADER.size or header[:4] != _SPZ_MAGIC:
            raise ValueError("expected an .spz file, got one without its header")
        fields: tuple[int, ...] = _SPZ_HEADER.unpack(header)[1:]
        version, count, degree, fraction, *_ = fields
        if version not in (2, 3):
            raise ValueError(f"expected an .spz of version 2 or 3, got {version}")
        if count > MOST or degree >= len(HARMONICS) or fraction > 24:
            raise ValueError(f"expected at most {MOST} splats of degree 0 to 3, got {count} of degree {degree}")
        harmonics, turn = HARMONICS[degree], 4 if version == 3 else 3
        widths = 9, 1, 3, 3, turn, 3 * harmonics
        body = stream.decompress(stream.unconsumed_tail, count * sum(widths) + 1)  # no more than it says it has
    except zlib.error as error:
        raise ValueError(f"expected an .spz file, got one that does not unpack: {error}") from None
    if len(body) != count * sum(widths):
        raise ValueError(f"expected {count * sum(widths)} bytes for {count} splats, got {len(body)}")
    ends = np.cumsum(widths) * count
    planes = [np.frombuffer(body, np.uint8)[end - width * count : end] for end, width in zip(ends, widths)]
    place, alpha, colour, scale, turns, bands = (it.reshape(count, -1) for it in planes)
    rows = blank(count, harmonics=harmonics)
    parts = place.reshape(count, 3, 3).astype(np.int32) @ np.array([1, 1 << 8, 1 << 16], np.int32)
    rows["mean"] = (parts - ((parts >> 23) << 24)) / np.float64(1 << fraction)
    opacity = np.clip(alpha[:, 0] / 255, 1e-6, 1 - 1e-6)
    rows["opacity"] = np.log(opacity / (1 - opacity))
    rows["colour"], rows["scale"] = (colour - 127.5) / _SPZ_COLOUR, scale / 16 - 10
    rows["rotation"] = (_smallest_three if version == 3 else _first_three)(turns)
    rows["harmonics"] = (bands.reshape(count, harmonics, 3) - 128.0) / 128
    return _sound(rows)


def to_spz(rows: Rows) -> bytes:
    """Version 3."""
    harmonics, count = rows["harmonics"].shape[1], len(rows)
    farthest = float(np.abs(rows["mean"]).max(initial=0))
    fraction = int(np.clip(np.floor(np.log2((2**23 - 1) / max(farthest, 1e-3))), 0, 12))
    if farthest * 2**fraction > 2**23 - 1:
        raise ValueError(f"expected splats within {2**23} metres for an .spz, got one at {farthest:.0f}")
    place = np.rint(rows["mean"].astype(np.float64) * 2**fraction).astype("<i4")
    q = np.roll(rows["rotation"].astype(np.float64), -1, 1)  # x, y, z, w
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    largest = np.abs(q).argmax(1)
    packed: NDArray[np.uint32] = largest.astype(np.uint32)
    q *= np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -1, 1)
    for axis in range(4):
        size = np.floor(_NINE * np.abs(q[:, axis]) * np.sqrt(2) + 0.5).astype(np.uint32)
        sign: NDArray[np.uint32] = (q[:, axis] < 0).astype(np.uint32)
        packed = np.where(largest == axis, packed, packed * np.uint32(1024) + sign * np.uint32(512) + size)
    # Of the harmonics fewer bits are kept, so that they compress: five of degree 1, four of the others.
    step = np.array([8] * 3 + [16] * 12)[:harmonics, None]
    bands = np.floor((np.rint(rows["harmonics"] * 128.0) + 128 + step // 2) / step) * step
    alpha = 255 / (1 + np.exp(-rows["opacity"].astype(np.float64)))
    planes = [
        np.ascontiguousarray(place[:, :, None]).view(np.uint8).reshape(count, 3, 4)[:, :, :3],
        _byte(alpha),
        _byte(rows["colour"] * _SPZ_COLOUR + 127.5),
        _byte((rows["scale"] + 10) * 16),
        packed.astype("<u4"),
        _byte(bands),
    ]
    header = _SPZ_HEADER.pack(_SPZ_MAGIC, 3, count, HARMONICS.index(harmonics), fraction, 0, 0)
    return gzip.compress(header + b"".join(plane.tobytes() for plane in planes), mtime=0)


def _first_three(turns_N3: NDArray[np.uint8]) -> Array:
    x, y, z = (turns_N3 / 127.5 - 1).T
    return np.stack([np.sqrt(np.maximum(1 - x * x - y * y - z * z, 0)), x, y, z], -1)


def _smallest_three(turns_N4: NDArray[np.uint8]) -> Array:
    """Three components in ten bits each, and two bits for which is left out, the largest."""
    packed = np.ascontiguousarray(turns_N4).view("<u4")[:, 0].astype(np.int64)
    largest, rest = packed >> 30, packed
    q = np.zeros((len(packed), 4))  # x, y, z, w
    for axis in (3, 2, 1, 0):
        value = (rest & _NINE) / (_NINE * np.sqrt(2)) * np.where(rest >> 9 & 1, -1, 1)
        q[:, axis] = np.where(largest == axis, 0, value)
        rest = np.where(largest == axis, rest, rest >> 10)
    np.put_along_axis(q, largest[:, None], np.sqrt(np.maximum(1 - (q**2).sum(1, keepdims=True), 0)), 1)
    return np.roll(q, 1, 1)


def _byte(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}_{i}" for i in range(count)]


def _sound(rows: Rows) -> Rows:
    """The rows, if all are numbers and each has a rotation."""
    for name in ("mean", "rotation", "scale", "opacity", "colour", "harmonics"):
        if not np.isfinite(rows[name]).all():
            raise ValueError(f"expected a finite {name} of each splat, got NaN or infinity")
    if not np.abs(rows["rotation"]).max(1, initial=0).all():
        raise ValueError("expected a rotation of each splat, got a quaternion of zeros")
    return rows
