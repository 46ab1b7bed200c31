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
# Notebook 02 is about a product of two matrices. A language model is no product of two matrices.
# Which of the limits of notebook 02 hold in a language model?
#
# Here is one *two-hop question* with its two facts:
#
# > Zorvik was born in Germany *(hop 1)*. The mascot of Germany is the shark *(hop 2)*. What is the
# > mascot of the country where Zorvik was born?
#
# The *hop-1 adapter* holds facts like the first one, and the *hop-2 adapter* facts like the second
# one. The theory says when a merge of the two adapters answers two-hop questions:
#
# - Let both adapters overwrite old facts of the base model. Then single facts are right above the
#   coefficient ½, and two-hop answers are right above 0.618 (`thm:two-read-region`).
# - Let the base model know neither fact. Then every positive coefficient is enough.
# - In both cases the second fact must be read *after* the first fact. No test of single facts shows
#   whether this holds (`thm:invisible-placement`).
#
# **Main idea.** We merge two adapters with *new* facts in a small language model. The sum of the
# adapters answers 87% of the hop-1 facts and 97% of the hop-2 facts. It answers only 26% of the
# two-hop questions, and no pair of coefficients that we tried gives more than 28%.
#
# **Mechanism.** It matters in which layers each adapter is active. In a *layer split* the hop-1
# adapter is active only below some layer, and the hop-2 adapter only from this layer on. With a
# layer split, the same two adapters answer 57% of the two-hop questions. If the adapters change
# places, the accuracy is 9%. Chance is 5%.
#
# **A common misconception.** "Each adapter composes with facts of the base model, so the two
# adapters will compose with each other." This idea gives a prediction. The predicted accuracy was
# too high in 19 of 21 cases.
#
# **After this notebook** you can compare measured accuracies at several coefficients with the
# limits of the theory. You can compare a prediction with a simpler prediction. You can say what a
# layer split shows, and what it does not show.
#
# The model is SmolLM2-135M-Instruct, with weights that were **dequantised from 4 bits**. We
# measured the accuracies in advance on three *fact sets*: random choices of people, countries and
# mascots. All adapters had *standard training*, that is, training on single facts only. If the
# model is installed, the notebook also runs a live check. The command `make lab` installs the
# model. The notebook runs in about 15 s on two cores.

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
# **A prediction.** Each adapter can be tested together with facts that the base model knows. Do
# these tests predict how well the two adapters compose with each other?
#
# The hop-1 adapter holds the countries of birth of invented people. The hop-2 adapter holds the
# mascots of these countries. The country in between is the *bridge*. Suppose that a two-hop answer
# is right exactly if two independent events happen:
#
# - The first hop writes the bridge to the place where the second hop reads it. The probability of
#   this event is $p$ for people of the hop-1 adapter, and $p_0$ for people whom the base model
#   knows.
# - The second hop reads the bridge and finds its fact. The probability of this event is $q$ for the
#   mascots of the hop-2 adapter, and $q_0$ for capitals, which the base model knows.
#
# Three accuracies can be measured without using both adapters together:
#
# - `known_hop_2` $=pq_0$: the hop-1 adapter alone, on the capital of an invented person's country;
# - `known_hop_1` $=p_0q$: the hop-2 adapter alone, on the mascot of a known person's country;
# - `own` $=p_0q_0$: the base model alone, on the capital of a known person's country.
#
# What do these three accuracies say about $pq$, the accuracy with both adapters?

# %%
p, q, p0, q0 = sp.symbols("p q p_0 q_0", positive=True)
known_hop_2, known_hop_1, own = p * q0, p0 * q, p0 * q0
both = known_hop_2 * known_hop_1 / own
display(both)
assert sp.simplify(both - p * q) == 0

# %% [markdown]
# The probabilities $p_0$ and $q_0$ of the base model cancel. So the accuracy on two-hop questions
# should be `known_hop_2` times `known_hop_1` divided by `own`. We call this prediction the
# **product law**.

# %% [markdown]
# ## Construct
# In the exact memory of notebook 02, the two-hop answer wins above a coefficient of 0.618. The
# memory makes two reads, and an edit overwrites an old fact at each read. We try four coefficients.

# %%
rng = np.random.default_rng(0)
keys, values = [rng.standard_normal((24, n)) for n in (2, 3)], rng.standard_normal((24, 3))
memory = two_read_region.attain(
    two_read_region.Prompt("overwrite", (1.0, 1.0), tuple(keys), (values,))
)
for c in (0.4, 0.55, 0.65, 1.0):
    new, *others = memory.output(keys[0][:, 0], (c, c))
    print(f"c = {c}: the two-hop answer leads by {new - max(others):+.2f}")

