"""Reasons: the weights are those that the model used."""

from dataclasses import replace
from random import Random

import pytest
import torch
from torch import nn

from documents import (
    LABELS,
    ONE_WAY,
    glre,
    random_documents,
    subwords,
    two_sentences,
)
from glre_pyg.data.labels import Labels
from glre_pyg.extraction.explainer import MentionWeight, PairWeight, reasons
from glre_pyg.runs.prediction import predict
from glre_pyg.utils.exceptions import InputError
from test_model import relabelled

DOCUMENTS = [two_sentences(), *random_documents(5)]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def tokenizer():
    return subwords(DOCUMENTS)


def pairs_of(each, labels=LABELS):
    return labels.candidates(each)


def of_model(model, tokenizer, each, labels=LABELS, **options):
    graph = tokenizer(labels.blind_graph(each))
    return reasons(model, graph, each, pairs_of(each, labels), directed=labels.directed, **options)


# The layers' weights


# Reasons


def test_weights_of_an_entity_and_of_all_pairs_sum_to_one(tokenizer):
    model = glre(tokenizer)
    for each in DOCUMENTS:
        found = of_model(model, tokenizer, each)
        assert [(reason.head, reason.tail) for reason in found] == pairs_of(each)
        for reason in found:
            entities = {entity.id: entity for entity in each.entities}
            for name, side in ((reason.head, reason.head_mentions), (reason.tail, reason.tail_mentions)):
                assert tuple(of.mention for of in side) == entities[name].mentions
                assert [of.sentence for of in side] == [
                    each.sentence_of(mention) for mention in entities[name].mentions
                ]
                assert sum(of.weight for of in side) == pytest.approx(1)
            assert reason.context_itself + sum(of.weight for of in reason.context) == pytest.approx(1)
            assert len(reason.context) == len(found) - 1
            assert (reason.head, reason.tail) not in {(of.head, of.tail) for of in reason.context}
            weights = [of.weight for of in reason.context]
            assert weights == sorted(weights, reverse=True)


