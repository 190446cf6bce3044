"""Evidence in graphs, and the divergence of DREEAM's attention from it, against plain loops."""

from functools import partial

import pytest
import torch

from documents import LABELS, batch_of, document, empty, random_documents, subwords, transformer
from glre_pyg.data.graph import IGNORED, build_graph
from glre_pyg.models.atlop import ATLOP
from glre_pyg.models.dreeam import DREEAM
from glre_pyg.nn.loss import AdaptiveThreshold
from test_markers import by_hand

SIZES = {"channels": 8, "block_size": 4, "marker": "*"}


def with_evidence():
    """Four sentences; a pair with two facts, and one with no evidence."""
    mentions = [
        (0, 1, "Chemical", "V"),
        (2, 3, "Disease", "R"),
        (4, 5, "Chemical", "O"),
        (8, 9, "Disease", "R"),
        (12, 13, "Chemical", "V"),
    ]
    facts = [
        ("V", "causes", "R", (), (0, 2)),
        ("V", "treats", "R", (), (2,)),
        ("O", "treats", "R", (), (1,)),
        ("R", "causes", "O"),
    ]
    lines = ["velorin caused rash .", "ostamide eased it .", "rash followed .", "brastol and velorin eased ."]
    return document(lines, mentions, facts, name="evidence")


DOCUMENTS = [*random_documents(2), with_evidence(), empty(), with_evidence()]


def close(one, other):
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def dreeam(**sizes):
    tokenizer = subwords(DOCUMENTS, marker="*", **sizes)
    make = partial(DREEAM, **SIZES, evidence_weight=0.5, loss=AdaptiveThreshold)
    return make(tokenizer, len(LABELS.relations), encoder=transformer()).eval(), tokenizer


def names_of_evidence(graph):
    names = graph["entity"].id
    pairs = [(names[a], names[b]) for a, b in graph.pair_index.t().tolist()]
    return sorted((*pairs[pair], sentence) for pair, sentence in graph.pair_evidence.t().tolist())


def test_evidence_of_pairs_by_hand():
    graph = LABELS.graph(with_evidence())
    expected = [("O", "R", 1), ("V", "R", 0), ("V", "R", 2), ("V", "R", 2)]
    assert names_of_evidence(graph) == expected
    assert LABELS.blind_graph(with_evidence()).pair_evidence.shape == (2, 0)
    some = build_graph(with_evidence(), pair_types=[("Disease", "Chemical")], directed=False)
    assert names_of_evidence(some) == [("R", "O", 1), *expected[1:]]
    batch = batch_of([with_evidence(), empty(), with_evidence()])
    shift = torch.tensor([[graph.pair_index.size(1)], [graph["sentence"].num_nodes]])
    assert torch.equal(batch.pair_evidence, torch.cat([graph.pair_evidence, graph.pair_evidence + shift], 1))


@pytest.mark.parametrize("max_length", [24, 250])
def test_divergence_against_loops(max_length):
    model, tokenizer = dreeam(max_length=max_length, overlap=6)
    batch = batch_of(DOCUMENTS, tokenizer)
    found, first = model(batch)[:, -1], 0
    for each in DOCUMENTS:
        graph = tokenizer(LABELS.graph(each))
        ends, some = graph["sentence"].span[:, 1], {}
        for pair, sentence in graph.pair_evidence.t().tolist():
            some.setdefault(pair, []).append(sentence)
        windows = [*by_hand(model.encoder, tokenizer, graph)] if some else []
        entity_of = dict(graph["mention", "refers_to", "entity"].edge_index.t().tolist())
        for pair, (head, tail) in enumerate(graph.pair_index.t().tolist()):
            share, total = torch.zeros(len(ends)), 0.0
            for tokens, _, attention in windows if pair in some else []:
                rows = {head: 0.0, tail: 0.0}
                for token, mention in graph.marker_index.t().tolist():
                    if entity_of[mention] in rows and token in tokens.tolist():
                        place = len(model.encoder.prefix) + tokens.tolist().index(token)
                        rows[entity_of[mention]] = rows[entity_of[mention]] + attention[:, place]
                if all(isinstance(row, torch.Tensor) for row in rows.values()):
                    q = (rows[head] * rows[tail]).sum(0)
                    total = total + q.sum()
                    for place, token in enumerate(tokens.tolist(), len(model.encoder.prefix)):
                        sentence = torch.bucketize(graph.word_index[token], ends.contiguous(), right=True)
                        share[sentence] += q[place].detach()
            expected = torch.zeros(())
            for sentence in set(some.get(pair, [])):
                v = some[pair].count(sentence) / len(some[pair])
                p = share[sentence] / total if total > 0 else torch.zeros(())
                expected = expected + v * (torch.tensor(v + 1e-6).log() - (p + 1e-6).log())
            close(found[first + pair], expected.detach())
        first += graph.pair_index.size(1)
    assert (found > 0).sum() == 4


def test_the_loss_adds_the_divergence():
    model, tokenizer = dreeam()
    batch = batch_of(DOCUMENTS, tokenizer)
    batch.pair_label[0] = IGNORED
    logits = model(batch)
    counted = (batch.pair_label != IGNORED).all(-1)
    expected = AdaptiveThreshold(2)(logits[:, :-1], batch.pair_label) + 0.5 * logits[counted, -1].mean()
    close(model.loss(logits, batch.pair_label), expected)
    logits[:, -1].sum().backward()
    assert all(p.grad.abs().sum() > 0 for name, p in model.named_parameters() if "query.weight" in name)


def test_without_evidence_it_is_atlop():
    model, tokenizer = dreeam()
    other = ATLOP(
        tokenizer, len(LABELS.relations), encoder=transformer(), **SIZES, loss=AdaptiveThreshold
    ).eval()
    other.load_state_dict(model.state_dict())
    batch = batch_of(random_documents(4), tokenizer)
    logits = model(batch)
    close(logits[:, :-1], other(batch))
    assert not logits[:, -1].any()
    close(model.loss(logits, batch.pair_label), other.loss(other(batch), batch.pair_label))
    close(model.probabilities(logits), other.probabilities(other(batch)))
