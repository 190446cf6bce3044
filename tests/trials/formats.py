"""The formats that are tried: their miniatures, ways to damage them, readers, oracles and messages."""

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import miniatures
import mutations as damage
import new_miniatures
import new_oracles
import oracles
from miniatures import Files
from mutations import Mutation
from oracles import Oracle

from glre_pyg.data.document import Document, Sentence
from glre_pyg.data.segmentation import Segmenter
from glre_pyg.data.word_vectors import WordVectors
from glre_pyg.datasets.hypernyms import MeshTree
from glre_pyg.evaluation.known_facts import read_named_facts
from glre_pyg.evaluation.predictions import read_predictions
from glre_pyg.formats.bioc import read_bioc_json
from glre_pyg.formats.bioc_xml import read_bioc_xml
from glre_pyg.formats.brat import read_brat
from glre_pyg.formats.docred_json import read_docred
from glre_pyg.formats.eog_data import read_eog
from glre_pyg.formats.jsonl import read_jsonl
from glre_pyg.formats.label_studio import read_label_studio
from glre_pyg.formats.pubtator import read_pubtator
from glre_pyg.formats.renet import read_gda
from glre_pyg.formats.spacy_docs import write_spacy
from glre_pyg.formats.text import read_text
from glre_pyg.mentions.name_files import name_rows
from glre_pyg.mentions.spacy_documents import read_spacy
from glre_pyg.reporting.error_analysis import read_types
from glre_pyg.utils.exceptions import ErrorHandler

Read = Callable[[Path, Segmenter, ErrorHandler | None], Any]
"""What a folder's file says; the segmenter and what is told of refused documents are for readers of documents."""


@dataclass(frozen=True)
class Format:
    """A format of files.

    Args:
        name: What the command calls it.
        miniatures: Good files to begin with.
        read: The reader.
        oracle: Says whether what was read is what the files say.
        mutations: Ways to damage one of the files.
        message: What a refusal looks like, behind the folder.
        untouched: The numbers of the documents of the first files that stand unchanged in the second, where
            the format confines damage to a document; each has to be read all the same. None for what has no
            documents.
    """

    name: str
    miniatures: Sequence[Files]
    read: Read
    oracle: Oracle
    mutations: Sequence[Mutation]
    message: str
    untouched: Callable[[Files, Files], Sequence[int]] | None = None

    def mutant(self, random: Random) -> tuple[Files, Files]:
        """Good files, and the same with one to three changes."""
        good = random.choice(self.miniatures)
        files = dict(good)
        for _ in range(random.choice([1, 1, 2, 3])):
            name = random.choice(list(files))
            files[name] = random.choice(self.mutations)(files[name], random)
        return good, files


def plain(text: str, spans: Any = (), sections: Any = ()) -> Any:
    """A segmenter in no time: words between white space, mentions and sections; one sentence."""
    cuts = sorted({position for span in [*spans, *sections] for position in span})
    words: list[tuple[int, int]] = []
    for match in re.finditer(r"\S+", text):
        start, end = match.span()
        words += pairwise([start, *(cut for cut in cuts if start < cut < end), end])
    return tuple(words), (Sentence(0, len(words)),) if words else ()


# What stands unchanged


def _same_blocks(good: Files, files: Files) -> list[int]:
    """Blocks of PubTator that come first with their identifier."""

    def name(block: Sequence[bytes]) -> bytes:
        return re.split(rb"[|\t]", block[0], maxsplit=1)[0]

    changed: list[tuple[bytes, ...]] = []
    for block in map(tuple, oracles.blocks_of(oracles.only(files))):
        if changed and name(block) == name(changed[-1]) and not re.match(rb"[^|\t]+\|t\|", block[0]):
            changed[-1] += (b"", *block)  # lines that are cut off
        else:
            changed.append(block)
    return _first_of([tuple(block) for block in oracles.blocks_of(oracles.only(good))], changed, name)


def _same_lines(identifier: Callable[[bytes], object], good: Files, files: Files) -> list[int]:
    """Lines that come first with their identifier."""
    return _first_of(oracles.lines_of(oracles.only(good)), oracles.lines_of(oracles.only(files)), identifier)


