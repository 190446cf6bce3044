"""Time against size: no reader, writer or mention finder takes more than about linear time.

    python tests/trials/hostile.py times --seed 0
    python tests/trials/times.py --cases jsonl.keys

Each case makes an input of a size, of 2, 4 and 8 times the size, and measures the processor's time for each. The
exponent is the slope of the logarithm of time over that of size.
"""

import argparse
import contextlib
import csv
import gc
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random

import numpy as np

from glre_pyg.data.document import Document, Fact, Mention
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.data.paths import connection, names_of, passages
from glre_pyg.data.segmentation import segment
from glre_pyg.evaluation.known_facts import named_facts
from glre_pyg.evaluation.predictions import read_predictions, write_predictions
from glre_pyg.evaluation.scores import ScoredPairs
from glre_pyg.formats.csv_facts import format_csv
from glre_pyg.formats.detection import FORMATS, read_documents, write_documents
from glre_pyg.formats.page import write_page
from glre_pyg.formats.rdf import NTriples
from glre_pyg.formats.renet import read_gda
from glre_pyg.formats.spacy_docs import write_spacy
from glre_pyg.formats.submission import check_submission, submission_rows
from glre_pyg.mentions.abbreviations import abbreviations_in
from glre_pyg.mentions.dictionary import Dictionary
from glre_pyg.mentions.documents import document_of
from glre_pyg.mentions.finder import FoundMention
from glre_pyg.mentions.spacy_documents import read_spacy
from glre_pyg.utils.exceptions import InputError

LIMIT = 1.2
"""Largest exponent that passes."""
SIZES = (1, 2, 4, 8)
_SECONDS = 0.1  # of the largest size: below, noise counts for more than growth
_MOST = 8.0  # of a size, after which no larger one is tried

Prepare = Callable[[int, Path, Random], Callable[[], object]]
"""Makes the input of a size in a folder, and returns what is measured."""


# Documents: one dimension of each grows with n


def _text_of(spans: Sequence[tuple[str, str]], joint: str = " ") -> tuple[str, list[tuple[int, int]]]:
    """Join words; the places of those in the second column's name."""
    text, places, at = [], [], 0
    for word, kind in spans:
        if kind:
            places.append((at, at + len(word)))
        text.append(word)
        at += len(word) + len(joint)
    return joint.join(text), places


def _document(
    words: Sequence[str], ids: Sequence[tuple[str, ...]], facts: Sequence[Fact] = (), id: str = "1"
) -> Document:
    """A document whose first words are mentions with the given identifiers; a sentence ends at each full stop."""
    text, places = _text_of([(word, "x") for word in words])
    mentions = tuple(
        Mention(*places[number], "Chemical" if number % 2 else "Disease", own)
        for number, own in enumerate(ids)
    )
    spans, sentences = segment(text, [mention.span for mention in mentions], [(0, len(text))])
    return Document(id, text, spans, sentences, mentions, tuple(facts), sections=((0, len(text)),))


def _words(n: int, every: int = 10) -> list[str]:
    return ["It." if number % every == every - 1 else f"w{number % 97}x" for number in range(n)]


def many_words(n: int) -> list[Document]:
    return [_document(_words(n), [("a",), ("b",)], [Fact("b", "CID", "a")])]


def one_sentence(n: int) -> list[Document]:
    return [_document(_words(n, n + 1), [("a",), ("b",)], [Fact("b", "CID", "a")])]


def many_mentions(n: int) -> list[Document]:
    """Two entities with n mentions in all, over all sentences, and one fact."""
    return [
        _document(
            _words(n), [("a",) if number % 2 else ("b",) for number in range(n)], [Fact("a", "CID", "b")]
        )
    ]


def many_entities(n: int) -> list[Document]:
    return [_document(_words(n), [(f"e{number}",) for number in range(n)], [Fact("e1", "CID", "e2")])]


def many_identifiers(n: int) -> list[Document]:
    """A composite mention of n entities, with a name for each."""
    ids = tuple(f"e{number}" for number in range(n))
    document = _document(_words(20), [ids, ("b",)], [Fact("b", "CID", "e0")])
    mention = Mention(*document.mentions[0].span, "Disease", ids, tuple(f"name {name}" for name in ids))
    return [
        Document(
            document.id,
            document.text,
            document.words,
            document.sentences,
            (mention, document.mentions[1]),
            document.facts,
            sections=document.sections,
        )
    ]


