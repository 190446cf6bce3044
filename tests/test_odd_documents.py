"""Odd documents, all in one batch with ordinary ones: through training, evaluation and prediction."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, pairwise, product
from math import isfinite
from operator import itemgetter
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import psutil
import pytest
import torch
from hydra import compose, initialize_config_dir
from torch_geometric.data import Batch

from checkpoints import checkpoint
from documents import batch_of, by_name, glre, relabelled, subwords, vocabulary
from glre_pyg.data.document import Document
from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.evaluate import evaluate
from glre_pyg.extraction.extractor import RelationExtractor
from glre_pyg.extraction.outputs import EXTENSIONS, Output
from glre_pyg.extraction.pipeline import extract
from glre_pyg.formats.detection import read_documents, write_documents
from glre_pyg.mentions.spacy_documents import read_spacy
from glre_pyg.nn.loss import BinaryCrossEntropy
from glre_pyg.predict import Settings
from glre_pyg.runs.run import Run
from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.settings import check_settings
from odd import ODD_LABELS, few, held_out, left_out, many_entities, odd_corpus, ordinary, write_lines

WINDOW = ["encoder.tokenizer.max_length=48", "encoder.tokenizer.overlap=8"]
FAMILIES = ("roberta", "albert")
ENCODERS = {
    "tiny": ["encoder=tiny", "encoder.tokenizer.config.hidden_size=16", *WINDOW],
    "bilstm_small": ["encoder=bilstm_small", "encoder.module.hidden_channels=8"],
    **{family: ["encoder=hf", "encoder.lr=1e-3", *WINDOW] for family in FAMILIES},
}
SMALL = ["training.epochs=1", "model.nodes.hidden_channels=16", "model.classifier.hidden_channels=16"]
LAYERS = list(product(["rgcn", "none"], ["attention", "none"], ["attention", "none"]))


@dataclass(frozen=True)
class Trained:
    """A run that has learnt from odd documents, and where it and they are."""

    run: Run
    folder: Path
    documents: list[Document]

    @property
    def graphs(self) -> list[DocumentGraph]:
        return self.run.graphs(self.documents)


def config(command: str, *overrides: str):
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose(command, overrides=["cache=false", "memory=16", *overrides])


def trained(encoder: str, folder: Path, *overrides: str, ending: str = "jsonl") -> Run:
    """Train on the files in a folder, all of their documents in one batch."""
    files = [f"dataset.{split}={folder}/{split}.{ending}" for split in ("train", "dev", "test")]
    own = [f"encoder.tokenizer.name={checkpoint(encoder, folder / encoder)}"] if encoder in FAMILIES else []
    size = len(held_out())
    batch = [f"training.batch_size={size}", f"eval_batch_size={size}"]
    pairs = "dataset.pair_types=[[Chemical,Disease]]"
    settings = ["dataset=jsonl", *files, pairs, *ENCODERS[encoder], *SMALL, *batch, *own, *overrides]
    return train(config("train", *settings), folder / "run")


def learnt(encoder: str, folder: Path) -> Trained:
    for split, documents in (("train", odd_corpus()), ("dev", [*few(), *ordinary()]), ("test", held_out())):
        write_lines(documents, folder / f"{split}.jsonl")
    return Trained(trained(encoder, folder), folder, held_out())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return learnt("tiny", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", params=ENCODERS)
def odd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    if request.param == "tiny":
        return request.getfixturevalue("tiny")
    return learnt(request.param, tmp_path_factory.mktemp(request.param))


def test_what_is_written_by_hand_is_read(tmp_path):
    write_lines(held_out(), tmp_path / "odd.jsonl")
    assert list(read_documents(tmp_path / "odd.jsonl")) == held_out()


# Training


def test_training_ends_with_finite_weights(odd):
    assert all(parameter.isfinite().all() for parameter in odd.run.model.parameters())
    log = [json.loads(line) for line in (odd.folder / "run/log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [1]  # all were one batch
    assert all(isfinite(entry["loss"]) for entry in log)


def test_every_parameter_gets_a_gradient(odd):
    model = odd.run.model.train()
    batch = batch_of(odd_corpus(), odd.run.tokenizer, ODD_LABELS)
    model.loss(model(batch), batch.pair_label).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.eval().zero_grad()
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    nothing = {name for name, gradient in gradients.items() if gradient.abs().max() == 0}
    assert all(name.endswith("key.bias") for name in nothing)  # the softmax cancels it


def test_every_word_has_a_finite_vector(odd):
    graphs = odd.graphs
    assert sum(not graph.words for graph in graphs) == 2
    for graph in graphs:
        assert sorted(set(graph.word_index.tolist())) == list(range(len(graph.words)))
    batch = Batch.from_data_list(graphs)
    with torch.inference_mode():
        words = odd.run.model.encoder(batch)
    assert len(words) == sum(word_counts(batch))
    assert words.isfinite().all()


def test_words_that_the_tokenizer_drops_become_its_unknown_token(tiny):
    tokenizer, graph = tiny.run.tokenizer, {graph.id: graph for graph in tiny.graphs}["zero width"]
    dropped = [number for number, word in enumerate(graph.words) if not tokenizer.tokenizer.tokenize(word)]
    assert len(dropped) == 4
    for number in dropped:
        assert graph.input_ids[graph.word_index == number].tolist() == [tokenizer.unknown_id]


def test_a_mention_is_longer_than_the_window(odd):
    graph = {graph.id: graph for graph in odd.graphs}["long mention"]
    start, end = max(graph["mention"].span.tolist(), key=lambda span: span[1] - span[0])
    inside = (graph.word_index >= start) & (graph.word_index < end)
    windows = len(set(graph.window_index[inside].tolist()))
    assert (windows > 1) == hasattr(odd.run.tokenizer, "capacity")


# Probabilities


def test_a_document_is_judged_the_same_alone(odd):
    graphs = odd.graphs
    together = odd.run.predict(graphs)
    assert sum(len(table) for table in together) > 5600
    for graph, table in zip(graphs, together, strict=True):
        assert np.isfinite(table).all(), graph.id
        [alone] = odd.run.predict([graph])
        np.testing.assert_allclose(alone, table, atol=1e-5, rtol=0, err_msg=graph.id)


def test_names_and_order_of_entities_do_not_matter(odd):
    torch.manual_seed(0)
    model = odd.run.model.eval()
    for graph in odd.graphs:
        entity, mention = (torch.randperm(graph[name].num_nodes) for name in ("entity", "mention"))
        other = relabelled(graph, entity, mention)
        with torch.inference_mode():
            expected, found = by_name(model(graph), graph), by_name(model(other), other)
        assert found.keys() == expected.keys()
        for pair, row in expected.items():
            assert (found[pair] - row).abs().max() < 1e-5, (graph.id, pair)


def test_entities_with_the_same_mentions_are_judged_the_same(odd):
    graph = {graph.id: graph for graph in odd.graphs}["twins"]
    with torch.inference_mode():
        logits = by_name(odd.run.model.eval()(graph), graph)
    assert len(logits) == 4
    for one, other in pairwise(logits.values()):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


# Evaluation


def test_evaluation_counts_every_fact(odd):
    facts = {(each.id, fact.head, fact.relation, fact.tail) for each in odd.documents for fact in each.facts}
    assert len({fact for *_, fact, _ in facts}) == 3
    scores = evaluate(config("evaluate", f"run={odd.folder}/run", "device=cpu"))
    assert scores["filtered"]["gold"] == scores["unfiltered"]["gold"] == len(facts)


# Prediction


@pytest.fixture(scope="module")
def threshold(tiny: Trained) -> float:
    """One of twenty relations is above it."""
    tables = tiny.run.predict(tiny.graphs)
    return float(np.quantile(np.concatenate([table.ravel() for table in tables]), 0.95))


@pytest.fixture(scope="module")
def predicted(tiny: Trained, threshold: float) -> list[Document]:
    return RelationExtractor(tiny.run)(tiny.documents, threshold=threshold, reasons=False)


@pytest.mark.parametrize("ending", EXTENSIONS)
def test_every_document_is_predicted_once_in_order(tiny, threshold, predicted, ending, tmp_path, capsys):
    """What a format cannot hold is said in one line, and the others are written."""
    target = tmp_path / f"out{ending}"
    settings = config(
        "predict",
        "run=run",
        f"input={tiny.folder}/test.jsonl",
        f"output={target}",
        f"threshold={threshold}",
        "reasons=false",
    )
    check_settings(settings, Settings)
    errors = extract(tiny.run, settings, Output(target)).num_errors
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == errors
    on_error = {each.id for each in tiny.documents for line in said if f"error: {each.id}: " in line}
    assert len(on_error) == errors

    expected = [
        (each.id, facts_of(each, places=ending == ".json")) for each in predicted if each.id not in on_error
    ]
    assert any(facts for _, facts in expected)
    if ending in (".csv", ".nt"):  # have facts alone
        expected = [(name, facts) for name, facts in expected if facts]
    if ending == ".brat":  # files in the order of their names
        expected.sort(key=lambda document: f"{document[0]}.txt")
    assert list(READ.get(ending, documents_in)(target)) == expected


Facts = set[tuple[str, str, str]]


def facts_of(document: Document, *, places: bool = False) -> Facts:
    """Facts by identifiers or, as DocRED's format has them, by the places of entities."""
    name = {entity.id: str(place) if places else entity.id for place, entity in enumerate(document.entities)}
    return {(name[fact.head], fact.relation, name[fact.tail]) for fact in document.facts}


