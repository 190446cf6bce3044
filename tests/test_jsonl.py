import json

import pytest

from glre_pyg.data.document import Fact, Mention, Sentence
from glre_pyg.data.segmentation import segment
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.utils.exceptions import InputError

RECORD = {
    "id": "5",
    "text": "Velmorine 😀 hurts. It may.",
    "mentions": [
        {"start": 0, "end": 9, "type": "Chemical", "ids": ["C1"]},
        {"start": 12, "end": 17, "type": "Disease", "ids": ["D1", "D2"], "names": ["a", "b"]},
        {"start": 19, "end": 21, "type": "Chemical", "ids": []},
    ],
    "facts": [{"head": "C1", "relation": "CID", "tail": "D2", "extra": ["Novel"]}],
}


def save(folder, *records):
    path = folder / "mine.jsonl"
    lines = (record if isinstance(record, str) else json.dumps(record) for record in records)
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    return path


def changed(**changes):
    return {key: value for key, value in (RECORD | changes).items() if value is not None}


def test_text_without_words_is_segmented(tmp_path):
    (document,) = read_jsonl(save(tmp_path, RECORD))
    spans = [mention.span for mention in document.mentions]
    assert (document.words, document.sentences) == segment(document.text, spans)
    assert len(document.sentences) == 2
    assert document.mentions[1] == Mention(12, 17, "Disease", ("D1", "D2"), ("a", "b"))
    assert document.facts == (Fact("C1", "CID", "D2", ("Novel",)),)


def test_given_words_are_kept(tmp_path):
    words, sentences = [[0, 9], [10, 11], [12, 17], [19, 26]], [[0, 2], [2, 4]]
    record = changed(mentions=RECORD["mentions"][:2], words=words, sentences=sentences, sections=[[0, 18]])
    (document,) = read_jsonl(save(tmp_path, record))
    assert document.words == tuple(map(tuple, words))
    assert document.sentences == (Sentence(0, 2), Sentence(2, 4))
    assert document.sections == ((0, 18),)


def test_evidence_and_ignored_pairs(tmp_path):
    facts = [{"head": "C1", "relation": "CID", "tail": "D2", "evidence": [1, 0]}]
    (document,) = read_jsonl(save(tmp_path, changed(facts=facts, ignored=[["C1", "D1"], ["D2", "C1"]])))
    assert document.facts == (Fact("C1", "CID", "D2", evidence=(1, 0)),)
    assert document.ignored == (("C1", "D1"), ("D2", "C1"))
    (plain,) = read_jsonl(save(tmp_path, RECORD))
    assert (plain.ignored, plain.facts[0].evidence) == ((), ())


@pytest.mark.parametrize(
    ("mention", "message"),
    [
        ({"start": 3, "end": 10}, "'elorin ' at 3 to 10 begins or ends with white space"),
        ({"start": 2, "end": 9, "text": "velorin"}, "'velorin' is not at 2 to 9, there is 'Velorin'"),
        ({"start": 2, "end": 9, "text": "Velorin"}, ""),
        ({"start": 1, "end": 10, "text": " Velorin "}, ""),
    ],
)
def test_the_text_of_a_mention_is_compared(tmp_path, mention, message):
    record = {
        "id": "1",
        "text": "\U0001f48a Velorin helps.",
        "mentions": [{"type": "A", "ids": ["C"], **mention}],
    }
    (tmp_path / "in.jsonl").write_text(json.dumps(record))
    if message:
        with pytest.raises(InputError, match=rf"^in\.jsonl:1: 1: mentions\[0\]: {message}"):
            list(read_jsonl(tmp_path / "in.jsonl"))
    else:
        documents = list(read_jsonl(tmp_path / "in.jsonl"))
        assert documents[0].mentions[0].span == (mention["start"], mention["end"])
        write_jsonl(documents, tmp_path / "out.jsonl")
        assert list(read_jsonl(tmp_path / "out.jsonl")) == documents


def test_id_and_text_suffice_and_blank_lines_are_skipped(tmp_path):
    path = save(tmp_path, "\ufeff" + '{"id": "1", "text": "One."}\r', "", " \r", '{"id": "2", "text": ""}')
    assert [(d.id, len(d.words), d.facts, d.mentions) for d in read_jsonl(path)] == [
        ("1", 2, (), ()),
        ("2", 0, (), ()),
    ]


def mention(**changes):
    return {"mentions": [RECORD["mentions"][0], RECORD["mentions"][1] | changes]}


