"""Numbers as text, rounded by their uncertainty."""

from __future__ import annotations

import math

from repgeo.probes.intervals import Estimate

__all__ = ["estimate_text", "number_text"]

#: Significant digits of a number without an interval, and of the half-width of one.
_DIGITS = 3
_HALF_DIGITS = 2

#: A number has at most so many significant digits, however narrow its interval.
_MOST_DIGITS = 7


def number_text(value: float, *, digits: int = _DIGITS) -> str:
    """A number without uncertainty, with `digits` significant digits; whole numbers in full.

    Examples
    --------
    >>> [number_text(v) for v in (0.94567, 1797.0, -23.456, 1.2e-7, -math.inf, 0.0)]
    ['0.946', '1797', '-23.5', '1.20e-07', '-inf', '0']
    """
    if not math.isfinite(value):
        return f"{value}"
    if value == 0:
        return "0"
    magnitude = _magnitude(value, digits)
    if value == round(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    if not -4 <= magnitude < 6:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - magnitude)}f}"


def estimate_text(estimate: Estimate) -> tuple[str, str]:
    """A value and its uncertainty as text, two significant digits of the half-width.

    The uncertainty is "± half-width", or "[low, high]" where the interval is not symmetric at that
    precision, or "" where there is none.

    Examples
    --------
    >>> estimate_text(Estimate(0.94567, None, 0.93345, 0.95789, "t:seeds"))
    ('0.946', '± 0.012')
    >>> estimate_text(Estimate(0.99, None, 0.95, 0.998, "wilson:samples"))
    ('0.990', '[0.950, 0.998]')
    >>> estimate_text(Estimate(-23.456))
    ('-23.5', '')
    """
    value, low, high = estimate.value, estimate.ci_low, estimate.ci_high
    if low is None or high is None or not all(map(math.isfinite, (value, low, high))):
        return number_text(value), ""
    half = (high - low) / 2
    if half <= 0:
        return number_text(value), "± 0"
    largest = max(abs(value), half)
    if not -4 <= _magnitude(largest, _DIGITS) < 6:
        return _scientific(value, low, high)
    decimals = min(
        _HALF_DIGITS - 1 - _magnitude(half, _HALF_DIGITS),
        _MOST_DIGITS - 1 - _magnitude(largest, _MOST_DIGITS),
    )
    return _fixed(value, low, high, decimals)


def _magnitude(value: float, digits: int) -> int:
    """The exponent of ten of a value after rounding to `digits` significant digits."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def _fixed(value: float, low: float, high: float, decimals: int) -> tuple[str, str]:
    def text(number: float) -> str:
        # Adding 0.0 turns a rounded -0.0 into 0.0.
        return f"{round(number, decimals) + 0.0:.{max(0, decimals)}f}"

    half = (high - low) / 2
    if abs((high + low) / 2 - value) > 0.1 * half:
        return text(value), f"[{text(low)}, {text(high)}]"
    shown = text(half)
    if float(shown) == 0:  # far below the digits of the value
        shown = f"{half:.0e}"
    return text(value), f"± {shown}"


def _scientific(value: float, low: float, high: float) -> tuple[str, str]:
    half = (high - low) / 2
    digits = max(0, _magnitude(value, _DIGITS) - _magnitude(half, _HALF_DIGITS) + 1) if value else 0
    digits = min(digits, _MOST_DIGITS - 1)
    if abs((high + low) / 2 - value) > 0.1 * half:
        return f"{value:.{digits}e}", f"[{low:.1e}, {high:.1e}]"
    return f"{value:.{digits}e}", f"± {half:.1e}"
