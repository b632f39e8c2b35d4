"""The server over the stand-in engine: for tests of the page, and to try it by hand.

python -m tests.server.fake_app --port 8701 --seconds 0.15
"""

import argparse
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette

from perdure.server.app import create_app, serve
from perdure.server.protocol import WorldInfo
from perdure.server.room import Report
from tests.server.fake_engine import FakeEngine, FakeWorld, fake_world


class FakeKeeper:
    """Worlds in memory."""

    def __init__(self, engine: FakeEngine, width: int = 64, height: int = 36, opening: float = 0.0) -> None:
        self.engine, self._size, self._opening = engine, (width, height), opening
        self._lock = threading.Lock()
        self.worlds: dict[str, tuple[FakeWorld, WorldInfo]] = {}
        self.closed: list[str] = []
        self.new("first", "rooms", 7)

    def open(self, name: str, report: Report) -> tuple[FakeEngine, Any, None]:
        if name not in self.worlds:
            raise ValueError(f"expected one of {', '.join(self.worlds)}, got {name!r}")
        for i, stage in enumerate(("reading the world", "loading the model", "remembering")):
            report(stage, i / 3)
            time.sleep(self._opening / 3)
        return self.engine, self.worlds[name][0], None

    def close(self, world: Any) -> None:
        with self._lock:
            info = self.worlds[world.name][1]
            self.worlds[world.name] = world, WorldInfo(**{**vars_of(info), "step": world.step, "modified": time.time()})
            self.closed.append(world.name)

    def list(self) -> Sequence[WorldInfo]:
        return [info for _, info in self.worlds.values()]

    def new(self, name: str, scene: str, seed: int) -> str:
        with self._lock:
            if name in self.worlds:
                raise ValueError(f"expected a new name, got {name!r}, which is taken")
            world = fake_world(name, *self._size)
            self.worlds[name] = world, WorldInfo(name=name, scene=scene, seed=seed, modified=time.time())
        return name

    def fork(self, world: Any, name: str) -> str:
        root = world.name.partition("/")[0]  # which every fork is listed under
        name = f"{root}/{name}"
        self.new(name, self.worlds[world.name][1].scene, 0)
        with self._lock:
            info = WorldInfo(name=name, scene="rooms", step=world.step, parent=root, modified=time.time())
            self.worlds[name] = replace(world, name=name), info
        return name

    def app(self, **settings) -> Starlette:
        return create_app(self, **settings)


def vars_of(info: WorldInfo) -> dict:
    return {name: getattr(info, name) for name in info.__struct_fields__}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8701)
    parser.add_argument("--seconds", type=float, default=0.15, help="what a step takes")
    parser.add_argument("--jitter", type=float, default=0.01)
    parser.add_argument("--opening", type=float, default=0.6, help="what opening a world takes")
    parser.add_argument("--fail-at", type=int, default=-1)
    options = parser.parse_args()
    keeper = FakeKeeper(FakeEngine(options.seconds, options.jitter, options.fail_at), 256, 144, options.opening)
    keeper.new("walled-garden", "court", 3)
    keeper.new("long-hall", "hall", 11)
    serve(keeper.app(), port=options.port)


if __name__ == "__main__":
    main()
