"""A few sentences for readers of a page about the model that made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from glre_pyg.evaluation.calibration import NOT_CALIBRATED
from glre_pyg.runs.run import Run


def about(run: Run) -> list[str]:
    """Return what a reader has to know of a model: its training, and how often it is wrong.

    Without scores, as for an average of runs, it is a caution alone.
    """
    return [*_scored(run), "Read the sentences before you rely on a relation."]


def _scored(run: Run) -> Iterator[str]:
    split = "test" if "test" in run.scores else "dev"
    scores: Mapping[str, Any] = run.scores.get(split) or {}
    protocol = run.scores.get("protocol") or {}
    if "filtered" not in scores or "unfiltered" not in scores:
        return
    filtered, every = scores["filtered"], scores["unfiltered"]
    percent = " / ".join(f"{100 * filtered[name]:.0f}" for name in ("precision", "recall", "f1"))
    low, high = (100 * bound for bound in scores.get("interval") or (filtered["f1"], filtered["f1"]))
    corpus = protocol.get("corpus", "an unnamed corpus")
    beside = " beside a shallow model" if getattr(run.model, "shallow", None) is not None else ""
    yield (
        f"{type(run.model).__name__}{beside}, trained on {corpus}; on its {split} documents, precision / "
        f"recall / F1 are {percent} % (F1, 95 %: {low:.0f} to {high:.0f})."
    )
    wrong, missed = (10 - round(10 * every[name]) for name in ("precision", "recall"))
    yield (
        f"Of ten relations that it predicts there, about {wrong} are not annotated, and of ten that are, it "
        f"misses {missed}."
    )
    if run.calibration != NOT_CALIBRATED:
        yield "Probabilities are calibrated for such documents."
