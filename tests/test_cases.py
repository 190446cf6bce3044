"""The case study and the error analysis on documents made by hand, and as their users run them."""

import csv
import re
import subprocess
import sys
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from commands import run
from documents import LABELS, document, random_documents
from glre_pyg.data.document import Fact
from glre_pyg.data.paths import connection
from glre_pyg.evaluation.breakdown import by_sentence
from glre_pyg.extraction.explainer import MentionWeight, PairWeight, Reasons
from glre_pyg.reporting.case_studies import hardest_cases, write_case_study, write_cases
from glre_pyg.reporting.error_analysis import (
    COLUMNS,
    TYPES,
    find_errors,
    format_shares,
    read_errors,
    read_types,
    write_errors,
)
from glre_pyg.runs.prediction import score_pairs
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.markdown import escape
from test_table import is_formula


def scored(documents, *probabilities, labels=LABELS):
    """Pairs with the same probabilities in every document, or random ones."""
    graphs = [labels.blind_graph(each) for each in documents]
    random, shape = np.random.default_rng(0), len(labels.relations)
    tables = [
        np.full((graph.pair_index.size(1), shape), probabilities, dtype=np.float32)
        if probabilities
        else random.random((graph.pair_index.size(1), shape), dtype=np.float32)
        for graph in graphs
    ]
    return score_pairs(documents, graphs, tables, labels)


def story(name, *lines):
    """A sentence for each line: a letter is a mention of the entity of that letter, capitals are chemicals."""
    words = [(number, letter) for number, letter in enumerate(" . ".join(lines).split())]
    mentions = [
        (number, number + 1, "Chemical" if letter.isupper() else "Disease", letter)
        for number, letter in words
        if letter.isalpha() and len(letter) == 1
    ]
    facts = [("A", "causes", "r"), ("B", "treats", "r")]
    ids = {mention[-1] for mention in mentions}
    return document(
        [f"{line} ." for line in lines],
        mentions,
        [fact for fact in facts if {fact[0], fact[2]} <= ids],
        name=name,
    )


STORIES = [
    story("near", "A was given", "r followed"),
    story("same", "A caused r", "it lasted"),
    story("far", "A was given", "it lasted", "it lasted", "r followed"),
    story("often", "A was given", "A lasted", "B lasted", "it lasted", "it lasted", "r followed"),
    story("again", "A was given", "it lasted", "it lasted", "r followed"),
]


# Cases


def test_the_hardest_cases_are_the_farthest_then_the_rarest_then_the_first():
    found = hardest_cases(STORIES, scored(STORIES, 0.1, 0.1), 0.5, count=9)
    assert [(case.document.id, case.head, case.tail, case.distance, case.mentions) for case in found] == [
        ("often", "A", "r", 4, 3),
        ("far", "A", "r", 3, 2),
        ("often", "B", "r", 3, 2),
        ("again", "A", "r", 3, 2),
        ("near", "A", "r", 1, 2),
    ]


def test_the_choice_of_cases_does_not_look_at_the_model():
    documents = random_documents(12, sentences=(3, 7), entities=(4, 8))
    pairs = scored(documents)
    reversed_ = replace(pairs, probability=1 - pairs.probability)
    one, other = (hardest_cases(documents, each, 0.4, count=20) for each in (pairs, reversed_))
    assert len(one) == 20
    assert [(case.document.id, case.head, case.tail) for case in one] == [
        (case.document.id, case.head, case.tail) for case in other
    ]
    assert [case.answers for case in one] != [case.answers for case in other]


def test_cases_are_in_the_order_of_the_rule():
    """Every inter-sentence fact, ordered by hand from the documents alone."""
    documents = random_documents(12, sentences=(3, 7), entities=(4, 8))
    keys = []
    for index, each in enumerate(documents):
        entities = {entity.id: entity for entity in each.entities}
        order = [entity.id for entity in each.entities]
        for head, tail in {(fact.head, fact.tail) for fact in each.facts}:
            if head not in entities or tail not in entities:
                continue
            places = [
                [each.sentence_of(mention) for mention in entities[name].mentions] for name in (head, tail)
            ]
            distance = min(abs(one - other) for one in places[0] for other in places[1])
            if distance:
                size = len(places[0]) + len(places[1])
                keys.append((-distance, size, index, order.index(head), order.index(tail)))
    found = hardest_cases(documents, scored(documents), 0.5, count=10**6)
    assert len(keys) > 30
    assert [
        (
            -case.distance,
            case.mentions,
            documents.index(case.document),
            *([entity.id for entity in case.document.entities].index(end) for end in (case.head, case.tail)),
        )
        for case in found
    ] == sorted(keys)


