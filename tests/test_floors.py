"""The house stands: imports go downward only, without circles, and the walls hold.

The rules are read off the source with `ast`, so code that never runs is held to them too. Each
rule is also tried on a small made-up tree that breaks it: a check that cannot fail proves nothing.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAME = "perdure"

FLOORS = {
    "": 0,  # perdure/__init__.py: every import of anything passes through it
    "camera": 1,
    "kernels": 1,
    "distributed": 1,
    "models": 1,
    "presets": 2,
    "world": 2,
    "sampling": 2,
    "memory": 3,
    "data": 3,
    "agents": 3,
    "runtime": 4,
    "training": 4,
    "server": 5,
    "evaluation": 5,
    "apps": 6,
    "recipes": 6,
    "cli": 7,
    "env": 7,
    "bench": 7,
}

WALLS = [  # (who, may not import, why)
    ("models", "world", "a model sees only what memory/recall.py put into models/context.py"),
    ("world", "models", "the state outlives every model"),
    ("models", "distributed", "parallelism is laid on from outside"),
    ("runtime", "agents", "a session takes callables (world, frames) -> Action"),
    ("runtime", "server", "a session knows no network"),
]

TRAINER = "training.trainer"
TRAINER_MAY = {"training", "training.checkpoint"}  # all else in training/ is a method

IMPORT_NAMES = {  # where it is not the package's
    "mujoco-core": "mujoco",
    "pillow": "PIL",
    "scikit-image": "skimage",
    "ale-py": "ale_py",
    "multi-agent-ale-py": "multi_agent_ale_py",
}

DOORS = ("cli", "env", "server.app", "runtime")  # what plays `nano` starts from these
APART = ("runtime.prompted",)  # no door: it plays larger presets, through torch, and no door may lead to it
LAZY = ("cli",)  # a command imports what it runs when it is asked to


@dataclass(frozen=True)
class Import:
    """One import statement: `line` of module `source` brings in `target`."""

    source: str  # dotted, without the package's own name: "world.store"
    target: str  # the same for our own modules; the full name for others'
    line: int
    ours: bool
    hidden: bool  # inside a function

    def __str__(self) -> str:
        return f"{NAME}/{self.source.replace('.', '/')}.py:{self.line}"


def read_tree(root: Path) -> dict[str, Path]:
    """Every module below `root`/perdure by its dotted name; a package is named by its folder."""
    package = root / NAME
    modules: dict[str, Path] = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def walk(tree: ast.AST, hidden: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, hidden
        yield from walk(node, hidden or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def read_imports(modules: Mapping[str, Path]) -> list[Import]:
    found: list[Import] = []
    for source, path in modules.items():
        package = source if path.name == "__init__.py" else source.rpartition(".")[0]
        for node, hidden in walk(ast.parse(path.read_text(), str(path))):
            for name in imported_names(node, package, modules):
                ours = name == NAME or name.startswith(NAME + ".")
                target = name[len(NAME) + 1 :] if ours else name
                found.append(Import(source, target, node.lineno, ours, hidden))
    return found


def imported_names(node: ast.Import | ast.ImportFrom, package: str, modules: Mapping[str, Path]) -> Iterator[str]:
    """Full dotted module names. `from a.b import c` is a.b.c when that is a module, else a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parts = [NAME, *filter(None, package.split("."))]
        above = parts[: len(parts) - node.level + 1]
        base = ".".join([*above, *filter(None, [base])])
    for alias in node.names:
        full = f"{base}.{alias.name}"
        yield full if full.removeprefix(NAME + ".") in modules else base


def folder(module: str) -> str:
    return module.split(".")[0]


def inside(module: str, place: str) -> bool:
    return module == place or module.startswith(place + ".")


def broken_floors(imports: list[Import]) -> list[str]:
    out: list[str] = []
    for item in imports:
        for module in (item.source, item.target) if item.ours else (item.source,):
            if folder(module) not in FLOORS:
                out.append(f"{item}: {NAME}/{folder(module)} stands on no floor: add it to FLOORS")
                break
        else:
            if item.ours and FLOORS[folder(item.target)] > FLOORS[folder(item.source)]:
                above, own = FLOORS[folder(item.target)], FLOORS[folder(item.source)]
                out.append(f"{item}: floor {own} imports {item.target}, which is on floor {above}")
    return out


def broken_walls(imports: list[Import]) -> list[str]:
    out: list[str] = []
    for item in imports:
        if not item.ours:
            continue
        for who, what, why in WALLS:
            if inside(item.source, who) and inside(item.target, what):
                out.append(f"{item}: {who} may not import {item.target}: {why}")
        if item.source == TRAINER and inside(item.target, "training") and item.target not in TRAINER_MAY:
            out.append(f"{item}: the trainer may not import the method {item.target}: a recipe brings them together")
    return out


def hidden_imports(imports: list[Import]) -> list[str]:
    """Our own modules are imported at the top, where a reader sees them and a circle shows."""
    return [
        f"{item}: {item.target} is imported inside a function; move it to the top"
        for item in imports
        if item.ours and item.hidden and folder(item.source) not in LAZY
    ]


def circles(imports: list[Import]) -> list[str]:
    """At least one circle of every knot of modules, each told once."""
    edges: dict[str, set[str]] = {}
    for item in imports:
        if item.ours and item.target != item.source:
            edges.setdefault(item.source, set()).add(item.target)
    found: dict[frozenset[str], str] = {}
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            circle = path[path.index(module) :]
            found.setdefault(frozenset(circle), "circle: " + " -> ".join([*circle, module]))
            return
        if module in done:
            return
        for target in sorted(edges.get(module, ())):
            visit(target, [*path, module])
        done.add(module)

    for module in sorted(edges):
        visit(module, [])
    return list(found.values())


