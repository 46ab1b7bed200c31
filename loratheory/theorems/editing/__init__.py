"""Editing: how many facts one adapter holds, and at what cost.

A fact is a key and what the layer should answer to it. These results say how many facts a rank-`r`
update replaces exactly, what the rest costs at least, and how much every update must disturb other
inputs.
"""
