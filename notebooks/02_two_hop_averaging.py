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
# A model knows that Ada works at Lab 1, in Rome, and that Lab 2 is in Bern. One adapter is trained
# on the fact that Ada moved to Lab 2, another on the fact that Lab 2 moved to Oslo. You average the
# two adapters and test both facts. "Ada works at Lab 2" is right, and so is "Lab 2 is in Oslo".
# Then you ask in which city Ada works, and the model says Rome.
#
# **Main idea.** A two-hop answer needs stronger edits than single facts do. Averaging weakens both
# edits. There is a range of strengths in which every single fact is right and the two-hop answer is
# wrong.
#
# **Mechanism.** The score of Oslo is a product of two strengths, one per hop. If both edits become
# weaker, both factors fall, while the score of the old answer Rome rises.
#
# **A common misconception.** "Both facts are right, so the two-hop answer is right." In the story
# nothing was trained badly, and each new fact alone still beats the old one.
#
# **Claim** (`thm:two-read-region`, with `thm:averaging-survival` for one fact). In this story the
# model reads two memories in a row, one for each hop. Each memory is edited. After the merge the
# edits have strengths $c_1,c_2>0$; at strength 1 the new fact exactly replaces the old one. The
# two-hop answer, Oslo, has the highest score exactly if
#
# $$c_1(1+c_2)>1\quad\text{and}\quad c_2>\tfrac12 .$$
#
# If both strengths are $c$, this is $c^2+c>1$, or $c>0.618$, the golden ratio minus one. A single
# fact needs only $c>\frac12$. Between these two numbers lies the *window*: every single fact is
# right, and the two-hop answer is wrong. In practice adapters edit *every* layer. Then it also
# matters in which order the layers read old facts and edits (`thm:spread-region`).
#
# **After this notebook** you can predict from two strengths whether a two-hop question survives a
# merge, explain why tests of single facts do not show the loss, and measure the strengths on
# prompts.
#
# The notebook runs in about 15 s on two cores. You need matrices and square roots.

# %%
import numpy as np
import sympy as sp
from IPython.display import SVG
from ipywidgets import FloatSlider, IntSlider
from matplotlib.figure import Figure

from loratheory.exercises import explore, judge
from loratheory.figures import draw, render
from loratheory.theorems import AssumptionError
from loratheory.theorems.composition import two_read_region

# %% [markdown]
# ## Derive
# **Step 1: three paths.** A *read* is one pass through a memory, a matrix that maps what is asked
# (a key) to what is known about it (a value). An edit of strength $c$ adds $c$ times the new value
# and takes away $c$ times the old one. So the first read maps Ada to a mixture: her old lab with
# weight $1-c_1$, her new one with weight $c_1$. The second read maps the old lab to Rome, and the
# new lab to Bern with weight $1-c_2$ and to Oslo with weight $c_2$. Two reads in a row are a
# product of two matrices.

# %%
c1, c2, c = sp.symbols("c_1 c_2 c", positive=True)
read_1 = sp.Matrix([1 - c1, c1])  # Ada -> old lab, new lab
read_2 = sp.Matrix([[1, 0], [0, 1 - c2], [0, c2]])  # old lab, new lab -> Rome, Bern, Oslo
rome, bern, oslo = answers = read_2 * read_1
answers

# %% [markdown]
# The entries are the scores (logits) of Rome, Bern and Oslo. Oslo's score is a *product* of two
# strengths. If both edits become weaker, both factors fall, while Rome's score rises.
#
# **Step 2: which answer wins?** The model gives the answer with the largest score. By how much does
# Oslo lead Rome, and by how much does it lead Bern?

# %%
over_rome, over_bern = sp.expand(oslo - rome), sp.factor(oslo - bern)
display(over_rome, over_bern)
assert sp.expand(over_rome - (c1 * (1 + c2) - 1)) == 0
assert sp.expand(over_bern - c1 * (2 * c2 - 1)) == 0

# %% [markdown]
# Both are positive exactly in the region of the claim.
#
# **Step 3: one strength for both.** Oslo's lead over Rome is the smaller one at every $c$ (the
# other one is larger by $(1-c)^2$). The lead is $c^2+c-1$. It is zero at the golden ratio minus
# one.

# %%
margin = sp.expand(over_rome.subs({c1: c, c2: c}))
[root] = sp.solve(margin, c)
display(margin, sp.Eq(c, root))
assert sp.simplify(root - (sp.GoldenRatio - 1)) == 0

