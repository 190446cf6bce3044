"""Linear classifiers that scikit-learn fits, and that predict without it."""

import sys

import numpy as np
import pytest
import torch

from documents import LABELS, batch_of, no_pair, random_documents
from glre_pyg.nn import linear_fitting
from glre_pyg.nn.hashed_features import Features, combined
from glre_pyg.nn.linear_fitting import LinearSVM
from glre_pyg.utils.exceptions import InputError

pytest.importorskip("sklearn")

SIZES = {"bits": 6, "cost": 1.0, "positive_weight": 2.0, "max_pairs": 1000}


def instances(batch):
    """Two instances of each pair, with features of types and distance."""
    pair = torch.arange(batch.pair_index.size(1)).repeat_interleave(2)
    row = torch.arange(len(pair))
    head, tail = batch["entity"].type[batch.pair_index][:, pair]
    parts = [combined(head, 1), combined(tail, 2), combined(batch.pair_distance[pair] + row % 2, 3)]
    for half in (row[: len(row) // 2], row[len(row) // 2 :]):
        if len(half):
            feature = torch.cat([part[half] for part in parts])
            yield Features(pair[half], torch.arange(len(half)).repeat(3), feature, torch.ones(len(feature)))


def graphs(count=9):
    return [LABELS.graph(each) for each in random_documents(count)]


def test_scores_are_those_of_scikit_learn():
    classifier, batch = LinearSVM(2, **SIZES), batch_of(random_documents(9))
    classifier.fit(graphs(), instances)
    expected, tables = np.full((batch.pair_index.size(1), 2), -np.inf), []
    for part in instances(batch):
        rows = part.rows(6)
        table = np.zeros((rows.num_rows, 64))
        table[rows.row, rows.column] = rows.value
        tables.append((part.pair.numpy(), table))
    pair, table = (np.concatenate(each) for each in zip(*tables, strict=True))
    for relation in range(2):
        label = batch.pair_label[:, relation].numpy()[pair].astype(int)
        estimator = classifier.estimator().fit(table, label)
        assert estimator.class_weight == {1: 2.0}
        np.maximum.at(expected[:, relation], pair, estimator.decision_function(table))
    np.testing.assert_allclose(classifier(batch, instances(batch)), expected, atol=1e-3)


def test_ignored_pairs_are_left_out_and_relations_without_pairs_are_unlikely():
    whole, part = graphs(), []
    for graph in whole:
        graph.pair_label[:, 1] = 0
        graph.pair_label[::3] = -1

    def without(batch):
        for features in instances(batch):
            kept = (batch.pair_label[features.pair] >= 0).all(1)
            if kept.any():
                part.append(int(kept.sum()))
            yield features

    classifier = LinearSVM(2, **SIZES)
    classifier.fit(whole, without)
    shown = []
    estimator = classifier.estimator()
    fit = estimator.fit
    estimator.fit = lambda features, target: (shown.append(features.shape[0]), fit(features, target))[1]
    classifier.estimator = lambda: estimator
    classifier.fit(whole, without)
    assert shown == [sum(part) // 2]
    assert classifier.weight[:, 0].any()
    assert not classifier.weight[:, 1].any()
    assert classifier.bias[1] < -10


def test_pairs_without_a_relation_are_drawn():
    whole = graphs(30)
    others = sum(int((graph.pair_label <= 0).all(1).sum()) for graph in whole)
    drawn = [*linear_fitting._drawn(whole, others // 4)]
    kept = sum(int((graph.pair_label <= 0).all(1).sum()) for graph in drawn)
    assert 0.15 < kept / others < 0.35
    for graph, before in zip(drawn, graphs(30), strict=True):
        rows = {
            tuple(pair): row
            for pair, row in zip(before.pair_index.t().tolist(), before.pair_label, strict=True)
        }
        found = {
            tuple(pair): row
            for pair, row in zip(graph.pair_index.t().tolist(), graph.pair_label, strict=True)
        }
        assert all(torch.equal(rows[pair], row) for pair, row in found.items())
        assert {pair for pair, row in rows.items() if row.any()} <= found.keys()
    assert [len(graph.pair_label) for graph in whole] == [len(graph.pair_label) for graph in graphs(30)]
    assert [*linear_fitting._drawn(whole, others)] == whole


def test_documents_without_pairs():
    classifier = LinearSVM(2, **SIZES)
    batch = batch_of([no_pair()])
    assert classifier(batch, instances(batch)).shape == (0, 2)


def test_documents_without_instances():
    classifier = LinearSVM(2, **SIZES)
    classifier.fit(graphs(), lambda batch: ())
    assert not classifier.weight.any()
    assert (classifier.bias < -10).all()


def test_a_long_computation_is_announced(monkeypatch, capsys):
    classifier = LinearSVM(2, **SIZES)
    classifier.fit(graphs(20), instances)
    assert capsys.readouterr().out == ""
    clock = iter([0.0, 9.0])
    monkeypatch.setattr(linear_fitting.time, "perf_counter", lambda: next(clock))
    classifier.fit(graphs(160), instances)
    assert (
        capsys.readouterr().out
        == "features of the training documents: about 90 s, and 0.0 GiB while fitted\n"
    )


def test_without_scikit_learn_fitting_is_an_error_in_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    classifier = LinearSVM(2, **SIZES)
    with pytest.raises(InputError, match=r"^model: scikit-learn.* pip install 'glre_pyg\[classical\]'$"):
        classifier.fit(graphs(), instances)
    batch = batch_of(random_documents(2))
    assert not classifier(batch, instances(batch)).any()
