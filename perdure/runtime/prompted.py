"""A prompt to a film, as Wan was made to: text to latents to frames, through our own parts.

A whole clip at once, with no world behind it: what diffusers' WanPipeline and WanImageToVideoPipeline make of the same
noise. What a Wan folder says of itself (`model_index.json`, `scheduler/`) is followed. It needs torch, so nothing that
plays `nano` imports it.

Shapes: B batch, C latent channels, T latents, h w latent size, F frames, H W frame size, S tokens, E channels of text.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from perdure.models import pretrained, vae, weights
from perdure.models.config import TransformerConfig
from perdure.models.dit import Text, Transformer
from perdure.models.experts import HIGH, LOW, Experts
from perdure.models.text import PromptEncoder
from perdure.models.vae import WanVae
from perdure.sampling import euler_levels, guided, held, holding, noise, sample, solve, unipc_levels

GREY = 0.5
BESIDE_EYES = ("visual_projection.", "text_model.", "text_projection.", "logit_scale")
"""Parts of a whole CLIP that are not needed."""
MASK_CHANNELS = 4
"""Of what image-to-video gives with the noise: one for each frame of a latent, 1 where it is known."""


@dataclass(frozen=True)
class Solver:
    name: str  # "unipc" or "euler"
    shift: float
    order: int = 2

    def run(self, ask: Callable[[Tensor, float], Tensor], start: Tensor, steps: int) -> Tensor:
        """`ask(x, timestep)` is the model."""
        levels = (unipc_levels if self.name == "unipc" else euler_levels)(steps, self.shift)
        told = dict(zip(*levels))

        def velocity(x: Tensor, sigma: float) -> Tensor:
            return ask(x, told[sigma])

        if self.name == "unipc":
            return solve(velocity, start, levels.sigmas, self.order)
        return sample(velocity, start, levels.sigmas)


@dataclass
class Painter:
    prompts: Callable[[Sequence[str]], Tensor]  # (P, S, E)
    codec: WanVae
    config: TransformerConfig
    summon: Callable[[], Transformer | Experts]  # asked once the prompts are read, so that their encoder can go first
    solver: Solver
    clamps: bool = False  # an image is the first latent, held at level 0 (TI2V-5B), and not in channels of its own
    look: Callable[[Image.Image], Tensor] | None = None  # what Wan 2.1's image-to-video reads beside the text
    device: str | torch.device = "cpu"
    dtype: torch.dtype = torch.float32

    @cached_property
    def model(self) -> Transformer | Experts:
        return self.summon()

    def shape(self, frames: int, height: int, width: int) -> tuple[int, ...]:
        """Of the latents of a film: (1, C, T, h, w)."""
        rate, down, across = self.codec.stride
        if frames < 1 or frames % rate != 1:
            raise ValueError(
                f"expected 1 frame and {rate} for each further latent, such as {rate * 20 + 1}; got {frames}"
            )
        _, rows, columns = self.config.patch
        if height % (down * rows) or width % (across * columns) or min(height, width) < 1:
            raise ValueError(
                f"expected a height that is a multiple of {down * rows} and a width that is one of {across * columns}, "
                f"got {height} and {width}"
            )
        return 1, self.codec.channels, (frames - 1) // rate + 1, height // down, width // across

    @torch.inference_mode()
    def paint(
        self,
        prompt: str,
        image: Image.Image | None = None,
        negative: str = "",
        frames: int = 81,
        height: int = 480,
        width: int = 832,
        steps: int = 50,
        guidance: Sequence[float | Tensor] = (5.0,),
        seed: int = 0,
        start: Tensor | None = None,
        said: Callable[[float], None] = lambda share: None,
    ) -> Tensor:
        """Latents (1, C, T, h, w) of a film. `image` is its first frame, cut to its shape.

        `guidance` is a scale, or one for each expert; each may be one for each latent, (T, 1, 1). `start` is the noise,
        else it is made of `seed`. `said` is told which share of the steps is done.
        """
        self.check(image)
        if len(guidance) not in (1, 2):
            raise ValueError(f"expected one scale of guidance, or two for two experts, got {len(guidance)}")
        shape = self.shape(frames, height, width)
        start = torch.from_numpy(noise(seed, shape)) if start is None else start
        if tuple(start.shape) != shape:
            raise ValueError(
                f"expected noise of {shape} for {frames} frames of {width}x{height}, got {tuple(start.shape)}"
            )
        start, done = start.to(self.device, torch.float32), 0
        scales = [scale for scale in guidance if isinstance(scale, Tensor) or scale != 1]
        text = self.prompts([prompt, negative] if scales else [prompt]).to(self.device, self.dtype)
        heard: dict[int, list[Text | None]] = {}
        known = free = beside = read = None
        if image is not None:
            picture = fitted(image, height, width).to(self.device)
            read = self.look(image).to(self.device, self.dtype) if self.look else None
            if self.clamps:
                known, free = self.codec.encode(picture.unsqueeze(1), self.codec.start())[0], first_latent(start)
            else:
                beside = self.beside(picture, frames)

        def ask(x: Tensor, timestep: float | Tensor) -> Tensor:
            """A timestep for all, or one for each latent, (T, 1, 1)."""
            at = torch.as_tensor(timestep, dtype=torch.float32, device=x.device).view(1, -1)
            shown = (x if beside is None else torch.cat([x, beside], 1)).to(self.dtype)
            given = shown, at if at.shape[1] > 1 else at[0]
            who, model = self.asked(float(at.max()))
            if who not in heard:
                heard.clear()  # one expert's alone
                heard[who] = [model.listen(one, read) for one in text.split(1)]
            scale = guidance[-1 if who == LOW else 0]
            velocity = model(*given, heard[who][0])
            if isinstance(scale, Tensor) or scale != 1:
                velocity = guided(velocity, model(*given, heard[who][1]), scale)
            nonlocal done
            said((done := done + 1) / steps)
            return velocity

        if known is None or free is None:
            return self.solver.run(ask, start, steps)
        return held(self.solver.run(holding(ask, known, free), start, steps), known, free)

    def asked(self, timestep: float) -> tuple[int, Transformer]:
        """Who is asked at a noise level: of one transformer itself, as HIGH."""
        if not isinstance(self.model, Experts):
            return HIGH, self.model
        who = self.model.which(timestep)
        return who, cast(Transformer, self.model.expert(who))

    def check(self, image: Image.Image | None) -> None:
        beside = self.config.in_channels > self.codec.channels
        if beside and image is None:
            raise ValueError("expected an image: this model makes films of one")
        if image is not None and not beside and not self.clamps:
            raise ValueError("expected no image: this model makes films of words alone")

    def beside(self, picture: Tensor, frames: int) -> Tensor:
        """(1, 4 + C, T, h, w): which frames are known, and the latents of a film of which the others are grey."""
        film = picture.new_full((1, frames, *picture.shape[1:]), GREY)
        film[:, 0] = picture
        known = self.codec.encode(film, self.codec.start())[0]
        mask = known.new_zeros(1, MASK_CHANNELS, *known.shape[2:])
        mask[:, :, 0] = 1
        return torch.cat([mask, known], 1)

    @torch.inference_mode()
    def show(self, latents: Tensor) -> Iterator[Tensor]:
        """Frames (F, 3, H, W) in [0, 1], a latent's at a time: one of the first, then four each."""
        state = self.codec.start()
        for t in range(latents.shape[2]):
            frames, state = self.codec.decode(latents[:, :, t : t + 1], state)
            yield frames[0]


