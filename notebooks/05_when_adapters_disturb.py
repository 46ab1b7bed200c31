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
# You add a second adapter, and the model sometimes answers the facts of the first adapter wrongly.
# Can you predict this from the weights alone? In practice people look at cosines between updates
# and at singular values (spectra). They also look for *intruder dimensions*: leading singular
# vectors of the adapted weight that resemble no singular vector of the base. Which of these
# quantities should you look at?
#
# **Main idea.** Compute the second adapter's response to the keys of the first adapter. This
# response limits how much the second adapter can disturb the first. Cosines and spectra do not show
# the response.
#
# **Mechanism.** An adapter $\Delta=BA$ reads its input through the rows of $A$. If the rows of two
# adapters are orthogonal, the second adapter does not respond to the keys of the first. If both
# adapters read the same direction, the second adapter may respond with full strength.
#
# **A common misconception.** "The two updates are orthogonal, so the adapters do not disturb each
# other." Two updates are orthogonal whenever they *write* orthogonal directions. Both updates may
# still *read* the same key.
#
# **After this notebook** you can compute how one adapter responds to the keys of another adapter.
# You can say why cosines and spectra do not show this response, and how many adapters fit into one
# sum.
#
# **Claim** (`thm:interference-angle`). The keys that the first adapter reads lie in its *row
# space*, the span of the rows of $A$ in $\Delta_1=BA$. At a key of length 1 in this row space, the
# response of the second adapter has at most the length
#
# $$\sigma_1(\Delta_2)\,\cos\theta,$$
#
# where $\sigma_1(\Delta_2)$ is the largest singular value of the second adapter and $\theta$ is the
# smallest angle between the two row spaces. For some second adapters the response has exactly this
# length. If the row spaces are orthogonal, the response is zero. The cosine between the two
# updates, flattened to vectors, does *not* show the response. This cosine can be zero although the
# second adapter responds with full strength.
#
# The notebook also answers five related questions:
#
# - How much do many unrelated adapters together disturb a fact, if each of them disturbs it only a
#   little (`thm:random-interference`)?
# - When does an edit show in the spectrum of the merged weight (`thm:intruder-threshold`, from the
#   literature)?
# - How much must the row spaces of a *library*, a set of adapters, overlap (`thm:packing-floor`)?
# - How many adapters can be added before answers go wrong, if inputs are normally distributed and
#   alike in all directions (step 6)?
# - What is left of an adapter after other adapters were trained on top of it
#   (`thm:sequential-forgetting`)?
#
# The notebook runs in about 15 s on two cores. You need the singular value decomposition and
# angles.

# %%
from pathlib import Path

import numpy as np
import sympy as sp
from ipywidgets import FloatSlider

import loratheory as lt
from loratheory.adapters import crosstalk, crosstalk_bound, frobenius_cosine
from loratheory.exercises import explore, judge
from loratheory.figures import draw
from loratheory.lowrank import LowRank, principal_angles, subspaces_at
from loratheory.theorems import theorem
from loratheory.theorems.libraries import interference, sequential_forgetting
from loratheory.theorems.merging import intruder_threshold

# %% [markdown]
# ## Derive
# **Step 1: two adapters of rank one.** The first adapter reads the direction $p=(1,0)$, which is
# its key. The second adapter reads a direction $q$ at the angle $\theta$ to $p$ and writes with
# strength $\sigma$. The next cell computes the second adapter's response to the key $p$.

# %%
theta, sigma = sp.symbols("theta sigma", positive=True)
p, q = sp.Matrix([1, 0]), sp.Matrix([sp.cos(theta), sp.sin(theta)])
one, other = sp.Matrix([1, 0]), sp.Matrix([0, 1])  # the directions that the adapters write
second = sigma * other * q.T
answer = second * p
display(answer)
assert sp.simplify(answer.dot(answer) - (sigma * sp.cos(theta)) ** 2) == 0

# %% [markdown]
# **Step 2: the cosine of the updates does not show the response.** Flatten the two updates to
# vectors. The cosine between the updates is a product of *two* cosines. One is between the
# directions that the updates write, the other between the directions that they read. Here the
# updates write orthogonal directions, so their inner product is zero at every $\theta$. It is zero
# even at $\theta=0$, where the second adapter responds with full strength:

# %%
first = one * p.T
inner = sum(a * b for a, b in zip(first, second, strict=True))
display(inner, answer.subs(theta, 0))
assert inner == 0

