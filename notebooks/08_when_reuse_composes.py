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
# A transformer gets two adapters. The *hop-1 adapter* has new facts $x\to y$, such as "Ada works at
# Lab 2". The *hop-2 adapter* has new facts $y\to z$, such as "Lab 2 is in Oslo". With one adapter
# alone, the transformer answers the facts of this adapter. We combine the two adapters by
# averaging, by adding, by TIES or by a router. Then we ask two-hop questions: which $z$ belongs to
# a given $x$? The answer is usually wrong. Does every combination fail, or did we choose a bad
# combination?
#
# **Main idea.** Adapters that were trained separately can answer a two-hop question together. Each
# adapter must be fully active where its own fact is needed, and inactive elsewhere.
#
# **Mechanism.** Some methods, such as averaging, give the adapters coefficients whose sum is one.
# Suppose that the base model had old facts for both hops. Then such coefficients are too small for
# two edits of strength 1 (`thm:two-read-region`, `thm:routing-reach`). A plain sum leaves each edit
# its full strength, but each adapter then also disturbs the facts of the other adapter. A *gate*
# avoids both problems. An adapter changes the output of its block far more on its own facts than on
# other inputs. The gate therefore activates the adapter on its own facts only. To set up a gate we
# need no labels and no training, only random tokens. The probability that a wrong gate opens is
# bounded by `thm:library-capacity`.
#
# **A common misconception.** "A better coefficient would repair the merge." In this notebook the
# transformers had old facts for both hops. Where pretraining had half of the two-hop questions, a
# merge of one pair of adapters answers less than half of the asked ones at every common coefficient
# (study `merge_coefficient`). In the study `small_libraries` the sum answers 61% with one pair, and
# 21% with two.
#
# **After this notebook** you can build gates from random tokens. You can measure in a transformer
# how often these gates err, and say for which base models gates help.
#
# The notebook runs in about 10 s on two cores. You need two results of notebook 02. A single fact
# needs an edit of strength above ½. If both edits have the same strength, a two-hop question needs
# more than 0.618.

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
# **Step 1: the mean is too weak.** A library has $k$ pairs of adapters, which are $2k$ adapters. In
# the mean of all these adapters, every edit has the strength $c=1/2k$. The *composed answer* is the
# answer that uses both new facts. By notebook 02, the composed answer leads the old answer by
# $c^2-(1-c)$. The cell prints this lead, its value for one pair, and its limit for many pairs.

# %%
k = sp.symbols("k", positive=True)
c = 1 / (2 * k)
gain = sp.expand(c**2 - (1 - c))
display(gain, gain.subs(k, 1), sp.limit(gain, k, sp.oo))
assert gain.subs(k, 1) == sp.Rational(-1, 4)
assert sp.limit(gain, k, sp.oo) == -1

# %% [markdown]
# For one pair the lead is negative, and with more pairs the lead falls further. So the mean loses
# the composed answer, however accurate each adapter is. The only exceptions are edits that were
# trained to a strength above $2k\cdot0.618$, which is 1.236 for one pair.
#
# **Step 2: gates need not be perfect.** A two-hop question takes two *reads*, and each read looks
# up one fact. At read $j$ two kinds of error are possible. The gate of the right adapter is off
# with probability $m_j$ (a *miss*). The gate of some wrong adapter is on with probability $f_j$ (a
# *false alarm*). If no gate errs, the output equals that of an *oracle*, a method that knows
# where each adapter belongs.
#
# Suppose that errors at the two reads are independent. Then the probability that no gate errs is at
# least $(1-m_1-f_1)(1-m_2-f_2)$. A simpler expression is one minus the sum of the four
# probabilities. How much larger is the product?

# %%
m1, m2, f1, f2 = sp.symbols("m_1 m_2 f_1 f_2", nonnegative=True)
right = (1 - m1 - f1) * (1 - m2 - f2)
difference = sp.factor(right - (1 - m1 - f1 - m2 - f2))
display(difference)
assert sp.expand(difference - (f1 + m1) * (f2 + m2)) == 0

