import re
import sys
import time
from typing import get_args

import pysbd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glre_pyg.data import segmentation
from glre_pyg.data.document import Document, Mention, Sentence
from glre_pyg.data.segmentation import Splitter, segment, segmenter_of
from glre_pyg.utils.exceptions import InputError

SPLITTERS = get_args(Splitter)
both = pytest.mark.parametrize("splitter", SPLITTERS)
ALPHABET = "aBé中😀à́ .?!,;:-()[]'\"0 12\n\r\t∯☉ȸ♨i.v.e.g"


def words_of(text, spans=()):
    return [text[start:end] for start, end in segment(text, spans)[0]]


def sentences_of(text, spans=(), sections=(), splitter="pysbd"):
    words, sentences = segment(text, spans, sections, splitter=splitter)
    return [text[words[s.start][0] : words[s.end - 1][1]] for s in sentences]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dose: 0.5 mg, 1,000 times.", ["Dose", ":", "0.5", "mg", ",", "1,000", "times", "."]),
        ("P<.05 (n=3).", ["P", "<", ".05", "(", "n", "=", "3", ")", "."]),
        ("given i.v. or e.g. orally", ["given", "i.v.", "or", "e.g.", "orally"]),
        ("beta-blocker/ACE", ["beta", "-", "blocker", "/", "ACE"]),
        ("wait... what", ["wait", "...", "what"]),
        ("2,4-dinitro", ["2,4", "-", "dinitro"]),
        ("cafe\u0301 na\u00efve 5µg “x”", ["cafe\u0301", "na\u00efve", "5µg", "“", "x", "”"]),
        ("first.second", ["first", ".", "second"]),
        (" \n", []),
        ("", []),
    ],
)
def test_words(text, expected):
    assert words_of(text) == expected


def test_mention_boundaries_are_word_boundaries():
    assert words_of("rDEN2Delta30 i.v.", [(1, 5), (4, 10)]) == ["r", "DEN", "2", "Delta", "30", "i.v."]
    assert words_of("the 0.5 dose", [(4, 5)]) == ["the", "0", ".5", "dose"]


@both
@pytest.mark.parametrize(
    "sentences",
    [
        ["Rats received 0.5 mg/kg i.v. for 3 days.", "None of them died."],
        ["Some drugs, e.g. velmorine, raised it (p less than 0.05).", "Others did not."],
        ["Dr. Smith et al. saw it.", "Is it new?", "Yes!"],
        ["The groups were 1) saline, 2) low dose and 3) high dose.", "All survived."],
        ["One.", "Two..."],
        ["The dose was 0.5 mg.", "The rats lived.", "They had 50 mg./ml of it."],
        ["RESULTS: We saw it.", "CONCLUSION: It fell."],
        ["J. Smith saw it.", "So did R. A. Jones of E. coli."],
        ["Fig. 2 shows that A vs. B fell (cf. Fig. 3).", "See no. 4."],
        ["It fell by 5 %, i.e. the St. Johns wort et al.", "None rose."],
        ["It rose (P = .05).", "It fell (p < 0.05)!", "Why?"],
        ["“It rose.”", "He said so.", "'It fell.'", "She said."],
        ["It was seen.[3]", "It was not.[10, 11]", "It was [12].", "It is [13]."],
        ["第一句。", "「第二句！」", "Third."],
    ],
)
def test_sentences(sentences, splitter):
    assert sentences_of(" ".join(sentences), splitter=splitter) == sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It was given i.v.| The rats lived.", (True, False)),
        ("It was seen after LT.| Univariate analysis.", (False, False)),
        ("It was vitamin B.| It helped.", (False, True)),
        ("It fell, as Dr.| No saw.", (False, True)),
        ("It fell by ca.| 3 %.", (True, False)),
        ("The groups were 1.| saline, 2. dose.", (False, True)),
        ("See Figs.| 3 and 4.", (True, True)),
    ],
)
def test_where_the_splitters_differ_and_where_both_are_wrong(text, expected):
    before, _, after = text.partition("|")
    found = tuple(before in sentences_of(before + after, splitter=splitter) for splitter in SPLITTERS)
    assert found == expected


