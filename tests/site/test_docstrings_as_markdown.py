"""Docstrings as Markdown, and the hooks of the site."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import site_hooks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Return (B, *shape).", r"Return (B, \*shape)."),
        ("Return <u, v> [n] a_1 x^2.", r"Return \<u, v\> \[n\] a_1 x\^2."),
        ("Use `a*b` and `x[0]`.", "Use `a*b` and `x[0]`."),
        ("    embed_x, embed_y: (n, d_x).", "    embed_x, embed_y: (n, d_x)."),
        ("One of\n    - a;\n    - b.", "One of\n\n    - a;\n    - b."),
        (
            "See `irreps`, `verification.verify`.",
            "See [`irreps`][mechlab.groups.irreps], [`verification.verify`][mechlab.groups.verification.verify].",
        ),
        ("    *inputs: tensors_ here", "    *inputs: tensors\\_ here"),
        ("Half.\n\n>>> f(2)\n4\n\nThe *rest*.", "Half.\n\n```pycon\n>>> f(2)\n4\n```\n\nThe \\*rest\\*."),
    ],
)
def test_a_docstring_is_shown_as_it_is_written(text: str, expected: str) -> None:
    pytest.importorskip("griffe")
    from docstrings_as_markdown import as_markdown

    assert as_markdown(text, "mechlab.groups.names") == expected


def test_scripts_of_other_hosts_are_left_out() -> None:
    comments = "<!-- MathJax configuration -->\n<script>x</script>\n<!-- End of mathjax configuration -->"
    mathjax = f'<script src=""> </script>\n{comments}'
    mermaid = '<script type="module">await import("https://host.example/mermaid.mjs")</script>'
    page = f'<p>a</p><script>own()</script>{mathjax}{mermaid}<script type="module">own()</script>'
    assert site_hooks.on_post_page(page) == '<p>a</p><script>own()</script><script type="module">own()</script>'


def test_links_of_a_notebook_lead_to_pages_of_the_site() -> None:
    """In the notebook they lead to files, as Jupyter wants them; a page is in a folder of its own."""
    page = SimpleNamespace(file=SimpleNamespace(src_uri="notebooks/groups.ipynb"))
    links = ("../groups.md#limits", "../index.md", "binding.ipynb", "../figures/a.png")
    text = '<a href="kept.md">' + '<div class="jp-Notebook">' + "".join(f'<a href="{link}">' for link in links)
    found = re.findall(r'href="([^"]*)"', site_hooks.on_post_page(text, page=page))
    assert found == ["kept.md", "../../groups/#limits", "../../", "../binding/", "../../figures/a.png"]
