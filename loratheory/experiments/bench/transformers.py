"""All that a study on small transformers needs, in one import; its first use needs PyTorch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loratheory.experiments.bench.answers import *  # noqa: F403
    from loratheory.experiments.bench.bases import *  # noqa: F403
    from loratheory.experiments.bench.coefficient import *  # noqa: F403
    from loratheory.experiments.bench.library import *  # noqa: F403
    from loratheory.experiments.bench.likeness import *  # noqa: F403
    from loratheory.experiments.bench.models import *  # noqa: F403
    from loratheory.experiments.bench.questions import *  # noqa: F403
    from loratheory.experiments.bench.stand_ins import *  # noqa: F403
    from loratheory.experiments.bench.theory import *  # noqa: F403
    from loratheory.experiments.bench.training import *  # noqa: F403
    from loratheory.experiments.bench.weights import *  # noqa: F403
    from loratheory.experiments.bench.words import *  # noqa: F403
    from loratheory.toy.transformer import ATTENTION as ATTENTION
    from loratheory.toy.transformer import MLP as MLP

MODULES = (
    *("models", "bases", "library", "training", "answers", "theory", "coefficient", "weights"),
    *("questions", "words", "likeness", "stand_ins"),
)


def __getattr__(name: str) -> Any:
    """Return the object of this name in the first of `MODULES` that has one."""
    for module in () if name.startswith("_") else MODULES:
        found = vars(import_module(f"loratheory.experiments.bench.{module}"))
        if name in found:
            return found[name]
    message = f"no module of the bench for small transformers has {name!r}"
    raise AttributeError(message)
