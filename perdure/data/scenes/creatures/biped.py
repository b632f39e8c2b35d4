"""The two that go on two legs: the knight, with sword and shield, and the mage, with robe and staff.

They are built on one skeleton and share most of their deeds, each in its own manner: the mage holds its staff in
the left hand, and whatever it does with it leaves a trail of light.
"""

import numpy as np

from perdure.data.scenes.creatures.figure import Figure
from perdure.data.scenes.creatures.motion import Keys, Loose, act, both, leg, mirrored, swapped, wave
from perdure.data.scenes.scene import Surface
from perdure.world.deed import Deed, Stroke

THIGH, SHIN, FOOT = 0.42, 0.39, 0.05
HOVER = THIGH + SHIN + FOOT + 0.03

ARMS = (  # word, tabard, trousers, plume
    ("red", "#c42a2a", "#3c3340", "#f4d35a"),
    ("blue", "#2358b8", "#2c3036", "#f2f0e6"),
    ("green", "#2a8a44", "#41362a", "#f08a24"),
    ("black", "#26262e", "#3a3a44", "#d8342c"),
    ("white", "#efeade", "#7a6a58", "#2f7fd0"),
    ("golden", "#e0a020", "#4a3022", "#8a2a9a"),
)

ROBES = (  # word, robe, lining, light
    ("violet", "#6a35b0", "#e8c24a", "#8ff0ff"),
    ("crimson", "#a81e3c", "#f0e2c0", "#ffd24a"),
    ("teal", "#12807e", "#f0b43c", "#b8ff6a"),
    ("indigo", "#27348f", "#e4e8f2", "#ff9ae6"),
    ("grey", "#8a8d94", "#3a3c44", "#ff8a3c"),
)


def knight(rng: np.random.Generator) -> Figure:
    """A helm with a plume, a tabard, a sword and a round shield with an emblem."""
    word, main, cloth, plume = ARMS[int(rng.integers(len(ARMS)))]
    sign = int(rng.integers(5))
    scale = float(rng.uniform(0.95, 1.08))
    f = Figure("knight", word, scale, HOVER)
    f.paint("tabard", main)
    f.paint("steel", Surface("metal", ("#a3adba", "#8490a0", "#565f6d"), 0.5, 3, gloss=0.7, anchored=True))
    f.paint("cloth", cloth)
    f.paint("plume", plume)
    f.paint("dark", "#141318")
    f.paint("blade", "#e8eef6", gloss=0.9, glow=0.12)
    f.paint("shield", Surface("emblem", (main, plume, plume), 1.0, sign, anchored=True))
    _skeleton(f, "cloth", "dark", "steel", "tabard")
    f.egg("", "tabard", (0, 0, -0.1), (0.17, 0.2, 0.22))
    f.egg("chest", "steel", (0, 0, 0.22), (0.16, 0.2, 0.22))
    f.box("chest", "tabard", (0.01, 0, 0.13), (0.155, 0.115, 0.21))
    f.egg("head", "steel", (0, 0, 0.14), (0.14, 0.125, 0.165))
    f.box("head", "dark", (0.12, 0, 0.15), (0.022, 0.09, 0.02))
    f.limb("head", "plume", (0.05, 0, 0.3), (-0.17, 0, 0.33), 0.06)
    f.limb("head", "plume", (-0.19, 0, 0.31), (-0.29, 0, 0.12), 0.045)
    for side, y in (("l", 1), ("r", -1)):
        f.ball(f"arm_{side}", "steel", (0, 0.02 * y, 0.02), 0.105)
    f.rod("fore_l", "steel", (0.0, 0.07, -0.14), 0.27, 0.012, "y")
    f.rod("fore_l", "shield", (0.0, 0.09, -0.14), 0.24, 0.015, "y")
    f.part("weapon", (0, 0, -0.27), "fore_r")
    f.held.add("weapon")
    f.box("weapon", "blade", (0.5, 0, 0), (0.42, 0.012, 0.036))
    f.box("weapon", "plume", (0.07, 0, 0), (0.022, 0.022, 0.13))
    return f


