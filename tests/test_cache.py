"""What is kept on disk is what would be made, is found when it is the same, and is never believed when it is not."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from copy import deepcopy
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier, Timer

import numpy as np
import pytest
import torch
from filelock import FileLock
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from checkpoints import checkpoint
from documents import (
    LABELS,
    document,
    glre,
    random_document,
    random_documents,
    subwords,
    transformer,
)
from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.data.tokenizer import SubwordTokenizer
from glre_pyg.datasets import CDR, Files, base, user_files
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.jsonl import write_jsonl
from glre_pyg.formats.pubtator_writer import write_pubtator
from glre_pyg.nn.encoder import TransformerEncoder
from glre_pyg.nn.recurrent import BiLSTM
from glre_pyg.runs.encoder_cache import FeatureStore, document_key, encoded, encoder_key
from glre_pyg.runs.loading import load
from glre_pyg.runs.prediction import encode_once, predict
from glre_pyg.training.experiment import train
from glre_pyg.utils import cache as cache_module
from glre_pyg.utils.cache import Cache, cache_folder, contents_of, key_of
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError

DOCUMENTS = random_documents(9)


def cached_documents(cache, key, read):
    return cache.records("documents", key, Document, read)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def flip(path, place=-1):
    """Change one byte of a file."""
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


def files(cache, suffix):
    return sorted(cache.folder.rglob(f"*{suffix}"))


# Files by their keys


def written(text):
    return lambda path: path.write_text(text)


def test_a_file_is_found_by_its_key(cache):
    assert cache.find("place", "a") is None
    path = cache.save("place", "a", ".txt", written("content"))
    assert path is not None
    assert cache.find("place", "a") == path
    assert path.read_text() == "content"
    assert cache.find("place", "b") is None
    assert cache.find("elsewhere", "a") is None


@pytest.mark.parametrize("place", [0, 3, -1])
def test_a_flipped_byte_is_named_and_the_file_removed(cache, capsys, place):
    path = cache.save("place", "a", ".txt", written("content"))
    flip(path, place)
    assert cache.find("place", "a") is None
    assert not path.exists()
    assert capsys.readouterr().out == (
        f"cache: {path}: is not what was written there; it is removed and made again\n"
    )


def test_what_was_not_written_to_its_end_is_not_found(cache):
    def killed(path):
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.save("place", "a", ".txt", killed)
    assert cache.find("place", "a") is None
    left = cache.folder / "place/.0123abcd.part"
    left.mkdir()
    (left / "a.txt").write_text("half")
    assert cache.find("place", "a") is None
    cache.save("place", "a", ".txt", written("whole"))
    assert not left.exists()
    assert [path.name[:2] for path in cache.folder.rglob("*.*")] == ["a-"]


def test_a_folder_that_cannot_be_written_costs_a_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file")  # no folder can be made there, not even by root
    documents = [random_document(1)]
    assert cached_documents(cache, "key", lambda: documents) == documents
    assert capsys.readouterr().out.count("\n") == 1


def test_settings(tmp_path, monkeypatch):
    assert Cache.from_setting(False) is None
    assert Cache.from_setting(None) == Cache.from_setting(True) == Cache(cache_folder())
    assert Cache.from_setting(str(tmp_path)) == Cache(tmp_path)
    monkeypatch.setenv("GLRE_CACHE", "/mine")
    assert Cache.from_setting(None) == Cache(Path("/mine"))


def test_keys(tmp_path):
    assert key_of("a", [1, 2]) == key_of("a", (1, 2)) != key_of("a", [1], [2])
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 2, "b": 1})
    (tmp_path / "a.py").write_text("1")
    first = contents_of(tmp_path)
    assert first == contents_of(tmp_path / "a.py")
    (tmp_path / "b.py").write_text("2")
    assert contents_of(tmp_path) != first
    assert contents_of(tmp_path) == contents_of(tmp_path / "a.py", tmp_path / "b.py")


# Documents

pytestmark = pytest.mark.filterwarnings("ignore:.*sha256")  # the files of CDR are invented

text = partial(st.text, max_size=5)
names = st.lists(text(), max_size=2).map(tuple)


@st.composite
def documents(draw):
    """Documents that use every field, of any characters."""
    tokens = draw(st.lists(st.text(min_size=1, max_size=4), max_size=8))
    starts = np.cumsum([0, *(len(token) + 1 for token in tokens)]).tolist()
    words = tuple((start, start + len(token)) for start, token in zip(starts, tokens, strict=False))
    cuts = sorted({0, len(tokens), *draw(st.lists(st.integers(0, len(tokens)), max_size=2))})
    sentences = tuple(map(Sentence, cuts, cuts[1:]))
    within = st.sampled_from(words) if words else st.nothing()

    def mention(span, kind, ids, given):
        return Mention(*span, kind, ids, given if len(given) >= len(ids) else ())

    mentions = draw(st.lists(st.builds(mention, within, text(), names, names)))
    facts = st.builds(Fact, text(), text(), text(), names, st.lists(st.integers(), max_size=2).map(tuple))
    pair = st.tuples(text(), text())
    whole = " ".join(tokens)
    place = st.integers(0, len(whole))
    sections = draw(st.lists(st.tuples(place, place).map(sorted).map(tuple), max_size=2))
    return Document(
        id=draw(text()),
        text=whole,
        words=words,
        sentences=sentences,
        mentions=tuple(mentions),
        facts=tuple(draw(st.lists(facts, max_size=2))),
        ignored=tuple(draw(st.lists(pair, max_size=2))),
        sections=tuple(sections),
    )


@given(st.lists(documents(), max_size=3))
def test_documents_are_kept_in_their_order(some):
    with TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        assert cached_documents(cache, "key", lambda: some) == some
        again = cached_documents(cache, "key", lambda: pytest.fail("read again"))
        assert again == some
        assert [*map(hash, again)] == [*map(hash, some)]  # tuples are not lists


def cdr(folder, cache, **settings):
    """CDR's files with invented documents, a hypernym among them."""
    for split, name in {"train": "Training", "dev": "Development", "test": "Test"}.items():
        path = folder / f"CDR_{name}Set.PubTator.txt"
        if not path.exists():
            write_pubtator(SyntheticCorpus(bridged=0).generate(split, 4), path)
    tree = folder / "2017MeshTree.txt"
    if not tree.exists():
        tree.write_text("Tree Number\tDesc Ui\tTerm\nC01\tD0001\tdisease\n")
    given = {"root": str(folder), "train": None, "dev": None, "test": None, "dev_from_train": 0}
    corpus = CDR(**{**given, "protocol": "eog", **settings})
    corpus.cache = cache
    return corpus