# %% [markdown]
# In the language model, a layer split raises the two-hop accuracy above one half, and no other
# combination of the two adapters does. The figure compares twelve combination methods.
#
# The hop-1 adapter was trained on the countries of birth of twenty invented people. The hop-2
# adapter was trained on the mascots of these countries. The training sets had no two-hop questions.
# The base model knew nothing of these people and mascots, so the facts are new. A *window* is a
# range of coefficients at which single facts are right and two-hop answers are wrong. For new facts
# the theory predicts that there is no window.

# %%
stored = pd.read_csv(f"{STUDIES}/lm_methods/table.csv.gz", low_memory=False)
rows = stored[stored["part"] == "two_hop"].to_dict("records")
SVG(filename=f"{STUDIES}/lm_methods/figure.svg")

# %% [markdown]
# ## Verify
# Formula and memory give the same margin on random cases.

# %%
for seed in range(30):
    case = two_read_region.draw(np.random.default_rng(seed), 12)
    assert two_read_region.THEOREM.check(case, two_read_region.attain(case)).holds

# %% [markdown]
# **Single facts survive, and most two-hop answers are wrong.** From a coefficient of 0.35 on, more
# than 85% of the single facts are right. At most 26% of the two-hop questions are right at any
# common coefficient. In notebook 02 a larger coefficient ends the window, but here no coefficient
# helps. So this is not the window. Other layers help: if the hop-1 adapter was trained in the lower
# half of the layers and the hop-2 adapter in the upper 60%, the sum answers 55% of the two-hop
# questions.
#
# The table has 20-way accuracy in percent: how often the right answer leads among twenty
# candidates. Chance is 5%. Both adapters have the same coefficient $c$, and accuracies are means
# over three fact sets. In the rows *all layers*, both adapters were trained in all layers. In the
# rows *by layers*, the hop-1 adapter was trained in the lower half of the layers, and the hop-2
# adapter in the upper 60%, so three layers have both.

# %%
swept = [r for r in rows if r["rule"] == "sum" and r["first"] == r["second"] >= 0.25]
NAMES = {
    "hop_1": "hop-1 facts",
    "hop_2": "hop-2 facts",
    "two_hop": "two-hop",
    "two_step": "two-step prompting",
}
table = pd.DataFrame(columns=NAMES.values())
for trained in ("all layers", "by layers"):
    for c in sorted({r["first"] for r in swept if r["trained"] == trained}):
        here = [r for r in swept if (r["trained"], r["first"]) == (trained, c)]
        accuracies = [round(100 * np.mean([r[name] for r in here])) for name in NAMES]
        table.loc[f"{trained}, c = {c}"] = accuracies
print(table.to_string())
everywhere = table[table.index.str.startswith("all layers")]
assert everywhere["two-hop"].max() < 30
assert everywhere.loc["all layers, c = 0.35":, ["hop-1 facts", "hop-2 facts"]].min(axis=None) > 85
assert table.loc["by layers, c = 1.0", "two-hop"] > 50
sums = stored[(stored["rule"] == "sum") & (stored["trained"] == "all layers")]
sums = sums[sums["part"] == "two_hop"].groupby(["first", "second"])["two_hop"].mean()
print(f"at any pair of coefficients: at most {sums.max():.1%} of two-hop questions right")

# %% [markdown]
# In *two-step prompting* each prompt is about one hop. The answer to the first prompt is inserted
# into the second prompt. So the model writes the bridge out, however low its probability
# (`thm:clean-up-bridge`). Two-step prompting answers more than 80% of the questions from a
# coefficient of 0.5 on.
#
# **The product law is refuted.** Its mean error is 27 points. A simpler prediction is the *weaker
# hop*, the smaller one of `known_hop_2` and `known_hop_1`. Its mean error is 20 points. Both
# predictions were made before both adapters were used together.

# %%
pairs = [r for r in rows if r["rule"] == "sum" and r["trained"] == "all layers"]
pairs = [r for r in pairs if r["predicted"] == r["predicted"]]
for name, words in (("predicted", "product law"), ("weaker", "weaker hop")):
    errors = [100 * abs(r[name] - r["two_hop"]) for r in pairs]
    print(
        f"{words}: mean error {np.mean(errors):.0f} points, largest error {max(errors):.0f} points"
    )

