"""A theorem small enough to test the judge with."""

from loratheory.theorems import Assumption, Theorem


def toy(sense="lower", **more):
    """The bound 1 against the witness itself; cases are numbers that set the scale."""
    return Theorem(
        label="thm:toy",
        statement="A number is at least one.",
        sense=sense,
        status="proved",
        source="own",
        document="**Statement.** **Proof.**",
        assumptions=(Assumption("a positive witness", lambda _, w: w > 0),),
        draw=lambda rng, _: float(rng.uniform(1, 2)),
        bound=lambda _: 1.0,
        measure=lambda _, w: w,
        scale=lambda case: case,
        attain=lambda _: 1.0,
        **more,
    )
