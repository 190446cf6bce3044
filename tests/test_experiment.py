"""From a config to a run: what is learnt from, what chooses, and what is written down."""

import hashlib
import json
import re
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors.torch import load_file

import glre_pyg.training.fitting
import glre_pyg.training.loop
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.evaluation.thresholds import one_threshold
from glre_pyg.formats.jsonl import write_jsonl
from glre_pyg.runs.directory import read_scores
from glre_pyg.runs.loading import load
from glre_pyg.runs.prediction import score_pairs
from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError

SIZES = {"train": 8, "dev": 4, "test": 4}
SMALL = ["encoder=tiny", "training.epochs=3", "model.nodes.hidden_channels=16", "training.batch_size=4"]


def composed(*overrides, small=SMALL):
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose("train", overrides=[*small, *overrides])


@pytest.fixture
def corpus(tmp_path):
    """Overrides for a corpus of three files."""
    for split, size in SIZES.items():
        write_jsonl(SyntheticCorpus().generate(split, size), tmp_path / f"{split}.jsonl")
    files = [f"dataset.{split}={tmp_path}/{split}.jsonl" for split in SIZES]
    return ["dataset=jsonl", *files, "dataset.pair_types=[[Chemical,Disease]]"]


@pytest.fixture
def fitted(monkeypatch):
    """What every call of ``fit`` learns from, and when it stops."""
    calls = []
    fit = glre_pyg.training.fitting.fit

    def recording(model, graphs, *arguments, **options):
        calls.append(({graph.id for graph in graphs}, options["last_epoch"]))
        return fit(model, graphs, *arguments, **options)

    monkeypatch.setattr(glre_pyg.training.fitting, "fit", recording)
    return calls


def ids(split):
    return {document.id for document in SyntheticCorpus().generate(split, SIZES[split])}


def same_weights(*folders):
    first, second = (load_file(folder / "model.safetensors") for folder in folders)
    return first.keys() == second.keys() and all(value.equal(second[name]) for name, value in first.items())


def test_a_run_says_what_it_was_measured_under(corpus, tmp_path):
    train(composed(*corpus), tmp_path / "run")
    protocol = read_scores(tmp_path / "run")["protocol"]
    digests = {
        split: hashlib.sha256((tmp_path / f"{split}.jsonl").read_bytes()).hexdigest() for split in SIZES
    }
    assert protocol["files"] == digests
    assert protocol["setting"] == "train"
    assert protocol["threshold"] == "dev"
    assert protocol["ignored"] is None


def test_documents_in_two_splits_are_named(corpus, tmp_path, capsys):
    documents = [*SyntheticCorpus().generate("test", 4)]
    documents[1] = replace(next(SyntheticCorpus().generate("train", 8)), id="renamed")
    write_jsonl(documents, tmp_path / "test.jsonl")
    train(composed(*corpus), tmp_path / "run")
    notes = [line for line in capsys.readouterr().err.splitlines() if "note" in line]
    assert notes == [
        "note: 1 of 4 documents of test are in train as well, such as 'renamed': scores on them do not hold for "
        "new documents"
    ]


def test_train_learns_from_train_and_chooses_on_dev(corpus, tmp_path, fitted):
    run = train(composed(*corpus), tmp_path / "run")
    assert fitted == [(ids("train"), None)]
    documents = list(SyntheticCorpus().generate("dev", SIZES["dev"]))
    graphs = run.graphs(documents)
    found = glre_pyg.training.fitting.predict(run.model, graphs, batch_size=16)
    assert run.threshold == one_threshold(score_pairs(documents, graphs, found, run.labels))


def test_train_dev_takes_epoch_and_threshold_from_a_run_of_train(corpus, tmp_path, fitted):
    first = train(composed(*corpus), tmp_path / "first")
    both = composed(*corpus, "setting=train+dev", f"fixed_by={tmp_path}/first")
    second = train(both, tmp_path / "second")
    assert fitted[1] == (ids("train") | ids("dev"), read_scores(tmp_path / "first")["best_epoch"])
    assert second.threshold == first.threshold == load(tmp_path / "second").threshold
    scores = read_scores(tmp_path / "second")
    assert "dev" not in scores
    assert "test" in scores
    assert scores["protocol"]["threshold"] == "a run trained on train alone"
    assert not (tmp_path / "second/predictions_dev.jsonl").exists()


