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
# To *truncate* the mean to rank $r$, keep its $r$ largest singular values and set the others to
# zero. The truncated mean attains this lower bound.
#
# **Mechanism.** The tasks want different updates, and one update cannot equal all of them. The mean
# of the updates has the smallest error, and this error is the disagreement. The truncation is added
# because a matrix of small rank cannot equal the whole mean.
#
# **A common misconception.** "A higher rank or a better merging method makes the error as small as
# I like." A higher rank lowers only the truncation. The disagreement depends on the tasks alone.
#
# Three related questions follow:
#
# - What is the least possible error of the *worst* task (`thm:minimax-merge`)?
# - What is the least possible error at the worst input, if the inputs are unknown
#   (`thm:data-free-floor`)?
# - Which merge is best if the second moments $\mathrm E\,xx^\top$ of the inputs $x$ are known
#   (`thm:fisher-floor`)?
#
# **After this notebook** you can say which part of the error of a merge is disagreement and which
# part is truncation. You can compute the best merge for the mean error, for the worst task and for
# known inputs. You can also test a bound with *competitors*: updates that are chosen to beat the
# bound.
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
# write every entry as a symbol. Expand the mean squared error around $\bar\Delta$. The cross term
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
# the distance from $\Delta$ to the mean.
#
# **Step 2: at rank $r$ a part of the mean is lost** (Eckart and Young, 1936). We show this for 2×2
# matrices and rank one. Rotations of rows and columns change no distance, so we may take a diagonal
# mean with $\sigma_1\ge\sigma_2\ge0$. A matrix of rank one is $t\,uv^\top$ with unit vectors
# $u=(\cos\alpha,\sin\alpha)$ and $v=(\cos\beta,\sin\beta)$. The squared distance of this matrix to
# the mean is quadratic in the length $t$. We complete the square.

# %%
s1, s2, t, alpha, beta = sp.symbols("sigma_1 sigma_2 t alpha beta", real=True)
u, v = (sp.Matrix([sp.cos(angle), sp.sin(angle)]) for angle in (alpha, beta))
distance = squared(sp.diag(s1, s2) - t * u * v.T)
overlap = (u.T * sp.diag(s1, s2) * v)[0]
display(overlap)
assert sp.simplify(distance - (t - overlap) ** 2 - s1**2 - s2**2 + overlap**2) == 0

# %% [markdown]
# The best length is $t=u^\top\bar\Delta\,v$, which we call the *overlap*. The squared distance is
# then $\sigma_1^2+\sigma_2^2$ minus the squared overlap. How large can the overlap be? The next
# cell writes the overlap with two cosines: one of $\alpha-\beta$ and one of $\alpha+\beta$. If both
# cosines are 1, the overlap is largest and equals $\sigma_1$. The squared distance that remains is
# the truncation, $\sigma_2^2$.

# %%
cosines = ((s1 + s2) * sp.cos(alpha - beta) + (s1 - s2) * sp.cos(alpha + beta)) / 2
display(cosines)
assert sp.simplify(overlap - cosines) == 0

# %% [markdown]
# **Step 3: the worst task.** Take two tasks first. By the triangle inequality
# $\|\Delta_1-\Delta_2\|\le\|\Delta-\Delta_1\|+\|\Delta-\Delta_2\|$. So at least one of the two
# distances on the right is $\frac12\|\Delta_1-\Delta_2\|$ or more. For the mean, both distances are
# exactly $\frac12\|\Delta_1-\Delta_2\|$. The same inequality for the outputs $\Delta x$ bounds the
# error at the worst input $x$ (`thm:data-free-floor`).
#
# Now take any number of tasks. The largest squared error is at least any *weighted* mean of the
# squared errors. So step 1, with weights, gives a lower bound for each choice of weights. The
# highest of these lower bounds is the squared radius of the smallest ball that contains the updates
# of all tasks. The code of the theorem has the proof.
#
# As an example, take three tasks on a line. Two tasks are equal, at position 0, and together have
# the weight $1-w$. The third task, the outlier, is at position $d$ and has the weight $w$. The
# weighted mean is at $wd$. Which lower bound do these weights give?

