"""Trajectories: agents that go through a scene as people and data sets do, each kind by a script of its own.

    agent = trajectory("orbit", scene, seed=3)
    agent = trajectory("dense", scene, seed=3, density=0.4)

All are checked against physics: they walk where the ground is free, and wait for who stands in the way.
"""

from functools import partial

from perdure.data.scenes.scene import Scene
from perdure.data.trajectories import fighting, interaction, navigation, sightseeing
from perdure.data.trajectories.driving import drive
from perdure.data.trajectories.imported import Carried
from perdure.data.trajectories.revisit import dense, revisit_density
from perdure.data.trajectories.walker import Script, Walker
from perdure.world.trajectory import Trajectory

KINDS: dict[str, dict[str, Script]] = {
    "navigation": {
        "free": navigation.free,
        "loop": navigation.loop,
        "rectangle": navigation.rectangle,
        "there and back": navigation.there_and_back,
        "rooms": navigation.rooms,
        "waypoints": navigation.waypoints,
    },
    "sightseeing": {
        "orbit": sightseeing.orbit,
        "orbit a creature": sightseeing.orbit_creature,
        "close look": sightseeing.close_look,
    },
    "long tail": {
        "stand": navigation.stand,
        "turns": navigation.turns,
        "backward": navigation.backward,
    },
    "interaction": {
        "carry": interaction.carry,
        "throw": interaction.throw,
        "break": interaction.smash,
        "door": interaction.door,
        "fight": fighting.fight,
        "follow": interaction.follow,
        "watch": interaction.watch,
    },
}
"""Scripts by what they are for. Beside these: "dense", which sees as much again as it is asked to, what is read, and
"drive", of those on wheels."""

SCRIPTS = {name: script for scripts in KINDS.values() for name, script in scripts.items()}
CATEGORIES = {name: category for category, scripts in KINDS.items() for name in scripts} | {
    "dense": "navigation",
    "carried": "navigation",
    "drive": "navigation",
}


def trajectory(
    kind: str, scene: Scene, seed: int, density: float | None = None, carried: Trajectory | None = None
) -> Walker:
    """The agent of a kind. "dense" takes the share of frames that are to be seen again, "carried" a measured way."""
    if kind == "dense":
        if density is None or not 0 <= density <= 1:
            raise ValueError(f"expected a density from 0 to 1 for a dense trajectory, got {density}")
        return Walker(scene, seed, partial(dense, target=density))
    if kind == "carried":
        if carried is None:
            raise ValueError("expected a trajectory to be carried along, got none")
        return Walker(scene, seed, Carried(carried))
    if kind == "drive":
        return Walker(scene, seed, drive)
    if kind not in SCRIPTS:
        raise ValueError(f"expected a trajectory out of {', '.join([*SCRIPTS, 'dense', 'carried'])}, got {kind!r}")
    return Walker(scene, seed, SCRIPTS[kind])


__all__ = ["CATEGORIES", "KINDS", "SCRIPTS", "Walker", "revisit_density", "trajectory"]
