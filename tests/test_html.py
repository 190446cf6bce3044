"""What notebooks show: the text in order, mentions nested and numbered, everything escaped, readable colours."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace

import pytest
from IPython.core.formatters import DisplayFormatter

import glre_pyg
from documents import document, empty, odd_documents, random_documents, two_sentences
from glre_pyg.data.document import Fact, Mention
from glre_pyg.data.explanation import MentionWeight, PairWeight, PredictedFact, Reasons, SentenceAblation
from glre_pyg.data.paths import Step, connection
from glre_pyg.reporting.notebook_html import document_html, fact_html, reasons_html

VOID = {"br"}


class Element:
    """A tag with its attributes and what is in it: elements and strings."""

    def __init__(self, tag, attributes):
        self.tag, self.attributes, self.children = tag, attributes, []

    def all(self, tag):
        """All elements of a tag in it, in order."""
        inside = [each for each in self.children if isinstance(each, Element)]
        return [found for each in inside for found in ([each] if each.tag == tag else []) + each.all(tag)]

    def text(self, without=()):
        """The text in it, without that of some tags."""
        return "".join(
            each if isinstance(each, str) else each.text(without)
            for each in self.children
            if isinstance(each, str) or each.tag not in without
        )

    @property
    def style(self):
        pairs = (each.split(":") for each in self.attributes.get("style", "").split(";") if each)
        return {name.strip(): value.strip() for name, value in pairs}


class Tree(HTMLParser):
    """The elements of HTML in which every tag is closed, in order."""

    def __init__(self, html):
        super().__init__()
        self.root = Element("root", {})
        self.open = [self.root]
        self.feed(html)
        self.close()
        assert self.open == [self.root], "a tag is not closed"

    def handle_starttag(self, tag, attributes):
        element = Element(tag, dict(attributes))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag, "tags cross"

    def handle_data(self, data):
        self.open[-1].children.append(data)


def parsed(html):
    return Tree(html).root


def text_of(root):
    """The element with the document's text."""
    [found] = [each for each in root.all("div") if each.style.get("white-space") == "pre-wrap"]
    return found


def marks(element):
    """(text, number) of all mentions."""
    return [(mark.text(without=("sub", "sup")), mark.children[-1].text()) for mark in element.all("mark")]


def predicted(head="V", relation="causes", tail="R", probability=0.9, threshold=0.5, **more):
    return PredictedFact(
        head=head,
        relation=relation,
        tail=tail,
        probability=probability,
        threshold=threshold,
        head_mentions=(),
        tail_mentions=(),
        **more,
    )


def reasons_of(each, head, tail):
    found = {entity.id: entity for entity in each.entities}[head].mentions[0]
    return Reasons(
        head=head,
        tail=tail,
        head_mentions=(MentionWeight(found, "<i>", 0, 0.75),),
        tail_mentions=None,
        context=tuple(PairWeight(f"A{number}", "B", 0.01) for number in range(20)),
        context_itself=0.8,
        path=connection(each, head, tail),
    )


DOCUMENTS = [*odd_documents(), *random_documents(20, composites=0.4)]


@pytest.mark.parametrize("each", DOCUMENTS, ids=lambda each: each.id)
def test_the_text_is_that_of_the_document(each):
    shown = text_of(parsed(document_html(each)))
    assert shown.text(without=("sub", "sup")) == each.text
    assert [number.text() for number in shown.all("sup")] == [
        str(number) for number in range(1, len(each.sentences) + 1)
    ]


@pytest.mark.parametrize("each", DOCUMENTS, ids=lambda each: each.id)
def test_each_mention_has_the_number_of_its_entities(each):
    shown = text_of(parsed(document_html(each)))
    numbers = {entity.id: number for number, entity in enumerate(each.entities, start=1)}
    expected = {}
    for mention in each.mentions:
        expected.setdefault(mention.span, set()).update(numbers[identifier] for identifier in mention.ids)
    labels = [",".join(map(str, sorted(of))) or "?" for _, of in sorted(expected.items())]
    assert sorted(number.text() for number in shown.all("sub")) == sorted(labels)


