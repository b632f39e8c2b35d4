"""The frog: as big as a dog, with legs that fold, bulging eyes, and a tongue that it flings at what it wants."""

import numpy as np

from perdure.data.scenes.creatures.figure import Figure
from perdure.data.scenes.creatures.motion import Keys, act, both
from perdure.world.deed import Deed, Stroke

SKINS = (  # word, back, belly, eyes
    ("green", "#4aa82e", "#f0f0b0", "#f4c020"),
    ("blue", "#2468d8", "#1a1c2c", "#f0e040"),
    ("orange", "#f07a18", "#fbe6c0", "#40c8f0"),
    ("crimson", "#c42038", "#2c2434", "#c8f040"),
    ("golden", "#f2c21a", "#fff6d8", "#d83a2a"),
)


def frog(rng: np.random.Generator) -> Figure:
    word, back, belly, eye = SKINS[int(rng.integers(len(SKINS)))]
    f = Figure("frog", word, float(rng.uniform(0.9, 1.25)), 0.34)
    f.paint("back", back, gloss=0.25)
    f.paint("belly", belly)
    f.paint("eye", eye, gloss=0.5)
    f.paint("dark", "#0e0d12", gloss=0.6)
    f.paint("tongue", "#ff6a8a")
    f.egg("", "back", (-0.04, 0, 0), (0.36, 0.27, 0.2), tilt=-0.35)
    f.egg("", "belly", (0.06, 0, -0.07), (0.26, 0.23, 0.15))
    f.part("head", (0.2, 0, 0.14))
    f.egg("head", "back", (0.1, 0, 0.03), (0.22, 0.24, 0.11))
    f.egg("head", "dark", (0.115, 0, -0.015), (0.215, 0.235, 0.06))
    for y in (1, -1):
        f.ball("head", "eye", (0.09, 0.15 * y, 0.14), 0.085)
        f.ball("head", "dark", (0.14, 0.178 * y, 0.15), 0.048)
    f.part("jaw", (0.0, 0, -0.02), "head")
    f.egg("jaw", "belly", (0.12, 0, -0.04), (0.2, 0.22, 0.055))
    f.part("throat", (0.08, 0, -0.07), "head")
    f.ball("throat", "belly", (0, 0, 0), 0.12)
    f.part("tongue", (0.0, 0, -0.03), "head")
    f.limb("tongue", "tongue", (-0.36, 0, -0.04), (0.14, 0, 0), 0.026)
    f.ball("tongue", "tongue", (0.16, 0, 0), 0.05)
    for side, y in (("l", 1), ("r", -1)):
        f.part(f"arm_{side}", (0.16, 0.2 * y, -0.04))
        f.limb(f"arm_{side}", "back", (0, 0, 0), (0.08, 0.09 * y, -0.24), 0.055)
        f.egg(f"arm_{side}", "eye", (0.13, 0.11 * y, -0.27), (0.1, 0.08, 0.03))
        f.part(f"leg_{side}", (-0.22, 0.2 * y, -0.06))  # folded: the knee ahead and up
        f.limb(f"leg_{side}", "back", (0, 0.02 * y, 0), (0.26, 0.14 * y, 0.06), 0.095)
        f.part(f"shin_{side}", (0.27, 0.15 * y, 0.06), f"leg_{side}")
        f.limb(f"shin_{side}", "back", (0, 0, 0), (-0.3, 0.03 * y, -0.2), 0.06)
        f.part(f"foot_{side}", (-0.31, 0.03 * y, -0.21), f"shin_{side}")
        f.egg(f"foot_{side}", "eye", (0.13, 0.02 * y, -0.02), (0.19, 0.09, 0.032))
    return f


