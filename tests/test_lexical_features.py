"""Lexical features against plain loops."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from documents import batch_of
from glre_pyg.nn import instance_words
from glre_pyg.nn.lexical_features import LexicalFeatures
from instances import (
    DOCUMENTS,
    every_instance,
    found_features,
    gram,
    normalized,
    parsed,
    sentence_of,
    words_of,
)


def features_of(graph, pair, head, tail, window, max_words):
    spans, types = graph["mention"].span.tolist(), defaultdict(list)
    for mention, (start, end) in enumerate(spans):
        for word in range(start, end):
            types[word].append(int(graph["mention"].type[mention]))
    texts = [
        ("type", max(types[word])) if word in types else ("text", text.lower())
        for word, text in enumerate(graph.words)
    ]
    order, first, last = head < tail, min(head, tail), max(head, tail)
    near = [
        word for word in words_of(graph, first, last, max_words) if first - window <= word <= last + window
    ]
    side = {
        word: ("before" if word < first else "after" if word > last else "between", order) for word in near
    }
    weights = Counter((texts[word], side[word]) for word in near)
    weights.update((texts[word], texts[word + 1], side[word]) for word in near if word + 1 in side)
    entities, numbers = graph.pair_index[:, pair].tolist(), Counter()
    for mention, entity in graph["mention", "refers_to", "entity"].edge_index.t().tolist():
        numbers[entity] += 1
        for number in (0, 1):
            if entity == entities[number]:
                weights.update(("name", graph.words[word], number) for word in range(*spans[mention]))
    sentences = [sentence_of(graph, word) for word in (head, tail)]
    places = [
        graph["entity"].type[entities].tolist(),
        *(min(numbers[entity], 5) for entity in entities),
        min(abs(sentences[0] - sentences[1]), 5),
        next((power for power in range(16) if last - first <= 2**power), 16),
        *(sentence == 0 for sentence in sentences),
    ]
    weights.update(("place", number, str(place), order) for number, place in enumerate(places))
    return normalized(weights)


@pytest.mark.parametrize(("window", "max_words"), [(0, 200), (2, 200), (3, 8)])
def test_inner_products(window, max_words, monkeypatch):
    monkeypatch.setattr(instance_words, "WORDS", 100)
    features = LexicalFeatures(window=window, max_words=max_words)
    pairs, tables, parts = found_features(features, batch_of(DOCUMENTS, parsed))
    assert parts > 3
    every = [*every_instance()]
    assert pairs == [pair + before for _, pair, _, _, before, _ in every]
    expected = [features_of(*instance, window, max_words) for *instance, _, _ in every]
    np.testing.assert_allclose(gram(tables), gram(expected), atol=1e-4)
