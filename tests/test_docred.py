import json
import os
import re
from copy import deepcopy
from pathlib import Path

import pytest

from documents import document, random_document
from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.formats.docred_json import format_docred, read_docred, write_docred
from glre_pyg.utils.exceptions import InputError

MINIATURE = [
    {
        "title": "Velorin Bridge",
        "sents": [
            ["Velorin", "Bridge", "is", "in", "Ostam", " ", ",", "Lumafia", "."],
            ["It", "was", "built", "by", "Ada", "Querine", "in", "1907", "."],
        ],
        "vertexSet": [
            [
                {"name": "Lumafia", "pos": [7, 8], "sent_id": 0, "type": "LOC"},
            ],
            [
                {"name": "Velorin Bridge", "pos": [0, 2], "sent_id": 0, "type": "MISC"},
                {"name": "The bridge", "pos": [0, 1], "sent_id": 1, "type": "MISC"},
                {"name": "The bridge", "pos": [0, 1], "sent_id": 1, "type": "MISC"},
            ],
            [{"name": "Ada Querine", "pos": [4, 6], "sent_id": 1, "type": "PER"}],
        ],
        "labels": [
            {"h": 1, "t": 0, "r": "P17", "evidence": [0]},
            {"h": 2, "t": 1, "r": "P800", "evidence": [1, 0]},
            {"h": 1, "t": 0, "r": "P131", "evidence": []},
        ],
    },
    {"title": "Nothing", "sents": [["Nothing", "."]], "vertexSet": [], "labels": []},
]


def save(folder: Path, content: object) -> Path:
    path = folder / "dev.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def official(records: list) -> list:
    """Records without the keys that are not kept."""
    records = deepcopy(records)
    for record in records:
        for mention in (mention for vertex in record["vertexSet"] for mention in vertex):
            for key in ("global_pos", "index"):
                mention.pop(key, None)
    return records


def test_miniature(tmp_path):
    first, second = read_docred(save(tmp_path, MINIATURE))
    assert first.id == "Velorin Bridge"
    assert first.text == "Velorin Bridge is in Ostam   , Lumafia . It was built by Ada Querine in 1907 ."
    assert first.sentences == (Sentence(0, 9), Sentence(9, 18))
    assert first.word_texts() == MINIATURE[0]["sents"][0] + MINIATURE[0]["sents"][1]
    assert first.mentions[0] == Mention(31, 38, "LOC", ("0",))
    assert first.mentions[1] == Mention(0, 14, "MISC", ("1",))
    assert first.mentions[2] == first.mentions[3] == Mention(41, 43, "MISC", ("1",), ("The bridge",))
    assert first.facts == (
        Fact("1", "P17", "0", evidence=(0,)),
        Fact("2", "P800", "1", evidence=(1, 0)),
        Fact("1", "P131", "0"),
    )
    assert [entity.id for entity in first.entities] == ["1", "0", "2"]  # by first mention
    assert (second.text, second.mentions, second.facts) == ("Nothing .", (), ())


def test_round_trip_of_the_miniature(tmp_path):
    path = save(tmp_path, MINIATURE)
    write_docred(read_docred(path), path)  # onto itself
    assert json.loads(path.read_text(encoding="utf-8")) == MINIATURE
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_file_without_labels_stays_without(tmp_path):
    unlabelled = [{key: value for key, value in record.items() if key != "labels"} for record in MINIATURE]
    path = save(tmp_path, unlabelled)
    assert [found.facts for found in read_docred(path)] == [(), ()]
    write_docred(read_docred(path), path)
    assert json.loads(path.read_text()) == unlabelled


def test_keys_that_say_the_same_again_are_not_kept(tmp_path):
    more = deepcopy(MINIATURE)
    for mention in (mention for vertex in more[0]["vertexSet"] for mention in vertex):
        mention |= {"global_pos": [0, 1], "index": "0_0"}
    path = save(tmp_path, more)
    assert list(read_docred(path)) == list(read_docred(save(tmp_path, MINIATURE)))


def test_a_byte_order_mark_and_two_of_one_title(tmp_path):
    path = save(tmp_path, "\ufeff" + json.dumps([MINIATURE[1], MINIATURE[1]]))
    assert [found.id for found in read_docred(path)] == ["Nothing", "Nothing"]


