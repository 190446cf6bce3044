"""Explanations as data: the weights of the attention layers, the connecting path, and the sentence ablation.

Standard library only. They are computed by :mod:`glre_pyg.extraction.explainer` and
:mod:`glre_pyg.extraction.sentence_ablation`.
"""

from __future__ import annotations

from dataclasses import dataclass

from glre_pyg.data.document import Entity, Fact, Mention
from glre_pyg.data.paths import Step


@dataclass(frozen=True, slots=True)
class MentionWeight:
    """Weight of a mention in the local representation of an entity.

    Args:
        mention: The mention.
        name: Name that it gives the entity.
        sentence: Number of its sentence, from 0.
        weight: Attention weight, averaged over heads.
    """

    mention: Mention
    name: str
    sentence: int
    weight: float


@dataclass(frozen=True, slots=True)
class PairWeight:
    """Weight of another candidate pair, given by identifiers, in the context of a pair."""

    head: str
    tail: str
    weight: float


@dataclass(frozen=True, slots=True)
class Reasons:
    """Possible reasons for a model's predictions for a pair.

    The weights are None if the model has no such layer, or if the pair is not a candidate, which the model
    never sees.

    Args:
        head, tail: Identifiers of the two entities.
        head_mentions: Weights of the head's mentions in its local representation, with the tail as the query
            (Eq. 5), in the order of the text. They sum to 1.
        tail_mentions: The same for the tail, with the head as the query.
        context: Weights of the other pairs in the context of the pair (Eq. 7), largest first.
        context_itself: Weight of the pair in its own context; with the weights of all other pairs it sums
            to 1.
        path: How the text connects the two; see :func:`~glre_pyg.data.paths.connection`. It does not depend
            on the model.
    """

    head: str
    tail: str
    head_mentions: tuple[MentionWeight, ...] | None
    tail_mentions: tuple[MentionWeight, ...] | None
    context: tuple[PairWeight, ...] | None
    context_itself: float | None
    path: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class SentenceAblation:
    """Effect of removing one sentence from the document on the probability of a fact.

    Args:
        sentence: Number of the sentence, from 0.
        probability: Probability without the sentence; None if the sentence has all mentions of the head or of
            the tail, so that there is no pair without it.
        change: That probability minus the one for the whole document, negative if the sentence supports the
            fact; None where the probability is.
    """

    sentence: int
    probability: float | None
    change: float | None


def score_column(probability: float) -> tuple[str, ...]:
    """Return a probability as files of a corpus's format hold it, as the ``extra`` of a predicted fact."""
    return (f"{probability:.6f}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedFact(Fact):
    """A relation with its predicted probability, above the threshold or, for a candidate, below it.

    Its ``extra``, which files of a corpus's format hold, is the probability with six digits.

    Args:
        probability: Predicted probability.
        threshold: Probability above which the relation is predicted to be a fact.
        head_mentions: Mentions of the head, in the order of the text.
        tail_mentions: Mentions of the tail.
        reasons: Possible reasons for the prediction; None if not requested.
        sentence_ablation: Effect of removing each sentence of the document: first the sentences without which
            there is no pair, then by change, the largest decrease first; ties are in the order of the text.
            None if not requested.
    """

    probability: float
    threshold: float
    head_mentions: tuple[Mention, ...]
    tail_mentions: tuple[Mention, ...]
    reasons: Reasons | None = None
    sentence_ablation: tuple[SentenceAblation, ...] | None = None

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
        """Create the predicted fact of two entities, without reasons."""
        return cls(
            head.id,
            relation,
            tail.id,
            score_column(probability),
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
