"""Expressiveness: which functions low-rank updates of frozen weights reach.

The weights are frozen and an update of rank `r` is added to some of them. These results say which
linear maps, networks, attention patterns and answers such updates reach, how far the best of them
stays from the others, and what training and the choice of scale, rates and frozen factors add.
"""
