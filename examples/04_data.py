"""Make two clips of the playground, read one back, and walk its world along it: it goes where the clip went.

python examples/04_data.py clip.png
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from perdure.data import pipeline
from perdure.data.dataset import Dataset
from perdure.data.sources import source


def main(path: str) -> None:
    folder = Path(path).with_suffix("")
    jobs = source("playground").plan(2, seed=3, seconds=5.0)
    report = pipeline.make(folder, jobs, 1)  # stopped, it goes on from there; `perdure data make` does the same
    print(f"{report['clips']} clips, {report['seconds']:.0f} seconds")

    clip = Dataset(folder)[0]
    assert clip.poses is not None  # the playground knows; a film may not
    for actor in clip.cast:
        said = {word for word in clip.commands.get(actor.entity, ()) if word}
        print(f"{actor.name}: {', '.join(sorted(said)) or 'as it likes'}")

    world, way = clip.as_world(), []
    for action in clip.way():
        world = world.advance(action)
        way.append(world.motion.cameras)
    print(f"the same way: {np.array_equal(np.concatenate(way), clip.poses)}")
    moments = np.linspace(0, len(clip.rgb) - 1, 4).astype(int)
    Image.fromarray(np.concatenate(clip.rgb[moments], 1)).save(path)


if __name__ == "__main__":
    main(sys.argv[1])
