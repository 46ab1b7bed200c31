# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How well can one adapter serve many tasks?
# ## Question
# Fine-tuning on task $j$ gives an update $\Delta_j$ of a weight matrix. You have $k$ of these
# updates and may ship only one update $\Delta$, of rank at most $r$. Merging methods differ in how
# they choose $\Delta$. Before we compare methods, we ask which error *no* method can avoid.
#
# **Main idea** (`thm:merge-floor`). Let $\bar\Delta$ be the mean of the updates, with the singular
# values $\sigma_i$ in descending order. Every $\Delta$ of rank at most $r$ satisfies
#
# $$\frac1k\sum_j\|\Delta-\Delta_j\|_F^2\;\ge\;
# \underbrace{\frac1k\sum_j\|\Delta_j-\bar\Delta\|_F^2}_{\text{disagreement}}
# \;+\;\underbrace{\sum_{i>r}\sigma_i^2}_{\text{truncation}}.$$
#
# The mean, truncated to rank $r$, attains this lower bound.
#
# **Mechanism.** The tasks want different updates, and one update cannot equal all of them. The mean
# is closest to all, and the disagreement is what remains. The truncation is added because a small
# rank cannot represent the whole mean.
#
# **A common misconception.** "A higher rank or a better merging method makes the error as small as
# I like." A higher rank lowers the truncation only. The disagreement is a property of the tasks.
#
# Three related questions follow:
#
# - What is the least possible error of the *worst* task (`thm:minimax-merge`)?
# - What is the least possible error at the worst input, if the inputs are unknown
#   (`thm:data-free-floor`)?
# - Which merge is best if the second moments of the inputs are known (`thm:fisher-floor`)?
#
# **After this notebook** you can say which part of the error of a merge is disagreement and which
# part is truncation. You can compute the best merge for the mean error, for the worst task and for
# known inputs. You can also test a bound with competitors that try to beat it.
#
# The notebook runs in about 10 s on two cores. You need the singular value decomposition and
# nothing more.

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
# **Step 1: only the distance to the mean can be changed.** Take two tasks and 2×2 matrices, and
# write every entry as a symbol. Expand the mean squared error around the mean. The cross term
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
# The disagreement does not depend on any entry $x$ of $\Delta$. The choice of $\Delta$ changes only
# its distance to the mean.
#
# **Step 2: at rank $r$ a part of the mean is lost** (Eckart and Young, 1936). We show this for 2×2
# matrices and rank one. Rotations of rows and columns change no distance, so we may take a diagonal
# mean with $\sigma_1\ge\sigma_2\ge0$. A matrix of rank one is $t\,uv^\top$ with unit vectors
# $u=(\cos\alpha,\sin\alpha)$ and $v=(\cos\beta,\sin\beta)$. Its squared distance to the mean is
# quadratic in the length $t$. We complete the square.

# %%
s1, s2, t, alpha, beta = sp.symbols("sigma_1 sigma_2 t alpha beta", real=True)
u, v = (sp.Matrix([sp.cos(angle), sp.sin(angle)]) for angle in (alpha, beta))
distance = squared(sp.diag(s1, s2) - t * u * v.T)
overlap = (u.T * sp.diag(s1, s2) * v)[0]
display(overlap)
assert sp.simplify(distance - (t - overlap) ** 2 - s1**2 - s2**2 + overlap**2) == 0

# %% [markdown]
# The best length is $t=u^\top\bar\Delta\,v$, which we call the *overlap*. The squared distance is
# then $\sigma_1^2+\sigma_2^2$ minus the squared overlap. How large can the overlap be? We write it
# with two cosines: of the sum of the angles and of their difference. The overlap is largest if both
# cosines are 1, and then it equals $\sigma_1$. The remaining squared distance is $\sigma_2^2$: the
# truncation.

# %%
cosines = ((s1 + s2) * sp.cos(alpha - beta) + (s1 - s2) * sp.cos(alpha + beta)) / 2
display(cosines)
assert sp.simplify(overlap - cosines) == 0

# %% [markdown]
# **Step 3: the worst task.** Take two tasks first. By the triangle inequality
# $\|\Delta_1-\Delta_2\|\le\|\Delta-\Delta_1\|+\|\Delta-\Delta_2\|$. So the distance of $\Delta$ to
# one of the two tasks is at least half of the distance between the tasks. For the mean, both
# distances are exactly this half. (The same inequality for the outputs $\Delta x$ bounds the error
# at the worst input $x$: `thm:data-free-floor`.)
#
# Now take any number of tasks. The largest squared error is at least any *weighted* mean of the
# squared errors. So step 1, with weights, gives a lower bound for each choice of weights. The
# highest of these lower bounds has a geometric meaning: it is the squared radius of the smallest
# ball that contains all tasks (the module has the proof).
#
# In an example two tasks are equal, at position 0. The third task, the outlier, is at distance $d$
# and has the weight $w$. The weighted mean is at $wd$. What is the lower bound?

