# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How well can one adapter serve many tasks?
#
# ## Question
# Fine-tuning for task $j$ asks for an update $\Delta_j$ of a weight matrix. You have $k$ such
# updates and may ship only one, $\Delta$, of rank at most $r$. Merging methods differ in how they
# pick it. Before comparing them, ask what *no* method can beat.
#
# **Claim** (`thm:merge-floor`). Let $\bar\Delta$ be the mean of the updates and $\sigma_i$ its
# singular values, in descending order. Every $\Delta$ of rank at most $r$ has
#
# $$\frac1k\sum_j\|\Delta-\Delta_j\|_F^2\;\ge\;
# \underbrace{\frac1k\sum_j\|\Delta_j-\bar\Delta\|_F^2}_{\text{disagreement}}
# \;+\;\underbrace{\sum_{i>r}\sigma_i^2}_{\text{truncation}},$$
#
# and the mean, truncated to rank $r$, reaches it. A higher rank lowers the second term, never the
# first.
#
# Three questions lie next to it. How large must the error of the *worst* task be
# (`thm:minimax-merge`)? How large must the error at the worst input be, if nothing is known of the
# inputs (`thm:data-free-floor`)? Which merge is best if we do know what they look like
# (`thm:fisher-floor`)?
#
# After this notebook you can say how much of the error of a merge is disagreement and how much is
# rank, compute the best merge for the mean, for the worst task and for known inputs, and attack a
# bound with rivals.
#
# Runs in about 10 s on two cores. You need the singular value decomposition, nothing more.

# %%
import math

import numpy as np
import sympy as sp
from ipywidgets import FloatSlider, IntSlider

from loratheory.exercises import explore, judge
from loratheory.figures import draw
from loratheory.lowrank import gaussian, with_spectrum
from loratheory.theorems import AssumptionError, theorem
from loratheory.theorems.expressiveness import rank_floor
from loratheory.theorems.expressiveness.rank_floor import Tasks
from loratheory.theorems.merging import minimax_merge

merge_floor = theorem("merge-floor")

# %% [markdown]
# ## Derive
# **Step 1: only the distance to the mean can be influenced.** Write every entry as a symbol, for
# two tasks and 2×2 matrices, and expand the mean squared error around the mean. The cross term
# $\langle\Delta-\bar\Delta,\ \sum_j(\Delta_j-\bar\Delta)\rangle$ vanishes, because deviations from
# a mean add up to zero.

# %%
delta, first, second = (sp.Matrix(2, 2, sp.symbols(f"{name}:4")) for name in ("x", "a", "b"))
squared = lambda matrix: sum(entry**2 for entry in matrix)  # the squared Frobenius norm
mean = (first + second) / 2
error = (squared(delta - first) + squared(delta - second)) / 2
disagreement = (squared(first - mean) + squared(second - mean)) / 2
display(sp.factor(disagreement))
assert sp.expand(error - disagreement - squared(delta - mean)) == 0

# %% [markdown]
# No entry $x$ of $\Delta$ is in the disagreement. All that the choice of $\Delta$ can change is its
# distance to the mean.
#
# **Step 2: at rank $r$ something of the mean is lost** (Eckart and Young, 1936). We show it for 2×2
# matrices and rank one. Rotating rows and columns changes no distance, so the mean may be taken
# diagonal, with $\sigma_1\ge\sigma_2\ge0$. A matrix of rank one is $t\,uv^\top$ with unit vectors
# $u=(\cos\alpha,\sin\alpha)$ and $v=(\cos\beta,\sin\beta)$. Its squared distance to the mean is
# quadratic in the length $t$; complete the square.

# %%
s1, s2, t, alpha, beta = sp.symbols("sigma_1 sigma_2 t alpha beta", real=True)
u, v = (sp.Matrix([sp.cos(angle), sp.sin(angle)]) for angle in (alpha, beta))
distance = squared(sp.diag(s1, s2) - t * u * v.T)
overlap = (u.T * sp.diag(s1, s2) * v)[0]
display(overlap)
assert sp.simplify(distance - (t - overlap) ** 2 - s1**2 - s2**2 + overlap**2) == 0

# %% [markdown]
# The best length is $t=u^\top\bar\Delta\,v$, the *overlap*, and $\sigma_1^2+\sigma_2^2$ minus the
# squared overlap remains. How large can the overlap be? Write it with the cosines of the sum and of
# the difference of the angles. It is largest where both cosines are 1, and there it is $\sigma_1$.
# What remains is $\sigma_2^2$: the truncation.

# %%
cosines = ((s1 + s2) * sp.cos(alpha - beta) + (s1 - s2) * sp.cos(alpha + beta)) / 2
display(cosines)
assert sp.simplify(overlap - cosines) == 0

