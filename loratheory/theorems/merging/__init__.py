"""Merging: one adapter in place of several.

Several adapters are given and one update must serve all of their tasks. These results say what any
merge loses, which merges lose no more, when published rules (RegMean, WUDI) are one and the same,
and what merging leaves of a single edit.
"""