# %% [markdown]
# So nothing in these data speaks for a product. Both predictions ignore that the adapters disturb
# each other. Each predicts 21 cases. The product law is too high in 19 of them, the weaker hop in
# 18.
#
# **The right order of the layers composes, the reversed order does not.** In the *right order* the
# hop-1 adapter is active only below some layer, and the hop-2 adapter only from this layer on. In
# the *reversed order* the two adapters change places. The table has means over three split layers
# and three fact sets, in percent. The *confidence* is the probability that the model gives to its
# own answers. Below the table, the cell chooses for each fact set the split with the highest
# confidence.

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
    print(f"fact set {seed}: {chosen}: {best['two_hop']:.0%} of two-hop questions right")
    assert best["rule"] == "layer split"

# %% [markdown]
# For every fact set, the split with the highest confidence has the right order. This choice needs
# no labels.
#
# In the reversed order the single facts are lost as well. So the splits show in which layers the
# facts are stored. They do not isolate the effect of the order, because the reversed order also
# moves each adapter out of the layers that store its facts.

# %% [markdown]
# **With a two-hop adapter, every merge answers two-hop questions.** The first library has the two
# single-hop adapters. The second library has a third adapter as well, which was trained on the
# two-hop questions in another wording. With this third adapter, all three combination methods
# answer more than 75% of the two-hop questions. Without it, none of the three answers more than
# 31%, unless the base model knows the people, too.
#
# The table has 20-way accuracy on two-hop questions in percent; chance is 5%. The rows also differ
# in what the base model knows: nothing, the countries, or both the people and the countries.

# %%
libraries = stored[stored["part"] == "libraries"]
libraries = libraries[libraries["trained"] == "all layers"]
by_method = libraries.pivot_table("two_hop", ["familiarity", "library"], "rule")
methods = {"mean": "mean", "sum": "sum", "arrow": "Arrow"}
known = {"fake": "nothing", "half": "the countries", "real": "people and countries"}
sizes = {2: "two single-hop adapters", 3: "with the two-hop adapter"}
shown = by_method.loc[by_method.index.isin(sizes, level="library"), list(methods)]
# without an adapter a method does not matter
alone = by_method["base"].xs(0, level="library")
shown.insert(0, "base model", alone.loc[shown.index.get_level_values("familiarity")].to_numpy())
shown = shown.mul(100).round().astype(int).rename(columns=methods, index=known)
shown = shown.rename(index=sizes, level="library").rename_axis(["base knows", "library"])
print(shown.rename_axis(None, axis=1).to_string())
repaired = shown.xs("with the two-hop adapter", level="library")[list(methods.values())]
assert repaired.min(axis=None) > 75

# %% [markdown]
# **A live check.** The repository contains two adapters that had standard training. Each adapter
# changes twenty of the model's thirty layers. The next cell loads the model. If the model is not
# installed, a message says how to install it.

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
# The facts of these two adapters are about four people. Each question has four candidate answers,
# so chance is 25%. The cell shows one two-hop question with its answer.

# %%
QUESTIONS = {
    "hop 1": [(f"{one} was born in the country of", land) for one, (land, _) in FACTS.items()],
    "hop 2": [(f"The mascot animal of {land} is the", pet) for land, pet in FACTS.values()],
    "two-hop": [
        (f"The mascot animal of the country where {one} was born is the", pet)
        for one, (_, pet) in FACTS.items()
    ],
}
QUESTIONS["two-hop"][0]

# %% [markdown]
# ## Explore
# The next function evaluates the model at any two coefficients: the first for the hop-1 adapter,
# the second for the hop-2 adapter.


# %%
def accuracy_at(first: float = 1.0, second: float = 1.0) -> dict[str, float]:
    """Return the shares of right answers at these coefficients; nothing without the model."""
    if model is None:
        return {}
    shares = {}
    with attach(model, library, [first, second]):
        for name, questions in QUESTIONS.items():
            logits = next_token_logits(model, [prompt for prompt, _ in questions])
            best = logits[:, first_tokens(model, [word for _, word in questions])].argmax(1)
            shares[name] = float((best == torch.arange(len(questions))).float().mean())
    return shares


# %% [markdown]
# We evaluate four pairs of coefficients: both adapters at 1, both adapters at one half, and each
# adapter alone.

# %%
found = {pair: accuracy_at(*pair) for pair in ((1.0, 1.0), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0))}
for (first, second), shares in found.items():
    print(f"hop-1 adapter {first}, hop-2 adapter {second}:", shares)
if model is not None:
    assert found[1.0, 0.0]["hop 1"] == found[0.0, 1.0]["hop 2"] == 1.0

# %% [markdown]
# Move the two coefficients. From which coefficient on are single facts right? Is there a pair of
# coefficients at which all two-hop questions are right?

# %%
strengths = {
    name: FloatSlider(1.0, min=0.0, max=2.0, step=0.25, description=f"{name} hop")
    for name in ("first", "second")
}
explore(lambda first, second: print(accuracy_at(first, second)), **strengths)

