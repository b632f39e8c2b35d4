"""The passes of the view against a plain twin: matrices and whole boxes of pixels, colours in floating point."""

import numpy as np
from numpy.typing import NDArray

from perdure.camera import FAR, Array, Intrinsics, invert, look
from perdure.memory.cells import EDGE, LANE, Cells, cut
from perdure.memory.raster import (
    AGREE,
    ANGLE,
    BEHIND,
    EDGE_ON,
    FINE,
    HALF,
    LEAST,
    SHARP,
    SLACK,
    STEEP,
    STRAY,
    UNSEEN,
    VEILED,
)
from perdure.memory.view import render
from perdure.world.geometry import MILLIMETRES, Keyframe

SMALL, LARGE = Intrinsics.from_fov(48, 27, 75.0), Intrinsics.from_fov(96, 54, 75.0)


def keyframe(pose: Array, lens: Intrinsics, seed: int, share: float = 1.0) -> Keyframe:
    """A slanted and wavy surface with boxes before it and sky above it, in soft random colours."""
    rng = np.random.default_rng(seed)
    shape = (lens.height, lens.width)
    y, x = np.mgrid[: shape[0], : shape[1]] / np.array(shape)[:, None, None]
    q = 0.2 + 0.1 * y + 0.15 * x + 0.01 * np.sin(9 * x) * np.sin(7 * y)
    depth = 1 / q
    for _ in range(4):
        top, left = rng.uniform(0.2, 0.8, 2)
        depth[(abs(y - top) < 0.12) & (abs(x - left) < 0.07)] = rng.uniform(1.5, 3.0)
    depth[y < 0.15 + 0.1 * np.sin(5 * x)] = FAR
    coarse = rng.uniform(20, 235, (shape[0] // 3 + 1, shape[1] // 3 + 1, 3))
    rgb = np.kron(coarse, np.ones((3, 3, 1)))[: shape[0], : shape[1]]
    mask = np.kron(rng.random((shape[0] // 3 + 1, shape[1] // 3 + 1)) < share, np.ones((3, 3)))
    mask = mask[: shape[0], : shape[1]] > 0
    return Keyframe(-1, pose, lens, rgb.astype(np.uint8), np.rint(depth * MILLIMETRES).astype(np.uint16), mask)


def inner(mask: NDArray, pixels: int) -> NDArray:
    """The mask without `pixels` at its border."""
    for _ in range(pixels):
        padded = np.pad(mask, 1)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def plain_cell(cells: Cells, n: int, its: Intrinsics, pose: Array, camera: Array, lens: Intrinsics) -> tuple | None:
    """(slices, q, quality, rgb) of one cell over the pixels that it may cover; rgb and quality 0 where it has none,
    q below 0 where it does not reach. By matrices, whole boxes at a time, colours in floating point."""
    tile = cells.tile_N[n]
    origin = cells.origin_M2[tile] + 0.5
    shift = np.array([[1, 0, origin[0]], [0, 1, origin[1]], [0, 0, 1]])
    plane, (left, top, side), rim = cells.plane_N3[n], cells.rect_N3[n], cells.rim_N[n]
    to_ray = np.linalg.inv(its.matrix()) @ shift
    relative = invert(camera) @ pose
    ahead = lens.matrix() @ (relative[:3, :3] @ to_ray + np.outer(relative[:3, 3], plane))
    facing = np.linalg.det(ahead) / np.linalg.det(lens.matrix() @ to_ray)
    if facing < EDGE_ON and (facing > BEHIND or side < 2):
        return None
    back = np.linalg.inv(ahead)
    middle = np.array([left + side / 2, top + side / 2, 1])
    home = -relative[:3, :3].T @ relative[:3, 3]
    parallax = np.linalg.norm(home) * (plane @ middle) * its.fx
    reach = 0.5 if rim else min(SLACK + STRAY * parallax, 0.5)
    low, high = np.array([left, top]) - reach, np.array([left, top]) + side + reach
    corners = ahead @ np.array([[low[0], high[0], low[0], high[0]], [low[1], low[1], high[1], high[1]], [1, 1, 1, 1]])
    if corners[2].max() <= 0:
        return None
    x0, x1, y0, y1 = 0, lens.width, 0, lens.height
    if corners[2].min() > 1e-9:
        x, y = corners[0] / corners[2], corners[1] / corners[2]
        x0, x1 = max(int(np.ceil(x.min() - 0.5)), 0), min(int(np.floor(x.max() - 0.5)) + 1, lens.width)
        y0, y1 = max(int(np.ceil(y.min() - 0.5)), 0), min(int(np.floor(y.max() - 0.5)) + 1, lens.height)
    if x0 >= x1 or y0 >= y1:
        return None
    y, x = np.mgrid[y0:y1, x0:x1] + 0.5
    here = np.stack([x, y, np.ones_like(x)], -1)
    w = here @ back[2]
    q = here @ (plane @ back)
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = here @ back[0] / w, here @ back[1] / w
    inside = (w > 0) & (q >= 0) & (u >= low[0]) & (u <= high[0]) & (v >= low[1]) & (v <= high[1])
    u, v = np.where(inside, u, middle[0]), np.where(inside, v, middle[1])

    texel = cells.texel_MEE[tile]
    colours = np.stack([texel >> (LANE * c) & 255 for c in range(3)], -1).astype(float)
    i, j = np.clip(u.astype(int), 0, EDGE - 2), np.clip(v.astype(int), 0, EDGE - 2)
    quality = np.ones_like(q)
    if rim:  # bilinear over the texels on the plane
        total, trust, rgb = np.zeros_like(q), np.zeros_like(q), np.zeros((*q.shape, 3))
        for di, dj in ((0, 0), (1, 0), (0, 1), (1, 1)):
            its_q = (i + di) * plane[0] + (j + dj) * plane[1] + plane[2]
            on = np.abs(cells.q_MEE[tile][j + dj, i + di] - its_q) <= AGREE * its_q
            part = on * np.abs(1 - di - (u - i)) * np.abs(1 - dj - (v - j))
            total += part
            trust += part * cells.trust_MEE[tile][j + dj, i + di]
            rgb += part[..., None] * colours[j + dj, i + di]
        inside &= total >= HALF
        total = np.maximum(total, 1e-9)
        rgb, quality = rgb / total[..., None], trust / total / 255
    if facing < 0:
        return (slice(y0, y1), slice(x0, x1)), np.where(inside, q * (1 - 2 * AGREE), -1), None, None
    point = back @ ahead @ middle
    z = (ahead @ middle)[2]
    step = (back[:2, :2] - np.outer(point[:2] / point[2], back[2, :2])) * z
    if not rim and (step**2).sum() > FINE:
        rgb = np.zeros((*q.shape, 3))
        for dx, dy in ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)):
            a, b = (np.clip(p + d, 0, EDGE - 1.001) for p, d in zip((u, v), (step @ [dx, dy])))
            i, j = a.astype(int), b.astype(int)
            f, g = (a - i)[..., None], (b - j)[..., None]
            rgb += 0.25 * (1 - g) * ((1 - f) * colours[j, i] + f * colours[j, i + 1])
            rgb += 0.25 * g * ((1 - f) * colours[j + 1, i] + f * colours[j + 1, i + 1])
    elif not rim:
        i, j = np.clip(i, 1, EDGE - 3), np.clip(j, 1, EDGE - 3)
        rgb = np.zeros((*q.shape, 3))
        for a, across in enumerate(plain_cubic(u - i)):
            for b, down in enumerate(plain_cubic(v - j)):
                rgb += (across * down)[..., None] * colours[j + b - 1, i + a - 1]

    corners = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)] if side > 1 else [(0.0, 0.0)]
    gains, slope = [], np.zeros(2)
    for d in corners:
        place = middle + side * np.array([*d, 0.0])
        depth = max((ahead @ place)[2], 1e-9)
        jacobian = (back[:2, :2] - np.outer(place[:2], back[2, :2])) * depth
        ray = to_ray @ place
        now = ray - (plane @ place) * home
        cosine = ray @ now / np.linalg.norm(ray) / np.linalg.norm(now)
        sharp = np.linalg.svd(jacobian, compute_uv=False)[1]
        gain = plain_ramp(sharp, *SHARP) * plain_ramp(cosine, *ANGLE) * plain_veil(its, home, ray, plane @ place)
        gains.append(gain)
        slope += gain * np.array(d) / side
    gain = np.mean(gains) + slope[0] * (u - middle[0]) + slope[1] * (v - middle[1])
    quality = quality * np.maximum(gain, LEAST**2)
    return (slice(y0, y1), slice(x0, x1)), np.where(inside, q, -1), quality, rgb


def plain_veil(its: Intrinsics, home: Array, ray: Array, q: float) -> float:
    """Less, the longer the line of sight from `home` to the point runs outside of what the picture saw."""
    outside = 0.0
    for normal in np.array(
        [
            [-1, 0, (its.width - its.cx) / its.fx], [1, 0, its.cx / its.fx],
            [0, -1, (its.height - its.cy) / its.fy], [0, 1, its.cy / its.fy],
        ]
    ):  # fmt: skip
        start, way = normal @ home, normal @ (ray - q * home)  # way is q times as long as it is, or a direction
        if start < 0:
            outside = max(outside, -start / max(way, 1e-9))
    metres = outside * np.linalg.norm(ray - q * home)
    return float(np.clip((metres - UNSEEN[0]) / (UNSEEN[1] - UNSEEN[0]), VEILED, 1))


def plain_cubic(f: NDArray) -> tuple:
    return (
        0.5 * f * (f * (2 - f) - 1), 0.5 * (f * f * (3 * f - 5) + 2),
        0.5 * f * (f * (4 - 3 * f) + 1), 0.5 * f * f * (f - 1),
    )  # fmt: skip


def plain_ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), LEAST), 1.0)


