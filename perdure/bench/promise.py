"""The first promise, put to the test: kill a world at any instant, open it again, and it goes on as if nothing was.

    perdure bench promise --json

Every world is played once undisturbed, by one process that forks it on the way, and twice by
processes that are killed (SIGKILL) after one stage or another of a step, each followed by a new
one. What a new process shows, from the frames that it opens with through the next 32 chunks, is
compared with the undisturbed run: latents, frames, state and head, by hash.

A case is one kill and the chunks that follow it, none of which another kill disturbs.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from time import perf_counter
from typing import Any

import msgspec

from perdure.agents.player import Explorer
from perdure.bench.mortal import ANY, FORK, STAGES, Kill, Life, Line
from perdure.data.founding import found
from perdure.data.scenes import KINDS, build
from perdure.presets.nano import Preset, nano
from perdure.runtime.backends import WEIGHTS, OpenVINO
from perdure.world.action import Action
from perdure.world.state import World
from perdure.world.store import Store

TURNOVERS = 3  # of the memory window, before a kill counts as late
LOOKS = (1, 6, 3)  # that each scene is founded on: much is left to find, or little
APART = 2  # chunks between the end of one case and the kill of the next, since a step may be made again
PLAYER = (sys.executable, "-m", "perdure.bench.mortal")
"""The command that lives a `Life`, whose file is its last argument."""


@dataclass(frozen=True)
class Lane:
    """One branch of a world in one life of that world, and the kills along it."""

    scene: str  # its kind; its seed is its place among the kinds
    life: int
    branch: str
    kills: tuple[Kill, ...]


@dataclass
class Findings:
    cases: int = 0
    compared: int = 0  # chunks
    recalled: int = 0  # memories from outside the window, in those chunks
    different: list[dict[str, Any]] = field(default_factory=list)

    def judge(self, lane: Lane, kill: Kill, what: str) -> None:
        """Count a case; `what` is what differed, or nothing."""
        self.cases += 1
        if what:
            where = {"scene": lane.scene, "life": lane.life, "branch": lane.branch}
            self.different.append({**where, "stage": kill.stage, "step": kill.step, "what": what})


def run(
    cases: int = 60,
    chunks: int = 32,
    forks: bool = True,
    weights: Path | None = None,
    preset: Preset | None = None,
    player: Sequence[str] = PLAYER,
) -> dict[str, Any]:
    """Play, kill, open and compare; `different` counts the cases in which anything differed."""
    began = perf_counter()
    preset, weights = preset or nano(), weights or WEIGHTS
    window = preset.dit.memories
    lanes = lay_out(cases, chunks, forks, window)
    fingerprint = OpenVINO(weights).fingerprint()
    findings = Findings()
    for seed, scene in enumerate(dict.fromkeys(lane.scene for lane in lanes)):
        world = found(build(scene, seed), preset, "twin", seed=seed, looks=LOOKS[seed % len(LOOKS)])[0]
        with tempfile.TemporaryDirectory(prefix="perdure-promise-") as home:
            Store.create(Path(home), world, fingerprint).close()
            life = Life(f"{home}/twin", f"{home}/log", str(weights), preset, (), 0)
            here = [lane for lane in lanes if lane.scene == scene]
            play_scene(Path(home), world, life, here, chunks, player, findings)
        print(f"{scene}: {findings.cases} cases so far, {len(findings.different)} differ", file=sys.stderr)
    kills = [kill for lane in lanes for kill in lane.kills]
    return {
        "cases": findings.cases,
        "different": len(findings.different),
        "killed_after": dict(Counter(kill.stage for kill in kills)),
        "chunks_compared": findings.compared,
        "forked_cases": sum(len(lane.kills) for lane in lanes if lane.branch == FORK),
        "past_three_turnovers": sum(kill.step > TURNOVERS * window for kill in kills),
        "recalled_memories": findings.recalled,
        "seconds": round(perf_counter() - began, 1),
        "differences": findings.different,
        "fingerprint": fingerprint,
    }


def lay_out(cases: int, chunks: int, forks: bool, window: int) -> list[Lane]:
    """Deal the kills out to scenes, lives and branches; few cases need few scenes."""
    if cases < 1 or chunks < 1:
        raise ValueError(f"expected at least one case and one chunk to compare, got {cases} and {chunks}")
    chance = random.Random(0)
    kinds = [(*STAGES, ANY)[i % (len(STAGES) + 1)] for i in range(cases)]
    chance.shuffle(kinds)
    leave = leaving(window)
    # In its first life a world is killed early too, and forked after main has gone on; in its second it is forked
    # at once, and main goes on after that.
    lives = [(0, "main", 1), (0, FORK, leave + 1), (1, FORK, leave + 9), (1, "main", leave + 2)]
    places = [(scene, *life) for scene in KINDS for life in lives if forks or life[1] == "main"]
    lanes: list[Lane] = []
    for i, (scene, life, branch, first) in enumerate(places):
        stages = kinds[i :: len(places)]
        kills = [Kill(first + j * (chunks + APART), stage, chance.random()) for j, stage in enumerate(stages)]
        lanes.append(Lane(scene, life, branch, tuple(kills)))
    return [lane for lane in lanes if lane.kills]


def leaving(window: int) -> int:
    """The step at which worlds are forked."""
    return TURNOVERS * window + 4


def play_scene(
    home: Path, world: World, life: Life, lanes: list[Lane], chunks: int, player: Sequence[str], findings: Findings
) -> None:
    """Play a world undisturbed, then its lives; `life` is the pattern of each process's."""
    leave = leaving(life.preset.dit.memories)
    for number in {lane.life for lane in lanes}:
        shutil.copytree(life.folder, home / f"life-{number}")
    ends = {branch: last_kill(lanes, branch) + chunks + APART for branch in sorted({lane.branch for lane in lanes})}
    forked = (leave, ends[FORK]) if FORK in ends else None
    main = max(ends.get("main", 0), leave if forked else 0)
    life = msgspec.structs.replace(life, actions=walk(world, max(main, ends.get(FORK, 0))))
    lines, failure = lived(msgspec.structs.replace(life, until=main, fork=forked), player)
    if failure:
        raise RuntimeError(f"expected an undisturbed run to compare with, it failed: {failure}")
    twin = {(FORK, line.step): line for line in lines if forked and line.step <= leave}
    twin |= {(line.branch, line.step): line for line in lines}
    for lane in lanes:
        mine = msgspec.structs.replace(life, folder=str(home / f"life-{lane.life}"), branch=lane.branch)
        play_lane(lane, mine, leave, chunks, player, twin, findings)


