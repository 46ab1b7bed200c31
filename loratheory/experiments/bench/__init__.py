"""One bench for studies of reuse: models that answer questions with libraries of adapters acting.

`rules` has every rule of reuse, written once for all models. Small transformers: `transformers`
(bases, libraries, answers, theory). Language models: `language`. A study is a declaration: its
question, prediction, arms and grid. What needs PyTorch is imported when a cell runs.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loratheory.experiments.bench.transformers import Bases, Library
    from loratheory.pretrained import Model

CROWDS = ((0, 1), (2, 3), (4, 5), (6, 7))
"""The base seeds of the paper's cells."""


@dataclass(frozen=True, kw_only=True)
class Small:
    """Some bases, and adapters of single hops on each; a config adds what it varies.

    Attributes
    ----------
    seeds : tuple of int
        Of the bases.
    sets, facts : int
        Edits on each base; edited facts of each hop of an edit.
    coverage : float
        Fraction of the two-hop questions that pretraining asks.
    entities, spare : int
        Of each level: those that pretraining shows, and those it never does. Alike wherever it can
        be, so that experiments share their bases.
    width, pretrained : int
        Of the transformer, and steps of its training.
    trained, retained : int
        Steps of the adapters' training, and facts of each hop that they rehearse.
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
        """Return the bases; `setting` are further fields of `bench.Setting`, or other values."""
        from loratheory.experiments.bench.transformers import Setting, bases

        mine = {name: getattr(self, name) for name in ("coverage", "entities", "spare", "width")}
        return bases(Setting(**{**mine, "steps": self.pretrained, **setting}), self.seeds)

    def library(
        self, bases: "Bases | None" = None, kinds: "Sequence[str]" = ("hops",), **teaching: Any
    ) -> "Library":
        """Return adapters of these kinds on these bases, or on the config's own.

        `teaching` are further fields of `library.Teaching`, or other values; see
        `training.library`.
        """
        from loratheory.experiments.bench.transformers import Teaching, library

        mine = {name: getattr(self, name) for name in ("facts", "sets", "retained")}
        how = Teaching(**{**mine, "steps": self.trained, **teaching})
        return library(self.bases() if bases is None else bases, how, kinds)


@dataclass(frozen=True, kw_only=True)
class Language:
    """A language model and what is drawn from a seed; a config adds what it varies.

    Attributes
    ----------
    seed : int
        Of facts or problems, and of training.
    model : str
        An id or folder; empty for SmolLM2-135M-Instruct, dequantised from 4 bits.
    device : str
        As in `pretrained.load`.
    """

    seed: int = 0
    model: str = ""
    device: str = "cpu"

    def base(self, **how: Any) -> "Model":
        """Return the model, loaded as `how` says."""
        from loratheory.pretrained import load

        return load(self.model or None, device=self.device, **how)


def on_all_bases(configs: "Iterable[Small]") -> "tuple[Small, ...]":
    """Return each config once for each of `CROWDS`, in this order."""
    return tuple(replace(one, seeds=seeds) for one in configs for seeds in CROWDS)