# %% [markdown]
# **Step 3: unrelated adapters.** Rotate the direction $q$ at random. In three dimensions the angle
# $\theta$ has the density $\frac12\sin\theta$ on $[0,\pi]$. The next cell computes the mean of
# $\cos^2\theta$.

# %%
mean = sp.integrate(sp.cos(theta) ** 2 * sp.sin(theta) / 2, (theta, 0, sp.pi))
display(mean)
assert mean == sp.Rational(1, 3)

# %% [markdown]
# On average, the squared length of a random unit vector is spread equally over all axes. Each axis
# gets $1/3$ in three dimensions, and $1/n$ in $n$ dimensions. Now take $K-1$ unrelated adapters of
# rank $r$ with unit singular values. The *energy* of a response is its squared length. At a unit
# key, the energies of the $K-1$ responses add up to $(K-1)r/n$ on average.
#
# **Step 4: when a spectrum shows an edit.** The singular values of a large Gaussian base, scaled
# suitably, fill the interval $[0,2]$. Add an edit of strength $t$: a matrix of rank one with the
# singular value $t$. The edit shows as a separate singular value $z>2$ if $z$ solves the equation
# $D(z)=1/t^2$, with $D(z)=\frac12\bigl(z^2-2-\sqrt{(z^2-2)^2-4}\bigr)$. We take this equation from
# the literature (Benaych-Georges and Nadakuditi, 2012) and only solve it. Try $z=t+1/t$. For $t>1$
# the square root is then $t^2-1/t^2$, and the next cell computes $D(z)$.

# %%
t = sp.symbols("t", positive=True)
z = t + 1 / t
root = t**2 - 1 / t**2  # of (z² - 2)² - 4
assert sp.expand(root**2 - ((z**2 - 2) ** 2 - 4)) == 0
D = (z**2 - 2 - root) / 2
display(sp.simplify(D))
assert sp.simplify(D - 1 / t**2) == 0

# %% [markdown]
# So $z=t+1/t$ solves the equation. At $t=1$ this singular value is 2, the edge of the interval. A
# weaker edit cannot be seen among the singular values of the base. A merge with coefficient $c$
# reduces an edit of strength $s$ to $t=c\,s$. The mean of $K$ adapters has $c=\frac1K$, so it hides
# every edit with $s<K$.
#
# **Step 5: overlap that no design avoids.** $K$ adapters of rank one read the unit directions $p_i$
# in a plane. Let $S=\sum_ip_ip_i^\top$ be the sum of the projections on these directions. The trace
# of $S$ is $K$. The squared norm of $S$ is the sum of the squared cosines over all pairs $(i,j)$.
# The $K$ pairs with $i=j$ have cosine 1, so $\sum_{i\ne j}\cos^2=\|S\|_F^2-K$. How small can
# $\|S\|_F^2$ be? Write $\alpha$ and $K-\alpha$ for the diagonal entries of $S$, and $\beta$ for the
# other two entries. The next cell displays $\|S\|_F^2-\frac{K^2}2$.

# %%
K, alpha, beta = sp.symbols("K alpha beta", real=True)
S = sp.Matrix([[alpha, beta], [beta, K - alpha]])
energy = sum(entry**2 for entry in S)
display(sp.expand(energy - K**2 / 2))
assert sp.expand(energy - K**2 / 2 - 2 * (alpha - K / 2) ** 2 - 2 * beta**2) == 0
assert sp.simplify((K**2 / 2 - K) / (K * (K - 1)) - (K - 2) / (2 * (K - 1))) == 0

# %% [markdown]
# This difference is a sum of two squares, $2(\alpha-\frac K2)^2+2\beta^2$, so $\|S\|_F^2$ is at
# least $\frac{K^2}2$. The mean squared cosine of two different directions is then at least
# $\frac{K-2}{2(K-1)}$. This bound is 0 for two adapters and ¼ for three. For very many adapters the
# bound tends to ½, which is the mean squared cosine of unrelated directions.
#
# The same steps work for rank $r$ in width $n$. The *overlap* of two row spaces is the mean of the
# $r$ squared cosines of the angles between them. The mean overlap in a library is at least
# $\frac{Kr-n}{n(K-1)}$.
#
# **Step 6: how many adapters a sum holds.** Let one adapter give the right token a higher score
# than another token at an input $x$. The *margin* $\gamma$ is the difference of the two scores. The
# update of each adapter has one row for each token. Any other adapter changes the margin by the
# inner product of $x$ with the difference of its two rows. All other adapters together change the
# margin by $\langle w,x\rangle$, where $w$ is the sum of these row differences.
#
# Let the inputs $x$ be normally distributed, alike in all directions, with mean squared length 1.
# Then the change of the margin is normally distributed with variance $\|w\|^2/n$. If all row
# differences have the length $\sigma$ and are orthogonal, $\|w\|^2=(K-1)\sigma^2$. The margin
# should equal $d$ standard deviations of its change. The next cell computes how many other
# adapters, $k=K-1$, are allowed.

