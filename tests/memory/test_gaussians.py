"""Splats drawn, against the plain twin: every Gaussian at every pixel, in order of depth, with nothing cut off."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.bench.splat import twin
from perdure.camera import Intrinsics, look, project
from perdure.memory.gaussians import BASE, CLOSED, draw, from_keyframe, lay_over, shaded
from perdure.memory.recall import look as see
from perdure.memory.view import render
from perdure.presets.nano import nano
from perdure.world.geometry import Keyframe
from perdure.world.splats import NOBODY, Rows, Splats, blank, pack
from tests.world import yard

LENS = Intrinsics.from_fov(50, 37, 75.0)  # no whole number of tiles
HERE = look(np.array([0.2, -0.1, 0.3]), 0.1, -0.05)


def cloud(count: int, seed: int, harmonics: int = 0, size: float = 0.15) -> Rows:
    random = np.random.default_rng(seed)
    rows = blank(count, harmonics=harmonics)
    rows["mean"] = random.normal([2, 0, 0], 2, (count, 3))
    rows["rotation"] = random.normal(size=(count, 4))
    rows["scale"] = np.log(random.uniform(0.02, size, (count, 3)))
    rows["opacity"], rows["colour"] = random.normal(0, 3, count), random.normal(0, 1.5, (count, 3))
    rows["harmonics"] = random.normal(0, 0.3, rows["harmonics"].shape)
    return rows


def drawn(rows: Rows, camera: np.ndarray = HERE, lens: Intrinsics = LENS, **more) -> np.ndarray:
    layer = draw(Splats().write(pack(rows)), camera, lens, **more)
    return np.concatenate([layer.rgb, layer.depth[..., None], layer.alpha[..., None]], -1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 3]), st.sampled_from([0.1, 0.5, 3.0]))
def test_the_picture_is_that_of_the_twin(seed: int, harmonics: int, size: float) -> None:
    rows = cloud(60, seed, harmonics, size)
    bodies = {0: look(np.array([1.0, 0.3, 0.2]), 0.7, 0.3), 4: look(np.array([-0.5, 0, 0]), -1.0, 0.0)}
    rows["entity"] = np.random.default_rng(seed).choice([NOBODY, 0, 3, 4], 60)  # of 3 nobody knows where it is
    true, ours = twin(rows, HERE, LENS, bodies), drawn(rows, bodies=bodies)
    assert true[..., 4].max() > 0.1
    reach = np.array([1, 1, 1, 8, 1]) * 4.0  # the brightest and the farthest that may be missing behind a closed pixel
    assert (np.abs(ours - true) <= CLOSED * reach + 1e-6).all(), np.abs(ours - true).reshape(-1, 5).max(0)


def test_the_bytes_are_the_same_however_many_threads_draw() -> None:
    rows = cloud(3000, 1)
    one = drawn(rows, threads=1).tobytes()
    assert all(drawn(rows, threads=n).tobytes() == one for n in (2, 3, 7))
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(lambda _: drawn(rows).tobytes(), range(6))) == {one}
    shuffled = np.random.default_rng(0).permutation(rows)
    assert drawn(shuffled).tobytes() == one  # a number is a number, whenever it was written


def test_harmonics_are_orthonormal_over_the_sphere() -> None:
    """So their constants are right; their order and signs are those of the files (`tests/world/test_cloud.py`)."""
    heights, weights = np.polynomial.legendre.leggauss(8)
    turns = np.arange(16) * np.pi / 8
    table = np.zeros((16, 8, 16))
    for k in range(16):
        base, harmonics = np.full(3, 10.0), np.zeros((15, 3), np.float32)
        if k:
            harmonics[k - 1] = 1
        for n, z in enumerate(heights):
            for m, turn in enumerate(turns):
                r = np.sqrt(1 - z * z)
                table[k, n, m] = shaded(base, harmonics, r * np.cos(turn), r * np.sin(turn), z)[0] - 10 if k else BASE
    products = np.einsum("inm,jnm,n->ij", table, table, weights) * np.pi / 8
    np.testing.assert_allclose(products, np.eye(16), atol=1e-6)


def test_one_splat_lies_where_its_middle_is_projected() -> None:
    row = blank(1)
    row["mean"], row["scale"], row["opacity"] = [3, 0.4, 0.7], np.log(0.05), 4.0
    (x, y), _ = project(row["mean"].astype(float), LENS, HERE)[0][0], 0
    picture = drawn(row)
    j, i = np.unravel_index(picture[..., 4].argmax(), picture.shape[:2])
    assert (i, j) == (int(x), int(y))
    alpha = picture[..., 4]
    rows, columns = np.indices(alpha.shape) + 0.5
    np.testing.assert_allclose(
        [(alpha * columns).sum() / alpha.sum(), (alpha * rows).sum() / alpha.sum()], [x, y], atol=0.02
    )


def test_nothing_shows_behind_a_wall_or_behind_the_camera() -> None:
    rows = cloud(200, 2)
    behind = HERE.copy()
    behind[:3, 3] += 100 * HERE[:3, 2]
    assert not drawn(rows, behind).any()
    assert not drawn(rows, wall=np.full((37, 50), 0.01, np.float32)).any()
    free = drawn(rows)
    wall = np.where(np.arange(50) < 25, 0.01, np.inf).astype(np.float32)[None].repeat(37, 0)
    half = drawn(rows, wall=wall)
    assert not half[:, :25].any() and half[:, 25:].tobytes() == free[:, 25:].tobytes()
    with pytest.raises(ValueError, match="size"):
        drawn(rows, wall=wall[:-1])


def test_splats_of_a_keyframe_look_as_the_keyframe_does() -> None:
    """A slanted, coloured wall with a box before it: from where it was seen, and from a step aside."""
    lens = Intrinsics.from_fov(128, 96, 75.0)
    columns, rows = np.meshgrid(np.arange(128), np.arange(96))
    metres = 3 + columns / 128
    metres[30:60, 40:70] = 2.0
    colour = np.stack([columns * 2, rows * 2, 128 + 60 * np.sin(columns / 9)], -1).astype(np.uint8)
    depth = np.rint(metres * 1000).astype(np.uint16)
    depth[:10] = 60_000  # sky
    keyframe = Keyframe(0, HERE, lens, colour, depth, np.ones((96, 128), np.bool_))
    splats = Splats().write(pack(from_keyframe(keyframe)))
    assert len(splats) == 86 * 128
    aside = look(HERE[:3, 3] + [0.3, 0.2, 0.1], 0.15, 0.0)
    for camera in (HERE, aside):
        layer, view = draw(splats, camera, lens), render([keyframe], [], camera[None], lens)
        both = (layer.alpha > 0.95) & (view.confidence[0] > 128) & (view.depth[0] < 50)
        assert both.mean() > 0.7
        error = (255 * layer.rgb - view.rgb[0])[both]
        assert 10 * np.log10(255**2 / (error**2).mean()) > 26
        off = np.abs(layer.depth / np.maximum(layer.alpha, 0.1) - view.depth[0])[both]
        assert np.median(off) < 0.03 and np.quantile(off, 0.9) < 0.1
    assert draw(splats, HERE, lens).alpha[:8].max() < 0.01
    assert len(from_keyframe(keyframe, 2)) == 43 * 64


def test_a_world_without_splats_is_drawn_as_ever_and_one_with_them_has_them_where_they_are() -> None:
    world = yard.step(yard.world(), yard.Action(1))
    preset = replace(nano(), width=16, height=16)
    proxy = world.physics.proxy(world.motion, 4, 3)
    bare = see(world, preset, proxy)
    eye = world.motion.cameras[-1]
    rows = blank(1)
    rows["mean"], rows["scale"], rows["opacity"] = eye[:3, 3] + 0.3 * eye[:3, 2], np.log(0.1), 6.0
    rows["colour"] = (np.array([1, 0, 0]) - 0.5) / BASE
    geometry = replace(world.geometry, splats=world.geometry.splats.write(pack(rows)))
    with_one = see(replace(world, geometry=geometry), preset, proxy)
    middle = -1, 6, 8
    assert with_one.rgb[middle].tolist() == pytest.approx([255, 0, 0], abs=12)
    assert with_one.depth[middle] == pytest.approx(0.3, abs=0.02)
    assert with_one.confidence[middle] > 240
    assert see(world, preset, proxy).rgb.tobytes() == bare.rgb.tobytes()


def test_splats_of_a_body_go_where_it_goes() -> None:
    view = render([], [], np.stack([HERE, HERE]), LENS)
    rows = blank(1)
    rows["entity"], rows["scale"], rows["opacity"] = 5, np.log(0.05), 6.0
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[:, :3, 3] = HERE[:3, 3] + 2 * HERE[:3, 2] + [0.5 * HERE[:3, 0], -0.5 * HERE[:3, 0]]
    splats = Splats().write(pack(rows))
    laid = lay_over(view, splats, np.stack([HERE, HERE]), LENS, {5: poses})
    for t in range(2):
        (x, y) = project(poses[t, None, :3, 3], LENS, HERE)[0][0]
        j, i = np.unravel_index(laid.confidence[t].argmax(), (37, 50))
        assert (i, j) == (int(x), int(y))
    nowhere = lay_over(view, splats, np.stack([HERE, HERE]), LENS, {})
    assert not nowhere.confidence.any() and not nowhere.rgb.any()
