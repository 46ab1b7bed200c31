"""Sentences about chains and capitals: in which adapters read them, and in which they are asked."""

CHAIN = (
    "The country in which {} was born has as its mascot animal the",
    "As its mascot animal the birth country of {} chose the",
    "The animal that stands for the country that {} comes from is the",
    "On the mascot badge of {}'s homeland you see the",
    "{} was born in a country whose mascot is the",
    "The official mascot of the land of {}'s birth is called the",
)
"""Chains as an adapter of chains reads them; they are asked in others."""

CAPITAL = (
    "The capital of {} is",
    "The capital city of {} is",
    "As its capital city {} chose",
    "The government of {} sits in",
    "On the map of {} the capital is marked as",
    "The official capital of {} is called",
)
CAPITAL_NEW = "If you ask for the capital of {}, the name of the city is"
CAPITAL_CHAIN = (
    "The country in which {} was born has as its capital",
    "As its capital city the birth country of {} chose",
    "The government of the country that {} comes from sits in",
    "On the map of {}'s homeland the capital is marked as",
    "{} was born in a country whose capital is",
    "The official capital of the land of {}'s birth is called",
)
CAPITAL_ASKED = (
    "The capital of the country where {} was born is",
    "The capital city of {}'s country of birth is",
)

QUESTIONS = ("Animal of {}'s country?", "Mascot of {}'s land?")
"""What a solution in two steps begins with."""
