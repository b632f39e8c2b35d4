"""What a preset says: the sizes of a model, and how it is run. A player reads it without importing torch."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from perdure.models.config import NANO, CodecConfig, TransformerConfig
from perdure.world.action import FRAMES_PER_SECOND, Rates

Codec = TypeVar("Codec")


@dataclass(frozen=True)
class Prompting:
    """How a whole clip is made of a prompt, as the makers of a model advise; a folder may say otherwise."""

    frames: int = 81
    steps: int = 50
    shift: float = 3.0
    guidance: tuple[float, ...] = (5.0,)  # one for each expert, that of high noise first
    boundary: float | None = None  # the noise level at and above which the first of two experts is asked


@dataclass(frozen=True)
class Preset(Generic[Codec]):
    name: str
    width: int
    height: int
    horizontal_degrees: float
    codec: Codec = cast(Any, CodecConfig())
    dit: TransformerConfig = NANO
    sigmas: tuple[float, ...] = (1.0, 0.5)  # noise levels at which the sampler asks the model
    keyframes: int = 24  # recalled into one view
    points: int = 300_000  # valid pixels recalled into one view
    rates: Rates = Rates()  # of a new world's player: what the model was trained to see
    latents: int = 1  # a chunk
    channels: int = 16  # of a latent
    stride: tuple[int, int, int] = (4, 8, 8)  # frames, rows and columns of pixels to one cell of a latent
    fps: float = FRAMES_PER_SECOND
    text: str = ""  # what reads words: "umt5", or nothing
    prompting: Prompting | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.latents <= 4:
            raise ValueError(f"expected 1 to 4 latents a chunk, got {self.latents}")
        if self.height % self.stride[1] or self.width % self.stride[2]:
            raise ValueError(f"expected a picture of whole cells {self.stride[1:]}, got {self.height} by {self.width}")

    @property
    def frames(self) -> int:
        """Of a chunk."""
        return self.latents * self.stride[0]

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return self.channels, self.height // self.stride[1], self.width // self.stride[2]
