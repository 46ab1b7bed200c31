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
# One adapter was trained on word problems about multiplying, another on problems about percentages.
# Merge the two adapters and pose a problem that needs both skills, one after the other. No problem
# that needs both was in the training set of either adapter. When can the merge solve it?
#
# **Main idea.** Merged adapters *vote* on the next step of a solution (`thm:template-vote`). A step
# that all adapters take survives the merge, and a step that only one adapter takes becomes weaker.
#
# **Mechanism.** A solution is written step by step, and a *template* is a form that many solutions
# share. Suppose that all training solutions of all adapters reach the same point. If the adapters
# are averaged, the step that most solutions take at this point wins. A step that neither the base
# model nor any adapter takes cannot win, as long as no coefficient is negative.
#
# **A common misconception.** "Adapters that share a template will solve the problem together." In
# small transformers, winning the vote is neither necessary nor sufficient. A merge solves more
# problems if each adapter was trained on two-step problems of *its own* skill.
#
# **After this notebook** you can compute how many solutions must share a step so that a merge takes
# it. You can also say what else small transformers need.
#
# The notebook runs in about 10 s on two cores. Notebook 02 helps: there a merge lost what only one
# adapter knows.

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
# Look at one point of a solution. If the base model takes the right step there, we say that it has
# the *habit* and set $h=1$; otherwise $h=0$. Each of $K$ adapters, active on its own, takes the
# right step in a share $\varrho$ of its solutions. So the training of each adapter changed the
# weight of this step by $\varrho-h$. A merge adds the changes, each times the coefficient $c$. Let
# $C=Kc$ be the sum of all coefficients. The *vote* for the right step is then

# %%
h, C, rho = sp.symbols("h C rho", real=True)
vote = sp.expand(h + C * (rho - h))
display(vote)
assert sp.simplify(vote - ((1 - C) * h + C * rho)) == 0

# %% [markdown]
# We call the vote $v$. All other solutions take one other step, whose vote is $1-v$. So the right
# step leads by $2v-1$. From which share $\varrho$ on is the lead positive? We compute this share,
# first without the habit, and then with it:

# %%
new = sp.solve(sp.Eq(2 * vote.subs(h, 0) - 1, 0), rho)[0]
old = sp.solve(sp.Eq(2 * vote.subs(h, 1) - 1, 0), rho)[0]
display(new, old)
assert sp.simplify(new - 1 / (2 * C)) == 0
assert sp.simplify(old - (1 - 1 / (2 * C))) == 0

# %% [markdown]
# The two cases are opposites.
#
# - *Without the habit* the share must exceed $\frac1{2C}$: one half for the mean ($C=1$), and one
#   quarter for the sum of two adapters ($C=2$).
# - *With the habit* the adapters must not unlearn the step. The share must exceed $1-\frac1{2C}$:
#   one half for the mean, and three quarters for the sum of two adapters.
#
# What is the vote for a step that nobody takes, $h=\varrho=0$?

# %%
none = vote.subs({h: 0, rho: 0})
display(none)
assert none == 0

# %% [markdown]
# ## Construct
# We begin with the construction of the theorem: linear memories as in notebook 02. A base memory
# and three adapters share one *cue*, which stands for the words that call for the next step. Each
# adapter also stores one fact of its own. We merge the adapters with random coefficients. The cell
# prints the lead of the right step twice: by the formula, and measured in the merged matrix. If the
# lead is negative, the merge does not take the step.

# %%
case = template_vote.draw(np.random.default_rng(3), 8)
merge = template_vote.attain(case)
print(f"lead by the formula:  {template_vote.bound(case):+.3f}")
print(f"lead in the matrices: {template_vote.measure(case, merge):+.3f}")

# %% [markdown]
# Now the word problems. The next cell prints one problem as a story. It prints another problem as
# transformers get it: a row of tokens, with numbers modulo 7. The row has the given quantities,
# then the question after `?:`. Each step of the solution has the name of a quantity, the skill, two
# operands and the result.

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
# We check the theorem on random memories: on those of the construction, and on *rivals*, which
# store the same facts and have noise elsewhere.

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
# By the theorem no merge solves it.
#
# The study `word_problems` (part `template_overlap`) uses other base models. There are five skills.
# Each adapter is trained on one of three: multiply, divide or percent. The base models solve
# two-step problems with the other two skills, add and subtract, but not with these three. We vary
# the share of two-step problems among the training examples of an adapter. The vertical axis of the
# figure is the share of problems whose steps are *all* right.

# %%
stored = pd.read_csv(f"{STUDIES}/word_problems/table.csv.gz", low_memory=False)
overlap = stored[stored["part"] == "template_overlap"].to_dict("records")
SVG(filename=f"{STUDIES}/word_problems/figure.svg")

# %% [markdown]
# Three kinds of two-step training problems were used:
#
# - both skills of the test problem, in the other order;
# - the two other skills, add and subtract;
# - the adapter's own skill, used twice.
#
# With the first two kinds, the adapters share complete two-step templates. Both kinds helped no
# merge, even where the theorem predicts that the vote is won. Only the third kind helped; the right
# panel shows it. The table has the accuracies of the right panel in percent. It adds the base model
# and the adapter of the second skill, the skill of the last step.

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
# An adapter trained on the test task itself solves more than 90% of the problems, far more than any
# merge.

# %%
for rule in ("mean", "sum", "ties", "arrow"):
    for kind in ("none", "serial", "neutral"):
        assert solved(rule=rule, bridge=kind) < 0.05
    assert solved(rule=rule, bridge="own", share=0.5) > 0.15
