"""File formats, detected by content and by the suffix of a file's name, or given by name.

============ ====================== ==================================================================
Format       Suffix                 Description
============ ====================== ==================================================================
pubtator     any other              PubTator as in CDR
biored       give it                PubTator as in BioRED: identifiers joined by a comma, "-" for none
docred_json  ``.json``              DocRED's JSON list, or a record a line
jsonl        ``.jsonl``             JSON lines, the only format that holds a whole document
eog          ``.data``              the lines of EoG and ATLOP
bioc_xml     ``.xml``               BioC as XML
bioc_json    ``.bioc.json``         BioC as JSON, PubTator3's exports
label_studio ``.label_studio.json`` Label Studio's tasks
parquet      ``.parquet``           Apache Parquet, a document a row; needs pyarrow
brat         ``.ann``, ``.brat``    brat's standoff form: ``.ann`` beside ``.txt``, or a folder of them
text         ``.txt``               plain text, one document without mentions, read only
============ ====================== ==================================================================

Behind any of these, ``.gz`` stands for a gzip file. Kinds of JSON and XML are told apart by their content
when they are read, and a ``.txt`` file that begins like PubTator, ``1|t|``, is PubTator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from glre_pyg.data.document import Document
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.bioc import read_bioc_json, write_bioc_json
from glre_pyg.formats.bioc_xml import read_bioc_xml, write_bioc_xml
from glre_pyg.formats.brat import pair_of, read_brat, write_brat
from glre_pyg.formats.docred_json import read_docred, write_docred
from glre_pyg.formats.eog_data import read_eog, write_eog
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.formats.label_studio import read_label_studio, write_label_studio
from glre_pyg.formats.parquet import read_parquet, write_parquet
from glre_pyg.formats.pubtator import read_pubtator
from glre_pyg.formats.pubtator_blocks import relations_of
from glre_pyg.formats.pubtator_writer import format_pubtator, write_pubtator
from glre_pyg.formats.recognition import recognized
from glre_pyg.formats.text import read_text
from glre_pyg.utils.exceptions import ErrorHandler, InputError
from glre_pyg.utils.files import unpacked_name


class Format(NamedTuple):
    """Reader and writers of a format; ``write_lossy`` leaves out what the format cannot hold."""

    read: Callable[..., Iterator[Document]]
    write: Callable[..., None] | None
    write_lossy: Callable[..., None] | None = None


_read_biored = partial(read_pubtator, id_separators=",", unlinked="-")
_write_biored = partial(write_pubtator, id_separators=",", unlinked="-")

FORMATS: Mapping[str, Format] = {
    "pubtator": Format(read_pubtator, write_pubtator, partial(write_pubtator, lossy=True)),
    "biored": Format(_read_biored, _write_biored, partial(_write_biored, lossy=True)),
    "docred_json": Format(read_docred, write_docred, partial(write_docred, lossy=True)),
    "jsonl": Format(read_jsonl, write_jsonl),
    "eog": Format(read_eog, write_eog),
    "bioc_xml": Format(read_bioc_xml, write_bioc_xml, partial(write_bioc_xml, lossy=True)),
    "bioc_json": Format(read_bioc_json, write_bioc_json, partial(write_bioc_json, lossy=True)),
    "label_studio": Format(read_label_studio, write_label_studio, partial(write_label_studio, lossy=True)),
    "brat": Format(read_brat, write_brat, partial(write_brat, lossy=True)),
    "parquet": Format(read_parquet, write_parquet),
    "text": Format(read_text, None),
}
PUBTATOR: Mapping[str, Callable[[Document], str]] = {
    "pubtator": partial(format_pubtator, lossy=True),
    "biored": partial(format_pubtator, id_separators=",", unlinked="-", lossy=True),
}
"""Converters of documents to PubTator, by format."""
_WITH_WORDS = ("docred_json", "eog")
"""Formats that have the words and sentences of every document."""
_SUFFIXES = {
    ".bioc.json": "bioc_json",
    ".label_studio.json": "label_studio",
    ".json": "docred_json",
    ".jsonl": "jsonl",
    ".data": "eog",
    ".xml": "bioc_xml",
    ".parquet": "parquet",
    ".ann": "brat",
    ".brat": "brat",
    ".pubtator.txt": "pubtator",
    ".txt": "text",
}
"""Formats by the end of a file's name, longest first."""
EXTENSIONS = (".spacy", ".pubtator", *_SUFFIXES)
"""Ends of names of the files that are read of a folder; ``.gz`` may follow."""


def format_of_name(path: Path, format: str | None = None) -> str:
    """Return the name of the format of a file to write.

    Args:
        path: The file.
        format: Its format; None detects it by the file's name.

    Raises:
        InputError: If there is no such format.
    """
    by_name = (known for suffix, known in _SUFFIXES.items() if unpacked_name(path).endswith(suffix))
    name = format or next(by_name, "pubtator")
    if name not in FORMATS:
        raise InputError(f"{path.name}: format '{name}' is not one of {', '.join(FORMATS)}")
    return name


def detect_format(path: Path, format: str | None = None) -> str:
    """Return the name of the format of a file to read.

    Args:
        path: The file.
        format: Its format; None detects it, by its content where that tells, otherwise by its name.

    Raises:
        InputError: If there is no such format, or the file is in one that is known, but not read.
    """
    by_name = format_of_name(path, format)
    if format or not path.exists() or by_name == "eog":
        return by_name
    found = recognized(path, is_text=by_name == "text")
    return by_name if found is None or (found == "pubtator" and by_name != "text") else found


def sources_of(path: Path) -> list[Path]:
    """Return the files or folders that are read for a path, which are more for brat and for PubTator."""
    files = [file for file in pair_of(path) if file.exists()]
    table = relations_of(path)
    return files if path in files and len(files) == 2 else [path, *([table] if table else [])]


def read_documents(
    path: Path,
    format: str | None = None,
    *,
    segmenter: Segmenter = segment,
    passages: str | None = None,
    on_error: ErrorHandler | None = None,
) -> Iterator[Document]:
    """Read documents one at a time.

    Args:
        path: The file.
        format: Its format; None detects it.
        segmenter: Cuts the text of documents without words and sentences.
        passages: For PubTator; see :func:`~glre_pyg.formats.pubtator.read_pubtator`.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: If there is no such file or format, or a document in it cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    name = detect_format(path, format)
    options: dict[str, Any] = {"passages": passages} if name in PUBTATOR else {}
    if name not in _WITH_WORDS:
        options["segmenter"] = segmenter
    return FORMATS[name].read(path, on_error=on_error, **options)


def write_documents(
    documents: Iterable[Document],
    path: Path,
    format: str | None = None,
    *,
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents; the file appears when it is complete.

    PubTator and EoG's lines are written without what they have no place for (PubTator: words, sentences,
    evidence, ignored pairs); :func:`~glre_pyg.formats.conversion.convert` makes sure that nothing is lost.

    Args:
        documents: The documents.
        path: The file.
        format: Its format; None detects it.
        lossy: Whether to leave out what the format cannot hold, instead of refusing the document.
        on_error: Callback for documents that the format cannot hold, which are skipped; None raises.

    Raises:
        InputError: If the format cannot hold a document, or there is no such format.
    """
    name = format_of_name(path, format)
    write = (lossy and FORMATS[name].write_lossy) or FORMATS[name].write
    if write is None:
        raise InputError(f"{path.name}: format '{name}' can be read only")
    write(documents, path, on_error=on_error)
