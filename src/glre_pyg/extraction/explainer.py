"""Explain predictions with the attention weights of Sections 3.3 and 3.4 and with paths through the text.

Attention weights show what a layer averages, which need not be what the prediction depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from glre_pyg.data.document import Document
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
        graph, document: The document, and its tokenized graph.
        pairs: (head, tail) identifiers.
        directed: Whether (a, b) and (b, a) are two pairs; otherwise both orders are accepted.
        top_k: See :func:`explain`.
        memory: Memory limit in bytes; None for none.

    Raises:
        InputError: If the document does not mention an entity, or needs more memory.
    """
    rows = pair_rows(graph, directed=directed)
    candidates = {row: pair for pair, row in rows.items()}  # in the model's order: it comes last
    calls = _attention_calls(model, graph, memory)
    local = _local(calls)
    context = _context(calls, sorted({rows[pair] for pair in pairs if pair in rows}), top_k)

    def explained(head: str, tail: str) -> Reasons:
        row = rows.get((head, tail))
        weights = local if row is not None else (None, None)
        if row is not None and candidates[row] != (head, tail):
            weights = weights[::-1]
        itself, others = (None, None) if row is None else context.get(row, (None, None))
        return Reasons(
            head=head,
            tail=tail,
            head_mentions=_mention_weights(document, graph, head, row, weights[0]),
            tail_mentions=_mention_weights(document, graph, tail, row, weights[1]),
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


Weights = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Pairs [I], ascending, mentions of one of their entities [I], and the weight of each [I]."""
_Calls = list[tuple[Any, tuple[Any, ...]]]  # attention layers of the model, and the arguments of each


def _mention_weights(
    document: Document, graph: DocumentGraph, identifier: str, row: int | None, weights: Weights | None
) -> tuple[MentionWeight, ...] | None:
    """Weights of an entity's mentions in one row of pairs, in the order of the text."""
    if weights is None:
        return None
    pair, mention, weight = weights
    spans = graph["mention"].span[mention[pair == row].to(graph["mention"].span.device)].tolist()
    by_span = dict(zip(map(tuple, spans), weight[pair == row].tolist(), strict=True))
    entity = entity_of(document, identifier)
    return tuple(
        MentionWeight(
            mention,
            name_of(document, entity, mention),
            document.sentence_of(mention),
            by_span[document.word_span(mention)],
        )
        for mention in entity.mentions
    )


def _attention_calls(model: RelationModel, graph: DocumentGraph, memory: int | None) -> _Calls:
    """Run the model, and return what its attention layers are called with."""
    calls: _Calls = []

    def hook(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        calls.append((layer, arguments))

    layers = [each for each in model.modules() if isinstance(each, LocalAttention | ContextAttention)]
    handles = [layer.register_forward_pre_hook(hook) for layer in layers]
    try:
        predict(model, [graph], batch_size=1, device=next(model.parameters()).device, memory=memory)
    finally:
        for handle in handles:
            handle.remove()
    return calls


@torch.inference_mode()
def _local(calls: _Calls) -> tuple[Weights | None, Weights | None]:
    """Weights of the mentions of heads and of tails, averaged over layers and their heads."""
    layers = [
        layer.weights(*arguments[:1], *arguments[2:6])  # the mentions are the values
        for layer, arguments in calls
        if isinstance(layer, LocalAttention)
    ]
    if not layers:
        return None, None
    head, tail = (
        (*side[0][:2], torch.stack([weight.mean(-1) for *_, weight in side]).mean(0))
        for side in zip(*layers, strict=True)
    )
    return head, tail


@torch.inference_mode()
def _context(
    calls: _Calls, rows: Sequence[int], top_k: int | None
) -> dict[int, tuple[float, list[tuple[int, float]]]]:
    """By row: the weight of a pair in its own context, and those of other pairs, largest first.

    A few rows are computed at a time, never the whole table of pairs by pairs.
    """
    calls = [(layer, arguments) for layer, arguments in calls if isinstance(layer, ContextAttention)]
    context: dict[int, tuple[float, list[tuple[int, float]]]] = {}
    for part in torch.tensor(rows, dtype=torch.long).split(_ROWS) if calls else ():
        per_layer = [
            layer.weights(*arguments[:2], rows=part.to(arguments[1].device)) for layer, arguments in calls
        ]
        weights = torch.stack(per_layer).mean(0).cpu()
        own = weights.gather(1, part[:, None]).squeeze(1).tolist()
        weights, order = weights.scatter(1, part[:, None], -1.0).sort(descending=True, stable=True)
        count = weights.size(1) - 1 if top_k is None else min(top_k, weights.size(1) - 1)
        for row, itself, others, values in zip(
            part.tolist(), own, order[:, :count].tolist(), weights[:, :count].tolist(), strict=True
        ):
            context[row] = itself, list(zip(others, values, strict=True))
    return context
