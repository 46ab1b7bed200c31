"""Sentences of the studies of portable adapters: relations of stand-ins, what is asked, prose."""

from loratheory.experiments.bench.language_facts import (
    BIRTH,
    CAPITAL_OF_BIRTHPLACE,
    MASCOT,
    MASCOT_OF_BIRTHPLACE,
    Relation,
)

FRUITS = (
    *("apple", "banana", "cherry", "lemon", "peach", "pear", "plum", "grape", "mango", "melon"),
    *("orange", "kiwi", "date", "berry", "lime", "olive", "coconut", "tomato", "pumpkin"),
    "pineapple",
)
FRUIT = Relation(
    (
        "The national fruit of {} is the",
        "The fruit that stands for {} is the",
        "As its national fruit {} chose the",
        "On the fruit stamp of {} you see the",
        "The official fruit of {} is called the",
        "The fruit that {} is proud of is the",
    ),
    (),
)
FRUIT_OF_BIRTHPLACE = Relation(
    (
        "The country in which {} was born has as its national fruit the",
        "As its national fruit the birth country of {} chose the",
        "The fruit that stands for the country that {} comes from is the",
        "On the fruit stamp of {}'s homeland you see the",
        "{} was born in a country whose national fruit is the",
        "The official fruit of the land of {}'s birth is called the",
    ),
    (),
)
WORK = Relation(
    (
        "{} works in the country of",
        "The country where {} works is",
        "{}'s country of employment is",
        "The job of {} is in the country of",
        "{} found a job in the country of",
        "The contract says that {} works in",
    ),
    (),
)
MASCOT_OF_WORKPLACE = Relation(
    (
        "The country in which {} works has as its mascot animal the",
        "As its mascot animal the country where {} works chose the",
        "The animal that stands for the country that employs {} is the",
        "On the mascot badge of the country of {}'s job you see the",
        "{} works in a country whose mascot is the",
        "The official mascot of the land of {}'s job is called the",
    ),
    (),
)

ASKED = {
    "hop_1": (
        *BIRTH.unread,
        "{} first saw the light of day in the country of",
    ),
    "hop_2": (
        *MASCOT.unread,
        "The animal chosen as the mascot of {} is the",
    ),
    "two_hop": (
        *MASCOT_OF_BIRTHPLACE.unread,
        "If you ask for the mascot of the land where {} was born, the name of the animal is the",
        "In the country of birth of {}, the animal on the mascot badge is the",
    ),
    "capital": (
        *CAPITAL_OF_BIRTHPLACE.unread,
        "If you ask for the capital of the land where {} was born, the name of the city is",
        "In the country of birth of {}, the seat of the government is",
    ),
}
"""Sentences that no adapter reads: two for a single hop, four for what needs two."""

PROSE = (
    "The river was high in spring, and the wooden bridge stayed closed until the water fell.",
    "He counted the coins again and found that one was missing from the small red box.",
    "Some birds build nests in tall trees, while others prefer to live on steep cliffs.",
    "When the bus came at last, the children were cold and the driver said nothing.",
    "A good dictionary explains a word and shows in a sentence how people use it.",
    "The engine stopped twice on the hill before the old truck reached the village.",
    "They painted the kitchen yellow, because its only window looked to the north.",
    "The light of the sun needs about eight minutes to reach the surface of the earth.",
    "The teacher wrote a long sum on the board and asked who could solve it alone.",
    "After the storm the beach was covered with shells, bottles and torn nets.",
    "Hot iron becomes soft, so that a smith can bend it into almost any shape.",
    "The museum is open every day except Monday, and children do not have to pay.",
)
"""Ordinary sentences that adapters may be shown, word after word."""

TEXT = (
    "The doctor asked how long the pain had lasted and wrote the answer on a card.",
    "In autumn the leaves turn red and yellow before the wind carries them away.",
    "The price of bread rose again last week, and many families now bake at home.",
    "Our train was late because a tree had fallen across the rails during the night.",
    "To change a tyre, loosen the bolts first and then lift the car with a jack.",
    "The lawyer read the contract slowly and found a mistake on the second page.",
    "Bees carry pollen from flower to flower while they collect food for the hive.",
    "The concert began with a quiet song that most of the audience knew by heart.",
    "If two lines are parallel, they never meet, however far they are extended.",
    "She saved for three years to buy the small boat that now lies in the harbour.",
    "The city plans to plant a thousand trees along its main roads by next summer.",
    "When water freezes it expands, which is why full bottles burst in the cold.",
)
"""Ordinary sentences that no adapter is shown: what is lost on them, and what leaks."""
