"""Documents as spaCy ``Doc`` objects, many of them in a ``.spacy`` file (a ``DocBin``).

The tokens of a ``Doc`` are the words of its document, and a token for any text between words other than one
space, so that ``doc.text`` is the text of the document. Sentences are kept; ``doc.spans["mentions"]`` holds
all mentions, one for each identifier (``kb_id_``), and ``doc.ents`` the longest of those that overlap. Facts
are ``doc._.relations``; see :mod:`glre_pyg.formats.spacy_relations`. :mod:`glre_pyg.mentions.spacy_documents`
reads these, and what any pipeline makes.

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
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from textwrap import shorten
from types import ModuleType
from typing import TYPE_CHECKING

from msgspec import Struct

from glre_pyg.data.document import Document, Mention, Sentence
from glre_pyg.data.document import Span as Characters
from glre_pyg.formats.checking import check_references
from glre_pyg.formats.reading import Place, documents_at
from glre_pyg.formats.spacy_relations import KEY, add_extension, relations_of
from glre_pyg.formats.writing import converted
from glre_pyg.utils.compression import opened
from glre_pyg.utils.console import printable
from glre_pyg.utils.exceptions import ErrorHandler, InputError
from glre_pyg.utils.files import atomic_path
from glre_pyg.utils.json_fields import convert

if TYPE_CHECKING:
    from spacy.tokens import Doc, DocBin
    from spacy.tokens import Span as Tokens
    from spacy.vocab import Vocab

MENTIONS = "mentions"
"""The group of ``doc.spans`` that holds mentions."""
_LAYOUT = "glre_pyg"
_ATTRIBUTES = ("ENT_IOB", "ENT_TYPE", "ENT_KB_ID", "SENT_START")
_UNLINKED = ("", "NIL")  # NIL is what spaCy's entity linker gives to mentions that are in no knowledge base
_SHOWN = 80  # characters
_UNPACKED = 100  # limit on the size of the unpacked file, in times of its packed size; text has about 10
_CHUNK = 1 << 24  # bytes


class _Layout(Struct):
    """What a ``Doc`` has no place for: tokens that are not words, ignored pairs and sections."""

    gaps: list[int]
    ignored: tuple[tuple[str, str], ...]
    sections: tuple[Characters, ...]


class _Groups(Struct):
    """Spans that are one mention: the number of identifiers, and the names, of each mention."""

    ids: tuple[int, ...] = ()
    names: tuple[tuple[str, ...], ...] = ()


def write_spacy(
    documents: Iterable[Document], path: str | os.PathLike[str], *, on_error: ErrorHandler | None = None
) -> None:
    """Write documents as a ``DocBin``; the file appears when it is complete.

    spaCy holds a whole ``DocBin`` in memory.

    Args:
        documents: The documents.
        path: The file.
        on_error: Callback for documents that cannot be written, which are skipped; None raises.

    Raises:
        InputError: If spaCy is not installed, or a fact names an entity that its document does not mention.
    """
    spacy = _spacy()
    bin_ = spacy.tokens.DocBin(attrs=_ATTRIBUTES, store_user_data=True)
    for doc in converted(documents, partial(_named_doc, vocab=spacy.vocab.Vocab()), on_error):
        bin_.add(doc)
    with atomic_path(path) as part:
        bin_.to_disk(part)


def _named_doc(document: Document, vocab: Vocab) -> Doc:
    if not document.id:
        raise InputError(": a document without identifier would be read back with its number as identifier")
    return to_spacy(document, vocab)


def read_docs(
    path: str | os.PathLike[str],
    parse: Callable[[Doc, str], Document],
    *,
    on_error: ErrorHandler | None = None,
) -> Iterator[Document]:
    """Read the documents of a ``DocBin``.

    Args:
        path: The file.
        parse: Makes a document of a ``Doc`` and its identifier, by default its number in the file from 1.
        on_error: Callback for documents with an error, which are skipped; None raises.

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
        raise InputError(f"{name}: not a DocBin of spaCy: {_reason(error)}") from None
    places = (
        _place(f"{name}: document {number + 1}", bin_, number, vocab, parse) for number in range(len(bin_))
    )
    yield from documents_at(name, places, on_error)