# %%
n, d, gamma, others = sp.symbols("n d gamma k", positive=True)
[number] = sp.solve(gamma * sp.sqrt(n) / (sigma * sp.sqrt(others)) - d, others)
display(sp.Eq(others, number))
assert sp.simplify(number - n * (gamma / (sigma * d)) ** 2) == 0

# %% [markdown]
# **Step 7: one after another.** The first adapter writes the value $a$ at the key $p$. The second
# adapter is trained *on top* of the first, so that both adapters together write $b$ at the key $q$.
# So the second adapter also removes the first adapter's response at $q$. How much of the value $a$
# is left at $p$, if $\theta$ is the angle between $p$ and $q$?

# %%
a, b = sp.Matrix([1, 0]), sp.Matrix([0, 1])
both = a * p.T + (b - a * p.dot(q)) * q.T
display(sp.simplify((both * p).dot(a)))
assert sp.simplify((both * q - b).dot(both * q - b)) == 0
assert sp.simplify((both * p).dot(a) - sp.sin(theta) ** 2) == 0

# %% [markdown]
# For unrelated keys, the mean of $\sin^2\theta$ is $1-\frac1n$ by step 3. So on average each later
# adapter of rank $r$ leaves the share $1-\frac rn$ of the first adapter's response. After $j$ later
# adapters the share is $(1-\frac rn)^j$.

# %% [markdown]
# ## Construct
# We choose the angles between two row spaces. `attain` returns the worst adapter that reads the
# second row space. The length of its response equals the bound.

# %%
rng = np.random.default_rng(0)
spaces = subspaces_at(rng, 40, np.radians([25.0, 60.0, 80.0]).tolist())
first, second = (LowRank(rng.standard_normal((30, 3)), space.T) for space in spaces)
case = interference.Case(first, second)
worst = interference.attain(case)
angles = principal_angles(first.row_space(), second.row_space())
print("angles (degrees)", np.degrees(angles).round(1))
print(f"response of the worst adapter {interference.measure(case, worst):.4f}")
print(f"bound                         {interference.bound(case):.4f}")

# %% [markdown]
# The response of a given adapter is usually below the bound. The smallest angle here is 25 degrees,
# but the adapter may respond most to a direction at another angle. Its largest response to a key of
# the first adapter can be computed exactly, at the same cost as the bound. So compute this
# response. The cosine of the updates does not show the response.

# %%
print(f"largest response to a key of the first: {crosstalk(first, second):.4f}")
print(f"bound from the angle:                   {crosstalk_bound(first, second):.4f}")
print(f"cosine of the updates:                  {frobenius_cosine(first, second):+.4f}")

# %% [markdown]
# **Two real adapters.** They were trained separately on a small language model. The first adapter
# holds the countries of invented people. The second adapter holds the mascots of these countries.
# In each weight matrix that both adapters change (*module*) we compute the second adapter's largest
# response to a unit key of the first adapter. We divide it by the second adapter's largest response
# to any unit input. The cell prints the median and the largest of these ratios.

# %%
data = next(path for path in (Path("tests/data"), Path("../tests/data")) if path.is_dir())
persons, mascots = (lt.read_adapter(data / name) for name in ("persons", "mascots"))
both = [name for name in persons if name in mascots]
shares = sorted(crosstalk(persons[m], mascots[m]) / mascots[m].spectral_norm for m in both)
print(f"{len(shares)} modules: median {np.median(shares):.2f}, largest {shares[-1]:.2f}")

# %% [markdown]
# **A designed library.** In width 8, up to four row spaces of dimension 2 can be orthogonal to each
# other. The cell prints the mean overlap of designed row spaces and of unrelated row spaces, for
# libraries of four sizes. It also prints the bound of step 5.

# %%
for count in (4, 6, 12, 24):
    library = interference.Packed(count, 2, 8, np.zeros(1))
    designed, drawn = interference.attain_packing(library), np.random.default_rng(count)
    unrelated = np.linalg.qr(drawn.standard_normal((count, 8, 2)))[0]
    one, two = (interference.measure_packing(library, each) for each in (designed, unrelated))
    floor = interference.bound_packing(library)
    print(f"{count:2} adapters: {one:.3f} designed, {two:.3f} unrelated, bound {floor:.3f}")

