"""Documents from plain text and the mentions found in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator

from glre_pyg.data.document import Document, Span
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.mentions.finder import Finder, FoundMention, check_spans
from glre_pyg.mentions.grouping import group_mentions
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error


def with_mentions(
    documents: Iterable[Document],
    finder: Finder,
    *,
    segmenter: Segmenter = segment,
    on_error: ErrorHandler | None = None,
) -> Iterator[Document]:
    """Replace the mentions of documents with those found in their text.

    The text is segmented again, so that every mention begins and ends at words. Identifiers and sections are
    kept; facts and ignored pairs, which refer to the replaced entities, are not.

    Args:
        documents: Documents, read no further ahead than the finder does.
        finder: Mention finder.
        segmenter: Cuts texts into words and sentences.
        on_error: Callback for documents in which mentions leave the text or cross, which are skipped; None
            raises the error.

    Raises:
        InputError: See :func:`document_of`.
        ValueError: If the finder does not yield one list for each text.
    """
    pending: deque[Document] = deque()

    def texts() -> Iterator[str]:
        for document in documents:
            pending.append(document)
            yield document.text

    for mentions in _found(finder, texts(), pending):
        if not pending:
            raise ValueError("the finder yielded more lists of mentions than there are texts")
        document = pending.popleft()
        try:
            if mentions is None:
                raise MemoryError
            yield document_of(
                document.id, document.text, mentions, sections=document.sections, segmenter=segmenter
            )
        except InputError as error:
            handle_error(error, on_error)
        except MemoryError:
            handle_error(InputError(f"{document.id}: there is not enough memory to find mentions"), on_error)
    if pending:
        raise ValueError(f"the finder yielded no list of mentions for {pending[0].id}")


def _found(
    finder: Finder, texts: Iterator[str], pending: Collection[Document]
) -> Iterator[list[FoundMention] | None]:
    """Find mentions; where memory is not enough for several texts, one by one, and None if not for one."""
    while True:
        try:
            yield from finder(texts)
            return
        except MemoryError:
            if not pending:  # in reading the next text
                raise
        for document in tuple(pending):
            try:
                yield next(iter(finder([document.text])))
            except MemoryError:
                yield None


def document_of(
    id: str,
    text: str,
    mentions: Iterable[FoundMention],
    *,
    sections: Iterable[Span] = (),
    abbreviations: bool = True,
    segmenter: Segmenter = segment,
) -> Document:
    """Create a document from a text and its mentions, which are grouped into entities.

    Args:
        id: Identifier of the document.
        text: Its text.
        mentions: Mentions; they may be nested, and duplicates count once.
        sections: Characters ``[start, end)`` of the sections of the text.
        abbreviations: See :func:`~glre_pyg.mentions.grouping.group_mentions`.
        segmenter: Cuts the text into words and sentences.

    Raises:
        InputError: ``document: message``, if a mention leaves the text, is empty, or crosses another.

    Example:
        >>> text = "Velorin (VLN) eased migraine. VLN caused tremor."
        >>> spans = [(0, 7, "Chemical", "C1"), (20, 28, "Disease"), (41, 47, "Disease")]
        >>> document = document_of("1", text, [FoundMention(*span) for span in spans])
        >>> for entity in document.entities:
        ...     print(entity.id, [text[mention.start : mention.end] for mention in entity.mentions])
        C1 ['Velorin', 'VLN', 'VLN']
        migraine ['migraine']
        tremor ['tremor']
    """
    mentions, sections = list(mentions), tuple(sections)
    for mention in mentions:
        if not isinstance(mention, FoundMention):
            raise InputError(
                f"{id}: mentions: expected FoundMention(start, end, type, id), not {type(mention).__name__}"
            )
    check_spans(id, text, ((mention.start, mention.end) for mention in mentions))
    grouped = group_mentions(text, mentions, abbreviations=abbreviations)
    words, sentences = segmenter(text, [mention.span for mention in grouped], sections)
    return Document(id, text, words, sentences, grouped, sections=sections)
