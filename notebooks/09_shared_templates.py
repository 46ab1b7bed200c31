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
# # When do shared solution templates help a merge?
#
# ## Question
# One adapter was trained on word problems about multiplying. Another adapter was trained on word
# problems about percentages. Merge the two adapters and pose a problem that needs both skills, one
# after the other. Neither training set had such a problem. When can the merged model solve the
# problem?
#
# **Main idea.** Merged adapters *vote* on the next step of a solution (`thm:template-vote`). A step
# that all adapters take survives the merge. A step that only one adapter takes becomes weaker.
#
# **Mechanism.** A solution is written step by step. A *template* is a sequence of steps that many
# solutions share. Suppose that all training solutions of all adapters reach the same point. If the
# adapters are averaged, the step that most solutions take at this point wins. Suppose that neither
# the base model nor any adapter takes some step. Then this step cannot win, whatever the
# coefficients are.
#
# **A common misconception.** "Adapters that share a template will solve the problem together." A
# shared template can win the vote. But in small transformers, winning the vote is neither necessary
# nor sufficient for a right solution. A merge solves more problems if each adapter was trained on
# two-step problems of *its own* skill.
#
# **After this notebook** you can compute how many solutions must contain a step, so that a merge
# takes this step. You can also say why a won vote is not enough for small transformers.
#
# The notebook runs in about 10 s on two cores. Notebook 02 helps, since it explains merges of
# linear memories.

# %%
import numpy as np
import pandas as pd
import sympy as sp
from IPython.display import SVG
from ipywidgets import FloatSlider

from loratheory.exercises import explore, judge
from loratheory.tasks.word_problems import Alphabet, pool, problems, stepwise, stories
from loratheory.theorems.composition import template_vote

STUDIES = "../paper/studies"  # the paper's stored tables and figures

# %% [markdown]
# ## Derive
# Look at one point of a solution, at which one step is right. If the base model takes the right
# step there, we say that it has the *habit* of this step and set $h=1$. Otherwise we set $h=0$.
# There are $K$ adapters. Each adapter, active on its own, takes the right step in a share $\varrho$
# of its solutions. So training changed the weight of the right step from $h$ to $\varrho$, by
# $\varrho-h$. A merge adds up the changes of all adapters, each multiplied by the coefficient $c$.
# Let $C=Kc$ be the sum of all coefficients. The *vote* for the right step is its weight in the
# merge. The cell computes this vote.

# %%
h, C, rho = sp.symbols("h C rho", real=True)
vote = sp.expand(h + C * (rho - h))
display(vote)
assert sp.simplify(vote - ((1 - C) * h + C * rho)) == 0

# %% [markdown]
# We call the vote $v$. Suppose that all other solutions take the same other step. The vote for this
# other step is $1-v$, so the right step leads by $2v-1$. Above which share $\varrho$ is the lead
# positive? The cell computes this share for a base model without the habit, and then for a base
# model with the habit.

# %%
new = sp.solve(sp.Eq(2 * vote.subs(h, 0) - 1, 0), rho)[0]
old = sp.solve(sp.Eq(2 * vote.subs(h, 1) - 1, 0), rho)[0]
display(new, old)
assert sp.simplify(new - 1 / (2 * C)) == 0
assert sp.simplify(old - (1 - 1 / (2 * C))) == 0

# %% [markdown]
# The needed share depends on the habit and on the sum $C$ of the coefficients. The mean has $C=1$,
# and the sum of two adapters has $C=2$.
#
# - *Without the habit* the adapters must learn the step. The share must exceed $\frac1{2C}$. For
#   the mean this is one half, and for the sum of two adapters it is one quarter.
# - *With the habit* the adapters must not unlearn the step. The share must exceed $1-\frac1{2C}$.
#   For the mean this is one half, and for the sum of two adapters it is three quarters.
#
# What is the vote for a step that neither the base model nor any adapter takes, so that
# $h=\varrho=0$?

# %%
none = vote.subs({h: 0, rho: 0})
display(none)
assert none == 0

# %% [markdown]
# ## Construct
# We begin with the construction of the theorem, which uses linear memories as in notebook 02. A
# base memory and three adapters share one *cue*: the words that call for the next step. Each
# adapter also stores one fact of its own. We merge the adapters with random coefficients. The cell
# prints the lead of the right step twice: first by the formula, then measured in the merged matrix.
# If the lead is negative, the merge does not take the right step.

