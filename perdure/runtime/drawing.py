"""Drawing again what was played: for whoever makes clips of it, and is told of this module by its name."""

from collections.abc import Callable

from perdure.runtime.engine import Frames, load
from perdure.world.state import World


def drawing() -> Callable[[World], Frames]:
    """Frames of a step that was made before, from what was kept."""
    engine = load()
    return lambda then: engine.redraw(then)[1]
