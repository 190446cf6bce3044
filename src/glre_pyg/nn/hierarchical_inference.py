"""Inference between two entities, in each sentence and over the document (HIN; Tang et al., PAKDD 2020)."""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch_geometric.utils import scatter, softmax

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.recurrent import LSTM
from glre_pyg.utils.ranges import PositiveInt


class EntityInference(nn.Module):
    r"""Translation and bilinear map between two entities in *K* subspaces.

    .. math::
        e^k = W_2^k \, \mathrm{ReLU}(W_1^k e), \quad
        I_e^k = [e_b^k - e_a^k; \; e_a^{k\top} R^k e_b^k], \quad
        I_e = \mathrm{ReLU}(W [I_e^1; \dots; I_e^K; \Delta])

    Args:
        in_channels: Width of the entities.
        pair_channels: Width of the further features :math:`\Delta` of a pair.
        out_channels: Width of :math:`I_e`.
        num_subspaces: Number of subspaces K.
        subspace_channels: Width of a subspace, and of its bilinear map.
    """

    def __init__(
        self,
        in_channels: int,
        pair_channels: int,
        out_channels: int,
        *,
        num_subspaces: PositiveInt,
        subspace_channels: PositiveInt,
    ) -> None:
        super().__init__()
        count, width = num_subspaces, subspace_channels
        self.first = nn.Linear(in_channels, count * width)
        self.second = nn.Parameter(torch.empty(count, width, width))  # W_2
        self.bilinear = nn.Parameter(torch.empty(count, width, width, width))  # R
        self.output = nn.Linear(2 * count * width + pair_channels, out_channels)
        nn.init.uniform_(self.second, -(width**-0.5), width**-0.5)
        nn.init.uniform_(self.bilinear, -1 / width, 1 / width)

    def forward(self, entity: Tensor, pair_index: Tensor, pair: Tensor) -> Tensor:
        """Return :math:`I_e` [P, out_channels] of entities [E, in_channels] and features of pairs [P, ·]."""
        hidden = torch.relu(self.first(entity)).unflatten(-1, self.second.shape[:2])  # [E, K, c]
        entity = torch.einsum("eki,kij->ekj", hidden, self.second)
        head, tail = (entity.index_select(0, index) for index in pair_index)  # [P, K, c]
        products = torch.einsum("pki,pkj->pkij", head, tail)
        product = torch.einsum("pkij,kijo->pko", products, self.bilinear)
        features = torch.cat([(tail - head).flatten(1), product.flatten(1), pair], dim=-1)
        return torch.relu(self.output(features))


class SentenceInference(nn.Module):
    r"""Attention of a pair over the words of each sentence, and comparison of the two.

    .. math::
        \alpha_{jt} \propto \exp(I_e^\top W_a h_{jt}), \quad
        s_j = \sum_t \alpha_{jt} h_{jt}, \quad
        I_{s_j} = \mathrm{ReLU}(W [s_j; I_e; s_j - I_e; s_j \circ I_e])

    Args:
        channels: Width of words, of :math:`I_e` and of the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels, bias=False)
        self.compare = nn.Linear(4 * channels, channels)

    def forward(self, inference: Tensor, words: Tensor, batch: DocumentGraph) -> tuple[Tensor, list[int]]:
        """Return the sentences of each pair's document, pair by pair, and their number for each pair.

        Args:
            inference: :math:`I_e` of the pairs [P, channels].
            words: Words [W, channels].
            batch: The batch.
        """
        sizes = sizes_of(batch)
        span = batch["sentence"].span
        lengths = (span[:, 1] - span[:, 0]).split(sizes.sentences)
        sentences = iter(words.split(sizes.sentence_words))
        rows = [inference.new_zeros(0, inference.size(1))]
        for pairs, length in zip(inference.split(sizes.pairs), lengths, strict=True):
            inside = [*islice(sentences, len(length))]
            if not len(pairs):
                continue
            padded = pad_sequence(inside, batch_first=True)  # [S, L, c]
            position = torch.arange(padded.size(1), device=length.device)
            logits = torch.einsum("pc,slc->psl", self.query(pairs), padded).float()
            weights = logits.masked_fill(position >= length[:, None], torch.finfo(torch.float).min)
            sentence = torch.einsum("psl,slc->psc", weights.softmax(-1), padded)
            query = pairs[:, None].expand_as(sentence)
            features = torch.cat([sentence, query, sentence - query, sentence * query], dim=-1)
            rows.append(torch.relu(self.compare(features)).flatten(0, 1))
        counts = [
            count for count, pairs in zip(sizes.sentences, sizes.pairs, strict=True) for _ in range(pairs)
        ]
        return torch.cat(rows), counts


class DocumentInference(nn.Module):
    r"""BiLSTM over the sentences of a pair's document, and attention of the pair over them.

    .. math::
        g = \mathrm{BiLSTM}(I_{s_1}, \dots, I_{s_S}), \quad
        \beta_j \propto \exp(I_e^\top W_b g_j), \quad
        I_d = \sum_j \beta_j g_j

    Args:
        channels: Width of :math:`I_e`, of the sentences and of the output, even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lstm = LSTM(channels, hidden_channels=channels // 2)
        self.query = nn.Linear(channels, self.lstm.out_channels, bias=False)
        self.out_channels = self.lstm.out_channels

    def forward(self, inference: Tensor, sentences: Tensor, counts: list[int]) -> Tensor:
        """Return :math:`I_d` [P, out_channels], given the output of :class:`SentenceInference`.

        Args:
            inference: :math:`I_e` of the pairs [P, channels].
            sentences: Sentences of each pair's document, pair by pair [N, channels].
            counts: Number of sentences of each pair [P].
        """
        sentences = self.lstm(sentences, counts)
        repeats = torch.tensor(counts, dtype=torch.long, device=inference.device)
        pair = torch.arange(len(inference), device=inference.device).repeat_interleave(
            repeats, output_size=len(sentences)
        )
        logits = (self.query(inference).index_select(0, pair) * sentences).sum(-1)
        weights = softmax(logits.float(), pair, num_nodes=len(inference))
        return scatter(weights[:, None] * sentences, pair, dim_size=len(inference), reduce="sum")