def render_plain(frames: list[Keyframe], camera: Array, lens: Intrinsics) -> tuple[NDArray, NDArray, NDArray]:
    """(rgb, quality before it is softened, depth) of still things, as floats: what `render` does, without its haste."""
    shape = (lens.height, lens.width)
    front = np.full(shape, -1.0)
    drawn = []
    for frame in frames:
        cells = cut(frame)
        for n in range(len(cells.tile_N)):
            cell = plain_cell(cells, n, frame.intrinsics, frame.pose, camera, lens)
            if cell is not None:
                drawn.append(cell)
                front[cell[0]] = np.maximum(front[cell[0]], cell[1])
    weights, rgbs, qs, best = np.zeros(shape), np.zeros((*shape, 3)), np.zeros(shape), np.zeros(shape)
    for where, q, quality, rgb in drawn:
        if quality is None:
            continue
        ahead = front[where]
        agrees = (q >= 0) & (q >= ahead * (1 - AGREE))  # `ahead` is the greatest: none is nearer
        gap = np.where(ahead > 0, (ahead - q) / np.maximum(AGREE * ahead, 1e-12), 0)
        quality = np.where(agrees, quality * np.maximum(1 - gap, 0), 0)
        weight = quality**STEEP
        weights[where] += weight
        rgbs[where] += weight[..., None] * rgb
        qs[where] += weight * q
        best[where] = np.maximum(best[where], quality)
    safe = np.maximum(weights, 1e-12)
    depth = np.where(weights > 0, 1 / np.maximum(qs / safe, 1 / FAR), 0)
    return np.clip(rgbs / safe[..., None], 0, 255), best, depth


