"""Hooks of mkdocs for the site; mkdocs.yml names this file."""

from __future__ import annotations

import re
from typing import Any

# mkdocs-jupyter adds MathJax and Mermaid to each notebook, from other hosts. Pages must not need a network.
FETCHED = re.compile(
    r'<script src=""> ?</script>\s*<!-- MathJax configuration -->.*?<!-- End of mathjax configuration -->'
    r'|<script type="module">(?:(?!</script>).)*?mermaid(?:(?!</script>).)*</script>',
    re.DOTALL,
)


def on_post_page(output: str, **kwargs: Any) -> str:
    """Return the text of a built page without the scripts that would be fetched from other hosts."""
    return FETCHED.sub("", output)
