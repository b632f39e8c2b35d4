"""The shelf: the worlds of a home folder, as the server opens, makes and forks them.

A world is opened by its name, a fork by `world/branch`. Branches of one world share its store, because
only one may write to a folder.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perdure.runtime.session import Stepper
from perdure.server.protocol import WorldInfo
from perdure.server.room import Report
from perdure.world.folder import files
from perdure.world.state import World
from perdure.world.store import Store, list_worlds

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._@-]{0,79})?")
MAIN = "main"


@dataclass
class _Held:
    """A store that is open, and how many sessions write to it."""

    store: Store
    sessions: int = 0


class Shelf:
    """Keeps worlds for the server. Safe to use from any thread.

    `make_engine` is called once, when the first world is opened; `make_world(name, scene, seed)` founds a
    world and keeps it in `home`. `fingerprint` is what the engine's frames depend on: a world that was played with
    another one is told so by its next step.
    """

    def __init__(
        self,
        home: Path,
        make_engine: Callable[[], Stepper],
        make_world: Callable[[str, str, int], None],
        fingerprint: Mapping[str, str] | None = None,
    ) -> None:
        self._home, self._make_engine, self._make_world = home, make_engine, make_world
        self._fingerprint = fingerprint
        self._engine: Stepper | None = None
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    def list(self) -> Sequence[WorldInfo]:
        """All worlds and their forks, the last played first."""
        out = []
        for summary in list_worlds(self._home):
            modified = max((it.st_mtime for it in files(summary.folder)), default=0.0)
            scene, seed = summary.scene
            for branch, step in summary.branches.items():
                name, parent = (summary.name, None) if branch == MAIN else (f"{summary.name}/{branch}", summary.name)
                out.append(WorldInfo(name=name, scene=scene, seed=seed, step=step, parent=parent, modified=modified))
        return sorted(out, key=lambda info: -(info.modified or 0.0))

    def open(self, name: str, report: Report) -> tuple[Stepper, World, Store]:
        world, branch = self._parse(name)
        with self._lock:
            if self._engine is None:
                report("waking the model", 0.1)
                self._engine = self._make_engine()
            report("reading the world", 0.6)
            held = self._held.get(world) or _Held(Store.open(self._home / world, fingerprint=self._fingerprint))
            try:
                state = held.store.world(branch)
            except BaseException:
                if not held.sessions:
                    held.store.close()
                raise
            self._held[world] = held
            held.sessions += 1
        report("remembering the last frames", 0.8)
        return self._engine, state, held.store

    def close(self, world: World) -> None:
        with self._lock:
            held = self._held[world.name]
            held.sessions -= 1
            if not held.sessions:
                del self._held[world.name]
                held.store.close()

    def new(self, name: str, scene: str, seed: int) -> str:
        if (self._home / name).exists():  # before the work of founding it
            raise ValueError(f"a world named {name!r} exists already: open it, or take another name")
        self._make_world(name, scene, seed)
        return name

    def fork(self, world: World, name: str) -> str:
        # Just as it is for whoever asks, edits and all; its session may have gone on meanwhile.
        self._held[world.name].store.fork_of(world, name)
        return f"{world.name}/{name}"

    @staticmethod
    def _parse(name: str) -> tuple[str, str]:
        if not NAME.fullmatch(name):
            raise ValueError(f"expected a world's name, or world/branch, got {name!r}")
        world, _, branch = name.partition("/")
        return world, branch or MAIN