def test_sentences_without_words_are_left_out_and_evidence_follows(tmp_path):
    record = deepcopy(MINIATURE[0])
    record["sents"].insert(1, [])
    for vertex in record["vertexSet"]:
        for mention in vertex:
            mention["sent_id"] *= 2
    for label in record["labels"]:
        label["evidence"] = [2 * number for number in label["evidence"]]
    assert list(read_docred(save(tmp_path, [record]))) == list(read_docred(save(tmp_path, MINIATURE[:1])))
    record["labels"][0]["evidence"] = [0, 1]
    with pytest.raises(InputError, match=r"labels\[0\]\.evidence\[1\]: 1 is not a sentence with words$"):
        list(read_docred(save(tmp_path, [record])))


def placed(count, *wrong):
    """Documents of 25 names each; those of these numbers are one word off."""
    words = [f"w{number}" for number in range(26)]
    mentions = [
        {
            "name": f"W {n % 25}",
            "pos": [n % 25 + (n in wrong), n % 25 + 1 + (n in wrong)],
            "sent_id": 0,
            "type": "A",
        }
        for n in range(25 * count)
    ]
    return [
        {"title": str(n), "sents": [words], "vertexSet": [[each] for each in mentions[25 * n : 25 * n + 25]]}
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("count", "wrong", "is_read"),
    [(1, [24], True), (1, range(5), False), (10, range(0, 250, 50), True), (10, range(0, 250, 40), False)],
)
def test_names_are_compared_with_the_words_at_their_positions(tmp_path, capsys, count, wrong, is_read):
    records = placed(count, *wrong)
    for record in records:  # a name of one entity at a position of several is that of a part
        record["vertexSet"] += [
            [{"name": f"{side} part", "pos": [0, 3], "sent_id": 0, "type": "A"}] for side in "ab"
        ]
    file = tmp_path / f"{count}-{len(wrong)}.json"
    file.write_text(json.dumps(records))
    are = "is not at its position" if len(wrong) == 1 else "are not at their positions"
    line = f"{len(wrong)} of {27 * count} names {are}"
    if is_read:
        assert len(list(read_docred(file))) == count
        assert capsys.readouterr().err == f"note: {file.name}: {line}\n"
    else:
        first = (
            f"{file.name}: document 0: 0: vertexSet[0][0].name: 'W 0' is not at 1 to 2, there is 'w1'; {line}"
        )
        with pytest.raises(InputError, match=f"^{re.escape(first)}$"):
            list(read_docred(file))
        errors = []
        if count > 1:  # documents without such names stay
            assert len(list(read_docred(file, on_error=errors.append))) == 3
            assert [str(each) for each in errors] == [first]


def test_the_only_names_of_a_document_are_not_at_their_positions(tmp_path):
    [record] = placed(1, 0)
    record["vertexSet"] = record["vertexSet"][:1]
    (tmp_path / "in.json").write_text(json.dumps([record]))
    with pytest.raises(InputError, match=r"^in\.json: .*; 1 of 1 name is not at its position$"):
        list(read_docred(tmp_path / "in.json", on_error=[].append))


def test_one_long_sentence_can_be_cut_anew(tmp_path):
    record = deepcopy(MINIATURE[0])
    for vertex in record["vertexSet"]:
        for mention in vertex:
            mention["pos"] = [position + 9 * mention["sent_id"] for position in mention["pos"]]
            mention["sent_id"] = 0
    record["sents"] = [record["sents"][0] + record["sents"][1]]
    record["labels"] = [label | {"evidence": [0]} for label in record["labels"]]
    path = save(tmp_path, [record])
    (whole,), (cut,) = read_docred(path), read_docred(path, resplit="pysbd")
    assert whole.sentences == (Sentence(0, 18),)
    assert cut.sentences == (Sentence(0, 9), Sentence(9, 18))
    assert (cut.words, cut.mentions, cut.text) == (whole.words, whole.mentions, whole.text)
    assert [(fact.relation, fact.evidence) for fact in cut.facts] == [("P17", ()), ("P800", ()), ("P131", ())]