# %%
case = template_vote.draw(np.random.default_rng(3), 8)
merge = template_vote.attain(case)
print(f"lead by the formula:  {template_vote.bound(case):+.3f}")
print(f"lead in the matrices: {template_vote.measure(case, merge):+.3f}")

# %% [markdown]
# Now we turn to word problems. The next cell prints one problem as a story. It then prints a second
# problem in the form that transformers get: a row of tokens, with numbers modulo 7. The row has the
# given quantities first, and the question after `?:`. Each step of the solution has the name of a
# quantity, the skill, two operands and the result.

# %%
rng = np.random.default_rng(1)
for prime in (0, 7):
    asked = problems(pool(("multiply", "percent"), prime=prime), 1, rng=rng, prime=prime)
    if not prime:
        print(*stories(asked)[0][:2], sep="\n")
        continue
    code = Alphabet(prime)
    rows = stepwise(code, asked)
    print("tokens:  ", code.written(rows.tokens[0, : rows.asked[0] + 1]))
    print("solution:", code.written(rows.targets[0]))

# %% [markdown]
# A two-step solution begins with the quantity that can be computed first. A one-step solution
# begins with the quantity that the question asks for. So one-step and two-step solutions differ in
# the first word, and the adapters vote on this word.

# %% [markdown]
# ## Verify
# We check the theorem on two kinds of random memories. The first kind comes from the construction.
# The second kind, the *rivals*, stores the same facts and has noise everywhere else.

# %%
for seed in range(40):
    drawn = np.random.default_rng(seed)
    case = template_vote.draw(drawn, 6)
    for memory in (template_vote.attain(case), template_vote.rival(case, drawn)):
        assert template_vote.THEOREM.check(case, memory).holds

# %% [markdown]
# Suppose that pretraining had one-step problems only. The base model then always begins with the
# quantity that the question asks for. Suppose that the adapters were trained on one-step problems,
# too. Then neither the base model nor any adapter takes the right first step of a two-step problem.
# So by the theorem no merge takes this step, and no merge solves the problem.
#
# The study `word_problems` (part `template_overlap`) uses other base models. The word problems need
# five skills. Each adapter is trained on one of three skills: multiply, divide or percent. The base
# models solve two-step problems with the other two skills, add and subtract. They do not solve
# two-step problems with the skills of the adapters. We vary the share of two-step problems in the
# training set of an adapter. The vertical axis of the figure is the share of problems whose steps
# are *all* right.

# %%
stored = pd.read_csv(f"{STUDIES}/word_problems/table.csv.gz", low_memory=False)
overlap = stored[stored["part"] == "template_overlap"].to_dict("records")
SVG(filename=f"{STUDIES}/word_problems/figure.svg")

# %% [markdown]
# The two-step problems in the training sets were of three kinds:
#
# - problems with both skills of the test problem, in the other order;
# - problems with the skills add and subtract;
# - problems that use the adapter's own skill twice.
#
# With the first two kinds, the adapters share complete two-step templates. Neither kind helped any
# merge, even where the theorem predicts that the right step wins the vote. Only the third kind
# helped, and the right panel of the figure shows its results. The table has the accuracies of the
# right panel in percent. Two columns are for comparison. *Base* is the base model. *Second adapter*
# is the adapter for the skill of the last step, active on its own.

# %%
rows_of = lambda **where: [r for r in overlap if all(r[name] == x for name, x in where.items())]
solved = lambda **where: float(np.mean([row["stepwise"] for row in rows_of(**where)]))
METHODS = {"base": "base", "second alone": "second adapter", "mean": "mean", "sum": "sum"}
table = pd.DataFrame(columns=METHODS.values())
for share in (0, 0.25, 0.5, 1.0):
    kind = "own" if share else "none"
    accuracies = [solved(rule=rule, bridge=kind, share=share) for rule in METHODS]
    table.loc[f"{share:.0%} two-step problems"] = [round(100 * x) for x in accuracies]
print(table.to_string())

# %% [markdown]
# If no adapter was trained on two-step problems, no merge solves a test problem. Yet the base model
# can put addition and subtraction steps in the right order, and each adapter knows its own skill.
# For comparison, we also trained an adapter on the test task itself. This adapter solves more than
# 90% of the problems, far more than any merge.

# %%
for rule in ("mean", "sum", "ties", "arrow"):
    for kind in ("none", "serial", "neutral"):
        assert solved(rule=rule, bridge=kind) < 0.05
    assert solved(rule=rule, bridge="own", share=0.5) > 0.15
