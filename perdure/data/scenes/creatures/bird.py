"""The bird: as tall as a child, on stilts of legs, with wings that fold along its sides and a great beak."""

import numpy as np

from perdure.data.scenes.creatures.figure import Array, Figure, about
from perdure.data.scenes.creatures.motion import Loose, Turn, act, leg, wave
from perdure.world.deed import Deed, Stroke

PLUMES = (  # word, body, wings, beak and legs, crest
    ("scarlet", "#d8302a", "#1f5fc0", "#f4c020", "#f4c020"),
    ("azure", "#2a7fd8", "#f4d23a", "#3a3440", "#f07a20"),
    ("white", "#f4f2ea", "#2a2a32", "#f06a28", "#d82a3a"),
    ("black", "#26242e", "#d83a5a", "#f0b020", "#d83a5a"),
    ("emerald", "#1f9a5a", "#e0402a", "#2c2a30", "#f0d040"),
    ("golden", "#f0b81e", "#8a2f9a", "#d8452a", "#8a2f9a"),
)

THIGH, SHIN = 0.26, 0.3
HOVER = THIGH + SHIN + 0.05
OPEN = np.radians(69.28) * np.array([1.0, -1.0, -1.0])  # a left wing, from folded to spread out level


def bird(rng: np.random.Generator) -> Figure:
    word, body, wing, horn, crest = PLUMES[int(rng.integers(len(PLUMES)))]
    f = Figure("bird", word, float(rng.uniform(0.9, 1.2)), HOVER)
    f.paint("body", body)
    f.paint("wing", wing)
    f.paint("horn", horn, gloss=0.3)
    f.paint("crest", crest)
    f.paint("white", "#f8f6f0")
    f.paint("dark", "#100f14", gloss=0.6)
    f.egg("", "body", (0, 0, 0.06), (0.33, 0.2, 0.21), tilt=-0.3)
    f.part("tail", (-0.26, 0, 0.02))
    f.egg("tail", "wing", (-0.2, 0, 0.03), (0.26, 0.15, 0.035), tilt=0.25)
    f.egg("tail", "crest", (-0.27, 0, 0.06), (0.22, 0.06, 0.04), tilt=0.25)
    f.part("neck", (0.22, 0, 0.18))
    f.limb("neck", "body", (0, 0, 0), (0.08, 0, 0.26), 0.085)
    f.part("head", (0.08, 0, 0.3), "neck")
    f.egg("head", "body", (0.04, 0, 0.04), (0.15, 0.12, 0.125))
    for y in (1, -1):
        f.ball("head", "white", (0.1, 0.082 * y, 0.08), 0.052)
        f.ball("head", "dark", (0.128, 0.105 * y, 0.085), 0.03)
    f.egg("head", "horn", (0.27, 0, 0.03), (0.17, 0.055, 0.05), tilt=0.25)
    f.limb("head", "crest", (-0.02, 0, 0.15), (-0.16, 0, 0.26), 0.035)
    f.limb("head", "crest", (0.04, 0, 0.16), (-0.03, 0, 0.32), 0.035)
    f.part("beak", (0.12, 0, -0.01), "head")
    f.egg("beak", "horn", (0.12, 0, -0.02), (0.13, 0.045, 0.028), tilt=0.25)
    for side, y in (("l", 1), ("r", -1)):
        f.part(f"wing_{side}", (0.12, 0.17 * y, 0.14))
        f.egg(f"wing_{side}", "wing", (-0.2, 0.025 * y, -0.06), (0.28, 0.035, 0.15))
        f.part(f"tip_{side}", (-0.38, 0.03 * y, -0.06), f"wing_{side}")
        f.egg(f"tip_{side}", "crest", (-0.1, 0, 0.0), (0.26, 0.025, 0.1))
        f.part(f"leg_{side}", (-0.02, 0.1 * y, -0.06))
        f.limb(f"leg_{side}", "body", (0, 0, 0.02), (0, 0, -THIGH + 0.08), 0.06)
        f.part(f"shin_{side}", (0, 0, -THIGH), f"leg_{side}")
        f.limb(f"shin_{side}", "horn", (0, 0, 0.06), (0, 0, -SHIN + 0.06), 0.03)
        f.egg(f"shin_{side}", "horn", (0.06, 0, -SHIN + 0.06), (0.15, 0.075, 0.028))
    return f


