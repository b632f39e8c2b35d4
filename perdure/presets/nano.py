"""`nano`: the model that plays in real time on two processor cores."""

from dataclasses import dataclass, field

from perdure.models.config import CodecConfig, DitConfig
from perdure.world.action import Rates


@dataclass(frozen=True)
class Preset:
    name: str
    width: int
    height: int
    horizontal_degrees: float
    codec: CodecConfig = field(default_factory=CodecConfig)
    dit: DitConfig = field(default_factory=DitConfig)
    sigmas: tuple[float, ...] = (1.0, 0.5)  # noise levels at which the sampler asks the model
    keyframes: int = 24  # recalled into one view
    points: int = 300_000  # valid pixels recalled into one view
    rates: Rates = Rates()  # of a new world's player: what the model was trained to see

    @property
    def frames(self) -> int:
        return self.codec.frames

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return self.codec.latent_channels, self.height // 8, self.width // 8


def nano() -> Preset:
    return Preset("nano", width=256, height=144, horizontal_degrees=75.0)
