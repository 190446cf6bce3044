"""Hierarchical CNN and LSTM over the sentences of a pair (Zheng et al., 2018)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d
from torch.nn.utils.rnn import pad_sequence
from torch_geometric.utils import scatter

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, documents_of_pairs, places_of_nodes
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.local import target_of_mentions
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.nodes import words_of_spans
from glre_pyg.nn.pair_convolution import largest_of_sums
from glre_pyg.nn.recurrent import LSTM
from glre_pyg.utils.ranges import PositiveInt, Rate


class HierarchicalModel(RelationModel):
    r"""A convolution over the words of each sentence of a pair, and a BiLSTM over these sentences.

    .. math::
        v_s = \max_i \mathrm{ReLU}(\mathrm{conv}(x^{(s)})_i), \quad
        h = \max_s \mathrm{BiLSTM}(v)_s, \quad y = W [h; v_{title}] + b

    The sentences of a pair are those that mention one of its entities, and the first sentence, the title. In
    them, each word of the head entity is replaced by one vector, and each of the tail entity by another.

    Here: built after the abstract of the paper (a CNN and an RNN, masked candidate entities, associated
    sentences, topic of the article); a word of both entities has both vectors. The loss is that of all models
    in place of a softmax.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words; called with the tokenizer.
        hidden_channels: Width d of the convolution.
        kernel_size: Number of words that the convolution sees.
        sequence: BiLSTM over sentences; called with its input width.
        dropout: Dropout rate of words and of the classifier's input.
        loss: Loss, which defines the number of logits; called with R.
    """

    citation = (
        "Wei Zheng, Hongfei Lin, Zhiheng Li, Xiaoxia Liu, Zhengguang Li, Bo Xu, Yijia Zhang, Zhihao Yang and "
        "Jian Wang: An effective neural model extracting document level chemical-induced disease relations "
        "from biomedical literature. Journal of Biomedical Informatics 83, 2018. "
        "https://doi.org/10.1016/j.jbi.2018.05.001"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        hidden_channels: PositiveInt,
        kernel_size: PositiveInt,
        sequence: Callable[[int], LSTM],
        dropout: Rate,
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder = encoder(tokenizer)
        width = self.encoder.out_channels
        self.masks = nn.Parameter(0.1 * torch.randn(2, width))  # of the head, and of the tail
        self.convolution = nn.Conv1d(width, hidden_channels, kernel_size, padding="same")
        self.sequence = sequence(hidden_channels)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.sequence.out_channels + hidden_channels, self.loss.num_logits)

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its encoder, for masked sentences."""
        span, (_, sentence) = graph["sentence"].span, graph["entity", "in", "sentence"].edge_index
        lengths = span[:, 1] - span[:, 0]
        longest = int(lengths.max()) if len(lengths) else 0
        width = self.masks.size(1) + self.convolution.out_channels
        sentences = len(sentence) * graph["entity"].num_nodes  # at least those of all pairs
        return 4 * longest * len(sentence) * width + 20 * sentences * self.sequence.out_channels

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        words = self.dropout(self.encoder(batch))  # [W, ·]
        head, tail = batch.pair_index
        if not len(head):
            return self.classifier(words.new_zeros(0, self.classifier.in_features))
        span = batch["sentence"].span
        lengths = span[:, 1] - span[:, 0]
        rows = pad_sequence(words.split(sizes_of(batch).sentence_words), batch_first=True)  # [S, L, ·]
        first, number, edges = _sentences(batch)
        listed = (edges[head] >= 0) | (edges[tail] >= 0)  # [P, sentences of a document]
        listed[:, 0] = True
        pair, place = listed.nonzero(as_tuple=True)  # [K]
        sentence = first[documents_of_pairs(batch)[pair]] + place
        mentioned = _mentioned_words(batch, rows.size(1), number, edges)  # [edges, L]
        text = rows.index_select(0, batch["entity", "in", "sentence"].edge_index[1])  # [edges, L, ·]
        parts = [(self._convolved(rows, self.convolution.bias), sentence)]
        for mask, entity in zip(self.masks, (head, tail), strict=True):
            change = torch.cat([(mask - text) * mentioned[..., None], text.new_zeros(1, *rows.shape[1:])])
            parts.append((self._convolved(change, None), edges[entity[pair], place] % len(change)))
        inside = torch.arange(rows.size(1), device=rows.device) < lengths[sentence][:, None]  # [K, L]
        vectors = torch.relu(largest_of_sums(parts, inside))  # [K, d]
        states = self.sequence(vectors, listed.sum(1).tolist())
        pooled = scatter(states, pair, dim_size=len(head), reduce="max")
        logits: Tensor = self.classifier(self.dropout(torch.cat([pooled, vectors[place == 0]], dim=-1)))
        return logits

    def _convolved(self, rows: Tensor, bias: Tensor | None) -> Tensor:
        x = conv1d(rows.transpose(1, 2), self.convolution.weight, bias, padding="same")
        return x.transpose(1, 2)


def _sentences(batch: DocumentGraph) -> tuple[Tensor, Tensor, Tensor]:
    """Return where sentences are in their documents, and which of them mention an entity.

    Returns:
        The first sentence of each document [B]; the number of each sentence in its document [S]; and the edge
        from each entity to each sentence of its document [E, ·], -1 if there is none.
    """
    entity, sentence = batch["entity", "in", "sentence"].edge_index
    counts = torch.tensor(sizes_of(batch).sentences, device=entity.device)
    first, place = counts.cumsum(0) - counts, places_of_nodes(batch, "sentence")
    edges = torch.full((batch["entity"].num_nodes, int(counts.max())), -1, device=entity.device)
    edges[entity, place[sentence]] = torch.arange(len(entity), device=entity.device)
    return first, place, edges


def _mentioned_words(batch: DocumentGraph, longest: int, place: Tensor, edges: Tensor) -> Tensor:
    """Return which words of its sentence are in a mention of the entity of each edge [edges, longest]."""
    word, mention = words_of_spans(batch["mention"].span, sizes_of(batch).mention_words)
    entity = target_of_mentions(batch["mention", "refers_to", "entity"].edge_index)[mention]
    sentence = target_of_mentions(batch["mention", "in", "sentence"].edge_index)[mention]
    count = batch["entity", "in", "sentence"].edge_index.size(1)
    inside = torch.zeros(count, longest, dtype=torch.bool, device=word.device)
    inside[edges[entity, place[sentence]], word - batch["sentence"].span[sentence, 0]] = True
    return inside
