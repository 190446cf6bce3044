"""Word vectors (Eq. 1), by the model of every family, against the same model called by hand."""

import json
import os
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from safetensors.torch import load_file, save_file
from torch import nn
from torch._dynamo.utils import counters
from torch_geometric.data import Batch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer
from transformers.utils import logging

from checkpoints import FAMILIES, TEXT, checkpoint
from documents import LABELS, batch_of, document, empty, glre, random_documents, subwords
from glre_pyg.data.graph import word_counts
from glre_pyg.data.tokenizer import SubwordTokenizer
from glre_pyg.nn.encoder import TransformerEncoder, compile_with
from glre_pyg.runs.prediction import encode_once
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError

CONFIGS = sorted(path.stem for path in Path(config_dir(), "encoder").glob("*.yaml"))


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    return checkpoint(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def tokenizer(folder):
    return SubwordTokenizer.build([], name=str(folder), max_length=40, overlap=6)


def encoder(
    tokenizer,
    *,
    pooling="mean",
    trainable=True,
    dropout=None,
    attention_dropout=None,
    mask_rate=0.0,
    entity_mask_rate=0.0,
    frozen=None,
    max_tokens=None,
    max_padding=None,
    gradient_checkpointing=False,
    compile=None,
):
    return TransformerEncoder(
        tokenizer,
        pooling=pooling,
        trainable=trainable,
        dropout=dropout,
        attention_dropout=attention_dropout,
        mask_rate=mask_rate,
        entity_mask_rate=entity_mask_rate,
        frozen=frozen,
        max_tokens=max_tokens,
        max_padding=max_padding,
        gradient_checkpointing=gradient_checkpointing,
        compile=compile,
    ).eval()


def documents():
    """One, three and one windows, no words, one word."""
    long = document([*TEXT, *TEXT[:2]], name="long")
    return [document(TEXT[:1]), long, document(TEXT[1:2]), empty(), document(["asthma"])]


def by_hand(folder, graph, pooling):
    """Word vectors of one document, window by window, piece by piece."""
    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = [[] for _ in graph.words]
    for window in range(int(graph.window_index[-1]) + 1 if len(graph.window_index) else 0):
        inside = graph.window_index == window
        ids, words = graph.input_ids[inside].tolist(), graph.word_index[inside].tolist()
        xlnet = model.config.model_type == "xlnet"
        before = [] if xlnet else [tokenizer.cls_token_id]
        after = [tokenizer.sep_token_id, tokenizer.cls_token_id] if xlnet else [tokenizer.sep_token_id]
        inputs = {"input_ids": torch.tensor([[*before, *ids, *after]])}
        if xlnet:
            inputs["token_type_ids"] = torch.tensor([[0] * (len(ids) + 1) + [2]])
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state[0, len(before) :]
        for position, word in enumerate(words):
            if pooling == "mean" or position == 0 or words[position - 1] != word:
                found[word].append(hidden[position])
    return torch.stack([torch.stack(vectors).mean(0) for vectors in found])


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_batch_is_what_the_model_gives_by_hand(folder, tokenizer, pooling):
    batch = batch_of(documents(), tokenizer)
    with torch.no_grad():
        words = encoder(tokenizer, pooling=pooling)(batch)
    assert words.shape == (sum(word_counts(batch)), tokenizer.config.hidden_size)
    assert [int(graph.window_index[-1]) + 1 for graph in batch.to_data_list() if graph.words][1] >= 3
    for graph, rows in zip(batch.to_data_list(), words.split(word_counts(batch)), strict=True):
        if graph.words:
            torch.testing.assert_close(rows, by_hand(folder, graph, pooling), atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_batch_is_its_documents_one_by_one(tokenizer, pooling):
    model = encoder(tokenizer, pooling=pooling)
    with torch.no_grad():
        together = model(batch_of(documents(), tokenizer))
        alone = [model(tokenizer(LABELS.graph(each))) for each in documents()]
        backwards = model(batch_of(documents()[::-1], tokenizer))
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)
    sizes = [len(each.words) for each in documents()]
    torch.testing.assert_close(torch.cat(backwards.split(sizes[::-1])[::-1]), together, atol=1e-5, rtol=0)


def test_mean_and_first_differ_where_a_word_has_several_pieces(tokenizer):
    graph = tokenizer(LABELS.graph(document(["asthma may hepatotoxicity"])))
    with torch.no_grad():
        mean, first = encoder(tokenizer)(graph), encoder(tokenizer, pooling="first")(graph)
    several = torch.bincount(graph.word_index) > 1
    assert several.any()
    assert torch.equal((mean != first).any(-1), several)


def test_every_parameter_gets_a_gradient(tokenizer):
    model = encoder(tokenizer).train()
    model(batch_of(documents(), tokenizer)).square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_nothing_to_encode(tokenizer):
    words = encoder(tokenizer)(batch_of([empty(), empty()], tokenizer))
    assert words.shape == (0, tokenizer.config.hidden_size)
    assert words.dtype == torch.float32


def test_frozen(tokenizer):
    model = encoder(tokenizer, trainable=False, dropout=0.5)
    model.train()
    assert model.training
    assert not any(module.training for module in model.transformer.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    batch = batch_of(documents(), tokenizer)
    words = model(batch)
    assert not words.requires_grad
    assert torch.equal(words, model(batch))
    assert torch.equal(words, model.eval()(batch))


def test_dropout(tokenizer):
    batch = batch_of(documents(), tokenizer)
    torch.manual_seed(0)
    attention = {} if tokenizer.config.model_type == "xlnet" else {"attention_dropout": 0.0}
    none = encoder(tokenizer, dropout=0, **attention)  # a whole number, as settings may be
    assert torch.equal(none.train()(batch), none.eval()(batch))
    much = encoder(tokenizer, dropout=0.5)
    torch.testing.assert_close(much(batch), none(batch))
    assert (much.train()(batch) - much.eval()(batch)).abs().mean() > 0.05


def test_masked_pieces_in_training_only(tokenizer):
    if tokenizer.tokenizer.mask_token_id is None:
        with pytest.raises(InputError, match="mask_rate needs a tokenizer with a mask token"):
            encoder(tokenizer, mask_rate=0.5)
        return
    batch = batch_of(documents(), tokenizer)
    model = encoder(tokenizer, dropout=0.0, mask_rate=1.0)
    seen = []
    model.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True
    )
    model(batch)
    model.train()
    for model.mask_rate in (1.0, 0.5):
        model(batch)
    plain, all_hidden, half = seen
    content = torch.isin(plain, batch.input_ids)
    assert (all_hidden[content] == tokenizer.mask_id).all()
    assert torch.equal(all_hidden[~content], plain[~content])
    changed = (half != plain).float().sum() / len(batch.input_ids)
    assert 0.3 < changed < 0.7


def test_all_mentions_of_an_entity_are_masked_in_training_or_none(tokenizer):
    if tokenizer.tokenizer.mask_token_id is None:
        with pytest.raises(InputError, match="mask_rate needs a tokenizer with a mask token"):
            encoder(tokenizer, entity_mask_rate=0.5)
        return
    batch = batch_of(random_documents(3), tokenizer)
    model = encoder(tokenizer, dropout=0.0, entity_mask_rate=0.5)
    assert torch.equal(model._masked(batch), batch.input_ids)
    model.train()
    entities: list[set[int]] = [set() for _ in batch.input_ids]  # of each token
    edges = batch["mention", "refers_to", "entity"].edge_index
    for mention, entity in edges.t().tolist():
        start, end = batch["mention"].span[mention]
        for token in ((batch.word_index >= start) & (batch.word_index < end)).nonzero():
            entities[token].add(entity)
    outcomes = set()
    for _ in range(20):
        masked = (model._masked(batch) == tokenizer.mask_id).tolist()
        shown = {
            each for of_token, hidden in zip(entities, masked, strict=True) if not hidden for each in of_token
        }
        for of_token, hidden in zip(entities, masked, strict=True):
            assert hidden == bool(of_token - shown)
        outcomes.add(len(shown))
    assert len(outcomes) > 1
    model.entity_mask_rate = 1.0
    masked = (model._masked(batch) == tokenizer.mask_id).tolist()
    assert masked == [bool(each) for each in entities]


def test_dropout_of_a_model_that_has_none(tokenizer):
    odd = SubwordTokenizer(
        tokenizer.tokenizer, AutoConfig.for_model("xlnet"), max_length=40, overlap=6, source=None
    )
    with pytest.raises(InputError, match="encoder: no such dropout is known in a model of type xlnet"):
        encoder(odd, attention_dropout=0.1)


# Loading


def test_without_pretrained_weights():
    many = random_documents(3)
    tokenizer = subwords(many)
    torch.manual_seed(1)
    first = encoder(tokenizer)
    torch.manual_seed(1)
    second = encoder(tokenizer)
    assert tokenizer.source is None
    assert first.out_channels == 16
    batch = batch_of(many, tokenizer)
    assert torch.equal(first(batch), second(batch))
    assert not torch.allclose(first(batch), encoder(tokenizer)(batch))


def test_a_saved_encoder_is_the_same_on_loading(folder, tokenizer, tmp_path):
    """As a run does: the pieces' folder says the shape, the weights come from the model's own file."""
    tokenizer.save(tmp_path)
    loaded = SubwordTokenizer.load(tmp_path)
    first, second = encoder(tokenizer), encoder(loaded)
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(
            second(batch_of(documents(), loaded)), first(batch_of(documents(), tokenizer)), atol=1e-6, rtol=0
        )


def test_weights_are_float32_whatever_the_checkpoint_says(tmp_path):
    folder = checkpoint("bert_cased", tmp_path / "half")
    AutoModel.from_pretrained(folder, dtype=torch.float16).save_pretrained(folder)
    assert (
        load_file(folder / "model.safetensors")["encoder.layer.0.output.dense.weight"].dtype == torch.float16
    )
    tokenizer = SubwordTokenizer.build([], name=str(folder), max_length=40, overlap=6)
    tokenizer.save(tmp_path)
    for model in (encoder(tokenizer), encoder(SubwordTokenizer.load(tmp_path))):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_loading_says_nothing(tmp_path, capfd, caplog):
    folder = checkpoint("bert_cased", tmp_path)
    AutoModelForMaskedLM.from_pretrained(folder).save_pretrained(folder)  # has a head, and lacks the pooler
    tokenizer = SubwordTokenizer.build([], name=str(folder), max_length=40, overlap=6)
    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.get_logger("transformers").addHandler(caplog.handler)
    capfd.readouterr()
    caplog.clear()
    encoder(tokenizer)
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before
    AutoModel.from_pretrained(folder)
    logging.get_logger("transformers").removeHandler(caplog.handler)
    assert "Loading weights" in capfd.readouterr().err
    assert "LOAD REPORT" in caplog.text


def test_settings_of_logging_are_restored_on_an_error(tmp_path):
    tokenizer = SubwordTokenizer.build(
        [], name=str(checkpoint("bert_cased", tmp_path, weights=False)), max_length=40, overlap=6
    )
    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    with pytest.raises(
        InputError, match=r"^encoder: no weights in '.*: Error no file named model\.safetensors"
    ):
        encoder(tokenizer)
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before


def test_missing_weights_are_refused(tmp_path):
    folder = checkpoint("bert_cased", tmp_path)
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "layer.1.attention" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = SubwordTokenizer.build([], name=str(folder), max_length=40, overlap=6)
    with pytest.raises(InputError, match=r"has no encoder.layer.1.attention\S* and lacks 10 weights in all"):
        encoder(tokenizer)


# Features instead of encoding


def test_features_stand_in_for_encoding(tokenizer):
    batch = batch_of(documents(), tokenizer)
    batch.features = torch.randn(sum(word_counts(batch)), 3)
    assert encoder(tokenizer)(batch) is batch.features


def test_encode_once(tokenizer):
    graphs = [tokenizer(LABELS.graph(each)) for each in documents()]
    model = nn.ModuleDict({"encoder": encoder(tokenizer, trainable=False)})
    model.reads_features = True
    expected = model["encoder"](Batch.from_data_list(graphs))
    encode_once(model, graphs, batch_size=2, device="cpu")
    assert [len(graph.features) for graph in graphs] == [len(each.words) for each in documents()]
    batch = Batch.from_data_list(graphs)
    torch.testing.assert_close(batch.features, expected, atol=1e-5, rtol=0)
    model["encoder"].transformer = None  # not run again
    assert torch.equal(model["encoder"](batch), batch.features)
    nn.Linear(batch.features.size(1), 1)(
        graphs[0].features
    ).sum().backward()  # a graph alone can be trained on


def test_an_encoder_that_is_trained_is_not_encoded_once(tokenizer):
    graph = tokenizer(LABELS.graph(documents()[0]))
    encode_once(nn.ModuleDict({"encoder": encoder(tokenizer)}), [graph], batch_size=2, device="cpu")
    assert "features" not in graph


# Groups, precision, checkpoints, compilation


def seen_by(model):
    """The inputs that the transformer gets, filled as it runs."""
    seen = []
    model.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True
    )
    return seen


