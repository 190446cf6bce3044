"""HTML of documents, predicted facts and reasons for notebooks, which ``%load_ext glre_pyg`` turns on.

Inline styles for light and dark themes: a mention has a background and a dark text colour of its own, all
other text keeps the colours of the page. All text of a document is escaped. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from glre_pyg.data.document import Document, Entity, Fact, Mention, Span
from glre_pyg.data.explanation import MentionWeight, PredictedFact, Reasons, SentenceAblation
from glre_pyg.data.paths import Step, name_of, names_of
from glre_pyg.utils.table import Table

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_TEXT = 6000  # maximum number of characters
_FACTS = 25
_ROWS = 8  # items in one list of reasons
_INK = "#111111"
_LINE = "#595959"  # visible beside every fill, and on white and black pages
# Paul Tol's "light" colours: safe for colour blindness, and for black text.
_FILLS = ("#77aadd", "#ee8866", "#eedd88", "#ffaabb", "#99ddff", "#44bb99", "#bbcc33", "#aaaa00")
_UNKNOWN = "#dddddd"  # mentions without an identifier
_LINES = ("solid", "dashed", "dotted", "double")
_CELL = (
    "text-align:left;vertical-align:top;white-space:normal;padding:2px 10px 2px 0;"
    "border:0;border-bottom:1px solid #8888"
)
_TABLE = "border-collapse:collapse;margin-top:8px;color:inherit;font-size:inherit"
_SMALL = "font-size:smaller"
_NUMBER = "font-size:70%;font-weight:bold;line-height:1;vertical-align:baseline;user-select:none"


def register_formatters(ipython: InteractiveShell) -> None:
    """Register the HTML formatters of this module with IPython."""
    assert ipython.display_formatter is not None
    html = ipython.display_formatter.formatters["text/html"]
    html.for_type(Document, document_html)
    html.for_type(PredictedFact, fact_html)
    html.for_type(Reasons, reasons_html)


def document_html(document: Document, *, text: int = _TEXT, facts: int = _FACTS) -> str:
    """Format a document: its text with numbered sentences and marked entities, and a table of its facts.

    All mentions of an entity have its number, colour and underline; a composite mention has the colour and
    underline of its first entity.

    Args:
        document: The document.
        text: Maximum number of characters; the text ends with a sentence, or a word of the first sentence.
        facts: Maximum number of facts.
    """
    numbers = {entity.id: number for number, entity in enumerate(document.entities, start=1)}
    words, end = _cut(document, text)
    shown = "".join(_marked(document, numbers, words, end))
    parts = [
        _tag("div", _summary(document), "margin-bottom:6px"),
        _tag("div", shown, "white-space:pre-wrap;line-height:1.9;max-width:60em"),
    ]
    if more := len(document.words) - words:
        parts.append(_more(more, "word"))
    if document.facts:
        parts.append(_facts(document, numbers, facts))
    return _tag("div", "".join(parts))


def fact_html(fact: PredictedFact) -> str:
    """Format a predicted fact with its reasons, by identifiers, as a fact does not know its document."""
    rows = [("fact", escape(f"{fact.head} {fact.relation} {fact.tail}")), ("probability", _probability(fact))]
    if fact.reasons:
        rows += _reasons(fact.reasons)
    if fact.sentence_ablation:
        rows.append(("sentences left out", _list(map(_ablated, fact.sentence_ablation))))
    return _table(rows)


def reasons_html(reasons: Reasons) -> str:
    """Format the reasons for a pair: the connecting path, and the attention weights."""
    return _table([("pair", escape(f"{reasons.head}, {reasons.tail}")), *_reasons(reasons)])


def _cut(document: Document, limit: int) -> tuple[int, int]:
    """Return the number of words to show, and the end of their text."""
    ends = [sentence.end for sentence in document.sentences]
    if len(document.text) <= limit or not ends:
        return len(document.words), len(document.text)
    fit = [end for end in ends if document.words[end - 1][1] <= limit]
    words = fit[-1] if fit else max(sum(end <= limit for _, end in document.words[: ends[0]]), 1)
    return words, document.words[words - 1][1]


def _summary(document: Document) -> str:
    lists = document.sentences, document.mentions, document.entities, document.facts
    nouns = "sentence", "mention", "entity", "fact"
    counts = [_count(len(items), noun) for items, noun in zip(lists, nouns, strict=True)]
    return f"<b>{escape(document.id)}</b>: {', '.join(counts)}"


def _marked(document: Document, numbers: dict[str, int], words: int, end: int) -> Iterator[str]:
    """Yield the text up to ``end`` as HTML; mentions that cross are split."""
    mentions = [mention for mention in document.mentions if mention.end <= end]
    groups: dict[Span, list[Mention]] = {}
    for mention in sorted(mentions, key=lambda each: (each.start, -each.end)):
        groups.setdefault(mention.span, []).append(mention)
    starts = {
        document.words[sentence.start][0]: number
        for number, sentence in enumerate(document.sentences, start=1)
        if sentence.start < words
    }
    places = sorted({0, end, *starts, *(place for span in groups for place in span)})
    opening = iter([*groups, (end, end)])
    following = next(opening)
    opened: list[Span] = []
    for place, stop in zip(places, [*places[1:], end], strict=True):
        closed: list[Span] = []
        while any(span[1] == place for span in opened):
            closed.append(opened.pop())
            if closed[-1][1] == place:
                yield _mention_end(groups[closed[-1]], numbers)
            yield "</mark>"
        for span in reversed(closed):
            if span[1] > place:
                opened.append(span)
                yield _mention_start(groups[span], numbers)
        if place in starts:
            yield _tag("sup", f"{starts[place]}", f"{_NUMBER};margin-right:3px")
        while following[0] == place < following[1]:
            opened.append(following)
            yield _mention_start(groups[following], numbers)
            following = next(opening)
        yield escape(document.text[place:stop])


def _mention_start(mentions: Sequence[Mention], numbers: dict[str, int]) -> str:
    titles = [f"{mention.type} {', '.join(mention.ids) or 'without identifier'}" for mention in mentions]
    return _mark(next(iter(_numbers(mentions, numbers)), None), "; ".join(dict.fromkeys(titles)))


def _mention_end(mentions: Sequence[Mention], numbers: dict[str, int]) -> str:
    return _subscript(sorted(_numbers(mentions, numbers)))


def _numbers(mentions: Sequence[Mention], numbers: dict[str, int]) -> dict[int, None]:
    """Return the numbers of the entities that mentions refer to, in their order."""
    return dict.fromkeys(numbers[identifier] for mention in mentions for identifier in mention.ids)


def _subscript(numbers: Sequence[int]) -> str:
    return _tag("sub", ",".join(map(str, numbers)) or "?", f"{_NUMBER};margin-left:2px")


def _mark(number: int | None, title: str) -> str:
    """Return the start tag of an entity's mention, in a style that is distinct for 32 entities."""
    index = 0 if number is None else number - 1
    fill = _UNKNOWN if number is None else _FILLS[index % len(_FILLS)]
    line = _LINES[(index + index // len(_FILLS)) % len(_LINES)]
    style = (
        f"background:{fill};color:{_INK};padding:0 2px;border-radius:2px;"
        f"border-bottom:3px {'none' if number is None else line} {_LINE}"
    )
    return f'<mark style="{style}" title="{escape(title)}">'


def _facts(document: Document, numbers: dict[str, int], limit: int) -> str:
    entities = {entity.id: entity for entity in document.entities}
    predicted = any(isinstance(fact, PredictedFact) for fact in document.facts)
    columns = ["head", "relation", "tail", *(["probability", "why"] if predicted else ["evidence", "note"])]
    rows = []
    for fact in document.facts[:limit]:
        head, tail = (_entity_mark(document, entities.get(id), id, numbers) for id in (fact.head, fact.tail))
        last = [_probability(fact), _why(fact)] if isinstance(fact, PredictedFact) else _gold_cells(fact)
        rows.append([head, escape(fact.relation), tail, *last])
    shown = [index for index in range(len(columns)) if index < 3 or any(row[index] for row in rows)]
    table = _table([[row[index] for index in shown] for row in rows], [columns[index] for index in shown])
    more = len(document.facts) - len(rows)
    return table + (_more(more, "fact") if more else "")


def _entity_mark(document: Document, entity: Entity | None, name: str, numbers: dict[str, int]) -> str:
    """Format an entity by its first name, or by its identifier if the document does not mention it."""
    if entity is None:
        return escape(name)
    first = escape(name_of(document, entity, entity.mentions[0]))
    start = _mark(numbers[entity.id], f"{entity.type} {entity.id}: {', '.join(names_of(document, entity))}")
    return f"{start}{first}{_subscript([numbers[entity.id]])}</mark>"


def _gold_cells(fact: Fact) -> list[str]:
    evidence = ", ".join(f"{sentence + 1}" for sentence in fact.evidence)
    return [f"sentences {evidence}" if evidence else "", escape(", ".join(fact.extra))]


def _probability(fact: PredictedFact) -> str:
    sign, word = (">", "") if fact.is_predicted else ("≤", ": not a fact")
    return escape(f"{fact.probability:.3f} {sign} {fact.threshold:.3f}{word}")


def _why(fact: PredictedFact) -> str:
    """Format the path, the sentences without which there is no pair, and the most supporting sentence."""
    lines = [escape(_path(fact.reasons.path))] if fact.reasons else []
    sentence_ablation = fact.sentence_ablation or ()
    if needed := [ablation for ablation in sentence_ablation if ablation.change is None]:
        numbers = ", ".join(f"{ablation.sentence + 1}" for ablation in needed[:_ROWS])
        lines.append(f"no pair without {'sentence' if len(needed) == 1 else 'any of'} {numbers}")
    supporting = next((ablation for ablation in sentence_ablation if (ablation.change or 0) < 0), None)
    if supporting is not None:
        lines.append(_ablated(supporting))
    return "<br>".join(lines)


def _path(path: Sequence[Step]) -> str:
    return " → ".join(step.name if step.kind == "entity" else f"sentence {step.number + 1}" for step in path)


def _ablated(ablation: SentenceAblation) -> str:
    without = f"without sentence {ablation.sentence + 1}"
    if ablation.change is None or ablation.probability is None:
        return f"{without}: no pair"
    return f"{without}: {ablation.probability:.3f} ({ablation.change:+.3f})".replace("-", "−")


def _reasons(reasons: Reasons) -> list[tuple[str, str]]:
    rows = [("path", escape(_path(reasons.path)))]
    for title, mentions in (("head", reasons.head_mentions), ("tail", reasons.tail_mentions)):
        if mentions is not None:
            rows.append((f"{title}: local attention", _list(map(_weight, mentions))))
    if reasons.context is not None:
        others = (f"{pair.weight:.3f} {escape(f'{pair.head}, {pair.tail}')}" for pair in reasons.context)
        rows.append(("context attention", _list([f"{reasons.context_itself:.3f} the pair itself", *others])))
    return rows


def _weight(mention: MentionWeight) -> str:
    return f"{mention.weight:.3f} {escape(mention.name)}, sentence {mention.sentence + 1}"


def _list(items: Iterable[str]) -> str:
    texts = list(items)
    more = len(texts) - _ROWS
    return "<br>".join(texts[:_ROWS]) + (f"<br>… {more} more" if more > 0 else "")


def _table(rows: Sequence[Sequence[str]], columns: Sequence[str] = ()) -> str:
    return Table(columns, rows).to_html(style=_TABLE, cell_style=_CELL)


def _more(number: int, noun: str) -> str:
    return _tag("div", f"… {_count(number, noun, 'more ')}", _SMALL)


def _count(number: int, noun: str, more: str = "") -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {more}{noun if number == 1 else plural}"


def _tag(name: str, content: str, style: str = "") -> str:
    """Return an element with HTML content."""
    return f'<{name} style="{style}">{content}</{name}>' if style else f"<{name}>{content}</{name}>"