# %% [markdown]
# **Step 3: the worst task.** Take two tasks first. By the triangle inequality
# $\|\Delta_1-\Delta_2\|\le\|\Delta-\Delta_1\|+\|\Delta-\Delta_2\|$, so every $\Delta$ misses one of
# them by at least half of their distance, and the mean misses neither by more. (The same inequality
# for the answers $\Delta x$ to an input $x$ bounds the error at the worst input:
# `thm:data-free-floor`.)
#
# Now any number of tasks. The largest squared error is at least any *weighted* mean of the squared
# errors. So step 1, with weights, gives a floor for each choice of weights. The highest of these
# floors is the squared radius of the smallest ball that holds all tasks (the module has the proof).
# An example: two equal tasks at 0, and a third one, the outlier, at distance $d$ with weight $w$.
# The weighted mean lies at $wd$:

# %%
w, d = sp.symbols("w d", positive=True)
centre = w * d
spread = (1 - w) * centre**2 + w * (d - centre) ** 2
display(sp.factor(spread))
assert sp.expand(spread - w * (1 - w) * d**2) == 0
assert sp.solve(sp.diff(spread, w), w) == [sp.Rational(1, 2)]

# %% [markdown]
# The floor is highest at $w=\frac12$: the outlier gets *half* of the weight, not a third. The plain
# mean misses the outlier by $\frac23d$; the centre of the ball misses it by $\frac12d$ only.
#
# **Step 4: known inputs.** Look at one direction of the inputs and at one output. Task $j$ wants
# the answer $a_j$ there, the mean square of its inputs along this direction is $m_j$, and an error
# in this output counts $s$ times. Answering $x$ then costs task $j$ the amount $s\,m_j(x-a_j)^2$.
# The best $x$ is the mean of the $a_j$ with weights $m_j$, and what it costs is a weighted
# disagreement. The factor $s$ multiplies the cost and does not move $x$.

# %%
x, a1, a2, m1, m2, s = sp.symbols("x a_1 a_2 m_1 m_2 s", positive=True)
cost = s * (m1 * (x - a1) ** 2 + m2 * (x - a2) ** 2)
[best] = sp.solve(sp.diff(cost, x), x)
display(best, sp.factor(cost.subs(x, best)))
assert sp.simplify(best - (m1 * a1 + m2 * a2) / (m1 + m2)) == 0
assert sp.simplify(cost.subs(x, best) - s * m1 * m2 / (m1 + m2) * (a1 - a2) ** 2) == 0

# %% [markdown]
# With matrices this is RegMean, $(\sum_j\Delta_jM_j)(\sum_jM_j)^{-1}$, where $M_j$ is the second
# moment of the inputs of task $j$. If the rank is limited as well, rescale inputs and outputs so
# that all directions count alike, and truncate there as in step 2.

# %% [markdown]
# ## Construct
# Numbers now. Three tasks share one part, and each adds a part of its own. A `LowRank` keeps the
# two factors of an update and never forms the product, so the same lines run at width 8192.

# %%
rng = np.random.default_rng(0)
shared = gaussian(rng, 60, 40, 4)
updates = tuple(shared + 0.5 * gaussian(rng, 60, 40, 4) for _ in range(3))
case = Tasks(updates, rank=6)

# %% [markdown]
# Each update has rank 8. Their mean has rank 16: 4 for the shared part and 4 for each of the three
# others. Its singular values fall steeply after the fourth, where the shared part ends.

# %%
print([update.rank for update in updates], case.mean.rank)
case.mean.S.round(1)

# %% [markdown]
# The construction of the theorem truncates the mean. `judge` compares what an adapter achieves
# (`value`) with the floor (`bound`).

# %%
best = merge_floor.attain(case)
verdict = merge_floor.judge(case, best)
print(f"achieved {verdict.value:.6f}, floor {verdict.bound:.6f}")

# %% [markdown]
# **The worst task.** Two equal tasks and an outlier, as in step 3. Below are the weights of the
# centre, and then the squared error of the worst task for the mean and for the centre.

# %%
tasks = tuple(gaussian(rng, 6, 5, 2) * size for size in (1.0, 3.0))
three = minimax_merge.Case((tasks[0], tasks[0], tasks[1]), (np.eye(5),) * 3)
even = (minimax_merge.merge(three, np.full(3, 1 / 3)),) * 3
print("weights of the two equal tasks together, and of the outlier:")
print(f"{three.weights[:2].sum():.3f}, {three.weights[2]:.3f}")
print(f"the mean {minimax_merge.measure(three, even):.3f}, floor {minimax_merge.bound(three):.3f}")
print(f"centre   {minimax_merge.measure(three, minimax_merge.attain(three)):.3f}")

