"""LeRobot's data sets, format v3.0: clips as episodes, and episodes as clips.

    export(Dataset("data"), Path("out"))
    for clip in episodes(Path("out")): ...

    meta/info.json                               what there is: features, frames a second, counts, where files lie
    meta/stats.json                              of each feature: least, greatest, mean, deviation, quantiles
    meta/tasks.parquet                           tasks in words, by number
    meta/episodes/chunk-000/file-000.parquet     a row an episode: length, tasks, files, statistics
    data/chunk-000/file-000.parquet              a row a frame: state, action, time, numbers
    videos/observation.images.eye/chunk-000/file-000.mp4

Ours have a file of pictures for each episode, the very one of the shard. A row of episodes also holds the clip's sheet,
so that what we wrote comes back with its cast, commands, events and captions; depth, entity maps and states do not.

Shapes: N frames, D numbers of a state or an action.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from perdure.camera import angles, quaternion, rotation
from perdure.data.clip import Actor, Clip
from perdure.data.dataset import Dataset
from perdure.data.shards import Sheet, clip_of, taken
from perdure.world.action import FRAMES_PER_CHUNK, Action

VERSION = "v3.0"
EYE = "observation.images.eye"
SHEET = "perdure.sheet"
POSE = ("x", "y", "z", "qw", "qx", "qy", "qz", "yaw", "pitch")
ACTION = ("forward", "back", "left", "right", "turn_left", "turn_right", "look_up", "look_down", "turn", "tilt")
PER_CHUNK = 1000  # files of a folder
DATA_MB, VIDEO_MB = 100, 200  # that others fill a file up to
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
SAMPLES = 16  # frames of an episode that its colours are measured on
INDICES = {
    "timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64", "task_index": "int64",
}  # fmt: skip

Arrays = dict[str, NDArray[Any]]


# Out


@dataclass(frozen=True)
class Group:
    """What episodes of one data set have in common."""

    source: str
    fps: int
    width: int
    height: int
    state: tuple[str, ...]
    acts: bool

    @property
    def name(self) -> str:
        return f"{self.source}-{self.width}x{self.height}-{self.fps}"


def export(data: Dataset, folder: Path) -> list[Path]:
    """Write a data set; one for each size, rate and source, where there are several. Gives their folders."""
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"expected {folder} to be new or empty: LeRobot's data sets are written whole")
    groups = defaultdict[Group, list[str]](list)
    for name in data.names:
        groups[_group(data, name)].append(name)
    out: list[Path] = []
    for group, names in groups.items():
        alike = [other for other in groups if other.name == group.name]
        label = group.name if len(alike) == 1 else f"{group.name}-{1 + alike.index(group)}"
        place = folder if len(groups) == 1 else folder / label
        _export(data, names, group, place)
        out.append(place)
    return out


def _group(data: Dataset, name: str) -> Group:
    sheet = data.sheet(name)
    if sheet.fps != round(sheet.fps):
        raise ValueError(f"expected a whole number of frames a second, as LeRobot has them: {name} has {sheet.fps:g}")
    keys = tuple(_state(sheet, *data.arrays(name)))
    return Group(sheet.source, round(sheet.fps), sheet.width, sheet.height, keys, sheet.actions is not None)


def _state(
    sheet: Sheet, poses: NDArray[np.float64] | None, states: Mapping[int, Mapping[str, NDArray[Any]]]
) -> dict[str, NDArray[np.float64]]:
    """Numbers by name, (N,) each: the camera's pose; without a camera, what is known of the players."""
    if poses is not None:
        turned = np.stack([quaternion(pose[:3, :3]) for pose in poses])
        return dict(zip(POSE, np.concatenate([poses[:, :3, 3], turned, np.stack(angles(poses), -1)], 1).T))
    out: dict[str, NDArray[np.float64]] = {}
    for actor in sheet.cast:
        for what, values in sorted(states.get(actor.entity, {}).items()):
            if actor.role == "player" and np.isfinite(values).all():
                flat = np.asarray(values, np.float64).reshape(len(values), -1)
                out |= {f"{actor.entity}.{what}.{k}": column for k, column in enumerate(flat.T)}
    return out


