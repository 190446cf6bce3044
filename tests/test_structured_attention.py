"""Structures between tokens and the attention of SSAN against plain loops."""

from functools import partial

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from documents import (
    LABELS,
    batch_of,
    by_name,
    odd_documents,
    random_documents,
    relabelled,
    subwords,
    transformer,
)
from glre_pyg.data.graph import documents_of_pairs
from glre_pyg.models.ssan import SSAN
from glre_pyg.nn.distance import DistanceEmbedding
from glre_pyg.nn.loss import BinaryCrossEntropy
from glre_pyg.nn.structured_attention import BiasedAttention, StructureBias, token_structures
from glre_pyg.utils.exceptions import InputError

DOCUMENTS = [*odd_documents(), *random_documents(4)]


def close(one, other):
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def ssan(*, max_padding=None, **sizes):
    """An SSAN with random terms of attention, and its tokenizer."""
    tokenizer = subwords(DOCUMENTS, num_hidden_layers=2, initializer_range=0.3, **sizes)
    model = SSAN(
        tokenizer,
        len(LABELS.relations),
        encoder=transformer(max_padding=max_padding),
        channels=8,
        distance=partial(DistanceEmbedding, channels=4, num_bins=20, zero_is_fixed=False),
        loss=partial(BinaryCrossEntropy, reduction="mean", na_column=False, na_keep=1.0),
    )
    with torch.no_grad():
        for parameter in model.structure.parameters():
            parameter.normal_()
    return model.eval(), tokenizer


def structure_of_words(graph, one, other):
    """Number of the structure between two words of a graph."""
    mention_entity = dict(graph["mention", "refers_to", "entity"].edge_index.t().tolist())
    spans, sentences = graph["mention"].span.tolist(), graph["sentence"].span.tolist()
    names = [
        {mention_entity[m] for m, (start, end) in enumerate(spans) if start <= word < end}
        for word in (one, other)
    ]
    same = any(start <= one < end and start <= other < end for start, end in sentences)
    if all(names):
        return (1 if same else 2) if names[0] & names[1] else (3 if same else 4)
    return 5 if any(names) and same else 0


@pytest.mark.parametrize("max_padding", [None, 0.1])
def test_structures_between_tokens_against_loops(max_padding):
    model, tokenizer = ssan(max_length=24, overlap=6)
    batch = batch_of(DOCUMENTS, tokenizer)
    model.encoder.max_padding = max_padding
    padding, _, cell = model.encoder._layout(batch)
    found = {}  # by cell of one token and of the other
    start = 0
    for matrix, (rows, width) in zip(
        token_structures(batch, cell, padding.groups), padding.groups, strict=True
    ):
        for row in range(rows):
            for i, j in matrix[row].nonzero().tolist():
                found[start + row * width + i, start + row * width + j] = int(matrix[row, i, j])
        start += rows * width
    expected, first_token, seen = {}, 0, set()
    for each in DOCUMENTS:
        graph = tokenizer(LABELS.graph(each))
        place = dict(enumerate(graph.window_index.tolist()))
        words = graph.word_index.tolist()
        for i, one in enumerate(words):
            for j, other in enumerate(words):
                number = structure_of_words(graph, one, other) if place[i] == place[j] else 0
                if number:
                    expected[int(cell[first_token + i]), int(cell[first_token + j])] = number
                    seen.add(number)
        first_token += len(words)
    assert found == expected
    assert seen == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("mask", ["none", "boolean", "additive"])
