"""Sentence splitters: agreement with the sentences of corpora, and speed.

    python benchmarks/sentences.py --cdr CDR_TestSet.PubTator.txt test_filter.data --docred dev_revised.json

CDR's texts are compared with the sentences of its EoG file, which the GENIA splitter made. DocRED's sentences
are lists of words, which are joined without spaces before closing marks and after opening ones. Title and
abstract are split separately, so the break between them does not count. Splitters that are not installed are
left out. Processor times are measured in turns, relative to pysbd. pysbd and sentencex are measured as the
library uses them, with words; ``bare_sentencex`` is the package alone. At the end, both read CDR's file.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import get_args

from common import spread, with_spread

from glre_pyg.data import segmentation
from glre_pyg.data.document import Document
from glre_pyg.data.segmentation import segmenter_of
from glre_pyg.formats.detection import read_documents
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.table import Table

Splitter = Callable[[str], Iterable[int]]
"""From a text to the characters at which its sentences begin."""
Texts = list[tuple[list[str], set[int]]]
"""Sections of each text, and the numbers of characters, without white space, before its sentences."""


def pysbd() -> Splitter:
    return _of_library("pysbd")


def sentencex() -> Splitter:
    return _of_library("sentencex")


def _of_library(splitter: segmentation.Splitter) -> Splitter:
    cut = segmenter_of(splitter)

    def starts(text: str) -> Iterator[int]:
        words, sentences = cut(text, (), ())
        return (words[sentence.start][0] for sentence in sentences)

    return starts


def bare_sentencex() -> Splitter:
    module = import_module("sentencex")
    return lambda text: [boundary["start_index"] for boundary in module.get_sentence_boundaries("en", text)]


def nupunkt() -> Splitter:
    module = import_module("nupunkt")
    return lambda text: [start for start, _ in module.sent_spans(text)]


def syntok() -> Splitter:
    module = import_module("syntok.segmenter")
    return lambda text: [
        sentence[0].offset for paragraph in module.analyze(text) for sentence in paragraph if sentence
    ]


def blingfire() -> Splitter:
    module = import_module("blingfire")
    return lambda text: [start for start, _ in module.text_to_sentences_and_offsets(text)[1]]


def sentencizer() -> Splitter:
    nlp = import_module("spacy").blank("en")
    nlp.add_pipe("sentencizer")
    return lambda text: [sentence.start_char for sentence in nlp(text).sents]


SPLITTERS = (pysbd, sentencex, bare_sentencex, nupunkt, syntok, blingfire, sentencizer)


def solid(text: str) -> int:
    """Return the number of characters that are not white space."""
    return len("".join(text.split()))


def breaks(document: Document) -> set[int]:
    """Return the number of characters before each sentence, in the text of a document."""
    starts = [document.words[sentence.start][0] for sentence in document.sentences]
    return {solid(document.text[:start]) for start in starts} - {0}


def cdr(raw: Path, split: Path) -> Texts:
    """Return texts of CDR, and their sentences in EoG's file."""
    texts = {document.id: document for document in read_documents(raw)}
    found: Texts = []
    for document in read_documents(split):
        original = texts[document.id]
        if "".join(original.text.split()) == "".join(document.text.split()):
            sections = [original.text[start:end] for start, end in original.sections]
            found.append((sections, breaks(document) - {solid(sections[0])}))
    return found


def docred(path: Path) -> Texts:
    """Return texts of DocRED, joined from words, and their sentences."""
    return [([_joined(document.text)], breaks(document)) for document in read_documents(path)]


def _joined(text: str) -> str:
    text = re.sub(r" ([.,;:?!)\]%]|'s\b|n't\b)", r"\1", text)
    return re.sub(r"([(\[$]) |(?<=\w) (-) (?=\w)", r"\1\2", text)


def score(splitter: Splitter, texts: Texts) -> tuple[float, float, float]:
    """Return precision, recall and F1 of the breaks that a splitter finds."""
    true_positives = predicted = gold = 0
    for sections, expected in texts:
        before, found = 0, set[int]()
        for section in sections:
            inner = {before + solid(section[:start]) for start in splitter(section)}
            found |= inner - {before}
            before += solid(section)
        true_positives += len(found & expected)
        predicted, gold = predicted + len(found), gold + len(expected)
    precision, recall = true_positives / max(predicted, 1), true_positives / gold
    return precision, recall, 2 * true_positives / (predicted + gold)


def seconds(splitter: Splitter, texts: Texts) -> float:
    """Return the processor time of all texts."""
    start = time.process_time()
    for sections, _ in texts:
        for section in sections:
            list(splitter(section))
    return time.process_time() - start


def reading(path: Path, times: int) -> Table:
    """Return the documents per second that are read from a file with each splitter of the library."""
    rates: dict[str, list[float]] = {splitter: [] for splitter in get_args(segmentation.Splitter)}
    for _ in range(times):
        for splitter, found in rates.items():
            start = time.process_time()
            count = sum(1 for _ in read_documents(path, segmenter=segmenter_of(splitter)))
            found.append(count / (time.process_time() - start))
    ratios = {
        splitter: spread([rate / first for rate, first in zip(found, rates["pysbd"], strict=True)])
        for splitter, found in rates.items()
    }
    rows = [
        (splitter, with_spread(ratios[splitter], ".1f"), with_spread(spread(found), ",.0f"))
        for splitter, found in rates.items()
    ]
    return Table(("splitter", "reading / pysbd", "documents per second and core"), rows)


def main() -> None:
    """Print a table for each corpus, and one of reading."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cdr", nargs=2, type=Path, metavar=("PUBTATOR", "EOG"), help="files of CDR")
    parser.add_argument("--docred", type=Path, help="a file in DocRED's format")
    parser.add_argument("--documents", type=int, help="only the first (all)")
    parser.add_argument("--times", type=int, default=5, help="times that each is measured (%(default)s)")
    options = parser.parse_args()
    corpora = {}
    if options.cdr:
        corpora["CDR"] = cdr(*options.cdr)
    if options.docred:
        corpora["DocRED"] = docred(options.docred)
    splitters = {}
    for make in SPLITTERS:
        try:
            splitters[make.__name__] = make()
        except (ImportError, InputError):
            print(f"{make.__name__}: not installed")
    for name, texts in corpora.items():
        texts = texts[: options.documents]
        scores = {each: score(splitter, texts) for each, splitter in splitters.items()}
        times = [
            {each: seconds(splitter, texts) for each, splitter in splitters.items()}
            for _ in range(options.times)
        ]
        rows = [
            (
                each,
                *(f"{100 * value:.1f}" for value in scores[each]),
                with_spread(spread([turn["pysbd"] / turn[each] for turn in times]), ".1f"),
                f"{len(texts) / spread([turn[each] for turn in times])['median']:,.0f}",
            )
            for each in splitters
        ]
        titles = ("splitter", "P", "R", "F1", "speed / pysbd", "documents per second and core")
        print(f"\n{name}, {len(texts)} documents\n\n{Table(titles, rows).to_markdown()}")
    if options.cdr:
        print(f"\n{reading(options.cdr[0], options.times).to_markdown()}")


if __name__ == "__main__":
    main()
