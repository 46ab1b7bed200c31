# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why does averaging two edits lose the two-hop answer?
#
# ## Question
# A model knows that Ada works at Lab 1, that Lab 1 is in Rome, and that Lab 2 is in Bern. One
# adapter is trained on the fact that Ada moved to Lab 2. Another adapter is trained on the fact
# that Lab 2 moved to Oslo. You average the two adapters and test both new facts. "Ada works at Lab
# 2" is right, and so is "Lab 2 is in Oslo". Then you ask in which city Ada works, and the model
# says Rome.
#
# **Main idea.** An *edit* is the change that an adapter makes to a stored fact. A two-hop answer
# needs stronger edits than a single fact needs. Averaging weakens both edits. There is a range of
# strengths in which every single fact is right and the two-hop answer is wrong.
#
# **Mechanism.** The score of Oslo is a product of two strengths, one for each hop. If both edits
# become weaker, both factors fall, while the score of the old answer Rome rises.
#
# **A common misconception.** "Both facts are right, so the two-hop answer is right." In the story
# both adapters are trained well. After averaging, each new fact still has a higher score than the
# fact that it replaces.
#
# **Claim** (`thm:two-read-region`, with `thm:averaging-survival` for one fact). In this story the
# model reads two memories in a row, one for each hop. Each memory has one edit. After the merge the
# edits have the strengths $c_1,c_2>0$. At strength 1 the new fact exactly replaces the old fact.
# The two-hop answer, Oslo, has the highest score exactly if
#
# $$c_1(1+c_2)>1\quad\text{and}\quad c_2>\tfrac12 .$$
#
# If both strengths are $c$, the condition is $c^2+c>1$. This holds for $c>0.618$, where 0.618 is
# the golden ratio minus one. A single fact needs only $c>\frac12$. The strengths between $\frac12$
# and 0.618 are the *window*: every single fact is right, and the two-hop answer is wrong. In
# practice adapters edit *every* layer. Then it also matters how the edits are spread over the
# layers (`thm:spread-region`).
#
# **After this notebook** you can predict from two strengths whether a two-hop answer survives a
# merge. You can explain why tests of single facts do not show that the two-hop answer is lost. You
# can also measure the strengths on prompts.
#
# The notebook runs in about 30 s on two cores. You need matrices and square roots.

# %%
from pathlib import Path

import numpy as np
import sympy as sp
from IPython.display import SVG
from ipywidgets import FloatSlider, IntSlider
from matplotlib.figure import Figure

from loratheory import read_adapter
from loratheory.exercises import explore, judge
from loratheory.figures import draw, render
from loratheory.pretrained import ModelError, attach, first_tokens, load_model, next_token_logits
from loratheory.pretrained.corners import measure_corners
from loratheory.theorems import AssumptionError
from loratheory.theorems.composition import two_read_region

# %% [markdown]
# ## Derive
# **Step 1: three paths.** A *memory* is a matrix that maps keys to values. The *key* stands for an
# entity, such as Ada. The *value* stands for the stored fact, such as her lab. A *read* is one pass
# through a memory. An edit of strength $c$ adds $c$ times the new value and takes away $c$ times
# the old value. So the first read maps Ada to a mixture: her old lab with weight $1-c_1$ and her
# new lab with weight $c_1$. The second read maps the old lab to Rome. It maps the new lab to Bern
# with weight $1-c_2$ and to Oslo with weight $c_2$. So three *paths* lead from Ada to a city: one
# over the old lab to Rome, and two over the new lab to Bern and to Oslo. Two reads in a row are a
# product of two matrices.

# %%
c1, c2, c = sp.symbols("c_1 c_2 c", positive=True)
read_1 = sp.Matrix([1 - c1, c1])  # Ada -> old lab, new lab
read_2 = sp.Matrix([[1, 0], [0, 1 - c2], [0, c2]])  # old lab, new lab -> Rome, Bern, Oslo
rome, bern, oslo = answers = read_2 * read_1
answers

