import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.formats.pubtator import read_pubtator
from glre_pyg.formats.pubtator_writer import format_pubtator, write_pubtator
from glre_pyg.utils.exceptions import InputError

MINIATURE = """\
12345|t|Velmorine-induced tremor 😀 and chill.
12345|a|We gave velmorine | twice. Head and neck tremor came; chill too.
12345\t0\t9\tVelmorine\tChemical\tC01
12345\t18\t24\ttremor\tDisease\tD01
12345\t46\t55\tvelmorine\tChemical\tC01
12345\t65\t85\tHead and neck tremor\tDisease\tD01|D02\thead tremor|neck tremor
12345\t79\t85\ttremor\tDisease\tD01
12345\t92\t97\tchill\tDisease\t-1
12345\t92\t97\tchill\tDisease\t-1
12345\t92\t97\tchill\tChemical\tD02
12345\tCID\tC01\tD01
12345\tCID\tC01\tD02\tNovel\tNo

7|t|No abstract, no mention.

8|t|An empty abstract
8|a|

"""


def save(folder: Path, content: str | bytes) -> Path:
    path = folder / "test.pubtator"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def one_word(text, spans, sections):
    """A segmenter without sentences: words are what lies between mentions' ends."""
    cuts = sorted({0, len(text), *(position for span in spans for position in span)})
    words = tuple(pairwise(cuts))
    return words, (Sentence(0, len(words)),) if words else ()


def test_miniature(tmp_path):
    first, second, third = read_pubtator(save(tmp_path, MINIATURE))
    assert first.text.startswith("Velmorine-induced tremor 😀 and chill. We gave velmorine | twice.")
    assert first.sections == ((0, 37), (38, 102))
    assert [first.text[slice(*m.span)] for m in first.mentions[:4]] == [
        "Velmorine",
        "tremor",
        "velmorine",
        "Head and neck tremor",
    ]
    assert first.mentions[3].ids == ("D01", "D02")
    assert first.mentions[3].names == ("head tremor", "neck tremor")
    assert first.mentions[5] == first.mentions[6] == Mention(92, 97, "Disease", ())
    assert first.facts == (Fact("C01", "CID", "D01"), Fact("C01", "CID", "D02", ("Novel", "No")))
    assert [(e.id, e.type, len(e.mentions)) for e in first.entities] == [
        ("C01", "Chemical", 2),
        ("D01", "Disease", 3),
        ("D02", "Disease", 2),
    ]
    assert (second.sections, second.mentions, second.facts) == (((0, 24),), (), ())
    assert (third.text, third.sections) == ("An empty abstract ", ((0, 17), (18, 18)))


def test_round_trip_of_the_miniature(tmp_path):
    path = save(tmp_path, MINIATURE)
    write_pubtator(read_pubtator(path), path)  # onto itself
    assert path.read_text(encoding="utf-8") == MINIATURE
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r\n", 7).encode(),
        lambda text: text.rstrip("\n").encode(),
        lambda text: text.replace("\n\n", "\n \n\n\n").encode(),
        lambda text: ("\n\n" + text).encode(),
    ],
    ids=["bom", "crlf", "mixed", "no last blank line", "many blank lines", "blank lines first"],
)
def test_other_ways_to_write_the_same(tmp_path, change):
    expected = list(read_pubtator(save(tmp_path, MINIATURE)))
    assert list(read_pubtator(save(tmp_path, change(MINIATURE)))) == expected


def test_biored_identifiers(tmp_path):
    text = (
        "9|t|A deletion\n9|a|in gene.\n9\t2\t10\tdeletion\tVariant\tc|DEL|1|\n"
        "9\t14\t18\tgene\tGene\t11,12\n9\t0\t1\tA\tGene\t-\n9\tAssociation\tc|DEL|1|\t11\tNovel\n\n"
    )
    options = {"id_separators": ",", "unlinked": "-"}
    (document,) = read_pubtator(save(tmp_path, text), **options)
    assert [mention.ids for mention in document.mentions] == [("c|DEL|1|",), ("11", "12"), ()]
    assert document.facts == (Fact("c|DEL|1|", "Association", "11", ("Novel",)),)
    assert format_pubtator(document, **options) == text
    with pytest.raises(InputError, match=r"^9: PubTator cannot hold it: no mention has head"):
        format_pubtator(replace(document, mentions=document.mentions[1:]))