def test_attention_against_loops(mask):
    bias = StructureBias(2, 3, 4)
    torch.nn.init.normal_(bias.weight)
    torch.nn.init.normal_(bias.bias)
    query, key, value = torch.randn(3, 2, 3, 5, 4)
    structure, keep = torch.randint(6, (2, 5, 5)), torch.rand(2, 1, 1, 5) < 0.7
    keep[..., 0] = True
    given = {"none": None, "boolean": keep, "additive": torch.zeros(2, 1, 1, 5).masked_fill(~keep, -1e9)}
    with BiasedAttention(bias, structure):
        outputs = [scaled_dot_product_attention(query, key, value, given[mask]) for _ in range(2)]
    for layer, output in enumerate(outputs):
        for n in range(2):
            for z in range(3):
                for i in range(5):
                    logits = []
                    for j in range(5):
                        logit = query[n, z, i] @ key[n, z, j]
                        if number := int(structure[n, i, j]):
                            matrix = bias.weight[layer, number - 1, z]
                            logit = logit + query[n, z, i] @ matrix @ key[n, z, j]
                            logit = logit + bias.bias[layer, number - 1, z]
                        is_hidden = mask != "none" and not keep[n, 0, 0, j]
                        logits.append(torch.tensor(-torch.inf) if is_hidden else logit / 2)
                    close(output[n, z, i], torch.stack(logits).softmax(0) @ value[n, z])


def test_logits_against_loops():
    model, tokenizer = ssan()
    batch = batch_of(DOCUMENTS, tokenizer)
    logits, words = model(batch), torch.relu(model.project(model.encoder(batch, model.structure)))
    entity_of = dict(batch["mention", "refers_to", "entity"].edge_index.t().tolist())
    spans = batch["mention"].span.tolist()

    def side(entity, distance):
        mentions = [
            words[start:end].mean(0) for m, (start, end) in enumerate(spans) if entity_of[m] == entity
        ]
        return torch.cat([torch.stack(mentions).mean(0), model.distance(distance)])

    for row, (head, tail), distance in zip(
        logits, batch.pair_index.t().tolist(), batch.pair_distance, strict=True
    ):
        one, other = side(head, distance), side(tail, -distance)
        close(
            row, torch.stack([one @ each @ other for each in model.classifier.weight]) + model.classifier.bias
        )


def test_terms_of_zero_change_nothing():
    model, tokenizer = ssan()
    batch = batch_of(DOCUMENTS, tokenizer)
    changed = model.encoder(batch, model.structure)
    for parameter in model.structure.parameters():
        torch.nn.init.zeros_(parameter)
    plain = model.encoder(batch)
    close(model.encoder(batch, model.structure), plain)
    assert (changed - plain).abs().max() > 0.1


def test_logits_in_batches_and_after_renumbering():
    model, tokenizer = ssan(max_length=24, overlap=6, max_padding=0.1)
    batch = batch_of(DOCUMENTS, tokenizer)
    logits, document = model(batch), documents_of_pairs(batch)
    for number, each in enumerate(DOCUMENTS):
        graph = tokenizer(LABELS.graph(each))
        alone = model(graph)
        close(alone, logits[document == number])
        entity, mention = (torch.randperm(graph[kind].num_nodes) for kind in ("entity", "mention"))
        other = relabelled(graph, entity, mention)
        expected, found = by_name(alone, graph), by_name(model(other), other)
        for pair, row in expected.items():
            close(found[pair], row)


def test_a_frozen_transformer_has_terms_with_gradients():
    model, tokenizer = ssan()
    model.encoder.transformer.requires_grad_(False)
    model.encoder.trainable = False
    model(batch_of(DOCUMENTS, tokenizer)).sum().backward()
    assert model.structure.weight.grad.abs().sum() > 0


def test_transformers_without_such_attention_are_an_error_in_a_line():
    model, tokenizer = ssan()
    batch = batch_of(DOCUMENTS, tokenizer)
    model.encoder.transformer.set_attn_implementation("eager")
    with pytest.raises(InputError, match=r"^encoder: a model of this type does not offer its attention"):
        model(batch)
    model.encoder.transformer.set_attn_implementation("sdpa")
    model.structure = StructureBias(1, 2, 8)
    with pytest.raises(
        InputError, match=r"^encoder: in a model of this type, a layer does not have a single attention"
    ):
        model(batch)
    for setting, value in (("backend", "inductor"), ("gradient_checkpointing", True)):
        model, _ = ssan()
        setattr(model.encoder, setting, value)
        with pytest.raises(InputError, match=r"^encoder: compile and gradient_checkpointing"):
            model(batch)
