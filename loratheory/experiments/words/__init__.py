"""What the experiments on word problems share: problems, bases, adapters, reuse and likeness.

Problems, cases and votes need NumPy alone; what needs PyTorch is imported where used.
"""

from importlib import import_module
from typing import Any

from loratheory.experiments.words._problems import CODE as CODE
from loratheory.experiments.words._problems import FORMS as FORMS
from loratheory.experiments.words._problems import PAIRS as PAIRS
from loratheory.experiments.words._problems import SKILLS as SKILLS
from loratheory.experiments.words._problems import chains as chains
from loratheory.experiments.words._problems import drawn as drawn
from loratheory.experiments.words._problems import linked as linked
from loratheory.experiments.words._size import QUICK as QUICK
from loratheory.experiments.words._votes import lead as lead
from loratheory.experiments.words._votes import share_needed as share_needed

_TRAINED = {"base": "_bases", "solutions": "_written"}


def __getattr__(name: str) -> Any:
    """Import what needs PyTorch only when it is asked for."""
    if name not in _TRAINED:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_TRAINED[name]}"), name)
