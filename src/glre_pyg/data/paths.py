"""Where a document connects two entities: the path between them, and the sentences to read.

Standard library only. Sentences are numbered from 0 here, and from 1 where people read them. What is derived
from the document alone is computed once and shared by all its pairs: see
:attr:`~glre_pyg.data.document.Document.entity_sentences`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from glre_pyg.data.document import Document, Entity, Mention
from glre_pyg.utils.exceptions import InputError

Role = Literal["target", "related", ""]
Passage = list[tuple[str, Role]]


@dataclass(frozen=True, slots=True)
class Step:
    """A node of a path.

    Args:
        kind: Type of the node.
        number: Its number among the document's entities or sentences.
        name: Name of the entity, or text of the sentence.
    """

    kind: Literal["entity", "sentence"]
    number: int
    name: str


def entity_of(document: Document, identifier: str) -> Entity:
    """Return the entity with an identifier.

    Raises:
        InputError: If the document does not mention it.
    """
    return document.entities[_number(document, identifier)]


def _number(document: Document, identifier: str) -> int:
    try:
        return document.entity_numbers[identifier]
    except KeyError:
        raise InputError(f"{document.id}: there is no entity '{identifier}'") from None


def name_of(document: Document, entity: Entity, mention: Mention) -> str:
    """Return the name that a mention gives an entity, on one line."""
    return one_line(document.name(entity.id, mention))


def names_of(document: Document, entity: Entity) -> tuple[str, ...]:
    """Return the distinct names of an entity, in the order of the text."""
    return tuple(dict.fromkeys(name_of(document, entity, mention) for mention in entity.mentions))


def sentences_of(document: Document, identifier: str) -> tuple[int, ...]:
    """Return the sentences that mention an entity, ascending.

    Raises:
        InputError: If the document does not mention it.
    """
    return document.entity_sentences[_number(document, identifier)]


def sentence_text(document: Document, sentence: int) -> str:
    """Return the text of a sentence on one line."""
    return one_line(document.text[slice(*document.sentence_span(sentence))])


def one_line(text: str) -> str:
    """Replace each run of white space with a single space."""
    return " ".join(text.split())


def connection(document: Document, head: str, tail: str) -> tuple[Step, ...]:
    """Find the path in the document's graph along which a reader would connect two entities.

    The graph (Section 3.2) has no edges between entities. A path goes from an entity to a sentence that
    mentions it, on to another entity of that sentence, and so on: a bridge, such as "non-users of aspirin" in
    the first case of Table 6. All sentences are adjacent to each other, too, but those edges say nothing of
    the two entities, so one is used only where no entities connect them. Of all paths, the result has

    1. the fewest edges between sentences: none, or one,
    2. then the fewest edges, as breadth-first search finds it,
    3. then the shortest distance through the text, counted in sentences from each sentence to the next,
    4. then the first nodes, compared one by one in the order of the text. Of several entities that connect
       two sentences, this is the one mentioned first in the document.

    The time is linear in the number of mentions, apart from sorting.

    Raises:
        InputError: If the document does not mention one of the two.
    """
    start, end = _number(document, head), _number(document, tail)
    steps: list[Step] = []
    hops = _bridged(document, start, end)
    if not hops:
        first, last = _nearest(document.entity_sentences[start], document.entity_sentences[end])
        hops = [(start, first), (None, last)]
    for bridge, sentence in hops:
        if bridge is not None:
            steps.append(_entity_step(document, bridge))
        steps.append(Step("sentence", sentence, sentence_text(document, sentence)))
    return (*steps, _entity_step(document, end))


_Hop = tuple[int | None, int]  # a sentence of a path, and the entity before it; None after another sentence


def _bridged(document: Document, start: int, end: int) -> list[_Hop]:
    """Path over entities alone; empty if there is none.

    Breadth-first search over levels of sentences. An entity is expanded once: all of its sentences are in the
    level that first mentions it, or in the next.
    """
    ends = set(document.entity_sentences[end])
    # Distance of each sentence through the text, and its rank by rule 4, which is also the order.
    level = {sentence: (0, rank) for rank, sentence in enumerate(document.entity_sentences[start])}
    reached: dict[int, tuple[int, int | None]] = dict.fromkeys(level, (start, None))
    expanded = {start}
    while level and ends.isdisjoint(level):
        bridges = {entity for sentence in level for entity in document.sentence_entities[sentence]} - expanded
        expanded |= bridges
        following: dict[int, tuple[int, int, int]] = {}
        for bridge in bridges:
            for sentence, distance, rank in _expand(document.entity_sentences[bridge], level):
                hop = distance, rank, bridge
                following[sentence] = min(hop, following.get(sentence, hop))
        order = list(level)
        reached |= {sentence: (bridge, order[rank]) for sentence, (_, rank, bridge) in following.items()}
        ranked = sorted(following, key=lambda sentence: (*following[sentence][1:], sentence))
        level = {sentence: (following[sentence][0], rank) for rank, sentence in enumerate(ranked)}
    hops: list[_Hop] = []
    here = min(ends & level.keys(), key=level.__getitem__, default=None)
    while here is not None:
        bridge, previous = reached[here]
        hops.append((bridge, here))
        here = previous
    return hops[::-1]


def _expand(sentences: Sequence[int], level: Mapping[int, tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Sentences of an entity beyond a level, each with its distance over the level, and the rank it is from.

    One pass forwards and one backwards: of the sentences passed so far, one is nearest to all that follow.
    """
    for direction, ordered in ((1, sentences), (-1, reversed(sentences))):
        nearest: tuple[int, int] | None = None
        for sentence in ordered:
            if sentence in level:
                distance, rank = level[sentence]
                here = distance - direction * sentence, rank
                nearest = here if nearest is None else min(nearest, here)
            elif nearest is not None:
                yield sentence, nearest[0] + direction * sentence, nearest[1]


