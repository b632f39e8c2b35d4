"""A contact sheet: one HTML file that shows a data set, with nothing beside it.

    write(Dataset("data"), Path("data.html"), clips=24)

All clips are counted in its histograms; some of each kind are shown, as a strip of pictures that plays, with a map of
the way from above, what everyone was told and when, what happened, and captions. At most `MOST` bytes a clip.

Shapes: N frames, K pictures of a strip, P points, H W picture.
"""

import base64
import io
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perdure.camera import angles
from perdure.data.captions import timed
from perdure.data.clip import STILL, Clip
from perdure.data.dataset import Dataset
from perdure.data.profile import Row, runs
from perdure.world.action import FRAMES_PER_CHUNK

PAGE = Path(__file__).with_name("view.html")
MOST = 200_000  # bytes of a clip
PICTURES, COLUMNS = 24, 6  # of a strip
AREA = 208 * 117  # pixels of each of them
QUALITIES = (66, 54, 42, 30, 20, 10)
CELLS = 130  # of a map, along its longer side
REACH = 9.0  # metres beyond which depth draws no map
TRACK = 160  # points of a way, at most
BINS = 16

NUMBERS = {
    "duration": "seconds", "brightness": "mean level", "contrast": "deviation of levels", "sharpness": "Laplacian",
    "motion": "widths a second", "moving": "share of pixels", "revisit_density": "seen again", "path": "metres",
    "turned": "degrees", "commands": "a clip", "happened": "events a clip",
}  # fmt: skip
WORDS = {
    "source": "", "scene": "", "trajectory": "the camera's way", "view": "seen from", "weather": "at the start",
    "creatures": "clips with one", "deeds": "clips with it", "events": "clips with it",
}  # fmt: skip


def write(data: Dataset, path: Path, rows: Sequence[Row], clips: int = 24, title: str = "") -> int:
    """Write the sheet; gives how many clips are shown."""
    chosen = spread(rows, clips)
    found = {
        "title": title or data.folder.resolve().name,
        "clips": len(rows),
        "seconds": sum(float(row["duration"] or 0) for row in rows),  # type: ignore[arg-type]
        "frames": sum(int(row["frames"] or 0) for row in rows),  # type: ignore[arg-type,call-overload]
        "sources": _sources(rows),
        "numbers": [facts for name, unit in NUMBERS.items() if (facts := histogram(rows, name, unit))],
        "words": [facts for name, unit in WORDS.items() if (facts := counts(rows, name, unit))],
        "shown": [card(data[name], row) for name, row in ((str(row["name"]), row) for row in chosen)],
    }
    payload = json.dumps(found, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    page = PAGE.read_text("utf-8")
    head, _, tail = page.partition("@DATA@")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + payload + tail, "utf-8")
    return len(chosen)


def spread(rows: Sequence[Row], count: int) -> list[Row]:
    """So many of the clips, each source, then each of its scenes, as often as any other."""
    groups: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        groups[str(row["source"])][str(row.get("scene"))].append(row)
    ordered: list[list[Row]] = []  # of each source, its scenes in turn
    flat = {source for source, scenes in groups.items() for some in scenes.values() if some[0]["view"] == "screen"}
    for _, scenes in sorted(groups.items(), key=lambda item: item[0] in flat):  # what has a camera first
        longest = max(map(len, scenes.values()))
        ordered.append([some[i] for i in range(longest) for some in scenes.values() if i < len(some)])
    turns = [some[i] for i in range(max(map(len, ordered), default=0)) for some in ordered if i < len(some)]
    return turns[:count]


def histogram(rows: Sequence[Row], name: str, unit: str) -> dict[str, Any] | None:
    """How a number is spread over the clips; None where hardly any knows it."""
    values = np.array([float(v) for row in rows if isinstance(v := row.get(name), int | float)])
    if len(values) < 2 or values.min() == values.max():
        return None
    low, high = float(values.min()), float(np.quantile(values, 0.99))
    if high <= low:
        high = float(values.max())
    bins = np.histogram(np.minimum(values, high), BINS, (low, high))[0]
    return {
        "name": name, "unit": unit, "low": low, "high": high, "bins": bins.tolist(),
        "median": float(np.median(values)), "unknown": len(rows) - len(values),
    }  # fmt: skip


def counts(rows: Sequence[Row], name: str, unit: str) -> dict[str, Any] | None:
    """In how many clips a word is there."""
    found = Counter[str]()
    for row in rows:
        value = row.get(name)
        found.update(set(value) if isinstance(value, list) else [str(value)] if value not in (None, "") else [])
    if not found:
        return None
    first = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return {"name": name, "unit": unit, "counts": first[:18], "more": max(0, len(first) - 18)}


