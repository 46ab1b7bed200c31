# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # When do combined adapters answer a two-hop question, and how does gating help?
#
# ## Question
# A transformer gets two adapters. One has new facts $x\to y$ (Ada works at Lab 2), the other new
# facts $y\to z$ (Lab 2 is in Oslo). Each adapter alone answers its own facts. We combine the two
# adapters by averaging, by adding, by TIES or by a router, and ask for the $z$ of an $x$. The
# answer is usually wrong. Does every combination fail, or did we choose the wrong one?
#
# **Main idea.** Adapters that were trained separately can answer a two-hop question together. Each
# adapter must be fully active where its own fact is needed, and inactive elsewhere.
#
# **Mechanism.** Some methods distribute one unit of weight over all adapters. If the base model had
# old facts for both hops, two edits of strength 1 are then too weak (`thm:two-read-region`,
# `thm:routing-reach`). A plain sum leaves each edit its full strength, but each adapter then also
# disturbs the facts of the other adapter. A *gate* avoids both problems. On its own facts, an
# adapter changes the output of the block that it adapts far more than elsewhere. The gate activates
# the adapter there and nowhere else. It needs no labels and no training. Its only data are random
# tokens. `thm:library-capacity` says how rarely gates err.
#
# **A common misconception.** "A better coefficient would repair the merge." In the transformers of
# this notebook, which had old facts for both hops, no coefficient of a merge answers half of the
# two-hop questions.
#
# **After this notebook** you can build gates from random tokens, measure their misses and false
# alarms in a transformer, and say for which base models they help.
#
# The notebook runs in about 10 s on two cores. You need the result of notebook 02: single facts
# need a strength of ½, and two hops together need 0.618.

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

# names in the stored tables, and the words for them
METHODS = {
    "mean": "mean",
    "sum": "sum",
    "oracle placement": "each in its own pass",
    "per-block gating, z = 2": "per-block gating",
}
QUESTIONS = {
    "hop_1": "hop-1 facts",
    "hop_2": "hop-2 facts",
    "two_hop": "two-hop",
    "other_hops": "unedited facts",
    "other_two_hop": "unedited two-hop",
}

# %% [markdown]
# ## Derive
# **Step 1: one unit of weight is too little.** A library has $k$ pairs of adapters, so $2k$
# adapters. Distribute one unit of weight evenly over them: every edit keeps the strength $c=1/2k$.
# By notebook 02, the composed answer then leads the old answer by $c^2-(1-c)$.

# %%
k = sp.symbols("k", positive=True)
c = 1 / (2 * k)
gain = sp.expand(c**2 - (1 - c))
display(gain, gain.subs(k, 1), sp.limit(gain, k, sp.oo))
assert gain.subs(k, 1) == sp.Rational(-1, 4)
assert sp.limit(gain, k, sp.oo) == -1

# %% [markdown]
# The lead is negative for one pair, and lower for more pairs. So the mean loses the composed
# answer, however accurate the adapters are. Only edits that were trained to be far stronger than
# their facts need are an exception.
#
# **Step 2: gates need not be perfect.** A two-hop question takes two *reads*; each read looks up
# one fact. At read $j$ the right gate is off with probability $m_j$ (a *miss*). Some wrong gate is
# on with probability $f_j$ (a *false alarm*). If no gate errs, the output equals that of an
# *oracle*, a method that is told where each adapter belongs. If errors at the two reads are
# independent, the probability that no gate errs is at least $(1-m_1-f_1)(1-m_2-f_2)$. A simpler
# expression is one minus the sum of all four rates. How much larger is the product?

# %%
m1, m2, f1, f2 = sp.symbols("m_1 m_2 f_1 f_2", nonnegative=True)
right = (1 - m1 - f1) * (1 - m2 - f2)
difference = sp.factor(right - (1 - m1 - f1 - m2 - f2))
display(difference)
assert sp.expand(difference - (f1 + m1) * (f2 + m2)) == 0

# %% [markdown]
# The difference is never negative, so one minus the sum of the rates is a lower bound. Without
# independence the union bound gives the same lower bound. So gates match the oracle if they
# *rarely* err. The bound does not depend on the harm that a single error does.

# %% [markdown]
# ## Construct
# We begin with the exact memory of notebook 02, which makes two reads in a row. Each edit has a
# coefficient. First the two coefficients add up to one, and then both are one. By how much does the
# composed answer lead?

# %%
rng = np.random.default_rng(0)
keys, values = [rng.standard_normal((24, n)) for n in (2, 3)], rng.standard_normal((24, 3))
memory = two_read_region.attain(
    two_read_region.Prompt("overwrite", (1.0, 1.0), tuple(keys), (values,))
)
for weights in ((0.5, 0.5), (0.6, 0.4), (1.0, 1.0)):
    new, *others = memory.output(keys[0][:, 0], weights)
    print(f"coefficients {weights}: the composed answer leads by {new - max(others):+.2f}")

