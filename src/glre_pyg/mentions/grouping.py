"""Group found mentions into entities."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from glre_pyg.data.document import Document, Mention, Span
from glre_pyg.data.segmentation import words_of
from glre_pyg.mentions.abbreviations import abbreviations_in
from glre_pyg.mentions.finder import FoundMention
from glre_pyg.mentions.names import acronym, name_key, visible

_Name = tuple[str, str]  # a normalized name, and a type
_Definition = tuple[int, list[FoundMention]]  # where a short form is defined, and the mentions it stands for


def group_mentions(
    text: str, found: Iterable[FoundMention], *, abbreviations: bool = True
) -> tuple[Mention, ...]:
    """Group mentions into entities, and give each mention the identifier of its entity.

    Mentions with the same identifier refer to the same entity. A mention without identifier refers to the
    same entity as those with the same name and type, ignoring case, white space, hyphens and the English
    plural (:func:`~glre_pyg.mentions.names.name_key`). If these have exactly one identifier, it is used;
    otherwise the identifier is the longest of their names, in lower case.

    A short form that the text defines for a mention (:mod:`~glre_pyg.mentions.abbreviations`) refers to the
    entity of that mention throughout the text; if it is defined more than once, to that of the last
    definition before it, or of the first. Mentions with an identifier keep it, and mentions of another type
    are not changed.

    Args:
        text: The text.
        found: Mentions found in the text; duplicates count once.
        abbreviations: Whether to resolve short forms, and to add mentions for those that were not found:
            whole words with the same case, or with an "s", that overlap no other mention.

    Returns:
        Mentions in the order of the text.

    Example:
        >>> text = "Cardiac arrest (CA) is rare. CAs were few."
        >>> for mention in group_mentions(text, [FoundMention(0, 14, "Disease")]):
        ...     print(mention.span, text[mention.start : mention.end], mention.ids)
        (0, 14) Cardiac arrest ('cardiac arrest',)
        (16, 18) CA ('cardiac arrest',)
        (29, 32) CAs ('cardiac arrest',)
    """
    given = sorted(set(found), key=lambda one: (one.start, one.end, one.type, one.id or ""))
    entities = _Entities(text, given, _definitions(text, given) if abbreviations else {})
    mentions = [Mention(one.start, one.end, one.type, (entities.id_of(one),)) for one in given]
    for (start, end), longs in entities.missed(given):
        mentions += [Mention(start, end, long.type, (entities.id_of(long),)) for long in longs]
    return tuple(
        sorted(dict.fromkeys(mentions), key=lambda mention: (mention.span, mention.type, mention.ids))
    )


def link_by_name(document: Document) -> Document:
    """Give mentions without identifier that of the entity with their name, as :func:`group_mentions` does.

    Mentions with an identifier stay as they are, and no mentions are added.
    """
    if all(mention.ids for mention in document.mentions):
        return document
    found = [
        FoundMention(mention.start, mention.end, mention.type, identifier)
        for mention in document.mentions
        for identifier in mention.ids or (None,)
    ]
    ids = {(mention.span, mention.type): mention.ids for mention in group_mentions(document.text, found)}
    mentions = tuple(
        mention if mention.ids else replace(mention, ids=ids[mention.span, mention.type], names=())
        for mention in document.mentions
    )
    return replace(document, mentions=mentions)


def _definitions(text: str, found: Iterable[FoundMention]) -> dict[str, list[_Definition]]:
    """Definitions of each short form, in the order of the text."""
    by_end = defaultdict(list)
    for mention in found:
        by_end[mention.end].append(mention)
    definitions = defaultdict(list)
    for short, long in abbreviations_in(text):
        covering = [mention for mention in by_end[long[1]] if mention.start <= long[0]]
        if covering:
            start = max(mention.start for mention in covering)
            longs = [mention for mention in covering if mention.start == start]
            definitions[acronym(text[slice(*short)])].append((short[0], longs))
    return dict(definitions)


class _Entities:
    """Identifiers of the entities that the mentions of a text refer to."""

    def __init__(
        self, text: str, found: Sequence[FoundMention], definitions: Mapping[str, list[_Definition]]
    ) -> None:
        self.text, self.definitions = text, definitions
        forms: dict[_Name, list[str]] = defaultdict(list)
        known: dict[_Name, set[str]] = defaultdict(set)
        known_short: dict[_Name, set[str]] = defaultdict(set)
        for mention in found:
            name = self._name(self._long(mention))
            if mention.id is None:
                forms[name].append(text[mention.start : mention.end])
            else:
                known[self._name(mention)].add(mention.id)
                known_short[name].add(mention.id)
        self.ids: dict[_Name, str] = {}
        for name in forms:
            ids = known[name] or known_short[name]
            if len(ids) == 1:
                self.ids[name] = next(iter(ids))
        new = {name: names for name, names in forms.items() if name not in self.ids}
        self.ids |= _identifiers(new, {mention.id for mention in found if mention.id is not None})

    def id_of(self, mention: FoundMention) -> str:
        """Identifier of the entity of a mention."""
        long = mention if mention.id is not None else self._long(mention)
        return long.id if long.id is not None else self.ids[self._name(long)]

    def missed(self, found: Iterable[FoundMention]) -> Iterator[tuple[Span, list[FoundMention]]]:
        """Short forms that overlap no found mention, and the mentions they stand for."""
        plurals = [f"{short}s" for short in self.definitions if acronym(f"{short}s") == short]
        first_words = {form: form[slice(*words_of(form)[0])] for form in (*self.definitions, *plurals)}
        if not first_words:
            return
        lengths = sorted(set(map(len, first_words)), reverse=True)  # of which there are few
        covered = _union((mention.start, mention.end) for mention in found)
        starts = [start for start, _ in covered]
        for start, end in words_of(self.text):
            for length in lengths:
                form = self.text[start : start + length]
                stop = start + len(form)
                if first_words.get(form) == self.text[start:end] and _is_whole(self.text, start, stop):
                    before = bisect_left(starts, stop) - 1
                    if before < 0 or covered[before][1] <= start:
                        yield (start, stop), self._defined(form, start)
                    break

    def _long(self, mention: FoundMention) -> FoundMention:
        """The mention that a short form stands for, or the mention itself."""
        for long in self._defined(self.text[mention.start : mention.end], mention.start):
            if long.type == mention.type:
                return self._long(long)  # which may itself be a short form
        return mention

    def _defined(self, form: str, position: int) -> list[FoundMention]:
        """The mentions that a short form stands for at a position."""
        definitions = self.definitions.get(acronym(form))
        if not definitions:
            return []
        last = bisect_right(definitions, position, key=lambda definition: definition[0]) - 1
        return definitions[max(last, 0)][1]

    def _name(self, mention: FoundMention) -> _Name:
        return name_key(self.text[mention.start : mention.end]), mention.type


def _identifiers(forms: dict[_Name, list[str]], used: set[str]) -> dict[_Name, str]:
    """Create an identifier for each name; if two types share a name, both identifiers include the type."""
    longest = {
        name: re.sub(r"[\s|]+", " ", visible(max(names, key=len))).casefold() for name, names in forms.items()
    }
    count = Counter(longest.values())
    identifiers: dict[_Name, str] = {}
    for name, identifier in longest.items():
        if count[identifier] > 1 or identifier in used:
            identifier = f"{identifier} ({name[1]})"
        while identifier in used:
            identifier += "'"
        used.add(identifier)
        identifiers[name] = identifier
    return identifiers


def _union(spans: Iterable[Span]) -> list[Span]:
    """Union of spans as spans that do not overlap, ascending."""
    union: list[Span] = []
    for start, end in sorted(spans):
        if union and start < union[-1][1]:
            union[-1] = union[-1][0], max(end, union[-1][1])
        else:
            union.append((start, end))
    return union


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether a word from `start` ends at `end` and is not part of a name with numbers: CA-125, 5-HT."""
    after, before = text[end : end + 2], text[max(start - 2, 0) : start]
    if after[:1].isalnum() or after[:1] == "_":
        return False
    return not (after[:1] == "-" and after[1:].isdigit()) and not (before[1:] == "-" and before[0].isdigit())
