"""Other people's trajectories, read and written: those of LingBot-World, of HY-WorldPlay, and real ones.

lingbot          a string, `w-10,iw-15,none-10`: keys, and for how many frames, 16 a second. w a s d walk 0.05
                 units a frame on level ground (two at once are not slowed down), i k look up and down and j l
                 turn left and right by 2 degrees, turning before walking; up and down end at 85 degrees.
lingbot-folder   `poses.npy` (N, 4, 4), 16 a second, and `intrinsics.npy` (N, 4), fx fy cx cy in pixels of an
                 832x480 picture; or, in place of poses, `wasd_action.npy` and `ijkl_action.npy` (N, 4), the
                 keys of that string a frame.
worldplay        a string, `w-3, right-1, d-4`: one key, and for how many latents, each four frames at 24 a
                 second. w a s d fly 0.08 units along the camera's own axes, up down left right turn 3 degrees
                 about them, so a turn that follows a tilt rolls. There is no word for standing still.
worldplay-json   {"0": {"extrinsic": 4x4, "K": 3x3}, ...}, one a latent; K in pixels of a picture whose middle
                 is at its cx, cy.

All have OpenCV's cameras, camera to world, as we do, but a world of their own: its axes are those of the first
camera (y down) or what an estimator left, its unit is anything. We read the first camera as standing at the
origin and facing yaw 0, level ground as level, a unit as a metre; `Trajectory.placed` puts and scales it.

Shapes: N poses.
"""

import math
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics, apart, interpolate, invert, look, quaternion, rotation
from perdure.world.trajectory import WAYS, Trajectory

Array = NDArray[np.float64]
Format = Literal["lingbot", "lingbot-folder", "worldplay", "worldplay-json", "tum"]

HOME = look(np.zeros(3), 0.0, 0.0)
"""Where a trajectory begins that was read; also the turn from a world with y down to ours."""

LONGEST = 100_000
"""Poses; a slip in a count must not fill the memory."""

LEVEL = math.radians(2.0)
"""How far cameras that do not roll may be off it, on the average."""

LINGBOT_FPS, LINGBOT_SIZE, LINGBOT_KEYS = 16.0, (832, 480), "wasdijkl"
LINGBOT_STEP, LINGBOT_TURN, LINGBOT_LIMIT = 0.05, math.radians(2.0), math.radians(85.0)

WORLDPLAY_FPS, WORLDPLAY_SIZE = 6.0, (1920, 1080)
WORLDPLAY_STEP, WORLDPLAY_TURN = 0.08, math.radians(3.0)


def _flight(turn_right: float = 0.0, turn_up: float = 0.0, right: float = 0.0, forward: float = 0.0) -> Array:
    """(4, 4) what one latent adds to a pose, in the camera's own axes."""
    out = np.eye(4)
    out[:3, :3] = rotation(np.array([1.0, math.tan(0.5 * turn_up), math.tan(0.5 * turn_right), 0.0]))
    out[:3, 3] = right, 0.0, forward
    return out


WORLDPLAY_KEYS = {
    "w": _flight(forward=WORLDPLAY_STEP),
    "s": _flight(forward=-WORLDPLAY_STEP),
    "a": _flight(right=-WORLDPLAY_STEP),
    "d": _flight(right=WORLDPLAY_STEP),
    "up": _flight(turn_up=WORLDPLAY_TURN),
    "down": _flight(turn_up=-WORLDPLAY_TURN),
    "left": _flight(turn_right=-WORLDPLAY_TURN),
    "right": _flight(turn_right=WORLDPLAY_TURN),
}


def read(source: str | Path, format: Format | None = None) -> Trajectory:
    """A trajectory from a file, a folder or a text; in which format, it sees for itself where that is clear."""
    path = _path(source)
    if path is None:
        text = str(source)
    elif path.is_dir():
        return _read_folder(path)
    else:
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"expected a trajectory as text in {path.name}, got {error}") from None
    match _checked(format or _format(text)):
        case "lingbot":
            return Trajectory(_walk(_counts(text, "lingbot")), LINGBOT_FPS)
        case "worldplay":
            return Trajectory(_fly(_counts(text, "worldplay")), WORLDPLAY_FPS)
        case "worldplay-json":
            return _read_json(text)
        case "tum":
            return _read_tum(text)
        case "lingbot-folder":
            raise ValueError(f"expected a folder with poses.npy in it, got {str(source)[:80]!r}")


