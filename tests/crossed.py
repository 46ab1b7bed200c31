"""The lines of the page's tables of crossings."""

CROSSED = {  # how a line of the page's table begins, and the rule
    "nobody": "base",
    "the mean": "mean",
    "the sum |": "sum",
    "the sum, asked hop by hop": "sum, hop by hop",
    "Arrow |": "arrow",
    "the largest standardised": "norm, z",
    "gates on maps": "gates, z = 2",
    "hop gates by response": "hop gates",
    "hop gates, all second hops tried": "hop gates, tried",
    "**subject gates**": "subject gates",
    "subject gates, asked hop by hop": "subject gates, hop by hop",
    "the right pair, told": "right pair",
    "TIES |": "ties",
    "TIES in the axes": "knots",
    "Arrow as in PEFT": "arrow, peft",
    "the largest response norm": "norm",
    "a softmax over": "norm, soft",
    "block gates": "block gates, z = 2",
    "prompt gates": "prompt gates",
    "retrieval": "retrieval",
}