def test_identifiers_of_variants_are_one_each(tmp_path):
    variant = "tmVar:p|SUB|L|9|M;HGVS:p.L9M"
    text = (
        f"1|t|K12Q of a gene\n1\t0\t4\tK12Q\tProteinMutation\t{variant}\n1\t10\t14\tgene\tGene\t836|841\n\n"
    )
    (document,) = read_pubtator(save(tmp_path, text))
    assert [mention.ids for mention in document.mentions] == [(variant,), ("836", "841")]
    assert format_pubtator(document) == text
    (same,) = read_pubtator(save(tmp_path, text.replace("836|841", "836;841")))
    assert same == document


def test_mentions_without_a_column_of_identifiers(tmp_path):
    text = "1|t|Mild rash\n1\t5\t9\trash\tDisease\n\n"
    (document,) = read_pubtator(save(tmp_path, text))
    assert document.mentions == (Mention(5, 9, "Disease", ()),)


@pytest.mark.parametrize(
    ("column", "names"), [("rash", ("rash",)), ("Rash", ("Rash",)), ("", ("",)), ("0.98", ())]
)
def test_the_seventh_column_of_one_identifier_is_its_name_or_nothing(tmp_path, column, names):
    text = f"1|t|Mild rash\n1\t5\t9\trash\tDisease\tD1\t{column}\n\n"
    (document,) = read_pubtator(save(tmp_path, text))
    assert document.mentions[0].names == names


def test_part_of_a_composite_without_identifier_comes_last(tmp_path):
    lines = "1|t|renal and odd pain\n1\t0\t18\trenal and odd pain\tDisease\t{}\n\n"
    document = next(read_pubtator(save(tmp_path, lines.format("-1|D1\todd pain|renal pain"))))
    assert document.mentions[0].ids == ("D1",)
    assert document.mentions[0].names == ("renal pain", "odd pain")
    assert format_pubtator(document) == lines.format("D1|-1\trenal pain|odd pain")


HEAD = "12345|t|Take aspirin.\n12345|a|It hurts.\n"
GOOD = "1|t|Good one.\n\n"


@pytest.mark.parametrize(
    ("lines", "number", "message"),
    [
        ("12345\t5\t12\taspirin", 5, "a mention has 5 to 7 columns, this line 4"),
        ("12345\t5\t12\taspirin\tChemical\tC\tn\tx", 5, "a mention has 5 to 7 columns, this line 8"),
        (
            "12345\t5\t12\tasp\rin\tChemical\tC",
            5,
            "a carriage return does not end a line here: save the file with Unix line ends",
        ),
        ("12345", 5, "a relation has at least 4 columns, this line 1"),
        ("12345\tCID\tC1", 5, "a relation has at least 4 columns, this line 3"),
        ("12345\t5\t1x\taspirin\tChemical\tC", 5, "end '1x' of mention 'aspirin' is not an integer"),
        ("12345\t5.0\t12\taspirin\tChemical\tC", 5, "start '5.0' of mention 'aspirin' is not an integer"),
        (
            "12345\t-1\t12\taspirin\tChemical\tC",
            5,
            "mention 'aspirin' at -1 to 12 is empty or begins before the text",
        ),
        ("12345\t5\t5\t\tChemical\tC", 5, "mention '' at 5 to 5 is empty or begins before the text"),
        ("12345\t4\t5\t \tChemical\tC", 5, "mention ' ' at 4 to 5 is white space"),
        ("12345\t50\t57\taspirin\tChemical\tC", 5, "mention 'aspirin' ends after the text"),
        ("12345\t4\t11\taspirin\tChemical\tC", 5, "mention 'aspirin' is not at 4 to 11, there is ' aspiri'"),
        (
            "12345\t5\t12\taspirin\tChemical\tC|D\tx",
            5,
            "mention 'aspirin' has 2 identifiers and 1 name of a part",
        ),
        ("99\t5\t12\taspirin\tChemical\tC", 5, "a line of document '99'; is a blank line missing before it?"),
        ("99|t|Next.", 5, "a line of document '99|t|Next.'; is a blank line missing before it?"),
        (
            "12345\t5\t12\taspirin\tChemical\tC\n12345\tCID\tC\tD9",
            6,
            "no mention has tail 'D9' of relation 'CID'",
        ),
        ("12345\tCID\tC\tD9", 5, "no mention has head 'C' of relation 'CID'"),
    ],
)
def test_errors_in_lines(tmp_path, lines, number, message):
    path = save(tmp_path, GOOD + HEAD + lines + "\n\n" + GOOD.replace("1", "2"))
    line = f"test.pubtator:{number}: 12345: {message}"
    with pytest.raises(InputError) as caught:
        list(read_pubtator(path))
    assert str(caught.value) == line
    told: list[InputError] = []
    assert [document.id for document in read_pubtator(path, on_error=told.append)] == ["1", "2"]
    assert list(map(str, told)) == [line]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "test.pubtator: there are no documents in this file"),
        (b"\n \r\n\n", "test.pubtator: there are no documents in this file"),
        (b"5|a|x\n5|t|y\n", "test.pubtator:1: 5: the first line is not a title, 'identifier|t|text'"),
        (
            b"5|t|x.5|a|y.5\t0\t1\tx\tT\tI",
            "test.pubtator:1: 5: the title holds '5|a|': is there no line end before it?",
        ),
        (
            b"5|t|x.\r5|a|y.\r5\t0\t1\tx\tT\tI\r\r6|t|z",
            "test.pubtator:1: 5: a carriage return does not end a line here: save the file with Unix line ends",
        ),
        (b"5\t0\t1\tx\tT\tI\n", "test.pubtator:1: 5: the first line is not a title, 'identifier|t|text'"),
        (b"5|t|x\n5|t|y\n", "test.pubtator:2: 5: the second line is not the abstract, '5|a|text'"),
        (b"5|t|x\n6|a|y\n", "test.pubtator:2: 5: the second line is not the abstract, '5|a|text'"),
        (b"5|t|x\n5|a|ab\xff\n", "test.pubtator:2: 5: byte 7 of the line is not UTF-8"),
        (
            b"5|t|x\n\n5|t|y\n",
            "test.pubtator:3: 5: a document of this identifier was in the file before; passages=join or passages=number reads blocks that are passages of one document",
        ),
    ],
)
def test_errors_in_files(tmp_path, content, line):
    with pytest.raises(InputError) as caught:
        list(read_pubtator(save(tmp_path, content)))
    assert str(caught.value) == line