def write(trajectory: Trajectory, format: Format, path: Path | None = None) -> str:
    """The trajectory in that format: a text, also written to `path` if given; a folder's path for a folder.

    Folder, JSON and TUM say it as it is. A string says the nearest that its keys can: read it back and see with
    `camera.apart` how near that is. The unit is as it is here; `placed` scales.
    """
    home = trajectory.placed(HOME)
    match _checked(format):
        case "lingbot-folder":
            if path is None:
                raise ValueError("expected a path for the folder of poses, got none")
            return _write_folder(home, path)
        case "lingbot":
            text = _joined(_walked(home), ",")
        case "worldplay":
            text = _joined(_flown(home), ", ")
        case "worldplay-json":
            text = _write_json(home)
        case "tum":
            text = _write_tum(home)
    if path is not None:
        path.write_text(text)
    return text


def _checked(format: Format) -> Format:
    if format not in get_args(Format):
        raise ValueError(f"expected a format of {', '.join(get_args(Format))}, got {format!r}")
    return format


def _path(source: str | Path) -> Path | None:
    """The file or folder that is meant, None where the source is itself the text."""
    if isinstance(source, str) and (not source or len(source) > 255 or any(c in source for c in "{,\n")):
        return None
    path = Path(source)
    if path.exists():
        return path
    if isinstance(source, Path) or "/" in source or path.suffix[1:].isalpha():
        raise ValueError(f"expected a trajectory's file, folder or text, got {str(source)!r}, which does not exist")
    return None


# Strings


def _known(name: str, format: Format) -> bool:
    if format == "worldplay":
        return name in WORLDPLAY_KEYS
    return name == "none" or (name != "" and set(name) <= set(LINGBOT_KEYS))


def _format(text: str) -> Format:
    if text.lstrip().startswith("{"):
        return "worldplay-json"
    if _numbers(next(iter(_lines(text)), "")) is not None:
        return "tum"
    left: list[Format] = ["lingbot", "worldplay"]
    for token in [token for token in map(str.strip, text.split(",")) if token] or [""]:
        left = [format for format in left if _known(_split(token, format)[0], format)]
        if not left:
            shape = "'w-10,iw-15,none-10' (lingbot) or 'w-3, right-1' (worldplay)"
            raise ValueError(f"expected keys and counts like {shape}, got {token!r}")
    if len(left) > 1:
        raise ValueError(
            f"expected a format beside {text[:40]!r}, which lingbot and worldplay both know: say which (--format)"
        )
    return left[0]


def _split(token: str, format: Format) -> tuple[str, str]:
    """Keys and count of `iw-15`; LingBot-World's may be in capitals."""
    name, _, count = token.rpartition("-")
    return name.strip().lower() if format == "lingbot" else name.strip(), count.strip()


def _counts(text: str, format: Format) -> list[str]:
    """The keys of each frame, or latent."""
    out: list[str] = []
    for token in map(str.strip, text.strip().split(",")):
        if not token and format == "worldplay":
            continue  # as its own reader does
        name, count = _split(token, format)
        if not _known(name, format):
            keys = ", ".join(WORLDPLAY_KEYS) if format == "worldplay" else f"none or some of {', '.join(LINGBOT_KEYS)}"
            raise ValueError(f"expected {keys}, then a dash and a count, got {token!r}")
        try:
            number = int(float(count)) if format == "worldplay" else int(count)  # its own reader cuts halves off
        except (ValueError, OverflowError):
            number = -1
        if number < (format == "lingbot"):
            unit = "latents" if format == "worldplay" else "frames"
            raise ValueError(f"expected a count of {unit} in {token!r}, got {count!r}")
        if len(out) + number >= LONGEST:
            raise ValueError(f"expected less than {LONGEST} poses, got more at {token!r}")
        out += [name] * number
    return out


def _joined(names: Iterable[str], between: str) -> str:
    return between.join(f"{name}-{len(list(same))}" for name, same in groupby(names))


def _axis(name: str, positive: str, negative: str) -> int:
    return (positive in name) - (negative in name)


def _walk(frames: list[str]) -> Array:
    """(N + 1, 4, 4) where LingBot-World's keys lead."""
    stands = [(0.0, 0.0, 0.0, 0.0)]
    for name in frames:
        stands.append(_stepped(stands[-1], "" if name == "none" else name))
    x, y, yaw, pitch = np.array(stands).T
    return look(np.stack([x, y, np.zeros(len(x))], -1), yaw, pitch)


