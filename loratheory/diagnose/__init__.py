"""Verdicts on a user's own adapters: theorems applied, each sentence with its label."""