def gradients(model, batch, seed=0):
    model.zero_grad()
    torch.manual_seed(seed)
    words = model(batch)
    words.square().sum().backward()
    return words.detach(), [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("pooling", ["mean", "first"])
@pytest.mark.parametrize(("tokens", "groups"), [(1, 6), (60, 4), (100, 3), (10_000, 1)])
def test_groups_of_windows_are_encoded_as_all_at_once(tokenizer, pooling, tokens, groups):
    batch = batch_of(documents(), tokenizer)
    whole, parts = encoder(tokenizer, pooling=pooling), encoder(tokenizer, pooling=pooling, max_tokens=tokens)
    expected, expected_gradients = gradients(whole, batch)
    seen = seen_by(parts)
    found, found_gradients = gradients(parts, batch)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found_gradients, expected_gradients, atol=1e-3, rtol=1e-4)
    shapes = [inputs["input_ids"].shape for inputs in seen]
    assert all(rows * width <= tokens or rows == 1 for rows, width in shapes)
    assert (len(shapes) > 1) == (groups > 1)
    assert sum(int(inputs["attention_mask"].sum()) for inputs in seen) == sum(
        len(graph.input_ids) + 2 * (int(graph.window_index[-1]) + 1)
        for graph in batch.to_data_list()
        if graph.words
    )


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1])
def test_little_of_the_input_is_padding(tokenizer, share):
    batch = batch_of(documents(), tokenizer)
    model, plain = encoder(tokenizer, max_padding=share), encoder(tokenizer)
    before, after = seen_by(plain), seen_by(model)
    with torch.no_grad():
        torch.testing.assert_close(model(batch), plain(batch), atol=1e-5, rtol=0)

    def padding(seen):
        return 1 - torch.cat([inputs["attention_mask"].flatten() for inputs in seen]).float().mean()

    assert padding(before) > 0.1 >= share >= padding(after)


