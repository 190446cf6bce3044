"""What holds for every document: its strings are UTF-8, and its spans fit together."""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain, pairwise, starmap
from operator import ge
from typing import TYPE_CHECKING

from glre_pyg.utils.console import plural
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.json_fields import check_text

if TYPE_CHECKING:
    from glre_pyg.data.document import Document, Mention


def check_document(document: Document) -> None:
    """Check a document; see :class:`~glre_pyg.data.document.Document`.

    Raises:
        InputError: ``document: what is wrong``.
    """
    _check_strings(document)
    words, length = document.words, len(document.text)
    ends = [0, *(sentence.end for sentence in document.sentences)]
    starts = [*(sentence.start for sentence in document.sentences), len(words)]
    if ends != starts or any(start >= end for start, end in pairwise(ends)):
        raise InputError(f"{document.id}: sentences do not hold every word once, in order")
    edges = [(0, 0), *words, (length, length)]
    bounds = [*chain.from_iterable(edges)]
    if bounds != sorted(bounds) or any(starmap(ge, words)):
        raise InputError(f"{document.id}: words overlap, are empty, out of order or outside the text")
    for start, end in document.sections:
        if not 0 <= start <= end <= length:
            raise InputError(f"{document.id}: sections: {start} to {end} is not inside the text")
    for mention in document.mentions:
        _check_mention(document, mention, ends[1:])


def _check_strings(document: Document) -> None:
    check_text(document.id, f"{document.id}: id")
    check_text(document.text, f"{document.id}: text")
    rows = {
        "mentions": ((mention.type, *mention.ids, *mention.names) for mention in document.mentions),
        "facts": ((fact.head, fact.relation, fact.tail, *fact.extra) for fact in document.facts),
        "ignored": document.ignored,
    }
    for field, texts in rows.items():
        for number, row in enumerate(texts):
            check_text("".join(row), f"{document.id}: {field}[{number}]")


def _check_mention(document: Document, mention: Mention, sentence_ends: list[int]) -> None:
    words, length = document.words, len(document.text)
    if not 0 <= mention.start < mention.end <= length:
        raise InputError(
            f"{document.id}: mention {mention.span} is not inside the text of {length} characters"
        )
    start, end = document.word_span(mention)
    wrong = ""
    if mention.names and len(mention.names) < len(mention.ids):
        ids = f"{len(mention.ids)} {plural(len(mention.ids), 'identifier')}"
        wrong = f"has {ids} and {len(mention.names)} {plural(len(mention.names), 'name')}"
    elif (
        start >= end
        or words[start][0] < mention.start
        or (end < len(words) and words[end][0] < mention.end)
        or words[end - 1][1] > mention.end
        or (start and words[start - 1][1] > mention.start)
    ):
        wrong = "does not begin and end at words"
    elif bisect_left(sentence_ends, start + 1) != bisect_left(sentence_ends, end):
        wrong = "crosses a sentence boundary"
    if wrong:
        name = document.text[mention.start : mention.end]
        raise InputError(f"{document.id}: mention '{name}' at {mention.start} {wrong}")
