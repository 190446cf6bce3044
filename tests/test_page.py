"""The page: what it holds, that nothing in a document can break it, and what it does when clicked."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from random import Random

import pytest

from browser import chromium, prefer, resize  # noqa: F401
from documents import document, odd_documents, random_documents, two_sentences
from glre_pyg import EDGE_TYPES, build_graph
from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.data.explanation import MentionWeight, PairWeight, PredictedFact, Reasons, SentenceAblation
from glre_pyg.data.paths import connection
from glre_pyg.formats.page import write_page
from glre_pyg.formats.page_data import document_data

RELATIONS = ("causes", "treats")
HOSTILE = (
    "</script><img src=x onerror=hacked=1> \"'&lt; \x00\x01 \u2028 \ufeff <!-- ]]> ${hacked=1} {{script}}"
)


# Documents with facts that nobody's model found: probabilities and reasons by chance.


def found(given, *, threshold=0.5, share=0.5, reasons=True, relations=RELATIONS):
    """A document with candidates for some of its pairs; those above the threshold have a sentence ablation."""
    random = Random(given.id)
    facts = []
    for head, tail in given.pairs():
        one, other = given.entities[head], given.entities[tail]
        for relation in relations:
            if random.random() > share:
                continue
            probability = random.random()
            facts.append(
                PredictedFact(
                    head=one.id,
                    relation=relation,
                    tail=other.id,
                    extra=(f"{probability:.6f}",),
                    probability=probability,
                    threshold=threshold,
                    head_mentions=one.mentions,
                    tail_mentions=other.mentions,
                    reasons=invented_reasons(given, one, other, random) if reasons else None,
                    sentence_ablation=invented_ablation(given, probability, random)
                    if reasons and probability > threshold
                    else None,
                )
            )
    facts.sort(key=lambda fact: fact.probability, reverse=True)
    return Document(
        **{
            name: getattr(given, name) for name in ("id", "text", "words", "sentences", "mentions", "ignored")
        },
        facts=tuple(facts),
    )


def invented_reasons(given, one, other, random):
    def weights(entity):
        shares = [random.random() + 0.1 for _ in entity.mentions]
        return tuple(
            MentionWeight(
                mention, given.name(entity.id, mention), given.sentence_of(mention), share / sum(shares)
            )
            for mention, share in zip(entity.mentions, shares, strict=True)
        )

    ids = [entity.id for entity in given.entities]
    pairs = [(one.id, each) for each in ids if each not in (one.id, other.id)]
    context = tuple(PairWeight(*pair, 0.5 / len(pairs)) for pair in pairs)
    itself = 0.5 if pairs else 1.0
    return Reasons(
        one.id, other.id, weights(one), weights(other), context, itself, connection(given, one.id, other.id)
    )


def invented_ablation(given, probability, random):
    rows = []
    for number in range(len(given.sentences)):
        left = random.random() if random.random() > 0.2 else None
        rows.append(SentenceAblation(number, left, None if left is None else left - probability))
    return tuple(sorted(rows, key=lambda each: -9 if each.change is None else each.change))


def write(path, pairs, **options):
    chosen = {"title": "A page", "relations": RELATIONS, "threshold": 0.5} | options
    write_page(pairs, path, **chosen)
    return path


class Scripts(HTMLParser):
    """The scripts of a page as a browser would cut it, and all other elements and their attributes."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.tags, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script":
            self.scripts[-1] += data

    def handle_endtag(self, tag):
        self.tags.append(f"/{tag}")


def hostile():
    """A document whose text, names, identifiers, types and relations are what pages break on."""
    text = f"velorin {HOSTILE} caused rash ."
    words = tuple(match.span() for match in re.finditer(r"\S+", text))
    end = text.index(" caused")
    mentions = (
        Mention(0, end, HOSTILE, (HOSTILE,)),
        Mention(text.index("rash"), text.index("rash") + 4, "</mark>", ("R\uffff",)),
    )
    return Document(HOSTILE, text, words, (Sentence(0, len(words)),), mentions)


# What the file holds.


