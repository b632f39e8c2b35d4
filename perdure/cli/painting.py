"""perdure paint: a prompt to a film, by a Wan model of the user's own."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image, UnidentifiedImageError

from perdure.cli.looking import check_file, written
from perdure.cli.saying import out, progress, stage
from perdure.presets.preset import Prompting
from perdure.presets.wan import like

PRECISIONS = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}


def paint(
    prompt: Annotated[str, typer.Argument(help="What is to be seen.")],
    weights: Annotated[Path, typer.Option(help="A folder of a Wan model, as diffusers lays it out.")],
    image: Annotated[Path | None, typer.Option(help="The first frame, for models that go on from one.")] = None,
    to_file: Annotated[Path, typer.Option("--out", help="The film: .mp4.")] = Path("film.mp4"),
    negative: Annotated[str, typer.Option(help="What is not to be seen.")] = "",
    size: Annotated[
        str | None, typer.Option(help="Width and height, such as 832x480; the model's own unless said.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="How many: 1, 5, 9, ...; the model's own unless said.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="How often the model is asked; more is slower and better.")
    ] = None,
    guidance: Annotated[
        list[float] | None,
        typer.Option(help="How strongly words are followed; twice for two experts, that of high noise first."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another film of the same words.")] = 0,
    device: Annotated[str | None, typer.Option(help="cuda or cpu; a GPU where there is one.")] = None,
    precision: Annotated[str | None, typer.Option(help="bf16, f16 or f32; bf16 on a GPU, f32 else.")] = None,
) -> None:
    """Make a film of words, or of words and a picture, as Wan does; no world is behind it."""
    check_file(to_file, (".mp4",))
    picture = None if image is None else opened(image)
    with stage("loading"):
        from transformers.utils import logging

        from perdure.evaluation.film import write_mp4
        from perdure.models.weights import experts
        from perdure.runtime import prompted

        logging.disable_progress_bar()
        place, kind = chosen(device, precision)
        painter = prompted.load(weights, place, kind)
    preset = like(painter.config, len(experts(weights)))
    if preset is None and (size is None or frames is None):
        raise ValueError(f"{weights} is no size of Wan that is known here: say --size and --frames")
    width, height = (preset.width, preset.height) if size is None and preset else parse_size(size or "")
    advised = preset.prompting if preset and preset.prompting else Prompting()
    with progress("painting") as tell:
        latents = painter.paint(
            *(prompt, picture, negative, frames or advised.frames, height, width, steps or advised.steps),
            *(tuple(guidance or advised.guidance), seed),
            said=lambda share: tell(share, ""),
        )
    fps = preset.fps if preset else 16
    with stage("decoding"), written(to_file):
        shown = (frame for few in painter.show(latents) for frame in prompted.pixels(few))
        count = write_mp4(to_file, shown, fps, enlarged=1)
    out.print(f"{to_file}: {count / fps:.1f} s, {width}x{height}", markup=False, soft_wrap=True)


def chosen(device: str | None, precision: str | None) -> tuple[Any, Any]:
    """torch's device and kind of numbers."""
    import torch

    try:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise ValueError(f"expected a device such as cuda, cuda:1 or cpu, got {device!r}") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("expected a GPU that torch can use, found none: say --device cpu")
    precision = precision or ("f32" if place.type == "cpu" else "bf16")
    if precision not in PRECISIONS:
        raise ValueError(f"expected a precision of {', '.join(PRECISIONS)}, got {precision!r}")
    return place, getattr(torch, PRECISIONS[precision])


def parse_size(said: str) -> tuple[int, int]:
    if not (found := re.fullmatch(r"(\d+)x(\d+)", said)):
        raise ValueError(f"expected a size such as 832x480, got {said!r}")
    return int(found[1]), int(found[2])


def opened(path: Path) -> Image.Image:
    try:
        return Image.open(path).convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"expected a picture, got {path}: {error}") from None
