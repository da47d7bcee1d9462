"""Pictures of the gallery: figures of findings as PNG, and the small square pictures of the five questions."""

from __future__ import annotations

import io
import re
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from PIL import Image

from mechlab.config.build import prepare
from mechlab.core.analysis import Analysis
from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.core.set_analysis import SetAnalysis
from mechlab.plotting import style
from mechlab.record import answers, sets
from mechlab.record.artifacts import Artifacts

WIDEST, MOST = 1200, 200_000  # pixels and bytes of a figure
TEASER = 400  # pixels of the sides of a teaser
SQUARE = 3.0  # inches of its sides


def draw(place: Path, name: str) -> Figure:
    """Draw a figure of a finding from its saved files, with the sentence that names network, task and seed."""
    finding = answers.read_finding(place)
    key = f"analysis.{finding['analysis']}" if "analysis" in finding else place.name
    parameters = finding.get("parameters") or sets.read_answer(place)[0]["parameters"]
    analysis = prepare(parameters, key, (Analysis, SetAnalysis), lenient=True)()
    out = Artifacts(place, finding.get("subject", ""))
    figures = out.with_subject(analysis.figures(out))
    if name not in figures:
        raise ConfigError(
            "figure must be one that the analysis draws", got=name, key=key, fix=did_you_mean(name, figures)
        )
    return figures[name]


def as_png(figure: Figure) -> bytes:
    """Return a figure as PNG of at most 1,200 pixels across and 200 kB."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=min(150.0, WIDEST / figure.get_figwidth()), bbox_inches="tight")
    image = Image.open(raw).convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
    return small(image)


def panel_alone(figure: Figure, panel: int, title: str) -> Figure:
    """Return a figure with one of its panels alone, in a square, with a title and without small print."""
    kept = figure.axes[panel]
    small = [text for text in kept.texts if text.get_label() in (style.HEADER, style.BESIDE)]
    for part in [*(axis for axis in figure.axes if axis is not kept), *figure.legends, *figure.texts, *small]:
        part.remove()
    figure.suptitle("")
    kept.set_subplotspec(GridSpec(1, 1, figure=figure)[0])
    figure.set_size_inches(SQUARE, SQUARE)
    style.title(kept, title)
    return figure


def text_alone(text: str, title: str) -> Figure:
    """Return a square picture of a program, without its docstring."""
    lines = re.sub(r'\n *""".*?"""', "", text, flags=re.DOTALL).strip()
    figure, (axis,) = style.new_figure(width=SQUARE, height=SQUARE)
    axis.set_axis_off()
    style.title(axis, title)
    options = {"family": "monospace", "fontsize": style.TEXT + 2, "va": "top", "linespacing": 1.5}
    axis.text(0, 0.96, lines, transform=axis.transAxes, color=style.INK, **options)
    return figure


def teaser(place: Path, name: str, panel: int, title: str) -> bytes:
    """Return a square picture of a panel of a figure, or of a program, as PNG."""
    figure = (
        text_alone((place / name).read_text(), title)
        if name.endswith(".py")
        else panel_alone(draw(place, name), panel, title)
    )
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=TEASER / SQUARE)
    return small(Image.open(raw))


def small(image: Image.Image) -> bytes:
    """Return an image as PNG of at most 200 kB, with as many colours as fit."""
    for colours in (None, 256, 64):
        saved = io.BytesIO()
        (image.convert("RGB") if colours is None else image.convert("RGB").quantize(colours)).save(
            saved, "PNG", optimize=True
        )
        if saved.tell() <= MOST:
            break
    return saved.getvalue()
