"""Models of transformers and diffusers from a folder: of safetensors alone, whole and finite.

Left to themselves both libraries unpickle what they find, and make up by chance what a file lacks.
"""

from pathlib import Path
from typing import Any

from perdure.models.headers import PICKLES, check

STEMS = {"transformers": "model", "diffusers": "diffusion_pytorch_model"}


def opened(kind: Any, folder: Path, device: Any = "cpu", beyond: tuple[str, ...] = (), **settings: Any) -> Any:
    """A model of a class of theirs, ready to be asked. Nothing is fetched, and none of the folder's code runs.

    Tensors whose names begin as `beyond` has it may be there and are not read.
    """
    library, name = kind.__module__.partition(".")[0], kind.__name__
    if not (folder / "config.json").is_file():
        raise ValueError(f"expected {name} as {library} saves it, with config.json and .safetensors, got {folder}")
    pickles = [file for file in sorted(folder.iterdir()) if file.suffix in PICKLES]
    if pickles and not any(folder.glob("*.safetensors")):
        way = f"perdure weights convert {pickles[0]} {folder / STEMS[library]}.safetensors"
        if len(pickles) > 1:
            way = "get it as safetensors, or save it so where you trust it: save_pretrained"
        raise ValueError(
            f"{folder}: expected .safetensors, got {pickles[0].name}, a pickle, which can run code when it is read: "
            f"{way}"
        )
    for file in sorted(folder.glob("*.safetensors")):
        check(file)  # says better than they what is wrong with it
    try:
        model, told = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # told below, by name
            output_loading_info=True,
            **settings,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        says = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ValueError(f"expected {name} in {folder}, as {library} saves it: {says}") from None
    faults = {"missing": "missing", "unexpected": "not known", "mismatched": "of another shape"}
    for what, fault in faults.items():
        names = [it if isinstance(it, str) else " ".join(map(str, it)) for it in told[f"{what}_keys"]]
        if names := [it for it in names if what != "unexpected" or not it.startswith(beyond)]:
            raise ValueError(
                f"{folder}: expected the tensors of {name}, {len(names)} are {fault}, the first of them {min(names)}: "
                "fetch the files again"
            )
    model = model.to(device).eval()
    for its, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.dtype.itemsize > 1 and not tensor.isfinite().all():
            raise ValueError(
                f"{folder}: expected finite numbers, {its} has NaN or infinity in it, as {tensor.dtype}: "
                "fetch the files again"
            )
    return model
