"""The serpent: a long chain of segments that slithers. A wave runs down its back, and it goes on as fast as the wave,
so that every segment follows in the track of the one before.
"""

import numpy as np

from perdure.data.scenes.creatures.figure import Figure
from perdure.data.scenes.creatures.motion import Loose, Pose, act
from perdure.data.scenes.scene import Surface
from perdure.world.deed import Deed, Stroke

SCALES = (  # word, back, bands, belly and hood
    ("emerald", "#1f9a4a", "#f2e14a", "#f4f0c8"),
    ("scarlet", "#c4261f", "#1c1a1e", "#f6d65a"),
    ("azure", "#1f6fd0", "#f4f4f0", "#ffb02a"),
    ("violet", "#7a2fb0", "#f0a8e0", "#f4e6c8"),
    ("yellow", "#f0c020", "#2a2320", "#fbf3d8"),
)

LINK = 0.21  # length of a segment
BACK = tuple(f"back{n}" for n in range(7))  # from the root to the tip of the tail
SWAY, WAVELENGTH = 38.0, 1.5  # of the wave: degrees to either side, metres


def serpent(rng: np.random.Generator) -> Figure:
    word, main, band, belly = SCALES[int(rng.integers(len(SCALES)))]
    scale = float(rng.uniform(0.95, 1.2))
    f = Figure("serpent", word, scale, 0.13)
    f.paint("skin", Surface("stripe", (main, band, band), 0.17, 1, anchored=True))
    f.paint("head", main)
    f.paint("belly", belly)
    f.paint("dark", "#121014", gloss=0.6)
    f.paint("tongue", "#e0304a")
    radius = 0.13
    f.limb("", "skin", (-0.5 * LINK, 0, 0), (0.5 * LINK, 0, 0), radius)
    parent, at = "", -0.5 * LINK
    for n, label in enumerate(BACK):
        f.part(label, (at, 0, 0), parent)
        thick = radius * (1.0 - 0.085 * n)
        f.limb(label, "skin", (0, 0, 0), (-LINK, 0, 0), thick)
        parent, at = label, -LINK
    f.ball(parent, "belly", (-LINK - 0.03, 0, 0), 0.065)
    f.ball(parent, "dark", (-LINK - 0.1, 0, 0), 0.05)
    f.part("neck0", (0.5 * LINK, 0, 0))
    f.limb("neck0", "skin", (0, 0, 0), (LINK, 0, 0), 0.115)
    f.part("neck1", (LINK, 0, 0), "neck0")
    f.limb("neck1", "skin", (0, 0, 0), (LINK, 0, 0), 0.1)
    f.egg("neck1", "belly", (0.14, 0, 0.0), (0.16, 0.2, 0.05))
    f.part("head", (LINK, 0, 0.02), "neck1")
    f.egg("head", "head", (0.13, 0, 0.02), (0.2, 0.13, 0.09))
    for y in (1, -1):
        f.ball("head", "belly", (0.19, 0.085 * y, 0.065), 0.04)
        f.ball("head", "dark", (0.215, 0.1 * y, 0.075), 0.026)
    f.part("jaw", (0.05, 0, -0.02), "head")
    f.egg("jaw", "belly", (0.12, 0, -0.02), (0.16, 0.1, 0.04))
    f.limb("jaw", "tongue", (0.1, 0, 0.01), (0.3, 0, 0.01), 0.016)
    return f


