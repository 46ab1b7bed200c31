# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # When do two adapters disturb each other?
#
# ## Question
# You add a second adapter, and the facts of the first go wrong. Or they do not. Can you tell
# beforehand, from the weights alone? Practice looks at cosines between updates, at their spectra,
# at "intruder" directions. Which of these is the right thing to look at?
#
# **Claim** (`thm:interference-angle`). The keys of the first adapter lie in its *row space*. The
# second answers a unit key from there with at most
#
# $$\sigma_1(\Delta_2)\,\cos\theta,$$
#
# $\theta$ the smallest angle between the two row spaces. Some adapter reaches that; orthogonal row
# spaces are silence. The cosine of the updates as vectors is *not* the thing: it also vanishes
# where the second adapter shouts. Unrelated adapters disturb little each and add up
# (`thm:random-interference`). And whether an edit shows in the merged weight's spectrum is a third
# question, with another threshold (`thm:intruder-threshold`, cited).
#
# Can a library be *designed* not to disturb? While all ranks fit into the width; beyond it some
# overlap is unavoidable (`thm:packing-floor`). How many adapters a sum holds on white normal
# inputs, and not one more, is `thm:sum-capacity`. What wears off if adapters are trained one after
# another is `thm:sequential-forgetting`, and what a changed base does to an adapter is
# `thm:carried-edit`.
#
# Runs in about 15 s on two cores. You need the singular value decomposition and angles.

# %%
# %matplotlib inline
from pathlib import Path

import numpy as np
import sympy as sp
from ipywidgets import FloatSlider, interact

import loratheory as lt
from loratheory.adapters import crosstalk, crosstalk_bound, frobenius_cosine, row_angles
from loratheory.figures import lines
from loratheory.lowrank import LowRank, subspaces_at
from loratheory.theorems import interference_angle, intruder_threshold, random_interference
from loratheory.theorems.editing import carried_edit
from loratheory.theorems.libraries import packing_floor, sequential_forgetting, sum_capacity

# %% [markdown]
# ## Derive
# **Step 1: two adapters of rank one.** The first reads $p=(1,0)$, so that is its key. The second
# reads $q$ at an angle $\theta$ and writes with strength $\sigma$. What it answers to the key:

# %%
theta, sigma = sp.symbols("theta sigma", positive=True)
p, q = sp.Matrix([1, 0]), sp.Matrix([sp.cos(theta), sp.sin(theta)])
one, other = sp.Matrix([1, 0]), sp.Matrix([0, 1])  # what each of them writes
second = sigma * other * q.T
answer = second * p
assert sp.simplify(answer.dot(answer) - (sigma * sp.cos(theta)) ** 2) == 0

# %% [markdown]
# **Step 2: the cosine of the updates misses it.** The inner product of the two updates as long
# vectors is a product of *two* cosines: what they write, and what they read. Here they write at
# right angles, and the inner product is zero at every $\theta$, also at $\theta=0$ where the
# second adapter answers in full.

# %%
first = one * p.T
inner = sum(a * b for a, b in zip(first, second, strict=True))
assert inner == 0
answer.subs(theta, 0)

# %% [markdown]
# **Step 3: unrelated adapters.** Turn the second at random. In three dimensions the angle has
# density $\frac12\sin\theta$ on $[0,\pi]$, and the mean of $\cos^2\theta$ is one third: the energy
# is shared by all directions alike, $1/n$ in $n$ dimensions. $K-1$ others of rank $r$ together
# answer with energy $(K-1)r/n$.

# %%
assert sp.integrate(sp.cos(theta) ** 2 * sp.sin(theta) / 2, (theta, 0, sp.pi)) == sp.Rational(1, 3)

# %% [markdown]
# **Step 4: when a spectrum shows an edit.** The singular values of a Gaussian base fill $[0,2]$.
# An edit of strength $t$ sticks out at $z>2$ where the function $D$ below equals $1/t^2$
# (Benaych-Georges and Nadakuditi, 2012; we only solve their equation). The solution is $z=t+1/t$,
# if the square root is $t^2-1/t^2>0$, that is, for $t>1$.

