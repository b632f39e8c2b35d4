"""A small world with a past, for tests of what is done to whole worlds: steps, edits, forks, going back."""

from pathlib import Path
from typing import Any

from perdure.world.action import Action, Keys
from perdure.world.edit import Change, Edit
from perdure.world.store import Store
from tests.world import yard

PATH = [Action(Keys.FORWARD | (Keys.TURN_LEFT if i % 4 else 0), 0.02 * (i % 3), 0.01) for i in range(12)]


def named(name: str) -> Edit:
    return Edit((Change("entity/1/name", f'"{name}"'.encode()),))


def live(home: Path, steps: int = 10, name: str = "yard") -> Path:
    """Its folder. Branches: main, main@STEPS (what was left by going back), left."""
    with Store.create(home, yard.world(name)) as store:
        now = store.world()
        for i in range(steps):
            now = yard.step(now, PATH[i % len(PATH)], store)
            if i == steps // 2:
                now = now.edit(named("Ada"))
                store.commit(now)
        store.fork("main", steps - 3, "left")
        now = yard.reopened(store, "left")
        for i in range(4):
            now = yard.step(now, PATH[-i], store)
        store.goto("main", steps - 2)
        yard.step(yard.reopened(store), PATH[3], store)
        return store.folder


def everything(folder: Path) -> dict[Any, Any]:
    """All that can be read of every commit of every branch."""
    out: dict[Any, Any] = {}
    with Store.open(folder, write=False) as store:
        for branch, last in store.branches().items():
            for step in range(last + 1):
                then = store.world_at(step, branch)
                out[branch, step] = then.state, then.head, then.moving, then.motion.cameras.tobytes()
            now = store.world(branch)
            out[branch] = now.state, now.head, [e.to_bytes() for e in now.history.events], now.history.trail.to_bytes()
            for it in now.history.memories:
                out[branch, "memory", it.step] = (
                    it.latent.tobytes(),
                    it.pose.tobytes(),
                    it.key,
                    it.action,
                    it.intrinsics,
                )
            out[branch, "pieces"] = [piece.to_bytes() for pieces in now.parts.values() for piece in pieces]
            out[branch, "values"] = [now.history.record(d) for event in now.history.events for d in event.records]
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
