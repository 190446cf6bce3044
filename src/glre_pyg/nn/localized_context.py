"""Context of a pair, localized by the attention of its two entities (ATLOP; Zhou et al., AAAI 2021)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import torch
from torch import Tensor

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.encoder import EncodedWindows
from glre_pyg.nn.local import target_of_mentions


def localized_context(windows: Iterable[EncodedWindows], batch: DocumentGraph, channels: int) -> Tensor:
    r"""Return the mean of the tokens that both entities of a pair attend to [P, d] (ATLOP, Eqs. 9-11).

    .. math::
        q^{(s,o)} = \sum_{i=1}^{z} A_s^i \circ A_o^i, \quad
        c^{(s,o)} = H^\top q^{(s,o)} / 1^\top q^{(s,o)}

    :math:`A_s^i` is the attention of head *i* from the first markers of entity *s* to all tokens *H* of the
    document: the sum over its mentions, as a factor cancels. A document in several windows has the tokens of
    all of them, and one in which no window has both entities has the context 0.

    Args:
        windows: Output of :meth:`glre_pyg.nn.encoder.TransformerEncoder.attend`.
        batch: The batch, with ``marker_index``.
        channels: Width d of the tokens.
    """
    sizes = sizes_of(batch)
    entity = target_of_mentions(batch["mention", "refers_to", "entity"].edge_index)
    markers = entity[batch.marker_index[1]].split(sizes.markers)
    pairs = batch.pair_index.split(sizes.pairs, dim=1)
    first_entity = [0, *accumulate(sizes.entities)]
    total = [batch.pair_distance.new_zeros(count, channels, dtype=torch.float) for count in sizes.pairs]
    weight = [x.new_zeros(len(x), 1) for x in total]
    for group in windows:
        for window, hidden, attention in zip(group.window, group.hidden, group.attention, strict=True):
            document = sizes.window_documents[window]
            first, count = first_entity[document], sizes.entities[document]
            marker = markers[window] - first
            sums = attention.new_zeros(count, attention.size(0), attention.size(2))
            sums = sums.index_add(0, marker, attention[:, : len(marker)].transpose(0, 1))  # A: [E, z, L]
            products = sums.permute(2, 0, 1) @ sums.permute(2, 1, 0)  # [L, E, E]
            head, tail = pairs[document] - first
            q = products[:, head, tail].t()  # [P, L]
            total[document] = total[document] + q @ hidden
            weight[document] = weight[document] + q.sum(-1, keepdim=True)
    return torch.cat(total) / torch.cat(weight).clamp(min=torch.finfo(torch.float).tiny)
