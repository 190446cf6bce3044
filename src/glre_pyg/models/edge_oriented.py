"""EoG: edge-oriented graphs (Christopoulou et al., EMNLP 2019)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter, softmax

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import EDGE_TYPES, NODE_TYPES, DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.distance import DistanceEmbedding
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.local import target_of_mentions
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.nodes import NodeEncoder, mean_of_spans, words_of_spans
from glre_pyg.nn.recurrent import LSTM
from glre_pyg.nn.walks import Walks
from glre_pyg.utils.ranges import PositiveInt, Rate


class EoG(RelationModel):
    r"""Edge-oriented graph: the edge between two entities is inferred from walks over the other edges.

    .. math::
        x_{MM} = [n_{m_i}; n_{m_j}; c_{m_i m_j}; d_{m_i m_j}], \quad
        x_{MS} = [n_m; n_s], \quad x_{ME} = [n_m; n_e], \quad x_{SS} = [n_{s_i}; n_{s_j}; d_{s_i s_j}], \quad
        x_{ES} = [n_e; n_s], \quad e^{(1)}_z = W_z x_z

    Words are read by a BiLSTM over each sentence; :math:`c` is the mean of what both mentions attend to, as
    :func:`contexts_of_mentions` returns it. Walks of these edges are combined by
    :class:`~glre_pyg.nn.walks.Walks`, and the edge from head to tail is classified. Edges between nodes of
    different types have the same representation in both directions.

    Paper: softmax over relations and "no relation"; nodes are means of words. Here: the loss and thresholds
    of all models; a linear layer maps these means to nodes; words and edges share a dropout rate.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words; called with the tokenizer.
        sequence: LSTM over the words of a sentence; called with its input width.
        nodes: Vectors of nodes; called with the width of words.
        distance: Embedding of signed distances between mentions, in words, and between sentences; called
            without arguments.
        channels: Width d of the edges.
        walks: Inference; called with d.
        dropout: Dropout rate of words and of the classified edges.
        loss: Loss, which defines the number of logits; called with R.
    """

    citation = (
        "Fenia Christopoulou, Makoto Miwa and Sophia Ananiadou: Connecting the Dots: Document-level Neural "
        "Relation Extraction with Edge-oriented Graphs. EMNLP-IJCNLP 2019. https://arxiv.org/abs/1909.00228"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        sequence: Callable[[int], LSTM],
        nodes: Callable[[int], NodeEncoder],
        distance: Callable[[], DistanceEmbedding],
        channels: PositiveInt,
        walks: Callable[[int], Walks],
        dropout: Rate,
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder = encoder(tokenizer)
        self.sequence = sequence(self.encoder.out_channels)
        self.nodes = nodes(self.sequence.out_channels)
        self.mention_distance, self.sentence_distance = distance(), distance()
        width, extra = self.nodes.out_channels, self.mention_distance.out_channels
        widths = [2 * width + self.sequence.out_channels + extra, *[2 * width] * 3, 2 * width + extra]
        self.edges = nn.ModuleList(nn.Linear(size, channels, bias=False) for size in widths)
        self.walks = walks(channels)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, self.loss.num_logits)
        self.channels = channels

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its encoder: those of its edges."""
        num_nodes = sum(graph[kind].num_nodes for kind in NODE_TYPES)
        return 3 * self.channels * self.walks.iterations * num_nodes**2

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        words = self.dropout(self.encoder(batch))  # [W, ·]
        words = self.sequence(words, sizes_of(batch).sentence_words)
        edge, exists, start, sizes = self._edges(words, batch)
        first_entity = [0, *accumulate(sizes_of(batch).entities)]
        mentions = sizes_of(batch).mentions
        out = []
        for document, pairs in enumerate(batch.pair_index.split(sizes_of(batch).pairs, dim=1)):
            size = sizes[document]
            cells = slice(start[document], start[document] + size**2)
            entities = pairs - first_entity[document] + mentions[document]
            square = edge[cells].view(size, size, self.channels), exists[cells].view(size, size)
            out.append(self.walks(*square, entities))
        return self.classifier(self.dropout(torch.cat(out)))

    def _edges(self, words: Tensor, batch: DocumentGraph) -> tuple[Tensor, Tensor, list[int], list[int]]:
        """Return the edges of all documents, as flat matrices.

        Returns:
            Edges [·, d], and whether they exist [·]; first row and number of nodes n of each document, which
            has n² rows.
        """
        nodes, found = self.nodes(words, batch), sizes_of(batch)
        counts = {"mention": found.mentions, "entity": found.entities, "sentence": found.sentences}
        sizes = [sum(numbers) for numbers in zip(*counts.values(), strict=True)]
        start = [0, *accumulate(size**2 for size in sizes)]
        place, document = _places(counts, words.device)  # of each node, by type: in its document, and which
        first = torch.tensor(start, device=words.device)
        width = torch.tensor(sizes, device=words.device)
        rows = [torch.zeros(start[-1], self.channels, device=words.device)]
        cells = [torch.empty(0, dtype=torch.long, device=words.device)]
        for edge_type, layer in zip(EDGE_TYPES, self.edges, strict=True):
            source, _, target = edge_type
            i, j = batch[edge_type].edge_index
            parts = [nodes.typed[source].index_select(0, i), nodes.typed[target].index_select(0, j)]
            if edge_type == ("mention", "co_occurs", "mention"):
                context = contexts_of_mentions(words, batch)
                begin = batch["mention"].span[:, 0]
                parts += [(context[i] + context[j]) / 2, self.mention_distance(begin[i] - begin[j])]
            elif source == target:
                parts.append(self.sentence_distance(i - j))
            vectors = layer(torch.cat(parts, dim=-1))
            of = document[source][i]
            one, other = place[source][i], place[target][j]
            rows.append(vectors)
            cells.append(first[of] + one * width[of] + other)
            if source != target:
                rows.append(vectors)
                cells.append(first[of] + other * width[of] + one)
        cell = torch.cat(cells)
        edge = rows[0].index_copy(0, cell, torch.cat(rows[1:]).to(rows[0].dtype))
        exists = torch.zeros(start[-1], dtype=torch.bool, device=words.device).index_fill(0, cell, True)
        return edge, exists, start, sizes


