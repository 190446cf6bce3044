"""What the commands ``evaluate``, ``predict`` and ``stats`` do with their configs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from glre_pyg.corpora.formats import read_documents, write_documents
from glre_pyg.datasets import Corpus
from glre_pyg.document import Document, Fact, InputError
from glre_pyg.evaluation.tables import count, format_table
from glre_pyg.inference import predict as probabilities
from glre_pyg.runs import Run, best_device, load, report, write_predictions

SPLITS = ("train", "dev", "test")


def evaluate(config: DictConfig) -> dict[str, dict[str, float]]:
    """Score a run on a split of its corpus with the threshold chosen on dev; print and return the scores.

    ``dataset.*`` of the command replaces what the run was trained with; ``dataset.<split>=FILE`` scores
    a file, under the protocol of the run's corpus.

    Raises:
        InputError: If the run or the file cannot be read, or there is no such split.
    """
    if config.split not in SPLITS:
        raise InputError(f"split: '{config.split}' is not one of {', '.join(SPLITS)}")
    run = load(Path(config.run), device=config.device or best_device())
    file = config.dataset[config.split]
    for name, value in config.dataset.items():
        if value is not None and name in run.config.dataset:
            run.config.dataset[name] = value
    corpus: Corpus = instantiate(run.config.dataset)
    documents = list(read_documents(Path(file))) if file else corpus.documents(config.split)
    pairs = run.score(corpus, documents, progress=config.split)
    scores = report(pairs, run.threshold, f"{corpus.name} {config.split}", corpus.protocol)
    if config.output:
        write_predictions(pairs, Path(config.output))
    return scores


def predict(config: DictConfig) -> None:
    """Write documents with the facts that a run finds in them, each with its probability.

    Documents are read, predicted and written in chunks, so memory does not grow with the file.

    Raises:
        InputError: If the run or a document cannot be read.
    """
    documents, output = read_documents(Path(config.input)), Path(config.output)
    run = load(Path(config.run), device=config.device or best_device())
    threshold = run.threshold if config.threshold is None else config.threshold
    counts = {"documents": 0, "facts": 0}

    def found() -> Iterator[Document]:
        for document in tqdm(_predicted(run, documents, threshold, config.chunk), unit=" documents"):
            counts["documents"] += 1
            counts["facts"] += len(document.facts)
            yield document

    write_documents(found(), output)
    print(f"{output}: {counts['facts']} facts in {counts['documents']} documents, p > {threshold:.3f}")


def _predicted(run: Run, documents: Iterable[Document], threshold: float, chunk: int) -> Iterator[Document]:
    rest = iter(documents)
    while part := list(islice(rest, chunk)):
        graphs = run.graphs(part)
        rows = probabilities(run.model, graphs, batch_size=run.config.eval_batch_size, device=run.device)
        for document, graph, table in zip(part, graphs, rows, strict=True):
            names = graph["entity"].id
            facts = [
                Fact(names[head], relation, names[tail], (f"{probability:.6f}",))
                for (head, tail), row in zip(graph.pair_index.t().tolist(), table, strict=True)
                for relation, probability in zip(run.labels.relations, row.tolist(), strict=True)
                if probability > threshold
            ]
            facts.sort(key=lambda fact: fact.extra, reverse=True)
            yield replace(document, facts=tuple(facts))


def stats(config: DictConfig) -> dict[str, dict[str, int]]:
    """Print and return the counts of a corpus by split (Table 1).

    Raises:
        InputError: If a file of the corpus cannot be read.
    """
    corpus: Corpus = instantiate(config.dataset)
    rows = {
        split: count(corpus.documents(split), corpus.labels.candidates, corpus.ignored) for split in SPLITS
    }
    print(f"{corpus.name}, protocol {corpus.protocol}")
    print(format_table(rows))
    if config.output:
        Path(config.output).write_text(json.dumps(rows, indent=2) + "\n")
    return rows