def _sources(rows: Sequence[Row]) -> list[dict[str, Any]]:
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = str(row["source"]), str(row["licence"])
        it = out.setdefault(key, {"source": key[0], "licence": key[1], "clips": 0, "seconds": 0.0})
        it["clips"] += 1
        it["seconds"] += float(row["duration"])  # type: ignore[arg-type]
    return list(out.values())


# A clip


def card(clip: Clip, row: Row) -> dict[str, Any]:
    """What the page shows of a clip."""
    seconds = clip.fps
    names = {actor.entity: actor.name for actor in clip.cast}
    told: list[dict[str, Any]] = []
    for entity, said in clip.commands.items():
        spans = [
            [round(a * FRAMES_PER_CHUNK / seconds, 2), round(b * FRAMES_PER_CHUNK / seconds, 2), words]
            for words, a, b in runs(np.array(said))
            if words
        ]
        if spans:
            told.append({"who": names.get(entity, str(entity)), "spans": spans[:160]})
    captions = clip.captions
    out: dict[str, Any] = {
        "name": clip.name,
        "source": clip.source,
        "kind": str(row.get("scene") or clip.tags.get("file") or clip.source),
        "view": clip.view,
        "seconds": round(clip.seconds, 2),
        "size": f"{clip.rgb.shape[2]}×{clip.rgb.shape[1]}",
        "fps": clip.fps,
        "facts": [[name, _short(row[name])] for name in FACTS if row.get(name) not in (None, "", [], "none")],
        "cast": [actor.name for actor in clip.cast if actor.role in ("creature", "player") and actor.name != "you"][:8],
        "told": told[:6],
        "events": [
            [round(m.start / seconds, 2), round(m.end / seconds, 2), m.kind, m.words] for m in clip.events[:120]
        ],
        "story": captions.narrative if captions else "",
        "place": captions.scene if captions else "",
        "dense": timed(captions, seconds)[:80] if captions else [],
        "map": chart(clip),
    }
    room = MOST - len(json.dumps(out, ensure_ascii=False).encode())
    out["strip"] = strip(clip.rgb, room)
    return out


