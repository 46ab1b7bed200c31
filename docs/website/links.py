"""What a built site points to: every page inside exists, and nothing is fetched from outside."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
}
QUIET = {"canonical", "index", "search", "next", "prev", "license", "author", "copyright"}


class _Pointers(HTMLParser):
    """Collects what a page fetches, what it links to, and the anchors it has."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in one tag."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        for name, value in given.items():
            if (tag, name) in FETCHED and given.get("rel") not in QUIET:
                self.fetched.append(value)
            elif tag == "a" and name == "href":
                self.links.append(value)


def broken(site: Path) -> list[str]:
    """Return what is wrong with a site's pointers, a line each; empty where all is well.

    Parameters
    ----------
    site : Path
        The folder with the built pages.

    Returns
    -------
    list of str
        Links to pages or anchors that do not exist, and anything that a page would fetch from
        the network.
    """
    pages = {}
    for file in sorted(site.rglob("*.html")):
        pages[file.resolve()] = found = _Pointers()
        found.feed(file.read_text(encoding="utf-8"))
    anchors = {file: found.anchors for file, found in pages.items()}
    lines = []
    for file, found in pages.items():
        here = file.relative_to(site.resolve())
        outside = [url for url in found.fetched if urlsplit(url).netloc]
        lines += [f"{here} fetches {url}" for url in outside]
        for url in [*found.links, *found.fetched]:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.is_file():
                lines.append(f"{here} points to {url}, which is not there")
            elif unquote(parts.fragment) not in (
                "",
                *anchors.get(target, [unquote(parts.fragment)]),
            ):
                lines.append(f"{here} points to {url}: that page has no such place")
    return lines
