"""The exported graphs are the torch modules that they came from, on inputs never traced."""

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch

from perdure.models.config import NANO, CodecConfig, TransformerConfig
from perdure.models.context import ANCHOR
from perdure.models.decoder import Decoder, Encoder
from perdure.models.dit import Transformer
from perdure.models.export import OUTPUTS, Denoise, convert, examples, export, graphs
from perdure.models.graphs import inputs, read, write
from perdure.runtime.backends import OpenVINO

CODEC = CodecConfig(encoder_widths=(16, 24), decoder_widths=(24, 16, 8), blocks=1)
DIT = replace(NANO, heads=2, head_dim=32, rotary=(4, 6, 6), layers=2, ffn=128, recent=2, recalled=1)
HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.nn.Module], Path]:
    torch.manual_seed(0)
    encoder, decoder, dit = Encoder(CODEC), Decoder(CODEC), Transformer(DIT)
    for name in ("proj_out.weight", "adapters.keys.linear_2.weight", "adapters.view.weight"):
        torch.nn.init.normal_(dit.get_parameter(name), std=0.1)
    modules, folder = graphs(encoder, decoder, dit), tmp_path_factory.mktemp("weights")
    export(modules, examples(CODEC, DIT, HEIGHT, WIDTH), folder)
    return modules, folder


