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
# # Can adapters be taught to be reached?
#
# ## Question
# Two *publishers* who never meet teach one adapter each. One teaches which country some persons are
# from, the other which animal is a country's mascot. The sum of the two adapters knows all that the
# question "what is the mascot of the country where this person was born?" needs, and still hardly
# answers it. Can a publisher alone teach an adapter so that it composes with a *partner*, an
# adapter of the other hop that nobody knows yet?
#
# **Claim.** Single-hop lessons leave open in which layers a fact lies (`thm:free-placement`). The
# lengths of keys and the learning rates then decide, and a part of the fact ends up in layers that
# read before the bridge is known (`thm:least-norm-placement`). A remedy is to teach two-hop
# questions while a *stand-in* acts, a made-up partner. Beside two stand-ins that disagree, an
# adapter that ignores its partner cannot learn the answers by heart (`thm:stand-in-ceiling`). In
# the theory the adapter then composes with partners whose bridges are combinations of those of its
# stand-ins (`thm:bridge-transfer`). In a language model the plain sum of two such adapters answers
# .93 of the two-hop questions and the sum of two plainly trained ones .12, or .37 in as many steps,
# out of the whole vocabulary; always naming one animal would be right in .05.
#
# After this notebook you can say why single-hop lessons leave a fact's place open, choose stand-ins
# that settle it, and test an adapter beside a partner that it never met.
#
# Runs in about 10 s on two cores; the numbers of the language model were measured before, with ten
# seeds, and are stored. You need the idea of notebook 07: two hops take two reads, and a bridge
# between them.

# %%
import numpy as np
import pandas as pd
import sympy as sp
from IPython.display import SVG
from ipywidgets import FloatSlider, IntSlider

from loratheory.exercises import explore, judge
from loratheory.theorems import theorem
from loratheory.theorems.composition import placement
from loratheory.theorems.composition import stand_in_ceiling as ceiling

STUDIES = "../paper/studies"  # the paper's stored tables and figures

# %% [markdown]
# ## Derive
# **Step 1: where single hops put a fact.** Two layers read one residual stream, and their answers
# add up. The subject is named in the prompt; its key has length $k_1$ in the first layer and $k_2$
# in the second. The lesson asks that the answers add up to 1. With updates of size $d_1$ and $d_2$
# along these keys this is $d_1k_1+d_2k_2=1$: one equation for two unknowns. Gradient descent from
# zero finds the solution of least $d_1^2+d_2^2$. The second layer's part of the answer is then

# %%
k1, k2, d1, d2, multiplier = sp.symbols("k_1 k_2 d_1 d_2 lambda", positive=True)
lagrangian = d1**2 + d2**2 - multiplier * (d1 * k1 + d2 * k2 - 1)
[least] = sp.solve(
    [sp.diff(lagrangian, x) for x in (d1, d2, multiplier)], [d1, d2, multiplier], dict=True
)
late = sp.simplify(least[d2] * k2)
display(late)
assert sp.simplify(late - k2**2 / (k1**2 + k2**2)) == 0

# %% [markdown]
# In a two-hop question the subject of the second fact is not named. In its place stands the
# *bridge*, which the partner's update writes in the first layer. The first layer has read before
# the bridge was there, so only the second layer can answer. It gives its share of the answer, times
# how much the bridge's key resembles the key of the named subject. What the first layer holds is
# out of reach.
#
# **Step 2: why it takes two stand-ins.** Let $s$ stand-ins act in turn, and let each say something
# different about an entity. Then a two-hop question about it has $s$ right answers, one for each
# stand-in. An adapter that ignores who acts gives answer $j$ with some probability $q_j$. It is
# right in the share $\sum_j q_j/s$ of the lessons, which is at most $1/s$. For two stand-ins, at
# which probability $q$ of the first answer is its loss least, and how large is it there?

# %%
q = sp.symbols("q", positive=True)
loss = -(sp.log(q) + sp.log(1 - q)) / 2  # two stand-ins
[best] = sp.solve(sp.diff(loss, q), q)
display(best, loss.subs(q, best))
assert best == sp.Rational(1, 2)
assert sp.simplify(loss.subs(q, best) - sp.log(2)) == 0

