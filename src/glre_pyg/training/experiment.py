"""Section 4.3: from a config to a trained run, in the steps prepare, fit and score."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from shlex import quote
from statistics import median

from omegaconf import DictConfig

from glre_pyg.evaluation.breakdown import print_splits
from glre_pyg.evaluation.calibration import Decision
from glre_pyg.evaluation.known_facts import write_named_facts
from glre_pyg.evaluation.predictions import predictions_of, write_predictions
from glre_pyg.evaluation.protocol import Protocol
from glre_pyg.evaluation.scores import ScoredPairs
from glre_pyg.evaluation.selection import held_out_scores
from glre_pyg.reporting.case_studies import write_case_study
from glre_pyg.runs.directory import COSTS, KNOWN, SCORES, read_scores
from glre_pyg.runs.hub import resolve_folder
from glre_pyg.runs.loading import load
from glre_pyg.runs.memory import GIB, peak_bytes, reset_peak
from glre_pyg.runs.run import Run, finish
from glre_pyg.training.fitting import Fitted, fit_model
from glre_pyg.training.fixed_epoch import fixed_epoch
from glre_pyg.training.loop import read_log
from glre_pyg.training.preparation import TRAIN, Experiment, HeldOut, prepare
from glre_pyg.training.resuming import begin_or_resume
from glre_pyg.utils import distributed
from glre_pyg.utils.console import echo, plural
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import exclusive, sha256_of, write_json
from glre_pyg.utils.interrupts import Interrupted


def train(config: DictConfig, folder: Path, overrides: Sequence[str] = ()) -> Run:
    """Train a model, evaluate it on dev and test, and write the run directory.

    With the setting ``"train"``, the model is trained on the training documents, and epoch and threshold are
    selected on dev. With ``"train+dev"``, it is trained on both, and epoch and threshold are fixed in advance
    by a run with the setting ``"train"``, or by cross-validation.

    Paper: "the best epoch was found on the development set", which is trained on under train + dev. The
    released code selects both on test. Here: see above.

    Args:
        config: Composed from ``conf/train.yaml``.
        folder: Run directory; with several processes, that of the first.
        overrides: Overrides of the command line, which are not allowed if a run is resumed.

    Raises:
        InputError: If a file of the corpus, the encoder or another run cannot be read, or the folder contains
            a run.
    """
    reset_peak()
    config, folder, is_finished = begin_or_resume(config, folder, overrides)
    if is_finished:
        echo(f"{folder}: is finished, and left as it is")
        return load(folder, device=distributed.state().device)
    try:
        with exclusive(folder) if distributed.is_main_process() else nullcontext():
            experiment = prepare(config, folder)
            return _train(experiment) if config.setting == TRAIN else _train_on_dev_too(experiment)
    except Interrupted as error:
        error.add_note(f"training.resume={folder} resumes it")
        raise


def _train(experiment: Experiment) -> Run:
    dev, test = (experiment.held_out(experiment.documents[split]) for split in ("dev", "test"))
    fitted = fit_model(
        experiment,
        experiment.graphs(experiment.documents["train"]),
        folder=experiment.folder,
        settings=experiment.settings,
        dev=dev,
        predicted=test.graphs,
    )
    pairs, speed = _score(_run(experiment, fitted, Decision(0.5)), {"dev": dev, "test": test})
    decision = experiment.decision(pairs["dev"])  # in fp32, as for a loaded run
    pairs = {split: decision.calibration.pairs(scored) for split, scored in pairs.items()}
    run = _run(experiment, fitted, decision)
    run = replace(run, scores=run.bf16_check(dev.documents, pairs["dev"], graphs=dev.graphs))
    return _finish(experiment, run, fitted.epoch, pairs, "dev", speed)


def _train_on_dev_too(experiment: Experiment) -> Run:
    test = experiment.held_out(experiment.documents["test"])
    epoch, decision, source = fixed_epoch(experiment, _protocol(experiment, "dev"))
    fitted = fit_model(
        experiment,
        experiment.graphs(experiment.documents["train"] + experiment.documents["dev"]),
        folder=experiment.folder,
        settings=experiment.settings,
        predicted=test.graphs,
        last_epoch=epoch,
    )
    run = _run(experiment, fitted, decision)
    pairs, speed = _score(run, {"test": test})
    return _finish(experiment, run, fitted.epoch, pairs, source, speed)


def _score(run: Run, splits: Mapping[str, HeldOut]) -> tuple[dict[str, ScoredPairs], float | None]:
    """Return the scored pairs of the splits that have documents, and the documents scored per second."""
    started = time.perf_counter()
    pairs = {
        split: run.score(held_out.documents, graphs=held_out.graphs, progress=split)
        for split, held_out in splits.items()
        if held_out.documents
    }
    documents = sum(len(held_out.documents) for held_out in splits.values())
    return pairs, documents / (time.perf_counter() - started) if documents else None


def _run(experiment: Experiment, fitted: Fitted, decision: Decision) -> Run:
    return Run(
        fitted.model,
        experiment.tokenizer,
        experiment.labels,
        decision.threshold,
        experiment.config,
        experiment.known,
        experiment.store,
        fitted.memory,
        annotations=experiment.annotations,
        calibration=decision.calibration,
    )


def _finish(
    experiment: Experiment,
    run: Run,
    epoch: int,
    pairs: Mapping[str, ScoredPairs],
    source: str,
    speed: float | None,
) -> Run:
    """Print the scores of a run and complete its directory."""
    folder, config = experiment.folder, experiment.config
    echo(f"epoch {epoch}, chosen on {source}")
    if (precision := experiment.settings.precision) != "no":
        echo(f"scores of epochs were computed in {precision}, those below in fp32: they differ slightly")
    if "test" not in pairs:
        echo(f"test is not labelled: python -m glre_pyg.submit run={folder} output=result.zip")
    if not distributed.is_main_process():
        return run
    _write_scores(experiment, run, epoch, pairs, _protocol(experiment, source))
    _write_costs(run, folder, speed)
    if "test" in pairs and config.cases:
        write_case_study(
            run,
            experiment.documents["test"],
            pairs["test"],
            folder / "cases.md",
            title=f"{experiment.corpus.name} test",
            count=config.cases,
            top_k=5,
        )
    run = finish(run, folder)
    command = f"python -m glre_pyg.predict {quote(f'run={folder}')} input=FILE output=relations.html"
    echo(f"run directory: {folder}", f"next, relations in a file: {command}")
    return run


def _write_scores(
    experiment: Experiment, run: Run, epoch: int, pairs: Mapping[str, ScoredPairs], protocol: Protocol
) -> None:
    folder, corpus = experiment.folder, experiment.corpus
    if experiment.known:
        write_named_facts(experiment.known, folder / KNOWN)
    echo(f"protocol: {protocol}")
    decision = Decision(run.threshold, run.calibration)
    scores = print_splits(pairs, decision, experiment.labels.relations, corpus.name, corpus.protocol)
    scores |= {"protocol": asdict(protocol), "best_epoch": epoch, **run.scores}
    for split, scored in pairs.items():
        write_predictions(scored, predictions_of(folder, split), run.threshold)
    if "dev" in pairs:
        scores["dev_held_out"] = _held_out(folder, corpus.name)
    write_json(scores, folder / SCORES)


def _held_out(folder: Path, corpus: str) -> dict[str, float] | None:
    """Print and return scores on dev with epoch and threshold of each document chosen on others."""
    epochs = [entry["dev_folds"] for entry in read_log(folder) if "dev_folds" in entry]
    found = held_out_scores(epochs)
    if found is None:
        return None
    echo(f"{corpus} dev: F1 {found.f1:.4f} with epoch and threshold of each document chosen on others")
    return asdict(found)


def _write_costs(run: Run, folder: Path, speed: float | None) -> None:
    """Write ``costs.json``: what a run costs, apart from its scores, which are the same on any machine."""
    peak = peak_bytes(run.device)
    costs = {
        "million_parameters": sum(parameter.numel() for parameter in run.model.parameters()) / 1e6,
        "training_documents_per_second": median(entry["documents_per_second"] for entry in read_log(folder)),
        "prediction_documents_per_second": speed and round(speed, 2),
        "peak_memory_gib": peak and round(peak / GIB, 2),
    }
    write_json(costs, folder / COSTS)


def _protocol(experiment: Experiment, source: str) -> Protocol:
    """Return the protocol of the scores.

    Args:
        experiment: The experiment.
        source: Data that epoch and threshold are selected on.
    """
    corpus, config = experiment.corpus, experiment.config
    held_out = config.dataset.get("dev_from_train")
    return Protocol(
        corpus=corpus.name,
        pairs=corpus.protocol,
        files=experiment.files,
        dev=f"{held_out} {plural(held_out, 'document')} of the training file"
        if held_out
        else "its own documents",
        ignored=sha256_of(experiment.known.source) if experiment.known else None,
        setting=_setting(config),
        threshold=source,
        skipped={
            split: corpus.skipped[path] for split, path in corpus.files().items() if path in corpus.skipped
        },
    )


def _setting(config: DictConfig) -> str:
    if not config.start:
        return str(config.setting)
    folder = resolve_folder(config.start)
    before = read_scores(folder).get("protocol")
    if not isinstance(before, dict):
        raise InputError(f"{folder / SCORES}: protocol: is missing or malformed")
    return f"{config.setting}, after {before.get('corpus')} ({before.get('setting')})"
