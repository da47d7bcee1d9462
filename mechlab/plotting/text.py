"""Numbers and names as text of figures."""

from __future__ import annotations

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3) -> str:
    """Return a number as text with a minus sign and powers of ten.

    >>> [number(value) for value in (-0.25, 12000, 1.5e-05, 1e-6)]
    ['−0.25', '12,000', '1.5×10⁻⁵', '10⁻⁶']
    """
    if value == round(value, 0) and abs(value) < 1e7:
        return f"{round(value):,}".replace("-", "−")
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    if not e:
        return mantissa.replace("-", "−")
    power = power_of_ten(int(exponent))
    return power if mantissa == "1" else f"{mantissa}×{power}".replace("-", "−")


def power_of_ten(exponent: int) -> str:
    """Return a power of ten as text.

    >>> power_of_ten(-8)
    '10⁻⁸'
    """
    return f"10{str(exponent).translate(SUPERSCRIPT)}"


def shortened(text: str, longest: int) -> str:
    """Return a text of at most `longest` letters, without its middle if it has more.

    >>> shortened("a very long name", 9)
    'a ve…name'
    """
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[len(text) - (longest - 1) // 2 :]}"


def wrapped(text: str, width: float, size: float) -> str:
    """Return a text in lines of at most `width` points in letters of `size` points."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, size) <= width:
            lines[-1] = joined
            continue
        while text_width(word, size) > width and len(word) > 1:  # a word longer than a line
            fits = max((n for n in range(1, len(word)) if text_width(word[:n], size) <= width), default=1)
            lines.append(word[:fits])
            word = word[fits:]
        lines.append(word)
    return "\n".join(lines)


def text_width(text: str, size: float) -> float:
    """Return the width of a line of text in points."""
    return text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0]
