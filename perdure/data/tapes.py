"""Tapes: what `perdure play --record` keeps, read. Frames are as they were shown, and each control says when it came.

Who writes them is `server/tape.py`.
"""

from pathlib import Path

import msgspec
import numpy as np

from perdure.camera import Intrinsics
from perdure.data.clip import LONGEST, SHORTEST, Clip, Skipped
from perdure.data.shards import Said, decoded
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND

ABOUT = "session.json"
"""The file by which a tape is known."""

CHUNK = FRAMES_PER_CHUNK / FRAMES_PER_SECOND  # seconds


class Control(msgspec.Struct, frozen=True, omit_defaults=True):
    """What someone did, and when."""

    came: float  # seconds since the tape began
    sent: float  # by the sender's own clock, as it was sent
    sender: str
    keys: int = 0
    turn: float = 0.0
    tilt: float = 0.0
    hand: int = 0
    text: str = ""


class Shown(msgspec.Struct, frozen=True):
    """A frame that was shown."""

    seq: int
    step: int
    index: int  # in its chunk
    made: float  # seconds since the tape began
    camera: list[list[float]]
    echoes: dict[str, float]  # sender -> when it sent the newest of its controls that this frame answers


class Part(msgspec.Struct, frozen=True):
    """A few seconds of a tape, beside its frames."""

    frames: list[Shown]
    actions: dict[int, Said]  # by step
    controls: list[Control]
    dropped: int  # frames and controls so far that the disk was too slow for


class Taped(msgspec.Struct, frozen=True):
    """What a tape is of."""

    world: str
    scene: tuple[str, int]
    seed: int
    view: str
    intrinsics: Intrinsics
    fps: float


def parts(path: Path) -> list[Part]:
    """All of a tape but its pictures."""
    return [msgspec.json.decode(file.read_bytes(), type=Part) for file in _files(path)]


def _files(path: Path) -> list[Path]:
    """Of its parts, in order; each is written after its frames."""
    return sorted(path.glob("[0-9]*.json"))


def taped(path: Path, seconds: float) -> list[tuple[int, int]]:
    """Frames (from, to) of pieces of whole chunks, one after the other without a gap."""
    shown = [frame for part in parts(path) for frame in part.frames]
    known = {step for part in parts(path) for step in part.actions}
    runs: list[list[int]] = []  # where whole chunks begin
    for at in range(len(shown) - FRAMES_PER_CHUNK + 1):
        chunk = shown[at : at + FRAMES_PER_CHUNK]
        if shown[at].step not in known or [(f.step, f.index) for f in chunk] != [
            (shown[at].step, i) for i in range(FRAMES_PER_CHUNK)
        ]:
            continue
        if runs and runs[-1][-1] == at - FRAMES_PER_CHUNK and shown[runs[-1][-1]].step == shown[at].step - 1:
            runs[-1].append(at)
        else:
            runs.append([at])
    out: list[tuple[int, int]] = []
    for run in runs:
        cut = pieces(len(run), seconds)
        out += [(run[a], run[b - 1] + FRAMES_PER_CHUNK) for a, b in cut]
    return out


def played_back(path: Path, first: int, last: int, source: str, licence: str) -> Clip:
    """A clip of a tape: frames as they were shown, and what was pressed when."""
    seconds = (last - first) / FRAMES_PER_SECOND
    if seconds < SHORTEST:
        raise Skipped(f"{path.name} goes on without a gap for {seconds:.1f} s only", path.name)
    about = msgspec.json.decode((path / ABOUT).read_bytes(), type=Taped)
    every, pictures, at = parts(path), [], 0
    shown = [frame for part in every for frame in part.frames][first:last]
    actions = {step: said.action() for part in every for step, said in part.actions.items()}
    for file, part in zip(_files(path), every):
        low, high = max(first, at), min(last, at + len(part.frames))
        if low < high:
            pictures.append(decoded(file.with_suffix(".mp4").read_bytes(), "mp4")[low - at : high - at])
        at += len(part.frames)
    states = {
        "shown": np.array([frame.made for frame in shown]),
        "control": np.array([max(frame.echoes.values(), default=np.nan) for frame in shown]),
    }
    return Clip(
        f"{source}-{plain(path.name)}-{first:06d}",
        source,
        licence,
        about.fps,
        np.concatenate(pictures),
        seed=about.seed,
        view=about.view,
        intrinsics=about.intrinsics,
        poses=np.array([frame.camera for frame in shown]),
        actions=tuple(actions[frame.step] for frame in shown[::FRAMES_PER_CHUNK]),
        states={0: states},
        tags={"scene": about.scene[0], "world": about.world, "frames": "as shown"},
    )


def pieces(steps: int, seconds: float) -> list[tuple[int, int]]:
    """Steps (from, to) of pieces that are equally long, `seconds` at most; what is too short is named as such."""
    most = max(1, int(min(max(seconds, SHORTEST), LONGEST) / CHUNK + 1e-6))
    parts = -(-steps // most)
    return [(steps * n // parts, steps * (n + 1) // parts) for n in range(parts)]


def plain(name: str) -> str:
    """A name of a world as a part of one of a clip."""
    return "".join(letter if (letter.isascii() and letter.isalnum()) or letter in "-_" else "-" for letter in name)[:60]