def first_latent(like: Tensor) -> Tensor:
    """(T, 1, 1): 0 for the first latent, 1 for the others."""
    return (torch.arange(like.shape[2], device=like.device) > 0).to(like.dtype).view(-1, 1, 1)


def fitted(image: Image.Image, height: int, width: int) -> Tensor:
    """(1, 3, H, W) in [0, 1]: its middle, where it is too wide or too high."""
    image = ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1).unsqueeze(0)


def pixels(frames: Tensor) -> NDArray[np.uint8]:
    """(F, H, W, 3) bytes of frames (F, 3, H, W)."""
    return (frames * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def load(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Painter:
    """A Wan model as diffusers lays it out. The transformer's weights are read once the prompts are."""
    index = read(folder / "model_index.json", "a folder of a Wan model, as diffusers lays it out")
    if index.get("_class_name") not in ("WanPipeline", "WanImageToVideoPipeline"):
        raise ValueError(
            f"expected a WanPipeline or a WanImageToVideoPipeline in {folder}, got {index.get('_class_name')}"
        )
    folders, boundary = weights.experts(folder), index.get("boundary_ratio")
    if (len(folders) == 2) != (boundary is not None):
        raise ValueError(
            f"expected a boundary_ratio for two transformers in {folder}, got {boundary} for {len(folders)}"
        )
    config = weights.read_config(folders[0])
    prompts = PromptEncoder(folder, device, dtype)

    def read_prompts(asked: Sequence[str]) -> Tensor:
        made = prompts(asked)
        prompts.forget()
        return made

    return Painter(
        read_prompts,
        vae.load(folder / "vae", device),
        config,
        lambda: summoned(folders, config, boundary, device, dtype),
        solver_of(folder / "scheduler" / "scheduler_config.json"),
        bool(index.get("expand_timesteps")),
        looking(folder, device, dtype) if (index.get("image_encoder") or [None])[0] else None,
        device,
        dtype,
    )


def summoned(
    folders: Sequence[Path],
    config: TransformerConfig,
    boundary: float | None,
    device: str | torch.device,
    dtype: torch.dtype,
) -> Transformer | Experts:
    """The transformer of one folder, or of two the one that is asked for, read when it is."""

    def expert(who: int) -> Transformer:
        return weights.open_transformer(folders[who], config, device, dtype).eval().requires_grad_(False)

    return expert(0) if boundary is None else Experts(config, expert, boundary * config.timesteps)


def solver_of(path: Path) -> Solver:
    config = read(path, "a sampler's settings")
    off = "use_dynamic_shifting", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "shift_terminal"
    wanted: dict[str, Any] = dict.fromkeys(
        (*off, "thresholding", "disable_corrector", "stochastic_sampling", "invert_sigmas")
    )
    match config.get("_class_name"):
        case "FlowMatchEulerDiscreteScheduler":
            solver = Solver("euler", config.get("shift", 1.0))
        case "UniPCMultistepScheduler":
            solver = Solver("unipc", config.get("flow_shift", 1.0), config.get("solver_order", 2))
            config = {"predict_x0": True, "lower_order_final": True, "final_sigmas_type": "zero"} | config
            wanted |= {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "solver_type": "bh2"}
            wanted |= {"predict_x0": True, "lower_order_final": True, "final_sigmas_type": "zero"}
        case name:
            raise ValueError(
                f"expected a UniPCMultistepScheduler or a FlowMatchEulerDiscreteScheduler in {path}, got {name}"
            )
    for key, value in wanted.items():
        if (config.get(key) or None) != value:
            raise ValueError(f"expected {key} to be {value or 'off'} in {path}, got {config.get(key)!r}")
    return solver


def looking(folder: Path, device: str | torch.device, dtype: torch.dtype) -> Callable[[Image.Image], Tensor]:
    """CLIP, as Wan 2.1's image-to-video reads images: the states before its last layer."""
    import transformers  # slow to import, and perhaps not needed

    pil = hasattr(transformers, "CLIPImageProcessorPil")  # the one that needs no torchvision, where there are two
    prepared = transformers.CLIPImageProcessorPil if pil else transformers.CLIPImageProcessor
    prepare = prepared.from_pretrained(folder / "image_processor", local_files_only=True)

    def look(image: Image.Image) -> Tensor:
        model = pretrained.opened(
            transformers.CLIPVisionModel, folder / "image_encoder", device, BESIDE_EYES, dtype=dtype
        )
        given = prepare(images=image.convert("RGB"), return_tensors="pt")["pixel_values"].to(device, dtype)
        return model(given, output_hidden_states=True).hidden_states[-2]

    return look


def read(path: Path, what: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"expected {what}, with {path.name} in {path.parent}: {error}") from None