assert solved(rule="composed") > 0.9

# %% [markdown]
# Why do merges fail? Each problem has a step that needs the skill of the other adapter. No adapter
# was trained to take this step after a step of its own skill.
#
# **What must pretraining contain?** The part `skill_coverage` of the study compares base models
# with different pretraining. The three skills of the adapters make six ordered *pairs*, such as
# first multiply, then percent. The *tested pair* is the pair that the test problems need. There
# were four kinds of pretraining:
#
# 1. no word problems;
# 2. word problems of add and subtract only, with one or two steps;
# 3. one-step problems of all five skills;
# 4. one-step problems of all five skills, two-step problems of add and subtract, and two-step
#    problems of the pairs.
#
# In the fourth kind, some share of all two-step problems needs the tested pair. We vary this share
# from 0 to one third. At the share 0, pretraining lacks the tested pair but has the five other
# pairs.

# %%
coverage = stored[stored["part"] == "skill_coverage"].to_dict("records")

# %% [markdown]
# The left panel of the figure shows the fourth kind of pretraining.
#
# - Merges gain most over the base model if the tested pair was rare in pretraining.
# - The mean gains most over the base model if the tested pair has a share of about 1%.
# - The sum is better than the base model even if pretraining never had the tested pair.
# - If the tested pair was frequent, the base model solves the problems without a merge. The sum
#   then solves fewer problems than the base model.
#
# Now consider the third kind of pretraining, with one-step problems only. For comparison, an
# adapter was again trained on the test task itself, with the same number of training steps. Even
# this adapter solves less than half of the problems.
#
# The next table has the accuracies of the left panel in percent. Each row names the share of the
# tested pair in pretraining.

# %%
at = lambda rule, seen, share=0.0: np.mean(
    [
        row["stepwise"]
        for row in coverage
        if (row["rule"], row["seen"]) == (rule, seen) and abs(row["coverage"] - share) < 5e-4
    ]
)
table = pd.DataFrame(columns=METHODS.values())
for share in sorted({row["coverage"] for row in coverage}):
    accuracies = [at(rule, "pairs", share) for rule in METHODS]
    table.loc[f"tested pair in {share:.1%}"] = [round(100 * x) for x in accuracies]
print(table.to_string())
assert at("mean", "pairs", 0.0124) > at("base", "pairs", 0.0124) + 0.2
assert at("sum", "pairs") > at("base", "pairs") + 0.2
assert at("composed", "single steps") < 0.5 < at("composed", "other words")

# %% [markdown]
# ## Explore
# A step wins the vote if the share $\varrho$ is large enough. How does the share that is needed
# depend on the coefficient $c$?


# %%
def share_needed(coefficient: float, habit: bool) -> float:
    """The share above which the shared step wins in a merge of two adapters."""
    half = 1 / (4 * coefficient)
    return 1 - half if habit else half


def margin(share: float, coefficient: float, habit: bool) -> float:
    """The lead of the shared step: twice the vote, minus one."""
    total = 2 * coefficient
    return 2 * ((1 - total) * habit + total * share) - 1


# %% [markdown]
# The next cell prints the needed share twice: for a base model without the habit, and for a base
# model with the habit. It also prints the lead of the step at a share of one half.


# %%
def votes(coefficient: float = 0.5) -> None:
    """The share that each base model needs, and the lead at a share of one half."""
    for habit, name in ((False, "without"), (True, "with")):
        needed = share_needed(coefficient, habit=habit)
        print(f"c = {coefficient:.2f}, {name} the habit: needed share {needed:.2f},", end=" ")
        print(f"lead at a share of one half {margin(0.5, coefficient, habit=habit):+.2f}")


for coefficient in (0.25, 0.5, 1.0):
    votes(coefficient)

# %% [markdown]
# Small coefficients preserve habits, and large coefficients overwrite them. With two adapters and
# $c=\frac12$, the needed share is one half, with and without the habit.

# %%
slider = FloatSlider(0.5, min=0.05, max=1.5, step=0.05, description="c")
explore(votes, coefficient=slider)

