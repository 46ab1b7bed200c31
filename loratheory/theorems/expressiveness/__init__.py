"""Expressiveness: which functions low-rank updates of frozen weights reach.

The weights are frozen and an update of rank `r` is added to some of them. These results say which
linear maps, networks, attention patterns and answers such updates reach. For targets out of reach
they say how far the best update stays away.
"""
