# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What can a router know?
#
# ## Question
# A library of adapters, no data, and a token comes in. A router must say which adapters act, and
# how much of each. It knows the token's activation and the adapters' weights. Is that enough?
# Arrow (arXiv 2405.11157) compares the token with each adapter's *top singular direction*. What
# does it miss, and how good could the best router be?
#
# **Claims.**
#
# 1. $E$ adapters edit $N$ keys each, all $EN$ orthonormal, one a little stronger than the others:
#    Arrow sees one key of each and guesses on the rest, so it picks the right adapter with
#    probability $\frac1N+(1-\frac1N)\frac1E$ (`thm:arrow-blind-spot`). Near a prototype it is
#    right within half the angle to the next one (`thm:arrow-margin`).
# 2. The length of the adapter's own response is right on every such key. For a foreign query, and
#    normal keys, its law is known (`thm:gate-detection`): false alarms fall exponentially with the
#    width.
# 3. Knowing *everything* is not enough for a router that gives convex weights, the same throughout
#    a pass: over old facts its best two-hop margin is $-\varphi^{-4}=-0.146$
#    (`thm:routing-reach`).
# 4. Where the inputs of two adapters overlap, no router tells them apart: of $K$ equally likely
#    keys of length $s$ at cosine $\rho$, inputs normal about them with unit variance, it finds the
#    right one with probability $\mathrm E\,\Phi(z+s\sqrt{1-\rho})^{K-1}$ at best
#    (`thm:router-limit`).
# 5. A threshold set at the largest of $N$ foreign responses lets false alarms exceed the rate
#    $\alpha$ with probability $(1-\alpha)^N$, whatever their continuous law
#    (`thm:threshold-samples`).
# 6. If a router may mix adapters, it is left with at least half the squared error of one that must
#    choose (`thm:soft-routing`, `thm:hard-routing`). And inputs that say $I$ nats about their
#    adapter let none be right with probability $P$ among more than $(2e^I)^{1/P}$ equally likely
#    adapters (`thm:router-information`).
#
# Runs in about 15 s on two cores. You need singular vectors and notebook 02's result: composing
# needs $c_1(1+c_2)>1$ and $c_2>\frac12$.

# %%
# %matplotlib inline
import numpy as np
import sympy as sp
from ipywidgets import FloatSlider, IntSlider, interact

from loratheory.adapters import arrow_scores, response_scores, subspace_scores
from loratheory.figures import lines
from loratheory.lowrank import orthonormal
from loratheory.theorems import arrow_blind_spot, gate_detection, routing_reach, theorem
from loratheory.theorems.routing import router_limit, threshold_samples

# %% [markdown]
# ## Derive
# **Step 1: the blind spot.** An adapter edits two orthonormal keys with strengths $s_1>s_2$. What
# it reads is $\Delta^\top\Delta=s_1^2\,k_1k_1^\top+s_2^2\,k_2k_2^\top$. The stronger key is its top
# direction, and the other key is at right angles to that, so it scores *zero*: not little, nothing.

# %%
a, s1, s2 = sp.symbols("a s_1 s_2", positive=True)
k1 = sp.Matrix([sp.cos(a), sp.sin(a)])
k2 = sp.Matrix([-sp.sin(a), sp.cos(a)])
gram = s1**2 * k1 * k1.T + s2**2 * k2 * k2.T
assert sp.simplify(gram * k1 - s1**2 * k1) == sp.zeros(2, 1)
assert sp.simplify(k1.dot(k2)) == 0

# %% [markdown]
# Of $N$ keys one is seen, and on the rest all $E$ adapters tie at zero: claim 1. The response
# $\|\Delta k_2\|=s_2$ would have told, and costs one more product.
#
# **Step 2: how near is near.** At an angle $\phi$ from its own prototype, and $\theta-\phi$ from
# the nearest other one, the right score leads by a difference of two cosines. Written as a product
# it shows its sign: positive up to $\theta/2$ and not beyond.

# %%
phi, theta = sp.symbols("phi theta", real=True)
margin = sp.cos(phi) - sp.cos(theta - phi)
product = 2 * sp.sin(theta / 2) * sp.sin(theta / 2 - phi)
assert sp.simplify((margin - product).rewrite(sp.exp)) == 0

# %% [markdown]
# **Step 3: the best router of one unit.** Give the two adapters of a two-hop question weights $g$
# and $1-g$, the same throughout a pass. By notebook 02 the composed answer leads its two rivals by
# $-(1-g)^2$ and by $g-2g^2$. The first grows with $g$; the second falls, from ¼ on. The best $g$
# makes them equal.