assert solved(rule="composed") > 0.9

# %% [markdown]
# Why do merges fail? Where a step needs the other adapter's skill, each adapter writes its own
# skill. The merge does the same.
#
# **What must pretraining contain?** The part `skill_coverage` (left panel) compares base models
# that differ in pretraining. The three skills of the adapters make six ordered *pairs*, such as
# first multiply, then percent. Pretraining had one of four contents:
#
# 1. no word problems;
# 2. word problems of add and subtract only, with one or two steps;
# 3. one-step problems of all five skills;
# 4. one-step problems of all five skills, two-step problems of add and subtract, and two-step
#    problems of the pairs. The share of the tested pair among all two-step problems ranged from 0
#    to one third. At 0, pretraining had the five other pairs only.

# %%
coverage = stored[stored["part"] == "skill_coverage"].to_dict("records")

# %% [markdown]
# The left panel shows the fourth kind of pretraining.
#
# - Merges gain most over the base model if the tested pair was rare in pretraining.
# - The mean gains most if about 1% of the two-step problems needed this pair.
# - The sum gains even if pretraining had the five other pairs but never the tested pair.
# - If the pair was frequent, the base model solves the problems without a merge, and the sum solves
#   fewer.
#
# Suppose that pretraining had one-step problems only. Then even an adapter that was trained on the
# test task itself, with the same number of training steps, solves less than half of the problems.

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
    table.loc[f"{share:.1%} of the pair"] = [round(100 * x) for x in accuracies]
print(table.to_string())
assert at("mean", "pairs", 0.0124) > at("base", "pairs", 0.0124) + 0.2
assert at("sum", "pairs") > at("base", "pairs") + 0.2
assert at("composed", "single steps") < 0.5 < at("composed", "other words")

# %% [markdown]
# ## Explore
# How does the coefficient change the share $\varrho$ that a step needs to win?


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
# The next cell prints the needed share for a base model without and with the habit. It also prints
# the lead of the step at a share of one half.


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
# $c=\frac12$, a step needs the same share, one half, with and without the habit.

# %%
slider = FloatSlider(0.5, min=0.05, max=1.5, step=0.05, description="c")
explore(votes, coefficient=slider)

# %% [markdown]
# ## What this does not say
# - **All solutions must reach the same point.** A model may instead read from the question how many
#   steps are needed. A step then needs a smaller share than the theorem says.
# - **New words are another problem.** The vote is about the order of steps, and the base models of
#   `template_overlap` know every skill. If pretraining never had the words of the two skills, each
#   adapter learns its own skill, and a merge solves few problems.
# - **The models are small**, with three or six seeds, arithmetic modulo 7, and two-step problems. A
#   language model has more pretraining (notebook 10).
# - **Steps must be written.** If models must answer without written steps, no merge solves the test
#   problems. Nor does an adapter trained on the test task itself: two layers are too few.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell says whether you are
# right, and if not, why. A number counts as right within 1%.
#
# **1.** *(easy, 5 minutes)* Four adapters are averaged, and the base model does not have the habit.
# All adapters take the shared step in the same share of their solutions. Above which share does the
# step win?

# %%
mine = None
judge("09.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# A mean has $C=1$ for any number of adapters, so the share must exceed one half.
#
# ```python
# mine = 0.5
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* The same four adapters are summed, each with the coefficient 1. Above
# which share does the step win now?

# %%
mine = None
judge("09.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The share is $\frac1{2C}$ with $C=4$. The more adapters are summed, the smaller is the share that
# each adapter needs.
#
# ```python
# mine = 1 / 8
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* The base model has the habit, and two adapters never take the step.
# Both adapters have the same coefficient $c$. Below which $c$ does the merge keep the habit?

# %%
mine = None
judge("09.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The vote $v=1-C$ exceeds $1/2$ if $C<1/2$. With $C=2c$, each coefficient must be below one
# quarter. The mean has $c=\frac12$, so it loses the habit.
#
# ```python
# mine = 0.25
# ```
#
# </details>

# %% [markdown]
# **4.** *(medium, 15 minutes, code)* Write a merge of two adapters that keeps one step and learns
# another. The base model has the habit of the first step only. Each adapter takes the first step in
# a share `keeps` of its solutions, and the second step in a share `takes`. Return one coefficient
# for both adapters at which both steps win the vote. Return 0 if there is none.


# %%
def mine(keeps, takes):
    return None


judge("09.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The second step, without the habit, needs $C>1/(2\,\mathrm{takes})$. The first step, with the
# habit, needs $C<1/(2(1-\mathrm{keeps}))$. Take the middle of the two limits for $C$; then $c=C/2$.
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
#   mechanisms*](https://arxiv.org/abs/2506.13479). Word problems and shared templates with real
#   adapters.

# %% [markdown]
# <details><summary>For the lecturer</summary>
# **Time.** 75 minutes: 15 for the vote, 20 for the word problems, 15 for the table, 25 for
# exercises.
#
# **Ask.** Before the table: the base model can order steps, and each adapter knows its skill; what
# could go wrong? At the table: suppose that a model first reads how many steps are needed. Which
# row of the table would change?
#
# **Common wrong answers.** "They must share problems": here two-step problems with both skills do
# not help. "A sum is
# always stronger than a mean": it overwrites habits, too. "So merging works": only if the base
# model already knows every skill.
#
#
# </details>