# %%
t = sp.symbols("t", positive=True)
z = t + 1 / t
root = t**2 - 1 / t**2  # of (z² - 2)² - 4
assert sp.expand(root**2 - ((z**2 - 2) ** 2 - 4)) == 0
D = (z**2 - 2 - root) / 2
assert sp.simplify(D - 1 / t**2) == 0

# %% [markdown]
# At $t=1$ the edit reaches the edge, $z=2$, and below it hides among the base's own directions.
# With a merge coefficient $c$, $t=c\,s$: the mean of $K$ adapters hides every edit weaker than $K$.
#
# **Step 5: overlap that no design avoids.** $K$ adapters of rank one read unit directions $p_i$ in
# a plane. Add up the projections, $S=\sum_ip_ip_i^\top$. Its trace is $K$ and its squared norm
# counts all squared cosines, so $\sum_{i\ne j}\cos^2=\|S\|_F^2-K$. How small can $\|S\|_F^2$ be?

# %%
K, alpha, beta = sp.symbols("K alpha beta", real=True)
S = sp.Matrix([[alpha, beta], [beta, K - alpha]])
energy = sum(entry**2 for entry in S)
assert sp.expand(energy - K**2 / 2 - 2 * (alpha - K / 2) ** 2 - 2 * beta**2) == 0
assert sp.simplify((K**2 / 2 - K) / (K * (K - 1)) - (K - 2) / (2 * (K - 1))) == 0

# %% [markdown]
# It is least where $S$ is a multiple of the identity, and then the mean squared cosine is
# $\frac{K-2}{2(K-1)}$: nothing for two adapters, a quarter for three, and for many the half that
# unrelated directions have anyway. In width $n$ with rank $r$: $\frac{Kr-n}{n(K-1)}$ of the rank.
#
# **Step 6: how many a sum holds.** Foreign adapters move the difference of two logits by
# $\langle w,x\rangle$, $w$ the sum of their rows. For white inputs of mean squared length 1 this is
# normal with variance $\|w\|^2/n$, and $K-1$ rows of length $\sigma$ at right angles make
# $\|w\|^2=(K-1)\sigma^2$. Let the margin $\gamma$ be $z$ standard deviations and solve.

# %%
n, z, gamma, others = sp.symbols("n z gamma k", positive=True)
[number] = sp.solve(gamma * sp.sqrt(n) / (sigma * sp.sqrt(others)) - z, others)
assert sp.simplify(number - n * (gamma / (sigma * z)) ** 2) == 0

# %% [markdown]
# **Step 7: one after another.** The first adapter writes $a$ at the key $p$. The second is trained
# *on top*: at its own key $q$ it adds what is missing to $b$, the wanted answer there, and so takes
# away what the first said. What is left at $p$, along $a$?

# %%
a, b = sp.Matrix([1, 0]), sp.Matrix([0, 1])
both = a * p.T + (b - a * p.dot(q)) * q.T
assert sp.simplify((both * q - b).dot(both * q - b)) == 0
assert sp.simplify((both * p).dot(a) - sp.sin(theta) ** 2) == 0

# %% [markdown]
# By step 3 the mean of $\sin^2\theta$ is $1-\frac1n$: each later adapter of rank $r$ leaves
# $1-\frac rn$, and $m$ of them $(1-\frac rn)^m$.
#
# **Step 8: a base that changed.** An edit leads token $j$ by the margin $m$; $g$ is the difference
# of the two output vectors. A new base moves the state by $e$, and the margin by $g\cdot e$. The
# shortest $e$ that uses it up points along $-g$ and is $m/\|g\|$ long: the edit bears any move
# shorter than the least of these.

# %%
m = sp.symbols("m", positive=True)
g = sp.Matrix(sp.symbols("g_1 g_2", real=True))
e = -m * g / g.dot(g)
assert sp.simplify(e.dot(e) - m**2 / g.dot(g)) == 0
assert sp.simplify(m + g.dot(e)) == 0