# %%
g = sp.symbols("g", positive=True)
old, half_way = g * (2 - g) - 1, g * (1 - 2 * g)
assert sp.expand(old + (1 - g) ** 2) == 0
[best] = [root for root in sp.solve(old - half_way, g) if 0 < root < 1]
sp.Tuple(best, sp.simplify(old.subs(g, best)).evalf(4))

# %% [markdown]
# The golden ratio once more, $g=1/\varphi$, and the best margin is negative: *no* router of this
# kind composes, whatever it knows.

# %%
assert sp.simplify(best - 1 / sp.GoldenRatio) == 0
assert sp.simplify(old.subs(g, best) + sp.GoldenRatio**-4) == 0

# %% [markdown]
# **Step 4: inputs that overlap.** Suppose a router knew everything of two adapters: the inputs of
# each are normal with unit variance, about $+a$ and about $-a$ on the line through their keys. The
# best it can do is choose the larger density. The logarithms differ by $2ax$, so it decides by the
# sign of $x$, which is by the nearest key, and is right with probability $\Phi(a)$.

# %%
x, a = sp.symbols("x a", positive=True)
log_ratio = ((x + a) ** 2 - (x - a) ** 2) / 2
assert sp.expand(log_ratio - 2 * a * x) == 0

# %% [markdown]
# Keys of length $s$ at cosine $\rho$ are $s\sqrt{2(1-\rho)}$ apart, so $a=s\sqrt{(1-\rho)/2}$: what
# they have in common does not count. With more adapters the own score must beat $K-1$ foreign ones,
# hence the power in claim 4.

# %%
s, rho = sp.symbols("s rho", positive=True)
k1, k2 = sp.Matrix([s, 0]), s * sp.Matrix([rho, sp.sqrt(1 - rho**2)])
assert sp.simplify((k1 - k2).dot(k1 - k2) - 2 * s**2 * (1 - rho)) == 0

# %% [markdown]
# **Step 5: how many samples a threshold takes.** Put the threshold at the $j$-th largest of $N$
# foreign responses. Its rate of false alarms is above $\alpha$ exactly if it lies below the level
# that a response exceeds with probability $\alpha$: if fewer than $j$ of $N$ exceed that level.
# Only the count matters, not the law. For four samples and their largest:

# %%
alpha = sp.symbols("alpha", positive=True)
fewer = lambda j: sum(sp.binomial(4, i) * alpha**i * (1 - alpha) ** (4 - i) for i in range(j))
assert sp.expand(fewer(5) - 1) == 0
assert sp.expand(fewer(1) - (1 - alpha) ** 4) == 0

# %% [markdown]
# **Step 6: to mix or to choose.** Two adapters answer $(1,0)$ and $(0,1)$, and an input is the
# first one's with probability $p\ge\frac12$. Answer $(g_1,g_2)$ and complete the squares: the
# mixture $(p,1-p)$ is best and leaves $2p(1-p)$. To choose the first leaves $2(1-p)$, so mixing
# saves half where $p=\frac12$ and nothing where $p=1$.

# %%
p, g1, g2 = sp.symbols("p g_1 g_2", real=True)
error = p * ((g1 - 1) ** 2 + g2**2) + (1 - p) * (g1**2 + (g2 - 1) ** 2)
assert sp.expand(error - (g1 - p) ** 2 - (g2 - 1 + p) ** 2 - 2 * p * (1 - p)) == 0
assert sp.expand(error.subs({g1: 1, g2: 0}) - 2 * (1 - p)) == 0

# %% [markdown]
# **Step 7: how many can be told apart** (Fano). Let inputs name their adapter with probability $P$,
# else any other of $K$, each as often. Their information is $\ln K$ less what stays open: right or
# wrong, at most $\ln 2$ nats, and if wrong, which of $K-1$. The module proves that no inputs let a
# router be right so often with less. So $I\ge P\ln K-\ln2$, and $K\le(2e^I)^{1/P}$.

# %%
K, P = sp.symbols("K P", positive=True)
said = P * sp.log(K * P) + (1 - P) * sp.log(K * (1 - P) / (K - 1))
unsure = -P * sp.log(P) - (1 - P) * sp.log(1 - P)
fano = sp.log(K) - unsure - (1 - P) * sp.log(K - 1)
assert sp.simplify(sp.expand_log(said - fano, force=True)) == 0

# %% [markdown]
# ## Construct
# Four adapters with eight facts each, strengths between one half and one. Score every edited key
# three ways and count how often the right adapter is first.

