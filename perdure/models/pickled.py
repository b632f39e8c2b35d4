"""Pickles, which torch.save writes: read in a process of their own, by torch's `weights_only`, into safetensors.

A pickle is a program. `weights_only` runs none of it but the making of tensors; should that ever be got
around, or a file eat all memory, it is a child that dies. It is run as a script and imports nothing of
ours, so that what reads a stranger's file knows no more than torch does.
"""

import json
import pickle as pickles  # its errors only
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

MANY = 8  # names of parts that are told


def convert(pickle: Path, file: Path, part: str = "") -> dict[str, Any]:
    """Write the tensors of `pickle` to the safetensors `file`, as they are named; `part` is which of several sets.

    Returns what is told of it: `tensors` written, `part`, and how many other things were `left` out.
    """
    command = [sys.executable, "-P", __file__, str(pickle), str(file), part]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode < 0:
        file.unlink(missing_ok=True)
        name = signal.Signals(-done.returncode).name
        raise ValueError(f"{pickle}: the process that read it was killed ({name}): is there memory enough for it?")
    lines = done.stdout.strip().splitlines()
    try:
        told = json.loads(lines[-1])
    except (IndexError, ValueError):
        file.unlink(missing_ok=True)
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ValueError(f"{pickle}: the process that read it ended with {done.returncode}: {why}") from None
    if "refused" in told:
        file.unlink(missing_ok=True)
        raise ValueError(f"{pickle}: {told['refused']}")
    return told


def main(pickle: str, file: str, part: str) -> dict[str, Any]:
    try:
        try:
            held = torch.load(pickle, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:  # what torch wrote before 1.6 cannot be mapped
            if "mmap" not in str(error):
                raise
            held = torch.load(pickle, map_location="cpu", weights_only=True)
    except pickles.UnpicklingError as error:
        return {"refused": refusal(str(error))}
    except (RuntimeError, OSError, EOFError, LookupError, ValueError, AttributeError, TypeError) as error:
        why = "it is cut short or damaged: fetch it again" if "PytorchStreamReader" in str(error) else "it is not that"
        return {"refused": f"expected what torch.save writes, {why}"}
    found = parts(held)
    if not found:
        return {"refused": f"expected tensors by name, got a {type(held).__name__} without any"}
    if part not in found:
        names = ", ".join(repr(name) for name in list(found)[:MANY])
        if part:
            return {"refused": f"expected one of its parts, {names}, got {part!r}"}
        if len(found) > 1:
            return {"refused": f"it holds several sets of weights, {names}: say which with --part"}
        (part,) = found
    tensors = found[part]
    save_file(apart(tensors), file)
    everything = held[part] if part else held
    return {"tensors": len(tensors), "part": part, "left": len(everything) - len(tensors)}


def parts(held: object) -> dict[str, dict[str, torch.Tensor]]:
    """The sets of tensors in what was read: itself ("") or those under its names ("generator_ema")."""
    if not isinstance(held, dict):
        return {}
    own = tensors_of(held)
    if own:
        return {"": own}
    return {str(name): inner for name, it in held.items() if isinstance(it, dict) and (inner := tensors_of(it))}


def apart(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each whole and in a storage of its own, as safetensors wants them; copied only where it is not."""
    out: dict[str, torch.Tensor] = {}
    taken: set[int] = set()
    for name, it in tensors.items():
        it = it.detach().contiguous()
        start = it.untyped_storage().data_ptr()
        out[name] = it.clone() if start in taken else it
        taken.add(start)
    return out


def tensors_of(held: dict[Any, Any]) -> dict[str, torch.Tensor]:
    return {name: it for name, it in held.items() if isinstance(name, str) and isinstance(it, torch.Tensor)}


def refusal(error: str) -> str:
    """What torch says of a pickle that wants more than tensors, in one line."""
    wanted = ""
    for mark in ("GLOBAL ", "Unsupported class ", "Unsupported global: "):
        if mark in error:
            wanted = error.split(mark, 1)[1].split()[0]
            break
    if not wanted:
        return "expected what torch.save writes, its pickle cannot be read: it is another, or damaged"
    return (
        f"expected plain tensors, its pickle asks for {wanted}, which is code: nothing of it was run. "
        "Get safetensors from those who made it"
    )


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:4])))
