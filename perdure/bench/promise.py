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
from perdure.bench.bounds import Bound, judged
from perdure.bench.mortal import ANY, FORK, STAGES, Kill, Life, Line
from perdure.data.founding import found
from perdure.data.scenes import MEASURED, build
from perdure.presets.nano import Preset, nano
from perdure.runtime.backends import WEIGHTS, OpenVINO
from perdure.world.action import Action
from perdure.world.state import World
from perdure.world.store import Store

TURNOVERS = 3  # of the memory window, before a kill counts as late
BOUNDS: Mapping[str, Bound] = {"different": ("exactly", 0)}
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
    kills = [kill for lane in lanes for kill in lane.kills]
    different = {"different": len(findings.different)}
    return {
        **judged(different, BOUNDS),
        "cases": findings.cases,
        **different,
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
    places = [(scene, *life) for scene in MEASURED for life in lives if forks or life[1] == "main"]
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
    for number in {lane.life for lane in lanes}:
        shutil.copytree(life.folder, home / f"life-{number}")
    leave = leaving(life.preset.dit.memories)
    ends: dict[str, int] = {"main": 0, FORK: 0}
    for lane in lanes:
        ends[lane.branch] = max(ends[lane.branch], lane.kills[-1].step + chunks + APART)
    forked = (leave, ends[FORK]) if ends[FORK] else None
    main = max(ends["main"], leave) if forked else ends["main"]
    life = msgspec.structs.replace(life, actions=walk(world, max(main, ends[FORK])))
    lines, failure = lived(msgspec.structs.replace(life, until=main, fork=forked), player)
    if failure:
        raise RuntimeError(f"expected an undisturbed run to compare with, it failed: {failure}")
    twin = {(FORK, line.step): line for line in lines if line.step <= leave}
    twin |= {(line.branch, line.step): line for line in lines}
    for lane in lanes:
        mine = msgspec.structs.replace(life, folder=str(home / f"life-{lane.life}"), branch=lane.branch)
        Trial(lane, mine, leave, chunks, player, twin, findings).play()
        so_far = f"{findings.cases} cases so far, {len(findings.different)} differ"
        print(f"{lane.scene}, life {lane.life}, {lane.branch}: {so_far}", file=sys.stderr)


@dataclass(frozen=True)
class Trial:
    """A lane, held to the undisturbed run."""

    lane: Lane
    life: Life
    leave: int  # the step at which the world is forked
    chunks: int
    player: Sequence[str]
    twin: Mapping[tuple[str, int], Line]  # (branch, step) -> what was shown then
    findings: Findings

    def play(self) -> None:
        """Process after process, each but the first the heir of one that was killed."""
        kills = self.lane.kills
        failure = self.fork() if self.lane.branch == FORK else ""
        for kill, next_kill in zip((None, *kills), (*kills, None), strict=True):
            if failure:
                what = f"could not be played so far: {failure}"
            else:
                until = next_kill.step if next_kill else kills[-1].step + self.chunks + 1
                lines, failure = lived(msgspec.structs.replace(self.life, until=until, kill=next_kill), self.player)
                what = failure or (self.differs(lines, kill) if kill else "")
            if kill:
                self.findings.cases += 1
                if what:
                    lane = {"scene": self.lane.scene, "life": self.lane.life, "branch": self.lane.branch}
                    self.findings.different.append({**lane, "stage": kill.stage, "step": kill.step, "what": what})

    def fork(self) -> str:
        """Fork the world, after playing its main branch that far if need be. What went wrong, or nothing."""
        with Store.open(Path(self.life.folder)) as store:
            step = store.world().step
        if step < self.leave:
            failure = lived(msgspec.structs.replace(self.life, branch="main", until=self.leave), self.player)[1]
            if failure:
                return failure
        with Store.open(Path(self.life.folder)) as store:
            store.fork("main", self.leave, FORK)
        return ""

    def differs(self, lines: list[Line], kill: Kill) -> str:
        """The first thing in which what an heir showed differs from the undisturbed run, or nothing."""
        opened, made = [x for x in lines if x.opened], [x for x in lines if not x.opened][: self.chunks]
        if len(made) < self.chunks:
            return f"expected {self.chunks} chunks after the kill, got {len(made)}"
        durable = STAGES.index(kill.stage) >= STAGES.index("commit") if kill.stage != ANY else made[0].step > kill.step
        if made[0].step != kill.step + durable:
            return f"went on with chunk {made[0].step}, killed after {kill.stage} of chunk {kill.step}"
        if made[0].step > 1 and not opened:
            return "showed nothing when it was opened"
        for line in (*opened, *made):
            differs = line.differs(self.twin[self.lane.branch, line.step])
            if differs:
                return f"{differs} of chunk {line.step}{' when opened' if line.opened else ''}"
        self.findings.compared += len(made)
        self.findings.recalled += sum(line.recalled for line in made)
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


def walk(world: World, chunks: int) -> tuple[Action, ...]:
    """What the player does, the same in every life: physics alone decides it, so nothing need be drawn."""
    agent, actions = Explorer(world.seed), list[Action]()
    for _ in range(chunks):
        actions.append(agent(world))
        world = world.advance(actions[-1])
    return tuple(actions)
