"""Going on after something was put in or taken out: what a model and the next one share stays as it was, by name."""

import mujoco

from perdure.world.mechanism import Compiled


def transplant(old: Compiled, new: Compiled, data: mujoco.MjData) -> mujoco.MjData:
    """Data of the new model in which all that both have is as it is in `data`, bit for bit."""
    out = mujoco.MjData(new.model)
    out.time = data.time
    theirs = dict(_joints(old.model))
    for key, joint in _joints(new.model):
        if key in theirs and old.model.jnt_type[theirs[key]] == new.model.jnt_type[joint]:
            a, b = theirs[key], joint
            size, count = _WIDTHS[int(new.model.jnt_type[b])]
            at, to = old.model.jnt_qposadr[a], new.model.jnt_qposadr[b]
            out.qpos[to : to + size] = data.qpos[at : at + size]
            at, to = old.model.jnt_dofadr[a], new.model.jnt_dofadr[b]
            for field in ("qvel", "qacc_warmstart", "qfrc_applied"):
                getattr(out, field)[to : to + count] = getattr(data, field)[at : at + count]
    theirs = dict(_bodies(old.model))
    for key, b in _bodies(new.model):
        if key in theirs:
            a = theirs[key]
            out.xfrc_applied[b] = data.xfrc_applied[a]
            at, to = old.model.body_mocapid[a], new.model.body_mocapid[b]
            if at >= 0 and to >= 0:
                out.mocap_pos[to], out.mocap_quat[to] = data.mocap_pos[at], data.mocap_quat[at]
    theirs = {old.model.actuator(i).name or str(i): i for i in range(old.model.nu)}
    for i in range(new.model.nu):
        name = new.model.actuator(i).name or str(i)
        if name in theirs:
            out.ctrl[i] = data.ctrl[theirs[name]]
    return out


_WIDTHS = {0: (7, 6), 1: (4, 3), 2: (1, 1), 3: (1, 1)}
"""Numbers that a free, ball, slide or hinge joint has in qpos and in qvel."""


def _bodies(model: mujoco.MjModel) -> list[tuple[str, int]]:
    """Bodies by name, those without one by their place among such: only bodies with names come and go."""
    out: list[tuple[str, int]] = []
    nameless = 0
    for i in range(model.nbody):
        name = str(model.body(i).name)
        nameless += not name
        out.append((name or f"#{nameless}", i))
    return out


def _joints(model: mujoco.MjModel) -> list[tuple[str, int]]:
    out: list[tuple[str, int]] = []
    for name, i in _bodies(model):
        first = int(model.body_jntadr[i])
        out += [(f"{name}/{n}", first + n) for n in range(int(model.body_jntnum[i]))]
    return out
