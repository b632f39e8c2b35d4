"""The observer's heads learn what there is to see in small made-up films, well past what guessing gives."""

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from perdure.models.config import CodecConfig, FrameObserverConfig, Heads
from perdure.models.decoder import Decoder
from perdure.models.frame_observer import FrameObserver
from perdure.models.observer import Asked, Observation, Observer, observer_loss

KINDS = torch.tensor([[1.0, 0.2, 0.1], [0.1, 0.9, 0.3], [0.2, 0.3, 1.0], [0.9, 0.9, 0.1]])
"""How four entities look; each is known by these three numbers."""
HEADS = Heads(appearance=8, looks=3, events=2)


def films(count: int, seed: int) -> dict[str, Tensor]:
    """Floors under haze, so that what is far is pale, at one slant or another; and on them two striped discs.

    The first disc moves or stands; it may flash at the end, and the light may fall.
    """
    draw = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=draw)

    h, w = 32, 48
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    depth = uniform(0.5, 2) * 60 / ((y / h + uniform(-0.5, 0.5) * x / w).clamp_min(0) * 12 + 3)
    frames = (0.8 - 0.6 * torch.exp(-depth / 12))[:, None, None].expand(count, 4, 3, h, w).clone()
    who = torch.stack([torch.randperm(4, generator=draw)[:3] for _ in range(count)])  # asked for; the last is elsewhere
    moves = torch.rand(count, 1, 1, generator=draw) < 0.5
    flash, fall = (torch.rand(count, generator=draw) < 0.5 for _ in range(2))
    entities, moving = torch.zeros(count, h, w, dtype=torch.long), torch.zeros(count, h, w)
    for disc, (left, right) in enumerate(((9, 15), (33, 39))):
        cx, cy = uniform(left, right), uniform(10, 22)
        for t in range(4):
            shift = (3 - t) * 3 * moves.float() if disc == 0 else torch.zeros(count, 1, 1)
            inside = (x - cx + shift) ** 2 + (y - cy) ** 2 < 9**2
            colour = KINDS[who[:, disc]]
            if disc == 0 and t == 3:
                colour = torch.where(flash[:, None], torch.ones(3), colour)
            stripes = 0.75 + 0.25 * torch.sin(1.5 * (x - cx + shift))
            frames[:, t] = torch.where(inside[:, None], colour[:, :, None, None] * stripes[:, None], frames[:, t])
        entities[inside], moving[inside] = disc + 1, (moves.float() * (disc == 0)).expand_as(moving)[inside]
        depth = torch.where(inside, 2.0, depth)
    frames[:, 3] *= torch.where(fall, 0.5, 1.0)[:, None, None, None]
    events = torch.full((count, 4, 2), float("nan"))
    events[:, 0, 0], events[:, 1, 1] = fall.float(), flash.float()  # the light falls; the first disc is struck
    events[:, 2, 1] = 0
    return {
        "frames": frames + 0.02 * torch.randn(frames.shape, generator=draw),
        "depth": depth,
        "moving": moving,
        "entities": entities,
        "events": events,
        "looks": KINDS[who],
    }