def wings(beat: float = 0.0, open_: float = 1.0, sweep: float = 0.0) -> dict[str, Turn]:
    """Both wings spread by a share, raised by `beat` degrees and swept back by `sweep`."""
    spread = about(np.array([[np.radians(beat), 0.0, 0.0]]))[0] @ about(np.array([[0.0, 0.0, np.radians(sweep)]]))[0]
    turn = _vector(spread @ about(open_ * OPEN[None])[0])
    x, y, z = (float(v) for v in np.degrees(turn))
    return {"wing_l": (x, y, z), "wing_r": (-x, y, -z)}


def deeds(f: Figure) -> tuple[Deed, ...]:
    def strut(stride: float, lift: float, nod: float, lean: float = 0.0) -> Loose:
        out: dict = {**wave("neck", 1, nod, 2, 0.0, lean), **wave("head", 1, nod, 2, 0.5, -lean), **wave("tail", 2, 10)}
        for side, phase in (("l", 0.0), ("r", 0.5)):
            out |= leg(
                f"leg_{side}", f"shin_{side}", THIGH, SHIN - 0.06, THIGH + SHIN - 0.1, stride, lift, phase, 0.6, -1
            )
        return out

    def flapping(count: int, size: float) -> dict:
        """Curves of both wings, `count` beats."""
        keys = [
            (n / (4 * count), wings(size * np.cos(0.5 * np.pi * n), 1.0, 14 * (n % 4 == 3)))
            for n in range(4 * count + 1)
        ]
        return {label: [(t, *pose[label]) for t, pose in keys] for label in ("wing_l", "wing_r")}

    def legs(thigh: float, shin: float) -> dict:
        return {"leg_l": (0, thigh, 0), "leg_r": (0, thigh, 0), "shin_l": (0, shin, 0), "shin_r": (0, shin, 0)}

    crouch, back = legs(44, -80), legs(70, -40)
    flat = (0, 0, 0, 0, 0, 0, 0)
    return (
        act(f, "idle", "stand still, stay, wait, stop", 3.6, [
            (0, {}), (0.15, {"head": (0, 6, 30), "neck": (0, 0, 10)}), (0.3, {"head": (0, 6, 30), "neck": (0, 0, 10)}),
            (0.36, {"head": (16, 0, -24)}), (0.52, {"head": (16, 0, -24), "tail": (0, -10, 0)}),
             (0.6, {"tail": (0, 12, 12)}),
            (0.68, {"tail": (0, 0, -12), "beak": (0, 0, 0)}), (0.78, {"head": (0, -14, 0), "beak": (0, 24, 0)}),
            (0.86, {"head": (0, -10, 0)}), (1, {})], loops=True),
        act(f, "walk", "walk, strut, go", 0.95, also=strut(0.6, 0.12, 9), loops=True, pace=0.63),
        act(f, "run", "run, dash, sprint", 0.55, also={**strut(0.95, 0.18, 12, 24), **_held(wings(24, 0.55))},
            loops=True,
            pace=1.73),
        act(f, "turn left", "turn left, turn to the left", 1.0, also=strut(0.1, 0.1, 6), loops=True, turn=1.3),
        act(f, "turn right", "turn right, turn to the right", 1.0, also=strut(0.1, 0.1, 6), loops=True, turn=-1.3),
        act(f, "leap", "leap, jump, spring", 1.4, [
            (0, {}), (0.2, {**crouch, "neck": (0, 30, 0), **wings(0, 0.3)}), (0.3, {**legs(10, -10), **wings(60)}),
            (0.42, {**back, **wings(-50), "neck": (0, 20, 0)}), (0.54, {**back, **wings(50), "neck": (0, 14, 0)}),
            (0.66, {**legs(-10, -10), **wings(-40)}), (0.76, {**legs(-16, 0), **wings(40)}),
             (0.86, {**crouch, **wings(0, 0.4)}),
            (1, {})],
            path=[flat, (0.2, 0, 0, 0, 0, -6, 0), (0.32, 0.15, 0, 0.1, 0, 20, 0), (0.52, 0.7, 0, 0.85, 0, 6, 0),
                  (0.78, 1.25, 0, 0.04, 0, 16, 0), (0.86, 1.3, 0, 0, 0, 0, 0), (1, 1.3, 0, 0, 0, 0, 0)]),
        act(f, "fly", "fly, take wing, flap", 0.7, [(0,
            {**back, "neck": (0, 34, 0), "head": (0, -30, 0), "tail": (0, -10, 0)})],
            also=flapping(1, 52), path=[(n / 8, 0, 0, 0.75 + 0.07 * np.sin(2 * np.pi * n / 8), 0, -14,
             0) for n in range(9)],
            loops=True, pace=2.0),
        act(f, "glide", "glide, soar, sail", 2.6, [
            (t, {**back, **wings(a), "neck": (0, 40, 0), "head": (0, -34, 0.7 * b), "tail": (b, -8, 0)})
            for t, a, b in ((0, 10, 0), (0.25, 16, 14), (0.5, 10, 0), (0.75, 16, -14), (1, 10, 0))],
            path=[(n / 8, 0, 0, 0.95, 0, -8, 16 * np.sin(2 * np.pi * n / 8)) for n in range(9)], loops=True, pace=1.6),
        act(f, "flutter", "flutter, hover, flap in place", 1.8, [
            (0, {}), (0.15, {**crouch}), (0.3, {**legs(24, -30), "neck": (0, -8, 0)}),
             (0.7, {**legs(20, -34), "neck": (0, -8, 0)}),
            (0.88, crouch), (1, {})],
            also={label: [(0, 0, 0, 0), (0.12, *wings(10, 0.5)[label]),
                          *((0.2 + 0.05 * n, *wings(58 * (-1) ** n)[label]) for n in range(13)),
                          (0.9, *wings(0, 0.5)[label]), (1, 0, 0, 0)] for label in ("wing_l", "wing_r")},
            path=[flat, (0.16, 0, 0, 0, 0, 0, 0), (0.4, 0, 0, 0.55, 0, 24, 0), (0.66, 0, 0, 0.6, 0, 20, 0),
             (0.86, 0, 0, 0, 0, 0, 0),
                  (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "peck", "peck, jab with the beak", 0.9, [
            (0, {}), (0.25, {"neck": (0, -30, 0), "head": (0, -6, 0), **legs(8, -14)}),
            (0.4, {"neck": (0, 96, 0), "head": (0, 6, 0), "tail": (0, -24, 0), "beak": (0, 26, 0), **legs(14, -20)}),
            (0.5, {"neck": (0, 84, 0), "head": (0, 6, 0), "tail": (0, -20, 0)}),
            (0.6, {"neck": (0, 98, 0), "head": (0, 8, 0), "tail": (0, -24, 0), "beak": (0, 22, 0), **legs(14, -20)}),
             (1, {})],
            path=[flat, (0.25, 0, 0, 0, 0, 6, 0), (0.4, 0.06, 0, 0, 0, -16, 0), (0.62, 0.06, 0, 0, 0, -16, 0),
             (1, 0, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.3, 0.66, 1.05, 0.3, 0.0, 1.2, 0.15, 0.1)]),
        act(f, "wave", "wave, wave a wing, greet", 1.8, [
            (0, {}), *((t, {"wing_l": wings(a)["wing_l"], "tip_l": (0, 0, 0), "head": (-8, 0, 10)}) for t, a in
                       ((0.2, 56), (0.34, 4), (0.48, 60), (0.62, 4), (0.78, 56))), (1, {})]),
        act(f, "dance", "dance, court, display", 2.4, [
            (n / 8, {**wings(30 if n % 2 else -8), "neck": (20 * (-1) ** (n // 2), -16, 0),
             "head": (-26 * (-1) ** (n // 2), 10, 0),
                     "tail": (0, 44, 24 * (-1) ** (n // 2)), **(crouch if n % 2 else legs(6, -12))}) for n in range(9)],
            path=[(n / 8, 0, 0.1 * np.sin(2 * np.pi * n / 8), 0, 0, 6,
             8 * np.sin(2 * np.pi * n / 8)) for n in range(9)], loops=True),
        act(f, "sit", "sit, sit down, rest, roost", 1.4, [
            (0, {}), (0.6, {**legs(76, -140), "neck": (0, -10, 0), "tail": (0, 6, 0), **wings(0, 0.12)}),
            (0.8, {**legs(76, -140), "neck": (0, -34, 0), "head": (0, 38, 0)}),
            (1, {**legs(76, -140), "neck": (0, -30, 0), "head": (0, 34, 0)})], holds=True),
        act(f, "rise", "rise, get up, stand up", 1.0, [
            (0, {**legs(76, -140), "neck": (0, -24, 0)}), (0.5, {**crouch, "neck": (0, 20, 0), **wings(20, 0.5)}),
             (1, {})]),
        act(f, "preen", "preen, clean the feathers", 2.0, [
            (0, {}), *((t, {"neck": (26, 10, 60), "head": (20, a, 70), "wing_l": wings(16, 0.4)["wing_l"],
             "beak": (0, b, 0)})
                       for t, a, b in ((0.2, 40, 0), (0.35, 56, 14), (0.5, 38, 0), (0.65, 58, 14), (0.8, 40, 0))),
                        (1, {})]),
        act(f, "swoop", "swoop, dive", 1.5, [
            (0, {}), (0.15, {**crouch, **wings(0, 0.4)}), (0.32, {**back, **wings(60), "neck": (0, 20, 0)}),
            (0.5, {**legs(-30, -20), **wings(30, 1.0, 30), "neck": (0, 60, 0), "head": (0, -20, 0)}),
            (0.64, {**legs(-64, -10), **wings(50, 1.0, 20), "neck": (0, 10, 0), "beak": (0, 20, 0)}),
            (0.8, {**legs(-10, 0), **wings(-20)}), (0.9, {**crouch, **wings(0, 0.3)}), (1, {})],
            path=[flat, (0.15, 0, 0, 0, 0, 0, 0), (0.36, 0.1, 0, 1.1, 0, 20, 0), (0.52, 0.7, 0, 0.7, 0, -36, 0),
                  (0.64, 1.3, 0, 0.15, 0, 16, 0), (0.8, 1.7, 0, 0.2, 0, 14, 0), (0.9, 1.8, 0, 0, 0, 0, 0),
                   (1, 1.8, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.5, 0.72, 1.0, 0.6, 0.0, 1.6, 0.25, 0.5)]),
        act(f, "hit", "hit", 0.55, [
            (0, {**wings(20, 0.4), "head": (0, -10, 0)}),
             (0.3, {**wings(50, 0.9), "neck": (0, -34, 0), "head": (0, -20, 16),
             "beak": (0, 34, 0), **legs(-14, -10)}), (0.65, {**wings(10, 0.4), **legs(20, -40)}), (1, {})],
            path=[flat, (0.3, 0, 0, 0, 0, 14, 6), (0.7, 0, 0, 0, 0, -4, 0), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "die", "die", 1.8, [
            (0, {}), (0.15, {**wings(50, 0.9), "neck": (0, -20, 0), "beak": (0, 30, 0)}),
             (0.4, {**legs(-10, -30), "neck": (30, 0, 0),
             "wing_l": wings(-10, 0.6)["wing_l"]}),
            (0.65, {**legs(-10, -8), "neck": (10, 50, 0), "head": (0, 20, 0), "wing_r": wings(10, 0.9)["wing_r"]}),
            (1, {**legs(-14, -20), "neck": (14, 66, 0), "head": (0, 24, 0), "wing_r": wings(4, 0.9)["wing_r"],
             "beak": (0, 16, 0)})],
            path=[flat, (0.15, 0, 0, 0, 0, 8, 0), (0.4, 0, 0, 0, 0, 0, 20), (0.65, 0, -0.2, 0, 0, 0, 82),
             (0.75, 0, -0.22, 0.02, 0, 0, 78),
                  (1, 0, -0.22, 0, 0, 0, 84)], holds=True),
    )  # fmt: skip


def _held(pose: dict[str, Turn]) -> Loose:
    return {label: [(0.0, *turn)] for label, turn in pose.items()}


def _vector(turn: Array) -> Array:
    """The rotation vector of a matrix."""
    angle = np.arccos(np.clip(0.5 * (np.trace(turn) - 1), -1, 1))
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    length = np.linalg.norm(axis)
    return axis * (angle / length if length > 1e-9 else 0.0)
