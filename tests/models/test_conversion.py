"""Pickles become safetensors and run nothing; Wan's own layout becomes diffusers', whole or not at all."""

import json
import os
import pickle
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from perdure.models import pickled
from perdure.models.conversion import convert, examine, facts
from perdure.models.tensors import open_tensors
from perdure.models.weights import open_transformer, save
from tests.cli.desk import Said, refused, said
from tests.models.test_dit import KINDS, TINY
from tests.models.test_weights import PUBLISHED, alike, as_published, filled, wans_own


class Evil:
    """Leaves a mark wherever it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_pickle_of_wans_becomes_diffusers_folder(tmp_path: Path, capsys: Said):
    model = filled(KINDS["2.1 image-to-video"])
    # As training leaves it: behind a prefix, beside other things, two names on one storage.
    own = {f"model.{name}": it for name, it in wans_own(model.state_dict()).items()}
    (tmp_path / "config.json").write_text('{"_class_name": "WanModel", "num_heads": 2}')
    torch.save({"generator_ema": own, "step": 7, "critic": {"a": torch.ones(1)}}, tmp_path / "it.pt")
    says = refused(capsys, "weights", "convert", str(tmp_path / "it.pt"), str(tmp_path / "out"))
    assert "it holds several sets of weights, 'generator_ema', 'critic': say which with --part" in says
    assert left(tmp_path) == {"it.pt", "config.json"}
    command = "weights", "convert", str(tmp_path / "it.pt"), str(tmp_path / "out"), "--part", "generator_ema"
    assert "2 layers of 48" in said(capsys, *command)
    assert left(tmp_path) == {"it.pt", "config.json", "out"}
    back = WanTransformer3DModel.from_pretrained(tmp_path / "out")
    assert all(it.equal(model.state_dict()[name]) for name, it in back.state_dict().items())
    assert "out is there already" in refused(capsys, *command)


def test_a_wicked_pickle_runs_nothing(tmp_path: Path, capsys: Said):
    mark = tmp_path / "mark"
    state = {"patch_embedding.weight": torch.ones(3), "more": Evil(mark)}
    torch.save(state, tmp_path / "new.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.bin").write_bytes(pickle.dumps(Evil(mark), 2))
    for name in ("new.pth", "old.pth", "bare.bin"):
        told = pickled.main(str(tmp_path / name), str(tmp_path / "out"), "")
        assert f"asks for {os.system.__module__}.system, which is code: nothing of it was run" in told["refused"], name
    says = refused(capsys, "weights", "convert", str(tmp_path / "new.pth"), str(tmp_path / "out.safetensors"))
    assert says.startswith(f"perdure: {tmp_path}/new.pth: expected plain tensors, its pickle asks for ")
    assert left(tmp_path) == {"new.pth", "old.pth", "bare.bin"}
    torch.load(tmp_path / "new.pth", weights_only=False)
    assert mark.exists(), "had it been run, it would have shown"


def test_a_killed_reader_is_told(tmp_path: Path):
    torch.save({"a": torch.ones(3)}, tmp_path / "it.pth")
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before = set(children.read_text().split())  # what other tests started is not ours to kill

    def kill() -> None:
        for _ in range(1000):
            if found := set(children.read_text().split()) - before:
                return os.kill(int(found.pop()), signal.SIGKILL)
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ValueError, match=r"it\.pth: the process that read it was killed \(SIGKILL\): is there memory"):
        convert(tmp_path / "it.pth", tmp_path / "out.safetensors")
    killer.join()
    assert left(tmp_path) == {"it.pth"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1, 2], "expected tensors by name, got a list without any"),
        ({"a": 1, "b": {"c": 2}}, "expected tensors by name, got a dict without any"),
        (torch.ones(3), "expected tensors by name, got a Tensor without any"),
    ],
)
def test_other_things_are_refused(content: object, says: str, tmp_path: Path):
    torch.save(content, tmp_path / "x.pth")
    assert pickled.main(str(tmp_path / "x.pth"), str(tmp_path / "out"), "")["refused"] == says
    assert left(tmp_path) == {"x.pth"}


def test_what_is_no_pickle_of_torchs_is_refused(tmp_path: Path):
    for content in (b"hello", pickle.dumps([1, 2], 2)):
        (tmp_path / "x.pth").write_bytes(content)
        told = pickled.main(str(tmp_path / "x.pth"), str(tmp_path / "out"), "")
        assert told == {"refused": "expected what torch.save writes, it is not that"}


def test_a_pickle_cut_short_is_refused(tmp_path: Path):
    torch.save({"a": torch.ones(300)}, tmp_path / "x.pth")
    (tmp_path / "x.pth").write_bytes((tmp_path / "x.pth").read_bytes()[:-300])
    assert "cut short or damaged" in pickled.main(str(tmp_path / "x.pth"), str(tmp_path / "out"), "")["refused"]


def test_what_shares_a_storage_is_written_twice(tmp_path: Path):
    whole = torch.arange(12.0).reshape(3, 4)
    state = {"whole": whole, "again": whole, "turned": whole.T, "row": whole[1], "parameter": torch.nn.Parameter(whole)}
    torch.save(state, tmp_path / "x.pth")
    told = pickled.main(str(tmp_path / "x.pth"), str(tmp_path / "x.safetensors"), "")
    assert told == {"tensors": 5, "part": "", "left": 0}
    found = load_file(tmp_path / "x.safetensors")
    assert all(found[name].equal(it) for name, it in state.items())


def test_other_tensors_stay_as_they_are_in_a_file(tmp_path: Path, capsys: Said):
    state = {"decoder.1.weight": torch.randn(4, 3), "count": torch.arange(3)}
    torch.save(state, tmp_path / "taew2_1.pth")
    says = refused(capsys, "weights", "convert", str(tmp_path / "taew2_1.pth"), str(tmp_path / "out"))
    assert "expected a transformer of Wan" in says and "name a file: " in says and left(tmp_path) == {"taew2_1.pth"}
    out = tmp_path / "taew2_1.safetensors"
    said(capsys, "weights", "convert", str(tmp_path), str(out), "--dtype", "bfloat16")
    assert load_file(out)["decoder.1.weight"].equal(state["decoder.1.weight"].bfloat16())
    assert load_file(out)["count"].equal(state["count"])


def test_two_experts_become_two(tmp_path: Path, capsys: Said):
    for seed, name in enumerate(("high_noise_model", "low_noise_model")):
        (tmp_path / "in" / name).mkdir(parents=True)
        save_file(wans_own(filled(TINY, seed).state_dict()), tmp_path / "in" / name / "x.safetensors")
        (tmp_path / "in" / name / "config.json").write_text('{"_class_name": "WanModel", "num_heads": 2}')
    convert(tmp_path / "in", tmp_path / "out", dtype=torch.bfloat16)
    for seed, name in enumerate(("transformer", "transformer_2")):
        save(filled(TINY, seed), tmp_path / name)
        assert alike(open_transformer(tmp_path / "out" / name), open_transformer(tmp_path / name, dtype=torch.bfloat16))
    assert "out/transformer_2 is whole: a transformer (2 layers of 48" in said(
        capsys, "weights", "check", str(tmp_path / "out")
    )
    assert "two experts do not go into one file" in refused(
        capsys, "weights", "convert", str(tmp_path / "in"), str(tmp_path / "x.safetensors")
    )


def test_adapters_of_others_are_shown_checked_and_converted(tmp_path: Path, capsys: Said):
    config = replace(TINY, adapters=PUBLISHED["worldplay"])
    (tmp_path / "in").mkdir()
    save_file(as_published(filled(config), "worldplay"), tmp_path / "in" / "x.safetensors")
    (tmp_path / "in" / "config.json").write_text('{"num_heads": 2}')
    said(capsys, "weights", "convert", str(tmp_path / "in"), str(tmp_path / "out"))
    assert alike(open_transformer(tmp_path / "out"), filled(config))
    for folder in ("in", "out"):
        told = json.loads(said(capsys, "weights", "show", str(tmp_path / folder), "--json"))
        assert told["adapters"] == {"keys": "81-way", "camera": "fx_fy"} and told["names"] == "diffusers"
        assert "is whole" in said(capsys, "weights", "check", str(tmp_path / folder))
    save(filled(TINY), tmp_path / "bare")
    assert json.loads(said(capsys, "weights", "show", str(tmp_path / "bare"), "--json"))["adapters"] == {}


def test_a_folder_with_adapters_goes_into_no_single_file(tmp_path: Path, capsys: Said):
    save(filled(replace(TINY, adapters=PUBLISHED["worldplay"])), tmp_path / "it")
    says = refused(capsys, "weights", "convert", str(tmp_path / "it"), str(tmp_path / "one.safetensors"))
    assert "its adapters lie beside it in adapters.safetensors" in says and "name a folder to write to" in says
    assert left(tmp_path) == {"it"}


def test_weights_are_looked_at(tmp_path: Path, capsys: Said):
    save(filled(TINY), tmp_path / "it")
    with open_tensors(tmp_path / "it") as held:
        told = facts(held)
    assert told["names"] == "diffusers" and told["tensors"] == len(filled(TINY).state_dict())
    assert told["numbers"] == {"float32": sum(it.numel() for it in filled(TINY).parameters())}
    assert "2 layers of 48, 4 channels" in said(capsys, "weights", "show", str(tmp_path / "it"))
    broken = filled(TINY).state_dict()
    broken["blocks.1.ffn.net.2.weight"][3, 5] = torch.nan
    (tmp_path / "it" / "diffusion_pytorch_model.safetensors").unlink()
    save_file(broken, tmp_path / "it" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ValueError, match=r"blocks\.1\.ffn\.net\.2\.weight has NaN or infinity in it"):
        examine(tmp_path / "it")
    del broken["proj_out.bias"]
    save_file(broken, tmp_path / "it" / "diffusion_pytorch_model.safetensors")
    says = refused(capsys, "weights", "check", str(tmp_path / "it"))
    assert "tensors of Transformer, got 1 missing: proj_out.bias (16,)" in says
    for command in ("show", "check"):
        assert "there is nothing" in refused(capsys, "weights", command, str(tmp_path / "nowhere"))
    assert "expected a --dtype out of float32" in refused(capsys, "weights", "convert", "a", "b", "--dtype", "int4")
