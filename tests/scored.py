"""Scored pairs made by hand, or predicted for documents by a table of random numbers, for tests."""

import numpy as np

from documents import LABELS
from glre_pyg.evaluation.scores import ScoredPairs
from glre_pyg.runs.prediction import score_pairs


def scored_pairs(
    probability,
    is_fact,
    *,
    documents=None,
    other_facts=None,
    ignored=None,
    known=None,
    distance=None,
    mentions=None,
    dtype=np.float32,
):
    """Pairs from lists: [P, R], or [P] for one relation; what is not given is none, or 0, or one mention each."""
    probability, is_fact = np.asarray(probability, dtype=dtype), np.asarray(is_fact, dtype=bool)
    if probability.ndim == 1:
        probability, is_fact = probability[:, None], is_fact[:, None]
    count = len(probability)

    def column(values, kind, default=0):
        return np.full(count, default, dtype=kind) if values is None else np.asarray(values, dtype=kind)

    known = np.zeros_like(is_fact) if known is None else np.asarray(known, dtype=bool).reshape(is_fact.shape)
    return ScoredPairs(
        documents=["d"] * count if documents is None else documents,
        heads=["h"] * count,
        tails=[str(number) for number in range(count)],
        relations=tuple("rstuvw"[: probability.shape[1]]),
        probability=probability,
        is_fact=is_fact,
        other_facts=column(other_facts, int),
        ignored=column(ignored, bool),
        known=known,
        distance=column(distance, int),
        mentions=column(mentions, float, 1.0),
    )


def scored(documents, *, labels=LABELS, known=None, seed=None):
    """Pairs of documents; probabilities ascend by a thousandth, or are random with a seed."""
    graphs = [labels.blind_graph(each) for each in documents]
    sizes = [graph.pair_index.size(1) for graph in graphs]
    shape = sum(sizes), len(labels.relations)
    numbers = np.arange(shape[0] * shape[1]).reshape(shape) / 1000
    if seed is not None:
        numbers = np.random.default_rng(seed).random(shape)
    tables = np.split(numbers.astype(np.float32), np.cumsum(sizes)[:-1]) if sizes else []
    return score_pairs(documents, graphs, tables, labels, known)


def random_pairs(seed, pairs=60, relations=4, documents=7):
    """Pairs with a bit of everything."""
    random = np.random.default_rng(seed)
    shape = pairs, relations
    is_fact = random.random(shape) < 0.2
    ignored = ~is_fact.any(-1) & (random.random(pairs) < 0.1)
    return scored_pairs(
        np.clip(random.random(shape) * 0.7 + 0.3 * is_fact, 0, 1),
        is_fact,
        documents=[f"d{number}" for number in np.sort(random.integers(0, documents, pairs))],
        other_facts=random.random(pairs) < 0.1,
        ignored=ignored,
        known=is_fact & (random.random(shape) < 0.4),
        distance=random.integers(-1, 6, pairs),
        mentions=random.integers(2, 12, pairs) / 2,
    )