def test_the_plain_twin_agrees() -> None:
    origin = np.array([0.0, 0.0, 1.6])
    frames = [
        keyframe(look(origin, 0.1, 0.0), SMALL, 0),
        keyframe(look(origin + np.array([0.5, 0.6, 0.2]), -0.2, 0.1), SMALL, 1, share=0.6),
        keyframe(look(origin + np.array([0.8, -0.9, 0.0]), 0.2, 0.0), LARGE, 2),  # finer than the view
    ]
    for place, yaw in (((0.2, -0.1, 0.1), 0.0), ((-0.8, 0.3, 0.0), -0.1), ((1.2, -0.5, 0.0), 0.5)):
        camera = look(origin + np.array(place), yaw, -0.05)
        view = render(frames, [], camera[None], SMALL)
        rgb, quality, depth = render_plain(frames, camera, SMALL)
        known = quality > 0
        assert known.mean() > 0.1
        assert ((view.confidence[0] > 0) & ~known).mean() < 0.04  # the twin leaves pinholes open
        assert (known & (view.confidence[0] == 0)).sum() <= 1
        off = np.abs(view.rgb[0][known] - rgb[known]).max(-1)
        assert (off <= 4).mean() > 0.99
        assert off.mean() < 1
        assert (np.abs(view.depth[0][known] / depth[known] - 1) < 1e-3).mean() > 0.99
        calm = inner(known, 3)
        assert (view.confidence[0][calm] <= 255 * quality[calm] + 1).mean() > 0.99
