"""Reasons of a model: what the layers of Sections 3.3 and 3.4 drew on, and how the text joins a pair.

Attention weights say what a layer averaged, not what the answer hinges on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from glre_pyg.document import Document, Span
from glre_pyg.graph import DocumentGraph
from glre_pyg.inference import predict
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.context import ContextAttention
from glre_pyg.nn.local import Drawn, LocalAttention
from glre_pyg.passages import connection, entity_of, name_of
from glre_pyg.reasons import MentionWeight, PairWeight, Reasons

if TYPE_CHECKING:
    from glre_pyg.runs import Run


def explain(
    run: Run, document: Document, pairs: Sequence[tuple[str, str]], *, strongest: int | None = None
) -> list[Reasons]:
    """Reasons of a run for pairs of a document; its facts are not looked at.

    Args:
        run: The run.
        document: The document, as the run's corpus prepares it.
        pairs: (head, tail) identifiers.
        strongest: How many pairs of the context to give; None gives all.

    Raises:
        InputError: If the document does not mention an entity.
    """
    [graph] = run.graphs([document])
    return reasons(run.model, graph, document, pairs, directed=run.labels.directed, strongest=strongest)


def reasons(
    model: RelationModel,
    graph: DocumentGraph,
    document: Document,
    pairs: Sequence[tuple[str, str]],
    *,
    directed: bool = True,
    strongest: int | None = None,
) -> list[Reasons]:
    """Reasons of a model for pairs of a document. The model runs once.

    Args:
        model: Any model; its :class:`~glre_pyg.nn.local.LocalAttention` and
            :class:`~glre_pyg.nn.context.ContextAttention` are found by their type. Of several, weights are
            averaged.
        graph: Graph of the document, with pieces.
        document: The document.
        pairs: (head, tail) identifiers.
        directed: Whether (a, b) and (b, a) are two pairs; else either order may be asked for.
        strongest: See :func:`explain`.

    Raises:
        InputError: If the document does not mention an entity.
    """
    local, context = _weights(model, graph)
    ids: list[str] = graph["entity"].id
    candidates = [(ids[head], ids[tail]) for head, tail in graph.pair_index.t().tolist()]
    row_of = {pair: row for row, pair in enumerate(candidates)}
    spans: list[tuple[int, int]] = [(start, end) for start, end in graph["mention"].span.tolist()]

    def drawn(side: int, row: int | None, identifier: str) -> tuple[MentionWeight, ...] | None:
        if local is None or row is None:
            return None
        pair, mention, weight = local[side]
        mine = pair == row
        weights = zip(mention[mine].tolist(), weight[mine].tolist(), strict=True)
        return _mention_weights(document, identifier, {spans[number]: value for number, value in weights})

    def of(head: str, tail: str) -> Reasons:
        row, sides = row_of.get((head, tail)), (0, 1)
        if row is None and not directed:
            row, sides = row_of.get((tail, head)), (1, 0)
        context_itself, others = None, None
        if context is not None and row is not None:
            weights = context[row].tolist()
            context_itself = weights[row]
            order = sorted(set(range(len(weights))) - {row}, key=lambda other: (-weights[other], other))
            others = tuple(PairWeight(*candidates[other], weights[other]) for other in order[:strongest])
        return Reasons(
            head=head,
            tail=tail,
            head_mentions=drawn(sides[0], row, head),
            tail_mentions=drawn(sides[1], row, tail),
            context=others,
            context_itself=context_itself,
            path=connection(document, head, tail),
        )

    return [of(head, tail) for head, tail in pairs]


def _mention_weights(
    document: Document, identifier: str, weights: Mapping[Span, float]
) -> tuple[MentionWeight, ...]:
    """Weights by the words of mentions, as reasons."""
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


def _weights(model: RelationModel, graph: DocumentGraph) -> tuple[list[Drawn] | None, Tensor | None]:
    """Weights [I] of the mentions of heads and of tails, and of all pairs in all contexts [P, P]."""
    with _noted(model, LocalAttention) as local, _noted(model, ContextAttention) as context:
        predict(model, [graph], batch_size=1, device=next(model.parameters()).device)
    sides = None
    if local:
        layers = [[_joined(blocks) for blocks in zip(*calls, strict=True)] for calls in local.values()]
        sides = [
            (*same[0][:2], torch.stack([weights.mean(-1) for *_, weights in same]).mean(0))
            for same in zip(*layers, strict=True)
        ]
    tables = [table for [table] in context.values()]
    return sides, torch.stack(tables).mean(0) if tables else None


def _joined(blocks: Sequence[Drawn]) -> Drawn:
    """What one layer drew on in all blocks of pairs."""
    pair, mention, weight = (torch.cat(tensors) for tensors in zip(*blocks, strict=True))
    return pair, mention, weight


@contextmanager
def _noted(
    model: nn.Module, kind: type[LocalAttention | ContextAttention]
) -> Iterator[Mapping[nn.Module, list[Any]]]:
    """The weights of every layer of one kind as the model runs, a call each, from what the layer is given."""
    found: dict[nn.Module, list[Any]] = {}

    def note(layer: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        found.setdefault(layer, []).append(layer.weights(*arguments, **options))

    layers = [layer for layer in model.modules() if isinstance(layer, kind)]
    handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
