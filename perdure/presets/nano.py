"""`nano`: the model that plays in real time on two processor cores."""

from perdure.models.config import CodecConfig
from perdure.presets.preset import Preset


def nano() -> Preset[CodecConfig]:
    return Preset("nano", width=256, height=144, horizontal_degrees=75.0)
