import re
import time

import pysbd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glre_pyg.data import segmentation
from glre_pyg.data.document import Document, Mention, Sentence
from glre_pyg.data.segmentation import segment

ALPHABET = "aBé中😀à́ .?!,;:-()[]'\"0 12\n\r\t∯☉ȸ♨i.v.e.g"


def words_of(text, spans=()):
    return [text[start:end] for start, end in segment(text, spans)[0]]


def sentences_of(text, spans=(), sections=()):
    words, sentences = segment(text, spans, sections)
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


@pytest.mark.parametrize(
    "sentences",
    [
        ["Rats received 0.5 mg/kg i.v. for 3 days.", "None of them died."],
        ["Some drugs, e.g. velmorine, raised it (p less than 0.05).", "Others did not."],
        ["Dr. Smith et al. saw it.", "Is it new?", "Yes!"],
        ["The groups were 1) saline, 2) low dose and 3) high dose.", "All survived."],
        ["One.", "Two..."],
    ],
)
def test_sentences(sentences):
    assert sentences_of(" ".join(sentences)) == sentences


@pytest.mark.parametrize("space", [" ", "\x1c", "\x1f", "\u2028", "\u3000"])
def test_numbers_of_list_items_after_any_white_space(space):
    assert "".join(words_of(f"Doses:{space}1. low{space}2. high")) == "Doses:1.low2.high"


def test_sentences_of_given_words():
    text = "Velmorine was stopped . Dr. Smith saw chills . They passed ."  # "Dr." is one word here
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    assert segmentation.sentences_of(text, spans) == (Sentence(0, 4), Sentence(4, 9), Sentence(9, 12))
    across = [(spans[8][0], spans[9][1])]
    assert segmentation.sentences_of(text, spans, across) == (Sentence(0, 4), Sentence(4, 12))
    sections = (0, spans[6][0], len(text))
    assert Sentence(6, 9) in segmentation.sentences_of(text, spans, sections=sections)
    assert segmentation.sentences_of("", []) == ()


@given(st.text(ALPHABET, max_size=80))
def test_sentences_of_the_same_words_are_the_same(text):
    words, sentences = segment(text)
    assert segmentation.sentences_of(text, words) == sentences


def test_a_wrapped_line_goes_on_and_a_heading_does_not():
    text = "METHODS\nIt was given to\nall of the rats.\n\nRESULTS\nThey lived."
    expected = ["METHODS", "It was given to\nall of the rats.", "RESULTS", "They lived."]
    assert sentences_of(text) == expected


def test_no_break_inside_a_mention_but_one_at_its_edges():
    text = "It was St. Johns wort. It helped. So it did."
    (whole,) = sentences_of(text, [(7, 40)])
    assert whole == text
    assert len(sentences_of(text, [(23, 33)])) == 3


def test_sections_begin_sentences_except_inside_a_mention():
    text = "Effects of velmorine in rats We gave it"
    assert sentences_of(text, (), [(0, 28), (29, 39)]) == ["Effects of velmorine in rats", "We gave it"]
    assert sentences_of(text, [(24, 31)], [(0, 28), (29, 39)]) == [text]
    assert sentences_of(text) == [text]


def test_characters_that_pysbd_uses_itself_are_kept():
    text = "The ∯ and ☉ signs ȸ were seen. So was ♨ here. End of it."
    assert sentences_of(text) == ["The ∯ and ☉ signs ȸ were seen.", "So was ♨ here.", "End of it."]


def test_many_references_take_no_time():
    references = ", ".join(str(number) for number in range(10, 40))
    start = time.perf_counter()
    assert len(sentences_of(f"It was seen.[{references}] and so on. It was not.")) <= 3
    assert sentences_of(f"It was seen.[{references}] It was not.") == [
        f"It was seen.[{references}]",
        "It was not.",
    ]
    assert time.perf_counter() - start < 2  # seconds; exponential otherwise


def test_a_long_text_is_cut_like_a_short_one():
    one = "Velmorine was given to rats. They had 0.5 mg i.v. and lived. "
    assert sentences_of(one * 500) == sentences_of(one) * 500


def test_a_long_text_without_sentences_is_one():
    assert len(sentences_of("word " * 5_000)) == 1


@given(st.text(ALPHABET, max_size=80), st.data())
def test_nothing_is_lost(text, data):
    offsets = st.integers(0, len(text))
    spans = data.draw(st.lists(st.tuples(offsets, offsets).map(sorted).map(tuple), max_size=3))
    sections = [(0, cut), (cut, len(text))] if (cut := data.draw(offsets)) else []
    words, sentences = segment(text, spans, sections)
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