# %% [markdown]
# **Known inputs.** We compare the plain mean of two tasks with their RegMean, by the cost of step
# 4. The inputs of the first task take three of five directions, those of the second four.

# %%
seen = tuple(np.eye(5)[:, :count] * np.sqrt(1 / count) for count in (3, 4))
known = rank_floor.Weighted(tasks, seen, (np.eye(6),) * 2, rank=5)
plain = (tasks[0] + tasks[1]) * 0.5
print(f"mean    {rank_floor.measure_fisher(known, plain):.4f}")
print(f"RegMean {rank_floor.measure_fisher(known, rank_floor.attain_fisher(known)):.4f}")
print(f"floor   {rank_floor.bound_fisher(known):.4f}")

# %% [markdown]
# ## Verify
# The construction meets the floor up to rounding, which is what `tight` means. `check` first tests
# the hypotheses and then does what `judge` does.

# %%
verdict = merge_floor.check(case, best)
assert verdict.holds
assert verdict.tight

# %% [markdown]
# Now try to beat it. `draw` makes random cases, with sizes from $10^{-6}$ to $10^6$. `rival` makes
# a competitor: half of the time it is random, and half of the time it is the optimum, moved by as
# little as one part in $10^{12}$.

# %%
for seed in range(300):
    rng = np.random.default_rng(seed)
    drawn = merge_floor.draw(rng, 8)
    assert merge_floor.check(drawn, merge_floor.attain(drawn)).tight
    assert merge_floor.check(drawn, merge_floor.rival(drawn, rng)).holds

# %% [markdown]
# `adversary` knows nothing of singular values: from a random start it solves for one factor by
# least squares, then for the other, again and again. It comes close and stays above.

# %%
descended = merge_floor.adversary(case, np.random.default_rng(1))
found = merge_floor.check(case, descended)
print(f"least squares reaches {found.value:.6f}, the floor is {found.bound:.6f}")
assert found.holds

# %% [markdown]
# Three related theorems are checked in the same way: for the worst task, for the worst input, and
# for known inputs and output weights.

# %%
for claim in map(theorem, ("minimax-merge", "data-free-floor", "fisher-floor")):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 6)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# Is the hypothesis needed? There is one here, the limit on the rank. An adapter of rank 16 goes
# below the floor of rank 6, and `check` refuses to call that a counterexample.

# %%
cheat = case.mean
assert not merge_floor.judge(case, cheat).holds
try:
    merge_floor.check(case, cheat)
except AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# ## Explore
# How much is lost depends on what the tasks share. Let a share $s$ of each update's energy (its
# squared norm) belong to this task alone, and let the rest be common to all tasks. These own parts
# of the tasks are nearly at right angles.


# %%
def share_updates(own: float, tasks: int) -> tuple:
    """Updates of unit energy; the given share of each is the task's own."""
    rng, sizes = np.random.default_rng(0), np.sqrt(np.arange(8, 0, -1) / 36)
    common, *others = (with_spectrum(rng, 64, 64, sizes) for _ in range(tasks + 1))
    return tuple(math.sqrt(1 - own) * common + math.sqrt(own) * one for one in others)


# %% [markdown]
# The two parts of the floor against the rank, and what the truncated mean achieves:


# %%
def floor(own: float = 0.5, tasks: int = 4):
    """Disagreement, floor, and the error of the truncated mean, in units of the energy."""
    updates, ranks = share_updates(own, tasks), range(0, 41, 4)
    unit = sum(update.norm**2 for update in updates) / tasks
    cases = [Tasks(updates, rank) for rank in ranks]
    floors = [merge_floor.bound(case) / unit for case in cases]
    lost = [case.mean.tail_energy(case.rank) / unit for case in cases]
    achieved = [case.error(merge_floor.attain(case)) / unit for case in cases]
    apart = [floor - part for floor, part in zip(floors, lost, strict=True)]
    curves = {"disagreement": (ranks, apart), "predicted floor": (ranks, floors)}
    curves["achieved"] = (ranks, achieved)
    return draw(curves, "rank of the adapter", "error / energy", points=["achieved"])


floor()

# %% [markdown]
# Move the sliders. The common part has rank 8, which is why the curve bends there. With $k$ tasks
# the disagreement is near $s\,(1-1/k)$. It is a property of the tasks: no rank and no merging
# method lowers it.

# %%
share = FloatSlider(0.5, min=0, max=1, step=0.05, description="own share")
number = IntSlider(4, min=1, max=10, description="tasks")
explore(floor, own=share, tasks=number)

