"""The paper: its studies, their stored tables, figures and numbers. Nothing in the package uses it.

``python -m paper`` builds ``paper/main.pdf``; ``python -m paper.studies NAME`` runs a study.
"""