def last_kill(lanes: list[Lane], branch: str) -> int:
    return max(lane.kills[-1].step for lane in lanes if lane.branch == branch)


def play_lane(
    lane: Lane,
    life: Life,
    leave: int,
    chunks: int,
    player: Sequence[str],
    twin: Mapping[tuple[str, int], Line],
    findings: Findings,
) -> None:
    """Process after process on one branch, each but the first the heir of one that was killed."""
    failure = fork(life, leave, player) if lane.branch == FORK else ""
    heirs = zip((None, *lane.kills), (*lane.kills, None), strict=True)
    for kill, next_kill in heirs:
        if not failure:
            until = next_kill.step if next_kill else lane.kills[-1].step + chunks + 1
            lines, failure = lived(msgspec.structs.replace(life, until=until, kill=next_kill), player)
            if kill:
                findings.judge(lane, kill, failure or compare(lines, kill, lane.branch, chunks, twin, findings))
        elif kill:
            findings.judge(lane, kill, f"could not be played so far: {failure}")


def fork(life: Life, leave: int, player: Sequence[str]) -> str:
    """Fork a world, after playing its main branch that far if need be. What went wrong, or nothing."""
    with Store.open(Path(life.folder)) as store:
        step = store.world().step
    if step < leave:
        failure = lived(msgspec.structs.replace(life, branch="main", until=leave), player)[1]
        if failure:
            return failure
    with Store.open(Path(life.folder)) as store:
        store.fork("main", leave, FORK)
    return ""


def lived(life: Life, player: Sequence[str]) -> tuple[list[Line], str]:
    """Run a process through a life: what it showed, and what went wrong, if it did not end as it was to."""
    log = Path(life.log)
    log.unlink(missing_ok=True)
    order = log.with_suffix(".json")
    order.write_bytes(msgspec.json.encode(life))
    here = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [*player, str(order)], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    expected = -SIGKILL if life.kill else 0
    failure = ""
    if done.returncode != expected:
        said = [line for line in done.stderr.splitlines() if line] or ["no word"]
        failure = f"expected the process to end with {expected}, got {done.returncode}: {said[-1]}"
    lines = log.read_bytes().splitlines() if log.exists() else []
    return [msgspec.json.decode(line, type=Line) for line in lines], failure


def compare(
    lines: list[Line],
    kill: Kill,
    branch: str,
    chunks: int,
    twin: Mapping[tuple[str, int], Line],
    findings: Findings,
) -> str:
    """What differs between a run after a kill and the undisturbed one: the first thing, or nothing."""
    opened, made = [x for x in lines if x.opened], [x for x in lines if not x.opened][:chunks]
    if len(made) < chunks:
        return f"expected {chunks} chunks after the kill, got {len(made)}"
    durable = STAGES.index(kill.stage) >= STAGES.index("commit") if kill.stage != ANY else made[0].step > kill.step
    if made[0].step != kill.step + durable:
        return f"went on with chunk {made[0].step}, killed after {kill.stage} of chunk {kill.step}"
    for line in (*opened, *made):
        differs = line.differs(twin[branch, line.step])
        if differs:
            return f"{differs} of chunk {line.step}{' when opened' if line.opened else ''}"
    findings.compared += len(made)
    findings.recalled += sum(line.recalled for line in made)
    return ""


def walk(world: World, chunks: int) -> tuple[Action, ...]:
    """What the player does, the same in every life: physics alone decides it, so nothing need be drawn."""
    agent, actions = Explorer(world.seed), list[Action]()
    for _ in range(chunks):
        actions.append(agent(world))
        world = world.advance(actions[-1])
    return tuple(actions)
