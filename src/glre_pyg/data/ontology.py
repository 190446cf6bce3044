"""Ontologies, such as MeSH: what a table of identifiers and their parents says of the entities of a document.

The table knows identifiers alone, and nothing of the relations that a corpus annotates. Of an entity whose
identifier is not in it, it says nothing.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from zlib import crc32

import torch
from torch import Tensor

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import open_regular, write_text

IS_A = ("entity", "is_a", "entity")
"""Edges from an entity to each of its ancestors in the document, in graphs with an ontology alone."""
_HEADER = "id\tparent"


class Ontology:
    """Identifiers and their parents.

    Args:
        parents: The parents of each identifier; none of a root. Parents without a row of their own are roots.

    Attributes:
        parents: The parents of each identifier.
        depth: Number of identifiers on the longest way from a root to each identifier; 1 for a root.

    Raises:
        InputError: If an identifier is its own ancestor.

    Example:
        >>> ontology = Ontology({"asthma": ["lung diseases"], "lung diseases": ["diseases"]})
        >>> sorted(ontology.ancestors("asthma")), ontology.depth["asthma"]
        (['diseases', 'lung diseases'], 3)
    """

    def __init__(self, parents: Mapping[str, Collection[str]]) -> None:
        self.parents: dict[str, tuple[str, ...]] = {}
        self.depth: dict[str, int] = {}
        self._ancestors: dict[str, frozenset[str]] = {}
        try:
            for name in TopologicalSorter(parents).static_order():  # parents come first
                self.parents[name] = tuple(parents.get(name, ()))
                self.depth[name] = 1 + max((self.depth[each] for each in self.parents[name]), default=0)
        except CycleError as error:
            raise InputError(f"ontology: '{error.args[1][0]}' is its own ancestor") from None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Ontology:
        """Read a table with the columns ``id`` and ``parent``, separated by a tab.

        The first line has the names of the columns. An identifier with several parents has several rows; the
        parent of a root is empty.

        Raises:
            InputError: If the file is missing or not such a table, or an identifier is its own ancestor.
        """
        name = Path(path).name
        if not Path(path).exists():
            raise InputError(f"ontology: {path}: no such file")
        parents: dict[str, list[str]] = {}
        with open_regular(path) as file:
            try:
                lines = file.read().decode("utf-8-sig").splitlines()
            except UnicodeDecodeError as error:
                raise InputError(f"{name}: byte {error.start + 1} is not UTF-8") from None
        if not lines or lines[0].strip().lower() != _HEADER:
            raise InputError(f"{name}:1: the first line of an ontology is 'id', a tab and 'parent'")
        for number, line in enumerate(lines[1:], start=2):
            if not line.strip():
                continue
            identifier, *above = (part.strip() for part in line.split("\t"))
            if not identifier or len(above) != 1:
                raise InputError(f"{name}:{number}: not an identifier, a tab and its parent: '{line[:100]}'")
            known = parents.setdefault(identifier, [])
            known += [each for each in above if each and each not in known]
        return cls(parents)

    @classmethod
    def of_tree_numbers(cls, numbers: Mapping[str, Collection[str]]) -> Ontology:
        """Make the ontology of tree numbers, such as those of MeSH: ``C10.228`` is below ``C10``.

        Args:
            numbers: The tree numbers of each identifier.
        """
        names = {number: name for name, each in numbers.items() for number in each}
        above = {
            name: sorted({names.get(number.rpartition(".")[0], name) for number in each} - {name})
            for name, each in numbers.items()
        }
        return cls(above)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ontology) and self.parents == other.parents

    __hash__ = object.__hash__

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the table that :meth:`read` reads."""
        rows = [f"{name}\t{each}" for name, above in sorted(self.parents.items()) for each in above or ("",)]
        write_text("\n".join([_HEADER, *rows, ""]), path)

    def ancestors(self, name: str) -> frozenset[str]:
        """Return the ancestors of an identifier; none if it is unknown."""
        if name not in self._ancestors:
            above: set[str] = set()
            waiting = [*self.parents.get(name, ())]
            while waiting:
                each = waiting.pop()
                if each not in above:
                    above.add(each)
                    waiting += self.parents[each]
            self._ancestors[name] = frozenset(above)
        return self._ancestors[name]

    def add(self, graphs: Iterable[DocumentGraph]) -> None:
        """Add to graphs what the ontology says of their entities.

        - ``graph["entity"].depth`` [E]: the depth of each entity, 0 if its identifier is unknown;
        - ``graph["entity"].num_parents`` [E];
        - ``graph.ancestor_index`` [2, ·]: entity, and hash of the identifier of each of its ancestors;
        - edges :data:`IS_A` between entities.
        """
        for graph in graphs:
            entity = graph["entity"]
            above = [self.ancestors(name) for name in entity.id]
            entity.depth = torch.tensor([self.depth.get(name, 0) for name in entity.id], dtype=torch.long)
            entity.num_parents = torch.tensor(
                [len(self.parents.get(name, ())) for name in entity.id], dtype=torch.long
            )
            graph.ancestor_index = _edges(
                [(index, crc32(each.encode())) for index, names in enumerate(above) for each in sorted(names)]
            )
            graph[IS_A].edge_index = _edges(
                [
                    (index, other)
                    for index, names in enumerate(above)
                    for other, name in enumerate(entity.id)
                    if name in names
                ]
            )


def _edges(pairs: Sequence[tuple[int, int]]) -> Tensor:
    return torch.tensor(pairs, dtype=torch.long).view(-1, 2).t().contiguous()
