"""Wrong settings end in one line that names the setting, its value and what is allowed, before anything is read."""

from typing import get_args

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import OmegaConf

from commands import run
from glre_pyg import predict
from glre_pyg.__main__ import COMMANDS
from glre_pyg.formats.detection import FORMATS
from glre_pyg.train import Settings
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.settings import _hints, check_settings

WHOLE, FROM_ZERO, POSITIVE = "a whole number from 1", "a whole number from 0", "a positive number"
SHARE, RATE, BOOL = "a number from 0 to 1", "a number from 0 to below 1", "true or false"
SEED = "a whole number from 0 to 2^32 - 1"
WRONG = {
    "training.epochs": (WHOLE, "0 -1 1.5 x null true [1] 9999999999"),
    "training.batch_size": (WHOLE, "0 -1 nan null"),
    "training.accumulation": (WHOLE, "0 x"),
    "training.warmup": (SHARE, "nan -0.1 1.1 inf x"),
    "training.decay": (BOOL, "3 x null"),
    "training.max_norm": (f"{POSITIVE} or null", "-1 0 nan inf x"),
    "training.patience": (f"{WHOLE} or null", "0 -1 x"),
    "training.first_evaluation": (WHOLE, "0 x"),
    "training.ema": (f"{RATE} or null", "1 -0.1 nan x"),
    "training.precision": ("one of no, bf16, fp16", "foo 16 null"),
    "seed": (SEED, "-1 x 1.5 4294967296 null"),
    "cases": (FROM_ZERO, "-1 x"),
    "setting": ("one of train, train+dev", "foo null 3"),
    "strict": (BOOL, "3 x null"),
    "mask_rate": (RATE, "2 1 -0.1 nan x"),
    "frozen": ("a regular expression or null", "'(' [a]"),
    "scaled_context": (BOOL, "3"),
    "eval_batch_size": (WHOLE, "0 -1 x"),
    "memory": (f"{POSITIVE} or null", "nan inf 0 -1 abc true"),
    "cache": ("a folder or false or null", "7 true"),
    "optimizer.lr": (POSITIVE, "-1 0 nan inf x null"),
    "optimizer.weight_decay": ("a number from 0", "-1 nan x"),
    "encoder.lr": (f"{POSITIVE} or null", "-1 x"),
    "model.query": ("one of global, initial", "foo 3 null"),
    "model.nodes.hidden_channels": (WHOLE, "0 -8 x"),
    "model.nodes.type_channels": (WHOLE, "0 x"),
    "model.distance.num_bins": (WHOLE, "0 x"),
    "model.distance.zero_is_fixed": (BOOL, "3"),
    "model.classifier.dropout": (RATE, "1 2 -1 nan"),
    "model.classifier.num_hidden": (FROM_ZERO, "-1 x"),
    "model.encoder": ("a config with _target_", "null 3"),
    "layer.local.heads": (WHOLE, "0 x"),
    "layer.global.num_layers": (WHOLE, "0 x"),
    "layer.global.norm": ("one of relation, node", "foo"),
    "layer.context.diagonal": (BOOL, "x"),
    "encoder.module.pooling": ("one of mean, first", "foo"),
    "encoder.module.trainable": (BOOL, "x"),
    "encoder.module.max_tokens": (f"{WHOLE} or null", "0 x"),
    "encoder.module.max_padding": (f"{SHARE} or null", "-1 1.5 nan"),
    "encoder.tokenizer.max_length": (WHOLE, "0 x"),
    "encoder.tokenizer.overlap": (FROM_ZERO, "-1 x"),
    "thresholds.loss.reduction": ("one of mean, sum", "foo"),
    "thresholds.loss.na_keep": (SHARE, "2 nan"),
    "dataset.sizes.train": (f"a mapping to {FROM_ZERO}", ""),
    "dataset.corpus.affirmed": (SHARE, "2 nan x"),
    "dataset.corpus.gap": (f"a list of {FROM_ZERO} and {FROM_ZERO}", "3 [-1,1] [1] null"),
}
CASES = [(name, value, allowed) for name, (allowed, values) in WRONG.items() for value in values.split()]


def composed(command, *overrides):
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose(command, overrides=list(overrides))


def error_of(config, schema, overrides=()):
    with pytest.raises(InputError) as caught:
        check_settings(config, schema, overrides)
    return str(caught.value)


@pytest.mark.parametrize(("name", "value", "allowed"), CASES)
def test_a_wrong_setting_of_train_is_named_with_what_is_allowed(name, value, allowed):
    line = error_of(composed("train", f"{name}={value}"), Settings)
    assert line.startswith(f"{name}: '")
    assert line.endswith(f"' is not {allowed}")


def test_the_line_shows_the_value():
    assert error_of(composed("train", "seed=-1"), Settings) == f"seed: '-1' is not {SEED}"
    assert error_of(composed("train", "mask_rate=null"), Settings).startswith("mask_rate: 'null' is")


def test_an_unknown_setting_of_a_layer_is_named():
    line = error_of(composed("train", "+layer.local.width=3"), Settings)
    assert line.startswith("layer.local.width: is not a setting of glre_pyg.nn.local.LocalAttention")