# %%
w, d = sp.symbols("w d", positive=True)
centre = w * d
spread = (1 - w) * centre**2 + w * (d - centre) ** 2
display(sp.factor(spread))
assert sp.expand(spread - w * (1 - w) * d**2) == 0
assert sp.solve(sp.diff(spread, w), w) == [sp.Rational(1, 2)]

# %% [markdown]
# The lower bound is highest at $w=\frac12$: the outlier gets *half* of the weight. In the plain
# mean the outlier has a third of the weight, and the distance from the mean to the outlier is
# $\frac23d$. From the centre of the ball, the distance to the outlier is only $\frac12d$.
#
# **Step 4: known inputs.** Look at one direction of the inputs and at one component of the output.
# At the unit input in this direction, task $j$ wants the output $a_j$. Along this direction the
# inputs of task $j$ have the mean square $m_j$. An error of the output counts $s$ times. If a merge
# has the output $x$, it costs task $j$ the amount $s\,m_j(x-a_j)^2$. The best $x$ is the mean of
# the $a_j$ with weights $m_j$. The cost of this $x$ is a weighted disagreement. The factor $s$
# multiplies the cost and does not change the best $x$.

# %%
x, a1, a2, m1, m2, s = sp.symbols("x a_1 a_2 m_1 m_2 s", positive=True)
cost = s * (m1 * (x - a1) ** 2 + m2 * (x - a2) ** 2)
[best] = sp.solve(sp.diff(cost, x), x)
display(best, sp.factor(cost.subs(x, best)))
assert sp.simplify(best - (m1 * a1 + m2 * a2) / (m1 + m2)) == 0
assert sp.simplify(cost.subs(x, best) - s * m1 * m2 / (m1 + m2) * (a1 - a2) ** 2) == 0

# %% [markdown]
# For matrices this weighted mean is called RegMean. It is $(\sum_j\Delta_jM_j)(\sum_jM_j)^{-1}$,
# where $M_j$ is the second moment of the inputs of task $j$ (a pseudo-inverse if the sum is
# singular). If the rank is limited as well, rescale inputs and outputs so that all directions have
# the same weight. Truncate the rescaled RegMean as in step 2, and undo the rescaling.

# %% [markdown]
# ## Construct
# We turn to numbers. Each of three updates is the sum of a shared part, equal for all tasks, and a
# part of its own. A `LowRank` object stores the two factors of an update and never forms their
# product. So the same code also runs for matrices of width 8192.

# %%
rng = np.random.default_rng(0)
shared = gaussian(rng, 60, 40, 4)
updates = tuple(shared + 0.5 * gaussian(rng, 60, 40, 4) for _ in range(3))
case = Tasks(updates, rank=6)

# %% [markdown]
# Each update has rank 8. The mean has rank 16: the shared part has rank 4, and so has each of the
# three other parts. The shared part is the largest. So the singular values of the mean fall steeply
# after the fourth value.

# %%
print([update.rank for update in updates], case.mean.rank)
case.mean.S.round(1)

# %% [markdown]
# `attain` builds the adapter that attains the lower bound: the truncated mean. `judge` compares the
# error of an adapter (`value`) with the lower bound (`bound`).

# %%
best = merge_floor.attain(case)
verdict = merge_floor.judge(case, best)
print(f"error {verdict.value:.6f}, lower bound {verdict.bound:.6f}")

# %% [markdown]
# **The worst task.** We take two equal tasks and an outlier, as in step 3. The centre of the
# smallest ball is a weighted mean of the tasks. The cell prints these weights. It then prints the
# squared error of the worst task twice: for the plain mean and for the centre.