def _first_of(good: list[Any], changed: list[Any], identifier: Callable[[Any], object]) -> list[int]:
    seen: set[object] = set()
    first = []
    for each in changed:
        if identifier(each) not in seen:
            first.append(each)
        seen.add(identifier(each))
    return [number for number, each in enumerate(good) if each in first]


def _json_id(line: bytes) -> object:
    try:
        found = json.loads(line.decode("utf-8-sig"))["id"]
    except Exception:
        return None
    return found if isinstance(found, str) else None


def _column_id(line: bytes) -> object:
    return line.removeprefix(b"\xef\xbb\xbf").split(b"\t", 1)[0].strip()


def _same_bioc(good: Files, files: Files) -> list[int]:
    """Documents of BioC's JSON with an identifier that none before them has."""

    def records(of: Files) -> list[Any]:
        raw = oracles.only(of).decode("utf-8-sig")
        try:
            value = json.loads(raw, object_pairs_hook=_twice)
        except ValueError:
            return [json.loads(line, object_pairs_hook=_twice) for line in raw.split("\n") if line.strip()]
        return list(next((value[key] for key in ("PubTator3", "documents") if key in value), [value]))

    try:
        return _first_of(
            [json.dumps(each) for each in records(good)],
            [json.dumps(each) for each in records(files)],
            lambda each: json.loads(each).get("id"),
        )
    except Exception:
        return []


def _twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, with a mark if it has a field twice."""
    return {**dict(pairs), **({"twice": True} if len(dict(pairs)) < len(pairs) else {})}


def _same_records(good: Files, files: Files) -> list[int]:
    """Records of a list that is JSON as a whole."""
    parse = partial(json.loads, object_pairs_hook=lambda pairs: ["object", *pairs])  # a field may stand twice
    try:
        changed = parse(oracles.only(files).decode("utf-8-sig"))
    except Exception:
        return []
    there = {json.dumps(record) for record in changed} if isinstance(changed, list) else set()
    return [number for number, record in enumerate(parse(oracles.only(good))) if json.dumps(record) in there]


def _same_parts(good: Files, files: Files) -> list[int]:
    """Documents of GDA of which all three files say the same, if every line of them belongs to a document."""
    before = oracles.gda_parts(good)
    try:
        after = oracles.gda_parts(files)
    except Exception:
        return []
    return [number for number, name in enumerate(before) if before[name] == after.get(name)]


# Readers


def _documents(reader: Callable[..., Iterator[Document]], name: str) -> Read:
    def read(folder: Path, segmenter: Segmenter, on_error: ErrorHandler | None) -> list[Document]:
        return list(reader(folder / name if name else folder, segmenter=segmenter, on_error=on_error))

    return read


def _whole_documents(reader: Callable[..., Iterator[Document]], name: str) -> Read:
    def read(folder: Path, segmenter: Segmenter, on_error: ErrorHandler | None) -> list[Document]:
        return list(reader(folder / name, on_error=on_error))

    return read


def _of_file(reader: Callable[[Path], Any]) -> Read:
    def read(folder: Path, segmenter: Segmenter, on_error: ErrorHandler | None) -> Any:
        (path,) = folder.iterdir()
        return reader(path)

    return read


def _predictions(path: Path) -> dict[str, Any]:
    pairs = read_predictions(path, ("CID", "TREATS"))
    found = {name: getattr(pairs, name) for name in pairs.__dataclass_fields__}
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in found.items()}


def _facts(path: Path) -> frozenset[tuple[str, str, str]]:
    return read_named_facts(path).facts


def _vectors(path: Path) -> dict[str, Any]:
    vectors = WordVectors.read(path)
    return {"words": vectors.words, "table": vectors.table.tolist()}


# Files that hold others


@cache
def _spacy_files() -> Sequence[Files]:
    """The documents of the other formats as spaCy's, and some of a pipeline that knows nothing of this project."""
    from tempfile import TemporaryDirectory

    import spacy

    with TemporaryDirectory() as folder:
        path = Path(folder, "mini.jsonl")
        path.write_bytes(oracles.only(miniatures.JSONL[0]))
        documents = list(read_jsonl(path))
        write_spacy(documents, Path(folder, "mini.spacy"))
        ours = Path(folder, "mini.spacy").read_bytes()
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "Chemical", "pattern": "Velorin", "id": "C1"}])
    docs = list(nlp.pipe(["Velorin eased rash.\nVelorin did 😀.", "Nothing."]))
    others = spacy.tokens.DocBin(docs=docs, store_user_data=True).to_bytes()
    return [{"mini.spacy": ours}, {"mini.spacy": others}]


