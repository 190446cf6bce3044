"""From files to files: what ``python -m glre_pyg.predict`` does with its config."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from time import perf_counter

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from glre_pyg.datasets import Corpus
from glre_pyg.document import Document, Fact, InputError
from glre_pyg.evaluation.thresholds import saved_threshold
from glre_pyg.extractor import RelationExtractor
from glre_pyg.inputs import PIPE, Inputs
from glre_pyg.mentions.documents import with_mentions
from glre_pyg.mentions.found import Finder, Found
from glre_pyg.outputs import PAGE, write
from glre_pyg.page.page import write_page
from glre_pyg.reasons import PredictedFact
from glre_pyg.runs import Run


@dataclass
class _Left:
    """Counts the documents that are left out, and says why, a line each."""

    count: int = 0

    def __call__(self, error: InputError) -> None:
        self.count += 1
        tqdm.write(f"error: {str(error).splitlines()[0]}", file=sys.stderr)


@dataclass
class _Known:
    """Finds mentions of the types that a run knows, and counts the others."""

    finder: Finder
    types: Sequence[str]
    unknown: Counter[str] = field(default_factory=Counter)

    def __call__(self, texts: Iterable[str]) -> Iterator[list[Found]]:
        for found in self.finder(texts):
            self.unknown.update(each.type for each in found if each.type not in self.types)
            yield [each for each in found if each.type in self.types]


@dataclass
class _Counts:
    documents: int = 0
    facts: int = 0

    def of(
        self, found: Iterable[tuple[Document, tuple[PredictedFact, ...]]]
    ) -> Iterator[tuple[Document, tuple[PredictedFact, ...]]]:
        for document, facts in found:
            self.documents += 1
            self.facts += sum(fact.is_predicted for fact in facts)
            yield document, facts


def extract(run: Run, config: DictConfig, output: Path) -> int:
    """Write what a run finds in documents.

    Documents are read, predicted and written in chunks, so memory does not grow with the input; only a page
    is made when all are predicted.

    Args:
        run: The run.
        config: Composed from ``conf/predict.yaml``.
        output: The file; there is none if there is no document that can be worked on.

    Returns:
        How many documents, or files, were left out; why is said on standard error.

    Raises:
        InputError: If it is not clear what is to be read, or how mentions are to be found.
    """
    if (config.input is None) == (config.text is None):
        raise InputError("input: give input=FILE, a folder or - for standard input, or text='...'")
    left, counts, started = _Left(), _Counts(), perf_counter()
    finder = _Known(instantiate(config.mentions), run.labels.types) if config.mentions else None
    is_page = output.suffix == PAGE
    found = RelationExtractor(run).found(
        tqdm(_documents(run, config, finder, left), unit=" documents", disable=None),
        threshold=config.threshold,
        floor=config.floor if is_page else None,
        reasons=is_page if config.reasons is None else config.reasons,
        chunk=config.chunk,
        refused=left,
    )
    first = next(found, None)
    if first is not None:
        counted = counts.of(chain([first], found))
        if is_page:
            _write_page(run, list(counted), config, output)
        else:
            write((replace(document, facts=facts) for document, facts in counted), output, refused=left)
        threshold = run.threshold if config.threshold is None else config.threshold
        parts = [f"{counts.facts} facts in {counts.documents} documents, p > {np.min(threshold):.3f}"]
        parts += [f"{counts.documents / (perf_counter() - started):.1f} documents a second"]
        print(f"{output}: {'; '.join(parts + [f'{left.count} left out'] * bool(left.count))}")
    if finder is not None and finder.unknown:
        types = ", ".join(f"{count} {name}" for name, count in finder.unknown.most_common())
        print(f"mentions of types that the run does not know were left out: {types}")
    return left.count


def _documents(run: Run, config: DictConfig, finder: Finder | None, left: _Left) -> Iterator[Document]:
    """What is to be predicted, as the run's corpus has it; facts are not looked at, and kept."""
    corpus: Corpus = instantiate(run.config.dataset)
    inputs = Inputs(
        lambda path, refused: corpus.read(path, refused=refused),
        form=config.form,
        is_searched=finder is not None,
        max_words=config.max_words,
        refused=left,
    )
    documents = inputs.documents(config.input) if config.text is None else inputs.text("text", config.text)
    if finder is not None:
        documents = with_mentions(documents, finder, refused=left)
    for document in documents:
        [prepared] = corpus.prepare([replace(document, facts=(), ignored=())])
        yield replace(prepared, facts=document.facts)


def _write_page(
    run: Run,
    found: Sequence[tuple[Document, tuple[PredictedFact, ...]]],
    config: DictConfig,
    output: Path,
) -> None:
    is_known = any(document.facts for document, _ in found) if config.gold is None else config.gold
    shown: list[tuple[Document, Sequence[Fact] | None]] = [
        (replace(document, facts=facts), document.facts if is_known else None) for document, facts in found
    ]
    relations = run.labels.relations
    threshold = run.threshold if config.threshold is None else float(config.threshold)
    write_page(
        shown,
        output,
        title=f"Relations in {_name(config)}",
        relations=relations,
        threshold=saved_threshold(threshold, relations),
        model=str(config.run),
        directed=run.labels.directed,
    )


def _name(config: DictConfig) -> str:
    """What a page is about, without the folder that it was in."""
    if config.text is not None:
        return "a text"
    return "standard input" if config.input == PIPE else Path(config.input).name
