import os
from itertools import product
from pathlib import Path
from random import Random

import pytest

from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.formats.eog_data import (
    COLUMNS,
    _nearest,
    _Place,
    _words_between,
    format_eog,
    read_eog,
    write_eog,
)
from glre_pyg.utils.exceptions import InputError

TYPES = [("Chemical", "Disease")]
TEXT = "Ostamide and velorin caused rash .|Rash came after velorin , not deep cough ."
#       0        1   2       3      4    5 6    7    8     9       10 11 12  13    14
OSTAMIDE = ["C2", "Ostamide", "Chemical", "0", "1", "0"]
VELORIN = ["C1", "velorin|velorin", "Chemical", "2:9", "3:10", "0:1"]
RASH = ["D1", "rash|Rash", "Disease", "4:6", "5:7", "0:1"]
COUGH = ["D2", "deep COUGH", "Disease", "12", "14", "1"]
PAIRS = [  # the true pair first, as EoG's filter writes it
    ["1:CID:2", "L2R", "NON-CROSS", "2-3", "4-5", *VELORIN, *RASH],
    ["1:NR:2", "L2R", "NON-CROSS", "9-10", "12-14", *VELORIN, *COUGH],
    ["not_include", "L2R", "NON-CROSS", "0-1", "4-5", *OSTAMIDE, *RASH],
    ["1:NR:2", "L2R", "CROSS", "0-1", "12-14", *OSTAMIDE, *COUGH],
]


def line(pairs=PAIRS, text=TEXT, name="77"):
    return "\t".join([name, text, *(column for pair in pairs for column in pair)]) + "\n"


def changed(pair, column, value):
    rows = [list(row) for row in PAIRS]
    rows[pair][COLUMNS.index(column)] = value
    return rows


def save(folder: Path, content: str | bytes) -> Path:
    path = folder / "mini.data"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def same_up_to_order(one: Document, other: Document) -> bool:
    return (one.id, one.text, one.words, one.sentences) == (
        other.id,
        other.text,
        other.words,
        other.sentences,
    ) and all(
        sorted(getattr(one, field), key=repr) == sorted(getattr(other, field), key=repr)
        for field in ("mentions", "facts", "ignored")
    )


def test_miniature(tmp_path):
    (document,) = read_eog(save(tmp_path, line()))
    assert document.id == "77"
    assert document.text == TEXT.replace("|", " ")
    assert document.word_texts() == TEXT.replace("|", " ").split(" ")
    assert document.sentences == (Sentence(0, 6), Sentence(6, 15))
    texts = [(document.text[slice(*mention.span)], *mention.ids) for mention in document.mentions]
    assert texts == [  # in the order of the file
        ("velorin", "C1"),
        ("velorin", "C1"),
        ("rash", "D1"),
        ("Rash", "D1"),
        ("deep cough", "D2"),
        ("Ostamide", "C2"),
    ]
    assert [mention.names for mention in document.mentions] == [(), (), (), (), ("deep COUGH",), ()]
    assert document.facts == (Fact("C1", "CID", "D1"),)
    assert document.ignored == (("C2", "D1"),)
    assert [entity.id for entity in document.entities] == ["C2", "C1", "D1", "D2"]  # in that of the text


def test_a_byte_order_mark_is_no_part_of_the_identifier(tmp_path):
    marked = list(read_eog(save(tmp_path, b"\xef\xbb\xbf" + line().encode())))
    assert marked == list(read_eog(save(tmp_path, line())))


def test_relation_and_types_are_the_files(tmp_path):
    text = line().replace("1:CID:2", "1:GDA:2").replace("Chemical", "Gene")
    (document,) = read_eog(save(tmp_path, text))
    assert document.facts == (Fact("C1", "GDA", "D1"),)
    assert {mention.type for mention in document.mentions} == {"Gene", "Disease"}


def test_written_in_the_order_of_the_text(tmp_path):
    source = save(tmp_path, line())
    write_eog(read_eog(source), tmp_path / "out.data")
    order = [2, 3, 0, 1]
    assert (tmp_path / "out.data").read_text() == line([PAIRS[index] for index in order])
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["mini.data", "out.data"]


def test_candidate_types_are_read_once(tmp_path):
    class Counted(list):
        reads = 0

        def __iter__(self):
            self.reads += 1
            return super().__iter__()

    (document,) = read_eog(save(tmp_path, line()))
    types = Counted(TYPES)
    assert format_eog(document, types) == format_eog(document, TYPES)
    assert types.reads == 1


def test_pairs_that_begin_together_go_by_identifier(tmp_path):
    """Composite mentions: what would be left to the order of the file would tell its labels."""
    row = ["1:CID:2", "L2R", "NON-CROSS", "0-1", "1-2", "C", "a", "Chemical", "0", "1", "0"]
    columns = {name: [name, "b", "Disease", "1", "2", "0"] for name in ("D9", "D1", "D5")}
    rows = [[*row, *columns["D9"]], *(["1:NR:2", *row[1:], *columns[name]] for name in ("D5", "D1"))]
    (document,) = read_eog(save(tmp_path, line(rows, "a b")))
    written = format_eog(document, TYPES).rstrip("\n").split("\t")
    assert written[2 + 11 :: 17] == ["D1", "D5", "D9"]
    assert written[2::17] == ["1:NR:2", "1:NR:2", "1:CID:2"]


