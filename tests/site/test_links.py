"""What points nowhere, or outside, is found."""

import pytest
from website import broken

GOOD = (
    '<a href="b.html#here">x</a> <a href="#top">up</a> <b id="top">y</b>'
    '<a href="https://example.org/paper">outside is fine</a> <a href="//example.org">too</a>'
    '<img src="p.png" alt="two curves"><link rel="canonical" href="https://example.org/">'
)


@pytest.fixture
def site(tmp_path):
    (tmp_path / "b.html").write_text('<p id="here">z</p>')
    (tmp_path / "p.png").write_bytes(b"")
    return tmp_path


def lines(site, text):
    (site / "a.html").write_text(text)
    return broken(site)


def test_a_sound_site_has_nothing_wrong(site):
    assert lines(site, GOOD) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<a href="c.html">x</a>', "a.html points to c.html, which is not there"),
        ('<a href="b.html#there">x</a>', "b.html#there: that page has no such place"),
        ('<a href="#there">x</a>', "#there: that page has no such place"),
        ('<img src="q.png" alt="q">', "q.png, which is not there"),
        ('<img src="p.png">', "a.html shows p.png without an alternative text"),
        ('<img src="p.png" alt="p.png">', "a.html shows p.png without an alternative text"),
        ('<script src="https://cdn.example/x.js">', "a.html fetches https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//x.example/y.css">', "fetches //x.example/y.css"),
    ],
)
def test_each_kind_of_error_is_named(site, text, said):
    [line] = lines(site, text)
    assert said in line