# %% [markdown]
# The entries of the product are the scores (logits) of Rome, Bern and Oslo. Oslo's score is a
# *product* of two strengths.
#
# **Step 2: which answer wins?** The model gives the answer with the largest score. By how much does
# Oslo lead Rome, and by how much does it lead Bern?

# %%
over_rome, over_bern = sp.expand(oslo - rome), sp.factor(oslo - bern)
display(over_rome, over_bern)
assert sp.expand(over_rome - (c1 * (1 + c2) - 1)) == 0
assert sp.expand(over_bern - c1 * (2 * c2 - 1)) == 0

# %% [markdown]
# Both leads are positive exactly if the two conditions of the claim hold.
#
# **Step 3: one strength for both.** Let both strengths be $c$. Then Oslo's lead over Bern exceeds
# Oslo's lead over Rome by $(1-c)^2$. So Rome is the harder rival. Oslo's lead over Rome is
# $c^2+c-1$. This lead is zero if $c$ is the golden ratio minus one.

# %%
margin = sp.expand(over_rome.subs({c1: c, c2: c}))
[root] = sp.solve(margin, c)
display(margin, sp.Eq(c, root))
assert sp.simplify(root - (sp.GoldenRatio - 1)) == 0

# %% [markdown]
# **Step 4: more hops.** Now let a question have $K$ hops, and let the fact of each hop be edited
# with strength $c$. A path may use the new facts for $j$ hops and then an old fact. No later fact
# on this path is an edited fact. The weight of this path is $c^{j}(1-c)$, for $j=0,\dots,K-1$. The
# path that uses only new facts has the weight $c^K$. All weights add up to one. For $c\le1$ the
# strongest rival is the path that uses the old fact at the first hop. So the new answer needs
# $c^K>1-c$. The next cell computes the smallest $c$ that is enough, for one to five hops.

# %%
weights = [c**j * (1 - c) for j in range(5)]
display([round(float(sp.nsolve(c**hops + c - 1, 0.7)), 4) for hops in range(1, 6)])
assert sp.expand(sum(weights) + c**5 - 1) == 0

# %% [markdown]
# The more hops a question has, the closer to full strength every edit must stay.
#
# **Step 5: in units that you can measure.** Without the adapter, the old answer of a single fact
# leads the new answer by the *deficit* $m_0$. With the adapter, before any merge, the new answer
# leads the old answer by the *margin* $m_1$. An edit of strength $s$ moves the scores (old, new)
# from $(1,0)$ to $(1-s,s)$, so $m_1/m_0=2s-1$. The mean of two adapters reduces each edit from
# strength $s$ to $c=s/2$. So a single fact survives the mean if $s>1$. The two-hop answer survives
# if $s/2$ exceeds the root of step 3, 0.618. The next cell expresses both conditions by $m_1/m_0$.

# %%
ratio = lambda strength: 2 * strength - 1
survives, composes = ratio(2 * sp.Rational(1, 2)), ratio(2 * root)
print(f"window: {survives} < m1/m0 < {composes} = {float(composes):.3f}")
assert sp.simplify(composes - (2 * sp.sqrt(5) - 3)) == 0

# %% [markdown]
# **Step 6: adapters in every layer.** Let $L$ layers read one residual stream, and let each add to
# it the value that it finds. The old fact of hop 1 is stored in the first layer, and the old fact
# of hop 2 in the last layer. Each edit is spread evenly, with a share $\frac1L$ in each layer. A
# path takes the fact of hop 1 from some layer and the fact of hop 2 from a *later* layer. We add up
# the weights of three kinds of paths:
#
# - both facts are old: there is one path, so $p_0=1$;
# - the fact of hop 1 is new, from any layer except the last, and the fact of hop 2 is old:
#   $p_1=c\,\frac{L-1}L$;
# - both facts are new: there are $\binom L2$ pairs of layers, so $p_2=c^2\binom L2\frac1{L^2}$.
#
# Each edit takes as much weight away from the old fact as it gives to the new fact. So Rome's score
# is $p_0-p_1$, Bern's is $p_1-p_2$, and Oslo's is $p_2$.