def test_errors_of_the_document_name_its_first_line(tmp_path):
    path = save(tmp_path, GOOD + "5|t|Take aspirin\n5\t5\t12\taspirin\tChemical\tC\n")
    with pytest.raises(
        InputError, match=r"^test.pubtator:3: 5: mention 'aspirin' at 5 does not begin and end"
    ):
        list(
            read_pubtator(
                path, segmenter=lambda text, spans, sections: (((0, len(text)),), (Sentence(0, 1),))
            )
        )


def test_one_document_at_a_time(tmp_path):
    documents = read_pubtator(save(tmp_path, GOOD + "broken\n"))
    assert next(documents).id == "1"
    with pytest.raises(InputError, match=":3: broken: "):
        next(documents)


@pytest.mark.parametrize(
    ("text", "mention", "fact", "message"),
    [
        ("A\nb", Mention(0, 1, "T", ("1",)), None, "line break or Tab"),
        ("A b", Mention(0, 1, "T\t", ("1",)), None, "line break or Tab"),
        ("A b", Mention(0, 1, "T", ("1|2",)), None, r"mention 'A' has an identifier that holds one of '\|;'"),
        ("A b", Mention(0, 1, "Variant", ("1", "2")), None, "or is a variant with several"),
        ("A b", Mention(0, 1, "T", ("1",), ("x",)), None, r"cannot hold mentions\[0\].names"),
        (
            "A b",
            Mention(0, 1, "T", ("1", "2"), ("a|b", "c")),
            None,
            "does not have one name for each part",
        ),
        ("A b", Mention(0, 1, "T", ("1",)), Fact("1", "5", "1"), "cannot hold relation '5'"),
        ("A b", Mention(0, 1, "T", ("-1",)), None, r"cannot hold mentions\[0\].ids: \('-1',\) would be read"),
        (
            "A b",
            Mention(0, 1, "T", ("-1",)),
            Fact("-1", "r", "-1"),
            "cannot hold it: no mention has head '-1'",
        ),
        ("A b", Mention(0, 1, "T", ("1",)), Fact("2", "r", "1"), "cannot hold it: no mention has head '2'"),
    ],
)
def test_what_the_format_cannot_hold(text, mention, fact, message):
    document = Document("d", text, ((0, 1), (2, 3)), (Sentence(0, 2),), (mention,), (fact,) if fact else ())
    with pytest.raises(InputError, match=f"^d: .*{message}"):
        format_pubtator(document)


