"""Inference at the levels of HIN against plain loops."""

import pytest
import torch

from documents import LABELS, batch_of, odd_documents, random_documents
from glre_pyg.nn.hierarchical_inference import DocumentInference, EntityInference, SentenceInference

DOCUMENTS = [*odd_documents(), *random_documents(3)]


def close(one, other):
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_entity_level_against_loops():
    layer = EntityInference(6, 5, 8, num_subspaces=3, subspace_channels=4)
    entity, pair_index, pair = torch.randn(4, 6), torch.tensor([[0, 3, 2], [1, 0, 3]]), torch.randn(3, 5)
    found = layer(entity, pair_index, pair)
    for row, (a, b) in enumerate(pair_index.t().tolist()):
        translations, products = [], []
        for k in range(3):
            part = slice(4 * k, 4 * k + 4)
            first = torch.relu(layer.first.weight[part] @ entity.t() + layer.first.bias[part, None]).t()
            head, tail = first[a] @ layer.second[k], first[b] @ layer.second[k]
            translations.append(tail - head)
            products += [head @ layer.bilinear[k, :, :, out] @ tail for out in range(4)]
        features = torch.cat([*translations, torch.stack(products), pair[row]])
        close(found[row], torch.relu(layer.output(features)))


def test_sentence_and_document_level_against_loops():
    batch = batch_of(DOCUMENTS)
    inference = torch.randn(batch.pair_index.size(1), 8)
    words = torch.randn(sum(map(len, batch.words)), 8)
    sentence_level, document_level = SentenceInference(8), DocumentInference(8)
    sentences, counts = sentence_level(inference, words, batch)
    document = document_level(inference, sentences, counts)
    row = pair = first_word = 0
    for each in DOCUMENTS:
        graph = LABELS.graph(each)
        for _ in range(graph.pair_index.size(1)):
            query = inference[pair]
            expected = []
            for start, end in (graph["sentence"].span + first_word).tolist():
                inside = words[start:end]
                sentence = (inside @ sentence_level.query(query)).softmax(0) @ inside
                features = torch.cat([sentence, query, sentence - query, sentence * query])
                expected.append(torch.relu(sentence_level.compare(features)))
            count = counts[pair]
            assert count == len(expected)
            close(sentences[row : row + count], torch.stack(expected))
            read = torch.nn.LSTM.forward(document_level.lstm, torch.stack(expected)[None])[0][0]
            close(document[pair], (read @ document_level.query(query)).softmax(0) @ read)
            pair, row = pair + 1, row + count
        first_word += len(graph.words)
    assert (pair, row) == (len(inference), len(sentences))