# %% [markdown]
# ## Construct
# Row spaces at angles that we choose, and the worst adapter of that size, from `attain`: it answers
# with the whole bound.

# %%
rng = np.random.default_rng(0)
spaces = subspaces_at(rng, 40, np.radians([25.0, 60.0, 80.0]).tolist())
first, second = (LowRank(rng.standard_normal((30, 3)), space.T) for space in spaces)
case = interference_angle.Case(first, second)
worst = interference_angle.attain(case)
print("angles", np.degrees(row_angles(first, second)).round(1))
print(f"worst adapter answers {interference_angle.measure(case, worst):.4f}")
print(f"bound                 {interference_angle.bound(case):.4f}")

# %% [markdown]
# The adapter itself stays below: the direction of its largest response need not be the one at 25
# degrees. What it really answers at worst is as cheap to compute, so compute *that*. The cosine of
# the updates says hardly anything.

# %%
print(f"second adapter, worst key of the first: {crosstalk(first, second):.4f}")
print(f"the bound of the angle:                 {crosstalk_bound(first, second):.4f}")
print(f"cosine of the updates:                  {frobenius_cosine(first, second):+.4f}")

# %% [markdown]
# **Two real adapters**: invented persons and their countries, and the same countries' mascots,
# trained apart on a small language model. What does the second answer to the first's keys, over
# the module's own largest answer?

# %%
data = next(path for path in (Path("tests/data"), Path("../tests/data")) if path.is_dir())
diagnosis = lt.diagnose(lt.read(data / "persons"), lt.read(data / "mascots"))
shares = sorted(m.crosstalk for m in diagnosis.modules if min(m.ranks) > 0)
print(f"{len(shares)} modules: median {np.median(shares):.2f}, worst {shares[-1]:.2f}")

# %% [markdown]
# **A designed library.** Row spaces of rank 2 in width 8: up to four fit side by side. Designed,
# unrelated, and the floor.

# %%
for count in (4, 6, 12, 24):
    shelf = packing_floor.Case(count, 2, 8, np.zeros(1))
    designed, drawn = packing_floor.attain(shelf), np.random.default_rng(count)
    unrelated = np.linalg.qr(drawn.standard_normal((count, 8, 2)))[0]
    one, two = (packing_floor.measure(shelf, each) for each in (designed, unrelated))
    floor = packing_floor.bound(shelf)
    print(f"{count:2} adapters: {one:.3f} designed, {two:.3f} unrelated, floor {floor:.3f}")

# %% [markdown]
# Design pays for small libraries only. **One after another**, on 1,000 libraries in width 16: how
# strongly the first adapter's two facts are still answered, after more and more adapters.

# %%
for later in (0, 1, 4, 16):
    line = sequential_forgetting.Case(16, 2, later)
    taught = sequential_forgetting.rival(line, np.random.default_rng(later))
    kept = sequential_forgetting.measure(line, taught)
    print(f"after {later:2}: {kept:.3f}, on paper {sequential_forgetting.bound(line):.3f}")

# %% [markdown]
# ## Verify
# Row spaces unrelated, orthogonal and nearly equal, adapters over twelve decades of size; the
# rivals are the second adapter itself, random ones, and the optimum nudged.

# %%
for seed in range(150):
    rng = np.random.default_rng(seed)
    drawn = interference_angle.draw(rng, 8)
    assert interference_angle.THEOREM.check(drawn, interference_angle.attain(drawn)).tight
    assert interference_angle.THEOREM.check(drawn, interference_angle.rival(drawn, rng)).holds

# %% [markdown]
# An adversary that takes no angle projects back and forth between the two spaces. It finds the same
# number.

# %%
found = interference_angle.THEOREM.check(case, interference_angle.adversary(case, rng))
print(f"back and forth {found.value:.6f}, the angle says {found.bound:.6f}")
assert found.holds
assert np.isclose(found.value, found.bound)

