"""perdure render: pictures and films of a world, as it was seen or from anywhere.

Shapes: T frames, H height, W width.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from PIL import Image

from perdure.camera import look
from perdure.cli.naming import Pointed, open_point
from perdure.cli.saying import out, progress, stage
from perdure.cli.worlds import load_engine
from perdure.world.state import World
from perdure.world.store import Store

if TYPE_CHECKING:
    from perdure.runtime.engine import Engine, Frames

PICTURES = (".png", ".jpg", ".jpeg")


def render(
    world: Pointed,
    at: Annotated[int | None, typer.Option(help="As it was at this step; its last unless said.")] = None,
    event: Annotated[int | None, typer.Option(help="As it was just after this event.")] = None,
    camera: Annotated[
        str | None, typer.Option(help="From here: x,y,z,yaw,pitch in metres and degrees. As it was seen, unless said.")
    ] = None,
    first: Annotated[int | None, typer.Option("--from", help="A film instead of a picture: from this step on.")] = None,
    to: Annotated[int | None, typer.Option("--to", help="Up to this step; the last unless said.")] = None,
    to_file: Annotated[
        Path | None,
        typer.Option("--out", help="The file: .png, .jpg or .mp4; named after the world unless said."),
    ] = None,
) -> None:
    """Draw a world: as it was seen, or what a camera would see. Looking changes nothing."""
    filming = first is not None or to is not None
    if filming and (camera is not None or at is not None or event is not None):
        raise ValueError("expected either a film (--from, --to) or a picture (--at, --event, --camera), got both")
    pose = None if camera is None else parse_camera(camera)
    store, now = open_point(world, at, event)
    with store:
        stem = f"{world.replace('/', '-')}-{now.step}"
        file = to_file or Path(f"{stem}.mp4" if filming else f"{stem}.png")
        check_file(file, (".mp4",) if filming else PICTURES)
        if filming:
            last = now.step if to is None else to
            start = 1 if first is None else first
            if not 1 <= start <= last <= now.step:
                raise ValueError(f"expected steps within 1 to {now.step} of {world}, got {start} to {last}")
            return film(store, start, last, file)
        engine = load_engine()
        with stage("drawing"):
            frames, how = see(engine, store, now, pose)
    with written(file):
        Image.fromarray(frames[-1]).save(file)
    out.print(f"{file}: {world} at step {now.step}, {how}", markup=False, soft_wrap=True)


def see(engine: "Engine", store: Store, now: World, pose: np.ndarray | None) -> tuple["Frames", str]:
    """Frames of the world as it is, and what they are."""
    if pose is not None:
        return engine.observe(now, pose), "from a camera"
    eye = now.motion.cameras[-1]
    if now.step == 0:
        return engine.observe(now, eye), "from where it begins"
    if store.world_at(now.step).state != now.state:  # nobody has seen that yet
        return engine.observe(now, eye), "as it is since it was edited"
    return engine.redraw(now)[1], "as it was seen"


def film(store: Store, first: int, last: int, file: Path) -> None:
    """The steps from `first` to `last`, drawn again from what was kept."""
    from perdure.evaluation.film import write_mp4

    engine, shown = load_engine(), []
    with progress("drawing") as tell:
        for step in range(first, last + 1):
            shown.append(engine.redraw(store.world_at(step))[1])
            tell((step - first + 1) / (last - first + 1), f"step {step}")
    with written(file):
        write_mp4(file, np.concatenate(shown))
    out.print(f"{file}: steps {first} to {last}, {sum(map(len, shown)) / 24:.1f} s", markup=False, soft_wrap=True)


def parse_camera(text: str) -> np.ndarray:
    """(4, 4) the pose of x,y,z,yaw,pitch."""
    try:
        x, y, z, yaw, pitch = map(float, text.split(","))
    except ValueError:
        raise ValueError(f"expected a camera as x,y,z,yaw,pitch in metres and degrees, got {text!r}") from None
    if not all(map(math.isfinite, (x, y, z, yaw, pitch))) or abs(pitch) > 90:
        raise ValueError(f"expected a camera with a pitch from -90 to 90 degrees, got {text!r}")
    return look(np.array([x, y, z]), math.radians(yaw), math.radians(pitch))


def check_file(file: Path, kinds: tuple[str, ...]) -> None:
    """Refuse before anything is drawn."""
    if file.suffix.lower() not in kinds:
        raise ValueError(f"expected a file that ends in {', '.join(kinds)}, got {file.name!r}")
    if not file.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {file.parent} to write {file.name} into: make it, or say another --out")


@contextmanager
def written(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"{file} could not be written ({error.strerror or error}): say another --out") from error