def test_cross_validation_holds_each_document_out_once_and_pools_them(corpus, tmp_path, fitted):
    run = train(composed(*corpus, "setting=train+dev", "fixed_by=3"), tmp_path / "run")
    everything = ids("train") | ids("dev")
    assert len(fitted) == 4
    held_out = [everything - learnt for learnt, _ in fitted[:3]]
    assert sorted(chain.from_iterable(held_out)) == sorted(everything)

    best = max((1, 2, 3), key=lambda epoch: best_pooled_f1(run, tmp_path / "run", epoch))
    scores = read_scores(tmp_path / "run")
    assert scores["best_epoch"] == best == fitted[3][1]
    assert scores["protocol"]["threshold"].endswith("3-fold cross-validation")


def best_pooled_f1(run, folder, epoch):
    """The highest F1 of any threshold over what three folds say of their held-out documents."""
    documents = {
        each.id: each
        for split in ("train", "dev")
        for each in SyntheticCorpus().generate(split, SIZES[split])
    }
    facts = {(each.id, fact.head, fact.tail) for each in documents.values() for fact in each.facts}
    found = []
    for fold in range(3):
        names = json.loads((folder / f"fold_{fold}/held_out.json").read_text())
        with np.load(folder / f"fold_{fold}/epoch_{epoch}.npz") as tables:
            for name, key in zip(names, tables.files, strict=True):
                pairs = run.labels.candidates(documents[name])
                rows = zip(pairs, tables[key][:, 0].tolist(), strict=True)
                found += [(value, (name, *pair)) for pair, value in rows]
    chosen = [[pair for other, pair in found if other >= value] for value, _ in found]
    return max(2 * sum(pair in facts for pair in some) / (len(some) + len(facts)) for some in chosen)


def test_the_test_split_changes_nothing_but_its_scores(corpus, tmp_path):
    first = train(composed(*corpus), tmp_path / "first")
    write_jsonl(SyntheticCorpus(affirmed=1.0).generate("other", 3), tmp_path / "test.jsonl")
    second = train(composed(*corpus), tmp_path / "second")
    assert first.threshold == second.threshold
    assert same_weights(tmp_path / "first", tmp_path / "second")


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["setting=train+dev"], "fixed_by: .* needs a run of setting=train, or a number of folds"),
        (["setting=train+dev", "fixed_by=1"], "fixed_by: .* a number of folds"),
        (["setting=train+dev", "fixed_by=nowhere"], "nowhere: no such folder"),
        (["fixed_by=3"], "fixed_by: setting=train chooses epoch and threshold on dev"),
        (["setting=train+dev", "fixed_by=3", "start=nowhere"], "start: .* on the held-out folds"),
        (["dataset.test=nowhere.jsonl"], "dataset.test: nowhere.jsonl: no such file"),
        (["setting=train+dev", "fixed_by=20"], "fixed_by: 20 folds of 12 documents"),
    ],
)
def test_settings_that_cannot_be_are_refused(corpus, tmp_path, overrides, reason):
    with pytest.raises(InputError, match=reason):
        train(composed(*corpus, *overrides), tmp_path / "run")


@pytest.mark.parametrize("change", ["training.epochs=2", "layer/local=none", "thresholds=adaptive"])
def test_train_dev_refuses_a_run_of_another_kind(corpus, tmp_path, change):
    train(composed(*corpus, change), tmp_path / "first")
    with pytest.raises(InputError, match="has another"):
        train(composed(*corpus, "setting=train+dev", f"fixed_by={tmp_path}/first"), tmp_path / "second")


