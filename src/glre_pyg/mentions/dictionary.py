"""Mentions found by a dictionary, with all names matched at once (Aho and Corasick, 1975)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from glre_pyg.mentions.finder import FoundMention
from glre_pyg.mentions.name_files import NameRow, name_rows, name_rows_in
from glre_pyg.mentions.names import acronym, spelled, stem
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.json_fields import check_text
from glre_pyg.utils.ranges import NonNegativeInt

_EXACT_LENGTH = 2  # "As", arsenic, is not "as"


class _Name(NamedTuple):
    """A name in the dictionary.

    Args:
        words: Words of the name.
        exact: Whether case matters.
        plural: Whether a name whose case matters may have a plural "s".
        id, type: Identifier and type of the entity.
    """

    words: tuple[str, ...]
    exact: bool
    plural: bool
    id: str | None
    type: str

    def distance(self, words: Sequence[str]) -> int | None:
        """Distance between the name and the words of a text; None if they do not match."""
        if self.words == tuple(words):
            return 0
        if self.exact:
            plural = (*self.words[:-1], f"{self.words[-1]}s")
            return 2 if self.plural and plural == tuple(words) else None
        name, text = _folded(self.words), _folded(words)
        if name == text:
            return 1
        return 2 if name[:-1] == text[:-1] and stem(name[-1]) == stem(text[-1]) else None


class _NameError(InputError):
    """Error of a name, numbered from 1; :meth:`Dictionary.read` replaces the number by file and line."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"name {number}: {message}")
        self.number, self.message = number, message


class Dictionary:
    """Mention finder that matches the names of a dictionary, longest match first, from left to right.

    A name matches whole words, as split by :mod:`glre_pyg.data.segmentation`: "cat" matches in "cat-like",
    but not in "catalogue". Case, white space, hyphens and the English plural of the last word are ignored
    (:mod:`glre_pyg.mentions.names`). Case matters in acronyms and in names of one or two characters: "CAT"
    does not match "cat", nor "AIDS" "aids"; acronyms of at least two capitals may have an "s", "CATs". Of
    several names that match the same words, the one with the most similar spelling counts; if several types
    have it, each of them.

    Args:
        names: (name, identifier, type); an entity may have several names. Entities whose identifier is None
            or "" are grouped by name.
        acronym_length: Number of letters up to which a name of capitals is an acronym.
        ambiguous: Whether to use the first of several identifiers that a name has for one type; otherwise
            they are an error.

    Attributes:
        types: Types of the names.

    Raises:
        InputError: ``name 3: message``, or if there are no names.

    Example:
        >>> find = Dictionary([("heart failure", "D1", "Disease"), ("ACE inhibitor", "C1", "Chemical")]).find
        >>> find("ACE-inhibitors in heart failure")  # doctest: +NORMALIZE_WHITESPACE
        [FoundMention(start=0, end=14, type='Chemical', id='C1'),
         FoundMention(start=18, end=31, type='Disease', id='D1')]
    """

    def __init__(
        self,
        names: Iterable[tuple[str, str | None, str]],
        *,
        acronym_length: NonNegativeInt = 5,
        ambiguous: bool = False,
    ) -> None:
        by_key: dict[str, list[_Name]] = defaultdict(list)
        known: dict[tuple[tuple[str, ...], bool, str], str | None] = {}
        for number, (text, id, type_) in enumerate(names, start=1):
            try:
                name = _name(text, id, type_, acronym_length)
            except InputError as error:
                raise _NameError(number, str(error)) from None
            same = (name.words if name.exact else _folded(name.words), name.exact, name.type)
            if same not in known:
                known[same] = name.id
                for key in _keys(name):
                    by_key[key].append(name)
            elif known[same] != name.id and not ambiguous:
                first, second = (f"'{other}'" if other else "none" for other in (known[same], name.id))
                raise _NameError(
                    number,
                    f"id {second} of '{text}' was {first} before; mentions.ambiguous=true keeps the first",
                )
        if not by_key:
            raise InputError("there are no names")
        self._names = list(by_key.values())
        self.types = tuple(dict.fromkeys(type_ for *_, type_ in known))
        # All matches, not the longest: a longer one may differ in case and be rejected.
        # The contiguous automaton needs a tenth of the DFA's memory.
        self._matcher = AhoCorasick(
            by_key, matchkind=MatchKind.Standard, implementation=Implementation.ContiguousNFA
        )

    @classmethod
    def read(
        cls, file: str | os.PathLike[str], *, acronym_length: NonNegativeInt = 5, ambiguous: bool = False
    ) -> Dictionary:
        """Read a dictionary from a file.

        Args:
            file: A .tsv or .csv file; see :func:`~glre_pyg.mentions.name_files.name_rows`.
            acronym_length, ambiguous: See :class:`Dictionary`.

        Raises:
            InputError: ``names.tsv:3: message``, or if there are no names.
        """
        return cls._of_rows(name_rows(file), Path(file).name, acronym_length, ambiguous)

    @classmethod
    def parse(cls, text: str) -> Dictionary:
        """Read a dictionary from a text, with a name in each line as in a file.

        Raises:
            InputError: ``names:3: message``, or if there are no names.

        Example:
            >>> Dictionary.parse("rash, D1, Disease").find("A rash.")
            [FoundMention(start=2, end=6, type='Disease', id='D1')]
        """
        check_text(text, "names")
        rows = name_rows_in(BytesIO(text.encode()), "names", is_tsv="\t" in text)
        return cls._of_rows(rows, "names")

    @classmethod
    def _of_rows(
        cls, rows: Iterable[NameRow], file: str, acronym_length: int = 5, ambiguous: bool = False
    ) -> Dictionary:
        lines: list[int] = []

        def names() -> Iterator[tuple[str, str | None, str]]:
            for row in rows:
                lines.append(row.line)
                yield row.name, row.id, row.type

        try:
            return cls(names(), acronym_length=acronym_length, ambiguous=ambiguous)
        except _NameError as error:
            raise InputError(f"{file}:{lines[error.number - 1]}: {error.message}") from None

    def __call__(self, texts: Iterable[str]) -> Iterator[list[FoundMention]]:
        """Yield the mentions of each text, in order."""
        return map(self.find, texts)

    def find(self, text: str) -> list[FoundMention]:
        """Return the mentions of a text."""
        spans, words = spelled(text)
        keys = [_mark(stem(word.casefold())) for word in words]
        bounds = {at: index for index, at in enumerate(accumulate(map(len, keys), initial=0))}
        matches = [
            (bounds[start], -bounds[end], pattern)
            for pattern, start, end in self._matcher.find_matches_as_indexes("".join(keys), overlapping=True)
        ]
        mentions: list[FoundMention] = []
        next_word = 0
        for first, last, pattern in sorted(matches):  # from left to right, the longest first
            names = _nearest(self._names[pattern], words[first:-last]) if first >= next_word else []
            if names:
                start, end = spans[first][0], spans[-last - 1][1]
                mentions += [FoundMention(start, end, name.type, name.id) for name in names]
                next_word = -last
        return mentions


