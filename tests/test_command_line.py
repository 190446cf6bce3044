"""The command line as people type it: file names, texts, misspelt settings, help and versions."""

import argparse
import re
import sys
from contextlib import chdir
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from commands import run, run_process
from documents import two_sentences
from glre_pyg.__main__ import COMMANDS
from glre_pyg.__main__ import main as glre
from glre_pyg.formats.detection import read_documents, write_documents
from glre_pyg.predict import Settings
from glre_pyg.utils.cli import command, config_dir
from glre_pyg.utils.command_line import listed, literal_values

VALUES = [
    "paper (1).txt",
    "Müller.txt",
    "论文.txt",
    "seed=0.txt",
    "o'neil.txt",
    'the "best".txt',
    "a, b and [c] {d}",
    "a#b;c&d!e^f`g~h<i>j",
    "β-blocker caused rash",
    "f(x)",
    "ends with a backslash\\",
    "a \\' b",
    "two\nlines",
    "it's 'quoted', twice",
    "a,b",
    "1e3.txt",
    "50%",
    "C:\\dir\\file",
]


@pytest.mark.parametrize("value", VALUES)
def test_values_are_what_was_typed(value):
    [argument] = literal_values([f"input={value}"])
    assert str(OverridesParser.create().parse_override(argument).value()) == value


@pytest.mark.parametrize(
    "argument",
    [
        "seed=1",
        "run=null",
        "x=[1,2]",
        "x={a: 1}",
        "x='a, b'",
        'x="a, b"',
        "~x",
        "+x=1",
        "x=${y}",
        "--help",
        "-m",
    ],
)
def test_what_hydra_reads_as_one_value_is_left_alone(argument):
    assert literal_values([argument]) == [argument]


@pytest.mark.parametrize("argument", ["seed=0,1", "run=glob(*)", "run=a,b", "x=range(1,3)"])
@pytest.mark.parametrize("flag", ["-m", "--multirun", "hydra.mode=MULTIRUN"])
def test_sweeps_still_have_several_values(argument, flag):
    assert literal_values([flag, argument]) == [flag, argument]
    assert literal_values([flag, "input=a (1), b"]) == [flag, "input='a (1), b'"]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[a,b]", ["a", "b"]),
        ("[]", []),
        ("[ a b , c (1) ]", ["a b", "c (1)"]),
        ("[run[1],run[2]]", ["run[1]", "run[2]"]),
        ("[there, and here,b]", ["there, and here", "b"]),
        ("[b,there, and here]", ["b", "there, and here"]),
        ("[not, here]", ["not", "here"]),
        ("""['a, b',"c, d",o'neil]""", ["a, b", "c, d", "o'neil"]),
        (r"[a\,b,'it\'s, so',C:\x]", ["a,b", "it's, so", r"C:\x"]),
        ("[007,1e3,true,null,seed=0,Müller,{x}]", ["007", "1e3", "true", "null", "seed=0", "Müller", "{x}"]),
    ],
)
def test_a_list_has_the_items_that_were_typed(text, items, tmp_path):
    (tmp_path / "there, and here").mkdir()
    with chdir(tmp_path):
        assert listed(text) == items


def composed(*arguments, cwd):
    """The config with which ``predict`` would run."""
    configs = []
    with (
        chdir(cwd),
        patch.object(sys, "argv", ["predict", *arguments]),
    ):
        command("predict", Settings)(configs.append)()
    return configs[0]


TEXTS = [
    *("1_000", "1e3", "007", "1.50", "inf", "True", "[1].txt", "[1,2]", "{a: 1}", "str(5)", "choice(1,2)"),
    *("{_target_: os.system}", " a ", "a\\,b", "\\", '"a" b', ""),
]
"""What Hydra reads as numbers, lists, functions or escapes, or without white space."""


