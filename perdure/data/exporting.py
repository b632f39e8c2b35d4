"""Data sets in other forms: LeRobot's, shards of what is chosen, or plain films with their words beside them."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from perdure.data import lerobot, profile, shards
from perdure.data.captions import timed
from perdure.data.card import SHARDS, card, filtered
from perdure.data.dataset import Dataset
from perdure.data.pipeline import CARD, REPORT, planned, shard_of
from perdure.data.profiling import measured
from perdure.data.work import Kept, Shard

PER_SHARD = 64  # clips


def webdataset(data: Dataset, folder: Path) -> list[Path]:
    """The clips of a data set, to the byte, in shards of their own."""
    out: list[Path] = []
    for number in range(-(-len(data) // PER_SHARD)):
        path = shard_of(folder, number)
        with path.open("wb") as file:
            for name in data.names[number * PER_SHARD : (number + 1) * PER_SHARD]:
                shards.append(file, name, {kind: shards.taken(place) for kind, place in data.files(name).items()})
            shards.close(file)
        out.append(path)
    return out


def films(data: Dataset, folder: Path) -> list[Path]:
    """NAME.mp4, and in NAME.json what is said of it: captions and moments in seconds."""
    out: list[Path] = []
    for name in data.names:
        path, sheet = folder / f"{name}.mp4", data.sheet(name)
        path.write_bytes(shards.taken(data.files(name)["mp4"]))
        told = sheet.captions
        words: dict[str, Any] = {
            "name": name, "source": sheet.source, "licence": sheet.licence, "fps": sheet.fps, "seconds": sheet.seconds,
            "narrative": told.narrative if told else None, "scene": told.scene if told else None,
            "dense": timed(told, sheet.fps) if told else None,
            "events": [
                {"start": round(m.start / sheet.fps, 3), "end": round(m.end / sheet.fps, 3), "kind": m.kind,
                 "words": m.words} for m in sheet.events
            ],
            "tags": sheet.tags,
        }  # fmt: skip
        path.with_suffix(".json").write_text(json.dumps(words, indent=2, ensure_ascii=False) + "\n", "utf-8")
        out.append(path)
    return out


FORMATS: dict[str, Callable[[Dataset, Path], list[Path]]] = {
    "lerobot": lerobot.export,
    "webdataset": webdataset,
    "mp4": films,
}


ABOUT = {
    "lerobot": "Data sets of LeRobot v3.0: one in each folder that has a `meta/info.json`.",
    "webdataset": f"{SHARDS} They were chosen out of what `plans.json` asked for.",
    "mp4": "Films, `NAME.mp4`, and in `NAME.json` what is said of each.",
}


def export(data: Dataset, folder: Path, form: str) -> list[Path]:
    """Write a data set in another form into a new folder; gives what was written there."""
    if form not in FORMATS:
        raise ValueError(f"expected a format out of {', '.join(FORMATS)}, got {form!r}")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"expected {folder} to be new or empty: a data set is exported whole")
    for why in data.broken.values():
        raise ValueError(why)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        written = FORMATS[form](data, folder)
        _tell(data, folder, form, written)
    except BaseException:  # half of it would be in the way of the same command
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if made:
            folder.rmdir()
        raise
    return written


def _tell(data: Dataset, folder: Path, form: str, written: Sequence[Path]) -> None:
    """The card; beside shards also plans, report and profiles, so that one can choose among them again."""
    clips = [
        Kept(it.name, it.source, it.licence, it.seed, it.frames, it.fps,
             sum(size for _, _, size in data.files(it.name).values()))
        for it in data.sheets()
    ]  # fmt: skip
    origins = [*dict.fromkeys(shard.parent for shard in data.shards)]
    jobs = [job for origin in origins for job in planned(origin)]
    told = card(folder.resolve().name, jobs, clips, (), ABOUT[form]).partition("\n## Skipped\n")[0]
    chosen = data.chosen.report() if data.chosen else None
    if chosen:
        told = filtered(told, chosen)
    (folder / CARD).write_text(told, "utf-8")
    if form == "webdataset":
        names = {*data.names}
        rows = [row for row in measured(Dataset(data.folder)) if row["name"] in names]
        profile.write(folder / profile.PROFILE, rows)
        plans = {origin.name: msgspec.to_builtins(planned(origin)) for origin in origins}
        (folder / "plans.json").write_text(json.dumps(plans) + "\n", "utf-8")
        report = {
            "clips": len(clips), "frames": sum(it.frames for it in clips),
            "seconds": round(sum(it.seconds for it in clips), 3),
            "sources": dict(sorted(Counter(it.source for it in clips).items())),
            "licences": dict(sorted(Counter(it.licence for it in clips).items())),
            "filter": chosen, "shards": [msgspec.to_builtins(Shard.of(path)) for path in written],
        }  # fmt: skip
        (folder / REPORT).write_text(json.dumps(report, indent=2) + "\n", "utf-8")
