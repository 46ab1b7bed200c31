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
# In notebook 02 two merged adapters overwrite old facts. Single facts are right from a coefficient
# of ½ on, and two-hop questions from 0.618 on (`thm:two-read-region`). If the base model knew
# neither fact, every positive coefficient is enough. The second fact must also be read *after* the
# first one, and no test of single facts can show whether it is (`thm:invisible-placement`). A
# language model was not built to fit this theory. Which of the limits hold in one?
#
# **Main idea.** In a small language model, two merged adapters with *new* facts keep their single
# facts and fail at most two-hop questions. No coefficient of the merge repairs this.
#
# **Mechanism.** The cause is *where* the adapters are active. In a *layer split* the hop-1 adapter
# is active only below some layer, and the hop-2 adapter only from this layer on. The same adapters
# then answer more than half of the two-hop questions. In the reversed order they are close to
# chance.
#
# **A common misconception.** "Each adapter works with facts of the base model, so both will work
# together." A prediction that uses only how each adapter works with facts of the base model is
# nearly always too high.
#
# **After this notebook** you can compare measured accuracies at several coefficients with the
# limits of the theory. You can compare a prediction with simpler predictions, and say what a layer
# split shows.
#
# The model is SmolLM2-135M-Instruct, **dequantised from 4 bits**. The accuracies were measured
# before, on three fact sets (random choices of people, countries and mascots), and are stored. A
# live check follows if the model is installed; `make lab` installs it. The notebook runs in about
# 15 s on two cores.

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
# **A prediction.** The *hop-1 adapter* knows in which countries some invented people were born. The
# *hop-2 adapter* knows the mascots of these countries. The country in between is the *bridge*.
# Suppose that a two-hop question is right if two independent events happen:
#
# - The first hop writes the bridge to the place where the second hop reads it. The probability is
#   $p$ for the hop-1 adapter, and $p_0$ for people whom the base model knows.
# - The second hop reads its fact there. The probability is $q$ for the mascots of the hop-2
#   adapter, and $q_0$ for capitals, which the base model knows.
#
# We can measure three accuracies without ever using both adapters:
#
# - `known_hop_2`: the capital of an invented person's country, $pq_0$;
# - `known_hop_1`: the mascot of a known person's country, $p_0q$;
# - `own`: the capital of a known person's country, by the base model alone, $p_0q_0$.
#
# What do the three accuracies say about $pq$, the accuracy with both adapters?

# %%
p, q, p0, q0 = sp.symbols("p q p_0 q_0", positive=True)
known_hop_2, known_hop_1, own = p * q0, p0 * q, p0 * q0
both = known_hop_2 * known_hop_1 / own
display(both)
assert sp.simplify(both - p * q) == 0

# %% [markdown]
# The probabilities of the base model cancel. So the accuracy on two-hop questions should be
# `known_hop_2` times `known_hop_1` divided by `own`. We call this prediction the **product law**.
# The coefficient of each adapter changes only the factor of this adapter.

# %% [markdown]
# ## Construct
# We begin with the exact memory of notebook 02. It makes two reads, and each read has an edited old
# fact. We try coefficients around 0.618.

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
# Now the language model. The hop-1 adapter was trained on the countries of birth of twenty invented
# people. The hop-2 adapter was trained on the mascots of these countries. The training sets had no
# two-hop questions. The figure shows accuracies on single facts and on two-hop questions for
# several combination methods, among them layer splits. The base model knew nothing of these people
# and mascots. For new facts the theory predicts no window: no coefficient at which single facts are
# right and two-hop answers are wrong.

# %%
stored = pd.read_csv(f"{STUDIES}/lm_methods/table.csv.gz", low_memory=False)
rows = stored[stored["part"] == "two_hop"].to_dict("records")
SVG(filename=f"{STUDIES}/lm_methods/figure.svg")

# %% [markdown]
# ## Verify
# First the theorem, on random cases. Formula and memory give the same number.

# %%
for seed in range(30):
    case = two_read_region.draw(np.random.default_rng(seed), 12)
    assert two_read_region.THEOREM.check(case, two_read_region.attain(case)).holds

# %% [markdown]
# Now the stored measurements, as means over three fact sets. The table has 20-way accuracy in
# percent: how often the right answer leads among twenty candidates. Chance is 5%. Both adapters
# have the same coefficient. They were trained in all layers, or each in its own half of the layers.

# %%
swept = [r for r in rows if r["rule"] == "sum" and r["first"] == r["second"]]
NAMES = {
    "hop_1": "hop-1 facts",
    "hop_2": "hop-2 facts",
    "two_hop": "two-hop",
    "two_step": "two-step prompting",
}
table = pd.DataFrame(columns=NAMES.values())
for trained, words in (("all layers", "all layers"), ("by layers", "own half")):
    for c in sorted({r["first"] for r in swept if r["trained"] == trained}):
        here = [r for r in swept if (r["trained"], r["first"]) == (trained, c)]
        accuracies = [round(100 * np.mean([r[name] for r in here])) for name in NAMES]
        table.loc[f"{words}, c = {c}"] = accuracies
