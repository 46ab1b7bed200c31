"""One bench for studies of reuse: models that answer questions with libraries of adapters acting.

`rules` has every rule of reuse, written once for all models. Small transformers: `transformers`
(bases, libraries, answers, theory). Language models: `language`. A study is a declaration: its
question, prediction, arms and grid. What needs PyTorch is imported when a cell runs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from loratheory.experiments.bench import transformers

if TYPE_CHECKING:
    from loratheory.experiments.bench.transformers import Bases, Taught
    from loratheory.pretrained import Model

CROWDS = ((0, 1), (2, 3), (4, 5), (6, 7))
"""The base seeds of the paper's cells."""


@dataclass(frozen=True, kw_only=True)
class Small:
    """Some bases, and adapters of single hops on each; a config adds what it varies.

    Alike wherever it can be, so that experiments share their bases.

    Attributes
    ----------
    seeds, coverage, entities, spare, width
        Of the bases, see `bases.Setting`.
    sets, facts, retained
        Of the adapters, see `library.Teaching`.
    pretrained, trained : int
        Steps of the training of a base, of an adapter.
    """

    seeds: tuple[int, ...] = (0, 1)
    sets: int = 2
    facts: int = 5
    coverage: float = 0.5
    entities: int = 100
    spare: int = 20
    width: int = 128
    pretrained: int = 700
    trained: int = 120
    retained: int = 40

    def bases(self, **setting: Any) -> "Bases":
        """Return the bases; `setting` are further fields of `bases.Setting`, or other values."""
        mine = {name: getattr(self, name) for name in ("coverage", "entities", "spare", "width")}
        mine["steps"] = self.pretrained
        return transformers.bases(transformers.Setting(**(mine | setting)), self.seeds)

    def library(
        self, bases: "Bases | None" = None, kinds: Sequence[str] = ("hops",), **teaching: Any
    ) -> "Taught":
        """Return adapters of these kinds, see `training.library`, on these bases or the config's.

        `teaching` are further fields of `library.Teaching`, or other values.
        """
        mine = {name: getattr(self, name) for name in ("facts", "sets", "retained")}
        how = transformers.Teaching(**{**mine, "steps": self.trained, **teaching})
        return transformers.library(self.bases() if bases is None else bases, how, kinds)


@dataclass(frozen=True, kw_only=True)
class Language:
    """A language model, and a `seed` of facts or problems and of training.

    The `model` is an id or folder, or empty for SmolLM2-135M-Instruct, dequantised from 4 bits; the
    `device` as in `pretrained.load`. A config adds what it varies.
    """

    seed: int = 0
    model: str = ""
    device: str = "cpu"

    def base(self, **how: Any) -> "Model":
        """Return the model, loaded as `how` says."""
        from loratheory.pretrained import load

        return load(self.model or None, device=self.device, **how)


def on_all_bases(configs: Iterable[Small]) -> tuple[Small, ...]:
    """Return each config once for each of `CROWDS`, in this order."""
    return tuple(replace(one, seeds=seeds) for one in configs for seeds in CROWDS)
