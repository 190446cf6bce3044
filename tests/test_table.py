"""Cells that spreadsheets open: none is a formula, and what was changed for that can be undone."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from glre_pyg.utils.table import quoted, unquoted

TEXT = st.text(st.sampled_from("''';;\t\t\r\n =+-@＝＋－＠ax") | st.characters(codec="utf-8"))


def is_formula(cell):
    """Whether a spreadsheet of any country would run a part of a cell."""
    return any(
        part.lstrip()[:1] in {*"=+-@＝＋－＠"} or part[:1] in {*"\t\r\n"}
        for part in re.split("[;\t]", cell)
        if part
    )


@given(TEXT)
@example("=1+1")
@example("\t=1")
@example("a; +1")
@example("a;\n")
def test_no_cell_is_a_formula(text):
    assert not is_formula(quoted(text))


@given(TEXT)
@example(" \t=")
@example("' '=")
@example(";';'='")
def test_quoting_is_undone(text):
    assert unquoted(quoted(text)) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="=+-@＝＋－＠;\t\r\n")))
def test_other_text_stays_as_it_is(text):
    assert quoted(text) == text
