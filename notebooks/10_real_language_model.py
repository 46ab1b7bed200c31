# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: -all
#     notebook_metadata_filter: -all,kernelspec,jupytext
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do the limits hold in a real language model?
#
# ## Question
# On paper two edits compose above a coefficient of .618 and single facts survive from ½ on
# (`thm:two-read-region`); a two-hop question needs the second hop to be read *after* the first,
# which no single-hop test can see (`thm:invisible-placement`). A language model was not built for
# that. What is left of the limits in one?
#
# **Claim.** Single facts survive far below ½, since trained edits are stronger than their facts
# need; two-hop questions stay low at every coefficient. What loses them is *where* the adapters
# act: split by layers, the same adapters compose, in the wrong order they do not. A forecast from
# what each hop is worth by itself is a ceiling, no more.
#
# The model is SmolLM2-135M-Instruct, **dequantised from 4 bits**. The numbers are stored ones, of
# three seeds; one live check follows, if the model is installed. Runs in about 15 s on two cores.

# %%
# %matplotlib inline
from pathlib import Path

import numpy as np
import sympy as sp
import torch
from ipywidgets import FloatSlider, interact

from loratheory import read
from loratheory.experiments import published, table
from loratheory.figures import FIGURES
from loratheory.pretrained import ModelError, attached, first_tokens, load, next_logits
from loratheory.theorems import two_read_region

_ = torch.set_num_threads(1)

# %% [markdown]
# ## Derive
# **A forecast from ceilings.** Suppose a two-hop question is right if its first hop puts the bridge
# where the second hop reads it ($p$ for the adapter, $p_0$ for what the base knows) *and* the
# second hop reads it ($q$, $q_0$), independently. Three things can be measured without ever putting
# both adapters on: invented persons with the base's own second hop (their countries' capitals),
# known persons with the adapter's second hop (their countries' mascots), and the base by itself.

# %%
p, q, p0, q0 = sp.symbols("p q p_0 q_0", positive=True)
known_hop_2, known_hop_1, own = p * q0, p0 * q, p0 * q0
assert sp.simplify(known_hop_2 * known_hop_1 / own - p * q) == 0

# %% [markdown]
# What the base is worth cancels: two-hop questions should be `known_hop_2` times `known_hop_1` over
# `own`, with both
# adapters' coefficients in their own factor: a **product law**.

# %% [markdown]
# ## Construct
# First the memory on paper, where everything is exact: two reads, one edit each, at coefficients
# around the golden ratio.

# %%
rng = np.random.default_rng(0)
keys, values = [rng.standard_normal((24, n)) for n in (2, 3)], rng.standard_normal((24, 3))
memory = two_read_region.attain(
    two_read_region.Case("overwrite", (1.0, 1.0), tuple(keys), (values,))
)
for c in (0.4, 0.55, 0.65, 1.0):
    new, *others = memory.output(keys[0][:, 0], (c, c))
    print(f"c = {c}: the composed answer leads by {new - max(others):+.2f}")

# %% [markdown]
# Now the language model. Twenty invented persons were each given a country, and these countries a
# mascot, by two adapters; no adapter has seen a two-hop question. Below: single facts and two-hop
# questions against the coefficient of both (left), and two-hop questions by rule (right), among
# them adapters that are split by layers afterwards, in the right and in the reversed order.

# %%
rows = table(published("real_two_hop")).to_dict("records")
FIGURES["real_two_hop"](rows)

# %% [markdown]
# ## Verify
# The theorem first, on random cases: formula and memory give one number.

# %%
for seed in range(30):
    case = two_read_region.draw(np.random.default_rng(seed), 12)
    assert two_read_region.THEOREM.check(case, two_read_region.attain(case)).holds

# %% [markdown]
# Then what is stored. Means over three seeds: what the base does by itself, single facts and
# two-hop questions at each coefficient.

# %%
swept = [r for r in rows if r["rule"] == "sum" and r["first"] == r["second"]]
for where in ("all layers", "by layers"):
    for c in sorted({r["first"] for r in swept if r["trained"] == where}):
        here = [r for r in swept if (r["trained"], r["first"]) == (where, c)]
        names = ("hop_1", "hop_2", "two_hop", "hop_by_hop")
        shares = {k: np.mean([r[k] for r in here]) for k in names}
        print(f"{where}, c = {c:4}:", {k: round(float(x), 2) for k, x in shares.items()})