def test_nearest_mentions_stand_in_the_order_of_the_direction(tmp_path):
    late = ["C", "b", "Chemical", "3", "4", "0"]
    both = ["D", "a|a", "Disease", "0:5", "1:6", "0:0"]  # before it, and nearer behind it
    (document,) = read_eog(
        save(tmp_path, line([["1:NR:2", "R2L", "NON-CROSS", "0-1", "0-1", *late, *both]], "a x x b x a"))
    )
    assert format_eog(document, TYPES).rstrip("\n").split("\t")[3:7] == ["R2L", "NON-CROSS", "5-6", "3-4"]


def test_nearest_mentions_are_those_of_all_pairs_compared():
    random = Random(0)
    for _ in range(300):
        heads, tails = (
            sorted(
                _Place(start, start + random.randint(1, 6), 0, "")
                for start in random.choices(range(20), k=random.randint(1, 8))
            )
            for _ in range(2)
        )
        wanted = min(product(heads, tails), key=lambda two: _words_between(*two))
        assert _nearest(heads, tails) == wanted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "mini.data: there are no documents in this file"),
        ("\n", "mini.data: there are no documents in this file"),
        (
            "77\n",
            "mini.data:1: 77: a line has an identifier, a text and 17 columns a pair, this one 1 column",
        ),
        (line() + line(), "mini.data:2: 77: a document of this identifier was in the file before"),
        (b"77\ta \xff\n", "mini.data:1: 77: byte 6 of the line is not UTF-8"),
        (line(text="a  b"), "mini.data:1: 77: text: word 1 is empty"),
        (
            line(changed(1, "label", "CID")),
            "mini.data:1: 77: pair[1].label: 'CID' is neither '1:relation:2' nor 'not_include'",
        ),
        (
            line(changed(0, "direction", "L")),
            "mini.data:1: 77: pair[0].direction: 'L' is not one of L2R, R2L",
        ),
        (
            line(changed(0, "cross", "L2R")),
            "mini.data:1: 77: pair[0].cross: 'L2R' is not one of CROSS, NON-CROSS",
        ),
        (line(changed(0, "head.id", "")), "mini.data:1: 77: pair[0].head.id: empty"),
        (line(changed(0, "head.starts", "2:x")), "mini.data:1: 77: pair[0].head.starts: 'x' is not a number"),
        (line(changed(0, "head.starts", "2")), "mini.data:1: 77: pair[0].head.starts: 1 for 2 names"),
        (
            line(changed(0, "tail.ends", "5:99")),
            "mini.data:1: 77: pair[0].tail.ends: words 6 to 99 are not in a text of 15",
        ),
        (
            line(changed(0, "tail.sentences", "0:2")),
            "mini.data:1: 77: pair[0].tail.sentences: 2 is not one of 2",
        ),
        (
            line(changed(0, "tail.sentences", "0:0")),
            "mini.data:1: 77: pair[0].tail.sentences: words 6 to 7 are not in sentence 0",
        ),
        (
            line(changed(2, "tail.type", "Gene")),
            "mini.data:1: 77: pair[2].tail.type: 'Gene', but 'Disease' in an earlier pair of D1",
        ),
        (
            line([*PAIRS, PAIRS[0]]),
            "mini.data:1: 77: pair[4].label: C1 and D1 were a pair before, as 'CID'",
        ),
        (
            line([*PAIRS, ["not_include", *PAIRS[0][1:]]]),
            "mini.data:1: 77: pair[4].label: C1 and D1 were a pair before, as 'CID'",
        ),
    ],
)
def test_errors(tmp_path, content, message):
    with pytest.raises(InputError) as caught:
        list(read_eog(save(tmp_path, content)))
    assert str(caught.value) == message


def test_what_is_refused_is_told_and_left_out(tmp_path):
    path = save(tmp_path, line(changed(0, "cross", "x")) + line(name="78"))
    told: list[InputError] = []
    assert [document.id for document in read_eog(path, on_error=told.append)] == ["78"]
    [error] = told
    assert str(error).startswith("mini.data:1: 77: pair[0].cross: 'x' is not one of")


def plain(words="a b", facts=(), ignored=(), names=()):
    bounds = [(0, 1), (2, 3)]
    mentions = (Mention(0, 1, "Chemical", ("C",), names), Mention(2, 3, "Disease", ("D",)))
    return Document("d", words, tuple(bounds), (Sentence(0, 2),), mentions, facts, ignored)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (plain(facts=(Fact("D", "CID", "C"),)), "d: fact D CID C: no candidate pair"),
        (
            plain(facts=(Fact("C", "CID", "D"), Fact("C", "X", "D"))),
            "d: fact C X D: .* second fact of one pair",
        ),
        (plain(facts=(Fact("C", "CID", "D"),), ignored=(("C", "D"),)), "d: fact C CID D: .*left out"),
        (plain(ignored=(("D", "C"),)), "d: ignored: D and C are no candidate pair"),
        (plain("| b"), r"d: the format cannot hold the word '\|'"),
    ],
)
def test_what_the_format_cannot_hold(document, message):
    with pytest.raises(InputError, match=f"^{message}"):
        format_eog(document, TYPES)


