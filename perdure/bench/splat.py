"""`perdure bench splat`: how fast splats are drawn on this machine, and how near to their plain twin.

The cloud fills a picture of 256 x 256 as a room would: flakes a few pixels wide, at 1.5 to 6 metres, many deep.
"""

import time
from collections.abc import Mapping

import numpy as np

from perdure.camera import Array, Intrinsics, look, rotation
from perdure.memory.gaussians import BASE, FAINT, FRAME, NEAREST, SOLID, WIDER, draw
from perdure.world.splats import NOBODY, Rows, Splats, blank, pack

COUNTS = (10_000, 20_000, 50_000)
SIZE = 256  # pixels along each side
TWIN = 96  # and of the picture that is compared with the twin's
HERE = look(np.array([-1.0, 0.0, 0.0]), 0.0, 0.0)


def run(repeats: int = 20) -> dict[str, object]:
    """Milliseconds a picture, the best and the median; the largest error of any channel, 0..1, and of depth."""
    figures: dict[str, object] = {"size": f"{SIZE}x{SIZE}"}
    lens = Intrinsics.from_fov(SIZE, SIZE, 75.0)
    for count in COUNTS:
        splats = Splats().write(pack(room(count)))
        draw(splats, HERE, lens)  # compiles, or reads what was compiled, and makes the splats ready
        taken: list[float] = []
        for _ in range(repeats):
            start = time.perf_counter()
            layer = draw(splats, HERE, lens)
            taken.append(1e3 * (time.perf_counter() - start))
        figures[f"{count}_ms_best"], figures[f"{count}_ms_p50"] = min(taken), float(np.median(taken))
        figures[f"{count}_covered"] = float(layer.alpha.mean())
    figures["gaussians_ms"] = figures[f"{COUNTS[-1]}_ms_p50"]
    lens, rows = lens.scaled(TWIN, TWIN), room(COUNTS[1])
    layer = draw(Splats().write(pack(rows)), HERE, lens)
    error = np.abs(
        twin(rows, HERE, lens) - np.concatenate([layer.rgb, layer.depth[..., None], layer.alpha[..., None]], -1)
    )
    figures["twin_max_error"] = float(error[..., [0, 1, 2, 4]].max())
    figures["twin_max_depth_error_m"] = float(error[..., 3].max())
    return figures


def room(count: int) -> Rows:
    random = np.random.default_rng(0)
    rows = blank(count)
    away = random.normal(size=(count, 3))
    away[:, 0] = np.abs(away[:, 0])  # before the camera
    rows["mean"] = away / np.linalg.norm(away, axis=1, keepdims=True) * random.uniform(1.5, 6, (count, 1))
    rows["rotation"] = random.normal(size=(count, 4))
    rows["scale"] = np.log(random.uniform(0.01, 0.06, (count, 3)))
    rows["opacity"], rows["colour"] = random.normal(1, 1.5, count), random.normal(0, 1, (count, 3))
    return rows


def twin(rows: Rows, camera: Array, lens: Intrinsics, bodies: Mapping[int, Array] | None = None) -> Array:
    """(H, W, 5) red, green, blue and depth times alpha, and alpha: each Gaussian at every pixel, nothing cut off.

    Of the harmonics it knows those of degree 1, written as what they are: a slope.
    """
    place = {NOBODY: np.eye(4), **(bodies or {})}
    most = FRAME * 0.5 * np.array([lens.width / lens.fx, lens.height / lens.fy])
    out, left = np.zeros((lens.height, lens.width, 5)), np.ones((lens.height, lens.width))
    u, v = np.meshgrid(np.arange(lens.width) + 0.5, np.arange(lens.height) + 0.5)
    rows = rows[[entity in place for entity in rows["entity"].tolist()]]
    pose = np.array([place[entity] for entity in rows["entity"].tolist()]).reshape(-1, 4, 4)
    middle = np.einsum("nij,nj->ni", pose[:, :3, :3], rows["mean"].astype(float)) + pose[:, :3, 3]
    local = (middle - camera[:3, 3]) @ camera[:3, :3]
    axes = camera[:3, :3].T @ pose[:, :3, :3] @ rotation(rows["rotation"].astype(float))
    axes = axes * np.exp(rows["scale"].astype(float))[:, None, :]
    for n in np.lexsort((rows["id"], local[:, 2].astype(np.float32))):
        row, z = rows[n], local[n, 2]
        if z < NEAREST:
            continue
        x, y = np.clip(local[n, :2] / z, -most, most)
        linear = np.array([[lens.fx, 0, -lens.fx * x], [0, lens.fy, -lens.fy * y]]) / z
        (a, b), (_, c) = np.linalg.inv(linear @ axes[n] @ axes[n].T @ linear.T + WIDER * np.eye(2))
        du, dv = u - (local[n, 0] / z * lens.fx + lens.cx), v - (local[n, 1] / z * lens.fy + lens.cy)
        alpha = np.exp(-0.5 * (a * du * du + 2 * b * du * dv + c * dv * dv)) / (1 + np.exp(-float(row["opacity"])))
        alpha = np.where(alpha < FAINT, 0, np.minimum(alpha, SOLID))
        colour = 0.5 + BASE * row["colour"].astype(float)
        if len(row["harmonics"]):
            way = middle[n] - camera[:3, 3]
            east, north, up = pose[n, :3, :3].T @ way / np.linalg.norm(way)
            colour += np.sqrt(3 / (4 * np.pi)) * (np.array([-north, up, -east]) @ row["harmonics"][:3].astype(float))
        out += (alpha * left)[..., None] * [*np.maximum(colour, 0), z, 1]
        left *= 1 - alpha
    return out
