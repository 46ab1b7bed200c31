"""``loratheory data two-hop``: a world of facts as files."""

from typing import Annotated

import typer

from loratheory.cli._data import MOST, Output, Overwrite, Seed, about
from loratheory.cli._output import refused, show


def two_hop(
    output: Output,
    n: Annotated[int, typer.Option("--n", min=2, max=MOST, help="Entities of each level.")] = 100,
    seed: Seed = 0,
    split: Annotated[
        float, typer.Option(min=0, max=1, help="The fraction of chains that training tells.")
    ] = 0.5,
    hops: Annotated[int, typer.Option(min=2, max=4, help="Relations in a chain.")] = 2,
    style: Annotated[
        str, typer.Option(help="question, or cloze for sentences to complete.")
    ] = "question",
    overwrite: Overwrite = False,
) -> None:
    """Write a world of facts: all single facts and some chains to train on, other chains to test.

    No bridge of a chain for testing is one of a chain for training. The folder is written whole or
    not at all, with a data card; `load_dataset("DIR")` of Hugging Face's `datasets` reads it.

    Example: `loratheory data two-hop --n 100 --split 0.5 -o facts`
    """
    import numpy as np

    from loratheory.tasks import two_hop as hop
    from loratheory.tasks._export import writable

    writable(output, overwrite=overwrite)
    rng = np.random.default_rng(seed)
    here = hop.world(seed, hops=hops, entities=n)
    parts = hop.split(here, split, rng=rng)
    if not len(parts.held_out):
        refused(f"--split {split:g} leaves no chain for testing: ask for a smaller fraction")
    train = hop.joined([part.final() for part in hop.pretraining(here, parts)], "training")
    test = hop.plain(here, parts.held_out).final()
    names = ("training", "testing")
    hop.claimed_disjoint(here, train, test, of=["prompts", "pairs"], names=names)
    sets = {"train": hop.marked(train, here.canary(0)), "test": hop.marked(test, here.canary(1))}
    command = f"loratheory data two-hop --n {n} --seed {seed} --split {split:g} --hops {hops}"
    text = (
        "Training tells all single facts and some of the chains; testing asks the other chains,"
        " none of whose bridges is passed in training. Names are made of syllables. The last row"
        " of each split is its canary, without an answer: a model that knows it has seen the"
        " split."
    )
    words = hop.language(here, rng=rng)
    card = about(f"{command} --style {style}", text)
    hop.export(output, sets, words, style=style, about=card, overwrite=overwrite)
    rows = [[name, len(part) - 1] for name, part in sets.items()]
    show(f"{output}: nothing in common of prompts, pairs", ("split", "questions"), rows)
