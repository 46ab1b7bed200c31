"""Composition: answers that need facts from several adapters.

A two-hop question needs a fact from one adapter and then a fact from another. These results say
when merged, routed or placed adapters answer it, and why success on each fact alone does not show
that. A prompt's *new facts* are those that edits write, its *old facts* those that the base holds
instead. The *bridge* is the answer of the first hop; the *old bridge* is the answer of the old
first fact. An entity is *named* if the prompt mentions it, and *latent* if a hop only leads to it.
An answer *leads* by the difference between its logit and that of the best other token, and *wins*
if it leads by more than 0.
"""