def mage(rng: np.random.Generator) -> Figure:
    """A pointed hat with a broad brim, a beard, a robe, and a staff whose tip glows."""
    word, main, lining, light = ROBES[int(rng.integers(len(ROBES)))]
    scale = float(rng.uniform(0.94, 1.05))
    f = Figure("mage", word, scale, HOVER)
    f.paint("robe", main)
    f.paint("lining", lining)
    f.paint("skin", "#d9a27c")
    f.paint("beard", "#f4f1ea")
    f.paint("dark", "#241a1c")
    f.paint("wood", Surface("plank", ("#6b4a2c", "#8a6238", "#3a2616"), 0.3, 2, anchored=True))
    f.paint("light", light, glow=1.1)
    _skeleton(f, "robe", "dark", "skin", "robe")
    f.rod("", "lining", (0, 0, -0.5), 0.275, 0.025)
    f.rod("", "robe", (0, 0, -0.34), 0.26, 0.14)
    f.egg("", "robe", (0, 0, -0.16), (0.25, 0.25, 0.3))
    f.rod("", "lining", (0, 0, 0.04), 0.19, 0.03)
    f.egg("chest", "robe", (0, 0, 0.2), (0.17, 0.215, 0.26))
    f.egg("head", "skin", (0, 0, 0.12), (0.115, 0.105, 0.135))
    f.egg("head", "beard", (0.09, 0, 0.0), (0.055, 0.085, 0.15), tilt=-0.2)
    f.ball("head", "skin", (0.125, 0, 0.12), 0.035)
    f.rod("head", "robe", (0, 0, 0.2), 0.27, 0.018)
    f.limb("head", "lining", (0, 0, 0.23), (0, 0, 0.24), 0.135)
    f.limb("head", "robe", (0, 0, 0.27), (-0.02, 0, 0.4), 0.11)
    f.limb("head", "robe", (-0.03, 0, 0.42), (-0.1, 0, 0.6), 0.06)
    f.part("weapon", (0, 0, -0.27), "fore_l")
    f.held.add("weapon")
    f.limb("weapon", "wood", (-0.75, 0, 0), (0.7, 0, 0), 0.026)
    f.part("tip", (0.8, 0, 0), "weapon")
    f.ball("tip", "light", (0, 0, 0), 0.1)
    f.held.add("tip")
    f.trail("light", 0.1)
    return f


def _skeleton(f: Figure, trousers: str, boots: str, hand: str, sleeve: str) -> None:
    f.part("chest", (0, 0, 0.1))
    f.part("head", (0, 0, 0.45), "chest")
    for side, y in (("l", 1), ("r", -1)):
        f.part(f"arm_{side}", (0, 0.24 * y, 0.36), "chest")
        f.limb(f"arm_{side}", sleeve, (0, 0.02 * y, 0), (0, 0.03 * y, -0.25), 0.075)
        f.part(f"fore_{side}", (0, 0.03 * y, -0.28), f"arm_{side}")
        f.limb(f"fore_{side}", hand, (0, 0, 0), (0, 0, -0.25), 0.058)
        f.part(f"leg_{side}", (0, 0.1 * y, -0.03))
        f.limb(f"leg_{side}", trousers, (0, 0, 0), (0, 0, -THIGH), 0.085)
        f.part(f"shin_{side}", (0, 0, -THIGH), f"leg_{side}")
        f.limb(f"shin_{side}", boots, (0, 0, -0.03), (0, 0, -SHIN), 0.07)
        f.egg(f"shin_{side}", boots, (0.06, 0, -SHIN), (0.15, 0.075, 0.055))