@torch.no_grad()
@pytest.mark.parametrize("graph", OUTPUTS)
def test_graph_equals_module(graph: str, exported: tuple[dict[str, torch.nn.Module], Path]) -> None:
    modules, folder = exported
    backend = OpenVINO(folder, precision="f32")
    torch.manual_seed(1)
    inputs = examples(CODEC, DIT, HEIGHT, WIDTH)[graph]
    for name in ("action", "cameras", "ages"):
        if name in inputs:
            inputs[name] = torch.randn_like(inputs[name])
    made = backend(graph, {name: value.numpy() for name, value in inputs.items()})
    expected = modules[graph](*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    for name, value in zip(OUTPUTS[graph], expected, strict=True):
        scale = float(value.double().abs().max())
        error = float(np.abs(made[name].astype(float) - value.double().numpy()).max()) / scale
        # Weights are kept in half precision; bytes may round the other way by one.
        assert error < (0.005 if name == "frames" else 0.003), (name, error)


def test_weights_are_kept_once(exported: tuple[dict[str, torch.nn.Module], Path]) -> None:
    modules, folder = exported
    unique = {id(p): p.numel() for module in modules.values() for p in module.parameters()}
    assert (folder / "weights.bin").stat().st_size < 2 * sum(unique.values()) * 1.3


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (replace(DIT, adapters=replace(DIT.adapters, keys="")), r"not with adapters\.keys='multi-hot'$"),
        (
            replace(DIT, adapters=replace(DIT.adapters, view=0, identity=3)),
            r"adapters\.view=22, no adapters\.identity$",
        ),
        (replace(DIT, history="full", text_dim=8), r"not with text_dim=0, history='block-diagonal'$"),
    ],
    ids=["keys", "view and identity", "text and history"],
)
def test_what_no_graph_can_be_made_of_is_told(what: TransformerConfig, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        graphs(Encoder(CODEC), Decoder(CODEC), Transformer(what))


def test_shapes_are_known_without_torch() -> None:
    ears = [replace(DIT.adapters, words=kind, word_kinds=3, word_deeds=5) for kind in ("slots", "index")]
    for config in (DIT, *(replace(DIT, adapters=ear) for ear in ears)):
        told = examples(CODEC, config, HEIGHT, WIDTH)
        shapes = {graph: {name: tuple(it.shape) for name, it in given.items()} for graph, given in told.items()}
        assert inputs(config, (16, HEIGHT // 8, WIDTH // 8), (4, HEIGHT, WIDTH)) == shapes


def test_damaged_graphs_are_told(exported: tuple[dict[str, torch.nn.Module], Path], tmp_path: Path) -> None:
    def spoilt(file: str, content: bytes) -> Path:
        shutil.copytree(exported[1], folder := tmp_path / str(len(list(tmp_path.iterdir()))))
        (folder / file).write_bytes(content)
        return folder

    whole = {name: (exported[1] / name).read_bytes() for name in ("weights.bin", "encode.xml.gz", "decode.xml.gz")}
    cut = {name: content[: len(content) // 2] for name, content in whole.items()}
    with pytest.raises(ValueError, match=rf"xml\.gz: .* weights\.bin \({len(cut['weights.bin'])} bytes\).*cut short"):
        OpenVINO(spoilt("weights.bin", cut["weights.bin"]), "f32")
    for content in (cut["encode.xml.gz"], b"<net>" * 9, gzip.compress(b"<net>")):
        with pytest.raises(ValueError, match=r"encode\.xml\.gz: expected a g.*export all of them again"):
            OpenVINO(spoilt("encode.xml.gz", content), "f32")
    with pytest.raises(ValueError, match=r"graph 'encode', which makes latent, got one that makes frames, depth"):
        OpenVINO(spoilt("encode.xml.gz", whole["decode.xml.gz"]), "f32")


def test_a_graph_is_given_all_that_it_takes(exported: tuple[dict[str, torch.nn.Module], Path]) -> None:
    backend, example = OpenVINO(exported[1], precision="f32"), examples(CODEC, DIT, HEIGHT, WIDTH)["remember"]
    given = {name: it.numpy() for name, it in example.items()}
    backend("remember", given)
    sigma = given.pop("sigma")
    with pytest.raises(ValueError, match=r"expected latent, sigma, action .*'remember', missing or too much: sigma"):
        backend("remember", given)
    with pytest.raises(ValueError, match="missing or too much: level, sigma"):
        backend("remember", given | {"level": sigma})


@torch.no_grad()
def test_what_is_drawn_hears_words(tmp_path: Path) -> None:
    torch.manual_seed(0)
    ear = replace(DIT.adapters, words="slots", word_dim=8, word_slots=2, word_length=3)
    config = replace(DIT, adapters=ear)
    dit = Transformer(config)
    for name, parameter in dit.named_parameters():
        if name == "proj_out.weight" or (".words." in name and not parameter.any()):
            torch.nn.init.normal_(parameter, std=0.1)
    inputs = examples(CODEC, config, HEIGHT, WIDTH)["denoise"]
    module = Denoise(dit)
    write([("denoise", convert(module, inputs, OUTPUTS["denoise"]))], tmp_path)
    compiled = ov.Core().compile_model(
        read(tmp_path, ["denoise"])["denoise"], "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    silent = module(*inputs.values())
    inputs |= {
        "tokens": torch.randn(2, 3, 8),
        "heard": torch.tensor([[True, True, False], [False] * 3]),
        "anchors": torch.rand(2, ANCHOR),
    }
    exact = module(*inputs.values())
    assert (exact - silent).norm() > 0.01 * silent.norm()
    made = torch.from_numpy(compiled({name: value.numpy() for name, value in inputs.items()})[0])
    assert (made - exact).norm() < 0.003 * exact.norm()


@torch.no_grad()
def test_what_is_drawn_is_told_of_the_setting_and_what_is_remembered_is_not(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = replace(DIT, adapters=replace(DIT.adapters, setting=3))
    dit = Transformer(config)
    for name in ("proj_out.weight", "adapters.setting.linear_2.weight"):
        torch.nn.init.normal_(dit.get_parameter(name), std=0.1)
    modules = graphs(Encoder(CODEC), Decoder(CODEC), dit)
    inputs = examples(CODEC, config, HEIGHT, WIDTH)
    assert "setting" in inputs["denoise"] and "setting" not in inputs["remember"]
    export(modules, inputs, tmp_path)
    backend, asked = OpenVINO(tmp_path, precision="f32"), inputs["denoise"]
    noon, dusk = (asked | {"setting": torch.tensor(told)} for told in ([0.0, 0, 0], [1.0, -1, 0.5]))
    true = [modules["denoise"](*given.values()) for given in (noon, dusk)]
    assert (true[1] - true[0]).norm() > 0.01 * true[0].norm()
    for given, exact in zip((noon, dusk), true):
        made = backend("denoise", {name: value.numpy() for name, value in given.items()})["velocity"]
        assert (torch.from_numpy(made) - exact).norm() < 0.003 * exact.norm()
