"""Watching: one session that plays already, shown on a page that is served from a thread of this process.

Whoever drives the session goes on doing so, whether anybody looks or not: here people only watch, and
what a page sends of keys, mouse and pauses is not felt.
"""

import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence

import uvicorn

from perdure.runtime.session import Session
from perdure.server.app import SETTINGS, create_app
from perdure.server.protocol import WorldInfo
from perdure.server.room import Report
from perdure.world.state import World
from perdure.world.store import MAIN

LOCAL = ("127.0.0.1", "localhost")


def open_browser(url: str) -> None:
    """Where there is a desktop to open it on; a browser in the terminal would hide what is printed."""
    if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        threading.Timer(0.7, webbrowser.open, (url,)).start()  # by then the server listens


class Watch:
    """A page on which people watch `session`, at `url`, until it is closed. Port 0 is any that is free."""

    def __init__(self, session: Session, name: str, port: int = 8700, host: str = LOCAL[0]) -> None:
        try:
            listener = socket.create_server((host, port))
        except (OSError, OverflowError) as error:
            came = f"cannot serve on {host}:{port} ({error})"
            raise ValueError(f"{came}: say another port, or 0 for any that is free") from None
        self.port = int(listener.getsockname()[1])
        self.url = f"http://{LOCAL[0] if host == '0.0.0.0' else host}:{self.port}/?world={name}"
        application = create_app(_OneWorld(session, name), scenes=(), hosts=LOCAL if host in LOCAL else None)
        self._server = uvicorn.Server(uvicorn.Config(application, **SETTINGS))
        serving = {"sockets": [listener]}
        self._thread = threading.Thread(target=self._server.run, kwargs=serving, name="perdure-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10.0)


class _OneWorld:
    """A keeper of the one world that is shown."""

    def __init__(self, session: Session, name: str) -> None:
        self._session, self._name = session, name.removesuffix(f"/{MAIN}")  # as rooms call it

    def list(self) -> Sequence[WorldInfo]:
        world = self._session.world
        return [WorldInfo(name=self._name, scene=world.scene[0], seed=world.scene[1], step=world.step)]

    def open(self, name: str, report: Report) -> Session:
        if name != self._name:
            raise ValueError(f"this page shows {self._name!r} alone: see others with `perdure play {name}`")
        return self._session

    def close(self, world: World) -> None:
        pass  # it is closed by whoever plays it

    def new(self, name: str, scene: str, seed: int) -> str:
        raise ValueError(f"this page shows {self._name!r} alone: make worlds with `perdure new {name}`")

    def fork(self, world: World, name: str) -> str:
        raise ValueError(f"this page only shows {self._name!r}: fork it with `perdure fork {self._name} {name}`")