# %%
rng = np.random.default_rng(0)
frame = orthonormal(rng, 64, 32)
strengths = [np.append(1.0, rng.uniform(0.5, 0.9, 7)) for _ in range(4)]
case = arrow_blind_spot.Case(tuple(np.split(frame, 4, axis=1)), tuple(strengths))
library = arrow_blind_spot.attain(case)
ways = {"Arrow": arrow_scores, "subspace": subspace_scores, "response": response_scores}
for name, scores in ways.items():
    tables = [scores(list(library))(keys.T) for keys in case.keys]
    right = [arrow_blind_spot.chance(table, i) for i, table in enumerate(tables)]
    print(f"{name:8} {np.mean(right):.4f}")
print(f"formula  {arrow_blind_spot.bound(case):.4f}")

# %% [markdown]
# And the best weights over old facts, as the theorem gives them: one vector for the pass, or a new
# one at each read.

# %%
drawn = (routing_reach.draw(np.random.default_rng(seed), 8).prompt for seed in range(100))
prompt = next(each for each in drawn if each.pattern == "overwrite")
for kind in ("one a pass", "shared a pass", "shared a read"):
    question = routing_reach.Case(prompt, kind)
    weights = routing_reach.attain(question)
    reached = routing_reach.measure(question, weights)
    print(f"{kind:14} {weights.round(3).tolist()}: the composed answer leads by {reached:+.3f}")

# %% [markdown]
# The best router there is, over keys four standard deviations long, as the library grows; keys at
# right angles, and keys of one domain. And the samples that a threshold takes, to be sure of its
# rate but for one time in twenty.

# %%
for adapters in (2, 10, 100, 1000):
    apart, alike = (router_limit.accuracy(adapters, 4.0, cosine) for cosine in (0.0, 0.8))
    print(f"{adapters:4} adapters: {apart:.3f} at right angles, {alike:.3f} at cosine .8")
for rate in (0.1, 0.01, 0.001):
    print(f"rate {rate}: {threshold_samples.samples_needed(1, rate, 0.05):,} samples")

# %% [markdown]
# Inputs about keys of length $s$ say at most $s^2/2$ nats (`thm:scattered-inputs`). Fano's count
# for $P=.9$ is a ceiling that holds for all keys of this length, and far above what those above
# reach.

# %%
print(f"{(2 * np.exp(4.0**2 / 2)) ** (1 / 0.9):,.0f} adapters")

# %% [markdown]
# ## Verify
# All theorems on random cases, with their rivals. A sample of the detection law is a count, so
# `check` allows what counting allows.

# %%
labels = "arrow-blind-spot", "arrow-margin", "routing-reach", "gate-detection", "router-limit"
labels += "threshold-samples", "soft-routing", "hard-routing", "router-information"
claims = [*map(theorem, labels)]
for claim in claims:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = claim.draw(rng, 8)
        assert claim.check(drawn, claim.rival(drawn, rng)).holds
        if claim.attain:
            assert claim.check(drawn, claim.attain(drawn)).tight

# %% [markdown]
# A router by random search, which knows no formula, tries to compose with one shared unit.

# %%
for seed in range(12):
    rng = np.random.default_rng(seed)
    drawn = routing_reach.draw(rng, 8)
    found = routing_reach.THEOREM.check(drawn, routing_reach.adversary(drawn, rng))
    assert found.holds

# %% [markdown]
# **What breaks it.** Break the budget ("just add them"), let weights change between the reads, make
# all strengths equal, let keys of one adapter overlap: each claim fails with its hypothesis.

# %%
for claim in claims:
    for control in claim.controls:
        broken = claim.judge(*control.example())
        print(f"{control.name:42} bound {broken.bound:+.3f}, found {broken.value:+.3f}")
        assert not broken.holds

# %% [markdown]
# ## Explore
# **Noise.** Real tokens are not the edited keys but something near them. Add isotropic noise and
# watch three routers and the formula for Arrow.


# %%
def routed(facts: int = 4, experts: int = 4):
    """Accuracy of three scores against the noise on the query."""
    rng, noises = np.random.default_rng(0), np.linspace(0.02, 0.5, 9)
    frame, owner = orthonormal(rng, 64, facts * experts), np.repeat(np.arange(experts), 60 * facts)
    keys, strengths = np.split(frame, experts, axis=1), (np.linspace(1.0, 0.6, facts),) * experts
    library = list(arrow_blind_spot.attain(arrow_blind_spot.Case(tuple(keys), strengths)))
    tokens = np.repeat(frame.T, 60, axis=0)
    noisy = [tokens + nu * rng.standard_normal(tokens.shape) for nu in noises]
    curves = {"theorem": (noises, [arrow_blind_spot.accuracy(facts, experts, nu) for nu in noises])}
    for name, scores in ways.items():
        curves[name] = noises, [np.mean(scores(library)(x).argmax(axis=1) == owner) for x in noisy]
    return lines.draw(curves, "noise in every entry", "right adapter", points=ways, share=True)


routed()

