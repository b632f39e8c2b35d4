"""The observer: what a decoded chunk shows, so that the state can keep it.

It reads features of the chunk, the decoder's own or a `FrameObserver`'s, and speaks of the chunk's last frame: how far
each pixel is, how unsure it is of that, and whether the pixel belongs to something that moves. Where physics knows
roughly what stands where, the estimate starts from there and the observer adds what is finer.

Further heads, each off unless it was trained: what each place looks like (appearance), which of the entities that
might be here it belongs to, and what happens, in the scene and to each of them. An entity is asked for by how it is
known to look, so there is no fixed number of them and their order does not matter.

Shapes: B batch, D features, H W frame size, h w latent size, K entities asked for, L numbers that an entity is known
by, E appearance, V kinds of events.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.config import Heads

FARTHEST = 60.0  # metres, where the sky stands
NO_GUESS = 1.0  # log metres, where physics knows nothing
ABSENT = -30.0  # logit of an entity that is not asked for
NONE = Heads()


class Asked(NamedTuple):
    """The entities that might be in sight."""

    looks: Tensor  # (B, K, L)
    present: Tensor  # (B, K) False where a slot is empty


class Observation(NamedTuple):
    log_depth: Tensor  # (B, H, W) natural log of metres along the camera's z
    log_spread: Tensor  # (B, H, W) log of the expected absolute error of log_depth
    moving: Tensor  # (B, H, W) logit
    appearance: Tensor | None = None  # (B, E, H/2, W/2) of length 1: alike where the same entity shows
    entities: Tensor | None = None  # (B, 1 + K, H, W) logits: nobody, then each that was asked for
    events: Tensor | None = None  # (B, 1 + K, V) logits: in the scene, then to each that was asked for


class Observer(nn.Module):
    def __init__(self, features: int, heads: Heads = NONE) -> None:
        super().__init__()
        self.heads = heads
        self.mix = nn.Conv2d(features, features, 3, padding=1)
        self.head = nn.Conv2d(features, 12, 3, padding=1)  # 3 maps, 2x2 pixels each
        if heads.appearance:
            self.appearance = nn.Conv2d(features, heads.appearance, 1)
            self.nobody = nn.Conv2d(features, 1, 1)
            self.look = nn.Linear(heads.looks, heads.appearance)
            self.sharpness = nn.Parameter(torch.tensor(2.0))  # logarithm of
        if heads.events:
            self.events = nn.Sequential(nn.Linear(2 * features, features), nn.SiLU(), nn.Linear(features, heads.events))

    def forward(self, features_BDHW: Tensor, inverse_depth_Bhw: Tensor, asked: Asked | None = None) -> Observation:
        """Features at half the frame's size and physics' inverse depth (0 unknown or sky) in, maps at full size out."""
        mixed = F.silu(self.mix(features_BDHW))
        maps = F.pixel_shuffle(self.head(mixed), 2).float()
        guess = first_guess(inverse_depth_Bhw, maps.shape[-2:])
        found = Observation(guess + maps[:, 0], maps[:, 1].clamp(-6, 2), maps[:, 2])
        shares = None
        if self.heads.appearance:
            appearance = F.normalize(self.appearance(mixed).float(), dim=1)
            found = found._replace(appearance=appearance)
            if asked is not None:
                logits = self.likeness(mixed, appearance, asked)
                large = F.interpolate(logits, maps.shape[-2:], mode="bilinear", align_corners=False)
                found, shares = found._replace(entities=large), logits.softmax(1)[:, 1:]
        elif asked is not None:
            raise ValueError("expected an observer with an appearance head to ask for entities, this one has none")
        if self.heads.events:
            found = found._replace(events=self.events(pooled(mixed.float(), shares)))
        return found

    def likeness(self, mixed_BDHW: Tensor, appearance_BEHW: Tensor, asked: Asked) -> Tensor:
        """(B, 1 + K, H/2, W/2) logits: how well a place looks like each entity, against nobody at all."""
        if asked.looks.shape[-1] != self.heads.looks:
            raise ValueError(f"expected looks of {self.heads.looks} numbers, got {asked.looks.shape[-1]}")
        known = F.normalize(self.look(asked.looks).float(), dim=-1)
        alike = torch.einsum("bkc,bchw->bkhw", known, appearance_BEHW) * self.sharpness.exp()
        alike = alike.masked_fill(~asked.present[:, :, None, None], ABSENT)
        return torch.cat([self.nobody(mixed_BDHW).float(), alike], 1)


def pooled(features_BDHW: Tensor, shares_BKHW: Tensor | None) -> Tensor:
    """(B, 1 + K, 2D): the mean and the greatest of the features, over the scene and over what each entity covers.

    Where nothing of an entity is in sight there is nothing to tell: its row is nearly zero.
    """
    scene = torch.cat([features_BDHW.mean((-2, -1)), features_BDHW.amax((-2, -1))], -1).unsqueeze(1)
    if shares_BKHW is None:
        return scene
    total = shares_BKHW.sum((-2, -1)).unsqueeze(-1)
    mean = torch.einsum("bkhw,bdhw->bkd", shares_BKHW, features_BDHW) / (total + 1)
    most = torch.stack([(features_BDHW * share.unsqueeze(1)).amax((-2, -1)) for share in shares_BKHW.unbind(1)], 1)
    return torch.cat([scene, torch.cat([mean, most], -1)], 1)


def first_guess(inverse_depth_Bhw: Tensor, size: torch.Size) -> Tensor:
    """Log depth at full size: inverse depth is linear across a plane, so enlarging it is exact on walls and floors."""
    large = F.interpolate(inverse_depth_Bhw.float().unsqueeze(1), size, mode="bilinear", align_corners=False).squeeze(1)
    known = (inverse_depth_Bhw.flatten(1).amax(1) > 0).view(-1, 1, 1)
    return torch.where(known, -torch.log(large.clamp_min(1 / FARTHEST)), torch.full_like(large, NO_GUESS))


def observer_loss(
    found: Observation,
    depth_BHW: Tensor,
    moving_BHW: Tensor,
    entities_BHW: Tensor | None = None,
    events_BKV: Tensor | None = None,
) -> Tensor:
    """Laplace likelihood of the depth with its own spread, and cross-entropy of all that is yes or no.

    `entities` numbers who shows in each pixel: 0 nobody, k the k-th asked for, -1 not known. `events` is (B, 1 + K, V):
    1 where it happens, 0 where not, NaN where that is not known.
    """
    error = (found.log_depth - torch.log(depth_BHW.clamp_min(0.05))).abs()
    depth = error * torch.exp(-found.log_spread) + found.log_spread
    loss = depth.mean() + error.mean() + F.binary_cross_entropy_with_logits(found.moving, moving_BHW)
    if entities_BHW is not None and found.entities is not None:
        loss = loss + F.cross_entropy(found.entities, entities_BHW, ignore_index=-1)
    if events_BKV is not None and found.events is not None:
        told = ~events_BKV.isnan()
        loss = loss + F.binary_cross_entropy_with_logits(found.events[told], events_BKV[told])
    return loss
