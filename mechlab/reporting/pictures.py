"""Pictures inside the page: drawn ones as SVG that takes the page's colours, saved ones small."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mechlab.plotting.style import COLOURS, FAINT, INK
from mechlab.record.files import atomic, read_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

WIDEST = 1000  # pixels of a saved figure in the page
TALLEST = 1400
PIXELS = 40_000_000  # of a saved figure, beyond which it is left out
SHADES = 64  # colours of a saved figure in the page as pixels: lines and letters need few
VECTOR_BYTES = 200_000  # of a saved figure that is in the page as SVG; larger ones are there as pixels
MOVING_BYTES = 1_000_000  # of an animation in the page
DOTS = 96 / 150  # pixels of the page for a pixel of a saved figure
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


@dataclass(frozen=True)
class Picture:
    """A saved figure to stand in the page.

    Args:
        source: a data URI; as an image it runs no scripts and loads nothing.
        width, height: its natural size in pixels of the page.
    """

    source: str
    width: int
    height: int


def picture(path: Path) -> Picture:
    """Return a saved PNG for the page: the SVG beside it, or the PNG encoded anew where that is large or missing.

    Raises:
        ValueError: it is no picture, or an enormous one.
    """
    from PIL import Image

    with _opened(path, "PNG") as image:
        width, height = (max(1, round(pixels * DOTS)) for pixels in image.size)
        svg = path.with_suffix(".svg")
        if svg.is_file() and svg.stat().st_size <= VECTOR_BYTES:
            _load(image)
            return Picture(_uri("image/svg+xml", read_bytes(svg, VECTOR_BYTES)), width, height)
        paper = Image.new("RGB", image.size, "white")
        image = _load(image).convert("RGBA")
        paper.paste(image, mask=image)
    paper.thumbnail((WIDEST, TALLEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    paper.quantize(SHADES, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return Picture(_uri("image/png", buffer.getvalue()), width, height)


def animation(path: Path) -> Picture:
    """Return a saved GIF for the page.

    Raises:
        ValueError: it is no picture, or an enormous one.
    """
    with _opened(path, "GIF") as image:
        width, height = image.size
    if path.stat().st_size > MOVING_BYTES:
        raise ValueError(f"an animation in the page must have at most {MOVING_BYTES:,} bytes")
    return Picture(_uri("image/gif", read_bytes(path, MOVING_BYTES)), width, height)


def _opened(path: Path, kind: str) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(path, formats=[kind])
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"it must be a {kind} picture: {error}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"it has more than {PIXELS:,} pixels") from None
    if image.width * image.height > PIXELS:
        raise ValueError(f"it has {image.width} by {image.height} pixels")
    return image


def _load(image: Image.Image) -> Image.Image:
    try:
        image.load()
    except (OSError, SyntaxError) as error:
        raise ValueError(f"it must be a whole picture: {error}") from None
    return image


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


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
