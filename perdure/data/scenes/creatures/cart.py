"""The cart: four wheels, a lantern on a pole, and a driver who does the waving."""

import math

import numpy as np

from perdure.data.scenes.creatures.figure import Figure
from perdure.data.scenes.creatures.motion import Loose, act, both, wave
from perdure.data.scenes.scene import Surface
from perdure.world.deed import Deed, Stroke

PAINTS = (  # word, body, trim, driver's coat, wheels
    ("red", "#c8281e", "#f4d35a", "#2458a8", "#5a3a22"),
    ("blue", "#1f5fb8", "#f2f0e6", "#c8402a", "#4a3526"),
    ("yellow", "#f0b81e", "#7a2a1e", "#2a7a4a", "#3a2c24"),
    ("green", "#2a7f4a", "#f0d8a0", "#8a2f9a", "#5a3a22"),
    ("purple", "#6a2f9a", "#f0b040", "#1f8a8a", "#3c2c2c"),
)

WHEEL, REAR = 0.3, 0.3
HOVER = 0.62
WHEELS = tuple(
    (f"wheel{n}_{side}", x, y) for n, x in enumerate((0.48, -0.48)) for side, y in (("l", 0.44), ("r", -0.44))
)


def cart(rng: np.random.Generator) -> Figure:
    word, main, trim, coat, wood = PAINTS[int(rng.integers(len(PAINTS)))]
    f = Figure("cart", word, float(rng.uniform(0.95, 1.1)), HOVER)
    f.paint("body", Surface("panel", (main, main, trim), 1.0, 0, gloss=0.2, anchored=True))
    f.paint("trim", trim, gloss=0.3)
    f.paint("spokes", Surface("emblem", (wood, trim, trim), 1.0, 1, anchored=True))
    f.paint("wood", Surface("plank", (wood, "#8a6238", "#2a1a10"), 0.4, 3, anchored=True))
    f.paint("coat", coat)
    f.paint("skin", "#d9a27c")
    f.paint("hat", "#3a2a20")
    f.paint("glow", "#ffd27a", glow=1.0)
    f.box("", "body", (-0.08, 0, 0.06), (0.62, 0.34, 0.2))
    f.box("", "trim", (-0.08, 0, 0.27), (0.66, 0.38, 0.03))
    f.box("", "wood", (0.0, 0, -0.2), (0.7, 0.12, 0.06))
    f.box("", "wood", (0.66, 0, 0.05), (0.06, 0.34, 0.12), tilt=0.3)
    f.box("", "body", (-0.52, 0, 0.44), (0.18, 0.34, 0.16))
    f.part("lamp", (-0.66, 0, 0.55))
    f.limb("lamp", "wood", (0, 0, 0), (0, 0, 0.6), 0.025)
    f.limb("lamp", "wood", (0, 0, 0.6), (0.22, 0, 0.62), 0.02)
    f.part("lantern", (0.22, 0, 0.6), "lamp")
    f.egg("lantern", "glow", (0, 0, -0.1), (0.07, 0.07, 0.1))
    for label, x, y in WHEELS:
        f.part(label, (x, y, WHEEL - HOVER))
        f.rod(label, "spokes", (0, 0, 0), WHEEL, 0.05, "y")
    f.part("driver", (0.0, 0, 0.3))
    f.egg("driver", "coat", (0, 0, 0.2), (0.15, 0.2, 0.26))
    f.limb("driver", "hat", (0.06, 0, 0.02), (0.3, 0, -0.02), 0.12)
    f.part("head", (0, 0, 0.44), "driver")
    f.ball("head", "skin", (0.01, 0, 0.1), 0.125)
    f.ball("head", "skin", (0.14, 0, 0.09), 0.035)
    f.egg("head", "hat", (0.105, 0, 0.045), (0.04, 0.085, 0.03))
    f.rod("head", "hat", (0, 0, 0.18), 0.24, 0.018)
    f.limb("head", "hat", (0, 0, 0.2), (0, 0, 0.25), 0.115)
    for side, y in (("l", 1), ("r", -1)):
        f.part(f"arm_{side}", (0, 0.21 * y, 0.36), "driver")
        f.limb(f"arm_{side}", "coat", (0, 0, 0), (0.02, 0.02 * y, -0.36), 0.065)
    return f


