"""What several studies share: the runner, base models, fact sets and training conditions."""