def _stepped(stand: tuple[float, float, float, float], name: str) -> tuple[float, float, float, float]:
    x, y, yaw, pitch = stand
    yaw += LINGBOT_TURN * _axis(name, "j", "l")
    risen = pitch + LINGBOT_TURN * _axis(name, "i", "k")
    forward, left = LINGBOT_STEP * _axis(name, "w", "s"), LINGBOT_STEP * _axis(name, "a", "d")
    x, y = x + forward * math.cos(yaw) - left * math.sin(yaw), y + forward * math.sin(yaw) + left * math.cos(yaw)
    return x, y, yaw, risen if abs(risen) <= LINGBOT_LIMIT else pitch


def _walked(way: Trajectory) -> list[str]:
    """LingBot-World's keys that keep nearest to a way, frame by frame, each from where the last ones led."""
    targets = _resampled(way, LINGBOT_FPS)
    stand, out = (0.0, 0.0, 0.0, 0.0), list[str]()
    for target in targets[1:]:
        yaw = math.atan2(target[1, 2], target[0, 2])
        pitch = math.asin(max(-1.0, min(1.0, target[2, 2])))
        looks = _pressed(pitch - stand[3], "i", "k") + _pressed(math.remainder(yaw - stand[2], 2 * math.pi), "j", "l")
        names = [("w" * (f > 0) + "s" * (f < 0) + "a" * (s > 0) + "d" * (s < 0)) + looks for f, s in WAYS]
        ends = [_stepped(stand, name) for name in names]
        best = min(range(len(names)), key=lambda n: math.dist(ends[n][:2], target[:2, 3]))
        stand = ends[best]
        out.append(names[best] or "none")
    return out


def _pressed(wanted: float, positive: str, negative: str) -> str:
    if abs(wanted) <= 0.5 * LINGBOT_TURN:
        return ""
    return positive if wanted > 0 else negative


def _fly(latents: list[str]) -> Array:
    """(N + 1, 4, 4) where HY-WorldPlay's keys lead."""
    poses = [HOME]
    for name in latents:
        poses.append(poses[-1] @ WORLDPLAY_KEYS[name])
    return _orthonormal(np.stack(poses))


def _flown(way: Trajectory) -> list[str]:
    """HY-WorldPlay's keys that keep nearest to a way, latent by latent, each from where the last ones led."""
    names = [*WORLDPLAY_KEYS, ""]
    moves = np.stack([*WORLDPLAY_KEYS.values(), np.eye(4)])
    targets = _resampled(way, WORLDPLAY_FPS)
    pose, out = targets[0], list[str]()
    for number, target in enumerate(targets[1:], 1):
        moved, turned = apart(pose @ moves, target)
        best = int(np.argmin((moved / WORLDPLAY_STEP) ** 2 + (turned / WORLDPLAY_TURN) ** 2))
        if not names[best]:
            raise ValueError(
                f"expected a camera that goes 0.08 units or turns 3 degrees in every latent, got one that stands in "
                f"latent {number}, which a worldplay string cannot say: write worldplay-json"
            )
        pose = pose @ moves[best]
        out.append(names[best])
    return out


def _resampled(way: Trajectory, fps: float) -> Array:
    if way.fps == fps:
        return way.poses
    return way.at(np.arange(math.ceil(way.seconds * fps - 1e-9) + 1, dtype=np.float64) / fps)


# Files


class _Shot(msgspec.Struct):
    extrinsic: list[list[float]]
    K: list[list[float]]


def _read_json(text: str) -> Trajectory:
    try:
        shots = list(msgspec.json.decode(text, type=dict[str, _Shot]).items())
    except msgspec.MsgspecError as error:
        raise ValueError(f"expected poses as worldplay-json, got {text[:40]!r}: {error}") from None
    poses, lens = np.empty((len(shots), 4, 4)), np.empty((len(shots), 4))
    if not shots or len(shots) > LONGEST:
        raise ValueError(f"expected 1 to {LONGEST} poses as worldplay-json, got {len(shots)}")
    for i, (name, shot) in enumerate(shots):
        try:
            poses[i], k = np.array(shot.extrinsic), np.array(shot.K)
            lens[i] = k[0, 0] / (2 * k[0, 2]), k[1, 1] / (2 * k[1, 2]), 0.5, 0.5
        except (ValueError, IndexError):
            raise ValueError(f"expected 4x4 extrinsic and 3x3 K in pose {name!r}, got {shot}"[:200]) from None
    return Trajectory(_ours(poses, trusted=True), WORLDPLAY_FPS, lens)


