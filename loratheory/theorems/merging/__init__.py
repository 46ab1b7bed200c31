"""Merging: one adapter in place of several.

Several adapters are given and one update must serve all of their tasks. These results say what any
merge loses, which rules reach that floor, and what published rules (TIES, DARE, RegMean, WUDI, Iso)
do to single edits.
"""