def _change_message(raw: bytes, random: Random) -> bytes:
    """A change of one value of msgpack, or of what is packed within it."""
    import srsly

    value = _lists(srsly.msgpack_loads(raw, use_list=False))
    packed = value.get(random.choice(["user_data", "span_groups", "user_data", "tokens"]))
    if isinstance(packed, list) and packed:
        at = random.randrange(len(packed))
        inner = _lists(srsly.msgpack_loads(packed[at], use_list=False))
        packed[at] = srsly.msgpack_dumps(damage.numbers_of(damage.change_value(inner, random)))
        return bytes(srsly.msgpack_dumps(value))
    return bytes(srsly.msgpack_dumps(damage.numbers_of(damage.change_value(value, random))))


def _lists(value: Any) -> Any:
    """A value of msgpack that can be changed."""
    if isinstance(value, dict):
        return {key: _lists(each) for key, each in value.items()}
    return [_lists(each) for each in value] if isinstance(value, list | tuple) else value


def _change_packed(raw: bytes, random: Random) -> bytes:
    try:
        return _change_message(raw, random)
    except Exception:  # another change was before this one
        return raw


_LINE = r"(: there are no documents in this file|:\d+: .+: .+)"
_TABLE = (*damage.BYTES, *damage.LINES, *damage.LINES)
_JSON = (damage.change_json,) * 20 + (
    damage.double_json_field,
    *damage.BYTES,
    damage.move_offset,
    damage.huge_number,
)
_JSON_LINES = (damage.change_json_line,) * 25 + (damage.double_json_field, *damage.BYTES, *damage.LINES)
_PACKED = (
    *(damage.within(zlib.decompress, zlib.compress, [_change_packed]),) * 20,
    *(damage.within(zlib.decompress, zlib.compress, damage.BYTES),) * 5,
    *damage.BYTES[:3],
)

_RECORD = r"mini\.json: (document \d+: .+: .+|not JSON: .+|byte \d+ is not UTF-8|not a JSON list .+)"
_RECORD_OR_LINE = rf"(?:{_RECORD}|mini\.json{_LINE})"
_BIORED = partial(read_pubtator, id_separators=",", unlinked="-")
_DWIE = partial(read_docred, resplit="pysbd")

