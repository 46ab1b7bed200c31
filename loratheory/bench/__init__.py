"""Bases, libraries of adapters and worlds of facts that `evaluate` and the paper's studies share.

`rules` has every combination method, written once for all models; `bases`, `library`, `training`
and `answers` are of small transformers, the other modules of language models. Modules that need
PyTorch are imported only where something is trained.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loratheory.pretrained import Model


@dataclass(frozen=True, kw_only=True)
class Language:
    """The part of a config that says which language model a cell uses, and the `seed` of its data.

    The `model` is an id or a folder, or empty for SmolLM2-135M-Instruct, dequantised from 4 bits;
    the `device` is passed to `pretrained.load_model`. A study's config adds what it varies.
    """

    seed: int = 0
    model: str = ""
    device: str = "cpu"

    def base(self, **how: Any) -> "Model":
        """Return the language model; `how` is passed to `pretrained.load_model`."""
        from loratheory.pretrained import load_model

        return load_model(self.model or None, device=self.device, **how)
