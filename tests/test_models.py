"""Every model of MODELS, on every kind of encoder that it takes."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from safetensors.torch import load_model, save_model
from torch_geometric.data import Batch

from documents import (
    LABELS,
    annotated,
    batch_of,
    bilstm,
    by_name,
    empty,
    no_entity,
    no_pair,
    odd_documents,
    random_document,
    random_documents,
    relabelled,
    subwords,
    transformer,
    vocabulary,
)
from glre_pyg.data.graph import documents_of_pairs
from glre_pyg.data.parser import UPOS
from glre_pyg.nn.linear_fitting import HashedLinear
from glre_pyg.runs.prediction import encode_once, predict, score_pairs
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError

MODELS = {
    "atlop": ["transformer"],
    "docunet": ["transformer"],
    "dreeam": ["transformer"],
    "eog": ["transformer", "bilstm"],
    "gain": ["transformer", "bilstm"],
    "glre": ["transformer", "bilstm"],
    "glre_plus": ["transformer", "bilstm"],
    "gu_cnn_me": ["transformer", "bilstm"],
    "nguyen_char": ["transformer", "bilstm"],
    "panyam_kernel": ["bilstm"],
    "shallow": ["bilstm"],
    "ssan": ["transformer"],
    "tang_hin": ["bilstm"],
    "verga_bran": ["bilstm"],
    "wang_two_step": ["transformer", "bilstm"],
    "yao_bilstm": ["transformer", "bilstm"],
    "yao_cnn": ["bilstm"],
    "yao_context": ["bilstm"],
    "yao_lstm": ["bilstm"],
    "zhang_gcn": ["transformer", "bilstm"],
    "zhou_hybrid": ["transformer", "bilstm"],
    "zheng_hierarchical": ["transformer", "bilstm"],
}
"""Names of the files in ``conf/model``, and the encoders that each model is tested with."""

ENCODERS = {"transformer": (subwords, transformer), "bilstm": (vocabulary, bilstm)}
DOCUMENTS = [*odd_documents(), *random_documents(6)]
every_model = pytest.mark.parametrize(
    ("name", "encoder"), [(name, encoder) for name, encoders in MODELS.items() for encoder in encoders]
)


def close(one, other, tolerance=1e-5):
    torch.testing.assert_close(one, other, atol=tolerance, rtol=0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def config_of(name, *overrides):
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose("train", overrides=[f"model={name}", "encoder=tiny", *overrides])


def built(name, encoder, documents=DOCUMENTS, overrides=(), **sizes):
    """A model with the settings of its YAML file on a small encoder, hardly regularized, and its tokenizer."""
    config = config_of(name, *overrides).model
    learn, make = ENCODERS[encoder]
    if config.get("marker"):
        sizes["marker"] = config.marker
    tokenizer = learn(documents, **sizes)
    encoder = {"encoder": make()} if "encoder" in config else {}
    model = instantiate(config)(tokenizer, len(LABELS.relations), **encoder)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, HashedLinear):
            module.cost = 100.0
    if config.get("parse") or config.get("characters"):
        tokenizer = annotated(tokenizer, parse=config.get("parse"), characters=config.get("characters", 0))
    model.prefit([tokenizer(LABELS.graph(each)) for each in documents])
    return model, tokenizer


def trained_parameters(model):
    """By name; those that scikit-learn fits are none."""
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


def test_every_yaml_file_of_a_model_is_in_the_list():
    assert sorted(path.stem for path in Path(config_dir(), "model").glob("*.yaml")) == sorted(MODELS)


@pytest.mark.parametrize("name", ["atlop", "docunet", "dreeam", "ssan"])
def test_another_encoder_is_an_error_in_a_line(name):
    with pytest.raises(InputError, match=r"^encoder"):
        built(name, "bilstm")


@pytest.mark.parametrize("name", [name for name in MODELS if config_of(name).model.get("marker")])
def test_a_tokenizer_without_markers_is_an_error_in_a_line(name):
    model = instantiate(config_of(name).model)
    with pytest.raises(InputError, match=r"^encoder\.tokenizer\.marker: "):
        model(subwords(DOCUMENTS), len(LABELS.relations), encoder=transformer())


@pytest.mark.parametrize("name", MODELS)
def test_every_model_cites_its_paper(name):
    assert "https://" in get_class(config_of(name).model._target_).citation


@every_model
def test_logits_of_all_pairs_are_finite(name, encoder):
    model, tokenizer = built(name, encoder)
    batch = batch_of(DOCUMENTS, tokenizer)
    logits = model(batch)
    assert logits.shape == (batch.pair_index.size(1), model.loss.num_logits)
    assert logits.isfinite().all()
    probabilities = model.probabilities(logits)
    assert probabilities.shape == (len(logits), len(LABELS.relations))
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@every_model
def test_every_parameter_gets_a_finite_gradient(name, encoder):
    documents = random_documents(6)
    model, tokenizer = built(name, encoder, documents)
    batch = batch_of(documents, tokenizer)
    loss, trained = model.loss(model(batch), batch.pair_label), trained_parameters(model)
    if trained:
        loss.backward()
    assert [name for name, parameter in trained.items() if parameter.grad is None] == []
    assert all(parameter.grad.isfinite().all() for parameter in trained.values())


@every_model
def test_renumbering_entities_and_mentions_permutes_the_logits(name, encoder):
    model, tokenizer = built(name, encoder)
    model.eval()
    for each in random_documents(3):
        graph = tokenizer(LABELS.graph(each))
        entity, mention = (torch.randperm(graph[kind].num_nodes) for kind in ("entity", "mention"))
        other = relabelled(graph, entity, mention)
        expected, found = by_name(model(graph), graph), by_name(model(other), other)
        assert found.keys() == expected.keys()
        for pair, row in expected.items():
            close(found[pair], row)


@every_model
def test_a_document_has_the_same_logits_in_any_batch(name, encoder):
    model, tokenizer = built(name, encoder)
    model.eval()
    batch = batch_of(DOCUMENTS, tokenizer)
    logits, document = model(batch), documents_of_pairs(batch)
    for number, each in enumerate(DOCUMENTS):
        close(model(tokenizer(LABELS.graph(each))), logits[document == number])


@every_model
@pytest.mark.parametrize("documents", [[no_pair(), no_entity(), empty()], [empty()]])
def test_a_batch_without_pairs_has_no_logits_and_a_loss_of_zero(name, encoder, documents):
    model, tokenizer = built(name, encoder)
    batch = batch_of(documents, tokenizer)
    logits = model(batch)
    assert logits.shape == (0, model.loss.num_logits)
    assert model.loss(logits, batch.pair_label) == 0


@pytest.mark.parametrize("name", ["gain", "ssan", "tang_hin", "yao_bilstm", "yao_cnn"])
def test_models_of_types_read_those_of_mentions(name):
    model, tokenizer = built(name, MODELS[name][0])
    assert _changes_with_types(model.eval(), tokenizer)


@pytest.mark.parametrize("name", ["gain", "ssan", "tang_hin"])
def test_types_of_mentions_can_be_left_out(name):
    model, tokenizer = built(name, MODELS[name][0], overrides=["layer/features=none"])
    assert not _changes_with_types(model.eval(), tokenizer)


def _changes_with_types(model, tokenizer):
    batch = batch_of(DOCUMENTS, tokenizer)
    before, batch["mention"].type = model(batch), batch["mention"].type.flip(0)
    return not torch.equal(model(batch), before)


@pytest.mark.parametrize("name", [name for name in MODELS if config_of(name).model.get("parse")])
def test_models_that_read_parts_of_speech_ask_for_them(name):
    model, tokenizer = built(name, MODELS[name][-1])
    batch = batch_of(DOCUMENTS, tokenizer)
    before, batch.pos = model.eval()(batch), (batch.pos + 1) % len(UPOS)
    assert torch.equal(model(batch), before) != config_of(name).model.get("tags", False)


@pytest.mark.parametrize("name", [name for name in MODELS if "transformer" in MODELS[name]])
def test_words_are_computed_once_for_models_that_need_no_more_of_the_encoder(name):
    model, tokenizer = built(name, "transformer")
    model.encoder.trainable = False
    graphs = [tokenizer(LABELS.graph(each)) for each in random_documents(2)]
    encode_once(model, graphs, batch_size=2, device="cpu")
    model.encoder.transformer = None
    if model.reads_features:
        assert model(Batch.from_data_list(graphs)).isfinite().all()
    else:
        assert not any("features" in graph for graph in graphs)


@every_model
def test_half_precision_is_close_to_full(name, encoder):
    model, tokenizer = built(name, encoder)
    model.eval()
    batch = batch_of(DOCUMENTS, tokenizer)
    full = model.probabilities(model(batch))
    with torch.autocast("cpu", torch.bfloat16):
        half = model.probabilities(model(batch))
    close(half, full, tolerance=0.03)


@every_model
def test_weights_survive_safetensors(name, encoder, tmp_path):
    model, tokenizer = built(name, encoder)
    other, _ = built(name, encoder)
    batch = batch_of(DOCUMENTS, tokenizer)
    save_model(model, str(tmp_path / "model.safetensors"))
    load_model(other, str(tmp_path / "model.safetensors"))
    assert torch.equal(model.eval()(batch), other.eval()(batch))


@pytest.mark.parametrize("name", MODELS)
def test_four_documents_are_memorized(name):
    encoder = MODELS[name][0]
    documents = random_documents(4, entities=(3, 4), composites=0.0)
    model, tokenizer = built(name, encoder, documents)
    batch = batch_of(documents, tokenizer)
    trained = trained_parameters(model).values()
    optimizer = torch.optim.Adam(trained, lr=3e-3) if trained else None
    graphs = [tokenizer(LABELS.blind_graph(each)) for each in documents]
    for _ in range(20):
        for _ in range(20 if trained else 0):
            optimizer.zero_grad()
            model.loss(model(batch), batch.pair_label).backward()
            optimizer.step()
        pairs = score_pairs(documents, graphs, predict(model, graphs, batch_size=3), LABELS)
        if pairs.score(0.5, filtered=True).f1 == 1:
            break
    assert pairs.score(0.5, filtered=True).f1 == 1
    assert 0 < pairs.gold() < len(pairs.heads)


@pytest.mark.parametrize("name", [name for name in MODELS if "transformer" in MODELS[name]])
def test_a_document_in_several_windows(name):
    long = random_document("long", sentences=(6, 6), words=(8, 12), entities=(6, 6))
    model, tokenizer = built(name, "transformer", [long], max_length=24, overlap=5)
    graph = tokenizer(LABELS.graph(long))
    assert graph.window_index.max() >= 2
    logits = model.eval()(graph)
    assert logits.isfinite().all()
    batch = batch_of([DOCUMENTS[-1], long], tokenizer)
    close(model(batch)[documents_of_pairs(batch) == 1], logits)
