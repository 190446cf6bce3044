"""Write a self-contained HTML page, in which text from documents is never interpreted as HTML."""

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
from typing import Required, TypedDict, Unpack

from glre_pyg.data.document import Document, Fact
from glre_pyg.formats.page_data import document_data
from glre_pyg.utils.files import atomic_open

Pages = Iterable[tuple[Document, Sequence[Fact] | None]]
"""Documents with predicted facts, each with its true facts, or None if they are unknown."""

_SCRIPTS = ("text.js", "graph.js", "page.js")
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
# What could end the element, what JavaScript or a decoder would interpret, and lone surrogates.
_UNSAFE = re.compile("[<>&\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


class PageOptions(TypedDict, total=False):
    """What a page says beside its documents.

    Args:
        title: Title of the page.
        relations: Relations of the model, in its order.
        threshold: Probability above which a relation is a fact, or one for each relation by name.
        relation_names: Names of relations in words; others are shown with spaces in place of underscores.
        model: Displayed name of the model.
        about: Sentences about it, such as how often it is right.
        directed: Whether (a, b) and (b, a) are two pairs; otherwise true facts match in both orders.
        top_k: Number of context pairs to show.
    """

    title: Required[str]
    relations: Required[Sequence[str]]
    threshold: Required[float | Mapping[str, float]]
    relation_names: Mapping[str, str]
    model: str
    about: Sequence[str]
    directed: bool
    top_k: int


def write_page(documents: Pages, path: Path, **options: Unpack[PageOptions]) -> None:
    """Write one self-contained HTML page of documents and the relations predicted in them.

    Documents are written as they are read; the file appears when it is complete.

    Args:
        documents: See :func:`page_parts`.
        path: Path of the file.
        **options: See :class:`PageOptions`.

    Raises:
        TypeError: If a fact has no probability.
    """
    with atomic_open(path) as file:
        file.writelines(page_parts(documents, **options))


def page_parts(documents: Pages, **options: Unpack[PageOptions]) -> Iterator[str]:
    """Yield the parts of one self-contained HTML page of documents and the relations predicted in them.

    The page loads no script, style, font or image, and its content security policy forbids all but its own
    script and style.

    Args:
        documents: Documents with facts of :class:`~glre_pyg.data.explanation.PredictedFact`: those above the
            threshold, and candidates below it that the slider can show. With each its true facts, or None if
            unknown.
        **options: See :class:`PageOptions`.

    Raises:
        TypeError: If a fact has no probability.
    """
    relations, threshold = options["relations"], options["threshold"]
    limits = threshold if isinstance(threshold, Mapping) else dict.fromkeys(relations, threshold)
    head = {
        "relations": [[name, float(limits[name])] for name in relations],
        "words": {
            name: words for name, words in options.get("relation_names", {}).items() if name in relations
        },
        "model": options.get("model", ""),
        "about": list(options.get("about", ())),
        "directed": options.get("directed", True),
    }
    return _parts(options["title"], head, documents, options.get("top_k", 10))


def _parts(
    title: str,
    head: Mapping[str, object],
    documents: Pages,
    top_k: int,
) -> Iterator[str]:
    """Parts of the page: the template with its placeholders filled."""
    style = _resource("page.css")
    script = '"use strict";\n' + "\n".join(map(_resource, _SCRIPTS))
    policy = (
        f"default-src 'none'; script-src '{hash_of(script)}'; style-src '{hash_of(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    values: dict[str, Iterable[str]] = {
        "policy": [policy],
        "title": [escape(title)],
        "style": [style],
        "data": chain(
            [_data("page", head)],
            (_data("document", document_data(*each, top_k=top_k)) for each in documents),
        ),
        "script": [script],
    }
    for index, part in enumerate(_PLACEHOLDER.split(_resource("page.html"))):
        yield from values[part] if index % 2 else [part]


def _resource(name: str) -> str:
    return files("glre_pyg.formats").joinpath("page_assets", name).read_text(encoding="utf-8")


def hash_of(text: str) -> str:
    """Return the hash of a script or a style in a content security policy."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _data(kind: str, value: object) -> str:
    """A script element with a value as JSON, in which nothing can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return f'<script type="application/json" class="{kind}-data">{text}</script>\n'
