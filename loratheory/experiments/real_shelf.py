"""Several pairs of adapters at once on a language model, each pair about entities of its own.

**Question.** Which way of using a library in a real language model lets its pairs compose?

**Prediction.** Every pair has an adapter of its persons' countries and one of these countries'
mascots; 2K adapters act. Written when one, two and four pairs of twenty persons had been measured,
before any of twelve, and before eight: there the mean of four pairs had kept .34 and .23 of single
hops, the sum .26 and .28, gates .48 and .45, Arrow .56 and .63, and no way had more than .13 of
the chains. With twelve, up to four pairs answer as with twenty, to .1. With eight the mean is at
chance on single hops too, at a sixteenth of their strength (`thm:averaging-survival`), and the sum
loses to cross-talk what K adds (`thm:interference-angle`); gates (`thm:gate-detection`) keep .35
of single hops, Arrow .5, and no way composes more than .12, where the right pair alone, cut
(`thm:invisible-placement`), has .45. The reason is that loudness does not tell the pair: under
gates the right adapter is on no more than 1.2 times as often as those of other pairs taught in the
same sentences, those of the other hop at three quarters of it. So where all four pairs are taught
in one sentence gates do no better; where each has a sentence of its own the right adapter is on
twice as often as those of other pairs, and gates keep .8 of single hops, but of chains, asked in
sentences that are nobody's, .2 at most.

**Chance.** One in twelve among candidates, which are the same animals for all pairs.

**Controls.** The base; the right pair alone, cut or not (the oracle's choice of adapters);
whole vocabulary beside candidates; known facts that no adapter rehearses; one sentence for all
pairs, beside one for each.

**Found.** Not yet run.
"""

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

from loratheory.experiments._experiment import Experiment, Row

if TYPE_CHECKING:
    from loratheory.experiments.real._ways import Way


MOST = 4
"""Pairs that block gates are tried with."""


@dataclass(frozen=True)
class Config:
    """How many pairs act at once on which language model.

    Attributes
    ----------
    seed : int
        Of facts and training.
    pairs : int
        K.
    size : int
        Persons, countries and animals of each pair; eight pairs of twelve are what the world has
        countries for.
    sentences : str
        In which single facts are taught and asked: ``six`` for all pairs, ``one`` for all, or
        ``own``, one for each pair.
    thresholds : tuple of int
        Of gates, in deviations above the mean response to ordinary sentences.
    model : str
        An id or folder; empty for SmolLM2-135M-Instruct, dequantised from 4 bits.
    device : str
        As in `load`.
    """

    seed: int = 0
    pairs: int = 2
    size: int = 12
    sentences: str = "six"
    thresholds: tuple[int, ...] = (2,)
    model: str = ""
    device: str = "cpu"


def cell(config: Config) -> list[Row]:
    """Return one row for each way of using the library and each of its pairs.

    Parameters
    ----------
    config : Config
        What to teach to which model.

    Returns
    -------
    list of dict
        ``pairs`` K, ``sentences``, ``way``, the ``pair`` that is asked; the marks of a brief
        `exam` and ``known``, as `knows` has it; where a router weighs the adapters, map by map,
        what `shared` tells.
    """
    from loratheory.experiments.real._exam import exam, knows
    from loratheory.experiments.real._facts import facts
    from loratheory.experiments.real._taught import pair
    from loratheory.experiments.real._weighed import SHARES, shared
    from loratheory.pretrained import load

    model = load(config.model or None, device=config.device)
    told = facts(config.seed, config.pairs, config.size)
    texts = [sentences(config.sentences, k) for k in range(config.pairs)]
    library = [pair(model, each, config.seed, k, templates=texts[k]) for k, each in enumerate(told)]
    whole = [adapter for both in library for adapter in both]
    head: Row = {name: getattr(config, name) for name in ("seed", "pairs", "sentences")}
    rows: list[Row] = []
    for name, (use, alone) in ways(model, config).items():
        shelves = library if alone else [whole]
        for number, shelf in enumerate(shelves):
            with use(model, shelf) as acting:
                known = knows(model)
                for k in [number] if alone else range(config.pairs):
                    asked = [each[0] for each in texts[k]]
                    row: Row = head | {"way": name, "pair": k}
                    row |= exam(model, told[k], brief=True, templates=asked) | {"known": known}
                    weighs = acting.route and not name.startswith("block")
                    row |= (
                        shared(model, acting, told[k], k, asked)
                        if weighs
                        else dict.fromkeys(SHARES, nan)
                    )
                    rows.append(row)
    return rows


def sentences(kind: str, pair: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the templates of a pair's first and second hop.

    Parameters
    ----------
    kind : str
        As in `Config`.
    pair : int
        Which of up to six; of any number with ``six``.

    Returns
    -------
    two tuples of str
        Single facts are taught in all of them and asked in the first.
    """
    from loratheory.experiments.real import _known as known

    first = pair if kind == "own" else 0
    these = slice(None) if kind == "six" else slice(first, first + 1)
    return tuple(known.BIRTH[these]), tuple(known.MASCOT[these])


def ways(model: Any, config: Config) -> "dict[str, tuple[Way, bool]]":
    """Return every way by its name, and whether it is given the right pair only.

    Parameters
    ----------
    model : Model
        Whose depth says where to cut.
    config : Config
        With one sentence a fact only the simplest ways are tried; block gates, whose cost grows
        with the square of the pairs, with up to four.

    Returns
    -------
    dict
        `cut` has adapters of first hops in the lower half of the layers only, of second hops in
        the upper half.
    """
    from loratheory.experiments.real import _ways as ways

    half = int(model.network.config.num_hidden_layers) // 2
    found: dict[str, tuple[Way, bool]] = {
        "base": (ways.summed(0.0), False),
        "alone": (ways.summed(), True),
        "alone, cut": (ways.cut(half), True),
        "mean": (ways.mean, False),
        "sum": (ways.summed(), False),
        "sum, cut": (ways.cut(half), False),
        "Arrow": (ways.arrow, False),
        "PEFT's Arrow": (ways.peft_arrow, False),
        **{name: (ways.MERGED[name], False) for name in ("KnOTS", "interpolating")},
        **{f"gates, z = {z}": (ways.gates(z), False) for z in config.thresholds},
        **{f"gates, z = {z}, cut": (ways.gates(z, half), False) for z in config.thresholds},
    }
    if config.sentences != "six":
        simple = ("alone", "mean", "sum", "Arrow", *(f"gates, z = {z}" for z in config.thresholds))
        return {name: found[name] for name in simple}
    blocks = config.thresholds if config.pairs <= MOST else ()
    return found | {f"block gates, z = {z}": (ways.block_gates(z), False) for z in blocks}


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={
        "quick": (Config(pairs=1),),
        "paper": (
            *(Config(seed, pairs) for pairs in (1, 2, 4) for seed in range(3)),
            *(Config(seed, 4, sentences=told) for told in ("one", "own") for seed in range(3)),
            *(Config(seed, 8) for seed in range(3)),
        ),
    },
    minutes={"quick": 4, "paper": 90},
)
