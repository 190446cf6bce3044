"""Facts as RDF in N-Triples, for triple stores, SPARQL and linking with other vocabularies.

Each fact is a triple of head, relation and tail, and an ``rdf:Statement`` that names the document
(``prov:wasDerivedFrom``) and, if the fact is predicted, ``probability`` and ``threshold`` (``xsd:double``).
Candidates whose probability is not above the threshold are statements only. Entities have their type
(``rdf:type``), identifier (``dcterms:identifier``) and names (``rdfs:label``); relations, types and documents
have one label each. IRIs are percent-encoded and begin with ``base``:

=============================  ==============================================================
``entity/D001241``             an entity, unless ``namespaces`` has a prefix for it
``relation/CID``               a relation
``type/Chemical``              an entity type
``document/1``                 a document
``statement/1/D001241/CID/…``  a fact of one document
``term/probability``           ``probability`` and ``threshold``
=============================  ==============================================================

For instance, with ``namespaces={"(Chemical|Disease)/[CD][0-9]+": "http://id.nlm.nih.gov/mesh/"}``::

    <http://id.nlm.nih.gov/mesh/D001241> <http://www.w3.org/2000/01/rdf-schema#label> "Aspirin" .
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from urllib.parse import quote

from glre_pyg.data.document import Document
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.data.paths import entity_of, names_of
from glre_pyg.utils.exceptions import InputError

_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|\\^`]+")


class NTriples:
    """Format of a document for :func:`~glre_pyg.formats.writing.write_each`: lines of N-Triples.

    Triples about an entity are repeated for each of its documents.

    Args:
        base: Prefix of generated IRIs, up to the last ``/`` or ``#``.
        namespaces: Other prefixes for IRIs of entities, by regular expressions that match all of
            ``type/identifier``; the first match counts.
        local_ids: Whether identifiers are unique within a document only, as in DocRED; IRIs of entities then
            contain the identifier of the document.

    Raises:
        InputError: If rdflib is not installed, or ``base`` or a namespace does not begin an IRI.
    """

    def __init__(
        self,
        *,
        base: str = "https://example.org/glre/",
        namespaces: Mapping[str, str] | None = None,
        local_ids: bool = False,
    ) -> None:
        try:
            import rdflib
        except ImportError:
            raise InputError(
                "RDF needs rdflib, which is not installed: pip install 'glre_pyg[rdf]'"
            ) from None
        namespaces = namespaces or {}
        for iri in (base, *namespaces.values()):
            if not _IRI.fullmatch(iri):
                raise InputError(f"RDF: '{iri}' does not begin an IRI, as 'https://example.org/' does")
        self._rdflib: ModuleType = rdflib
        self._base, self._local_ids = base, local_ids
        self._namespaces = {_pattern(pattern): start for pattern, start in namespaces.items()}

    def __call__(self, document: Document) -> str:
        """Return the lines of a document.

        Raises:
            InputError: If a fact names an entity that the document does not mention.
        """
        graph = self._rdflib.Graph()
        for triple in self._triples(document):
            graph.add(triple)
        # Unique lines in a reproducible order.
        return "".join(f"{line}\n" for line in sorted(graph.serialize(format="nt").split("\n")) if line)

    def _triples(self, document: Document) -> Iterator[tuple[object, object, object]]:
        rdf, rdfs, prov, xsd = (getattr(self._rdflib, name) for name in ("RDF", "RDFS", "PROV", "XSD"))
        literal: Callable[..., object] = self._rdflib.Literal
        source = self._iri("document", document.id)
        if document.facts:
            yield source, rdfs.label, literal(document.id)
        for fact in document.facts:
            head, tail = self._entity(document, fact.head), self._entity(document, fact.tail)
            relation = self._iri("relation", fact.relation)
            statement = self._iri("statement", document.id, fact.head, fact.relation, fact.tail)
            yield relation, rdfs.label, literal(fact.relation)
            yield statement, rdf.type, rdf.Statement
            yield statement, rdf.subject, head
            yield statement, rdf.predicate, relation
            yield statement, rdf.object, tail
            yield statement, prov.wasDerivedFrom, source
            if isinstance(fact, PredictedFact):
                for name, value in (("probability", fact.probability), ("threshold", fact.threshold)):
                    yield statement, self._iri("term", name), literal(value, datatype=xsd.double)
            if not isinstance(fact, PredictedFact) or fact.is_predicted:
                yield head, relation, tail
        for identifier in {name for fact in document.facts for name in (fact.head, fact.tail)}:
            yield from self._described(document, identifier)

    def _described(self, document: Document, identifier: str) -> Iterator[tuple[object, object, object]]:
        rdf, rdfs, terms = (getattr(self._rdflib, name) for name in ("RDF", "RDFS", "DCTERMS"))
        literal: Callable[..., object] = self._rdflib.Literal
        entity, node = entity_of(document, identifier), self._entity(document, identifier)
        kind = self._iri("type", entity.type)
        yield node, rdf.type, kind
        yield kind, rdfs.label, literal(entity.type)
        yield node, terms.identifier, literal(identifier)
        for name in names_of(document, entity):
            yield node, rdfs.label, literal(name)

    def _entity(self, document: Document, identifier: str) -> object:
        name = f"{entity_of(document, identifier).type}/{identifier}"
        starts = (start for pattern, start in self._namespaces.items() if pattern.fullmatch(name))
        start = next(starts, None)
        if start is not None:
            return self._rdflib.URIRef(start + quote(identifier, safe=""))
        return self._iri("entity", *([document.id] if self._local_ids else []), identifier)

    def _iri(self, *parts: str) -> object:
        return self._rdflib.URIRef(self._base + "/".join(quote(part, safe="") for part in parts))


def _pattern(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(f"RDF: '{pattern}' is not a regular expression: {error}") from None
