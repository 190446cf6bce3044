"""Explain predictions with the attention weights of Sections 3.3 and 3.4 and with paths through the text.

Attention weights show what a layer averages, which need not be what the prediction depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from glre_pyg.data.document import Document, Span
from glre_pyg.data.explanation import MentionWeight, PairWeight, Reasons
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.paths import connection, entity_of, name_of
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.context import ContextAttention
from glre_pyg.nn.local import LocalAttention
from glre_pyg.runs.prediction import predict

if TYPE_CHECKING:
    from glre_pyg.runs.run import Run


_ROWS = 256  # contexts computed at a time


def explain(
    run: Run, document: Document, pairs: Sequence[tuple[str, str]], *, top_k: int | None = None
) -> list[Reasons]:
    """Explain the predictions of a run for pairs of a document.

    Args:
        run: The run.
        document: The document, as prepared by the run's corpus; its facts are ignored.
        pairs: (head, tail) identifiers.
        top_k: Number of context pairs, largest weights first; None for all.

    Raises:
        InputError: If the document does not mention an entity.
    """
    [graph] = run.graphs([document])
    return reasons(
        run.model,
        graph,
        document,
        pairs,
        directed=run.labels.directed,
        top_k=top_k,
        memory=run.memory,
    )


def reasons(
    model: RelationModel,
    graph: DocumentGraph,
    document: Document,
    pairs: Sequence[tuple[str, str]],
    *,
    directed: bool = True,
    top_k: int | None = None,
    memory: int | None = None,
) -> list[Reasons]:
    """Explain the predictions of a model for pairs of a document. The model runs once.

    Args:
        model: Any model; its :class:`~glre_pyg.nn.local.LocalAttention` and
            :class:`~glre_pyg.nn.context.ContextAttention` layers are found by their type. The weights of
            several are averaged.
        graph: Graph of the document, tokenized.
        document: The document.
        pairs: (head, tail) identifiers.
        directed: Whether (a, b) and (b, a) are two pairs; otherwise both orders are accepted.
        top_k: See :func:`explain`.
        memory: Memory limit in bytes; None for none.

    Raises:
        InputError: If the document does not mention an entity, or needs more memory.
    """
    rows = pair_rows(graph, directed=directed)
    candidates = {row: pair for pair, row in rows.items()}  # in the model's order: it comes last
    local, calls = _attention(model, graph, memory)
    context = _context(calls, sorted({rows[pair] for pair in pairs if pair in rows}), top_k)
    spans: list[tuple[int, int]] = [(start, end) for start, end in graph["mention"].span.tolist()]

    def mention_weights(side: int, row: int | None, identifier: str) -> tuple[MentionWeight, ...] | None:
        if local is None or row is None:
            return None
        pair, mention, weight = local[side]
        in_row = pair == row
        weights = zip(mention[in_row].tolist(), weight[in_row].tolist(), strict=True)
        return _mention_weights(document, identifier, {spans[number]: value for number, value in weights})

    def explained(head: str, tail: str) -> Reasons:
        row = rows.get((head, tail))
        sides = (0, 1) if row is None or candidates[row] == (head, tail) else (1, 0)
        itself, others = (None, None) if row is None else context.get(row, (None, None))
        return Reasons(
            head=head,
            tail=tail,
            head_mentions=mention_weights(sides[0], row, head),
            tail_mentions=mention_weights(sides[1], row, tail),
            context=None
            if others is None
            else tuple(PairWeight(*candidates[other], weight) for other, weight in others),
            context_itself=itself,
            path=connection(document, head, tail),
        )

    return [explained(head, tail) for head, tail in pairs]


def pair_rows(graph: DocumentGraph, *, directed: bool) -> dict[tuple[str, str], int]:
    """Return the row of each candidate pair (head, tail) in a table of predictions [P, R].

    Args:
        graph: Graph of the document.
        directed: Whether (a, b) and (b, a) are two pairs; otherwise both orders have a row.
    """
    ids: list[str] = graph["entity"].id
    rows = {(ids[head], ids[tail]): row for row, (head, tail) in enumerate(graph.pair_index.t().tolist())}
    return rows if directed else {(tail, head): row for (head, tail), row in rows.items()} | rows


def _mention_weights(
    document: Document, identifier: str, weights: Mapping[Span, float]
) -> tuple[MentionWeight, ...]:
    """Weights of an entity's mentions, from weights by word span."""
    entity = entity_of(document, identifier)
    return tuple(
        MentionWeight(
            mention,
            name_of(document, entity, mention),
            document.sentence_of(mention),
            weights[document.word_span(mention)],
        )
        for mention in entity.mentions
    )


Weights = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Pairs [I], ascending, mentions of one of their entities [I], and the weight of each [I]."""


@dataclass(frozen=True)
class _Call:
    """A layer of the model, and the arguments that it was called with."""

    layer: Any
    arguments: tuple[Any, ...]


def _attention(
    model: RelationModel, graph: DocumentGraph, memory: int | None
) -> tuple[tuple[Weights, Weights] | None, list[_Call]]:
    """Weights of the mentions of heads and of tails, averaged over layers and their heads; context layers."""
    calls: list[_Call] = []

    def hook(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        calls.append(_Call(layer, arguments))

    layers = [each for each in model.modules() if isinstance(each, LocalAttention | ContextAttention)]
    handles = [layer.register_forward_pre_hook(hook) for layer in layers]
    try:
        predict(model, [graph], batch_size=1, device=next(model.parameters()).device, memory=memory)
    finally:
        for handle in handles:
            handle.remove()
    with torch.inference_mode():
        sides = [
            call.layer.weights(*call.arguments[:1], *call.arguments[2:6])  # the mentions are the values
            for call in calls
            if isinstance(call.layer, LocalAttention)
        ]
        local = [_mean(layers) for layers in zip(*sides, strict=True)]
    context = [call for call in calls if isinstance(call.layer, ContextAttention)]
    return (local[0], local[1]) if local else None, context


def _mean(layers: Sequence[Weights]) -> Weights:
    """The mean over layers and their heads."""
    pair, mention, _ = layers[0]
    return pair, mention, torch.stack([weights.mean(-1) for *_, weights in layers]).mean(0)


@torch.inference_mode()
def _context(
    calls: Sequence[_Call], rows: Sequence[int], top_k: int | None
) -> dict[int, tuple[float, list[tuple[int, float]]]]:
    """By row: the weight of a pair in its own context, and those of other pairs, largest first.

    A few rows are computed at a time, never the whole table of pairs by pairs.
    """
    context: dict[int, tuple[float, list[tuple[int, float]]]] = {}
    for part in torch.tensor(rows, dtype=torch.long).split(_ROWS) if calls else ():
        weights = torch.stack(
            [
                call.layer.weights(*call.arguments[:2], rows=part.to(call.arguments[1].device))
                for call in calls
            ]
        ).mean(0)
        weights = weights.cpu()
        own = weights.gather(1, part[:, None]).squeeze(1).tolist()
        weights, order = weights.scatter(1, part[:, None], -1.0).sort(descending=True, stable=True)
        count = weights.size(1) - 1 if top_k is None else min(top_k, weights.size(1) - 1)
        for row, itself, others, values in zip(
            part.tolist(), own, order[:, :count].tolist(), weights[:, :count].tolist(), strict=True
        ):
            context[row] = itself, list(zip(others, values, strict=True))
    return context
