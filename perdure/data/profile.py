"""Profiles: a clip in plain numbers and words, a row for each, to choose by.

    profile(clip) -> {"duration": 10.0, "sharpness": 211.3, "events": ["snow"], ...}

They lie in `profile.parquet` beside the shards. What a clip cannot tell is None. Tags are columns as well: those that
are numbers as numbers.

Shapes: N frames, P pairs of frames.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.camera import angles
from perdure.data.clip import SKY, STILL, Clip
from perdure.data.trajectories.revisit import revisit_density
from perdure.data.video.filters import SAMPLES, laplacian, luma, small, step

PROFILE = "profile.parquet"
Value = None | bool | int | float | str | list[str]
Row = dict[str, Value]

DAMAGED = "damaged"
"""A column that is there only where there are clips that cannot be read: why."""

PAIRS = 16  # pairs of frames that motion is measured in
DIGITS = 6  # significant ones of what is measured

COLUMNS: Mapping[str, str] = {
    "name": "of the clip",
    "source": "where it comes from",
    "licence": "of its source",
    "seed": "that made it",
    "view": "first, third, animal, vehicle, screen",
    "frames": "how many",
    "fps": "frames a second",
    "duration": "seconds",
    "width": "pixels",
    "height": "pixels",
    "brightness": "mean level, 0 to 255",
    "contrast": "deviation of levels, the median frame's",
    "sharpness": "variance of the Laplacian, the median frame's",
    "change": "mean difference of levels between frames an eighth of a second apart",
    "motion": "share of the width that the median block moves in a second",
    "moving": "share of pixels on somebody or something that can move",
    "sky": "share of pixels on the sky",
    "depth": "median metres",
    "path": "metres that the camera went",
    "turned": "degrees that it turned to either side",
    "pitch": "mean degrees up",
    "eye_height": "median metres of the camera above the feet of who looks",
    "revisit_density": "share of frames whose view was seen 3 s or more before",
    "poses": "where camera poses come from: engine, pycolmap, file; none",
    "pose_error": "pixels, where poses were estimated",
    "cast": "kinds of who is there",
    "creatures": "kinds of creatures",
    "crowd": "how many creatures",
    "commands": "how many commands were given",
    "asked": "different commands",
    "commanded": "share of chunks in which somebody is told something",
    "deeds": "what creatures did",
    "events": "kinds of what happened",
    "happened": "how many events",
    "hits": "how many",
    "deaths": "how many",
    "captions": "whether there are any",
    "actions": "whether keys and mouse are known",
}
"""What every profile has; tags come beside them."""


def profile(clip: Clip) -> Row:
    """The row of a clip."""
    row: Row = {
        "name": clip.name,
        "source": clip.source,
        "licence": clip.licence,
        "seed": clip.seed,
        "view": clip.view,
        "frames": len(clip.rgb),
        "fps": float(clip.fps),
        "duration": clip.seconds,
        "width": clip.rgb.shape[2],
        "height": clip.rgb.shape[1],
        **_looks(clip),
        **_way(clip),
        **_doings(clip),
        "captions": clip.captions is not None,
        "actions": clip.actions is not None,
    }
    row |= {name: tag(value) for name, value in clip.tags.items() if name.isidentifier() and name not in row}
    return {name: _rounded(value) for name, value in row.items()}


def tag(value: str) -> str | float:
    """A tag as a number, where it is one."""
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value


def _looks(clip: Clip) -> Row:
    n = len(clip.rgb)
    gray = luma(clip.rgb[np.linspace(0, n - 1, min(SAMPLES, n)).astype(int)])
    apart = min(max(1, round(clip.fps / 8)), n - 1)
    first = np.linspace(0, n - 1 - apart, min(PAIRS, n - apart)).astype(int)
    pairs = [small(clip.rgb[[i, i + apart]]) for i in first]
    share = clip.fps / apart
    out: Row = {
        "brightness": float(gray.mean(dtype=np.float64)),
        "contrast": float(np.median(gray.std((1, 2)))),
        "sharpness": float(np.median(laplacian(gray).var((1, 2)))),
        "change": float(np.mean([np.abs(b - a).mean() for a, b in pairs])),
        "motion": float(np.median([step(pair) for pair in pairs])) * share,
        "moving": None,
        "sky": None,
        "depth": None,
    }
    some = slice(None, None, max(1, n // SAMPLES))
    if clip.entity is not None:
        seen = clip.entity[some]
        out["moving"] = float(((seen > STILL) & (seen < SKY)).mean())
        out["sky"] = float((seen == SKY).mean())
    if clip.depth is not None:
        away = clip.depth[some][:, ::4, ::4]
        out["depth"] = float(np.median(away[away > 0])) if (away > 0).any() else None
    return out


def _way(clip: Clip) -> Row:
    known = ("path", "turned", "pitch", "eye_height", "revisit_density", "pose_error")
    out: Row = dict.fromkeys(known)
    out["poses"] = clip.tags.get("poses", "engine") if clip.poses is not None else "none"
    if clip.poses is None:
        return out
    yaw, pitch = angles(clip.poses)
    steps = np.diff(clip.poses[:, :3, 3], axis=0)
    out["path"] = float(np.linalg.norm(steps, axis=1).sum())
    out["turned"] = float(np.degrees(np.abs(np.remainder(np.diff(yaw) + math.pi, 2 * math.pi) - math.pi).sum()))
    out["pitch"] = float(np.degrees(pitch).mean())
    feet = clip.states.get(0, {}).get("position")
    if feet is not None and feet.shape == (len(clip.poses), 3) and np.isfinite(feet).any():
        out["eye_height"] = float(np.nanmedian(clip.poses[:, 2, 3] - feet[:, 2]))
    said = clip.tags.get("revisit_density")
    if said is not None:
        out["revisit_density"] = tag(said)
    elif clip.intrinsics is not None:
        out["revisit_density"] = revisit_density(clip.poses, clip.intrinsics, clip.fps)
    if "pose_error" in clip.tags:
        out["pose_error"] = tag(clip.tags["pose_error"])
    return out


def _doings(clip: Clip) -> Row:
    given = [words for said in clip.commands.values() for words in begun(said)]
    chunks = list(zip(*clip.commands.values()))
    creatures = [actor for actor in clip.cast if actor.role == "creature"]
    kinds = Counter(moment.kind for moment in clip.events)
    return {
        "cast": sorted({actor.kind for actor in clip.cast}),
        "creatures": sorted({actor.kind for actor in creatures}),
        "crowd": len(creatures),
        "commands": len(given),
        "asked": len(set(given)),
        "commanded": sum(any(said) for said in chunks) / len(chunks) if chunks else 0.0,
        "deeds": sorted({name for entity in clip.states for name, _, _ in deeds(clip, entity)}),
        "events": sorted(kinds),
        "happened": len(clip.events),
        "hits": kinds["hit"] + kinds["strike"],
        "deaths": kinds["death"] + kinds["kill"],
    }


def begun(said: Sequence[str]) -> list[str]:
    """Commands as they begin: what goes on for several chunks is one."""
    return [words for before, words in zip(("", *said), said) if words and words != before]


def deeds(clip: Clip, entity: int) -> list[tuple[str, int, int]]:
    """What somebody did, by the state: name, first frame, and the frame after the last."""
    known, names = clip.states.get(entity, {}), clip.tags.get(f"deeds {entity}", "").split(",")
    if "deed" not in known or names == [""]:
        return []
    return [(names[deed], a, b) for deed, a, b in runs(np.asarray(known["deed"])) if 0 <= deed < len(names)]


def runs(values: NDArray[Any]) -> list[tuple[Any, int, int]]:
    """Stretches of one value: it, where it begins, and where it has ended."""
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return [(values[a].item(), a, b) for a, b in pairwise(edges)]


def _rounded(value: Value) -> Value:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


# On the disk


def write(path: Path, rows: Sequence[Row]) -> None:
    """Rows as parquet; equal rows give equal bytes. A column is of numbers where all that is known of it is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*COLUMNS, *sorted({name for row in rows for name in row} - set(COLUMNS))]
    columns: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        kinds = {type(value) for value in values if value is not None}
        if not kinds:
            kind = pa.list_(pa.string()) if name in LISTS else pa.string() if name in TEXTS else pa.float64()
        elif kinds == {list}:
            kind = pa.list_(pa.string())
        elif kinds == {bool}:
            kind = pa.bool_()
        elif kinds == {int}:
            kind = pa.int64()
        elif kinds <= {int, float}:
            kind = pa.float64()
        else:
            kind = pa.string()
            values = [value if value is None else _text(value) for value in values]
        columns[name] = pa.array(values, kind)
    beside = path.with_name(f".{path.name}.new")
    pq.write_table(pa.table(columns), beside, compression="zstd", store_schema=False)
    beside.replace(path)


LISTS = {"cast", "creatures", "deeds", "events"}
TEXTS = {"name", "source", "licence", "view", "poses"}


def _text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def read(path: Path) -> list[Row]:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path).read().to_pylist()


def profiles(folder: Path, shards: Iterable[Path]) -> list[Row]:
    """The rows of all shards, in order. Raises `ValueError` where there are none, or not of these."""
    out: list[Row] = []
    for place in dict.fromkeys(shard.parent for shard in shards):
        path = place / PROFILE
        if not path.exists():
            raise ValueError(
                f"expected {PROFILE} beside the shards in {place}: `perdure data profile {folder}` makes it"
            )
        out += read(path)
    return out
