"""The paper: its studies, their stored tables, figures and numbers; no part of the package.

``python -m paper`` builds ``paper/main.pdf``; ``python -m paper.studies NAME`` runs a study.
"""
