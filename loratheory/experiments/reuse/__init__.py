"""What the experiments on small transformers share: bases, shelves of adapters, rules and marks."""
