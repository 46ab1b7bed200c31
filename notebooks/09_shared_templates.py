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
# # When do shared solution templates make reuse work?
#
# ## Question
# One adapter was trained on problems of multiplying, another on percentages. Merge them, and ask a
# problem that needs both, one after the other. Neither adapter has ever seen one.
#
# **Claim.** Merged adapters *vote* on the next step (`thm:template-vote`). Where all solutions pass
# one and the same point, the step that most of them take there wins, so what adapters share
# survives a merge, and what only one of them does is diluted. A step that no solution ever takes
# wins under no coefficients of at least zero. In small transformers winning the vote is neither
# needed nor enough: what helps is that each adapter has used *its own* skill in two steps.
#
# Runs in about 20 s on two cores, most of it the training of a small transformer, which is kept for
# the next time. Notebook 02 helps: there, what only one adapter knows was lost.

# %%
# %matplotlib inline
from pathlib import Path

import numpy as np
import sympy as sp
import torch
from ipywidgets import FloatSlider, interact

from loratheory.experiments.bench import problems as words
from loratheory.experiments.bench.problems import margin, share_needed
from loratheory.figures import FIGURES, table
from loratheory.figures.word_problems import question
from loratheory.theorems import template_vote

_ = torch.set_num_threads(1)  # more do not pay at this size

# %% [markdown]
# ## Derive
# At one point of its solution the base takes the right step with weight $h$ (0 or 1: its habit).
# Each of $K$ adapters, alone, takes it in a share $\varrho$ of its solutions. An adapter *adds*
# what it changed, $\varrho-h$, and merging multiplies it by $c$; with $C=Kc$:

# %%
h, C, rho = sp.symbols("h C rho", real=True)
vote = sp.expand(h + C * (rho - h))
assert sp.simplify(vote - ((1 - C) * h + C * rho)) == 0
vote

# %% [markdown]
# The rest of the votes goes to the other step, so the right one leads by $2v-1$. From which share
# on?

# %%
new = sp.solve(sp.Eq(2 * vote.subs(h, 0) - 1, 0), rho)[0]
old = sp.solve(sp.Eq(2 * vote.subs(h, 1) - 1, 0), rho)[0]
assert sp.simplify(new - 1 / (2 * C)) == 0
assert sp.simplify(old - (1 - 1 / (2 * C))) == 0

# %% [markdown]
# Two cases that could not differ more. If the base does *not* have the habit, the merge needs a
# share of $1/2C$: the mean ($C=1$) one half, the sum of two ($C=2$) only a quarter. If the base
# *has* the habit, adapters must not spoil it: $1-1/2C$, so one half for the mean, and three
# quarters for the sum. And a step that nobody takes, $h=\varrho=0$, has no vote at all:

# %%
assert vote.subs({h: 0, rho: 0}) == 0

# %% [markdown]
# ## Construct
# First as a memory, the theorem's own construction: a base, two adapters, one cue and one fact an
# adapter. The bound is the margin $2v-1$; where it is negative the step is not taken.

# %%
case = template_vote.draw(np.random.default_rng(3), 8)
merge = template_vote.attain(case)
print(f"bound {template_vote.bound(case):+.3f}, margin {template_vote.measure(case, merge):+.3f}")

# %% [markdown]
# Then problems. Numbers are counted modulo 7. What is told comes first, then the question (`?:`),
# then the solution: of each step the name, the skill, two operands and the result. `multiply/0` and
# `multiply/1` are two ways of saying it; below the tokens, what they mean.

# %%
rng = np.random.default_rng(1)
for pair in (("multiply", "percent"), ("percent", "divide")):
    asked = words.drawn([words.linked(pair)], 1, rng)
    rows = words.FORMS["stepwise"][0](words.CODE, asked)
    told = words.CODE.written(rows.tokens[0, : rows.asked[0] + 1])
    print(told, "\n   means:   ", question(told))
    print("   solution:", words.CODE.written(rows.targets[0]))

# %% [markdown]
# A solution of two steps begins with the quantity that can be computed first, one of a single step
# with the quantity that is asked for. That is the point where solutions part: the vote.
#
# A small transformer that has only ever seen single steps; it takes some seconds:

# %%
from loratheory.experiments.bench.problems import QUICK
from loratheory.experiments.bench.words import base, solutions

known = base("single steps", 0, QUICK)
one = words.drawn(words.chains(words.SKILLS, 1), 60, rng)
two = words.drawn([words.linked(pair) for pair in words.PAIRS], 60, rng)

# %% [markdown]
# What it writes by itself, of one step and of two:

# %%
for problems in (one, two):
    for told, solution, written in solutions(known, problems)[:3]:
        print(question(told), "\n      right:", solution, "\n      wrote:", written)

# %% [markdown]
# ## Verify
# The theorem against constructed memories and rivals that are as loud as can be beside the keys:

# %%
for seed in range(40):
    drawn = np.random.default_rng(seed)
    case = template_vote.draw(drawn, 6)
    for memory in (template_vote.attain(case), template_vote.rival(case, drawn)):
        assert template_vote.THEOREM.check(case, memory).holds

# %% [markdown]
# The transformer's habit: with which quantity does it begin a solution in two steps? Always with
# the one that is asked for.

# %%
begun = [(q.split()[-1], wrote.split()[0]) for q, _, wrote in solutions(known, two)]
habit = np.mean([asked == name for asked, name in begun])
print(f"begins with what is asked for: {habit:.2f}")
assert habit > 0.8

# %% [markdown]
# So on this base no merge of adapters that know single steps only can solve a problem of two:
# nobody ever takes the right first step. **The experiment** `template_overlap` has bases that solve
# problems in two steps, though not with these skills. Its adapters are taught one skill each, and a
# growing share of problems in two steps.

# %%
results = next(path for path in (Path("paper/results"), Path("../paper/results")) if path.is_dir())
overlap = table(results / "template_overlap" / "table.csv")
FIGURES["template_overlap"](overlap)

# %% [markdown]
# Points are problems of which *all* steps are right, upright dashed lines the borders derived
# above.
# Lessons that share whole templates, of both skills in the other order or of other skills, help no
# merge at any share, won vote or not. Those that share the shape alone, two steps of each one's own
# skill, do; beside them, what the adapter of the second step solves alone:

# %%
rows_of = lambda **where: [r for r in overlap if all(r[name] == x for name, x in where.items())]
solved = lambda **where: float(np.mean([row["stepwise"] for row in rows_of(**where)]))
rules = ("base", "second alone", "mean", "sum")
for share in (0, 0.25, 0.5, 1.0):
    kind = "own" if share else "none"
    shares = {rule: solved(rule=rule, bridge=kind, share=share) for rule in rules}
    print(f"share {share:4}:", {rule: round(x, 2) for rule, x in shares.items()})

# %% [markdown]
# Without a problem in two steps no merge solves one, though the base knows the order of other
# skills and each adapter its own. And no merge comes near what was trained on the task.

# %%
for rule in ("mean", "sum", "ties", "arrow"):
    for kind in ("none", "serial", "neutral"):
        assert solved(rule=rule, bridge=kind) < 0.05
    assert solved(rule=rule, bridge="own", share=0.5) > 0.15
assert solved(rule="composed") > 0.9

# %% [markdown]
# **At which step** do solutions fail? Below the bars the first problem of each outcome, on the
# first base, in numbers modulo 7; wrong words in colour:

# %%
FIGURES["failing_step"](table(results / "failing_step" / "table.csv"))

# %% [markdown]
# Each adapter writes its own skill where the other's is due, and so does their merge.
#
# **And what must the base have seen?** `skill_coverage` has bases that never met a problem, never
# met the words of these skills, met single steps, two steps of other skills, or the pair itself in
# a growing share of all problems of two steps:

# %%
coverage = table(results / "skill_coverage" / "table.csv")
FIGURES["skill_coverage"](coverage)

# %% [markdown]
# Merges add most where little was shown: the mean where about one in a hundred problems of two
# steps was of the pair, the sum already where only the five other pairs of these skills were shown
# (“other pairs”). Where the pair was shown often the base needs no merge, and the sum does harm.
# On a base that has met single steps only even training on the pair itself, for as long, does not
# get there:

# %%
at = lambda rule, seen, share=0.0: np.mean(
    [
        row["stepwise"]
        for row in coverage
        if (row["rule"], row["seen"]) == (rule, seen) and abs(row["coverage"] - share) < 5e-4
    ]
)
for share in sorted({row["coverage"] for row in coverage}):
    print(f"{share:7.2%}:", {rule: round(float(at(rule, "pairs", share)), 2) for rule in rules})
assert at("mean", "pairs", 0.0124) > at("base", "pairs", 0.0124) + 0.2
assert at("sum", "pairs") > at("base", "pairs") + 0.2
assert at("composed", "single steps") < 0.5 < at("composed", "other words")

# %% [markdown]
# ## Explore
# What may the coefficient be, for a given share?


# %%
def votes(coefficient: float = 0.5) -> None:
    """The share that each base needs, and the margin at a share of one half."""
    for habit, name in ((False, "without the habit"), (True, "with it")):
        needed = share_needed(coefficient, habit=habit)
        print(f"c = {coefficient:.2f}, base {name}: from {needed:.2f} on,", end=" ")
        print(f"margin at a half {margin(0.5, coefficient, habit=habit):+.2f}")


for coefficient in (0.25, 0.5, 1.0):
    votes(coefficient)

# %% [markdown]
# Small coefficients keep habits, large ones overwrite them. At $c=1/2$ both bases need the same.

# %%
slider = FloatSlider(0.5, min=0.05, max=1.5, step=0.05, description="c")
_ = interact(votes, coefficient=slider)

# %% [markdown]
# ## What this does not say
# - **One point, one key.** The vote takes all solutions to pass the same point. A model that reads
#   from the question how many steps are wanted needs less than it says.
# - **New words are another matter.** The vote is about the order of steps; bases of
#   `template_overlap` know every skill. On bases that had never met the words of two skills (the
#   second group of the last figure) each adapter learns its own, and merges hardly compose.
# - **Small models, three or six seeds**, arithmetic modulo 7, problems of two steps that take one
#   quantity each. A language model has seen more.
# - **At once, without steps**, nothing composes, and training on the task does not help either:
#   two layers have no room for it.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer and run the cell: silence means right.
#
# **1.** Four adapters are averaged. The base has not got the habit. Which share of each one's
# solutions must take the shared step?

# %%
mine = None
wanted = share_needed(0.25, habit=False, adapters=4)
assert mine is None or abs(mine - wanted) < 1e-9, "not yet: what is C for a mean?"

# %% [markdown]
# <details><summary>Solution</summary>
#
# A mean has $C=1$, whatever their number: one half.
#
# ```python
# mine = 0.5
# ```
#
# </details>

# %% [markdown]
# **2.** The same four, summed with coefficient 1 each. How small may the share be?

# %%
mine = None
wanted = share_needed(1.0, habit=False, adapters=4)
assert mine is None or abs(mine - wanted) < 1e-9, "not yet: C is the sum of the coefficients"

# %% [markdown]
# <details><summary>Solution</summary>
#
# $1/2C$ with $C=4$: the more adapters share a template, the less of it each must have.
#
# ```python
# mine = 1 / 8
# ```
#
# </details>

# %% [markdown]
# **3.** The base has the habit, the two adapters never take the step. Up to which coefficient of
# each does the merge keep it?

# %%
mine = None
wanted = max(c for c in np.linspace(0, 1, 10_001).tolist() if margin(0.0, c, habit=True) > 0)
assert mine is None or abs(mine - wanted) < 1e-3, "not yet: solve 2(1 − C) − 1 = 0 for C = 2c"

# %% [markdown]
# <details><summary>Solution</summary>
#
# $v=1-C>1/2$ needs $C<1/2$, a quarter each: even the mean forgets it.
#
# ```python
# mine = 0.25
# ```
#
# </details>

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 60 minutes: 15 for the vote, 20 for problems and the small transformer, 15 for the
# table, 10 for exercises.
#
# **Ask.** Before the table: the base can order steps and each adapter knows its skill; what could
# go wrong? At the table: which curve would a model follow that reads the number of steps first?
#
# **Common wrong answers.** "They must share problems": here those do nothing. "Summing is always
# stronger": it overwrites habits, too. "So reuse works": where the base knows every skill already.
#
# </details>
