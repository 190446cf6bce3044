"""BioC as XML; see :mod:`glre_pyg.formats.bioc`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from glre_pyg.data.document import Document
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.bioc import Record, check_record, document_of, fitted, record_of
from glre_pyg.formats.checking import note_counts
from glre_pyg.formats.json_records import record_place
from glre_pyg.formats.reading import Place, documents_at
from glre_pyg.formats.writing import write_each
from glre_pyg.utils.compression import opened
from glre_pyg.utils.exceptions import ErrorHandler, InputError
from glre_pyg.utils.json_fields import convert

_CHUNK, _DEPTH = 1 << 16, 100  # bytes that are read at once; elements inside each other
_DUPLICATE = type("duplicate", (), {})()
_INTEGER = re.compile(r"\s*-?[0-9]{1,18}\s*")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_bioc_xml(
    path: str | os.PathLike[str], *, segmenter: Segmenter = segment, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents one at a time; one is in memory. Declarations of entities are refused.

    Args:
        path: A file.
        segmenter: Cuts the text into words and sentences.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file:line: identifier: field: what is wrong``; also if there is no document at all.
    """
    name = Path(path).name
    left_out: Counter[str] = Counter()
    build = partial(document_of, segmenter=segmenter, left_out=left_out, on_error=on_error)
    with opened(path) as file:
        places = (
            Place(place, None, element)
            if isinstance(element, InputError)
            else record_place(place, _xml_record(element), "id", Record, build)
            for place, element in _elements(iter(partial(file.read, _CHUNK), b""), name)
        )
        yield from documents_at(name, places, on_error)
    note_counts(name, left_out)


class _Documents:
    """Handlers of an XML parser that collect the ``document`` elements of a collection."""

    def __init__(self, name: str) -> None:
        self.name, self.found = name, list[tuple[str, Element]]()
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data
        self.parser.EntityDeclHandler = self._refuse
        self.builder: TreeBuilder | None = None
        self.depth, self.outside, self.line = 0, 0, 0

    @property
    def place(self) -> str:
        return f"{self.name}:{self.parser.CurrentLineNumber}"

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self.depth == 0 and tag not in ("collection", "document"):
            raise InputError(f"not BioC: the outermost element is '{tag}', not 'collection'")
        if self.depth == _DEPTH:
            raise InputError(f"more than {_DEPTH} elements are inside each other")
        if tag == "document" and self.builder is None:
            self.builder, self.line, self.outside = TreeBuilder(), self.parser.CurrentLineNumber, self.depth
        self.depth += 1
        if self.builder is not None:
            self.builder.start(tag, attributes)

    def _data(self, data: str) -> None:
        if self.builder is not None:
            self.builder.data(data)

    def _end(self, tag: str) -> None:
        self.depth -= 1
        if self.builder is not None:
            element = self.builder.end(tag)
            if self.depth == self.outside:
                self.found.append((f"{self.name}:{self.line}", element))
                self.builder = None

    def _refuse(self, *declaration: object) -> None:
        raise InputError("declarations of entities are not read")


def _elements(chunks: Iterable[bytes], name: str) -> Iterator[tuple[str, Element | InputError]]:
    """Yield the place of each document and its element; for what is not XML, its place and an error."""
    documents = _Documents(name)
    error: InputError | None = None
    for chunk in chain(chunks, [b""]):
        try:
            documents.parser.Parse(chunk, not chunk)
        except expat.ExpatError as wrong:
            error = InputError(f"not XML: {expat.errors.messages[wrong.code]}")
        except InputError as wrong:
            error = wrong
        except (LookupError, ValueError) as wrong:  # an encoding that Python does not know
            error = InputError(f"not XML: {wrong}")
        yield from documents.found
        documents.found.clear()
        if error is not None:
            yield documents.place, error
            return


