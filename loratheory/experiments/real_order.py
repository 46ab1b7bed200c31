"""Why separately taught adapters compose if the first hop acts below and the second above.

**Question.** Is it the order of the layers, or only that the first hop no longer says the country
at the output?

**Prediction.** Written before any arm but the sum and the split in half ran on any seed; these had
.12 and .41 for plain adapters, .37 and .50 for those of 90 steps, in the whole vocabulary. Two
readings of a split's gain: *order*, the second hop has to be read after the first has written
(`thm:invisible-placement`), and *readout*, the first hop's upper half pushes the country to the
output. (a) For plain adapters readout explains most: if no country may be the answer, the sum has
.35; for those of 90 steps .42. (b) A split gains beyond that: with countries banned it has .05 to
.15 more than the sum with countries banned. (c) The first hop's upper half does the harm: without
it, the second hop everywhere, two-hop questions are answered as under the split, to .05; without
the second hop's lower half, the first everywhere, as under the sum, to .1. (d) The same by tokens:
the first hop at the subject alone, in all layers, is as good as the split, to .1; the second hop at
the last token alone costs half of the sum or more, for it looks the animal up before. (e)
Projecting the countries' directions out of what the first hop writes above is half as good as a
ban. (f) The reverse order is at chance, though adapters there answer half of the single hops. (g)
Back-patching the subject's last state from layers 16 to 24 to 4 to 12 adds .1 at the best place,
chosen on other seeds, to plain adapters. (h) The lens shows the country at the subject's last token
by layer 20 for half of the prompts or more, at the last token later, and the animal only in the
last third. (i) Adapters taught beside stand-ins need none of it: split, ban and the first hop at
the subject change their sum by .1 at most. (j) Adapters *trained* in the wrong halves of the
layers, the first hop above and the second below, answer .9 of both single hops, and by their sum
.05 or less of two-hop questions; in the right halves .45; in the wrong two thirds, which share a
third, .2. If the wrong halves compose, placement is not the reason.
One development seed was seen after they were written.

**Chance.** One in twenty among animals and among countries; in the whole vocabulary none.

**Controls.** Single hops under each arm, in sentences that nobody read: an arm counts where both
are .9 or more; the reverse order; a split at other layers; countries banned under the split.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

from loratheory.bench import Language, portable, whereabouts
from paper.studies._shared.whereabouts import Arm
from loratheory.experiments.engine import Row, study
from loratheory.pretrained import attached

SEEDS = range(200, 210)
PLAIN, LONG, BESIDE = "plain", "plain, 90 steps", "two stand-ins"
PLACED = ("right halves", "wrong halves", "wrong two thirds")
SPLITS = (9, 12, 18, 21)
PATCHES = tuple((source, target) for source in (12, 16, 20, 24) for target in (4, 8, 12))
COLUMNS = (
    *("two_hop_vocabulary", "two_hop", "says_bridge", "hop_1", "hop_2"),
    *("bridge_at_subject", "bridge_at_last", "answer_at_last"),
)


@dataclass(frozen=True)
class Config(Language):
    """The adapters of both hops of a seed's world, by a `recipe` in `bench.portable.RECIPES`."""

    recipe: str = PLAIN


def cell(config: Config) -> list[Row]:
    """Return a row for each arm, each place of a split or patch, and each layer of the lens.

    Returns
    -------
    list of dict
        ``arm``; ``layer``, that of the split or of the lens or the one from which a patch is taken,
        and ``target``, the one where it is put, NaN where there is none; the shares of two-hop
        questions right in the whole vocabulary, right among animals, and answered by the country;
        the shares of single hops right in the whole vocabulary; the shares of
        `bench.whereabouts.lens`.
    """
    model, rows = config.base(dtype="bfloat16"), list[Row]()
    both = portable.publishers(model, config.seed)
    asked, half = whereabouts.questions(both.world), both.layers // 2

    def _row(arm: str, layer: float | int = nan, target: float | int = nan, **found: float) -> None:
        row: Row = {"seed": config.seed, "recipe": config.recipe, "arm": arm}
        row |= {"layer": layer, "target": target}
        rows.append({**row, **dict.fromkeys(COLUMNS, nan), **found})

    pair = [both.adapter(hop, config.recipe) for hop in (0, 1)]
    without = [whereabouts.projected(model, pair[0], sorted(both.world.second), half), pair[1]]
    for changed in (False, True):
        with attached(model, without if changed else pair) as acts:
            for name, layer, arm in arms(config.recipe, half):
                if arm.projected == changed:
                    _row(name, layer, **whereabouts.shares(model, acts, asked, arm, layer))
            if changed:
                continue
            acts.set(1.0)
            for layer, found in enumerate(whereabouts.lens(model, asked["two_hop"]), 1):
                _row("lens", layer, **found)
            for source, target in PATCHES if config.recipe == PLAIN else ():
                if source > target:
                    logits = whereabouts.back_patched(model, asked["two_hop"], source, target)
                    found = whereabouts.of_two_hop(model, logits, asked["two_hop"])
                    _row("back-patching", source, target, **found)
    return rows


def arms(recipe: str, half: int) -> Iterator[tuple[str, int, Arm]]:
    """Yield each arm's name, the layer of its split, and the arm."""
    yield "sum", half, Arm()
    if recipe in PLACED:
        return
    yield "layer split", half, Arm(("below", "above"))
    yield "reversed layer split", half, Arm(("above", "below"))
    yield "hop 1 at subject", half, Arm(tokens=("subject", "all"))
    yield "hop 2 at last token", half, Arm(tokens=("all", "last"))
    yield "countries banned", half, Arm(banned=True)
    if recipe == BESIDE:
        return
    yield "layer split, countries banned", half, Arm(("below", "above"), banned=True)
    yield "hop 1 below", half, Arm(("below", "all"))
    yield "hop 2 above", half, Arm(("all", "above"))
    yield "hop 1 not at last token", half, Arm(tokens=("but the last", "all"))
    yield "hop 1 at subject, hop 2 at last", half, Arm(tokens=("subject", "last"))
    yield "countries projected out", half, Arm(projected=True)
    for layer in SPLITS:
        yield "layer split", layer, Arm(("below", "above"))


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(seed=SEEDS[0]),),  # whose adapters `real_portable` has trained
    paper=(
        Config(recipe, seed=seed) for seed in SEEDS for recipe in (PLAIN, LONG, BESIDE, *PLACED)
    ),
    minutes=(1.5, 80),
)