@both
@pytest.mark.parametrize("space", [" ", "\x1c", "\x1f", "\u2028", "\u3000"])
def test_numbers_of_list_items_after_any_white_space(space, splitter):
    found = sentences_of(f"Doses:{space}1. low{space}2. high", splitter=splitter)
    assert "".join("".join(found).split()) == "Doses:1.low2.high"


def test_sentences_of_given_words():
    text = "Velmorine was stopped . Dr. Smith saw chills . They passed ."  # "Dr." is one word here
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    assert segmentation.sentences_of(text, spans) == (Sentence(0, 4), Sentence(4, 9), Sentence(9, 12))
    across = [(spans[8][0], spans[9][1])]
    assert segmentation.sentences_of(text, spans, across) == (Sentence(0, 4), Sentence(4, 12))
    sections = (0, spans[6][0], len(text))
    assert Sentence(6, 9) in segmentation.sentences_of(text, spans, sections=sections)
    assert segmentation.sentences_of("", []) == ()


@both
@given(text=st.text(ALPHABET, max_size=80))
def test_sentences_of_the_same_words_are_the_same(text, splitter):
    words, sentences = segment(text, splitter=splitter)
    assert segmentation.sentences_of(text, words, splitter=splitter) == sentences


@both
@pytest.mark.parametrize("space", ["  ", "\t", "\x1c", "\xa0", "\u2028", " \u3000"])
def test_any_white_space_ends_a_sentence(space, splitter):
    assert sentences_of(f"It rose.{space}It fell.", splitter=splitter) == ["It rose.", "It fell."]


@both
def test_a_wrapped_line_goes_on_and_a_heading_does_not(splitter):
    text = "METHODS\nIt was given to\nall of the rats.\n\nRESULTS\nThey lived."
    expected = ["METHODS", "It was given to\nall of the rats.", "RESULTS", "They lived."]
    assert sentences_of(text, splitter=splitter) == expected
    assert sentences_of(text.replace("\n", "\r\n"), splitter=splitter) == [
        sentence.replace("\n", "\r\n") for sentence in expected
    ]


@both
def test_no_break_inside_a_mention_but_one_at_its_edges(splitter):
    text = "It was St. Johns wort. It helped. So it did."
    (whole,) = sentences_of(text, [(7, 40)], splitter=splitter)
    assert whole == text
    assert len(sentences_of(text, [(23, 33)], splitter=splitter)) == 3


@both
def test_sections_begin_sentences_except_inside_a_mention(splitter):
    text = "Effects of velmorine in rats We gave it"
    title, abstract = "Effects of velmorine in rats", "We gave it"
    assert sentences_of(text, (), [(0, 28), (29, 39)], splitter) == [title, abstract]
    assert sentences_of(text, [(24, 31)], [(0, 28), (29, 39)], splitter) == [text]
    assert sentences_of(text, splitter=splitter) == [text]


@both
def test_characters_that_pysbd_uses_itself_are_kept(splitter):
    text = "The ∯ and ☉ signs ȸ were seen. So was ♨ here. End of it."
    expected = ["The ∯ and ☉ signs ȸ were seen.", "So was ♨ here.", "End of it."]
    assert sentences_of(text, splitter=splitter) == expected


@both
def test_characters_are_counted_not_bytes(splitter):
    text = "\ufeffà𝔘 rose\u200b. 😀 It fell. So\u00ad did é."
    expected = ["\ufeffà𝔘 rose\u200b.", "😀 It fell.", "So\u00ad did é."]
    assert sentences_of(text, splitter=splitter) == expected


@both
def test_many_references_take_no_time(splitter):
    references = ", ".join(str(number) for number in range(10, 40))
    start = time.perf_counter()
    text = f"It was seen.[{references}] and so on. It was not."
    assert len(sentences_of(text, splitter=splitter)) <= 3
    assert sentences_of(f"It was seen.[{references}] It was not.", splitter=splitter) == [
        f"It was seen.[{references}]",
        "It was not.",
    ]
    assert time.perf_counter() - start < 2  # seconds; exponential otherwise


