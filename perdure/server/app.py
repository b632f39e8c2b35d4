"""The server: one page, one WebSocket, and a few plain addresses for those who watch over it.

GET /             the page            GET /health     {"ok": true, ...}
GET /api/worlds   the worlds, as JSON GET /metrics    figures, as Prometheus text
WS  /ws           see protocol.py
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from perdure.server.room import Keeper, Record, Rooms
from perdure.server.viewer import Viewer

PAGE = Path(__file__).parent / "page"
SCENES = ("court", "hall", "rooms", "garden", "terraces", "maze", "corridors", "table", "island")
SETTINGS: dict[str, Any] = {  # of uvicorn; frames are JPEG already, so nothing is compressed again on the way
    "ws": "websockets-sansio",
    "ws_per_message_deflate": False,
    "log_level": "warning",
    "timeout_graceful_shutdown": 3,
}


def create_app(
    keeper: Keeper,
    *,
    scenes: Sequence[str] = SCENES,
    max_sessions: int = 2,
    linger: float = 4.0,
    hosts: Sequence[str] | None = None,
    record: Record | None = None,
) -> Starlette:
    """An application that plays the worlds of this keeper (`Shelf` is one).

    At most `max_sessions` worlds are played at once; one that nobody watches is paused, and closed after
    `linger` seconds. `hosts`, if given, are the only names that the server answers to. `record`
    keeps sessions as they are shown (`tape.py`).
    """
    rooms = Rooms(keeper, max_sessions, linger, record)

    async def worlds(request: Request) -> Response:
        return Response(msgspec.json.encode(await asyncio.to_thread(keeper.list)), media_type="application/json")

    async def health(request: Request) -> Response:
        ends = ((room.name, room.session.ended) for room in rooms)
        failed = [name for name, end in ends if end is not None and end.__cause__ is not None]  # else it was only left
        body = {"ok": not failed, "sessions": len(list(rooms)), "max_sessions": max_sessions, "failed": failed}
        return Response(msgspec.json.encode(body), 503 if failed else 200, media_type="application/json")

    async def metrics(request: Request) -> Response:
        return PlainTextResponse(prometheus(rooms), media_type="text/plain; version=0.0.4")

    async def watch(socket: WebSocket) -> None:
        origin = socket.headers.get("origin")
        if origin and urlsplit(origin).netloc != socket.headers.get("host"):
            await socket.close(1008, "expected a page that this server sent")
            return
        await Viewer(socket, rooms, keeper, list(scenes)).serve()

    async def no_page(request: Request) -> Response:
        return PlainTextResponse("The page is not built. In client/: npm ci && npm run build\n", 503)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await rooms.close()

    page = (
        Mount("/", StaticFiles(directory=PAGE, html=True)) if (PAGE / "index.html").is_file() else Route("/", no_page)
    )
    routes = [
        Route("/api/worlds", worlds),
        Route("/health", health),
        Route("/metrics", metrics),
        WebSocketRoute("/ws", watch),
        page,
    ]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))] if hosts else []
    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan)


def prometheus(rooms: Rooms) -> str:
    """The figures of all rooms in Prometheus' text format."""
    lines: list[str] = []

    def metric(name: str, kind: str, says: str, rows: list[tuple[dict[str, str], float]]) -> None:
        lines.extend([f"# HELP perdure_{name} {says}", f"# TYPE perdure_{name} {kind}"])
        for labels, value in rows:
            inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
            lines.append(f"perdure_{name}{{{inside}}} {value:g}" if inside else f"perdure_{name} {value:g}")

    played = [({"world": room.name}, room, room.session.figures()) for room in rooms]
    metric("sessions", "gauge", "Worlds that are being played.", [({}, len(played))])
    metric("viewers", "gauge", "Pages that watch a world.", [(at, room.viewers) for at, room, _ in played])
    metric("frames_total", "counter", "Frames published.", [(at, f.published) for at, _, f in played])
    metric(
        "frames_dropped_total",
        "counter",
        "Frames that a viewer was too slow for.",
        [(at, f.dropped) for at, _, f in played],
    )
    metric("stalls_total", "counter", "Chunks too late for an even pace.", [(at, f.stalls) for at, _, f in played])
    metric("step_ms", "gauge", "Median of the recent steps.", [(at, f.step_ms) for at, _, f in played])
    stages = [({**at, "stage": stage}, ms) for at, _, f in played for stage, ms in f.stages.items()]
    metric("stage_ms", "gauge", "Each stage of the last step that was shown.", stages)
    return "\n".join(lines) + "\n"


def serve(app: Starlette, host: str = "127.0.0.1", port: int = 8700) -> None:
    """Run until interrupted."""
    uvicorn.run(app, host=host, port=port, **SETTINGS)