def test_attention_is_fused_where_the_model_can(tokenizer):
    able = tokenizer.config.model_type not in ("xlnet", "deberta-v2")
    assert encoder(tokenizer).transformer.config._attn_implementation == ("sdpa" if able else "eager")


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradient_checkpoints_change_nothing_but_how_often_a_layer_runs(tokenizer, dropout):
    if tokenizer.config.model_type in ("xlnet", "albert"):
        with pytest.raises(InputError, match=r"of type (xlnet|albert) has no gradient checkpointing$"):
            encoder(tokenizer, gradient_checkpointing=True)
        return
    batch = batch_of(documents(), tokenizer)
    plain = encoder(tokenizer, dropout=dropout).train()
    model = encoder(tokenizer, dropout=dropout, gradient_checkpointing=True).train()
    runs = [_runs_of_a_layer(plain), _runs_of_a_layer(model)]
    expected, found = gradients(plain, batch), gradients(model, batch)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    assert len(runs[1]) == 2 * len(runs[0]) > 0  # in the forward and in the backward pass
    for mode in (torch.enable_grad, torch.inference_mode):
        for each, of in zip((plain, model), runs, strict=True):
            of.clear()
            with mode():
                each.eval()(batch)
        assert len(runs[1]) == len(runs[0]) > 0


