"""_refusal: each way in which a load fails has its own remedy."""

import pytest
from safetensors import SafetensorError

from loratheory.pretrained._refusal import refusal

LONG = OSError("no weights\nhere is a manual")


@pytest.mark.parametrize(
    ("place", "home", "error", "said"),
    [
        ("a/b", ".", MemoryError("9 bytes"), r"memory ran out \(9 bytes\); load it with dtype="),
        ("a/b", "a/b", ValueError("set trust_remote_code"), "code of its own, which is never run"),
        (".", ".", LONG, r"^\.: no weights; see that all files"),
        (
            "a/b",
            ".",
            SafetensorError("header"),
            r"^a/b: header; delete what is damaged in \., then",
        ),
        (
            "a/b",
            "a/b",
            LONG,
            r"could not be fetched \(no weights\); check its name and the network",
        ),
    ],
)
def test_what_to_do_follows_from_what_happened(place, home, error, said):
    with pytest.raises(ValueError, match=said):
        raise refusal(place, home, error)