@pytest.fixture
def parsed(monkeypatch):
    """Names of the files that are parsed."""
    calls = []
    read = base.read_documents

    def noted(path, *arguments, **options):
        calls.append(path.name)
        return read(path, *arguments, **options)

    for module in (base, user_files):
        monkeypatch.setattr(module, "read_documents", noted)
    return calls


def test_a_file_is_parsed_once(tmp_path, cache, parsed):
    plain = cdr(tmp_path, None)
    expected = {split: plain.documents(split) for split in base.SPLITS}
    assert len(parsed) == 3
    for _ in range(2):
        corpus = cdr(tmp_path, cache)
        assert {split: corpus.documents(split) for split in base.SPLITS} == expected
    assert len(parsed) == 6


def test_the_training_file_is_read_once_for_labels_train_and_dev(tmp_path, parsed):
    write_jsonl(SyntheticCorpus().generate("train", 6), tmp_path / "train.jsonl")
    corpus = Files(
        root=None,
        train=str(tmp_path / "train.jsonl"),
        dev=None,
        test=None,
        dev_from_train=2,
        name="mine",
        relations=None,
        types=None,
        pair_types=None,
        directed=True,
    )
    assert corpus.labels.relations
    assert (len(corpus.documents("train")), len(corpus.documents("dev"))) == (4, 2)
    assert parsed == ["train.jsonl"]


@pytest.mark.parametrize("changed", ["CDR_TrainingSet.PubTator.txt", "2017MeshTree.txt"])
def test_a_changed_source_is_noticed(tmp_path, cache, parsed, changed):
    cdr(tmp_path, cache).documents("train")
    with (tmp_path / changed).open("a") as file:
        file.write("\n" if "Set" in changed else "C01.1\tD0002\tother\n")
    cdr(tmp_path, cache).documents("train")
    assert len(parsed) == 2