def changed(*keys, **changes):
    """The second of two documents, with changes at a path."""
    record = deepcopy(MINIATURE[0])
    place = record
    for key in keys:
        place = place[key]
    for key, value in changes.items():
        if value is ...:
            del place[key]
        else:
            place[key] = value
    return record


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], "?: expected `object`, got `array`"),
        (changed(title=...), "?: title: missing"),
        (changed(title=3), "?: title: expected `str`, got `int`"),
        (changed(sents=...), "sents: missing"),
        (changed(sents="One."), "sents: expected `array`, got `str`"),
        (changed(sents=["One."]), "sents[0]: expected `array`, got `str`"),
        (changed(sents=[["One"], ["two", 2]]), "sents[1][1]: expected `str`, got `int`"),
        (changed(sents=[["One", ""]]), "sents[0][1]: expected `str` of length >= 1"),
        (
            changed(sents=[["\ud83d"]], vertexSet=[], labels=[]),
            "text: half of a surrogate pair is in it",
        ),
        (changed("vertexSet", 1, 2, type="\ud83d"), "mentions[3]: half of a surrogate pair is in it"),
        (changed(vertexSet=...), "vertexSet: missing"),
        (changed(vertexSet={}), "vertexSet: expected `array`, got `object`"),
        (changed(vertexSet=[[]]), "vertexSet[0]: expected `array` of length >= 1"),
        (changed(vertexSet=[[3]]), "vertexSet[0][0]: expected `object`, got `int`"),
        (changed("vertexSet", 1, 2, name=...), "vertexSet[1][2].name: missing"),
        (changed("vertexSet", 1, 2, type=None), "vertexSet[1][2].type: expected `str`, got `null`"),
        (changed("vertexSet", 1, 2, pos=...), "vertexSet[1][2].pos: missing"),
        (changed("vertexSet", 1, 2, pos=[1]), "vertexSet[1][2].pos: expected `array` of length 2, got 1"),
        (changed("vertexSet", 1, 2, pos=[1, 2.0]), "vertexSet[1][2].pos[1]: expected `int`, got `float`"),
        (changed("vertexSet", 1, 2, pos=[2, 2]), "vertexSet[1][2].pos: 2 to 2 is not inside 0 to 9"),
        (changed("vertexSet", 1, 2, pos=[8, 10]), "vertexSet[1][2].pos: 8 to 10 is not inside 0 to 9"),
        (changed("vertexSet", 1, 2, sent_id="0"), "vertexSet[1][2].sent_id: expected `int`, got `str`"),
        (changed("vertexSet", 1, 2, sent_id=2), "vertexSet[1][2].sent_id: 2 is not one of 2 sentences"),
        (changed("vertexSet", 1, 2, sent_id=-1), "vertexSet[1][2].sent_id: -1 is not one of 2 sentences"),
        (changed(labels={}), "labels: expected `array`, got `object`"),
        (changed(labels=[3]), "labels[0]: expected `object`, got `int`"),
        (changed("labels", 1, h=...), "labels[1].h: missing"),
        (changed("labels", 1, h="2"), "labels[1].h: expected `int`, got `str`"),
        (changed("labels", 1, h=True), "labels[1].h: expected `int`, got `bool`"),
        (changed("labels", 1, t=3), "labels[1].t: 3 is not one of 3 entities"),
        (changed("labels", 1, t=-1), "labels[1].t: -1 is not one of 3 entities"),
        (changed("labels", 1, r=None), "labels[1].r: expected `str`, got `null`"),
        (changed("labels", 1, evidence=0), "labels[1].evidence: expected `array`, got `int`"),
        (changed("labels", 1, evidence=["0"]), "labels[1].evidence[0]: expected `int`, got `str`"),
        (changed("labels", 1, evidence=[0, 2]), "labels[1].evidence[1]: 2 is not a sentence with words"),
        (changed("labels", 1, evidence=[-1]), "labels[1].evidence[0]: -1 is not a sentence with words"),
        (changed("labels", 1, extra=[0.5]), "labels[1].extra[0]: expected `str`, got `float`"),
    ],
)
def test_errors_name_the_field(tmp_path, record, message):
    path = save(tmp_path, [MINIATURE[1], record])
    with pytest.raises(InputError) as caught:
        list(read_docred(path))
    title = "" if message.startswith("?") else "Velorin Bridge: "
    assert str(caught.value) == f"dev.json: document 1: {title}{message}"


