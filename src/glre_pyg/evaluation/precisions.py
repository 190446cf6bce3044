"""Precisions that a run keeps a threshold of, and the texts that name them."""

from __future__ import annotations

import re

from glre_pyg.utils.exceptions import InputError

PRECISIONS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Precisions that a run keeps a threshold of."""
PRECISION_TEXT = f"precision: with one of {', '.join(map(str, PRECISIONS))}"


def precision_of(text: str) -> str:
    """Return the key of :func:`thresholds_by_precision` for a text such as ``"precision:0.9"``.

    Raises:
        InputError: If it is no such text.
    """
    name, _, number = text.partition(":")
    given = float(number) if name == "precision" and re.fullmatch(r"0?\.\d+", number) else 0.0
    if given not in PRECISIONS:
        raise InputError(f"threshold: '{text}' is not {PRECISION_TEXT}")
    return f"{given:.2f}"
