"""What a built site points to: all of it is there, nothing is fetched, pictures are described."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
QUIET = {"canonical", "index", "search", "next", "prev", "license", "author", "copyright"}


class _Pointers(HTMLParser):
    """Collects what a page fetches, what it links to, its anchors, and pictures without words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.wordless: list[str] = []
        self.anchors = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in one tag."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "img" and given.get("alt", "") in ("", given.get("src")):
            self.wordless.append(given.get("src", ""))
        fetched = FETCHED.get(tag, "")
        if fetched in given and given.get("rel") not in QUIET:
            self.fetched.append(given[fetched])
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])


def broken(site: Path) -> list[str]:
    """Return links to what is not there, what is fetched from the network, pictures without words.

    A picture without an alternative text has its own address for one: so Sphinx writes it.
    """
    site = site.resolve()
    pages = {
        file: _Pointers(file.read_text(encoding="utf-8")) for file in sorted(site.rglob("*.html"))
    }
    lines = []
    for file, page in pages.items():
        here = file.relative_to(site)
        lines += [f"{here} fetches {url}" for url in page.fetched if urlsplit(url).netloc]
        lines += [f"{here} shows {url} without an alternative text" for url in page.wordless]
        for url in [*page.links, *page.fetched]:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.is_file():
                lines.append(f"{here} points to {url}, which is not there")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                lines.append(f"{here} points to {url}: that page has no such place")
    return lines
