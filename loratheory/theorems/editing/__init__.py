"""Editing: how many facts one adapter holds, and at what cost.

A fact is a key together with the output that the layer should give for it. These results say how
much the facts of one update disturb each other. They also say what a sum of adapters with random
frozen factors recalls.
"""