def _name(text: str, id: str | None, type_: str, acronym_length: int) -> _Name:
    singular = acronym(text.strip())
    if not any(map(str.isalnum, singular)):
        raise InputError(f"name '{text}' has no letter or digit")
    if not type_.strip():
        raise InputError(f"'{text}' has no type")
    letters = [character for character in singular if character.isalpha()]
    capitals = bool(letters) and all(map(str.isupper, letters))
    return _Name(
        words=tuple(spelled(singular)[1]),
        exact=bool(letters)
        and (len(singular) <= _EXACT_LENGTH or (capitals and len(letters) <= acronym_length)),
        plural=capitals and len(letters) > 1,
        id=(id or "").strip() or None,
        type=type_.strip(),
    )


def _folded(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word.casefold() for word in words)


def _keys(name: _Name) -> set[str]:
    """Search keys of a name: its words and, for an acronym, those of its plural."""
    folded = _folded(name.words)
    lasts = [folded[-1], f"{folded[-1]}s"] if name.exact and name.plural else [folded[-1]]
    return {"".join(map(_mark, map(stem, (*folded[:-1], last)))) for last in lasts}


def _mark(word: str) -> str:
    # Words contain no white space, and the two sides differ: matches are whole words that do not overlap.
    return f" {word}\n"


def _nearest(names: Iterable[_Name], words: Sequence[str]) -> list[_Name]:
    """The names nearest to the words, one of each type; none if no name matches."""
    distances = [(name.distance(words), name) for name in names]
    shortest = min((distance for distance, _ in distances if distance is not None), default=None)
    by_type: dict[str, _Name] = {}
    for distance, name in distances:
        if distance is not None and distance == shortest:
            by_type.setdefault(name.type, name)
    return list(by_type.values())
