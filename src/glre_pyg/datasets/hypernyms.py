"""The usual filter of CDR's negative pairs by the MeSH tree, and BRAN's pooling of unlinked mentions.

If a document says that aspirin induces nephritis, "aspirin induces *renal disease*" is not a negative: it is
true, but too general to be annotated. The filter uses the gold facts, on the test split too. This is the
convention of the field, not the metric of BioCreative.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from glre_pyg.data.document import Document
from glre_pyg.formats.reading import decoded_lines
from glre_pyg.utils.compression import opened
from glre_pyg.utils.exceptions import InputError

UNLINKED = "-1"
_NAME = re.compile(r"\S+")
_NUMBER = re.compile(r"[^\s.]+(?:\.[^\s.]+)*")


@dataclass(frozen=True)
class MeshTree:
    """Tree numbers of MeSH descriptors: ``C10.228`` is below ``C10``.

    Args:
        numbers: The tree numbers of every descriptor, such as ``"D001145"``.
    """

    numbers: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> MeshTree:
        """Read a tab-separated table of tree number, descriptor and term, below a header line.

        Raises:
            InputError: If a line lacks one of the first two columns or is not UTF-8, or there is no line.
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
        return cls({descriptor: frozenset(rows) for descriptor, rows in numbers.items()})

    def is_hypernym(self, general: str, specific: str) -> bool:
        """Return whether a tree number of ``general`` is one of ``specific``, or an ancestor of one."""
        return any(
            number == ancestor or number.startswith(f"{ancestor}.")
            for ancestor in self.numbers.get(general, ())
            for number in self.numbers.get(specific, ())
        )


def hypernym_negatives(document: Document, tree: MeshTree) -> tuple[tuple[str, str], ...]:
    """Return the negative candidate pairs (chemical, disease) that are more general than a fact.

    The pair (c, d) is one if there is a fact (c, d') and d is a hypernym of d'. The usual scripts mean to
    return (c, d) also if there is a fact (c', d) and c is a hypernym of c', but compare d with c' and never
    find any; the published counts are those without.

    Args:
        document: The document, with its gold facts.
        tree: The MeSH tree.
    """
    ids = [entity.id for entity in document.entities]
    candidates = [(ids[head], ids[tail]) for head, tail in document.pairs([("Chemical", "Disease")])]
    facts = {(fact.head, fact.tail) for fact in document.facts if fact.relation == "CID"}
    return tuple(
        (head, tail)
        for head, tail in candidates
        if (head, tail) not in facts
        and any(head == true_head and tree.is_hypernym(tail, true_tail) for true_head, true_tail in facts)
    )


def pool_unlinked(document: Document) -> Document:
    """Make the mentions without an identifier mentions of one entity ``"-1"`` (BRAN's protocol).

    So is a composite mention if one of its parts has no identifier.
    """
    mentions = tuple(
        replace(mention, ids=(*mention.ids, UNLINKED))
        if UNLINKED not in mention.ids and (not mention.ids or len(mention.names) > len(mention.ids))
        else mention
        for mention in document.mentions
    )
    return replace(document, mentions=mentions)