def _nearest(heads: Sequence[int], tails: Sequence[int]) -> tuple[int, int]:
    """The two sentences that are the fewest sentences apart; of equals, the first."""

    def around(sentence: int) -> Sequence[int]:
        index = bisect_left(tails, sentence)
        return tails[max(index - 1, 0) : index + 1]

    _, head, tail = min((abs(head - tail), head, tail) for head in heads for tail in around(head))
    return head, tail


def _entity_step(document: Document, number: int) -> Step:
    entity = document.entities[number]
    return Step("entity", number, name_of(document, entity, entity.mentions[0]))


def sentences_for(document: Document, head: str, tail: str) -> tuple[int, ...]:
    """Return the sentences that mention both entities or, if there are none, those on the path between them.

    Args:
        document: The document.
        head, tail: Identifiers of the entities.

    Returns:
        Numbers of sentences from 0, ascending.

    Raises:
        InputError: If the document does not mention one of the two.
    """
    few, many = sorted((sentences_of(document, head), sentences_of(document, tail)), key=len)
    if shared := tuple(number for number in few if number in many[bisect_left(many, number) :][:1]):
        return shared
    path = connection(document, head, tail)
    return tuple(sorted({step.number for step in path if step.kind == "sentence"}))


def passages(document: Document, head: str, tail: str) -> Iterator[tuple[int, Passage]]:
    """Yield the sentences of the nearest mentions of two entities, and those on the path between them.

    Mentions of the two and of connecting entities are marked.
    """
    path = connection(document, head, tail)
    nearest = _nearest(sentences_of(document, head), sentences_of(document, tail))
    related = [document.entities[step.number].id for step in path[1:-1] if step.kind == "entity"]
    for sentence in sorted({*nearest, *(step.number for step in path if step.kind == "sentence")}):
        yield sentence, marked(document, sentence, (head, tail), related)


def marked(document: Document, sentence: int, targets: Collection[str], related: Collection[str]) -> Passage:
    """Split a sentence into segments with roles; joined, they are its text.

    Args:
        document: The document.
        sentence: Number of the sentence.
        targets: Identifiers of the pair; their mentions take precedence over others that overlap them.
        related: Identifiers of other entities to mark.
    """
    start, end = document.sentence_span(sentence)
    roles: list[Role] = [""] * (end - start)
    kinds: list[tuple[Role, set[str]]] = [("related", set(related)), ("target", set(targets))]
    for role, identifiers in kinds:
        for mention in document.sentence_mentions[sentence]:
            if not identifiers.isdisjoint(mention.ids):
                roles[mention.start - start : mention.end - start] = [role] * (mention.end - mention.start)
    segments: Passage = []
    offset = start
    for role, run in groupby(roles):
        length = len(list(run))
        segments.append((document.text[offset : offset + length], role))
        offset += length
    return segments