# %% [markdown]
# ## What this does not say
# - **The theorem needs solutions that all reach the same point.** A model may instead read from the
#   question how many steps are needed. Then the right step wins with a smaller share than the
#   theorem says.
# - **New words are another problem.** The theorem is about the order of steps, and the base models
#   of `template_overlap` know every skill. Suppose that pretraining never had the words of the two
#   skills. Each adapter then still learns its own skill, but a merge solves few problems.
# - **The experiments are small**: small transformers, three or six seeds, arithmetic modulo 7, and
#   two-step problems. A language model has more pretraining (notebook 10).
# - **Steps must be written.** If models must answer without written steps, no merge solves the test
#   problems. Even an adapter that was trained on the test task itself does not solve them.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether you are
# right, and if not, why. A number is right if it is within 1% of the answer.
#
# **1.** *(easy, 5 minutes)* Four adapters are averaged. All adapters take the same shared step in
# the same share of their solutions. The base model does not have the habit of this step. Above
# which share does the step win the vote?

# %%
mine = None
judge("09.1", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The needed share depends on the habit and on the sum $C$ of all coefficients. How large is $C$ for
# a mean of four adapters?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Without the habit, the share must exceed $\frac1{2C}$. A mean of $K$ adapters gives each of them
# the coefficient $\frac1K$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The coefficients of a mean have the sum $C=1$, for any number of adapters. So the share must
# exceed one half.
#
# ```python
# mine = 0.5
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* The same four adapters are summed, each with the coefficient 1. Above
# which share does the shared step win the vote now?

# %%
mine = None
judge("09.2", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Compared with exercise 1, only the sum $C$ of the coefficients is different.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Each of the four adapters now has the coefficient 1. The share must again exceed $\frac1{2C}$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The share must exceed $\frac1{2C}$ with $C=4$. The more adapters are summed, the smaller is the
# share that each adapter needs.
#
# ```python
# mine = 1 / 8
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* The base model has the habit of a step, and two adapters never take
# this step. Both adapters have the same coefficient $c$. Below which $c$ does the merge keep the
# habit?

# %%
mine = None
judge("09.3", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The base model has the habit, so $h=1$. The adapters never take the step, so $\varrho=0$: put both
# numbers into the vote.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The vote is $1-C$ with $C=2c$. The step wins if the vote exceeds one half.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The adapters never take the step, so $\varrho=0$ and the vote is $v=1-C$. This vote exceeds $1/2$
# if $C<1/2$. With $C=2c$, each coefficient must be below one quarter. The mean has $c=\frac12$, so
# it loses the habit.
#
# ```python
# mine = 0.25
# ```
#
# </details>

# %% [markdown]
# **4.** *(medium, 15 minutes, code)* Write a merge of two adapters that keeps one step and learns
# another. The two steps occur at different points of a solution. The base model has the habit of
# the first step only. Each adapter takes the first step in a share `keeps` of its solutions, and
# the second step in a share `takes`. Return one coefficient for both adapters at which both steps
# win the vote. If there is no such coefficient, return 0.


# %%
def mine(keeps, takes):
    return None


judge("09.4", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write a condition on $C=2c$ for each step. To learn the second step, $C$ must be large enough; to
# keep the first step, $C$ must be small enough.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Solve $\mathrm{takes}>\frac1{2C}$ and $\mathrm{keeps}>1-\frac1{2C}$ for $C$. If the lower limit is
# below the upper limit, any $C$ between them is right.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The base model lacks the habit of the second step, so this step needs $C>1/(2\,\mathrm{takes})$.
# The base model has the habit of the first step, which needs $C<1/(2(1-\mathrm{keeps}))$. Take the
# middle of the two limits for $C$; then $c=C/2$.
#
# ```python
# def mine(keeps, takes):
#     low, high = 1 / (2 * takes), 1 / (2 * (1 - keeps))
#     return (low + high) / 4 if low < high else 0.0
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Dziri et al., [*Faith and fate: limits of transformers on
#   compositionality*](https://arxiv.org/abs/2305.18654). Models solve long problems with pieces of
#   solutions that were in training.
# - Chen et al., [*Pause recycling LoRAs and prioritize
#   mechanisms*](https://arxiv.org/abs/2506.13479). Experiments with real adapters on word problems
#   and shared templates.

# %% [markdown]
# <details><summary>For the lecturer</summary>
# **Time.** 75 minutes: 15 for the vote, 20 for the word problems, 15 for the table, 25 for
# exercises.
#
# **Ask.** Before the first table: the base model can order steps, and each adapter knows its skill;
# what could go wrong? At the first table: suppose that a model first reads how many steps are
# needed. Which row of the table would change?
#
# **Common wrong answers.** "The training sets must contain problems with both skills": here such
# problems, in the other order, do not help. "A sum is always stronger than a mean": a sum also
# overwrites habits. "So merging works": only if the base model already knows every skill.
# </details>
