"""From files to files: what ``python -m glre_pyg.predict`` does with its config."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import inf
from pathlib import Path
from time import perf_counter

from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from glre_pyg.datasets import Corpus
from glre_pyg.document import Document, Fact, InputError
from glre_pyg.evaluation.thresholds import saved_threshold
from glre_pyg.extractor import RelationExtractor
from glre_pyg.inputs import PIPE, Inputs
from glre_pyg.mentions.documents import with_mentions
from glre_pyg.outputs import Output
from glre_pyg.page.page import write_page
from glre_pyg.reasons import PredictedFact
from glre_pyg.runs import Run

Found = Iterator[tuple[Document, tuple[PredictedFact, ...]]]


def check_settings(config: DictConfig) -> None:
    """Make sure that the settings can be worked with, before a run is loaded.

    Raises:
        InputError: If a setting is wrong; the line names it.
    """
    if (config.input is None) == (config.text is None):
        raise InputError("input: give input=FILE, a folder or - for standard input, or text='...'")
    for name, low, high, kind in (
        ("threshold", 0, 1, "a probability"),
        ("floor", 0, 1, "a probability"),
        ("max_words", 1, inf, "a number of words"),
        ("max_sentences", 0, inf, "a number of sentences"),
        ("strongest", 0, inf, "a number of pairs"),
        ("chunk", 1, inf, "a number of documents"),
    ):
        value = config[name]
        of_kind = int if high == inf else int | float
        if name == "threshold" and value is None:
            continue
        if not isinstance(value, of_kind) or isinstance(value, bool) or not low <= value <= high:
            raise InputError(f"{name}: '{value}' is not {kind}")
    for name in ("reasons", "gold"):
        if config[name] not in (None, True, False):
            raise InputError(f"{name}: '{config[name]}' is neither true nor false")


def extract(run: Run, config: DictConfig, output: Output) -> int:
    """Write what a run finds in documents.

    Documents are read, predicted and written in chunks, so memory does not grow with the input; only pages,
    ``.json`` and ``.spacy`` are made of all documents at once.

    Args:
        run: The run.
        config: Composed from ``conf/predict.yaml``, with checked settings.
        output: Where to; there is no file if there is no document that can be worked on.

    Returns:
        How many errors there were; each has a line on standard error.

    Raises:
        InputError: If mentions cannot be looked for as is said, or the output would replace the input.
    """
    if config.input not in (None, PIPE):
        _check_apart(Path(str(config.input)), output.path)
    if output.ending == ".data" and not run.labels.directed:
        raise InputError(f"{output.path}: EoG's lines say which is the head, which the run does not")
    corpus: Corpus = instantiate(run.config.dataset)
    errors, counts, types, started = _Errors(), _Counts(), _Types(run.labels.types), perf_counter()
    documents = types.known(_documents(corpus, config, errors))
    found = RelationExtractor(run).found(
        tqdm(_prepared(corpus, documents), unit=" documents", disable=None),
        threshold=config.threshold,
        floor=config.floor if output.is_page else None,
        reasons=output.is_page if config.reasons is None else config.reasons,
        strongest=config.strongest,
        max_sentences=config.max_sentences,
        chunk=config.chunk,
        refused=errors,
    )
    first = next(found, None)
    if first is None:
        print(f"{output.path}: nothing is written: there is no document to write")
    else:
        _write(run, corpus, counts.of(chain([first], found), errors), config, output, errors)
        _summarise(run, config, output, counts, errors, perf_counter() - started)
    types.report(errors)
    return errors.count


@dataclass
class _Errors:
    """Counts errors, and says each in a line."""

    count: int = 0

    def __call__(self, error: InputError) -> None:
        self.count += 1
        tqdm.write(f"error: {error}", file=sys.stderr)


@dataclass
class _Types:
    """Leaves out mentions of types that a run does not know, which it could say nothing of."""

    of_run: Sequence[str]
    kept: int = 0
    left: Counter[str] = field(default_factory=Counter)

    def known(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            kept = tuple(mention for mention in document.mentions if mention.type in self.of_run)
            self.kept += len(kept)
            if len(kept) < len(document.mentions):
                self.left.update(each.type for each in document.mentions if each.type not in self.of_run)
                ids = {identifier for mention in kept for identifier in mention.ids}
                facts = tuple(fact for fact in document.facts if {fact.head, fact.tail} <= ids)
                document = replace(document, mentions=kept, facts=facts)
            yield document

    def report(self, errors: _Errors) -> None:
        """Say what was left out; it is an error if that is all there was."""
        if not self.left:
            return
        left = ", ".join(f"{count} {name}" for name, count in self.left.most_common())
        line = (
            f"mentions of types that the run does not know ({', '.join(self.of_run)}) were left out: {left}"
        )
        if self.kept:
            print(line)
        else:
            errors(InputError(line))


@dataclass
class _Counts:
    """Counts what is written: what the form of the output cannot hold is an error by then."""

    documents: int = 0
    facts: int = 0

    def of(self, found: Found, errors: _Errors) -> Found:
        for document, facts in found:
            before = errors.count
            yield document, facts
            if errors.count == before:
                self.documents += 1
                self.facts += sum(fact.is_predicted for fact in facts)


def _check_apart(source: Path, target: Path) -> None:
    """Make sure that what is written is not what is read."""
    if target.resolve() == source.resolve() or target.resolve().parent == source.resolve():
        raise InputError(f"{target}: is the input, or lies in its folder: write somewhere else")


def _documents(corpus: Corpus, config: DictConfig, errors: _Errors) -> Iterator[Document]:
    """What is to be predicted, with its mentions."""
    finder = instantiate(config.mentions) if config.mentions else None
    inputs = Inputs(
        lambda path, refused: corpus.read(path, refused=refused),
        form=config.form,
        is_searched=finder is not None,
        max_words=config.max_words,
        refused=errors,
    )
    if config.text is None:
        documents = inputs.documents(str(config.input))
    else:
        documents = inputs.text("text", str(config.text))
    return documents if finder is None else with_mentions(documents, finder, refused=errors)


def _prepared(corpus: Corpus, documents: Iterable[Document]) -> Iterator[Document]:
    """Documents as the run's corpus has them; their facts are not looked at, and kept."""
    for document in documents:
        [prepared] = corpus.prepare([replace(document, facts=(), ignored=())])
        yield replace(prepared, facts=document.facts)


