"""Let an agent walk: toward where there is most room, by the depth that it is given. Then the same again.

python examples/03_agent.py agent.png
"""

import sys

import gymnasium
import numpy as np
from PIL import Image

import perdure.env  # noqa: F401 (so that Gymnasium knows the name)


def most_room(depth: np.ndarray) -> dict:
    """Forward while the middle of the picture is free, and always a little toward its deepest part."""
    room = depth[60:80].min(axis=0)  # at the height of what one would walk into
    aim = np.convolve(room, np.ones(33) / 33, "same").argmax()
    left = 0.3 * (0.5 - aim / room.size)
    forward = room[96:160].min() > 1.0
    return {"keys": np.array([forward, 0, 0, 0, 0, 0, 0, 0]), "look": np.array([left, 0.0]), "hand": 0}


def main(path: str, steps: int = 12) -> None:
    # world="court" would be a world of yours, left as it is; serve=8700 would show the walk in a browser.
    env = gymnasium.make("perdure/World-v0", scene="court", seed=3, spots=1, observe=("rgb", "depth", "pose"))
    walks = []
    for _ in range(2):
        seen, info = env.reset(seed=7)
        walks.append([seen["rgb"]])
        for _ in range(steps):  # each four frames long: a sixth of a second
            seen, reward, terminated, truncated, info = env.step(most_room(seen["depth"]))
            walks[-1].append(seen["rgb"])
    env.close()
    Image.fromarray(np.concatenate(walks[0][:: max(1, steps // 3)], axis=1)).save(path)
    print(f"{info['step']} steps, state {info['state'][:12]}; the same bytes again:", np.array_equal(*walks))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "agent.png")