def deeds(f: Figure) -> tuple[Deed, ...]:
    low = {"head": (0, -12, 0), "neck0": (0, -10, 0), "neck1": (0, -4, 0)}  # the head a little off the ground
    high = {"neck0": (0, -62, 0), "neck1": (0, -22, 0), "head": (0, 74, 0)}

    def bends(*turns: float) -> dict:
        """The back bent to the left by so much at each joint in turn, as one walks to the tail."""
        return {label: (0, 0, -turn) for label, turn in zip(BACK, turns)}

    def slither(size: float) -> tuple[Loose, list]:
        """Headings of all segments as a wave that runs backward; what each adds to the one before is its turn."""
        count, swing = 16, np.radians(SWAY * size)
        also: dict[str, list] = {label: [] for label in (*BACK, "neck0", "neck1", "head")}
        path = []
        for n in range(count + 1):
            t = n / count
            heading = {k: np.degrees(swing) * np.cos(2 * np.pi * (t + k * LINK / WAVELENGTH)) for k in range(-7, 4)}
            for k, label in enumerate(BACK):
                also[label].append((t, 0, 0, heading[-k - 1] - heading[-k]))
            also["neck0"].append((t, 0, -10, heading[1] - heading[0]))
            also["neck1"].append((t, 0, -4, 0.5 * (heading[2] - heading[1])))
            also["head"].append((t, 0, 10, -0.6 * heading[1]))
            aside = swing * WAVELENGTH / (2 * np.pi) * np.sin(2 * np.pi * t)
            path.append((t, 0, aside, 0, heading[0], 0, 0))
        return also, path

    def go(name: str, words: str, seconds: float, size: float, **more: float) -> Deed:
        also, path = slither(size)
        return act(f, name, words, seconds, also=also, path=path, loops=True, **more)  # type: ignore[arg-type]

    def swaying(size: float, base: Pose, also: Pose | None = None) -> list:
        return [(t, {**base, **(also or {}), "neck0": (0.8 * a, base["neck0"][1], a),
         "head": (0, base["head"][1], -0.6 * a)})
                for t, a in ((0, 0.0), (0.25, size), (0.5, 0.0), (0.75, -size), (1, 0.0))]  # fmt: skip

    rest = bends(30, 24, -10, -44, -40, 10, 40)
    coiled = bends(62, 64, 68, 70, 74, 78, 80)
    ball = {**coiled, "neck0": (0, -20, -60), "neck1": (0, 0, -60), "head": (0, 26, -40)}
    flat = (0, 0, 0, 0, 0, 0, 0)
    return (
        act(f, "idle", "stand still, stay, wait, stop", 4.0, [
            (t, {**rest, **p}) for t, p in (
                (0, {"neck0": (0, -30, 8), "neck1": (0, -8, 0), "head": (0, 34, 0)}),
                (0.2, {"neck0": (0, -34, 20), "neck1": (0, -10, 6), "head": (0, 38, 10), "jaw": (0, 4, 0)}),
                (0.3, {"neck0": (0, -34, 20), "neck1": (0, -10, 6), "head": (0, 38, 10), "jaw": (0, 12, 0)}),
                (0.4, {"neck0": (0, -32, 12), "neck1": (0, -10, 0), "head": (0, 36, 0), "jaw": (0, 2, 0)}),
                (0.7, {"neck0": (0, -34, -16), "neck1": (0, -10, -8), "head": (0, 38, -14), "back6": (0, 0, 10)}),
                (1, {"neck0": (0, -30, 8), "neck1": (0, -8, 0), "head": (0, 34, 0)}))], loops=True),
        go("walk", "walk, slither, crawl, go", 1.5 / 0.8, 1.0, pace=0.8),
        go("run", "run, rush, race", 1.5 / 2.0, 1.1, pace=2.0),
        go("turn left", "turn left, turn to the left", 1.8, 0.9, turn=1.0),
        go("turn right", "turn right, turn to the right", 1.8, 0.9, turn=-1.0),
        act(f, "leap", "leap, jump, spring", 1.3, [
            (0, {**rest, **low}), (0.25, {**bends(50, -60, 62, -64, 60, -50, 30), **high}),
            (0.36, {**bends(10, -12, 12, -10, 10, -8, 6), "neck0": (0, -20, 0), "head": (0, 10, 0), "jaw": (0, 26, 0)}),
            (0.6, {**dict.fromkeys(BACK, (0, -7, 0)), "neck0": (0, 12, 0), "head": (0, 8, 0), "jaw": (0, 26, 0)}),
            (0.76, {**bends(16, -16, 20, -20, 20, -16, 10), "neck0": (0, -14, 0), "head": (0, 12, 0)}),
             (1, {**rest, **low})],
            path=[flat, (0.25, -0.15, 0, 0, 0, 0, 0), (0.36, 0.35, 0, 0.1, 0, 16, 0), (0.52, 0.9, 0, 0.5, 0, 2, 0),
                  (0.7, 1.4, 0, 0.02, 0, -10, 0), (0.78, 1.5, 0, 0, 0, 0, 0), (1, 1.5, 0, 0, 0, 0, 0)]),
        act(f, "wave", "wave, wave the tail, greet", 2.0, [
            (0, {**rest, **low}), *((t, {**bends(40, 40), **high, "back2": (0, 60, 0), "back3": (0, 28, 0),
             "back4": (a, 0, a),
             "back5": (0, 0, 1.2 * a), "back6": (0, 0, 1.2 * a), "head": (0, 70, 0.3 * a)}) for t, a in
             ((0.2, 10), (0.34, -34), (0.48, 34), (0.62, -34), (0.76, 34))), (1, {**rest, **low})]),
        act(f, "dance", "dance, sway", 2.2, swaying(24, {**high, **bends(60, 60, -40, -60, -40, 30, 50)}), loops=True),
        act(f, "sit", "sit, rest, settle", 1.8, [
            (0, {**rest, **low}), (0.7, {**ball, "neck0": (0, -34, -50)}), (1, ball)], holds=True),
        act(f, "coil", "coil, coil up, wind up", 1.3, [
            (0, {**rest, **low}), (0.6, {**coiled, "neck0": (0, -70, -30), "neck1": (0, -40, 0), "head": (0, 100, 0)}),
            (0.75, {**coiled, "neck0": (0, -78, -20), "neck1": (0, -36, 0), "head": (0, 106, 0), "jaw": (0, 8, 0)}),
            (1, {**coiled, "neck0": (0, -74, -20), "neck1": (0, -36, 0), "head": (0, 102, 0)})], holds=True,
             guard=True),
        act(f, "strike", "strike, bite, snap", 0.9, [
            (0, {**rest, **high}), (0.35, {**bends(60, -70, 60, -56, 40, -20, 10), "neck0": (0, -96, 0),
             "neck1": (0, -34, 0),
             "head": (0, 124, 0), "jaw": (0, 20, 0)}),
            (0.5, {**bends(4, -8, 14, -20, 20, -16, 10), "neck0": (0, -22, 0), "neck1": (0, 6, 0), "head": (0, 4, 0),
                   "jaw": (0, 48, 0)}),
            (0.6, {**bends(6, -10, 16, -22, 20, -16, 10), "neck0": (0, -18, 0), "neck1": (0, 8, 0), "head": (0, 14, 0),
                   "jaw": (0, 0, 0)}), (1, {**rest, **high})],
            path=[flat, (0.35, -0.2, 0, 0, 0, 0, 0), (0.5, 0.6, 0, 0, 0, 0, 0), (0.62, 0.6, 0, 0, 0, 0, 0),
                  (1, 0.4, 0, 0, 0, 0, 0)], strokes=[Stroke(0.38, 0.6, 1.2, 0.35, 0.0, 1.2, 0.3, 0.2)]),
        act(f, "lash", "lash, lash out, whip", 1.1, [
            (0, {**rest, **low}), (0.35, {**bends(-50, -46, -40, -30, -20, -10, 0), **high}),
            (0.6, {**bends(56, 50, 40, 30, 24, 16, 10), **high, "back0": (0, 10, -56)}),
            (0.75, {**bends(60, 54, 44, 34, 28, 20, 14), **high}), (1, {**rest, **low})],
            path=[flat, (0.35, 0, 0, 0, 40, 0, 0), (0.62, 0, 0, 0, -130, 0, 0), (0.8, 0, 0, 0, -120, 0, 0),
             (1, 0, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.4, 0.66, 1.5, 3.1, 0.0, 0.7, 0.15, 0.7)]),
        act(f, "rattle", "rattle, rattle the tail, hiss", 1.6, [
            (t, {**bends(60, 64, 60, 50), **high, "jaw": (0, 22, 0), "back4": (0, 54, 0), "back5": (0, 20, a),
             "back6": (0, 0, 1.4 * a)})
            for t, a in ((0, 0), *((0.1 + 0.08 * n, 26 * (-1) ** n) for n in range(11)), (1, 0))]),
        act(f, "roll", "roll, roll over", 1.4, [
            (0, {**rest, **low}), (0.2, bends(4, -4, 4, -4, 4, -4, 4)), (0.8, bends(4, -4, 4, -4, 4, -4, 4)),
             (1, {**rest, **low})],
            path=[flat, (0.2, 0, 0, 0, 0, 0, 0), (0.5, 0, -0.45, 0, 0, 0, 180), (0.8, 0, -0.9, 0, 0, 0, 360),
                  (1, 0, -0.9, 0, 0, 0, 360)]),
        act(f, "rise", "rise, rear up, rear", 1.1, [
            (0, {**rest, **low}), (0.6, {**bends(56, 50, -30, -50, -40, 20, 50), "neck0": (0, -80, 0),
             "neck1": (0, -26, 0),
             "head": (0, 92, 0), "jaw": (0, 10, 0)}),
            (1, {**bends(56, 50, -30, -50, -40, 20, 50), "neck0": (0, -74, 0), "neck1": (0, -24, 0),
             "head": (0, 84, 0)})],
            path=[flat, (0.6, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 0)], holds=True),
        act(f, "hit", "hit", 0.55, [
            (0, {**rest, **high}), (0.3, {**bends(-50, -40, 30, 50, 40, -30, -40), "neck0": (20, -100, 30),
             "neck1": (0, -30, 0),
             "head": (0, 60, 30), "jaw": (0, 30, 0)}), (1, {**rest, **high})]),
        act(f, "die", "die", 1.9, [
            (0, {**rest, **high}), (0.2, {**bends(-40, 50, -50, 50, -50, 50, -40), "neck0": (0, -90, 0),
             "head": (0, 60, 0),
             "jaw": (0, 30, 0)}), (0.5, {**bends(20, -30, 40, -40, 30, -30, 30), "neck0": (0, -14, 20),
              "head": (0, 10, 0)}),
            (0.75, {**bends(36, 20, -20, -40, -20, 20, 30), "neck0": (0, 0, -20), "head": (0, 4, -20),
             "jaw": (0, 24, 0)}),
            (1, {**bends(36, 20, -20, -40, -20, 20, 30), "neck0": (0, 0, -24), "head": (0, 0, -24),
             "jaw": (0, 28, 0)})],
            path=[flat, (0.5, 0, 0, 0, 0, 0, 0), (0.75, 0, 0.1, 0, 0, 0, 172), (1, 0, 0.1, 0, 0, 0, 180)], holds=True),
    )  # fmt: skip
