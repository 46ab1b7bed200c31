# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where do I start?
#
# You have several adapters. Each adapter has learned something, and you want one model that knows
# everything. When can the adapters be combined?
#
# **Main idea.** In simple models, mathematics says exactly what a combination of adapters can do.
# Each notebook of this course asks one question, derives the answer, and checks it by computation.
#
# **Mechanism.** An adapter is a small matrix that is added to a weight matrix. Ranks, angles and
# products of such matrices decide what a combination of adapters can do.
#
# **A common misconception.** "If a merged model knows every single fact, it can also combine the
# facts." Notebook 02 shows a merge that answers two single questions correctly. The same merge
# gives a wrong answer to the question that needs both facts.
#
# **After this notebook** you know the words of the course, and can choose the notebooks that you
# need. You can check a theorem on your own machine.
#
# The course needs no GPU, and nothing is downloaded while it runs.
#
# ## The words
# A model's weight matrix $W$ holds what the model knows. An **adapter** (LoRA) is a small update
# $\Delta W=BA$ of low rank: $B$ is tall, $A$ is wide, and $W$, the **base**, stays frozen.
#
# ![A frozen matrix W plus the product of two thin matrices B and A](drawings/low_rank.svg)

# %%
import numpy as np

import loratheory as lt
from loratheory.theorems.composition import two_read_region

# %% [markdown]
# To **merge** two adapters is to use $W+c_1\Delta W_1+c_2\Delta W_2$ with fixed **coefficients**
# $c_1$ and $c_2$. To **route** is to choose the coefficients anew for each input.
#
# ![A merge weighs adapters once; a router weighs them at every input](drawings/merge_and_route.svg)
#
# A **gate** makes an adapter active at full strength at some inputs and inactive at all others. The
# adapter's **response** is the norm of what the adapter adds at an input. A gate activates the
# adapter where this response is far larger than at ordinary inputs.
#
# ![A gate is off at ordinary input and on where the response stands out](drawings/gate.svg)
#
# A question has two **hops** if you need two facts, one after the other, to answer it:
#
# > Ada works at Lab 2 *(adapter 1)*. Lab 2 is in Oslo *(adapter 2)*. In which city does Ada work?
#
# Each fact alone is a **single hop**. Neither the question nor the answer names Lab 2. Lab 2 is the
# **bridge**. Before the adapters were added, the model may have known other facts about Ada or
# about the lab. Such **old facts** compete with the new answer.
#
# ![A two-hop question reads two facts: Ada works at Lab 2, Lab 2 is in Oslo](drawings/two_hops.svg)
#
# What a merge answers depends on which old facts exist. There are four cases, and each case has a
# name:
#
# ![Four cases: old facts for both hops, only for hop 1, only for hop 2, for
# none](drawings/old_facts.svg)
#
# Other new words are explained in the [glossary](../docs/glossary.md).
#
# ## The map
#
# - [What can you learn about your own adapters in ten minutes?](00_your_own_adapters.ipynb) Read,
#   compare and merge two adapters, and check a theorem on the result. No other notebook needs it.
# - **01** [How well can one adapter serve many tasks?](01_one_adapter_many_tasks.ipynb) The
#   smallest possible error of a merge. The error has two parts: the tasks disagree, and the rank is
#   too small. 75 minutes.
# - **02** [Why does averaging two edits lose the two-hop answer?](02_two_hop_averaging.ipynb) Why
#   every single fact can be right and the two-hop answer wrong. 85 minutes.
# - **03** [What can a rank-r update express?](03_what_rank_can_express.ipynb) How many layers
#   compensate for a small rank, and which attention heads an adapter can reach. 75 minutes.
# - **04** [How many facts fit in an adapter?](04_how_many_facts_fit.ipynb) Three meanings of *fit*,
#   and why merging adds no capacity. 75 minutes.
# - **05** [When do two adapters disturb each other?](05_when_adapters_disturb.ipynb) Angles between
#   the inputs that adapters read, and how many adapters can be added up. 90 minutes.
# - **06** [What can a router know?](06_what_a_router_can_know.ipynb) Inputs that a router cannot
#   see, false alarms, and limits of every router. 90 minutes.
# - **07** [Why can no merge in one layer answer the two-hop
#   question?](07_why_one_layer_cannot.ipynb) Why one pass through one matrix can only guess the
#   answer. 75 minutes.
# - **08** [When do combined adapters answer a two-hop question, and how does gating
#   help?](08_when_reuse_composes.ipynb) Small transformers, and gates that let adapters answer
#   two-hop questions together. 90 minutes.
# - **09** [When do shared solution templates help a merge?](09_shared_templates.ipynb) Merged
#   adapters vote on the next step of a solution. In small transformers
#   a won vote can give a wrong solution. 75 minutes.
# - **10** [Do the limits hold in a real language model?](10_real_language_model.ipynb) Two adapters
#   for a model with 135M parameters, and predictions that are tested on this model. 75 minutes.
# - **11** [Can adapters be trained to compose with unseen partners?](11_training_to_compose.ipynb)
#   In which layer training stores a fact, and how an adapter can prepare for unseen adapters. 90
#   minutes.
#
# ## What you need
# - **Linear algebra**: matrices, rank, the singular value decomposition. Notebook 01 recalls what
#   it uses.
# - **Python**: you read ten lines of NumPy and write five. Each exercise asks for a number, `True`
#   or `False`, or a short function.
# - **Transformers**, from notebook 08 on: you know what a transformer is. You need not have trained
#   a transformer.
#
# Some notebooks build on others:
#
# - 03, 04 and 05 need 01.
# - 06, 08 and 10 need 02; 08 also uses 06.
# - 11 needs 07.
# - 01, 02, 07 and 09 need no other notebook.
#
# ## How a notebook works
# Every notebook has eight parts, in this order:
#
# 1. **Question**: the question and the main idea.
# 2. **Derive**: the proof in symbols. The code checks each equation.
# 3. **Construct**: a model for which the bound holds with equality.
# 4. **Verify**: random cases, rival models that try to beat the bound, and cases that break one
#    hypothesis on purpose.
# 5. **Explore**: figures with sliders.
# 6. **What this does not say**: the limits of the claim.
# 7. **Exercises**.
# 8. **Further reading**.
#
# When you run the cell of an exercise, it prints "not answered yet", "correct", or "not yet,
# because …". In some exercises you write a merge, a router, a gate, or a counterexample. The code
# of the theorem then tests what you wrote. Two hints and the solution are folded below each
# exercise. The first hint names the step of the proof to look at. The second hint gives the
# decisive idea. A note for lecturers is folded at the end of the notebook. The handout for students
# contains the hints, but neither solutions nor notes.
#
# In the code, every theorem is a Python object with a statement and a test. Here is the statement
# of the theorem of notebook 02:

# %%
print(two_read_region.THEOREM.statement)

# %% [markdown]
# You need not understand the statement yet; notebook 02 derives it. In the statement, a *read* is
# one pass through a matrix that stores facts, and $c_j$ is the coefficient of the adapter for hop
# $j$.
#
# The module of a theorem can draw random cases (`draw`) and build a model that reaches the bound
# (`attain`). The theorem itself can test any model against the bound (`check`):

# %%
rng = np.random.default_rng(0)
case = two_read_region.draw(rng, 8)
verdict = two_read_region.THEOREM.check(case, two_read_region.attain(case))
print(f"bound {verdict.bound:.6f}, measured {verdict.value:.6f}, holds: {verdict.holds}")
assert verdict.holds

# %% [markdown]
# `lt.verify` tries to refute a theorem. It draws random cases and runs models that try to beat the
# bound. It also runs *controls*: cases that break one hypothesis each, and in which the claim must
# fail.

# %%
print(f"the package has {len(lt.theorems.LABELS)} theorems and clauses")
report = lt.verify(two_read_region.THEOREM, cases=50, seed=0)
print(f"{report.cases} attempts, {report.controls} controls, all as stated: {report.ok}")
assert report.ok

# %% [markdown]
# ## In a course
# - **One lecture (90 minutes).** Notebook 02 alone: the story, steps 1 to 3, the first slider
#   figure, and the first exercise. Before you show the answer, let students vote. If both single
#   facts are right, is the two-hop answer right as well?
# - **A week of a seminar (4 × 90 minutes).** Notebooks 01, 02, 07 and 11. Notebooks 01 and 02 show
#   what a merge must lose, and why it loses two-hop answers first. Notebook 07 shows why one layer
#   cannot answer two-hop questions. Notebook 11 shows how to train adapters whose sum answers
#   two-hop questions.
# - **A block course (two weeks).** One notebook in each session, in this order: 01, 03, 04, 05, 02,
#   06, 07, 08, 09, 10, 11. The first four notebooks are about single facts and tasks, and the next
#   four notebooks are about two hops. The last three ask whether results hold for
#   skills (09) and in language models (10, 11).
# - **Projects.** The [page for teaching](../docs/teaching.md) has the learning objectives and three
#   open questions, each with a first step.
#
# Each notebook runs in a minute or less, so a class can start with *Run All*. `make handout` writes
# the notebooks without solutions and lecturers' notes to `build/handout`.
#
# ## If something fails
# `make lab` in the project's folder builds the environment and opens this notebook in JupyterLab.
# `loratheory verify merge-floor` checks whether the package works at all. Sliders need
# `ipywidgets`, which `make` installs. A failing assertion in an unchanged notebook is a bug: report
# it.