def _check_size(raw: bytes) -> None:
    """Check, without unpacking it whole, that a file does not unpack to far more than documents do."""
    unpacking, limit = zlib.decompressobj(), _UNPACKED * len(raw) + _CHUNK
    part, size = unpacking.decompress(raw, _CHUNK), 0
    while part:
        size += len(part)
        if size > limit:
            raise ValueError(f"it unpacks to more than {_UNPACKED} times its size")
        part = unpacking.decompress(unpacking.unconsumed_tail, _CHUNK)


def _place(
    name: str, bin_: DocBin, number: int, vocab: Vocab, parse: Callable[[Doc, str], Document]
) -> Place:
    identifier = str(number + 1)
    try:
        doc = _doc(bin_, number, vocab)
    except Exception as error:  # whatever spaCy finds wrong with it
        return Place(name, identifier, InputError(f"not a Doc of spaCy: {_reason(error)}"))
    identifier = id_of(doc) or identifier
    return Place(name, identifier, partial(_parsed, parse, doc, identifier))


def _doc(bin_: DocBin, number: int, vocab: Vocab) -> Doc:
    """Read one document of a ``DocBin``, whatever is wrong with the others."""
    one = object.__new__(type(bin_))  # a copy would pack and unpack all documents
    vars(one).update(vars(bin_))
    one.strings = set()  # the vocabulary has them
    for part in ("tokens", "spaces", "cats", "span_groups", "user_data", "flags"):
        setattr(one, part, getattr(bin_, part)[number : number + 1])
    (doc,) = one.get_docs(vocab)
    return doc


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {shorten(printable(str(error)), _SHOWN)}"


def _parsed(parse: Callable[[Doc, str], Document], doc: Doc, identifier: str) -> Document:
    try:
        return parse(doc, identifier)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # what others have put where to_spacy puts something
        raise InputError(f"not the layout of a document: {_reason(error)}") from None