# %% [markdown]
# **Step 4: more hops.** With $K$ edited hops, a path may follow the new facts for $j$ hops, and
# then an old one and what follows from it. Its weight is $c^{j}(1-c)$, for $j=0,\dots,K-1$. The
# path that follows the new facts to the end has the weight $c^K$. All weights add up to one. For
# $c\le1$ the strongest rival is the path that takes the old fact at the first hop. So the new
# answer needs $c^K>1-c$. We compute the smallest such $c$ for one to five hops.

# %%
weights = [c**j * (1 - c) for j in range(5)]
display([round(float(sp.nsolve(c**hops + c - 1, 0.7)), 4) for hops in range(1, 6)])
assert sp.expand(sum(weights) + c**5 - 1) == 0

# %% [markdown]
# The more hops a question has, the closer to full strength every edit must stay.
#
# **Step 5: in units that you can measure.** Before the edit the old answer leads the new one by the
# *deficit* $m_0$. With the adapter alone the new answer leads by the *margin* $m_1$. An edit of
# strength $s$ moves the scores (old, new) from $(1,0)$ to $(1-s,s)$, so $m_1/m_0=2s-1$. The mean of
# two adapters leaves $c=s/2$ of each. So a single fact survives the mean if $s>1$. The two-hop
# answer survives if $s/2>0.618$, the root of step 3.

# %%
ratio = lambda strength: 2 * strength - 1
survives, composes = ratio(2 * sp.Rational(1, 2)), ratio(2 * root)
print(f"window: {survives} < m1/m0 < {composes} = {float(composes):.3f}")
assert sp.simplify(composes - (2 * sp.sqrt(5) - 3)) == 0

# %% [markdown]
# **Step 6: adapters in every layer.** Let $L$ layers read one residual stream and add what they
# read. The old first fact is stored in the first layer and the old second fact in the last layer.
# Each edit is spread evenly, with a share $\frac1L$ in each layer. A path takes the first fact in
# some layer and the second in a *later* one. We add up the weights of three kinds of paths:
#
# - both facts old: one path, $p_0=1$;
# - the new first fact in any layer except the last, then the old second one:
#   $p_1=c\,\frac{L-1}L$;
# - both facts new: $\binom L2$ pairs of layers, $p_2=c^2\binom L2\frac1{L^2}$.
#
# Each edit also takes the weight of its new fact away from the old one. So Rome's score is
# $p_0-p_1$, Bern's is $p_1-p_2$, and Oslo's is $p_2$.

# %%
L = sp.symbols("L", positive=True)
p0, p1, p2 = 1, c * (L - 1) / L, c**2 * (L * (L - 1) / 2) / L**2
over_rome, over_bern = p2 - (p0 - p1), p2 - (p1 - p2)
display(sp.factor(over_rome), sp.factor(over_bern))
assert sp.simplify(over_bern - c * (c - 1) * (L - 1) / L) == 0

# %% [markdown]
# Oslo leads Bern only if $c>1$, for any number of layers. Even edits that exactly replace the old
# facts, $c=1$, no longer give the two-hop answer. The reason is that the edits are spread. With
# each edit in the layer of its old fact, $p_0$, $p_1$ and $p_2$ would be $1$, $c$ and $c^2$, as in
# step 3. With two layers Rome is the harder rival, and Oslo leads it from this strength on:

# %%
[two_layers] = sp.solve(over_rome.subs(L, 2), c)
display(sp.Eq(c, two_layers))
assert sp.simplify(two_layers - (sp.sqrt(5) - 1)) == 0

# %% [markdown]
# ## Construct
# We repeat the story with matrices. Keys and values are random vectors, not orthogonal; memories
# and edits are the matrices of least norm that store the facts. `attain` builds the model: two
# memories, two edits, and a map that turns the value of a lab into the key of that lab. This map is
# the *bridge*. The lab itself is the *bridge entity* of the question.
#
# Which old facts exist makes a difference, and there are four cases. In `"overwrite"`, our story,
# the base knew old facts for both hops, and the old lab keeps its city. In `"overwrite both"` the
# city of the old lab is edited as well. In `"new subject"` the base knew where Lab 2 is but nothing
# about Ada, and in `"new facts"` it knew neither.
#
# The columns of `people` are the keys of Ada and of a colleague whose facts nobody edits. The
# columns of `labs` and `values` are the keys and the values of three labs: Ada's new lab, the
# colleague's lab, and Ada's old lab.

# %%
rng = np.random.default_rng(0)
people, labs, values = (rng.standard_normal((24, count)) for count in (2, 3, 3))
unit = two_read_region.Prompt("overwrite", (1.0, 1.0), (people, labs), (values,))
model = two_read_region.attain(unit)
ada, new_lab = people[:, 0], labs[:, 0]