# %%
tasks = tuple(gaussian(rng, 6, 5, 2) * size for size in (1.0, 3.0))
three = minimax_merge.Case((tasks[0], tasks[0], tasks[1]), (np.eye(5),) * 3)
even = (minimax_merge.merge(three, np.full(3, 1 / 3)),) * 3
print("weight of the two equal tasks together, and weight of the outlier:")
print(f"{three.weights[:2].sum():.3f}, {three.weights[2]:.3f}")
print(f"mean        {minimax_merge.measure(three, even):.3f}")
print(f"centre      {minimax_merge.measure(three, minimax_merge.attain(three)):.3f}")
print(f"lower bound {minimax_merge.bound(three):.3f}")

# %% [markdown]
# **Known inputs.** We compare the plain mean of two tasks with their RegMean. The cell prints the
# cost of step 4 for both merges. The input space has five dimensions. The inputs of the first task
# use three dimensions. The inputs of the second task use four dimensions.

# %%
seen = tuple(np.eye(5)[:, :count] * np.sqrt(1 / count) for count in (3, 4))
known = rank_floor.Weighted(tasks, seen, (np.eye(6),) * 2, rank=5)
plain = (tasks[0] + tasks[1]) * 0.5
print(f"mean        {rank_floor.measure_fisher(known, plain):.4f}")
print(f"RegMean     {rank_floor.measure_fisher(known, rank_floor.attain_fisher(known)):.4f}")
print(f"lower bound {rank_floor.bound_fisher(known):.4f}")

# %% [markdown]
# ## Verify
# The truncated mean attains the lower bound up to rounding, so the verdict is `tight`. `check`
# first tests the hypotheses of the theorem. It then compares the error with the bound, as `judge`
# does.

# %%
verdict = merge_floor.check(case, best)
assert verdict.holds
assert verdict.tight

# %% [markdown]
# Now we try to beat the bound. `draw` makes random cases, with updates of sizes from $10^{-6}$ to
# $10^6$. `rival` makes a competitor. In half of the cases the competitor is random. In the other
# half the competitor is the optimum after a small change, sometimes of only one part in $10^{12}$.

# %%
for seed in range(300):
    rng = np.random.default_rng(seed)
    drawn = merge_floor.draw(rng, 8)
    assert merge_floor.check(drawn, merge_floor.attain(drawn)).tight
    assert merge_floor.check(drawn, merge_floor.rival(drawn, rng)).holds

# %% [markdown]
# `adversary` is an optimiser that uses no singular values. From a random start it improves an
# adapter in turns: it solves for one factor by least squares, then for the other factor. The error
# of this adapter comes close to the bound and stays above the bound.

# %%
descended = merge_floor.adversary(case, np.random.default_rng(1))
found = merge_floor.check(case, descended)
print(f"adversary: error {found.value:.6f}, lower bound {found.bound:.6f}")
assert found.holds

# %% [markdown]
# We check three related theorems in the same way. They bound the error of the worst task, the error
# at the worst input, and the error for known inputs and output weights.

# %%
for claim in map(theorem, ("minimax-merge", "data-free-floor", "fisher-floor")):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 6)
        assert claim.check(drawn, claim.attain(drawn)).tight
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# The theorem has one hypothesis: the adapter has rank at most $r$. Is this hypothesis needed? An
# adapter of rank 16 has a smaller error than the bound for rank 6. `check` does not count this
# adapter as a counterexample. It names the hypothesis that the adapter violates.

# %%
cheat = case.mean
assert not merge_floor.judge(case, cheat).holds
try:
    merge_floor.check(case, cheat)
except AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# ## Explore
# The lower bound depends on how much the tasks have in common. The *energy* of an update is its
# squared norm. Each update is now the sum of a common part, equal for all tasks, and an own part.
# The own part has the share $s$ of the energy. The own parts of different tasks are nearly
# orthogonal.


