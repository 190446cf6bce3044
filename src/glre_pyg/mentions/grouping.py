"""From what a finder found to mentions of entities: which of them speak of the same thing."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from glre_pyg.data.document import Mention, Span
from glre_pyg.data.segmentation import words_of
from glre_pyg.mentions.abbreviations import abbreviations_in
from glre_pyg.mentions.finder import Found
from glre_pyg.mentions.names import acronym, name_key

_Name = tuple[str, str]  # a name as all its spellings have it, and a type
_Introduction = tuple[int, list[Found]]  # where a short form is introduced, and as what


def grouped(text: str, found: Iterable[Found], *, abbreviations: bool = True) -> tuple[Mention, ...]:
    """Mentions of entities, each with one identifier.

    Mentions are of one entity if they have the same identifier. One without is of the same entity as others
    of its name and type, where case, white space, hyphens and the English plural make no difference
    (:func:`~glre_pyg.mentions.names.name_key`): of the entity that has an identifier if these have exactly
    one, else of an entity that is called after the longest of its names, in lower case.

    A short form that the text introduces for a mention (:mod:`~glre_pyg.mentions.abbreviations`) stands for
    the entity of that mention throughout the text: where it is introduced twice, for the one introduced last,
    and before its first introduction for that one. A mention with an identifier of its own keeps it, and one
    of another type stays as it was found.

    Args:
        text: The text.
        found: What was found in it; of equals, one counts.
        abbreviations: Whether short forms that were not found become mentions, too: as whole words, in just
            this case or with an "s", where nothing that was found overlaps them. If not, short forms are not
            looked at.

    Returns:
        Mentions in the order of the text.

    Example:
        >>> text = "Cardiac arrest (CA) is rare. CAs were few."
        >>> for mention in grouped(text, [Found(0, 14, "Disease")]):
        ...     print(mention.span, text[mention.start : mention.end], mention.ids)
        (0, 14) Cardiac arrest ('cardiac arrest',)
        (16, 18) CA ('cardiac arrest',)
        (29, 32) CAs ('cardiac arrest',)
    """
    given = sorted(set(found), key=lambda one: (one.start, one.end, one.type, one.id or ""))
    entities = _Entities(text, given, _introductions(text, given) if abbreviations else {})
    mentions = [Mention(one.start, one.end, one.type, (entities.id_of(one),)) for one in given]
    for (start, end), longs in entities.missed(given):
        mentions += [Mention(start, end, long.type, (entities.id_of(long),)) for long in longs]
    return tuple(
        sorted(dict.fromkeys(mentions), key=lambda mention: (mention.span, mention.type, mention.ids))
    )


def _introductions(text: str, found: Iterable[Found]) -> dict[str, list[_Introduction]]:
    """For each short form where it is introduced, ascending, and for which mentions."""
    ending = defaultdict(list)
    for one in found:
        ending[one.end].append(one)
    introductions = defaultdict(list)
    for short, long in abbreviations_in(text):
        covering = [one for one in ending[long[1]] if one.start <= long[0]]
        if covering:
            start = max(one.start for one in covering)
            longs = [one for one in covering if one.start == start]
            introductions[acronym(text[slice(*short)])].append((short[0], longs))
    return dict(introductions)


class _Entities:
    """What each mention of a text refers to."""

    def __init__(
        self, text: str, found: Sequence[Found], introductions: Mapping[str, list[_Introduction]]
    ) -> None:
        self.text, self.introductions = text, introductions
        forms: dict[_Name, list[str]] = defaultdict(list)
        known: dict[_Name, set[str]] = defaultdict(set)
        known_short: dict[_Name, set[str]] = defaultdict(set)
        for one in found:
            name = self._name(self._long(one))
            if one.id is None:
                forms[name].append(text[one.start : one.end])
            else:
                known[self._name(one)].add(one.id)
                known_short[name].add(one.id)
        self.ids: dict[_Name, str] = {}
        for name in forms:
            ids = known[name] or known_short[name]
            if len(ids) == 1:
                self.ids[name] = next(iter(ids))
        new = {name: of for name, of in forms.items() if name not in self.ids}
        self.ids |= _identifiers(new, {one.id for one in found if one.id is not None})

    def id_of(self, one: Found) -> str:
        """The identifier of its entity."""
        long = one if one.id is not None else self._long(one)
        return long.id if long.id is not None else self.ids[self._name(long)]

    def missed(self, found: Iterable[Found]) -> Iterator[tuple[Span, list[Found]]]:
        """Short forms that overlap nothing that was found, and what they stand for."""
        forms: dict[str, list[str]] = defaultdict(list)
        for short in self.introductions:
            first = short[slice(*words_of(short)[0])]
            plural = f"{short}s"
            forms[first].append(short)
            if acronym(plural) == short:
                forms[f"{first}s" if first == short else first].append(plural)
        if not forms:
            return
        taken = _union((one.start, one.end) for one in found)
        starts = [start for start, _ in taken]
        for start, end in words_of(self.text):
            for form in sorted(forms.get(self.text[start:end], ()), key=len, reverse=True):
                stop = start + len(form)
                if self.text.startswith(form, start) and _is_whole(self.text, start, stop):
                    before = bisect_left(starts, stop) - 1
                    if before < 0 or taken[before][1] <= start:
                        yield (start, stop), self._introduced(form, start)
                    break

    def _long(self, one: Found) -> Found:
        """The mention that it is a short form of; of no short form, itself."""
        for long in self._introduced(self.text[one.start : one.end], one.start):
            if long.type == one.type:
                return self._long(long)  # which may be a short form itself, of a still longer one
        return one

    def _introduced(self, form: str, position: int) -> list[Found]:
        """What a short form stands for at a position."""
        introductions = self.introductions.get(acronym(form))
        if not introductions:
            return []
        last = bisect_right(introductions, position, key=lambda introduction: introduction[0]) - 1
        return introductions[max(last, 0)][1]

    def _name(self, one: Found) -> _Name:
        return name_key(self.text[one.start : one.end]), one.type


def _identifiers(forms: dict[_Name, list[str]], taken: set[str]) -> dict[_Name, str]:
    """An identifier for each name; where two types have the same, the type is added to both."""
    longest = {name: re.sub(r"[\s|]+", " ", max(of, key=len)).casefold() for name, of in forms.items()}
    count = Counter(longest.values())
    identifiers: dict[_Name, str] = {}
    for name, identifier in longest.items():
        if count[identifier] > 1 or identifier in taken:
            identifier = f"{identifier} ({name[1]})"
        while identifier in taken:
            identifier += "'"
        taken.add(identifier)
        identifiers[name] = identifier
    return identifiers


def _union(spans: Iterable[Span]) -> list[Span]:
    """The same characters as spans that do not overlap, ascending."""
    union: list[Span] = []
    for start, end in sorted(spans):
        if union and start < union[-1][1]:
            union[-1] = union[-1][0], max(end, union[-1][1])
        else:
            union.append((start, end))
    return union


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether a word at `start` ends at `end`, and is not part of a name with numbers: CA-125, 5-HT."""
    after, before = text[end : end + 2], text[max(start - 2, 0) : start]
    if after[:1].isalnum() or after[:1] == "_":
        return False
    return not (after[:1] == "-" and after[1:].isdigit()) and not (before[1:] == "-" and before[0].isdigit())
