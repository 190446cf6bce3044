"""Which format a file has, by its content; files that are not read are named, with what to do about them."""

from __future__ import annotations

import re
from pathlib import Path

from glre_pyg.formats.brat import is_annotations, pair_of
from glre_pyg.utils.compression import opened
from glre_pyg.utils.console import shown
from glre_pyg.utils.exceptions import InputError

_HEAD = 1 << 16  # bytes
_UNPACK, _TEXT = "unpack it first", "extract its text first"
_BINARY = {
    b"%PDF-": f"a PDF: {_TEXT}, for instance with pdftotext",
    b"PK\x03\x04": f"a Word or OpenDocument file, or another zip file: save it as plain text, or {_UNPACK}",
    b"\xd0\xcf\x11\xe0": "an old Word or Excel file: save it as plain text first",
    b"{\\rtf": "RTF: save it as plain text first",
    b"\xff\xfe": "UTF-16: save it as UTF-8 first",
    b"\xfe\xff": "UTF-16: save it as UTF-8 first",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"BZh": f"a bzip2 file: {_UNPACK}",
    b"\xfd7zXZ": f"an xz file: {_UNPACK}",
    b"(\xb5/\xfd": f"a zstd file: {_UNPACK}",
    b"SQLite format 3": "an SQLite database",
}
_XML = {
    "article": "JATS, a journal article",
    "pmc-articleset": "JATS, journal articles",
    "PubmedArticleSet": "PubMed's XML",
    "PubmedArticle": "PubMed's XML",
    "MedlineCitationSet": "PubMed's XML",
    "TEI": "TEI",
    "xmi:XMI": "UIMA's XMI",
    "html": "HTML",
}
_JSON = (  # fields of the first object, of which all are there
    ({"PubTator3"}, "bioc_json"),
    ({"passages"}, "bioc_json"),
    ({"documents"}, "bioc_json"),
    ({"sents"}, "docred_json"),
    ({"vertexSet"}, "docred_json"),
    ({"data", "annotations"}, "label_studio"),
    ({"data", "predictions"}, "label_studio"),
    ({"text", "mentions"}, "jsonl"),
    ({"text", "facts"}, "jsonl"),
    ({"text", "id"}, "jsonl"),
)
_JSON_NOT_READ = (
    ({"annotation_id", "annotator"}, "Label Studio's JSON-MIN, which has no relations: export it as JSON"),
    ({"ner", "sentences"}, "the form of SciERC and DyGIE++"),
    ({"token", "relation"}, "the form of TACRED, a sentence and a pair a record"),
    ({"text", "entities"}, "doccano's form"),
    ({"text", "label"}, "doccano's form"),
    ({"text", "labels"}, "doccano's form"),
    ({"text", "denotations"}, "PubAnnotation's form"),
    ({"passages", "entities"}, "BigBio's form"),
    ({"tokens"}, "a form of tokens"),
)
_TEXT_NOT_READ = {
    r"PMID- ": "PubMed's MEDLINE form: save titles and abstracts as text",
    r"TY  - ": "RIS, references: save titles and abstracts as text",
    r"@[A-Za-z]+\{": "BibTeX, references: save titles and abstracts as text",
    r"#FORMAT=WebAnno": "WebAnno's form: export it as UIMA CAS JSON or BioC",
    r"T[0-9]+\t\S+ [0-9]+ [0-9]+\t": "brat's form: its name has to end in .ann",
}
"""What files begin with that are text in a form that is not read."""
_TITLE = re.compile(r"\s*[^|\t\r\n]+\|t\|")
_PROLOG = re.compile(r"<!--.*?-->|<\?.*?\?>|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE)
_CONLL = re.compile(r"(?:-DOCSTART-.*\n\s*)?(?:\S+(?:[ \t]+\S+)*[ \t]+(?:O|[BIESLU]-\S+)[ \t]*\r?\n){3}")
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|[\[\]{}]')


def recognized(path: Path, *, is_text: bool) -> str | None:
    """Return the format of a file or folder by its content; None if that does not tell.

    Args:
        path: The file.
        is_text: Whether it is plain text by its name, so that XML and JSON may be what it is about.

    Raises:
        InputError: If it is in a format that is known, but not read: ``file: what it is, and what to do``.
    """
    if path.is_dir():
        return "brat" if any(map(is_annotations, path.iterdir())) else None
    if path in pair_of(path) and pair_of(path)[1].exists():
        return "brat"
    with opened(path) as file:
        head = file.read(_HEAD)
    if head.startswith(b"PAR1"):
        return "parquet"
    for beginning, what in _BINARY.items():
        if head.startswith(beginning):
            raise InputError(f"{path.name}: this is {what}")
    text = head.decode("utf-8", "replace").removeprefix("\ufeff").lstrip()
    if _TITLE.match(text):
        return "pubtator"
    if re.match(r"<[?!A-Za-z_]", text) and (
        not is_text or text.lower().startswith(("<!doctype html", "<html"))
    ):
        return _xml(path.name, text)
    if text.startswith(("[", "{")) and not is_text:
        return _json(path.name, text)
    for pattern, what in _TEXT_NOT_READ.items():
        if not is_text and re.match(pattern, text):
            raise InputError(f"{path.name}: this is {what}")
    if _CONLL.match(text):
        raise InputError(f"{path.name}: this is CoNLL's form, which has no relations and is not read")
    return None


def _xml(name: str, text: str) -> str | None:
    root = re.match(r"\s*<([\w:.-]+)", _PROLOG.sub("", text))
    if root is None:
        return None
    tag = root[1]
    if tag == "collection" or (tag == "document" and "<passage" in text):
        return "bioc_xml"
    what = _XML.get(tag) or ("HTML" if tag.lower() == "html" else f"XML of another kind, '{shown(tag)}'")
    raise InputError(f"{name}: BioC is the XML that is read, this is {what}: {_TEXT}")


def _json(name: str, text: str) -> str | None:
    keys = _first_keys(text)
    for wanted, what in _JSON_NOT_READ:
        if wanted <= keys:
            raise InputError(f"{name}: this is {what}, which is not read: convert it to JSON lines first")
    return next((format for wanted, format in _JSON if wanted <= keys), None)


def _first_keys(text: str) -> set[str]:
    """Return the fields of the first object, as far as they are in the text."""
    depth, first = 0, None
    keys: set[str] = set()
    for match in _TOKEN.finditer(text):
        token = match[0][0]
        if token in "[{":
            depth += 1
            first = first or (depth if token == "{" else None)
        elif token in "]}":
            depth -= 1
            if first is not None and depth < first:
                break
        elif match[2] and depth == first:
            keys.add(match[1])
    return keys