def trained(model: torch.nn.Module, look: Callable[[dict[str, Tensor]], Observation], steps: int) -> Observation:
    """What a model says of films that it has not seen, once it has learnt for a few seconds."""
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    for step in range(steps):
        batch = films(8, seed=step + 1)
        loss = observer_loss(look(batch), batch["depth"], batch["moving"], batch["entities"], batch["events"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return look(films(32, seed=0))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small convolutions spend more on waking threads than on numbers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def everyone(batch: dict[str, Tensor]) -> Asked:
    return Asked(batch["looks"], torch.ones(batch["looks"].shape[:2], dtype=torch.bool))


@pytest.mark.usefixtures("one_thread")
def test_from_frames_alone_all_of_it_is_learnt() -> None:
    torch.manual_seed(0)
    model = FrameObserver(FrameObserverConfig(widths=(16, 24, 32), heads=HEADS))
    found = trained(model, lambda batch: model(batch["frames"], None, everyone(batch)), 220)
    true = films(32, seed=0)
    log_depth = true["depth"].log()
    error = (found.log_depth - log_depth).abs()
    guess = (log_depth - log_depth.median(0).values).abs().mean()  # the usual depth of each pixel
    assert error.mean() < 0.5 * guess
    # Confidence: where it says that it is surer, it is.
    sure = found.log_spread < found.log_spread.median()
    assert error[sure].mean() < 0.5 * error[~sure].mean()
    wrong = ((found.moving > 0) != (true["moving"] > 0.5)).float().mean()
    assert wrong < 0.65 * true["moving"].mean()
    assert found.entities is not None and found.events is not None
    wrong = (found.entities.argmax(1) != true["entities"]).float().mean()
    assert wrong < 0.25 * (true["entities"] > 0).float().mean()
    told = ~true["events"].isnan()
    wrong = ((found.events[told] > 0) != (true["events"][told] > 0.5)).float().mean()
    assert wrong < 0.06  # by chance a third would be


def test_the_order_of_those_asked_for_does_not_matter_and_who_is_absent_is_nowhere() -> None:
    torch.manual_seed(1)
    observer = Observer(16, HEADS).eval()
    features, known, looks = torch.randn(2, 16, 8, 12), torch.rand(2, 2, 3), torch.randn(2, 3, 3)
    present = torch.tensor([[True, True, False], [True, True, True]])
    one = observer(features, known, Asked(looks, present))
    order = [2, 0, 1]
    other = observer(features, known, Asked(looks[:, order], present[:, order]))
    assert one.entities is not None and other.entities is not None
    assert one.events is not None and other.events is not None
    torch.testing.assert_close(other.entities[:, 1:], one.entities[:, 1:][:, order])
    torch.testing.assert_close(other.events[:, 1:], one.events[:, 1:][:, order])
    assert one.entities[0, 3].max() < -20 and one.entities.shape == (2, 4, 16, 24) and one.events.shape == (2, 4, 2)
    assert one.appearance is not None
    torch.testing.assert_close(one.appearance.norm(dim=1), torch.ones(2, 8, 12))
    # More slots, if they are empty, change nothing that is said of the others.
    more = Asked(torch.cat([looks, looks], 1), torch.cat([present, torch.zeros(2, 3, dtype=torch.bool)], 1))
    wide = observer(features, known, more)
    assert wide.entities is not None
    torch.testing.assert_close(wide.entities[:, :4], one.entities)


def test_nano_has_no_head_that_was_not_trained() -> None:
    """Its weights are those of before, by name and in number."""
    decoder = Decoder(CodecConfig())
    names = {name for name in decoder.state_dict() if name.startswith("observer.")}
    assert names == {f"observer.{layer}.{part}" for layer in ("mix", "head") for part in ("weight", "bias")}
    found = decoder.observer(torch.randn(1, 48, 4, 6), torch.zeros(1, 1, 1))
    assert found.appearance is None and found.entities is None and found.events is None
    with pytest.raises(ValueError, match="appearance head"):
        decoder.observer(torch.randn(1, 48, 4, 6), torch.zeros(1, 1, 1), Asked(torch.zeros(1, 1, 3), torch.ones(1, 1)))


def test_where_physics_knows_the_walls_the_estimate_starts_from_there() -> None:
    model = FrameObserver(FrameObserverConfig(widths=(8, 8, 8))).eval()
    for parameter in model.observer.head.parameters():
        torch.nn.init.zeros_(parameter)
    inverse = torch.linspace(0.1, 0.5, 6).view(1, 1, 6).expand(1, 4, 6)
    found = model(torch.rand(1, 4, 3, 32, 48), inverse)
    large = F.interpolate(inverse.unsqueeze(1), (32, 48), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(found.log_depth, -large.log())


def test_a_stream_that_began_with_one_frame_is_observed_as_if_it_had_stood_still() -> None:
    torch.manual_seed(2)
    model = FrameObserver(FrameObserverConfig(widths=(8, 8, 8))).eval()
    frame = torch.rand(1, 1, 3, 16, 32)
    one, four = model(frame), model(frame.expand(1, 4, 3, 16, 32))
    assert torch.equal(one.log_depth, four.log_depth)
    more = torch.cat([torch.rand(1, 12, 3, 16, 32), frame.expand(1, 4, 3, 16, 32)], 1)  # a chunk of four latents
    assert torch.equal(model(more).log_depth, four.log_depth)
    with pytest.raises(ValueError, match=r"multiple of 16.*got \(1, 4, 3, 20, 32\)"):
        model(torch.rand(1, 4, 3, 20, 32))