# %%
def share_updates(own: float, tasks: int) -> tuple:
    """Updates of unit energy; a share `own` of each belongs to one task alone."""
    rng, sizes = np.random.default_rng(0), np.sqrt(np.arange(8, 0, -1) / 36)
    common, *others = (with_spectrum(rng, 64, 64, sizes) for _ in range(tasks + 1))
    return tuple(math.sqrt(1 - own) * common + math.sqrt(own) * one for one in others)


# %% [markdown]
# For each rank, the figure shows the disagreement, the lower bound and the error of the truncated
# mean. The truncation is the gap between the lower bound and the disagreement.


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
# Move the sliders. The common part has rank 8, so the lower bound bends at rank 8. With $k$ tasks
# and own share $s$, the disagreement is close to $s\,(1-1/k)$ times the energy of an update. No
# rank and no merging method lowers the disagreement.

# %%
share = FloatSlider(0.5, min=0, max=1, step=0.05, description="own share")
number = IntSlider(4, min=1, max=10, description="tasks")
explore(floor, own=share, tasks=number)

# %% [markdown]
# ## What this does not say
# - **The theorem is about weights, not answers.** The squared distance equals the mean squared
#   error of the outputs only if the second moment of the inputs is the identity. In directions that
#   no input uses, an error of the weights changes no output.
# - **The optimum for weights can lose an answer.** At full rank the mean is the best adapter in
#   this notebook. Yet the mean can lose an answer that needs two tasks at once. The next notebook
#   shows an example.
# - **The bound is on a mean over tasks.** The error of the worst task can be much larger. Step 3
#   bounds the error of the worst task. A rare but important task counts no more than the others.
# - **One adapter is always active.** The bound does not hold for a router that chooses an adapter
#   for each input.
# - **The theorem is not about training.** An adapter that is trained on all tasks together
#   minimises the losses of the tasks. It need not minimise the distance to updates that were
#   trained separately.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether your
# answer is right. If your answer is wrong, the cell prints why. A number is right if it is within
# 1% of the solution.
#
# **1.** *(medium, 10 minutes)* Two tasks want the updates $\mathrm{diag}(3,0)$ and
# $\mathrm{diag}(1,2)$. What is the lower bound at rank one? Compute the mean, the disagreement and
# the truncation on paper.

