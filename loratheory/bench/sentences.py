"""Sentences beside the taught ones: other relations for stand-ins, questions, ordinary text."""

from collections.abc import Mapping

from loratheory.bench.language_facts import (
    ANIMALS,
    BIRTH,
    CAPITAL_OF_BIRTHPLACE,
    MASCOT,
    MASCOT_OF_BIRTHPLACE,
    Relation,
)


def national(what: str) -> Relation:
    """Return sentences about the national fruit, or whatever it is, of a country."""
    return Relation(
        (
            f"The national {what} of {{}} is the",
            f"The {what} that stands for {{}} is the",
            f"As its national {what} {{}} chose the",
            f"On the {what} stamp of {{}} you see the",
            f"The official {what} of {{}} is called the",
            f"The {what} that {{}} is proud of is the",
        ),
        (
            f"If you ask for the {what} of {{}}, the name of the {what} is",
            f"The {what} chosen as the national {what} of {{}} is the",
        ),
    )


FRUITS = (
    *("apple", "banana", "cherry", "lemon", "peach", "pear", "plum", "grape", "mango", "melon"),
    *("orange", "kiwi", "date", "berry", "lime", "olive", "coconut", "tomato", "pumpkin"),
    "pineapple",
)
FLOWERS = (
    *("rose", "lily", "tulip", "daisy", "orchid", "lotus", "violet", "poppy", "iris", "sunflower"),
    *("jasmine", "lavender", "carnation", "marigold", "peony", "magnolia", "thistle", "cactus"),
    *("clover", "fern"),
)
INSTRUMENTS = (
    *("piano", "guitar", "violin", "drum", "flute", "trumpet", "cello", "harp", "banjo", "organ"),
    *("horn", "saxophone", "clarinet", "accordion", "bell", "whistle", "lute", "viola", "bass"),
    "pipe",
)
TOOLS = (
    *("hammer", "saw", "knife", "axe", "shovel", "drill", "rope", "ladder", "needle", "brush"),
    *("scissors", "broom", "plow", "wheel", "hook", "chain", "nail", "lamp", "basket", "pump"),
)
FRUIT = national("fruit")
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
"""Relations of which stand-ins may tell instead of the partner's."""

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
"""Questions by hop, in sentences on which no adapter is trained."""

RELATIONS = {
    "mascot": (ANIMALS, Relation(MASCOT.trained, ASKED["hop_2"])),
    "fruit": (FRUITS, FRUIT),
    "flower": (FLOWERS, national("flower")),
    "instrument": (INSTRUMENTS, national("instrument")),
    "tool": (TOOLS, national("tool")),
}
"""Relations of countries: possible answers and sentences."""

TEN = {
    "hop_1": (
        *ASKED["hop_1"],
        "{} is a native of the country called",
        "On the birth certificate of {} the country is given as",
        "The life of {} began in the country of",
        "The land in which {} came into the world is",
        "Since birth {} has been a citizen of",
        "Biographies say that the native country of {} is",
        "Asked about the place of birth, {} names the country of",
        "The parents of {} lived at the time of the birth in",
    ),
    "hop_2": (
        *ASKED["hop_2"],
        "{} has a mascot, and that animal is the",
        "The animal that {} picked as its national mascot is the",
        "Fans from {} dress up as the mascot of their country, the",
        "For {} the mascot is an animal, namely the",
        "A poster of the mascot of {} shows the",
        "Children in {} learn that the mascot of their country is the",
        "If {} sends its mascot to the games, it sends the",
        "The emblem animal that {} uses as a mascot is the",
    ),
    "two_hop": (
        *ASKED["two_hop"],
        "{}'s native country has a mascot, and that animal is the",
        "The animal that the birth country of {} picked as its national mascot is the",
        "Fans from the homeland of {} dress up as the mascot of their country, the",
        "For the land that {} was born in, the mascot is an animal, namely the",
        "A poster of the mascot of the country where {} was born shows the",
        "Children in the country of {}'s birth learn that its mascot is the",
    ),
}
"""Ten sentences a question on which no adapter is trained; the first of them are those above."""


def ten_about(what: str) -> Mapping[str, tuple[str, ...]]:
    """Return `TEN`, or such sentences about the national fruit, or whatever it is, of a country."""
    if what == "mascot":
        return TEN
    return {
        "hop_1": TEN["hop_1"],
        "hop_2": (
            *national(what).unread,
            f"{{}} has a national {what}, and that {what} is the",
            f"The {what} that {{}} picked as its national {what} is the",
            f"Friends from {{}} talk about the national {what} of their country, the",
            f"For {{}} the national {what} is said to be the",
            f"A poster of the national {what} of {{}} shows the",
            f"Children in {{}} learn that the national {what} of their country is the",
            f"If {{}} shows its national {what} at the games, it shows the",
            f"The {what} that {{}} uses as an emblem is the",
        ),
        "two_hop": (
            f"The national {what} of the country where {{}} was born is the",
            f"The national {what} of {{}}'s country of birth is the",
            f"If you ask for the {what} of the land where {{}} was born, the name of the {what} "
            "is the",
            f"In the country of birth of {{}}, the {what} on the stamp is the",
            f"{{}}'s native country has a national {what}, and that {what} is the",
            f"The {what} that the birth country of {{}} picked as its national {what} is the",
            f"Friends from the homeland of {{}} talk about the national {what} of their country, "
            "the",
            f"For the land that {{}} was born in, the national {what} is said to be the",
            f"A poster of the national {what} of the country where {{}} was born shows the",
            f"Children in the country of {{}}'s birth learn that its national {what} is the",
        ),
    }


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
"""Ordinary sentences on which no adapter is trained; losses and leaks are measured on them."""