CORPORA = [
    ("CDR/CDR_TrainingSet.PubTator.txt", {}, 9_385, 76),
    ("CDR/CDR_DevelopmentSet.PubTator.txt", {}, 9_591, 59),
    ("CDR/CDR_TestSet.PubTator.txt", {}, 9_809, 91),
    ("BioRED/Train.PubTator", {"id_separators": ",", "unlinked": "-"}, 13_351, 31),
    ("BioRED/Dev.PubTator", {"id_separators": ",", "unlinked": "-"}, 3_533, 20),
]


@pytest.mark.skipif("GLRE_DATA" not in os.environ, reason="GLRE_DATA names no folder with the corpora")
@pytest.mark.parametrize(("name", "options", "mentions", "unlinked"), CORPORA)
def test_corpora_byte_for_byte(tmp_path, name, options, mentions, unlinked):
    path = Path(os.environ["GLRE_DATA"]) / name
    if not path.exists():
        pytest.skip(f"GLRE_DATA has no {name}")
    read = list(read_pubtator(path, segmenter=one_word, **options))
    assert sum(len(document.mentions) for document in read) == mentions
    assert sum(not mention.ids for document in read for mention in document.mentions) == unlinked
    write_pubtator(read, tmp_path / "copy", **options)
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


def test_facts_of_the_pooled_entity_are_left_out_where_loss_is_allowed():
    """BRAN's protocol has mentions without identifier as one entity, "-1", of which a model may find facts."""
    document = Document(
        id="1",
        text="Velorin caused rash",
        words=((0, 7), (8, 14), (15, 19)),
        sentences=(Sentence(0, 3),),
        mentions=(Mention(0, 7, "Chemical", ("-1",)), Mention(15, 19, "Disease", ("D1",))),
        facts=(Fact("-1", "CID", "D1"), Fact("D1", "CID", "D1")),
    )
    with pytest.raises(InputError, match=r"^1: PubTator cannot hold it: no mention has head '-1'"):
        format_pubtator(document)
    assert format_pubtator(document, lossy=True).splitlines()[1:] == [
        "1\t0\t7\tVelorin\tChemical\t-1",
        "1\t15\t19\trash\tDisease\tD1",
        "1\tCID\tD1\tD1",
        "",
    ]


def read_text(folder, text, name="a.pubtator", **options):
    (folder / name).write_text(text, encoding="utf-8")
    return list(read_pubtator(folder / name, **options))


CUT = "1|t|Velorin and rash.\n\n1\t0\t7\tVelorin\tChemical\tC1\n\n2|t|Rash.\n"


def test_a_blank_line_within_a_block_costs_its_document(tmp_path):
    with pytest.raises(InputError) as caught:
        read_text(tmp_path, CUT)
    line = "a.pubtator:3: 1: there is no title, 'identifier|t|text': is there a blank line above?"
    assert str(caught.value) == line
    errors = []
    assert [found.id for found in read_text(tmp_path, CUT, on_error=errors.append)] == ["2"]
    assert list(map(str, errors)) == [line]
    for passages in ("join", "number"):
        with pytest.raises(InputError, match="is there a blank line above"):
            read_text(tmp_path, CUT, passages=passages)


PASSAGES = """\
1|t|Velorin and rash.
1|a|Velorin raised rash.
1\t0\t7\tVelorin\tChemical\tC1
1\t12\t16\trash\tDisease\tD1

1|t|Methods.
1|a|Velorin was given.
1\t9\t16\tVelorin\tChemical\tC1
1\tCID\tC1\tD1

2|t|Rash.
"""


def test_blocks_that_are_passages(tmp_path):
    with pytest.raises(
        InputError, match=r"^a\.pubtator:6: 1: a document .* before; passages=join or passages=number "
    ):
        read_text(tmp_path, PASSAGES)
    whole, other = read_text(tmp_path, PASSAGES, passages="join")
    assert (whole.id, other.id) == ("1", "2")
    assert whole.text == "Velorin and rash. Velorin raised rash. Methods. Velorin was given."
    assert [whole.text[start:end] for start, end in whole.sections] == [
        "Velorin and rash.", "Velorin raised rash.", "Methods.", "Velorin was given.",
    ]  # fmt: skip
    assert [whole.text[mention.start : mention.end] for mention in whole.mentions] == [
        "Velorin",
        "rash",
        "Velorin",
    ]
    assert [(fact.head, fact.tail) for fact in whole.facts] == [("C1", "D1")]
    errors = []
    numbered = read_text(
        tmp_path, PASSAGES.replace("1\tCID\tC1\tD1\n", ""), passages="number", on_error=errors.append
    )
    assert ([found.id for found in numbered], errors) == (["1-1", "1-2", "2"], [])
    with pytest.raises(InputError, match=r"^passages: 'x' is neither join nor number$"):
        read_text(tmp_path, PASSAGES, passages="x")


