"""The words of the text rendering: what a level holds, what a relation is called."""

KINDS = ("person", "country", "animal", "plant", "mineral")

RELATIONS = (
    (
        ("country of birth", "birth country"),
        ("country of residence", "country of domicile"),
        ("country of citizenship", "country of nationality"),
        ("country of study", "country of education"),
        ("country of employment", "country of work"),
        ("country of retirement", "country of old age"),
        ("country of marriage", "wedding country"),
        ("favourite country", "best-loved country"),
    ),
    (
        ("national animal", "state animal"),
        ("animal on the flag", "flag animal"),
        ("animal on the coat of arms", "heraldic animal"),
        ("animal on the coins", "coin animal"),
        ("animal on the stamps", "stamp animal"),
        ("animal on the passport", "passport animal"),
        ("animal in the anthem", "anthem animal"),
        ("animal of the harvest feast", "feast animal"),
    ),
    (
        ("favourite plant", "best-loved plant"),
        ("food plant", "plant on the menu"),
        ("nesting plant", "plant in the nest"),
        ("shelter plant", "plant overhead"),
        ("healing plant", "medicinal plant"),
        ("feared plant", "dreaded plant"),
        ("bedding plant", "plant under the bed"),
        ("companion plant", "neighbouring plant"),
    ),
    (
        ("mineral in the soil", "soil mineral"),
        ("mineral in the roots", "root mineral"),
        ("mineral in the leaves", "leaf mineral"),
        ("mineral in the seeds", "seed mineral"),
        ("mineral in the bark", "bark mineral"),
        ("mineral in the petals", "petal mineral"),
        ("mineral in the sap", "sap mineral"),
        ("mineral in the ashes", "ash mineral"),
    ),
)
ENDINGS = ("", "ria", "x", "nd", "sk")

WORDINGS = 4


def nested(inner: str, names: tuple[str, str], wording: int) -> str:
    """One relation said of something: with "of" or a genitive, under its first or second name.

    Parameters
    ----------
    inner : str
        A name, or what this function returned for the relation before.
    names : two str
        Of the relation.
    wording : int
        Below `WORDINGS`.

    Returns
    -------
    str
        A noun phrase that starts with a small letter or with the name.
    """
    name = names[wording // 2 % 2]
    return f"{inner}'s {name}" if wording % 2 else f"the {name} of {inner}"


def sentence(words: str) -> str:
    """The words with a capital at the start."""
    return words[:1].upper() + words[1:]
