"""Documents: text, words, sentences, mentions and facts.

The readers in :mod:`glre_pyg.formats` return documents, and :func:`glre_pyg.data.graph.build_graph` needs
nothing else. Character offsets count Unicode code points.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from operator import attrgetter

from glre_pyg.data.document_checks import check_document

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mention:
    """A span of text that names one entity, several (a composite mention), or an unlinked one.

    Args:
        start: First character.
        end: One past the last character.
        type: Entity type, for instance ``"Chemical"``.
        ids: Identifiers of the entities it refers to; empty if it is not linked.
        names: Names of its parts, one for each identifier, if they differ from the text, followed by names of
            parts without identifier.
    """

    start: int
    end: int
    type: str
    ids: tuple[str, ...]
    names: tuple[str, ...] = ()

    @property
    def span(self) -> Span:
        """Characters ``[start, end)``."""
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words ``[start, end)`` of the document."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Entity:
    """All mentions of one identifier; its type is that of the first mention."""

    id: str
    type: str
    mentions: tuple[Mention, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """A relation between two entities, given by their identifiers.

    Args:
        head: Identifier of the head entity.
        relation: Name of the relation.
        tail: Identifier of the tail entity.
        extra: Further columns of the corpus, for instance BioRED's novelty.
        evidence: Numbers of the sentences that the corpus gives as evidence.
    """

    head: str
    relation: str
    tail: str
    extra: tuple[str, ...] = ()
    evidence: tuple[int, ...] = ()


@dataclass(frozen=True, repr=False)
class Document:
    """A text with its words, sentences, mentions and facts.

    Args:
        id: Identifier of the document.
        text: The whole text.
        words: Characters ``[start, end)`` of every word, in order and without overlap.
        sentences: Sentences, which together contain every word once, in order.
        mentions: Mentions in the order of the corpus, including duplicates.
        facts: Facts in the order of the corpus; empty if they are unknown.
        ignored: Pairs (head, tail) of identifiers that are left out of loss and score.
        sections: Characters ``[start, end)`` of the parts of the text (title and abstract).

    Raises:
        InputError: If UTF-8 cannot hold a string; if words, sentences or sections are not as described; or if
            a mention is outside the text, cuts a word, crosses a sentence boundary, or lacks a name.
    """

    id: str
    text: str
    words: tuple[Span, ...]
    sentences: tuple[Sentence, ...]
    mentions: tuple[Mention, ...]
    facts: tuple[Fact, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    sections: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        check_document(self)

    def __repr__(self) -> str:
        """Return one line; the text is in :attr:`text`."""
        names = ("sentences", "mentions", "entities", "facts")
        sizes = ", ".join(f"{len(getattr(self, name))} {name}" for name in names)
        return f"{type(self).__name__}({self.id!r}, {sizes})"

    @cached_property
    def entities(self) -> tuple[Entity, ...]:
        """Entities, ordered by the offset of their first mention.

        Entities with the same (composite) first mention are ordered by identifier. The order of the corpus is
        never used, because it may reveal the facts. A composite mention belongs to each of its entities, a
        mention without identifier to none.
        """
        mentions: dict[str, dict[Span, Mention]] = {}
        for mention in sorted(self.mentions, key=attrgetter("start", "end")):
            for identifier in mention.ids:
                mentions.setdefault(identifier, {}).setdefault(mention.span, mention)
        return tuple(
            Entity(identifier, next(iter(by_span.values())).type, tuple(by_span.values()))
            for identifier, by_span in sorted(
                mentions.items(), key=lambda item: (next(iter(item[1])), item[0])
            )
        )

    @cached_property
    def entity_numbers(self) -> dict[str, int]:
        """Number of each identifier among :attr:`entities`."""
        return {entity.id: number for number, entity in enumerate(self.entities)}

    @cached_property
    def entity_sentences(self) -> tuple[tuple[int, ...], ...]:
        """Sentences that mention each of :attr:`entities`, ascending."""
        return tuple(
            tuple(sorted({self.sentence_of(mention) for mention in entity.mentions}))
            for entity in self.entities
        )

    @cached_property
    def sentence_entities(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the entities that each sentence mentions, ascending."""
        numbers: list[list[int]] = [[] for _ in self.sentences]
        for number, sentences in enumerate(self.entity_sentences):
            for sentence in sentences:
                numbers[sentence].append(number)
        return tuple(map(tuple, numbers))

    @cached_property
    def sentence_mentions(self) -> tuple[tuple[Mention, ...], ...]:
        """Mentions in each sentence, in the order of the corpus."""
        mentions: list[list[Mention]] = [[] for _ in self.sentences]
        for mention in self.mentions:
            mentions[self.sentence_of(mention)].append(mention)
        return tuple(map(tuple, mentions))

    def pairs(
        self, types: Collection[tuple[str, str]] | None = None, *, directed: bool = True
    ) -> list[tuple[int, int]]:
        """Candidate pairs (head, tail) of :attr:`entities`, ascending.

        Args:
            types: (head type, tail type) of candidate pairs; None for all.
            directed: Whether (a, b) and (b, a) are two pairs; otherwise a is the entity that is mentioned
                first, and the types of a pair may be in either order.
        """
        allowed = None if types is None else {tuple(pair) for pair in types}
        if allowed is not None and not directed:
            allowed |= {(tail, head) for head, tail in allowed}
        kinds = [entity.type for entity in self.entities]
        tails = {
            head: [number for number, tail in enumerate(kinds) if allowed is None or (head, tail) in allowed]
            for head in set(kinds)
        }
        return [
            (head, tail)
            for head, kind in enumerate(kinds)
            for tail in tails[kind][0 if directed else bisect_right(tails[kind], head) :]
            if tail != head
        ]

    def names(self, entity: Entity) -> frozenset[str]:
        """Return the names of an entity, as given by the corpus, otherwise as in the text."""
        return frozenset(name for mention in entity.mentions for name in self._names[entity.id, mention.span])

    def name(self, identifier: str, mention: Mention) -> str:
        """Return the name of an entity in a mention, as given by the corpus, otherwise as in the text."""
        return next(iter(self._names[identifier, mention.span]))

    @cached_property
    def _names(self) -> dict[tuple[str, Span], dict[str, None]]:
        """Names of each entity at each span, which may be that of several mentions, in order."""
        names: dict[tuple[str, Span], dict[str, None]] = {}
        for mention in self.mentions:
            text = self.text[mention.start : mention.end]
            for identifier, given in zip_longest(mention.ids, mention.names[: len(mention.ids)]):
                names.setdefault((identifier, mention.span), {})[given or text] = None
        return names

    def word_span(self, mention: Mention) -> Span:
        """Return the words ``[start, end)`` of a mention."""
        return bisect_left(self._word_starts, mention.start), bisect_left(self._word_starts, mention.end)

    def sentence_of(self, mention: Mention) -> int:
        """Return the number of the sentence of a mention."""
        return bisect_left(self._sentence_ends, self.word_span(mention)[0] + 1)

    def sentence_span(self, number: int) -> Span:
        """Return the characters ``[start, end)`` of a sentence."""
        sentence = self.sentences[number]
        return self.words[sentence.start][0], self.words[sentence.end - 1][1]

    def word_texts(self) -> list[str]:
        """Return the words as strings."""
        return [self.text[start:end] for start, end in self.words]

    @cached_property
    def _word_starts(self) -> list[int]:
        return [start for start, _ in self.words]

    @cached_property
    def _sentence_ends(self) -> list[int]:
        return [sentence.end for sentence in self.sentences]