def test_a_sentence_begins_with_its_number():
    shown = text_of(parsed(document_html(two_sentences())))
    assert shown.text(without=("sub",)).startswith("1velorin and")
    assert "2ostamide eased" in shown.text(without=("sub",))


def test_mentions_in_mentions():
    each = document(
        ["acute velorin toxicity was seen ."],
        [(0, 3, "Disease", "T"), (1, 2, "Chemical", "V"), (1, 3, "Disease", "U")],
    )
    outer, middle, inner = text_of(parsed(document_html(each))).all("mark")
    assert outer.text(without=("sub", "sup")) == "acute velorin toxicity"
    assert middle.text(without=("sub",)) == "velorin toxicity"
    assert inner.text(without=("sub",)) == "velorin"
    assert middle in outer.children
    assert inner in middle.children
    assert outer.text() == "acute velorin2 toxicity31"


def test_mentions_that_cross_are_cut():
    each = document(["a b c d"], [(0, 2, "Gene", "X"), (1, 3, "Gene", "Y")])
    shown = text_of(parsed(document_html(each)))
    assert shown.text() == "1a b1 c2 d"
    assert [mark.text(without=("sub",)) for mark in shown.all("mark")] == ["a b", "b", " c"]
    assert [len(mark.all("sub")) for mark in shown.all("mark")] == [1, 0, 1]


def test_two_mentions_of_the_same_words_are_one_with_two_numbers():
    each = document(["velorin ostamide"], [(0, 2, "Gene", "X"), (0, 2, "Chemical", "Y"), (1, 2, "Gene", "Z")])
    [both, inner] = text_of(parsed(document_html(each))).all("mark")
    assert both.children[-1].text() == "1,2"
    assert both.attributes["title"] == "Gene X; Chemical Y"
    assert inner.children[-1].text() == "3"


def test_a_mention_of_nothing_known():
    each = document(["patients had fevers ."], [(2, 3, "Disease")])
    [mark] = text_of(parsed(document_html(each))).all("mark")
    assert mark.text() == "fevers?"
    assert mark.attributes["title"] == "Disease without identifier"


def test_everything_is_escaped():
    bad = '<script>alert("1")</script>&amp;\'" onclick="x'
    each = document(
        [f"{bad} caused {bad}"],
        [(0, 1, bad, bad), (3, 4, bad, "R'\"<b>")],
        [(bad, bad, "R'\"<b>"), (bad, bad, bad)],
        name=bad,
    )
    facts = (
        replace(each.facts[0], extra=(bad,), evidence=(0,)),
        predicted(bad, bad, "R'\"<b>", reasons=reasons_of(each, bad, "R'\"<b>")),
        predicted(bad, bad, bad),
    )
    each = replace(each, facts=facts)
    pages = [document_html(each), fact_html(facts[1]), reasons_html(facts[1].reasons)]
    for root in map(parsed, pages):
        for tag in ("script", "b"):
            assert bad not in "".join(found.text() for found in root.all("script"))
            assert not [found for found in root.all(tag) if tag == "script"]
        names = {
            name
            for tag in ("mark", "div", "td", "th")
            for found in root.all(tag)
            for name in found.attributes
        }
        assert names <= {"style", "title", "scope"}
        assert bad in root.text()
    assert text_of(parsed(pages[0])).text(without=("sub", "sup")) == each.text


def test_nothing_reaches_beyond_the_output():
    page = document_html(replace(two_sentences(), facts=(predicted(),)))
    assert not re.search(r"<(style|script|link|img)|\b(id|class|href|src|on\w+)=", page)


