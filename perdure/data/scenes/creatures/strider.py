"""The strider: a four-legged walker with a striped coat, a maned neck, horns and a tail, as tall as a pony."""

import numpy as np

from perdure.data.scenes.creatures.figure import Figure
from perdure.data.scenes.creatures.motion import Loose, act, stilt, wave
from perdure.data.scenes.scene import Surface
from perdure.world.deed import Deed, Stroke

COATS = (  # word; body, stripes, mane: strong contrasts, so that a coat is recognised from far
    ("orange", ("#e8832a", "#3a2014", "#f4e3c1")),
    ("ivory", ("#f2ead8", "#20242c", "#c23b2e")),
    ("teal", ("#3f8f8a", "#f3e2b3", "#e2683c")),
    ("golden", ("#d4a93a", "#5b2a6b", "#efe7d6")),
    ("rosy", ("#c9485b", "#f6d9c0", "#2d3350")),
)

LEG = 0.78  # from the hip to the sole
LEGS = ("leg0", "leg1", "leg2", "leg3")  # before left, right; behind left, right


def strider(rng: np.random.Generator) -> Figure:
    word, coat = COATS[int(rng.integers(len(COATS)))]
    seed = int(rng.integers(1 << 16))
    scale = float(rng.uniform(0.9, 1.1))
    f = Figure("strider", word, scale, 0.92)
    hide = f.paint("hide", Surface("stripe", coat, 0.26, seed, anchored=True))
    leg = f.paint("leg", Surface("stripe", coat, 0.24, seed, anchored=True))
    mane = f.paint("mane", coat[2])
    face = f.paint("face", coat[0])
    dark = f.paint("dark", "#17151a", gloss=0.5)
    f.egg("", hide, (0.0, 0.0, 0.0), (0.60, 0.25, 0.28))
    f.egg("", hide, (0.30, 0.0, 0.05), (0.28, 0.24, 0.29))
    f.limb("", hide, (0.42, 0, 0.12), (0.68, 0, 0.50), 0.13)
    f.limb("", mane, (0.30, 0, 0.26), (0.56, 0, 0.62), 0.07)
    f.part("head", (0.68, 0.0, 0.52), swing=0.10, phase=0.8)
    f.egg("head", face, (0.10, 0.0, 0.06), (0.24, 0.15, 0.16))
    f.egg("head", mane, (0.31, 0.0, 0.0), (0.12, 0.11, 0.10))
    f.ball("head", dark, (0.18, 0.12, 0.12), 0.045)
    f.ball("head", dark, (0.18, -0.12, 0.12), 0.045)
    f.limb("head", mane, (0.0, 0.09, 0.18), (-0.08, 0.20, 0.40), 0.035)
    f.limb("head", mane, (0.0, -0.09, 0.18), (-0.08, -0.20, 0.40), 0.035)
    f.part("tail", (-0.56, 0.0, 0.10), swing=0.5, axis=(0.0, 0.0, 1.0))
    f.limb("tail", hide, (0, 0, 0), (-0.30, 0, 0.10), 0.05)
    f.ball("tail", mane, (-0.38, 0, 0.14), 0.10)
    for n, (x, y) in enumerate(((0.36, 0.16), (0.36, -0.16), (-0.38, 0.16), (-0.38, -0.16))):
        label = f.part(f"leg{n}", (x, y, -0.13), swing=0.5, phase=0.0 if n in (0, 3) else float(np.pi))
        f.limb(label, leg, (0, 0, 0), (0, 0, -0.62), 0.085)
        f.ball(label, dark, (0.03, 0, -0.68), 0.10)
    return f


