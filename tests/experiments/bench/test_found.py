"""What the studies on small transformers say that was found, held against their tables."""

from statistics import fmean

from found import from_on, majority, mean, percent, says, table_rows

from loratheory.experiments.merge_coefficient import ALSO


def test_findings_of_depth():
    name = "depth"
    found = {row["rule"] for row in table_rows(name)}

    def of(reads, rule, column="two_hop"):
        return mean(table_rows(name, reads=reads, rule=rule), column)

    twice = "one layer twice, window 2"
    without = ("two layers", "one layer twice")
    says(
        name,
        max(of("one layer", rule) for rule in found),
        min(of("one layer", "sum", hop) for hop in ("hop_1", "hop_2")),
        max(of(reads, "sum", "circuit") for reads in without),
        max(of(reads, rule) for reads in without for rule in found),
        of(twice, "sum", "circuit"),
        *(of(twice, rule) for rule in ("sum", "oracle placement", "gates", "mean")),
    )


def test_findings_of_routers():
    name, sizes = "routers", (1, 2, 4)

    def each(rule, column="two_hop"):
        return [mean(table_rows(name, rule=rule, pairs=pairs), column) for pairs in sizes]

    sharing = ("uniform", "arrow", "arrow, peft", "subspace", "norm", "norm, soft", "norm, z")
    off = [
        abs(found - said)
        for rule in sharing
        for found, said in zip(each(rule), each(rule, "predicted"), strict=True)
    ]
    says(name, fmean(off), "over seven", *each("subspace"), *each("subspace", "predicted"))
    says(name, "top-1", *each("arrow"), *each("arrow", "expected"), *each("arrow, peft"))
    ceiling = [*each("best by read"), *each("oracle placement")]
    says(name, "hindsight", max(each("best one")), min(each("best by read")), max(ceiling))
    says(name, "the sum", *each("sum"), min(each("sum", "predicted")))
    says(name, "and gates", *each("gates"), *each("gates", "predicted"))


def test_findings_of_gating():
    name, block = "gating", "block gates, z = 2"
    plain = {"bridges": "fresh", "rank": 8, "modules": "mlp", "coverage": 0.5, "pretrained": 700}
    usual = table_rows(name, **plain)
    shelves = {(row["facts"], row["pairs"]) for row in usual}

    def marked(rule, facts=5, pairs=2, column="two_hop", **other):
        where = plain | {"rule": rule, "facts": facts, "pairs": pairs} | other
        return mean(table_rows(name, **where), column)

    def best(rule, *chosen):
        return max(marked(rule, facts, pairs) for facts, pairs in chosen)

    few, ten = ([s for s in shelves if s[0] in facts] for facts in ((3, 4, 5), (10,)))
    one, many = [s for s in shelves if s[1] == 1], [s for s in shelves if s[1] >= 4]
    rules = ("mean", "arrow", "sum", "gates")
    says(
        name,
        min(marked(block, *shelf) for shelf in few),
        min(marked(block, *shelf) for shelf in ten),
        min(marked(block, *shelf, column="other_two_hop") for shelf in shelves),
        *(best(rule, *one) for rule in (*rules, "oracle placement")),
        *(best(rule, *many) for rule in rules),
        marked(block, 20, 1),
        marked(block, 20, 1, column="misses"),
        marked(block, rank=2),
        marked(block, modules="attention"),
        marked("oracle placement", modules="attention"),
    )
    told = [row for row in table_rows(name, rule=block) if row["modules"] == "mlp"]
    assert all(row["two_hop"] >= row["predicted"] - 1e-9 for row in told)
    soft = table_rows(name, rule="norm, soft", modules="mlp")
    hop, second = "hop by hop", "second pass"
    says(
        name,
        f"in all {len(told)} rows",
        percent(mean([{"off": row["two_hop"] < row["predicted"] - 1e-9} for row in soft], "off")),
        marked("interpolating"),
        marked("interpolating", bridges="permuted"),
        marked("interpolating", column="leak"),
        min(marked(f"sum, {hop}", *shelf) for shelf in shelves if shelf[1] <= 4),
        marked(f"sum, {hop}", 4, 8),
        marked(f"mean, {hop}", 5, 1),
        marked(f"mean, {hop}", 5, 2),
        marked(f"sum, {second}", 5, 1),
        marked(f"sum, {second}", 5, 4),
        marked(f"sum, {second}", 5, 1, column="hop_1"),
    )


def test_findings_of_capacity():
    name = "capacity"

    def eight(rule, rank, column="recall"):
        return mean(table_rows(name, rule=rule, rank=rank, pairs=8), column)

    says(name, *(eight(rule, 1) for rule in ("sum", "one", "wide")))
    says(name, "the sum of eight recalls", *(eight(rule, 4) for rule in ("sum", "one")))
    own = [
        mean(table_rows(name, rule="pair alone", rank=r, pairs=k), "recall")
        for r in (1, 4)
        for k in (2, 8)
    ]
    says(name, "own adapters recall", min(own), "throughout")
    chains = [eight(rule, rank, "two_hop") for rule in ("sum", "one", "wide") for rank in (1, 4)]
    says(
        name,
        "composing:",
        max(chains),
        *(eight("oracle placement", rank, "two_hop") for rank in (1, 4)),
    )


