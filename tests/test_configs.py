"""Every config composes, and every choice of a layer, an optimizer or an experiment trains a step."""

from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from checkpoints import checkpoint
from documents import random_documents
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.detection import write_documents
from glre_pyg.formats.docred_json import write_docred
from glre_pyg.formats.pubtator_writer import write_pubtator
from glre_pyg.runs.directory import read_scores
from glre_pyg.runs.loading import load
from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir

CONF = Path(config_dir())
GROUPS = (
    "dataset",
    "encoder",
    "layer/global",
    "layer/local",
    "layer/context",
    "layer/features",
    "model",
    "thresholds",
    "optimizer",
    "training",
    "track",
)
SMALL = [
    "encoder=tiny",
    "dataset.sizes.train=6",
    "dataset.sizes.dev=3",
    "dataset.sizes.test=3",
    "training.epochs=1",
    "model.nodes.hidden_channels=16",
]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=list(overrides))


@pytest.mark.parametrize(
    ("group", "option"), [(group, option) for group in GROUPS for option in options(group)]
)
def test_every_option_composes(group, option):
    config = composed(f"{group}={option}")
    missing = OmegaConf.missing_keys(config)
    assert all(key.startswith(("dataset.", "encoder.tokenizer.name")) for key in missing)
    if not missing:
        OmegaConf.to_container(config, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize(
    "name",
    [
        "evaluate",
        "predict",
        "serve",
        "stats",
        "convert",
        "submit",
        "report",
        "compare",
        "case_study",
        "errors",
    ],
)
def test_every_command_composes(name):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert compose(name)


@pytest.mark.parametrize("recipe", options("recipe"))
def test_every_recipe_is_of_a_model_a_dataset_and_an_encoder_and_sets_values_only(recipe):
    others = {*OmegaConf.load(CONF / f"recipe/{recipe}.yaml").get("defaults", [])} - {"_self_"}
    assert others <= {*options("recipe")}
    if recipe == "paper":
        return
    model = max((each for each in options("model") if recipe.startswith(f"{each}_")), key=len)
    dataset, encoder = recipe.removeprefix(f"{model}_").split("_", 1)
    assert dataset in options("dataset")
    assert encoder in options("encoder")
    composed(f"model={model}", f"dataset={dataset}", f"encoder={encoder}")


PAPER = {
    "mask_rate": 0.0,
    "frozen": None,
    "start": None,
    "training.ema": None,
    "model.query": "global",
    "model.distance.zero_is_fixed": False,
    "layer.local._target_": "glre_pyg.nn.local.LocalAttention",
    "layer.global._target_": "glre_pyg.nn.rgcn.RGCN",
    "layer.global.norm": "relation",
    "layer.global.message_bias": False,
    "layer.global.self_loops": False,
    "layer.context._target_": "glre_pyg.nn.context.ContextAttention",
    "layer.context.diagonal": False,
    "layer.context.scaled": False,
    "thresholds.loss._target_": "glre_pyg.nn.loss.BinaryCrossEntropy",
    "thresholds.loss.reduction": "sum",
    "thresholds.loss.na_column": False,
    "thresholds.loss.na_keep": 1.0,
    "optimizer.factory._target_": "torch.optim.Adam",
    "optimizer.weight_decay": 0.0,
    "encoder.module.trainable": True,
    "encoder.module.frozen": None,
    "encoder.module.mask_rate": 0.0,
}
"""The paper's model and loss, as far as it states them."""
WITHOUT = {
    "table4_without_global": {"layer.global._target_": "glre_pyg.nn.rgcn.NoGlobal"},
    "table4_without_local": {"layer.local._target_": "glre_pyg.nn.local.NoLocal"},
    "table4_without_context": {"layer.context._target_": "glre_pyg.nn.context.NoContext"},
    "table4_without_bert": {"encoder.module._target_": "glre_pyg.nn.recurrent.BiLSTM"},
}
OURS = [each for each in options("experiment") if each.startswith(("table", "figure"))]
BENCH = [each for each in options("experiment") if each.startswith("bench_")]


@pytest.mark.parametrize("experiment", OURS)
@pytest.mark.parametrize("others", [[], ["dataset=docred", "encoder=bert_base"], ["encoder=minilm"]])
def test_an_experiment_of_the_paper_is_the_papers_model_and_nothing_else(experiment, others):
    config = composed(f"experiment={experiment}", *others)
    expected = PAPER | (WITHOUT.get(experiment, {}) if not others or "bert" not in experiment else {})
    group = experiment.removeprefix("table4_without_")
    if group in ("global", "local", "context"):  # what is left out has no values
        expected = {k: v for k, v in expected.items() if not k.startswith(f"layer.{group}.")} | WITHOUT[
            experiment
        ]
    if config.encoder.name == "bilstm":
        expected = {k: v for k, v in expected.items() if not k.startswith("encoder.module.")} | WITHOUT[
            experiment
        ]
    missing = object()
    for key, value in expected.items():
        assert OmegaConf.select(config, key, default=missing) == value, key
    assert all(rate is None or rate == config.encoder.lr for rate in config.optimizer.groups.values())


def test_rows_of_table_5_differ_in_the_encoder_alone():
    rows = [
        OmegaConf.to_container(composed(f"experiment={each}"), resolve=True)
        for each in OURS
        if each.startswith("table5_")
    ]
    assert len(rows) == 4
    for row in rows:
        for name in ("encoder", "name"):
            row.pop(name)
        row["model"].pop("encoder")
        row["optimizer"].pop("groups")  # the learning rate of each encoder
    assert all(row == rows[0] for row in rows)


def test_a_recipe_is_of_one_encoder_and_no_experiment_of_the_paper_has_one():
    assert composed("dataset=cdr").mask_rate > 0
    assert composed("dataset=cdr", "encoder=biobert").mask_rate == 0
    assert composed("experiment=table2_glre", "encoder=minilm").mask_rate == 0


def test_a_recipe_is_overridden_on_the_command_line():
    assert composed("dataset=cdr").mask_rate > 0
    assert composed("dataset=cdr", "mask_rate=0").mask_rate == 0


@pytest.mark.parametrize(
    "choice",
    [
        "encoder=bilstm",
        "layer/global=none",
        "layer/local=none",
        "layer/context=none",
        "layer.global.norm=node",
        "layer.context.diagonal=true",
        "model.query=initial",
        "thresholds.loss.na_column=true",
        "thresholds.loss.reduction=mean",
        "thresholds.loss.na_keep=0.5",
        "thresholds=relation",
        "thresholds=adaptive",
        "optimizer=amsgrad",
        "training.precision=bf16",
        "training.accumulation=2",
        "encoder.module.trainable=false",
        "encoder.module.max_tokens=64",
        "encoder.module.max_padding=null",
        "encoder.module.gradient_checkpointing=true",
        pytest.param("encoder.module.compile=eager", marks=pytest.mark.trial),  # test_encoder has a witness
    ],
)
def test_every_choice_trains_and_can_be_loaded(choice, tmp_path):
    run = train(composed(*SMALL, choice), tmp_path)
    document = next(SyntheticCorpus().generate("new", 1))
    expected, found = (
        each.model(each.graphs([document])[0])
        for each in (replace(run, model=run.model.eval()), load(tmp_path))
    )
    assert (expected == found).all()


@pytest.fixture
def cdr(tmp_path):
    """A folder like CDR's, with invented documents."""
    for split, name in {"train": "Training", "dev": "Development", "test": "Test"}.items():
        documents = SyntheticCorpus(bridged=0).generate(split, 4)
        write_pubtator(documents, tmp_path / f"CDR_{name}Set.PubTator.txt")
    (tmp_path / "2017MeshTree.txt").write_text("Tree Number\tDesc Ui\tTerm\nC01\tD0001\tdisease\n")
    return tmp_path


@pytest.fixture
def docred(tmp_path):
    """A folder like DocRED's, with invented documents."""
    types = {"Chemical": "PER", "Disease": "LOC", "Gene": "ORG"}
    relations = {"causes": "P17", "treats": "P27"}
    for split, name in {"train": "train_annotated", "dev": "dev", "test": "test"}.items():
        documents = [
            replace(
                each,
                mentions=tuple(replace(of, type=types[of.type]) for of in each.mentions),
                facts=tuple(replace(of, relation=relations[of.relation]) for of in each.facts),
            )
            for each in random_documents(4, composites=0, name=None)
        ]
        hidden = [replace(each, facts=()) for each in documents] if split == "test" else documents
        write_docred(hidden, tmp_path / f"{name}.json", lossy=True)
        write_docred(documents, tmp_path / f"{split}_revised.json", lossy=True)
    return tmp_path


@pytest.fixture
def biored(tmp_path):
    """A folder like BioRED's, with invented documents."""
    types = {
        "Chemical": "ChemicalEntity",
        "Disease": "DiseaseOrPhenotypicFeature",
        "Gene": "GeneOrGeneProduct",
    }
    for split in ("train", "dev", "test"):
        documents = [
            replace(
                each,
                mentions=tuple(replace(of, type=types[of.type]) for of in each.mentions),
                facts=tuple(replace(of, relation="Positive_Correlation") for of in each.facts),
            )
            for each in SyntheticCorpus(bridged=0).generate(split, 4)
        ]
        write_documents(documents, tmp_path / f"{split.title()}.PubTator", "biored")
    return tmp_path


@pytest.mark.parametrize("experiment", options("experiment"))
@pytest.mark.filterwarnings("ignore:.*sha256")
def test_every_experiment_trains_a_step(experiment, cdr, docred, biored, tmp_path):
    config = composed(f"experiment={experiment}", "training.epochs=1")
    if "name" in config.encoder.tokenizer:
        folder = checkpoint("bert_cased", tmp_path / "bert", length=128)
        config.encoder.tokenizer.update({"name": str(folder), "max_length": 128, "overlap": 16})
    if "sizes" in config.dataset:
        config.dataset.sizes = {"train": 6, "dev": 3, "test": 3}
    else:
        corpus = config.dataset._target_.rpartition(".")[2]
        config.dataset.root = str({"CDR": cdr, "BioRED": biored}.get(corpus, docred))
        config.training.batch_size = 4
    run = train(config, tmp_path / "run")
    scores = read_scores(tmp_path / "run")
    assert scores["best_epoch"] == 1
    assert ("test" in scores) == (not config.dataset._target_.endswith(".DocRED"))  # which is not labelled
    assert run.config.name == config.name


@pytest.mark.parametrize("layer", ["global", "local", "context"])
@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_layer_of_an_experiment_can_be_left_out(experiment, layer):
    config = composed(f"experiment={experiment}", f"layer/{layer}=none")
    assert set(config.layer[layer]) == {"_target_", "_partial_"}


@pytest.mark.parametrize("experiment", BENCH)
def test_models_of_the_bench_differ_in_nothing_else(experiment):
    rows = {}
    for model in options("model"):
        row = OmegaConf.to_container(composed(f"experiment={experiment}", f"model={model}"), resolve=True)
        assert row.pop("name") is None  # the command takes the choice of model
        assert row["report"] == "bench"
        row["encoder"]["tokenizer"].pop("marker")  # text around mentions, of models that read it
        for part in ("model", "layer", "thresholds"):
            row.pop(part)
        rows[model] = row
    assert all(row == rows["glre"] for row in rows.values())


def test_a_track_is_the_encoder_of_every_model():
    assert composed("experiment=bench_cdr").encoder.name == "minilm"
    assert composed("experiment=bench_cdr", "track=words").encoder.name == "bilstm"
    assert composed("track=words").encoder.name == "bilstm"
    bilstm, words = (composed(f"encoder={name}").encoder for name in ("bilstm", "words"))
    assert (bilstm.tokenizer, bilstm.module.base) == (words.tokenizer, words.module)


@pytest.mark.parametrize("model", options("model"))
def test_a_model_has_one_sequence_layer_over_word_vectors(model):
    config = composed("track=words", f"model={model}")
    if "encoder" not in config.model:  # of features alone
        return
    encoder = config.model.encoder._target_.rpartition(".")[2]
    assert encoder == (
        "WordEmbedding" if {"sequence", "blocks", "character_vectors"} & config.model.keys() else "BiLSTM"
    )
    assert composed("track=minilm", f"model={model}").model.encoder._target_.endswith(".TransformerEncoder")


def test_the_released_code_differs_from_the_paper_in_these_values():
    released, paper = composed("experiment=released_cdr"), composed("dataset=cdr")
    different = {
        key
        for key in ("norm", "message_bias", "self_loops", "num_layers")
        if released.layer["global"][key] != paper.layer["global"][key]
    }
    assert different == {"norm", "message_bias", "self_loops", "num_layers"}
    assert instantiate(released.optimizer.factory).keywords == {"amsgrad": True, "fused": True}
    assert released.layer.context.diagonal
    assert released.thresholds.loss.na_column
    assert not released.encoder.module.base.trainable
