"""The sizes of the models, apart from the models: a player reads them without importing torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CodecConfig:
    """Frames to latents and back: stride 4 in time, 8 in space."""

    latent_channels: int = 16
    frames: int = 4
    encoder_widths: tuple[int, int] = (96, 128)  # at 1/4 and 1/8 of the frame
    decoder_widths: tuple[int, int, int] = (160, 96, 48)  # at 1/8, 1/4 and 1/2
    blocks: int = 2


@dataclass(frozen=True)
class DitConfig:
    """The latent transformer."""

    latent_channels: int = 16
    dim: int = 256
    layers: int = 8
    look_back_every: int = 2  # of so many layers one attends to memories, the others to the chunk alone
    head_dim: int = 64
    ffn_ratio: int = 4
    patch: int = 2
    actions: int = 10
    recent: int = 4  # memory slots for what came just before
    recalled: int = 4  # memory slots for what was seen from near here
    camera_scale: float = 0.2  # a metre, as the camera attention sees it

    @property
    def memories(self) -> int:
        return self.recent + self.recalled

    @property
    def memory_layers(self) -> tuple[int, ...]:
        """The layers that attend to memories, and so the ones whose keys and values are kept."""
        return tuple(range(self.look_back_every - 1, self.layers, self.look_back_every))

    @property
    def heads(self) -> int:
        return self.dim // self.head_dim
