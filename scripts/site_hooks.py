"""Hooks of mkdocs for the site; mkdocs.yml names this file."""

from __future__ import annotations

import posixpath
import re
from typing import Any

# mkdocs-jupyter adds MathJax and Mermaid to each notebook, from other hosts. Pages must not need a network.
FETCHED = re.compile(
    r'<script src=""> ?</script>\s*<!-- MathJax configuration -->.*?<!-- End of mathjax configuration -->'
    r'|<script type="module">(?:(?!</script>).)*?mermaid(?:(?!</script>).)*</script>',
    re.DOTALL,
)
LINK = re.compile(r'\b(href|src)="([\w./-]+\.(?:md|ipynb|png|svg|csv))(#[^"]*)?"')  # relative to the file of a notebook


def on_post_page(output: str, page: Any = None, **kwargs: Any) -> str:
    """Return the text of a built page without scripts of other hosts, and with the links of a notebook as the site
    has them."""
    output = FETCHED.sub("", output)
    if page is None or not page.file.src_uri.endswith(".ipynb"):
        return output
    start = output.find('<div class="jp-Notebook"')
    return output[:start] + LINK.sub(lambda link: _on_site(link, page.file.src_uri), output[start:])


def _on_site(link: re.Match[str], source: str) -> str:
    """Return a link from a notebook's file to another file of docs/ as one from its page to the other's."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
    stem, ending = posixpath.splitext(target)
    if ending in (".md", ".ipynb"):
        stem = posixpath.dirname(stem) if posixpath.basename(stem) == "index" else stem
        target = f"{stem}/" if stem else ""
    here = f"{posixpath.splitext(source)[0]}/"
    relative = posixpath.relpath(target or ".", here) + ("/" if ending in (".md", ".ipynb") else "")
    return f'{link[1]}="{relative}{link[3] or ""}"'