def fact(**changes):
    return {"facts": [RECORD["facts"][0] | changes]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "text: missing"),
        ({"text": 3}, "text: expected `str`, got `int`"),
        ({"text": "\ud83d", "mentions": [], "facts": []}, "text: half of a surrogate pair is in it"),
        ({"text": ""}, "mentions[0]: 0 to 9 is not inside 0 to 0"),
        ({"mention": []}, "unknown field 'mention'"),
        ({"mentions": {}}, "mentions: expected `array`, got `object`"),
        ({"mentions": [[]]}, "mentions[0]: expected `object`, got `array`"),
        ({"mentions": [{"start": 0}]}, "mentions[0].end: missing"),
        (mention(start="12"), "mentions[1].start: expected `int`, got `str`"),
        (mention(start=True), "mentions[1].start: expected `int`, got `bool`"),
        (mention(start=-1), "mentions[1]: -1 to 17 is not inside 0 to 26"),
        (mention(end=12), "mentions[1]: 12 to 12 is not inside 0 to 26"),
        (mention(end=99), "mentions[1]: 12 to 99 is not inside 0 to 26"),
        (mention(ids=["D2", 1]), "mentions[1].ids[1]: expected `str`, got `int`"),
        (mention(ids="D1"), "mentions[1].ids: expected `array`, got `str`"),
        (mention(type=None), "mentions[1].type: expected `str`, got `null`"),
        (mention(id="D1"), "mentions[1]: unknown field 'id'"),
        ({"facts": [{"head": "C1", "relation": "CID"}]}, "facts[0].tail: missing"),
        (
            {"facts": [{"head": "C9", "relation": "CID", "tail": "D1"}]},
            "facts[0].head: no mention has 'C9'",
        ),
        (fact(extra="Novel"), "facts[0].extra: expected `array`, got `str`"),
        (fact(evidence=1), "facts[0].evidence: expected `array`, got `int`"),
        (fact(evidence=[0, "1"]), "facts[0].evidence[1]: expected `int`, got `str`"),
        (fact(evidence=[0, 2]), "facts[0].evidence[1]: 2 is not one of 2 sentences"),
        (fact(evidence=[-1]), "facts[0].evidence[0]: -1 is not one of 2 sentences"),
        (fact(evidences=[0]), "facts[0]: unknown field 'evidences'"),
        ({"ignored": {}}, "ignored: expected `array`, got `object`"),
        ({"ignored": [["C1", "D1"], "C1"]}, "ignored[1]: expected `array`, got `str`"),
        ({"ignored": [["C1", "D1", "D2"]]}, "ignored[0]: expected `array` of length 2, got 3"),
        ({"ignored": [["C1", 1]]}, "ignored[0][1]: expected `str`, got `int`"),
        ({"ignored": [["C1", "D9"]]}, "ignored[0]: no mention has 'D9'"),
        ({"words": []}, "words: words and sentences are given together or not at all"),
        ({"words": [[0]], "sentences": []}, "words[0]: expected `array` of length 2, got 1"),
        ({"words": [[3, 3]], "sentences": []}, "sentences do not hold every word once, in order"),
        ({"words": [[0, 9]], "sentences": [[0, 2]]}, "sentences do not hold every word once, in order"),
        ({"words": [[0, 9]], "sentences": []}, "sentences do not hold every word once, in order"),
        ({"sections": [[0, 99]]}, "sections[0]: 0 to 99 is not inside 0 to 26"),
    ],
)
def test_errors_name_the_field(tmp_path, changes, message):
    path = save(tmp_path, {"id": "1", "text": "Good."}, changed(**changes))
    with pytest.raises(InputError) as caught:
        list(read_jsonl(path))
    assert str(caught.value) == f"mine.jsonl:2: 5: {message}"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "mine.jsonl: there are no documents in this file"),
        (b"[]", "mine.jsonl:1: ?: expected `object`, got `array`"),
        (b'{"text": ""}', "mine.jsonl:1: ?: id: missing"),
        (b'\n{"id": "\xff"}', "mine.jsonl:2: ?: byte 9 is not UTF-8"),
        (
            b'{"id": "1", "text": ""}\n{"id": "1", "text": ""}',
            "mine.jsonl:2: 1: a document of this identifier was in the file before",
        ),
    ],
)
def test_errors_in_files(tmp_path, content, line):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(read_jsonl(path))
    assert str(caught.value) == line


def test_broken_json_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"^mine.jsonl:1: \?: not JSON: [^\n]+$"):
        list(read_jsonl(save(tmp_path, '{"id": "1",')))


def test_memory_that_is_not_enough_costs_the_document_alone(tmp_path):
    def segmenter(text, spans=(), sections=()):
        if "huge" in text:
            raise MemoryError
        return segment(text, spans, sections)

    huge = changed(id="6", text="A huge text.", mentions=None, facts=None)
    errors = []
    path = save(tmp_path, RECORD, huge, changed(id="7"))
    documents = read_jsonl(path, segmenter=segmenter, on_error=errors.append)
    assert [document.id for document in documents] == ["5", "7"]
    assert list(map(str, errors)) == ["mine.jsonl:2: 6: there is not enough memory"]


@pytest.mark.parametrize(
    ("spans", "line"),
    [
        ([(0, 6), (15, 18)], "2 of 2 mentions begin or end within a word: are ends exclusive?"),
        ([(0, 7), (15, 19), (0, 14)], None),
        ([(0, 7), (15, 19), (0, 14), (0, 3)], None),
        ([(21, 22), (22, 23)], None),
    ],
)
def test_many_mentions_within_words_are_told(tmp_path, capsys, spans, line):
    mentions = [{"start": start, "end": end, "type": "A", "ids": ["1"]} for start, end in spans]
    path = save(tmp_path, {"id": "1", "text": "Velorin raised rash. 甲药甲药", "mentions": mentions})
    [document] = read_jsonl(path)
    assert len(document.mentions) == len(spans)
    assert capsys.readouterr().err == (f"note: mine.jsonl: {line}\n" if line else "")
