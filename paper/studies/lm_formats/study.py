"""Merge facts with an answer format, and a word-problem skill with another, on language models."""

from paper.studies._shared.run import grid, part, study
from paper.studies.lm_formats import formats, skills
from paper.studies.lm_strangers.pairs import BASES

METHODS = ("standard", "stand-ins")
FORMATS = {"answer_format": formats.FORMATS, "method": METHODS}

STUDY = study(
    __name__,
    part(
        "formats",
        formats.cell,
        (formats.Config(seed=400),),
        grid(formats.Config, seed=range(400, 410), model=BASES, **FORMATS),
    ),
    part(
        "skills",
        skills.cell,
        (skills.Config(seed=400),),
        grid(
            skills.Config, seed=[400], model=BASES, method=[*METHODS, skills.TOGETHER, skills.HALF]
        ),
    ),
    part(
        "own_stand_ins",
        skills.measure_own_stand_ins,
        (skills.Config(seed=400, method=skills.HALF),),
        grid(skills.Config, seed=[400], method=[skills.HALF]),
    ),
    minutes=(10, 120),
)