# %% [markdown]
# With one stand-in, an adapter can learn the answer for each subject by heart without any loss.
# With two, a loss below $\ln 2$ shows that what the adapter answers depends on who acts.
#
# **Step 3: what a stranger gets.** A *stranger* is a partner that took no part in training. The
# second hop reads a state: the prompt's own, plus the bridge that the first hop adds. It was taught
# on the states that the stand-ins made. If the second hop is linear, the solution of least norm
# answers every linear combination of these states correctly, and answers nothing to a state at
# right angles to all of them. So stand-ins help if a stranger's bridge is a combination of theirs.

# %% [markdown]
# ## Construct
# An adapter is taught two facts of a second hop. Keys are longer in the early layer than in the
# late one. The key of the bridge resembles the key of the named subject, except for a part of a
# tenth at right angles. What is the share of each layer, what does the single hop give, and by how
# much is the two-hop answer ahead (its margin)?

# %%
rng = np.random.default_rng(0)
named = tuple(length * np.eye(6)[:, :2] for length in (2.0, 1.0))
bridge = np.array([1.0, 0.0, 0.1, 0.0, 0.0, 0.0])
model = placement.Case(named, (0 * bridge, bridge), (1.0, 1.0), early=1)
plain = placement.attain(model)
print("shares of the layers:", [round(share, 2) for share in placement.shares(model)])
single = plain[0] @ named[0] + plain[1] @ named[1]
print("single hop, answered:", np.round(single[:, 0], 2))
print("two-hop margin:", round(placement.measure(model, plain), 2))

# %% [markdown]
# The single hop is answered in full, the two-hop question at a fifth of the strength. A higher
# learning rate in the late layer moves the fact there:

# %%
for rate in (1.0, 4.0, 16.0, 64.0):
    moved = placement.Case(named, (0 * bridge, bridge), (1.0, rate), early=1)
    margin = placement.measure(moved, placement.attain(moved))
    print(f"late layer {rate:4.0f} times as fast: two-hop margin {margin:.2f}")

# %% [markdown]
# **Beside stand-ins.** Now the two-hop question itself is a lesson. It is asked while a stand-in
# acts, which writes the bridge in its own way: its key is the partner's key plus some vector. The
# second stand-in's key is the partner's key minus the same vector.

# %%
apart = 0.5 * rng.standard_normal(6)
stand_ins = (bridge + apart, bridge - apart)
right = np.array([1.0, 0.0, 0.0])  # the first fact's answer, of two facts and an unused token
for count in (1, 2):
    latent = [np.append(np.zeros(6), key) for key in stand_ins[:count]]
    prompts = np.column_stack([np.vstack(named), *latent])
    wanted = np.column_stack([np.vstack([np.eye(2), np.zeros(2)]), *[right] * count])
    taught = placement.least_norm(model, prompts, wanted)
    print(f"beside {count}: two-hop margin {placement.measure(model, taught):.2f}")

# %% [markdown]
# Beside one stand-in the two-hop answer reaches most of its strength, beside two all of it. The
# partner took part in no lesson, but its key is a combination of the two others
# (`thm:partner-lessons`). What is the least squared norm of an update that answers the two-hop
# question in full? By the formula, and as found:

# %%
exact = placement.Wanted(model, right)
found = placement.measure_free(exact, placement.attain_free(exact))
print(f"least cost {placement.bound_free(exact):.3f}, found {found:.3f}")

# %% [markdown]
# **Learning by heart.** How many of its two-hop lessons can an adapter answer if it ignores who
# acts? With one to four stand-ins that disagree on every entity, or agree on half of them:

# %%
for count in (1, 2, 3, 4):
    often = np.full((count, 20), 1 / count)
    differ = tuple((j,) * 20 for j in range(count))
    agree = tuple((0, j) * 10 for j in range(count))
    for name, says in (("disagree", differ), ("agree on half", agree)):
        case = ceiling.Case(np.full(20, 1 / 20), often, says, 1)
        print(f"{count} that {name}: at most {ceiling.bound(case):.2f}")

