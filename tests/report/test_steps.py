"""The steps notice what is wrong: a theorem's trouble, a merge, a notebook, other answers."""

from pathlib import Path

import numpy as np
import pytest
from report import exact

ROOT = Path(__file__).parents[2]


def test_two_real_adapters_are_merged_and_respect_their_floors(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    section = exact.merge_pair(tmp_path)
    assert section.values["short"] < 1e-9
    assert abs(section.values["excess"]) < 1e-6
    assert section.values["spill"] == pytest.approx(86.97, abs=0.01)
    assert (tmp_path / "merged-sum" / "adapter_config.json").exists()
    assert exact.merge_pair(tmp_path).rows == section.rows  # again, over its own results


def test_a_merge_below_its_floor_would_be_seen(tmp_path, monkeypatch):
    """Distances halved, as of a merge that is too good to be true."""
    monkeypatch.chdir(ROOT)
    real = exact.audit_on_lookup

    def _halved(merged, together, weights, note):
        from dataclasses import replace

        return real(
            merged,
            together,
            weights,
            lambda audit: note(replace(audit, to_adapters=audit.to_adapters / 2)),
        )

    monkeypatch.setattr(exact, "audit_on_lookup", _halved)
    assert exact.merge_pair(tmp_path).values["short"] > 0.1


def test_a_notebook_with_a_broken_assertion_is_told(tmp_path, monkeypatch):
    head = "# %% [markdown]\n# # A title\n\n# %%\nshown = [1, 2]\ndisplay(shown)\n\n# %%\n"
    for name, code in {"sound": "assert sum(shown) == 3", "broken": "assert not shown"}.items():
        (tmp_path / f"{name}.py").write_text(head + code + "\n", encoding="utf-8")
    monkeypatch.setattr(exact, "NOTEBOOKS", ("sound", "broken"))
    section = exact.run_notebooks(tmp_path)
    assert section.values["failed"] == 1
    assert section.rows[0] == ("sound", "all assertions hold")
    assert section.rows[1][1].startswith("cell 3: AssertionError")


def test_a_theorem_that_fails_is_counted(monkeypatch):
    from loratheory.theorems import theorem, verify

    good = verify(theorem("merge-floor"), cases=20)
    from dataclasses import replace

    bad = replace(good, holds=False, trouble="rival of draw 3 (seed 0): slack -2")
    one = theorem("merge-floor")
    monkeypatch.setattr(exact, "load_theorems", lambda: (one, one))
    monkeypatch.setattr(exact, "verify_all", lambda _: iter([good, bad]))
    section = exact.verify_theorems()
    assert section.values["failed"] == 1
    assert section.rows[1][-1] == bad.trouble


def test_right_answers_are_counted_by_kind(monkeypatch):
    """A model that always says one animal is right where that animal is the answer."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from contextlib import nullcontext

    from report import language

    from loratheory.pretrained import metrics

    monkeypatch.chdir(ROOT)
    plans = {n: language.lm.load_plan(language.PLANS / f"{n}.json") for n in ("births", "mascots")}
    words = sorted({*plans["births"].facts.values(), *plans["mascots"].facts.values()})
    always = words.index(plans["mascots"].facts["Peru"])
    monkeypatch.setattr(language, "load_base", lambda: None)
    monkeypatch.setattr(language.lm, "attach", lambda *_: nullcontext())
    monkeypatch.setattr(
        metrics, "first_tokens", lambda _, names: torch.tensor([words.index(n) for n in names])
    )
    monkeypatch.setattr(metrics, "require_words", lambda *_: None)
    says = torch.eye(len(words))[[always]]
    monkeypatch.setattr(metrics, "next_token_logits", lambda _, asked: says.repeat(len(asked), 1))
    percents, cells = language.evaluate([])
    people = sum(country == "Peru" for country in plans["births"].facts.values())
    assert percents == pytest.approx([100 * people / 20, 0, 5])
    assert cells[0].startswith(f"{4 * people}/80 ")
    assert np.array_equal([cell.split("/")[1][:2] for cell in cells], ["80", "40", "40"])