def deeds(f: Figure) -> tuple[Deed, ...]:
    def legs(stride: float, lift: float, phases: tuple[float, ...], duty: float) -> tuple[dict, dict]:
        turns: dict = {}
        shifts: dict = {}
        for label, phase in zip(LEGS, phases):
            turn, shift = stilt(label, LEG, LEG, stride, lift, phase, duty)
            turns |= turn
            shifts |= shift
        return turns, shifts

    def go(name: str, words: str, seconds: float, gait: tuple[dict, dict], nod: float, **more: float) -> Deed:
        also: Loose = {**gait[0], **wave("head", 1, nod, 2), **wave("tail", 2, 24, 1)}
        return act(f, name, words, seconds, also=also, shifts=gait[1], loops=True, **more)  # type: ignore[arg-type]

    def set_legs(front: float, back: float) -> dict:
        return {"leg0": (0, front, 0), "leg1": (0, front, 0), "leg2": (0, back, 0), "leg3": (0, back, 0)}

    def drawn(front: list, back: list) -> dict:
        """Legs drawn up into the body: (share, metres)."""
        up = [[(t, 0, 0, h) for t, h in keys] for keys in (front, back)]
        return {"leg0": up[0], "leg1": up[0], "leg2": up[1], "leg3": up[1]}

    trot, turning = (0.0, 0.5, 0.5, 0.0), legs(0.14, 0.09, (0.0, 0.5, 0.5, 0.0), 0.6)
    flat = (0, 0, 0, 0, 0, 0, 0)
    return (
        act(f, "idle", "stand still, stand, wait, stop", 4.5, [
            (0, {}), (0.2, {"head": (0, 6, 0), "tail": (0, 0, 26)}), (0.4, {"head": (0, -4, 26), "tail": (0, 0, -22)}),
            (0.55, {"head": (0, -4, 28), "tail": (0, 0, 26)}), (0.75, {"head": (0, 22, -10), "tail": (0, 0, -20)}),
            (0.88, {"head": (0, 26, -10), "tail": (0, 0, 10)}), (1, {})], loops=True),
        go("walk", "walk, go, trot", 1.15, legs(0.8, 0.12, trot, 0.6), 7, pace=0.7),
        go("run", "run, gallop, charge", 0.62, legs(1.5, 0.24, (0.0, 0.12, 0.55, 0.67), 0.4), 12, pace=2.42),
        go("turn left", "turn left, turn to the left", 1.1, turning, 4, turn=1.0),
        go("turn right", "turn right, turn to the right", 1.1, turning, 4, turn=-1.0),
        act(f, "leap", "leap, jump, spring", 1.25, [
            (0, {}), (0.22, {"head": (0, 30, 0), "tail": (0, -20, 0)}),
             (0.36, {**set_legs(-58, 40), "head": (0, -26, 0),
             "tail": (0, 34, 0)}), (0.55, {**set_legs(-66, 64), "head": (0, -10, 0), "tail": (0, 50, 0)}),
            (0.7, {**set_legs(-24, 20), "head": (0, 8, 0)}), (0.82, {"head": (0, 30, 0)}), (1, {})],
            shifts=drawn([(0, 0), (0.22, 0.2), (0.36, 0.1), (0.7, 0), (0.82, 0.2), (1, 0)],
                         [(0, 0), (0.22, 0.24), (0.36, 0), (0.7, 0.06), (0.82, 0.22), (1, 0)]),
            path=[flat, (0.22, 0, 0, 0, 0, 0, 0), (0.36, 0.35, 0, 0.16, 0, 16, 0), (0.54, 1.1, 0, 0.55, 0, 2, 0),
                  (0.72, 1.8, 0, 0.02, 0, -14, 0), (0.82, 1.95, 0, 0, 0, 0, 0), (1, 2.0, 0, 0, 0, 0, 0)]),
        act(f, "wave", "wave, paw, greet", 1.7, [
            (0, {}), *((t, {"leg0": (12, a, 0), "head": (0, -14, 12), "tail": (0, 0, b)}) for t, a, b in
                       ((0.2, -84, 20), (0.36, -52, -20), (0.52, -90, 20), (0.68, -52, -20), (0.82, -84, 10))),
                        (1, {})],
            path=[flat, (0.2, 0, 0, 0, 0, 3, -3), (0.82, 0, 0, 0, 0, 3, -3), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "dance", "dance, prance", 2.2, also={
            **wave("head", 2, 26, 1), **wave("tail", 1, 30, 2),
            **{label: [(n / 8, 0, (-46 if (n + k) % 2 else 0) * (1.0 if k < 2 else 0.5), 0) for n in range(9)]
               for k, label in zip((0, 1, 3, 2), LEGS)}},
            path=[(n / 8, 0, 0.12 * np.sin(2 * np.pi * n / 8), 0.05 * (n % 2), 0, 6 * (-1) ** n if 0 < n < 8 else 6, 0)
                  for n in range(9)], loops=True),
        act(f, "sit", "sit, sit down, rest", 1.5, [
            (0, {}), (0.4, {"head": (0, 20, 0)}), (0.8, {"leg0": (0, 30, 0), "leg1": (0, 30, 0), "leg2": (10, -50, 0),
             "leg3": (-10, -50, 0), "head": (0, 28, 0), "tail": (0, 10, 40)}),
            (1, {"leg0": (0, 28, 0), "leg1": (0, 28, 0), "leg2": (12, -48, 0), "leg3": (-12, -48, 0),
             "head": (0, 22, 0),
                 "tail": (0, 10, 50)})],
            shifts=drawn([(0, 0), (1, 0.0)], [(0, 0), (0.8, 0.3), (1, 0.3)]),
            path=[flat, (0.8, 0, 0, 0, 0, 28, 0), (1, 0, 0, 0, 0, 26, 0)], holds=True),
        act(f, "fall", "fall, fall over, fall down, lie down", 1.3, [
            (0, {}), (0.25, {"head": (14, 0, 10)}), (0.6,
             {"leg0": (30, -20, 0), "leg1": (10, -30, 0), "leg2": (26, 20, 0),
             "leg3": (6, 30, 0)}), (1, {"leg0": (8, -14, 0), "leg1": (-4, -26, 0), "leg2": (8, 16, 0),
              "leg3": (-4, 24, 0),
                                        "head": (0, 10, -14)})],
            path=[flat, (0.25, 0, 0, 0, 0, 0, 12), (0.6, 0, -0.3, 0, 0, 0, 78), (0.72, 0, -0.34, 0.02, 0, 0, 84),
                  (1, 0, -0.36, 0, 0, 0, 86)], holds=True),
        act(f, "rise", "rise, get up, stand up", 1.6, [
            (0, {"leg0": (0, -30, 0), "leg1": (0, -30, 0), "leg2": (0, 20, 0), "leg3": (0, 20, 0)}),
            (0.45, {"leg0": (0, -26, 0), "leg1": (0, -26, 0), "head": (0, -20, 0)}), (0.8, {"head": (0, 16, 0)}),
             (1, {})],
            shifts=drawn([(0, 0.3), (0.4, 0.05), (1, 0)], [(0, 0.34), (0.5, 0.34), (0.8, 0), (1, 0)]),
            path=[(0, 0, 0, 0, 0, 0, 50), (0.3, 0, 0, 0, 0, 4, 16), (0.5, 0, 0, 0, 0, 10, 0), (0.8, 0, 0, 0, 0, 0, 0),
                  (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "roll", "roll, roll over", 1.8, [
            (0, {}), (0.2, {"head": (0, 30, 0)}), *((t, {**set_legs(-30, 30), "head": (0, 16, 0)}) for t in
             (0.35, 0.5, 0.65)), (0.82, {"head": (0, 20, 0)}), (1, {})],
            shifts=drawn([(0, 0), (0.2, 0.25), (0.8, 0.25), (1, 0)], [(0, 0), (0.2, 0.25), (0.8, 0.25), (1, 0)]),
            path=[flat, (0.2, 0, 0, 0, 0, 0, 10), (0.35, 0, -0.4, 0, 0, 0, 90), (0.5, 0, -0.8, 0, 0, 0, 180),
                  (0.65, 0, -1.2, 0, 0, 0, 270), (0.82, 0, -1.5, 0, 0, 0, 354), (1, 0, -1.5, 0, 0, 0, 360)]),
        act(f, "rear", "rear, rear up", 1.5, [
            (0, {}), (0.2, {"head": (0, 26, 0)}), (0.45, {"leg0": (0, -70, 0), "leg1": (0, -30, 0), "leg2": (0, 42, 0),
             "leg3": (0, 42, 0), "head": (0, 14, 0), "tail": (0, 30, 0)}),
            (0.58, {"leg0": (0, -34, 0), "leg1": (0, -74, 0), "leg2": (0, 40, 0), "leg3": (0, 40, 0),
                    "head": (0, 20, 0), "tail": (0, 30, 20)}),
            (0.7, {"leg0": (0, -72, 0), "leg1": (0, -30, 0), "leg2": (0, 42, 0), "leg3": (0, 42, 0),
             "head": (0, 14, 0)}),
            (0.86, {"head": (0, 24, 0)}), (1, {})],
            shifts=drawn([(0, 0), (0.2, 0.14), (0.45, 0), (0.74, 0), (0.86, 0.14), (1, 0)], [(0, 0), (1, 0)]),
            path=[flat, (0.2, 0, 0, 0, 0, -4, 0), (0.45, -0.1, 0, 0, 0, 46, 0), (0.7, -0.1, 0, 0, 0, 44, 0),
                  (0.86, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.66, 0.84, 1.4, 0.4, 0.0, 1.8, 0.25, 0.5)]),
        act(f, "kick", "kick, kick back, buck", 1.0, [
            (0, {}), (0.25, {"head": (0, -20, 0)}), (0.45,
             {**set_legs(18, 60), "head": (0, 44, 0), "tail": (0, 60, 0)}),
            (0.58, {**set_legs(20, 84), "head": (0, 50, 0), "tail": (0, 70, 0)}), (0.8, {"head": (0, 10, 0)}), (1, {})],
            shifts=drawn([(0, 0), (0.25, 0), (0.45, 0.06), (0.6, 0.06), (1, 0)],
             [(0, 0), (0.25, 0.16), (0.45, 0), (1, 0)]),
            path=[flat, (0.25, 0, 0, 0, 0, 4, 0), (0.45, 0.06, 0, 0, 0, -26, 0), (0.58, 0.08, 0, 0, 0, -30, 0),
                  (0.8, 0.06, 0, 0, 0, 0, 0), (1, 0.06, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.45, 0.65, 1.5, 3.1, 0.2, 1.5, 0.25, 0.9)]),
        act(f, "butt", "butt, ram, gore", 1.1, [
            (0, {}), (0.34, {**set_legs(14, 14), "head": (0, 44, 0), "tail": (0, 30, 0)}),
            (0.5, {**set_legs(-22, 26), "head": (0, 62, 0)}), (0.6, {**set_legs(-16, 20), "head": (0, 20, 0)}), (0.8, {
                "head": (0, -8, 0)}), (1, {})],
            path=[flat, (0.34, -0.2, 0, 0, 0, -4, 0), (0.52, 0.7, 0, 0, 0, -8, 0), (0.62, 0.76, 0, 0, 0, 4, 0),
                  (0.8, 0.7, 0, 0, 0, 0, 0), (1, 0.7, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.38, 0.56, 1.35, 0.35, 0.3, 1.6, 0.3, 1.0)]),
        act(f, "hit", "hit", 0.6, [
            (0, {"head": (0, -14, 10)}), (0.3, {**set_legs(-12, -6), "head": (0, -34, 16), "tail": (0, 30, 0)}),
            (0.65, {"head": (0, 14, 0)}), (1, {})],
            path=[flat, (0.3, 0, 0, 0, 0, 9, 4), (0.65, 0, 0, 0, 0, -2, 0), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "die", "die", 1.8, [
            (0, {}), (0.15, {"head": (0, -30, 0)}), (0.4, {"leg0": (0, 40, 0), "leg1": (0, 44, 0), "head": (0, 30, 0)}),
            (0.7, {"leg0": (20, 10, 0), "leg1": (-14, -10, 0), "leg2": (20, -6, 0), "leg3": (-10, -24, 0),
                   "head": (0, 30, 16)}),
            (1, {"leg0": (6, 0, 0), "leg1": (-16, -16, 0), "leg2": (6, -6, 0), "leg3": (-12, -22, 0),
                 "head": (-6, 40, 18), "tail": (0, -20, 0)})],
            shifts=drawn([(0, 0), (0.4, 0.4), (0.7, 0.1), (1, 0)], [(0, 0), (0.4, 0.1), (1, 0)]),
            path=[flat, (0.15, 0, 0, 0, 0, 8, 0), (0.4, 0.1, 0, 0, 0, -14, 6), (0.7, 0.1, 0.3, 0, 0, 0, -84),
                  (0.8, 0.1, 0.32, 0.02, 0, 0, -84), (1, 0.1, 0.34, 0, 0, 0, -88)], holds=True),
    )  # fmt: skip