FACTS = ("trajectory", "drama", "temper", "weather", "hour", "season", "style", "revisit_density", "path", "turned",
         "sharpness", "motion", "moving", "hits", "deaths", "poses", "pose_error")  # fmt: skip


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def strip(rgb: NDArray[np.uint8], room: int) -> dict[str, Any]:
    """Pictures from all over a clip in one JPEG, of as good a quality as there is room for."""
    n, h, w = rgb.shape[:3]
    count = min(PICTURES, n)
    at = np.linspace(0, n - 1, count).round().astype(int)
    scale = math.sqrt(AREA / (w * h))
    width, height = max(8, round(w * scale)), max(8, round(h * scale))
    sheet = Image.new("RGB", (width * min(COLUMNS, count), height * -(-count // COLUMNS)))
    for k, i in enumerate(at):
        picture = Image.fromarray(rgb[i]).resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(picture, (k % COLUMNS * width, k // COLUMNS * height))
    url = ""
    for quality in QUALITIES:
        url = _url(sheet, "JPEG", quality=quality, optimize=True)
        if len(url) <= room:
            break
    return {"url": url, "width": width, "height": height, "columns": COLUMNS, "count": count}


def _url(picture: Image.Image, kind: str, **options: Any) -> str:
    packed = io.BytesIO()
    picture.save(packed, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(packed.getvalue()).decode()}"


# A map


def chart(clip: Clip) -> dict[str, Any] | None:
    """The way from above: the ground as it was seen, the camera's way with headings, and everyone else's."""
    if clip.poses is None:
        return _screen(clip)
    at = np.unique(np.linspace(0, len(clip.poses) - 1, min(TRACK, len(clip.poses))).round().astype(int))
    place = clip.poses[:, :3, 3]
    tracks = []
    for actor in clip.cast:
        position = clip.states.get(actor.entity, {}).get("position")
        if actor.entity and actor.role != "thing" and position is not None and position.shape == place.shape:
            tracks.append((actor.name, position[at, :2]))
    ground = _ground(clip)
    near = place[:, :2]
    if ground is not None:
        low, high, picture = ground
    else:
        low, high, picture = near.min(0) - 1.0, near.max(0) + 1.0, None
    yaw = angles(clip.poses[at])[0]
    return {
        "box": [*_flat(low), *_flat(high)],
        "picture": picture,
        "way": [[*_flat(place[i, :2]), round(float(a), 2)] for i, a in zip(at, yaw)],
        "tracks": [{"who": name, "at": [_known(p) for p in track]} for name, track in tracks[:12]],
        "metres": True,
    }


def _screen(clip: Clip) -> dict[str, Any] | None:
    """Where everyone went on a screen that is seen from outside."""
    h, w = clip.rgb.shape[1:3]
    at = np.unique(np.linspace(0, len(clip.rgb) - 1, min(TRACK, len(clip.rgb))).round().astype(int))
    tracks = []
    for actor in clip.cast:
        position = clip.states.get(actor.entity, {}).get("position")
        if position is not None and position.shape == (len(clip.rgb), 2):
            flipped = np.stack([position[at, 0], h - position[at, 1]], -1)
            tracks.append({"who": actor.name, "at": [_known(p) for p in flipped]})
    if not tracks:
        return None
    still = np.median(clip.rgb[at[:: max(1, len(at) // 24)]], axis=0).astype(np.uint8)
    picture = _url(Image.fromarray(still), "PNG", optimize=True)
    return {"box": [0, 0, w, h], "picture": picture, "way": [], "tracks": tracks, "metres": False}


def _ground(clip: Clip) -> tuple[NDArray[np.float64], NDArray[np.float64], str] | None:
    """What was seen of the floor and of what stands on it, from above, in its own colours."""
    if clip.depth is None or clip.intrinsics is None or clip.poses is None:
        return None
    lens, (h, w) = clip.intrinsics, clip.depth.shape[1:]
    feet = clip.states.get(0, {}).get("position")
    eye = float(np.nanmedian(clip.poses[:, 2, 3] - feet[:, 2])) if feet is not None else 1.5
    rows, columns = np.meshgrid(np.arange(0, h, 2), np.arange(0, w, 3), indexing="ij")
    rays = np.stack([(columns + 0.5 - lens.cx) / lens.fx, (rows + 0.5 - lens.cy) / lens.fy, np.ones(rows.shape)], -1)
    points: list[NDArray[np.float64]] = []
    colours: list[NDArray[np.uint8]] = []
    for i in range(0, len(clip.poses), max(1, len(clip.poses) // 60)):
        depth = clip.depth[i, ::2, ::3]
        good = (depth > 0.2) & (depth < REACH)
        if clip.entity is not None:
            good &= clip.entity[i, ::2, ::3] == STILL
        seen = rays[good] * depth[good][:, None] @ clip.poses[i, :3, :3].T + clip.poses[i, :3, 3]
        seen[:, 2] -= clip.poses[i, 2, 3] - eye
        points.append(seen)
        colours.append(clip.rgb[i, ::2, ::3][good])
    cloud, looks = np.concatenate(points), np.concatenate(colours).astype(np.float64)
    fit = (cloud[:, 2] > -0.6) & (cloud[:, 2] < 2.2)
    cloud, looks = cloud[fit], looks[fit]
    if len(cloud) < 100:
        return None
    near = clip.poses[:, :2, 3]
    low = np.maximum(np.quantile(cloud[:, :2], 0.01, axis=0), near.min(0) - REACH)
    high = np.minimum(np.quantile(cloud[:, :2], 0.99, axis=0), near.max(0) + REACH)
    low, high = np.minimum(low, near.min(0)) - 0.4, np.maximum(high, near.max(0)) + 0.4
    cell = float((high - low).max()) / CELLS
    across, up = (max(1, math.ceil(side / cell)) for side in high - low)
    x, y = np.floor((cloud[:, :2] - low) / cell).astype(int).T
    inside = (x >= 0) & (x < across) & (y >= 0) & (y < up)
    index, tall = (y * across + x)[inside], cloud[inside, 2] > 0.3
    looks = looks[inside]
    walls, floor = np.bincount(index[tall], minlength=across * up), np.bincount(index[~tall], minlength=across * up)
    out = np.zeros((across * up, 4))
    for which, count, shade in ((~tall, floor, 1.0), (tall, walls, 0.55)):
        mean = np.stack([np.bincount(index[which], looks[which, c], across * up) for c in range(3)], -1)
        taken = count > 0 if shade == 1.0 else count > np.maximum(floor, 1)
        out[taken, :3] = shade * mean[taken] / count[taken, None]
        out[taken, 3] = 255
    picture = Image.fromarray(out.reshape(up, across, 4)[::-1].astype(np.uint8), "RGBA")
    small = picture.quantize(96, Image.Quantize.FASTOCTREE)
    return low, low + cell * np.array([across, up]), _url(small, "PNG", optimize=True)


def _flat(point: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 2) for value in point]


def _known(point: NDArray[np.float64]) -> list[float] | None:
    return _flat(point) if np.isfinite(point).all() else None