@both
@pytest.mark.parametrize("one", ["Velmorine was given to rats. They had 0.5 mg i.v. and lived. ", "中文。"])
def test_a_long_text_is_cut_like_a_short_one(one, splitter):
    found = sentences_of(one * 1_000, splitter=splitter)
    assert found == sentences_of(one, splitter=splitter) * 1_000


def test_time_of_sentencex_is_linear_in_the_length_of_a_line():
    times = []
    for count in (8_000, 40_000):
        start = time.process_time()
        assert len(sentences_of("中文。" * count, splitter="sentencex")) == count
        times.append(time.process_time() - start)
    assert times[1] / times[0] < 12  # 5 times the length; 25 if it were quadratic


@both
def test_a_long_text_without_sentences_is_one(splitter):
    assert len(sentences_of("word " * 5_000, splitter=splitter)) == 1


@both
@given(text=st.text(ALPHABET, max_size=80), data=st.data())
def test_nothing_is_lost(text, data, splitter):
    offsets = st.integers(0, len(text))
    spans = data.draw(st.lists(st.tuples(offsets, offsets).map(sorted).map(tuple), max_size=3))
    sections = [(0, cut), (cut, len(text))] if (cut := data.draw(offsets)) else []
    words, sentences = segment(text, spans, sections, splitter=splitter)
    assert all(start < end for start, end in words)
    assert not any(character.isspace() for start, end in words for character in text[start:end])
    assert "".join(text[start:end] for start, end in words) == "".join(text.split())
    # Document checks that words are in order, sentences partition them, and mentions fit both.
    mentions = tuple(Mention(*span, "T", ()) for span in spans if text[slice(*span)].strip())
    Document("1", text, words, sentences, mentions)


_PARTS = st.sampled_from(
    [
        "Dr",
        "dr.",
        "St.",
        "e.g.",
        "i.e",
        "ice.",
        "No.",
        "no",
        "Fig. 2",
        "al.",
        "et al. ",
        "vs.",
        "U.S.A.",
        "mg.",
        "Approx.",
        "ſt.",
        "p. 5",
        "Jan.",
        "ext.",
        "He",
        "It",
        "the",
        ".",
        "?",
        ",",
        "(",
        ")",
        "7",
        "µ",
        "\n",
        "A.",
        "Prof.",
        "Kſ.",
        "İ.e.",
    ]
)


@given(st.lists(_PARTS, max_size=25), st.sampled_from([" ", "", "  "]))
def test_sentences_are_those_of_pysbd_itself(parts, between):
    text = between.join(parts)
    plain = pysbd.Segmenter(language="en", clean=False)
    assert segmentation._split(text) == list(plain.processor(text).process())


def test_words_are_those_that_the_pattern_finds_without_its_first_alternative():
    slow = re.compile(segmentation._WORD.pattern.partition("|")[2])
    parts = st.sampled_from(
        ["ab", "a", "i.v.", "e", ".", " ", "-", "5", "_", "é", "中", "µ", "\u0301", ",", "]", "{"]
    )

    @given(st.lists(parts).map("".join))
    def check(text):
        assert words_of(text) == [match.group() for match in slow.finditer(text)]

    check()


def test_a_splitter_that_is_not_installed_or_not_known(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencex", None)
    line = r"^sentences: sentencex is not installed: pip install 'glre_pyg\[sentencex\]'$"
    with pytest.raises(InputError, match=line):
        segmenter_of("sentencex")
    assert segmenter_of("pysbd")("One. Two.", (), ()) == segment("One. Two.")
    with pytest.raises(InputError, match=r"^sentences: 'nltk' is not one of pysbd, sentencex"):
        segmenter_of("nltk")


def test_every_splitter_has_a_name():
    assert tuple(segmentation._SPLITTERS) == SPLITTERS