def _write_json(home: Trajectory) -> str:
    """A pose a latent, in a world with y down, as its own maker writes them."""
    poses = invert(HOME) @ _resampled(home, WORLDPLAY_FPS)
    width, height = WORLDPLAY_SIZE
    lens = _lens(home, len(poses), width, height)
    shots: dict[str, _Shot] = {}
    for i, (pose, (fx, fy, _, _)) in enumerate(zip(poses, lens * (width, height, width, height))):
        k = [[float(fx), 0.0, 0.5 * width], [0.0, float(fy), 0.5 * height], [0.0, 0.0, 1.0]]
        shots[str(i)] = _Shot(pose.tolist(), k)
    return msgspec.json.format(msgspec.json.encode(shots), indent=4).decode()


def _lines(text: str) -> list[str]:
    """What is said, without remarks."""
    said = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in said if line]


def _numbers(line: str) -> list[float] | None:
    """The eight numbers of a pose; None where there is something else."""
    try:
        values = [float(word) for word in line.replace(",", " ").split()]
    except ValueError:
        return None
    return values if len(values) == 8 else None


def _read_tum(text: str) -> Trajectory:
    rows: list[list[float]] = []
    for line in _lines(text):
        row = _numbers(line)
        if row is None or not all(map(math.isfinite, row)) or not any(row[4:]):
            raise ValueError(f"expected a time, a place and a quaternion, eight numbers, got {line[:60]!r}")
        if not rows or row[0] > rows[-1][0]:  # some measure twice at a time
            rows.append(row)
    if not rows or len(rows) > LONGEST:
        raise ValueError(f"expected 1 to {LONGEST} poses as tum, got {len(rows)}")
    table = np.array(rows)
    poses = np.tile(np.eye(4), (len(table), 1, 1))
    poses[:, :3, 3] = table[:, 1:4]
    poses[:, :3, :3] = rotation(table[:, [7, 4, 5, 6]])
    if len(table) == 1:
        return Trajectory(_upright(poses))
    times = table[:, 0] - table[0, 0]
    fps = 1.0 / float(np.median(np.diff(times)))  # measured times are not quite even, and have gaps
    even = abs(fps * times[-1] - (len(times) - 1)) < 0.5
    fps = float(f"{(len(times) - 1) / times[-1] if even else fps:.6g}")
    count = round(float(times[-1]) * fps) + 1
    if count > LONGEST:
        raise ValueError(f"expected at most {LONGEST} poses as tum, got {count} at {fps:g} a second")
    return Trajectory(interpolate(_upright(poses), times, np.arange(count) / fps), fps)


def _upright(poses: Array) -> Array:
    """Poses of a carried camera in our world.

    Up is an axis that was up for it on the average and that its x axis hardly leans to: z for those who measure, y
    down for those who estimate, or any. Where it is none, it is what was up on the average.
    """
    up = -poses[:, :3, 1].mean(0)
    for axis in np.array([[0, 0, 1], [0, -1, 0], [0, 1, 0], [0, 0, -1], [1, 0, 0], [-1, 0, 0]], np.float64):
        leans = math.sqrt(float(((poses[:, :3, 0] @ axis) ** 2).mean()))
        if up @ axis > math.cos(math.radians(70.0)) and leans < math.sin(math.radians(20.0)):
            return _standing(poses, axis)
    length = float(np.linalg.norm(up))
    return _standing(poses, up / length if length > 1e-6 else -poses[0, :3, 1])


def _write_tum(home: Trajectory) -> str:
    w, x, y, z = quaternion(home.poses[:, :3, :3]).T
    rows = np.stack([np.arange(len(home.poses)) / home.fps, *home.poses[:, :3, 3].T, x, y, z, w], 1)
    said = "\n".join(" ".join(f"{value:.9f}" for value in row) for row in rows)
    return f"# time x y z qx qy qz qw\n{said}\n"


def _read_folder(folder: Path) -> Trajectory:
    names = {path.name for path in folder.iterdir()}
    if "poses.npy" not in names and {"wasd_action.npy", "ijkl_action.npy"} <= names:
        keys = [_array(folder / f"{keys}_action.npy", 4) for keys in ("wasd", "ijkl")]
        if len(keys[0]) != len(keys[1]):
            raise ValueError(f"expected wasd and ijkl actions for as many frames, got {len(keys[0])}, {len(keys[1])}")
        held = np.concatenate(keys, 1) > 0.5
        poses = _walk(["".join(key for key, down in zip(LINGBOT_KEYS, row) if down) or "none" for row in held])
    elif "poses.npy" in names:
        poses = _ours(_array(folder / "poses.npy", 4, 4), trusted=False)
    else:
        raise ValueError(f"expected poses.npy (or wasd_action.npy and ijkl_action.npy) in {folder.name}, got none")
    lens = None
    if "intrinsics.npy" in names:
        lens = _array(folder / "intrinsics.npy", 4) / np.tile(LINGBOT_SIZE, 2)
        if len(lens) == 1:
            lens = np.repeat(lens, len(poses), 0)
        if len(lens) < len(poses) - 1:
            raise ValueError(f"expected intrinsics for each of {len(poses)} poses in intrinsics.npy, got {len(lens)}")
        lens = np.concatenate([lens, lens[-1:]])[: len(poses)]  # keys lead to one pose more than they are
    return Trajectory(poses, LINGBOT_FPS, lens)