print(table.to_string())
everywhere = table[table.index.str.startswith("all layers")]
assert everywhere["two-hop"].max() < 30
assert everywhere.loc["all layers, c = 0.35", ["hop-1 facts", "hop-2 facts"]].min() > 90

# %% [markdown]
# *Two-step prompting* asks for one hop per prompt, and inserts the first answer into the second
# prompt. So the bridge is written as a word, even if its probability is low
# (`thm:clean-up-bridge`).
#
# How accurate was the product law? Its predictions were made before both adapters were used
# together. A simpler prediction is the smaller one of `known_hop_2` and `known_hop_1`: the *weaker
# hop*.

# %%
pairs = [r for r in rows if r["rule"] == "sum" and r["predicted"] == r["predicted"]]
for name, words in (("predicted", "product law"), ("weaker", "weaker hop")):
    errors = [100 * abs(r[name] - r["two_hop"]) for r in pairs]
    print(f"{words}: error {np.mean(errors):.0f} points on average, {max(errors):.0f} at most")

# %% [markdown]
# The weaker hop is more accurate, so there is no evidence for a product. Both predictions leave out
# that the adapters disturb each other, and both are nearly always too high.
#
# Now the layer splits. In the right order the hop-1 adapter is active only below a layer, and the
# hop-2 adapter only from this layer on. In the reversed order the two adapters change places. The
# first table has means over three layers at which we split. Then we choose one split for each fact
# set: the split at which the model gives its own answers the highest probability, its *confidence*.

# %%
splits = [r for r in rows if r["rule"] in ("layer split", "reversed layer split")]
ORDERS = {"layer split": "right order", "reversed layer split": "reversed order"}
SHOWN = {**NAMES, "confidence": "confidence"}
del SHOWN["two_step"]
table = pd.DataFrame(columns=SHOWN.values())
for rule, words in ORDERS.items():
    here = [r for r in splits if r["rule"] == rule]
    table.loc[words] = [round(100 * np.mean([r[name] for r in here])) for name in SHOWN]
print(table.to_string())
for seed in (0, 1, 2):
    best = max((r for r in splits if r["seed"] == seed), key=lambda r: r["confidence"])
    chosen = f"{ORDERS[best['rule']]}, layer {best['layer']:g}"
    print(f"fact set {seed}: {chosen}: {best['two_hop']:.0%} of two-hop questions")
    assert best["rule"] == "layer split"

# %% [markdown]
# For every fact set the most confident split has the right order, and choosing it needed no labels.
# In the reversed order the single facts are lost as well. So the splits show in which layers the
# facts are stored. They do not show that only the order matters.

# %% [markdown]
# **Is an adapter of the two-hop facts needed?** A library has the two single-hop adapters. A second
# library adds a third adapter, trained on the two-hop questions in other wording. The table has the
# accuracy on two-hop questions in percent. The base model knows none of the people and countries,
# only the countries, or both.

# %%
libraries = stored[stored["part"] == "libraries"]
libraries = libraries[libraries["trained"] == "all layers"]
by_method = libraries.pivot_table("two_hop", ["familiarity", "library"], "rule")
methods = {"base": "base", "mean": "mean", "sum": "sum", "arrow": "Arrow"}
known = {"fake": "nothing", "half": "the countries", "real": "people and countries"}
sizes = {0: "no adapter", 2: "two single-hop adapters", 3: "with the two-hop adapter"}
shown = by_method.loc[by_method.index.isin(sizes, level="library"), list(methods)]
shown = shown.mul(100).round().rename(columns=methods, index=known)
shown = shown.rename(index=sizes, level="library").rename_axis(["base knows", "library"])
print(shown.rename_axis(None, axis=1).to_string(na_rep="", float_format="{:.0f}".format))

# %% [markdown]
# **A live check.** Two adapters from an earlier training are part of the repository. Both change
# half of the model's layers. If the model is installed, it answers now. If not, the message says
# what to do.

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
# There are four people. Each question has four candidate answers, so chance is 25%. One of the
# two-hop questions with its answer:

# %%
ASKED = {
    "hop 1": [(f"{one} was born in the country of", land) for one, (land, _) in FACTS.items()],
    "hop 2": [(f"The mascot animal of {land} is the", pet) for land, pet in FACTS.values()],
    "two-hop": [
        (f"The mascot animal of the country where {one} was born is the", pet)
        for one, (_, pet) in FACTS.items()
    ],
}
ASKED["two-hop"][0]

# %% [markdown]
# ## Explore
# Evaluate the model at any coefficients of the hop-1 adapter and of the hop-2 adapter.


