"""Whether the command, the class and the spaCy component find the same facts with the same probabilities.

    python tests/trials/same_facts.py runs/cdr_0 CDR_TestSet.PubTator.txt

The documents of a file go through ``predict``, ``RelationExtractor.from_file`` and ``nlp.pipe``. The exit code is 1
if one of the three finds other facts than the others, or if probabilities differ by more than 1e-6.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import spacy

from glre_pyg import RelationExtractor
from glre_pyg.data.document import Document
from glre_pyg.formats.detection import read_documents
from glre_pyg.formats.spacy_docs import to_spacy

TOLERANCE = 1e-6
Facts = dict[tuple[str, str, str, str], float]
"""Probabilities of facts: document, head, relation, tail."""


def of_documents(documents: list[Document]) -> Facts:
    return {
        (document.id, fact.head, fact.relation, fact.tail): fact.probability
        for document in documents
        for fact in document.facts
    }


def of_command(run: str, file: str, threshold: float | None) -> Facts:
    with TemporaryDirectory() as folder:
        output = Path(folder, "out.jsonl")
        options = [f"run={run}", f"input={file}", f"output={output}"]
        options += [] if threshold is None else [f"threshold={threshold}"]
        subprocess.run([sys.executable, "-m", "glre_pyg.predict", *options, "cache=false"], check=True)
        return of_documents(list(read_documents(output)))


def of_class(run: str, file: str, threshold: float | None) -> Facts:
    extractor = RelationExtractor.from_pretrained(run)
    return of_documents(extractor.from_file(file, threshold=threshold, reasons=False))


def of_component(run: str, file: str, threshold: float | None) -> Facts:
    nlp = spacy.blank("en")
    nlp.add_pipe("glre", config={"model": run, "threshold": threshold})
    documents = list(read_documents(Path(file)))
    docs = nlp.pipe(to_spacy(document, nlp.vocab) for document in documents)
    return {
        (document.id, relation["head"], relation["relation"], relation["tail"]): relation["probability"]
        for document, doc in zip(documents, docs, strict=True)
        for relation in doc._.relations
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a run")
    parser.add_argument("file", help="a file of documents")
    parser.add_argument("--threshold", type=float, help="probability of a fact (that of the run)")
    options = parser.parse_args()
    found = [
        way(options.run, options.file, options.threshold) for way in (of_command, of_class, of_component)
    ]
    known = [facts.keys() for facts in found]
    shared = set.intersection(*map(set, known))
    differing = len(set().union(*known)) - len(shared)
    largest = max(
        (
            max(values) - min(values)
            for values in zip(*([facts[key] for key in shared] for facts in found), strict=True)
        ),
        default=0.0,
    )
    print(
        f"{len(shared):,} facts by predict, RelationExtractor and spaCy; {differing} by some of them alone; "
        f"probabilities differ by at most {largest:.1e}"
    )
    sys.exit(bool(differing) or largest > TOLERANCE)


if __name__ == "__main__":
    main()
