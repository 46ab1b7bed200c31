"""Libraries on a language model in which any first hop may be needed beside any second hop.

**Question.** Six publishers know where some persons are from, six others the mascots of some
countries, and each person's country may be anybody's: 36 pairs of adapters are asked about, and
nobody tells which belong together. Which rule of reuse composes, and how near does it come to the
right pair?

**Prediction.** Shares of two-hop questions right in the whole vocabulary, of adapters taught beside
stand-ins. The table of an earlier run of a like design was lost. Foretold before that run: (a) The
right pair, told for each question, has .8. (b) Hop gates that go by responses, which are told which
adapters are of which hop but no pairs, have .45. Of what that run showed this must come again, to
.1: (c) right pair .66; hop gates .37, with the right first hop in .88 of the questions and the
right second hop in .52; all added .03, their mean .00, Arrow .12, the largest standardised norm
.11, gates on maps .08, hop by hop .02. Written when world 200 had been looked at, where these rules
have .92, .38, .06, .04, .29, .26, .15 and .07: (d) Hop gates that try all second hops and keep the
one that leaves least of what the model would say next without it have .6 in the other worlds, .65
of what the right pair has (on two sentences of world 200 .60; the divergence taken the other way
.34, the surest next word .55, three first hops tried with all second ones .58). (e) The reasons:
twelve adapters disturb each other where added (`thm:interference-angle`) and are too weak where
averaged (`thm:averaging-survival`); token by token those of the same sentences respond alike
(`thm:arrow-blind-spot`, `thm:gate-detection`), so that under gates on maps the right adapter of
either hop is on no more than 1.2 times as often as a wrong one. (f) Written when worlds 200 and 201
had shown that second hops name animals of their own beside foreign countries: with lessons of
silence about such countries among those of second hops, in as many steps, trying finds the second
hop in .8 of the questions and answers .7, the right pair keeps .8, and all added have .2. (g)
Written when world 200 had been looked at, where gates that are told the subjects of each adapter
answer .85 and find the second hop in .92: in the other worlds they answer .75, nine tenths of what
the right pair has, and leave unrelated facts and text as they are. Of six plain adapters of each
hop they find the right second hop in .4 or less: a plain first hop does not bring the country's
name to where the question is answered. (h) Written when (g) had run: asked hop by hop these gates
have the product of what they have of single facts, .80, and of plain adapters .94, more than
anything asked at once: what stand-ins teach is to be asked at once. (i) Written when three worlds
had run: over the seven others subject gates answer .76, nine tenths of what the right pair has, and
in each world at least eight tenths; they find the second hop in .9 and leave unrelated facts as
they are; hop gates have .37, no other rule that is asked at once more than .25; asked hop by hop
subject gates answer .99. (j) Written before other rules were asked: TIES and KnOTS have .05; Arrow
as in PEFT, which lets three adapters act, .15, the largest norm .15 and a softmax over norms .05;
block gates .15; prompt gates, one adapter of each hop by its mean response, .25; one adapter alone
by the same (retrieval) .02. All added and split by layers have .10, the right pair split so .85;
first hops at the subject's tokens and second hops at the last token .15 if all are added and .80
if the right pair is. (k) Written when, added to a first hop with stand-ins, a plain second hop of
the highest third of the layers had answered .86 in four worlds (`real_top_layers`): a library of
such adapters, its second hops taught without a stand-in, has .85 under the right pair, .78 under
subject gates, which find the second hop in .9, .4 under hop gates and .15 if all are added.

**Chance.** The commonest animal: one in ten or so; one in forty among all animals.

**Controls.** The base; single hops beside two-hop questions; a hundred unrelated prompts, the loss
on ordinary text and the leak there; which adapters a rule lets act, and with what weight.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loratheory.bench import Language
from loratheory.bench.rules import Act, layer_split, rule
from loratheory.experiments.engine import Row, study

if TYPE_CHECKING:
    from loratheory.bench.crossings import Crossings

SEEDS = range(200, 210)
PLAIN, BESIDE, SILENT = "plain", "two stand-ins", "two stand-ins, silent"
ABOVE = "second hops above"


@dataclass(frozen=True)
class Config(Language):
    """A library of a seed's world.

    Attributes
    ----------
    recipe : str
        How adapters are taught, by a name in `bench.portable.RECIPES`; or `ABOVE`, first hops
        beside stand-ins and second hops plainly in the highest third of the layers.
    publishers : int
        How many there are of each hop.
    rules : str
        Which rules are asked: the ``usual`` ones, hop gates where all second hops are ``tried``,
        subject gates, for which all subjects are ``named``, these asked each hop ``apart``, those
        where each hop is ``placed`` in layers or tokens of its own, or some ``more``.
    """

    recipe: str = BESIDE
    publishers: int = 6
    rules: str = "usual"


def cell(config: Config) -> list[Row]:
    """Return a row for each rule.

    Returns
    -------
    list of dict
        The ``recipe``, the ``rule`` and the number of ``publishers``; in the whole vocabulary
        shares of right answers to two-hop questions (``two_hop_vocabulary``), single facts
        (``hop_1``, ``hop_2``), all in sentences that no adapter read, and a hundred ``unrelated``
        prompts; ``two_hop`` among the animals; ``text`` and ``leak`` as in
        `bench.portable.measured`; the columns of `bench.crossings.chosen`, NaN for rules without
        weights by token or prompt; and as ``chance`` the share of two-hop questions that a
        constant answer gets.
    """
    from loratheory.experiments.bench import crossings as bench
    from loratheory.bench.portable import ordinary

    model = config.base(dtype="bfloat16")
    made = bench.crossings(config.seed, config.publishers)
    library, rows = made.adapters(model, config.recipe), list[Row]()
    base, _ = ordinary(model)
    for name, act, asked in rules(config, made, model.network.config.num_hidden_layers // 2):
        row: Row = {"seed": config.seed, "recipe": config.recipe, "rule": name}
        row["publishers"] = config.publishers
        if asked.endswith("by position"):
            row |= bench.by_position(model, made, library, told=asked.startswith("told"))
        else:
            row |= bench.exam(model, made, library, act, base, asked=asked)
        rows.append({**row, "chance": bench.constant(made)})
    return rows


def rules(config: Config, made: "Crossings", middle: int) -> Iterator[tuple[str, Act, str]]:
    """Yield the name of a rule, the rule, and how `bench.crossings.exam` asks, or `by_position`."""
    from loratheory.bench.crossings import (
        best_of_each_hop,
        hop_gates,
        retrieval,
        subject_gates,
    )

    if config.rules == "usual":
        yield "base", rule("base"), "together"
        yield "right pair", rule("sum"), "told"
        for name in ("sum", "mean", "arrow", "norm, z", "gates, z = 2"):
            yield name, rule(name), "together"
        yield "sum, hop by hop", rule("sum"), "hop by hop"
        yield "hop gates", hop_gates("response"), "together"
    elif config.rules == "tried":
        yield "hop gates, tried", hop_gates("divergence"), "together"
    elif config.rules == "named":
        yield "subject gates", subject_gates(made), "together"
    elif config.rules == "apart":
        yield "subject gates, hop by hop", subject_gates(made), "hop by hop"
    elif config.rules == "placed":
        yield "sum, layer split", layer_split(middle), "together"
        yield "right pair, layer split", layer_split(middle), "told"
        yield "sum, by position", rule("sum"), "by position"
        yield "right pair, by position", rule("sum"), "told, by position"
    else:
        for name in ("ties", "knots", "arrow, peft", "norm", "norm, soft", "block gates, z = 2"):
            yield name, rule(name), "together"
        yield "retrieval", retrieval, "together"
        yield "prompt gates", best_of_each_hop, "together"


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(PLAIN, 2, seed=SEEDS[0]),),
    paper=(
        *(Config(seed=seed) for seed in SEEDS),
        Config(PLAIN, 2, seed=SEEDS[0]),
        Config(SILENT, seed=SEEDS[0]),
        *(Config(rules="tried", seed=seed) for seed in SEEDS[:3]),
        Config(SILENT, rules="tried", seed=SEEDS[0]),
        *(Config(rules=rules, seed=seed) for rules in ("named", "apart") for seed in SEEDS),
        *(Config(rules=rules, seed=seed) for rules in ("more", "placed") for seed in SEEDS[:3]),
        *(
            Config(PLAIN, rules=rules, seed=SEEDS[0])
            for rules in ("usual", "tried", "named", "apart")
        ),
        *(
            Config(ABOVE, rules=rules, seed=seed)
            for seed in SEEDS[:3]
            for rules in ("usual", "named")
        ),
    ),
    minutes=(3, 520),
)
