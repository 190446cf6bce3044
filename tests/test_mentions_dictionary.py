"""Names that are looked up in texts."""

import gzip
import random

import pytest

from glre_pyg.mentions.dictionary import Dictionary
from glre_pyg.mentions.finder import FoundMention
from glre_pyg.mentions.names import acronym, name_key, spelled, stem
from glre_pyg.utils.exceptions import InputError


def found(names, text):
    """(text, id) of what is found; names are strings, which are their own identifiers."""
    return [
        (text[one.start : one.end], one.id) for one in Dictionary([(n, n, "T") for n in names]).find(text)
    ]


@pytest.mark.parametrize(
    ("names", "text", "expected"),
    [
        # whole words, the longest
        (["cardiac", "cardiac ar"], "cardiac arrest", [("cardiac", "cardiac")]),
        (["cardiac", "cardiac arrest", "arrest"], "cardiac arrest", [("cardiac arrest", "cardiac arrest")]),
        (["acute pain", "pain relief now"], "acute pain relief", [("acute pain", "acute pain")]),
        (["b c d", "a b", "c"], "a b c d", [("a b", "a b"), ("c", "c")]),
        (["pain"], "painful pain, (pain)pain", [("pain", "pain")] * 3),
        (["aspirin", "warfarin"], "aspirin warfarin", [("aspirin", "aspirin"), ("warfarin", "warfarin")]),
        (["aspirin"], "aspirin-induced", [("aspirin", "aspirin")]),
        (["poly(A)"], "of poly(A), poly A", [("poly(A)", "poly(A)")]),
        # case
        (["aspirin"], "Aspirin ASPIRIN", [("Aspirin", "aspirin"), ("ASPIRIN", "aspirin")]),
        (["Warfarin Sodium"], "warfarin sodium", [("warfarin sodium", "Warfarin Sodium")]),
        (["CAT"], "a cat, Cat and CAT", [("CAT", "CAT")]),
        (["AIDS"], "it aids AIDS", [("AIDS", "AIDS")]),
        (["As", "K"], "as As k K AS", [("As", "As"), ("K", "K")]),
        (
            ["CAT", "cat"],
            "CAT cat cats CATs",
            [("CAT", "CAT"), ("cat", "cat"), ("cats", "cat"), ("CATs", "CAT")],
        ),
        (["IL-6"], "IL-6, il-6, IL 6, IL6", [("IL-6", "IL-6"), ("IL 6", "IL-6")]),
        (["WARFARIN"], "warfarin", [("warfarin", "WARFARIN")]),  # too long for an acronym
        # a longer match in the wrong case does not hide a shorter one
        (["AB CD", "ab"], "ab cd", [("ab", "ab")]),
        # plurals
        (["heart attack"], "heart attacks", [("heart attacks", "heart attack")]),
        (["heart attacks"], "heart attack", [("heart attack", "heart attacks")]),
        (["therapy"], "therapies", [("therapies", "therapy")]),
        (["heart attack"], "hearts attack", []),  # of the last word alone
        (["virus", "loss"], "viru los", []),
        (["CA"], "CAs CA Cas cas", [("CAs", "CA"), ("CA", "CA")]),
        (["SSRIs"], "an SSRI, SSRIs", [("SSRI", "SSRIs"), ("SSRIs", "SSRIs")]),
        (["GUS"], "GUSs GUS Gus", [("GUSs", "GUS"), ("GUS", "GUS")]),
        (["axe", "axes"], "axes axe", [("axes", "axes"), ("axe", "axe")]),  # the nearest spelling
        # hyphens, white space, Unicode
        (
            ["beta-blocker"],
            "beta blockers, beta\n blocker",
            [("beta blockers", "beta-blocker"), ("beta\n blocker", "beta-blocker")],
        ),
        (
            ["beta blocker"],
            "beta-blocker beta\u2010blocker beta - blocker",
            [("beta-blocker", "beta blocker"), ("beta\u2010blocker", "beta blocker")],
        ),
        (["Crohn's disease"], "crohn\u2019s diseases", [("crohn\u2019s diseases", "Crohn's disease")]),
        (["na\u00efve state"], "nai\u0308ve state", [("nai\u0308ve state", "na\u00efve state")]),
        (["β-carotene"], "𝒳 Β-Carotene", [("Β-Carotene", "β-carotene")]),  # offsets count code points
        (["straße"], "STRASSE", [("STRASSE", "straße")]),
        (["a"], "", []),
    ],
)
def test_what_is_found(names, text, expected):
    assert found(names, text) == expected


