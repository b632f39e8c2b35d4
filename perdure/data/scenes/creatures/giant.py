"""The golem: a giant of stone, slow and heavy. Light shows through its cracks."""

import numpy as np

from perdure.data.scenes.creatures.figure import Figure
from perdure.data.scenes.creatures.motion import Loose, act, both, stilt, wave
from perdure.data.scenes.scene import Surface
from perdure.world.deed import Deed, Stroke

LEG = 0.72
HOVER = LEG + 0.0

STONES = (  # word, light, dark, joint, light of its own
    ("slate", "#7d8797", "#59626f", "#2d333c", "#5ad7ff"),
    ("sandstone", "#d8a86a", "#b98348", "#6b4a2a", "#ff5a2a"),
    ("mossy", "#7f8a5c", "#5c7a3e", "#33402a", "#e8ff5a"),
    ("obsidian", "#4a4654", "#33303c", "#17151c", "#ff4ac0"),
    ("marble", "#f0ebe0", "#d2c8b8", "#8a8276", "#ffb02a"),
)


def golem(rng: np.random.Generator) -> Figure:
    word, light, dark, joint, core = STONES[int(rng.integers(len(STONES)))]
    seed = int(rng.integers(1 << 16))
    f = Figure("golem", word, float(rng.uniform(1.1, 1.25)), HOVER)
    f.paint("stone", Surface("rock", (light, dark, joint), 0.5, seed, anchored=True))
    f.paint("block", Surface("rock" if word != "mossy" else "moss", (dark, light, joint), 0.4, seed + 1, anchored=True))
    f.paint("joint", joint)
    f.paint("core", core, glow=1.2)
    f.box("", "block", (0, 0, 0.02), (0.17, 0.24, 0.13))
    f.part("chest", (0, 0, 0.14))
    f.box("chest", "stone", (0.02, 0, 0.36), (0.25, 0.4, 0.27))
    f.egg("chest", "block", (-0.06, 0, 0.6), (0.32, 0.46, 0.22))
    f.ball("chest", "core", (0.2, 0, 0.34), 0.13)
    f.box("chest", "core", (0.19, 0, 0.36), (0.085, 0.022, 0.2), tilt=0.0)
    f.part("head", (0.2, 0, 0.66), "chest")
    f.box("head", "stone", (0.08, 0, 0.1), (0.15, 0.15, 0.14))
    f.box("head", "block", (0.12, 0, 0.22), (0.15, 0.17, 0.05))
    f.box("head", "core", (0.225, 0, 0.13), (0.012, 0.1, 0.022))
    for side, y in (("l", 1), ("r", -1)):
        f.part(f"arm_{side}", (0, 0.5 * y, 0.52), "chest")
        f.egg(f"arm_{side}", "block", (0, 0.02 * y, 0.02), (0.2, 0.19, 0.18))
        f.limb(f"arm_{side}", "joint", (0, 0.04 * y, -0.1), (0, 0.06 * y, -0.42), 0.11)
        f.part(f"fore_{side}", (0, 0.06 * y, -0.44), f"arm_{side}")
        f.box(f"fore_{side}", "stone", (0, 0, -0.2), (0.14, 0.15, 0.2))
        f.rod(f"fore_{side}", "core", (0, 0, -0.4), 0.125, 0.03)
        f.box(f"fore_{side}", "block", (0.02, 0, -0.54), (0.19, 0.18, 0.13))
        f.part(f"leg_{side}", (0, 0.19 * y, 0.0))
        f.box(f"leg_{side}", "stone", (0, 0, -0.34), (0.14, 0.14, 0.26))
        f.box(f"leg_{side}", "block", (0.05, 0.02 * y, -LEG + 0.08), (0.21, 0.17, 0.08))
    return f