def test_other_settings_are_other_documents(tmp_path, cache, parsed):
    read = ({"protocol": "bran"}, {"protocol": "unfiltered"}, {"sentences": "sentencex"})
    for settings in ({}, *read, {"dev_from_train": 2}):
        corpus = cdr(tmp_path, cache, **settings)
        assert corpus.documents("train") == cdr(tmp_path, None, **settings).documents("train")
    assert len(parsed) == 4 + 5  # the last is a part of what the first has read


@pytest.mark.parametrize(
    ("package", "sentences", "times"),
    [
        *(("glre_pyg", "pysbd", 2), ("pysbd", "pysbd", 2), ("sentencex", "pysbd", 1)),
        *(("glre_pyg", "sentencex", 2), ("pysbd", "sentencex", 1), ("sentencex", "sentencex", 2)),
    ],
)
def test_another_version_reads_again(tmp_path, cache, parsed, monkeypatch, package, sentences, times):
    cdr(tmp_path, cache, sentences=sentences).documents("train")
    for module in (base, cache_module):
        version = module.version
        monkeypatch.setattr(
            module, "version", lambda name, version=version: "next" if name == package else version(name)
        )
    cdr(tmp_path, cache, sentences=sentences).documents("train")
    assert len(parsed) == times


def test_broken_documents_are_read_again(tmp_path, cache, parsed, capsys):
    expected = cdr(tmp_path, cache).documents("train")
    [path] = files(cache, ".jsonl")
    flip(path, 100)
    assert cdr(tmp_path, cache).documents("train") == expected
    assert len(parsed) == 2
    assert str(path) in capsys.readouterr().out
    cdr(tmp_path, cache).documents("train")
    assert len(parsed) == 2


def test_a_file_with_an_error_is_not_kept(tmp_path, cache):
    write_pubtator(SyntheticCorpus(bridged=0).generate("train", 2), tmp_path / "CDR_TrainingSet.PubTator.txt")
    with (tmp_path / "CDR_TrainingSet.PubTator.txt").open("a") as file:
        file.write("\nnot PubTator\n")
    for _ in range(2):
        with pytest.raises(InputError, match="CDR_TrainingSet"):
            cdr(tmp_path, cache).documents("train")


def into_pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def into_socket(path):
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server, chdir(path.parent):  # long paths are refused
        server.bind(path.name)


def into_folder(path):
    path.unlink(missing_ok=True)
    path.mkdir()


def into_loop(path):
    path.unlink(missing_ok=True)
    path.symlink_to(path)


NOT_REGULAR = [into_pipe, into_socket, into_folder, into_loop]


@pytest.mark.parametrize("change", NOT_REGULAR)
def test_documents_are_read_again_in_place_of_what_is_not_a_file(cache, capsys, change):
    some = [random_document(1)]
    cached_documents(cache, "key", lambda: some)
    [path] = files(cache, ".jsonl")
    change(path)
    change(path.with_name("key.lock"))
    assert cached_documents(cache, "key", lambda: some) == some
    assert 1 <= capsys.readouterr().out.count("\n") <= 3


def test_documents_of_another_program_are_read_again(cache, capsys):
    some = [random_document(1)]
    cache.save("documents", "key", ".jsonl", written('{"id": 1}\n'))
    assert cached_documents(cache, "key", lambda: some) == some
    assert "is not what was written there" in capsys.readouterr().out
    assert cached_documents(cache, "key", lambda: pytest.fail("read again")) == some


# Word vectors of a frozen encoder


class Counting:
    """How many documents an encoder was given."""

    def __init__(self, encoder):
        self.documents = 0
        encoder.register_forward_pre_hook(self)

    def __call__(self, encoder, inputs):
        self.documents += inputs[0].num_graphs


@pytest.fixture
def tokenizer():
    return subwords(DOCUMENTS)


@pytest.fixture
def encoder(tokenizer):
    torch.manual_seed(0)
    return transformer(trainable=False)(tokenizer)


def graphs_of(tokenizer, some=DOCUMENTS):
    return [tokenizer(LABELS.blind_graph(each)) for each in some]