def test_white_space_at_the_end_of_a_title(tmp_path):
    lines = "1|t|Velorin and rash. \n1|a|Velorin raised rash.\n"
    (found,) = read_text(tmp_path, lines + "1\t18\t25\tVelorin\tChemical\tC1\n1\t33\t37\trash\tDisease\tD1\n")
    assert found.text == "Velorin and rash. Velorin raised rash."
    (found,) = read_text(tmp_path, lines + "1\t19\t26\tVelorin\tChemical\tC1\n")
    assert found.text == "Velorin and rash.  Velorin raised rash."
    with pytest.raises(InputError) as caught:
        read_text(tmp_path, lines + "1\t18\t25\tVelorin\tChemical\tC1\n1\t34\t38\trash\tDisease\tD1\n")
    assert str(caught.value) == (
        "a.pubtator:3: 1: mention 'Velorin' is not at 18 to 25, there is ' Velori' "
        "(nor without the white space at the end of the title)"
    )


def test_relations_in_a_table_beside_the_file(tmp_path, capsys):
    text = "1|t|Velorin and rash.\n1\t0\t7\tVelorin\tChemical\tC1\n1\t12\t16\trash\tDisease\tD1\n"
    table = "id\ttype\tone\ttwo\n1\tCID\tChemical|C1\tDisease|D1\n1\ttreats\tC1\tD1\tx\n"
    (tmp_path / "a.relations.tsv").write_text(table)
    (found,) = read_text(tmp_path, text)
    assert [(fact.head, fact.relation, fact.tail, fact.extra) for fact in found.facts] == [
        ("C1", "CID", "D1", ()),
        ("C1", "treats", "D1", ("x",)),
    ]
    assert capsys.readouterr().err.endswith("relations in the table beside it of other documents: 1\n")
    (tmp_path / "a.relations.tsv").write_text("1\tCID\tC1\tX\n")
    with pytest.raises(
        InputError, match=r"^a\.relations\.tsv:1: 1: no mention has tail 'X' of relation 'CID'$"
    ):
        read_text(tmp_path, text)


@pytest.mark.parametrize(
    ("columns", "ids", "names"),
    [
        ("AcidChange\tp|SUB|K|12|Q", ("p|SUB|K|12|Q",), ()),
        ("Thing\ttmVar:p|SUB|K|12|Q;HGVS:p.K12Q", ("tmVar:p|SUB|K|12|Q;HGVS:p.K12Q",), ()),
        ("Gene\tp53|q", ("p53", "q"), ()),
        ("Disease\t ", (), ()),
        ("Disease\tNone", (), ()),
        ("Disease\tNIL", (), ()),
        ("Disease\tD1| ", ("D1",), ()),
        ("Disease\tD1|D2\t", ("D1", "D2"), ()),
        ("Disease\tD1|D2\t0.98", ("D1", "D2"), ()),
        ("Disease\tD1|D2\ta|b", ("D1", "D2"), ("a", "b")),
    ],
)
def test_identifiers_of_others(columns, ids, names, tmp_path):
    (tmp_path / "in.pubtator").write_text(f"1|t|rash now\n1\t0\t4\trash\t{columns}\n")
    [document] = read_pubtator(tmp_path / "in.pubtator")
    assert [(each.ids, each.names) for each in document.mentions] == [(ids, names)]


@pytest.mark.parametrize("tab", ["    ", " ", "\\t"])
def test_columns_without_tabs_are_named(tab, tmp_path):
    (tmp_path / "in.pubtator").write_text(tab.join(["1|t|rash now\n1", "0", "4", "rash", "Disease", "D1\n"]))
    with pytest.raises(InputError, match=r"^in.pubtator:2: 1: its columns are not separated by Tabs$"):
        list(read_pubtator(tmp_path / "in.pubtator"))
