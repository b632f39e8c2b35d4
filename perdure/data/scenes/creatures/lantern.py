"""The lantern golem: a floating stone orb with one glowing eye, a belt of beads, a crown, and two hanging arms."""

import numpy as np

from perdure.data.scenes.creatures.figure import Figure
from perdure.data.scenes.creatures.motion import act, wave
from perdure.data.scenes.scene import Surface
from perdure.world.deed import Deed, Stroke

SHELLS = (  # word; stone, light, band
    ("blue", "#5d6b82", "#7fe3ff", "#d9a441"),
    ("green", "#4e5a48", "#b8ff7a", "#c77f3a"),
    ("pink", "#6a5578", "#ff9ae6", "#e0c060"),
    ("amber", "#7a5a48", "#ffc65c", "#4f8f9f"),
)


def lantern(rng: np.random.Generator) -> Figure:
    word, stone, light, band = SHELLS[int(rng.integers(len(SHELLS)))]
    seed = int(rng.integers(1 << 16))
    hover = float(rng.uniform(1.15, 1.35))
    f = Figure("lantern golem", word, 1.0, hover)
    shell = f.paint("shell", Surface("stone", (stone, "#8d93a0", "#2a2c33"), 0.34, seed, anchored=True))
    glow = f.paint("glow", light, glow=0.8)
    gold = f.paint("gold", band, gloss=0.6)
    dark = f.paint("dark", "#1d1a22", gloss=0.4)
    f.ball("", shell, (0, 0, 0), 0.42)
    f.ball("", dark, (0.25, 0, 0.08), 0.22)
    f.ball("", glow, (0.36, 0, 0.09), 0.145)
    f.egg("", glow, (0, 0, -0.40), (0.16, 0.16, 0.22))
    for a in np.arange(5) * 2 * np.pi / 5:
        x, y = np.cos(a), np.sin(a)
        f.limb("", gold, (0.26 * x, 0.26 * y, 0.34), (0.34 * x, 0.34 * y, 0.60), 0.05)
    f.part("ring", (0.0, 0.0, -0.06), swing=0.22, axis=(1.0, 0.0, 0.0))
    for n, a in enumerate(np.arange(8) * 2 * np.pi / 8):
        f.ball("ring", glow if n % 2 else gold, (0.66 * np.cos(a), 0.66 * np.sin(a), 0.0), 0.075)
    for n, y in enumerate((0.50, -0.50)):
        f.part(f"arm{n}", (0.0, y, 0.02), swing=0.55, phase=n * float(np.pi))
        f.limb(f"arm{n}", gold, (0, 0, 0), (0.05, 0, -0.36), 0.06)
        f.ball(f"arm{n}", shell, (0.08, 0, -0.48), 0.14)
    return f