def attach(cache, encoder, graphs, **options):
    counting = Counting(encoder)
    FeatureStore(cache).attach(encoder, graphs, batch_size=4, device="cpu", **options)
    return counting.documents


def test_vectors_are_computed_once_and_bit_for_bit(cache, encoder, tokenizer):
    expected = {}
    graphs = graphs_of(tokenizer)
    for index, features in encoded(encoder, graphs, batch_size=4, device="cpu"):
        expected[index] = features
    for documents in (len(DOCUMENTS), 0):
        graphs = graphs_of(tokenizer)
        assert attach(cache, encoder, graphs) == documents
        for index, graph in enumerate(graphs):
            assert torch.equal(graph.features, expected[index])
            assert graph.features.dtype == torch.float32


def test_what_is_missing_is_encoded_and_no_more(cache, encoder, tokenizer):
    assert attach(cache, encoder, graphs_of(tokenizer, DOCUMENTS[:4])) == 4
    twice = [*DOCUMENTS, *DOCUMENTS[3:6]]
    graphs = graphs_of(tokenizer, twice)
    assert attach(cache, encoder, graphs) == 5
    for one, other in zip(graphs[-3:], graphs[3:6], strict=True):
        assert torch.equal(one.features, other.features)
    assert attach(cache, encoder, graphs_of(tokenizer, twice)) == 0


def test_one_store_finds_what_another_has_written(cache, encoder, tokenizer):
    store = FeatureStore(cache)
    store.attach(encoder, graphs_of(tokenizer, DOCUMENTS[:4]), batch_size=4, device="cpu")
    attach(cache, encoder, graphs_of(tokenizer))
    counting = Counting(encoder)
    store.attach(encoder, graphs_of(tokenizer), batch_size=4, device="cpu")
    assert counting.documents == 0


def test_prediction_reads_and_adds_nothing(cache, encoder, tokenizer):
    assert attach(cache, encoder, graphs_of(tokenizer, DOCUMENTS[:4])) == 4
    held = files(cache, ".safetensors")
    graphs = graphs_of(tokenizer)
    assert attach(cache, encoder, graphs, add=False) == 5
    assert all(len(graph.features) == len(graph.words) for graph in graphs)
    assert files(cache, ".safetensors") == held


def test_files_are_bounded(cache, encoder, tokenizer, monkeypatch):
    monkeypatch.setattr("glre_pyg.runs.encoder_cache._FILE_BYTES", 1)
    graphs = graphs_of(tokenizer)
    assert attach(cache, encoder, graphs) == len(DOCUMENTS)
    assert len(files(cache, ".safetensors")) == len(DOCUMENTS)
    plain = graphs_of(tokenizer)
    for index, words in encoded(encoder, plain, batch_size=4, device="cpu"):
        plain[index].features = words
    assert all(torch.equal(one.features, other.features) for one, other in zip(graphs, plain, strict=True))


def test_vectors_are_mapped_into_memory(cache, encoder, tokenizer):
    attach(cache, encoder, graphs_of(tokenizer))
    graphs = graphs_of(tokenizer)
    attach(cache, encoder, graphs)
    [path] = files(cache, ".safetensors")
    maps = Path("/proc/self/maps")
    if maps.exists():
        lines = [line for line in maps.read_text().splitlines() if path.name in line]
        spans = [[int(end, 16) for end in line.split()[0].split("-")] for line in lines]
        for graph in graphs:
            assert any(start <= graph.features.data_ptr() < end for start, end in spans)


def test_gradients_do_not_reach_the_file(cache, encoder, tokenizer):
    graphs = graphs_of(tokenizer)
    attach(cache, encoder, graphs)
    before = graphs[0].features.clone()
    graphs[0].features.zero_()  # the map is private
    again = graphs_of(tokenizer)
    assert attach(cache, encoder, again) == 0
    assert torch.equal(again[0].features, before)