def test_train_dev_refuses_a_run_that_saw_dev(corpus, tmp_path):
    train(composed(*corpus, "setting=train+dev", "fixed_by=2"), tmp_path / "first")
    with pytest.raises(InputError, match="was not trained with setting=train"):
        train(composed(*corpus, "setting=train+dev", f"fixed_by={tmp_path}/first"), tmp_path / "second")


@pytest.mark.parametrize("threshold", ["relation", "adaptive"])
def test_a_run_keeps_its_kind_of_threshold(corpus, tmp_path, threshold):
    run = train(composed(*corpus, f"thresholds={threshold}"), tmp_path / "run")
    assert np.array_equal(run.threshold, load(tmp_path / "run").threshold)
    assert read_scores(tmp_path / "run")["test"]["filtered"]["gold"] > 0


def test_documents_held_out_of_train_are_not_learnt_from(corpus, tmp_path, fitted):
    train(composed(*corpus, "dataset.dev=null", "dataset.dev_from_train=3"), tmp_path / "run")
    ((learnt, _),) = fitted
    assert len(learnt) == SIZES["train"] - 3
    assert learnt < ids("train")
    assert read_scores(tmp_path / "run")["protocol"]["dev"] == "3 documents of the training file"


def test_a_run_begins_with_the_weights_of_another(corpus, tmp_path):
    train(composed(*corpus), tmp_path / "first")
    still = [f"start={tmp_path}/first", "optimizer.lr=0", "encoder.lr=0", "training.epochs=1"]
    train(composed(*corpus, *still, "seed=1"), tmp_path / "second")
    assert same_weights(tmp_path / "first", tmp_path / "second")
    assert read_scores(tmp_path / "second")["protocol"]["setting"] == "train, after jsonl (train)"


@pytest.mark.parametrize(
    ("change", "reason"),
    [("dataset.relations=[CID,other]", "has other relations"), ("layer/context=none", "is another model")],
)
def test_a_run_refuses_to_begin_with_another_model(corpus, tmp_path, change, reason):
    train(composed(*corpus, change), tmp_path / "first")
    with pytest.raises(InputError, match=reason):
        train(composed(*corpus, f"start={tmp_path}/first"), tmp_path / "second")


def test_dev_comes_from_one_place(corpus):
    with pytest.raises(InstantiationException, match=r"dataset\.dev_from_train: dev has a file of its own"):
        instantiate(composed(*corpus, "dataset.dev_from_train=3").dataset)


# Going on with what is in the folder


AUTO = "training.resume=auto"


def small(*overrides):
    sizes = ("dataset.sizes.train=12", "dataset.sizes.dev=6", "dataset.sizes.test=6")
    return composed("cache=false", *sizes, *overrides)


def test_a_run_is_not_written_over(tmp_path):
    train(small("training.epochs=1"), tmp_path / "run")
    before = (tmp_path / "run/scores.json").read_bytes()
    with pytest.raises(InputError, match=r"has a run in it: training.resume=auto resumes it, and another "):
        train(small("training.epochs=1", "seed=1"), tmp_path / "run")
    assert (tmp_path / "run/scores.json").read_bytes() == before


def test_auto_begins_goes_on_and_leaves_alone(tmp_path, monkeypatch, capsys):
    whole = train(small(AUTO), tmp_path / "whole")
    assert not OmegaConf.load(tmp_path / "whole/config.yaml").training.resume
    with monkeypatch.context() as patch:
        patch.setattr(glre_pyg.training.loop, "_report", _stops_at(3, glre_pyg.training.loop._report))
        with pytest.raises(KeyboardInterrupt):
            train(small(AUTO), tmp_path / "stopped")
    capsys.readouterr()
    train(small(AUTO), tmp_path / "stopped")
    said = capsys.readouterr().out
    assert "epoch   3" in said
    assert "epoch   2" not in said
    for name in ("model.safetensors", "scores.json", "predictions_test.jsonl"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "whole").rglob("*")}
    again = train(small(AUTO), tmp_path / "whole")
    assert capsys.readouterr().out == f"{tmp_path / 'whole'}: is finished, and left as it is\n"
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "whole").rglob("*")}
    assert again.threshold == whole.threshold


