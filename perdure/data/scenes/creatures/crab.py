"""The crab: it looks ahead and goes sideways, on six legs, with two great claws.

Its shell is a part on a root that shows little of itself: to go anywhere the shell first turns its side that way.
"""

import numpy as np

from perdure.data.scenes.creatures.figure import Figure
from perdure.data.scenes.creatures.motion import Loose, act, both, stilt
from perdure.data.scenes.scene import Surface
from perdure.world.deed import Deed, Stroke

SHELLS = (  # word, shell, spots, claws, eyes
    ("red", "#d8321e", "#f07a3a", "#f4d8a8", "#f8f4ea"),
    ("blue", "#2458c0", "#5aa0f0", "#f0a02a", "#f8f4ea"),
    ("purple", "#7a2a9a", "#c060d8", "#f0e04a", "#f8f4ea"),
    ("green", "#3a8a3a", "#a0d040", "#e0502a", "#f8f4ea"),
    ("golden", "#e8a818", "#fbe08a", "#b02a3a", "#f8f4ea"),
)

HIPS = tuple((side, n, x) for side in ("l", "r") for n, x in enumerate((0.15, -0.01, -0.17)))


def crab(rng: np.random.Generator) -> Figure:
    word, shell, spots, claw, eye = SHELLS[int(rng.integers(len(SHELLS)))]
    seed = int(rng.integers(1 << 16))
    f = Figure("crab", word, float(rng.uniform(1.0, 1.5)), 0.3)
    f.paint("shell", Surface("leaf", (shell, spots, shell), 0.5, seed, gloss=0.35, anchored=True))
    f.paint("plain", shell, gloss=0.3)
    f.paint("claw", claw, gloss=0.3)
    f.paint("eye", eye)
    f.paint("dark", "#100e14", gloss=0.7)
    f.egg("", "claw", (0, 0, -0.06), (0.2, 0.2, 0.08))
    f.part("shell", (0, 0, 0))
    f.egg("shell", "shell", (0, 0, 0.03), (0.3, 0.42, 0.18))
    for side, y in (("l", 1), ("r", -1)):
        f.part(f"eye_{side}", (0.2, 0.1 * y, 0.15), "shell")
        f.limb(f"eye_{side}", "eye", (0, 0, -0.02), (0.025, 0.02 * y, 0.16), 0.055)
        f.ball(f"eye_{side}", "dark", (0.06, 0.025 * y, 0.175), 0.038)
        f.part(f"claw_{side}", (0.2, 0.3 * y, 0.0), "shell")
        f.limb(f"claw_{side}", "plain", (0, 0, 0), (0.12, 0.12 * y, 0.03), 0.06)
        f.part(f"hand_{side}", (0.13, 0.13 * y, 0.03), f"claw_{side}")
        f.egg(f"hand_{side}", "shell", (0.16, -0.02 * y, 0), (0.21, 0.14, 0.12))
        f.limb(f"hand_{side}", "claw", (0.27, 0.07 * y, 0), (0.46, 0.0, 0), 0.055)
        f.part(f"pincer_{side}", (0.25, -0.06 * y, 0), f"hand_{side}")
        f.limb(f"pincer_{side}", "claw", (0, 0, 0), (0.18, 0.02 * y, 0), 0.05)
    for side, n, x in HIPS:
        y = 1 if side == "l" else -1
        label = f.part(f"leg{n}_{side}", (x, 0.3 * y, 0), "shell")
        f.limb(label, "plain", (0, 0, 0), (0.3 * x, 0.16 * y, 0.07), 0.05)
        f.limb(label, "plain", (0.3 * x, 0.16 * y, 0.07), (0.6 * x, 0.27 * y, -0.26), 0.036)
    return f