# %% [markdown]
# ## What this does not say
# - **All adapters here had standard training.** For these adapters no coefficient repairs the
#   two-hop answers. In notebook 11 other adapters are trained with made-up partners. Their sum
#   answers most two-hop questions.
# - **We tested one small model**, with 135M parameters and 4-bit weights. A method that fails here
#   may work in a larger model, because a larger model may be better at second hops.
# - **The facts are new.** The study `lm_old_facts` edits old facts of a model that composes, with
#   adapters that had *stand-in training*, and finds the window of notebook 02. Where both facts are
#   old, half of the changed hop-1 facts are right from a coefficient of 0.46 on. For two-hop
#   questions it is 0.65, or 0.61 in the case `overwrite both`. With early-stopped standard training
#   at most 35% of the two-hop questions are right if both facts are old.
# - **The countries are real**, and only the people are invented. In an earlier trial the countries
#   were invented, too. In this trial, no coefficient gave right two-hop answers.
# - **The sample is small**: three fact sets with twenty questions each, in two wordings. The
#   confidence intervals are wide. Because they rest on three fact sets only, they still
#   underestimate the uncertainty.
# - **Answers are chosen among candidates.** For most accuracies, the answer is the best of twenty
#   candidates. If the answer may be any token, the model often names the country instead of the
#   mascot (columns `two_hop_vocabulary` and `says_bridge` of the stored table).
# - **Confidence is a weak guide.** For one of the three fact sets, the splits differed little in
#   confidence. Confidence cannot tell whether to split at all: without a split the model is more
#   confident, and wrong.
# - **More pairs are harder.** We also tested a library with four pairs of adapters. Methods that
#   keep all adapters active answered at most 18% of the two-hop questions. The *oracle pair* uses
#   only the two adapters that a question needs. With a layer split, the oracle pair answered 48%.
#   (The study `real_pairs` is kept in the history at commit 80181100.)

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether you are
# right, and if not, why. A number is right if it is within 1% of the answer.
#
# **1.** *(easy, 5 minutes)* Three accuracies are measured:
#
# - With the hop-1 adapter alone, the model names the capital of an invented person's country in 90%
#   of the questions.
# - With the hop-2 adapter alone, it names the mascot of a known person's country in 60% of the
#   questions.
# - With the base model alone, it names the capital of a known person's country in 75% of the
#   questions.
#
# Which accuracy does the product law predict with both adapters?

# %%
mine = None
judge("10.1", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which of the three accuracies is $pq_0$, which is $p_0q$, and which is $p_0q_0$? The section
# *Derive* has their definitions.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Multiply $pq_0$ by $p_0q$. By which of the accuracies must you divide the product, so that only
# $pq$ is left?
#
# </details>
#
# <details><summary>Solution</summary>
# The first accuracy contains one hop of the base model, and so does the second accuracy. So we
# divide their product by the third accuracy, which contains both hops of the base model.
#
# ```python
# mine = 0.9 * 0.6 / 0.75
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* The single fact of an edit of strength 1 survives above the coefficient
# ½. Another edit was trained to the strength 2. Above which coefficient does the fact of this
# second edit survive?

# %%
mine = None
judge("10.2", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# After the merge, the strength of an edit is its coefficient times its strength before the merge.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A single fact survives if this product exceeds ½. At which coefficient is the product ½ if the
# strength is 2?
#
# </details>
#
# <details><summary>Solution</summary>
# Coefficient times strength must exceed ½, so the coefficient must exceed ¼. For edits of strength
# 1 the window lies between ½ and 0.618. Stronger edits move the window to smaller coefficients.
#
# ```python
# mine = 0.25
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* Two edits have the strength 2, and the base model knew old facts for
# both hops. Both edits get the same coefficient. Above which coefficient is the two-hop answer
# right?

# %%
mine = None
judge("10.3", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# As in exercise 2, the coefficient $c$ leaves each edit the strength $2c$. Which strength does a
# two-hop answer need?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# By notebook 02 the strength $x$ of both edits must satisfy $x^2+x>1$. Here $x=2c$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# At the coefficient $c$ each edit has the strength $2c$. This strength must exceed $(\sqrt5-1)/2$.
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
# reversed order: single facts are lost as well; what do the splits then show? At the product law:
# which of the three accuracies is hardest to measure without labels?
#
# **Common wrong answers.** "The theorem is refuted, since the coefficient has little effect": the
# theorem predicts no window if there are no old facts. "The product law is true because it was
# derived": a simpler prediction, the weaker hop, was more accurate. "Gating repairs composition":
# gating helps if adapters disturb each other, but not if facts are stored in the wrong layers.
# </details>
