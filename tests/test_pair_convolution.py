"""Convolutions of pairs against the convolution of each pair's own input."""

import pytest
import torch
from hydra.utils import instantiate

from documents import LABELS, annotated, batch_of, bilstm, odd_documents, random_documents, vocabulary
from glre_pyg.data.graph import word_counts
from glre_pyg.models.nguyen_char import nearest_positions
from glre_pyg.nn import pair_convolution
from glre_pyg.nn.characters import CharacterConvolution
from glre_pyg.nn.pair_convolution import PairConvolution
from test_models import config_of

DOCUMENTS = [each for each in [*odd_documents(), *random_documents(4)] if each.words]


def close(one, other):
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("block", [2**24, 1])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_the_largest_of_each_pair(kernel_size, block, monkeypatch):
    monkeypatch.setattr(pair_convolution, "MAX_NUMBERS", block)
    layer, lengths = PairConvolution((3, 2), 4, kernel_size), [5, 2, 4]
    words = torch.zeros(3, 5, 3)
    others = torch.zeros(3, 5, 2)
    for row, length in enumerate(lengths):
        words[row, :length], others[row, :length] = torch.randn(length, 3), torch.randn(length, 2)
    words.requires_grad_()
    index = torch.tensor([0, 1, 2, 0])
    inside = torch.arange(5) < torch.tensor(lengths)[index][:, None]
    out = layer([(words, index), (others, index)], inside)
    whole = torch.nn.Conv1d(5, 4, kernel_size, padding="same")
    whole.weight.data = torch.cat([part.weight for part in layer.parts], dim=1)
    whole.bias.data = layer.parts[0].bias
    for row, number in zip(out, index.tolist(), strict=True):
        alone = torch.cat([words, others], dim=-1)[number, : lengths[number]]
        close(row, whole(alone.t()).relu().amax(1))
    out.sum().backward()
    assert words.grad.isfinite().all()


def test_positions_are_relative_to_the_nearest_mention():
    batch = batch_of(DOCUMENTS, lambda graph: graph)
    longest, limit, entity = max(word_counts(batch)), 4, 0
    found = nearest_positions(batch, longest, limit)
    for each in DOCUMENTS:
        for one in each.entities:
            spans = [each.word_span(mention) for mention in one.mentions]
            for word in range(len(each.words)):
                distances = [min(word - start, 0) + max(word - end + 1, 0) for start, end in spans]
                nearest = min(distances, key=lambda distance: (abs(distance), distance))
                assert found[entity, word] == max(-limit, min(limit, nearest)) + limit
            entity += 1


def test_characters_of_a_word_against_a_loop():
    layer = CharacterConvolution(in_channels=3, hidden_channels=2, kernel_size=3)
    graph = annotated(lambda graph: graph, characters=5)(LABELS.graph(DOCUMENTS[-1]))
    for row, word in zip(layer(graph.characters), graph.words, strict=True):
        letters = torch.tensor([ord(letter) for letter in word[:5]])
        close(row, layer.convolution(layer.embedding(letters).t()).relu().amax(1))


def test_sentences_of_a_pair_with_masked_entities_against_loops():
    tokenizer = vocabulary(DOCUMENTS)
    model = instantiate(config_of("zheng_hierarchical").model)(tokenizer, 2, encoder=bilstm()).eval()
    batch = batch_of(DOCUMENTS, tokenizer)
    words, logits = model.encoder(batch).split(word_counts(batch)), iter(model(batch))
    for each, rows in zip(DOCUMENTS, words, strict=True):
        graph = LABELS.graph(each)
        for pair in graph.pair_index.t().tolist():
            entities = [each.entities[number] for number in pair]
            listed = {each.sentence_of(mention) for entity in entities for mention in entity.mentions}
            vectors = []
            for number in sorted({0, *listed}):
                start, end = each.sentences[number].start, each.sentences[number].end
                x = rows[start:end].clone()
                for mask, entity in zip(model.masks, entities, strict=True):
                    spans = [each.word_span(mention) for mention in entity.mentions]
                    for word in range(start, end):
                        if any(first <= word < last for first, last in spans):
                            x[word - start] += mask - rows[word]
                vectors.append(model.convolution(x.t()).relu().amax(1))
            states = model.sequence(torch.stack(vectors), [len(vectors)])
            close(next(logits), model.classifier(torch.cat([states.amax(0), vectors[0]])))