def deeds(f: Figure) -> tuple[Deed, ...]:
    pinch = {"pincer_l": (0, 0, 22), "pincer_r": (0, 0, -22)}
    wide = {"pincer_l": (0, 0, -34), "pincer_r": (0, 0, 34)}
    guard = {**both("claw", 0, 4, 22), **both("hand", 0, -12, -44), **both("pincer", 0, 0, -26)}
    up = {**both("claw", 10, -70, 0), **both("hand", 0, -14, -20), **wide}

    def scuttle(stride: float, lift: float, aside: bool) -> tuple[Loose, Loose]:
        """Legs that step along the shell's own side, or in place."""
        turns: dict = {}
        shifts: dict = {}
        for side, n, _ in HIPS:
            phase = (0.0, 0.5, 0.25)[n] + (0.5 if side == "l" else 0.0)
            _, shift = stilt("x", 0.27, 0.27, stride, lift, phase, 0.58, sideways=True)
            steps = shift["x"]
            foot = [_step((k / 12 + phase) % 1.0, stride, lift, 0.58) for k in range(13)]
            # The shell shows its right side to where it goes: what is forward is to its right.
            shifts[f"leg{n}_{side}"] = [
                (steps[k][0], 0, -y, z) if aside else (steps[k][0], 0, 0, z) for k, (y, z) in enumerate(foot)
            ]
            sign = 1 if side == "l" else -1
            turns[f"leg{n}_{side}"] = [(steps[k][0], sign * 60 * z, 0, 0) for k, (_, z) in enumerate(foot)]
        turns["shell"] = [(0, 0, 0, 90)] if aside else [(0, 0, 0, 0)]
        for label, pose in guard.items():
            turns[label] = [(n / 8, pose[0], pose[1] + 6 * np.sin(4 * np.pi * n / 8), pose[2]) for n in range(9)]
        return turns, shifts

    def go(name: str, words: str, seconds: float, gait: tuple[Loose, Loose], **more: float) -> Deed:
        return act(f, name, words, seconds, also=gait[0], shifts=gait[1], loops=True, **more)  # type: ignore[arg-type]

    def squat(*keys: tuple[float, float]) -> dict:
        """Legs drawn in, so that the shell comes down."""
        return {f"leg{n}_{side}": [(t, 0, 0, h) for t, h in keys] for side, n, _ in HIPS}

    def legs(lift: float) -> dict:
        return {f"leg{n}_{side}": ((1 if side == "l" else -1) * lift, 0, 0) for side, n, _ in HIPS}

    flat = (0, 0, 0, 0, 0, 0, 0)
    return (
        act(f, "idle", "stand still, stay, wait, stop", 3.2, [
            (0, guard), (0.2, {**guard, **pinch, **both("eye", 10, 8)}), (0.35, {**guard, **both("eye", -8, 16)}),
            (0.5, {**both("claw", 0, -24, 8), **both("hand", 0, -26, -34), "eye_l": (0, 30, 0)}),
            (0.7, {**guard, **pinch, "eye_r": (0, 30, 0)}), (1, guard)], shifts=squat((0, 0), (0.5, 0.03), (1, 0)),
             loops=True),
        go("walk", "walk, scuttle, go, sidle", 0.8, scuttle(0.44, 0.1, True), pace=0.55),
        go("run", "run, scurry, rush", 0.42, scuttle(0.62, 0.13, True), pace=1.48),
        go("turn left", "turn left, turn to the left", 0.8, scuttle(0.2, 0.09, False), turn=1.4),
        go("turn right", "turn right, turn to the right", 0.8, scuttle(0.2, 0.09, False), turn=-1.4),
        act(f, "leap", "leap, jump, spring", 1.1, [
            (0, guard), (0.25, {**guard, **legs(-10)}), (0.42, {**up, **legs(-46)}), (0.6, {**up, **legs(20)}),
             (0.78, {**guard, **legs(10)}),
            (1, guard)], shifts=squat((0, 0), (0.25, 0.15), (0.36, -0.03), (0.66, 0.02), (0.78, 0.14), (1, 0)),
            path=[flat, (0.27, 0, 0, 0, 0, 0, 0), (0.36, 0.1, 0, 0.08, 0, 12, 0), (0.52, 0.4, 0, 0.45, 0, 4, 0),
             (0.7, 0.75, 0, 0.02, 0, -6, 0),
                  (0.78, 0.8, 0, 0, 0, 0, 0), (1, 0.8, 0, 0, 0, 0, 0)]),
        act(f, "wave", "wave, wave a claw, greet", 1.8, [
            (0, guard), *((t, {**guard, "claw_l": (a, -84, 0), "hand_l": (0, -20, a), "pincer_l": (0, 0, b)}) for t,
             a, b in
                          ((0.2, 0, -30), (0.34, 34, 10), (0.48, -24, -30), (0.62, 34, 10), (0.78, -24, -30))),
                           (1, guard)],
            path=[flat, (0.2, 0, 0, 0, 0, 8, -6), (0.78, 0, 0, 0, 0, 8, -6), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "dance", "dance, rave", 1.9, [
            (n / 8, {**both("claw", 0, -60 if n % 2 else -20, 0), "hand_l": (0, -60 * (n // 2 % 2), 0),
             "hand_r": (0, -60 * (1 - n // 2 % 2), 0),
                     **(wide if n % 2 else pinch), **both("eye", 20 * (-1) ** n, 0),
                      **legs(-8 if n % 2 else 6)}) for n in range(9)],
            path=[(n / 8, 0, 0.26 * np.sin(2 * np.pi * n / 8), 0.05 * (n % 2), 0, 0,
             12 * np.sin(2 * np.pi * n / 8 + 1.57)) for n in range(9)],
            loops=True),
        act(f, "sit", "sit, rest, settle, crouch", 1.0, [
            (0, guard), (0.6, {**both("claw", 0, 0, -14), **both("hand", 0, 6, -70), **legs(30)}),
            (1, {**both("claw", 0, 2, -14), **both("hand", 0, 4, -66), **legs(28), **both("eye", 0, 24)})],
            shifts=squat((0, 0), (0.6, 0.17), (1, 0.15)), holds=True),
        act(f, "rise", "rise, get up, stand up", 0.9, [
            (0, {**both("hand", 0, 4, -60), **legs(28)}), (0.5, {**guard, **legs(-8)}), (1, guard)],
            shifts=squat((0, 0.15), (0.5, -0.03), (1, 0))),
        act(f, "pinch", "pinch, snap, nip", 0.8, [
            (0, guard), (0.3, {**both("claw", 0, -10, -20), **both("hand", 0, -10, 20), **wide, **both("eye", 0, -16)}),
            (0.46, {**both("claw", 0, -12, -44), **both("hand", 0, 4, -8), **wide}),
            (0.54, {**both("claw", 0, -12, -46), **both("hand", 0, 4, -8), **pinch}),
            (0.7, {**both("claw", 0, -14, -40), **both("hand", 0, 0, -10), **pinch}), (1, guard)],
            path=[flat, (0.3, -0.14, 0, 0, 0, 4, 0), (0.46, 0.34, 0, 0, 0, -4, 0), (0.6, 0.34, 0, 0, 0, 0, 0),
             (1, 0.2, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.38, 0.62, 0.95, 0.5, 0.0, 0.9, 0.25, 0.1)]),
        act(f, "clap", "clap, clack, click the claws", 1.2, [
            (t, {**(up if a else guard), **both("claw", 0, -64 if a else -30, -40 if a == 1 else 16),
             **(pinch if a == 1 else wide)})
            for t, a in ((0, 0), (0.2, 2), (0.3, 1), (0.42, 2), (0.52, 1), (0.64, 2), (0.74, 1))] + [(1, guard)]),
        act(f, "spin", "spin, whirl, twirl", 1.2, [
            (0, guard), (0.2, {**both("claw", 0, 0, 0), **both("hand", 0, 0, -20)}),
            (0.4, {**both("claw", 0, -4, 34), **both("hand", 0, 0, 36), **wide}),
            (0.72, {**both("claw", 0, -4, 34), **both("hand", 0, 0, 36), **wide}), (1, guard)],
            path=[flat, (0.2, 0, 0, 0, -40, 0, 0), (0.5, 0, 0, 0.04, 330, 0, 0), (0.8, 0, 0, 0, 700, 0, 0),
             (1, 0, 0, 0, 720, 0, 0)],
            strokes=[Stroke(0.25, 0.8, 1.0, 3.1, 0.0, 0.8, 0.15, 0.8)]),
        act(f, "hide", "hide, tuck in, shut", 0.8, [
            (0, guard), (0.5, {**both("claw", 0, -22, -50), **both("hand", 0, -4, -60), **legs(60),
             **both("eye", 0, 60), **pinch}),
            (1, {**both("claw", 0, -20, -48), **both("hand", 0, -4, -58), **legs(56), **both("eye", 0, 58), **pinch})],
            shifts=squat((0, 0), (0.5, 0.17), (1, 0.17)), holds=True, guard=True),
        act(f, "roll", "roll, roll over, flip", 1.6, [
            (0, guard), (0.2, {**guard, **legs(-14)}), (0.4, {**up, **legs(40)}), (0.7, {**up, **legs(40)}),
             (0.86, {**guard, **legs(-6)}), (1, guard)],
            path=[flat, (0.2, 0, 0, 0, 0, 0, 12), (0.4, 0, -0.35, 0.1, 0, 0, 120), (0.6, 0, -0.75, 0.1, 0, 0, 240),
             (0.84, 0, -1.05, 0, 0, 0, 360),
                  (1, 0, -1.05, 0, 0, 0, 360)]),
        act(f, "hit", "hit", 0.5, [
            (0, {**guard, **both("eye", 0, -30)}), (0.3,
             {**both("claw", 30, -50, 20), **wide, **both("eye", 20, -50), **legs(-20)}), (1, guard)],
            path=[flat, (0.3, 0, 0, 0.02, 0, 22, 10), (0.7, 0, 0, 0, 0, -4, 0), (1, 0, 0, 0, 0, 0, 0)]),
        act(f, "die", "die", 1.7, [
            (0, guard), (0.2, {**up, **legs(-20), **both("eye", 30, -30)}),
             (0.5, {**both("claw", 30, -30, 30), **legs(-50)}),
            (0.7, {**both("claw", 0, -40, -10), **both("hand", 0, -20, -50), **legs(70), **both("eye", 0, 50)}),
            (1, {**both("claw", 0, -30, -16), **both("hand", 0, -20, -60), **legs(96), **both("eye", 0, 56)})],
            path=[flat, (0.2, 0, 0, 0, 0, 0, 14), (0.48, 0, -0.2, 0.25, 0, 0, 110), (0.66, 0, -0.3, 0, 0, 0, 180),
             (0.76, 0, -0.3, 0, 0, 0, 168),
                  (0.86, 0, -0.3, 0, 0, 0, 186), (1, 0, -0.3, 0, 0, 0, 180)], holds=True),
    )  # fmt: skip


def _step(phase: float, stride: float, lift: float, duty: float) -> tuple[float, float]:
    """How far along its way a foot is, off its middle, and how high."""
    reach = 0.5 * stride * duty
    if phase < duty:
        return reach * (1 - 2 * phase / duty), 0.0
    q = (phase - duty) / (1 - duty)
    return -reach * float(np.cos(np.pi * q)), lift * float(np.sin(np.pi * q))
