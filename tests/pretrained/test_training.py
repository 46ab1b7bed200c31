"""Training: one step, the order, checkpoints and kills, what stops it, what it costs."""