def deeds(f: Figure) -> tuple[Deed, ...]:
    """Of the knight; the mage's are the same in a mirror, and glow."""
    magic = f.kind == "mage"
    style = mirrored if magic else list
    trail = "tip" if magic else ""
    off, on = ("r", "l") if magic else ("l", "r")  # the empty or shield hand, and the one that holds the weapon
    rest = _ready(magic)
    stand = {**rest}

    def walk(stride: float, lift: float, swing: float, lean: float, duty: float) -> Loose:
        out: dict = {"chest": [(0, 0, lean, 0), (0.25, 0, lean, 6), (0.75, 0, lean, -6), (1, 0, lean, 0)]}
        for side, phase in (("l", 0.0), ("r", 0.5)):
            out |= leg(f"leg_{side}", f"shin_{side}", THIGH, SHIN, THIGH + SHIN - 0.03, stride, lift, phase, duty)
        held = rest[f"arm_{on}"]
        out |= _swung(f"arm_{off}", rest[f"arm_{off}"], swing, 0.5 if off == "r" else 0.0)
        out |= _swung(f"arm_{on}", held, 0.5 * swing, 0.5 if on == "r" else 0.0)
        return out | {label: [(0, *rest[label])] for label in ("fore_l", "fore_r", "weapon")}

    breath = {**rest, "chest": (0, 2, 0), "head": (0, -2, 0), f"arm_{off}": _plus(rest[f"arm_{off}"], (0, 4, 0))}
    aside = {**rest, "chest": (0, 1, 6), "head": (0, -2, 22)}
    crouch = {**both("leg", 0, -62), **both("shin", 0, 105), "chest": (0, 30, 0)}
    knees = {**both("leg", 0, -40), **both("shin", 0, 72)}
    up = {"arm_r": (-8, -168, 0), "fore_r": (0, -30, 0), "weapon": (0, 30, 0), "arm_l": (30, -40, 0)}
    out = [
        act(f, "idle", "stand still, stand, wait, stop", 4.0,
            [(0, stand), (0.25, breath), (0.5, aside), (0.62, {**aside, "head": (0, 0, 24)}), (0.8, breath),
             (1, stand)],
            loops=True),
        act(f, "walk", "walk, go, stroll, step forward", 1.1, also=walk(1.0, 0.12, 26, 3, 0.6), loops=True, pace=0.91),
        act(f, "run", "run, sprint, dash, rush", 0.66, also=walk(1.5, 0.26, 50, 16, 0.42), loops=True, pace=2.27),
        act(f, "turn left", "turn left, turn to the left", 1.2, also=walk(0.22, 0.12, 8, 0, 0.6), loops=True, turn=1.1),
        act(f, "turn right", "turn right, turn to the right", 1.2, also=walk(0.22, 0.12, 8, 0, 0.6), loops=True,
            turn=-1.1),
        act(f, "leap", "leap, jump, spring", 1.3,
            [(0, stand), (0.2, {**crouch, **both("arm", 10, 55), "head": (0, -20, 0)}),
             (0.34, {**both("arm", 18, -165), **both("leg", 0, 8), "chest": (0, -4, 0)}),
             (0.55, {**both("arm", 25, -130), **both("leg", 0, -70), **both("shin", 0, 95), "chest": (0, 14, 0)}),
             (0.7, {**both("arm", 25, -60), **both("leg", 0, -38), **both("shin", 0, 24)}),
             (0.78, {**crouch, **both("arm", 30, -35)}), (0.9, {**knees, **rest}), (1, stand)],
            path=[(0, 0, 0, 0, 0, 0, 0), (0.22, 0, 0, 0, 0, 0, 0), (0.34, 0.2, 0, 0.08, 0, 0, 0),
                  (0.52, 0.72, 0, 0.62, 0, 0, 0), (0.7, 1.2, 0, 0.06, 0, 0, 0), (0.76, 1.3, 0, 0, 0, 0, 0),
                  (1, 1.3, 0, 0, 0, 0, 0)], trail=trail),
        act(f, "wave", "wave, wave a hand, greet, say hello", 1.8, [
            (0, stand), (0.15, {**rest, **_hi(off, 6)}), (0.28, {**rest, **_hi(off, -28), "head": (0, 0, 8)}),
            (0.42, {**rest, **_hi(off, 28)}), (0.56, {**rest, **_hi(off, -28), "head": (0, 0, 8)}),
            (0.7, {**rest, **_hi(off, 28)}), (0.82, {**rest, **_hi(off, 0)}), (1, stand)]),
        act(f, "dance", "dance, boogie", 2.4, also=_dance(), path=[
            (0, 0, 0, 0, 0, 0, 0), (0.125, 0, 0.12, 0.07, 0, 0, 7), (0.25, 0, 0.16, 0, 0, 0, 4),
            (0.375, 0, 0, 0.07, 0, 0, 0), (0.5, 0, -0.16, 0, 0, 0, -4), (0.625, 0, -0.12, 0.07, 0, 0, -7),
            (0.75, 0, 0, 0, 0, 0, 0), (0.875, 0, 0, 0.07, 0, 0, 0), (1, 0, 0, 0, 0, 0, 0)], loops=True, trail=trail),
        act(f, "sit", "sit, sit down, rest", 1.3, [
            (0, stand), (0.25, {**knees, **rest, "chest": (0, 24, 0)}),
            (0.75, {**both("leg", 14, -84), **both("shin", 0, 16), "chest": (0, -12, 0), "head": (0, 12, 0),
                    **both("arm", 22, 26), **both("fore", 0, -30), "weapon": (0, -14, 0)}),
            (1, {**both("leg", 14, -80), **both("shin", 0, 12), "chest": (0, -6, 0), "head": (0, 6, 0),
                 **both("arm", 20, 20), **both("fore", 0, -32), "weapon": (0, -14, 0)})], holds=True),
        act(f, "fall", "fall, fall over, fall down, lie down", 1.2, [
            (0, stand), (0.2, {**knees, **both("arm", 40, -50)}),
             (0.55, {**both("arm", 60, -60), **both("leg", 6, -24), "weapon": (0, 60, 0)}),
            (0.7, {**both("arm", 70, 4), **both("leg", 10, 4), "head": (0, 14, 0), **both("shin", 0, 10),
                   "weapon": (0, 84, 0)}),
            (1, {**both("arm", 62, 2), **both("leg", 9, 0), **both("shin", 0, 6), "weapon": (0, 82, 0)})],
            path=[(0, 0, 0, 0, 0, 0, 0), (0.2, -0.05, 0, 0, 0, 6, 0), (0.55, -0.35, 0, 0, 0, 74, 0),
                  (0.7, -0.45, 0, 0.03, 0, 88, 0), (0.8, -0.45, 0, 0, 0, 84, 0), (1, -0.45, 0, 0, 0, 88, 0)],
                   holds=True),
        act(f, "rise", "rise, get up, stand up", 1.5, [
            (0, {**both("arm", 30, -20), **both("leg", 8, -50), **both("shin", 0, 70), "weapon": (0, 20, 0)}),
            (0.35, {**both("leg", 10, -110), **both("shin", 0, 128), "chest": (0, 40, 0), **both("arm", 16, -20),
                    "weapon": (0, 0, 0)}),
            (0.65, {**knees, "chest": (0, 34, 0), **both("arm", 12, -24)}), (0.85, {**rest, "chest": (0, -6, 0)}),
            (1, stand)],
            path=[(0, 0, 0, 0, 0, 60, 0), (0.35, 0, 0, 0, 0, 12, 0), (0.6, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "roll", "roll, roll forward, tumble", 1.1, [
            (0, stand), (0.16, {**crouch, **both("arm", 12, -70), "head": (0, 40, 0)}),
            *((t, {**both("leg", 8, -118), **both("shin", 0, 132), "chest": (0, 46, 0), "head": (0, 44, 0),
                   **both("arm", 14, -75), **both("fore", 0, -60), "weapon": (0, 0, 90)}) for t in (0.3, 0.45, 0.6,
                    0.74)),
            (0.86, {**crouch, **both("arm", 12, -40)}), (1, stand)],
            path=[(0, 0, 0, 0, 0, 0, 0), (0.16, 0.1, 0, 0, 0, -20, 0), (0.3, 0.4, 0, 0, 0, -100, 0),
                  (0.45, 0.75, 0, 0, 0, -190, 0), (0.6, 1.1, 0, 0, 0, -280, 0), (0.76, 1.4, 0, 0, 0, -350, 0),
                  (0.86, 1.5, 0, 0, 0, -360, 0), (1, 1.5, 0, 0, 0, -360, 0)]),
        act(f, "slam", "slam, slam the ground, smash, strike down", 1.0, style([
            (0, _ready(False)), (0.3, {**up, **both("leg", 0, -8), "chest": (0, -20, -10), "leg_l": (0, -26, 0),
                       "shin_l": (0, 24, 0)}), (0.4, {**up, "chest": (0, -26, -12), "leg_l": (0, -30, 0),
                       "shin_l": (0, 26, 0)}),
            (0.52, {"chest": (0, 44, 6), "arm_r": (0, -62, 0), "fore_r": (0, -6, 0), "weapon": (0, 40, 0),
                    "arm_l": (10, 20, 0), "leg_l": (0, -48, 0), "shin_l": (0, 62, 0), "leg_r": (0, 14, 0),
                    "shin_r": (0, 22, 0), "head": (0, -24, 0)}),
            (0.66, {"chest": (0, 38, 6), "arm_r": (0, -56, 0), "fore_r": (0, -6, 0), "weapon": (0, 36, 0),
                    "arm_l": (10, 14, 0), "leg_l": (0, -44, 0), "shin_l": (0, 58, 0), "leg_r": (0, 14, 0),
                    "shin_r": (0, 20, 0), "head": (0, -22, 0)}), (0.85, {**_ready(False), "chest": (0, -3, 0)}),
            (1, _ready(False))]), path=[(0, 0, 0, 0, 0, 0, 0), (0.4, -0.06, 0, 0, 0, 0, 0), (0.52, 0.22, 0, 0, 0, 0, 0),
                               (1, 0.22, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.42, 0.56, 1.35, 0.4, 0.0, 2.0, 0.25, 0.35)], trail=trail),
        act(f, "sweep", "sweep, slash, cut across", 0.95, style([
            (0, _ready(False)),
            (0.3, {"chest": (0, 4, -42), "arm_r": (-52, -20, -50), "fore_r": (0, -20, 0), "weapon": (0, 62, 0),
                   "arm_l": (16, -30, 0), "fore_l": (-40, -40, -40), "leg_l": (0, -16, 0), "shin_l": (0, 14, 0),
                   "head": (0, 0, 30)}),
            (0.38, {"chest": (0, 4, -46), "arm_r": (-54, -20, -54), "fore_r": (0, -20, 0), "weapon": (0, 62, 0),
                    "arm_l": (16, -30, 0), "fore_l": (-40, -40, -40), "leg_l": (0, -18, 0), "shin_l": (0, 16, 0),
                    "head": (0, 0, 34)}),
            (0.48, {"chest": (0, 8, 0), "arm_r": (-10, -76, -6), "fore_r": (0, -6, 0), "weapon": (0, 78, 0),
                    "leg_l": (0, -26, 0), "shin_l": (0, 28, 0), "leg_r": (0, 10, 0)}),
            (0.58, {"chest": (0, 8, 48), "arm_r": (20, -74, 48), "fore_r": (0, -12, 0), "weapon": (0, 74, 0),
                    "leg_l": (0, -26, 0), "shin_l": (0, 28, 0), "leg_r": (0, 10, 0), "head": (0, 0, -30),
                    "arm_l": (40, 30, 0)}),
            (0.74, {"chest": (0, 6, 40), "arm_r": (18, -62, 50), "fore_r": (0, -20, 0), "weapon": (0, 66, 0),
                    "leg_l": (0, -18, 0), "shin_l": (0, 18, 0), "head": (0, 0, -24), "arm_l": (30, 20, 0)}),
            (1, _ready(False))]), strokes=[Stroke(0.4, 0.6, 1.4, 1.2, 0.5, 1.7, 0.15, 0.5)], trail=trail),
        act(f, "thrust", "thrust, stab, lunge", 0.8, style([
            (0, _ready(False)),
            (0.28, {"chest": (0, 0, -32), "arm_r": (-12, 48, 0), "fore_r": (0, -104, 0), "weapon": (0, 62, 0),
                    "arm_l": (12, -42, 0), "fore_l": (-50, -50, -50), "leg_r": (0, 6, 0), "shin_r": (0, 26, 0),
                    "head": (0, 0, 26)}),
            (0.44, {"chest": (0, 26, 26), "arm_r": (0, -92, 0), "fore_r": (0, 0, 0), "weapon": (0, 84, 0),
                    "arm_l": (30, 50, 0), "leg_l": (0, -56, 0), "shin_l": (0, 58, 0), "leg_r": (0, 30, 0),
                    "shin_r": (0, 8, 0), "head": (0, -22, -20)}),
            (0.6, {"chest": (0, 24, 22), "arm_r": (0, -90, 0), "weapon": (0, 84, 0), "arm_l": (28, 44, 0),
                   "leg_l": (0, -54, 0), "shin_l": (0, 56, 0), "leg_r": (0, 28, 0), "shin_r": (0, 8, 0),
                   "head": (0, -20, -18)}),
            (0.82, {**_ready(False), "leg_l": (0, -12, 0), "shin_l": (0, 12, 0)}), (1, _ready(False))]),
            path=[(0, 0, 0, 0, 0, 0, 0), (0.28, -0.08, 0, 0, 0, 0, 0), (0.44, 0.4, 0, 0, 0, 0, 0),
                  (0.6, 0.4, 0, 0, 0, 0, 0), (1, 0.3, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.32, 0.5, 1.7, 0.25, 0.6, 1.6, 0.2, 0.25)], trail=trail),
        act(f, "throw", "throw, hurl, toss", 1.0, style([
            (0, _ready(False)),
            (0.34, {"chest": (0, -12, 36), "arm_l": (60, 40, 0), "fore_l": (0, -70, 0), "arm_r": (-24, -60, 0),
                    "leg_r": (0, -20, 0), "shin_r": (0, 18, 0), "head": (0, 0, -30)}),
            (0.46, {"chest": (0, 22, -34), "arm_l": (10, -130, 0), "fore_l": (0, -20, 0), "arm_r": (-10, 36, 0),
                    "leg_r": (0, -30, 0), "shin_r": (0, 30, 0), "head": (0, -10, 26)}),
            (0.6, {"chest": (0, 34, -44), "arm_l": (0, -58, 0), "fore_l": (0, -4, 0), "arm_r": (-10, 44, 0),
                   "leg_r": (0, -30, 0), "shin_r": (0, 34, 0), "head": (0, -22, 30)}),
            (0.8, {**_ready(False), "chest": (0, 6, -12)}), (1, _ready(False))]), when=0.48),
        act(f, "block", "block, guard, defend, parry", 0.6, style([
            (0, _ready(False)),
            (0.5, {"chest": (0, 12, -24), "arm_l": (-10, -58, 0), "fore_l": (-69, -69, -69), "arm_r": (-24, 30, 0),
                   "fore_r": (0, -50, 0), "weapon": (0, -10, 0), **both("leg", 4, -30), **both("shin", 0, 56),
                   "head": (0, 0, 20)}),
            (1, {"chest": (0, 10, -22), "arm_l": (-10, -54, 0), "fore_l": (-67, -67, -67), "arm_r": (-24, 26, 0),
                 "fore_r": (0, -46, 0), "weapon": (0, -10, 0), **both("leg", 4, -26), **both("shin", 0, 48),
                 "head": (0, 0, 18)})]) if not magic else style(_warded()), holds=True, guard=True, trail=trail),
        act(f, "grab", "grab, take, pick up, seize", 1.1, style([
            (0, _ready(False)),
            (0.42, {"chest": (0, 58, -14), "arm_l": (0, -64, 0), "fore_l": (0, -6, 0), **both("leg", 0, -66),
                    **both("shin", 0, 92), "arm_r": (-20, 40, 0), "head": (0, -24, 0)}),
            (0.58, {"chest": (0, 54, -14), "arm_l": (0, -60, 0), "fore_l": (0, -30, 0), **both("leg", 0, -62),
                    **both("shin", 0, 86), "arm_r": (-20, 36, 0), "head": (0, -24, 0)}),
            (0.84, {"chest": (0, 2, 0), "arm_l": (0, -40, 0), "fore_l": (0, -64, 0), "arm_r": (-10, -10, 0)}),
            (1, _ready(False))])),
        act(f, "drop", "put down, drop, set down, let go", 1.2, style([
            (0, {**_ready(False), "arm_l": (0, -40, 0), "fore_l": (0, -64, 0)}),
            (0.5, {"chest": (0, 52, -10), "arm_l": (0, -66, 0), "fore_l": (0, -4, 0), **both("leg", 0, -60),
                   **both("shin", 0, 84), "arm_r": (-20, 34, 0), "head": (0, -20, 0)}),
            (0.62, {"chest": (0, 48, -10), "arm_l": (24, -50, 0), "fore_l": (0, -4, 0), **both("leg", 0, -56),
                    **both("shin", 0, 78), "arm_r": (-20, 30, 0), "head": (0, -20, 0)}),
            (1, _ready(False))]), when=0.54),
        act(f, "open", "open, open the door, push", 1.0, style([
            (0, _ready(False)), (0.3, {**_ready(False), "arm_l": (0, -30, 0), "fore_l": (0, -80, 0),
             "chest": (0, -4, -16)}),
            (0.6, {**_ready(False), "arm_l": (0, -88, 0), "fore_l": (0, -4, 0), "chest": (0, 12, 16),
             "leg_l": (0, -22, 0),
                   "shin_l": (0, 18, 0)}), (0.75, {**_ready(False), "arm_l": (0, -84, 0), "chest": (0, 10, 14),
                                                   "leg_l": (0, -20, 0), "shin_l": (0, 16, 0)}), (1, _ready(False))]),
                                                    when=0.6),
        act(f, "carry", "carry, hold", 0.7, [
            (0, stand), (1, {**both("arm", 4, -34), **both("fore", 0, -58), "weapon": (0, 40, 0),
             "chest": (0, -7, 0)})],
            holds=True),
        act(f, "bow", "bow, bow down, salute", 1.6, style([
            (0, _ready(False)), (0.35, {"chest": (0, 58, 0), "head": (0, 24, 0), "arm_l": (-30, -60, 0),
                                        "fore_l": (-50, -60, -50), "arm_r": (-40, 30, 0), "leg_r": (0, -14, 0)}),
            (0.65, {"chest": (0, 60, 0), "head": (0, 26, 0), "arm_l": (-30, -60, 0), "fore_l": (-50, -60, -50),
                    "arm_r": (-40, 30, 0), "leg_r": (0, -14, 0)}), (1, _ready(False))])),
        act(f, "hit", "hit", 0.55, [
            (0, {**rest, "chest": (0, -10, 8)}), (0.25, {**rest, "chest": (0, -34, 16), "head": (0, -28, 0),
                **both("arm", 40, -30), "leg_l": (0, 24, 0), "shin_l": (0, 16, 0)}),
            (0.6, {**rest, "chest": (0, 14, 4), **both("leg", 0, -20), **both("shin", 0, 34)}), (1, stand)],
            path=[(0, 0, 0, 0, 0, 0, 0), (0.3, 0, 0, 0, 0, 8, 0), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "die", "die", 1.7, [
            (0, stand), (0.12, {"chest": (0, -24, 0), "head": (0, -20, 0), **both("arm", 30, -20)}),
            (0.4, {**both("leg", 0, -18), **both("shin", 0, 104), "chest": (0, 14, 10), "head": (0, 30, 0),
                   **both("arm", 10, -20), "weapon": (0, 24, 0)}),
            (0.52, {**both("leg", 0, -16), **both("shin", 0, 104), "chest": (0, 20, 14), "head": (0, 36, 0),
                    **both("arm", 10, -30), "weapon": (0, 24, 0)}),
            (0.8, {**both("leg", 0, -6), **both("shin", 0, 50), "chest": (0, 4, 0), "head": (0, -10, 30),
                   **both("arm", 6, -172), "weapon": (0, 74, 0)}),
            (1, {**both("leg", 4, 0), **both("shin", 0, 14), "head": (0, -6, 40), **both("arm", 10, -176),
                 "weapon": (0, 78, 0)})],
            path=[(0, 0, 0, 0, 0, 0, 0), (0.12, -0.05, 0, 0, 0, 4, 0), (0.4, 0, 0, 0, 0, 0, 0),
             (0.52, 0.02, 0, 0, 0, -4, 0),
                  (0.78, 0.35, 0, 0, 0, -88, 0), (0.86, 0.35, 0, 0.02, 0, -84, 0), (1, 0.35, 0, 0, 0, -88, 0)],
                   holds=True),
    ]  # fmt: skip
    if magic:
        out.append(
            act(f, "cast", "cast, cast a spell, conjure", 1.6, mirrored([
                (0, _ready(False)),
                (0.3, {"chest": (0, -14, 0), "arm_r": (-20, -150, 0), "weapon": (0, 40, 0), "arm_l": (70, -40, 0)}),
                (0.5, {"chest": (0, -18, 0), "arm_r": (-20, -176, 0), "weapon": (0, 80, 0), "arm_l": (86, -50, 0),
                       "head": (0, -16, 0)}),
                (0.7, {"chest": (0, -18, 20), "arm_r": (20, -176, 0), "weapon": (0, 90, 0), "arm_l": (86, -50, 0)}),
                (1, _ready(False))]), path=[(0, 0, 0, 0, 0, 0, 0), (0.5, 0, 0, 0.25, 0, 0, 0),
                 (0.7, 0, 0, 0.25, 0, 0, 0),
                                  (0.9, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 0)],
                strokes=[Stroke(0.5, 0.8, 0.96, 3.1, 0.0, 2.0, 0.1, 0.6)], trail="tip"))  # fmt: skip
    return tuple(out)


def _ready(magic: bool) -> dict:
    """How it stands: the weapon held before it, pointing up and ahead; the mage's staff stands upright."""
    pose = {
        "arm_r": (-10, 8, 0), "fore_r": (0, -52, 0), "weapon": (0, 14, 0),
        "arm_l": (9, 2, 0), "fore_l": (0, -20, 0),
    }  # fmt: skip
    return swapped({**pose, "arm_r": (-14, -18, 0), "fore_r": (0, -48, 0), "weapon": (0, -24, 0)}) if magic else pose


def _warded() -> Keys:
    """The mage's guard: the staff held level across, in both hands."""
    held = {
        "chest": (0, 8, 0), "arm_r": (-4, -70, 0), "fore_r": (0, -10, 0), "weapon": (60, 40, 60), "arm_l": (10, -74, 0),
        "fore_l": (0, -6, 0), **both("leg", 8, -52), **both("shin", 0, 94),
    }  # fmt: skip
    return [(0, _ready(False)), (0.5, held), (1, {**held, "chest": (0, 6, 0)})]


def _hi(side: str, tilt: float) -> dict:
    """A hand held high that waves."""
    sign = 1 if side == "l" else -1
    return {
        f"arm_{side}": (sign * 128, -20, 0), f"fore_{side}": (sign * (22 + tilt), 0, 0), "chest": (-sign * 5, 0, 0),
    }  # fmt: skip


def _dance() -> Loose:
    """Hips, knees and arms in turn: the same steps for both."""
    out = dict(wave("chest", 0, 10.0)) | dict(wave("head", 2, 24.0, 2.0))
    for side, sign in (("l", 1), ("r", -1)):
        beat = [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1]
        low = [30, 150, 60, 20, 30, 70, 150, 60, 30] if side == "l" else [30, 70, 20, 60, 30, 150, 150, 60, 30]
        out[f"arm_{side}"] = [(t, sign * a, -30, 0) for t, a in zip(beat, low)]
        out[f"fore_{side}"] = [(t, sign * (20 if n % 2 else 60), -40, 0) for n, t in enumerate(beat)]
        kick = [0, -34, -8, 0, -8, -4, -20, -34, 0] if side == "l" else [0, -4, -8, 0, -8, -34, -20, -34, 0]
        out[f"leg_{side}"] = [(t, sign * 5, k, 0) for t, k in zip(beat, kick)]
        out[f"shin_{side}"] = [(t, 0, 6 - 1.4 * k, 0) for t, k in zip(beat, kick)]
    return out


def _swung(label: str, rest: tuple, size: float, phase: float) -> Loose:
    """An arm that swings against its leg."""
    keys = [(n / 8, 0.0, size * np.cos(2 * np.pi * (n / 8 - phase)), 0.0) for n in range(9)]
    return {label: [(t, rest[0] + x, rest[1] + float(y), rest[2] + z) for t, x, y, z in keys]}


def _plus(a: tuple, b: tuple) -> tuple:
    return tuple(p + q for p, q in zip(a, b))