def _runs_of_a_layer(model):
    runs = []
    first = next(module for module in model.transformer.modules() if isinstance(module, nn.Linear))
    first.register_forward_hook(lambda *_: runs.append(1))
    return runs


class Counting:
    """A backend that compiles nothing and counts what it is given."""

    def __init__(self):
        self.graphs = 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        return graph.forward


def sized_batches(tokenizer):
    """Batches of 1 to 7 windows, of many lengths, with and without padding."""
    many = [document(TEXT[:count], name=str(count)) for count in (1, 2, 3, 4)]
    many += [document([word] * 3) for word in ("asthma", "velorin")]
    for size in (2, 1, 3, 5, 6):
        for first in range(0, 6, 2):
            yield batch_of((many[first:] + many)[:size], tokenizer)


@pytest.mark.parametrize(
    ("family", "checkpointing"),
    [
        ("bert_cased", True),
        *(
            pytest.param(*each, marks=pytest.mark.trial)
            for each in (("bert_cased", False), ("modernbert", False), ("deberta", False))
        ),
    ],
)
def test_compiled_once_whatever_the_sizes(family, checkpointing, tmp_path):
    tokenizer = SubwordTokenizer.build([], name=str(checkpoint(family, tmp_path)), max_length=40, overlap=6)
    torch._dynamo.reset()
    backend = Counting()
    plain = encoder(tokenizer, max_padding=0.1)
    model = encoder(tokenizer, max_padding=0.1, gradient_checkpointing=checkpointing, compile=backend)
    assert model.state_dict().keys() == plain.state_dict().keys()
    for training in (True, False):
        plain.train(training)
        model.train(training)
        shapes, before = seen_by(plain), backend.graphs
        with torch.inference_mode(not training):
            for batch in sized_batches(tokenizer):
                torch.manual_seed(0)
                expected = plain(batch)
                torch.manual_seed(0)
                torch.testing.assert_close(model(batch), expected, atol=1e-5, rtol=0)
        assert len({inputs["input_ids"].shape for inputs in shapes}) > 6
        assert backend.graphs - before == 2  # one window alone, and any other number of them
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_a_copy_of_a_compiled_encoder_is_compiled_too():
    """As the moving average of the weights is."""
    many = random_documents(3)
    tokenizer = subwords(many)
    torch._dynamo.reset()
    backend = Counting()
    model = encoder(tokenizer, compile=backend)
    batch = batch_of(many, tokenizer)
    words = model(batch)
    copy = deepcopy(model)
    copy.transformer.embeddings.word_embeddings.weight.data.zero_()
    assert not torch.allclose(copy(batch), words)
    assert torch.equal(model(batch), words)
    assert copy.transformer._compiled_call_impl is not None
    assert backend.graphs >= 1