def deeds(f: Figure) -> tuple[Deed, ...]:
    rest = {**both("arm", 12, 4), **both("fore", 0, -18)}
    heave = {**rest, "chest": (0, 5, 0), "head": (0, -5, 0), **both("arm", 16, 6)}
    bent = {**both("leg", 4, -24)}
    fists_up = {**both("arm", 14, -172), **both("fore", 0, -34), "chest": (0, -22, 0), "head": (0, -10, 0)}
    fists_down = {**both("arm", -4, -58), **both("fore", 0, -10), "chest": (0, 48, 0), "head": (0, -26, 0)}

    def walk(stride: float, lift: float, sway: float, lean: float) -> tuple[Loose, Loose]:
        turns: dict = {}
        shifts: dict = {}
        for side, phase in (("l", 0.0), ("r", 0.5)):
            turn, shift = stilt(f"leg_{side}", LEG, LEG, stride, lift, phase, 0.62)
            turns |= turn
            shifts |= shift
            sign = 1 if side == "l" else -1
            turns[f"arm_{side}"] = [(n / 8, sign * 14, sway * np.cos(2 * np.pi * (n / 8 - phase)), 0) for n in range(9)]
            turns[f"fore_{side}"] = [(0, 0, -26, 0)]
        turns["chest"] = [(n / 8, 5 * np.sin(2 * np.pi * n / 8), lean, 7 * np.cos(2 * np.pi * n / 8)) for n in range(9)]
        turns["head"] = [(n / 8, 0, -lean, -7 * np.cos(2 * np.pi * n / 8)) for n in range(9)]
        return turns, shifts

    def go(name: str, words: str, seconds: float, gait: tuple[Loose, Loose], **rest_of_it: float) -> Deed:
        return act(f, name, words, seconds, also=gait[0], shifts=gait[1], loops=True, **rest_of_it)  # type: ignore

    slow = walk(0.8, 0.14, 20, 6)
    return (
        act(f, "idle", "stand still, stand, wait, stop", 5.0,
            [(0, rest), (0.3, heave), (0.55, {**rest, "head": (0, 4, 26)}), (0.75, {**heave, "head": (0, 0, -20)}),
             (1, rest)], loops=True),
        go("walk", "walk, go, march, trudge", 1.7, slow, pace=0.47),
        go("run", "run, charge, rush", 0.95, walk(1.2, 0.24, 44, 18), pace=1.26),
        go("turn left", "turn left, turn to the left", 1.8, walk(0.16, 0.12, 8, 2), turn=0.7),
        go("turn right", "turn right, turn to the right", 1.8, walk(0.16, 0.12, 8, 2), turn=-0.7),
        act(f, "leap", "leap, jump", 1.9, [
            (0, rest), (0.28, {**both("arm", 24, 60), "chest": (0, 34, 0), **both("leg", 0, -14)}),
            (0.4, {**fists_up, "chest": (0, -8, 0)}), (0.56, {**fists_up, **both("leg", 6, -22)}),
            (0.66, {**fists_down, **both("leg", 6, -10)}), (0.8, {**fists_down, "chest": (0, 42, 0)}), (1, rest)],
            shifts={"leg_l": (squat := [(0, 0, 0, 0), (0.28, 0, 0, 0.24), (0.4, 0, 0, 0), (0.6, 0, 0, 0.1),
                                        (0.68, 0, 0, 0.24), (0.82, 0, 0, 0.2), (1, 0, 0, 0)]), "leg_r": squat},
            path=[(0, 0, 0, 0, 0, 0, 0), (0.3, 0, 0, 0, 0, 0, 0), (0.4, 0.15, 0, 0.06, 0, 0, 0),
                  (0.52, 0.55, 0, 0.42, 0, 0, 0), (0.65, 0.9, 0, 0, 0, 0, 0), (1, 0.9, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.63, 0.7, 1.3, 3.1, 0, 0.6, 0.2, 0.6)]),
        act(f, "wave", "wave, greet, say hello", 2.6, [
            (0, rest), *((t, {**rest, "arm_r": (-148, 0, 0), "fore_r": (a, 0, 0), "chest": (5, 0, 0),
             "head": (0, 0, a / 4)})
                         for t, a in ((0.2, 0), (0.36, -38), (0.52, 26), (0.68, -38), (0.82, 20))), (1, rest)]),
        act(f, "dance", "dance", 2.8, also={
            **{f"arm_{side}": [(n / 8, s * (60 + 50 * (-1) ** n), -20, 0) for n in range(9)] for side, s in
               (("l", 1), ("r", -1))},
            **{f"fore_{side}": [(n / 8, 0, -70 + 30 * s * (-1) ** n, 0) for n in range(9)] for side, s in
               (("l", 1), ("r", -1))},
            **wave("chest", 2, 26, 1), **wave("head", 0, 12, 2),
            "leg_l": [(0, 0, 0, 0), (0.125, 0, -30, 0), (0.25, 0, 0, 0), (0.5, 0, 0, 0), (0.625, 0, -30, 0),
                      (0.75, 0, 0, 0), (1, 0, 0, 0)],
            "leg_r": [(0, 0, 0, 0), (0.25, 0, 0, 0), (0.375, 0, -30, 0), (0.5, 0, 0, 0), (0.75, 0, 0, 0),
                      (0.875, 0, -30, 0), (1, 0, 0, 0)]},
            shifts={"leg_l": [(0, 0, 0, 0), (0.125, 0, 0, 0.16), (0.25, 0, 0, 0), (0.5, 0, 0, 0), (0.625, 0, 0, 0.16),
                              (0.75, 0, 0, 0), (1, 0, 0, 0)],
                    "leg_r": [(0, 0, 0, 0), (0.25, 0, 0, 0), (0.375, 0, 0, 0.16), (0.5, 0, 0, 0), (0.75, 0, 0, 0),
                              (0.875, 0, 0, 0.16), (1, 0, 0, 0)]}, loops=True),
        act(f, "sit", "sit, sit down, rest", 2.0, [
            (0, rest), (0.3, {**rest, "chest": (0, 26, 0), **bent}),
            (0.75, {**both("leg", 12, -88), "chest": (0, -10, 0), **both("arm", 20, -30), **both("fore", 0, -40)}),
            (1, {**both("leg", 12, -86), "chest": (0, 4, 0), **both("arm", 16, -34), **both("fore", 0, -40),
                 "head": (0, 8, 0)})], holds=True),
        act(f, "fall", "fall, fall over, fall down", 1.8, [
            (0, rest), (0.3, {**both("arm", 70, -30), "chest": (0, -14, 0)}), (0.7, {**both("arm", 80, -20)}),
            (1, {**both("arm", 74, -8), **both("leg", 8, 0)})],
            path=[(0, 0, 0, 0, 0, 0, 0), (0.3, -0.1, 0, 0, 0, 10, 0), (0.65, -0.5, 0, 0, 0, 80, 0),
                  (0.75, -0.55, 0, 0.02, 0, 84, 0), (1, -0.55, 0, 0, 0, 86, 0)], holds=True),
        act(f, "rise", "rise, get up, stand up", 2.2, [
            (0, {**both("arm", 40, 30), **both("leg", 8, -60)}), (0.4, {**both("arm", 20, -10), **both("leg", 10, -80),
             "chest": (0, 40, 0)}), (0.7, {**rest, **both("leg", 4, -20), "chest": (0, 26, 0)}), (1, rest)],
            path=[(0, 0, 0, 0, 0, 50, 0), (0.4, 0, 0, 0, 0, 10, 0), (0.7, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "slam", "slam, slam the ground, smash, pound", 2.1, [
            (0, rest), (0.18, {**rest, **both("arm", 20, 30), "chest": (0, 14, 0)}), (0.42, fists_up),
            (0.5, {**fists_up, "chest": (0, -28, 0)}), (0.58, fists_down), (0.64, {**fists_down, "chest": (0, 54, 0)}),
            (0.76, {**fists_down, "chest": (0, 50, 0)}), (1, rest)],
            shifts={"leg_l": (dip := [(0, 0, 0, 0), (0.18, 0, 0, 0.1), (0.42, 0, 0, 0), (0.58, 0, 0, 0.2),
                                      (0.76, 0, 0, 0.18), (1, 0, 0, 0)]), "leg_r": dip},
            path=[(0, 0, 0, 0, 0, 0, 0), (0.5, -0.05, 0, 0, 0, 0, 0), (0.58, 0.2, 0, 0, 0, 0, 0),
             (1, 0.2, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.53, 0.62, 1.75, 0.7, 0.0, 1.6, 0.45, 0.9)]),
        act(f, "sweep", "sweep, swipe, backhand", 1.7, [
            (0, rest), (0.34, {"chest": (0, 6, -58), "arm_r": (-84, -10, -40), "fore_r": (0, -16, 0),
             "arm_l": (20, -40, 0),
                               "head": (0, 0, 44), "leg_l": (0, -12, 0)}),
            (0.42, {"chest": (0, 6, -62), "arm_r": (-86, -10, -44), "fore_r": (0, -16, 0), "arm_l": (20, -40, 0),
                    "head": (0, 0, 46), "leg_l": (0, -14, 0)}),
            (0.6, {"chest": (0, 12, 64), "arm_r": (-60, -50, 60), "fore_r": (0, -6, 0), "arm_l": (40, 50, 0),
                   "head": (0, 0, -30)}),
            (0.74, {"chest": (0, 10, 70), "arm_r": (-50, -50, 64), "fore_r": (0, -14, 0), "arm_l": (36, 44, 0),
                    "head": (0, 0, -34)}), (1, rest)],
            strokes=[Stroke(0.45, 0.64, 1.6, 1.5, 0.3, 1.9, 0.3, 1.1)]),
        act(f, "thrust", "thrust, punch, jab", 1.3, [
            (0, rest), (0.36, {"chest": (0, -6, -40), "arm_r": (-16, 60, 0), "fore_r": (0, -110, 0),
             "arm_l": (14, -50, 0),
                               "fore_l": (0, -60, 0), "head": (0, 0, 34), "leg_r": (0, 10, 0)}),
            (0.52, {"chest": (0, 16, 44), "arm_r": (-4, -88, 0), "fore_r": (0, 0, 0), "arm_l": (20, 30, 0),
                    "head": (0, -8, -36), "leg_l": (0, -22, 0), "leg_r": (0, 20, 0)}),
            (0.66, {"chest": (0, 14, 40), "arm_r": (-4, -86, 0), "fore_r": (0, -4, 0), "arm_l": (20, 26, 0),
                    "head": (0, -8, -32), "leg_l": (0, -20, 0), "leg_r": (0, 18, 0)}), (1, rest)],
            path=[(0, 0, 0, 0, 0, 0, 0), (0.36, -0.06, 0, 0, 0, 0, 0), (0.52, 0.24, 0, 0, 0, 0, 0),
             (1, 0.24, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.42, 0.56, 1.55, 0.35, 0.5, 1.8, 0.3, 1.0)]),
        act(f, "throw", "throw, hurl, toss", 1.8, [
            (0, rest), (0.3, {**both("arm", 4, -40), **both("fore", -14, -40), "chest": (0, 26, 0)}),
            (0.52, {**fists_up, "chest": (0, -30, 0)}), (0.64, {**both("arm", 4, -96), **both("fore", 0, -6),
             "chest": (0, 34, 0), "head": (0, -20, 0)}), (0.78, {**both("arm", 4, -50), "chest": (0, 38, 0)}),
              (1, rest)], when=0.6),
        act(f, "block", "block, guard, defend", 0.9, [
            (0, rest), (0.6, {"arm_l": (-26, -84, -10), "fore_l": (-80, -60, -40), "arm_r": (26, -84, 10),
                              "fore_r": (80, -60, 40), "chest": (0, 14, 0), "head": (0, 14, 0)}),
            (1, {"arm_l": (-24, -80, -10), "fore_l": (-78, -60, -40), "arm_r": (24, -80, 10), "fore_r": (78, -60, 40),
                 "chest": (0, 12, 0), "head": (0, 12, 0)})], holds=True, guard=True),
        act(f, "grab", "grab, take, pick up, seize", 1.8, [
            (0, rest), (0.45, {**both("arm", 6, -60), **both("fore", -18, -6), "chest": (0, 62, 0), **bent,
                               "head": (0, -30, 0)}),
            (0.6, {**both("arm", -2, -60), **both("fore", -26, -14), "chest": (0, 60, 0), **bent, "head": (0, -30, 0)}),
            (0.85, {**both("arm", 0, -50), **both("fore", -24, -50), "chest": (0, -4, 0)}), (1, rest)]),
        act(f, "drop", "put down, drop, set down, let go", 1.7, [
            (0, {**both("arm", 0, -50), **both("fore", -24, -50)}),
            (0.5, {**both("arm", -2, -60), **both("fore", -24, -10), "chest": (0, 62, 0), **bent, "head": (0, -30, 0)}),
            (0.66, {**both("arm", 20, -54), **both("fore", 0, -8), "chest": (0, 56, 0), **bent, "head": (0, -30, 0)}),
            (1, rest)], when=0.56),
        act(f, "open", "open, open the door, push", 1.6, [
            (0, rest), (0.3, {**rest, "arm_r": (-4, -40, 0), "fore_r": (0, -90, 0), "chest": (0, -4, -20)}),
            (0.6, {**rest, "arm_r": (0, -88, 0), "fore_r": (0, -4, 0), "chest": (0, 14, 24), "leg_l": (0, -16, 0)}),
            (0.78, {**rest, "arm_r": (0, -84, 0), "fore_r": (0, -4, 0), "chest": (0, 12, 20), "leg_l": (0, -14, 0)}),
            (1, rest)], when=0.6),
        act(f, "carry", "carry, hold", 1.0, [
            (0, rest), (1, {**both("arm", 0, -46), **both("fore", -22, -52), "chest": (0, -8, 0)})], holds=True),
        act(f, "hit", "hit", 0.7, [
            (0, {**rest, "chest": (0, -6, 8)}), (0.3, {**rest, "chest": (0, -22, 14), "head": (0, -24, 10),
             **both("arm", 34, -10)}), (0.65, {**rest, "chest": (0, 10, 0)}), (1, rest)],
            path=[(0, 0, 0, 0, 0, 0, 0), (0.3, 0, 0, 0, 0, 7, 0), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "die", "die", 2.4, [
            (0, rest), (0.15, {**rest, "chest": (0, -16, 0), "head": (0, -20, 0), **both("arm", 30, -20)}),
            (0.36, {**rest, "chest": (0, 22, 10), "head": (0, 34, 0)}),
            (0.46, {**rest, "chest": (0, 16, -8), "head": (0, 30, 16)}),
            (0.68, {"chest": (0, -4, 0), "head": (0, -30, 0), **both("arm", 66, 6), "leg_l": (10, 0, 0)}),
            (1, {"chest": (0, 0, 0), "head": (30, -20, 40), "arm_l": (84, 8, 0), "arm_r": (-50, 8, 0),
                 "leg_l": (14, 4, 0), "leg_r": (-6, 4, 0)})],
            shifts={"head": [(0, 0, 0, 0), (0.5, 0, 0, 0), (0.7, -0.24, 0, 0.1), (1, -0.24, 0.06, 0.12)],
             "leg_l": (sag := [(0, 0, 0, 0), (0.15, 0, 0, 0), (0.36, 0, 0, 0.3), (0.46, 0, 0, 0.26),
                                      (0.7, 0, 0, 0.05), (1, 0, 0, 0.05)]), "leg_r": sag},
            path=[(0, 0, 0, 0, 0, 0, 0), (0.15, -0.05, 0, 0, 0, 5, 0), (0.36, 0, 0, 0, 0, -4, 0),
                  (0.46, 0.02, 0, 0, 0, -8, 0), (0.67, 0.35, 0, 0, 0, -88, 0), (0.74, 0.35, 0, 0.06, 0, -84, 2),
                  (0.82, 0.35, 0, 0, 0, -88, 0), (1, 0.35, 0, 0, 0, -88, 0)], holds=True),
    )  # fmt: skip
