"""perdure render: pictures and films of a world, as it was seen, from anywhere, or along somebody's trajectory.

Shapes: T frames, H height, W width.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import numpy as np
import typer
from PIL import Image

from perdure.camera import look
from perdure.cli.naming import Pointed, open_point
from perdure.cli.saying import out, progress, stage
from perdure.cli.worlds import load_engine
from perdure.world.formats import Format, read
from perdure.world.state import World
from perdure.world.store import Store
from perdure.world.trajectory import Trajectory

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
    along: Annotated[
        str | None,
        typer.Option(help="A film of a walk from there: a trajectory of LingBot-World or HY-WorldPlay, text or file."),
    ] = None,
    fly: Annotated[
        bool, typer.Option("--fly", help="along: by its very poses, through walls, instead of on foot.")
    ] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="along: lingbot, lingbot-folder, worldplay, worldplay-json or tum, if it is not clear."
        ),
    ] = None,
    scale: Annotated[float, typer.Option(help="along: metres to its unit of length.")] = 1.0,
    to_file: Annotated[
        Path | None,
        typer.Option("--out", help="The file: .png, .jpg or .mp4; named after the world unless said."),
    ] = None,
) -> None:
    """Draw a world: as it was seen, or what a camera would see. Looking changes nothing."""
    filming = first is not None or to is not None
    if filming and (camera is not None or at is not None or event is not None):
        raise ValueError("expected either a film (--from, --to) or a picture (--at, --event, --camera), got both")
    if along is not None and (filming or camera is not None):
        raise ValueError("expected --along by itself, or with --at or --event; got another way to look beside it")
    way = None if along is None else read(along, cast(Format | None, form))
    pose = None if camera is None else parse_camera(camera)
    store, now = open_point(world, at, event)
    with store:
        stem = f"{world.replace('/', '-')}-{now.step}"
        moving = filming or way is not None
        file = to_file or Path(f"{stem}.mp4" if moving else f"{stem}.png")
        check_file(file, (".mp4",) if moving else PICTURES)
        if way is not None:
            return film_along(store, now, way, fly, scale, file)
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

    engine = load_engine()
    with progress("drawing") as tell, written(file):

        def drawn() -> Iterator[np.ndarray]:
            for step in range(first, last + 1):
                yield from engine.redraw(store.world_at(step))[1]
                tell((step - first + 1) / (last - first + 1), f"step {step}")

        count = write_mp4(file, drawn())
    out.print(f"{file}: steps {first} to {last}, {count / 24:.1f} s", markup=False, soft_wrap=True)


def film_along(store: Store, now: World, way: Trajectory, fly: bool, scale: float, file: Path) -> None:
    """What would be seen on this way from here; the world is as it was after it."""
    from perdure.evaluation.film import write_mp4

    if not 0 < scale < math.inf:
        raise ValueError(f"expected a scale above 0 metres, got {scale}")
    engine = load_engine()
    placed = way.placed(now.motion.cameras[-1], scale)
    rates = now.physics.mechanism.rates
    actions = placed.flown(rates) if fly else placed.walked(rates)
    world, cache, _ = engine.open(now, store)
    with progress("going") as tell, written(file):

        def drawn() -> Iterator[np.ndarray]:
            nonlocal world
            for number, action in enumerate(actions, 1):
                world, frames = engine.step(world, action, cache)
                yield from frames
                tell(number / len(actions), f"step {number} of {len(actions)}")

        count = write_mp4(file, drawn())
    gone = np.linalg.norm(np.diff([now.motion.cameras[-1][:3, 3], world.motion.cameras[-1][:3, 3]], axis=0))
    how = "flown" if fly else "walked"
    out.print(f"{file}: {how} {count / 24:.1f} s, to {gone:.1f} m from there", markup=False, soft_wrap=True)


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