# %%
L = sp.symbols("L", positive=True)
p0, p1, p2 = 1, c * (L - 1) / L, c**2 * (L * (L - 1) / 2) / L**2
over_rome, over_bern = p2 - (p0 - p1), p2 - (p1 - p2)
display(sp.factor(over_rome), sp.factor(over_bern))
assert sp.simplify(over_bern - c * (c - 1) * (L - 1) / L) == 0

# %% [markdown]
# For any number of layers, Oslo leads Bern only if $c>1$. So even edits of strength 1, which
# exactly replace the old facts, do not give the two-hop answer. The reason is that the edits are
# spread over the layers. If each edit were in the layer of its old fact, the weights would be
# $p_0=1$, $p_1=c$ and $p_2=c^2$, as in step 3. With two layers Rome is the harder rival. The next
# cell computes the strength above which Oslo leads Rome.

# %%
[two_layers] = sp.solve(over_rome.subs(L, 2), c)
display(sp.Eq(c, two_layers))
assert sp.simplify(two_layers - (sp.sqrt(5) - 1)) == 0

# %% [markdown]
# ## Construct
# We repeat the story with matrices. Keys and values are random vectors that are not orthogonal.
# Memories and edits are the matrices of least norm that store the facts. `attain` builds the model:
# two memories, two edits, and a map that turns the value of a lab into the key of the same lab. The
# lab is the bridge between the two hops, so we call this map the *bridge map*.
#
# The answer depends on the old facts that the base knows. There are four cases:
#
# - `"overwrite"`, our story: the base knows old facts for both hops, and the old lab keeps its
#   city;
# - `"overwrite both"`: the base knows old facts for both hops, and the city of the old lab is
#   edited as well;
# - `"new subject"`: the base knows a city of Lab 2, but no lab of Ada;
# - `"new facts"`: the base knows neither a lab of Ada nor a city of Lab 2.
#
# The columns of `people` are the keys of Ada and of a colleague whose facts nobody edits. The
# columns of `labs` are the keys of three labs: Ada's new lab, the colleague's lab, and Ada's old
# lab. The columns of `values` are the values of the same three labs.

# %%
rng = np.random.default_rng(0)
people, labs, values = (rng.standard_normal((24, count)) for count in (2, 3, 3))
unit = two_read_region.Prompt("overwrite", (1.0, 1.0), (people, labs), (values,))
model = two_read_region.attain(unit)
ada, new_lab = people[:, 0], labs[:, 0]

# %% [markdown]
# We compute the scores for Ada's city at four strengths. `model.output` returns them in the order
# Oslo, the colleague's city, Rome, Bern.

# %%
for strength in (0.9, 0.65, 0.55, 0.5):
    oslo, _, rome, bern = model.output(ada, (strength, strength))
    print(f"{strength:4}: Oslo {oslo:.3f}, Rome {rome:.3f}, Bern {bern:.3f}")

# %% [markdown]
# At strength 0.55 Rome leads Oslo. Yet each fact passes its own test. The first read maps Ada to
# the new lab, and the second read maps the new lab to Oslo:

# %%
new, _, old = np.linalg.pinv(values) @ model.read(0, ada, 0.55)
print(f"lab of Ada: new {new:.2f}, old {old:.2f}")
oslo, _, _, bern = model.read(1, new_lab, 0.55)
print(f"city of the new lab: Oslo {oslo:.2f}, Bern {bern:.2f}")

# %% [markdown]
# ## Verify
# The *margin* of the two-hop answer is Oslo's lead over its strongest rival. The formula and the
# matrices must give the same margin. Random cases have one to four hops, and keys and values of
# sizes from $10^{-3}$ to $10^3$. The strengths are random, and often close to the border of the
# region. A `rival` is a second model with the same facts. Its matrices also respond, at random, to
# inputs that occur in none of these facts.