def documents_in(path: Path) -> Iterator[tuple[str, Facts]]:
    for document in read_spacy(path) if path.suffix == ".spacy" else read_documents(path):
        yield document.id, facts_of(document)


def rows_in(path: Path) -> Iterator[tuple[str, Facts]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, of in groupby(rows, key=lambda row: row["document"]):
        yield name, {tuple(row[key].removeprefix("'") for key in ("head", "relation", "tail")) for row in of}


def statements_in(path: Path) -> Iterator[tuple[str, Facts]]:
    found = re.findall(r"/statement/([^>]*)> <[^>]*#type>", path.read_text(encoding="utf-8"))
    for name, of in groupby([[*map(unquote, each.split("/"))] for each in found], key=itemgetter(0)):
        yield name, {(head, relation, tail) for _, head, relation, tail in of}


def page_data_in(path: Path) -> Iterator[tuple[str, Facts]]:
    page = path.read_text(encoding="utf-8")
    [head] = re.findall(r'class="page-data">(.*)</script>', page)
    limits = dict(json.loads(head)["relations"])
    for data in re.findall(r'class="document-data">(.*)</script>', page):
        document = json.loads(data)
        names = [identifier for identifier, *_ in document["entities"]]
        facts = [(names[a], name, names[b]) for a, name, b, p, *_ in document["facts"] if p > limits[name]]
        yield document["id"], set(facts)


READ = {".csv": rows_in, ".nt": statements_in, ".html": page_data_in}


def test_reasons_of_odd_documents_are_whole(odd):
    """Weights sum to one, and what is measured is measured for every sentence."""
    chosen = [each for each in odd.documents if len(each.sentences) <= 20 and each.id != "many entities"]
    documents = RelationExtractor(odd.run)(chosen, threshold=0, reasons=True)
    assert [each.id for each in documents] == [each.id for each in chosen]
    for document in documents:
        assert len(document.facts) == 2 * len(document.pairs(ODD_LABELS.pair_types))
        for fact in document.facts:
            for weights in (fact.reasons.head_mentions, fact.reasons.tail_mentions):
                assert sum(each.weight for each in weights) == pytest.approx(1, abs=1e-4)
            others = sum(each.weight for each in fact.reasons.context)
            assert fact.reasons.context_itself + others == pytest.approx(1, abs=1e-4)
            assert sorted(each.sentence for each in fact.sentence_ablation) == list(
                range(len(document.sentences))
            )
            assert all(each.change is None or isfinite(each.change) for each in fact.sentence_ablation)


def test_reasons_of_large_documents_are_whole(tiny, threshold):
    """Documents with too many sentences have no sentence ablation."""
    chosen = [each for each in tiny.documents if each.id in ("many sentences", "many entities")]
    predictions = list(
        RelationExtractor(tiny.run).predict(
            chosen, threshold=threshold, reasons=True, top_k=5, max_sentences=19
        )
    )
    assert len(predictions) == len(chosen)
    assert sum(map(len, predictions)) > 100
    for facts in predictions:
        for fact in facts:
            assert fact.sentence_ablation is None
            assert len(fact.reasons.context) <= 5
            for weights in (fact.reasons.head_mentions, fact.reasons.tail_mentions):
                assert sum(each.weight for each in weights) == pytest.approx(1, abs=1e-4)


# PubTator


def test_pubtator(tmp_path):
    """The same from files that have no place for some of the documents."""
    for split, documents in (("train", odd_corpus()), ("dev", ordinary()), ("test", held_out())):
        path, on_error = tmp_path / f"{split}.pubtator", []
        write_documents(documents, path, lossy=True, on_error=on_error.append)
        assert len(list(read_documents(path))) == len(documents) - len(on_error)
        assert len(on_error) == (split != "dev")
    run = trained("tiny", tmp_path, ending="pubtator")
    assert all(parameter.isfinite().all() for parameter in run.model.parameters())
    documents = list(read_documents(tmp_path / "test.pubtator"))
    facts = {(each.id, *fact) for each in documents for fact in facts_of(each)}
    assert evaluate(config("evaluate", f"run={tmp_path}/run", "device=cpu"))["filtered"]["gold"] == len(facts)


# Models


@pytest.mark.parametrize(
    ("learn", "layers"),
    [(partial(subwords, max_length=48), layers) for layers in LAYERS] + [(vocabulary, LAYERS[0])],
)
def test_every_model_learns_from_odd_documents(learn, layers):
    torch.manual_seed(0)
    documents = [each for each in odd_corpus() if len(each.words) < 1000]
    tokenizer = learn(documents)
    model = glre(tokenizer, global_layer=layers[0], local_layer=layers[1], context_layer=layers[2])
    batch = batch_of(documents, tokenizer, ODD_LABELS)
    logits = model(batch)
    assert logits.isfinite().all()
    model.loss(logits, batch.pair_label).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.parametrize("relations", [("causes",), ("causes", "treats")])
def test_pairs_that_are_left_out_teach_nothing(relations):
    """Not even those that have a fact, whatever the number of relations."""
    graph = replace(ODD_LABELS, relations=relations).graph(left_out())
    assert graph.pair_label.tolist() == [[-1.0] * len(relations)] * 2
    loss = BinaryCrossEntropy(len(relations), reduction="sum", na_column=False, na_keep=1.0)
    assert loss(torch.randn(2, len(relations)), graph.pair_label) == 0


# Trials


@pytest.mark.trial
def test_all_pairs_of_300_entities(tmp_path):
    """89,700 pairs of one document, each looking at every other, in training and prediction.

    The hundreds of blocks that this takes leave nothing behind in memory.
    """
    before = psutil.Process().memory_info().rss
    large, others = many_entities(), odd_corpus()[:20]
    for name, documents in (("train", [large, *others]), ("dev", others), ("test", [large])):
        write_lines(documents, tmp_path / f"{name}.jsonl")
    run = trained("tiny", tmp_path, "dataset.pair_types=null", "training.epochs=1")
    assert psutil.Process().memory_info().rss - before < 2**30
    assert all(parameter.isfinite().all() for parameter in run.model.parameters())
    rows = [json.loads(line) for line in (tmp_path / "run/predictions_test.jsonl").read_text().splitlines()]
    assert len({(row["head"], row["tail"]) for row in rows}) == len(rows) == 300 * 299
    assert sum(len(row.get("facts", ())) for row in rows) == len(large.facts)
