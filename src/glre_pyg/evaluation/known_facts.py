"""Facts of the training data by the names of their entities, which Ign F1 leaves out (section 4.3)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from glre_pyg.data.document import Document
from glre_pyg.utils.exceptions import as_input_errors
from glre_pyg.utils.files import read_bytes, write_text
from glre_pyg.utils.json_fields import check_text, convert, parse

Name = tuple[str, str, str]


@dataclass(frozen=True)
class NamedFacts:
    """Facts by the names of their entities.

    Args:
        facts: Every (head name, tail name, relation).
        source: File that they are from.
    """

    facts: frozenset[Name]
    source: Path

    def holds(self, heads: frozenset[str], relation: str, tails: frozenset[str]) -> bool:
        """Return whether a fact between any of these names is known."""
        return any((head, tail, relation) in self.facts for head in heads for tail in tails)


def named_facts(documents: Iterable[Document], *, source: Path) -> NamedFacts:
    """Collect the facts of documents by every name of the head with every name of the tail.

    The official scorer of DocRED does the same.

    Args:
        documents: Documents with their facts; facts of an entity without mention are left out.
        source: File that they are from.
    """
    found: set[Name] = set()
    for document in documents:
        names = {entity.id: document.names(entity) for entity in document.entities}
        for fact in document.facts:
            heads, tails = names.get(fact.head, ()), names.get(fact.tail, ())
            found |= {(head, tail, fact.relation) for head in heads for tail in tails}
    return NamedFacts(frozenset(found), source)


def write_named_facts(known: NamedFacts, path: Path) -> None:
    """Write facts as :func:`read_named_facts` reads them."""
    write_text(json.dumps(sorted(known.facts), ensure_ascii=False), path)


def read_named_facts(path: Path) -> NamedFacts:
    """Read facts from a JSON file, a list of ``[head name, tail name, relation]``.

    Raises:
        InputError: If it is not such a file.
    """
    with as_input_errors(path):
        rows = convert(parse(read_bytes(path)), list[Name])
        for index, row in enumerate(rows):
            check_text("".join(row), f"[{index}]")
    return NamedFacts(frozenset(rows), path)