def many_facts(n: int) -> list[Document]:
    """A mention of each of two times sqrt(n) entities, and n facts between them."""
    side = math.isqrt(n)
    ids = [(f"e{number}",) for number in range(2 * side)]
    facts = [Fact(f"e{2 * head + 1}", "CID", f"e{2 * tail}") for head in range(side) for tail in range(side)]
    return [_document(_words(2 * side), ids, facts)]


def a_hub(n: int) -> list[Document]:
    """An entity that every sentence mentions, and facts of it with n others."""
    ids = [("hub",) if number % 2 else (f"e{number}",) for number in range(2 * n)]
    facts = [Fact("hub", "CID", f"e{2 * number}") for number in range(n)]
    return [_document(_words(2 * n, 4), ids, facts)]


def many_documents(n: int) -> list[Document]:
    return [
        _document(_words(10), [("a",), ("b",)], [Fact("b", "CID", "a")], id=str(number + 1))
        for number in range(n)
    ]


SHAPES: dict[str, tuple[int, Callable[[int], list[Document]]]] = {
    "words": (8_000, many_words),
    "one_sentence": (8_000, one_sentence),
    "mentions": (2_000, many_mentions),
    "entities": (2_000, many_entities),
    "identifiers": (2_000, many_identifiers),
    "facts": (2_500, many_facts),
    "hub": (1_000, a_hub),
    "documents": (100, many_documents),
}


def _predicted(document: Document) -> Document:
    entities = {entity.id: entity for entity in document.entities}
    facts = tuple(
        PredictedFact.between(
            entities[fact.head], fact.relation, entities[fact.tail], probability=0.9, threshold=0.5
        )
        for fact in document.facts
    )
    return Document(document.id, document.text, document.words, document.sentences, document.mentions, facts)


# What is measured of documents

_SUFFIX = {
    "pubtator": ".pubtator",
    "biored": ".pubtator",
    "docred_json": ".json",
    "jsonl": ".jsonl",
    "eog": ".data",
}


def _numbered(documents: Sequence[Document]) -> list[Document]:
    """Documents with DocRED's identifiers, the numbers of entities."""
    result = []
    for document in documents:
        names = {entity.id: str(number) for number, entity in enumerate(document.entities)}
        mentions = tuple(
            Mention(
                mention.start,
                mention.end,
                mention.type,
                tuple(names[name] for name in mention.ids),
                mention.names,
            )
            for mention in document.mentions
        )
        facts = tuple(Fact(names[fact.head], fact.relation, names[fact.tail]) for fact in document.facts)
        result.append(
            Document(document.id, document.text, document.words, document.sentences, mentions, facts)
        )
    return result


def _writing(
    format: str, shape: Callable[[int], list[Document]], n: int, folder: Path, _: Random
) -> Callable[[], object]:
    documents = shape(n)
    return lambda: write_documents(documents, folder / f"written{_SUFFIX[format]}", format, lossy=True)


def _reading(
    format: str, shape: Callable[[int], list[Document]], n: int, folder: Path, _: Random
) -> Callable[[], object]:
    path = folder / f"read{_SUFFIX[format]}"
    write_documents(shape(n), path, format, lossy=True)
    return lambda: list(read_documents(path, format))


def _spacy_reading(
    shape: Callable[[int], list[Document]], n: int, folder: Path, _: Random
) -> Callable[[], object]:
    write_spacy(shape(n), folder / "read.spacy")
    return lambda: list(read_spacy(folder / "read.spacy"))


def _of_documents(
    use: Callable[[list[Document], Path], object],
    shape: Callable[[int], list[Document]],
    n: int,
    folder: Path,
    _: Random,
) -> Callable[[], object]:
    documents = shape(n)
    return lambda: use(documents, folder)


def _page(documents: list[Document], folder: Path) -> object:
    pairs = ((_predicted(document), document.facts) for document in documents)
    return write_page(pairs, folder / "page.html", title="", relations=["CID"], threshold=0.5)


def _submission(documents: list[Document], folder: Path) -> object:
    numbered = _numbered(documents)
    return check_submission(submission_rows(numbered), numbered, ["CID"])


def _one_pair(use: Callable[[Document, str, str], object], documents: list[Document], folder: Path) -> object:
    return [use(document, fact.head, fact.tail) for document in documents for fact in document.facts[:1]]