# %% [markdown]
# ## Verify
# Each theorem on random cases: construction against bound, then rivals that try to do better.

# %%
labels = "least-norm-placement", "free-placement", "stand-in-ceiling", "bridge-transfer"
for claim in map(theorem, labels):
    for seed in range(10):
        draws = np.random.default_rng(seed)
        case = claim.draw(draws, 8)
        assert claim.check(case, claim.attain(case)).holds
        assert claim.check(case, claim.rival(case, draws)).holds

# %% [markdown]
# **In a language model.** SmolLM2-135M, twenty invented persons, real countries, invented mascots.
# We compare plainly trained adapters, plain ones trained for as many steps as those beside
# stand-ins, and adapters taught beside two stand-ins that disagree. Questions are asked in
# sentences that were not in training, and the answer must be the most likely of the whole
# vocabulary. The predictions were written down before the run (study
# `lm_training`, part `portable`; the figure has its parts on ten other worlds).

# %%
stored = pd.read_csv(f"{STUDIES}/lm_training/table.csv.gz", low_memory=False)
rows = stored[stored["part"] == "portable"]
SVG(filename=f"{STUDIES}/lm_training/figure.svg")

# %% [markdown]
# Under the plain sum, means over ten seeds:

# %%
added = rows[(rows["rule"] == "sum") & (rows["coefficient"] == 1)]
columns = ["two_hop_vocabulary", "hop_1", "hop_2", "says_bridge", "known", "leak"]
means = added.groupby(["first", "second"])[columns].mean().round(2)
print(means.to_string())
both, neither = means.loc[("two stand-ins",) * 2], means.loc[("plain",) * 2]
assert both["two_hop_vocabulary"] > 0.85
assert neither["two_hop_vocabulary"] < 0.25
assert both["leak"] < neither["leak"] / 4

# %% [markdown]
# `two_hop_vocabulary`: how often the two-hop answer is right. `says_bridge`: how often the country
# is said instead of the animal. `known`: accuracy on facts that nobody taught. `leak`: how far the
# adapters change the base on ordinary sentences, in nats for each token. (`partner not kept`: also
# taught beside two stand-ins, but without single-hop lessons on what these say.)
#
# If only one of the two adapters was taught beside stand-ins, the result lies between. But these
# plain partners stopped as soon as their facts were learnt. With a plain first hop of as many
# steps, a second hop taught beside stand-ins answers .83 (part `rehearsal`): one
# publisher can be enough.
#
# **Leave no choice of layers.** Single hops leave open in which layers a fact lies, and a question
# of two hops finds the second fact in late layers only. So a publisher can simply train the second
# hop there: in `sixth 6` of the layers, the highest, and nowhere else. In ten other worlds, where
# plain adapters of all layers and as many steps have .26, the sum then answers:

# %%
placed = stored[stored["part"] == "top_layers"]
placed = placed[(placed["rule"] == "sum") & (placed["relation"] == "mascot")]
means_of = {name: (name, "mean") for name in ("two_hop_vocabulary", "hop_1", "hop_2", "known")}
placed = placed.groupby(["first", "second"]).agg(worlds=("seed", "nunique"), **means_of).round(2)
print(placed.to_string())
assert placed.loc[("plain, 90 steps", "sixth 6"), "two_hop_vocabulary"] > 0.4
assert placed.loc[("two stand-ins", "sixth 6"), "two_hop_vocabulary"] > 0.75

# %% [markdown]
# Beside a first hop that was taught with stand-ins a plain second hop in the highest layers does
# nearly as well as stand-ins on both sides (.87 in these worlds), and more single and known facts
# survive.
#
# **How many stand-ins?** The table above has pairs taught beside one, two and three. Small
# transformers can be trained until the lessons are answered, so there the number tells more
# (study `number_of_stand_ins`; one constant answer scores 1/4):

