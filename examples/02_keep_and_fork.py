"""Keep a world on the disk, open it again as if nothing was, and give it a second future.

python examples/02_keep_and_fork.py FOLDER
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from perdure.data.founding import found_kind
from perdure.presets.nano import nano
from perdure.runtime.backends import OpenVINO
from perdure.runtime.engine import Engine
from perdure.world.action import Action, Keys
from perdure.world.store import Store


def main(home: Path) -> None:
    engine = Engine(nano(), OpenVINO())
    ahead, left = Action(Keys.FORWARD), Action(Keys.TURN_LEFT)

    with Store.create(home, found_kind("hall", 3, engine.preset, name="keep")) as store:
        world, cache, _ = engine.open(store.world(), store)
        for _ in range(4):
            world, last = engine.step(world, ahead, cache, store)  # on the disk before it returns

    with Store.open(home / "keep") as store:
        world, cache, again = engine.open(store.world(), store)
        print("opened at step", world.step, "and shows the same frames:", np.array_equal(last, again))
        fork = store.fork("main", at=2, name="other")
        fork, fork_cache, _ = engine.open(fork, store)
        fork, _ = engine.step(fork, left, fork_cache, store)
        world, _ = engine.step(world, ahead, cache, store)
        print("branches and their steps:", store.branches())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp()))