FORMATS: Mapping[str, Format] = {
    format.name: format
    for format in (
        Format(
            "pubtator",
            miniatures.PUBTATOR,
            _documents(read_pubtator, "mini.pubtator"),
            oracles.pubtator("|;", "-1"),
            _TABLE,
            r"mini\.pubtator" + _LINE,
            _same_blocks,
        ),
        Format(
            "pubtator_passages",
            new_miniatures.PASSAGES,
            _documents(partial(read_pubtator, passages="join"), "mini.pubtator"),
            new_oracles.passages,
            _TABLE,
            r"mini\.pubtator" + _LINE,
        ),
        Format(
            "biored",
            miniatures.BIORED,
            _documents(_BIORED, "mini.pubtator"),
            oracles.pubtator(",", "-"),
            _TABLE,
            r"mini\.pubtator" + _LINE,
            _same_blocks,
        ),
        Format(
            "docred_json",
            miniatures.DOCRED,
            _whole_documents(read_docred, "mini.json"),
            oracles.docred,
            _JSON,
            _RECORD,
            _same_records,
        ),
        Format(
            "docred_lines",
            new_miniatures.DOCRED_LINES,
            _whole_documents(read_docred, "mini.json"),
            new_oracles.docred_lines,
            _JSON_LINES,
            _RECORD_OR_LINE,
        ),
        Format(
            "dwie",
            miniatures.DWIE,
            _whole_documents(_DWIE, "mini.json"),
            oracles.docred_resplit,
            _JSON,
            _RECORD,
            _same_records,
        ),
        Format(
            "bioc_json",
            new_miniatures.BIOC_JSON,
            _documents(read_bioc_json, "mini.json"),
            new_oracles.bioc(new_oracles.bioc_json_records),
            _JSON,
            _RECORD_OR_LINE,
            _same_bioc,
        ),
        Format(
            "bioc_xml",
            new_miniatures.BIOC_XML,
            _documents(read_bioc_xml, "mini.xml"),
            new_oracles.bioc(new_oracles.bioc_xml_records),
            (*damage.BYTES, *damage.LINES, *damage.LINES, damage.move_offset, damage.huge_number),
            r"mini\.xml" + _LINE,
        ),
        Format(
            "brat",
            new_miniatures.BRAT,
            _documents(read_brat, "mini.ann"),
            new_oracles.brat,
            _TABLE,
            r"mini\.ann(:\d+)?: mini: .+",
        ),
        Format(
            "label_studio",
            new_miniatures.LABEL_STUDIO,
            _documents(read_label_studio, "mini.json"),
            new_oracles.label_studio,
            _JSON,
            _RECORD_OR_LINE,
        ),
        Format(
            "jsonl",
            miniatures.JSONL,
            _documents(read_jsonl, "mini.jsonl"),
            oracles.jsonl,
            _JSON_LINES,
            r"mini\.jsonl" + _LINE,
            partial(_same_lines, _json_id),
        ),
        Format(
            "eog",
            miniatures.EOG,
            _whole_documents(read_eog, "mini.data"),
            oracles.eog,
            _TABLE,
            r"mini\.data" + _LINE,
            partial(_same_lines, _column_id),
        ),
        Format(
            "gda",
            miniatures.GDA,
            _documents(read_gda, ""),
            oracles.gda,
            _TABLE,
            r"(abstracts\.txt|anns\.txt|labels\.csv)" + _LINE,
            _same_parts,
        ),
        Format(
            "text",
            miniatures.TEXT,
            _documents(read_text, "mini.txt"),
            oracles.text,
            _TABLE,
            r"mini\.txt: mini: .+",
        ),
        Format(
            "names",
            miniatures.NAMES,
            _of_file(lambda path: [row[1:] for row in name_rows(path)]),
            oracles.names,
            _TABLE,
            r"names\.[ct]sv(:\d+: .+|: there are no names in this file)",
        ),
        Format(
            "predictions",
            miniatures.PREDICTIONS,
            _of_file(_predictions),
            oracles.predictions,
            _JSON_LINES,
            r"predictions_test\.jsonl:\d+: .+",
        ),
        Format("fact", miniatures.FACTS, _of_file(_facts), oracles.facts, _JSON, r"train\.fact: .+"),
        Format(
            "mesh",
            miniatures.MESH,
            _of_file(lambda path: MeshTree.read(path).numbers),
            oracles.mesh,
            _TABLE,
            r"tree\.txt(:\d+: .+|: there are no tree numbers in this file)",
        ),
        Format("errors", miniatures.ERRORS, _of_file(read_types), oracles.errors, _TABLE, r"errors\.csv: .+"),
        Format(
            "vectors",
            miniatures.VECTORS,
            _of_file(_vectors),
            oracles.vectors,
            _TABLE,
            r"vectors\.txt(:\d+)?: .+",
        ),
    )
}
"""The formats that need nothing but the project."""


@cache
def spacy_format() -> Format:
    """spaCy's, which needs spaCy."""
    return Format(
        "spacy",
        _spacy_files(),
        _whole_documents(read_spacy, "mini.spacy"),
        oracles.spacy,
        _PACKED,
        r"mini\.spacy: (not a DocBin of spaCy: .+|document \d+: .+: .+|there are no documents in this file)",
    )
