"""Shared code of the studies; `Language` is the common part of language-model configs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loratheory.pretrained import Model


@dataclass(frozen=True, kw_only=True)
class Language:
    """The part of a config that names the language model of a run and the `seed` of its fact set.

    The `model` is an id or a folder, or empty for SmolLM2-135M-Instruct, dequantised from 4 bits;
    the `device` is passed to `pretrained.load_model`. A study's config adds the fields it varies.
    """

    seed: int = 0
    model: str = ""
    device: str = "cpu"

    def base(self, **how: Any) -> "Model":
        """Return the language model; `how` is passed to `pretrained.load_model`."""
        from loratheory.pretrained import load_model

        return load_model(self.model or None, device=self.device, **how)