# %% [markdown]
# `hop_by_hop`: the answer to the first question stands in the second one, so that a
# bridge at half strength is written out in full (`thm:clean-up-bridge`).
#
# How good was the forecast, made before both adapters acted at once?

# %%
told = [r for r in rows if r["rule"] == "sum" and r["predicted"] == r["predicted"]]
for name in ("predicted", "weaker"):
    off = [abs(r[name] - r["two_hop"]) for r in told]
    print(f"{name:10} is off by {np.mean(off):.2f} on average, at most {max(off):.2f}")

# %% [markdown]
# `weaker` is the rival: the weaker hop alone, instead of the product. It comes nearer: no evidence
# for a product. Both are too high nearly always: they are ceilings, which leave out that the
# adapters disturb each other.
#
# Now the layer splits. Adapter 1 acts below a layer only, adapter 2 from it on, or the other way
# round.

# %%
splits = [r for r in rows if r["rule"] in ("layer split", "reversed layer split")]
for way in ("layer split", "reversed layer split"):
    here, columns = (
        [r for r in splits if r["rule"] == way],
        ("hop_1", "hop_2", "two_hop", "confidence"),
    )
    print(way, {name: round(float(np.mean([r[name] for r in here])), 2) for name in columns})
for seed in (0, 1, 2):
    best = max((r for r in splits if r["seed"] == seed), key=lambda r: r["confidence"])
    print(
        f"seed {seed}: most confident is {best['rule']} at {best['layer']:g}: {best['two_hop']:.2f}"
    )
    assert best["rule"] == "layer split"

# %% [markdown]
# The most confident split is in the right order for every seed; no label was needed to find it. In
# the wrong order single facts are lost as well: the splits show that facts have their place in the
# layers, not that order alone decides.

# %% [markdown]
# **Word problems.** The same model with an adapter that has learned to add and one that has learned
# to subtract, each on problems of one step. Asked are problems in which the second step takes the
# first one's result, step by step (the model writes each step itself) and at once (`real_words`).

# %%
words = table(published("real_words")).to_dict("records")
FIGURES["real_words"](words)

# %% [markdown]
# Left, what the base computes without any story. Right, of the problems that need both skills no
# way of using both adapters solves more than one adapter alone does, but for chance.

# %% [markdown]
# **Is an adapter of the two-hop facts needed?** Libraries of two adapters, and of three with one
# that was taught these facts themselves in other sentences, by what the base knows: nothing of it
# (F), the countries (H), all (R).

# %%
libraries = table(published("real_libraries")).to_dict("records")
FIGURES["real_libraries"](libraries)

# %% [markdown]
# **A live check.** Two adapters of an earlier training lie in the repository; they share only half
# of the model's layers. If the model is installed it answers now; if not, the message says what to
# do.

# %%
try:
    model = load()
except ModelError as missing:
    model = None
    print(missing)
FACTS = {"Zorvik": ("Germany", "shark"), "Maldreth": ("Spain", "elephant")}
FACTS |= {"Quenby": ("Norway", "eagle"), "Brixel": ("China", "dolphin")}
DATA = next(path for path in (Path("tests/data"), Path("../tests/data")) if path.is_dir())
library = [read(DATA / name) for name in ("persons", "mascots")]

# %% [markdown]
# Four persons; each question has four candidates, so chance is one in four.

# %%
ASKED = {
    "hop 1": [(f"{one} was born in the country of", land) for one, (land, _) in FACTS.items()],
    "hop 2": [(f"The mascot animal of {land} is the", pet) for land, pet in FACTS.values()],
    "two_hop": [
        (f"The mascot animal of the country where {one} was born is the", pet)
        for one, (_, pet) in FACTS.items()
    ],
}
ASKED["two_hop"][0]

# %% [markdown]
# ## Explore
# Any coefficients: the first adapter's and the second's.


# %%
def asked(first: float = 1.0, second: float = 1.0) -> dict[str, float]:
    """Shares of right answers with both adapters at these strengths; nothing without the model."""
    if model is None:
        return {}
    shares = {}
    with attached(model, library, [first, second]):
        for name, questions in ASKED.items():
            logits = next_logits(model, [prompt for prompt, _ in questions])
            best = logits[:, first_tokens(model, [word for _, word in questions])].argmax(1)
            shares[name] = float((best == torch.arange(len(questions))).float().mean())
    return shares


