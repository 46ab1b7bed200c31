"""What studies share; `Language` is the part of a config that several of them have."""

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