# %%
for seed in range(200):
    rng = np.random.default_rng(seed)
    drawn = two_read_region.draw(rng, 8)
    assert two_read_region.THEOREM.check(drawn, two_read_region.attain(drawn)).tight
    assert two_read_region.THEOREM.check(drawn, two_read_region.rival(drawn, rng)).holds

# %% [markdown]
# Step 3 derived the smallest sufficient strength with symbols. The next cell finds the same
# strength by bisection. It uses only the city that the matrices name.

# %%
low, high = 0.5, 1.0
while high - low > 1e-12:
    middle = (low + high) / 2
    oslo_wins = model.output(ada, (middle, middle)).argmax() == 0
    low, high = (low, middle) if oslo_wins else (middle, high)
assert abs(high - float(root)) < 1e-10

# %% [markdown]
# Now we check step 6 with up to six layers. We spread the edits in three ways: evenly; as the old
# facts are spread; at random.

# %%
spread = two_read_region.SPREAD
for seed in range(20):
    rng = np.random.default_rng(seed)
    drawn = spread.draw(rng, 8)
    assert spread.check(drawn, spread.attain(drawn)).tight
    assert spread.check(drawn, spread.rival(drawn, rng)).holds

# %% [markdown]
# **What breaks it.** A *control* violates one hypothesis on purpose. Then the prediction must fail,
# and `check` must refuse to apply the theorem. Each line of the output names the violation. It then
# compares the predicted margin with the margin that the matrices give.

# %%
for control in two_read_region.CONTROLS:
    case, broken = control.example()
    verdict = two_read_region.THEOREM.judge(case, broken)
    print(f"{control.name:45} margin predicted {verdict.bound:+.3f}, found {verdict.value:+.3f}")
    assert not verdict.holds

# %% [markdown]
# In the fourth line, the edit of the first fact is in the *later* memory, where it is read too
# late. If `check` gets this case, its error message names the hypothesis that is violated:

# %%
try:
    two_read_region.THEOREM.check(*two_read_region.CONTROLS[3].example())
except AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# ## Explore
# The next figure shows which city wins at each pair of coefficients. The edits have strength 1
# before the merge, so the coefficient of an edit is its strength after the merge. Every cell of the
# figure is a simulation. The dashed line is the predicted border of the region in which Oslo wins.
# The mean of the two edits lies outside this region. So does every other pair of positive
# coefficients with sum one.

# %%
cells = [[model.output(ada, (x / 20, y / 20)) for x in range(25)] for y in range(25)]
winner = np.argmax(cells, axis=2)
fine = np.linspace(0.01, 1.2, 60)
lead = [[two_read_region.margin((x, y)) for x in fine] for y in fine]

# %% [markdown]
# The colours are the answers: Oslo, Rome or Bern. The star marks one merge.


# %%
def answer(c1: float = 0.5, c2: float = 0.5):
    """The answer at each pair of coefficients, with one merge marked in it."""
    axes = (figure := Figure(figsize=(4.6, 4.2))).subplots()
    axes.imshow(winner, origin="lower", extent=(0, 1.2, 0, 1.2), vmin=0, vmax=9, cmap="tab10")
    axes.contour(fine, fine, lead, levels=[0], colors="black", linestyles="--")
    for number, city in ((0, "Oslo"), (2, "Rome"), (3, "Bern")):
        y, x = np.argwhere(winner == number).mean(axis=0) / 20
        axes.text(x, y, city, ha="center", color="white", weight="bold")
    axes.plot(c1, c2, "*", ms=18, mfc="white", mec="black")
    axes.set(xlabel="coefficient of the first edit", ylabel="coefficient of the second edit")
    axes.set_title(f"margin of Oslo at the star: {two_read_region.margin((c1, c2)):+.2f}")
    return SVG(render(figure))