# %% [markdown]
# The difference is never negative. So one minus the sum of the four probabilities is a lower bound
# on the probability that no gate errs. If the errors are not independent, the union bound gives the
# same lower bound. So gates that *rarely* err give the same output as the oracle on most questions.
# The bound does not depend on how harmful a single error is.

# %% [markdown]
# ## Construct
# We begin with the exact memory of notebook 02, which makes two reads in a row. The cell tries
# three pairs of coefficients. In the first two pairs the coefficients add up to one. In the last
# pair both coefficients are one. By how much does the composed answer lead?

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
# The composed answer leads only if both edits have full strength, and gates can give both edits
# full strength. But in a larger library, a wrong gate opens more often. How many adapters can a
# library have? The theorem answers for Gaussian keys; the *width* is the dimension of the keys. On
# its own facts an adapter has a certain response. In this cell, a gate opens where the squared
# response exceeds half of its value on own facts. Gates may err in at most one of ten two-hop
# questions.

# %%
for width in (16, 32, 64, 128):
    most = gates.largest_clean_library(5, width, threshold=0.5, hops=2, failure=0.1)
    print(f"width {width:3}: at most {most:,} adapters of 5 facts")

# %% [markdown]
# The possible number of adapters grows exponentially with the width.
#
# Now we turn to trained transformers. The results are in the stored table of the study
# `small_libraries`. The experiment has these parts:
#
# - *Facts.* There are 100 subjects, 100 bridge entities and 100 answers.
# - *Base model.* The transformer has one block, and every token passes through this block twice. So
#   the second pass can use what the first pass found.
# - *Pretraining.* The base model was trained on all single facts and on half of the two-hop
#   questions. The *coverage* is the share of all two-hop questions that were in pretraining. After
#   pretraining, the base model also answers the other half of the questions. So it has learned to
#   look up one fact after the other.
# - *Adapters.* Each adapter edits five facts of one hop. The library has two pairs of adapters. The
#   experiment has eight base models, and two sets of edits for each base model.
# - *Per-block gating.* We measure on random tokens how much an adapter changes the output of the
#   block. These changes have a mean and a standard deviation. The adapter is active at a token if
#   its change there exceeds the mean by more than $z=2$ standard deviations.

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
# First we check the theorem. Simulated reads stay above its lower bound, up to sampling error.

# %%
case = gates.Gated(adapters=8, facts=5, width=32, threshold=0.5)
for seed in range(20):
    sampled = gates.rival_library(case, np.random.default_rng(seed))
    assert gates.CAPACITY.check(case, sampled).holds
print(f"probability that no wrong gate opens: at least {gates.clean(8, 5, 32, 0.5):.3f}")

# %% [markdown]
# Now we evaluate the transformers. We combine the same four adapters by four methods. The table has
# accuracies in percent. On two-hop questions, always giving the same answer would score 20%.

# %%
found = two[two["rule"].isin(METHODS)].groupby("rule")[list(QUESTIONS)].mean().loc[list(METHODS)]
percent = found.mul(100).round().astype(int).rename(index=METHODS, columns=QUESTIONS)
print(percent.rename_axis(None).to_string())

# %% [markdown]
# The column *two-hop* is about edited facts. The columns *unedited facts* and *unedited two-hop*
# show how many old answers are kept. The method *each in its own pass* is the oracle. The oracle
# knows which pair of adapters a question is about, and activates only this pair. A two-hop question
# reads the first hop in the first pass and the second hop in the second pass. So the oracle
# activates the hop-1 adapter in the first pass, and the hop-2 adapter in the second pass.
#
# - *Each in its own pass* loses single hop-2 facts. A question about a single hop-2 fact needs the
#   hop-2 adapter in the first pass, too.
# - The mean gives each adapter the coefficient ¼, and the edits are lost.
# - The sum keeps the edited single facts. It gives wrong answers to most two-hop questions, edited
#   and unedited.
# - Per-block gating answers the edited questions and keeps the unedited answers.

