"""Word vectors from files in their true formats, the vocabulary over them, and the BiLSTM ("w/o BERT")."""

import functools
import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn
from torch.nn.utils.rnn import PackedSequence, unpack_sequence

from documents import LABELS, batch_of, document, empty, random_documents, subwords
from glre_pyg.data.graph import word_counts
from glre_pyg.data.word_tokenizer import WordTokenizer
from glre_pyg.data.word_vectors import WordVectors
from glre_pyg.nn.encoder import TransformerEncoder, WordEmbedding
from glre_pyg.nn.recurrent import BiLSTM, _packing
from glre_pyg.utils.exceptions import InputError

WORDS = [",", "the", "naïve", "1999", "日本", "nan", "The"]
TABLE = np.arange(28, dtype=np.float32).reshape(7, 4) / 8 - 1


def lines(words, table, *, end="\n"):
    rows = (" ".join(f"{number:.6f}" for number in row) for row in table)
    return "".join(f"{word} {row}{end}" for word, row in zip(words, rows, strict=True)).encode()


def binary(words, table, *, newline):
    rows = (
        word.encode() + b" " + row.astype("<f4").tobytes() for word, row in zip(words, table, strict=True)
    )
    return _header(table) + b"".join(row + b"\n" * newline for row in rows)


def _header(table):
    return f"{len(table)} {table.shape[1]}\n".encode()


def read(tmp_path, content, **options):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    return WordVectors.read(path, **options)


FORMATS = {
    "glove": lines(WORDS, TABLE),
    "glove without a last line break": lines(WORDS, TABLE)[:-1],
    "glove with blank lines at the end": lines(WORDS, TABLE) + b"\n\n",
    "word2vec text": _header(TABLE) + lines(WORDS, TABLE),
    "word2vec text with spaces at line ends": _header(TABLE) + lines(WORDS, TABLE, end=" \n"),
    "word2vec text from Windows": _header(TABLE) + lines(WORDS, TABLE, end="\r\n"),
    "a byte order mark before word2vec text": b"\xef\xbb\xbf" + _header(TABLE) + lines(WORDS, TABLE),
    "word2vec binary": binary(WORDS, TABLE, newline=False),
    "word2vec binary with line breaks": binary(WORDS, TABLE, newline=True),
}


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_formats(content, tmp_path):
    vectors = read(tmp_path, content)
    assert vectors.words == WORDS
    assert vectors.table.dtype == np.float32
    np.testing.assert_array_equal(vectors.table, TABLE)


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("limit", [1, 6, 7, 100])
def test_limit(content, limit, tmp_path):
    vectors = read(tmp_path, content, limit=limit)
    assert vectors.words == WORDS[:limit]
    np.testing.assert_array_equal(vectors.table, TABLE[:limit])


@pytest.mark.parametrize("header", [b"", _header(TABLE)], ids=["glove", "word2vec"])
def test_words_with_spaces(header, tmp_path):
    """As in the GloVe of 840 billion words; here even the first of word2vec's, which tells text from binary."""
    words = [",", ". . .", "at name@domain.com", "new york", "1 1/2", "2 3", "z"]
    if header:
        words = ["new york", *words[1:3], "x", *words[4:]]
    assert read(tmp_path, header + lines(words, TABLE)).words == words


def test_the_first_of_duplicates_counts(tmp_path):
    words = ["a", "b", "a", "c", "b", "d", "e"]
    for content in (lines(words, TABLE), binary(words, TABLE, newline=False)):
        vectors = read(tmp_path, content, limit=4)
        assert vectors.words == ["a", "b", "c", "d"]
        np.testing.assert_array_equal(vectors.table, TABLE[[0, 1, 3, 5]])


FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1),
        min_size=1,
        max_size=5,
        unique=True,
    ),
    st.integers(2, 6),
    st.data(),
)
def test_binary_files_may_hold_any_bytes(tmp_path, words, width, data):
    table = data.draw(arrays(np.float32, (len(words), width), elements=FLOATS))
    for newline in (False, True):
        vectors = read(tmp_path, binary(words, table, newline=newline))
        assert vectors.words == words
        np.testing.assert_array_equal(vectors.table, table)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no word vectors in the file"),
        (lines(WORDS, TABLE)[:-12], "vectors:7: not a word and 4 numbers"),
        (lines(WORDS, TABLE).replace(b" 0.125000", b" zero"), "vectors:3: not a word and 4 numbers"),
        (_header(TABLE) + lines(WORDS, TABLE)[:-12], "vectors:8: not a word and 4 numbers"),
        (_header(TABLE) + lines(WORDS[:5], TABLE[:5]), "vectors: truncated, 5 of 7 vectors"),
        (binary(WORDS, TABLE, newline=False)[:-3], "vectors: truncated, 6 of 7 vectors"),
        (binary(WORDS, TABLE, newline=True)[:60], "vectors: truncated, 2 of 7 vectors"),
        (binary(WORDS, TABLE, newline=False) + b"x", "vectors: there is more data after 7 vectors"),
        (
            b"2 4\na " + b"x" * 16 + b"b\nc " + b"x" * 16,
            "vectors: neither text nor binary, there is a line break in word 2",
        ),
        (b"3 0\n", "vectors:1: not a number of vectors and their width"),
        (b"9" * 5_000 + b" 2\n", "vectors:1: not a number of vectors and their width"),
        (b"3 " + b"9" * 30 + b"\n", "vectors:1: not a number of vectors and their width"),
        (b"<html>\n<body>not found</body>\n", "vectors:1: not a word and"),
        (b"\n\n", "no word vectors in the file"),
        (lines(WORDS, np.where(TABLE == 0.5, np.nan, TABLE)), "the vector of '1999' is not finite"),
        (binary(WORDS, np.where(TABLE == 0.5, np.inf, TABLE), newline=False), "the vector of '1999' is not"),
    ],
)
def test_what_cannot_be_read(content, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such file of word vectors"):
        WordVectors.read(tmp_path / "nowhere")


def test_reading_takes_time_in_proportion(tmp_path):
    """10,000 vectors in the time of ten times 1,000, and some slack."""
    table = np.random.default_rng(0).normal(size=(10_000, 100))
    content = lines([f"word{number}" for number in range(len(table))], table).splitlines(keepends=True)

    def seconds(count):
        start = time.process_time()
        assert len(read(tmp_path, b"".join(content[:count])).words) == count
        return time.process_time() - start

    short = min(seconds(1000) for _ in range(3))
    assert seconds(10_000) < 40 * short + 0.1


# Vocabulary

TEXT = [["The", "new", "drug"], ["the", "drug", "drug", "日本"]]


def build(words=TEXT, *, min_count=1, lowercase=True, vectors=None, max_vectors=None):
    return WordTokenizer.build(
        words, min_count=min_count, lowercase=lowercase, vectors=vectors, max_vectors=max_vectors
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(lines(WORDS, TABLE))
    return str(path)


def test_vocabulary_from_scratch():
    assert build().words == ["drug", "new", "the", "日本"]
    assert build(min_count=2).words == ["drug", "the"]
    assert build(lowercase=False, min_count=1).words == ["The", "drug", "new", "the", "日本"]
    assert build().vectors is None


def test_vocabulary_with_vectors(file):
    assert build(vectors=file).words == [*WORDS, "drug", "new"]
    assert build(vectors=file, min_count=2).words == [*WORDS, "drug"]
    assert build(vectors=file, max_vectors=2).words == [",", "the", "drug", "new", "日本"]


def test_ids_of_words(file):
    words = build(vectors=file)
    graph = words(LABELS.graph(document(["The drug of 日本 ,"])))
    assert [words.words[i - 1] if i else None for i in graph.input_ids] == ["the", "drug", None, "日本", ","]
    assert graph.word_index.tolist() == [0, 1, 2, 3, 4]
    assert graph.window_index.tolist() == [0] * 5
    assert words(LABELS.graph(empty())).input_ids.tolist() == []
    cased = build(vectors=file, lowercase=False)(LABELS.graph(document(["The the"]))).input_ids
    assert [WORDS[i - 1] for i in cased] == ["The", "the"]


@pytest.mark.parametrize("lowercase", [False, True])
def test_save_and_load_a_vocabulary(lowercase, file, tmp_path):
    words = build(vectors=file, lowercase=lowercase)
    words.save(tmp_path)
    loaded = WordTokenizer.load(tmp_path)
    assert (loaded.words, loaded.lowercase) == (words.words, lowercase)
    graph = LABELS.graph(document(["The drug in 日本 ,"]))
    assert torch.equal(words(graph.clone()).input_ids, loaded(graph.clone()).input_ids)


def test_the_embedding_has_the_vectors(file):
    words = build(vectors=file)
    embedding = WordEmbedding(words, channels=100, trainable=True)
    assert embedding.out_channels == 4
    found = embedding(batch_of([document(["日本 the"]), empty(), document([", drug unheard"])], words))
    np.testing.assert_array_equal(found[:3].detach().numpy(), TABLE[[4, 1, 0]])
    assert torch.equal(found[4], embedding.table.weight[0])
    assert len(embedding.table.weight) == len(words.words) + 1
    assert words.vectors.table is not None
    with torch.no_grad():
        embedding.table.weight.zero_()
    np.testing.assert_array_equal(words.vectors.table, TABLE)


@pytest.mark.parametrize("trainable", [False, True])
def test_an_embedding_is_trained_or_not(trainable, file):
    assert (
        WordEmbedding(build(vectors=file), channels=3, trainable=trainable).table.weight.requires_grad
        == trainable
    )
    scratch = WordEmbedding(build(), channels=3, trainable=trainable)
    assert scratch.out_channels == 3
    assert scratch.table.weight.requires_grad  # there is nothing to keep


def test_an_embedding_of_a_loaded_vocabulary_takes_the_weights(file, tmp_path):
    """The vectors' width is not the config's, and a run is loaded without the file."""
    first = WordEmbedding(build(vectors=file), channels=100, trainable=True)
    build(vectors=file).save(tmp_path)
    loaded = WordTokenizer.load(tmp_path)
    second = WordEmbedding(loaded, channels=100, trainable=True)
    second.load_state_dict(first.state_dict())
    batch = batch_of([document(["the drug"])], loaded)
    assert torch.equal(first(batch), second(batch))
    build().save(tmp_path)
    assert WordEmbedding(WordTokenizer.load(tmp_path), channels=100, trainable=True).out_channels == 100


# BiLSTM


def bilstm(tokenizer, base, **options):
    torch.manual_seed(0)
    return BiLSTM(tokenizer, base=base, **{"hidden_channels": 5, "num_layers": 2, "dropout": 0.5} | options)


EMBEDDING = functools.partial(WordEmbedding, channels=6, trainable=True)
FROZEN = functools.partial(
    TransformerEncoder,
    pooling="mean",
    trainable=False,
    dropout=None,
    attention_dropout=None,
    mask_rate=0.0,
    frozen=None,
    max_tokens=None,
    max_padding=None,
    gradient_checkpointing=False,
    compile=None,
)


@pytest.mark.parametrize("base", [EMBEDDING, FROZEN], ids=["words", "transformer"])
def test_bilstm(base):
    many = [*random_documents(3), empty(), document(["rash"])]
    tokenizer = subwords(many) if base is FROZEN else build([each.word_texts() for each in many])
    model = bilstm(tokenizer, base)
    assert model.out_channels == 10
    batch = batch_of(many, tokenizer)
    model(batch).square().sum().backward()
    missing = [name for name, value in model.named_parameters() if value.grad is None and value.requires_grad]
    assert missing == []
    model.eval()
    with torch.no_grad():
        together = model(batch)
        alone = [model(tokenizer(LABELS.graph(each))) for each in many]
    assert together.shape == (sum(word_counts(batch)), 10)
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=0)
    assert model(batch_of([empty()], tokenizer)).shape == (0, 10)


def test_bilstm_is_torchs_over_each_document():
    many = random_documents(2)
    tokenizer = build([each.word_texts() for each in many])
    model = bilstm(tokenizer, EMBEDDING).eval()
    batch = batch_of(many, tokenizer)
    words = model.base(batch).split(word_counts(batch))
    by_hand = torch.cat([nn.LSTM.forward(model.lstm, document[None])[0][0] for document in words])
    torch.testing.assert_close(model(batch), by_hand)
    assert isinstance(model.lstm, nn.LSTM)
    assert (model.lstm.bidirectional, model.lstm.num_layers) == (True, 2)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_documents_are_packed_and_none_of_their_words_is_lost(counts):
    documents = [each.tolist() for each in torch.arange(sum(counts)).split(counts) if len(each)]
    order, sizes = _packing(torch.tensor(counts))
    unpacked = unpack_sequence(PackedSequence(order, sizes)) if documents else []
    assert sorted(each.tolist() for each in unpacked) == documents


def test_dropout_is_on_the_words_that_enter():
    many = random_documents(2)
    tokenizer = build([each.word_texts() for each in many])
    batch = batch_of(many, tokenizer)
    none = bilstm(tokenizer, EMBEDDING, dropout=0.0)
    assert torch.equal(none.train()(batch), none.eval()(batch))
    much = bilstm(tokenizer, EMBEDDING, dropout=0.9)
    assert torch.equal(much.eval()(batch), none(batch))
    assert not torch.allclose(much.train()(batch), none(batch), atol=1e-3)