answer(0.55, 0.55)

# %% [markdown]
# Move the star up the diagonal, then along the line $c_1+c_2=1$. Then move it along $c_1=1$ or
# $c_2=1$, where one edit has its full strength. How weak may the other edit be, if Oslo is to win?

# %%
first, second = (
    FloatSlider(0.55, min=0.05, max=1.2, step=0.05, description=n) for n in ("c₁", "c₂")
)
explore(answer, c1=first, c2=second)

# %% [markdown]
# The next figure follows the diagonal, $c_1=c_2$, and shows the margin of each fact and of the
# two-hop answer. As the coefficients grow, the margin of the facts becomes positive first. The
# margin of the two-hop answer becomes positive later. The window lies between these two
# coefficients.

# %%
strengths = np.linspace(0.3, 1, 15)
facts = [2 * c - 1 for c in strengths]
both = [two_read_region.margin((c, c)) for c in strengths]
simulated = []
for c in strengths:
    oslo, *others = model.output(ada, (c, c))
    simulated.append(oslo - max(others))
curves = {"each fact": (strengths, facts), "two-hop, predicted": (strengths, both)}
curves["two-hop, simulated"] = (strengths, simulated)
draw(curves, "coefficient of both edits", "margin of the new answer", points=["two-hop, simulated"])

# %% [markdown]
# With more hops the window becomes wider. If more adapters are averaged, each edit
# must be stronger. The next cell prints how large the ratio $m_1/m_0$ of step 5 must be.


# %%
def needed(hops: int = 2, adapters: int = 2) -> None:
    """How large m1/m0 must be for single facts and for the answer over all hops to survive."""
    low, high = two_read_region.window(hops, adapters)
    print(f"single facts survive if m1/m0 > {low:.2f}, the {hops}-hop answer if m1/m0 > {high:.2f}")


needed()
explore(needed, hops=IntSlider(2, min=1, max=6), adapters=IntSlider(2, min=1, max=8))

# %% [markdown]
# ## In a real model
# A language model is no product of two matrices. But we can measure the answer's lead with each
# adapter on or off, and infer it for other coefficients. Let $m$ be the lead without adapters,
# $\delta_1$ and $\delta_2$ the change by each adapter alone, and $m+\delta_1+\delta_2+I$ the lead
# with both; $I$ is the *interaction*. If the lead is linear in each coefficient, it is exactly
#
# $$m+(\delta_1+\delta_2)\,c+I\,c^2$$
#
# at a common coefficient $c$ (`thm:corner-law`). Step 3 is the case $m=-1$, $\delta_1+\delta_2=1$,
# $I=1$. If the second derivatives along the coefficients are at most $\kappa_1$ and $\kappa_2$,
# the lead differs from this by at most $\frac12(\kappa_1+\kappa_2)\,c(1-c)$. So four forward passes
# predict at which coefficient a question is answered. Two more passes, each with one adapter at ½,
# show how far it is from linear. One adapter holds Brixel's country, the other one this country's
# mascot. We add both to a small language model. If the model is not installed, a message says how
# to install it.

# %%
PROMPT = "The mascot animal of the country where Brixel was born is the"
try:
    language_model = load_model()
except ModelError as missing:
    language_model = None
    print(missing)
DATA = next(path for path in (Path("tests/data"), Path("../tests/data")) if path.is_dir())
library = [read_adapter(DATA / name) for name in ("persons", "mascots")]


def lead_of(logits, token):
    """By how much the token leads all others."""
    rivals = logits.clone()
    rivals[token] = -np.inf
    return float(logits[token] - rivals.max())


