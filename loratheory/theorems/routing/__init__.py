"""Routing: what a router can know before it chooses.

A router picks adapters for each input. These results say how often the usual scores pick right,
how wide their margins are, and what no choice made in a single read can do.
"""
