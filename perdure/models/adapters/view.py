"""The state's view: what is known of the coming frames, added to the tokens through a patch embedding of its own.

Shapes: B batch, V channels (the view's latents, how far it covers them, what physics knows), T latents, h w cells,
N tokens, E width of the model.
"""

from torch import Tensor, nn


class View(nn.Conv3d):
    """(B, V, T, h, w) to (B, N, E); it has no bias, so that an empty view says as much as none."""

    def __init__(self, channels: int, patch: tuple[int, int, int], dim: int) -> None:
        super().__init__(channels, dim, patch, stride=patch, bias=False)
        nn.init.zeros_(self.weight)

    def forward(self, view: Tensor) -> Tensor:
        return super().forward(view.to(self.weight.dtype)).flatten(2).transpose(1, 2)
