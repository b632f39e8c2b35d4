"""Rays: where a pixel looks, as the arrays' camera says; laid out as LingBot-World's weights expect them."""

import numpy as np
import pytest
import torch

from perdure import camera as arrays
from perdure.models.adapters.rays import Rays, RayShift, channels, folded, ray_map
from perdure.models.camera import look
from tests.test_camera import LENS

NORMALISED = torch.from_numpy(LENS.normalised())


def walk(count: int = 3) -> torch.Tensor:
    steps = torch.arange(count, dtype=torch.float64)
    return look(torch.stack([0.4 * steps, 0.1 * steps, 0 * steps], -1), 0.3 * steps, 0.1 * steps)[None]


def test_a_pixel_looks_where_the_arrays_camera_says_it_does() -> None:
    poses = walk()
    h, w = LENS.height, LENS.width
    rays = ray_map(poses, NORMALISED.expand(1, 3, 4), None, h, w, 1.0)
    assert rays.shape == (1, 6, 3, h, w)
    for t in range(3):
        step = arrays.relative(poses[0, t].numpy(), poses[0, max(0, t - 1)].numpy())
        origin, direction = rays[0, :3, t].permute(1, 2, 0).numpy(), rays[0, 3:, t].permute(1, 2, 0).numpy()
        ahead = arrays.unproject(np.ones((h, w)), LENS, step)  # a point of each pixel
        np.testing.assert_allclose(np.linalg.norm(direction, axis=-1), 1, atol=1e-12)
        np.testing.assert_allclose(np.cross(ahead - origin, direction), 0, atol=1e-9)
        np.testing.assert_allclose(origin, np.broadcast_to(step[:3, 3], origin.shape), atol=1e-12)


def test_a_stream_gives_the_rays_of_the_whole() -> None:
    """Latent by latent, with the pose that came last; the scale is fixed, so what comes later changes nothing."""
    poses, lens = walk(5), NORMALISED.expand(1, 5, 4)
    whole = ray_map(poses, lens, None, 18, 32, 2.5)
    for t in range(1, 5):
        one = ray_map(poses[:, t : t + 1], lens[:, t : t + 1], poses[:, t - 1], 18, 32, 2.5)
        torch.testing.assert_close(one, whole[:, :, t : t + 1])
    assert torch.equal(ray_map(poses[:, :2], lens[:, :2], None, 18, 32, 2.5), whole[:, :, :2])
    still = ray_map(poses[:, :1].expand(1, 4, 4, 4), lens[:, :4], None, 18, 32, 2.5)
    assert not still[:, :3].any()


def test_pixels_are_folded_channel_by_channel_row_by_row() -> None:
    torch.manual_seed(0)
    rays, keys = torch.randn(2, 6, 3, 16, 24), torch.randn(2, 3, 4)
    both = folded(rays, keys, "rays-keys", 8)
    assert both.shape == (2, channels("rays-keys", 4) * 64, 3, 2, 3)
    for c, row, column in ((0, 0, 0), (2, 3, 5), (5, 7, 7)):
        expected = rays[:, c, :, row::8, column::8]
        assert torch.equal(both[:, c * 64 + row * 8 + column], expected)
    assert torch.equal(both[:, 384 + 64 + 9], keys[:, :, 1, None, None].expand(2, 3, 2, 3))
    assert torch.equal(folded(rays, None, "rays", 8), both[:, :384])
    assert torch.equal(folded(rays, keys, "directions-keys", 8), both[:, 192:])
    with pytest.raises(ValueError, match=r"keys.*rays-keys"):
        folded(rays, None, "rays-keys", 8)
    with pytest.raises(ValueError, match="beams"):
        channels("beams", 4)


@torch.no_grad()
def test_a_token_has_the_rays_of_its_own_cells() -> None:
    torch.manual_seed(0)
    rays = torch.randn(1, 64, 2, 4, 6)
    module = Rays(64, (1, 2, 2), 16)
    tokens = module(rays)
    assert tokens.shape == (1, 2 * 2 * 3, 16)
    t, row, column = 1, 1, 2
    cells = rays[0, :, t, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten()  # channel, row, column
    c = module.patch_embedding(cells)
    expected = c + module.linear_2(torch.nn.functional.silu(module.linear_1(c)))
    torch.testing.assert_close(tokens[0, t * 6 + row * 3 + column], expected)


def test_they_change_nothing_before_they_learn_and_then_all_of_it_learns() -> None:
    torch.manual_seed(0)
    module, x = torch.nn.ModuleList([Rays(24, (1, 2, 2), 16), RayShift(16)]), torch.randn(1, 6, 16)
    rays = torch.randn(1, 24, 1, 4, 6)
    assert torch.equal(module[1](x, module[0](rays)), x)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        (module[1](x, module[0](rays)) - 1).square().mean().backward()
        optimiser.step()
    assert all(p.grad is not None and p.grad.any() for p in module.parameters())
    assert not torch.equal(module[1](x, module[0](rays)), module[1](x, module[0](-rays)))
