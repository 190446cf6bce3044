"""Instances of invented documents in plain loops, for tests."""

from collections import Counter, defaultdict
from itertools import product

import numpy as np

from documents import LABELS, annotated, odd_documents, random_documents
from glre_pyg.data.parser import UPOS
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.mention_pairs import mention_pairs

BITS = 50  # no two features share a column
DOCUMENTS = [*odd_documents(), *random_documents(3)]
parsed = annotated(lambda graph: graph, parse="invented")


def parents_of(graph):
    """Word that each word depends on; a root depends on the previous root, the first on None."""
    heads = dict(graph.depends.t().tolist())
    roots = [word for word in range(len(graph.words)) if word not in heads]
    previous = dict(zip(roots, [None, *roots], strict=False))
    return [heads.get(word, previous.get(word)) for word in range(len(graph.words))]


def depth(parents, word):
    return 0 if parents[word] is None else 1 + depth(parents, parents[word])


def sentence_of(graph, word):
    return next(n for n, (start, end) in enumerate(graph["sentence"].span.tolist()) if start <= word < end)


def instances(graph):
    """(pair, head, tail): mentions in a sentence, else the closest ones; words stand for mentions."""
    parents, tops = parents_of(graph), defaultdict(list)
    for mention, entity in graph["mention", "refers_to", "entity"].edge_index.t().tolist():
        words = range(*graph["mention"].span[mention].tolist())
        tops[entity].append(min(words, key=lambda word: (depth(parents, word), word)))
    found = []
    for number, (head, tail) in enumerate(graph.pair_index.t().tolist()):
        every = [*product(tops[head], tops[tail])]
        kept = [(a, b) for a, b in every if a != b and sentence_of(graph, a) == sentence_of(graph, b)]
        far = [abs(a - b) or len(graph.words) for a, b in every]
        kept = kept or [each for each, distance in zip(every, far, strict=True) if distance == min(far)]
        found += [(number, *each) for each in kept]
    return found


def words_of(graph, first, last, max_words):
    """Words of an instance."""
    spans = graph["sentence"].span.tolist()
    (start, middle), (resume, end) = (spans[sentence_of(graph, word)] for word in (first, last))
    if end - start <= max_words:
        return [*range(start, end)]
    near = max_words // 2
    return [
        word
        for word in range(start, end)
        if (start <= word < middle and first - near <= word < first + near)
        or (resume <= word < end and last - near <= word < last + near)
    ]


def labels_of(graph, pair):
    """Text and part of speech of each word."""
    head, tail = graph.pair_index[:, pair].tolist()
    texts, whose = [("text", word) for word in graph.words], Counter()
    for mention, (start, end) in enumerate(graph["mention"].span.tolist()):
        for word in range(start, end):
            kind = int(graph["mention"].type[mention])
            before = texts[word][1] if texts[word][0] == "type" else -1
            texts[word] = ("type", max(kind, before))
    for mention, entity in graph["mention", "refers_to", "entity"].edge_index.t().tolist():
        for word in range(*graph["mention"].span[mention].tolist()):
            whose[word] |= (entity == head) + 2 * (entity == tail)
    types = graph["entity"].type[[head, tail]].tolist()
    return [
        (("entity", whose[word], *types) if whose[word] else text, ("pos", UPOS[graph.pos[word]]))
        for word, text in enumerate(texts)
    ]


def every_instance(documents=DOCUMENTS):
    """(graph, pair, head, tail), and how many pairs and words come before those of the graph."""
    pairs = words = 0
    for each in documents:
        graph = parsed(LABELS.graph(each))
        for instance in instances(graph):
            yield graph, *instance, pairs, words
        pairs, words = pairs + graph.pair_index.size(1), words + len(graph.words)


def found_features(extract, batch):
    """Pairs and features of the instances of a batch, each of the latter by column, and the number of parts."""
    tree = DocumentTree(batch)
    pairs, tables, parts = [], [], 0
    for part in extract(batch, tree, mention_pairs(batch, tree)):
        rows, parts = part.rows(BITS), parts + 1
        table = [{} for _ in range(rows.num_rows)]
        for row, column, value in zip(
            rows.row.tolist(), rows.column.tolist(), rows.value.tolist(), strict=True
        ):
            table[row][column] = value
        pairs, tables = pairs + part.pair.tolist(), tables + table
    return pairs, tables, parts


def normalized(weights):
    length = sum(weight**2 for weight in weights.values()) ** 0.5
    return {key: weight / max(length, 1e-6) for key, weight in weights.items()}


def gram(tables):
    return np.array(
        [[sum(value * other.get(key, 0) for key, value in one.items()) for other in tables] for one in tables]
    )
