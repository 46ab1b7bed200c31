"""Routing: what a router can know before it chooses.

A router picks adapters for each input. These results say how often the usual scores and gates pick
right, how often any router can, and what no choice made in a single read can do.
"""