def test_reasons_are_what_the_layers_were_given(tokenizer):
    """The model's own layers, replaced by ones that write down their inputs, lead to the same weights."""

    class Written(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.out_channels, self.inner, self.given = layer.out_channels, [layer], None

        def forward(self, *inputs):
            self.given = inputs
            return self.inner[0](*inputs)

    model, each = glre(tokenizer).eval(), DOCUMENTS[2]
    found = of_model(model, tokenizer, each)
    local, context = model.local_layer, model.context_layer
    model.local_layer, model.context_layer = Written(local), Written(context)
    with torch.inference_mode():
        model(tokenizer(LABELS.blind_graph(each)))
        query, _, sentence, *edges, _ = model.local_layer.given
        heads, tails = local.weights(query, sentence, *edges)
        table = context.weights(*model.context_layer.given[:2])
    candidates = pairs_of(each)
    for row, reason in enumerate(found):
        for side, (pair, _, weights) in (("head_mentions", heads), ("tail_mentions", tails)):
            expected = weights[pair == row].mean(-1).tolist()
            assert [of.weight for of in getattr(reason, side)] == pytest.approx(expected, abs=1e-5)
        for of in reason.context:
            column = candidates.index((of.head, of.tail))
            assert of.weight == pytest.approx(table[row, column].item(), abs=1e-5)


def test_reasons_do_not_depend_on_how_weights_are_computed(tokenizer, monkeypatch):
    model, each = glre(tokenizer), DOCUMENTS[3]
    whole = of_model(model, tokenizer, each)
    monkeypatch.setattr("glre_pyg.nn.context.MAX_DENSE_PAIRS", 1)
    monkeypatch.setattr("glre_pyg.extraction.explainer._ROWS", 2)
    for one, other in zip(whole, of_model(model, tokenizer, each), strict=True):
        assert weights_of(one) == pytest.approx(weights_of(other), abs=1e-5)


def weights_of(reason):
    """All weights of a reason, those of the context by pair."""
    context = {(of.head, of.tail): of.weight for of in reason.context}
    mentions = [of.weight for of in (*reason.head_mentions, *reason.tail_mentions)]
    return {**context, **dict(enumerate(mentions))}


def test_asking_leaves_the_model_as_it_was(tokenizer):
    model, graph = glre(tokenizer, dropout=0.3).train(), tokenizer(LABELS.blind_graph(DOCUMENTS[1]))
    [before] = predict(model, [graph], batch_size=1)
    reasons(model, graph, DOCUMENTS[1], pairs_of(DOCUMENTS[1]))
    assert model.training
    assert not any(layer._forward_pre_hooks for layer in model.modules())
    assert (predict(model, [graph], batch_size=1)[0] == before).all()


@pytest.mark.parametrize(
    ("local", "context"), [("none", "attention"), ("attention", "none"), ("none", "none")]
)
def test_a_layer_that_is_not_there_gives_no_reasons(tokenizer, local, context):
    model = glre(tokenizer, local_layer=local, context_layer=context)
    for reason in of_model(model, tokenizer, DOCUMENTS[0]):
        assert (reason.head_mentions is None) == (reason.tail_mentions is None) == (local == "none")
        assert (reason.context is None) == (reason.context_itself is None) == (context == "none")
        assert reason.path[0].kind == reason.path[-1].kind == "entity"


def test_the_strongest_pairs_come_first(tokenizer):
    model, each = glre(tokenizer), DOCUMENTS[3]
    for few, every in zip(
        of_model(model, tokenizer, each, top_k=2), of_model(model, tokenizer, each), strict=True
    ):
        assert few.context == every.context[:2]


@pytest.mark.parametrize("number", range(1, 6))
def test_renumbering_entities_permutes_the_reasons(tokenizer, number):
    model, each = glre(tokenizer), DOCUMENTS[number]
    graph = tokenizer(LABELS.blind_graph(each))
    other = relabelled(graph, *(torch.randperm(graph[name].num_nodes) for name in ("entity", "mention")))
    for one, two in zip(
        reasons(model, graph, each, pairs_of(each)), reasons(model, other, each, pairs_of(each)), strict=True
    ):
        assert one.path == two.path
        for mine, theirs in ((one.head_mentions, two.head_mentions), (one.tail_mentions, two.tail_mentions)):
            assert [replace(of, weight=0) for of in mine] == [replace(of, weight=0) for of in theirs]
            assert [of.weight for of in mine] == pytest.approx([of.weight for of in theirs], abs=1e-5)
        weights = {(of.head, of.tail): of.weight for of in two.context}
        assert {(of.head, of.tail): of.weight for of in one.context} == pytest.approx(weights, abs=1e-5)


@pytest.mark.parametrize("number", range(1, 6))
def test_other_identifiers_and_mentions_in_another_order_make_no_difference(tokenizer, number):
    each, random = DOCUMENTS[number], Random(number)
    new = {entity.id: f"N{random.random()}" for entity in each.entities}
    mentions = [
        replace(mention, ids=tuple(new[identifier] for identifier in mention.ids))
        for mention in each.mentions
    ]
    random.shuffle(mentions)
    model, other = glre(tokenizer), replace(each, mentions=tuple(mentions), facts=())
    pairs = pairs_of(each)
    found = reasons(model, tokenizer(LABELS.blind_graph(each)), each, pairs)
    graph = tokenizer(LABELS.blind_graph(other))
    again = reasons(model, graph, other, [(new[head], new[tail]) for head, tail in pairs])
    for one, two in zip(found, again, strict=True):
        assert (new[one.head], new[one.tail]) == (two.head, two.tail)
        for mine, theirs in ((one.head_mentions, two.head_mentions), (one.tail_mentions, two.tail_mentions)):
            assert [of.mention.span for of in mine] == [of.mention.span for of in theirs]
            assert [of.weight for of in mine] == pytest.approx([of.weight for of in theirs], abs=1e-5)
        weights = {(of.head, of.tail): of.weight for of in two.context}
        for of in one.context:
            assert of.weight == pytest.approx(weights[new[of.head], new[of.tail]], abs=1e-5)


def test_a_pair_without_direction_may_be_asked_either_way(tokenizer):
    labels = Labels(LABELS.relations, LABELS.types, None, directed=False)
    model, each = glre(tokenizer), DOCUMENTS[1]
    graph, pair = tokenizer(labels.blind_graph(each)), labels.candidates(each)[0]
    [one] = reasons(model, graph, each, [pair], directed=False)
    [other] = reasons(model, graph, each, [pair[::-1]], directed=False)
    assert (one.head_mentions, one.tail_mentions) == (other.tail_mentions, other.head_mentions)
    assert one.context == other.context
    assert (other.head, other.path[0].name) == (one.tail, one.path[-1].name)


def test_a_pair_that_is_no_candidate_has_a_path_only(tokenizer):
    graph = tokenizer(ONE_WAY.blind_graph(DOCUMENTS[0]))
    [candidate, reverse] = reasons(glre(tokenizer), graph, DOCUMENTS[0], [("V", "R"), ("R", "V")])
    assert candidate.head_mentions == (MentionWeight(DOCUMENTS[0].mentions[0], "velorin", 0, 1.0),)
    assert candidate.context == (PairWeight("O", "R", pytest.approx(1 - candidate.context_itself)),)
    assert (reverse.head_mentions, reverse.tail_mentions, reverse.context) == (None, None, None)
    assert reverse.path == candidate.path[::-1]


def test_an_entity_that_is_not_there_is_named(tokenizer):
    graph = tokenizer(LABELS.blind_graph(DOCUMENTS[0]))
    with pytest.raises(InputError, match="two: there is no entity 'X'"):
        reasons(glre(tokenizer), graph, DOCUMENTS[0], [("V", "X")])
