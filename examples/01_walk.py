"""Found a world, walk two seconds in it, and write what was seen as one picture.

python examples/01_walk.py walk.png
"""

import sys

import numpy as np
from PIL import Image

from perdure.data.founding import found_kind
from perdure.presets.nano import nano
from perdure.runtime.backends import OpenVINO
from perdure.runtime.engine import Engine
from perdure.world.action import Action, Keys


def main(path: str, chunks: int = 12) -> None:
    engine = Engine(nano(), OpenVINO())
    world = found_kind("court", scene_seed=3, preset=engine.preset)
    cache = engine.cache()  # keys and values of what was made: it may be thrown away at any time
    shown = []
    for _ in range(chunks):
        # Four frames a step. The world is a value: the old one is still what it was.
        world, frames = engine.step(world, Action(Keys.FORWARD, turn=0.05), cache)
        shown.append(frames[-1])
    Image.fromarray(np.concatenate(shown[:: max(1, chunks // 4)], axis=1)).save(path)
    print(f"{world.step} steps, {len(world.geometry.keyframes)} keyframes, state {world.state[:12]}; see {path}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "walk.png")