# %% [markdown]
# Unrelated adapters: how often does the sum of several overturn a margin, against the bound? And
# six Gaussian bases of width 64 in each draw: does the edit show, as the cited law says?

# %%
for module in (random_interference, intruder_threshold):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        drawn = module.draw(rng, 8)
        assert module.THEOREM.check(drawn, module.rival(drawn, rng)).holds

# %% [markdown]
# The laws of steps 5 to 8: where a construction meets the bound, it is tight; samples and rivals
# obey.

# %%
for module in (packing_floor, sum_capacity, sequential_forgetting, carried_edit):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        drawn = module.draw(rng, 8)
        assert module.THEOREM.check(drawn, module.rival(drawn, rng)).holds
        if module.THEOREM.attain:
            assert module.THEOREM.check(drawn, module.attain(drawn)).tight

# %% [markdown]
# **What breaks it.** Keys that the first adapter does not read, adapters that are larger or read
# elsewhere; for the random law, adapters that share a direction instead of being turned apart.

# %%
for module in (interference_angle, random_interference, intruder_threshold):
    for control in module.CONTROLS:
        broken = module.THEOREM.judge(*control.example())
        print(f"{control.name:48} bound {broken.bound:.2f}, found {broken.value:.2f}")
        assert not broken.holds

# %% [markdown]
# ## Explore
# **Angles.** Two adapters of rank 3; one of the three angles moves, the other two stay right. Line:
# what the worst adapter answers. Dots: random ones in the same space, which are rarely the worst.


# %%
def share(rng: np.random.Generator, degrees: float) -> float:
    """What a random adapter answers at worst, over its norm; one angle is given, two are right."""
    one, two = subspaces_at(rng, 40, np.radians([degrees, 90, 90]).tolist())
    low = LowRank(rng.standard_normal((30, 3)), two.T)
    return crosstalk(LowRank(np.eye(3), one.T), low) / np.linalg.norm(low.up, 2)


print(f"at 40 degrees: {share(np.random.default_rng(0), 40.0):.2f} of its norm")

# %% [markdown]
# Many of them, at all angles:


# %%
def turned(degrees: float = 40.0):
    """Answers to the worst key against the angle; twelve more adapters at one of them."""
    rng, angles = np.random.default_rng(0), np.linspace(0.0, 90.0, 31)
    many, here = np.repeat(angles, 3), np.repeat(degrees, 12)
    curves = {
        "the worst: cos θ": (angles, np.cos(np.radians(angles))),
        "random ones": (many, [share(rng, angle) for angle in many]),
        f"at {degrees:g} degrees": (here, [share(rng, angle) for angle in here]),
    }
    points = list(curves)[1:]
    return lines.draw(curves, "angle (degrees)", "answer / norm", points=points, share=True)


turned()

# %% [markdown]
# Dots never cross the line. How far below they lie says how much a look at angles alone can
# mislead, and why the exact cross-talk is worth its three lines.

# %%
_ = interact(turned, degrees=FloatSlider(40, min=0, max=90, step=5, description="angle"))

# %% [markdown]
# **Intruders.** Merge an edit of strength $s$ into a Gaussian base of width 150 and move the merge
# coefficient: overlap of the top singular direction with the edit's, law and one draw.


# %%
def intruder(strength: float = 2.0):
    """Squared overlap with the edit against the coefficient."""
    rng, width = np.random.default_rng(0), 150
    base, u, v = rng.standard_normal((width, width)) / width**0.5, *np.eye(2, width)
    coefficients = np.linspace(0.05, 1.5, 16).tolist()
    tops = [np.linalg.svd(base + c * strength * np.outer(u, v))[0][:, 0] for c in coefficients]
    found = [(top @ u) ** 2 for top in tops]
    law = [intruder_threshold.overlap(strength, c) for c in coefficients]
    curves = {"law": (coefficients, law), "one draw": (coefficients, found)}
    curves["mean of two"] = (0.5, 0.5), (0.0, 1.0)
    return lines.draw(curves, "coefficient", "squared overlap", points=["one draw"], share=True)


