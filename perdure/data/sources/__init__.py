"""Where clips come from, one module each; a large one has its parts beside it, as SOURCE_PART.

A source is a module with

    NAME, LICENCE                                             of what it makes
    plan(count, seed, **options) -> list[Job]                 cheap, and the same whoever does the work
    make(job) -> Iterator[Clip]                               in a worker process; raises `Skipped` for what is bad
    begin(data) -> World                                      where its clips have recipes: the start again
    everything() -> Mapping[str, Sequence[str]]               if it likes: views, cast, events and tags that could be

Any module of one's own is a source as well: it is named with its dots, `my_package.my_source`.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def names() -> list[str]:
    return sorted(module.name for module in iter_modules(__path__) if "_" not in module.name)


def source(name: str) -> ModuleType:
    """The module of a source, imported when it is asked for: each needs packages of its own."""
    if name not in names() and not ("." in name and all(part.isidentifier() for part in name.split("."))):
        raise ValueError(
            f"no source named {name!r}: there are {', '.join(names())}, or a module of yours, with its dots"
        )
    try:
        module = import_module(name if "." in name else f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise ValueError(f"no module named {error.name!r} to make clips with: is it on PYTHONPATH?") from None
        raise
    lacking = [part for part in ("NAME", "LICENCE", "plan", "make") if not hasattr(module, part)]
    if lacking:
        raise ValueError(f"expected NAME, LICENCE, plan and make in the source {name}, it lacks {', '.join(lacking)}")
    return module
