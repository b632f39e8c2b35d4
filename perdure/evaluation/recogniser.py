"""The recogniser against the truth: taught on clips of a game, asked about others whose commands are taken away."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from perdure.data.clip import Clip
from perdure.data.sources import source
from perdure.data.video.recogniser import Recogniser, agreement, confused

HELD_OUT = 1  # the seed of the plan of clips that are asked about; those that teach are of seed 0


def recognise(
    name: str = "atari", clips: int = 16, asked: int = 4, seconds: float = 30.0, folder: Path | None = None,
    **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """How far the recogniser agrees, with the engine's entity maps and without: then by colours alone.

    `folder` keeps it, for `perdure data ingest --set recogniser=FOLDER/recogniser.pt`.
    """
    options = options or ({"game": "boxing"} if name == "atari" else {})
    taught, held = _made(name, clips, 0, seconds, **options), _made(name, asked, HELD_OUT, seconds, **options)
    recogniser = Recogniser.taught(taught)
    bare = [replace(clip, commands={}, actions=None, states={}) for clip in held]
    said = [recogniser(clip) for clip in bare]
    alone = agreement([recogniser(replace(clip, entity=None)) for clip in bare], held)
    out = {
        "source": name, **options, "taught_on_clips": len(taught), "seconds_each": seconds,
        "with_entity_maps": agreement(said, held), "by_colours_alone": alone, "mistakes": confused(said, held),
    }  # fmt: skip
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        replace(recogniser, measured=alone["agreement"]).save(folder / "recogniser.pt")
        out["kept"] = str(folder / "recogniser.pt")
    return out


def _made(name: str, count: int, seed: int, seconds: float, **options: Any) -> list[Clip]:
    found = source(name)
    jobs = found.plan(count, seed, seconds=seconds, **options)
    return [item for job in jobs for item in found.make(job) if isinstance(item, Clip)]