# %% [markdown]
# Only at full strength does the composed answer lead, and gates can give full strength to both
# reads. How many adapters can a library hold before a wrong gate opens? The theorem answers for
# Gaussian keys. Here a gate opens at half of the response norm that the adapter has on its own
# facts. At most one two-hop question in ten may meet a gate that errs.

# %%
for width in (16, 32, 64, 128):
    most = gates.largest_clean_library(5, width, threshold=0.5, hops=2, failure=0.1)
    print(f"width {width:3}: at most {most:,} adapters of 5 facts")

# %% [markdown]
# This number grows exponentially with the width.
#
# Now we turn to trained transformers, whose results are in the stored table of the study
# `small_libraries`.
#
# - *Facts.* There are 100 subjects, 100 bridge entities and 100 answers.
# - *Base model.* A transformer has one block, which every token passes twice. So the second pass
#   can use what the first pass found.
# - *Pretraining.* The base model was trained on all single facts and on half of the two-hop
#   questions. We call this share the *coverage*. It then answers the other half as well: it has
#   learned to look up one fact after the other.
# - *Adapters.* Each adapter edits five facts of one hop. The library has two pairs of adapters. The
#   experiment has eight base models, and two sets of edits for each.
# - *Per-block gating.* We measure how much an adapter changes the output of the block on random
#   tokens. The adapter is active wherever the change exceeds the mean of these values by more than
#   $z=2$ standard deviations.

# %%
stored = pd.read_csv(f"{STUDIES}/small_libraries/table.csv.gz", low_memory=False)
gating = stored[(stored["facts"] == 5) & (stored["rank"] == 8) & (stored["modules"] == "mlp")]
gating = gating[gating["coverage"] == 0.5]
two = gating[gating["pairs"] == 2]
gated = two[two["rule"] == "per-block gating, z = 2"]
print(f"misses per two-hop question:       {gated['misses'].mean():.3f}")
print(f"false alarms per two-hop question: {gated['false_alarms'].mean():.3f}")

# %% [markdown]
# Both numbers are means over two-hop questions about edited facts. A miss is a read at which the
# right adapter is off. A false alarm is a wrong adapter that is on at a read.

# %% [markdown]
# ## Verify
# First the theorem. Sampled reads agree with its formula within the sampling error.

# %%
case = gates.Gated(adapters=8, facts=5, width=32, threshold=0.5)
for seed in range(20):
    sampled = gates.rival_library(case, np.random.default_rng(seed))
    assert gates.CAPACITY.check(case, sampled).holds
print(f"probability that no wrong gate opens: {gates.clean(8, 5, 32, 0.5):.3f}")

# %% [markdown]
# Now the transformers. We combine the same four adapters by four methods. The accuracies are in
# percent; a constant answer scores 20% on two-hop questions.

# %%
found = two[two["rule"].isin(METHODS)].groupby("rule")[list(QUESTIONS)].mean().loc[list(METHODS)]
percent = found.mul(100).round().astype(int).rename(index=METHODS, columns=QUESTIONS)
print(percent.rename_axis(None).to_string())

# %% [markdown]
# The column *two-hop* has questions about edited facts. The *unedited* facts and questions should
# keep their old answers. *Each in its own pass* is the oracle: it is told which pair a question is
# about and which hop each adapter has. It activates the two adapters of this pair, each in the pass
# in which a two-hop question reads its hop.
#
# - *Each in its own pass* loses hop-2 facts that are asked on their own: they need their adapter in
#   the first pass, too.
# - The mean gives each adapter a quarter of its strength, and the edits are lost.
# - The sum keeps the edited facts. Most two-hop questions, edited or not, get a wrong answer.
# - Per-block gating answers the edited questions and leaves the unedited answers as they were.

# %%
assert found.loc["mean", "two_hop"] <= 0.3
assert found.loc["sum", "other_two_hop"] <= 0.6
assert found.loc["per-block gating, z = 2", "two_hop"] >= 0.7
assert found.loc["per-block gating, z = 2", "other_two_hop"] >= 0.9

# %% [markdown]
# We compare the bound of step 2, computed from the measured rates, with the measured accuracy. Each
# row is a base model; the accuracies are in percent.

