"""Documents from plain text and what was found in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from glre_pyg.data.document import Document, Span
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.mentions.finder import Finder, Found, check_spans
from glre_pyg.mentions.grouping import grouped
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error


def with_mentions(
    documents: Iterable[Document],
    finder: Finder,
    *,
    segmenter: Segmenter = segment,
    abbreviations: bool = True,
    on_error: ErrorHandler | None = None,
) -> Iterator[Document]:
    """Documents with the mentions that are found in their text in place of their own.

    Words and sentences are cut anew, so that every mention begins and ends at words. Identifiers and sections
    stay; facts and ignored pairs, which speak of the former entities, do not.

    Args:
        documents: Documents, read no further ahead than the finder asks for.
        finder: Finds mentions.
        segmenter: Makes words and sentences.
        abbreviations: See :func:`~glre_pyg.mentions.grouping.grouped`.
        on_error: Is told of documents in which mentions leave the text or cross, which are left out; None
            raises.

    Raises:
        InputError: See :func:`document_of`.
        ValueError: If the finder does not give one list for each text.
    """
    waiting: deque[Document] = deque()

    def texts() -> Iterator[str]:
        for document in documents:
            waiting.append(document)
            yield document.text

    for found in finder(texts()):
        if not waiting:
            raise ValueError("the finder gave more lists of mentions than there are texts")
        document = waiting.popleft()
        try:
            yield document_of(
                document.id,
                document.text,
                found,
                sections=document.sections,
                segmenter=segmenter,
                abbreviations=abbreviations,
            )
        except InputError as error:
            handle_error(error, on_error)
    if waiting:
        raise ValueError(f"the finder gave no list of mentions for {waiting[0].id}")


def document_of(
    id: str,
    text: str,
    found: Iterable[Found],
    *,
    sections: Iterable[Span] = (),
    segmenter: Segmenter = segment,
    abbreviations: bool = True,
) -> Document:
    """A document of a text and the mentions in it, grouped into entities.

    Args:
        id: What the document is to be called.
        text: Its text.
        found: Mentions; one may lie in another, of equals one counts.
        sections: Characters ``[start, end)`` of the parts of the text.
        segmenter: Makes words and sentences.
        abbreviations: See :func:`~glre_pyg.mentions.grouping.grouped`.

    Raises:
        InputError: ``document: what is wrong``, if a mention leaves the text, is empty, or crosses another.

    Example:
        >>> text = "Velorin (VLN) eased migraine. VLN caused tremor."
        >>> found = [Found(0, 7, "Chemical", "C1"), Found(20, 28, "Disease"), Found(41, 47, "Disease")]
        >>> document = document_of("1", text, found)
        >>> for entity in document.entities:
        ...     print(entity.id, [text[mention.start : mention.end] for mention in entity.mentions])
        C1 ['Velorin', 'VLN', 'VLN']
        migraine ['migraine']
        tremor ['tremor']
    """
    found = list(found)
    check_spans(id, text, ((one.start, one.end) for one in found))
    mentions = grouped(text, found, abbreviations=abbreviations)
    sections = tuple(sections)
    words, sentences = segmenter(text, [mention.span for mention in mentions], sections)
    return Document(id, text, words, sentences, mentions, sections=sections)
