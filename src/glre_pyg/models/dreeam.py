"""DREEAM: evidence as supervision of attention (Ma et al., EACL 2023)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.atlop import ATLOP
from glre_pyg.nn.encoder import TransformerEncoder
from glre_pyg.nn.evidence import evidence_divergence, with_sentences
from glre_pyg.nn.localized_context import localized_context
from glre_pyg.nn.loss import RelationLoss, WithDivergence
from glre_pyg.utils.ranges import NonNegativeFloat, PositiveInt


class DREEAM(ATLOP):
    r"""ATLOP whose localized context is trained to attend to the sentences with evidence.

    .. math:: L = L_{RE} + \lambda \, \frac{1}{P} \sum_{(s,o)} D_{KL}(v^{(s,o)} \| p^{(s,o)})

    *p* is the attention of a pair summed over each sentence, and *v* the evidence that the corpus gives: see
    :func:`~glre_pyg.nn.evidence.evidence_divergence`. Without evidence, this is ATLOP.

    Paper: predictions are merged with those from the predicted evidence alone, and a teacher labels evidence
    for distant supervision. Here: neither. The released code weighs the divergence by 0.1. Here: by 1, as the
    mean is over all pairs, and few have evidence.

    Args:
        tokenizer, num_relations, encoder, channels, block_size, marker: See
            :class:`~glre_pyg.models.atlop.ATLOP`.
        evidence_weight: :math:`\lambda`.
        loss: Loss :math:`L_{RE}`; called with R.
    """

    citation = (
        "Youmi Ma, An Wang and Naoaki Okazaki: DREEAM: Guiding Attention with Evidence for Improving "
        "Document-Level Relation Extraction. EACL 2023. https://aclanthology.org/2023.eacl-main.145"
    )

    num_divergences = 1

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], TransformerEncoder],
        channels: PositiveInt,
        block_size: PositiveInt,
        marker: str,
        evidence_weight: NonNegativeFloat,
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(
            tokenizer,
            num_relations,
            encoder=encoder,
            channels=channels,
            block_size=block_size,
            marker=marker,
            loss=lambda relations: WithDivergence(loss(relations), evidence_weight),
        )

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]; the last is the divergence."""
        mention, windows = self.encoder.attend(batch)  # [M, ·]
        widths = self.encoder.out_channels, max(sizes_of(batch).sentences)
        both = localized_context(with_sentences(windows, batch), batch, sum(widths))
        context, share = both.split(widths, dim=-1)  # [P, ·], [P, most sentences]
        logits = self.classify(mention, context, batch)
        return torch.cat([logits, evidence_divergence(share, batch)[:, None]], dim=-1)