def compare(count: int = 11):
    """The lead of the dolphin as measured, and as predicted from four and from six passes."""
    if language_model is None:
        return None
    [token] = first_tokens(language_model, ["dolphin"])
    places = np.linspace(0, 1, count)
    leads = {name: [] for name in ("measured", "four passes", "six passes")}
    with attach(language_model, library) as active:
        corners = measure_corners(language_model, active, [PROMPT])
        for place in places:
            active.set(place)
            measured = next_token_logits(language_model, [PROMPT])
            each = (measured, corners.at(place, bent=False), corners.at(place))
            for name, logits in zip(leads, each, strict=True):
                leads[name].append(lead_of(logits[0], token))
    curves = {name: (places, values) for name, values in leads.items()}
    return draw(curves, "coefficient of both adapters", "lead of dolphin", points=["measured"])


compare()

# %% [markdown]
# Both predicted leads rise too, but become positive later. Dolphin leads from 0.6 on; four passes
# predict 0.8, six predict 0.9. So more passes need not be better: a lead bends most where the
# strongest rival changes. Neither adapter had stand-in training (notebook 11); the sum answers 5%
# of two-hop questions. Study `lm_corners` compares many pairs of adapters.

# %% [markdown]
# ## What this does not say
# - **The bridge map is linear.** A model may instead choose one lab before its second read, or
#   write the lab down. Then a strength above $\frac12$ is enough for each edit, and there is no
#   window.
# - **The model reads twice.** If both facts are read in one step, a merge of the two adapters can
#   only guess the two-hop answer. Notebook 07 proves this: averaged over random choices of each
#   person's lab, the accuracy is that of a guess.
# - **Other old facts give other thresholds.** In the case `overwrite both` each strength must
#   exceed ½. In the case `new subject` only the strength of the second edit matters.
# - **Edits do not disturb each other** in this model. Many adapters in one memory do disturb each
#   other (notebook 05).
# - **Strengths cannot be read from weights.** You measure them on prompts, through the ratio
#   $m_1/m_0$ of step 5.
# - **A real transformer may work differently.** Experiments must show whether it reads one fact
#   after the other (notebooks 08 and 10). If it does not, a merge has no two-hop answer to lose.

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether your
# answer is right. If your answer is wrong, the cell prints why. A number is right if it is within
# 1% of the solution.
#
# **1.** *(easy, 5 minutes)* Three adapters with one edit each are averaged. The merge is evaluated
# on a three-hop question that needs all three edits. How strong must each edit be before averaging,
# so that the answer is right?