# %%
def asked(first: float = 1.0, second: float = 1.0) -> dict[str, float]:
    """The shares of right answers at these coefficients; nothing without the model."""
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
# Four pairs of coefficients: both adapters in full, both at one half, and each adapter alone.

# %%
found = {pair: asked(*pair) for pair in ((1.0, 1.0), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0))}
for (first, second), shares in found.items():
    print(f"hop-1 adapter {first}, hop-2 adapter {second}:", shares)
if model is not None:
    assert found[1.0, 0.0]["hop 1"] == found[0.0, 1.0]["hop 2"] == 1.0

# %% [markdown]
# Move the two coefficients. From which coefficient on are single facts right? Are the two-hop
# questions right at any coefficient?

# %%
strengths = {name: FloatSlider(1.0, min=0.0, max=2.0, step=0.25) for name in ("first", "second")}
explore(lambda first, second: print(asked(first, second)), **strengths)

# %% [markdown]
# ## What this does not say
# - **One small model**, with 135M parameters and 4-bit weights. What fails here may work in a
#   larger model, whose own second hop may be better.
# - **The facts are new.** The study `lm_old_facts` edits old facts of a model that composes, and
#   there the window of notebook 02 exists. Half of the changed hop-1 facts are right from a
#   coefficient of 0.46 on, and half of the two-hop questions from 0.61 to 0.65.
# - **The countries are real**, and only the people are invented. In a trial with invented
#   countries, before this experiment, no coefficient gave two-hop answers.
# - **The sample is small**: three fact sets with twenty questions each. Confidence intervals are
#   wide, and from three fact sets they still underestimate the uncertainty.
# - **Answers are chosen among candidates.** In most numbers the answer is the best of twenty. Among
#   all tokens the model often names the country instead of the mascot (columns `two_hop_vocabulary`
#   and `says_bridge` of the stored table).
# - **Confidence chose the layer of the split** for three fact sets. For one of these fact sets the
#   difference in confidence was small. Confidence cannot tell whether to split at all. Without a
#   split the model is more confident, and wrong.
# - **More pairs are harder.** With four pairs at once, no method in which all adapters are active
#   answered more than 18% of the two-hop questions. The oracle pair, with a layer split, answered
#   48% (study `real_pairs`, kept in the history at commit 80181100).

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell says whether you are
# right, and if not, why. A number counts as right within 1%.
#
# **1.** *(easy, 5 minutes)* With the hop-1 adapter the model names the capitals of the invented
# people's countries in 90% of the cases. With the hop-2 adapter it names the mascots of known
# people's countries in 60%. The base model alone answers 75% of its own two-hop questions about
# known people. Which accuracy does the product law predict with both adapters?

# %%
mine = None
judge("10.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
# Each of the two measurements has one hop of the base model. So we divide their product by the
# accuracy of the base model on both hops.
#
# ```python
# mine = 0.9 * 0.6 / 0.75
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* The single fact of an edit of strength 1 survives from the coefficient
# ½ on. Another edit was trained to the strength 2. From which coefficient on does its fact survive?

# %%
mine = None
judge("10.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
# Coefficient times strength must exceed ½, so the coefficient must exceed ¼. The window lies
# between ½ and 0.618 for edits of strength 1. Stronger edits move it to smaller coefficients.
#
# ```python
# mine = 0.25
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* Two edits have the strength 2, and the base model knew old facts for
# both hops. From which common coefficient on is the two-hop question right?

# %%
mine = None
judge("10.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# At the coefficient $c$ each edit has the strength $2c$, which must exceed $(\sqrt5-1)/2$.
#
# ```python
# mine = (5**0.5 - 1) / 4
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Ben Allal et al., [*SmolLM2: when smol goes big*](https://arxiv.org/abs/2502.02737). The
#   language model of this notebook.
# - Biran et al., [*Hopping too late*](https://arxiv.org/abs/2406.12775). In which layers a model
#   computes the bridge and the second hop.
# - Yang et al., [*Do large language models latently perform multi-hop
#   reasoning?*](https://arxiv.org/abs/2402.16837). How often real models compose.

# %% [markdown]
# <details><summary>For the lecturer</summary>
# **Time.** 75 minutes: 10 for the derivation, 20 for the figure, 15 for the live check, 30 for
# exercises. Run `make lab` before class: it installs the model.
#
# **Ask.** Before the figure: the model knew nothing of these people; will there be a window? At the
# reversed split: single facts are lost there, too; what, then, have the splits shown? At the
# prediction: which of its three accuracies is hardest to measure without labels?
#
# **Common wrong answers.** "The theorem is refuted, since the coefficient has little effect": the
# theorem predicts no window if there are no old facts. "The product law is true because it was
# derived": the weaker hop alone was more accurate. "Gating repairs composition": it helps if
# adapters disturb each other, not if facts are in the wrong layers.
#
#
# </details>
