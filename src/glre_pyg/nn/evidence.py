"""Evidence sentences as supervision of the localized context (DREEAM; Ma et al., EACL 2023)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, places_of_nodes
from glre_pyg.nn.encoder import EncodedWindows

TINY = 1e-6
"""Added to the attention of sentences, so that the divergence of one without attention is finite."""


def with_sentences(windows: Iterable[EncodedWindows], batch: DocumentGraph) -> Iterator[EncodedWindows]:
    """Yield windows whose tokens have 1 for their sentence in the document, otherwise 0 [N, L, d + most].

    The localized context of such tokens has the share of each sentence in the attention of a pair.

    Args:
        windows: Windows of the batch, with tokens [N, L, d].
        batch: The batch.
    """
    counts = torch.tensor(sizes_of(batch).sentences)
    first = (counts.cumsum(0) - counts).tolist()
    documents = sizes_of(batch).window_documents
    for group in windows:
        start = torch.tensor([first[documents[window]] for window in group.window]).to(group.sentence)
        place = torch.where(group.sentence < 0, -1, group.sentence - start[:, None])
        sentences = one_hot(place + 1, int(counts.max()) + 1)[..., 1:]
        yield replace(group, hidden=torch.cat([group.hidden, sentences.to(group.hidden)], dim=-1))


def evidence_divergence(share: Tensor, batch: DocumentGraph) -> Tensor:
    r"""Return the divergence of attention from the evidence of each pair [P]; 0 for pairs without evidence.

    .. math:: D_{KL}(v \| p) = \sum_s v_s \log \frac{v_s}{p_s}

    Args:
        share: Share *p* of each sentence of the document in the attention of a pair [P, most sentences].
        batch: The batch; :math:`v_s` is the share of a sentence in the evidence of all facts of a pair.
    """
    pair, sentence = batch.pair_evidence
    place = places_of_nodes(batch, "sentence")[sentence]
    v = torch.zeros_like(share).index_put((pair, place), share.new_ones(()), accumulate=True)
    v = v / v.sum(-1, keepdim=True).clamp(min=1)
    return (v * ((v + TINY).log() - (share + TINY).log())).sum(-1)