# %%
assert found.loc["mean", "two_hop"] <= 0.3
assert found.loc["sum", "other_two_hop"] <= 0.6
assert found.loc["per-block gating, z = 2", "two_hop"] >= 0.7
assert found.loc["per-block gating, z = 2", "other_two_hop"] >= 0.9

# %% [markdown]
# If the oracle switched adapters only at the reads, step 2 would bound the accuracy of gating from
# below: by the accuracy of the oracle minus the rates of misses and false alarms. This oracle keeps
# an adapter active at every token of its pass, so the difference is no proven bound. We compare it
# with the measured accuracy. Each row is a base model, and the accuracies are in percent.

# %%
by_base = gated.groupby("seed")[["two_hop", "misses", "false_alarms"]].mean()
oracle = two[two["rule"] == "oracle placement"].groupby("seed")["two_hop"].mean()
bound = oracle - by_base["misses"] - by_base["false_alarms"]
compared = pd.DataFrame({"oracle less errors": bound, "measured": by_base["two_hop"]})
print(compared.mul(100).round().astype(int).rename_axis("base model").to_string())
assert (by_base["two_hop"] >= bound).all()

# %% [markdown]
# **Other numbers of pairs.** The figure shows libraries with one, two and four pairs of adapters.
# Error bars are 95% confidence intervals over base models.

# %%
SVG(filename=f"{STUDIES}/small_libraries/figure.svg")

# %% [markdown]
# **Other coefficients of a merge.** The study `merge_coefficient` merged one pair of adapters. Both
# adapters had the same coefficient, between 0 and 1.5. Two panels of the figure matter here.
#
# - *Left panel:* both adapters are active in both passes and disturb each other.
# - *Middle panel:* each adapter is active only in its own pass.

# %%
SVG(filename=f"{STUDIES}/merge_coefficient/figure.svg")

# %% [markdown]
# In both panels single facts become right at smaller coefficients than two-hop questions. At a
# coefficient near one half, single facts are right and most two-hop questions are wrong. This is
# the **window** of notebook 02. In notebook 02 the memories were constructed; here the transformers
# were trained. From which coefficient on are half of the single facts right? From which coefficient
# on are half of the two-hop questions right?

# %%
switching = pd.read_csv(f"{STUDIES}/merge_coefficient/table.csv.gz", low_memory=False)
switching = switching[switching["part"] == "merge_coefficient"]
over = switching[(switching["coverage"] == 0.5) & (switching["case"] == "overwrite")]
curves = over.groupby("coefficient")[["facts", "oracle_placement", "two_hop"]].mean()
for name in ("facts", "oracle_placement"):
    words = {"facts": "single facts", "oracle_placement": "two-hop, each in its own pass"}[name]
    print(f"{words}: half are right from {curves.index[curves[name] >= 0.5][0]:.2f} on")
print(f"two-hop, both adapters in both passes: at most {curves['two_hop'].max():.0%} are right")
assert curves["two_hop"].max() < 0.5

# %% [markdown]
# Can we predict which two-hop answers are right? Suppose that each adapter is active only in its
# own pass. The margins then predict 85% of these outcomes correctly, and 87% if the bridge is
# decided between the passes. A *per-condition baseline* looks at no adapter: it predicts the
# outcome that was more frequent in the other base models. It predicts 85% of the outcomes
# correctly. So the margins are of little use.
#
# The next table has accuracies at a coefficient of one half, in percent. Each row is a case; the
# cases differ in the old facts of the base model:
#
# - `new subject`: the base model had an old fact for hop 2 and knew nothing about the subject;
# - `overwrite`: the base model had old facts for both hops, and the answer of the old bridge entity
#   is kept;
# - `overwrite both`: the base model had old facts for both hops, and the answer of the old bridge
#   entity is edited, too.

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
# strength above one half is enough (`thm:clean-up-bridge`). Two-step prompting works even if
# pretraining had no two-hop questions. Its cost is one prompt per hop, and somebody has to split
# the question.
#
# **What breaks gating.** Gating needs a base model that can compose. Gating still works if the
# coverage is one quarter instead of one half. If pretraining had no two-hop questions, even the
# oracle fails at every coefficient.