# %%
w, d = sp.symbols("w d", positive=True)
centre = w * d
spread = (1 - w) * centre**2 + w * (d - centre) ** 2
display(sp.factor(spread))
assert sp.expand(spread - w * (1 - w) * d**2) == 0
assert sp.solve(sp.diff(spread, w), w) == [sp.Rational(1, 2)]

# %% [markdown]
# The lower bound is highest at $w=\frac12$: the outlier gets *half* of the weight, not a third. The
# plain mean has a distance of $\frac23d$ to the outlier, and the centre of the ball only
# $\frac12d$.
#
# **Step 4: known inputs.** Look at one direction of the inputs and at one output. Task $j$ wants
# the output $a_j$ there. The mean square of its inputs along this direction is $m_j$, and an error
# in this output counts $s$ times. The output $x$ then costs task $j$ the amount $s\,m_j(x-a_j)^2$.
# The best $x$ is the mean of the $a_j$ with weights $m_j$, and its cost is a weighted disagreement.
# The factor $s$ multiplies the cost and does not change the best $x$.

# %%
x, a1, a2, m1, m2, s = sp.symbols("x a_1 a_2 m_1 m_2 s", positive=True)
cost = s * (m1 * (x - a1) ** 2 + m2 * (x - a2) ** 2)
[best] = sp.solve(sp.diff(cost, x), x)
display(best, sp.factor(cost.subs(x, best)))
assert sp.simplify(best - (m1 * a1 + m2 * a2) / (m1 + m2)) == 0
assert sp.simplify(cost.subs(x, best) - s * m1 * m2 / (m1 + m2) * (a1 - a2) ** 2) == 0

# %% [markdown]
# For matrices the same mean is RegMean, $(\sum_j\Delta_jM_j)(\sum_jM_j)^{-1}$, where $M_j$ is the
# second moment of the inputs of task $j$. The rank may be limited as well. Then rescale inputs and
# outputs so that all directions have the same weight, and truncate there as in step 2.

# %% [markdown]
# ## Construct
# We turn to numbers. The updates of three tasks share one part, and each update has another part of
# its own. A `LowRank` object stores the two factors of an update and never forms their product. So
# the same lines also run at width 8192.

# %%
rng = np.random.default_rng(0)
shared = gaussian(rng, 60, 40, 4)
updates = tuple(shared + 0.5 * gaussian(rng, 60, 40, 4) for _ in range(3))
case = Tasks(updates, rank=6)

# %% [markdown]
# Each update has rank 8. Their mean has rank 16: 4 for the shared part, and 4 for each of the three
# other parts. The shared part is the largest, so the singular values of the mean fall steeply after
# the fourth.

# %%
print([update.rank for update in updates], case.mean.rank)
case.mean.S.round(1)

# %% [markdown]
# The construction of the theorem truncates the mean. `judge` compares the error of an adapter
# (`value`) with the lower bound (`bound`).

# %%
best = merge_floor.attain(case)
verdict = merge_floor.judge(case, best)
print(f"error {verdict.value:.6f}, lower bound {verdict.bound:.6f}")

# %% [markdown]
# **The worst task.** We take two equal tasks and an outlier, as in step 3. The cell prints the
# weights of the centre. It then prints the squared error of the worst task, for the mean and for
# the centre.

# %%
tasks = tuple(gaussian(rng, 6, 5, 2) * size for size in (1.0, 3.0))
three = minimax_merge.Case((tasks[0], tasks[0], tasks[1]), (np.eye(5),) * 3)
even = (minimax_merge.merge(three, np.full(3, 1 / 3)),) * 3
print("weights of the two equal tasks together, and of the outlier:")
print(f"{three.weights[:2].sum():.3f}, {three.weights[2]:.3f}")
print(f"mean        {minimax_merge.measure(three, even):.3f}")
print(f"centre      {minimax_merge.measure(three, minimax_merge.attain(three)):.3f}")
print(f"lower bound {minimax_merge.bound(three):.3f}")

# %% [markdown]
# **Known inputs.** We compare the plain mean of two tasks with their RegMean, by the cost of
# step 4. The input space has five dimensions. The inputs of the first task use three of them, and
# the inputs of the second task use four.

# %%
seen = tuple(np.eye(5)[:, :count] * np.sqrt(1 / count) for count in (3, 4))
known = rank_floor.Weighted(tasks, seen, (np.eye(6),) * 2, rank=5)
plain = (tasks[0] + tasks[1]) * 0.5
print(f"mean        {rank_floor.measure_fisher(known, plain):.4f}")
print(f"RegMean     {rank_floor.measure_fisher(known, rank_floor.attain_fisher(known)):.4f}")
print(f"lower bound {rank_floor.bound_fisher(known):.4f}")