def test_a_missing_class_is_named():
    line = error_of(composed("train", "layer.local._target_=nowhere.Layer"), Settings)
    assert line.startswith("layer.local._target_: there is no 'nowhere.Layer' here")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "dataset._target_=glre_pyg.models.glre.GLRE",
            "dataset._target_: 'glre_pyg.models.glre.GLRE' is not a Corpus",
        ),
        ("+dataset._partial_=true", "dataset._partial_: 'true' is not false"),
        ("model._partial_=false", "model._partial_: 'false' is not true"),
        (
            "+layer.local.channels=3",
            "layer.local.channels: is not a setting of glre_pyg.nn.local.LocalAttention",
        ),
        (
            "model.local_layer=${layer.global}",
            "layer.global._target_: 'glre_pyg.nn.rgcn.RGCN' does not take 2",
        ),
        ("model.classifier=${model.nodes}", "model.nodes._target_: 'glre_pyg.nn.nodes.NodeEncoder' is not a"),
        ("thresholds.choose=${thresholds.loss}", "thresholds.loss._target_: 'glre_pyg.nn.loss.BinaryCross"),
        (
            "optimizer.factory=${model.nodes}",
            "model.nodes._target_: 'glre_pyg.nn.nodes.NodeEncoder' is not a",
        ),
        ("+optimizer.factory.params=[1]", "optimizer.factory.params: is not a setting of torch.optim.AdamW"),
        ("training=${dataset}", "dataset._target_: 'glre_pyg.datasets.Synthetic' is not a TrainingSettings"),
        ("encoder.tokenizer=${encoder.module}", "encoder.module._target_: 'glre_pyg.nn.encoder.Trans"),
    ],
)
def test_a_config_of_another_kind_is_named_before_anything_is_read(override, line):
    from glre_pyg.training.preparation import Classes

    config = composed("train", "encoder=tiny")
    name, _, value = override.lstrip("+").partition("=")
    OmegaConf.update(config, name, OmegaConf.from_dotlist([f"x={value}"])._get_node("x"), force_add=True)
    assert error_of(config, Classes).startswith(line)


OTHERS = {
    "evaluate": {"device": "foo cuda:9 meta", "split": "foo", "memory": "nan", "strict": "3", "cache": "7"},
    "predict": {
        "memory": "nan 0",
        "device": "foo meta",
        "threshold": "nan 2 x [0.5]",
        "min_probability": "nan null",
        "chunk": "0 x",
        "max_words": "0",
        "top_k": "-1",
        "max_sentences": "-1",
        "reasons": "3",
        "resume": "null",
        "format": "foo",
    },
    "serve": {
        "min_probability": "2 null",
        "port": "-1 65536 x",
        "dictionaries": "3",
        "limits.max_bytes": "0 x",
        "limits.batch_wait": "-1 2",
        "limits.timeout": "0 nan",
    },
    "stats": {"strict": "null", "cache": "7", "dataset.sizes": "{train:x} 3"},
    "convert": {"lossy": "x", "strict": "x"},
    "submit": {"chunk": "0"},
    "case_study": {"count": "0", "top_k": "-1"},
    "errors": {"inter_only": "x"},
    "compare": {"split": "train", "filtered": "x"},
    "report": {"split": "train"},
}
NEEDED = {
    "evaluate": ["run=r"],
    "predict": ["run=r", "text=a", "output=o.jsonl"],
    "serve": ["run=r"],
    "convert": ["input=i", "output=o"],
    "submit": ["run=r"],
    "case_study": ["run=r", "output=o"],
    "compare": ["runs=r"],
    "report": ["runs=r"],
}


@pytest.mark.parametrize("command", OTHERS)
def test_wrong_settings_of_other_commands_end_in_a_line(command, tmp_path):
    for name, values in OTHERS[command].items():
        for value in values.split():
            _, err = run(command, *NEEDED.get(command, []), f"{name}={value}", cwd=tmp_path, code=2)
            assert err.startswith(f"error: {name}: '"), (name, value, err)
            assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_predict_reads_every_format_by_name():
    assert {*FORMATS, "spacy", "corpus"} == {*get_args(predict.Format)}


def test_every_setting_of_a_command_has_a_type():
    for command in COMMANDS:
        schema = get_object(f"glre_pyg.{command}.Settings")
        groups = {"encoder", "optimizer", "dataset", "layer", "model", "thresholds", "training", "mentions"}
        assert composed(command).keys() - groups - {"table", "rdf"} <= _hints(schema).keys(), command


@pytest.mark.parametrize("name", [*FORMATS, "spacy", "corpus"])
def test_predict_takes_every_format(name):
    from glre_pyg.predict import Settings

    check_settings(composed("predict", f"format={name}"), Settings)


@pytest.mark.parametrize(
    ("given", "text"), [("run=0", "0"), ("run=1e-4", "1e-4"), ("run=true", "true"), ("run=1_0", "1_0")]
)
def test_a_number_where_a_text_is_expected_is_the_text_that_was_written(given, text):
    from glre_pyg.evaluate import Settings

    config = composed("evaluate", given)
    check_settings(config, Settings, [given])
    assert config.run == text


def test_lists_of_numbers_are_names_too():
    from glre_pyg.compare import Settings

    config = composed("compare", "runs=[0,1]")
    check_settings(config, Settings)
    assert config.runs == ["0", "1"]


def test_a_mapping_with_quoted_keys_is_read(tmp_path):
    namespaces = "{'(Chemical|Disease)/[CD][0-9]+': 'http://id.nlm.nih.gov/mesh/'}"
    with initialize_config_dir(config_dir(), version_base="1.3"):
        settings = compose("predict", [f'rdf.namespaces="{namespaces}"', "run=x", "output=y.nt"])
    check_settings(settings, predict.Settings)
    assert settings.rdf.namespaces == {"(Chemical|Disease)/[CD][0-9]+": "http://id.nlm.nih.gov/mesh/"}
    for wrong in ("3", "{a: 3}", "'{a'"):
        with initialize_config_dir(config_dir(), version_base="1.3"):
            settings = compose("predict", [f"rdf.namespaces={wrong}", "run=x", "output=y.nt"])
        with pytest.raises(InputError, match=r"rdf.namespaces: .* is not a mapping to a text or null"):
            check_settings(settings, predict.Settings)
