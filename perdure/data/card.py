"""A data set's card: what is in it, where it comes from, and under which licences. It holds no date."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from perdure.data.clip import Job
from perdure.data.work import Kept, Lost

SHOWN = 20  # lines of what was skipped
CAPTIONS, FILTER = "\n## Captions\n", "\n## Filter\n"


SHARDS = (
    "Clips are in WebDataset shards, `shard-*.tar`; `perdure.data.dataset.Dataset` reads them, and so does the "
    "`webdataset` package. What a source cannot know is absent."
)
PLANNED = f"{SHARDS} The same plan (`plan.json`) gives the same bytes."


def card(name: str, jobs: Sequence[Job], clips: Sequence[Kept], skipped: Sequence[Lost], about: str = PLANNED) -> str:
    """The card, as Markdown; `about` tells in what form clips are."""
    by_source = defaultdict[tuple[str, str], list[Kept]](list)
    for clip in clips:
        by_source[clip.source, clip.licence].append(clip)
    rows = ["| source | licence | clips | hours | seeds |", "|---|---|--:|--:|---|"]
    for (source, licence), own in sorted(by_source.items()):
        hours = sum(clip.seconds for clip in own) / 3600
        rows.append(f"| {source} | {licence} | {len(own)} | {hours:.2f} | {_span([c.seed for c in own])} |")
    asked = defaultdict[str, set[str]](set)
    for job in jobs:
        for option, value in job.options.items():
            asked[option].add(str(value))
    shared = {option: values for option, values in asked.items() if option != "path"}
    said = [f"- `{option}`: {_some(sorted(values))}" for option, values in sorted(shared.items())]
    lines = [
        f"# {name}",
        "",
        f"{len(clips)} clips, {sum(c.seconds for c in clips) / 3600:.2f} hours, "
        f"{sum(c.frames for c in clips):,} frames, {sum(c.size for c in clips) / 1e6:,.0f} MB.",
        "",
        *rows,
        "",
        about,
        *(["", "## Options", "", *said] if said else []),
        "",
        "## Skipped",
        "",
        *(_lost(skipped) if skipped else ["Nothing."]),
    ]
    return "\n".join(lines) + "\n"


def captioned(card: str, said: Mapping[str, Any]) -> str:
    """The card with whose captions were written anew, with which seed and by which model."""
    head, rule, tail = card.partition(FILTER)
    by = f", films by the model `{said['model']}`" if said["model"] else ""
    text = f"{said['clips']} clips were captioned anew with seed {said['seed']}{by}."
    return f"{head.partition(CAPTIONS)[0]}{CAPTIONS}\n{text}\n{rule}{tail}"


def filtered(card: str, report: Mapping[str, Any]) -> str:
    """The card with what a filter keeps (`Choice.report`), in place of what it said of an earlier one."""
    kept = f"`{report['where']}` keeps {report['kept']} of {report['clips']} clips."
    drops = (
        f"- `{it['condition']}` drops {it['dropped']}, {it['by it alone']} by it alone" for it in report["conditions"]
    )
    return card.partition(FILTER)[0] + FILTER + "\n" + "\n".join([kept, "", *drops]) + "\n"


def _lost(skipped: Sequence[Lost]) -> list[str]:
    """Reasons with their counts, then the first by name."""
    counts = Counter(lost.why for lost in skipped)
    lines = [
        f"- {times} × {why}" for why, times in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    ]
    lines += ["", *(f"- {lost.what}: {lost.why}" for lost in skipped[:SHOWN])]
    if len(skipped) > SHOWN:
        lines.append(f"- and {len(skipped) - SHOWN} more, all in `report.json`")
    return lines


def _span(seeds: Sequence[int | None]) -> str:
    known = sorted({seed for seed in seeds if seed is not None})
    if not known:
        return ""
    return f"{known[0]} to {known[-1]}" if len(known) > 1 else str(known[0])


def _some(values: Sequence[str], most: int = 6) -> str:
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(values[:most]) + more
