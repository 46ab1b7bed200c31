"""Models small enough to solve by hand: their answers follow from theorems, without training."""