def _stops_at(call, function):
    calls = []

    def stopping(*args):
        calls.append(args)
        if len(calls) == call:
            raise KeyboardInterrupt
        return function(*args)

    return stopping


@pytest.mark.parametrize("change", ["seed=1", "training.epochs=2", "layer/local=none"])
def test_auto_does_not_go_on_with_another_run(tmp_path, change):
    train(small("training.epochs=1"), tmp_path / "run")
    with pytest.raises(InputError, match=r"has a run with another .*: name another hydra.run.dir"):
        train(small("training.epochs=1", AUTO, change), tmp_path / "run")


def test_auto_takes_other_means(tmp_path):
    train(small("training.epochs=1"), tmp_path / "run")
    train(small("training.epochs=1", AUTO, "memory=4"), tmp_path / "run")


def test_a_folder_of_a_run_that_never_began_is_begun(tmp_path):
    """What lies there of another is not gone on with."""
    train(small("training.epochs=1", "seed=1"), tmp_path / "run")
    (tmp_path / "run/config.yaml").unlink()
    train(small("training.epochs=1", AUTO), tmp_path / "run")
    train(small("training.epochs=1"), tmp_path / "fresh")
    name = "model.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()
    assert len((tmp_path / "run/log.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("override", ["dataset=cdr", "training.epochs=9", "+new=1", "strict=false"])
def test_a_resumed_run_takes_no_other_settings(tmp_path, override):
    with pytest.raises(
        InputError, match=rf"training.resume=there continues .* leave out {re.escape(override)}$"
    ):
        train(small("training.resume=there"), tmp_path, ["training.resume=there", override])
    allowed = ["training.resume=there", "memory=4", "cache=false"]
    with pytest.raises(InputError, match="there: not a run directory"):
        train(small("training.resume=there"), tmp_path, allowed)


def test_dev_has_to_have_documents_to_choose_on(tmp_path):
    with pytest.raises(InputError, match="dev has no documents to choose epoch and threshold on"):
        train(small("dataset.sizes.dev=0"), tmp_path)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("yao_cnn", "layer.features.max_types"),
        ("glre_plus", "model.shallow.statistics.max_types"),
        ("zhang_gcn", "model.max_types"),
    ],
)
def test_a_model_has_an_embedding_for_each_type(corpus, tmp_path, model, key):
    with pytest.raises(InputError, match=rf"^{key}: 1, but the corpus has 3 entity types$"):
        train(composed(*corpus, f"model={model}", f"{key}=1", small=SMALL[:1]), tmp_path / "run")


def test_facts_of_no_candidate_pair_are_counted(corpus, tmp_path, capsys):
    first, *others = SyntheticCorpus().generate("dev", 4)
    other = tuple(replace(fact, head=fact.tail, tail=fact.head) for fact in first.facts)
    write_jsonl([replace(first, facts=first.facts + other), *others], tmp_path / "dev.jsonl")
    train(composed(*corpus, "training.epochs=1"), tmp_path / "run")
    total = sum(len(each.facts) for each in (first, *others)) + len(other)
    assert f"dev: {len(other)} of {total} facts are of no candidate pair\n" in capsys.readouterr().out


@pytest.mark.parametrize("documents", ["without facts", "with other facts"])
def test_dev_has_to_have_facts_to_choose_on(corpus, tmp_path, documents):
    some = list(SyntheticCorpus().generate("dev", 4))
    kept = {
        "without facts": [replace(each, facts=()) for each in some],
        "with other facts": [
            replace(each, facts=tuple(replace(f, head=f.tail, tail=f.head) for f in each.facts))
            for each in some
        ],
    }
    write_jsonl(kept[documents], tmp_path / "dev.jsonl")
    with pytest.raises(
        InputError, match="dev has no facts of candidate pairs to choose epoch and threshold on"
    ):
        train(composed(*corpus), tmp_path / "run")