# %% [markdown]
# Ask for Ada's city at four strengths. The scores come in the order Oslo, the colleague's city,
# Rome, Bern.

# %%
for strength in (0.9, 0.65, 0.55, 0.5):
    oslo, _, rome, bern = model.output(ada, (strength, strength))
    print(f"{strength:4}: Oslo {oslo:.3f}, Rome {rome:.3f}, Bern {bern:.3f}")

# %% [markdown]
# At 0.55 Rome leads Oslo. Yet both facts pass their own tests: the first read gives the new lab,
# and the second, asked about the new lab, gives Oslo.

# %%
new, _, old = np.linalg.pinv(values) @ model.read(0, ada, 0.55)
print(f"lab of Ada: new {new:.2f}, old {old:.2f}")
oslo, _, _, bern = model.read(1, new_lab, 0.55)
print(f"city of the new lab: Oslo {oslo:.2f}, Bern {bern:.2f}")

# %% [markdown]
# ## Verify
# The formula and the matrices must give the same number. Random cases have one to four hops, keys
# and values of sizes from $10^{-3}$ to $10^3$, and strengths anywhere or close to the border. A
# `rival` is a second model with the same facts. Its matrices have extra noise for all inputs that
# are not in these facts.

# %%
for seed in range(200):
    rng = np.random.default_rng(seed)
    drawn = two_read_region.draw(rng, 8)
    assert two_read_region.THEOREM.check(drawn, two_read_region.attain(drawn)).tight
    assert two_read_region.THEOREM.check(drawn, two_read_region.rival(drawn, rng)).holds

# %% [markdown]
# The golden ratio was derived with symbols. Find it again by bisection, asking only which city the
# matrices name.

# %%
low, high = 0.5, 1.0
while high - low > 1e-12:
    middle = (low + high) / 2
    oslo_wins = model.output(ada, (middle, middle)).argmax() == 0
    low, high = (low, middle) if oslo_wins else (middle, high)
assert abs(high - float(root)) < 1e-10

# %% [markdown]
# Now we check step 6 with up to six layers. The edits are spread evenly, or in the same way as the
# old facts, or at random.

# %%
spread = two_read_region.SPREAD
for seed in range(20):
    rng = np.random.default_rng(seed)
    drawn = spread.draw(rng, 8)
    assert spread.check(drawn, spread.attain(drawn)).tight
    assert spread.check(drawn, spread.rival(drawn, rng)).holds

# %% [markdown]
# **What breaks it.** A *control* violates one hypothesis on purpose. Then the prediction must fail,
# and `check` must refuse to apply the theorem.

# %%
for control in two_read_region.CONTROLS:
    case, broken = control.example()
    verdict = two_read_region.THEOREM.judge(case, broken)
    print(f"{control.name:45} predicted {verdict.bound:+.3f}, found {verdict.value:+.3f}")
    assert not verdict.holds

# %% [markdown]
# Look at the fourth line. If the edit of the first fact is in the *later* memory, it is read too
# late. The error message names the hypothesis that is violated.

# %%
try:
    two_read_region.THEOREM.check(*two_read_region.CONTROLS[3].example())
except AssumptionError as refusal:
    print(refusal)

# %% [markdown]
# ## Explore
# Every cell of this picture is a simulation; the dashed line is the prediction. The mean of two
# edits of strength 1 lies outside the region in which Oslo wins. So does every other pair of
# positive weights with sum one.

# %%
cells = [[model.output(ada, (x / 20, y / 20)) for x in range(25)] for y in range(25)]
winner = np.argmax(cells, axis=2)
fine = np.linspace(0.01, 1.2, 60)
lead = [[two_read_region.margin((x, y)) for x in fine] for y in fine]

# %% [markdown]
# The colours are the answers: Oslo, Rome or Bern.


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
    axes.set_title(f"margin of the two-hop answer, Oslo: {two_read_region.margin((c1, c2)):+.2f}")
    return SVG(render(figure))


answer(0.55, 0.55)

# %% [markdown]
# Move the star up the diagonal, then along the weights with sum one. Then move it along $c_1=1$ or
# $c_2=1$, where one edit has its full strength. How weak may the other edit be?

# %%
first, second = (
    FloatSlider(0.55, min=0.05, max=1.2, step=0.05, description=n) for n in ("c₁", "c₂")
)
explore(answer, c1=first, c2=second)