def test_answers_are_those_that_hold_or_are_predicted():
    [case] = hardest_cases(STORIES[:1], scored(STORIES[:1], 0.25, 0.75), 0.5, count=1)
    assert [(of.relation, of.is_fact, of.probability, of.is_predicted) for of in case.answers] == [
        ("causes", True, 0.25, False),
        ("treats", False, 0.75, True),
    ]
    [case] = hardest_cases(STORIES[:1], scored(STORIES[:1], 0.25, 0.75), np.array([0.2, 0.8]), count=1)
    [answer] = case.answers
    assert (answer.relation, answer.threshold, answer.is_predicted) == ("causes", 0.2, True)


def test_a_pair_that_is_left_out_is_never_predicted():
    each = replace(STORIES[0], ignored=(("A", "r"),))
    [case] = hardest_cases([each], scored([each], 0.9, 0.9), 0.5, count=1)
    assert [of.is_predicted for of in case.answers] == [False]


NASTY = document(
    ["velorin*(1) <b> & was_given_to [mice] .", "`it` ## lasted", "severe|rash < followed $x$ ~ ."],
    [(0, 1, "Chemical", "V_1*"), (9, 10, "Disease", "R|2")],
    [("V_1*", "causes", "R|2")],
    name="nasty #1",
)


def written(tmp_path, documents, *probabilities, why=None):
    cases = hardest_cases(documents, scored(documents, *probabilities), 0.5, count=9)
    why = why or [
        Reasons(c.head, c.tail, None, None, None, None, connection(c.document, c.head, c.tail)) for c in cases
    ]
    write_cases(cases, why, tmp_path / "made/cases.md", title="toy_corpus *test*", top_k=2)
    return (tmp_path / "made/cases.md").read_text(encoding="utf-8")


def plain(markdown):
    """What a browser would show of Markdown, and its HTML."""
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    return unescape(re.sub(r"<[^>]*>", "", html)), html


def test_cases_show_texts_as_they_are(tmp_path):
    shown, html = plain(written(tmp_path, [NASTY], 0.1, 0.9))
    assert "toy_corpus *test*" in shown
    assert "1. velorin*(1) and severe|rash, in nasty #1" in shown
    assert "S1: velorin*(1) <b> & was_given_to [mice] ." in shown
    assert "S3: severe|rash < followed $x$ ~ ." in shown
    assert "Head: velorin*(1) (Chemical V_1*), in S1" in shown
    assert "<b>velorin*(1)</b> &lt;b&gt;" in html
    assert "<em>" not in html
    assert "<b>severe|rash</b>" in html
    assert "Path: velorin*(1) – S1 – S3 – severe|rash" in shown


def test_cases_say_what_is_true_and_what_the_model_says(tmp_path):
    shown, html = plain(written(tmp_path, STORIES[:1], 0.25, 0.75))
    assert "Label: causes; model: treats" in shown
    cells = re.findall(r"<td.*?>(.*?)</td>", html)
    assert cells == ["causes", "0.2500", "0.5000", "treats", "0.7500", "0.5000"]
    assert "Label: causes; model: N/A" in plain(written(tmp_path, STORIES[:1], 0.25, 0.25))[0]


def test_cases_give_reasons(tmp_path):
    each = STORIES[0]
    a, r = each.mentions
    why = Reasons(
        "A",
        "r",
        (MentionWeight(a, "A", 0, 0.125), MentionWeight(a, "a*", 1, 0.5), MentionWeight(a, "x", 2, 0.375)),
        (MentionWeight(r, "r", 1, 1.0),),
        (PairWeight("r", "A", 0.75),),
        0.25,
        connection(each, "A", "r"),
    )
    shown, _ = plain(written(tmp_path, [each], 0.1, 0.1, why=[why]))
    assert "Local attention, head: 0.50 a* (S2); 0.38 x (S3); 1 more\n" in shown
    assert "Local attention, tail: 1.00 r (S2)\n" in shown
    assert "Context attention: 0.25 the pair itself; 0.75 r → A\n" in shown