# %%
fewer = stored[(stored["pairs"] == 2) & (stored["rule"] == "per-block gating, z = 2")]
fewer = fewer[(fewer["facts"] == 5) & (fewer["rank"] == 8) & (fewer["modules"] == "mlp")]
for coverage, right in fewer.groupby("coverage")["two_hop"].mean().items():
    print(f"coverage {coverage:4.0%}, per-block gating: {right:.0%} of two-hop questions are right")
never = switching[(switching["coverage"] == 0) & (switching["case"] == "overwrite")]
best = never.groupby("coefficient")["oracle_placement"].mean().max()
print(f"coverage   0%, each in its own pass: at most {best:.0%} are right")
assert best < 0.1

# %% [markdown]
# ## Explore
# Our gates open at two standard deviations above the mean. Choose another gate. Which errors become
# more frequent?


# %%
def switched(rule: str = "per-block gating, z = 2") -> None:
    """Accuracy in percent, and errors per question, with this gate and two pairs."""
    shares = two[two["rule"] == rule][[*QUESTIONS, "misses", "false_alarms"]].mean()
    print(LEVELS[rule])
    print("   ", ", ".join(f"{words} {shares[name]:.0%}" for name, words in QUESTIONS.items()))
    errors = f"misses {shares['misses']:.2f}, false alarms {shares['false_alarms']:.2f}"
    print(f"    per two-hop question: {errors}")


LEVELS = {
    "per-block gating, z = 2": "per block, two standard deviations",
    "per-block gating, z = 3": "per block, three standard deviations",
    "per-matrix gating, z = 2": "per weight matrix, two standard deviations",
}
for rule in LEVELS:
    switched(rule)

# %% [markdown]
# The third gate decides for each weight matrix separately. The other two gates decide for a whole
# block.

# %%
choices = [(words, rule) for rule, words in LEVELS.items()]
explore(switched, rule=SelectionSlider(options=choices, description="gate"))

# %% [markdown]
# ## What this does not say
# - **The base model must be able to compose.** If pretraining had no two-hop questions, gates do
#   not help. The base model then makes no second read in which an adapter could be active.
# - **The transformer is made for the task.** It uses one block twice, its attention sees one token
#   back, and its training adds noise. The experiment shows a mechanism. It does not show what a
#   language model does.
# - **Gating is weaker for adapters in attention.** With adapters in attention, per-block gating
#   answers 23% of the two-hop questions, and the oracle answers 57%. In a plain transformer, with
#   different layers, per-block gating answers 1% to 7% (study `untied_transformer`).
# - **Gating costs time**: one more pass through the block for every adapter, at every token.
# - **The oracle is not an upper bound.** The oracle keeps the right adapter active at *every* token
#   of its pass. Gates keep it off at a majority of tokens, and in some cases
#   gates are more accurate.
# - **Each adapter has few facts.** In a library with 20 facts per adapter, per-block gating answers
#   57% of the two-hop questions, and the oracle 20%. Twenty facts are more than twice the rank of
#   an adapter. If an adapter changes the output everywhere, no gate can recognise its facts.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether you are
# right, and if not, why. A number is right if it is within 1% of the answer.
#
# **1.** *(easy, 5 minutes)* One pair of adapters is averaged. Both edits were trained to the
# strength $s$, so each edit has the strength $c=s/2$ in the mean. The base model had old facts for
# both hops. Above which $s$ is the two-hop answer right?