def deeds(f: Figure) -> tuple[Deed, ...]:
    tucked = {"throat": (0, 0, 0)}
    stretched = {**both("leg", 0, 150, 20), **both("shin", 0, -128), **both("foot", 0, 50)}  # hind legs flung back
    pushing = {**both("leg", 0, 80, 10), **both("shin", 0, -80), **both("foot", 0, 24)}
    ready = {**both("leg", 0, 6), **both("arm", 0, 14), "head": (0, 10, 0)}

    def hop(
        far: float, high: float, begin: float = 0.2, end: float = 0.72, stretch: dict = stretched
    ) -> tuple[Keys, list]:
        mid = 0.5 * (begin + end)
        keys = [
            (0, {}), (begin, ready), (begin + 0.09, {**pushing, **both("arm", 0, -20), "head": (0, -6, 0)}),
            (mid - 0.06, {**stretch, **both("arm", 0, 60)}), (mid + 0.06, {**stretch, **both("arm", 10, -50)}),
            (end, {**both("leg", 0, 14), **both("arm", 8, -44), "head": (0, 0, 0)}),
            (end + 0.1, {**both("arm", 0, 20), "head": (0, 18, 0)}), (1, {})]  # fmt: skip
        path = [(0, 0, 0, 0, 0, 0, 0), (begin, 0, 0, 0, 0, -4, 0), (begin + 0.09, 0.1 * far, 0, 0.04, 0, 22, 0),
                (mid, 0.5 * far, 0, high, 0, 6, 0), (end, 0.95 * far, 0, 0.02, 0, -14, 0),
                 (end + 0.1, far, 0, 0, 0, -4, 0),
                (1, far, 0, 0, 0, 0, 0)]  # fmt: skip
        return keys, path

    def hopping(name: str, words: str, seconds: float, pace: float, high: float, turn: float = 0.0) -> Deed:
        """Its body rests between hops, while the way that it goes is even: the root makes up the difference."""
        far = pace * seconds
        keys, path = hop(far, high, 0.12, 0.66, pushing)
        path = [(t, x - far * t, *more) for t, x, *more in path]
        return act(f, name, words, seconds, keys, path=path, loops=True, pace=pace, turn=turn)

    flat = (0, 0, 0, 0, 0, 0, 0)
    puff = [
        (0, 0, 0, 0),
        (0.12, 0.02, 0, -0.05),
        (0.24, 0, 0, 0),
        (0.36, 0.02, 0, -0.05),
        (0.48, 0, 0, 0),
        (1, 0, 0, 0),
    ]
    leap_keys, leap_path = hop(2.3, 1.0, 0.26, 0.76)
    return (
        act(f, "idle", "stand still, stay, wait, stop", 3.4, [
            (0, tucked), (0.5, {"head": (0, -4, 0)}), (0.7, {"head": (0, 0, 24)}), (0.85, {"head": (0, 0, 22)}),
             (1, tucked)],
            shifts={"throat": puff}, loops=True),
        hopping("walk", "walk, hop, go", 1.0, 0.6, 0.14),
        hopping("run", "run, hop fast, bound", 0.7, 1.7, 0.3),
        hopping("turn left", "turn left, turn to the left", 0.9, 0.0, 0.08, 1.1),
        hopping("turn right", "turn right, turn to the right", 0.9, 0.0, 0.08, -1.1),
        act(f, "leap", "leap, jump, spring", 1.15, leap_keys, path=leap_path),
        act(f, "pounce", "pounce, stomp, land on", 1.3, *_pounce(ready, stretched),
            strokes=[Stroke(0.62, 0.74, 0.9, 3.1, 0.0, 1.0, 0.25, 0.6)]),
        act(f, "wave", "wave, greet, say hello", 1.7, [
            (0, {}), *((t, {"arm_l": (70 + a, -96, 0), "head": (6, -10, 8)}) for t, a in
                       ((0.2, 0), (0.34, 50), (0.48, -20), (0.62, 50), (0.78, -10))), (1, {})],
            path=[flat, (0.2, 0, 0, 0, 0, 16, -8), (0.8, 0, 0, 0, 0, 16, -8), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "dance", "dance, jig", 2.0, [
            (n / 8, {**(both("leg", 0, 24) if n % 2 else {}),
             "head": (16 * (-1) ** (n // 2), -10, 20 * (-1) ** (n // 2)),
                     "arm_l": (60 * (n % 4 == 1), -60 * (n % 4 == 1), 0),
                      "arm_r": (-60 * (n % 4 == 3), -60 * (n % 4 == 3), 0)})
            for n in range(9)],
            path=[(n / 8, 0, 0.1 * np.sin(2 * np.pi * n / 8), 0.16 * (n % 2), 0, 10 * (n % 2),
             12 * np.sin(2 * np.pi * n / 8))
                  for n in range(9)], loops=True),
        act(f, "sit", "sit, rest, sit up", 1.2, [
            (0, {}), (0.6, {**both("arm", 0, -34), "head": (0, 26, 0), **both("leg", 6, -24)}),
            (1, {**both("arm", 0, -30), "head": (0, 22, 0), **both("leg", 6, -22)})],
            path=[flat, (0.6, -0.05, 0, 0, 0, 40, 0), (1, -0.05, 0, 0, 0, 36, 0)], holds=True),
        act(f, "croak", "croak, sing, call", 1.8, [
            (0, {}), (0.15, {"head": (0, -22, 0)}), (0.3, {"head": (0, -26, 0), "jaw": (0, 16, 0)}),
             (0.45, {"head": (0, -20, 0)}),
            (0.6, {"head": (0, -26, 0), "jaw": (0, 16, 0)}), (0.78, {"head": (0, -20, 0)}), (1, {})],
            shifts={"throat": [(0, 0, 0, 0), (0.15, 0.05, 0, -0.06), (0.3, 0.1, 0, -0.12), (0.45, 0.04, 0, -0.04),
                               (0.6, 0.1, 0, -0.12), (0.78, 0.03, 0, -0.03), (1, 0, 0, 0)]},
            path=[flat, (0.15, 0, 0, 0, 0, 8, 0), (0.78, 0, 0, 0, 0, 8, 0), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "tongue", "stick out the tongue, lick, snatch, catch", 0.8, [
            (0, {}), (0.25, {"head": (0, 8, 0)}), (0.4, {"head": (0, -14, 0), "jaw": (0, 34, 0)}),
            (0.52, {"head": (0, -12, 0), "jaw": (0, 32, 0)}), (0.72, {"head": (0, -4, 0), "jaw": (0, 4, 0)}), (1, {})],
            shifts={"tongue": [(0, 0, 0, 0), (0.3, 0, 0, 0), (0.42, 0.5, 0, 0), (0.5, 0.5, 0, 0), (0.66, 0, 0, 0),
             (1, 0, 0, 0)]},
            path=[flat, (0.25, -0.06, 0, 0, 0, -4, 0), (0.42, 0.16, 0, 0, 0, 6, 0), (0.7, 0.05, 0, 0, 0, 0, 0),
             (1, 0, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.36, 0.56, 1.15, 0.25, 0.1, 1.1, 0.1, 0.1)]),
        act(f, "roll", "roll, somersault, flip", 1.3, [
            (0, {}), (0.2, ready), (0.32, pushing), *((t,
             {**both("leg", 0, 6), **both("arm", 0, 30), "head": (0, 24, 0)})
             for t in (0.45, 0.6)), (0.74, both("arm", 0, -30)), (0.84, {"head": (0, 16, 0)}), (1, {})],
            path=[flat, (0.2, 0, 0, 0, 0, -4, 0), (0.32, 0.15, 0, 0.2, 0, 60, 0), (0.5, 0.5, 0, 0.7, 0, 190, 0),
                  (0.72, 0.9, 0, 0.03, 0, 350, 0), (0.82, 1.0, 0, 0, 0, 360, 0), (1, 1.0, 0, 0, 0, 360, 0)]),
        act(f, "hit", "hit", 0.5, [
            (0, {"head": (0, -10, 0)}), (0.3, {**both("arm", 30, -40), "head": (0, -30, 10), "jaw": (0, 24, 0)}),
             (1, {})],
            path=[flat, (0.3, 0, 0, 0.04, 0, 24, 8), (0.7, 0, 0, 0, 0, -6, 0), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "die", "die", 1.5, [
            (0, {}), (0.2, {**both("arm", 40, -40), "head": (0, -20, 0)}),
            (0.6, {**both("arm", 70, -20), **both("leg", 30, 60), **both("shin", 0, -50)}),
            (0.75, {**both("arm", 60, -10), **both("leg", 30, 76), **both("shin", 0, -70), "jaw": (0, 14, 0)}),
            (1, {**both("arm", 64, -16), **both("leg", 30, 70), **both("shin", 0, -64), "jaw": (0, 20, 0)})],
            path=[flat, (0.2, 0, 0, 0.1, 0, 20, 20), (0.45, 0, 0.1, 0.3, 0, 0, 110), (0.62, 0, 0.15, 0, 0, 0, 180),
                  (0.72, 0, 0.15, 0.03, 0, 0, 172), (1, 0, 0.15, 0, 0, 0, 180)], holds=True),
    )  # fmt: skip


def _pounce(ready: dict, stretched: dict) -> tuple[Keys, list]:
    """Straight up and down on whatever is there."""
    spread = {**both("arm", 50, -30), **both("leg", 20, 40)}
    keys = [(0, {}), (0.25, ready), (0.38, {**stretched, **both("arm", 0, -120)}),
     (0.52, {**spread, "head": (0, 10, 0)}),
            (0.66, {**spread, "head": (0, 24, 0)}), (0.8, {"head": (0, 14, 0)}), (1, {})]  # fmt: skip
    path = [(0, 0, 0, 0, 0, 0, 0), (0.25, 0, 0, 0, 0, -6, 0), (0.36, 0.2, 0, 0.2, 0, 50, 0),
     (0.5, 0.45, 0, 0.95, 0, 0, 0),
            (0.66, 0.7, 0, 0, 0, 0, 0), (0.74, 0.7, 0, 0.05, 0, 0, 0), (0.82, 0.7, 0, 0, 0, 0, 0),
             (1, 0.7, 0, 0, 0, 0, 0)]  # fmt: skip
    return keys, path
