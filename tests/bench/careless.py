"""A player that breaks the promise, in one of several ways: the bench must find each out.

python careless.py HOW LIFE.json
"""

import sys
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.bench import mortal
from perdure.models.cache import Cache
from perdure.models.context import Context, Remembered
from perdure.runtime.engine import Frames
from perdure.world.state import World
from perdure.world.store import Store


class Unrounded(mortal.Mortal):
    """Goes on from the latent that it drew, not from the one that was kept."""

    made: NDArray[np.float32]

    def sample(self, context: Context, cache: Cache) -> NDArray[np.float32]:
        self.made = super().sample(context, cache)
        return self.made

    def remember(self, world: World, cache: Cache) -> None:
        last = world.history.memories[-1]
        unrounded = Remembered(last.key, self.made, last.action.features())  # type: ignore[arg-type]
        cache.put(last.key, *self.keys_values(unrounded))


class Forgetful(mortal.Mortal):
    """Opens a world without looking again at what was found and not yet known."""

    def open(self, world: World, store: Store | None = None) -> tuple[World, Cache, Frames | None]:
        return world, self.cache(), None


if __name__ == "__main__":
    mortal.Mortal = {"unrounded": Unrounded, "forgetful": Forgetful}[sys.argv[1]]  # type: ignore[misc]
    mortal.live(msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=mortal.Life))
