"""Editing: how many facts one adapter holds, and at what cost.

A fact is a key and what the layer should answer to it. These results say how much the facts of one
update disturb each other, and what a sum of adapters with random reading factors recalls.
"""