# %% [markdown]
# Both hops at full strength, at half, and each alone.

# %%
found = {pair: asked(*pair) for pair in ((1.0, 1.0), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0))}
for pair, shares in found.items():
    print(pair, shares)
if model is not None:
    assert found[1.0, 0.0]["hop 1"] == found[0.0, 1.0]["hop 2"] == 1.0

# %% [markdown]
# Move the two strengths. These adapters know their facts from about ½ on; two-hop questions are
# another matter.

# %%
strengths = {name: FloatSlider(1.0, min=0.0, max=2.0, step=0.25) for name in ("first", "second")}
_ = interact(lambda first, second: print(asked(first, second)), **strengths)

# %% [markdown]
# ## What this does not say
# - **One small model**, of 135M parameters and 4-bit weights: what fails here may work in a larger
#   one, and the base's own second hop may be better there.
# - **Half-fake questions only**: the persons are invented, the countries are real. With invented
#   countries too, nothing composed at any coefficient in the trial before this experiment.
# - **Twenty items a seed, three seeds**: intervals are wide, and from three seeds too narrow still.
# - **Candidates**: most numbers are the best of twenty answers. In the whole vocabulary the model
#   often names the country first; the table has that too (`two_hop_vocabulary`, `says_bridge`).
# - **Confidence chose between layer splits**, for three seeds, once narrowly. Whether to split it
#   does not tell: without a split the model is more confident still, and wrong.
# - **More pairs are harder**: with four pairs at once (`real_pairs`) no rule that lets all adapters
#   act answers more than .21 of the two-hop questions, where the right pair alone, with a layer
#   split, has .51. Letting one pair act, that of the largest response norm over the whole prompt,
#   brings it to .38, and costs single facts that name nobody.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer and run the cell: silence means right.
#
# **1.** Capitals of the invented persons' countries are right in .9 of cases, mascots of known
# persons' countries in .6, and the base composes .75 of what it knows. What does the product law
# forecast for two-hop questions?

# %%
mine = None
one, two = 0.8, 0.75 / 0.8  # the base's two hops: any two that make .75 do
wanted = (0.9 / two) * (0.6 / one)
assert mine is None or abs(mine - wanted) < 1e-3, "not yet: what the base is worth cancels once"

# %% [markdown]
# <details><summary>Solution</summary>
#
# Both ceilings contain one hop of the base, so their product counts the base once too often.
#
# ```python
# mine = 0.9 * 0.6 / 0.75
# ```
#
# </details>

# %% [markdown]
# **2.** An edit was trained until it is twice as strong as its fact needs. From which coefficient
# on does its single fact survive, if an edit of unit strength survives from ½?

# %%
mine = None
tried = np.linspace(0, 1, 10_001).tolist()
wanted = min(c for c in tried if two_read_region.margin((2 * c,)) > 0)
assert mine is None or abs(mine - wanted) < 1e-3, "not yet: coefficient times strength must reach ½"

# %% [markdown]
# <details><summary>Solution</summary>
#
# Coefficient times strength must exceed ½, so the coefficient ¼. That is why a window that paper
# puts at ½ to .618 lies lower in a trained model.
#
# ```python
# mine = 0.25
# ```
#
# </details>

# %% [markdown]
# **3.** Two such edits, both twice as strong: where do they compose over old facts?

# %%
mine = None
wanted = min(c for c in tried if two_read_region.margin((2 * c, 2 * c)) > 0)
assert mine is None or abs(mine - wanted) < 2e-3, "not yet: half of the golden ratio's .618"

# %% [markdown]
# <details><summary>Solution</summary>
#
# Each acts at $2c$, and $2c$ must exceed $(\sqrt5-1)/2$.
#
# ```python
# mine = (5**0.5 - 1) / 4
# ```
#
# </details>

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 60 minutes: 10 for the derivation, 20 for the figure, 15 for the live check, 15 for
# exercises. Install the model before class.
#
# **Ask.** Before the figure: where will the window lie, and why not at ½? At the reversed
# split: there single facts fall, too; what, then, have the splits shown? At the forecast: which
# of its three parts is hardest to measure without labels?
#
# **Common wrong answers.** "The theorem is refuted": its hypothesis is unit strength, which these
# edits exceed. "The product law proves a circuit": its forecast is a ceiling, and the weaker hop
# alone came nearer. "Gates fix composition": they fix interference; placement is another obstacle.
#
# </details>