def test_findings_of_interference():
    name = "interference"

    def three(rule, pairs=4, column="two_hop", rank=8):
        return mean(table_rows(name, facts=3, rank=rank, pairs=pairs, rule=rule), column)

    says(
        name,
        *(three("sum", pairs) for pairs in (1, 4)),
        min(three("sum", column=f"hop_{hop}") for hop in (1, 2)),
        three("beside noise"),
        three("pair alone"),
        three("sum", column="crosstalk_out"),
        three("sum", column="random_out"),
        *(three("sum", 1, rank=rank) for rank in (2, 8, 32)),
    )
    settings = {(row["facts"], row["rank"], row["pairs"]) for row in table_rows(name)}
    summed = [table_rows(name, rule="sum", facts=f, rank=r, pairs=k) for f, r, k in settings]
    safe = max(mean(each, "safe") for each in summed)
    assert all(mean(each, "two_hop") >= mean(each, "predicted") for each in summed)
    gates, oracle = (
        [three(rule, pairs) for pairs in (1, 4)] for rule in ("gates", "oracle placement")
    )
    says(name, "at 1/4", safe, *gates, *oracle)


def test_findings_of_placement():
    name = "placement"
    places = ("oracle placement", "both loops", "first loop", "second loop", "reversed placement")

    def at(place, column="two_hop", modules="mlp"):
        return mean(table_rows(name, modules=modules, place=place), column)

    says(
        name,
        at("oracle placement"),
        at("both loops"),
        at("first loop"),
        at("first loop", "half_way"),
        at("second loop"),
        at("second loop", "unchanged"),
        at("reversed placement"),
        *(at("first loop", column) for column in ("predicted", "predicted_right", "inside_right")),
        *(at(place, modules="attention") for place in places),
    )
    assert min(at("first loop", hop) for hop in ("hop_1", "hop_2")) == 1


def test_findings_of_edit_strength():
    name = "edit_strength"
    lengths = sorted({row["trained"] for row in table_rows(name)})

    def under(rule, column):
        return {t: mean(table_rows(name, rule=rule, trained=t), column) for t in lengths}

    margins = [x for hop in (1, 2) for x in under("mean", f"margin_{hop}").values()]
    facts, told = under("mean", "facts"), under("mean", "predicted_facts")
    short = [t for t in lengths if t <= 240]
    says(
        name,
        min(margins),
        max(margins),
        min(facts[t] for t in short),
        max(told[t] for t in short),
        max(under("mean", "two_hop").values()),
        under("mean", "other_two_hop")[480],
        facts[480],
        facts[960],
        under("sum", "oracle_placement")[120],
        under("sum", "oracle_curved")[120],
    )
    assert not any(row["window"] for row in table_rows(name))


def test_findings_of_merge_coefficient():
    name = "merge_coefficient"
    at_half = [table_rows(name, case=case, coverage=0.5, coefficient=0.5) for case in ALSO]
    whole = [table_rows(name, case=case, coverage=0.5) for case in ALSO]
    says(
        name,
        *(mean(each, "facts") for each in at_half),
        *(mean(each, "two_hop") for each in at_half),
        *(from_on(each, "oracle_placement") for each in whole),
        *(from_on(each, "facts") for each in whole),
        percent(mean(table_rows(name), "oracle_decided_right")),
        percent(majority(table_rows(name), "oracle_placement")),
        mean(at_half[0], "curvature"),
        max(
            mean([row for row in whole[0] if row["coefficient"] == c], "two_hop")
            for c in {row["coefficient"] for row in whole[0]}
        ),
        percent(mean(table_rows(name), "inside_right")),
        percent(majority(table_rows(name), "two_hop")),
    )
    places = {(row["case"], row["coverage"]) for row in table_rows(name)}
    asked = [table_rows(name, case=c, coverage=v, coefficient=0.5) for c, v in places]
    least = min(mean(each, "hop_by_hop") for each in asked)
    says(name, "answers", least, "or more of the chains at every coverage, 0 included")


def test_findings_of_number_of_hops():
    name, lengths = "number_of_hops", (2, 3, 4)
    of = {hops: table_rows(name, hops=hops) for hops in lengths}
    grid = sorted({row["coefficient"] for row in table_rows(name)})

    def best(hops, column):
        return max(mean(table_rows(name, hops=hops, coefficient=c), column) for c in grid)

    says(
        name,
        *(from_on(of[hops], "facts") for hops in lengths),
        *(from_on(of[hops], "oracle_placement") for hops in (2, 3)),
        *(from_on(of[hops], "oracle_curved") for hops in (2, 3)),
        *(percent(mean(of[hops], "oracle_curved_right")) for hops in (2, 3)),
        *(percent(majority(of[hops], "oracle_placement")) for hops in (2, 3)),
        best(4, "oracle_placement"),
        mean(of[4], "held_out"),
        *(best(hops, "k_hop") for hops in lengths),
        *(from_on(of[hops], "hop_by_hop") for hops in lengths),
    )