# %%
SVG(filename=f"{STUDIES}/number_of_stand_ins/figure.svg")

# %% [markdown]
# The more stand-ins disagree, the less an adapter knows by heart, never more than one lesson in
# $n$, and the more often two strangers compose. Four that agree are worth next to nothing: all
# lessons can be learnt by heart, and the first hop is then hardly ever in force in a question.
#
# **What breaks it.** The mean of the two adapters, in which both facts act at half of their
# strength:

# %%
here = rows[(rows["first"] == "two stand-ins") & (rows["second"] == "two stand-ins")]
for (rule, c), group in here.groupby(["rule", "coefficient"]):
    print(f"{rule:12} c = {c}: {group['two_hop_vocabulary'].mean():.2f}")

# %% [markdown]
# One prediction clearly failed. *Reach* is the share of facts that an adapter alone answers where
# the subject is only described. We expected that the reach of two adapters would tell how well
# their sum composes. Its rival is a table: the mean two-hop accuracy of each recipe (how the
# adapters were taught) over the other seeds. Which ranks the sums better?

# %%
alone = {}
for rule, name in (("first alone", "reach_1"), ("second alone", "reach_2")):
    one = rows[rows["rule"] == rule]
    alone[name] = one.set_index(["seed", "recipe"])[name]
fared = added[added["first"] == added["second"]].set_index(["seed", "recipe"])["two_hop_vocabulary"]
reach = (alone["reach_1"] * alone["reach_2"]).reindex(fared.index)
recipe = fared.groupby("recipe").transform(lambda x: (x.sum() - x) / (len(x) - 1))  # other seeds
for name, guess in (("reach", reach), ("a table of recipes", recipe)):
    print(f"{name:18} ranks sums with a correlation of {guess.corr(fared, method='spearman'):.2f}")

# %% [markdown]
# The table, which never looks at an adapter, does better. So measure the thing itself: two-hop
# questions beside a *stranger*, a stand-in that acted in no training. `loratheory train` does that,
# and writes the result on the adapter's card.

# %% [markdown]
# ## Explore
# Move the lengths of the early and the late key, and how much the bridge's key resembles the
# name's.


# %%
def placed(early: float = 2.0, late: float = 1.0, alike: float = 1.0) -> None:
    """Where a fact lies that single hops teach, and what a two-hop question gets of it."""
    keys = (early * np.eye(3)[:, :1], late * np.eye(3)[:, :1])
    latent = late * np.array([alike, 0.5, 0.0])
    case = placement.Case(keys, (0 * latent, latent), (1.0, 1.0), early=1)
    margin = placement.measure(case, placement.attain(case))
    print(f"late share {placement.shares(case)[1]:.2f}, two-hop margin {margin:.2f}")


for lengths in ((2.0, 1.0), (1.0, 1.0), (1.0, 2.0), (1.0, 4.0)):
    placed(*lengths)

# %% [markdown]
# With equal lengths half of the fact is out of reach.

# %%
sliders = {name: FloatSlider(1.0, min=0.1, max=4.0, step=0.1) for name in ("early", "late")}
explore(placed, **sliders, alike=FloatSlider(1.0, min=0.0, max=1.0, step=0.1))

# %% [markdown]
# Choose how many stand-ins there are, and on which share of twenty entities they agree. How many
# two-hop lessons can an adapter that ignores them answer?


# %%
def by_heart(count: int = 2, agree: float = 0.0) -> float:
    """The share of two-hop lessons that can be answered without hearing who acts."""
    same = round(20 * agree)
    says = tuple((0,) * same + (j,) * (20 - same) for j in range(count))
    often = np.full((count, 20), 1 / count)
    return ceiling.bound(ceiling.Case(np.full(20, 1 / 20), often, says, 1))


print({count: round(by_heart(count, 0.25), 2) for count in (1, 2, 3, 4)})

# %% [markdown]
# Where stand-ins agree, an adapter can learn by heart, however many there are.

