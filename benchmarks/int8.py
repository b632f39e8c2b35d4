"""What int8 costs `nano` in quality, on lessons: python benchmarks/int8.py LESSONS

Ranges are taken from some lessons and errors from others. Each variant is compared with the same graphs in f32:
velocities by relative error, drawn frames in decibels, from noise to picture, with all graphs in that variant.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.models.graphs import read, write
from perdure.models.int8 import ranges, to_int8
from perdure.presets.nano import nano
from perdure.runtime.backends import GRAPHS, WEIGHTS, OpenVINO
from perdure.sampling import noise, sample

TAUGHT, TRIED = 8, 8  # lessons
CHUNKS = (3, 9, 17, 30)  # of each
VARIANTS = {  # precision of what is left, graphs of which weights are int8, and those of which what comes in is too
    "f32": ("f32", (), ()),
    "bf16": ("bf16", (), ()),
    "int8 weights": ("bf16", GRAPHS, ()),
    "int8, transformer": ("bf16", ("remember", "denoise"), ("remember", "denoise")),
    "int8, decoder": ("bf16", ("decode",), ("decode",)),
    "int8, all": ("bf16", GRAPHS, GRAPHS),
}
Row = dict[str, NDArray[Any]]


def rows(folder: Path, backend: OpenVINO) -> list[dict[str, list[Row]]]:
    """What each graph is asked for some chunks of a lesson, as full precision would have it."""
    clip = {file.stem: np.load(file, mmap_mode="r") for file in folder.glob("*.npy")}
    preset, made = nano(), []
    zero = np.zeros(1, np.float32)
    for i in (chunk for chunk in CHUNKS if chunk < len(clip["frames"])):
        remember = [
            {"latent": clip["latent"][j].astype(np.float32), "sigma": zero, "action": clip["action"][j]}
            for j in clip["slots"][i]
            if j >= 0
        ]
        full = backend("remember", remember[0])["keys"]
        keys, values = (np.zeros((preset.dit.memories, *full.shape), np.float32) for _ in range(2))
        for slot, row in enumerate(remember):
            kept = backend("remember", row)
            keys[slot], values[slot] = kept["keys"], kept["values"]
        half = {name: clip[name][i].astype(np.float32) for name in ("coverage", "proxy", "view_depth", "latent")}
        denoise = {
            "noisy": noise(i, preset.latent_shape),
            "sigma": np.ones(1, np.float32),
            "view": clip["view_latent"][i].astype(np.float32),
            "coverage": half["coverage"],
            "proxy": half["proxy"],
            "to_clip": clip["clip"][i, 0],
            "from_clip": clip["clip"][i, 1],
            "action": clip["action"][i],
            "keys": keys,
            "values": values,
            "present": clip["slots"][i] >= 0,
            "ages": clip["ages"][i],
            "cameras": clip["cameras"][i],
        }
        drawn = {name: np.array(clip[name][i]) for name in ("view", "confidence")}
        decode = {"latent": half["latent"], **drawn, "view_depth": half["view_depth"], "proxy": half["proxy"]}
        later = {**denoise, "sigma": np.full(1, 0.5, np.float32), "noisy": (denoise["noisy"] + half["latent"]) / 2}
        seen = {"encode": [{"frames": np.array(clip["view"][i])}], "remember": remember, "denoise": [denoise, later]}
        made.append({**seen, "decode": [decode]})
    return made


def variant(name: str, most: dict[str, dict[str, float]], home: Path) -> OpenVINO:
    precision, weights, inputs = VARIANTS[name]
    models = read(WEIGHTS, GRAPHS)
    for graph in weights:
        to_int8(models[graph], most[graph] if graph in inputs else None)
    write(models.items(), home)
    return OpenVINO(home, precision)


def draw(backend: OpenVINO, row: dict[str, list[Row]]) -> dict[str, NDArray[Any]]:
    """From noise to picture, remembering anew."""
    kept = [backend("remember", memory) for memory in row["remember"]]
    given = dict(row["denoise"][0])
    for part in ("keys", "values"):
        given[part] = given[part].copy()
        given[part][: len(kept)] = [each[part] for each in kept]
    given["view"] = backend("encode", row["encode"][0])["latent"]
    start = given.pop("noisy")

    def velocity(x: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        return backend("denoise", given | {"noisy": x, "sigma": np.full(1, sigma, np.float32)})["velocity"]

    latent = sample(velocity, start, nano().sigmas)
    return backend("decode", row["decode"][0] | {"latent": latent}) | {"latent": latent}


def apart(made: NDArray[Any], exact: NDArray[Any]) -> float:
    return float(np.linalg.norm(made.astype(np.float64) - exact) / np.linalg.norm(exact.astype(np.float64)))


def decibels(made: list[NDArray[Any]], exact: list[NDArray[Any]]) -> float:
    error = [((a.astype(np.float64) - b) ** 2).mean() for a, b in zip(made, exact, strict=True)]
    return float(10 * np.log10(255**2 / max(float(np.mean(error)), 1e-9)))


def main(lessons: Path) -> None:
    plain = OpenVINO(precision="f32")
    folders = sorted(path for path in lessons.iterdir() if (path / "view_latent.npy").exists())
    taught = [row for folder in folders[:TAUGHT] for row in rows(folder, plain)]
    tried = [row for folder in folders[-TRIED:] for row in rows(folder, plain)]
    models = read(WEIGHTS, GRAPHS)
    most = {graph: ranges(models[graph], (r for row in taught for r in row[graph])) for graph in GRAPHS}
    exact = [draw(plain, row) for row in tried]
    true = [plain("denoise", r)["velocity"] for row in tried for r in row["denoise"]]
    print(f"{len(taught)} chunks for ranges, {len(tried)} for errors")
    print("| variant | weights, MB | velocity | latent | frames | frames, same latent | depth |")
    print("|---|---|---|---|---|---|---|")
    for name in VARIANTS:
        with tempfile.TemporaryDirectory() as home:
            backend = variant(name, most, Path(home))
            size = (Path(home) / "weights.bin").stat().st_size / 1e6
        made = [draw(backend, row) for row in tried]
        velocities = [backend("denoise", r)["velocity"] for row in tried for r in row["denoise"]]
        same = [backend("decode", row["decode"][0]) for row in tried]
        reference = [plain("decode", row["decode"][0]) for row in tried]
        print(
            f"| {name} | {size:.1f} | {np.mean([apart(a, b) for a, b in zip(velocities, true, strict=True)]):.4f} "
            f"| {np.mean([apart(a['latent'], b['latent']) for a, b in zip(made, exact, strict=True)]):.4f} "
            f"| {decibels([a['frames'] for a in made], [b['frames'] for b in exact]):.1f} dB "
            f"| {decibels([a['frames'] for a in same], [b['frames'] for b in reference]):.1f} dB "
            f"| {np.mean([apart(a['depth'], b['depth']) for a, b in zip(same, reference, strict=True)]):.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