def test_findings_of_two_hop_coverage():
    name = "two_hop_coverage"
    coverages, kinds = (0.1, 0.25, 0.5, 0.9), ("real", "half", "fake")

    def chains(rule, coverage, familiarity="real", column="two_hop"):
        return mean(table_rows(name, rule=rule, coverage=coverage, familiarity=familiarity), column)

    two = ("mean", "sum", "ties", "dare", "knots", "arrow", "gates", "oracle placement")
    says(
        name,
        max(chains(rule, 0, kind) for rule in two for kind in kinds),
        max(chains("mean", coverage, kind) for coverage in (0, *coverages) for kind in kinds),
        "every coverage and familiarity",
        max(chains("arrow", coverage) for coverage in coverages),
        min(chains("direct", c, kind) for c in (0, *coverages) for kind in ("real", "half")),
        max(chains("direct", coverage, "fake") for coverage in (0, *coverages)),
        mean(table_rows(name), "chance"),
        min(chains("mean of three", coverage) for coverage in coverages),
        *(chains("sum", coverage) for coverage in coverages),
        "predicted",
    )
    predicted = [chains("sum", coverage, column="predicted") for coverage in coverages]
    says(name, "at coverage .1, .25, .5 and .9", *predicted)
    says(name, "Gates come closest", *(chains("gates", coverage) for coverage in coverages))
    says(name, "of its pass:", *(chains("oracle placement", coverage) for coverage in coverages))
    says(name, "up to", max(chains("gates", coverage, "fake") for coverage in coverages))
    assert chains("gates", 0.5, "fake", "predicted") == 0


def test_findings_of_familiarity():
    name = "familiarity"

    def of(rule, identity="none", familiarity="fake", column="two_hop", coverage=0.5):
        where = {"rule": rule, "identity": identity, "familiarity": familiarity}
        return mean(table_rows(name, **where, coverage=coverage), column)

    says(
        name,
        of("sum", familiarity="half"),
        of("sum"),
        of("gates"),
        of("gates", "all"),
        *(of("base", identity, column="circuit") for identity in ("none", "all")),
        of("mean", "all", column="predicted"),
        of("mean", "all"),
        of("hop 1 alone", "known", column="hop_1"),
        of("hop 2 alone", "known", column="hop_2"),
        of("gates", "known"),
        of("direct", "all"),
        of("direct"),
        max(
            of(rule, identity, coverage=0)
            for rule in ("mean", "sum", "gates", "oracle placement")
            for identity in ("none", "all")
        ),
    )


def test_findings_of_joint_and_bridge():
    name, coverages = "joint_and_bridge", (0, 0.1, 0.5)

    def each(rule, column="two_hop"):
        return [mean(table_rows(name, rule=rule, coverage=c), column) for c in coverages]

    thought, form = "bridged, written out", ("sum", "oracle placement", "joint")
    says(
        name,
        *each("joint"),
        *each("sum"),
        *each("oracle placement"),
        *each("bridged, plain", "other_two_hop"),
        *each("bridged, plain"),
        max(each("bridged, plain", "predicted")),
        *each(thought, "written_out"),
        max(each(thought, "predicted_written_out")),
        *each(thought, "bridge_written"),
        max(spelt for rule in form for spelt in each(rule, "bridge_written")),
        max(answer for rule in form for answer in each(rule, "written_out")),
        min(each("direct")),
    )


def test_findings_of_plain_transformer():
    name, late = "plain_transformer", (1000, 2000)

    def of(rule, stage, layers="together", column="two_hop"):
        return mean(table_rows(name, rule=rule, stage=stage, layers=layers), column)

    ways = ("together", "own", "each")
    says(
        name,
        of("base", 500, column="facts"),
        of("base", 500, column="trained"),
        *(of("base", stage, column="held_out") for stage in (500, *late)),
        *(of("base", 2000, column=f"{which}_unseen") for which in ("first", "second", "both")),
        max(of("sum", stage) for stage in (500, *late)),
        min(of("sum", 1000, column=f"hop_{hop}") for hop in (1, 2)),
        *(of("oracle placement", stage, "own") for stage in late),
        max(of("reversed placement", stage, way) for stage in late for way in ways),
        *{round(of("sum", stage, "own", "inside"), 2) for stage in late},
        *(max(of("block gates, z = 2", stage, way) for way in ways) for stage in late),
        of("block gates, z = 2", 2000, "own", "hop_1"),
        *(of("block gates, z = 0", stage, "own") for stage in late),
        *(of("sum, second pass", stage) for stage in late),
        *(of("sum, hop by hop", stage) for stage in late),
    )