def test_agrees_with_trying_every_name_at_every_word():
    rng = random.Random(0)
    vocabulary = ["ab", "AB", "abs", "Abs", "cell", "cells", "CELL", "x", "X", "type", "fly", "flies", "-"]

    def text(length):
        return "".join(rng.choice(vocabulary) + rng.choice([" ", " ", "-"]) for _ in range(length)).strip(
            " -"
        )

    for _ in range(60):
        names = (text(rng.randint(1, 3)) for _ in range(12))
        names = [name for name in names if any(map(str.isalnum, name))]
        names = list({same(name): name for name in reversed(names)}.values())  # the first of each counts
        sample = text(40)
        spans, words = spelled(sample)
        expected, at = [], 0
        while at < len(words):
            fits = [
                (last, name)
                for last in range(len(words), at, -1)
                for name in names
                if fit(name, words[at:last]) is not None
            ]
            if not fits:
                at += 1
                continue
            last = fits[0][0]
            nearest = min(fit(name, words[at:last]) for stop, name in fits if stop == last)
            expected.append(
                (spans[at][0], spans[last - 1][1], {n for n in names if fit(n, words[at:last]) == nearest})
            )
            at = last
        actual = Dictionary([(n, n, "T") for n in names], ambiguous=True).find(sample)
        assert [(one.start, one.end) for one in actual] == [(start, end) for start, end, _ in expected]
        assert all(one.id in fits for one, (_, _, fits) in zip(actual, expected, strict=True))


def is_exact(name):
    letters = "".join(filter(str.isalpha, acronym(name)))
    return len(acronym(name)) <= 2 or (len(letters) <= 5 and letters.isupper())


def same(name):
    _, words = spelled(acronym(name))
    return tuple(words) if is_exact(name) else (*(word.lower() for word in words), None)


def fit(name, words):
    """The rules once more: how near words are to a name, 0 to 2, or None."""
    _, own = spelled(acronym(name))
    if own == words:
        return 0
    if is_exact(name):
        letters = "".join(filter(str.isalpha, acronym(name)))
        return 2 if len(letters) > 1 and letters.isupper() and [*own[:-1], own[-1] + "s"] == words else None
    own, words = [word.lower() for word in own], [word.lower() for word in words]
    if own == words:
        return 1
    return 2 if own[:-1] == words[:-1] and stem(own[-1]) == stem(words[-1]) else None


def test_name_of_two_types_is_found_as_both():
    names = [("cold", "D1", "Disease"), ("cold", "S1", "Stimulus"), ("colds", "D1", "Disease")]
    assert Dictionary(names).find("a cold") == [
        FoundMention(2, 6, "Disease", "D1"),
        FoundMention(2, 6, "Stimulus", "S1"),
    ]


def test_name_without_identifier():
    assert Dictionary([("cold", "", "Disease"), ("rash", None, "Disease")]).find("cold rash") == [
        FoundMention(0, 4, "Disease"),
        FoundMention(5, 9, "Disease"),
    ]


