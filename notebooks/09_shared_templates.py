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
# One adapter was trained on word problems about multiplying, another on problems about percentages.
# Merge them and pose a problem that needs both skills, one after the other. Neither adapter has
# ever seen such a problem. When can their merge solve it?
#
# **Claim.** A solution is written step by step, and a *template* is the form that many solutions
# share. Merged adapters *vote* on the next step (`thm:template-vote`). If all solutions reach the
# same point, then in a mean the step that most of them take there wins. So what all adapters do
# survives a merge, and what only one of them does gets weaker. A step that neither the base nor any
# adapter ever takes cannot win, as long as no coefficient is negative. In small transformers,
# however, winning the vote is neither needed nor enough: what helps is that each adapter has used
# *its own* skill in problems of two steps.
#
# After this notebook you can compute from which share of solutions on a merge takes a step, and
# tell what small transformers need beside a won vote.
#
# Runs in about 10 s on two cores. Notebook 02 helps: there a merge lost what only one adapter
# knows.

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
# Look at one point of a solution. Let $h=1$ if the base takes the right step there (then we say
# that it has the *habit*), and $h=0$ if not. Each of $K$ adapters alone takes the step in a share
# $\varrho$ of its solutions. So training changed the weight of this step by $\varrho-h$, and a
# merge multiplies this by the coefficient $c$. With $C=Kc$, the sum of all coefficients, the right
# step gets the vote

# %%
h, C, rho = sp.symbols("h C rho", real=True)
vote = sp.expand(h + C * (rho - h))
display(vote)
assert sp.simplify(vote - ((1 - C) * h + C * rho)) == 0

# %% [markdown]
# Call it $v$. The other step gets $1-v$, so the right one leads by $2v-1$. From which share
# $\varrho$ on is this positive? First without the habit, then with it:

# %%
new = sp.solve(sp.Eq(2 * vote.subs(h, 0) - 1, 0), rho)[0]
old = sp.solve(sp.Eq(2 * vote.subs(h, 1) - 1, 0), rho)[0]
display(new, old)
assert sp.simplify(new - 1 / (2 * C)) == 0
assert sp.simplify(old - (1 - 1 / (2 * C))) == 0

# %% [markdown]
# The two cases are opposites. If the base does *not* have the habit, the share must exceed
# $\frac1{2C}$: one half for the mean ($C=1$), only a quarter for the sum of two ($C=2$). If the
# base *has* the habit, the adapters must not lose it, and the share must exceed $1-\frac1{2C}$: one
# half for the mean, three quarters for the sum. A step that nobody takes, $h=\varrho=0$, gets the
# vote

# %%
none = vote.subs({h: 0, rho: 0})
display(none)
assert none == 0

# %% [markdown]
# ## Construct
# First the theorem's own construction, memories as in notebook 02: a base and three adapters that
# meet at one *cue* (the words that call for the next step) and hold one fact each, merged with
# random coefficients. By how much does the right step lead, by the formula and in the matrices? A
# negative number means that it is not taken.

# %%
case = template_vote.draw(np.random.default_rng(3), 8)
merge = template_vote.attain(case)
print(f"formula {template_vote.bound(case):+.3f}, found {template_vote.measure(case, merge):+.3f}")

# %% [markdown]
# Then word problems. Each is a story, and for transformers a row of tokens with numbers modulo 7:
# what is told, the question (after `?:`) and the solution. Each step of the solution has the name
# of a quantity, the skill, two operands and the result.

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
# A solution of two steps begins with the quantity that can be computed first. A solution of one
# step begins with the quantity that is asked for. So at the first word solutions differ, and this
# is where the vote is taken.

# %% [markdown]
# ## Verify
# The theorem on random memories, and on rivals that hold the same facts and add noise elsewhere:

# %%
for seed in range(40):
    drawn = np.random.default_rng(seed)
    case = template_vote.draw(drawn, 6)
    for memory in (template_vote.attain(case), template_vote.rival(case, drawn)):
        assert template_vote.THEOREM.check(case, memory).holds

# %% [markdown]
# A base that saw single steps only always begins with what is asked for. So by the theorem no merge
# on it solves problems of two steps if its adapters know single steps only: nobody ever takes the
# right first step. The study `word_problems` (part `template_overlap`) uses bases that solve
# problems of two steps, though not with the skills of the adapters. Each adapter is trained on one
# skill, and a growing share of its problems have two steps.

# %%
stored = pd.read_csv(f"{STUDIES}/word_problems/table.csv.gz", low_memory=False)
overlap = stored[stored["part"] == "template_overlap"].to_dict("records")
SVG(filename=f"{STUDIES}/word_problems/figure.svg")

# %% [markdown]
# The right panel shows the share of problems whose steps are *all* right, by the share of two-step
# problems among each adapter's own. Sharing complete two-step templates (the same skills in the
# other order, or two other skills) helped no merge, even where the theorem predicts that the vote
# is won. What did help were problems in which each adapter uses its own skill twice. In numbers,
# compared with what the adapter of the second step solves alone:

# %%
rows_of = lambda **where: [r for r in overlap if all(r[name] == x for name, x in where.items())]
solved = lambda **where: float(np.mean([row["stepwise"] for row in rows_of(**where)]))
rules = ("base", "second alone", "mean", "sum")
for share in (0, 0.25, 0.5, 1.0):
    kind = "own" if share else "none"
    shares = {rule: solved(rule=rule, bridge=kind, share=share) for rule in rules}
    print(f"share {share:4}:", {rule: round(x, 2) for rule, x in shares.items()})

# %% [markdown]
# If the adapters saw no problem of two steps, no merge solves one, although the base can order
# other skills and each adapter knows its own. And no merge comes near an adapter that was trained
# on the task itself.

# %%
for rule in ("mean", "sum", "ties", "arrow"):
    for kind in ("none", "serial", "neutral"):
        assert solved(rule=rule, bridge=kind) < 0.05
    assert solved(rule=rule, bridge="own", share=0.5) > 0.15
assert solved(rule="composed") > 0.9

# %% [markdown]
# Each adapter writes its own skill where the other's is needed, and so does their merge.
#
# **And what must the base have seen?** The part `skill_coverage` (left panel) compares bases that
# differ in pretraining. They saw no problems; problems without the words of these skills; single
# steps; two steps of other skills; or the pair of skills itself, in a growing share of all problems
# of two steps:

# %%
coverage = stored[stored["part"] == "skill_coverage"].to_dict("records")

# %% [markdown]
# Merges gain most where the base saw the pair rarely. The mean gains most where about one in a
# hundred problems of two steps was of this pair. The sum gains already where only the five other
# pairs of these skills were shown (“other pairs”). Where the pair was frequent, the base needs no
# merge, and the sum does harm. On a base that saw single steps only, even an adapter trained on the
# pair itself, for as long as the others, solves less than half of the problems:

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
def share_needed(coefficient: float, habit: bool) -> float:
    """The share above which the shared step wins in a merge of two."""
    half = 1 / (4 * coefficient)
    return 1 - half if habit else half


def margin(share: float, coefficient: float, habit: bool) -> float:
    """By how much the shared step leads: twice the vote less one."""
    total = 2 * coefficient
    return 2 * ((1 - total) * habit + total * share) - 1


# %% [markdown]
# In words, for a base without and with the habit:


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
# Small coefficients keep habits, large ones overwrite them. With two adapters of $c=\frac12$ both
# bases need the same share.

# %%
slider = FloatSlider(0.5, min=0.05, max=1.5, step=0.05, description="c")
explore(votes, coefficient=slider)

# %% [markdown]
# ## What this does not say
# - **All solutions must pass the same point.** A model that reads from the question how many steps
#   are wanted needs a smaller share than the theorem says.
# - **New words are another matter.** The vote is about the order of steps, and the bases of
#   `template_overlap` know every skill. On bases that never met the words of two skills (the second
#   group of the last figure) each adapter learns its own skill, and merges hardly compose.
# - **Small models, three or six seeds**, arithmetic modulo 7, problems of two steps. A language
#   model has seen more (notebook 10).
# - **Answers at once.** If the result is asked for without written steps, no merge composes. An
#   adapter trained on the task does not either: two layers are too few for it.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. It says whether you are right,
# and if not, why. Numbers count as right within 1 %.
#
# **1.** *(easy, 5 minutes)* Four adapters are averaged, and the base does not have the habit. Above
# which share of each adapter's solutions does the shared step win?

# %%
mine = None
judge("09.1", mine)

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
# **2.** *(easy, 5 minutes)* The same four, summed with coefficient 1 each. How small may the share
# be?

# %%
mine = None
judge("09.2", mine)

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
# **3.** *(easy, 5 minutes)* The base has the habit, the two adapters never take the step. Up to
# which coefficient of each does the merge keep it?

# %%
mine = None
judge("09.3", mine)

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
# **4.** *(medium, 15 minutes, code)* Write a merge that keeps one step and learns another. The base
# has the habit of the first step only; each of two adapters takes the first in a share `keeps` of
# its solutions and the second in a share `takes`. Return the coefficient of both at which both
# steps win the vote, or 0 if there is none.


# %%
def mine(keeps, takes):
    return None


judge("09.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The new step needs $C>1/(2\,\mathrm{takes})$, the old one $C<1/(2(1-\mathrm{keeps}))$; take the
# middle, and $c=C/2$.
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
#   compositionality*](https://arxiv.org/abs/2305.18654). Many steps as pieces of solutions seen
#   before.
# - Chen et al., [*Pause recycling LoRAs and prioritize
#   mechanisms*](https://arxiv.org/abs/2506.13479). Word problems and shared templates with real
#   adapters.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 15 for the vote, 20 for problems and the small transformer, 15 for the
# table, 25 for exercises.
#
# **Ask.** Before the table: the base can order steps and each adapter knows its skill; what could
# go wrong? At the table: which curve would a model follow that reads the number of steps first?
#
# **Common wrong answers.** "They must share problems": here shared problems do not help. "Summing
# is always stronger": it overwrites habits, too. "So reuse works": where the base knows every skill
# already.
#
# </details>