# %% [markdown]
# Arrow's points lie on the line computed from the theorem. With one fact an adapter it has no blind
# spot; with many it is chance plus a little. The response pays for noise, but starts from an
# accuracy of 1.

# %%
number = IntSlider(4, min=1, max=8, description="facts")
_ = interact(routed, facts=number, experts=IntSlider(4, min=2, max=8, description="adapters"))

# %% [markdown]
# **Thresholds.** A gate turns an adapter on in full where its response exceeds a threshold, and
# asks nobody else. How often does a foreign query open it?


# %%
def alarms(facts: int = 8, threshold: float = 0.5):
    """False alarms against the width, and one sample each."""
    rng, widths = np.random.default_rng(0), [16, 24, 32, 48, 64, 96]
    cases = [gate_detection.Case(facts, width, threshold, 2000) for width in widths]
    found = [gate_detection.measure(c, gate_detection.rival(c, rng)) for c in cases]
    law = [gate_detection.false_alarm(facts, width, threshold) for width in widths]
    curves = {"law": (widths, law), "2,000 queries": (widths, found)}
    most = gate_detection.largest_library(facts, widths[-1], threshold, hops=2, failure=0.1)
    figure = lines.draw(curves, "width", "false alarms", points=["2,000 queries"], share=True)
    figure.axes[0].set_title(f"at width {widths[-1]}: {most:,} adapters", loc="left")
    return figure


alarms()

# %% [markdown]
# The own key answers with one. At the largest width the curve is too low to read; the title says
# how many adapters a library may hold if at most one in ten questions of two hops is to meet a
# false alarm. Where must the threshold lie for a thousand? What do more facts at the same
# threshold cost?

# %%
slider = FloatSlider(0.5, min=0.1, max=0.9, step=0.1, description="threshold")
_ = interact(alarms, facts=IntSlider(8, min=2, max=12, description="facts"), threshold=slider)

# %% [markdown]
# ## What this does not say
# - **Orthonormal keys and Gaussian queries** are a model. Trained adapters share directions, and a
#   response on ordinary tokens has to be calibrated (notebook 08 does it).
# - **Arrow answers more than its formula** in the trained transformers of the experiment `routers`:
#   keys there are not orthonormal.
# - **The best router is a ceiling**, not a rule: it knows which question is asked.
# - **Choosing is not enough.** A router that chooses right but gives half cannot compose; the plain
#   sum gives enough and chooses nothing. Both things are needed in a large library.
# - **One read has no best router**: that is notebook 07.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer and run the cell: silence means right.
#
# **1.** Ten adapters edit five orthonormal keys each. How often does Arrow choose the right one on
# a random edited key?

# %%
mine = None
wanted = arrow_blind_spot.accuracy(5, 10)
assert mine is None or abs(mine - wanted) < 2e-3, "not yet: one key in five is seen"

# %% [markdown]
# <details><summary>Solution</summary>
#
# $\frac15+\frac45\cdot\frac1{10}=0.28$.
#
# ```python
# mine = 1 / 5 + 4 / 5 / 10
# ```
#
# </details>

# %% [markdown]
# **2.** Two prototypes are 50 degrees apart. Up to which angle (degrees) from its own is a query
# safe, whatever its direction?

# %%
mine = None
wanted = float(np.degrees(arrow_blind_spot.safe_angle(np.radians(50.0))))
assert mine is None or abs(mine - wanted) < 1e-3, "not yet: where do both scores tie?"

# %% [markdown]
# <details><summary>Solution</summary>
#
# At half the angle a query in the plane of both is as near to the other.
#
# ```python
# mine = 25
# ```
#
# </details>

# %% [markdown]
# **3.** A router may give each adapter its own weights at each of the two reads, one unit per read.
# What is the best margin of the composed answer over old facts?

# %%
mine = None
wanted = routing_reach.ceiling("shared a read", "overwrite")
assert mine is None or np.isclose(mine, wanted), "not yet: which weights does each read want?"

# %% [markdown]
# <details><summary>Solution</summary>
#
# All to the first adapter at the first read, all to the second at the second: the output is the new
# answer alone, and it leads by its whole logit.
#
# ```python
# mine = 1.0
# ```
#
# </details>

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 90 minutes: 40 for the derivation, 25 for the two explorations, 25 for exercises.
#
# **Ask.** Before step 1: what does the top singular vector of an adapter with ten facts mean?
# Before step 3: suppose the router knows the question, the adapters and the answer; does it then
# compose? At the thresholds: why does a wider model make gates better and not only larger?
#
# **Common wrong answers.** "Arrow fails since scores are close": they are exactly zero. "A better
# score repairs routing": not while one unit is shared out. "Softmax with low temperature is top-1,
# so it composes": one adapter a pass gets at most one hop right.
#
# </details>