def _write(
    run: Run, corpus: Corpus, found: Found, config: DictConfig, output: Output, errors: _Errors
) -> None:
    if output.is_page:
        _write_page(run, corpus, list(found), config, output.path)
        return
    output.write(
        (replace(document, facts=facts) for document, facts in found),
        labels=run.labels,
        pubtator=corpus.pubtator,
        base=config.rdf.base,
        namespaces=config.rdf.namespaces,
        local_ids=corpus.local_ids and not config.mentions,
        refused=errors,
    )


def _summarise(
    run: Run, config: DictConfig, output: Output, counts: _Counts, errors: _Errors, seconds: float
) -> None:
    above = run.threshold if config.threshold is None else float(config.threshold)
    limit = f"p > {above:.3f}" if isinstance(above, float) else "above the threshold of each relation"
    failed = f"; {errors.count} error{'s' * (errors.count > 1)}" if errors.count else ""
    print(
        f"{output.path}: {counts.facts} facts in {counts.documents} documents, {limit}; "
        f"{counts.documents / seconds:.1f} documents a second{failed}"
    )


def _write_page(
    run: Run,
    corpus: Corpus,
    found: Sequence[tuple[Document, tuple[PredictedFact, ...]]],
    config: DictConfig,
    output: Path,
) -> None:
    gold = [tuple(fact for fact in of.facts if not isinstance(fact, PredictedFact)) for of, _ in found]
    shown: list[tuple[Document, Sequence[Fact] | None]] = []
    for (document, facts), true in zip(found, gold, strict=True):
        if any(gold) if config.gold is None else config.gold:
            shown.append((replace(_judged(corpus, document), facts=facts), true))
        else:
            shown.append((replace(document, facts=facts), None))
    relations = run.labels.relations
    threshold = run.threshold if config.threshold is None else float(config.threshold)
    source = "a text" if config.text is not None else str(config.input)
    write_page(
        shown,
        output,
        title=f"Relations in {'standard input' if source == PIPE else Path(source).name}",
        relations=relations,
        threshold=saved_threshold(threshold, relations),
        model=Path(str(config.run)).name,
        directed=run.labels.directed,
        strongest=config.strongest,
    )


def _judged(corpus: Corpus, document: Document) -> Document:
    """The document with the pairs that the corpus leaves out of its scores, by the facts."""
    [prepared] = corpus.prepare([document])
    return replace(document, ignored=prepared.ignored)
