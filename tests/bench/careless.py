"""A player that breaks the promise: the bench must find it out.

python careless.py LIFE.json
"""

import sys
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.bench import mortal
from perdure.models.cache import Cache
from perdure.models.context import Context, Remembered
from perdure.world.state import World


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


if __name__ == "__main__":
    mortal.Mortal = Unrounded  # type: ignore[misc]
    mortal.live(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=mortal.Life))