def test_a_word_or_a_window_of_another_document_misses(encoder, tokenizer):
    long = document([" ".join(["velorin caused rash ."] * 20)])
    keys = {
        document_key(tokenizer(LABELS.blind_graph(each)))
        for each in (DOCUMENTS[0], DOCUMENTS[1], document(["velorin ."]), document(["ostamide ."]), long)
    }
    narrow = SubwordTokenizer(tokenizer.tokenizer, tokenizer.config, max_length=24, overlap=8, source=None)
    assert document_key(narrow(LABELS.blind_graph(long))) not in keys
    assert len(keys) == 5
    assert document_key(tokenizer(LABELS.graph(DOCUMENTS[0]))) in keys  # facts are not encoded


def change_weights(encoder):
    with torch.no_grad():
        next(encoder.transformer.parameters())[0, 0] += 1e-3


def change_config(encoder):
    encoder.transformer.config.layer_norm_eps *= 10


def change_pooling(encoder):
    encoder.pooling = "first"


def change_tokens(encoder):
    encoder.suffix = [*encoder.suffix, 1]


@pytest.mark.parametrize("change", [change_weights, change_config, change_pooling, change_tokens])
def test_another_encoder_misses(cache, encoder, tokenizer, change):
    store = FeatureStore(cache)
    key = encoder_key(encoder)
    store.attach(encoder, graphs_of(tokenizer), batch_size=4, device="cpu")
    change(encoder)
    assert encoder_key(encoder) != key
    if change is change_weights:  # weights are looked at anew by the same store, too
        counting = Counting(encoder)
        store.attach(encoder, graphs_of(tokenizer), batch_size=4, device="cpu")
        assert counting.documents == len(DOCUMENTS)
    assert attach(cache, encoder, graphs_of(tokenizer)) == (0 if change is change_weights else len(DOCUMENTS))


def test_the_same_encoder_from_elsewhere_is_the_same(encoder, tokenizer, tmp_path):
    tmp_path.joinpath("pieces").mkdir()
    tokenizer.save(tmp_path / "pieces")
    other = transformer(trainable=False, dropout=0.3)(SubwordTokenizer.load(tmp_path / "pieces"))
    other.load_state_dict(encoder.state_dict())
    assert encoder_key(other) == encoder_key(encoder)


@pytest.mark.parametrize("place", [3, 200, -1])
def test_broken_vectors_are_named_and_built_again(cache, encoder, tokenizer, capsys, place):
    graphs = graphs_of(tokenizer)
    attach(cache, encoder, graphs)
    expected = [graph.features.clone() for graph in graphs]
    [path] = files(cache, ".safetensors")
    flip(path, place)
    capsys.readouterr()
    again = graphs_of(tokenizer)
    assert attach(cache, encoder, again) == len(DOCUMENTS)
    assert capsys.readouterr().out.count(f"cache: {path}: is not what was written there") == 1
    assert all(torch.equal(graph.features, one) for graph, one in zip(again, expected, strict=True))
    assert attach(cache, encoder, graphs_of(tokenizer)) == 0


@pytest.mark.parametrize("change", NOT_REGULAR)
def test_vectors_are_built_again_in_place_of_what_is_not_a_file(cache, encoder, tokenizer, change):
    attach(cache, encoder, graphs_of(tokenizer))
    [path] = files(cache, ".safetensors")
    change(path)
    change(path.with_name("features.lock"))
    graphs = graphs_of(tokenizer)
    assert attach(cache, encoder, graphs) >= len(DOCUMENTS)  # nothing can be kept in place of a folder
    assert all(len(graph.features) == len(graph.words) for graph in graphs)


@pytest.mark.parametrize("alter", [lambda x: x[:-1], lambda x: x[:, :-1].clone(), lambda x: x.double()])
def test_vectors_of_another_shape_or_type_are_built_again(cache, encoder, tokenizer, alter):
    graphs = graphs_of(tokenizer)
    attach(cache, encoder, graphs)
    expected = [graph.features.clone() for graph in graphs]
    [path] = files(cache, ".safetensors")
    altered = {name: alter(features) for name, features in load_file(path).items()}
    path.unlink()
    place = str(path.parent.relative_to(cache.folder))
    cache.save(place, "features", ".safetensors", lambda path: save_file(altered, path))
    again = graphs_of(tokenizer)
    assert attach(cache, encoder, again) == len(DOCUMENTS)
    assert all(torch.equal(graph.features, one) for graph, one in zip(again, expected, strict=True))


