"""Composition: answers that need facts from several adapters.

A two-hop question needs a fact from one adapter and then a fact from another. These results say
when adapters that are merged, routed or placed in certain layers answer it. They also say why
success on each fact alone does not show that they do. A prompt's *new facts* are those that edits
write, its *old facts* those that the base holds instead. A read holds a fact with *strength* 1 if
it maps the fact's key exactly to its value. A *path* follows facts from the prompt's first key, hop
by hop; an *old path* takes an old fact at some hop. The *target* is the answer to which the new
facts lead. The *bridge* is the answer of the first hop; the *old bridge* is the answer of the old
first fact. An entity is *named* if the prompt mentions it, and *latent* if a hop only leads to it.
An answer *leads* by the difference between its logit and that of the best other token, and *wins*
if it leads by more than 0.
"""