def test_a_field_that_stands_twice_costs_its_document_alone(tmp_path):
    """JSON's parser would take the last one, and nobody would know."""
    text = json.dumps(MINIATURE).replace('"sent_id": 0', '"sent_id": 1, "sent_id": 0', 1)
    told: list[InputError] = []
    assert [found.id for found in read_docred(save(tmp_path, text), on_error=told.append)] == ["Nothing"]
    assert [str(error) for error in told] == [
        "dev.json: document 0: Velorin Bridge: vertexSet[0][0].sent_id: given twice"
    ]


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "9" * 5_000, "[1e400", "", "{", "[1,]", "{}", "[]", '{"title": "a"}', "\x00"]
)
def test_errors_in_files(tmp_path, content):
    with pytest.raises(InputError, match=r"^dev\.json: not (a )?JSON[^\n]+$"):
        list(read_docred(save(tmp_path, content)))


def test_bytes_that_are_not_text(tmp_path):
    path = tmp_path / "dev.json"
    path.write_bytes(b'[{"title": "\xff"}]')
    with pytest.raises(InputError, match=r"^dev\.json: byte 13 is not UTF-8$"):
        list(read_docred(path))


def numbered(found: Document) -> Document:
    """A document as DocRED's format can hold it: entities numbered from 0, mentions in their order."""
    place = {entity.id: str(number) for number, entity in enumerate(reversed(found.entities))}
    mentions = [
        Mention(mention.start, mention.end, mention.type, (place[identifier],))
        for mention in found.mentions
        for identifier in mention.ids
    ]
    facts = tuple(
        Fact(place[fact.head], fact.relation, place[fact.tail], ("0.7",) * (number % 2), (0,) * (number % 3))
        for number, fact in enumerate(found.facts)
    )
    mentions.sort(key=lambda mention: int(mention.ids[0]))
    return Document(found.id, found.text, found.words, found.sentences, tuple(mentions), facts)


def test_round_trip_of_random_documents(tmp_path):
    written = [numbered(random_document(seed, entities=(2, 12))) for seed in range(60)]
    write_docred(written, tmp_path / "random.json")
    assert list(read_docred(tmp_path / "random.json")) == written


PLAIN = document(
    ["velorin caused rash .", "it passed ."],
    [(0, 1, "Chemical", "0"), (2, 3, "Disease", "1")],
    [("0", "causes", "1")],
)


def with_(**changes) -> Document:
    return Document(**{name: getattr(PLAIN, name) for name in PLAIN.__dataclass_fields__} | changes)


@pytest.mark.parametrize(
    ("lossy", "message"),
    [
        (with_(sections=((0, 5),)), "sections: ((0, 5),) would be read back as ()"),
        (with_(ignored=(("0", "1"),)), "ignored: (('0', '1'),) would be read back as ()"),
        (with_(mentions=PLAIN.mentions[::-1]), "the order of mentions"),
        (
            with_(mentions=(*PLAIN.mentions, Mention(25, 31, "Disease", ()))),
            "mentions: (Mention(start=0, end=7,",
        ),
        (
            with_(mentions=(Mention(0, 7, "Chemical", ("C1",)), PLAIN.mentions[1]), facts=()),
            "mentions[0].ids[0]: 'C1' would be read back as '0'",
        ),
        (
            with_(mentions=(Mention(0, 7, "Chemical", ("0", "1")),)),
            "mentions: (Mention(start=0, end=7,",
        ),
        (
            with_(mentions=(Mention(0, 7, "Chemical", ("0",), ("velorin",)), PLAIN.mentions[1])),
            "mentions[0].names: ('velorin',) would be read back as ()",
        ),
        (
            Document("d", "rash, it", ((0, 4), (4, 5), (6, 8)), (Sentence(0, 3),), ()),
            "text: 'rash, it' would be read back as 'rash , it'",
        ),
    ],
)
def test_what_cannot_be_held_is_named(tmp_path, lossy, message):
    with pytest.raises(InputError) as caught:
        write_docred([lossy], tmp_path / "lost.json")
    assert str(caught.value).startswith(f"d: DocRED's format cannot hold {message}")
    assert not list(tmp_path.iterdir())
    write_docred([lossy], tmp_path / "lost.json", lossy=True)
    (held,) = read_docred(tmp_path / "lost.json")
    assert held.word_texts() == lossy.word_texts()
    assert len(held.facts) == len(lossy.facts)