def test_compiling_can_be_switched_off():
    many = random_documents(2)
    tokenizer = subwords(many)
    backend = Counting()
    model = nn.ModuleDict({"encoder": encoder(tokenizer, compile=backend)})
    compile_with(model, None)
    model["encoder"](batch_of(many, tokenizer))
    assert backend.graphs == 0
    compile_with(model, "nonsense")
    with pytest.raises(InputError, match=r"^encoder: compile=nonsense: Invalid backend") as error:
        model["encoder"](batch_of(many, tokenizer))
    assert "\n" not in str(error.value)


@pytest.mark.trial
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_inductor(monkeypatch, tmp_path):
    """Compiled code: to 1e-5 in the words and a thousandth in the gradients."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()
    counters.clear()
    many = random_documents(8)
    tokenizer = subwords(many)
    plain, model = encoder(tokenizer), encoder(tokenizer, compile="inductor")
    model.load_state_dict(plain.state_dict())
    for size in (3, 5, 1, 8, 2):
        batch = batch_of(many[:size], tokenizer)
        expected, expected_gradients = gradients(plain, batch)
        found, found_gradients = gradients(model, batch)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(found_gradients, expected_gradients, atol=1e-3, rtol=1e-3)
    assert counters["stats"]["unique_graphs"] <= 2


def half(model, batch, device, dtype):
    """Words or logits in full and in half precision."""
    model, batch = model.to(device), batch.to(device)
    with torch.no_grad():
        full = model(batch)
        with torch.autocast(device, dtype):
            return full, model(batch)


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
PRECISIONS = [
    pytest.param("cpu", torch.bfloat16, 0.03, id="bf16-cpu"),
    pytest.param("cuda", torch.bfloat16, 0.03, id="bf16-gpu", marks=needs_gpu),
    pytest.param("cuda", torch.float16, 0.005, id="fp16-gpu", marks=needs_gpu),
]


@pytest.mark.parametrize(("device", "dtype", "tolerance"), PRECISIONS)
def test_words_in_half_precision(tokenizer, device, dtype, tolerance):
    """Words have a length of about 1 in each channel; they are wrong by the tolerance at most, and float32."""
    full, found = half(encoder(tokenizer), batch_of(documents(), tokenizer), device, dtype)
    assert found.dtype == torch.float32
    assert not torch.equal(found, full)
    torch.testing.assert_close(found, full, atol=tolerance, rtol=0)


@pytest.mark.parametrize(("device", "dtype", "tolerance"), PRECISIONS)
def test_logits_in_half_precision(device, dtype, tolerance):
    many = random_documents(6)
    torch.manual_seed(0)
    model = glre(subwords(many)).eval()
    full, found = half(model, batch_of(many, subwords(many)), device, dtype)
    assert not torch.equal(found.float(), full)
    torch.testing.assert_close(found.float(), full, atol=tolerance, rtol=0)


# The configs


@pytest.fixture(scope="module")
def roomy(tmp_path_factory):
    return checkpoint("modernbert", tmp_path_factory.mktemp("roomy"), length=8192)


@pytest.mark.parametrize("name", CONFIGS)
def test_configs(name, roomy, monkeypatch):
    """Every config builds an encoder; models of the hub are replaced by a tiny one."""
    asked = []
    for source in (AutoConfig, AutoTokenizer, AutoModel):
        load = source.from_pretrained
        monkeypatch.setattr(
            source,
            "from_pretrained",
            lambda place, load=load, **options: asked.append(str(place)) or load(roomy, **options),
        )
    overrides = [
        f"encoder={name}",
        "frozen=null",
        *(["encoder.tokenizer.name=any/name"] if name == "hf" else []),
    ]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("train", overrides=overrides).encoder
    assert set(config) == {"name", "lr", "tokenizer", "module"}
    assert config.name == name
    tokenizer = instantiate(config.tokenizer)(line.split() for line in TEXT * 2)
    model = instantiate(config.module)(tokenizer)
    batch = batch_of(documents(), tokenizer)
    assert model(batch).shape == (sum(word_counts(batch)), model.out_channels)
    if "name" in config.tokenizer and "package" not in config.tokenizer:
        assert config.tokenizer.name in asked
    assert (name in ("bilstm", "bilstm_small", "tiny", "words")) == (not asked)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("vocab_size", 10**9, r"config.json: [\d,]+ parameters, in [\d,]+ bytes of weights"),
        ("num_hidden_layers", 10**6, "config.json: more than 1000 layers"),
    ],
)
def test_a_model_is_no_larger_than_its_weights(tmp_path, field, value, problem):
    folder = checkpoint("bert_cased", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {field: value}))
    with pytest.raises(InputError, match=problem):
        encoder(SubwordTokenizer.build([], name=str(folder), max_length=40, overlap=6))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "added_tokens.json"])
def test_no_pipe_is_waited_for(tmp_path, name):
    folder = checkpoint("bert_cased", tmp_path)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(InputError, match=f"{name}: not a regular file"):
        SubwordTokenizer.build([], name=str(folder), max_length=40, overlap=6)
