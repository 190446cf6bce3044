"""Section 4.3, Ign F1: the facts that a training file knows by name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from glre_pyg.data.document import Document
from glre_pyg.utils import json_fields as fields
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import write_text

Name = tuple[str, str, str]


@dataclass(frozen=True)
class NamedFacts:
    """Facts by the names of their entities.

    Args:
        facts: Every (head name, tail name, relation).
        source: The file that they are from.
    """

    facts: frozenset[Name]
    source: Path

    def holds(self, heads: frozenset[str], relation: str, tails: frozenset[str]) -> bool:
        """Whether a fact between any of these names is among them."""
        return any((head, tail, relation) in self.facts for head in heads for tail in tails)


def named_facts(documents: Iterable[Document], *, source: Path) -> NamedFacts:
    """Facts of documents by any name of a mention of the head with any of the tail.

    This is how the official scorer of DocRED has it.

    Args:
        documents: Documents with their facts; those of an entity that no mention names have no name.
        source: The file that they are from.
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
    """Facts of a JSON file, a list of ``[head name, tail name, relation]``.

    Raises:
        InputError: If it is not such a file.
    """
    try:
        rows = fields.parse(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(rows, list):
        raise InputError(f"{path}: not a JSON list of [head name, tail name, relation]")
    for index, row in enumerate(rows):
        if not (isinstance(row, list) and len(row) == 3 and all(isinstance(name, str) for name in row)):
            raise InputError(f"{path}: [{index}]: not [head name, tail name, relation]")
        for place, name in enumerate(row):
            fields.text(name, f"{path}: [{index}][{place}]")
    return NamedFacts(frozenset((head, tail, relation) for head, tail, relation in rows), path)