# %% [markdown]
# The next figure follows the diagonal, $c_1=c_2$, and shows the margin of each fact and of the
# two-hop answer. The margin of the facts becomes positive first, the margin of the two-hop answer
# later. Between these two points lies the window.

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
# With more hops the window becomes wider. With more adapters in the mean, both ends of the window
# move up. How large must the ratio $m_1/m_0$ of step 5 be?


# %%
def needed(hops: int = 2, adapters: int = 2) -> None:
    """How large m1/m0 must be for single facts and for the answer over all hops to survive."""
    low, high = two_read_region.window(hops, adapters)
    print(f"single facts survive if m1/m0 > {low:.2f}, the {hops}-hop answer if m1/m0 > {high:.2f}")


needed()
explore(needed, hops=IntSlider(2, min=1, max=6), adapters=IntSlider(2, min=1, max=8))

# %% [markdown]
# ## What this does not say
# - **The bridge is linear.** A model may instead choose one lab before its second read, or write
#   the lab down. Then $c>\frac12$ for each fact is enough, and there is no window.
# - **It takes two reads.** If both facts are read in one step, a merge of the two adapters can only
#   guess. Notebook 07 proves this for the average over all possible bridges.
# - **Other old facts give other thresholds.** In the case `overwrite both` each strength must
#   exceed ½. In the case `new subject` only the strength of the second fact matters.
# - **Edits do not disturb each other** in this model. Many adapters in one memory do disturb each
#   other (notebook 05).
# - **Strengths cannot be read from weights.** They are measured on prompts, through $m_1/m_0$ (step
#   5).
# - **A real transformer** may have no two-hop path to lose. Whether it reads facts in this order is
#   a question for experiments (notebooks 08 and 10).

# %% [markdown]
# ## Exercises
# Replace `None` by your answer, or by your code, and run the cell. The cell prints whether you are
# right, and if not, why. A number is right if it is within 1% of the answer.
#
# **1.** *(easy, 5 minutes)* Three adapters with one fact each are averaged, and the merge is asked
# a three-hop question. How strong must each edit be before averaging, so that the answer is right?

# %%
mine = None
judge("02.1", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Three hops need $c^3+c>1$, so $c>0.6823$, and the mean leaves $c=s/3$ of strength $s$.
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
# <details><summary>Solution</summary>
#
# $c=s/4$ must exceed $(\sqrt5-1)/2$, so $s>2(\sqrt5-1)=2.472$. This is twice the strength that
# averaging the products needs.
#
# ```python
# mine = 2 * (5**0.5 - 1)
# ```
#
# </details>

# %% [markdown]
# **3.** *(medium, 10 minutes)* With convex weights, $c_1+c_2=1$, two edits of strength 1 never give
# the two-hop answer. Its margin is always negative. What is the largest margin over all such
# weights?

# %%
mine = None
judge("02.3", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# With $c_2=1-c_1$ the margins are $-(1-c_1)^2$ over Rome and $c_1(1-2c_1)$ over Bern. The first
# margin rises with $c_1$; the second falls for $c_1>\frac14$. The two are equal where
# $c_1^2+c_1=1$. So $c_1=0.618$, and the margin is $-0.382^2$.
#
# ```python
# mine = -(0.381966**2)
# ```
#
# </details>

# %% [markdown]
# **4.** *(hard, 20 minutes, code)* Write a merge that gives the two-hop answer with the smallest
# sum of coefficients. Its input is the strengths $s_1$ and $s_2$ of two edits. It returns positive
# coefficients $(c_1,c_2)$ for which Oslo leads. Their sum may exceed the smallest possible sum by
# at most 1%. In the claim, replace $c_1$ by $c_1s_1$ and $c_2$ by $c_2s_2$.


# %%
def mine(s1, s2):
    return None


judge("02.4", mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Let $a=c_1s_1$ and $b=c_2s_2$. On the border of the region $a(1+b)=1$, so the sum of coefficients
# is $\frac1{s_1(1+b)}+\frac b{s_2}$. It is smallest at $1+b=\sqrt{s_2/s_1}$. The second hop also
# needs $b\ge\frac12$.
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
#   models*](https://arxiv.org/abs/2210.03350). Models without adapters that know both facts and
#   answer the two-hop question wrongly.
# - Yang et al., [*Do large language models latently perform multi-hop
#   reasoning?*](https://arxiv.org/abs/2402.16837). Does a model find the bridge entity in one pass?
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
# would have shown the loss, and why does nobody run it?
#
# **Common wrong answers.** "If both facts pass, the composition passes": a product of two numbers
# above one half can be below one half. "Give one adapter more weight": no pair of weights with sum
# one gives the answer (exercise 3). "The threshold is one half squared": the score of the old
# answer also grows when the edits become weaker.
#
# </details>
