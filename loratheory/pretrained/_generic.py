"""Ordinary sentences: what a model reads where nothing else is said."""

GENERIC = (
    "The weather was fine on Sunday, so we took the train to the lake and swam until noon.",
    "Water boils at a lower temperature on high mountains because the air is thin there.",
    "She opened the letter, read it twice, and put it back on the table without a word.",
    "In 1969 two people walked on the Moon while a third one waited in orbit.",
    "To bake bread you need flour, water, salt, yeast and some patience.",
    "The committee will publish its report next month, after all members have seen it.",
    "A function is continuous if small changes of its argument change its value little.",
    "My brother plays the piano, and my sister would rather repair old bicycles.",
    "The capital of Portugal is Lisbon, a city on seven hills above a wide river.",
    "The painter Claude Monet was born in Paris and later lived in a village with a garden.",
    "Penguins cannot fly, but they swim faster than most of the fish that they eat.",
    "Please send the invoice to the office before Friday, or call us if that is too early.",
)
"""Gates are calibrated on them, and `check-model` looks at the inputs that they make."""