def test_texts_are_taken_one_by_one():
    asked = []

    def texts():
        for text in ("cold", "hot", "cold cold"):
            asked.append(text)
            yield text

    found = Dictionary([("cold", "D1", "Disease")])(texts())
    assert len(next(found)) == 1
    assert asked == ["cold"]
    assert [len(of) for of in found] == [0, 2]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "there are no names"),
        ([("a1", "1", "T"), ("", "2", "T")], "name 2: name '' has no letter or digit"),
        ([("(+)", "1", "T")], "name 1: name '(+)' has no letter or digit"),
        ([("a1", "1", " ")], "name 1: 'a1' has no type"),
        (
            [("heart attack", "1", "T"), ("Heart-Attack", "2", "T")],
            "name 2: id '2' of 'Heart-Attack' was '1' before; mentions.ambiguous=true keeps the first",
        ),
    ],
)
def test_bad_names(names, message):
    with pytest.raises(InputError) as caught:
        Dictionary(names)
    assert str(caught.value) == message


def test_ambiguous_name_is_the_first_one_where_that_is_asked_for():
    names = [("cold", "1", "T"), ("Cold", "2", "T")]
    assert Dictionary(names, ambiguous=True).find("cold") == [FoundMention(0, 4, "T", "1")]


ROWS = [("aspirin", "C1", "Chemical"), ('5" cut, deep', "D1", "Disease"), ("émoi", "", "Disease")]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("order", [None, (0, 1, 2), (1, 2, 0)])
@pytest.mark.parametrize("ending", ["tsv", "csv", "TSV"])
def test_files(tmp_path, bom, end, order, ending):
    """With and without a mark and a header, in any order of the columns."""
    rows = [*([("Name", "ID", "type")] if order else []), *ROWS]
    rows = [[row[column] for column in order or (0, 1, 2)] for row in rows]
    if ending == "csv":
        lines = [",".join('"' + field.replace('"', '""') + '"' for field in row) for row in rows]
    else:
        lines = ["\t".join(row) for row in rows]
    file = tmp_path / f"names.{ending}"
    file.write_bytes(bom + end.join([lines[0], "", *lines[1:]]).encode())
    text = 'Aspirin, 5" cut, deep, émois'
    assert Dictionary.read(file).find(text) == Dictionary(ROWS).find(text)
    assert len(Dictionary.read(file).find(text)) == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.csv", "term,mesh_id,label\naspirin,C1,Chemical\nskin rash,D1,Disease\n"),
        ("names.csv", "Type;Synonym;Concept ID\nChemical;aspirin;C1\nDisease;skin rash;D1\n"),
        ("names.csv", "aspirin;C1;Chemical\nskin rash;D1;Disease\n2,4,6-trial;C2;Chemical\n"),
        ("names.csv", "aspirin\tC1\tChemical\nskin rash\tD1\tDisease\n"),
        ("names.csv", "aspirin,C1,Chemical,,\nskin rash,D1,Disease,\n"),
        ("names.tsv", '"aspirin"\t"C1"\t"Chemical"\n"skin rash"\tD1\tDisease\n'),
        ("names.tsv", "# names\naspirin\tC1\tChemical\t\t\n\n#rest\nskin rash\tD1\tDisease\n"),
        ("names.tsv", "ASA tablet|aspirin | acetyl\tC1\tChemical\nskin rash\tD1\tDisease\n"),
        ("names.tsv", "as\u00adpirin\tC1\tChemical\n\u200eskin\u00a0rash\tD1\tDisease\n"),
        ("names.tsv", "aspirin,C1,Chemical\nskin rash,D1,Disease\n"),
        ("names.tsv", "aspirin;C1;Chemical\nskin rash;D1;Disease\n"),
        ("names.csv", "sep=;\naspirin;C1;Chemical\nskin rash;D1;Disease\n"),
        ("names.tsv", "aspirin\tC1\tChemical\rskin rash\tD1\tDisease\r"),
        ("names.csv", "name,id,type\raspirin,C1,Chemical\rskin rash,D1,Disease\r"),
    ],
)
@pytest.mark.parametrize("is_packed", [False, True])
def test_files_as_people_have_them(tmp_path, name, text, is_packed):
    if is_packed:
        name += ".gz"
    raw = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if is_packed else raw)
    found = Dictionary.read(tmp_path / name).find("Aspirin caused skin rash")
    assert found == [FoundMention(0, 7, "Chemical", "C1"), FoundMention(15, 24, "Disease", "D1")]


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("names.tsv", b"", "names.tsv: there are no names in this file"),
        ("names.tsv", b"name\tid\ttype\n\n", "names.tsv: there are no names in this file"),
        (
            "names.tsv",
            b"a1\t1\tT\n\nb1\t2\n",
            "names.tsv:3: a line has 3 columns, name, id, type, this one 2",
        ),
        ("names.csv", b"a1,1,T,x\n", "names.csv:1: a line has 3 columns, name, id, type, this one 4"),
        ("names.tsv", b"a1\t1\tT\n\xe9\t1\tT\n", "names.tsv:2: byte 1 of the line is not UTF-8"),
        ("names.tsv", b"\xef\xbb\xbf\xe9\t1\tT\n", "names.tsv:1: byte 4 of the line is not UTF-8"),
        ("names.tsv", b"name\tid\ttype\n\t1\tT\n", "names.tsv:2: name '' has no letter or digit"),
        ("names.tsv", b"a1\t1\t\n", "names.tsv:1: 'a1' has no type"),
        (
            "names.tsv",
            b"\na1\t1\tT\nA1\t2\tT\n",
            None,
        ),
        (
            "names.tsv",
            b"\nalpha\t1\tT\nAlpha\t2\tT\n",
            "names.tsv:3: id '2' of 'Alpha' was '1' before; mentions.ambiguous=true keeps the first",
        ),
        ("names.csv", b'a1,1,T\n"a"x,1,T\n', "names.csv:2: ',' expected after '\"'"),
        ("names.txt", b"a1\t1\tT\n", "names.txt: a file of names ends in .tsv or .csv"),
        ("missing.tsv", None, "missing.tsv: cannot be read: No such file or directory"),
    ],
)
def test_bad_files(tmp_path, name, raw, message):
    if raw is not None:
        (tmp_path / name).write_bytes(raw)
    if message is None:  # of two characters: case matters, so these are two names
        assert len(Dictionary.read(tmp_path / name).find("a1 A1")) == 2
        return
    with pytest.raises(InputError) as caught:
        Dictionary.read(tmp_path / name)
    assert str(caught.value).removeprefix(f"{tmp_path}/") == message


