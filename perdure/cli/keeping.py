"""perdure export | import | check | repair | prune: a world in one file, whole, and no larger than it need be."""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from perdure.cli.naming import MAIN, Named, folder_of, open_store
from perdure.cli.saying import AsJson, megabytes, out, print_json, progress
from perdure.world import prune as pruning
from perdure.world.archive import export as write_archive
from perdure.world.archive import import_ as read_archive
from perdure.world.check import check as examined
from perdure.world.prune import Plan, Policy
from perdure.world.repair import Remedy
from perdure.world.repair import repair as mended
from perdure.world.store import home

UNITS: Mapping[str, float] = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}

World = Annotated[str, typer.Argument(help="A world, with all its forks.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


def export(
    world: Named,
    file: Annotated[Path | None, typer.Argument(help="The file to write; WORLD.zip unless said.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a world into one file, with all its forks, or a fork without the others. It may be played meanwhile."""
    file = file or Path(f"{world.replace('/', '-')}.zip")
    with open_store(world, write=False) as store:
        branches = [store.branch] if "/" in world else None
        with progress("exporting") as tell:
            manifest = write_archive(store, file, branches, tell)
    size = file.stat().st_size
    steps = {name: end.step for name, end in manifest.branches.items()}
    if as_json:
        return print_json({"file": str(file), "world": manifest.name, "branches": steps, "bytes": size})
    out.print(f"{file} holds {_listed(manifest.name, steps)}: {megabytes(size)}.", markup=False, soft_wrap=True)
    out.print(f"To open it elsewhere: perdure import {file.name}", markup=False, soft_wrap=True)


def import_(
    file: Annotated[Path, typer.Argument(help="A file that `perdure export` wrote.")],
    name: Annotated[str | None, typer.Option("--as", help="What to call it; as it was called, unless said.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take a world out of a file, whole and checked, or not at all."""
    with progress("importing") as tell:
        made = read_archive(file, home(), name, tell)
    if as_json:
        return print_json(asdict(made) | {"folder": str(made.folder)})
    out.print(f"{_listed(made.name, made.branches)} is here, whole. Next: perdure play {made.name}", soft_wrap=True)


def check(world: World, as_json: AsJson = False) -> None:
    """Verify all of a world: every byte, every event, every state. Nothing is changed."""
    folder = folder_of(world)
    with progress("checking") as tell:
        report = examined(folder, tell)
    if as_json:
        counts = {"commits": report.commits, "events": report.events, "records": report.records, "bytes": report.size}
        good = {name: it.good_steps for name, it in report.branches.items()}
        faults = [asdict(fault) for fault in report.faults]
        print_json({"world": world, "whole": report.whole, **counts, "good steps": good, "faults": faults})
    elif report.whole:
        what = f"{report.commits} commits, {report.events} events, {report.records} records, {megabytes(report.size)}"
        out.print(f"{world} is whole: {what}.")
    else:
        for fault in report.faults:
            out.print(f"{fault.where}: {fault.what}", style="red", markup=False, soft_wrap=True)
        out.print(f"{world} is damaged. To see what can be done: perdure repair {world}", soft_wrap=True)
    if not report.whole:
        raise typer.Exit(1)


def repair(world: World, yes: Yes = False, as_json: AsJson = False) -> None:
    """Mend a damaged world, by cutting it back to what is whole. It says first what that costs, and asks."""
    if as_json and not yes:
        raise ValueError("with --json nobody is asked: say --yes to mend it, or `perdure check` to look")
    folder = folder_of(world)
    with ExitStack() as bar:
        tell = bar.enter_context(progress("mending"))

        def agree(remedy: Remedy) -> bool:
            bar.close()
            if not as_json:
                out.print(_costs(world, remedy), markup=False, soft_wrap=True)
            return yes or typer.confirm("Mend it so?")

        remedy = mended(folder, agree, tell)
    if as_json:
        return print_json(asdict(remedy) | {"kept": str(remedy.kept) if remedy.kept else None})
    if not remedy.faults:
        out.print(f"{world} is whole: nothing is to be done.")
    elif remedy.done:
        out.print(
            f"{world} is whole again. As it was found, it is kept in {remedy.kept}.", markup=False, soft_wrap=True
        )
    else:
        out.print("Nothing is changed.")


def prune(
    world: World,
    keep_steps: Annotated[
        str | None, typer.Option(help="How many of the last steps one can go back to exactly; or all.")
    ] = None,
    quota: Annotated[str | None, typer.Option(help="What it may take on the disk, as 500M or 2G; or none.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let go of the old past, so that a world stays small. It says first what goes, and asks.

    What has happened stays in the log, and nothing that is to come changes; but before the steps that are kept one
    cannot go back any more. What is said with --keep-steps and --quota holds from then on, whenever it is pruned.
    """
    if as_json and not yes:
        raise ValueError("with --json nobody is asked: say --yes to prune it")
    folder = folder_of(world)
    with open_store(folder.name) as store:
        old = pruning.policy(store)
        new = Policy(
            old.keep_steps if keep_steps is None else _steps(keep_steps),
            old.quota if quota is None else _bytes(quota),
        )
        with progress("looking what can go") as tell:
            found = pruning.plan(store, tell, new)
        if not as_json:
            out.print(_frees(world, found), markup=False, soft_wrap=True)
        wanted = found.freed or new != old
        if wanted and not yes and not typer.confirm("Prune it so?" if found.freed else "Keep to that from now on?"):
            return out.print("Nothing is changed.")
        if new != old:
            pruning.set_policy(store, new)
        if found.freed:
            with progress("pruning") as tell:
                found = pruning.prune(store, tell)
        size = store.summary().size
    if as_json:
        keeps = {"steps": new.keep_steps, "quota": new.quota, "over quota": found.over}
        freed = {"freed": found.freed, "frees": dict(found.frees), "horizons": dict(found.horizons)}
        print_json({"world": world, **freed, "keeps": keeps, "bytes": size})
    elif wanted:
        out.print(f"{world} has {megabytes(size)} now.")


def _listed(world: str, steps: Mapping[str, int]) -> str:
    ordered = sorted(steps.items(), key=lambda item: item[0] != MAIN)
    return f"{world} ({', '.join(f'{name} at step {step}' for name, step in ordered)})"


def _costs(world: str, remedy: Remedy) -> str:
    lines = [f"{world} has {remedy.faults} fault{'s' * (remedy.faults != 1)}. To be whole again it loses:"]
    for cut in remedy.cuts:
        lost = f"{cut.steps} steps" if cut.steps else f"{cut.commits} edits"
        lines.append(f"  of {cut.branch}, what came after step {cut.step}: {lost}")
    if remedy.latents:
        lines.append(f"  {remedy.latents} old memories, which will not be recalled any more")
    if remedy.records:
        lines.append(f"  {remedy.records} other records: some old edits cannot be undone")
    if len(lines) == 1:
        lines = [f"{world} has {remedy.faults} fault{'s' * (remedy.faults != 1)}, and loses nothing by being mended."]
    lines.append(f"As it was found, it will be kept in {remedy.kept}.")
    return "\n".join(lines)


def _frees(world: str, plan: Plan) -> str:
    if plan.freed:
        what = ", ".join(f"{megabytes(size)} of {kind}" for kind, size in plan.frees.items())
        lines = [f"Of its {megabytes(plan.size)}, {world} can let go of {megabytes(plan.freed)}: {what}."]
        lines += [
            f"One can then go back in {name} to step {step} at most." for name, step in plan.horizons.items() if step
        ]
    elif plan.keep_steps is None and plan.quota is None:
        lines = [f"{world} has {megabytes(plan.size)} and keeps all of it: say --keep-steps or --quota."]
    else:
        lines = [f"{world} has {megabytes(plan.size)}, all of it too young or too dear to go."]
    if plan.over:
        lines.append(f"It stays {megabytes(plan.over)} over its quota, and can be played all the same.")
    return "\n".join(lines)


def _steps(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or not int(text):
        raise ValueError(f"expected how many steps to keep, or all; got {text!r}")
    return int(text)


def _bytes(text: str) -> int | None:
    if text == "none":
        return None
    found = re.fullmatch(r"([\d.]+)\s*([kmgt]?)b?", text.lower())
    try:
        size = int(float(found[1]) * UNITS[found[2]]) if found else 0
    except ValueError:
        size = 0
    if not size:
        raise ValueError(f"expected a size as 500M or 2G, or none; got {text!r}")
    return size
