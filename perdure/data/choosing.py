"""Choosing clips by an expression over their profiles, and saying what was dropped by which part of it.

    chosen = choose(rows, "sharpness > 40 and 'snow' in events and source == 'doom'")

An expression is read by a grammar of its own, and nothing in it can do anything. What a clip does not know fails every
comparison, and is counted apart. A rule of a world (`world/rules.py`) is the same idea over numbers alone.
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]

_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_COUNTED: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max, "len": len}
LONGEST = 1000  # characters
NAMED = 50  # clips that a report names for each condition


class _Unknown(Exception):
    """A clip does not know what is asked."""


@dataclass
class Condition:
    """One of the parts that must all be true, and what it dropped."""

    says: str
    dropped: list[str] = field(default_factory=list)  # clips that fail it
    alone: int = 0  # of those, the ones that fail nothing else
    unknown: int = 0  # of those, the ones that do not know


@dataclass(frozen=True)
class Choice:
    where: str
    kept: tuple[str, ...]
    dropped: int
    conditions: tuple[Condition, ...]

    def report(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "where": self.where,
            "clips": len(self.kept) + self.dropped,
            "kept": len(self.kept),
            "dropped": self.dropped,
            "conditions": [
                {
                    "condition": it.says,
                    "dropped": len(it.dropped),
                    "by it alone": it.alone,
                    "unknown": it.unknown,
                    "names": it.dropped[:NAMED],
                    "not named": max(0, len(it.dropped) - NAMED),
                }
                for it in self.conditions
            ],
            "names": list(self.kept),
        }


def choose(rows: Sequence[Row], where: str) -> Choice:
    """The clips for which an expression is true."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    parts = parse(where, columns)
    conditions = tuple(Condition(ast.unparse(part)) for part in parts)
    kept: list[str] = []
    for row in rows:
        failed: list[Condition] = []
        for part, condition in zip(parts, conditions):
            try:
                good = bool(_value(part, row, where))
            except _Unknown:
                good = False
                condition.unknown += 1
            if not good:
                condition.dropped.append(str(row["name"]))
                failed.append(condition)
        if len(failed) == 1:
            failed[0].alone += 1
        if not failed:
            kept.append(str(row["name"]))
    return Choice(where, tuple(kept), len(rows) - len(kept), conditions)


def parse(where: str, columns: Sequence[str]) -> list[ast.expr]:
    """The parts of an expression that must all be true, checked: `a and b` has two."""
    if len(where) > LONGEST:
        raise ValueError(f"expected an expression of at most {LONGEST} characters, got {len(where)}")
    try:
        tree = ast.parse(where.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(
            f"expected an expression such as \"sharpness > 40 and 'snow' in events\", got {where!r}"
        ) from None
    _check(tree, columns, where)
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    for part in parts:
        if not isinstance(part, ast.Compare | ast.BoolOp | ast.Name | ast.UnaryOp) or (
            isinstance(part, ast.UnaryOp) and not isinstance(part.op, ast.Not)
        ):
            raise ValueError(f"expected something that is true or not in {where!r}, got {ast.unparse(part)!r}")
    return parts


def _check(node: ast.AST, columns: Sequence[str], where: str) -> None:
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            return
        case ast.Name(id=name) if name in columns:
            return
        case ast.Name(id=name):
            raise ValueError(f"no column named {name!r}: there are {', '.join(columns)}")
        case ast.BinOp(left, op, right) if type(op) in _COUNTED:
            inner: list[ast.expr] = [left, right]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not(), operand=operand):
            inner = [operand]
        case ast.BoolOp(values=values):
            inner = values
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(op) in _COMPARED or isinstance(op, ast.In | ast.NotIn) for op in ops
        ):
            inner = [left, *others]
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as args, keywords=[]) if name in _FUNCTIONS:
            inner = args
        case ast.Tuple(elts=[_, *_] as values) | ast.List(elts=[_, *_] as values):
            inner = values
        case _:
            got = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise ValueError(
                f"expected columns, numbers, 'words', + - * /, < <= > >= == !=, in, not in, and, or, not, "
                f"{', '.join(_FUNCTIONS)} in {where!r}, got {got!r}"
            )
    for part in inner:
        _check(part, columns, where)


def _value(node: ast.expr, row: Row, where: str) -> Any:
    def of(inner: ast.expr) -> Any:
        return _value(inner, row, where)

    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            if row.get(name) is None:
                raise _Unknown(name)
            return row[name]
        case ast.UnaryOp(ast.Not(), operand):
            return not of(operand)
        case ast.BoolOp(ast.And(), values):
            return all(map(of, values))
        case ast.BoolOp(_, values):
            return _any(values, row, where)
        case ast.Tuple(elts=values) | ast.List(elts=values):
            return [of(value) for value in values]
        case _:
            pass
    try:
        match node:
            case ast.BinOp(left, op, right):
                return _COUNTED[type(op)](of(left), of(right))
            case ast.UnaryOp(op, operand):
                return -of(operand) if isinstance(op, ast.USub) else of(operand)
            case ast.Compare(left, ops, others):
                values = [of(left), *map(of, others)]
                return all(_compared(op, a, b) for op, a, b in zip(ops, values, values[1:]))
            case ast.Call(func=ast.Name(id=name), args=args):
                return _FUNCTIONS[name](*map(of, args))
    except (TypeError, ZeroDivisionError, OverflowError, MemoryError) as error:
        raise ValueError(
            f"{ast.unparse(node)!r} cannot be worked out for {row.get('name')}: {error}; words are quoted, "
            "numbers are not, and lists are asked with 'word' in column"
        ) from None
    raise ValueError(f"expected a checked expression, got {ast.unparse(node)!r}")


def _any(values: list[ast.expr], row: Row, where: str) -> bool:
    """One true part is enough, whatever else is unknown."""
    unknown: _Unknown | None = None
    for value in values:
        try:
            if _value(value, row, where):
                return True
        except _Unknown as error:
            unknown = error
    if unknown is not None:
        raise unknown
    return False


def _compared(op: ast.cmpop, a: Any, b: Any) -> bool:
    if isinstance(op, ast.In):
        return a in b
    return a not in b if isinstance(op, ast.NotIn) else _COMPARED[type(op)](a, b)