@pytest.mark.parametrize(
    "text",
    [
        "velo\u00adrin",
        "velo\u200brin",
        "\ufeffvelorin",
        "velo\u2060rin",
        "\u200evelorin\u200f",
        "\U0001f600velorin\U0001f600",
        "\uff36elorin",
    ],
)
def test_invisible_characters_and_emoji_do_not_hide_names(text):
    (mention,) = Dictionary([("velorin", "C1", "Chemical")]).find(f"of {text} daily")
    assert name_key(text[mention.start - 3 : mention.end - 3]) == "velorin"


@pytest.mark.parametrize("hyphen", "-\u2010\u2011\u2013\u2212\ufe63\uff0d")
def test_hyphens_of_any_kind(hyphen):
    assert Dictionary([("beta-blocker", "C1", "Chemical")]).find(f"a beta{hyphen}blocker")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("患者服用甲药后出现皮疹。", ["甲药", "皮疹"]),
        ("アスピリンは発疹を起こす", ["アスピリン", "発疹"]),
        ("아스피린은 발진을 일으킨다", ["아스피린", "발진"]),
        ("แอสไพรินทำให้เกิดผื่น", ["แอสไพริน", "ผื่น"]),
        ("用Velorin后皮疹", ["Velorin", "皮疹"]),
    ],
)
def test_scripts_without_spaces_between_words(text, names):
    assert found(names, text) == [(name, name) for name in names]