# %% [markdown]
# ## Verify
# The construction attains the lower bound up to rounding, and the verdict is `tight`. `check` first
# tests the hypotheses of the theorem, and then compares error and bound like `judge`.

# %%
verdict = merge_floor.check(case, best)
assert verdict.holds
assert verdict.tight

# %% [markdown]
# Now we try to beat the bound. `draw` makes random cases, with sizes from $10^{-6}$ to $10^6$.
# `rival` makes a competitor. In half of the cases it is random. In the other half it is the
# optimum, moved by as little as one part in $10^{12}$.

# %%
for seed in range(300):
    rng = np.random.default_rng(seed)
    drawn = merge_floor.draw(rng, 8)
    assert merge_floor.check(drawn, merge_floor.attain(drawn)).tight
    assert merge_floor.check(drawn, merge_floor.rival(drawn, rng)).holds

# %% [markdown]
# `adversary` is an optimiser that uses no singular values. From a random start it solves for one
# factor by least squares, then for the other factor, and repeats. Its error comes close to the
# bound and stays above it.

# %%
descended = merge_floor.adversary(case, np.random.default_rng(1))
found = merge_floor.check(case, descended)
print(f"least squares: error {found.value:.6f}, lower bound {found.bound:.6f}")
assert found.holds

# %% [markdown]
# We check three related theorems in the same way: for the worst task, for the worst input, and for
# known inputs and output weights.

# %%
for claim in map(theorem, ("minimax-merge", "data-free-floor", "fisher-floor")):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 6)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# Is the hypothesis needed? The theorem has one: the limit on the rank. An adapter of rank 16 has a
# smaller error than the bound for rank 6. `check` does not count it as a counterexample, and names
# the hypothesis that fails.

# %%
cheat = case.mean
assert not merge_floor.judge(case, cheat).holds
try:
    merge_floor.check(case, cheat)
except AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# ## Explore
# The error depends on what the tasks share. The *energy* of an update is its squared norm. Let a
# share $s$ of the energy of each update belong to one task alone, and let the rest be common to all
# tasks. The parts of different tasks are nearly orthogonal.


# %%
def share_updates(own: float, tasks: int) -> tuple:
    """Updates of unit energy; a share `own` of each belongs to one task alone."""
    rng, sizes = np.random.default_rng(0), np.sqrt(np.arange(8, 0, -1) / 36)
    common, *others = (with_spectrum(rng, 64, 64, sizes) for _ in range(tasks + 1))
    return tuple(math.sqrt(1 - own) * common + math.sqrt(own) * one for one in others)


# %% [markdown]
# The figure has the two parts of the lower bound for each rank, and the error of the truncated
# mean.


# %%
def floor(own: float = 0.5, tasks: int = 4):
    """Disagreement, lower bound, and error of the truncated mean, in units of the energy."""
    updates, ranks = share_updates(own, tasks), range(0, 41, 4)
    unit = sum(update.norm**2 for update in updates) / tasks
    cases = [Tasks(updates, rank) for rank in ranks]
    floors = [merge_floor.bound(case) / unit for case in cases]
    lost = [case.mean.tail_energy(case.rank) / unit for case in cases]
    achieved = [case.error(merge_floor.attain(case)) / unit for case in cases]
    apart = [floor - part for floor, part in zip(floors, lost, strict=True)]
    curves = {"disagreement": (ranks, apart), "lower bound": (ranks, floors)}
    curves["truncated mean"] = (ranks, achieved)
    return draw(curves, "rank of the adapter", "error / energy", points=["truncated mean"])


floor()

# %% [markdown]
# Move the sliders. The common part has rank 8, so the curve bends at rank 8. With $k$ tasks the
# disagreement is close to $s\,(1-1/k)$. It is a property of the tasks: no rank and no merging
# method lowers it.

# %%
share = FloatSlider(0.5, min=0, max=1, step=0.05, description="own share")
number = IntSlider(4, min=1, max=10, description="tasks")
explore(floor, own=share, tasks=number)