# %% [markdown]
# A design of the row spaces helps only in small libraries.
#
# **One after another.** The first adapter holds two facts. How much of its response is left after
# more and more adapters were trained on top? We compare the mean over 1,000 libraries of width 16
# with the formula of step 7.

# %%
for later in (0, 1, 4, 16):
    line = sequential_forgetting.Case(16, 2, later)
    later_trained = sequential_forgetting.rival(line, np.random.default_rng(later))
    kept = sequential_forgetting.measure(line, later_trained)
    formula = sequential_forgetting.bound(line)
    print(f"after {later:2} more adapters: share left {kept:.3f}, formula {formula:.3f}")

# %% [markdown]
# ## Verify
# In the random cases the row spaces are unrelated, orthogonal or nearly equal. The adapters have
# sizes from $10^{-6}$ to $10^6$. Rivals are the second adapter itself, random adapters, and small
# changes of the worst key.

# %%
for seed in range(150):
    rng = np.random.default_rng(seed)
    drawn = interference.draw(rng, 8)
    assert interference.THEOREM.check(drawn, interference.attain(drawn)).tight
    assert interference.THEOREM.check(drawn, interference.rival(drawn, rng)).holds

# %% [markdown]
# The adversary computes no angle. It projects a key back and forth between the two row spaces. The
# response that it finds equals the bound.

# %%
found = interference.THEOREM.check(case, interference.adversary(case, rng))
print(f"adversary {found.value:.6f}, bound from the angle {found.bound:.6f}")
assert found.holds
assert np.isclose(found.value, found.bound)

# %% [markdown]
# Two theorems are about random matrices. For the first theorem we count how often a sum of
# unrelated adapters turns a margin negative, and compare this share with the bound. For the second
# theorem we add an edit to Gaussian bases of width 64. We check how similar the top singular vector
# of the sum is to that of the edit.

# %%
for claim in map(theorem, ("random-interference", "intruder-threshold")):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.rival(drawn, rng)).holds

# %% [markdown]
# Now we check the theorems of steps 5 and 7. Rivals and random samples stay within the bounds. If a
# theorem has a construction, the construction reaches the bound.

# %%
for claim in map(theorem, ("packing-floor", "sequential-forgetting")):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.rival(drawn, rng)).holds
        if claim.attain:
            assert claim.check(drawn, claim.attain(drawn)).tight

# %% [markdown]
# **What breaks it.** The bound from the angle fails for keys that the first adapter does not read.
# It also fails if the second adapter is larger than assumed or has another row space. The bound for
# unrelated adapters fails if, for instance, all adapters read the same key.

# %%
for claim in map(theorem, ("interference-angle", "random-interference", "intruder-threshold")):
    for control in claim.controls:
        broken = claim.judge(*control.example())
        print(f"{control.name:48} bound {broken.bound:.2f}, found {broken.value:.2f}")
        assert not broken.holds

# %% [markdown]
# ## Explore
# **Angles.** There are two adapters of rank 3. You change one of the three angles between their row
# spaces. The other two angles are right angles. We compute the largest response of the second
# adapter to a key of the first. The next cell prints this response for one random adapter.


# %%
def share(rng: np.random.Generator, degrees: float) -> float:
    """A random adapter's largest response over its norm; one angle is given, two are 90°."""
    one, two = subspaces_at(rng, 40, np.radians([degrees, 90, 90]).tolist())
    low = LowRank(rng.standard_normal((30, 3)), two.T)
    return crosstalk(LowRank(np.eye(3), one.T), low) / np.linalg.norm(low.up, 2)


print(f"response / norm at 40 degrees: {share(np.random.default_rng(0), 40.0):.2f}")

# %% [markdown]
# In the figure, the line shows the response of the worst adapter. The dots show the responses of
# many random adapters with the same row space:


# %%
def turned(degrees: float = 40.0):
    """Largest response against the angle, with twelve more adapters at the given angle."""
    rng, angles = np.random.default_rng(0), np.linspace(0.0, 90.0, 31)
    many, here = np.repeat(angles, 3), np.repeat(degrees, 12)
    curves = {
        "worst adapter: cos θ": (angles, np.cos(np.radians(angles))),
        "random adapters": (many, [share(rng, angle) for angle in many]),
        f"twelve at {degrees:g} degrees": (here, [share(rng, angle) for angle in here]),
    }
    points = list(curves)[1:]
    return draw(curves, "angle (degrees)", "response / norm", points=points, share=True)