# %%
mine = None
judge("08.1", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# By notebook 02, a two-hop answer needs a certain strength at both hops, if the base model had old
# facts for both. Apply this to the strength in the mean.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The two-hop answer is right if $c^2+c>1$, with $c=s/2$.
#
# </details>
#
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
# probable is it that no gate errs during the question? Give the lower bound that follows from the
# union bound.

# %%
mine = None
judge("08.2", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# By step 2, one minus the sum of all error probabilities is a lower bound. Which gates can err, and
# at how many reads?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# There are no misses. At each read, every adapter except the right one causes a false alarm with
# probability 0.004.
#
# </details>
#
# <details><summary>Solution</summary>
#
# At each of the two reads there are fifteen wrong adapters. Each wrong adapter is on with
# probability 0.004.
#
# ```python
# mine = 1 - 2 * 15 * 0.004
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* On random tokens an adapter changes the output of the block by 1.0 on
# average, with a standard deviation of 0.4. On its own facts it changes the output by 3.0. A gate
# of level $z$ opens if the change exceeds the mean by $z$ standard deviations. Up to which level
# $z$ does the gate open on the adapter's own facts?

# %%
mine = None
judge("08.3", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The gate measures the change from the mean, in units of the standard deviation. Both are measured
# on random tokens.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The gate opens on the adapter's own facts if $3.0>1.0+0.4\,z$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The change on the adapter's own facts is $(3.0-1.0)/0.4$ standard deviations above the mean. At
# every lower level the gate opens on these facts. A higher level gives fewer false alarms.
#
# ```python
# mine = (3.0 - 1.0) / 0.4
# ```
#
# </details>

# %% [markdown]
# **4.** *(medium, 20 minutes, code)* Write a gate for four adapters. Your function gets two tables
# of response norms. Both tables have a row for each token and a column for each adapter. The rows
# of `generic` are random tokens, and the rows of `here` are the tokens of prompts. Return a table
# of the shape of `here` with `True` where the adapter is on and `False` where it is off. The
# decision at one token must not depend on the other tokens in `here`. At most 5% of the right gates
# may be off, and at most 5% of the wrong gates may be on. The norms of the adapters differ widely,
# and many tokens belong to no adapter.


# %%
def mine(generic, here):
    return None


judge("08.4", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The norms of the adapters differ widely, so one threshold does not fit all of them. Compute for
# each column of `generic` what is usual for this adapter.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# As in per-block gating, let a gate open where the response exceeds the mean on random tokens by
# $z$ standard deviations. Choose $z$ so large that few random tokens open a gate.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Compare each adapter with its own response to random tokens. Suppose that the gate chose the
# adapter with the largest response instead. Then some adapter would be active at every token.
#
# ```python
# def mine(generic, here):
#     return here > generic.mean(axis=0) + 4 * generic.std(axis=0)
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Wang et al., [*Grokked transformers are implicit reasoners*](https://arxiv.org/abs/2405.15071).
#   How training leads to a two-hop circuit.
# - Chang et al., [*Characterizing pattern matching and its limits on compositional task
#   structures*](https://arxiv.org/abs/2505.20278). Which coverage of two-hop questions a model
#   needs to learn a two-hop circuit.
# - Wang et al., [*WISE: rethinking the knowledge memory for lifelong model
#   editing*](https://arxiv.org/abs/2405.14768). A similar gate, which decides when an edit is
#   active.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 90 minutes: 15 for the two steps, 25 for the transformer, 15 for the table over eight
# base models, 35 for exercises.
#
# **Ask.** Before Construct: the sum gives both edits full strength; why is the sum not enough? At
# the gates: how can random tokens characterise an adapter without data of its task? At the table:
# what would make you doubt this result, and which control answers the doubt?
#
# **Common wrong answers.** "Gates work because they remove interference": what counts is how often
# gates err. "The oracle is an upper bound": the oracle keeps its adapter active at every token, and
# some gates are more accurate. "So composition is solved": only if the base model can already
# compose.
#
# </details>