def test_gold_facts_are_plain():
    each = two_sentences()
    gold = Fact("V", "causes", "R", extra=("Novel",), evidence=(0, 1))
    heads, row, other = parsed(document_html(replace(each, facts=(gold, each.facts[1])))).all("tr")
    assert [cell.text() for cell in heads.all("th")] == ["head", "relation", "tail", "evidence", "note"]
    assert [cell.text() for cell in row.all("td")] == [
        "velorin1",
        "causes",
        "severe rash3",
        "sentences 1, 2",
        "Novel",
    ]
    assert other.all("td")[0].text() == "ostamide2"
    bare, *_ = parsed(document_html(each)).all("tr")
    assert [cell.text() for cell in bare.all("th")] == ["head", "relation", "tail"]


def test_predicted_facts_say_how_sure_and_why():
    each = two_sentences()
    fact = predicted(
        probability=0.875,
        reasons=reasons_of(each, "V", "R"),
        sentence_ablation=(SentenceAblation(0, None, None), SentenceAblation(1, 0.625, -0.25)),
    )
    below = predicted(tail="O", probability=0.125)
    heads, row, other = parsed(document_html(replace(each, facts=(fact, below)))).all("tr")
    assert [cell.text() for cell in heads.all("th")][3:] == ["probability", "why"]
    probability, why = row.all("td")[3:]
    assert probability.text() == "0.875 > 0.500"
    assert [line for line in why.children if isinstance(line, str)] == [
        "velorin → sentence 1 → severe rash",
        "no pair without sentence 1",
        "without sentence 2: 0.625 (−0.250)",
    ]
    assert other.all("td")[3].text() == "0.125 ≤ 0.500: not a fact"


def test_a_sentence_that_speaks_against_a_fact_is_no_reason():
    each = two_sentences()
    fact = predicted(sentence_ablation=(SentenceAblation(0, 0.9, 0.0), SentenceAblation(1, 0.95, 0.05)))
    [heads, row] = parsed(document_html(replace(each, facts=(fact,)))).all("tr")
    assert [cell.text() for cell in heads.all("th")] == ["head", "relation", "tail", "probability"]
    assert len(row.all("td")) == 4


def test_gold_beside_predicted():
    each = two_sentences()
    _, first, second = parsed(document_html(replace(each, facts=(predicted(), each.facts[1])))).all("tr")
    assert len(first.all("td")) == len(second.all("td"))


def test_a_fact_of_an_entity_that_nobody_mentions_has_its_identifier():
    each = replace(two_sentences(), facts=(Fact("nobody", "causes", "R"),))
    assert parsed(document_html(each)).all("td")[0].text() == "nobody"


def test_long_documents_are_cut_after_a_sentence():
    each = document(
        [f"velorin caused rash {number} ." for number in range(400)],
        [(5 * number, 5 * number + 1, "Chemical", "V") for number in range(400)],
        [("V", f"r{number}", "V") for number in range(60)],
    )
    page = document_html(each, text=1000, facts=10)
    shown = text_of(parsed(page))
    text = shown.text(without=("sub", "sup"))
    sentences = len(shown.all("sup"))
    assert each.text.startswith(text)
    assert text.endswith(" .")
    assert len(text) <= 1000 < len(text) + len(" velorin caused rash 50 .")
    assert len(shown.all("mark")) == sentences
    assert f"… {2000 - 5 * sentences:,} more words" in page
    assert len(parsed(page).all("tr")) == 1 + 10
    assert "… 50 more facts" in page


def test_a_long_sentence_is_cut_after_a_word():
    each = document(["velorin " * 1000], [(999, 1000, "Chemical", "V"), (0, 2, "Chemical", "V")])
    page = document_html(each, text=100)
    shown = text_of(parsed(page))
    assert shown.text(without=("sub", "sup")) == "velorin " * 11 + "velorin"
    assert len(shown.all("mark")) == 1
    assert "… 988 more words" in page


def test_a_document_without_text():
    root = parsed(document_html(empty()))
    assert "empty: 0 sentences, 0 mentions, 0 entities, 0 facts" in root.text()
    assert not root.all("table")


