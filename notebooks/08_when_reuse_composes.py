# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # When does reusing adapters answer the two-hop question, and which rule repairs it?
#
# ## Question
# One adapter teaches a transformer new facts $x\to y$, another one new facts $y\to z$. Each works
# alone. Combine them by averaging, by adding, by TIES or by a router, and ask for the $z$ of an
# $x$: the answer is nearly always wrong. Is that a law, or did we combine them in the wrong way?
#
# **Claim.** Rules that share out one unit of weight for a whole pass cannot compose two edits of
# strength 1 where the base knew old facts for both hops (`thm:two-read-region`,
# `thm:routing-reach`). In a plain sum the adapters disturb each other, because each also answers to
# the other's facts. But each adapter *shows* where it belongs: there it changes the output of the
# block that it adapts far more than elsewhere. Switch it on in full there and off elsewhere, and
# adapters that were trained apart compose. A switch of this kind is called a *gate*. It needs no
# labels, no training, and no data except random tokens. `thm:library-capacity` says how rarely
# gates err.
#
# After this notebook you can build gates from random tokens, measure their misses and false alarms
# in a transformer, and say for which bases they help.
#
# Runs in about 40 s on two cores, most of it the training of a small transformer, which is kept
# for the next time. You need notebook 02, or its result: single facts need strength ½, their
# composition 0.618.

# %%
import numpy as np
import pandas as pd
import sympy as sp
from IPython.display import SVG
from ipywidgets import SelectionSlider

from loratheory.exercises import explore, judge
from loratheory.theorems.composition import two_read_region
from loratheory.theorems.routing import gates

STUDIES = "../paper/studies"  # the paper's stored tables and figures

# %% [markdown]
# ## Derive
# **Step 1: one unit of weight is too little.** Share it out evenly over the $2k$ adapters of $k$
# pairs: every edit keeps strength $c=1/2k$. The composed answer leads the old one by $c^2-(1-c)$.

# %%
k = sp.symbols("k", positive=True)
c = 1 / (2 * k)
gain = sp.expand(c**2 - (1 - c))
display(gain, gain.subs(k, 1), sp.limit(gain, k, sp.oo))
assert gain.subs(k, 1) == sp.Rational(-1, 4)
assert sp.limit(gain, k, sp.oo) == -1

# %% [markdown]
# This is negative for one pair and worse for more: the mean loses the composition however good the
# adapters are, unless they were trained to be far stronger than their facts need.
#
# **Step 2: gates need not be perfect.** At read $j$, let the right gate be off with probability
# $m_j$ (a miss), and some wrong gate be on with probability $f_j$ (a false alarm). If nothing goes
# wrong, the output is that of an *oracle*, which knows where each adapter belongs. If the two reads
# are independent, this has at least the probability $(1-m_1-f_1)(1-m_2-f_2)$. By how much is this
# more than one minus the sum of all four rates?

# %%
m1, m2, f1, f2 = sp.symbols("m_1 m_2 f_1 f_2", nonnegative=True)
right = (1 - m1 - f1) * (1 - m2 - f2)
difference = sp.factor(right - (1 - m1 - f1 - m2 - f2))
display(difference)
assert sp.expand(difference - (f1 + m1) * (f2 + m2)) == 0

# %% [markdown]
# The difference is never negative, so one minus the sum is a lower bound. (Without independence the
# union bound gives the same.) So gates are as good as the oracle as long as they *rarely err*; how
# much harm a single error does is not important.

# %% [markdown]
# ## Construct
# First the exact memory of notebook 02, with two reads in a row. The edits act at strengths that
# add up to one, and then at full strength. By how much does the composed answer lead?

# %%
rng = np.random.default_rng(0)
keys, values = [rng.standard_normal((24, n)) for n in (2, 3)], rng.standard_normal((24, 3))
memory = two_read_region.attain(
    two_read_region.Prompt("overwrite", (1.0, 1.0), tuple(keys), (values,))
)
for weights in ((0.5, 0.5), (0.6, 0.4), (1.0, 1.0)):
    new, *others = memory.output(keys[0][:, 0], weights)
    print(f"weights {weights}: the composed answer leads by {new - max(others):+.2f}")

# %% [markdown]
# At full strength it wins, and gates can give full strength to both reads. How many adapters may a
# library hold before a wrong gate opens? The theorem says it for Gaussian keys and gates that open
# at half of the response norm to an adapter's own facts, if one two-hop question in ten may go
# wrong:

# %%
for width in (16, 32, 64, 128):
    most = gates.largest_clean_library(5, width, threshold=0.5, hops=2, failure=0.1)
    print(f"width {width:3}: {most:,} adapters of 5 facts")

# %% [markdown]
# The number grows exponentially with the width. Now trained transformers, from the stored table of
# the study `small_libraries`. Their world has 100 subjects, 100 bridge entities and 100 answers. A
# transformer has one block, which every token passes twice, so that the second pass can read what
# the first one found. It was trained on all single facts and on half of the two-hop questions (a
# *coverage* of one half), and then answers the other half as well: it has learned to look up one
# fact after the other. Pairs of adapters then edit facts, each adapter five facts of one hop. There
# are eight such bases, with two sets of edits on each.
#
# *Block gates* measure how much an adapter changes the output of the block on random tokens, and
# switch it on where it changes the output by more than the mean plus $z=2$ standard deviations.

