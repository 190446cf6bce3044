"""Case studies (Section 4.5, Table 6): the hardest facts of a corpus, a model's answers, possible reasons."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glre_pyg.data.document import Document
from glre_pyg.data.explanation import MentionWeight, Reasons
from glre_pyg.data.paths import entity_of, names_of, one_line, passages, sentences_of
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.extraction.explainer import explain
from glre_pyg.runs.run import Run
from glre_pyg.utils.console import echo
from glre_pyg.utils.files import write_text
from glre_pyg.utils.markdown import escape
from glre_pyg.utils.table import Table


class Answer(NamedTuple):
    """A relation of a pair: whether it is a fact, and what the model predicts.

    A pair that the protocol ignores is never predicted, whatever its probability.
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
        distance: Number of sentences between their nearest mentions.
        mentions: Number of mentions of both together.
        answers: One for each relation that is a fact or predicted.
    """

    document: Document
    head: str
    tail: str
    distance: int
    mentions: int
    answers: tuple[Answer, ...]

    @property
    def is_correct(self) -> bool:
        """Whether the model predicts the facts of the pair and nothing else."""
        return all(answer.is_fact == answer.is_predicted for answer in self.answers)


def hardest_cases(
    documents: Sequence[Document], pairs: ScoredPairs, threshold: Threshold, *, count: int
) -> list[Case]:
    """Select the pairs with a fact for which the text gives the least help, independently of the model.

    Only pairs that no sentence mentions together are selected: first those with the largest sentence
    distance, then those with the fewest mentions of head and tail together, then in the order of documents,
    of first mentions of the head, and of the tail.

    Args:
        documents: The documents that were scored.
        pairs: Their pairs.
        threshold: Probability above which a relation is predicted.
        count: Maximum number of cases.
    """
    number = {document.id: index for index, document in enumerate(documents)}
    thresholds = np.broadcast_to(threshold, len(pairs.relations))
    predicted = pairs.predicted(threshold, filtered=True)

    def hardness(row: int) -> tuple[float, ...]:
        index = number[pairs.documents[row]]
        order = documents[index].entity_numbers
        ends = order[pairs.heads[row]], order[pairs.tails[row]]
        return (-pairs.distance[row], pairs.mentions[row], index, *ends)

    def case(row: int) -> Case:
        columns = (pairs.is_fact[row], pairs.probability[row], thresholds, predicted[row])
        values = zip(pairs.relations, *(column.tolist() for column in columns), strict=True)
        answers = (Answer(*value) for value in values)
        return Case(
            document=documents[number[pairs.documents[row]]],
            head=pairs.heads[row],
            tail=pairs.tails[row],
            distance=int(pairs.distance[row]),
            mentions=round(2 * pairs.mentions[row]),
            answers=tuple(answer for answer in answers if answer.is_fact or answer.is_predicted),
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
    """Write the hardest facts with a run's answers and reasons, and print how many answers are correct.

    Args:
        run: The run.
        documents, pairs, count: See :func:`hardest_cases`; the pairs are scored by the run.
        path, top_k: See :func:`write_cases`.
        title: Name of the corpus and split.
    """
    cases = hardest_cases(documents, pairs, run.threshold, count=count)
    reasons = [explain(run, case.document, [(case.head, case.tail)])[0] for case in cases]
    write_cases(cases, reasons, path, title=f"{title}: the hardest facts", top_k=top_k)
    correct = sum(case.is_correct for case in cases)
    why = "" if cases else ": for each fact, a sentence mentions both entities"
    echo(f"{path}: {len(cases)} inter-sentence facts, {correct} answered correctly{why}")


def write_cases(
    cases: Sequence[Case], reasons: Sequence[Reasons], path: Path, *, title: str, top_k: int
) -> None:
    """Write cases, and the reasons for each, as Markdown.

    Args:
        cases, reasons: The cases and their reasons.
        path: Markdown file.
        title: Heading, as plain text.
        top_k: Number of mentions and of context pairs with the largest weights.
    """
    lines = [f"# {escape(title)}", "", *_INTRODUCTION]
    for number, (case, why) in enumerate(zip(cases, reasons, strict=True), start=1):
        lines += ["", *_section(number, case, why, top_k)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text("\n".join(lines) + "\n", path)


_INTRODUCTION = (
    "Facts between entities that no sentence mentions together: first those with the largest sentence",
    "distance, then those with the fewest mentions. S1 is the first sentence of a document. The two entities",
    "are <b>bold</b>, other entities on the path between them are in <i>italics</i>. Attention weights",
    "sum to 1 over the mentions of an entity, and over the candidate pairs of a document.",
)


def _section(number: int, case: Case, reasons: Reasons, top_k: int) -> Iterator[str]:
    document = case.document
    names = {entity.id: names_of(document, entity)[0] for entity in document.entities}
    yield f"## {number}. {escape(names[case.head])} and {escape(names[case.tail])}, in {escape(document.id)}"
    yield ""
    for side, identifier in (("Head", case.head), ("Tail", case.tail)):
        entity = entity_of(document, identifier)
        sentences = ", ".join(f"S{sentence + 1}" for sentence in sentences_of(document, identifier))
        entity_names = escape(", ".join(names_of(document, entity)))
        yield f"- {side}: {entity_names} ({escape(entity.type)} {escape(identifier)}), in {sentences}"
    yield f"- Sentence distance: {case.distance}; mentions of both: {case.mentions}"
    yield ""
    yield "\n>\n".join(_quotation(case))
    yield from ("", *_answers(case), "", *_reasons(reasons, names, top_k))


def _quotation(case: Case) -> Iterator[str]:
    """Yield the sentences to read, with an ellipsis where others are left out."""
    previous = -1
    for sentence, passage in passages(case.document, case.head, case.tail):
        if sentence > previous + 1:
            yield "> …"
        # Tags, as asterisks beside punctuation inside a word are not markup.
        text = "".join(_TAGS[role].format(_escape_part(part)) for part, role in passage)
        yield f"> S{sentence + 1}: {one_line(text)}"
        previous = sentence
    if previous < len(case.document.sentences) - 1:
        yield "> …"


_TAGS: Mapping[str, str] = {"target": "<b>{}</b>", "related": "<i>{}</i>", "": "{}"}


def _escape_part(text: str) -> str:
    """Escape a part of a line, keeping white space at its ends."""
    return "".join(part if part.isspace() else escape(part) for part in re.split(r"(\s+)", text))


def _answers(case: Case) -> Iterator[str]:
    facts = ", ".join(answer.relation for answer in case.answers if answer.is_fact)
    predicted = ", ".join(answer.relation for answer in case.answers if answer.is_predicted) or "N/A"
    yield f"Label: <b>{escape(facts)}</b>; model: <b>{escape(predicted)}</b>"
    yield ""
    rows = [
        [escape(answer.relation), f"{answer.probability:.4f}", f"{answer.threshold:.4f}"]
        for answer in case.answers
    ]
    yield Table(["relation", "probability", "threshold"], rows).to_markdown()


def _reasons(reasons: Reasons, names: Mapping[str, str], top_k: int) -> Iterator[str]:
    steps = (f"S{step.number + 1}" if step.kind == "sentence" else escape(step.name) for step in reasons.path)
    yield f"- Path: {' – '.join(steps)}"
    for side, weights in (("head", reasons.head_mentions), ("tail", reasons.tail_mentions)):
        if weights is not None:
            yield f"- Local attention, {side}: {_mentions(weights, top_k)}"
    if reasons.context is not None:
        pairs = [
            f"{pair.weight:.2f} {escape(names[pair.head])} → {escape(names[pair.tail])}"
            for pair in reasons.context[:top_k]
        ]
        yield f"- Context attention: {'; '.join([f'{reasons.context_itself:.2f} the pair itself', *pairs])}"


def _mentions(weights: Sequence[MentionWeight], top_k: int) -> str:
    ranked = sorted(weights, key=lambda mention: -mention.weight)
    parts = [f"{item.weight:.2f} {escape(item.name)} (S{item.sentence + 1})" for item in ranked[:top_k]]
    more = len(ranked) - len(parts)
    return "; ".join([*parts, f"{more} more"] if more else parts)