_USES: dict[str, Callable[[list[Document], Path], object]] = {
    "csv": lambda documents, folder: [format_csv(_predicted(document)) for document in documents],
    "rdf": lambda documents, folder: [NTriples()(document) for document in documents],
    "spacy_write": lambda documents, folder: write_spacy(documents, folder / "written.spacy"),
    "page": _page,
    "submission": _submission,
    "known_facts": lambda documents, folder: named_facts(documents, source=folder),
    "path": partial(_one_pair, connection),
    "passages": partial(_one_pair, lambda *pair: list(passages(*pair))),
    "names": lambda documents, folder: [
        names_of(each, entity) for each in documents for entity in each.entities
    ],
}


# Files that no writer makes


def _file(
    name: str,
    content: Callable[[int, Random], bytes],
    read: Callable[[Path], object],
    n: int,
    folder: Path,
    random: Random,
) -> Callable[[], object]:
    path = folder / name
    path.write_bytes(content(n, random))
    return lambda: _refused(read, path)


def _refused(read: Callable[[Path], object], path: Path) -> None:
    with contextlib.suppress(InputError):
        read(path)


def _read_all(path: Path) -> list[Document]:
    return list(read_documents(path))


def _keys(n: int, _: Random) -> bytes:
    keys = [f'"k{number}": 1' for number in range(n)]
    return ("{" + ", ".join([*keys, '"k0": 2', '"id": "1"']) + "}").encode()


def _double_keys(n: int, _: Random) -> bytes:
    keys = [f'"k{number}": 1' for number in range(n)]
    return ("{" + ", ".join([*keys, *keys]) + "}").encode()


def _gda(n: int, folder: Path, random: Random) -> Callable[[], object]:
    (folder / "abstracts.txt").write_text("".join(f"{1000 + k}\nGEN1 and tumor.\n\n" for k in range(n)))
    (folder / "anns.txt").write_text(
        "".join(
            f"{1000 + k}\t0\t4\tGEN1\tGene\t672\n{1000 + k}\t9\t14\ttumor\tDisease\tD1\n" for k in range(n)
        )
    )
    (folder / "labels.csv").write_text(
        "pmid,geneId,diseaseId,label\n" + "".join(f"{1000 + k},672,D1,1\n" for k in range(n))
    )
    return lambda: list(read_gda(folder))


def _pairs(n: int) -> ScoredPairs:
    return ScoredPairs(
        documents=["1"] * n,
        heads=[f"h{k}" for k in range(n)],
        tails=["t"] * n,
        relations=("CID",),
        probability=np.full((n, 1), 0.5),
        is_fact=np.zeros((n, 1), bool),
        other_facts=np.zeros(n, int),
        ignored=np.zeros(n, bool),
        known=np.zeros((n, 1), bool),
        distance=np.zeros(n, int),
        mentions=np.ones(n),
    )


def _predictions(n: int, folder: Path, _: Random) -> Callable[[], object]:
    def both() -> None:
        write_predictions(_pairs(n), folder / "predictions.jsonl")
        read_predictions(folder / "predictions.jsonl", ("CID",))

    return both


# Texts


def _names(n: int) -> list[tuple[str, str, str]]:
    return [(f"name{k} of {k % 7}", f"D{k}", "Disease") for k in range(n)]