intruder()

# %% [markdown]
# The upright line is the mean of two. Find the strength at which the mean just hides the edit, and
# compare with the strength at which the edit's *answer* survives the mean (notebook 02: $s=1$ in
# units of the old fact's margin). Different units, different thresholds: a clean spectrum proves
# nothing about answers.

# %%
_ = interact(intruder, strength=FloatSlider(2.0, min=0.5, max=6, step=0.25, description="s"))

# %% [markdown]
# ## What this does not say
# - **A ceiling is not a prediction.** The worst key of a space may be one that no prompt produces.
# - **One module at a time.** Adapters in different layers disturb each other through what flows
#   between them.
# - **Trained adapters are not turned at random.** They read the same stream and share directions;
#   in the experiment `interference` they cost a two-hop question more than noise of their norms
#   does.
# - **Trained weights are not Gaussian**, so their intruders have another threshold.
# - **Silence is not composition.** Adapters that do not disturb each other at all still lose the
#   two-hop answer when averaged (notebook 02).

# %% [markdown]
# ## Exercises
# Replace `None` by your answer and run the cell: silence means right.
#
# **1.** The first adapter reads the plane of axes 1 and 2, the second writes with norm 3 what it
# reads along $(1,1,1)/\sqrt3$. How large is its response at the worst unit key of the first?

# %%
mine = None
plane = LowRank(np.eye(2), np.eye(3)[:2])
diagonal = LowRank(np.array([[3.0], [0.0]]), np.ones((1, 3)) / 3**0.5)
wanted = crosstalk(plane, diagonal)
assert mine is None or abs(mine - wanted) < 2e-3, "not yet: project the direction onto the plane"

# %% [markdown]
# <details><summary>Solution</summary>
#
# The projection of $(1,1,1)/\sqrt3$ onto the plane has length $\sqrt{2/3}$: $3\sqrt{2/3}=2.449$.
#
# ```python
# mine = 3 * (2 / 3) ** 0.5
# ```
#
# </details>

# %% [markdown]
# **2.** A read has width 1,024. Unrelated adapters edit 8 orthonormal keys each by unit responses.
# How many stand side by side when the others' energy equals the edit's own?

# %%
mine = None
wanted = next(k for k in range(2, 2000) if random_interference.energy(k, 8, 1024) >= 1)
assert mine is None or mine == wanted, "not yet: where does the others' total rank meet the width?"

# %% [markdown]
# <details><summary>Solution</summary>
#
# $(K-1)\cdot8/1024=1$ at $K=129$.
#
# ```python
# mine = 129
# ```
#
# </details>

# %% [markdown]
# **3.** Two updates have Frobenius inner product zero. Must adding the second leave the answers of
# the first alone? Answer `True` or `False`.

# %%
mine = None
one, two = LowRank(np.eye(2)[:, :1], np.eye(2)[:1]), LowRank(np.eye(2)[:, 1:], np.eye(2)[:1])
wanted = frobenius_cosine(one, two) == 0 and crosstalk(one, two) == 0
assert mine is None or mine == wanted, "not yet: look at step 2 again"

# %% [markdown]
# <details><summary>Solution</summary>
#
# No: the two read the same direction and write at right angles. Their inner product is zero, and
# the second answers the first's key in full.
#
# ```python
# mine = False
# ```
#
# </details>

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 90 minutes: 45 for the derivation (steps 5 to 8 can wait for a second lecture), 20 for
# the two explorations, 25 for exercises.
#
# **Ask.** Before step 2: you are told that two adapters have cosine zero; are you relieved? At the
# real adapters: both were trained on other facts, so why are they not nearly orthogonal? At the
# intruders: name an edit that shows in the spectrum and is lost in the answers, and the reverse.
#
# **Common wrong answers.** "Orthogonal updates do not interfere": the rows must be orthogonal, not
# the updates. "Small angle means disturbance": only a large response *there* does. "No intruder
# dimension, so the merge is safe": it may just be weak.
#
# </details>
