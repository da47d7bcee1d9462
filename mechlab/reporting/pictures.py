"""Pictures inside the page: drawn ones as SVG that takes the page's colours, saved ones small."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mechlab.plotting.style import COLOURS, FAINT, INK
from mechlab.record.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST = 1000  # pixels of a saved figure in the page
TALLEST = 1400
PIXELS = 40_000_000  # of a saved figure, beyond which it is left out
SHADES = 32  # colours of a saved figure in the page: lines and letters need few
VARIABLES = {INK: "--ink-soft", FAINT: "--line", **{colour: f"--plot-{n}" for n, colour in enumerate(COLOURS)}}


def drawn(figure: Figure, path: Path, text: str) -> str:
    """Save a figure as PDF and SVG, and return it as SVG to stand in the page.

    Args:
        figure: the figure.
        path: of the files, without an ending.
        text: what it shows, for those who do not see it.
    """
    import matplotlib
    from matplotlib.text import Text

    for words in figure.findobj(Text):
        words.set_parse_math(False)  # names come from records: a dollar sign in them begins no formula
    settings = {"svg.fonttype": "none", "svg.hashsalt": path.name, "pdf.fonttype": 42, "text.parse_math": False}
    with matplotlib.rc_context(settings):
        for ending, metadata in (("pdf", {"CreationDate": None}), ("svg", {"Date": None})):
            with atomic(path.with_suffix(f".{ending}")) as temporary:
                figure.savefig(temporary, format=ending, transparent=True, metadata=metadata)
            figure.set_layout_engine("none")  # places are computed once
    return _inline(path.with_suffix(".svg").read_text(encoding="utf-8"), text)


def small(path: Path) -> tuple[str, int, int]:
    """Return a saved PNG as (data URI, width, height), re-encoded so that it is small.

    Raises:
        ValueError: it is no picture, or an enormous one.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.width * picture.height > PIXELS:
                raise ValueError(f"it has {picture.width} by {picture.height} pixels")
            paper = Image.new("RGB", picture.size, "white")
            picture = picture.convert("RGBA")
            paper.paste(picture, mask=picture)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"it must be a PNG picture: {error}") from None
    paper.thumbnail((WIDEST, TALLEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    paper.quantize(SHADES, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}", paper.width, paper.height


def file_name(name: str) -> str:
    """Return a name that any file system takes."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._") else "-" for letter in name)[:80]


def _inline(svg: str, text: str) -> str:
    """Return a figure of matplotlib as a part of the page: its text is text, its colours are the page's."""
    from html import escape

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)  # matplotlib repeats each text as a comment
    referenced = "|".join({re.escape(name) for name in re.findall(r"(?:url\(|href=\")#([\w-]+)", svg)}) or "-"
    # names that nothing refers to would be in the page twice
    svg = re.sub(rf' id="(?!(?:{referenced})")[^"]*"', "", svg)
    for colour, variable in VARIABLES.items():
        svg = re.sub(colour, f"var({variable})", svg, flags=re.IGNORECASE)
    svg = svg.replace("xlink:href", "href")
    head = re.sub(r'\s(?:width|height|version|xmlns(?::\w+)?)="[^"]*"', "", svg[: svg.index(">")])
    return f'{head} role="img" aria-label="{escape(text)}">{_tight(svg[svg.index(">") + 1 :])}'


def _tight(svg: str) -> str:
    return re.sub(r">\s+<", "><", svg).strip()