def test_texts_are_what_was_typed(tmp_path):
    for text in TEXTS:
        run_, file = (f"{setting}={text}" for setting in ("run", "mentions.file"))
        config = composed(run_, "output=x", f"text={text}", "mentions=dictionary", file, cwd=tmp_path)
        runs = ["1", "2"] if text == "[1,2]" else text  # a setting that may be a list
        assert [config.run, config.text, config.mentions.file] == [runs, text, text]


def test_quotes_and_null_of_hydra_mean_what_they_did(tmp_path):
    config = composed("run='a b'", 'output="1e3"', "text=null", "input=${run}", cwd=tmp_path)
    assert (config.run, config.output, config.text, config.input) == ("a b", "1e3", None, "a b")
    assert composed("run=x", "output=y", "text=1", "text=null", cwd=tmp_path).text is None


def test_numbers_with_commas_are_a_text_where_a_text_is_needed(tmp_path):
    assert composed("run=1,2", "output=3,4", cwd=tmp_path).run == "1,2"


@pytest.mark.parametrize(
    "text", ["costs ${5}", "${x}", "${", "a${b c}", "${text}", "${oc.env:NOPE}", "}${{", "$}"]
)
def test_a_dollar_sign_is_one_line_at_most(tmp_path, text):
    _, err = run("predict", "run=x", "output=y.csv", f"text={text}", cwd=tmp_path, code=2)
    assert re.fullmatch(r"error: .*\n", err)


def test_options_as_argparse_of_python_3_14_checks_them(tmp_path, monkeypatch):
    """It expands the help of an option when the option is added."""
    add_argument = argparse.ArgumentParser.add_argument

    def checked(parser, *names, **options):
        action = add_argument(parser, *names, **options)
        if action.help and "%" in action.help:  # a TypeError where it is no text
            parser._get_formatter()._expand_help(action)
        return action

    monkeypatch.setattr(argparse.ArgumentParser, "add_argument", checked)
    assert "glre_pyg.predict" in run("predict", "--help", cwd=tmp_path)[0]
    assert composed("run=x", "output=y", "text=z", cwd=tmp_path).text == "z"
    assert argparse.ArgumentParser.add_argument is checked


@pytest.mark.parametrize("name", ["paper (1), [2].jsonl", "Müller 论文.jsonl", "seed=0#it's.jsonl"])
def test_files_with_any_name(tmp_path, name):
    write_documents([two_sentences()], tmp_path / "plain.jsonl")
    run("convert", "input=plain.jsonl", f"output={name}", cwd=tmp_path)
    run("convert", f"input={name}", "output=again.jsonl", cwd=tmp_path)
    assert list(read_documents(tmp_path / "again.jsonl")) == [two_sentences()]