def _dictionary_file(n: int, folder: Path, _: Random) -> Callable[[], object]:
    with (folder / "names.tsv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows((name, id, kind) for name, id, kind in _names(n))
    return lambda: Dictionary.read(folder / "names.tsv")


def _list_of_words(n: int, *_: object) -> Callable[[], object]:
    names = _names(n)
    find, text = Dictionary(names).find, "\n".join(name for name, _, _ in names)
    return lambda: document_of("1", text, find(text))


def _definitions(n: int, *_: object) -> Callable[[], object]:
    """Short forms that begin with the same word, each defined, and that word again and again."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    short = [f"A {letters[k % 26]}{letters[k // 26 % 26]}{letters[k // 676 % 26]}" for k in range(n)]
    longs = [f"Av {' '.join(f'{letter}or' for letter in form[2:])}" for form in short]
    text = " ".join(f"{long} ({form})." for form, long in zip(short, longs, strict=True)) + " A of A." * n
    found, at = [], 0
    for form, long in zip(short, longs, strict=True):
        found.append(FoundMention(at, at + len(long), "Disease"))
        at += len(long) + len(form) + 5
    return lambda: document_of("1", text, found)


def _spanned(n: int, *_: object) -> Callable[[], object]:
    """Mentions over the ends of sentences: each takes a break away."""
    text = "Ax. Bee " * n
    spans = [(8 * k, 8 * k + 7) for k in range(n)]
    return lambda: segment(text, spans)


def _of_text(use: Callable[[str], object], unit: str, n: int, *_: object) -> Callable[[], object]:
    text = unit * (n // len(unit) + 1)
    return lambda: use(text)


_UNITS = {
    "line": "word ",
    "letters": "x",
    "sentences": "It was. ",
    "breaks": "\n",
    "blanks": " ",
    "blank_lines": " \n",
    "dots": ".",
    "dotted": "a.",
    "brackets": "(a",
    "closed": "AB (alpha beta) ",
    "square": "[",
    "citations": ".[1, 2, 3] A",
    "numbers": "1,",
    "list": "1) a 2) b ",
    "quotes": "'\"",
    "dashes": "-",
    "commas": "a, ",
    "emoji": "😀",
    "cjk": "漢。",
    "titles": "Dr. ",
    "ellipsis": "... ",
    "points": "1.1.",
    "marks": "?!",
    "slashes": "/a",
    "apostrophes": "’s ",
}


def cases() -> Iterator[tuple[str, int, Prepare]]:
    """Name, first size and preparation of each case."""
    for name, (size, shape) in SHAPES.items():
        for format in FORMATS:
            if format in _SUFFIX and not (
                format == "eog" and name in ("entities", "identifiers", "hub", "facts")
            ):  # n * n pairs
                yield f"{format}.write.{name}", size, partial(_writing, format, shape)
                yield f"{format}.read.{name}", size, partial(_reading, format, shape)
        if name != "hub":  # a relation in spaCy lists all mentions: n * n
            yield f"spacy.read.{name}", size, partial(_spacy_reading, shape)
        for use, function in _USES.items():
            if (use, name) == ("spacy_write", "hub"):
                continue
            yield f"{use}.{name}", size, partial(_of_documents, function, shape)
    yield "jsonl.keys", 8_000, partial(_file, "read.jsonl", _keys, _read_all)
    yield "jsonl.double_keys", 8_000, partial(_file, "read.jsonl", _double_keys, _read_all)
    yield "gda.documents", 100, _gda
    yield "predictions.pairs", 5_000, _predictions
    yield "dictionary.names", 10_000, _dictionary_file
    yield "dictionary.words", 4_000, _list_of_words
    yield "grouping.definitions", 500, _definitions
    yield "segment.spanned", 10_000, _spanned
    for name, unit in _UNITS.items():
        yield f"segment.{name}", 8_000, partial(_of_text, segment, unit)
        yield f"abbreviations.{name}", 50_000, partial(_of_text, abbreviations_in, unit)


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Slope of the logarithm of time over that of size."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(seconds, 1e-6)), 1)[0])


def measured(prepare: Prepare, size: int, seed: int) -> tuple[float, list[float]]:
    """Exponent and seconds of a case; what takes no time to speak of is linear enough."""
    seconds: list[float] = []
    for factor in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            run = prepare(size * factor, Path(folder), Random(seed))
            best = math.inf
            for _ in range(3):
                gc.collect()
                gc.disable()  # its passes come in steps of their own
                start = time.process_time()
                run()
                best = min(best, time.process_time() - start)
                gc.enable()
            seconds.append(best)
        if best > _MOST:
            break
    if len(seconds) < 2:
        return math.inf, seconds
    return exponent([size * factor for factor in SIZES[: len(seconds)]], seconds), seconds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the inputs (%(default)s)")
    parser.add_argument(
        "--cases", nargs="+", default=[""], metavar="NAME", help="cases with this in their name; all"
    )
    options = parser.parse_args(arguments)
    failed = count = 0
    for name, size, prepare in cases():
        if any(part in name for part in options.cases):
            count += 1
            for scale in (
                1,
                4,
            ):  # again what looks steep, beyond the step at the size of the processor's cache
                slope, seconds = measured(prepare, scale * size, options.seed)
                bad = slope > LIMIT and seconds[-1] > _SECONDS
                if not bad:
                    break
            failed += bad
            print(
                f"{name:32} {slope:5.2f}  {' '.join(f'{each:8.3f}' for each in seconds)}{'  TOO STEEP' if bad else ''}",
                flush=True,
            )
    print(f"{count} cases, {failed} steeper than {LIMIT}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