def _write_folder(home: Trajectory, folder: Path) -> str:
    poses = invert(HOME) @ _resampled(home, LINGBOT_FPS)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "poses.npy", poses)
    np.save(folder / "intrinsics.npy", _lens(home, len(poses), *LINGBOT_SIZE) * np.tile(LINGBOT_SIZE, 2))
    return str(folder)


def _array(path: Path, *shape: int) -> Array:
    try:
        array: Array = np.asarray(np.load(path, allow_pickle=False), np.float64)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise ValueError(f"expected an array of numbers in {path.name}, got another file: {error}"[:200]) from None
    if array.shape == shape:
        array = array[None]
    if array.shape[1:] != shape or not 1 <= len(array) <= LONGEST or not np.isfinite(array).all():
        wanted = f"(N, {', '.join(map(str, shape))}) with N from 1 to {LONGEST}"
        raise ValueError(f"expected finite numbers of shape {wanted} in {path.name}, got {array.shape}")
    return array


def _lens(way: Trajectory, count: int, width: int, height: int) -> Array:
    """(count, 4) intrinsics as fractions at even times; where none are known, 75 degrees and square pixels."""
    if way.lens is None:
        return np.tile(Intrinsics.from_fov(width, height, 75.0).normalised(), (count, 1))
    at, given = np.linspace(0, len(way.lens) - 1, count), np.arange(len(way.lens))
    return np.stack([np.interp(at, given, way.lens[:, i]) for i in range(4)], -1)


# Worlds


def at_home(poses: Array) -> Array:
    """Poses (N, 4, 4) from a world of unknown axes in ours: from the origin on, first facing yaw 0, upright as far as
    the cameras themselves tell."""
    return _ours(poses, trusted=False)


def _ours(poses: Array, trusted: bool) -> Array:
    """The same way in our world, from the origin on and first facing yaw 0.

    Down is y where the cameras stand upright in that: the first, for a format that is `trusted` to mean it,
    all of them for others. Else it is what they themselves tell, or what is down in the first picture.
    """
    Trajectory(poses)  # says which pose is none
    asked = poses[:1] if trusted else poses
    upright = (asked[:, 1, 0] ** 2).mean() < math.sin(LEVEL) ** 2 and asked[:, 1, 1].sum() > 0
    seen = np.array([0.0, -1.0, 0.0]) if upright else _up(poses)
    return _standing(poses, -poses[0, :3, 1] if seen is None else seen)


def _standing(poses: Array, up: Array) -> Array:
    """The same way from the origin on, first facing yaw 0, in a world where that (3,) is up."""
    ahead = poses[0, :3, 2]
    if abs(ahead @ up) > 0.999:
        ahead = -poses[0, :3, 1]  # one who looks down has ahead what the top of the picture shows
    ahead = ahead - (ahead @ up) * up
    ahead /= np.linalg.norm(ahead)
    axes = np.eye(4)
    axes[:3, :3] = ahead, np.cross(up, ahead), up
    moved = poses.copy()
    moved[:, :3, 3] -= poses[0, :3, 3]
    return _orthonormal(axes @ moved)


def _up(poses: Array) -> Array | None:
    """(3,) what was up where cameras were carried that did not roll: what is across all their x axes.

    None where that says nothing: they hardly turned, or they did roll.
    """
    right = poses[:, :3, 0]
    spread, ways = np.linalg.eigh(right.T @ right / len(right))
    if spread[0] > math.sin(LEVEL) ** 2 or spread[1] < math.sin(2 * LEVEL) ** 2:
        return None
    return ways[:, 0] * (1 if ways[:, 0] @ poses[:, :3, 1].sum(0) < 0 else -1)


def _orthonormal(poses: Array) -> Array:
    """The same poses without what single precision, or a long product, has left of skew."""
    out = poses.copy()
    out[:, :3, :3] = rotation(quaternion(poses[:, :3, :3]))
    return out
