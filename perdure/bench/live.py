"""`perdure bench live`: the whole way, from a key to a drawn frame, in a real browser on this machine.

Starts the server in a process of its own and a headless Chromium, opens a world in the page, holds
keys, and asks the page what it drew and when. Nothing is simulated: keys are pressed in the browser.
"""

import base64
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import connect

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
PLAY = (sys.executable, "-m", "perdure.cli", "play", "--no-open")
WARM_UP = 3.0  # seconds that are not counted
KEY_CODES = {"KeyW": 87, "KeyS": 83, "KeyA": 65, "KeyD": 68, "ArrowLeft": 37, "ArrowRight": 39, "Space": 32,
             "KeyE": 69, "KeyF": 70, "KeyQ": 81, "KeyT": 84}  # fmt: skip


def find_chromium() -> str | None:
    """Chromium's command, or None where there is none."""
    return next((path for name in CHROMIUMS if (path := shutil.which(name))), None)


class Browser:
    """One page of a headless Chromium, driven through the DevTools protocol."""

    def __init__(self, url: str, width: int = 1440, height: int = 900) -> None:
        command = find_chromium()
        if command is None:
            raise ValueError("expected a Chromium on the PATH, found none: apt-get install chromium")
        self._profile = tempfile.mkdtemp(prefix="perdure-chromium-")
        arguments = [command, *FLAGS, f"--window-size={width},{height}", f"--user-data-dir={self._profile}", url]
        self._process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._sent = 0
        self._open = ExitStack()
        try:
            port_file = Path(self._profile, "DevToolsActivePort")
            wait_for(lambda: port_file.is_file() and port_file.read_text().count("\n") >= 1, 30, "Chromium to start")
            pages = f"http://127.0.0.1:{port_file.read_text().splitlines()[0]}/json/list"
            wait_for(lambda: bool(_pages(pages)), 30, "Chromium to open a page")
            address = _pages(pages)[0]["webSocketDebuggerUrl"]
            self._socket = self._open.enter_context(connect(address, max_size=None, compression=None))
        except BaseException:
            self._end()
            raise

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol and wait for its answer."""
        self._sent += 1
        self._socket.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._sent:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']['exception'].get('description')}")
        return answer["result"].get("value")

    def key(self, code: str, down: bool) -> None:
        """Press a key or let it go, as a hand would."""
        kind, number = "rawKeyDown" if down else "keyUp", KEY_CODES[code]
        self.call(
            "Input.dispatchKeyEvent", type=kind, code=code, windowsVirtualKeyCode=number, key=code.removeprefix("Key")
        )

    def mouse(self, kind: str, x: float, y: float, held: bool = False, button: str = "left") -> None:
        """`kind` is mousePressed, mouseReleased or mouseMoved."""
        button = button if held or kind != "mouseMoved" else "none"
        buttons = (2 if button == "right" else 1) if held else 0
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons, clickCount=1)

    def screenshot(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        try:
            self.call("Browser.close")
        finally:
            self._open.close()
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self) -> None:
        _stop(self._process)
        shutil.rmtree(self._profile, ignore_errors=True)  # Chromium's last children may still write to it


def _pages(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return [target for target in json.load(answer) if target["type"] == "page"]


def wait_for(true: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"expected {what} within {seconds:g} s")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[Any]) -> None:
    """Ask a process of ours to end; make it, when it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def serving(command: Sequence[str] = PLAY, home: str | None = None) -> Iterator[str]:
    """The address of a server that is started for this, and ended after. `home` is where its worlds are kept."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = {"PERDURE_HOME": home} if home else {}
    start = [*command, "--port", str(port)]
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, env=os.environ | places)

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"expected {' '.join(start)} to serve, it ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return answer.status == 200
        except urllib.error.URLError:
            return False

    try:
        wait_for(answers, 180, "the server to answer")
        yield f"http://127.0.0.1:{port}"
    finally:
        _stop(process)


def open_in(browser: Browser, world: str | None = None) -> str:
    """Open a world in the page, the first of its list unless said, and wait until it is drawn; its name."""
    wait_for(lambda: browser.ask("window.perdure?.state().worlds.length > 0"), 60, "the page to list a world")
    world = world or str(browser.ask("perdure.state().worlds[0]"))
    browser.ask(f"perdure.open({json.dumps(world)})")
    wait_until_drawn(browser, world)
    return world


def wait_until_drawn(browser: Browser, world: str) -> None:
    """Until the page shows a new frame of this world."""

    def drawn() -> bool:
        state = browser.ask("perdure.state()")
        if state["complaint"]:
            raise RuntimeError(f"expected {world} to open, the page says: {state['complaint']}")
        return state.get("world") == world and state["drawn"] > 0

    wait_for(drawn, 180, f"a first new frame of {world}")


def walk(browser: Browser, seconds: float, seed: int = 0) -> None:
    """Hold W, and turn now and then, for so long."""
    hand = random.Random(seed)
    end = time.monotonic() + seconds
    browser.key("KeyW", True)
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, hand.uniform(0.3, 0.9)))
        turn = hand.choice(("ArrowLeft", "ArrowRight"))
        browser.key(turn, True)
        time.sleep(min(max(0.0, end - time.monotonic()), hand.uniform(0.2, 0.7)))
        browser.key(turn, False)
    browser.key("KeyW", False)


def run(seconds: float = 60.0, world: str | None = None, command: Sequence[str] = PLAY) -> dict[str, Any]:
    """Figures of `seconds` of walking, as the page saw them.

    `world` is one of the user's own; without it, one is made for this and thrown away. Intervals are
    between drawn frames of new model steps; an action's time runs from the key's event in the browser to
    the end of drawing the first frame that has it. `frames_queued_max` counts frames that waited in the
    server for this page. A first frame is there `starting_s` + `opening_s` after the command was given.
    """
    if seconds <= 0:
        raise ValueError(f"expected a time to measure for, got {seconds} s")
    with ExitStack() as stack:
        home = None if world else stack.enter_context(tempfile.TemporaryDirectory(prefix="perdure-bench-"))
        began = time.monotonic()
        address = stack.enter_context(serving(command, home))
        starting = time.monotonic() - began
        browser = stack.enter_context(Browser(address))
        version = browser.call("Browser.getVersion")["product"]
        began = time.monotonic()
        world = open_in(browser, world)
        opening = time.monotonic() - began
        walk(browser, WARM_UP, seed=1)
        browser.ask("perdure.reset()")
        walk(browser, seconds)
        page = browser.ask("perdure.figures()")
    return {
        "native_fps": page["frames"] / page["seconds"],
        "interval_p50_ms": page["interval_p50_ms"],
        "interval_p99_ms": page["interval_p99_ms"],
        "action_to_frame_ms": {
            "p50": page["latency_p50_ms"],
            "p95": page["latency_p95_ms"],
            "count": page["latencies"],
        },
        "frames_queued_max": page["queued_max"],
        "frames_in_flight_max": page["in_flight_max"],
        "stage_ms": page["stage_ms"],
        "seconds": page["seconds"],
        "frames": page["frames"],
        "starting_s": starting,
        "opening_s": opening,
        "world": world,
        "browser": version,
    }
