"""Commands as a shell would run them, on small worlds."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from perdure import cli
from perdure.world.state import World
from perdure.world.store import Store
from tests.world import lived

Said = pytest.CaptureFixture[str]


def run(*arguments: str) -> int:
    """The exit code."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return int(ended.value.code or 0)


def said(capsys: Said, *arguments: str, code: int = 0) -> str:
    """What a command prints."""
    capsys.readouterr()
    assert run(*arguments) == code, capsys.readouterr().err
    return capsys.readouterr().out


def refused(capsys: Said, *arguments: str) -> str:
    """What is said of a mistake: one line, and exit code 2."""
    capsys.readouterr()
    assert run(*arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def world(home: Path, named: str = "yard") -> World:
    name, _, branch = named.partition("/")
    with Store.open(home / name, branch or "main", write=False) as store:
        return store.world()


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """That whatever happens to a world leaves all that can be read of it as it was."""
    before = lived.everything(folder)
    yield
    assert lived.everything(folder) == before


@contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """No file may grow beyond `room` bytes."""
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, was[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)
