"""Layers of models other than GLRE against their equations in plain loops."""

from itertools import chain

import pytest
import torch

from documents import batch_of, document, empty, odd_documents, random_documents
from glre_pyg.models.edge_oriented import contexts_of_mentions
from glre_pyg.nn.convolution import Convolution, RaggedConvolution
from glre_pyg.nn.convolutional_transformer import ConvolutionalTransformer
from glre_pyg.nn.loss import TwoStep
from glre_pyg.nn.mention_features import MentionFeatures, entity_numbers
from glre_pyg.nn.pooling import mean_of_mentions
from glre_pyg.nn.recurrent import LSTM
from glre_pyg.nn.walks import Walks


def close(one, other, tolerance=1e-5):
    torch.testing.assert_close(one, other, atol=tolerance, rtol=0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


SEQUENCES = {
    "lstm": lambda: LSTM(6, hidden_channels=4, bidirectional=False),
    "bilstm": lambda: LSTM(6, hidden_channels=4, num_layers=2),
    "convolution": lambda: Convolution(6, hidden_channels=5, kernel_size=3),
    "transformer": lambda: ConvolutionalTransformer(
        6, channels=8, num_blocks=2, heads=2, kernel_size=5, max_positions=6, dropout=0.0
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_of_different_lengths_are_the_sequences_alone(name):
    layer = SEQUENCES[name]().eval()
    counts = [3, 0, 7, 1]
    words = torch.randn(sum(counts), 6)
    out = layer(words, counts)
    assert out.shape == (11, layer.out_channels)
    for rows, alone in zip(out.split(counts), words.split(counts), strict=True):
        close(rows, layer(alone, [len(alone)]))
    assert layer(words[:0], [0, 0]).shape == (0, layer.out_channels)


def test_convolution_against_a_loop():
    layer = Convolution(3, hidden_channels=2, kernel_size=3)
    words = torch.randn(4, 3)
    padded = torch.cat([torch.zeros(1, 3), words, torch.zeros(1, 3)])
    for place, row in enumerate(layer(words, [4])):
        total = layer.conv.bias.clone()
        for offset in range(3):
            total += layer.conv.weight[:, :, offset] @ padded[place + offset]
        close(row, total.clamp(min=0))


def test_contexts_of_mentions_against_loops():
    whole = document(["velorin caused rash .", "rash"], [(0, 1, "Chemical", "A"), (4, 5, "Disease", "B")])
    documents = [*odd_documents(), *random_documents(4), whole]
    batch = batch_of(documents)
    words = torch.randn(sum(len(each.words) for each in documents), 4)
    found = contexts_of_mentions(words, batch)
    sentence = dict(batch["mention", "in", "sentence"].edge_index.t().tolist())
    spans, sentences = batch["mention"].span.tolist(), batch["sentence"].span.tolist()
    for number, (start, end) in enumerate(spans):
        others = [word for word in range(*sentences[sentence[number]]) if not start <= word < end]
        logits = words[others] @ words[start:end].mean(0)
        close(found[number], logits.softmax(0) @ words[others])
    assert not found[-1].any()  # the second mention of the last document is a sentence


def test_walks_against_loops():
    layer, size = Walks(4, iterations=3, beta=0.7), 6
    exists = (torch.rand(size, size) < 0.4).fill_diagonal_(False)
    edge = torch.randn(size, size, 4) * exists[..., None]
    expected, known = edge.clone(), exists.clone()
    for _ in range(3):
        new, reached = layer.beta * expected, known.clone()
        for i in range(size):
            for j in range(size):
                for k in range(size):
                    if i != j and known[i, k] and known[k, j]:
                        walk = torch.sigmoid(expected[i, k] * (layer.linear.weight @ expected[k, j]))
                        new[i, j] += (1 - layer.beta) * walk
                        reached[i, j] = True
        expected, known = new, reached
    everything = (~torch.eye(size, dtype=torch.bool)).nonzero().t()
    for wanted in (everything, torch.tensor([[0, 4, 4], [4, 0, 5]]), torch.empty(2, 0, dtype=torch.long)):
        close(layer(edge, exists, wanted), expected[wanted[0], wanted[1]])


def test_walks_in_blocks_are_the_walks(monkeypatch):
    layer, exists = Walks(4, iterations=3, beta=0.5), ~torch.eye(7, dtype=torch.bool)
    edge, wanted = torch.randn(7, 7, 4, requires_grad=True), torch.tensor([[0, 3], [6, 2]])
    found = layer(edge, exists, wanted)
    [gradient] = torch.autograd.grad(found.square().sum(), edge)
    monkeypatch.setattr("glre_pyg.nn.walks.MAX_NUMBERS", 2 * 7 * 7 * 4)
    in_blocks = layer(edge, exists, wanted)
    close(in_blocks, found)
    close(torch.autograd.grad(in_blocks.square().sum(), edge)[0], gradient)


def features(**sizes):
    return MentionFeatures(
        0, **{"type_channels": 2, "number_channels": 3, "max_types": 3, "max_entities": 9} | sizes
    )


def three_entities():
    """B is mentioned first, then A and C with the same word."""
    mentions = [(3, 5, "Gene", "A"), (0, 1, "Chemical", "B"), (3, 4, "Disease", "C"), (6, 7, "Gene", "A")]
    return document(["velorin caused severe receptor kinase rash A ."], mentions)


def test_entities_are_numbered_by_the_text():
    batch = batch_of([three_entities(), empty(), three_entities()])
    layer = features().eval()
    numbers = dict(
        zip(chain(*batch["entity"].id), entity_numbers(batch, permuted=False).tolist(), strict=True)
    )
    assert numbers == {"B": 0, "A": 1, "C": 1}
    rows = layer(torch.empty(16, 0), batch)
    types = {"Chemical": 0, "Disease": 1, "Gene": 2}

    def row(kind, number):
        return torch.cat([layer.types.weight[types[kind]], layer.entity_numbers.weight[number]])

    for start in (0, 8):
        close(rows[start], row("Chemical", 0))
        close(rows[start + 1], torch.zeros(5))
        close(rows[start + 3], row("Gene", 1) + row("Disease", 1))
        close(rows[start + 4], row("Gene", 1))
        close(rows[start + 6], row("Gene", 1))
    assert (
        len(features(max_entities=1).eval()(torch.empty(16, 0), batch)[:, 2:].unique(dim=0)) == 3
    )  # none, one, two mentions


def test_numbers_are_permuted_in_training():
    batch = batch_of([three_entities()])
    found = {tuple(entity_numbers(batch, permuted=True).tolist()) for _ in range(50)}
    ids = batch["entity"].id[0]
    expected = {"B": (0, 1), "A": (1, 0), "C": (1, 0)}
    assert found == {tuple(expected[name][order] for name in ids) for order in range(2)}


def test_means_of_mentions_against_loops():
    documents = random_documents(4)
    batch = batch_of(documents)
    words = torch.randn(sum(len(each.words) for each in documents), 4)
    mention, entity = mean_of_mentions(words, batch)
    refers_to = batch["mention", "refers_to", "entity"].edge_index
    for row, (start, end) in zip(mention, batch["mention"].span.tolist(), strict=True):
        close(row, words[start:end].mean(0))
    for number, row in enumerate(entity):
        close(row, mention[refers_to[0, refers_to[1] == number]].mean(0))


def test_two_step_loss_by_hand():
    loss = TwoStep(2)
    logits = torch.tensor([[0.5, -1.0, 2.0], [3.0, 1.0, -0.5]])
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    p = logits.sigmoid()
    first = -(p[0, 2].log() + p[0, 0].log() + (1 - p[0, 1]).log())
    close(loss.pair_losses(logits, labels), torch.stack([first, -(1 - p[1, 2]).log()]))
    close(loss.probabilities(logits), p[:, :2] * p[:, 2:])


def test_two_step_with_one_relation_has_one_step():
    loss = TwoStep(1)
    assert loss.num_logits == 1
    close(
        loss.pair_losses(torch.tensor([[0.3]]), torch.tensor([[1.0]])), -torch.tensor([0.3]).sigmoid().log()
    )
    close(loss.probabilities(torch.tensor([[0.3]])), torch.tensor([[0.3]]).sigmoid())


def test_convolution_over_ragged_sequences():
    torch.manual_seed(0)
    layer = RaggedConvolution(3, hidden_channels=5, kernel_size=3)
    conv = torch.nn.Conv1d(3, 5, 3, padding=1)
    with torch.no_grad():
        conv.weight.copy_(layer.linear.weight.view(5, 3, 3).transpose(1, 2))
        conv.bias.copy_(layer.linear.bias)
    x, sequence = torch.randn(7, 3), torch.tensor([0, 0, 0, 2, 3, 3, 3])
    found = layer(x, sequence, 5)
    for number in range(5):
        rows = x[sequence == number]
        expected = torch.relu(conv(rows.t()[None]))[0].amax(-1) if len(rows) else torch.zeros(5)
        torch.testing.assert_close(found[number], expected)
    assert layer(x[:0], sequence[:0], 0).shape == (0, 5)
