"""Numbers as JSON and as people read them."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> Any:
    """The value; None in place of a float that is not finite, which JSON cannot carry."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def p_text(p: float) -> str:
    """`0.031`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