def to_spacy(document: Document, vocab: Vocab) -> Doc:
    """Convert a document to a spaCy ``Doc``, as described above.

    Args:
        document: The document; its facts may be predicted.
        vocab: Vocabulary of the pipeline that is to process the ``Doc``.

    Raises:
        InputError: If spaCy is not installed, a fact names an entity or sentence that the document does not
            have, or a mention begins or ends within the text between two words.
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
        span: Tokens | None = doc.char_span(*mention.span, label=mention.type, kb_id=identifier)
        if span is None:
            text = document.text[slice(*mention.span)]
            raise InputError(
                f"{document.id}: mention '{text}' at {mention.start} begins or ends at no token of spaCy"
            )
        return span

    doc.spans[MENTIONS] = [
        tokens(mention, identifier) for mention in document.mentions for identifier in mention.ids or ("",)
    ]
    doc.spans[MENTIONS].attrs.update(
        ids=[len(mention.ids) for mention in document.mentions],
        names=[list(mention.names) for mention in document.mentions],
    )
    doc.ents = spacy.util.filter_spans(
        [tokens(mention, "|".join(mention.ids)) for mention in document.mentions]
    )
    doc.user_data[_LAYOUT] = {
        "id": document.id,
        "gaps": gaps,
        "sections": [list(section) for section in document.sections],
        "ignored": [list(pair) for pair in document.ignored],
    }
    doc.user_data[KEY] = relations_of(doc, document)
    check_references(document)
    return doc


def _tokens(document: Document) -> tuple[list[str], list[bool], list[int], list[int]]:
    """Return tokens, whether a space follows each, the token of each word, and tokens that are no words."""
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


def mentions_of(doc: Doc) -> Sequence[Tokens]:
    """Return ``doc.spans["mentions"]`` if there is such a group, else ``doc.ents``."""
    return list(doc.spans[MENTIONS]) if MENTIONS in doc.spans else list(doc.ents)


def check_mentions(doc: Doc) -> None:
    """Check that the mentions of a ``Doc`` are tokens of it, which spaCy does not when it reads a file.

    Raises:
        InputError: ``mentions[0]: what is wrong``.
    """
    for number, span in enumerate(mentions_of(doc)):
        if not 0 <= span.start < span.end <= len(doc) or (span.start_char, span.end_char) != (
            doc[span.start].idx,
            doc[span.end - 1].idx + len(doc[span.end - 1]),
        ):
            raise InputError(f"{MENTIONS}[{number}]: {span.start} to {span.end} are not tokens of the text")


def identifier_of(span: Tokens) -> str | None:
    """Return the identifier of the entity that a span is linked to, else that of its pattern, if any."""
    for identifier in (span.kb_id_, span.ent_id_, span.id_):
        if identifier not in _UNLINKED:
            return identifier
    return None


def id_of(doc: Doc) -> str | None:
    """Return the identifier that :func:`to_spacy` or ``doc.user_data["id"]`` gives to a ``Doc``, if any."""
    data = doc.user_data.get(_LAYOUT) or doc.user_data
    identifier = data.get("id") if isinstance(data, Mapping) else None
    return identifier if isinstance(identifier, str) and identifier else None


def is_document(doc: Doc) -> bool:
    """Return whether a ``Doc`` was made by :func:`to_spacy`."""
    return _LAYOUT in doc.user_data


def restored(doc: Doc, name: str, types: Mapping[str, str] | None) -> Document:
    """Return the document of a ``Doc`` of :func:`to_spacy`, with the mentions that the ``Doc`` has now.

    Facts are not read.

    Args:
        doc: The ``Doc``.
        name: Identifier of the document.
        types: Entity types by label; mentions of other labels are left out. None keeps labels.

    Raises:
        InputError: ``document: field: what is wrong``.
    """
    try:
        layout = convert(doc.user_data[_LAYOUT], _Layout, _LAYOUT)
        for index, gap in enumerate(layout.gaps):
            if not 0 <= gap < len(doc):
                raise InputError(f"{_LAYOUT}.gaps[{index}]: {gap} is not one of {len(doc)} tokens")
        mentions = tuple(_mentions(doc, types))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    gaps = set(layout.gaps)
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
        ignored=tuple(pair for pair in layout.ignored if known.issuperset(pair)),
        sections=layout.sections,
    )


def _mentions(doc: Doc, types: Mapping[str, str] | None) -> Iterator[Mention]:
    """Read mentions, each of which is several spans if it has several identifiers."""
    spans = mentions_of(doc)
    groups = convert(dict(doc.spans[MENTIONS].attrs) if MENTIONS in doc.spans else {}, _Groups, MENTIONS)
    sizes, names = groups.ids, groups.names
    if len(sizes) != len(names) or any(size < 0 for size in sizes):
        raise InputError(
            f"{MENTIONS}.ids: {len(sizes)} numbers of identifiers for {len(names)} lists of names"
        )
    identifiers = [span.kb_id_ for span in spans]
    if sum(max(size, 1) for size in sizes) != len(spans):  # someone has changed them
        identifiers = [identifier_of(span) or "" for span in spans]
        sizes, names = tuple(map(bool, identifiers)), ((),) * len(spans)
    firsts = accumulate((max(size, 1) for size in sizes), initial=0)
    for number, size, given in zip(firsts, sizes, names, strict=False):  # firsts has one more
        first, label = spans[number], spans[number].label_
        for other in range(number + 1, number + size):
            if (spans[other].start, spans[other].end, spans[other].label_) != (first.start, first.end, label):
                raise InputError(f"{MENTIONS}[{other}]: not of the same mention as {MENTIONS}[{number}]")
        if types is None or label in types:
            kind = label if types is None else types[label]
            ids = tuple(identifiers[number : number + size])
            yield Mention(first.start_char, first.end_char, kind, ids, given)


def _spacy() -> ModuleType:
    try:
        import spacy
    except ImportError:
        raise InputError("spaCy is not installed: pip install 'glre_pyg[spacy]'") from None
    return spacy
