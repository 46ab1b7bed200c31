"""Every command is described, with its first sentence whole."""

from website import commands


def test_every_command_is_described_with_its_first_sentence():
    text = commands()
    for name in ("theorems", "verify", "merge", "diagnose", "run", "data two-hop"):
        assert f"## `loratheory {name}`" in text
    assert "…" not in text.split("## `loratheory theorems`")[0]
    assert "* `verify`: Check theorems on random cases, rivals and adversaries" in text
    assert text.startswith("# The command `loratheory`")