# %%
by_base = gated.groupby("seed")[["two_hop", "misses", "false_alarms"]].mean()
oracle = two[two["rule"] == "oracle placement"].groupby("seed")["two_hop"].mean()
bound = oracle - by_base["misses"] - by_base["false_alarms"]
compared = pd.DataFrame({"lower bound": bound, "measured": by_base["two_hop"]})
print(compared.mul(100).round().astype(int).rename_axis("base model").to_string())
assert (by_base["two_hop"] >= bound).all()

# %% [markdown]
# **Other numbers of pairs.** The figure shows libraries of one, two and four pairs. Bars are 95%
# intervals over base models.

# %%
SVG(filename=f"{STUDIES}/small_libraries/figure.svg")

# %% [markdown]
# **Other coefficients of a merge.** The study `merge_coefficient` merged one pair of adapters with
# one coefficient between 0 and 1.5. Two panels of the figure matter here.
#
# - *Left panel:* both adapters are active in both passes and disturb each other.
# - *Middle panel:* each adapter is active only in its own pass.

# %%
SVG(filename=f"{STUDIES}/merge_coefficient/figure.svg")

# %% [markdown]
# In both panels single facts become right at smaller coefficients than two-hop questions. Near one
# half, single facts are right and most two-hop questions are wrong: this is the **window** of
# notebook 02. Here it appears in transformers that were trained, not constructed. From which
# coefficient on is half of each kind right?

# %%
switching = pd.read_csv(f"{STUDIES}/merge_coefficient/table.csv.gz", low_memory=False)
switching = switching[switching["part"] == "merge_coefficient"]
over = switching[(switching["coverage"] == 0.5) & (switching["case"] == "overwrite")]
curves = over.groupby("coefficient")[["facts", "oracle_placement", "two_hop"]].mean()
for name in ("facts", "oracle_placement"):
    words = {"facts": "single facts", "oracle_placement": "two-hop, each in its own pass"}[name]
    print(f"{words}: half are right from {curves.index[curves[name] >= 0.5][0]:.2f} on")
print(f"two-hop, both in both passes: at most {curves['two_hop'].max():.0%} are right")
assert curves["two_hop"].max() < 0.5

# %% [markdown]
# Can we predict single answers? Suppose that each adapter is active only in its own pass. The
# margins of single facts then predict at most 87% of the answers correctly. The *per-condition
# baseline* predicts 85%, and it looks at no adapter: it takes the more frequent outcome in the
# other base models. So the margins are of little use.
#
# The next table has accuracies at a coefficient of one half, in percent. Its rows differ in what
# the base model knew before:
#
# - `overwrite`: it had old facts for both hops, and the old bridge keeps its old answer;
# - `overwrite both`: it had both old facts, and the answer of the old bridge is edited as well;
# - `new subject`: it had an old second fact and knew nothing about the subject.

# %%
half = switching[(switching["coefficient"] == 0.5) & (switching["coverage"] == 0.5)]
shares = half.groupby("case")[["facts", "two_hop", "two_step"]].mean()
words = {"facts": "single facts", "two_hop": "two-hop", "two_step": "two-step prompting"}
print(shares.mul(100).round().astype(int).rename(columns=words).to_string())
assert (shares["facts"] > 0.95).all()
assert (shares["two_hop"] < 0.35).all()
assert (shares["two_step"] > 0.95).all()

# %% [markdown]
# *Two-step prompting* asks the merged model for one fact at a time. The first answer becomes the
# subject of the second prompt. So the model has to choose one answer after the first hop, and a
# strength of one half is enough (`thm:clean-up-bridge`). This holds even if pretraining never
# showed a two-hop question. The cost is one pass per hop, and somebody has to split the question.
#
# **What breaks it.** The base model must be able to compose. Gating still works if pretraining
# showed a quarter of the two-hop questions instead of half. If it showed none, even the oracle
# fails at every coefficient.

# %%
fewer = stored[(stored["pairs"] == 2) & (stored["rule"] == "per-block gating, z = 2")]
fewer = fewer[(fewer["facts"] == 5) & (fewer["rank"] == 8) & (fewer["modules"] == "mlp")]
for coverage, right in fewer.groupby("coverage")["two_hop"].mean().items():
    print(f"coverage {coverage:4.0%}, per-block gating: {right:.0%} of two-hop questions")
never = switching[(switching["coverage"] == 0) & (switching["case"] == "overwrite")]
best = never.groupby("coefficient")["oracle_placement"].mean().max()
print(f"coverage   0%, each in its own pass: at most {best:.0%}")
assert best < 0.1

# %% [markdown]
# ## Explore
# We chose one number: two standard deviations. Choose another number. Which errors become more
# frequent?


