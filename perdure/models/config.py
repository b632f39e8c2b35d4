"""The sizes of the models, apart from the models: a player reads them without importing torch."""

from dataclasses import dataclass
from math import exp

HISTORIES = ("full", "chunk-causal", "memory-and-chunk", "history-and-target", "block-diagonal")
"""Who may look at whom; `attention.visible` says what each means."""


@dataclass(frozen=True)
class Heads:
    """What an observer tells besides depth and movement: all off until it is trained."""

    appearance: int = 0  # numbers for what a place looks like; with it entities can be asked for
    looks: int = 0  # numbers that an entity is known by
    events: int = 0  # kinds of events


@dataclass(frozen=True)
class FrameObserverConfig:
    """An observer of frames alone."""

    frames: int = 4  # the last of a chunk
    widths: tuple[int, ...] = (32, 64, 96, 128)  # at 1/2, 1/4, 1/8 and 1/16 of the frame
    blocks: int = 1
    heads: Heads = Heads()


@dataclass(frozen=True)
class CodecConfig:
    """Frames to latents and back: stride 4 in time, 8 in space."""

    latent_channels: int = 16
    frames: int = 4
    encoder_widths: tuple[int, int] = (96, 128)  # at 1/4 and 1/8 of the frame
    decoder_widths: tuple[int, int, int] = (160, 96, 48)  # at 1/8, 1/4 and 1/2
    blocks: int = 2
    heads: Heads = Heads()  # of its observer


@dataclass(frozen=True)
class TaehvConfig:
    """The tiny autoencoder of Wan's latents; as it stands, the one of Wan 2.1 (`taew2_1`)."""

    channels: int = 16
    patch: int = 1  # pixels, each way, that are folded into channels
    pool: tuple[int, ...] = (2, 2, 1)  # frames into one, at each halving of the picture
    grow: tuple[int, ...] = (1, 2, 2)  # and back
    encoder_width: int = 64
    decoder_widths: tuple[int, ...] = (256, 128, 64, 64)


TAEW2_1 = TaehvConfig()
TAEW2_2 = TaehvConfig(channels=48, patch=2)


@dataclass(frozen=True)
class Adapters:
    """What is added to Wan's transformer: each is off by default, and starts at zero when it is on."""

    keys: str = ""  # "multi-hot" (features, as numbers) or "81-way" (a class): joins the time embedding
    key_features: int = 10
    camera: str = ""  # "prope" or "fx_fy": a second attention; "heads": the channels of a head that do not turn
    camera_scale: float = 0.2  # a metre, as cameras see it
    setting: int = 0  # features of hour, weather, season and style: join the time embedding of what is drawn
    rays: str = ""  # "rays" (6 channels), "rays-keys" (and the features of keys) or "directions-keys"
    ray_fold: int = 8  # pixels along the side of a latent's cell
    ray_scale: float = 2.5  # a metre, as rays see it
    view: int = 0  # channels: the state's view as a latent, its coverage, the proxy
    identity: int = 0  # features of an entity
    words: str = ""  # "template", "slots", "index" or "factors": what each entity is told
    word_dim: int = 128  # channels of an embedded word
    word_slots: int = 4  # entities that can be told something at once
    word_length: int = 16  # words of each
    word_kinds: int = 0  # rows in the tables of "index" and "factors",
    word_deeds: int = 0
    word_rank: int = 16  # length of the codes of "factors",
    word_frozen: bool = True  # and whether they stay as words made them

    @property
    def told(self) -> tuple[int, int]:
        """Slots, and words of each: a template has one, as long as the sentences of all entities."""
        return (
            (1, self.word_slots * self.word_length) if self.words == "template" else (self.word_slots, self.word_length)
        )


@dataclass(frozen=True)
class TransformerConfig:
    """Wan's transformer and its relatives. The defaults are Wan 2.1 of 1.3 billion parameters."""

    in_channels: int = 16  # what is denoised, and what image-to-video gives with it
    out_channels: int = 16
    heads: int = 12
    head_dim: int = 128
    layers: int = 30
    ffn: int = 8960
    patch: tuple[int, int, int] = (1, 2, 2)
    eps: float = 1e-6
    # Time: noise level 1 is timestep `timesteps`, told by waves of which the fastest is `time_base` times the slowest.
    timesteps: float = 1000.0
    time_base: float = 10_000.0
    frequency_dim: int = 256
    # Text and image; 0 is none.
    text_dim: int = 4096
    text_length: int = 512
    image_dim: int = 0
    image_tokens: int = 0  # of first and last frame together, where their places are learned
    # Positions: channels of a head that turn by time, row and column; what is left of a head carries a camera.
    rotary: tuple[int, int, int] | None = None  # None: Wan's shares of the whole head
    rotary_base: float = 10_000.0
    rotary_pairs: str = "neighbours"  # or "halves": channel i turns with i + half of them, quicker on a processor
    # Memory: which latents may be seen (`HISTORIES`), by which layers, and how many.
    history: str = "full"
    look_back_every: int = 1  # of so many layers one attends to memories, the others to the chunk alone
    sink: int = 0  # slots for the very first latents
    recent: int = 0  # slots for what came just before
    recalled: int = 0  # slots for what was seen from near here
    adapters: Adapters = Adapters()

    def __post_init__(self) -> None:
        if any(axis % 2 for axis in self.axes):
            raise ValueError(f"expected even numbers of channels that turn, got {self.axes}")
        left = self.head_dim - sum(self.axes)
        if left < 0 or left % 4 or (left > 0) != (self.adapters.camera == "heads"):
            raise ValueError(
                f"expected channels {self.axes} that turn to fill a head of {self.head_dim}, or with "
                f"adapters.camera='heads' to leave a multiple of four, got {left} left with {self.adapters.camera!r}"
            )
        if self.rotary_pairs not in ("neighbours", "halves"):
            raise ValueError(f"expected rotary_pairs of 'neighbours' or 'halves', got {self.rotary_pairs!r}")
        if self.history not in HISTORIES:
            raise ValueError(f"expected a history of {', '.join(HISTORIES)}, got {self.history!r}")
        if min(self.sink, self.recent, self.recalled) < 0:
            raise ValueError(f"expected slots of 0 or more, got {self.sink}, {self.recent} and {self.recalled}")

    @property
    def dim(self) -> int:
        return self.heads * self.head_dim

    @property
    def axes(self) -> tuple[int, int, int]:
        """Channels of a head that turn by time, row and column; of 128 with Wan, 44, 42 and 42."""
        sixth = 2 * (self.head_dim // 6)
        return self.rotary or (self.head_dim - 2 * sixth, sixth, sixth)

    @property
    def memories(self) -> int:
        return self.sink + self.recent + self.recalled

    @property
    def memory_layers(self) -> tuple[int, ...]:
        """The layers that attend to memories, and so the ones whose keys and values are kept."""
        return tuple(range(self.look_back_every - 1, self.layers, self.look_back_every))


NANO = TransformerConfig(
    heads=4,
    head_dim=64,
    layers=8,
    ffn=1024,
    timesteps=30.0,
    time_base=exp(4.6),
    text_dim=0,
    rotary=(8, 12, 12),
    rotary_base=100.0,
    rotary_pairs="halves",
    history="block-diagonal",
    look_back_every=2,
    recent=4,
    recalled=4,
    adapters=Adapters(keys="multi-hot", camera="heads", view=22, setting=15),  # view: latent, coverage, proxy of five
)