def deeds(f: Figure) -> tuple[Deed, ...]:
    def rolled(metres: float, *, left: float = 1.0, right: float = 1.0) -> Loose:
        """Wheels that turn as the cart goes on by so much over one deed."""
        angle = math.degrees(metres / WHEEL)
        return {
            label: [(n / 4, 0, angle * n / 4 * (left if y > 0 else right), 0) for n in range(5)]
            for label, _, y in WHEELS
        }

    def along(path: list) -> Loose:
        """Wheels that turn as a path goes."""
        return {label: [(t, 0, math.degrees(x / WHEEL), 0) for t, x, *_ in path] for label, *_ in WHEELS}

    reins = {**both("arm", -6, -58), "driver": (0, 4, 0)}
    jolt = {**wave("driver", 1, 4, 2, 0, 4), **wave("head", 0, 5, 1), **wave("lantern", 1, 16, 2),
     **wave("lamp", 0, 2, 2),
            **{k: [(0, *v)] for k, v in both("arm", -6, -58).items()}}  # fmt: skip
    fast = {**wave("driver", 1, 5, 2, 0, 16), **wave("head", 1, 5, 2, 0, -12), **wave("lantern", 1, 30, 2, 0, 40),
            **wave("arm_l", 1, 14, 2, 0, -66), **wave("arm_r", 1, 14, 2, 0.5, -66)}  # fmt: skip
    bump = [(n / 8, 0, 0, 0, 0, 0.9 * np.sin(4 * np.pi * n / 8), 0.9 * np.sin(2 * np.pi * n / 8)) for n in range(9)]
    flat, still = (0, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 0)
    dash = [
        flat,
        (0.25, -0.25, 0, 0, 0, 2, 0),
        (0.5, 1.1, 0, 0, 0, 3, 0),
        (0.62, 1.3, 0, 0, 0, -3, 0),
        (1, 1.3, 0, 0, 0, 0, 0),
    ]
    spin = [
        flat,
        (0.15, 0, 0, 0, -20, 0, 0),
        (0.8, 0, 0, 0, 380, 0, 4),
        (0.9, 0, 0, 0, 362, 0, -2),
        (1, 0, 0, 0, 360, 0, 0),
    ]
    hop = [flat, (0.2, 0.1, 0, 0, 0, -2, 0), (0.32, 0.35, 0, 0.06, 0, 14, 0), (0.5, 0.9, 0, 0.42, 0, 4, 0),
     (0.68, 1.35, 0, 0.02, 0, -10, 0),
           (0.78, 1.5, 0, 0, 0, 2, 0), (1, 1.6, 0, 0, 0, 0, 0)]  # fmt: skip

    def hands(x: float, y: float) -> dict:
        return {**both("arm", x, y)}

    return (
        act(f, "idle", "stand still, stay, wait, stop", 3.6, [
            (0, reins), (0.25, {**reins, "head": (0, 0, 34), "lantern": (6, 6, 0)}),
             (0.5, {**reins, "driver": (0, 0, 0), "head": (0, 6, 0)}),
            (0.75, {**reins, "head": (0, -6, -34), "lantern": (-6, -6, 0)}), (1, reins)], loops=True),
        act(f, "walk", "walk, drive, go, roll along", 2.0, also={**rolled(1.8), **jolt}, path=bump, loops=True,
            pace=0.9),
        act(f, "run", "run, speed, race, drive fast", 1.0, also={**rolled(2.6), **fast}, path=bump, loops=True,
            pace=2.6),
        act(f, "turn left", "turn left, turn to the left", 1.6,
            also={**rolled(0.9, left=0.4, right=1.6), **jolt, "head": [(0, 0, 0, 30)]}, path=bump, loops=True,
             pace=0.56, turn=0.8),
        act(f, "turn right", "turn right, turn to the right", 1.6,
            also={**rolled(0.9, left=1.6, right=0.4), **jolt, "head": [(0, 0, 0, -30)]}, path=bump, loops=True,
             pace=0.56, turn=-0.8),
        act(f, "leap", "leap, jump, hop", 1.2, [
            (0, reins), (0.2, {**reins, "driver": (0, 24, 0)}),
             (0.34, {**hands(30, -60), "driver": (0, -16, 0), "lantern": (0, -40, 0)}),
            (0.52, {**hands(70, -140), "driver": (0, -4, 0), "lantern": (0, 50, 0)}),
             (0.74, {**hands(10, -50), "driver": (0, 30, 0), "head": (0, 20, 0),
             "lantern": (0, -30, 0)}), (1, reins)], path=hop, also=along(hop)),
        act(f, "wave", "wave, greet, tip the hat, say hello", 1.8, [
            (0, reins), *((t, {**reins, "arm_r": (a, -20, 0), "driver": (5, 0, 0), "head": (0, 0, -20)}) for t, a in
                          ((0.18, -130), (0.32, -165), (0.46, -112), (0.6, -165), (0.76, -125))), (1, reins)]),
        act(f, "dance", "dance, rock, bounce", 1.8, [
            (n / 8, {**hands(40 + 70 * (n % 2), -80), "driver": (10 * (-1) ** (n // 2), 0, 0),
             "head": (-16 * (-1) ** (n // 2), 0, 0),
                     "lantern": (30 * (-1) ** (n // 2), 20 * (-1) ** n, 0)}) for n in range(9)],
            path=[(n / 8, 0, 0, 0.0, 0, 5 * np.sin(4 * np.pi * n / 8),
             9 * np.sin(2 * np.pi * n / 8)) for n in range(9)], loops=True),
        act(f, "sit", "sit, rest, nap, park", 1.6, [
            (0, reins), (0.5, {**hands(8, -20), "driver": (0, -14, 0), "head": (0, -10, 0)}),
            (0.8, {**hands(10, -8), "driver": (0, -20, 0), "head": (0, 44, 0)}),
             (1, {**hands(10, -10), "driver": (0, -18, 0), "head": (0, 40, 0)})],
            holds=True),
        act(f, "rise", "rise, wake, wake up", 0.9, [
            (0, {**hands(10, -10), "driver": (0, -18, 0), "head": (0, 40, 0)}),
             (0.4, {**hands(60, -120), "driver": (0, -10, 0), "head": (0, -16, 0)}),
            (1, reins)]),
        act(f, "ram", "ram, charge, crash into", 1.3, [
            (0, reins), (0.25, {**hands(4, -30), "driver": (0, -20, 0)}),
             (0.5, {**hands(0, -84), "driver": (0, 34, 0), "head": (0, -24, 0),
             "lantern": (0, 60, 0)}), (0.62, {**hands(0, -90), "driver": (0, 44, 0), "lantern": (0, -50, 0)}),
              (1, reins)],
            path=dash, also=along(dash), strokes=[Stroke(0.3, 0.6, 1.25, 0.5, 0.0, 1.2, 0.35, 1.3)]),
        act(f, "skid", "skid, spin, drift", 1.5, [
            (0, reins), (0.15, {**reins, "driver": (-10, 0, 0)}),
             (0.5, {**reins, "driver": (24, 6, 0), "lantern": (-60, 0, 0)}),
            (0.8, {**reins, "driver": (20, 6, 0), "lantern": (-50, 0, 0)}), (1, reins)],
            path=spin, also={label: [(0, 0, 0, 0), (0.8, 0, -900 if y > 0 else 900, 0),
             (1, 0, -720 if y > 0 else 720, 0)] for label, _, y in WHEELS},
            strokes=[Stroke(0.25, 0.8, 1.2, 3.1, 0.0, 1.0, 0.2, 1.0)]),
        act(f, "buck", "buck, pull a wheelie, tip up", 1.5, [
            (0, reins), (0.2, {**reins, "driver": (0, 26, 0)}),
             (0.45, {**hands(0, -100), "driver": (0, 22, 0), "lantern": (0, -60, 0)}),
            (0.65, {**hands(0, -96), "driver": (0, 20, 0), "lantern": (0, -40, 0)}),
             (0.8, {**hands(0, -50), "driver": (0, 26, 0), "head": (0, 18, 0)}),
            (1, reins)], path=[flat, (0.2, 0, 0, 0, 0, -2, 0), (0.45, 0.1, 0, 0, 0, 34, 0),
             (0.65, 0.16, 0, 0, 0, 32, 0), (0.8, 0.2, 0, 0, 0, -3, 0),
                               (1, 0.2, 0, 0, 0, 0, 0)]),
        act(f, "hit", "hit", 0.6, [
            (0, reins), (0.3, {**hands(50, -70), "driver": (14, -22, 0), "head": (0, -26, 0), "lantern": (30, 40, 0)}),
            (0.65, {**reins, "driver": (-6, 16, 0), "lantern": (-20, -20, 0)}), (1, reins)],
            path=[flat, (0.25, 0, 0, 0, 0, 4, 12), (0.6, 0, 0, 0, 0, 0, -4), still]),
        act(f, "die", "die", 1.8, [
            (0, reins), (0.25, {**hands(70, -60), "driver": (0, -16, 0)}),
             (0.6, {**hands(90, -20), "driver": (-30, 10, 0), "head": (-20, 0, 0),
             "wheel0_l": (14, 60, 0)}), (0.8, {**hands(60, -30), "driver": (-26, 16, 0), "head": (-30, 20, 0),
              "wheel0_l": (0, 200, 0)}),
            (1, {**hands(60, -24), "driver": (-22, 18, 0), "head": (-34, 24, 0), "wheel0_l": (0, 240, 0)})],
            shifts={"wheel0_l": [(0.3, 0, 0, 0), (0.6, 0.5, -0.2, 0), (0.76, 0.72, -0.86, 0.1), (1, 0.8, -0.87, 0.1)]},
            path=[flat, (0.25, 0, 0, 0, 0, 0, -16), (0.4, 0, 0, 0, 0, 0, 10), (0.65, 0, -0.3, 0, 0, 0, 84),
             (0.75, 0, -0.34, 0.03, 0, 0, 80),
                  (1, 0, -0.34, 0, 0, 0, 88)], holds=True),
    )  # fmt: skip