turned()

# %% [markdown]
# No dot lies above the line, and many dots lie far below it. The angle gives only an upper limit.
# The function `crosstalk` computes the response itself.

# %%
explore(turned, degrees=FloatSlider(40, min=0, max=90, step=5, description="angle"))

# %% [markdown]
# **Intruders.** Merge an edit of strength $s$ into a Gaussian base of width 150, with various merge
# coefficients. How similar is the first singular vector of the merged matrix to the singular vector
# of the edit? The figure shows the squared overlap of the two vectors: a formula from the
# literature, and one random draw.


# %%
def intruder(strength: float = 2.0):
    """Squared overlap with the edit's singular vector against the coefficient."""
    rng, width = np.random.default_rng(0), 150
    base, u, v = rng.standard_normal((width, width)) / width**0.5, *np.eye(2, width)
    coefficients = np.linspace(0.05, 1.5, 16).tolist()
    tops = [np.linalg.svd(base + c * strength * np.outer(u, v))[0][:, 0] for c in coefficients]
    found = [(top @ u) ** 2 for top in tops]
    law = [intruder_threshold.overlap(strength, c) for c in coefficients]
    curves = {"formula": (coefficients, law), "one draw": (coefficients, found)}
    curves["mean of two"] = (0.5, 0.5), (0.0, 1.0)
    return draw(curves, "merge coefficient", "squared overlap", points=["one draw"], share=True)


intruder()

# %% [markdown]
# The vertical line marks the mean of two adapters, with coefficient ½. Find the strength below
# which the mean hides the edit. In notebook 02 a single fact survives the mean of two adapters if
# the strength of its edit exceeds 1. In notebook 02 the unit of strength is the lead that the old
# answer had before the edit. In this notebook the unit comes from the singular values of the base.
# The two strengths are different numbers, so the spectrum of a merge does not show which answers
# survive.

# %%
explore(intruder, strength=FloatSlider(2.0, min=0.5, max=6, step=0.25, description="strength s"))

# %% [markdown]
# ## What this does not say
# - **A bound is not a prediction.** Perhaps no prompt produces the worst key of a row space.
# - **One module at a time.** Adapters in different layers also disturb each other, because later
#   layers read the output of earlier ones. The bound does not cover this.
# - **Trained adapters are not rotated at random.** They read the same residual stream. In an
#   earlier experiment (`interference`, commit 80181100), trained adapters destroy more two-hop
#   answers than random matrices of the same norms do.
# - **Trained weights are not Gaussian.** In the spectrum of trained weights, an edit starts to show
#   at another strength.
# - **Two hops need more.** Two adapters may not disturb each other at all, and their mean can still
#   lose the two-hop answer (notebook 02).

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether your
# answer is right. If your answer is wrong, the cell prints why. A number is right if it is within
# 1% of the solution, a count if it is equal.
#
# **1.** *(easy, 5 minutes)* The first adapter reads the plane of axes 1 and 2. The second adapter
# has rank one and norm 3, and reads the direction $(1,1,1)/\sqrt3$. How long is the longest
# response of the second adapter to a unit key of the first?