@pytest.mark.parametrize("name", ["velorin |", "x\ty", "deep", ""])
def test_words_stand_for_names_that_they_do_not_hold(tmp_path, name):
    """As in the published files, where each part of a composite mention has the words of the whole."""
    write_eog([plain(names=(name,))], tmp_path / "out.data")
    (document,) = read_eog(tmp_path / "out.data")
    assert document == plain()


@pytest.mark.parametrize(
    ("name", "words", "is_read"),
    [
        ("deep cough", "12-14", True),
        ("Deep\xa0Cough", "12-14", True),
        ("deep coug", "12-14", True),
        ("ep cough", "12-14", True),
        ("deep", "12-14", False),
        ("cough", "12-14", False),
        ("deep cough", "11-14", False),
        ("deep cough", "12-15", False),
        ("deep cough", "13-15", False),
        ("deep cough", "13-14", False),
        ("rash", "12-14", False),
        ("", "12-14", False),
    ],
)
def test_a_name_is_at_its_words(tmp_path, name, words, is_read):
    start, end = words.split("-")
    rows = [list(PAIRS[1])]
    rows[0][-5:-1] = [name, "Disease", start, end]
    path = save(tmp_path, line(rows))
    if is_read:
        assert next(read_eog(path)).name("D2", next(read_eog(path)).mentions[-1]) == name
        return
    with pytest.raises(
        InputError, match=rf"^mini\.data:1: 77: pair\[0\]\.tail\.names: '{name}' is not what words "
    ):
        list(read_eog(path))


FILES = pytest.mark.skipif(
    "GLRE_DATA" not in os.environ, reason="GLRE_DATA names no folder with CDR/processed"
)
COUNTS = [
    ("train", 9_414, (754, 284), (1_456, 2_746), 192),
    ("dev", 9_635, (766, 246), (1_597, 2_478), 174),
    ("test", 9_800, (747, 319), (1_545, 2_593), 201),
]


@FILES
@pytest.mark.parametrize(("split", "mentions", "positive", "negative", "ignored"), COUNTS)
def test_published_files(tmp_path, split, mentions, positive, negative, ignored):
    path = Path(os.environ["GLRE_DATA"]) / f"CDR/processed/{split}_filter.data"
    if not path.is_file():
        pytest.skip(f"no {path}")
    documents = list(read_eog(path))
    assert len(documents) == 500
    assert sum(len(document.mentions) for document in documents) == mentions
    assert sum(len(document.ignored) for document in documents) == ignored

    def pairs(true: bool):
        """(intra, inter): whether a sentence holds both, counted from the documents."""
        found = [0, 0]
        for document in documents:
            inside = {
                entity.id: {document.sentence_of(mention) for mention in entity.mentions}
                for entity in document.entities
            }
            ids = [entity.id for entity in document.entities]
            facts = {(fact.head, fact.tail) for fact in document.facts}
            for head, tail in document.pairs(TYPES):
                pair = ids[head], ids[tail]
                if pair not in document.ignored and (pair in facts) == true:
                    found[not inside[pair[0]] & inside[pair[1]]] += 1
        return tuple(found)

    assert (pairs(True), pairs(False)) == (positive, negative)

    write_eog(documents, tmp_path / "copy.data")
    again = list(read_eog(tmp_path / "copy.data"))
    assert all(map(same_up_to_order, documents, again))
    write_eog(again, tmp_path / "twice.data")
    assert (tmp_path / "twice.data").read_bytes() == (tmp_path / "copy.data").read_bytes()
    for document in documents[:20]:  # whatever the order of the mentions
        mentions = Random(document.id).sample(document.mentions, len(document.mentions))
        shuffled = Document(
            document.id,
            document.text,
            document.words,
            document.sentences,
            tuple(mentions),
            document.facts,
            document.ignored,
        )
        assert format_eog(shuffled, TYPES) == format_eog(document, TYPES)

    different = 0  # EoG's nearest mentions are not always the nearest; all other columns are as published
    for ours, theirs in zip((tmp_path / "copy.data").open(), path.open(), strict=True):
        rows = [
            {
                (row[5], row[11]): row
                for row in zip(*[iter(whole.rstrip("\n").split("\t")[2:])] * 17, strict=True)
            }
            for whole in (ours, theirs)
        ]
        assert rows[0].keys() == rows[1].keys()
        for pair, row in rows[0].items():
            assert row[:3] + row[5:] == rows[1][pair][:3] + rows[1][pair][5:]
            different += row[3:5] != rows[1][pair][3:5]
    assert different <= 30
