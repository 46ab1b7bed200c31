"""Editing: how many facts one adapter holds, and at what cost.

A fact is a key and what the layer should answer to it. These results say how many sets of facts
rank-`r` updates can tell apart, how much the facts of one update disturb each other, and how much
the base may change before an edit loses its answer.
"""