def is_door(module: str) -> bool:
    return any(inside(module, door) for door in DOORS) and module not in APART


def reached_by_play(imports: list[Import], modules: Mapping[str, Path]) -> set[str]:
    """The modules that merely opening a door imports."""
    reached = {module for module in modules if is_door(module)}
    while more := {i.target for i in imports if i.ours and not i.hidden and i.source in reached} - reached:
        reached |= more
    return reached


def torch_in_play(imports: list[Import], modules: Mapping[str, Path]) -> list[str]:
    playing = reached_by_play(imports, modules)
    return [
        f"{item}: {item.target} is imported by what plays; nothing that plays may need torch"
        for item in imports
        if item.source in playing and not item.hidden and folder(item.target) == "torch"
    ]


def all_breaches(root: Path) -> list[str]:
    modules = read_tree(root)
    imports = read_imports(modules)
    return [
        *broken_floors(imports),
        *broken_walls(imports),
        *hidden_imports(imports),
        *circles(imports),
        *torch_in_play(imports, modules),
    ]


def test_the_house_stands() -> None:
    assert read_tree(ROOT), f"expected modules below {ROOT / NAME}"
    breaches = all_breaches(ROOT)
    assert not breaches, "\n" + "\n".join(breaches)


SOUND = {
    "__init__.py": "",
    "camera.py": "import numpy",
    "models/__init__.py": "",
    "models/dit.py": "import torch\nfrom perdure.camera import look",
    "world/__init__.py": "",
    "world/state.py": "from perdure.camera import look\nfrom . import history",
    "world/history.py": "",
    "agents/player.py": "from perdure.world.state import World",
    "runtime/session.py": "from ..world import state",
    "training/trainer.py": "import torch\nfrom perdure.training.checkpoint import save",
    "training/checkpoint.py": "",
    "training/distil.py": "from perdure.training import checkpoint",
    "server/app.py": "from perdure.runtime.session import Session",
    "cli.py": "def bench():\n    from perdure.bench import live",
    "bench/__init__.py": "",
    "bench/live.py": "",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"world/state.py": "from perdure.memory import recall", "memory/recall.py": ""}, "floor 2 imports"),
        ({"world/state.py": "from perdure import memory", "memory/__init__.py": ""}, "floor 2 imports"),
        ({"world/state.py": "def f():\n    import perdure.cli"}, "floor 2 imports cli"),
        ({"plugins/one.py": "import perdure.camera"}, "stands on no floor"),
        (
            {"world/history.py": "from perdure.world.state import World"},
            "circle: world.state -> world.history -> world.state",
        ),
        ({"world/history.py": "def f():\n    from .state import World"}, "imported inside a function"),
        ({"world/history.py": "import perdure.models.dit"}, "world may not import models.dit"),
        ({"models/dit.py": "from perdure.world.state import World"}, "models may not import world.state"),
        ({"models/dit.py": "from perdure import distributed", "distributed.py": ""}, "may not import distributed"),
        ({"runtime/session.py": "from perdure.agents.player import Player"}, "runtime may not import agents"),
        ({"runtime/session.py": "from perdure.server.app import create_app"}, "runtime may not import server"),
        ({"training/trainer.py": "from perdure.training import distil"}, "may not import the method training.distil"),
        ({"runtime/session.py": "import torch.nn as nn"}, "nothing that plays may need torch"),
        ({"server/app.py": "from perdure.models.dit import Dit"}, "nothing that plays may need torch"),
        ({"runtime/session.py": "def f():\n    import torch"}, None),
        ({"runtime/prompted.py": "import torch"}, None),
        (
            {"runtime/prompted.py": "import torch", "runtime/session.py": "from perdure.runtime import prompted"},
            "nothing that plays may need torch",
        ),
    ],
)
def test_each_rule_can_fail(tmp_path: Path, changes: dict[str, str], expected: str | None) -> None:
    for name, text in (SOUND | changes).items():
        path = tmp_path / NAME / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    breaches = all_breaches(tmp_path)
    if expected is None:
        assert breaches == []
    else:
        assert any(expected in breach for breach in breaches), breaches


def test_what_plays_never_imports_torch() -> None:
    """The static rule again, by importing: other people's modules could bring torch in too."""
    modules = [m for m in read_tree(ROOT) if is_door(m)]
    program = "import sys\n" + "".join(f"import {NAME}.{m}\n" for m in modules)
    program += "print(sorted(m for m in sys.modules if m.split('.')[0] == 'torch')[:3])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]", f"torch came in with {modules}"


def test_every_package_that_is_imported_is_declared() -> None:
    """What playing reaches at import must be in the default install; the rest, in some extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core = import_names(project["dependencies"])
    extras = core.union(*map(import_names, project["optional-dependencies"].values()))
    modules = read_tree(ROOT)
    imports = read_imports(modules)
    playing = reached_by_play(imports, modules)
    for item in imports:
        package = folder(item.target)
        if item.ours or package in sys.stdlib_module_names:
            continue
        assert package in extras, f"{item}: {package} is declared nowhere in pyproject.toml"
        if item.source in playing and not item.hidden:
            assert package in core, f"{item}: playing needs {package}, which only an extra installs"
    unused = core - {folder(item.target) for item in imports} - {"websockets"}  # uvicorn's own
    assert not unused, f"the default install carries {', '.join(sorted(unused))}, which no code imports"


def import_names(requirements: list[str]) -> set[str]:
    packages = [re.split(r"[\[<>=~! ]", requirement)[0] for requirement in requirements]
    return {IMPORT_NAMES.get(package, package) for package in packages}