def contexts_of_mentions(words: Tensor, batch: DocumentGraph) -> Tensor:
    r"""Return what each mention attends to in its sentence [M, d].

    .. math:: c_m = \sum_k a_{mk} h_k, \quad a_{mk} \propto \exp(\mathrm{avg}_{j \in m}(h_j)^\top h_k)

    The sum is over the words *k* of the sentence outside of the mention, as in the released code. It is 0 for
    a mention that is a whole sentence.

    Args:
        words: Words *h* [W, d].
        batch: The batch.
    """
    span = batch["mention"].span
    mention = mean_of_spans(words, span, sizes_of(batch).mention_words)
    sentence = target_of_mentions(batch["mention", "in", "sentence"].edge_index)  # [M]
    word, index = words_of_spans(batch["sentence"].span.index_select(0, sentence))
    start, end = span[index].t()
    outside = (word < start) | (word >= end)
    word, index = word[outside], index[outside]
    near = words.index_select(0, word)
    logits = (mention.index_select(0, index) * near).sum(-1)
    weights = softmax(logits.float(), index, num_nodes=len(span))
    return scatter(weights[:, None] * near, index, dim_size=len(span), reduce="sum")


def _places(
    counts: dict[str, list[int]], device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Number the nodes of each document, types one after another: [N] for each type, and their documents."""
    place, document = {}, {}
    offsets = [0] * len(next(iter(counts.values())))
    for kind, numbers in counts.items():
        spans = [torch.arange(offset, offset + n) for offset, n in zip(offsets, numbers, strict=True)]
        place[kind] = torch.cat(spans).to(device)
        document[kind] = torch.arange(len(numbers)).repeat_interleave(torch.tensor(numbers)).to(device)
        offsets = [offset + number for offset, number in zip(offsets, numbers, strict=True)]
    return place, document