def deeds(f: Figure) -> tuple[Deed, ...]:
    low = -(f.hover - 0.64)  # how far down it is to the ground, upright

    def arms(x: float, y: float, z: float = 0.0) -> dict:
        return {"arm0": (x, y, z), "arm1": (-x, y, -z)}

    def drift(name: str, words: str, seconds: float, lean: float, bob: float, **more: float) -> Deed:
        path = [(n / 8, 0, 0, bob * np.sin(2 * np.pi * n / 8), 0, -lean, 0) for n in range(9)]
        also = {**wave("arm0", 1, 20, 1, 0.0, lean), **wave("arm1", 1, 20, 1, 0.5, lean), "ring": _whirl(1, tilt=8)}
        return act(f, name, words, seconds, also=also, path=path, afloat=True, loops=True, **more)  # type: ignore[arg-type]

    flat = (0, 0, 0, 0, 0, 0, 0)
    still = (1, 0, 0, 0, 0, 0, 0)
    return (
        drift("idle", "float, stay, wait, stand still, stop", 4.0, 0, 0.06),
        drift("walk", "walk, go, drift", 2.6, 8, 0.08, pace=0.55),
        drift("run", "run, fly, rush", 1.2, 24, 0.05, pace=1.7),
        drift("turn left", "turn left, turn to the left", 2.0, 0, 0.04, turn=1.2),
        drift("turn right", "turn right, turn to the right", 2.0, 0, 0.04, turn=-1.2),
        act(f, "leap", "leap, jump, soar", 1.6, [
            (0, {}), (0.25, arms(14, 40)), (0.42, arms(30, -20)), (0.6, arms(110, 0)), (0.8, arms(30, 0)), (1, {})],
            also={"ring": _whirl(2, end=1.0)},
            path=[flat, (0.25, 0, 0, -0.3, 0, -6, 0), (0.5, 0.5, 0, 0.75, 0, 10, 0), (0.8, 1.0, 0, -0.1, 0, -4, 0),
                  (1, 1.0, 0, 0, 0, 0, 0)], afloat=True),
        act(f, "wave", "wave, greet, say hello", 2.0, [
            (0, {}), *((t, {"arm1": (a, 0, 0), "arm0": (8, 0, 0)}) for t, a in
                       ((0.2, -150), (0.35, -118), (0.5, -158), (0.65, -118), (0.8, -150))), (1, {})],
            path=[flat, (0.2, 0, 0, 0.05, 0, 6, -10), (0.8, 0, 0, 0.05, 0, 6, -10), still], afloat=True),
        act(f, "dance", "dance, sway", 2.4, also={
            "arm0": [(n / 8, 70 + 60 * (-1) ** n, 0, 0) for n in range(9)],
            "arm1": [(n / 8, -70 + 60 * (-1) ** n, 0, 0) for n in range(9)], "ring": _whirl(2, tilt=24)},
            path=[(n / 8, 0, 0.2 * np.sin(2 * np.pi * n / 8), 0.1 * np.sin(4 * np.pi * n / 8), 0, 0,
                   -16 * np.sin(2 * np.pi * n / 8)) for n in range(9)], afloat=True, loops=True),
        act(f, "sit", "sit, sit down, rest, land", 1.8, [(0, {}), (0.7, arms(34, 0)), (1, arms(24, 10))],
            also={"ring": [(0, 0, 0, 0), (0.7, 0, 6, 0), (1, 10, 4, 0)]},
            path=[flat, (0.75, 0, 0, low + 0.03, 0, 0, 0), (0.86, 0, 0, low + 0.06, 0, 3, 0),
             (1, 0, 0, low + 0.02, 0, 0, 0)],
            afloat=True, holds=True),
        act(f, "rise", "rise, get up, lift off", 1.4, [(0, arms(24, 10)), (0.5, arms(50, 0)), (1, {})],
            path=[(0, 0, 0, low + 0.02, 0, 0, 0), (0.2, 0, 0, low + 0.02, 0, -4, 0), (0.8, 0, 0, 0.12, 0, 0, 0), still],
            afloat=True),
        act(f, "roll", "roll, tumble, somersault", 1.4, [(0, {}), (0.2, arms(30, 0)), (0.8, arms(30, 0)), (1, {})],
            path=[flat, (0.18, 0, 0, 0.06, 0, 14, 0), (0.5, 0.7, 0, 0.14, 0, -170, 0), (0.82, 1.3, 0, 0.06, 0, -374, 0),
                  (1, 1.35, 0, 0, 0, -360, 0)], afloat=True),
        act(f, "spin", "spin, whirl, twirl", 1.5, [
            (0, {}), (0.2, arms(20, 0)), (0.45, arms(86, 0)), (0.75, arms(80, 0)), (1, {})],
             also={"ring": _whirl(3, end=1.0)},
            path=[flat, (0.2, 0, 0, 0, -30, 0, 0), (0.8, 0, 0, 0.06, 700, 0, 0), (1, 0, 0, 0, 720, 0, 0)],
            strokes=[Stroke(0.3, 0.8, 1.2, 3.1, 0.3, 2.2, 0.12, 0.5)], afloat=True),
        act(f, "slam", "slam, slam the ground, drop, crash", 1.5, [
            (0, {}), (0.35, arms(120, 0)), (0.45, arms(130, 0)), (0.56, arms(20, 0)), (0.7, arms(30, 0)), (1, {})],
            also={"ring": [(0, 0, 0, 0), (0.45, 0, -14, 0), (0.56, 0, 10, 0), (1, 0, 0, 0)]},
            path=[flat, (0.42, 0.1, 0, 0.5, 0, 12, 0), (0.56, 0.3, 0, low + 0.05, 0, 0, 0),
             (0.66, 0.3, 0, low + 0.1, 0, 0, 0),
                  (1, 0.3, 0, 0, 0, 0, 0)],
            strokes=[Stroke(0.48, 0.6, 1.15, 3.1, 0.0, 1.2, 0.3, 0.8)], afloat=True),
        act(f, "glare", "glare, flash, stare", 1.4, [
            (0, {}), (0.4, arms(60, 30)), (0.55, arms(100, -30)), (0.75, arms(96, -28)), (1, {})],
            also={"ring": [(0, 0, 0, 0), (0.4, 0, 40, 0), (0.55, 0, 88, 0), (0.75, 0, 88, 0), (1, 0, 0, 0)]},
            shifts={"ring": [(0, 0, 0, 0), (0.4, 0, 0, 0), (0.55, 0.6, 0, 0.12), (0.75, 0.62, 0, 0.12), (1, 0, 0, 0)]},
            path=[flat, (0.4, -0.2, 0, 0.05, 0, 10, 0), (0.55, 0.2, 0, 0, 0, -8, 0), (0.75, 0.15, 0, 0, 0, -6, 0),
             still],
            strokes=[Stroke(0.48, 0.7, 1.5, 0.3, 0.4, 1.9, 0.2, 0.4)], afloat=True),
        act(f, "hit", "hit", 0.7, [(0, arms(10, 0)), (0.3, arms(40, -40)), (1, {})], also={"ring": _wobble(20)},
            path=[flat, (0.25, 0, 0, 0.05, 0, 24, 10), (0.6, 0, 0, -0.05, 0, -8, -4), still], afloat=True),
        act(f, "die", "die", 2.0, [(0, {}), (0.2, arms(70, 0)), (0.55, arms(40, 0)), (1, arms(76, 0))],
            also={"ring": [(0, 0, 0, 0), (0.3, 20, 0, 0), (0.55, 4, 8, 0), (0.7, 0, 0, 0), (1, 0, 0, 0)]},
            shifts={"ring": [(0, 0, 0, 0), (0.4, 0, 0, 0), (0.62, 0, 0, -0.26), (1, 0, 0, -0.26)]},
            path=[flat, (0.2, 0, 0, 0.1, 0, 16, 10), (0.5, 0, 0, low + 0.06, 0, 0, 0),
             (0.62, 0, 0, low + 0.16, 0, 0, 6),
                  (0.78, 0, 0, low + 0.02, 0, 0, 0), (1, 0, 0, low + 0.01, 0, 0, 0)], afloat=True, holds=True),
    )  # fmt: skip


def _whirl(turns: int, tilt: float = 0.0, end: float = 0.0) -> list[tuple[float, ...]]:
    """The belt goes round: eight beads, so an eighth of a turn looks like none."""
    if not end:
        return [(n / 8, tilt * np.sin(2 * np.pi * n / 8), tilt * np.cos(2 * np.pi * n / 8), 90.0 * turns * n / 8)
                for n in range(9)]  # fmt: skip
    return [(0, 0, 0, 0), (0.5, 0, 0, 180.0 * turns), (1, 0, 0, 360.0 * turns)]


def _wobble(size: float) -> list[tuple[float, ...]]:
    return [(0, 0, 0, 0), (0.25, size, 0, 0), (0.5, -size, 0, 0), (0.75, 0.5 * size, 0, 0), (1, 0, 0, 0)]