# %%
stored = pd.read_csv(f"{STUDIES}/small_libraries/table.csv.gz", low_memory=False)
gating = stored[(stored["facts"] == 5) & (stored["rank"] == 8) & (stored["modules"] == "mlp")]
gating = gating[gating["coverage"] == 0.5]
two = gating[gating["pairs"] == 2]
gated = two[two["rule"] == "block gates, z = 2"]
print(gated[["misses", "false_alarms"]].mean().round(3))

# %% [markdown]
# Both count over the two reads of a two-hop question about edited facts, on average: `misses`
# counts reads at which the right adapter is off, `false_alarms` wrong adapters that are on.

# %% [markdown]
# ## Verify
# First the theorem: sampled reads agree with the formula, within the error of sampling.

# %%
case = gates.Gated(adapters=8, facts=5, width=32, threshold=0.5)
for seed in range(20):
    sampled = gates.rival_library(case, np.random.default_rng(seed))
    assert gates.CAPACITY.check(case, sampled).holds
print(f"no wrong gate opens with probability {gates.clean(8, 5, 32, 0.5):.3f}")

# %% [markdown]
# Now the transformers: the same four adapters, used in four ways.

# %%
names = ["mean", "sum", "oracle placement", "block gates, z = 2"]
kinds = ["hop_1", "hop_2", "two_hop", "other_hops", "other_two_hop"]
found = two[two["rule"].isin(names)].groupby("rule")[kinds].mean()
print(found.loc[names].round(2).to_string())

# %% [markdown]
# `two_hop` are the two-hop questions about edited facts, `other_two_hop` those that must stay as
# they were. Always giving the same answer would score 0.2. Oracle placement lets each adapter act
# only in the pass in which a two-hop question reads its hop. The mean, a quarter of each adapter,
# forgets the edits. The sum keeps single facts, but answers most two-hop questions wrong, edited or
# not. The gates answer the edited questions and leave the others as they were.

# %%
assert found.loc["mean", "two_hop"] <= 0.3
assert found.loc["sum", "other_two_hop"] <= 0.6
assert found.loc["block gates, z = 2", "two_hop"] >= 0.7
assert found.loc["block gates, z = 2", "other_two_hop"] >= 0.9

# %% [markdown]
# And the bound of step 2, with the rates that were measured, base by base:

# %%
by_base = gated.groupby("seed")[["two_hop", "misses", "false_alarms"]].mean()
oracle = two[two["rule"] == "oracle placement"].groupby("seed")["two_hop"].mean()
bound = oracle - by_base["misses"] - by_base["false_alarms"]
print(pd.DataFrame({"at least": bound, "found": by_base["two_hop"]}).round(2).to_string())
assert (by_base["two_hop"] >= bound).all()

# %% [markdown]
# **Other numbers of pairs.** With one, two or four pairs of adapters at once (bars: 95% intervals
# over bases):

# %%
SVG(filename=f"{STUDIES}/small_libraries/figure.svg")

# %% [markdown]
# What about a plain merge, at other coefficients than one half? The study `merge_coefficient`
# tried them on the same bases. Half of the single facts are right from a coefficient of .40 on. At
# one half, the mean, nearly every single fact is right and most two-hop questions are wrong: this
# is the **window** of notebook 02, in transformers that were trained and not constructed. If each
# adapter acts only in its own pass through the block (middle panel), half of the two-hop questions
# are right from .65 on. If both act everywhere (left panel), they disturb each other, and no
# coefficient is good. Margins foretell single answers hardly better than a lookup table of the
# other bases, which sees no adapter: 87% are right at best, where the table has 85%.

# %%
SVG(filename=f"{STUDIES}/merge_coefficient/figure.svg")

# %% [markdown]
# In numbers, at one half. There are three cases of what the base knew before: `overwrite`, old
# facts for both hops, and the old bridge keeps its old answer; `overwrite both`, the old bridge's
# answer is edited as well; `new subject`, an old second fact and nothing about the subject.

# %%
switching = pd.read_csv(f"{STUDIES}/merge_coefficient/table.csv.gz", low_memory=False)
switching = switching[switching["part"] == "merge_coefficient"]
half = switching[(switching["coefficient"] == 0.5) & (switching["coverage"] == 0.5)]
shares = half.groupby("case")[["facts", "two_hop", "hop_by_hop"]].mean()
print(shares.round(2).to_string())
assert (shares["facts"] > 0.95).all()
assert (shares["two_hop"] < 0.35).all()
assert (shares["hop_by_hop"] > 0.95).all()

# %% [markdown]
# `hop_by_hop` asks the merged model one fact at a time and makes its answer the subject of the next
# question. Then each read has to decide for one answer, and half a strength is enough
# (`thm:clean-up-bridge`), even where pretraining never showed a two-hop question. It takes one pass
# for each hop, and somebody who takes the question apart.
#
# **What breaks it.** A base that never saw a two-hop question in pretraining composes nothing,
# however good the gates: compare a coverage of a quarter with one of a half.

