"""Reasons as data: what a model drew on for a pair, how the text joins it, and what each sentence is worth.

Standard library only. :mod:`glre_pyg.extraction.explainer` and
:mod:`glre_pyg.extraction.sentence_ablation` compute them.
"""

from __future__ import annotations

from dataclasses import dataclass

from glre_pyg.data.document import Entity, Fact, Mention
from glre_pyg.data.paths import Step


@dataclass(frozen=True, slots=True)
class MentionWeight:
    """How much of an entity's local representation is from one mention.

    Args:
        mention: The mention.
        name: What it calls the entity.
        sentence: Number of its sentence, from 0.
        weight: Mean over heads of attention.
    """

    mention: Mention
    name: str
    sentence: int
    weight: float


@dataclass(frozen=True, slots=True)
class PairWeight:
    """How much of a pair's context is from another candidate pair, given by identifiers."""

    head: str
    tail: str
    weight: float


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why a model may have judged a pair as it did.

    What comes from the model is None where it has no such layer, or where the pair is no candidate, so that
    the model never looks at it.

    Args:
        head, tail: Identifiers of the two entities.
        head_mentions: What the local layer drew on for the head as the tail asks (Eq. 5), in the order of the
            text; weights sum to 1.
        tail_mentions: The same for the tail as the head asks.
        context: The other pairs that the context layer drew on (Eq. 7), strongest first.
        context_itself: The weight of the pair in its own context; 1 with the weights of all other pairs.
        path: How the text joins the two; see :func:`~glre_pyg.data.paths.connection`. No model is asked.
    """

    head: str
    tail: str
    head_mentions: tuple[MentionWeight, ...] | None
    tail_mentions: tuple[MentionWeight, ...] | None
    context: tuple[PairWeight, ...] | None
    context_itself: float | None
    path: tuple[Step, ...]

    def _repr_html_(self) -> str:
        """How a notebook shows them."""
        from glre_pyg.reporting.notebook_html import reasons_html

        return reasons_html(self)


@dataclass(frozen=True, slots=True)
class Omission:
    """What becomes of a fact's probability when one sentence is left out of the document.

    Args:
        sentence: Number of the sentence, from 0.
        probability: The model's probability without the sentence; None where the sentence has all mentions of
            head or of tail, so that without it there is no pair to ask for.
        change: That probability less the one with all sentences; below 0 where the sentence speaks for the
            fact. None likewise.
    """

    sentence: int
    probability: float | None
    change: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedFact(Fact):
    """A fact that a model finds, or a candidate that it does not hold to be one.

    As a :class:`~glre_pyg.data.document.Fact` its ``extra`` is the probability with six digits, as files
    have it.

    Args:
        probability: The model's probability.
        threshold: Above this it is a fact.
        head_mentions: Mentions of the head, in the order of the text.
        tail_mentions: Mentions of the tail.
        reasons: Why the model may have judged the pair so; None where they were not asked for.
        omissions: What each sentence is worth, one for each of the document: first those without which there
            is no pair, then by change, the greatest fall first; of equals, in the order of the text. None
            where they were not asked for.
    """

    probability: float
    threshold: float
    head_mentions: tuple[Mention, ...]
    tail_mentions: tuple[Mention, ...]
    reasons: Reasons | None = None
    omissions: tuple[Omission, ...] | None = None

    @classmethod
    def between(
        cls,
        head: Entity,
        relation: str,
        tail: Entity,
        *,
        probability: float,
        threshold: float,
        evidence: tuple[int, ...] = (),
    ) -> PredictedFact:
        """What a model says of two entities, without reasons."""
        return cls(
            head.id,
            relation,
            tail.id,
            (f"{probability:.6f}",),
            evidence,
            probability=probability,
            threshold=threshold,
            head_mentions=head.mentions,
            tail_mentions=tail.mentions,
        )

    @property
    def is_predicted(self) -> bool:
        """Whether the probability is above the threshold."""
        return self.probability > self.threshold

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from glre_pyg.reporting.notebook_html import fact_html

        return fact_html(self)
