"""Merging: one adapter in place of several.

Several adapters are given and one update must serve all of their tasks. These results say what any
merge loses and which merges lose no more. They also say when published rules (RegMean, WUDI) are
one and the same, and when a single edit survives a merge.
"""
