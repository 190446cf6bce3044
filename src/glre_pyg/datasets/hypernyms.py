"""The field's filter of CDR's negative pairs by the MeSH tree, and its pooling of unlinked mentions.

"Aspirin induces *renal disease*" is no negative where the document says that aspirin induces nephritis: it
is true, only too general to be annotated. The filter looks at the gold facts, on the test split too: that
is the field's convention, and not the metric of BioCreative.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from glre_pyg.data.document import Document
from glre_pyg.formats.reading import decoded_lines, opened
from glre_pyg.utils.exceptions import InputError

UNLINKED = "-1"
_NAME = re.compile(r"\S+")
_NUMBER = re.compile(r"[^\s.]+(?:\.[^\s.]+)*")


@dataclass(frozen=True)
class MeshTree:
    """Tree numbers of MeSH descriptors: ``C10.228`` is below ``C10``.

    Args:
        numbers: The tree numbers of every descriptor, ``"D001145"`` for instance.
    """

    numbers: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> MeshTree:
        """Read a table of tree number, descriptor and term, separated by Tabs, below one header line.

        Raises:
            InputError: If a line lacks one of the first two columns, is not UTF-8, or there is none.
        """
        numbers: dict[str, set[str]] = {}
        name = Path(path).name
        with opened(path) as file:
            for line_number, line in enumerate(decoded_lines(file, name), start=1):
                number, tab, rest = line.partition("\t")
                descriptor = rest.split("\t", 1)[0].strip()
                if line_number == 1 or not line.strip():
                    continue
                if not tab:
                    raise InputError(
                        f"{name}:{line_number}: no Tab between tree number and descriptor in '{line.strip()}'"
                    )
                if not _NUMBER.fullmatch(number.strip()) or not _NAME.fullmatch(descriptor):
                    raise InputError(
                        f"{name}:{line_number}: '{number.strip()}' and '{descriptor}' are not a tree number "
                        "and a descriptor"
                    )
                numbers.setdefault(descriptor, set()).add(number.strip())
        if not numbers:
            raise InputError(f"{name}: there are no tree numbers in this file")
        return cls({descriptor: frozenset(of) for descriptor, of in numbers.items()})

    def is_hypernym(self, general: str, specific: str) -> bool:
        """Whether a tree number of `general` is one of `specific`, or above one. False for unknown ones."""
        above = self.numbers.get(general, ())
        return any(
            number == top or number.startswith(f"{top}.")
            for top in above
            for number in self.numbers.get(specific, ())
        )


def hypernym_negatives(
    document: Document,
    tree: MeshTree,
    relation: str = "CID",
    pair_types: tuple[str, str] = ("Chemical", "Disease"),
    *,
    heads: bool = False,
) -> tuple[tuple[str, str], ...]:
    """Candidate pairs that are no facts, only more general than one.

    The pair (c, d) is left out if there is a fact (c, d') and d is a hypernym of d'.

    Args:
        document: The document, with its gold facts.
        tree: Says what is a hypernym.
        relation: The relation of the facts.
        pair_types: Entity types of heads and tails.
        heads: Leave (c, d) out also if there is a fact (c', d) and c is a hypernym of c'. The field's scripts
            set out to do this, but compare d with c' and so never find any; their counts are those without.
    """
    ids = [entity.id for entity in document.entities]
    candidates = [(ids[head], ids[tail]) for head, tail in document.pairs([pair_types])]
    facts = {(fact.head, fact.tail) for fact in document.facts if fact.relation == relation}
    return tuple(
        (head, tail)
        for head, tail in candidates
        if (head, tail) not in facts
        and any(
            (head == true_head and tree.is_hypernym(tail, true_tail))
            or (heads and tail == true_tail and tree.is_hypernym(head, true_head))
            for true_head, true_tail in facts
        )
    )


def pool_unlinked(document: Document) -> Document:
    """The document with its mentions that have no identifier as one entity ``"-1"`` (BRAN's protocol).

    A composite mention joins it too if one of its parts has no identifier.
    """
    mentions = tuple(
        replace(mention, ids=(*mention.ids, UNLINKED))
        if not mention.ids or len(mention.names) > len(mention.ids)
        else mention
        for mention in document.mentions
    )
    return replace(document, mentions=mentions)
