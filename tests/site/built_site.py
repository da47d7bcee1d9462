"""A built site as its pages: what each links to, what each loads, and what can be linked to."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "embed": "src",
    "object": "data",
}
LOADING = {
    "stylesheet",
    "preload",
    "modulepreload",
    "icon",
    "preconnect",
    "dns-prefetch",
    "manifest",
}  # kinds of <link>


@dataclass
class Page(HTMLParser):
    """The links, loaded files, anchors and scripts of a built page.

    Args:
        path: relative to the site's folder, such as "groups/index.html".
    """

    path: str
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    code: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._within: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag links to, loads and names."""
        values = {name: value or "" for name, value in attrs}
        self._within = tag
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADED and LOADED[tag] in values:
            self.loads.append(values[LOADED[tag]])
        if tag == "link" and LOADING & set(values.get("rel", "").split()):
            self.loads.append(values["href"])

    def handle_endtag(self, tag: str) -> None:
        """Leave a script or style."""
        self._within = None

    def handle_data(self, data: str) -> None:
        """Note the content of scripts and styles."""
        if self._within in ("script", "style"):
            self.code.append(data)


def read_pages(site: Path) -> dict[str, Page]:
    """Return the pages of a built site by their paths."""
    pages = {}
    for file in sorted(site.rglob("*.html")):
        page = Page(file.relative_to(site).as_posix())
        page.feed(file.read_text(encoding="utf-8"))
        pages[page.path] = page
    return pages


def is_external(address: str) -> bool:
    """Return whether an address names a host or a scheme, such as https: or mailto:, other than data."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in ("", "data", "javascript")


def is_broken(site: Path, pages: dict[str, Page], page: Page, address: str) -> bool:
    """Return whether an internal address of a page names no file of the site, or no anchor of the page it names."""
    parts = urlsplit(address)
    if parts.scheme in ("data", "javascript"):
        return False
    folder = "" if parts.path.startswith("/") else posixpath.dirname(page.path)
    path = posixpath.normpath(posixpath.join(folder, unquote(parts.path).lstrip("/"))) if parts.path else page.path
    if (site / path).is_dir():
        path = posixpath.normpath(posixpath.join(path, "index.html"))
    if not (site / path).is_file():
        return True
    anchor = unquote(parts.fragment)
    return bool(anchor) and path in pages and anchor not in pages[path].anchors