# %%
explore(
    lambda count, agree: print(f"at most {by_heart(count, agree):.2f}"),
    count=IntSlider(2, min=1, max=6),
    agree=FloatSlider(0.0, min=0.0, max=1.0, step=0.05),
)

# %% [markdown]
# ## What this does not say
# - **One pair, one small model.** Libraries of many such pairs and other models are open questions.
#   So are bridges that the base does not know; here they are countries.
# - **The publishers share something**: sentences, countries, and a list of animals that may be
#   answers. Neither sees the other's adapter, persons, or which animal belongs to which country.
# - **The first hop gets worse in new sentences**: about .7 of the single facts are right there,
#   where plain adapters have .97.
# - **A low loss does not prove that the bridge is read.** An adapter may recognise *who acts* and
#   learn the answer for each pair of stand-in and entity by heart. Only a stranger shows the
#   difference.
# - **The theory is linear.** In a trained network, updates of early layers change the keys of later
#   ones, and the optimiser Adam does not follow the gradient. The theory says which lessons can
#   determine where a fact lies, and not how much a network gains.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. It says whether you are right,
# and if not, why. Numbers count as right within 1 %.
#
# **1.** *(easy, 5 minutes)* The key of a named subject has length 3 in the layer before the bridge
# is known and length 4 in the layer after it. All learning rates are equal, and the bridge's key
# equals that of the name. With which margin is a two-hop question answered, if its second fact was
# taught by single-hop lessons?

# %%
mine = None
judge("11.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The late layer's share is $16/(9+16)$, and the resemblance is 1.
#
# ```python
# mine = 16 / 25
# ```
#
# </details>

# %% [markdown]
# **2.** *(medium, 5 minutes)* Four stand-ins act equally often. On half of the entities all four
# say the same, on the other half all differ. In which share of the two-hop lessons can an adapter
# that ignores its partner be right?

# %%
mine = None
judge("11.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# All of the half on which they agree, a quarter of the other half.
#
# ```python
# mine = 0.5 + 0.5 / 4
# ```
#
# </details>

# %% [markdown]
# **3.** *(medium, 5 minutes)* The keys in the layers before and after the bridge are equally long.
# How many times as fast as the early layer must the late one learn, so that the two-hop question is
# answered with nine tenths of the strength?

# %%
mine = None
judge("11.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# With equal lengths the share is $\eta/(1+\eta)$, which is .9 at $\eta=9$.
#
# ```python
# mine = 9
# ```
#
# </details>

# %% [markdown]
# **4.** *(easy, 10 minutes, code)* Design stand-ins. Return a table, stand-ins × entities, of what
# each stand-in says (answers are numbered from 0), so that an adapter that ignores its partner is
# right in one of `count` lessons at most. A stand-in may not say the same of all entities.


# %%
def mine(count, entities):
    return None


judge("11.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Shift one list round: at each entity all stand-ins differ, and each stand-in gives every answer.
#
# ```python
# def mine(count, entities):
#     return [[(e + j) % count for e in range(entities)] for j in range(count)]
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Allen-Zhu and Li, [*Physics of language models, part 3.1: knowledge storage and
#   extraction*](https://arxiv.org/abs/2309.14316). What training data must vary for a fact to be
#   found.
# - Yao et al., [*Editing large language models: problems, methods, and
#   opportunities*](https://arxiv.org/abs/2305.13172). Portability: an edited fact used elsewhere.
# - Biran et al., [*Hopping too late*](https://arxiv.org/abs/2406.12775). Facts in layers that read
#   before the bridge is known.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 90 minutes: 25 for the three steps, 20 for the construction, 20 for the figure and what
# failed, 25 for exercises.
#
# **Ask.** Before step 1: both adapters know their facts, so what can be missing? At step 2: what
# would an adapter learn beside a single stand-in? At the failed prediction: why is a lookup table a
# rival that a measure has to beat?
#
# **Common wrong answers.** "More single-hop data will do it": every placement has the same loss.
# "Two stand-ins force the bridge to be read": the answer has to depend on who acts, but a table of
# stand-ins and names is enough for that. "So merging works": the mean does not.
#
# </details>