# %%
gates = stored[(stored["pairs"] == 2) & (stored["rule"] == "block gates, z = 2")]
gates = gates[(gates["facts"] == 5) & (gates["rank"] == 8) & (gates["modules"] == "mlp")]
print(gates.groupby("coverage")[["hop_1", "two_hop"]].mean().round(2))

# %% [markdown]
# ## Explore
# One number was chosen: two standard deviations. Choose another one, and see which errors become
# more frequent.


# %%
def switched(rule: str = "block gates, z = 2") -> None:
    """What is answered, and which switches err, with this threshold and two pairs."""
    shares = two[two["rule"] == rule][[*kinds, "misses", "false_alarms"]].mean()
    print(rule, shares.round(2).to_dict())


LEVELS = ("block gates, z = 2", "block gates, z = 3", "gates, z = 2")
for rule in LEVELS:
    switched(rule)

# %% [markdown]
# The last one decides map by map instead of block by block.

# %%
explore(switched, rule=SelectionSlider(options=LEVELS, description="gates"))

# %% [markdown]
# ## What this does not say
# - **The base must be able to compose.** Where pretraining never showed a two-hop question, gates
#   do not help: there is no second read in which an adapter could be switched on.
# - **The transformer is made for it**: one block used twice, attention that sees one token back,
#   noise in training. It shows a mechanism, and not what a language model does.
# - **Adapters in attention** gain less: block gates answer .23 of their questions, the oracle .57.
# - **It costs** one more pass through the block for every adapter, at every token.
# - **The oracle is not a ceiling.** It has the right adapter on in its pass for *every* token.
#   Gates keep the adapter off at other tokens, and do better in some cases.
# - **Facts are few.** With 20 facts in each pair, more than twice the rank, the gates answer .57 of
#   the questions. An adapter that changes the output everywhere cannot be recognised.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. It says whether you are right,
# and if not, why. Numbers count as right within 1 %.
#
# **1.** *(easy, 5 minutes)* One pair of adapters is averaged; both edits have strength $s$, so
# $c=s/2$. From which $s$ on is the two-hop answer right?

# %%
mine = None
judge("08.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# $s/2>(\sqrt5-1)/2$, so $s>\sqrt5-1=1.236$.
#
# ```python
# mine = 1.236
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* A library has 16 adapters. Each wrong one is on with probability 0.004
# at each of two reads, and the right one is never off. By the union bound, with which probability
# at least does no gate err in a two-hop question?

# %%
mine = None
judge("08.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Two reads times fifteen wrong adapters times 0.004.
#
# ```python
# mine = 1 - 2 * 15 * 0.004
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* On random tokens an adapter changes the block's output by 1.0 on
# average, with a standard deviation of 0.4; on its own facts by 3.0. Up to which level $z$ is it on
# where it should be?

# %%
mine = None
judge("08.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Three is $(3.0-1.0)/0.4$ deviations above one. Every level below that keeps the adapter on at its
# own facts; the higher the level, the fewer false alarms.
#
# ```python
# mine = (3.0 - 1.0) / 0.4
# ```
#
# </details>

# %% [markdown]
# **4.** *(medium, 20 minutes, code)* Write a gate. `ordinary` and `here` are tables of response
# norms, tokens × adapters: on random tokens, and on tokens where something is asked. Return a table
# like `here` that says which adapter is on; a token's switches may not depend on which other tokens
# are in `here`. At most 5 % of the right switches may be off and 5 % of the wrong ones on. The four
# adapters have very different sizes, and many tokens belong to none.


# %%
def mine(ordinary, here):
    return None


judge("08.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Each adapter is compared with itself: how far does it stand above its own response to ordinary
# tokens? Choosing the largest would switch one on everywhere.
#
# ```python
# def mine(ordinary, here):
#     return here > ordinary.mean(axis=0) + 4 * ordinary.std(axis=0)
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Wang et al., [*Grokked transformers are implicit reasoners*](https://arxiv.org/abs/2405.15071).
#   How a two-hop circuit comes about in training.
# - Chang et al., [*Characterizing pattern matching and its limits on compositional task
#   structures*](https://arxiv.org/abs/2505.20278). What coverage of two-hop questions a circuit
#   takes.
# - Wang et al., [*WISE: rethinking the knowledge memory for lifelong model
#   editing*](https://arxiv.org/abs/2405.14768). A gate of this kind, for edits.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 90 minutes: 15 for the two steps, 25 for the transformer, 15 for the table over eight
# bases, 35 for exercises. Training takes half a minute the first time; run it before class.
#
# **Ask.** Before Construct: the sum gives both reads full strength; why is it not the answer? At
# the gates: what do random tokens tell about an adapter without any data of its task? At the table:
# what would make you doubt this result, and which control answers the doubt?
#
# **Common wrong answers.** "Gates work because they remove interference": what counts is how often
# they err. "The oracle is an upper bound": it has its adapter on at every token, and loses to gates
# that do not. "So composition is solved": only where the base can already compose.
#
# </details>
