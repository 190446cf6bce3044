"""Where a document speaks of a pair: the path that connects two entities, and the sentences to read.

Standard library only. Sentences are counted from 0 here; what people read counts them from 1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import groupby
from typing import Literal

from glre_pyg.data.document import Document, Entity, Mention
from glre_pyg.utils.exceptions import InputError

Role = Literal["target", "related", ""]
Passage = list[tuple[str, Role]]


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a path.

    Args:
        kind: Its type.
        number: Its number among the document's entities or sentences.
        name: The entity's name, or the text of the sentence.
    """

    kind: Literal["entity", "sentence"]
    number: int
    name: str


def entity_of(document: Document, identifier: str) -> Entity:
    """The entity of an identifier.

    Raises:
        InputError: If the document does not mention it.
    """
    for entity in document.entities:
        if entity.id == identifier:
            return entity
    raise InputError(f"{document.id}: there is no entity '{identifier}'")


def name_of(document: Document, entity: Entity, mention: Mention) -> str:
    """What a mention calls an entity, on one line."""
    return one_line(document.name(entity.id, mention))


def names_of(document: Document, entity: Entity) -> tuple[str, ...]:
    """The names of an entity, each once, in the order of the text."""
    return tuple(dict.fromkeys(name_of(document, entity, mention) for mention in entity.mentions))


def sentences_of(document: Document, entity: Entity) -> tuple[int, ...]:
    """The sentences that mention an entity, ascending."""
    return tuple(sorted({document.sentence_of(mention) for mention in entity.mentions}))


def sentence_text(document: Document, sentence: int) -> str:
    """The text of a sentence on one line."""
    return one_line("".join(text for text, _ in marked(document, sentence, (), ())))


def one_line(text: str) -> str:
    """A text with single spaces for its runs of white space."""
    return " ".join(text.split())


def connection(document: Document, head: str, tail: str) -> tuple[Step, ...]:
    """The path between two entities in the document's graph, which a reader would follow.

    The graph (Section 3.2) has no edges between entities. A path goes from an entity to a sentence that
    mentions it, on to another entity of that sentence, and so on: a bridge, such as "non-users of aspirin" in
    the first case of Table 6. All sentences are joined to each other, too, but those edges say nothing of the
    two entities; one is walked only where no entities lead across. So of all paths this is the one with

    1. the fewest edges between sentences: none, or one,
    2. then the fewest edges, as breadth-first search finds it,
    3. then the shortest way through the text, counted in sentences from each sentence to the next,
    4. then the first, node by node, in the order of the text. Of several entities that join two sentences
       this is the one that is mentioned first in the document.

    Raises:
        InputError: If the document does not mention one of the two.
    """
    start, end = (document.entities.index(entity_of(document, name)) for name in (head, tail))
    steps: list[Step] = []
    for bridge, sentence in _shortest(document, start, end):
        if bridge >= 0:
            steps.append(_entity_step(document, bridge))
        steps.append(Step("sentence", sentence, sentence_text(document, sentence)))
    return (*steps, _entity_step(document, end))


def _shortest(document: Document, start: int, end: int) -> tuple[tuple[int, int], ...]:
    """The sentences between two entities, each with the entity before it, or -1 after another sentence."""
    held: list[list[int]] = [[] for _ in document.sentences]
    for number, entity in enumerate(document.entities):
        for sentence in sentences_of(document, entity):
            held[sentence].append(number)
    # What rules 1 to 3 compare, then the path itself, by which ties go to what is first in the text.
    queue: list[tuple[tuple[int, int, int], tuple[tuple[int, int], ...]]] = [
        ((0, 1, 0), ((start, sentence),)) for sentence, of in enumerate(held) if start in of
    ]
    done: set[int] = set()
    while end not in held[queue[0][1][-1][1]]:
        (plain, edges, way), path = heappop(queue)
        here = path[-1][1]
        if here in done:
            continue
        done.add(here)
        for there in set(range(len(held))) - done:
            bridge = next((number for number in held[here] if number in held[there]), -1)
            cost = (plain + (bridge < 0), edges + (1 if bridge < 0 else 2), way + abs(here - there))
            heappush(queue, (cost, (*path, (bridge, there))))
    return queue[0][1]


def _entity_step(document: Document, number: int) -> Step:
    entity = document.entities[number]
    return Step("entity", number, name_of(document, entity, entity.mentions[0]))


def sentences_for(document: Document, head: str, tail: str) -> tuple[int, ...]:
    """The sentences that name two entities together; if there are none, those on the path between them.

    Args:
        document: The document.
        head, tail: Identifiers of the two.

    Returns:
        Numbers of sentences from 0, ascending.

    Raises:
        InputError: If the document does not mention one of the two.
    """
    heads, tails = (sentences_of(document, entity_of(document, name)) for name in (head, tail))
    if together := sorted({*heads} & {*tails}):
        return tuple(together)
    path = connection(document, head, tail)
    return tuple(sorted({step.number for step in path if step.kind == "sentence"}))


def sentences_to_read(document: Document, head: str, tail: str, path: Sequence[Step]) -> list[int]:
    """The sentences of the nearest mentions of two entities, and those on a path; ascending."""
    heads, tails = (sentences_of(document, entity_of(document, name)) for name in (head, tail))
    _, *nearest = min((abs(one - other), one, other) for one in heads for other in tails)
    return sorted({*nearest, *(step.number for step in path if step.kind == "sentence")})


def passages(document: Document, head: str, tail: str) -> Iterator[tuple[int, Passage]]:
    """The sentences to read for a pair, with the mentions of the two and of what connects them marked."""
    path = connection(document, head, tail)
    related = [document.entities[step.number].id for step in path[1:-1] if step.kind == "entity"]
    for sentence in sentences_to_read(document, head, tail, path):
        yield sentence, marked(document, sentence, (head, tail), related)


def marked(document: Document, sentence: int, targets: Collection[str], related: Collection[str]) -> Passage:
    """A sentence in pieces, each with its role; together they are its text.

    Args:
        document: The document.
        sentence: Number of the sentence.
        targets: Identifiers of the entities in question; their mentions go before others that overlap them.
        related: Identifiers of other entities to mark.
    """
    words = document.sentences[sentence]
    start, end = document.words[words.start][0], document.words[words.end - 1][1]
    roles: list[Role] = [""] * (end - start)
    kinds: list[tuple[Role, Collection[str]]] = [("related", related), ("target", targets)]
    for role, identifiers in kinds:
        for mention in document.mentions:
            if start <= mention.start < end and not set(identifiers).isdisjoint(mention.ids):
                roles[mention.start - start : mention.end - start] = [role] * (mention.end - mention.start)
    offset, out = start, []
    for role, run in groupby(roles):
        length = len(list(run))
        out.append((document.text[offset : offset + length], role))
        offset += length
    return out
