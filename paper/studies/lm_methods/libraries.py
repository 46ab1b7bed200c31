"""Evaluate libraries with and without an adapter of the target task, on a language model."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

from loratheory.pretrained.train import train_once
from paper.studies._shared import Language
from paper.studies._shared.language import Method, depth, layer_split, rule
from paper.studies._shared.run import Row, grid, part
from paper.studies.lm_methods import facts as bench

COLUMNS = ("hop_1", "hop_2", "two_hop", "two_hop_vocabulary")
FORMS = {"shared form": (0, 1), "form for hop 1": (0,), "form for hop 2": (1,)}
"""The hops whose training sets have solutions besides facts; these runs have no expert."""
WRITTEN = ("base", "hop 1 alone", "hop 2 alone", "mean", "sum")
"""Methods without an expert under which solutions are also written out."""


@dataclass(frozen=True)
class Config(Language):
    """The familiarity of the facts to the base, and the training of the adapters.

    Attributes
    ----------
    familiarity : str
        ``fake``, ``half`` or ``real``.
    trained : str
        ``all layers``, or one of `FORMS`.
    """

    familiarity: str = "half"
    trained: str = "all layers"


def cell(config: Config) -> list[Row]:
    """Return a row for each method and library.

    Returns
    -------
    list of dict
        ``familiarity``, ``trained``, ``library`` (the number of active adapters) and ``rule``; the
        columns of `facts.accuracies`; and, for half-fake facts and the methods in `WRITTEN`, the
        accuracy of `facts.written_out` without a question first (``two_hop_written``) and with a
        question first (``two_hop_form``).
    """
    model = config.base()
    facts = bench.draw_facts(config.seed, config.familiarity)
    sets = list(facts.training_sets)
    if config.trained in FORMS:
        # Two adapters share a form of solution; there is no expert.
        forms = bench.solutions(facts)
        shown = FORMS[config.trained]
        sets = [[*sets[k], *(forms[k] if k in shown else ())] for k in (0, 1)]
    library = [train_once(model, one, seed=(config.seed, 0, k)) for k, one in enumerate(sets)]
    rows: list[Row] = []
    for size, name, which, method in conditions(config.trained, depth(model)):
        row: Row = {"seed": config.seed, "familiarity": config.familiarity}
        row |= {"trained": config.trained, "library": size, "rule": name}
        with method(model, library[which]):
            row |= bench.accuracies(model, facts, COLUMNS)
            write = config.familiarity == "half" and size < 3 and name in WRITTEN
            for end, question in (("written", ""), ("form", bench.QUESTIONS[0])):
                row[f"two_hop_{end}"] = bench.written_out(model, facts, question) if write else nan
        rows.append(row)
    return rows


def conditions(trained: str, depth: int) -> Iterator[tuple[int, str, slice, Method]]:
    """Yield the number of active adapters, the method's name, their slice, and the method."""
    yield 0, "base", slice(1), rule("base")
    experts = trained not in FORMS
    for k, name in enumerate(("hop 1 alone", "hop 2 alone", "expert")[: 2 + experts]):
        yield 1, name, slice(k, k + 1), rule("sum")
    names = ("mean", "sum", "arrow", "per-matrix gating, z = 2") if experts else ("mean", "sum")
    for size in (2, 3)[: 1 + experts]:
        for name in names:
            yield size, name, slice(size), rule(name)
    if trained == "all layers":
        yield 2, "layer split", slice(2), layer_split(depth // 2)


PART = part(
    "libraries",
    cell,
    (Config(trained="shared form"),),
    (
        *grid(Config, seed=range(3), familiarity=("half", "fake", "real")),
        *grid(Config, trained=FORMS, seed=range(3)),
    ),
)
