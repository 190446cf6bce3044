"""Section 4.5, Table 6: the corpus's hardest facts, what a model says of them, and why it may say so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glre_pyg.data.document import Document
from glre_pyg.data.explanation import MentionWeight, Reasons
from glre_pyg.data.paths import entity_of, names_of, one_line, passages, sentences_of
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.extraction.explainer import explain
from glre_pyg.runs.run import Run
from glre_pyg.utils.files import write_text
from glre_pyg.utils.markdown import escape


@dataclass(frozen=True, slots=True)
class Answer:
    """What is true of one relation of a pair, and what a model says of it.

    Args:
        relation: The relation.
        is_fact: Whether it holds.
        probability: The model's probability.
        threshold: Above this it is predicted.
        is_predicted: Whether it is; never for a pair that the protocol leaves out.
    """

    relation: str
    is_fact: bool
    probability: float
    threshold: float
    is_predicted: bool


@dataclass(frozen=True)
class Case:
    """A pair with a fact, and a model's answers.

    Args:
        document: The document.
        head, tail: Identifiers of the two entities.
        distance: Sentences between their nearest mentions.
        mentions: Mentions of both together.
        answers: One for each relation that holds or is predicted.
    """

    document: Document
    head: str
    tail: str
    distance: int
    mentions: int
    answers: tuple[Answer, ...]


def hardest_cases(
    documents: Sequence[Document], pairs: ScoredPairs, threshold: Threshold, *, count: int
) -> list[Case]:
    """The pairs with a fact that the text gives the least help with, whatever the model makes of them.

    Only pairs count that no sentence names together. First come those whose nearest mentions are the most
    sentences apart; of equals, those with the fewest mentions, head's and tail's together; of equals, those
    that are first in the order of documents, then of first mentions of the head, then of the tail.

    Args:
        documents: The documents that were scored.
        pairs: Their pairs; nothing that the model says takes part in the choice.
        threshold: Probability above which a relation is predicted.
        count: Cases to give, where there are as many.
    """
    number = {document.id: index for index, document in enumerate(documents)}
    entities = [{entity.id: i for i, entity in enumerate(document.entities)} for document in documents]
    thresholds = np.broadcast_to(threshold, len(pairs.relations)).tolist()
    predicted = pairs.predicted(threshold, filtered=True)

    def hardness(row: int) -> tuple[float, ...]:
        index = number[pairs.documents[row]]
        ends = (entities[index][pairs.heads[row]], entities[index][pairs.tails[row]])
        return (-pairs.distance[row], pairs.mentions[row], index, *ends)

    def case(row: int) -> Case:
        columns = zip(
            pairs.relations,
            pairs.is_fact[row].tolist(),
            pairs.probability[row].tolist(),
            thresholds,
            predicted[row].tolist(),
            strict=True,
        )
        return Case(
            document=documents[number[pairs.documents[row]]],
            head=pairs.heads[row],
            tail=pairs.tails[row],
            distance=int(pairs.distance[row]),
            mentions=round(2 * pairs.mentions[row]),
            answers=tuple(answer for column in columns if (answer := Answer(*column)).is_fact or column[-1]),
        )

    rows = ((pairs.distance > 0) & pairs.is_fact.any(-1)).nonzero()[0].tolist()
    return [case(row) for row in sorted(rows, key=hardness)[:count]]


def write_case_study(
    run: Run,
    documents: Sequence[Document],
    pairs: ScoredPairs,
    path: Path,
    *,
    title: str,
    count: int,
    top_k: int,
) -> None:
    """Write the hardest facts of documents, the answers of a run and its reasons; print how many are right.

    Args:
        run: The run.
        documents: Documents with their facts.
        pairs: What the run says of them.
        path: A Markdown file.
        title: What the documents are.
        count: Facts.
        top_k: See :func:`write_cases`.
    """
    cases = hardest_cases(documents, pairs, run.threshold, count=count)
    why = [explain(run, case.document, [(case.head, case.tail)])[0] for case in cases]
    write_cases(cases, why, path, title=f"{title}: the hardest facts", top_k=top_k)
    right = sum(all(answer.is_fact == answer.is_predicted for answer in case.answers) for case in cases)
    print(f"{path}: {len(cases)} facts between sentences, {right} of them answered rightly")


def write_cases(cases: Sequence[Case], why: Sequence[Reasons], path: Path, *, title: str, top_k: int) -> None:
    """Write cases as Markdown, for people.

    Args:
        cases: The cases.
        why: Reasons for each.
        path: The file.
        title: Its heading, as plain text.
        top_k: How many mentions, and how many pairs of the context, to give.
    """
    lines = [f"# {escape(title)}", "", *_INTRODUCTION]
    for number, (case, reasons) in enumerate(zip(cases, why, strict=True), start=1):
        lines += ["", *_section(number, case, reasons, top_k)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text("\n".join(lines) + "\n", path)


_INTRODUCTION = (
    "Facts whose two entities no sentence names together: those farthest apart first, then those with the",
    "fewest mentions. S1 is the first sentence of a document. In its sentences <b>bold</b> marks the two",
    "entities, and <i>italics</i> others on the path between them. Weights say what a layer averaged, and",
    "sum to 1 over the mentions of an entity, or over the candidate pairs of a document.",
)


def _section(number: int, case: Case, reasons: Reasons, top_k: int) -> Iterator[str]:
    document = case.document
    names = {entity.id: names_of(document, entity)[0] for entity in document.entities}
    yield f"## {number}. {escape(names[case.head])} and {escape(names[case.tail])}, in {escape(document.id)}"
    yield ""
    for side, identifier in (("Head", case.head), ("Tail", case.tail)):
        entity = entity_of(document, identifier)
        places = ", ".join(f"S{sentence + 1}" for sentence in sentences_of(document, identifier))
        called = escape(", ".join(names_of(document, entity)))
        yield f"- {side}: {called} ({escape(entity.type)} {escape(identifier)}), in {places}"
    yield f"- Sentences between nearest mentions: {case.distance}; mentions of both: {case.mentions}"
    yield ""
    yield "\n>\n".join(_quotation(case))
    yield from ("", *_answers(case), "", *_reasons(reasons, names, top_k))


def _quotation(case: Case) -> Iterator[str]:
    """The sentences to read, with dots where others are left out."""
    before = -1
    for sentence, passage in passages(case.document, case.head, case.tail):
        if sentence > before + 1:
            yield "> …"
        # Tags, as asterisks beside punctuation inside a word would not be read as marks.
        text = "".join(_TAGS[role].format(_escape_part(part)) for part, role in passage)
        yield f"> S{sentence + 1}: {one_line(text)}"
        before = sentence
    if before < len(case.document.sentences) - 1:
        yield "> …"


_TAGS: Mapping[str, str] = {"target": "<b>{}</b>", "related": "<i>{}</i>", "": "{}"}


def _escape_part(text: str) -> str:
    """Like :func:`escape`, for a part of a line: white space at its ends stays."""
    return "".join(part if part.isspace() else escape(part) for part in re.split(r"(\s+)", text))


def _answers(case: Case) -> Iterator[str]:
    true = ", ".join(answer.relation for answer in case.answers if answer.is_fact)
    said = ", ".join(answer.relation for answer in case.answers if answer.is_predicted) or "N/A"
    yield f"Label: <b>{escape(true)}</b>; model: <b>{escape(said)}</b>"
    yield from ("", "| relation | probability | threshold |", "|---|---|---|")
    for answer in case.answers:
        yield f"| {escape(answer.relation)} | {answer.probability:.4f} | {answer.threshold:.4f} |"


def _reasons(reasons: Reasons, names: Mapping[str, str], top_k: int) -> Iterator[str]:
    steps = (f"S{step.number + 1}" if step.kind == "sentence" else escape(step.name) for step in reasons.path)
    yield f"- Path: {' – '.join(steps)}"
    for side, weights in (("head", reasons.head_mentions), ("tail", reasons.tail_mentions)):
        if weights is not None:
            yield f"- Mentions of the {side}: {_mentions(weights, top_k)}"
    if reasons.context is not None:
        drawn = [
            f"{pair.weight:.2f} {escape(names[pair.head])} → {escape(names[pair.tail])}"
            for pair in reasons.context[:top_k]
        ]
        yield f"- Pairs of its context: {'; '.join([f'{reasons.context_itself:.2f} itself', *drawn])}"


def _mentions(weights: Sequence[MentionWeight], top_k: int) -> str:
    ranked = sorted(weights, key=lambda of: -of.weight)
    drawn = [f"{of.weight:.2f} {escape(of.name)} (S{of.sentence + 1})" for of in ranked[:top_k]]
    left = len(ranked) - len(drawn)
    return "; ".join([*drawn, f"{left} more"] if left else drawn)