def test_half_a_file_is_ignored(cache, encoder, tokenizer):
    attach(cache, encoder, graphs_of(tokenizer, DOCUMENTS[:4]))
    [path] = files(cache, ".safetensors")
    half = path.with_name("features.1-a.part")
    half.write_bytes(path.read_bytes()[:-100])
    path.unlink()
    assert attach(cache, encoder, graphs_of(tokenizer, DOCUMENTS[:4])) == 4


def test_without_a_place_to_write_the_run_goes_on(encoder, tokenizer, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    graphs = graphs_of(tokenizer)
    attach(Cache(tmp_path / "file"), encoder, graphs)
    assert all(len(graph.features) == len(graph.words) for graph in graphs)
    assert "nothing can be kept there" in capsys.readouterr().out


def test_an_encoder_that_is_trained_is_never_kept(cache, tokenizer):
    model = glre(tokenizer, encoder=transformer(trainable=True))
    graphs = graphs_of(tokenizer)
    encode_once(model, graphs, batch_size=4, device="cpu", store=FeatureStore(cache))
    assert not any("features" in graph for graph in graphs)
    assert not cache.folder.exists()


def test_a_frozen_encoder_below_a_lstm_is_kept(cache, tokenizer):
    encoder = partial(BiLSTM, base=transformer(trainable=False), hidden_channels=8, num_layers=1, dropout=0.0)
    model = glre(tokenizer, encoder=encoder).eval()
    for documents in (len(DOCUMENTS), 0):
        graphs = graphs_of(tokenizer)
        expected = predict(model, graphs, batch_size=4)
        counting = Counting(model.encoder.base)
        encode_once(model, graphs, batch_size=4, device="cpu", store=FeatureStore(cache))
        assert counting.documents == documents
        model.encoder.base.transformer.forward = lambda **inputs: pytest.fail("encoded again")
        for one, other in zip(predict(model, graphs, batch_size=4), expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
        del model.encoder.base.transformer.forward


def test_two_at_once_build_one_cache(cache, capsys):
    """Here two threads, which locks keep apart as well; a trial has several processes."""
    documents, both = random_documents(40), Barrier(2)
    tokenizer = subwords(documents)
    torch.manual_seed(0)
    encoder = transformer(trainable=False)(tokenizer)

    def vectors(copy):
        graphs = [tokenizer(LABELS.blind_graph(each)) for each in documents]
        both.wait()
        FeatureStore(Cache(cache.folder)).attach(copy, graphs, batch_size=1, device="cpu")
        return [graph.features for graph in graphs]

    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(vectors, [deepcopy(encoder), deepcopy(encoder)])
    assert capsys.readouterr().out.count("encoded 40 documents") == 1
    assert len(files(cache, ".safetensors")) == 1
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


def test_the_second_waits_for_the_first(cache, capsys):
    (cache.folder / "place").mkdir(parents=True)
    entered = []
    script = (
        "import sys; from filelock import FileLock\n"
        f"with FileLock({str(cache.folder / 'place/a.lock')!r}): print('held', flush=True); sys.stdin.readline()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    Timer(0.5, lambda: (entered.append("released"), other.communicate("\n"))).start()
    with cache.lock("place", "a"):
        entered.append("entered")
        assert FileLock(cache.folder / "place/b.lock").acquire(timeout=0)  # another key is free
    assert entered == ["released", "entered"]
    assert "waiting for another process" in capsys.readouterr().out


# Runs

SIZES = {"train": 8, "dev": 4, "test": 4}


@pytest.fixture
def mine(tmp_path):
    for split, size in SIZES.items():
        write_jsonl(SyntheticCorpus().generate(split, size), tmp_path / f"{split}.jsonl")
    return ["dataset=jsonl", *(f"dataset.{split}={tmp_path}/{split}.jsonl" for split in SIZES)]


def composed(*overrides):
    small = ["encoder=tiny", "training.epochs=2", "model.nodes.hidden_channels=16", "training.batch_size=4"]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose("train", overrides=[*small, "dataset.pair_types=[[Chemical,Disease]]", *overrides])


@pytest.fixture
def made(monkeypatch):
    """Counts of documents that are parsed and encoded."""
    counts = {"parsed": 0, "encoded": 0}

    def counting(name, function, size=lambda *arguments: 1):
        def wrapped(*arguments, **options):
            counts[name] += size(*arguments)
            return function(*arguments, **options)

        return wrapped

    for module in (base, user_files):
        monkeypatch.setattr(module, "read_documents", counting("parsed", module.read_documents))
    layout = TransformerEncoder._layout  # called once for each batch that is encoded
    monkeypatch.setattr(TransformerEncoder, "_layout", counting("encoded", layout))
    return counts


def results(folder):
    scored = [folder / f"predictions_{split}.jsonl" for split in ("dev", "test")]
    return load_file(folder / "model.safetensors"), [path.read_text() for path in scored if path.exists()]


@pytest.mark.parametrize("overrides", [[], ["encoder.module.trainable=false"]], ids=["trained", "frozen"])
def test_a_run_ends_bit_for_bit_the_same_with_and_without_a_cache(mine, tmp_path, made, overrides, capsys):
    runs = [("without", "false"), ("first", tmp_path / "cache"), ("second", tmp_path / "cache")]
    seen = {}
    for name, setting in runs:
        made.update(dict.fromkeys(made, 0))
        train(composed(*mine, *overrides, f"cache={setting}"), tmp_path / name)
        seen[name] = dict(made)
    weights, scored = results(tmp_path / "without")
    for name in ("first", "second"):
        others, other = results(tmp_path / name)
        assert weights.keys() == others.keys()
        assert all(torch.equal(weights[key], others[key]) for key in weights)
        assert scored == other
    assert seen["first"]["parsed"] == 3
    assert seen["second"]["parsed"] == 0
    assert seen["first"]["encoded"] == seen["without"]["encoded"]
    if overrides:
        assert seen["second"]["encoded"] == 0


def test_evaluation_encodes_nothing_that_training_has_encoded(mine, tmp_path, made):
    cache = Cache(tmp_path / "cache")
    train(composed(*mine, "encoder.module.trainable=false", f"cache={cache.folder}"), tmp_path / "run")
    run = load(tmp_path / "run", cache=cache)
    made["encoded"] = 0
    for split, size in SIZES.items():
        pairs = run.score(list(SyntheticCorpus().generate(split, size)))
        if split != "train":
            expected = (tmp_path / f"run/predictions_{split}.jsonl").read_text()
            assert len(expected.splitlines()) == len(pairs.documents)
    assert made["encoded"] == 0
    load(tmp_path / "run").score(list(SyntheticCorpus().generate("dev", 4)))
    assert made["encoded"] == 1


def test_folds_and_seeds_encode_once(mine, tmp_path, made):
    bert = checkpoint("bert_cased", tmp_path / "bert")
    overrides = [
        *("encoder=hf", f"encoder.tokenizer.name={bert}", "encoder.module.trainable=false"),
        *(
            "encoder.tokenizer.max_length=64",
            "encoder.tokenizer.overlap=8",
            "setting=train+dev",
            "fixed_by=3",
        ),
    ]
    for seed, batches in ((0, 2), (1, 0)):  # train and dev together, then test
        config = composed(*mine, *overrides, f"cache={tmp_path}/cache", f"seed={seed}")
        made["encoded"] = 0
        train(config, tmp_path / f"run_{seed}")
        assert made["encoded"] == batches


def test_cross_validation_is_the_same_with_and_without_a_cache(mine, tmp_path):
    for name, setting in (
        ("without", "false"),
        ("first", tmp_path / "cache"),
        ("second", tmp_path / "cache"),
    ):
        config = composed(*mine, "setting=train+dev", "fixed_by=2", f"cache={setting}")
        train(config, tmp_path / name)
    expected = results(tmp_path / "without")
    for name in ("first", "second"):
        found = results(tmp_path / name)
        assert all(torch.equal(expected[0][key], found[0][key]) for key in expected[0])
        assert expected[1] == found[1]
        for fold in range(2):
            folder = f"fold_{fold}/held_out.json"
            assert (tmp_path / "without" / folder).read_text() == (tmp_path / name / folder).read_text()


def test_the_tests_do_not_use_the_users_cache():
    assert not cache_folder().is_relative_to(Path.home() / ".cache")
    assert Cache.from_setting(None).folder == cache_folder()