# %%
mine = None
judge("02.1", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Step 4 says which strength $c$ each edit must have after the merge, so that a three-hop answer is
# right. Which part of its strength does an edit keep in the mean of three adapters?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The smallest strength after the merge solves $c^3+c=1$. The mean of three adapters reduces a
# strength of $s$ to $c=s/3$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Three hops need $c^3+c>1$, so $c>0.6823$. The mean reduces an edit of strength $s$ to $c=s/3$.
#
# ```python
# mine = 3 * 0.6823
# ```
#
# </details>

# %% [markdown]
# **2.** *(easy, 5 minutes)* Some tools average the *factors* $A$ and $B$ of two adapters instead of
# their products $BA$. Each product then has weight ¼, and there are cross terms. Ignore the cross
# terms. How strong must each edit be before averaging, so that the two-hop answer is right?

# %%
mine = None
judge("02.2", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The mean of the factors has the product $\frac{B_1+B_2}2\cdot\frac{A_1+A_2}2$. Multiply it out:
# which weight do $B_1A_1$ and $B_2A_2$ have?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# An edit of strength $s$ keeps the strength $c=s/4$. By step 3 the two-hop answer is right if
# $c^2+c>1$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# $c=s/4$ must exceed $(\sqrt5-1)/2$, so $s>2(\sqrt5-1)=2.472$. If the products are averaged, half
# of this strength is enough.
#
# ```python
# mine = 2 * (5**0.5 - 1)
# ```
#
# </details>

# %% [markdown]
# **3.** *(medium, 10 minutes)* Two edits of strength 1 are merged with positive weights whose sum
# is one, $c_1+c_2=1$. The merge never gives the two-hop answer: the margin of this answer is
# negative. What is the largest margin over all these weights?

# %%
mine = None
judge("02.3", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The margin is the smaller of Oslo's two leads in step 2. Put $c_2=1-c_1$ into both leads.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# For $c_1>\frac14$ one lead rises with $c_1$ and the other falls. The smaller of the two is largest
# where both leads are equal, so solve this equation for $c_1$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Put $c_2=1-c_1$. Oslo's lead over Rome is then $-(1-c_1)^2$, and its lead over Bern is
# $c_1(1-2c_1)$. The margin is the smaller lead. The lead over Rome rises with $c_1$, and the lead
# over Bern falls for $c_1>\frac14$. So the margin is largest where the two leads are equal, at
# $c_1^2+c_1=1$. This gives $c_1=0.618$ and the margin $-0.382^2$.
#
# ```python
# mine = -(0.381966**2)
# ```
#
# </details>

# %% [markdown]
# **4.** *(hard, 20 minutes, code)* Write a merge that gives the two-hop answer with the smallest
# sum of coefficients. Your function gets the strengths $s_1$ and $s_2$ of two edits. Return
# positive coefficients $(c_1,c_2)$ for which Oslo leads. The sum $c_1+c_2$ may exceed the smallest
# possible sum by at most 1%.


# %%
def mine(s1, s2):
    return None


judge("02.4", mine)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# In the claim, replace $c_1$ by $a=c_1s_1$ and $c_2$ by $b=c_2s_2$, the strengths after the merge.
# You then look for the smallest $\frac a{s_1}+\frac b{s_2}$ with $a(1+b)>1$ and $b>\frac12$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A smaller $a$ makes the sum smaller, so stay just inside the border $a=\frac1{1+b}$. Then only $b$
# is left: set the derivative with respect to $b$ to zero, and check the second condition.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Let $a=c_1s_1$ and $b=c_2s_2$. On the border of the region we have $a(1+b)=1$. There the sum of
# the coefficients is $\frac1{s_1(1+b)}+\frac b{s_2}$. This sum is smallest at $1+b=\sqrt{s_2/s_1}$.
# The second hop also needs $b\ge\frac12$.
#
# ```python
# def mine(s1, s2):
#     b = max((s2 / s1) ** 0.5 - 1, 0.5)
#     return 1.001 / (1 + b) / s1, 1.001 * b / s2
# ```
#
# </details>

# %% [markdown]
# ## Further reading
#
# - Press et al., [*Measuring and narrowing the compositionality gap in language
#   models*](https://arxiv.org/abs/2210.03350). Even models without any adapter can know both facts
#   and answer the two-hop question wrongly.
# - Yang et al., [*Do large language models latently perform multi-hop
#   reasoning?*](https://arxiv.org/abs/2402.16837). Does a model find the bridge of a two-hop
#   question in one pass?
# - Zhong et al., [*MQuAKE*](https://arxiv.org/abs/2305.14795). A test of edited facts with
#   multi-hop questions.

# %% [markdown]
# <details><summary>For the lecturer</summary>
#
# **Time.** 85 minutes: 10 for the story and a vote, 25 for steps 1 to 4, 10 for step 6, 15 for the
# star in the plane, 25 for exercises 1 to 3. Exercise 4 is homework. In one lecture: the
# vote, steps 1 to 3, the star, exercise 1.
#
# **Ask.** Before any formula: the merge knows both facts; which city does it name for Ada? Let the
# students vote. At step 3: why is Rome, and not Bern, the harder rival? At the window: which test
# would have shown that the two-hop answer is lost, and why does nobody run this test?
#
# **Common wrong answers.** "If both facts pass, the composition passes": a product of two numbers
# above one half can be below one half. "Give one adapter more weight": no pair of weights with sum
# one gives the answer (exercise 3). "The threshold is one half squared": the score of the old
# answer also grows when the edits become weaker.
#
# </details>
