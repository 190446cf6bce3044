"""From input file to output file: what ``python -m glre_pyg.predict`` does with its config."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from time import perf_counter

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from glre_pyg.data.document import Document, Fact
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.evaluation.scores import Threshold
from glre_pyg.evaluation.thresholds import saved_threshold
from glre_pyg.extraction.about import about
from glre_pyg.extraction.extractor import RelationExtractor
from glre_pyg.extraction.inputs import STANDARD_INPUT, Inputs
from glre_pyg.extraction.outputs import Output, TextFormat
from glre_pyg.extraction.scoring import displayed_name
from glre_pyg.formats.detection import sources_of
from glre_pyg.formats.page import write_page
from glre_pyg.mentions.dictionary import Dictionary
from glre_pyg.mentions.finder import Finder
from glre_pyg.runs.encoder_cache import weights_key
from glre_pyg.runs.run import Run
from glre_pyg.utils import distributed
from glre_pyg.utils.cache import contents_of, key_of
from glre_pyg.utils.console import echo, plural, printable, shown
from glre_pyg.utils.exceptions import InputError, SkippedDocuments, note
from glre_pyg.utils.interrupts import Interrupted
from glre_pyg.utils.resumable_writer import ResumableWriter
from glre_pyg.utils.settings import make

Prediction = tuple[Document, tuple[PredictedFact, ...]]
"""A document with its own facts, and its predicted facts."""

_ENOUGH_TO_TIME = 10
"""Number of documents from which their rate says more of the model than of its start."""
_WITHOUT_FACTS = {
    "no mentions": "in which no mention was found",
    "unknown types": "with mentions of unknown types only",
    "no identifiers": "whose mentions have no identifier",
    "no pairs": "without a candidate pair",
    "threshold": "with no probability above the threshold",
}
"""Kinds of documents in which no fact is predicted."""
_NO_EFFECT = {
    *("run", "input", "output", "shard", "extension", "engine", "actors", "gpus"),
    *("device", "memory", "cache", "compile", "chunk", "resume", "strict"),
    "precision",  # that of the run counts, which auto has chosen
}
"""Settings that the contents of the output do not depend on, apart from the contents of the input."""


@dataclass(frozen=True)
class Extracted:
    """What was read and written.

    Args:
        num_documents: Number of documents written.
        num_facts: Number of facts written.
        num_errors: Number of errors, each of which has a line on standard error.
    """

    num_documents: int
    num_facts: int
    num_errors: int


def extract(
    run: Run,
    config: DictConfig,
    output: Output,
    *,
    settings: str | None = None,
    on_read: Callable[[str], object] | None = None,
) -> Extracted:
    """Write the relations that a run predicts in documents.

    Documents are read, predicted and written in chunks, so that memory does not grow with the input. After
    each chunk the results are on the disk, and the same command resumes there if it was interrupted. Formats
    that cannot be appended to, such as pages and ``.json``, are written at once. Several processes share each
    chunk; the first reads and writes.

    Args:
        run: The run.
        config: Composed from ``conf/predict.yaml``, with valid settings.
        output: The output; the file is not created without documents.
        settings: :func:`settings_key`, if it is known.
        on_read: Called with the identifier of each document that is read, in the first process.

    Raises:
        InputError: If the mention finder cannot be created; with ``strict``, at the first document with an
            error.
        WriteError: If the output cannot be written.
    """
    if output.extension == ".data" and not run.labels.directed:
        raise InputError(f"{output.path}: pairs have a direction in EoG's format, but not in the run")
    extraction = _Extraction(run, config, output, settings, on_read)
    if output.is_incremental:
        extraction.write_incrementally()
    else:
        extraction.write_at_once()
    if distributed.is_main_process():
        extraction.print_summary()
    return Extracted(
        extraction.num_documents,
        extraction.num_facts,
        distributed.broadcast(extraction.num_errors),
    )


class _Extraction:
    """Predicts and writes documents, and counts them.

    Attributes:
        read_errors: Errors in reading; when a command is resumed, they are found again.
        errors: Errors in predicting and writing; when a command is resumed, their number is restored.
        without_facts: Number of documents without facts for each reason of :data:`_WITHOUT_FACTS`.
        unknown_types: Identifiers of documents all of whose mentions are of types that the run does not know.
    """

    def __init__(
        self,
        run: Run,
        config: DictConfig,
        output: Output,
        settings: str | None,
        on_read: Callable[[str], object] | None,
    ) -> None:
        self.run, self.config, self.output = run, config, output
        self.settings, self.on_read = settings, on_read
        self.extractor = RelationExtractor(run)
        wanted = config.threshold
        self.threshold = run.threshold_of(wanted) if isinstance(wanted, str) else wanted
        self.corpus = self.extractor.corpus
        self.read_errors = SkippedDocuments(config.strict)
        self.errors = SkippedDocuments(config.strict, is_silent=not distributed.is_main_process())
        self.num_read, self.num_mentions, self.num_documents, self.num_facts = 0, 0, 0, 0
        self.without_facts, self.unknown_types = Counter[str](), set[str]()
        self.started, self.num_resumed = perf_counter(), 0
        self.inputs: Inputs | None = None

    @property
    def num_errors(self) -> int:
        return self.read_errors.count + self.errors.count

    def write_incrementally(self) -> None:
        """Write one document after the other, from the last checkpoint of the same command."""
        text_format = self.output.text_format(
            labels=self.run.labels,
            pubtator=self.corpus.pubtator,
            base=self.config.rdf.base,
            namespaces=self.config.rdf.namespaces,
            local_ids=self.corpus.local_ids and not self._has_finder,
        )
        is_main = distributed.is_main_process()
        key = resume_key(self.run, self.config, self.settings) if is_main else None
        writer = ResumableWriter(self.output.path, key=key, header=text_format.header)
        documents = self._documents()
        if self.config.resume and is_main:
            self._resume(writer, documents)
        try:
            for chunk in self._predict(documents):
                if is_main:
                    self._append(chunk, writer, text_format)
        except BaseException as error:
            if (counts := writer.last_checkpoint()) is not None:
                line = (
                    f"{writer.part}: {_documents(counts['documents'])}; the same command resumes after them"
                )
                if isinstance(error, Interrupted):
                    error.add_note(line)
                else:
                    echo(line)
            elif is_main:
                writer.discard()
            raise
        if self.num_documents and is_main:
            writer.finish()

    def _resume(self, writer: ResumableWriter, documents: Iterator[Document]) -> None:
        """Skip the documents before the last checkpoint; their errors are counted, but not printed again."""
        counts = writer.last_checkpoint()
        if counts is None:
            return
        self.read_errors.is_silent = True
        for _ in islice(documents, counts["read"]):
            pass
        self.read_errors.is_silent = False
        self.errors.count = counts["failed"]
        self.num_documents, self.num_facts = counts["documents"], counts["facts"]
        self.without_facts.update({reason: counts.get(reason, 0) for reason in _WITHOUT_FACTS})
        self.started, self.num_resumed = perf_counter(), self.num_documents
        echo(
            f"{writer.part}: resuming after {_documents(self.num_documents)}; resume=false starts again",
        )

    def _append(self, chunk: Iterable[Prediction], writer: ResumableWriter, text_format: TextFormat) -> None:
        """Write a chunk and a checkpoint."""
        for document, facts in chunk:
            try:
                text = text_format.format(replace(document, facts=facts))
            except InputError as error:
                self.errors(error)
            else:
                writer.write(text)
                self._count(document, facts)
        if self.num_documents:
            counts = {"documents": self.num_documents, "facts": self.num_facts, "failed": self.errors.count}
            writer.checkpoint({"read": self.num_read, **counts, **self.without_facts})

    def write_at_once(self) -> None:
        """Write all documents together."""
        predictions = [prediction for chunk in self._predict(self._documents()) for prediction in chunk]
        if not predictions or not distributed.is_main_process():
            return
        if self.output.is_page:
            self._write_page(predictions)
        else:
            self.output.write(self._counted(predictions), on_error=self.errors)

    def _counted(self, predictions: Iterable[Prediction]) -> Iterator[Document]:
        """Documents with predicted facts, counted if the format of the output can represent them."""
        for document, facts in predictions:
            before = self.errors.count
            yield replace(document, facts=facts)
            if self.errors.count == before:
                self._count(document, facts)

    def _count(self, document: Document, facts: Sequence[PredictedFact]) -> None:
        self.num_documents += 1
        num_facts = sum(fact.is_predicted for fact in facts)
        self.num_facts += num_facts
        if not num_facts:
            self.without_facts[self._why_no_facts(document)] += 1

    def _why_no_facts(self, document: Document) -> str:
        """Return which of :data:`_WITHOUT_FACTS` a document is."""
        if not document.mentions:
            return "unknown types" if document.id in self.unknown_types else "no mentions"
        if not document.entities:
            return "no identifiers"
        if not document.pairs(self.run.labels.pair_types, directed=self.run.labels.directed):
            return "no pairs"
        return "threshold"

    def _write_page(self, predictions: Sequence[Prediction]) -> None:
        gold = [
            tuple(fact for fact in document.facts if not isinstance(fact, PredictedFact))
            for document, _ in predictions
        ]
        is_gold = any(gold) if self.config.gold is None else self.config.gold
        documents: list[tuple[Document, Sequence[Fact] | None]] = []
        for (document, facts), true_facts in zip(predictions, gold, strict=True):
            if is_gold:  # with facts, the corpus knows which pairs to ignore
                [prepared] = self.corpus.prepare([document])
                document = replace(document, ignored=prepared.ignored)
            documents.append((replace(document, facts=facts), true_facts if is_gold else None))
            self._count(document, facts)
        source = "a text" if self.config.text is not None else str(self.config.input)
        write_page(
            documents,
            self.output.path,
            title=f"Relations in {'standard input' if source == STANDARD_INPUT else Path(source).name}",
            relations=self.run.labels.relations,
            relation_names=self.corpus.relation_names,
            threshold=saved_threshold(self._threshold, self.run.labels.relations),
            model=displayed_name(self.config),
            about=about(self.run),
            directed=self.run.labels.directed,
            top_k=self.config.top_k,
        )

    @property
    def _has_finder(self) -> bool:
        """Whether mentions are found; otherwise those that documents are annotated with are used."""
        return "_target_" in self.config.mentions

    @property
    def _threshold(self) -> Threshold:
        return self.run.threshold if self.threshold is None else float(self.threshold)

    def _predict(self, documents: Iterator[Document]) -> Iterator[list[Prediction]]:
        """Predict documents one chunk at a time; all processes have to call this."""
        while True:
            chunk = list(islice(documents, self.config.chunk)) if distributed.is_main_process() else []
            chunk = distributed.broadcast(chunk)
            if not chunk:
                return
            shard_errors: list[InputError] = []
            shard = self.extractor.predict(
                distributed.shard(chunk),
                threshold=self.threshold,
                min_probability=self.config.min_probability if self.output.is_page else None,
                reasons=self.output.is_page if self.config.reasons is None else self.config.reasons,
                top_k=self.config.top_k,
                max_sentences=self.config.max_sentences,
                on_error=shard_errors.append,
            )
            predictions = distributed.all_gather(list(shard))
            for error in chain.from_iterable(distributed.all_gather([shard_errors])):
                self.errors(error)
            pairs = zip(chunk, predictions, strict=True)
            yield [(document, facts) for document, facts in pairs if facts is not None]

    def _documents(self) -> Iterator[Document]:
        given = {} if self._has_finder else self.config.mentions
        disable = not distributed.is_main_process() or None
        for original in tqdm(self._read(), unit=" documents", disable=disable):
            [document] = self.extractor.prepare([original], **given)
            if original.mentions and not document.mentions:
                self.unknown_types.add(document.id)
            self.num_read += 1
            if self.on_read is not None:
                self.on_read(document.id)
            self.num_mentions += len(document.mentions)
            yield document

    def _read(self) -> Iterator[Document]:
        config = self.config
        self.inputs = self.extractor.inputs(
            make_finder(self.config.mentions, self.run),
            format=config.format,
            passages=config.passages,
            max_words=config.max_words,
            recursive=config.recursive,
            on_error=self.read_errors,
        )
        if config.text is not None:
            return self.inputs.text("text", str(config.text))
        return self.inputs.documents(str(config.input))

    def print_summary(self) -> None:
        """Print how much was written, and which mentions were left out."""
        if not self.num_documents:
            echo(f"{self.output.path}: not written, as there are no documents")
        else:
            threshold = self._threshold
            above = f"{threshold:.3f}" if isinstance(threshold, float) else "threshold of the relation"
            errors = f"; {self.num_errors} {plural(self.num_errors, 'error')}" if self.num_errors else ""
            predicted = self.num_documents - self.num_resumed
            rate = f"; {predicted / (perf_counter() - self.started):.1f} documents per second"
            echo(
                f"{self.output.path}: {self.num_facts} {plural(self.num_facts, 'fact')} in "
                f"{_documents(self.num_documents)}, p > {above}"
                f"{rate if predicted >= _ENOUGH_TO_TIME else ''}{errors}"
            )
        self._print_why_no_facts()
        if unusable := +self.extractor.left_out_facts:
            counts = ", ".join(f"{kind} ({count})" for kind, count in unusable.items())
            echo(
                "left out of the input, because they are malformed, or name entities or sentences that do "
                f"not exist: {counts}"
            )
        if others := self.extractor.left_out_relations:
            counts = ", ".join(f"{count} {name}" for name, count in others.most_common())
            echo(f"given facts of relations unknown to the run were left out: {counts}")
        if self.inputs and (replaced := self.inputs.num_replaced):
            echo(f"{_documents(replaced)} had mentions, which were replaced by those found")
        if left_out := self.extractor.left_out:
            counts = ", ".join(f"{count} {printable(name)}" for name, count in left_out.most_common())
            types = ", ".join(self.run.labels.types)
            hint = "" if self._has_finder else "; mentions.types={THEIRS: OURS} maps types"
            line = f"mentions of types unknown to the run ({types}) were left out: {counts}{hint}"
            if self.num_mentions:
                echo(line)
            else:
                self.errors(InputError(line))

    def _print_why_no_facts(self) -> None:
        if counts := [
            f"{count} {_WITHOUT_FACTS[reason]}" for reason, count in self.without_facts.items() if count
        ]:
            total = self.without_facts.total()
            echo(f"no facts in {total} of {_documents(self.num_documents)}: {', '.join(counts)}")
        found = self.num_mentions + self.extractor.left_out.total()
        if not found and self.num_documents and (names := self.config.mentions.get("file")):
            echo(
                f"{names}: none of its names was found; names match whole words, and acronyms and names of "
                "one or two letters only in their own case"
            )
        if number := self.extractor.num_unlinked:
            echo(
                f"{number} {plural(number, 'mention has', 'mentions have')} no identifier and "
                f"{plural(number, 'belongs', 'belong')} to no entity; mentions.unlinked=name links "
                f"{plural(number, 'it', 'them')} by name"
            )


def make_finder(mentions: DictConfig, run: Run) -> Finder | None:
    """Return a mention finder, and print which types of a dictionary's names the run does not know.

    Args:
        mentions: Config of the group ``mentions``.
        run: The run.

    Returns:
        None if the mentions that documents are annotated with are used.

    Raises:
        InputError: If the finder cannot be created.
    """
    if "_target_" not in mentions:
        return None
    finder: Finder = make(mentions, Finder, "mentions")
    if isinstance(finder, Dictionary):
        note_unknown_types(finder, mentions.file, run)
    return finder


def note_unknown_types(dictionary: Dictionary, file: str, run: Run) -> None:
    """Print which types of a dictionary's names the run does not know, if any."""
    known = run.labels.types
    if unknown := set(dictionary.types) - set(known):
        names = ", ".join(map(shown, sorted(unknown)))
        note(f"{file}: types unknown to the run ({', '.join(known)}): {names}")


def _documents(number: int) -> str:
    return f"{number} {plural(number, 'document')}"


def resume_key(run: Run, config: DictConfig, settings: str | None = None) -> str | None:
    """Return a hash of what the output depends on: the model, the settings and the contents of the input.

    None if the input can be read only once.

    Args:
        run: The run.
        config: Composed from ``conf/predict.yaml``.
        settings: :func:`settings_key`, if it is known.
    """
    source = Path(str(config.input))
    if config.input in (None, STANDARD_INPUT) or not (source.is_file() or source.is_dir()):
        return None
    return key_of(settings or settings_key(run, config), contents_of(*sources_of(source)))


def settings_key(run: Run, config: DictConfig) -> str:
    """Return a hash of what the output depends on, apart from the input."""
    settings = OmegaConf.to_container(config, resolve=True)
    assert isinstance(settings, dict)
    names = config.mentions.get("file")
    return key_of(
        weights_key(run.model),
        saved_threshold(run.threshold, run.labels.relations),
        asdict(run.calibration),
        asdict(run.labels),
        run.precision,
        {str(name): value for name, value in settings.items() if name not in _NO_EFFECT},
        contents_of(Path(names)) if names and Path(names).is_file() else None,
        version("glre_pyg"),
    )
