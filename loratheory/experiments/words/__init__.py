"""What the studies of skills share: problems, settings, bases, adapters, reuse and likeness.

Problems and settings need NumPy alone; what needs PyTorch is imported where used.
"""

from typing import Any

from loratheory.experiments.words._problems import CODE as CODE
from loratheory.experiments.words._problems import FORMS as FORMS
from loratheory.experiments.words._problems import PAIRS as PAIRS
from loratheory.experiments.words._problems import SKILLS as SKILLS
from loratheory.experiments.words._problems import chains as chains
from loratheory.experiments.words._problems import drawn as drawn
from loratheory.experiments.words._problems import linked as linked
from loratheory.experiments.words._settings import QUICK as QUICK
from loratheory.experiments.words._settings import Size as Size
from loratheory.experiments.words._settings import margin as margin
from loratheory.experiments.words._settings import share_needed as share_needed


def __getattr__(name: str) -> Any:
    """Import what needs PyTorch only when it is asked for."""
    if name not in ("base", "solutions"):
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from loratheory.experiments.words import _models

    return getattr(_models, name)