# %%
mine = None
judge("05.1", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which unit vector of the plane is closest to the direction $(1,1,1)/\sqrt3$? The second adapter
# responds most to this key.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# For rank one, the longest response is $\sigma_1(\Delta_2)\cos\theta$, as in the claim. Here
# $\cos\theta$ is the length of the projection of $(1,1,1)/\sqrt3$ onto the plane.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The projection of $(1,1,1)/\sqrt3$ onto the plane has length $\sqrt{2/3}$. The norm of the second
# adapter is 3, so the response has length $3\sqrt{2/3}=2.449$.
#
# ```python
# mine = 3 * (2 / 3) ** 0.5
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* In width 1,024, unrelated adapters edit 8 orthonormal keys each, with
# responses of norm 1. At an edited key, the adapter that edits this key responds with energy 1. All
# other adapters respond as well. How many adapters must a sum have, so that the energies of their
# responses add up to 1 on average?

# %%
mine = None
judge("05.2", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# At a unit key, all $K-1$ other adapters respond. Step 3 says how large the sum of their energies
# is on average.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Set $(K-1)\frac rn$ to 1 and solve for $K$. The number $K$ includes the adapter that edits the
# key.
#
# </details>
#
# <details><summary>Solution</summary>
#
# By step 3 the energies of the other responses add up to $(K-1)\cdot8/1024$ on average. This sum is
# 1 at $K=129$.
#
# ```python
# mine = 129
# ```
#
# </details>

# %% [markdown]
# **3.** *(easy, 5 minutes)* The inner product of two updates, flattened to vectors, is zero. Now
# you add the second update to the first. Do the responses at the keys of the first update always
# stay the same? Answer `True` or `False`.

# %%
mine = None
judge("05.3", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Step 2 has two updates whose inner product is zero. How does the second of them respond to the key
# of the first?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The inner product of two updates of rank one is a product of two cosines: of the written
# directions and of the read directions. Which of the two must be zero, so that there is no
# response?
#
# </details>
#
# <details><summary>Solution</summary>
#
# No. Two updates may read the same direction and write at right angles. Then their inner product is
# zero, but the second update responds to the key of the first with full strength.
#
# ```python
# mine = False
# ```
#
# </details>

# %% [markdown]
# **4.** *(medium, 15 minutes, code)* Write an adversary. Given two adapters (`LowRank`s with
# factors `up` and `down`), return the key of the first adapter to which the second adapter responds
# most. The response at your key may be at most 1% below the maximum. A key of the first adapter is
# a vector in its row space, the span of the rows of `down`.


# %%
def mine(first, second):
    return None


judge("05.4", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Let the columns of $Q$ be an orthonormal basis of the first adapter's row space;
# `first.row_space()` returns $Q$. Then every unit key of the first adapter is $Qz$ with a unit
# vector $z$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# You look for the unit vector $z$ that makes $\|\Delta_2Qz\|$ largest. The singular value
# decomposition of $\Delta_2Q$ has this vector.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Multiply the second adapter by an orthonormal basis of the first adapter's row space. The first
# right singular vector of the product has the coordinates of the worst key in this basis.
#
# ```python
# def mine(first, second):
#     basis = first.row_space()
#     return basis @ np.linalg.svd(second @ basis)[2][0]
# ```
#
# </details>

# %% [markdown]
# **5.** *(easy, 10 minutes, code)* Design a library of adapters of rank one. Return an array whose
# rows are `count` unit vectors in a plane, the directions that the adapters read. Their mean
# overlap must be the least that step 5 allows.


# %%
def mine(count):
    return None


judge("05.5", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# By step 5 the overlap is least if $S=\sum_ip_ip_i^\top$ is a multiple of the identity.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Let $p_i$ have the angle $\varphi_i$. Then $S$ is a multiple of the identity if the unit vectors
# with the *doubled* angles $2\varphi_i$ add up to zero.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Use lines at equal angles. A direction and its opposite have the same row space, so divide 180
# degrees by `count`, and not 360 degrees.
#
# ```python
# def mine(count):
#     angles = np.pi * np.arange(count) / count
#     return np.stack([np.cos(angles), np.sin(angles)], axis=1)
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Shuttleworth et al., [*LoRA vs full fine-tuning: an illusion of
#   equivalence*](https://arxiv.org/abs/2410.21228). Measures intruder dimensions in trained models.
# - Benaych-Georges and Nadakuditi, [*The singular values and vectors of low rank perturbations of
#   large rectangular random matrices*](https://arxiv.org/abs/1103.2221). The theorem that step 4
#   cites.
# - Conway, Hardin and Sloane, [*Packing lines, planes, etc.*](https://arxiv.org/abs/math/0208004).
#   How to choose lines and planes that overlap as little as possible.
# - Stoica et al., [*Model merging with SVD to tie the KnOTS*](https://arxiv.org/abs/2410.19735). A
#   merge that first expresses all adapters in shared directions.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 90 minutes: 45 for the derivation (steps 5 to 7 can wait for a second lecture), 20 for
# the two explorations, 25 for exercises 1 to 4. Exercise 5 is homework.
#
# **Ask.** Before step 2: the updates of two adapters have cosine zero; is the merge safe? At the
# real adapters: they were trained on different facts, so why are they not nearly orthogonal? At the
# intruders: find an edit that shows in the spectrum although its answer is lost, and an edit that
# does not show although its answer survives.
#
# **Common wrong answers.** "Orthogonal updates do not interfere": the row spaces must be
# orthogonal, not the updates. "At a small angle the adapters disturb each other": they do so only
# if the response in that direction is large. "No intruder dimension, so the merge is safe": the
# edit may be too weak to show.
#
# </details>