def _xml_record(element: Element) -> dict[str, object]:
    """Return a document, passage or sentence as its JSON has it."""
    record: dict[str, object] = {
        "infons": _infons(element),
        "passages": [_xml_record(passage) for passage in element.findall("passage")],
        "sentences": [_xml_record(sentence) for sentence in element.findall("sentence")],
        "annotations": [
            {
                **_texts(annotation, "text"),
                "id": annotation.get("id"),
                "infons": _infons(annotation),
                "locations": [_numbers(location) for location in annotation.findall("location")],
            }
            for annotation in element.findall("annotation")
        ],
        "relations": [
            {"infons": _infons(relation), "nodes": [dict(node.attrib) for node in relation.findall("node")]}
            for relation in element.findall("relation")
        ],
    }
    offset = _texts(element, "offset")
    return {**record, **_texts(element, "id", "text"), **_numbers(offset)}


def _texts(element: Element, *tags: str) -> dict[str, str]:
    """Return the text of those elements that are there."""
    found = {tag: element.find(tag) for tag in tags}
    return {tag: "".join(child.itertext()) for tag, child in found.items() if child is not None}


def _infons(element: Element) -> dict[str, object]:
    """Return infons, marked where a key is given twice, which is refused with the record."""
    infons: dict[str, object] = {}
    for infon in element.findall("infon"):
        key = infon.get("key", "")
        infons[key] = _DUPLICATE if key in infons else infon.text or ""
    return infons


def _numbers(attributes: Mapping[str, str] | Element) -> dict[str, object]:
    """Return integers where attributes are such; others are refused with the record."""
    return {key: int(value) if _INTEGER.fullmatch(value) else value for key, value in attributes.items()}


def write_bioc_xml(
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    *,
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents as :func:`read_bioc_xml` reads them; see :func:`~.bioc.write_bioc_json`."""
    header = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n'
        "<collection><source>glre_pyg</source><date></date><key></key>\n"
    )
    document = partial(_checked_xml, lossy=lossy)
    write_each(documents, path, document, on_error, header=header, footer="</collection>\n")


def _checked_xml(document: Document, *, lossy: bool) -> str:
    if lossy:
        document = fitted(replace(document, text=_NOT_XML.sub(" ", document.text)))
    record = record_of(document)
    text = _xml(record)
    wrong = _NOT_XML.search(text)
    if wrong is not None:
        raise InputError(f"{document.id}: XML cannot hold character {wrong[0]!r}")
    [(_, element)] = _elements([text.encode()], "")
    assert isinstance(element, Element)
    check_record(document, convert(_xml_record(element), Record))
    return text


def _xml(record: Mapping[str, Any]) -> str:
    """Return the XML of a document."""
    passages = "".join(
        f"<passage>{_infons_xml(passage['infons'])}<offset>{passage['offset']}</offset>"
        f"{_element('text', passage['text'])}"
        + "".join(
            f"<annotation id={quoteattr(each['id'])}>{_infons_xml(each['infons'])}"
            + "".join(
                f'<location offset="{place["offset"]}" length="{place["length"]}"/>'
                for place in each["locations"]
            )
            + f"{_element('text', each['text'])}</annotation>\n"
            for each in passage["annotations"]
        )
        + "</passage>\n"
        for passage in record["passages"]
    )
    relations = "".join(
        f"<relation id={quoteattr(relation['id'])}>{_infons_xml(relation['infons'])}"
        + "".join(f'<node refid="{node["refid"]}" role="{node["role"]}"/>' for node in relation["nodes"])
        + "</relation>\n"
        for relation in record["relations"]
    )
    return f"<document>{_element('id', record['id'])}\n{passages}{relations}</document>\n"


def _infons_xml(infons: Mapping[str, Any]) -> str:
    """Return infons; the end of a relation is ``type|identifier``, as PubTator3 has it."""
    texts = {
        key: f"{value['type']}|{value['identifier']}" if isinstance(value, dict) else value
        for key, value in infons.items()
    }
    return "".join(f"<infon key={quoteattr(key)}>{_escaped(text)}</infon>" for key, text in texts.items())


def _element(tag: str, text: str) -> str:
    return f"<{tag}>{_escaped(text)}</{tag}>"


def _escaped(text: str) -> str:
    return escape(text, {"\r": "&#13;"})
