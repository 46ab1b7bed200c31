"""What the experiments on word problems share: problems, bases, adapters, reuse and likeness.

`_problems`, `_cases` and `_votes` need NumPy alone; the others need PyTorch, so they are imported
where used.
"""
