"""Expressiveness: which functions low-rank updates of frozen weights reach.

The weights are frozen and an update of rank `r` is added to some of them. These results say which
linear maps, networks, attention patterns and answers such updates reach, and how far the best of
them stays from what they do not reach.
"""