def test_reasons_by_themselves():
    each = two_sentences()
    fact = predicted(
        reasons=reasons_of(each, "V", "R"),
        sentence_ablation=tuple(SentenceAblation(number, 0.5, -0.4) for number in range(12)),
    )
    rows = {row.all("th")[0].text(): row.all("td")[0].text() for row in parsed(fact_html(fact)).all("tr")}
    assert rows["fact"] == "V causes R"
    assert rows["path"] == "velorin → sentence 1 → severe rash"
    assert rows["head: local attention"] == "0.750 <i>, sentence 1"
    assert "tail: local attention" not in rows
    assert rows["context attention"].startswith("0.800 the pair itself0.010 A0, B")
    assert rows["context attention"].endswith("… 13 more")
    assert rows["sentences left out"].endswith("… 4 more")
    rest = {row.all("th")[0].text() for row in parsed(reasons_html(fact.reasons)).all("tr")}
    assert rest == {"pair", "path", "head: local attention", "context attention"}


def test_a_path_is_a_line():
    steps = (
        Step("entity", 0, "X"),
        Step("sentence", 0, "A ."),
        Step("entity", 1, "GENE"),
        Step("sentence", 4, "B ."),
        Step("entity", 2, "Y"),
    )
    each = Reasons("X", "Y", None, None, None, None, steps)
    rows = parsed(reasons_html(each)).all("td")
    assert rows[1].text() == "X → sentence 1 → GENE → sentence 5 → Y"


def luminance(colour):
    """Relative luminance of #rrggbb, as WCAG 2.2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def many_entities():
    words = [f"w{number}" for number in range(41)]
    mentions = [(number, number + 1, "Gene", f"G{number:02d}") for number in range(40)]
    return document([" ".join(words)], [*mentions, (40, 41, "Gene")], [("G00", "r", "G01")])


def test_mentions_can_be_read_on_any_page():
    root = parsed(document_html(replace(many_entities(), facts=(predicted("G00", "r", "G01"),))))
    for mark in root.all("mark"):
        assert contrast(mark.style["color"], mark.style["background"]) >= 4.5
        line = mark.style["border-bottom"].rpartition(" ")[2]
        for beside in (mark.style["background"], "#ffffff", "#111111"):
            assert contrast(line, beside) >= 2
    for tag in ("div", "table", "th", "td", "sup", "sub"):
        for element in root.all(tag):  # colours of the page itself
            assert element.style.get("color", "inherit") == "inherit"
            assert not {"background", "opacity"} & element.style.keys()


def test_entities_differ_with_and_without_colour():
    styles = [mark.style for mark in text_of(parsed(document_html(many_entities()))).all("mark")]
    looks = [(style["background"], style["border-bottom"]) for style in styles]
    assert len(set(looks[:32])) == 32
    assert looks[40] not in looks[:40]
    lines = [line for _, line in looks[:40]]
    assert len(set(lines)) == 4
    assert all(one != other for one, other in pairwise(lines))


def test_the_extension_shows_documents_facts_and_reasons_in_notebooks():
    formatter = DisplayFormatter(active_types=["text/plain", "text/html"])
    glre_pyg.load_ipython_extension(SimpleNamespace(display_formatter=formatter))
    each = two_sentences()
    fact = predicted(reasons=reasons_of(each, "V", "R"))
    for value, html in (
        (each, document_html(each)),
        (fact, fact_html(fact)),
        (fact.reasons, reasons_html(fact.reasons)),
    ):
        assert formatter.format(value)[0]["text/html"] == html
    assert "text/html" not in formatter.format(each.facts[0])[0]


def test_needs_no_torch():
    code = "import sys, glre_pyg.reporting.notebook_html; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_that_span_lines_are_one_line_in_the_table():
    each = two_sentences()
    broken = replace(each, text=each.text.replace("severe rash", "severe\nrash"))
    assert parsed(document_html(broken)).all("mark")[-1].text() == "severe rash3"
    assert isinstance(each.mentions[0], Mention)