# %% [markdown]
# ## What this does not say
# - **It is about weights, not answers.** The squared distance equals the mean squared error of the
#   outputs only for inputs whose second moment is the identity. Along directions that no input
#   takes, an error costs nothing.
# - **The optimum for weights can lose the answer.** The mean is the best adapter here at full rank,
#   and it still forgets the answer that needs two of the tasks at once: that is the next notebook.
# - **It is a mean over tasks.** The worst task can fare much worse than the floor; step 3 bounds
#   that one. A rare but important task counts no more than the others.
# - **One adapter, always on.** A router that picks an adapter for each input is not bound by it.
# - **It says nothing of training.** An adapter trained on all tasks together minimises their
#   losses, and not its distance to updates that were found separately.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. It says whether you are right,
# and if not, why. Numbers count as right within 1 %.
#
# **1.** *(medium, 10 minutes)* Two tasks ask for $\mathrm{diag}(3,0)$ and $\mathrm{diag}(1,2)$.
# What is the floor at rank one? Do it on paper: mean, disagreement, truncation.

# %%
mine = None
judge("01.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The mean is $\mathrm{diag}(2,1)$; each task is $\pm\mathrm{diag}(1,-1)$ away from it, so the
# disagreement is 2. At rank 1 the smaller singular value, 1, is lost: $2+1^2=3$.
#
# ```python
# mine = 3
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* Eight tasks ask for updates of norm 1 that are pairwise orthogonal. How
# large is the disagreement, whatever their ranks?

# %%
mine = None
judge("01.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The mean squared norm is 1, and the squared norm of the mean is $8\cdot(1/8)^2=1/8$. Their
# difference is the disagreement: $1-1/8$. The mean of $k$ unrelated tasks keeps one part in $k$ of
# their energy.
#
# ```python
# mine = 1 - 1 / 8
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* You may scale the mean by any $c$. Does $c\,\bar\Delta$ with $c>1$, the
# usual remedy for a mean that is "too weak", ever come closer to the tasks, on average, than
# $\bar\Delta$ itself? Answer `True` or `False`.

# %%
mine = None
judge("01.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Never: by step 1 the error is the disagreement plus $(c-1)^2\|\bar\Delta\|_F^2$. If a larger $c$
# helps on a benchmark, it is because answers are not distances between weights.
#
# ```python
# mine = False
# ```
#
# </details>

# %% [markdown]
# **4.** *(medium, 10 minutes, code)* Write a merge. It gets a list of updates (`LowRank`s, which
# add, divide and have `truncated(rank)`) and a rank, and returns one update of that rank that meets
# the floor. The judge tries it on three libraries.


# %%
def mine(updates, rank):
    return None


judge("01.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Average first and truncate last: a mean of truncated updates has too high a rank again.
#
# ```python
# def mine(updates, rank):
#     mean = sum(updates[1:], updates[0]) / len(updates)
#     return mean.truncated(rank)
# ```
#
# </details>

# %% [markdown]
# **5.** *(hard, 20 minutes, code)* Write an adversary for the floor of the worst task. It gets
# matrices and returns one matrix; the largest squared distance from this to any of them must come
# within 1 % of the floor. The judge tries two equal matrices with an outlier, and four unrelated
# ones. No formula is needed: which task lies outside a ball that is too small?


# %%
def mine(updates):
    return None


judge("01.5", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Walk towards whichever task is farthest, by ever smaller steps: the steps average out at the
# centre of the smallest ball (Bădoiu and Clarkson, 2003).
#
# ```python
# def mine(updates):
#     centre = updates[0]
#     for step in range(1, 2000):
#         farthest = max(updates, key=lambda low: np.linalg.norm(low - centre))
#         centre = centre + (farthest - centre) / (step + 1)
#     return centre
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Wortsman et al., [*Model soups*](https://arxiv.org/abs/2203.05482). Averaging whole models,
#   where it helps.
# - Ilharco et al., [*Editing models with task arithmetic*](https://arxiv.org/abs/2212.04089).
#   Updates as vectors that are added and scaled.
# - Matena and Raffel, [*Merging models with Fisher-weighted
#   averaging*](https://arxiv.org/abs/2111.09832). Weights for what the loss cares about: step 4
#   with a diagonal.
# - Jin et al., [*Dataless knowledge fusion by merging weights of language
#   models*](https://arxiv.org/abs/2212.09849). RegMean, the merge of step 4.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 30 for the derivation, 20 for the construction and the attempts to beat it,
# 25 for the slider and exercises 1 to 4. Exercise 5 is homework.
#
# **Ask.** Before step 1: which single matrix is nearest to three others? At the adversary: why does
# least squares, which knows no singular values, stop at the same number? At the slider: you may
# double the rank or drop the task that disagrees most; which one would you do?
#
# **Common wrong answers.** "More rank closes the gap": it removes the truncation, and not the
# disagreement. "Another merge method may do better": not in this distance. "So the mean is the best
# merge": best in weights, and it can still lose answers, which is the next notebook.
#
# </details>
