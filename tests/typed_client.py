"""A program that uses the library, for ``mypy --strict`` to check: it is not run."""

from glre_pyg import (
    Dictionary,
    Document,
    PredictedFact,
    RelationExtractor,
    build_graph,
    document_of,
    from_pretrained,
    push_to_hub,
    save_pretrained,
    with_mentions,
)
from glre_pyg.mentions.finder import FoundMention


def names(extractor: RelationExtractor, finder: Dictionary) -> list[str]:
    """What is found in a document whose mentions are given, and in one whose mentions are found."""
    given = document_of("1", "Aspirin induced asthma.", [FoundMention(0, 7, "Chemical", "D001241")])
    documents: list[Document] = [given, *with_mentions([given], finder)]
    return [
        f"{fact.head} {fact.relation} {fact.tail} {fact.probability:.2f}"
        for document in [
            *extractor(documents, threshold=0.5),
            *extractor("Aspirin induced asthma.", mentions=finder),
            *extractor([("2", "Aspirin."), "Asthma.", given], mentions=finder, types={"DRUG": "Chemical"}),
            *extractor.from_file("abstracts", finder),
        ]
        for fact in document.facts
        if isinstance(fact, PredictedFact)
    ]


def publish(name: str) -> str:
    run = from_pretrained(name, device="cpu")
    save_pretrained(run, "model", license="mit")
    return push_to_hub(run, "somebody/model", private=True)


def sizes(document: Document) -> tuple[int, int]:
    graph = build_graph(document, types=["Chemical", "Disease"])
    return graph.num_nodes or 0, len(document.entities)
