"""Rules: what the physics of a world must obey, as plain data.

A rule bounds a quantity of the entities that it is for. Where it is hard, a motion that breaks it does not happen;
where it is soft, the motion is brought back within it. A user's own rule is a small expression that must be true,
such as `speed < 2 or height > 1`: it is read by a grammar of its own, and nothing in it can do anything.
"""

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import msgspec

Corner = tuple[float | None, float | None, float | None]

QUANTITIES = (
    "x", "y", "z",  # metres: where it is
    "vx", "vy", "vz", "speed",  # metres a second
    "height",  # metres from the ground to its lowest point
    "mass",  # kilograms; 0 for what forces do not move
    "energy",  # joules: of its motion and its height; 0 for what forces do not move
    "penetration",  # metres that it is pressed into something
    "held",  # 1 while it is carried
    "time",  # seconds since the world began
)  # fmt: skip
"""What an expression can speak of."""

_FUNCTIONS = {"abs": abs, "min": min, "max": max, "sqrt": math.sqrt, "hypot": math.hypot}


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    kind: Literal["speed", "bounds", "penetration", "energy", "own"]
    hard: bool = False
    limit: float = 0.0  # speed: metres a second. penetration: metres. energy: joules that a tick may add
    low: Corner = (None, None, None)  # bounds of where it is; None: none on that side
    high: Corner = (None, None, None)
    says: str = ""  # own: what must be true
    entities: tuple[int, ...] = ()  # whom it is for; everyone, the player too, where none is named
    tolerance: float = 1e-6  # by which it may be broken

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("expected a name for a rule, got none")
        numbers = (self.limit, self.tolerance)
        if not all(math.isfinite(number) and number >= 0 for number in numbers):
            raise ValueError(f"expected a limit and a tolerance of 0 or more in rule {self.name!r}, got {numbers}")
        if self.kind == "bounds" and not all(low < high for low, high in zip(*self.box)):
            raise ValueError(f"expected bounds from low to high in rule {self.name!r}, got {self.low} to {self.high}")
        if (self.kind == "own") != bool(self.says):
            raise ValueError(f"expected an expression in a rule of kind 'own' and in no other, got {self.says!r}")
        if self.kind == "own":
            parse(self.says)

    @property
    def box(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The bounds, lowest and highest corner."""
        low = tuple(-math.inf if edge is None else edge for edge in self.low)
        return low, tuple(math.inf if edge is None else edge for edge in self.high)

    def binds(self, entity: int) -> bool:
        return not self.entities or entity in self.entities

    def speaks_of(self, quantity: str) -> bool:
        """Whether it has to be known to judge by this rule."""
        return self.kind == quantity or (self.kind == "own" and quantity in _named(self.says))

    def broken(self, quantities: Mapping[str, float], before: float | None) -> str:
        """What is wrong, or nothing. `before` is the energy that it had, where it was there."""
        if self.kind == "own":
            return "" if evaluate(self.says, quantities, self.tolerance) else f"not {self.says}"
        if self.kind == "bounds":
            for axis, low, high in zip("xyz", *self.box):
                if not low - self.tolerance <= quantities[axis] <= high + self.tolerance:
                    return f"{axis} {quantities[axis]:.3g} out of {low:g} to {high:g}"
            return ""
        value = quantities[self.kind]
        if self.kind == "energy":
            value = 0.0 if before is None else value - before
        if value <= self.limit + self.tolerance:
            return ""
        return f"{self.kind} {value:.3g} over {self.limit:g}"

    def excess(self, quantities: Mapping[str, float]) -> float:
        """How much it is broken, to tell whether that grew."""
        match self.kind:
            case "bounds":
                outside = [max(low - quantities[a], quantities[a] - high) for a, low, high in zip("xyz", *self.box)]
                return max(0.0, *outside)
            case "penetration":
                return max(0.0, quantities["penetration"] - self.limit)
            case "own":
                return 0.0 if evaluate(self.says, quantities, self.tolerance) else 1.0
            case _:
                return max(0.0, quantities[self.kind] - self.limit)


@dataclass(frozen=True)
class Breach:
    rule: Rule
    entity: int
    why: str

    def __str__(self) -> str:
        return f"{self.rule.name}: entity {self.entity}, {self.why}"


def parse(text: str) -> ast.expr:
    """The expression, checked. Raises `ValueError` that names what does not belong in it."""
    return _parsed(text)[0]


def evaluate(text: str, quantities: Mapping[str, float], tolerance: float = 0.0) -> bool:
    """Whether the expression is true; what cannot be computed, as a division by 0, is not."""
    try:
        return bool(_value(parse(text), quantities, tolerance))
    except (ArithmeticError, ValueError):
        return False


def _named(text: str) -> frozenset[str]:
    return _parsed(text)[1]


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[ast.expr, frozenset[str]]:
    if len(text) > 200:
        raise ValueError(f"expected an expression of at most 200 characters, got {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"expected an expression such as 'speed < 2 or height > 1', got {text!r}") from None
    names = set[str]()
    _check(tree, text, names)
    if not isinstance(tree, ast.Compare | ast.BoolOp) and not (
        isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not)
    ):
        raise ValueError(f"expected something that is true or not, such as 'speed < 2', got {text!r}")
    return tree, frozenset(names)


def _check(node: ast.AST, text: str, names: set[str]) -> None:
    match node:
        case ast.Constant(value=bool() | int() | float()):
            pass
        case ast.Name(id=name) if name in QUANTITIES:
            names.add(name)
        case ast.Name(id=name):
            raise ValueError(f"no quantity named {name!r} in {text!r}: there are {', '.join(QUANTITIES)}")
        case ast.BinOp(left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
            _check(left, text, names)
            _check(right, text, names)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not(), operand=operand):
            _check(operand, text, names)
        case ast.BoolOp(values=values):
            for value in values:
                _check(value, text, names)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in ops
        ):
            for value in (left, *others):
                _check(value, text, names)
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as args, keywords=[]) if name in _FUNCTIONS:
            for value in args:
                _check(value, text, names)
        case _:
            raise ValueError(
                f"expected numbers, + - * /, < <= > >=, and, or, not, {', '.join(_FUNCTIONS)} in {text!r}, "
                f"got {ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__!r}"
            )


def _value(node: ast.expr, quantities: Mapping[str, float], tolerance: float) -> float:
    def of(inner: ast.expr) -> float:
        return _value(inner, quantities, tolerance)

    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return float(value)
        case ast.Name(id=name):
            return quantities[name]
        case ast.BinOp(left, op, right):
            a, b = of(left), of(right)
            if isinstance(op, ast.Div):
                return a / b
            return a + b if isinstance(op, ast.Add) else a - b if isinstance(op, ast.Sub) else a * b
        case ast.UnaryOp(op, operand):
            value = of(operand)
            return float(not value) if isinstance(op, ast.Not) else -value if isinstance(op, ast.USub) else value
        case ast.BoolOp(op, values):
            return float(all(map(of, values)) if isinstance(op, ast.And) else any(map(of, values)))
        case ast.Compare(left, ops, others):
            values = [of(left), *map(of, others)]
            return float(all(_ordered(op, a, b, tolerance) for op, a, b in zip(ops, values, values[1:])))
        case ast.Call(func=ast.Name(id=name), args=args):
            return float(_FUNCTIONS[name](*map(of, args)))
        case _:
            raise ValueError(f"expected a checked expression, got {ast.unparse(node)!r}")


def _ordered(op: ast.cmpop, a: float, b: float, tolerance: float) -> bool:
    match op:
        case ast.Lt():
            return a < b + tolerance
        case ast.LtE():
            return a <= b + tolerance
        case ast.Gt():
            return a > b - tolerance
        case _:
            return a >= b - tolerance
