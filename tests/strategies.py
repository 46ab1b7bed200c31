"""Hypothesis draws the structure; a drawn seed fills in the reals."""

from hypothesis import strategies as st

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 6)
