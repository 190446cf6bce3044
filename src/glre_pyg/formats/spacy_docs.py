"""Documents as spaCy has them, and back: a ``Doc`` each, many of them in a ``.spacy`` file (a ``DocBin``).

A document's words are the tokens of its ``Doc``, beside tokens for what the text has between words other than
one space, so that ``doc.text`` is the document's text. There are its sentences; ``doc.spans["mentions"]``,
all mentions, one for each identifier (``kb_id_``); and ``doc.ents``, the longest of those that overlap. Facts
are ``doc._.relations``; see :mod:`glre_pyg.extraction.spacy_relations`.

    >>> from glre_pyg.data.document import Document, Fact, Mention, Sentence
    >>> document = Document(
    ...     id="1",
    ...     text="Aspirin may\\ncause asthma.",
    ...     words=((0, 7), (8, 11), (12, 17), (18, 24), (24, 25)),
    ...     sentences=(Sentence(0, 5),),
    ...     mentions=(Mention(0, 7, "Chemical", ("D001241",)), Mention(18, 24, "Disease", ("D001249",))),
    ...     facts=(Fact("D001241", "CID", "D001249"),),
    ... )
    >>> from spacy.vocab import Vocab                                                   # doctest: +SKIP
    >>> doc = to_spacy(document, Vocab())                                               # doctest: +SKIP
    >>> [(token.text, token.ent_kb_id_) for token in doc]                               # doctest: +SKIP
    [('Aspirin', 'D001241'), ('may', ''), ('\\n', ''), ('cause', ''), ('asthma', 'D001249'), ('.', '')]
    >>> doc._.relations[0]["tail_mentions"]                                             # doctest: +SKIP
    [[4, 5]]
    >>> from_spacy(doc) == document                                                     # doctest: +SKIP
    True
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from textwrap import shorten
from types import ModuleType
from typing import TYPE_CHECKING

from glre_pyg.data.document import Document, Mention, Sentence
from glre_pyg.data.document import Span as Characters
from glre_pyg.data.paths import one_line
from glre_pyg.extraction.spacy_relations import KEY, add_extension, relations_of, with_facts
from glre_pyg.formats.reading import Place, documents_at, failing, opened
from glre_pyg.formats.writing import check_whole, formatted
from glre_pyg.mentions.documents import document_of
from glre_pyg.mentions.finder import FoundMention
from glre_pyg.mentions.spacy_finder import identifier_of
from glre_pyg.utils import json_fields as fields
from glre_pyg.utils.exceptions import ErrorHandler, InputError, printable
from glre_pyg.utils.files import atomic_path

if TYPE_CHECKING:
    from spacy.tokens import Doc, DocBin
    from spacy.tokens import Span as Tokens
    from spacy.vocab import Vocab

MENTIONS = "mentions"
"""The group of ``doc.spans`` that holds mentions."""
_OURS = "glre_pyg"
_ATTRIBUTES = ("ENT_IOB", "ENT_TYPE", "ENT_KB_ID", "SENT_START")
_NIL = "NIL"  # what spaCy's entity linker says of what it does not know
_SHOWN = 80  # characters
_UNPACKED = 100  # times its size that a file may become; text becomes some ten
_CHUNK = 1 << 24  # bytes


def write_spacy(
    documents: Iterable[Document], path: str | os.PathLike[str], *, on_error: ErrorHandler | None = None
) -> None:
    """Write documents as a ``DocBin``; the file appears when it is complete.

    spaCy keeps the whole of a ``DocBin`` in memory.

    Args:
        documents: The documents.
        path: The file.
        on_error: Is told of documents that cannot be written, which are left out; None raises.

    Raises:
        InputError: If spaCy is not installed, or a fact names an entity that its document does not mention.
    """
    spacy = _spacy()
    bin_ = spacy.tokens.DocBin(attrs=_ATTRIBUTES, store_user_data=True)
    for doc in formatted(documents, partial(to_spacy, vocab=spacy.vocab.Vocab()), on_error):
        bin_.add(doc)
    with atomic_path(path) as part:
        bin_.to_disk(part)


def read_spacy(
    path: str | os.PathLike[str],
    *,
    types: Mapping[str, str] | None = None,
    on_error: ErrorHandler | None = None,
) -> Iterator[Document]:
    """Read the documents of a ``DocBin``, as :func:`from_spacy` makes them.

    A ``Doc`` without an identifier has its number in the file, from 1.

    Args:
        path: The file.
        types: See :func:`from_spacy`.
        on_error: Is told of documents with an error, which are left out; None raises.

    Raises:
        InputError: ``file: document 3: identifier: what is wrong``; also if spaCy is not installed, or the
            file is not a ``DocBin`` or has no document at all.
    """
    spacy = _spacy()
    name = Path(path).name
    try:
        with opened(path) as file:
            raw = file.read()
        _check_size(raw)
        bin_ = spacy.tokens.DocBin().from_bytes(raw)
        vocab = spacy.vocab.Vocab(strings=bin_.strings)
    except InputError:
        raise
    except Exception as error:  # of zlib, of msgpack, or of what spaCy looks for in what they give
        raise InputError(f"{name}: not a DocBin of spaCy: {_said(error)}") from None
    yield from documents_at(
        name, (_place(bin_, number, vocab, types) for number in range(len(bin_))), on_error
    )


def _check_size(raw: bytes) -> None:
    """Refuse what would be unpacked to more than documents are, before memory is taken for it."""
    unpacking, most = zlib.decompressobj(), _UNPACKED * len(raw) + _CHUNK
    part, size = unpacking.decompress(raw, _CHUNK), 0
    while part:
        size += len(part)
        if size > most:
            raise ValueError(f"it unpacks to more than {_UNPACKED} times its size")
        part = unpacking.decompress(unpacking.unconsumed_tail, _CHUNK)


def _place(bin_: DocBin, number: int, vocab: Vocab, types: Mapping[str, str] | None) -> Place:
    name = f": document {number + 1}"
    try:
        doc = _doc(bin_, number, vocab)
    except Exception as error:  # of whatever spaCy finds in it
        wrong = InputError(f"not a Doc of spaCy: {_said(error)}")
        return Place(name, str(number + 1), failing(wrong))
    identifier = _id(doc) or str(number + 1)
    return Place(name, identifier, partial(_parsed, doc, identifier, types))


def _doc(bin_: DocBin, number: int, vocab: Vocab) -> Doc:
    """One of the documents of a ``DocBin``, whatever the others are like."""
    one = copy(bin_)
    one.strings = set()  # the vocabulary has them
    for part in ("tokens", "spaces", "cats", "span_groups", "user_data", "flags"):
        setattr(one, part, getattr(bin_, part)[number : number + 1])
    (doc,) = one.get_docs(vocab)
    return doc


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {shorten(printable(str(error)), _SHOWN)}"


def _parsed(doc: Doc, identifier: str, types: Mapping[str, str] | None) -> Document:
    try:
        return from_spacy(doc, types=types, id=identifier)
    except InputError:
        raise
    except Exception as error:  # what others have put where to_spacy puts something
        raise InputError(f"not what there is to be: {_said(error)}") from None


def to_spacy(document: Document, vocab: Vocab) -> Doc:
    """A document as spaCy has it: see the head of this module.

    Args:
        document: The document; its facts may be predicted.
        vocab: The vocabulary of the pipeline that is to go on with it.

    Raises:
        InputError: If spaCy is not installed, the document names what it does not have, or a mention begins
            or ends within the text between two words.
    """
    spacy = _spacy()
    add_extension()
    words, spaces, of_word, gaps = _tokens(document)
    starts = {of_word[sentence.start] for sentence in document.sentences}
    doc: Doc = spacy.tokens.Doc(
        vocab,
        words=words,
        spaces=spaces,
        sent_starts=[number in starts or number == 0 for number in range(len(words))],
    )

    def tokens(mention: Mention, identifier: str) -> Tokens:
        found: Tokens | None = doc.char_span(*mention.span, label=mention.type, kb_id=identifier)
        if found is None:
            text = document.text[slice(*mention.span)]
            raise InputError(
                f"{document.id}: mention '{text}' at {mention.start} begins or ends at no token of spaCy"
            )
        return found

    doc.spans[MENTIONS] = [
        tokens(mention, identifier) for mention in document.mentions for identifier in mention.ids or ("",)
    ]
    doc.spans[MENTIONS].attrs.update(
        ids=[len(mention.ids) for mention in document.mentions],
        names=[list(mention.names) for mention in document.mentions],
    )
    whole = [tokens(mention, "|".join(mention.ids)) for mention in document.mentions]
    doc.ents = spacy.util.filter_spans(whole)
    doc.user_data[_OURS] = {
        "id": document.id,
        "gaps": gaps,
        "sections": [list(section) for section in document.sections],
        "ignored": [list(pair) for pair in document.ignored],
    }
    doc.user_data[KEY] = relations_of(doc, document)
    check_whole(document)
    return doc


def from_spacy(doc: Doc, *, types: Mapping[str, str] | None = None, id: str | None = None) -> Document:
    """The document of a ``Doc`` of any pipeline, or of :func:`to_spacy`.

    Mentions are ``doc.spans["mentions"]`` if there is such a group, else ``doc.ents``; their identifiers are
    ``kb_id_``, else ``id_``, and where there is none, mentions are grouped by
    :func:`~glre_pyg.mentions.documents.document_of`. Words and sentences are made as models were trained
    with them, from the text; those of :func:`to_spacy` are kept as they are.

    Args:
        doc: The ``Doc``.
        types: Entity types for labels; mentions of other labels are left out, with facts that need them. None
            takes labels as they are.
        id: Identifier of the document; None for the one that :func:`to_spacy` has left, or for
            ``doc.user_data["id"]``, or else the beginning of the text.

    Raises:
        InputError: If there is no making a document of it, or a relation names an entity without mention.
    """
    document = without_facts(doc, types=types, id=id)
    return with_facts(document, doc, strict=types is None)


def without_facts(doc: Doc, *, types: Mapping[str, str] | None = None, id: str | None = None) -> Document:
    """As :func:`from_spacy`, without facts: ``doc._.relations`` is not looked at."""
    name = id or _id(doc) or one_line(doc.text[: 2 * _SHOWN])[:_SHOWN] or "?"
    try:
        spans = _inside(doc)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if _OURS in doc.user_data:
        return _held(doc, name, doc.user_data[_OURS], types)
    found = []
    for span in spans:
        text = span.text
        start = span.start_char + len(text) - len(text.lstrip())
        end = span.start_char + len(text.rstrip())
        if start < end and (types is None or span.label_ in types):
            label = span.label_ if types is None else types[span.label_]
            found.append(FoundMention(start, end, label, identifier_of(span)))
    return document_of(name, doc.text, found)


def mentions_of(doc: Doc) -> Sequence[Tokens]:
    """What :func:`from_spacy` takes for mentions."""
    return list(doc.spans[MENTIONS]) if MENTIONS in doc.spans else list(doc.ents)


def _inside(doc: Doc) -> Sequence[Tokens]:
    """The mentions, if they are tokens of a ``Doc``: spaCy takes from a file whatever it says."""
    spans = mentions_of(doc)
    for number, span in enumerate(spans):
        if not 0 <= span.start < span.end <= len(doc) or (span.start_char, span.end_char) != (
            doc[span.start].idx,
            doc[span.end - 1].idx + len(doc[span.end - 1]),
        ):
            raise InputError(f"{MENTIONS}[{number}]: {span.start} to {span.end} are not tokens of the text")
    return spans


def _tokens(document: Document) -> tuple[list[str], list[bool], list[int], list[int]]:
    """Tokens with whether a space follows, the token of each word, and the tokens that are no words."""
    texts: list[str] = []
    spaces: list[bool] = []
    of_word: list[int] = []
    gaps: list[int] = []
    bounds = [(0, 0), *document.words, (len(document.text), len(document.text))]
    for number, ((_, before), (start, end)) in enumerate(pairwise(bounds)):
        between = document.text[before:start]
        if between.startswith(" ") and texts:
            spaces[-1], between = True, between[1:]
        if between:
            gaps.append(len(texts))
            texts.append(between)
            spaces.append(False)
        if number < len(document.words):
            of_word.append(len(texts))
            texts.append(document.text[start:end])
            spaces.append(False)
    return texts, spaces, of_word, gaps


def _held(doc: Doc, name: str, ours: object, types: Mapping[str, str] | None) -> Document:
    """A document of :func:`to_spacy`, with the mentions that the ``Doc`` has now."""
    try:
        gaps, ignored, sections = _ours(doc, ours)
        mentions = tuple(_mentions(doc, types))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    words = [token for token in doc if token.i not in gaps]
    firsts = [0, *(token.i + 1 for token in words)]  # of the tokens from the word before to each word
    starts = [
        number
        for number, (first, token) in enumerate(zip(firsts, words, strict=False))
        if number == 0 or any(doc[index].is_sent_start for index in range(first, token.i + 1))
    ]
    known = {identifier for mention in mentions for identifier in mention.ids}
    return Document(
        id=name,
        text=doc.text,
        words=tuple((token.idx, token.idx + len(token)) for token in words),
        sentences=tuple(Sentence(*bounds) for bounds in pairwise([*starts, len(words)])),
        mentions=mentions,
        ignored=tuple(pair for pair in ignored if known.issuperset(pair)),
        sections=sections,
    )


def _ours(
    doc: Doc, ours: object
) -> tuple[Collection[int], tuple[tuple[str, str], ...], tuple[Characters, ...]]:
    """What :func:`to_spacy` has left: tokens that are no words, ignored pairs, and sections."""
    record = {key: _listed(value) for key, value in fields.mapping(ours, _OURS).items()}
    for part in ("gaps", "sections", "ignored"):
        fields.get(record, part, f"{_OURS}.{part}")
    gaps = fields.rows(record, "gaps", f"{_OURS}.gaps", fields.integer)
    for index, gap in enumerate(gaps):
        if not 0 <= gap < len(doc):
            raise InputError(f"{_OURS}.gaps[{index}]: {gap} is not one of {len(doc)} tokens")
    length = len(doc.text)
    sections = fields.rows(
        record, "sections", f"{_OURS}.sections", lambda item, path: fields.span(item, path, length)
    )
    return set(gaps), fields.rows(record, "ignored", f"{_OURS}.ignored", fields.pair), sections


def _listed(value: object) -> object:
    """A value with lists for the tuples that a ``DocBin`` makes of them."""
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value


def _mentions(doc: Doc, types: Mapping[str, str] | None) -> Iterator[Mention]:
    """Mentions of :func:`to_spacy`, of which several spans may be one, or those that are there instead."""
    spans = mentions_of(doc)
    attributes = (
        {key: _listed(value) for key, value in doc.spans[MENTIONS].attrs.items()}
        if MENTIONS in doc.spans
        else {}
    )
    sizes: Sequence[int] = fields.rows(attributes, "ids", f"{MENTIONS}.ids", fields.integer)
    names = fields.rows(attributes, "names", f"{MENTIONS}.names", _names)
    if len(sizes) != len(names) or any(size < 0 for size in sizes):
        raise InputError(
            f"{MENTIONS}.ids: {len(sizes)} numbers of identifiers for {len(names)} lists of names"
        )
    identifiers = [span.kb_id_ for span in spans]
    if sum(max(size, 1) for size in sizes) != len(spans):  # someone has changed them
        identifiers = [identifier_of(span) or "" for span in spans]
        sizes, names = [bool(identifier) for identifier in identifiers], ((),) * len(spans)
    firsts = accumulate((max(size, 1) for size in sizes), initial=0)
    for number, size, given in zip(firsts, sizes, names, strict=False):  # firsts has one more
        first, label = spans[number], spans[number].label_
        for other in range(number + 1, number + size):
            if (spans[other].start, spans[other].end, spans[other].label_) != (first.start, first.end, label):
                raise InputError(f"{MENTIONS}[{other}]: not of the same mention as {MENTIONS}[{number}]")
        if types is None or label in types:
            yield Mention(
                first.start_char,
                first.end_char,
                label if types is None else types[label],
                tuple(identifiers[number : number + size]),
                given,
            )


def _names(item: object, path: str) -> tuple[str, ...]:
    return fields.rows({"names": item}, "names", path, fields.text)


def _id(doc: Doc) -> str | None:
    """What a ``Doc`` is called."""
    ours = doc.user_data.get(_OURS) or doc.user_data
    named = ours.get("id") if isinstance(ours, Mapping) else None
    return named if isinstance(named, str) and named else None


def _spacy() -> ModuleType:
    try:
        import spacy
    except ImportError:
        raise InputError("spaCy is not installed: pip install 'glre_pyg[spacy]'") from None
    return spacy
