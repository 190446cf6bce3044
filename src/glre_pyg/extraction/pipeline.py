"""From files to files: what ``python -m glre_pyg.predict`` does with its config."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import islice
from math import inf
from pathlib import Path
from time import perf_counter

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from glre_pyg.data.document import Document, Fact
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.datasets import Corpus
from glre_pyg.evaluation.thresholds import saved_threshold
from glre_pyg.extraction.extractor import RelationExtractor
from glre_pyg.extraction.inputs import PIPE, Inputs
from glre_pyg.extraction.outputs import Output
from glre_pyg.formats.page import write_page
from glre_pyg.mentions.documents import with_mentions
from glre_pyg.runs.encoder_cache import weights_key
from glre_pyg.runs.run import Run
from glre_pyg.utils import distributed
from glre_pyg.utils.cache import contents_of, key_of
from glre_pyg.utils.exceptions import InputError, SkippedDocuments, printable
from glre_pyg.utils.resumable_writer import ResumableWriter

Found = tuple[Document, tuple[PredictedFact, ...]]
"""A document as it is, and what is found in it."""

_INDIFFERENT = {"run", "output", "device", "memory", "cache", "compile", "chunk", "resume", "strict"}
"""Settings that what is written does not follow from."""


def check_settings(config: DictConfig) -> None:
    """Make sure that the settings can be worked with, before a run is loaded.

    Raises:
        InputError: If a setting is wrong; the line names it.
    """
    if (config.input is None) == (config.text is None):
        raise InputError("input: give input=FILE, a folder or - for standard input, or text='...'")
    for name, low, high, kind in (
        ("threshold", 0, 1, "a probability"),
        ("min_probability", 0, 1, "a probability"),
        ("max_words", 1, inf, "a number of words"),
        ("max_sentences", 0, inf, "a number of sentences"),
        ("top_k", 0, inf, "a number of pairs"),
        ("chunk", 1, inf, "a number of documents"),
    ):
        value = config[name]
        of_kind = int if high == inf else int | float
        if name == "threshold" and value is None:
            continue
        if not isinstance(value, of_kind) or isinstance(value, bool) or not low <= value <= high:
            raise InputError(f"{name}: '{value}' is not {kind}")
    for name, empty in (("reasons", True), ("gold", True), ("resume", False), ("strict", False)):
        if config[name] not in ((None, True, False) if empty else (True, False)):
            raise InputError(f"{name}: '{config[name]}' is neither true nor false")


def extract(run: Run, config: DictConfig, output: Output) -> int:
    """Write what a run finds in documents.

    Documents are read, predicted and written in chunks, so memory does not grow with the input. After each
    chunk, what is written is on the disk, and the same command goes on behind it if it was stopped. Only
    pages, ``.json`` and ``.spacy`` are made of all documents at once. Several processes share each chunk out;
    the first reads and writes, and all take part.

    Args:
        run: The run.
        config: Composed from ``conf/predict.yaml``, with checked settings.
        output: Where to; there is no file if there is no document that can be worked on.

    Returns:
        How many errors there were; each has a line on standard error.

    Raises:
        InputError: If mentions cannot be looked for as is said, or the output would replace the input; with
            ``strict``, at the first document with an error.
        WriteError: If the output cannot be written.
    """
    if config.input not in (None, PIPE):
        _check_apart(Path(str(config.input)), output.path)
    if output.ending == ".data" and not run.labels.directed:
        raise InputError(f"{output.path}: EoG's lines say which is the head, which the run does not")
    work = _Work(run, config, output)
    (work.grow if output.grows else work.write_at_once)()
    if distributed.is_main_process():
        work.summarise()
    return distributed.broadcast(work.on_error.count + work.failed.count)


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

    def report(self, errors: SkippedDocuments) -> None:
        """Say what was left out; it is an error if that is all there was."""
        if not self.left:
            return
        left = ", ".join(f"{count} {printable(name)}" for name, count in self.left.most_common())
        line = (
            f"mentions of types that the run does not know ({', '.join(self.of_run)}) were left out: {left}"
        )
        if self.kept:
            print(line)
        else:
            errors(InputError(line))


class _Work:
    """From documents to a file.

    Attributes:
        on_error: Errors of what is read.
        failed: Errors of what is predicted and written.
    """

    def __init__(self, run: Run, config: DictConfig, output: Output) -> None:
        self.run, self.config, self.output = run, config, output
        self.corpus: Corpus = instantiate(run.config.dataset)
        self.extractor = RelationExtractor(run)
        self.on_error, self.failed = SkippedDocuments(config.strict), SkippedDocuments(config.strict)
        self.types = _Types(run.labels.types)
        self.read, self.documents, self.facts = 0, 0, 0
        self.started, self.before = perf_counter(), 0

    def grow(self) -> None:
        """Write document by document, from where the same work was stopped."""
        text_format = self.output.text_format(
            labels=self.run.labels,
            pubtator=self.corpus.pubtator,
            base=self.config.rdf.base,
            namespaces=self.config.rdf.namespaces,
            local_ids=self.corpus.local_ids and not self.config.mentions,
        )
        key = work_key(self.run, self.config) if distributed.is_main_process() else None
        file = ResumableWriter(self.output.path, key=key, header=text_format.header)
        documents = self._prepared()
        if self.config.resume and distributed.is_main_process():
            self._go_on(file, documents)
        try:
            for chunk in self._chunks(documents):
                if not distributed.is_main_process():
                    continue
                for document, facts in chunk:
                    try:
                        text = text_format.format(replace(document, facts=facts))
                    except InputError as error:
                        self.failed(error)
                    else:
                        file.write(text)
                        self._count(facts)
                if self.documents:
                    counts = {"documents": self.documents, "facts": self.facts, "failed": self.failed.count}
                    file.checkpoint({"read": self.read, **counts})
        except (InputError, KeyboardInterrupt):
            if (done := file.last_checkpoint()) is not None:
                print(f"{file.part}: {done['documents']} documents; the same command goes on behind them")
            elif distributed.is_main_process():
                file.discard()
            raise
        if self.documents and distributed.is_main_process():
            file.finish()

    def _go_on(self, file: ResumableWriter, documents: Iterator[Document]) -> None:
        """Pass over the documents that are done; what was wrong with them is counted, and not said again."""
        done = file.last_checkpoint()
        if done is None:
            return
        self.on_error.is_silent = True
        for _ in islice(documents, done["read"]):
            pass
        self.on_error.is_silent = False
        self.failed.count, self.documents, self.facts = done["failed"], done["documents"], done["facts"]
        self.started, self.before = perf_counter(), self.documents
        print(f"{file.part}: goes on behind {self.documents} documents; resume=false begins anew", flush=True)

    def write_at_once(self) -> None:
        """Write what is made of all documents."""
        found = [each for chunk in self._chunks(self._prepared()) for each in chunk]
        if not found or not distributed.is_main_process():
            return
        if self.output.is_page:
            _write_page(self.run, self.corpus, found, self.config, self.output.path)
            for _, facts in found:
                self._count(facts)
        else:
            self.output.write(self._counted(found), on_error=self.failed)

    def _counted(self, found: Iterable[Found]) -> Iterator[Document]:
        """Documents with facts; what the format of the output could not hold is not counted."""
        for document, facts in found:
            before = self.failed.count
            yield replace(document, facts=facts)
            if self.failed.count == before:
                self._count(facts)

    def _count(self, facts: Sequence[PredictedFact]) -> None:
        self.documents += 1
        self.facts += sum(fact.is_predicted for fact in facts)

    def _chunks(self, documents: Iterator[Document]) -> Iterator[list[Found]]:
        """Documents with what is found in them, a chunk at a time; all processes take part."""
        while True:
            part = list(islice(documents, self.config.chunk)) if distributed.is_main_process() else []
            part = distributed.broadcast(part)
            if not part:
                return
            errors: list[InputError] = []
            predictions = self.extractor.predict(
                distributed.shard(part),
                threshold=self.config.threshold,
                min_probability=self.config.min_probability if self.output.is_page else None,
                reasons=self.output.is_page if self.config.reasons is None else self.config.reasons,
                top_k=self.config.top_k,
                max_sentences=self.config.max_sentences,
                on_error=errors.append,
            )
            all_facts = distributed.all_gather(list(predictions))
            for error in distributed.all_gather(errors):
                self.failed(error)
            pairs = zip(part, all_facts, strict=True)
            yield [(document, of) for document, of in pairs if of is not None]

    def _prepared(self) -> Iterator[Document]:
        """Documents as the run's corpus has them; their facts are not looked at, and kept."""
        hidden = None if distributed.is_main_process() else True
        known = self.types.known(self._documents())
        for document in tqdm(known, unit=" documents", disable=hidden):
            [prepared] = self.corpus.prepare([replace(document, facts=(), ignored=())])
            self.read += 1
            yield replace(prepared, facts=document.facts)

    def _documents(self) -> Iterator[Document]:
        """What is to be predicted, with its mentions."""
        config = self.config
        finder = instantiate(config.mentions) if config.mentions else None
        inputs = Inputs(
            lambda path, on_error: self.corpus.read(path, on_error=on_error),
            format=config.format,
            is_searched=finder is not None,
            max_words=config.max_words,
            on_error=self.on_error,
        )
        if config.text is None:
            documents = inputs.documents(str(config.input))
        else:
            documents = inputs.text("text", str(config.text))
        return documents if finder is None else with_mentions(documents, finder, on_error=self.on_error)

    def summarise(self) -> None:
        """Print what was written, and say what was left out."""
        run, errors = self.run, self.on_error.count + self.failed.count
        if not self.documents:
            print(f"{self.output.path}: nothing is written: there is no document to write")
        else:
            above = run.threshold if self.config.threshold is None else float(self.config.threshold)
            limit = f"p > {above:.3f}" if isinstance(above, float) else "above the threshold of each relation"
            failed = f"; {errors} error{'s' * (errors > 1)}" if errors else ""
            speed = (self.documents - self.before) / (perf_counter() - self.started)
            print(
                f"{self.output.path}: {self.facts} facts in {self.documents} documents, {limit}; "
                f"{speed:.1f} documents a second{failed}"
            )
        self.types.report(self.failed)


def work_key(run: Run, config: DictConfig) -> str | None:
    """What an output follows from: model, settings and the contents of the input; None if it is read once."""
    if config.input in (None, PIPE) or not Path(str(config.input)).exists():
        return None
    settings = OmegaConf.to_container(config, resolve=True)
    assert isinstance(settings, dict)
    names = (config.mentions or {}).get("file")
    return key_of(
        weights_key(run.model),
        saved_threshold(run.threshold, run.labels.relations),
        asdict(run.labels),
        {str(name): value for name, value in settings.items() if name not in _INDIFFERENT},
        contents_of(Path(str(config.input))),
        contents_of(Path(names)) if names and Path(names).is_file() else None,
        version("glre_pyg"),
    )


def _check_apart(source: Path, target: Path) -> None:
    """Make sure that what is written is not what is read."""
    if target.resolve() == source.resolve() or target.resolve().parent == source.resolve():
        raise InputError(f"{target}: is the input, or lies in its folder: write somewhere else")


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
        top_k=config.top_k,
    )


def _judged(corpus: Corpus, document: Document) -> Document:
    """The document with the pairs that the corpus leaves out of its scores, by the facts."""
    [prepared] = corpus.prepare([document])
    return replace(document, ignored=prepared.ignored)