# %%
mine = None
judge("01.1", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The main idea has the formula: the lower bound is the disagreement plus the truncation. First
# compute the mean of the two updates, which is diagonal.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The disagreement is the mean of $\|\Delta_j-\bar\Delta\|_F^2$ over the tasks, and here both tasks
# have the same distance to the mean. The truncation at rank one is the square of the mean's second
# singular value.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The mean is $\mathrm{diag}(2,1)$. The two updates differ from the mean by
# $\pm\mathrm{diag}(1,-1)$, so the disagreement is 2. At rank 1 the smaller singular value, 1, is
# lost. The bound is $2+1^2=3$.
#
# ```python
# mine = 3
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* Eight tasks want updates of norm 1 that are pairwise orthogonal. How
# large is the disagreement? The ranks of the updates do not matter.

# %%
mine = None
judge("01.2", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Put $\Delta=0$ into step 1. The mean of the squared norms $\|\Delta_j\|_F^2$ is then the
# disagreement plus $\|\bar\Delta\|_F^2$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# By Pythagoras, the squared norm of a sum of orthogonal updates is the sum of their squared norms.
# So $\|\bar\Delta\|_F^2=\frac1{k^2}\sum_j\|\Delta_j\|_F^2$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The mean of the squared norms is 1, and the squared norm of the mean is $8\cdot(1/8)^2=1/8$. The
# disagreement is the difference of these two numbers, $1-1/8$. In general, the mean of $k$
# orthogonal updates of equal norm has $1/k$ of the energy of one update.
#
# ```python
# mine = 1 - 1 / 8
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* A usual remedy for a mean that is "too weak" is to multiply it by a
# factor $c>1$. Take the mean squared distance to the tasks as the error. Is there a $c>1$ for which
# $c\,\bar\Delta$ has a smaller error than $\bar\Delta$? Answer `True` or `False`.

# %%
mine = None
judge("01.3", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# By step 1 the error depends on $\Delta$ only through the distance from $\Delta$ to the mean. Put
# $\Delta=c\,\bar\Delta$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The distance from $c\,\bar\Delta$ to $\bar\Delta$ is $|c-1|\,\|\bar\Delta\|_F$. At which $c$ is
# this distance smallest?
#
# </details>
#
# <details><summary>Solution</summary>
#
# No. By step 1 the error of $c\,\bar\Delta$ is the disagreement plus $(c-1)^2\|\bar\Delta\|_F^2$,
# and this is never smaller than the disagreement. A larger $c$ may still help on a benchmark,
# because a benchmark measures answers and not distances between weights.
#
# ```python
# mine = False
# ```
#
# </details>

# %% [markdown]
# **4.** *(medium, 10 minutes, code)* Write a merge. Your function gets a list of updates and a
# rank. The updates are `LowRank` objects: you can add them and divide them by a number. For an
# update `low`, `low.truncated(rank)` is its truncation. Return one update, of at most the given
# rank, that attains the lower bound. The judge runs your function on three lists of updates.


# %%
def mine(updates, rank):
    return None


judge("01.4", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The main idea names the update that attains the bound: the truncated mean. So your merge has two
# steps, a mean and a truncation.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Updates of rank $r$ can have a mean of higher rank. So think about which of the two steps must
# come last.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Average first and truncate last. A mean of truncated updates can have a rank that is too high.
#
# ```python
# def mine(updates, rank):
#     mean = sum(updates[1:], updates[0]) / len(updates)
#     return mean.truncated(rank)
# ```
#
# </details>

# %% [markdown]
# **5.** *(hard, 20 minutes, code)* Write an adversary for the bound on the error of the worst task.
# Your function gets a list of matrices and returns one matrix. Compute the squared distances from
# your matrix to the given matrices: the largest one must be within 1% of the bound. The judge runs
# your function on two equal matrices with an outlier, and on four unrelated matrices. You need no
# formula.


# %%
def mine(updates):
    return None


judge("01.5", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# By step 3 you look for the centre of the smallest ball that contains all given matrices. Draw a
# ball around your matrix that is too small: which given matrices lie outside the ball?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Move your matrix a little towards the given matrix that is farthest away. Repeat this many times
# with smaller and smaller moves.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Move towards the matrix that is farthest away, in smaller and smaller steps. The steps lead to the
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
# - Wortsman et al., [*Model soups*](https://arxiv.org/abs/2203.05482). Averages of whole models
#   that improve accuracy.
# - Ilharco et al., [*Editing models with task arithmetic*](https://arxiv.org/abs/2212.04089).
#   Updates as vectors that are added and scaled.
# - Matena and Raffel, [*Merging models with Fisher-weighted
#   averaging*](https://arxiv.org/abs/2111.09832). Averages whose weights are computed from the
#   loss, as in step 4 with diagonal matrices.
# - Jin et al., [*Dataless knowledge fusion by merging weights of language
#   models*](https://arxiv.org/abs/2212.09849). RegMean, the merge of step 4.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 75 minutes: 30 for the derivation, 20 for the construction and the attempts to beat the
# bound, 25 for the slider and exercises 1 to 4. Exercise 5 is homework.
#
# **Ask.** Before step 1: which single matrix is nearest to three others? At the adversary: it uses
# no singular values; why does its error stop at the same number? At the slider: would you rather
# double the rank or drop the task that disagrees most?
#
# **Common wrong answers.** "A higher rank makes the error zero": a higher rank removes only the
# truncation. "Another merging method may have a smaller error": no method has a smaller mean
# squared distance to the tasks. "So the mean is the best merge": it has the smallest distance, but
# it can still lose answers, as the next notebook shows.
#
# </details>