def _export(data: Dataset, names: Sequence[str], group: Group, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = _features(group)
    tasks: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    gathered = defaultdict[str, list[NDArray[Any]]](list)
    first = 0
    path = folder / "data" / f"{FILE.format(chunk_index=0, file_index=0)}.parquet"
    path.parent.mkdir(parents=True)
    schema = pa.schema([(key, _arrow(facts)) for key, facts in features.items() if facts["dtype"] != "video"])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for episode, name in enumerate(names):
            sheet = data.sheet(name)
            film = taken(data.files(name)["mp4"])
            told = sheet.captions.narrative if sheet.captions else ""
            task = told or f"{sheet.source}: {sheet.tags.get('scene', sheet.name)}"
            table = _frames(data, sheet, group, episode, first, tasks.setdefault(task, len(tasks)))
            columns = {key: _column(table[key], schema.field(key).type) for key in schema.names}
            writer.write_table(pa.table(columns, schema))
            where = {"chunk_index": episode // PER_CHUNK, "file_index": episode % PER_CHUNK}
            video = folder / "videos" / EYE / f"{FILE.format(**where)}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            video.write_bytes(film)
            table[EYE] = _colours(video, sheet.frames)
            row: dict[str, Any] = {
                "episode_index": episode, "tasks": [task], "length": sheet.frames,
                "dataset_from_index": first, "dataset_to_index": first + sheet.frames,
                "data/chunk_index": 0, "data/file_index": 0,
                "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
                **{f"videos/{EYE}/{key}": value for key, value in where.items()},
                f"videos/{EYE}/from_timestamp": 0.0, f"videos/{EYE}/to_timestamp": sheet.frames / group.fps,
                SHEET: sheet.to_json().decode(),
            }  # fmt: skip
            for key, values in table.items():
                if features[key]["dtype"] != "string":
                    row |= {f"stats/{key}/{what}": number for what, number in _stats(values, key == EYE).items()}
                    gathered[key].append(values)
            rows.append(row)
            first += sheet.frames
    _write_meta(folder, group, features, tasks, rows, first)
    whole = {key: _stats(np.concatenate(parts), key == EYE) for key, parts in gathered.items()}
    (folder / "meta" / "stats.json").write_text(json.dumps(whole, indent=4) + "\n", "utf-8")


def _features(group: Group) -> dict[str, dict[str, Any]]:
    picture = {
        "video.height": group.height, "video.width": group.width, "video.codec": "h264", "video.pix_fmt": "yuv444p",
        "video.is_depth_map": False, "video.fps": group.fps, "video.channels": 3, "has_audio": False,
    }  # fmt: skip
    out: dict[str, dict[str, Any]] = {
        EYE: {
            "dtype": "video", "shape": [group.height, group.width, 3], "names": ["height", "width", "channels"],
            "info": picture,
        },
    }  # fmt: skip
    if group.state:
        out["observation.state"] = {"dtype": "float32", "shape": [len(group.state)], "names": list(group.state)}
    if group.acts:
        out["action"] = {"dtype": "float32", "shape": [len(ACTION)], "names": list(ACTION)}
    out["commands"] = {"dtype": "string", "shape": [1], "names": None}
    return out | {key: {"dtype": dtype, "shape": [1], "names": None} for key, dtype in INDICES.items()}


def _frames(data: Dataset, sheet: Sheet, group: Group, episode: int, first: int, task: int) -> Arrays:
    """The rows of an episode by column. An action stands in each of its four frames, and turns a quarter in each."""
    n = sheet.frames
    out: Arrays = {}
    if group.state:
        out["observation.state"] = np.stack([*_state(sheet, *data.arrays(sheet.name)).values()], -1).astype(np.float32)
    if sheet.actions is not None:
        acts = np.stack([said.action().features() for said in sheet.actions])
        acts[:, 8:] /= FRAMES_PER_CHUNK
        out["action"] = acts.repeat(FRAMES_PER_CHUNK, 0)
    names = {actor.entity: actor.name for actor in sheet.cast}
    told = [
        json.dumps({names.get(entity, str(entity)): said[k] for entity, said in sheet.commands.items() if said[k]})
        for k in range(n // FRAMES_PER_CHUNK)
    ]
    out["commands"] = np.array(told, dtype=object).repeat(FRAMES_PER_CHUNK)
    frame = np.arange(n)
    out["timestamp"] = (frame / group.fps).astype(np.float32)
    out["frame_index"], out["index"] = frame, first + frame
    out["episode_index"], out["task_index"] = np.full(n, episode), np.full(n, task)
    return out


def _arrow(facts: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    kind = {"float32": pa.float32(), "int64": pa.int64(), "string": pa.string()}[facts["dtype"]]
    return kind if facts["shape"] == [1] else pa.list_(kind, facts["shape"][0])


def _column(values: NDArray[Any], kind: Any) -> Any:
    import pyarrow as pa

    if values.ndim == 2 and values.shape[1] == 1:  # one number is a number, in LeRobot's tables
        return pa.array(values[:, 0], kind)
    if values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), kind.value_type), values.shape[1])
    return pa.array(values.tolist() if values.dtype == object else values, kind)


def _colours(video: Path, frames: int) -> NDArray[np.float64]:
    """(P, 3) colours of some pixels of some frames, from 0 to 1."""
    wanted = set(np.linspace(0, frames - 1, min(SAMPLES, frames)).astype(int).tolist())
    with av.open(str(video)) as container:
        films: Any = container.decode(video=0)
        some = [frame.to_ndarray(format="rgb24")[::4, ::4] for i, frame in enumerate(films) if i in wanted]
    return np.stack(some).reshape(-1, 3) / 255.0


def _stats(values: NDArray[Any], picture: bool) -> dict[str, Any]:
    """Statistics of a feature, (N,) or (N, D); of pictures for each channel."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    numbers = {"min": flat.min(0), "max": flat.max(0), "mean": flat.mean(0), "std": flat.std(0)}
    numbers |= {name: np.quantile(flat, share, axis=0) for name, share in QUANTILES.items()}
    shaped = {name: (it[:, None, None] if picture else it).tolist() for name, it in numbers.items()}
    return shaped | {"count": [len(values)]}


def _write_meta(
    folder: Path, group: Group, features: Mapping[str, Any], tasks: Mapping[str, int], rows: list[dict[str, Any]],
    frames: int,
) -> None:  # fmt: skip
    import pyarrow as pa
    import pyarrow.parquet as pq

    episodes = folder / "meta" / "episodes" / f"{FILE.format(chunk_index=0, file_index=0)}.parquet"
    episodes.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), episodes, compression="zstd")
    # Others read this one by pandas, with the tasks as its index.
    index = "__index_level_0__"
    described = {
        "index_columns": [index], "column_indexes": [], "pandas_version": "2.0.0",
        "columns": [
            {"name": name, "field_name": field, "pandas_type": kind, "numpy_type": of, "metadata": None}
            for name, field, kind, of in (("task_index",) * 2 + ("int64",) * 2, (None, index, "unicode", "object"))
        ],
    }  # fmt: skip
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), index: pa.array(tasks, pa.string())})
    table = table.replace_schema_metadata({"pandas": json.dumps(described)})
    pq.write_table(table, folder / "meta" / "tasks.parquet")
    info = {
        "codebase_version": VERSION, "robot_type": None, "total_episodes": len(rows), "total_frames": frames,
        "total_tasks": len(tasks), "chunks_size": PER_CHUNK, "data_files_size_in_mb": DATA_MB,
        "video_files_size_in_mb": VIDEO_MB, "fps": group.fps, "splits": {"train": f"0:{len(rows)}"},
        "data_path": f"data/{FILE}.parquet", "video_path": f"videos/{{video_key}}/{FILE}.mp4", "features": features,
    }  # fmt: skip
    (folder / "meta" / "info.json").write_text(json.dumps(info, indent=4) + "\n", "utf-8")


# In


def described(folder: Path) -> dict[str, Any]:
    """The info of a data set, checked."""
    path = folder / "meta" / "info.json"
    try:
        info = json.loads(path.read_text("utf-8"))
        version = str(info["codebase_version"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"expected a data set of LeRobot in {folder}, with its meta/info.json") from None
    if not version.startswith("v3."):
        raise ValueError(f"expected LeRobot's format {VERSION} in {folder}, got {version}: LeRobot converts older ones")
    try:
        films = [facts["dtype"] == "video" for facts in info["features"].values()]
        _ = float(info["fps"]), str(info["data_path"]), str(info["video_path"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} does not say what a data set of LeRobot says ({error!r})") from None
    if not any(films):
        raise ValueError(f"{folder} has no video: clips are made of pictures")
    return info


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The episodes, without their statistics."""
    import pyarrow.parquet as pq

    out: list[dict[str, Any]] = []
    for path in sorted((folder / "meta" / "episodes").glob("*/*.parquet")):
        file = pq.ParquetFile(path)
        columns = [name for name in file.schema_arrow.names if not name.startswith("stats/")]
        out += file.read(columns=columns).to_pylist()
    return sorted(out, key=lambda row: row["episode_index"])


def episodes(folder: Path) -> Iterator[Clip]:
    """All episodes as clips, whatever their lengths."""
    info = described(folder)
    for row in rows_of(folder):
        yield episode(folder, info, row)


def episode(folder: Path, info: Mapping[str, Any], row: Mapping[str, Any], camera: str = "") -> Clip:
    """An episode as a clip: ours with all that is in its sheet, others with their numbers as states of entity 0."""
    import pyarrow.parquet as pq

    cameras = [key for key, facts in info["features"].items() if facts["dtype"] == "video"]
    key = camera or cameras[0]
    if key not in cameras:
        raise ValueError(f"expected a camera out of {', '.join(cameras)}, got {key!r}")
    number, fps = int(row["episode_index"]), float(info["fps"])
    where = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
    names = [name for name in ("observation.state", "action") if name in info["features"]]
    table = pq.read_table(
        folder / info["data_path"].format(**where), columns=[*names, "frame_index"],
        filters=[("episode_index", "=", number)]
    )  # fmt: skip
    order = np.argsort(table["frame_index"].to_numpy(), kind="stable")
    numbers = {name: np.array(table[name].to_pylist(), np.float64)[order] for name in names}
    where = {"chunk_index": row[f"videos/{key}/chunk_index"], "file_index": row[f"videos/{key}/file_index"]}
    film = folder / info["video_path"].format(video_key=key, **where)
    begins = float(row[f"videos/{key}/from_timestamp"])
    rgb = _between(film, begins, int(row["length"]), fps)
    n = len(rgb) // FRAMES_PER_CHUNK * FRAMES_PER_CHUNK
    if n == 0:
        raise ValueError(f"episode {number} of {folder} has {len(rgb)} frames: expected four at least")
    if row.get(SHEET):
        return _ours(row[SHEET], rgb, numbers, info)
    robot = str(info.get("robot_type") or "arm")  # it is somebody's name: no word that is held back
    tasks = [str(task) for task in row.get("tasks") or ()]
    return Clip(
        f"lerobot-{number:06d}", "lerobot", "unstated", fps, rgb[:n],
        cast=(Actor(0, robot, f"the {robot}", "player"),),
        commands={0: (tasks[0],) * (n // FRAMES_PER_CHUNK)} if tasks else {},
        states={0: {name.replace("observation.", ""): it[:n] for name, it in numbers.items()}} if numbers else {},
        tags={"task": "; ".join(tasks), "robot": robot, "camera": key, "episode": str(number)},
    )  # fmt: skip


def _ours(
    written: str, rgb: NDArray[np.uint8], numbers: Mapping[str, NDArray[np.float64]], info: Mapping[str, Any]
) -> Clip:
    clip = clip_of({"json": written.encode()}, rgb)
    known = info["features"].get("observation.state", {}).get("names") or []
    if list(known[:7]) == list(POSE[:7]):
        state = numbers["observation.state"]
        poses = np.tile(np.eye(4), (len(state), 1, 1))
        poses[:, :3, 3] = state[:, :3]
        poses[:, :3, :3] = [rotation(q / np.linalg.norm(q)) for q in state[:, 3:7]]
        clip = replace(clip, poses=poses)
    return clip


def _between(film: Path, start: float, count: int, fps: float) -> NDArray[np.uint8]:
    """(count, H, W, 3) frames of a film from a second on."""
    out: list[Any] = []
    half = 0.5 / fps
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        if start > 1:
            container.seek(math.floor((start - 1) / Fraction(stream.time_base or 1)), stream=stream)
        for frame in container.decode(stream):
            if frame.time is not None and frame.time >= start - half and len(out) < count:
                out.append(frame.to_ndarray(format="rgb24"))
            if len(out) == count:
                break
    if len(out) < count:
        raise ValueError(f"expected {count} frames in {film} from second {start:g} on, got {len(out)}")
    return np.stack(out)


def action_of(numbers: Sequence[float]) -> Action:
    """A row of `action` as we write it, for a whole chunk."""
    keys = sum(1 << i for i in range(8) if numbers[i] > 0.5)
    return Action(keys, float(numbers[8]) * FRAMES_PER_CHUNK, float(numbers[9]) * FRAMES_PER_CHUNK)
