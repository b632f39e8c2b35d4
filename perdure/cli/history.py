"""perdure log | goto | fork | undo | diff | replay: what happened, going back, and other futures."""

from collections.abc import Iterator
from dataclasses import asdict
from time import perf_counter
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from perdure.cli.naming import Named, Pointed, open_point, open_store
from perdure.cli.saying import AsJson, err, out, print_json, progress, show, stage
from perdure.cli.telling import clock, told
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND
from perdure.world.diff import diff as differences
from perdure.world.history import Event
from perdure.world.state import World
from perdure.world.store import Store

LAST = 20
"""Events that are told where no others are asked for."""

AtEvent = Annotated[int | None, typer.Option("--event", help="Just after the event of this number instead.")]


def log(
    world: Named,
    last: Annotated[int | None, typer.Option(help=f"How many; {LAST} unless said, or all from --from to --to.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only these: act, edit, anchor, rule, reject, revert, ingest, tick, ...")
    ] = None,
    entity: Annotated[int | None, typer.Option(help="Only those that are about this one, by number.")] = None,
    first: Annotated[int | None, typer.Option("--from", help="From this event on, by number.")] = None,
    to: Annotated[int | None, typer.Option("--to", help="Up to this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what happened in a world, the newest last."""
    if last is not None and last < 1:
        raise ValueError(f"expected 1 event or more to tell of, got {last}")
    if first is not None and to is not None and first > to:
        raise ValueError(f"expected --from before --to, got {first} and {to}")
    if last is None and first is None and to is None:
        last = LAST
    with open_store(world, write=False) as store:
        found = _events(store, max(first or 0, 0), None if to is None else to + 1, kind, entity, last)
        record, none = store.past().record, True
        if as_json:
            return _print_array(msgspec.to_builtins(event) | {"what": told(event, record)} for event in found)
        for event in found:
            print(_line(event, told(event, record)))
            none = False
        if none:
            out.print("Nothing like that has happened.")


def _events(
    store: Store, first: int, last: int | None, kind: str | None, entity: int | None, count: int | None
) -> Iterator[Event]:
    """Those that are asked for, in order; the last `count` of them are looked for from the end."""

    def wanted(back: bool) -> Iterator[Event]:
        sought = None if kind is None else b'"kind":' + msgspec.json.encode(kind)  # so most need not be decoded
        for _, line in store.lines(first, last, back=back):
            if sought is not None and sought not in line:
                continue
            event = msgspec.json.decode(line, type=Event)
            if (kind is None or event.kind == kind) and (entity is None or entity in event.targets):
                yield event

    if count is None:
        yield from wanted(back=False)
        return
    found: list[Event] = []
    with stage("looking through what happened"):
        for event in wanted(back=True):
            found.append(event)
            if len(found) == count:
                break
    yield from reversed(found)


def _line(event: Event, what: str) -> str:
    verdict = "" if event.verdict == "applied" else f"  [{event.verdict}]"
    return f"{event.seq:>6}  {clock(event.time):>7}  {event.actor:<8}  {event.kind:<9}  {what}{verdict}"


def _print_array(items: Iterator[Any]) -> None:
    """JSON that may be longer than the memory."""
    between = "["
    for item in items:
        print(between, msgspec.json.encode(item).decode(), sep="\n")
        between = ","
    print("]" if between == "," else "[]")


def goto(
    world: Named,
    step: Annotated[int | None, typer.Argument(help="The step to go back to.")] = None,
    event: AtEvent = None,
) -> None:
    """Go back: the world goes on from an earlier step. What came after it is kept, as a fork."""
    if (step is None) == (event is None):
        raise ValueError(f"expected a step or an event to go back to: perdure goto {world} 120, or --event 57")
    with open_store(world) as store:
        back = store.goto(store.branch, step, event=event)
        left = back.history.events[-1].args["left"]
    out.print(
        f"{world} goes on from step {back.step}. What came after is kept as {back.name}/{left}: "
        f"to have it back, perdure fork {back.name}/{left} NAME",
        soft_wrap=True,
    )


def fork(
    world: Named,
    name: Annotated[str, typer.Argument(help="What to call the fork.")],
    at: Annotated[int | None, typer.Option(help="The step to leave it at; its last unless said.")] = None,
    event: AtEvent = None,
) -> None:
    """Give a world another future. Its past is shared, not copied."""
    if at is not None and event is not None:
        raise ValueError(f"expected a step or an event to leave it at, got both: step {at} and event {event}")
    with open_store(world) as store:
        left = store.fork(store.branch, at, name, event=event)
    out.print(f"{name} leaves {world} at step {left.step}. Next: perdure play {left.name}/{name}", soft_wrap=True)


def undo(
    world: Named,
    event: Annotated[
        int | None, typer.Option("--event", help="Which edit, by the number of its event; the last unless said.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take an edit back: what it changed is as it was before. To undo an undo, name its event."""
    with open_store(world) as store:
        before = store.world()
        with stage("looking for it"):
            after = before.undo(event)
        store.commit(after)
    undone = after.history.events[-1]
    if not as_json:
        out.print(f"Event {undone.args['undoes']} is undone, by event {undone.seq}.")
    show_differences(before, after, as_json)


def diff(
    left: Pointed,
    right: Pointed,
    as_json: AsJson = False,
) -> None:
    """Say in what two worlds differ, or two forks, or one world at two times."""
    (one, before), (other, after) = open_point(left), open_point(right)
    with one, other:
        show_differences(before, after, as_json, left, right)


def show_differences(before: World, after: World, as_json: bool, left: str = "before", right: str = "after") -> None:
    found = differences(before, after)
    if as_json:
        return print_json([asdict(it) for it in found])
    if not found:
        same = before.state == after.state
        out.print("They are the same, to the last bit." if same else "They differ in nothing that one could name.")
        return
    table = Table("", left, right, box=None, pad_edge=False, header_style="dim")
    for column in table.columns:
        column.overflow = "fold"
    for it in found:
        table.add_row(*map(Text, (it.what, it.left or "-", it.right or "-")))
    out.print(table)


def replay(
    world: Named,
    first: Annotated[int, typer.Option("--from", help="The step to begin from.")] = 0,
    to: Annotated[int | None, typer.Option("--to", help="The step to end with; its last unless said.")] = None,
    as_json: AsJson = False,
) -> None:
    """Do again all that was done, and see whether it comes out the same. Nothing of the world is changed."""
    from perdure.memory.replay import replay as replayed

    with open_store(world, write=False) as store:
        end = store.branches()[store.branch]
        to = end if to is None else to
        if not first <= to <= end:
            raise ValueError(
                f"expected steps of {world} within 0 to {end}, the first before the last; got {first} to {to}"
            )
        commits, states, heads, wrong = 0, 0, 0, None
        began = perf_counter()
        with progress("doing it again") as tell:
            for it in replayed(store, start=first):
                if it.step > to:
                    break
                commits, states, heads = commits + 1, states + it.state, heads + it.head
                if wrong is None and not (it.state and it.head):
                    wrong = it
                tell((it.step - first) / max(1, to - first), f"step {it.step}")
        taken = perf_counter() - began
    steps = to - first
    live = steps * FRAMES_PER_CHUNK / FRAMES_PER_SECOND
    facts: dict[str, Any] = {
        "world": world,
        "from": first,
        "to": to,
        "commits": commits,
        "equal states": states,
        "equal heads": heads,
        "same": wrong is None,
        "seconds": round(taken, 3),
        "steps a second": round(steps / taken, 1),
        "times real time": round(live / taken, 1),
    }
    if wrong is not None:
        facts["first difference"] = {"commit": wrong.number, "step": wrong.step}
    show(facts, as_json)
    if wrong is not None:
        err.print(f"{world} did not come out the same from step {wrong.step} on.", style="red", soft_wrap=True)
        raise typer.Exit(1)