# %%
def switched(rule: str = "per-block gating, z = 2") -> None:
    """Accuracy in percent, and errors per question, with this gate and two pairs."""
    shares = two[two["rule"] == rule][[*QUESTIONS, "misses", "false_alarms"]].mean()
    print(LEVELS[rule])
    print("   ", ", ".join(f"{words} {shares[name]:.0%}" for name, words in QUESTIONS.items()))
    print(f"    misses {shares['misses']:.2f}, false alarms {shares['false_alarms']:.2f}")


LEVELS = {
    "per-block gating, z = 2": "per block, two standard deviations",
    "per-block gating, z = 3": "per block, three standard deviations",
    "per-matrix gating, z = 2": "per weight matrix, two standard deviations",
}
for rule in LEVELS:
    switched(rule)

# %% [markdown]
# The last gate decides for each weight matrix, the others for each block.

# %%
choices = [(words, rule) for rule, words in LEVELS.items()]
explore(switched, rule=SelectionSlider(options=choices, description="gate"))

# %% [markdown]
# ## What this does not say
# - **The base model must be able to compose.** If pretraining never showed a two-hop question,
#   gates do not help. There is no second read in which an adapter could be active.
# - **The transformer is made for the task**: one block used twice, attention that sees one token
#   back, and noise in training. The experiment shows a mechanism. It does not show what a language
#   model does.
# - **Adapters in attention gain less.** There per-block gating answers 23% of the two-hop
#   questions, and the oracle answers 57%.
# - **Gating costs time**: one more pass through the block for every adapter, at every token.
# - **The oracle is not an upper bound.** It keeps the right adapter active in its pass at *every*
#   token. Gates deactivate the adapter at other tokens, and in some cases score higher.
# - **Facts are few.** With 20 facts for each pair, more than twice the rank, per-block gating
#   answers 57% of the questions. If an adapter changes the output everywhere, no gate can recognise
#   its facts.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell says whether you are
# right, and if not, why. A number counts as right within 1%.
#
# **1.** *(easy, 5 minutes)* One pair of adapters is averaged. Both edits were trained to the
# strength $s$, so $c=s/2$ is left of each. From which $s$ on is the two-hop answer right?

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
# **2.** *(easy, 5 minutes)* A library has 16 adapters, and a two-hop question takes two reads. At
# each read, every wrong adapter is on with probability 0.004. The right adapter is never off. How
# probable is a two-hop question without any error of a gate? Give the lower bound that follows from
# the union bound.

# %%
mine = None
judge("08.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# There are two reads, and fifteen wrong adapters at each read. Each of them errs with probability
# 0.004.
#
# ```python
# mine = 1 - 2 * 15 * 0.004
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* On random tokens an adapter changes the output of the block by 1.0 on
# average, with a standard deviation of 0.4. On its own facts it changes the output by 3.0. Up to
# which level $z$ does the gate activate the adapter on its own facts?

# %%
mine = None
judge("08.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The own facts are $(3.0-1.0)/0.4$ standard deviations above the mean. At every lower level the
# gate is open on them. A higher level gives fewer false alarms.
#
# ```python
# mine = (3.0 - 1.0) / 0.4
# ```
#
# </details>

# %% [markdown]
# **4.** *(medium, 20 minutes, code)* Write a gate. Your function gets two tables of response norms
# with a row for each token and a column for each adapter. `ordinary` has random tokens; `here` has
# the tokens of prompts. Return a table of the shape of `here` that says which adapter is on. The
# decision at one token must not depend on the other tokens in `here`. At most 5% of the right gates
# may be off, and at most 5% of the wrong gates may be on. The norms of the four adapters differ
# widely, and many tokens belong to no adapter.


# %%
def mine(ordinary, here):
    return None


judge("08.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Compare each adapter with its own response to random tokens. Choosing the adapter with the largest
# response would activate one at every token.
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
#   How training leads to a two-hop circuit.
# - Chang et al., [*Characterizing pattern matching and its limits on compositional task
#   structures*](https://arxiv.org/abs/2505.20278). Which coverage of two-hop questions a circuit
#   needs.
# - Wang et al., [*WISE: rethinking the knowledge memory for lifelong model
#   editing*](https://arxiv.org/abs/2405.14768). A similar gate, for edits.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 90 minutes: 15 for the two steps, 25 for the transformer, 15 for the table over eight
# base models, 35 for exercises.
#
# **Ask.** Before Construct: the sum gives both reads full strength; why is it not enough? At the
# gates: how can random tokens characterise an adapter without data of its task? At the table: what
# would make you doubt this result, and which control answers the doubt?
#
# **Common wrong answers.** "Gates work because they remove interference": what counts is how often
# they err. "The oracle is an upper bound": it keeps its adapter active at every token, and scores
# less than gates that do not. "So composition is solved": only if the base model can already
# compose.
#
# </details>