def test_it_is_written_without_torch():
    code = (
        "import sys, glre_pyg.formats.page as p; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_text_from_documents_cannot_end_the_data(tmp_path):
    given = found(hostile(), share=1.0, relations=(HOSTILE,))
    plain = write(tmp_path / "plain.html", [(found(two_sentences()), None)])
    path = write(
        tmp_path / "page.html", [(given, given.facts)], title=HOSTILE, relations=(HOSTILE,), model=HOSTILE
    )
    page, usual = (Scripts(each.read_text(encoding="utf-8")) for each in (path, plain))
    assert page.tags == usual.tags
    assert page.attributes == usual.attributes
    head, data, _ = page.scripts
    assert json.loads(head)["model"] == HOSTILE
    assert json.loads(data)["text"] == given.text
    assert json.loads(data)["entities"][1][0] == "R\uffff"


def test_offsets_count_as_javascript_counts():
    text = "\U0001f9ea velorin \U0001f600 caused rash ."
    words = tuple(match.span() for match in re.finditer(r"\S+", text))
    start = text.index("rash")
    given = Document(
        "wide", text, words, (Sentence(0, len(words)),), (Mention(start, start + 4, "Disease", ("R",)),)
    )
    [[left, right, *_]] = document_data(given, None, top_k=3)["mentions"]
    assert text.encode("utf-16-le")[2 * left : 2 * right].decode("utf-16-le") == "rash"


def test_a_true_fact_is_given_once_with_all_its_evidence():
    gold = [Fact("V", "causes", "R", ("Novel",), (1,)), Fact("V", "causes", "R", ("No",), (0, 1, 9))]
    assert document_data(found(two_sentences(), share=0.0), gold, top_k=3)["gold"] == [
        [0, "causes", 2, [1, 0]]
    ]


def test_true_facts_may_name_what_no_mention_names():
    data = document_data(found(two_sentences(), share=0.0), [Fact("V", "causes", "X9")], top_k=3)
    assert data["entities"][-1] == ["X9", "", "X9"]
    assert data["gold"] == [[0, "causes", 3, []]]


def test_only_the_strongest_pairs_of_a_context_are_kept():
    data = document_data(found(random_documents(1, entities=(6, 6))[0], share=1.0), None, top_k=2)
    assert {len(context) for *_, context in data["reasons"]} == {2}


def test_a_fact_without_probability_is_refused(tmp_path):
    with pytest.raises(TypeError, match="two: the fact V causes R has no probability"):
        write(tmp_path / "page.html", [(two_sentences(), None)])


def test_the_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "page.html"

    def documents():
        yield found(two_sentences()), None
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(path, documents())
    assert not path.exists()
    write(path, [(found(two_sentences()), None)])
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


# What it does.


@pytest.fixture
def show(chromium, tmp_path):  # noqa: F811
    """Opens a page of documents; at the end nothing may have been complained of or asked for."""

    def opened(pairs, **options):
        path = write(tmp_path / "page.html", pairs, **options)
        chromium.get("about:blank")
        chromium.get_log("browser")
        chromium.get(path.as_uri())
        return Page(chromium)

    resize(chromium, 1400, 1000)
    prefer(chromium, prefers_color_scheme="light", prefers_reduced_motion="reduce")
    yield opened
    asked = chromium.execute_script(
        "return performance.getEntriesByType('resource').map((each) => each.name)"
    )
    assert asked == []
    assert chromium.get_log("browser") == []


class Page:
    """What a reader sees and does."""

    def __init__(self, driver):
        self.driver = driver

    def script(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def one(self, selector):
        [element] = self.all(selector)
        return element

    def texts(self, selector):
        code = "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)"
        return self.script(code, selector)

    def rows(self):
        """The table as (probability, head, relation, tail, status); names without their numbers."""
        code = """return [...document.querySelectorAll("#facts tbody tr")].filter((row) => row.claim).map((row) =>
          [...row.cells].map((cell) => (cell.querySelector("bdi") ?? cell).textContent))"""
        return [tuple(row) for row in self.script(code)]

    def slide(self, value):
        self.script(
            "const [it, value] = arguments; it.value = value; it.dispatchEvent(new Event('input'))",
            self.one("#threshold"),
            value,
        )

    def choose(self, selector, value):
        code = "const [it, value] = arguments; it.value = value; it.dispatchEvent(new Event('input'))"
        self.script(code, self.one(selector), value)

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        actions = ActionChains(self.driver)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def focused(self):
        return self.driver.switch_to.active_element


def name_of(given, identifier):
    [entity] = [each for each in given.entities if each.id == identifier]
    first = entity.mentions[0]
    return " ".join(given.text[first.start : first.end].split())


def expected_rows(given, gold, limit, own=0.5):
    """The table by definition, with the slider at a limit, for a model with a threshold of its own."""
    true = None if gold is None else {(fact.head, fact.relation, fact.tail) for fact in gold}
    rows, seen = [], set()
    for fact in given.facts:
        key = fact.head, fact.relation, fact.tail
        seen.add(key)
        above = fact.probability > (limit[fact.relation] if isinstance(limit, dict) else limit)
        predicted = fact.probability > (own[fact.relation] if isinstance(own, dict) else own)
        unknown = "● predicted" if predicted else "◌ candidate"
        status = unknown if true is None else "✓ right" if key in true else "✗ wrong"
        if not above and (true is None or key not in true):
            continue
        rows.append((f"{fact.probability:.3f}", *key, status if above else "○ missed"))
    rows += [("–", *key, "○ missed") for key in (true or set()) - seen]
    return sorted(
        (odds, name_of(given, head), relation, name_of(given, tail), status)
        for odds, head, relation, tail, status in rows
    )


def test_text_is_that_of_the_document_and_mentions_lie_where_they_are(show):
    documents = [*odd_documents(), *random_documents(6, composites=0.5)]
    page = show([(found(each), None) for each in documents])
    for number, given in enumerate(documents):
        page.script("openDocument(arguments[0])", number)
        assert page.script("return document.querySelector('#words').textContent") == given.text
        shown = page.script(
            """const found = {};
            for (const mark of document.querySelectorAll("#words mark"))
              found[mark.dataset.mention] = (found[mark.dataset.mention] ?? "") + mark.textContent;
            return Object.entries(found).map(([key, text]) => [Number(key), text])"""
        )
        mentions = [mention for entity in given.entities for mention in entity.mentions]
        assert sorted(shown) == [[i, given.text[each.start : each.end]] for i, each in enumerate(mentions)]
        ends = page.script(
            "return [...document.querySelectorAll('mark.ends')].map((each) => +each.dataset.mention)"
        )
        assert sorted(ends) == list(range(len(mentions)))
        assert len(page.all("#words .sentence")) == len(given.sentences)


def test_graph_is_that_of_build_graph(show):
    documents = [*odd_documents(), *random_documents(4, composites=0.5)]
    page = show([(found(each), None) for each in documents])
    for number, given in enumerate(documents):
        page.script("openDocument(arguments[0])", number)
        graph = build_graph(given)
        drawn = page.script(
            "return edgesOf(state.doc).map(([kind, a, b]) => [kind, +a.slice(1), +b.slice(1)])"
        )
        lines = page.script(
            """return EDGES.map(({ name, look }) => {
              const line = document.querySelector(`#drawing svg > .edge.${look}`);
              const box = document.querySelector(`[data-edge="${name}"]`);
              return [name, (line.getAttribute("d").match(/M/g) ?? []).length, box.parentNode.textContent];
            })"""
        )
        for kind, key in enumerate(EDGE_TYPES):
            edges = graph[key].edge_index.t().tolist()
            if key[0] == key[2]:
                edges = [edge for edge in edges if edge[0] < edge[1]]
            assert sorted(edge for k, *edge in drawn if k == kind) == sorted(edges)
            name, strokes, label = lines[kind]
            assert name == " ".join(key)
            assert strokes == len(edges)
            assert f"({len(edges)})" in label
        for kind in graph.node_types:
            assert len(page.all(f"#drawing .node.{kind}")) == graph[kind].num_nodes
        where = page.texts("#drawing .node title")
        assert len(where) == len(
            set(
                page.script(
                    "return [...document.querySelectorAll('#drawing .node')].map((each) => each.getAttribute('transform'))"
                )
            )
        )


def test_kinds_of_edge_can_be_hidden(show):
    page = show([(found(two_sentences()), None), (found(random_documents(1)[0]), None)])
    page.one('[data-edge="sentence with sentence"]').click()
    assert not page.one("#drawing svg > .edge.with").is_displayed()
    page.one("#next").click()
    assert not page.one('[data-edge="sentence with sentence"]').is_selected()
    page.one('[data-edge="sentence with sentence"]').click()
    assert page.one("#drawing svg > .edge.with").is_displayed()


@pytest.mark.parametrize("known", [True, False])
def test_the_slider_decides_what_is_right_wrong_and_missed(show, known):
    given = random_documents(3, entities=(5, 7), facts=0.4)
    pairs = [(found(each), each.facts if known else None) for each in given]
    page = show(pairs)
    for limit in (0.5, 0.0, 0.31, 0.9, 1.0):
        if limit != 0.5:
            page.slide(limit)
        rows = expected_rows(*pairs[0], limit)
        assert sorted(page.rows()) == rows
        if not known:
            assert page.texts("#scores td") == []
            continue
        shown = [page.texts(f"#scores tbody tr:nth-child({line}) td") for line in (1, 2)]
        for of, cells in zip(([pairs[0]], pairs), shown, strict=True):
            all_rows = [row for pair in of for row in expected_rows(*pair, limit)]
            right, wrong, missed = (
                sum(row[-1] == status for row in all_rows) for status in ("✓ right", "✗ wrong", "○ missed")
            )
            percent = [
                f"{100 * up / down:.1f}" if down else "–"
                for up, down in (
                    (right, right + wrong),
                    (right, right + missed),
                    (2 * right, 2 * right + wrong + missed),
                )
            ]
            assert cells == [str(right), str(wrong), str(missed), *percent]
    page.one("#reset").click()
    assert sorted(page.rows()) == expected_rows(*pairs[0], 0.5)


def test_slider_begins_at_the_thresholds_of_relations(show):
    limits = {"causes": 0.2, "treats": 0.8}
    given = random_documents(1, entities=(6, 6))[0]
    pair = found(given), given.facts
    page = show([pair], threshold=limits)
    assert page.one("#threshold-value").text == "0.200 to 0.800"
    assert sorted(page.rows()) == expected_rows(*pair, limits)
    assert page.one("#reset").get_attribute("aria-pressed") == "true"
    page.one("#threshold").send_keys("\ue014")  # arrow right
    assert page.one("#threshold-value").text == "0.51"
    assert sorted(page.rows()) == expected_rows(*pair, 0.51)
    assert page.one("#reset").get_attribute("aria-pressed") == "false"


def test_direction_counts_only_where_it_does(show):
    given = found(two_sentences(), share=0.0)
    fact = found(two_sentences(), share=1.0, threshold=0.0, reasons=False).facts[0]
    given = Document(given.id, given.text, given.words, given.sentences, given.mentions, (fact,))
    gold = (Fact(fact.tail, fact.relation, fact.head),)
    page = show([(given, gold)], threshold=0.0)
    assert sorted(row[-1] for row in page.rows()) == ["○ missed", "✗ wrong"]
    page = show([(given, gold)], threshold=0.0, directed=False)
    assert [row[-1] for row in page.rows()] == ["✓ right"]


def test_ignored_pairs_are_not_scored(show):
    given = document(
        ["velorin caused rash ."],
        [(0, 1, "Chemical", "V"), (2, 3, "Disease", "R")],
        ignored=[("V", "R")],
    )
    given = found(given, share=1.0, threshold=0.0)
    page = show([(given, (Fact("V", "causes", "R"),))], threshold=0.0)
    assert [row[-1] for row in page.rows() if row[1] == "velorin"] == ["– not scored"] * 2
    assert page.texts("#scores td")[:3] == ["0", "2", "0"]  # the other direction is scored


@pytest.mark.parametrize("column", range(5))
def test_columns_sort_both_ways(show, column):
    given = random_documents(1, entities=(6, 6))[0]
    page = show([(found(given), given.facts)])
    header = page.all("#facts thead button")[column]
    seen = []
    for _ in range(2):
        header.click()
        seen.append(page.all("#facts thead th")[column].get_attribute("aria-sort"))
        keys = [row[column] for row in page.rows()]
        if column == 0:
            keys = [float(key.replace("–", "-1")) for key in keys]
        elif column == 4:
            keys = ["✓✗○".index(key[0]) for key in keys]
        else:
            keys = [key.lower() for key in keys]
        assert len(set(keys)) > 1
        assert keys == sorted(keys, reverse=seen[-1] == "descending")
    assert set(seen) == {"ascending", "descending"}
    others = [each.get_attribute("aria-sort") for each in page.all("#facts thead th")]
    assert others.count("none") == 4


def test_filters_leave_what_they_say(show):
    given = random_documents(1, entities=(6, 6))[0]
    page = show([(found(given), given.facts)])
    everything = page.rows()
    page.choose("#relation", "treats")
    assert page.rows() == [row for row in everything if row[2] == "treats"]
    page.choose("#status", "missed")
    assert page.rows() == [row for row in everything if row[2] == "treats" and row[4] == "○ missed"]
    page.choose("#relation", "")
    page.choose("#status", "")
    name = everything[0][1]
    page.one("#filter").send_keys(name.upper())
    assert page.rows() == [row for row in everything if name in row[1] or name in row[3]]
    page.one("#filter").send_keys(" not here")
    assert page.texts("#facts .none") == ["No relation matches the filters."]
    assert page.one("#counts").text.startswith(f"0 of {len(everything)} relations")


def test_relations_are_named_in_words(show):
    given = found(two_sentences())
    page = show([(given, None)], relation_names={"causes": "brings about", "unknown": "x"})
    page.slide(0)
    names = {"causes": "brings about", "treats": "treats"}
    assert {row[2] for row in page.rows()} == {names[fact.relation] for fact in given.facts}
    page.one("#filter").send_keys("brings")
    assert {row[2] for row in page.rows()} == {"brings about"}
    assert [each.get_attribute("title") for each in page.all(".pick")] == ["causes"] * len(page.rows())


def test_relations_are_copied_and_saved_for_spreadsheets(show):
    first, second = found(two_sentences()), found(random_documents(2)[1])
    formula = replace(second, id="=1+1")
    page = show([(first, None), (formula, None)], relation_names={"causes": "brings about"})
    page.slide(0)
    page.script(
        """window.texts = [];
        Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => texts.push(text) } });
        URL.createObjectURL = (blob) => { window.saved = blob; return "#"; };
        HTMLAnchorElement.prototype.click = () => {};"""
    )
    page.one("#copy").click()
    page.one("#csv").click()
    [copied] = page.script("return texts")
    titles, *rows = [line.split("\t") for line in copied.split("\n")]
    assert titles[:2] == ["document", "head"]
    words = {"causes": "brings about", "treats": "treats"}
    assert sorted((row[2], row[3], row[4], row[6], row[7]) for row in rows) == sorted(
        (fact.head, fact.relation, words[fact.relation], fact.tail, f"{fact.probability:.3f}")
        for fact in first.facts
    )
    saved = page.driver.execute_async_script("saved.text().then(arguments[0])")
    table = list(csv.DictReader(saved.splitlines()))
    assert [row["document"] for row in table] == [first.id] * len(first.facts) + ["'=1+1"] * len(second.facts)
    page.choose("#relation", "causes")
    page.one("#csv").click()
    saved = page.driver.execute_async_script("saved.text().then(arguments[0])")
    assert {row["relation"] for row in csv.DictReader(saved.splitlines())} == {"causes"}


def with_path():
    """Velorin and rash are joined by ostamide, over two sentences; a third has nothing to do with them."""
    given = document(
        ["velorin and ostamide eased it .", "ostamide caused rash .", "querine raised fevers ."],
        [
            (0, 1, "Chemical", "V"),
            (2, 3, "Chemical", "O"),
            (6, 7, "Chemical", "O"),
            (8, 9, "Disease", "R"),
            (10, 11, "Chemical", "Q"),
        ],
        name="path",
    )
    one, other = given.entities[0], given.entities[2]
    reasons = Reasons(
        "V",
        "R",
        (MentionWeight(one.mentions[0], "velorin", 0, 1.0),),
        (MentionWeight(other.mentions[0], "rash", 1, 1.0),),
        (PairWeight("O", "R", 0.25), PairWeight("Q", "R", 0.125)),
        0.5,
        connection(given, "V", "R"),
    )
    fact = PredictedFact(
        head="V",
        relation="causes",
        tail="R",
        probability=0.75,
        threshold=0.5,
        head_mentions=one.mentions,
        tail_mentions=other.mentions,
        reasons=reasons,
        sentence_ablation=(
            SentenceAblation(0, None, None),
            SentenceAblation(1, 0.25, -0.5),
            SentenceAblation(2, 0.875, 0.125),
        ),
    )
    return Document("path", given.text, given.words, given.sentences, given.mentions, (fact,))


@pytest.mark.parametrize("how", ["click", "row", "\ue007", " "])
def test_a_chosen_relation_shows_its_reasons(show, how):
    page = show([(with_path(), (Fact("V", "causes", "R", (), (1,)),))])
    button = page.one(".pick")
    assert button.get_attribute("aria-pressed") == "true"  # the most probable one is chosen at first
    assert page.texts("mark.head") == ["velorin"]
    page.press("\ue00c")
    assert button.get_attribute("aria-pressed") == "false"
    if how == "click":
        button.click()
    elif how == "row":
        page.one("#facts tbody td:nth-child(2)").click()
    else:
        button.send_keys(how)
    assert button.get_attribute("aria-pressed") == "true"
    assert page.one("#reasons-title").text == "velorin — causes → rash"
    assert page.one("#announcement").text == "Reasons for velorin — causes → rash are shown."
    # in the text
    assert page.texts("mark.head") == ["velorin"]
    assert page.texts("mark.tail") == ["rash"]
    assert page.texts("mark.via") == ["ostamide", "ostamide"]
    labels = page.script(
        "return [...document.querySelectorAll('#words .sentence')].map((each) => each.dataset.label)"
    )
    assert labels == ["S1 · path · no pair without it", "S2 · path · −0.500", "S3 · +0.125"]
    assert [each.get_attribute("data-sentence") for each in page.all("#words .sentence.important")] == [
        "0",
        "1",
    ]
    assert page.script("return document.querySelector('mark.head').dataset.mark") == "H 100%"
    # in words
    assert [re.sub(r"^[CD]\d+", "", text) for text in page.texts("ol.path li")] == [
        "velorin", "S1", "ostamide", "S2", "rash",
    ]  # fmt: skip
    rows = page.script(
        "return [...document.querySelectorAll('.ablation tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    )
    assert [[row[0], *row[2:4]] for row in rows] == [
        ["S1", "no pair without it", "–"],
        ["S2", "−0.500", "0.250"],
        ["S3", "+0.125", "0.875"],
    ]
    why = page.one("#why").text
    assert "✓ right · probability 0.750, threshold 0.500." in why
    assert "Evidence in the corpus: S2" in why
    context = [line for line in why.splitlines() if line.endswith("%")]
    assert context[-4:] == [
        "this pair itself 50.0 %",
        "ostamide – rash 25.0 %",
        "querine – rash 12.5 %",
        "all other pairs 12.5 %",
    ]
    # in the graph
    picked = page.script(
        "return [...document.querySelectorAll('.node.picked')].map((each) => each.dataset.key)"
    )
    assert sorted(picked) == ["e0", "e1", "e2", "m0", "m1", "m2", "m3", "s0", "s1"]
    assert len(page.all(".on-path .edge.entity-in")) == 4
    # and away again
    page.press("\ue00c")
    assert page.all(".node.picked, mark.head, .sentence.path") == []
    assert labels != page.script(
        "return [...document.querySelectorAll('#words .sentence')].map((each) => each.dataset.label)"
    )


def test_relations_without_reasons_say_so(show):
    given = found(two_sentences(), share=1.0, reasons=False)
    page = show([(given, (Fact("V", "causes", "X9"),))])
    page.press("\ue00c")
    for button in range(len(page.all(".pick"))):
        page.all(".pick")[button].click()
        said = page.one("#why").text
        assert ("without reasons" in said) != ("is not a candidate" in said)
        assert ("missed" in said) == ("is not a candidate" in said)


def test_everything_is_reached_by_keyboard(show):
    down, up, right, tab = "\ue015", "\ue013", "\ue014", "\ue004"
    given = random_documents(4, entities=(5, 6))
    page = show([(found(each), each.facts) for each in given])
    page.press(tab)
    assert page.focused().text == "Skip to the relations"
    page.press("\ue007", tab)
    assert page.focused().get_attribute("id") == "filter"
    first = page.all("#documents button")[0]
    first.send_keys(down, down, "\ue007")
    assert page.one("#text-title").text == f"Document {given[2].id}"
    assert page.all("#documents button")[2].get_attribute("aria-current") == "true"
    rows = page.all(".pick")
    rows[0].send_keys(down, down, up, " ")
    assert rows[1].get_attribute("aria-pressed") == "true"
    node = page.one('.node[tabindex="0"]')
    assert node.get_attribute("data-key") == "s0"
    page.script("arguments[0].focus()", node)
    page.press(right)
    assert page.focused().get_attribute("data-key")[0] == "m"
    assert "mention" in page.focused().get_attribute("aria-label")
    assert len(page.all(".node.near")) >= 3  # itself, its entity, its sentence
    assert len(page.all('.node[tabindex="0"]')) == 1


def test_every_control_has_a_name_and_every_id_is_one(show):
    given = random_documents(2)
    page = show([(found(each), each.facts) for each in given])
    page.all(".pick")[0].click()
    nameless = page.script(
        """return [...document.querySelectorAll("button, input, select, [role=region], [role=img], section, nav, svg[role]")]
          .filter((each) => !(each.textContent.trim() && each.tagName === "BUTTON") && !each.labels?.length
            && !each.getAttribute("aria-label") && !document.getElementById(each.getAttribute("aria-labelledby"))?.textContent)
          .map((each) => each.outerHTML)"""
    )
    assert nameless == []
    ids = page.script("return [...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    assert page.script("return document.documentElement.lang") == "en"
    assert {each.tag_name for each in page.all("header, nav, main")} == {"header", "nav", "main"}


def test_documents_are_found_by_text_and_turned(show):
    given = [
        document([f"velorin was number{n} ."], [(0, 1, "Chemical", f"V{n}")], name=f"d{n}") for n in range(5)
    ]
    page = show([(found(each), None) for each in given])
    assert not page.one("#previous").is_enabled()
    page.one("#find").send_keys("NUMBER3")
    assert page.one("#matches").text == "1 of 5 documents"
    page.one("#next").click()
    assert page.one("#text-title").text == "Document d3"
    assert not page.one("#next").is_enabled()
    page.choose("#find", "")
    page.one("#next").click()
    assert page.one("#text-title").text == "Document d4"
    assert page.texts("#facts .none") == ["No relation is above the threshold."]


def test_hostile_text_stays_text(show):
    given = found(hostile(), share=1.0, relations=(HOSTILE,), threshold=0.0)
    page = show([(given, given.facts[:1])], title=HOSTILE, relations=(HOSTILE,), threshold=0.0, model=HOSTILE)
    assert page.script("return [typeof hacked, document.images.length]") == ["undefined", 0]
    assert page.script("return document.querySelector('#words').textContent") == given.text
    assert page.script("return document.querySelector('#model').textContent") == HOSTILE
    assert HOSTILE in page.script("return document.querySelector('#reasons-title').textContent")
    assert page.script("return [typeof hacked, document.images.length]") == ["undefined", 0]


def test_nothing_else_may_run_or_be_asked_for(show):
    page = show([(found(two_sentences()), None)])
    page.script(
        """const script = document.createElement("script");
        script.textContent = "window.hacked = 1";
        document.body.append(script);
        const picture = new Image();
        picture.src = "http://127.0.0.1:9/x.png";
        document.body.append(picture);"""
    )
    on_error = [entry["message"] for entry in page.driver.get_log("browser")]
    assert page.script("return typeof hacked") == "undefined"
    assert len(on_error) == 2
    assert all("Content Security Policy" in each for each in on_error)
    page.script("performance.clearResourceTimings()")


def many_entities(count=300):
    """One sentence after another, each with two new entities."""
    names = [f"velorin{number}" for number in range(count)]
    lines = [f"{one} and {other} ." for one, other in zip(names[::2], names[1::2], strict=True)]
    mentions = [
        (
            4 * (number // 2) + 2 * (number % 2),
            4 * (number // 2) + 2 * (number % 2) + 1,
            "Chemical",
            f"C{number}",
        )
        for number in range(count)
    ]
    return document(lines, mentions, name="many")


def right_to_left():
    return document(
        ["ולורין גרם לפריחה .", "הפריחה חלפה ."],
        [(0, 1, "Chemical", "ו1"), (2, 3, "Disease", "פ1")],
        name="ימין",
    )


# Of each element with text of its own and of each label that the style adds: the contrast with what lies below.
CONTRASTS = """
const pixel = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
const memo = new Map();
const rgba = (colour) => {
  if (!memo.has(colour)) {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = colour;
    pixel.fillRect(0, 0, 1, 1);
    memo.set(colour, [...pixel.getImageData(0, 0, 1, 1).data]);
  }
  return memo.get(colour);
};
const over = ([r, g, b, a], below) => [r, g, b].map((value, i) => (value * a + below[i] * (255 - a)) / 255).concat(255);
const below = (node) => {
  if (!node || node === document) return [255, 255, 255, 255];
  const own = rgba(getComputedStyle(node).backgroundColor);
  return own[3] === 255 ? own : over(own, below(node.parentNode));
};
const light = (colour) => {
  const [r, g, b] = colour.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ratio = (one, other) => {
  const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const seen = [];
for (const node of document.body.querySelectorAll("*:not(script)")) {
  const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
  const back = below(node);
  for (const part of [own ? null : undefined, "::before", "::after"]) {
    if (part === undefined) continue;
    const style = getComputedStyle(node, part);
    if (part && ["none", "normal", '""'].includes(style.content)) continue;
    if (node.disabled) continue;
    const ground = part ? over(rgba(style.backgroundColor), back) : back;
    const ink = over(rgba(node.tagName === "text" ? style.fill : style.color), ground);
    seen.push([ratio(ink, ground), `${node.tagName}.${node.getAttribute("class")}${part ?? ""} ${node.textContent.slice(0, 30)}`]);
  }
}
return seen;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(show, scheme):
    given = [found(many_entities(), share=0.0005), with_path()]
    page = show([(given[0], given[0].facts[::2]), (given[1], ())])
    prefer(page.driver, prefers_color_scheme=scheme)
    for number in (0, 1):
        page.script("openDocument(arguments[0])", number)
        for chosen in (False, True):
            if chosen:
                page.all(".pick")[0].click()
            seen = page.script(CONTRASTS)
            assert len(seen) > (800 if number == 0 else 50)
            assert [each for each in seen if each[0] < 4.5] == []


def test_types_and_identifiers_are_told(show):
    given = two_sentences()
    page = show([(found(given, share=1.0), None)], about=["One.", "Read the sentences."])
    assert page.one("#about").text == "One. Read the sentences."
    types = sorted({entity.type for entity in given.entities})
    assert [
        text[len(text) - len(name) :] for text, name in zip(page.texts("#types .key"), types, strict=True)
    ] == types
    marks = page.script(
        "return [...document.querySelectorAll('#entities .swatch')].map((it) => it.textContent)"
    )
    codes = [entity.type[0] for entity in given.entities]
    assert marks == [f"{code}{number}" for number, code in enumerate(codes, 1)]


@pytest.mark.parametrize(
    ("identifier", "type", "url"),
    [
        ("D003024", "Chemical", "https://meshb.nlm.nih.gov/record/ui?ui=D003024"),
        ("MESH:C076029", "Disease", "https://meshb.nlm.nih.gov/record/ui?ui=C076029"),
        ("7157", "GeneOrGeneProduct", "https://www.ncbi.nlm.nih.gov/gene/7157"),
        ("9606", "Species", "https://www.ncbi.nlm.nih.gov/taxonomy/?term=9606"),
        ("rs6025", "SequenceVariant", "https://www.ncbi.nlm.nih.gov/snp/rs6025"),
        ("Q42", "PER", "https://www.wikidata.org/wiki/Q42"),
        ("D003024", "Gene", None),
        ("javascript:alert(1)", "Chemical", None),
        ("7157/../x", "Gene", None),
    ],
)
def test_known_identifiers_are_links(show, identifier, type, url):
    page = show([(found(two_sentences(), share=1.0), None)])
    found_url = page.script("return identifier(arguments[0], arguments[1]).href ?? null", identifier, type)
    assert found_url == url


def test_the_graph_can_be_folded_and_the_chosen_relation_follows_the_filter(show):
    page = show([(found(each, share=1.0), None) for each in random_documents(1, entities=(5, 6))])
    page.one("#fold").click()
    assert not page.one("#folding").is_displayed()
    assert page.one("#fold").get_attribute("aria-expanded") == "false"
    page.one("#fold").click()
    assert page.one("#drawing svg").is_displayed()
    first = page.one("#reasons-title").text
    page.slide(1.0)
    assert page.one("#reasons-title").text == "Reasons"
    page.slide(0.0)
    page.all(".pick")[-1].click()
    last = page.one("#reasons-title").text
    assert last != first
    assert page.one("#why .status").text in ("◌ candidate", "● predicted")


def test_odd_documents_are_shown(show):
    given = [*odd_documents(), right_to_left(), many_entities()]
    page = show([(found(each, share=0.3 if each.id != "many" else 0.0005), each.facts) for each in given])
    for number, each in enumerate(given):
        page.all("#documents button")[number].click()
        assert page.one("#text-title").text == f"Document {each.id}"
        assert page.script("return document.querySelector('#words').textContent") == each.text
    page.choose("#find", "ימין")
    page.one("#previous").click()
    assert page.script("return getComputedStyle(document.querySelector('#words p')).direction") == "rtl"
    page.choose("#find", "many")
    page.one("#next").click()
    box = page.one('[data-edge="sentence with sentence"]')
    assert not box.is_selected()  # 11,175 lines, until they are asked for
    drawing = page.script(
        "const it = document.querySelector('#drawing'); return [it.scrollHeight, it.clientHeight]"
    )
    assert drawing[0] > 300 * 20 > drawing[1]


def test_a_page_of_no_documents_says_so(show):
    page = show([])
    assert page.one("#main").text == "This page has no documents."


@pytest.mark.parametrize("width", [420, 800, 1400])
def test_the_page_fits_its_width(show, width):
    given = random_documents(2, sentences=(8, 8), words=(15, 20), entities=(8, 8))
    page = show(
        [(found(each, relations=("a_relation_with_a_long_name",)), None) for each in given],
        relations=("a_relation_with_a_long_name",),
    )
    resize(page.driver, width, 900)
    page.all(".pick")[0].click()
    assert page.script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "is_shown"), [(420, False), (1280, False), (1920, True)])
def test_a_narrow_list_of_relations_has_marks_without_words(show, width, is_shown):
    page = show([(found(two_sentences()), None)])
    resize(page.driver, width, 900)
    assert {each.is_displayed() for each in page.all("#facts .word")} == {is_shown}


def test_two_hundred_documents_in_one_page(show, tmp_path):
    """Of the size of abstracts: ten sentences, twenty entities; some 4,000 relations with their reasons."""
    given = [
        found(each, share=0.03)
        for each in random_documents(200, sentences=(10, 10), words=(20, 25), entities=(18, 20))
    ]
    assert sum(len(each.facts) for each in given) > 3000
    page = show([(each, ()) for each in given])
    assert (tmp_path / "page.html").stat().st_size < 12_000_000
    assert len(page.all("#words .sentence")) == 10  # one document at a time
    page.all("#documents button")[199].click()
    assert page.one("#text-title").text == f"Document {given[199].id}"
    assert sorted(page.rows()) == expected_rows(given[199], (), 0.5)
    page.slide(0.2)
    assert sorted(page.rows()) == expected_rows(given[199], (), 0.2)
    wrong = sum(fact.probability > 0.2 for each in given for fact in each.facts)
    assert page.texts("#scores tbody tr:last-child td")[:3] == ["0", str(wrong), "0"]
