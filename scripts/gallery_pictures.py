"""Pictures of the gallery: figures of findings as PNG."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from mechlab.config.build import prepare
from mechlab.core.analysis import Analysis
from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.core.set_analysis import SetAnalysis
from mechlab.record import answers, sets
from mechlab.record.artifacts import Artifacts

WIDEST, MOST = 1200, 200_000  # pixels and bytes of a figure


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


def small(image: Image.Image) -> bytes:
    """Return an image as PNG of at most 200 kB, with as many colours as fit."""
    for colours in (None, 256, 64):
        saved = io.BytesIO()
        drawn = image.convert("RGB")
        if colours is not None:  # by coverage of the colours in use: a rare one, as of a line's name, remains
            drawn = drawn.quantize(colours, method=Image.Quantize.MAXCOVERAGE)
        drawn.save(saved, "PNG", optimize=True)
        if saved.tell() <= MOST:
            break
    return saved.getvalue()
