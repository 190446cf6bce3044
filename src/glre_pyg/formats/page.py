"""Writes the page: one file that asks for nothing else, in which text from documents stays text."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from itertools import chain
from pathlib import Path

from glre_pyg.data.document import Document, Fact
from glre_pyg.formats.page_data import document_data
from glre_pyg.utils.files import atomic_open

_SCRIPTS = ("text.js", "graph.js", "page.js")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
# What could end the element, what JavaScript or a decoder reads otherwise, and halves of characters.
_UNSAFE = re.compile("[<>&\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def write_page(
    documents: Iterable[tuple[Document, Sequence[Fact] | None]],
    path: Path,
    *,
    title: str,
    relations: Sequence[str],
    threshold: float | Mapping[str, float],
    model: str = "",
    directed: bool = True,
    top_k: int = 10,
) -> None:
    """Write one self-contained HTML page of documents and the relations found in them.

    The page takes no script, style, font or picture from elsewhere, and its content security policy forbids
    all but its own script and style. It is written as documents come, and appears when it is complete.

    Args:
        documents: Documents, their facts being :class:`~glre_pyg.data.explanation.PredictedFact`: those above
            the threshold, and candidates below it for the slider to reach. With each the true facts, or None
            where they are not known.
        path: The file.
        title: The page's title.
        relations: The relations that the model knows, in its order.
        threshold: Probability above which a relation is a fact: one, or one for each relation by name.
        model: What found the relations, for people to read.
        directed: Whether (a, b) and (b, a) are two pairs; else a true fact may name the two in either order.
        top_k: How many of the pairs that a context is made of the page shows.

    Raises:
        TypeError: If a fact has no probability.
    """
    limits = threshold if isinstance(threshold, Mapping) else dict.fromkeys(relations, threshold)
    head = {
        "relations": [[name, float(limits[name])] for name in relations],
        "model": model,
        "directed": directed,
    }
    with atomic_open(path) as file:
        file.writelines(_pieces(title, head, documents, top_k))


def _pieces(
    title: str,
    head: Mapping[str, object],
    documents: Iterable[tuple[Document, Sequence[Fact] | None]],
    top_k: int,
) -> Iterator[str]:
    """The page's text, piece by piece: the template with its places filled."""
    style = _resource("page.css")
    script = '"use strict";\n' + "\n".join(map(_resource, _SCRIPTS))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    places: dict[str, Iterable[str]] = {
        "policy": [policy],
        "title": [escape(title)],
        "style": [style],
        "data": chain(
            [_data("page", head)],
            (_data("document", document_data(*each, top_k=top_k)) for each in documents),
        ),
        "script": [script],
    }
    for index, piece in enumerate(_PLACE.split(_resource("page.html"))):
        yield from places[piece] if index % 2 else [piece]


def _resource(name: str) -> str:
    return files("glre_pyg.formats").joinpath("page_assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a content security policy knows a script or a style by."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _data(kind: str, value: object) -> str:
    """An element with a value as JSON, in which nothing can be taken for the element's end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return f'<script type="application/json" class="{kind}-data">{text}</script>\n'