# %% [markdown]
# ## What this does not say
# - **The theorem is about weights, not answers.** The squared distance equals the mean squared
#   error of the outputs only if the second moment of the inputs is the identity. Along directions
#   that no input uses, an error costs nothing.
# - **The optimum for weights can lose an answer.** At full rank the mean is the best adapter here.
#   Yet it forgets an answer that needs two of the tasks at once, as the next notebook shows.
# - **The bound is on a mean over tasks.** The error of the worst task can be much larger; step 3
#   bounds it. A rare but important task counts no more than the others.
# - **One adapter is always active.** The bound does not hold for a router that chooses an adapter
#   for each input.
# - **The theorem is not about training.** An adapter trained on all tasks together minimises their
#   losses. It does not minimise the distance to updates that were found separately.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell says whether you are
# right, and if not, why. A number counts as right within 1%.
#
# **1.** *(medium, 10 minutes)* Two tasks want the updates $\mathrm{diag}(3,0)$ and
# $\mathrm{diag}(1,2)$. What is the lower bound at rank one? Compute on paper: mean, disagreement,
# truncation.

# %%
mine = None
judge("01.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
# The mean is $\mathrm{diag}(2,1)$. Each task differs from it by $\pm\mathrm{diag}(1,-1)$, so the
# disagreement is 2. At rank 1 the smaller singular value, 1, is lost. The bound is $2+1^2=3$.
#
# ```python
# mine = 3
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* Eight tasks want updates of norm 1 that are pairwise orthogonal. How
# large is the disagreement? (It does not depend on their ranks.)

# %%
mine = None
judge("01.2", mine)

# %% [markdown]
# <details><summary>Solution</summary>
# The mean squared norm is 1, and the squared norm of the mean is $8\cdot(1/8)^2=1/8$. The
# disagreement is their difference, $1-1/8$. The mean of $k$ unrelated tasks keeps one part in $k$
# of their energy.
#
# ```python
# mine = 1 - 1 / 8
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* You may scale the mean by any factor $c$. A usual remedy for a mean
# that is "too weak" is $c>1$. Is the mean squared distance of $c\,\bar\Delta$ to the tasks ever
# smaller than that of $\bar\Delta$ itself, for some $c>1$? Answer `True` or `False`.

# %%
mine = None
judge("01.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
# It is never smaller. By step 1 the error is the disagreement plus $(c-1)^2\|\bar\Delta\|_F^2$. If
# a larger $c$ helps on a benchmark, the reason is that answers are not distances between weights.
#
# ```python
# mine = False
# ```
#
# </details>

# %% [markdown]
# **4.** *(medium, 10 minutes, code)* Write a merge. Your function gets a list of updates and a
# rank. The updates are `LowRank` objects, which you can add and divide, and which have
# `truncated(rank)`. Return one update of this rank that attains the lower bound. The judge tries it
# on three libraries.


# %%
def mine(updates, rank):
    return None


judge("01.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Average first and truncate last. A mean of truncated updates would again have too high a rank.
#
# ```python
# def mine(updates, rank):
#     mean = sum(updates[1:], updates[0]) / len(updates)
#     return mean.truncated(rank)
# ```
#
# </details>

# %% [markdown]
# **5.** *(hard, 20 minutes, code)* Write an adversary for the bound of the worst task. Your
# function gets matrices and returns one matrix. Its largest squared distance to any of the given
# matrices must be within 1% of the bound. The judge tries two equal matrices with an outlier, and
# four unrelated matrices. You need no formula. Hint: which task is outside a ball that is too
# small?


# %%
def mine(updates):
    return None


judge("01.5", mine)

# %% [markdown]
# <details><summary>Solution</summary>
# Move towards the task that is farthest away, with smaller and smaller steps. On average the steps
# lead to the centre of the smallest ball (Bădoiu and Clarkson, 2003).
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
# - Wortsman et al., [*Model soups*](https://arxiv.org/abs/2203.05482). Averages of whole models
#   that improve accuracy.
# - Ilharco et al., [*Editing models with task arithmetic*](https://arxiv.org/abs/2212.04089).
#   Updates as vectors that are added and scaled.
# - Matena and Raffel, [*Merging models with Fisher-weighted
#   averaging*](https://arxiv.org/abs/2111.09832). Averages with weights from the loss: step 4 with
#   diagonal matrices.
# - Jin et al., [*Dataless knowledge fusion by merging weights of language
#   models*](https://arxiv.org/abs/2212.09849). RegMean, the merge of step 4.

# %% [markdown]
# <details><summary>For the lecturer</summary>
# **Time.** 75 minutes: 30 for the derivation, 20 for the construction and the attempts to beat the
# bound, 25 for the slider and exercises 1 to 4. Exercise 5 is homework.
#
# **Ask.** Before step 1: which single matrix is nearest to three others? At the adversary: least
# squares uses no singular values; why does it stop at the same number? At the slider: you may
# double the rank or drop the task that disagrees most; which would you do?
#
# **Common wrong answers.** "More rank closes the gap": more rank removes the truncation and not the
# disagreement. "Another merging method may be better": not in this distance. "So the mean is the
# best merge": it is best in weights, and it can still lose answers, as the next notebook shows.
#
#
# </details>
