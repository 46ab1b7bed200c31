"""Data from a seed, in which every fact, edit and answer is known."""