def as_json(value):
    return json.loads(json.dumps(value))


def test_lossy_writing_by_hand():
    words = ((0, 4), (4, 5), (6, 10), (11, 14), (15, 21), (22, 23))
    mentions = (
        Mention(6, 14, "Disease", ("D2", "D1"), ("Skin itc", "")),
        Mention(15, 21, "Disease", ()),
        Mention(0, 4, "Chemical", ("C1",)),
    )
    facts = (Fact("C1", "CID", "D1", ("0.9",), (0,)),)
    text = "dexo, skin itc tremor ."
    found = Document("7", text, words, (Sentence(0, 3), Sentence(3, 6)), mentions[1:], (), (("a", "b"),))
    assert as_json(format_docred(found, lossy=True)["vertexSet"]) == [
        [{"name": "dexo", "pos": [0, 1], "sent_id": 0, "type": "Chemical"}]
    ]
    found = Document("7", text, words, (Sentence(0, 4), Sentence(4, 6)), mentions, facts)
    assert as_json(format_docred(found, lossy=True)) == {
        "title": "7",
        "vertexSet": [
            [{"name": "dexo", "pos": [0, 1], "sent_id": 0, "type": "Chemical"}],
            [{"name": "", "pos": [2, 4], "sent_id": 0, "type": "Disease"}],
            [{"name": "Skin itc", "pos": [2, 4], "sent_id": 0, "type": "Disease"}],
        ],
        "labels": [{"h": 0, "t": 1, "r": "CID", "evidence": [0], "extra": ["0.9"]}],
        "sents": [["dexo", ",", "skin", "itc"], ["tremor", "."]],
    }


def test_mentions_with_characters_of_no_word_are_named_by_their_words(tmp_path):
    document = Document(
        "d", "a-b x", ((0, 1), (2, 3), (4, 5)), (Sentence(0, 3),), (Mention(0, 3, "Disease", ("0",)),)
    )
    with pytest.raises(InputError, match=r"^d: DocRED's format cannot hold text: "):
        format_docred(document)
    write_docred([document], tmp_path / "d.json", lossy=True)
    (held,) = read_docred(tmp_path / "d.json")
    assert held.text == "a b x"
    assert held.mentions == (Mention(0, 3, "Disease", ("0",)),)


def test_a_fact_of_an_entity_that_is_not_mentioned_is_an_error_in_any_case():
    with pytest.raises(InputError, match=r"^d: facts\[0\]\.tail: no mention has '9'$"):
        format_docred(with_(facts=(Fact("0", "causes", "9"),)), lossy=True)


@pytest.mark.parametrize(
    ("name", "documents", "mentions", "facts"),
    [
        ("DocRED/test.json", 1_000, 26_704, 0),
        ("DocRED/partial/docred_200.json", 200, 5_072, 2_539),
        ("Re-DocRED/dev_revised.json", 500, 13_189, 17_284),
    ],
)
def test_real_files_round_trip(tmp_path, name, documents, mentions, facts):
    path = Path(os.environ.get("GLRE_DATA", ""), name)
    if "GLRE_DATA" not in os.environ or not path.is_file():
        pytest.skip(f"GLRE_DATA is not set, or has no {name}")
    found = list(read_docred(path))
    assert len(found) == documents
    assert sum(len(each.mentions) for each in found) == mentions
    assert sum(len(each.facts) for each in found) == facts
    write_docred(found, tmp_path / "written.json")
    written = json.loads((tmp_path / "written.json").read_text(encoding="utf-8"))
    assert written == official(json.loads(path.read_text(encoding="utf-8")))
