"""Prediction files: what is read is what was written, and bad lines are named."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from documents import LABELS, random_documents
from glre_pyg.evaluation.breakdown import all_scores
from glre_pyg.evaluation.known_facts import NamedFacts, named_facts, read_named_facts
from glre_pyg.evaluation.predictions import FLOOR, read_predictions, write_predictions
from glre_pyg.evaluation.protocol import Protocol
from glre_pyg.evaluation.thresholds import one_threshold, threshold_by_relation
from glre_pyg.utils.exceptions import InputError
from scored import random_pairs, scored, scored_pairs


def written(pairs, path, *threshold):
    write_predictions(pairs, path, *threshold)
    return read_predictions(path, pairs.relations)


def test_what_is_read_is_what_was_written(tmp_path):
    pairs = random_pairs(0, pairs=200)
    back = written(pairs, tmp_path / "predictions.jsonl")
    low = pairs.probability < np.float32(FLOOR)
    for column in dataclasses.fields(pairs):
        one, other = getattr(pairs, column.name), getattr(back, column.name)
        if column.name == "probability":
            one = np.where(low, 0, one)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other), column.name
        else:
            assert list(one) == list(other), column.name
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.jsonl"]


@pytest.mark.parametrize("seed", range(3))
def test_scores_and_thresholds_of_a_file_are_those_of_the_run(tmp_path, seed):
    pairs = random_pairs(seed)
    back = written(pairs, tmp_path / "predictions.jsonl")
    thresholds = threshold_by_relation(pairs, min_facts=2)
    assert one_threshold(back) == one_threshold(pairs)
    assert threshold_by_relation(back, min_facts=2).tolist() == thresholds.tolist()
    for threshold in (0.5, FLOOR, one_threshold(pairs), thresholds, *pairs.probability[:5, 0].tolist()):
        assert all_scores(back, threshold) == all_scores(pairs, threshold)


def test_pairs_of_documents(tmp_path):
    documents = random_documents(5)
    pairs = scored(documents, known=named_facts(documents[:1], source=tmp_path), seed=1)
    back = written(pairs, tmp_path / "predictions.jsonl")
    assert all_scores(back, 0.5) == all_scores(pairs, 0.5)
    assert "ign" in all_scores(back, 0.5)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(np.float32(FLOOR), 1, width=32), min_size=1, max_size=20))
def test_probabilities_are_exact(tmp_path, values):
    neighbours = [np.nextafter(np.float32(value), np.float32(side)) for value in values for side in (0, 1)]
    pairs = scored_pairs(np.array([*values, *neighbours], dtype=np.float32), np.zeros(3 * len(values)))
    kept = pairs.probability >= FLOOR
    back = written(pairs, tmp_path / "predictions.jsonl")
    assert np.array_equal(back.probability[kept], pairs.probability[kept])


def test_low_probabilities_are_written_where_they_exceed_the_threshold(tmp_path):
    pairs = scored_pairs([[3e-5, 3e-5], [0.5, 1e-6], [1e-5, 0.5]], np.eye(3, 2))
    thresholds = np.array([2e-5, 0.2])
    back = written(pairs, tmp_path / "predictions.jsonl", thresholds)
    assert np.array_equal(back.predicted(thresholds), pairs.predicted(thresholds))
    assert back.probability[:, 0].tolist() == [float(np.float32(3e-5)), 0.5, 0.0]
    assert written(pairs, tmp_path / "predictions.jsonl").probability[0].tolist() == [0, 0]


def test_lines(tmp_path):
    pairs = scored_pairs(
        [[0.1, 0.0], [0.0, 0.75]],
        [[0, 0], [1, 1]],
        other_facts=[0, 2],
        ignored=[1, 0],
        known=[[0, 0], [0, 1]],
        distance=[-1, 2],
        mentions=[0.5, 3],
        documents=["é", "e"],
    )
    write_predictions(pairs, tmp_path / "predictions.jsonl")
    lines = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            **{"document": "é", "head": "h", "tail": "0", "probability": {"r": 0.100000001}},
            **{"distance": -1, "mentions": 0.5, "ignored": True},
        },
        {
            **{"document": "e", "head": "h", "tail": "1", "probability": {"s": 0.75}},
            **{"distance": 2, "mentions": 3.0, "facts": ["r", "s"], "known": ["s"], "other_facts": 2},
        },
    ]
    assert (
        '"r": 0.100000001}' in lines[0]
    )  # the nearest to 0.1 in single precision, in as many digits as it needs


def test_no_pair(tmp_path):
    none = scored_pairs(np.empty((0, 2)), np.empty((0, 2)))
    assert written(none, tmp_path / "predictions.jsonl").probability.shape == (0, 2)


# Bad files

GOOD = {
    "document": "d",
    "head": "V",
    "tail": "R",
    "probability": {"causes": 0.5},
    "distance": 1,
    "mentions": 1,
}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON: "),
        ("", "not JSON: "),
        ("[1]", "expected `object`, got `array`"),
        ('{"document": "\xff"}'.encode("latin-1"), "byte 15 is not UTF-8"),
        (GOOD | {"document": 3}, "document: expected `str`, got `int`"),
        (GOOD | {"distance": None}, "distance: expected `int`, got `null`"),
        (GOOD | {"distance": "1"}, "distance: expected `int`, got `str`"),
        (GOOD | {"distance": True}, "distance: expected `int`, got `bool`"),
        (GOOD | {"mentions": "many"}, "mentions: expected `float`, got `str`"),
        (GOOD | {"probability": [0.5]}, "probability: expected `object`, got `array`"),
        (GOOD | {"probability": {"cures": 0.5}}, "probability: 'cures' is not a relation of the run"),
        (GOOD | {"probability": {"causes": 1.5}}, r"probability\[...\]: expected `float` <= 1.0"),
        (GOOD | {"probability": {"causes": "0.5"}}, r"probability\[...\]: expected `float`, got `str`"),
        (GOOD | {"probability": {"causes": float("nan")}}, r"probability\[...\]: expected `float` >= 0.0"),
        ('{"document": "d", "document": "e"}', "document: given twice"),
        (GOOD | {"fact": ["causes"]}, "unknown field 'fact'"),
        (GOOD | {"document": "\ud83d"}, "document: half of a surrogate pair is in it"),
        (GOOD | {"distance": 10**40}, "distance: expected `int` <= 9007199254740991"),
        (GOOD | {"other_facts": -(10**40)}, "other_facts: expected `int` >= -9007199254740991"),
        (GOOD | {"mentions": float("inf")}, "mentions: expected `float` < 9007199254740992.0"),
        (GOOD | {"mentions": float("nan")}, "mentions: expected `float` > -9007199254740992.0"),
        (GOOD | {"mentions": 10**400}, "mentions: number out of range"),
        ("[" * 100_000, "not JSON: "),
        (GOOD | {"facts": ["cures"]}, "facts: 'cures' is not a relation of the run"),
        (GOOD | {"facts": [["causes"]]}, r"facts\[0\]: expected `str`, got `array`"),
        (GOOD | {"known": "causes"}, "known: expected `array`, got `str`"),
        (GOOD | {"other_facts": 0.5}, "other_facts: expected `int`, got `float`"),
        (GOOD | {"ignored": 1}, "ignored: expected `bool`, got `int`"),
        ({name: value for name, value in GOOD.items() if name != "tail"}, "tail: missing"),
        (GOOD | {"head": "other"}, "head, tail: this pair of the document stood in a line before"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, reason):
    path = tmp_path / "predictions.jsonl"
    good = "".join(json.dumps(GOOD | {"head": head}) + "\n" for head in ("V", "other"))
    line = json.dumps(line) if isinstance(line, dict) else line
    line = line.encode() if isinstance(line, str) else line
    path.write_bytes(good.encode() + line + b"\n" + json.dumps(GOOD | {"tail": "last"}).encode() + b"\n")
    with pytest.raises(InputError, match=rf"^{path}:3: {reason}") as error:
        read_predictions(path, LABELS.relations)
    assert len(str(error.value).splitlines()) == 1


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match=rf"^{tmp_path}/none.jsonl: No such file"):
        read_predictions(tmp_path / "none.jsonl", LABELS.relations)


# Facts by name, and protocols


def test_named_facts_of_a_file(tmp_path):
    path = tmp_path / "train.fact"
    path.write_text('[["aspirin", "asthma", "causes"], ["aspirin", "fever", "treats"]]')
    found = read_named_facts(path)
    assert found == NamedFacts(
        frozenset({("aspirin", "asthma", "causes"), ("aspirin", "fever", "treats")}), path
    )
    assert found.holds(frozenset({"ASA", "aspirin"}), "causes", frozenset({"asthma"}))
    assert not found.holds(frozenset({"aspirin"}), "treats", frozenset({"asthma"}))
    assert not found.holds(frozenset({"asthma"}), "causes", frozenset({"aspirin"}))
    assert not found.holds(frozenset(), "causes", frozenset({"asthma"}))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[", ": not JSON: "),
        ('{"abc": 1}', ": expected `array`, got `object`"),
        ('[["a", "b", "c"], "abc"]', r": \[1\]: expected `array`, got `str`"),
        ('[["a", "b"]]', r": \[0\]: expected `array` of length 3, got 2"),
        ('[["a", "b", 3]]', r": \[0\]\[2\]: expected `str`, got `int`"),
    ],
)
def test_bad_files_of_named_facts(tmp_path, content, reason):
    path = tmp_path / "train.fact"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"^{path}{reason}") as error:
        read_named_facts(path)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(InputError, match=rf"^{tmp_path}/none: No such file"):
        read_named_facts(tmp_path / "none")


PROTOCOL = Protocol(
    "cdr", "eog", {"dev": "a" * 64, "test": "b" * 64}, "dev", None, "train", "global, from dev"
)


def test_protocols_differ_by_name():
    assert PROTOCOL.differences(PROTOCOL) == []
    other = dataclasses.replace(PROTOCOL, pairs="bran", files={"dev": "a" * 64, "test": "c" * 64})
    assert PROTOCOL.differences(other) == other.differences(PROTOCOL) == ["pairs", "files"]
    assert Protocol(**json.loads(json.dumps(dataclasses.asdict(other)))) == other


def test_a_protocol_in_a_line():
    assert str(PROTOCOL) == (
        "cdr (dev aaaaaaaa, test bbbbbbbb), eog, trained on train, dev: dev, threshold: global, from dev, in fp32"
    )
    assert str(dataclasses.replace(PROTOCOL, ignored="c" * 64)).endswith(
        "; Ign without the facts of cccccccc"
    )
    assert str(dataclasses.replace(PROTOCOL, files={})).startswith("cdr (generated)")