@pytest.mark.parametrize(
    ("command", "arguments", "line"),
    [
        ("convert", ["inptu=x", "output=y"], "inptu: no such setting; did you mean input?"),
        ("train", ["trainig.epochs=1"], "trainig.epochs: no such setting; did you mean training.epochs?"),
        ("train", ["epochs=3"], "epochs: no such setting; did you mean training.epochs?"),
        ("train", ["layer/locl=none"], "layer/locl: no such setting; did you mean layer/local?"),
        (
            "train",
            ["layer=none"],
            "layer: has no options of its own, as layer/context and layer/features and layer",
        ),
        ("train", ["dataset=cdrr"], r"dataset: 'cdrr' is not one of biored, .*; did you mean cdr\?"),
        ("train", ["training.epochs=-1"], "training.epochs: '-1' is not a whole number from 1"),
        ("train", ["dataset=jsonl"], "dataset.test: is required"),
        ("train", ["seed=0,1"], "seed=0,1: several values need --multirun"),
        ("train", ["xyzzy=1"], r"xyzzy: no such setting \(--help lists all\)"),
        (
            "convert",
            ["input=x", "output=y", "lossy=${nothing}"],
            "lossy: Interpolation key 'nothing' not found",
        ),
        (
            "convert",
            ["input=x", "output=y", "hydra.run.dir=${q}"],
            "hydra.run.dir: Interpolation key 'q' not",
        ),
        ("convert", ["input=x", "output=${"], r"Error merging override output='\${'"),
        ("convert", [], "input: is required: input=..."),
        ("convert", ["~input"], "Could not delete from config"),
        ("predict", ["--run", "x"], "'x' is not of the form SETTING=VALUE: run=x selects the run"),
        ("predict", ["--input", "x"], "--input: settings have no dashes: input=VALUE"),
        ("predict", ["paper.txt"], "'paper.txt' is not of the form SETTING=VALUE"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path, command, arguments, line):
    _, err = run(command, *arguments, cwd=tmp_path, code=2)
    assert re.match(f"error: {line}", err)
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "arguments", "line", "heavy"),
    [
        ("train", ["encoder=hf"], "encoder.tokenizer.name: is required", "training.experiment"),
        ("train", ["dataset=jsonl"], "dataset.test: is required", "training.experiment"),
        (
            "predict",
            ["run=x", "input=y", "output=z", "mentions=dictionary"],
            "mentions.file: is required",
            "extraction.pipeline",
        ),
        ("serve", ["run=x", "mentions=dictionary"], "mentions.file: is required", "service.relation_service"),
        ("predict", ["run=x", "output=z"], "input: give input=FILE", "extraction.pipeline"),
    ],
)
def test_what_is_required_is_asked_for_before_heavy_imports(
    tmp_path, monkeypatch, command, arguments, line, heavy
):
    monkeypatch.setitem(sys.modules, f"glre_pyg.{heavy}", None)  # an ImportError
    _, err = run(command, *arguments, cwd=tmp_path, code=2)
    assert err.startswith(f"error: {line}")


def test_help_shows_each_setting_with_its_comment(tmp_path):
    out, _ = run("predict", "--help", "mentions=dictionary", cwd=tmp_path)
    lines = {line.split(":")[0]: line for line in out.splitlines() if "  # " in line}
    for name, line in lines.items():
        assert line.partition("  # ")[2], name
    config = Path(config_dir(), "predict.yaml").read_text().split("\nrdf:")[0]
    documented = re.findall(r"^(\w+):.*? +# (.*)$", config, re.MULTILINE)
    assert len(documented) > 10
    for name, comment in documented:
        assert lines[name].endswith(f"  # {comment}")
    assert lines["run"].endswith("the mean of several: [RUN,RUN]")  # from the config that it extends
    assert "  file: ???" in out  # of the chosen option
    groups = out.partition("group=option:")[2].split("\n\n")[1]
    assert groups.splitlines() == ["mentions: dictionary, given, gliner, spacy"]
    examples = [line for line in out.splitlines() if "-m glre_pyg.predict" in line]
    assert all("output=" in line for line in examples)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_version(tmp_path, command):
    assert "glre_pyg." + command in run(command, "--help", cwd=tmp_path)[0]
    assert run(command, "--version", cwd=tmp_path)[0] == f"glre_pyg {version('glre_pyg')}\n"


def test_one_command_for_all(tmp_path, monkeypatch, capsys):
    def call(*arguments, code=None):
        monkeypatch.setattr(sys, "argv", ["glre", *arguments])
        if code is None:
            glre()
        else:
            with pytest.raises(SystemExit) as end:
                glre()
            assert end.value.code == code
        return capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    assert call("--version").out == f"glre_pyg {version('glre_pyg')}\n"
    assert all(f"  {command} " in call().out for command in COMMANDS)
    assert "did you mean predict?" in call("perdict", code=2).err
    write_documents([two_sentences()], tmp_path / "a.jsonl")
    call("convert", "input=a.jsonl", "output=b (1).jsonl")
    assert (tmp_path / "b (1).jsonl").is_file()


def test_errors_leave_the_environment_as_it_was(tmp_path):
    out, err = run_process("convert", "inptu=x", cwd=tmp_path, code=2)
    assert not out
    assert err.count("\n") == 1
