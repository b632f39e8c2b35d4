"""perdure data make | ingest | profile | caption | stats | view | export: clips to learn from."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from perdure.cli.saying import AsJson, err, megabytes, out, print_json, progress, stage

app = typer.Typer(help="Make clips to learn from, out of engines, games and films.", no_args_is_help=True)

Out = Annotated[Path | None, typer.Option("--out", "-o", help="The folder of the data set; data/SOURCE unless said.")]
Workers = Annotated[int, typer.Option(min=0, help="How many processes; 0: one for each core.")]
Ray = Annotated[bool, typer.Option("--ray", help="Do it through Ray: on the cluster of RAY_ADDRESS, if that is set.")]
Patience = Annotated[float, typer.Option(min=0.0, help="Give up a clip after so many seconds; 0: never.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the source; may be repeated.")
]
Folder = Annotated[Path, typer.Argument(help="The folder of a data set, or one with several in it.")]

SHOWN = 40  # lines of what is counted


@app.command()
def make(
    source: Annotated[str, typer.Option(help="playground, doom, atari, or a module of yours: my_package.my_source.")],
    clips: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    seconds: Annotated[float | None, typer.Option(help="How long each is, 5 to 60; various unless said.")] = None,
    folder: Out = None,
    workers: Workers = 0,
    ray: Ray = False,
    patience: Patience = 0.0,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Make clips with an engine or a game.

    What cannot be made is skipped, and named in the report. A run that was stopped goes on with the same command.
    The bytes are the same for the same seed, whatever the number of workers.

    perdure data make --source doom --clips 100 --set map=MAP03
    """
    from perdure.data.clip import check_seconds
    from perdure.data.sources import source as find

    options = parsed(settings or [])
    if seconds is not None:
        check_seconds(seconds)
        if "seconds" in options:
            raise ValueError("expected the length of clips once, got --seconds and --set seconds")
    jobs = find(source).plan(clips, seed, **({} if seconds is None else {"seconds": seconds}), **options)
    _run(folder or Path("data") / source.rpartition(".")[2], jobs, workers, ray, patience, as_json)


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Films, folders of them; data sets of LeRobot; or worlds.")],
    folder: Out = None,
    workers: Workers = 0,
    ray: Ray = False,
    patience: Patience = 0.0,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Make clips out of films, cut into shots, filtered, posed where that can be done; or out of episodes of robots.

    Or out of worlds that were played in, by name: with the very actions and poses, drawn again as it was seen. What
    was kept by `perdure play --record` is taken in as it was shown.
    """
    from perdure.data.processes import cores
    from perdure.data.sources import source as find
    from perdure.world.store import home

    paths = [inner for path in paths for inner in opened(path)]
    worlds = [path if path.exists() else home() / path for path in paths]
    played = [(path / "world.db").is_file() or (path / "session.json").is_file() for path in worlds]
    for path, is_world in zip(paths, played):
        if not path.exists() and not is_world:
            raise ValueError(f"expected a film, a folder of films or a world, there is no {path}")
    if any(played) and not all(played):
        raise ValueError("expected either films or worlds, got both: take them in one after the other")
    options = parsed(settings or [])
    if all(played):
        jobs = find("recording").plan(paths=worlds, **{"draw": "perdure.runtime.drawing", **options})
        return _run(folder or Path("data") / "recording", jobs, workers, ray, patience, as_json)
    robots = [path for path in paths if (path / "meta" / "info.json").exists()]
    if robots and len(robots) < len(paths):
        raise ValueError("expected either films or data sets of LeRobot, got both: ingest each by itself")
    source = "lerobot" if robots else "video"
    if source == "video":
        with _counting("looking at films") as told:
            jobs = find(source).plan(paths=paths, workers=workers or cores(), told=told, **options)
    else:
        jobs = find(source).plan(paths=paths, **options)
    _run(folder or Path("data") / source, jobs, workers, ray, patience, as_json)


def opened(path: Path) -> list[Path]:
    """A folder of worlds, of tapes or of data sets of LeRobot stands for what is in it."""
    if not path.is_dir() or _played_or_driven(path):
        return [path]
    inner = [place for place in sorted(path.iterdir()) if _played_or_driven(place)]
    films = any(place.is_file() and place.suffix in (".mp4", ".webm", ".mov") for place in path.iterdir())
    return [path, *inner] if films or not inner else inner


def _played_or_driven(path: Path) -> bool:
    return any((path / mark).is_file() for mark in ("world.db", "session.json", "meta/info.json"))


@app.command()
def profile(
    folder: Folder,
    where: Annotated[str, typer.Option(help="Which clips to keep: \"sharpness > 40 and 'snow' in events\".")] = "",
    again: Annotated[bool, typer.Option("--again", help="Measure them anew.")] = False,
    workers: Workers = 0,
    as_json: AsJson = False,
) -> None:
    """Measure clips, and try a filter on them: what it keeps, and what each of its conditions drops.

    The numbers go to profile.parquet beside the shards, the filter's report to filter-report.json and the card. Read
    what is kept by Dataset(FOLDER, where="...").
    """
    from perdure.data.card import filtered
    from perdure.data.choosing import choose
    from perdure.data.dataset import Dataset
    from perdure.data.processes import cores
    from perdure.data.profiling import measured, summary

    data = Dataset(folder)
    with _counting(f"measuring {folder}") as told:
        rows = measured(data, again, workers or cores(), told)
    lost = {str(row["name"]): str(row["damaged"]) for row in rows if row.get("damaged") is not None}
    _say_damaged({shard.name: why for shard, why in data.broken.items()} | lost)
    if not where:
        return _print_summary(summary(rows), len(rows), as_json)
    report = choose(rows, where).report()
    (folder / "filter-report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    card = folder / "card.md"
    if card.exists():
        card.write_text(filtered(card.read_text("utf-8"), report), "utf-8")
    if as_json:
        return print_json(report)
    out.print(f"{report['kept']} of {report['clips']} kept, {report['dropped']} dropped", soft_wrap=True)
    for it in report["conditions"]:
        first = f": {', '.join(it['names'][:3])}{', …' if it['dropped'] > 3 else ''}" if it["names"] else ""
        unknown = f", {it['unknown']} do not know" if it["unknown"] else ""
        says = f"  {it['condition']} drops {it['dropped']} ({it['by it alone']} by it alone{unknown}){first}"
        out.print(says, markup=False, soft_wrap=True)


def _print_summary(facts: dict[str, Any], clips: int, as_json: bool) -> None:
    if as_json:
        return print_json({"clips": clips, "columns": facts})
    out.print(f"{clips} clips")
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for title in ("column", "least", "median", "greatest", "unknown"):
        table.add_column(title, justify="left" if title == "column" else "right")
    for name, it in facts.items():
        if "median" in it:
            table.add_row(
                name, *(f"{it[key]:.4g}" for key in ("least", "median", "greatest")), str(it["unknown"] or "")
            )
    out.print(table)
    words = {name: it["values"] for name, it in facts.items() if "values" in it}
    for name, values in words.items():
        out.print(f"  {name}: {', '.join(f'{value} {n}' for value, n in values.items())}", markup=False)
    return None


@app.command()
def caption(
    folder: Folder,
    model: Annotated[Path | None, typer.Option(help="A folder of weights that tells pictures, for films.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed says the same in other words.")] = 0,
    where: Annotated[str, typer.Option(help="Only clips for which this is true, as with `profile`.")] = "",
    workers: Workers = 0,
) -> None:
    """Write captions anew: from the state, where it is known; of films by a model of yours, where one is given."""
    from perdure.data.dataset import Dataset
    from perdure.data.processes import cores
    from perdure.data.profiling import recaptioned
    from perdure.data.video import ports

    data = Dataset(folder, where)
    tell = None if model is None else ports.captions(model)
    with _counting(f"captioning {folder}, by shards") as told:
        it = recaptioned(data, seed, tell, model.resolve().name if model else "", workers or cores(), told)
    left = f", {it.left} left as they were: nothing tells what they show" if it.left else ""
    dropped = f"; of {it.dropped} pictures what was told is dropped, for words that are held back" if it.dropped else ""
    out.print(f"{len(it.clips)} captioned{left}{dropped}")
    _say_damaged(it.damaged)


@app.command()
def view(
    folder: Folder,
    page: Annotated[Path | None, typer.Option("--out", "-o", help="The file; FOLDER/view.html unless said.")] = None,
    clips: Annotated[int, typer.Option(min=1, help="How many are shown; all are counted.")] = 24,
    where: Annotated[str, typer.Option(help="Only clips for which this is true, as with `profile`.")] = "",
) -> None:
    """Write a contact sheet: one HTML file with pictures, ways from above, commands, captions and histograms."""
    from perdure.data import view as sheet
    from perdure.data.dataset import Dataset
    from perdure.data.profiling import measured

    data = Dataset(folder)
    path = page or folder / "view.html"
    with stage(f"looking at {folder}"):
        rows = [row for row in measured(data) if row.get("damaged") is None]
        if where:
            names = set(Dataset(folder, where).names)
            rows = [row for row in rows if row["name"] in names]
        shown = sheet.write(data, path, rows, clips)
    out.print(f"{path}: {shown} of {len(rows)} clips, {megabytes(path.stat().st_size)}", soft_wrap=True)


@app.command()
def export(
    folder: Folder,
    into: Annotated[Path, typer.Option("--out", "-o", help="A new folder.")],
    form: Annotated[str, typer.Option("--format", help="lerobot, webdataset or mp4.")] = "lerobot",
    where: Annotated[str, typer.Option(help="Only clips for which this is true, as with `profile`.")] = "",
) -> None:
    """Write clips in another form: a data set of LeRobot (v3.0), shards of what is chosen, or plain films."""
    from perdure.data import exporting
    from perdure.data.dataset import Dataset

    data = Dataset(folder, where)
    with stage(f"exporting {folder}"):
        written = exporting.export(data, into, form)
    out.print(f"{len(data)} clips in {into}, as {form}", soft_wrap=True)
    if form == "lerobot" and written != [into]:
        out.print(f"one data set for each source, size and rate: {', '.join(path.name for path in written)}")


@app.command()
def stats(folder: Folder, as_json: AsJson = False) -> None:
    """Count what is in a data set: sources, scenes, views, lengths, who is told to do what, what happens."""
    from perdure.data import stats as counting
    from perdure.data.dataset import Dataset

    with stage(f"reading {folder}"):
        facts = counting.stats(Dataset(folder))
    if as_json:
        return print_json(facts)
    out.print(f"{facts['clips']:,} clips, {lasting(3600 * facts['hours'])}, {facts['frames']:,} frames")
    _say_damaged(facts.pop("damaged"))
    groups = {**facts, **facts["tags"], **{f"{kind} does": done for kind, done in facts["deeds"].items()}}
    groups |= {f"{kind} is told by deed to": told for kind, told in facts["told"].items()}
    groups |= {f"{kind} is told to": said for kind, said in facts["commands"].items()}
    groups = {name: counts for name, counts in groups.items() if isinstance(counts, dict)}
    alike = {
        name: value for name, counts in groups.items() for value in counts if [*counts.values()] == [facts["clips"]]
    }
    if alike:
        out.print("\n[bold]the same in all[/]")
        out.print("  " + ", ".join(f"{name}: {value}" for name, value in alike.items()), markup=False)
    for name, counts in groups.items():
        if counts and name not in ("tags", "commands", "told", "deeds", *alike):
            _print_counts(name, counts)


@contextmanager
def _counting(says: str) -> Iterator[Callable[[int, int], None]]:
    """Say how many are done of how many."""
    with progress(says) as tell:
        yield lambda done, of: tell(done / of, f"{done} of {of}")


def _say_damaged(damaged: Mapping[str, str]) -> None:
    """On stderr, since what is asked for is told all the same."""
    if damaged:
        err.print(
            f"{len(damaged)} clips are damaged and left out; `data make` again makes their shards anew", style="red"
        )
        for name, why in [*damaged.items()][:SHOWN]:
            err.print(f"  {why if name in why else f'{name}: {why}'}", markup=False, soft_wrap=True)


def _print_counts(name: str, counts: dict[str, Any]) -> None:
    out.print(f"\n[bold]{name}[/]")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    most = max(counts.values(), default=0)
    share = not any(isinstance(count, float) for count in counts.values())
    for value, count in [*counts.items()][:SHOWN]:
        bar = "█" * max(1, round(24 * count / most)) if share and count else ""
        table.add_row(f"  {value}", f"{count:,}" if share else f"{count:.3g}", f"[dim]{bar}[/]")
    table.columns[1].justify = "right"
    out.print(table)
    if len(counts) > SHOWN:
        out.print(f"  and {len(counts) - SHOWN} more: see --json")


RESERVED = ("count", "seed", "paths", "workers", "told")
"""What commands give to sources themselves."""


def parsed(settings: list[str]) -> dict[str, str | float | int | bool]:
    """KEY=VALUE, where a value that reads as a number, as true or as false is one."""
    options = dict[str, str | float | int | bool]()
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"expected --set KEY=VALUE, got {setting!r}")
        if key in RESERVED:
            raise ValueError(f"expected {key} as an argument or an option of the command (--help), not by --set")
        options[key] = _value(value)
    return options


def _value(text: str) -> str | float | int | bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _run(folder: Path, jobs: list[Any], workers: int, ray: bool, patience: float, as_json: bool) -> None:
    from perdure.data import pipeline
    from perdure.data import workers as ours
    from perdure.data.processes import cores

    if ray and patience:
        raise ValueError("expected --patience or --ray, got both: tasks of Ray are not given up, wherever they wait")
    count = min(workers or cores(), max(1, len(jobs)))
    hands = "tasks of Ray" if ray else "processes" if count > 1 else "process"
    run = import_module("perdure.data.cluster").run if ray else partial(ours.run, patience=patience)
    columns = BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TextColumn("·")
    latest = list[pipeline.Progress]()
    with Progress(*columns, TimeRemainingColumn(), TextColumn("left"), console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=sum(job.seconds for job in jobs) or 1.0)

        def told(now: pipeline.Progress) -> None:
            if not latest and now.damaged:
                said = f"damaged, and made anew: {', '.join(now.damaged)}"
                err.print(said, markup=False, soft_wrap=True)
            if not latest and now.done < now.jobs:
                says = f"{now.jobs - now.done} of {now.jobs} to make in {folder}, with {count} {hands}"
                err.print(f"{says}; stopped, it goes on with the same command", markup=False, soft_wrap=True)
            latest[:] = [now]
            skipped = f", {now.skipped} skipped" if now.skipped else ""
            says = f"{now.done} of {now.jobs}: {now.clips} clips, {now.seconds / 60:.1f} min{skipped}"
            bar.update(task, completed=now.gone, description=says)
            if not err.is_terminal and now.done and now.done * 10 // now.jobs > (now.done - 1) * 10 // now.jobs:
                err.print(says)  # in a log, a line for each tenth

        try:
            report = pipeline.make(folder, jobs, count, told, run)
        except KeyboardInterrupt:
            done = f"{latest[0].done} of {latest[0].jobs} are done" if latest else "nothing is done yet"
            bar.stop()
            err.print(f"stopped: {done}; the same command goes on from there")
            raise typer.Exit(130) from None
    if as_json:
        return print_json(report)
    size = sum(shard["bytes"] for shard in report["shards"])
    out.print(
        f"{report['clips']} clips, {lasting(report['seconds'])}, {megabytes(size)} "
        f"in {len(report['shards'])} shards: {folder}",
        soft_wrap=True,
    )
    if report["skipped"]:
        first = report["why"][0]
        out.print(
            f"{report['skipped']} skipped, the first {first['what']}: {first['why']}", markup=False, soft_wrap=True
        )
        out.print(f"all of them are named in {folder / 'report.json'}", soft_wrap=True)
        if again := sum(lost.get("again", False) for lost in report["why"]):
            out.print(f"{again} of them befell a process (killed, too slow): the same command tries them again")


def lasting(seconds: float) -> str:
    return f"{seconds / 3600:.2f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