def test_sentences_that_are_left_out_leave_dots(tmp_path):
    each = story("gaps", "it began", "A was given", "it lasted", "r followed", "it ended")
    shown, _ = plain(written(tmp_path, [each], 0.1, 0.1))
    lines = [line for line in shown.splitlines() if re.match(r"S\d|…", line)]
    assert lines == ["…", "S2: A was given .", "…", "S4: r followed .", "…"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
def test_escaped_text_reads_as_it_was(text):
    shown, _ = plain(f"S1: {escape(text)}")
    assert shown == f"S1: {' '.join(text.split())}".rstrip() + "\n"


# Errors


def rows(documents, pairs, threshold=0.5, inter_only=True):
    return list(find_errors(documents, pairs, threshold, inter_only=inter_only))


def test_mistakes_by_hand():
    found = rows(STORIES, scored(STORIES, 0.25, 0.75))
    brief = [(row.document, row.head, row.tail, row.relation, row.kind, row.distance) for row in found]
    near = [item for item in brief if item[0] == "near"]
    assert near == [
        ("near", "A", "r", "causes", "missed", "1"),
        ("near", "A", "r", "treats", "wrong", "1"),
        ("near", "r", "A", "treats", "wrong", "1"),
    ]
    assert not [item for item in brief if item[0] == "same"]
    assert ("often", "B", "r", "treats", "missed", "3") not in brief
    first = found[0]
    assert (first.head_names, first.tail_names, first.probability, first.type) == ("A", "r", "0.2500", "")
    assert first.sentences == "[S1] **A** was given . [S2] **r** followed ."


@pytest.mark.parametrize("inter_only", [True, False])
def test_mistakes_are_as_many_as_the_scores_count(inter_only):
    documents = random_documents(10, sentences=(2, 5))
    documents = [replace(each, ignored=tuple(LABELS.candidates(each)[:3])) for each in documents]
    stranger = Fact(documents[0].entities[0].id, "unheard", documents[0].entities[1].id)
    nowhere = Fact("X", "causes", documents[0].entities[1].id)
    documents[0] = replace(documents[0], facts=(*documents[0].facts, stranger, nowhere))
    pairs, threshold = scored(documents), np.array([0.3, 0.6])
    found = rows(documents, pairs, threshold, inter_only)
    scores = by_sentence(pairs, threshold)["inter"] if inter_only else pairs.score(threshold, filtered=True)
    kinds = [row.kind for row in found]
    assert kinds.count("missed") == scores.gold - scores.true_positives > 0
    assert kinds.count("wrong") == scores.predicted - scores.true_positives > 0
    assert all(int(row.distance) > 0 for row in found) or not inter_only
    assert [row.head_names for row in found if row.head == "X"] == ([] if inter_only else [""])


@pytest.mark.parametrize("order", [1, -1])
def test_a_fact_of_a_relation_that_is_not_scored_is_missed(order):
    labels = replace(LABELS, directed=False)
    each = replace(STORIES[0], facts=(Fact(*("A", "unheard", "r")[::order]),))
    [row] = rows([each], scored([each], 0.1, 0.1, labels=labels))
    assert (row.head, row.tail, row.relation, row.probability) == ("A", "r", "unheard", "")


def test_a_table_comes_back_as_it_was(tmp_path):
    documents = [*STORIES, NASTY]
    found = rows(documents, scored(documents, 0.25, 0.75), inter_only=False)
    odd = (
        "=1+1",
        "'=1+1",
        "+1",
        "-",
        "@x",
        "\tx",
        "'x",
        "a,b;c",
        'a "b"',
        "é – π\u2028x",
        "",
        " =1",
        "a;=1",
        "a; '+1",
    )
    found += [found[0]._replace(head=text, tail_names=text, type=text) for text in odd]
    write_errors(found, tmp_path / "made/errors.csv")
    again = list(read_errors(tmp_path / "made/errors.csv"))
    assert [row for _, row in again] == found
    assert [number for number, _ in again] == list(range(2, len(found) + 2))
    with (tmp_path / "made/errors.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.reader(file))
    assert tuple(table[0]) == COLUMNS
    assert not [cell for cells in table for cell in cells if is_formula(cell)]


def labelled(path, *labels, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(COLUMNS)
        writer.writerows(
            [f"d{number}", *["x"] * (len(COLUMNS) - 2), label] for number, label in enumerate(labels)
        )
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_labels_are_read_however_a_spreadsheet_writes_them(tmp_path, delimiter):
    path = labelled(tmp_path / "e.csv", "Other", "  logical  reasoning ", "", delimiter=delimiter)
    path.write_text(path.read_text() + delimiter * (len(COLUMNS) - 1) + "\n\n")
    assert read_types(path) == ["other", "logical reasoning", ""]


def test_a_row_that_ends_early_has_no_label(tmp_path):
    path = labelled(tmp_path / "e.csv", "other")
    path.write_text(path.read_text() + "d9,A\n")
    assert read_types(path) == ["other", ""]


def test_cells_beyond_the_columns_are_empty_or_named(tmp_path):
    path = labelled(tmp_path / "e.csv", "other")
    whole = path.read_text()
    row = ",".join(["d9", *["x"] * 9, "other", ""])
    path.write_text(f"{whole}{row},,\n")
    assert read_types(path) == ["other", "other"]
    path.write_text(f"{whole}{row},more\n")
    with pytest.raises(InputError) as error:
        read_types(path)
    assert str(error.value) == f"{path}: row 3: 13 cells for 11 columns"


def test_an_unknown_label_is_named_with_its_row(tmp_path):
    path = labelled(tmp_path / "e.csv", "other", "logic")
    with pytest.raises(InputError) as error:
        read_types(path)
    assert str(error.value) == f"{path}: row 3: d1: type 'logic' is not one of {', '.join(TYPES)}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "row 1: there is no column 'document'"),
        (b"document,head\n", "row 1: there is no column 'head names'"),
        (b"document\xff\n", "not a CSV file in UTF-8"),
        (b'document,"head\n', "not a CSV file in UTF-8"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path, content, message):
    path = tmp_path / "e.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_types(path)
    assert str(error.value).startswith(f"{path}: {message}")
    assert len(str(error.value).splitlines()) == 1


def test_labels_are_not_written_over(tmp_path):
    path, found = tmp_path / "errors.csv", rows(STORIES, scored(STORIES, 0.25, 0.75))
    write_errors(found, path)
    write_errors(found, path)
    labelled(path, "", "other")
    before = path.read_bytes()
    with pytest.raises(InputError, match="has labels in it"):
        write_errors(found, path)
    assert path.read_bytes() == before


def test_shares_are_of_what_is_labelled():
    text = format_shares(["other", *["logical reasoning"] * 3, "", ""])
    assert text.splitlines()[0] == "4 of 6 rows are labelled"
    shares = {line[:23].strip(): line[23:].split() for line in text.splitlines()[2:]}
    assert shares["logical reasoning"] == ["3", "75.0", "%", "40.9", "%"]
    assert shares["prior knowledge missing"] == ["0", "0.0", "%", "13.6", "%"]
    assert shares["other"] == ["1", "25.0", "%"]
    assert "%" not in format_shares(["", ""]).splitlines()[-1]


# The commands


def test_counting_labels_needs_no_torch():
    code = "import sys, glre_pyg.reporting.error_analysis; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    sizes = [f"dataset.sizes.{split}={size}" for split, size in (("train", 24), ("dev", 8), ("test", 8))]
    options = ["dataset=synthetic_bridge", "encoder=tiny", *sizes, "model.nodes.hidden_channels=16"]
    run("train", *options, "training.epochs=1", "hydra.run.dir=first", cwd=folder)
    return folder


@pytest.mark.slow
def test_a_case_study_of_a_run(folder):
    out, _ = run("case_study", "run=first", "output=cases.md", "count=2", "split=train", cwd=folder)
    assert out.startswith("cases.md: 2 inter-sentence facts, ")
    shown, html = plain((folder / "cases.md").read_text(encoding="utf-8"))
    assert "synthetic_bridge train: the hardest facts" in shown
    assert html.count("<h2>") == html.count("<table>") == 2
    for part in ("Path: ", "Local attention, head: ", "Local attention, tail: ", "Context attention: "):
        assert shown.count(part) == 2


def test_a_case_study_without_cases_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("glre_pyg.reporting.case_studies.hardest_cases", lambda *_, **__: [])
    run_ = SimpleNamespace(threshold=0.5)
    write_case_study(run_, [], None, tmp_path / "c.md", title="x", count=3, top_k=1)
    assert capsys.readouterr().out.endswith("correctly: for each fact, a sentence mentions both entities\n")


@pytest.mark.slow
def test_errors_of_a_run_are_listed_labelled_and_counted(folder):
    out, _ = run("errors", "run=first", "output=errors.csv", "split=train", cwd=folder)
    found = [row for _, row in read_errors(folder / "errors.csv")]
    missed = sum(row.kind == "missed" for row in found)
    assert out == (
        f"errors.csv: synthetic_bridge train: {len(found)} inter-sentence errors, "
        f"{missed} missed and {len(found) - missed} wrong\n"
    )
    assert found
    labels = ["other", *[""] * (len(found) - 1)]
    labelled = [row._replace(type=label) for row, label in zip(found, labels, strict=True)]
    write_errors(labelled, folder / "labelled.csv")
    out, _ = run("errors", "labels=labelled.csv", cwd=folder)
    assert out == format_shares(labels) + "\n"
    _, err = run("errors", "run=first", "output=labelled.csv", cwd=folder, code=2)
    assert err.endswith("error: labelled.csv: has labels in it; name another file, or delete it\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("errors", [], "errors: give run=RUN and output=FILE to list errors, or labels=FILE"),
        ("errors", ["labels=nowhere.csv"], "nowhere.csv: No such file"),
        ("case_study", ["run=first", "output=c.md", "split=all"], "split: 'all' is not one of"),
        ("case_study", ["run=first", "output=c.md", "count=0"], "count: '0' is not a whole number from 1"),
    ],
)
def test_wrong_input_ends_in_one_line(folder, command, arguments, message):
    _, err = run(command, *arguments, cwd=folder, code=2)
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {message}")
    assert "Traceback" not in err
