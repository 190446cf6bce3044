"""Calibration of probabilities, and how well they agree with the facts."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import run
from glre_pyg import save_pretrained
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.evaluation.calibration import (
    ENOUGH,
    NOT_CALIBRATED,
    Calibration,
    Decision,
    calibration_error,
    fitted_calibration,
    read_calibration,
    reliability,
)
from glre_pyg.evaluation.predictions import read_predictions
from glre_pyg.evaluation.thresholds import one_threshold, threshold_by_relation
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.runs.loading import load
from glre_pyg.utils.exceptions import InputError
from scored import random_pairs, scored_pairs


def drawn(slope, intercept, *, size=200_000, seed=0):
    """Pairs whose facts are drawn with the calibrated probability."""
    draw = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-2 * draw.standard_normal(size)))
    calibrated = Calibration(slope, intercept)(probability)
    return scored_pairs(probability, draw.random(size) < calibrated, dtype=np.float64)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, -1.0), (2.0, 0.5)])
def test_slope_and_intercept_are_found(slope, intercept):
    pairs = drawn(slope, intercept)
    found = fitted_calibration(pairs)
    assert found.slope == pytest.approx(slope, rel=0.03)
    assert found.intercept == pytest.approx(intercept, abs=0.03)
    before, after = (calibration_error(reliability(each)) for each in (pairs, found.pairs(pairs)))
    assert after < 0.01
    assert after < before + 0.001


@given(seed=st.integers(0, 1000), slope=st.floats(0.2, 5), intercept=st.floats(-3, 3))
def test_calibration_changes_no_decision(seed, slope, intercept):
    pairs, calibration = random_pairs(seed), Calibration(slope, intercept)
    for threshold in (one_threshold(pairs), threshold_by_relation(pairs, min_facts=1), 0.5):
        calibrated = calibration.pairs(pairs).predicted(calibration.threshold(threshold))
        np.testing.assert_array_equal(calibrated, pairs.predicted(threshold))


def test_the_inverse_restores_probabilities():
    calibration, probability = Calibration(0.4, -1.0), np.linspace(0, 1, 1001, dtype=np.float32)
    np.testing.assert_allclose(calibration.inverse(calibration(probability)), probability, atol=1e-5)


def test_pairs_that_are_no_candidates_keep_their_zero():
    probability, is_fact = [0.2, 0.9, 0.8, 0.3] * ENOUGH, [False, True, False, True] * ENOUGH
    pairs = scored_pairs([0.0, *probability], [True, *is_fact])
    found = fitted_calibration(pairs)
    assert found == fitted_calibration(scored_pairs(probability, is_fact)) != NOT_CALIBRATED
    assert found.pairs(pairs).probability[0, 0] == 0
    assert Calibration(1.0, 5.0)(np.zeros(2, np.float32)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("probability", "is_fact"),
    [
        ([0.1, 0.9] * ENOUGH, [False, False] * ENOUGH),
        ([0.1, 0.9] * ENOUGH, [True, True] * ENOUGH),
        ([], []),
        ([0.1, 0.9] * (ENOUGH - 1), [False, True] * (ENOUGH - 1)),
        ([0.1, 0.2, 0.8, 0.9] * ENOUGH, [True, True, False, False] * ENOUGH),
    ],
)
def test_what_cannot_be_calibrated_is_left_as_it_is(probability, is_fact):
    assert fitted_calibration(scored_pairs(probability, is_fact)) == NOT_CALIBRATED


def test_a_perfect_ranking_has_a_finite_calibration():
    probability, is_fact = [1e-30, 0.1, 0.4, 0.6, 1.0], [False, False, False, True, True]
    found = fitted_calibration(scored_pairs(probability * ENOUGH, is_fact * ENOUGH))
    assert 0 < found.slope < 100
    assert np.isfinite(found.intercept)


def test_reliability_agrees_with_plain_loops():
    pairs = random_pairs(3)
    pairs.probability[0, :2] = 1.0, 5e-4
    bins = [[] for _ in range(10)]
    for p, fact in zip(pairs.probability.ravel().tolist(), pairs.is_fact.ravel(), strict=True):
        p = 0 if p < 1e-3 else p
        bins[min(int(p * 10), 9)].append((p, fact))
    found = reliability(pairs)
    assert [*found] == [f"0.{n}-{'1.0' if n == 9 else f'0.{n + 1}'}" for n in range(10) if bins[n]]
    error = 0
    for row, each in zip(found.values(), filter(None, bins), strict=True):
        mean, share = np.mean(each, axis=0)
        assert row == {"count": len(each), "mean": pytest.approx(mean), "share": pytest.approx(share)}
        error += len(each) / pairs.probability.size * abs(mean - share)
    assert calibration_error(found) == pytest.approx(error)
    assert calibration_error({}) == 0


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"slope": 0, "intercept": 0}, "slope"),
        ({"slope": -1.0, "intercept": 0}, "slope"),
        ({"slope": 1.0}, "intercept"),
        ({"slope": 1.0, "intercept": "much"}, "intercept"),
        ({"slope": 1.0, "intercept": float("inf")}, "not finite"),
        ([1.0, 0.0], "calibration"),
    ],
)
def test_a_malformed_calibration_is_refused(written, message):
    with pytest.raises(InputError, match=message):
        read_calibration({"calibration": written})


SIZES = {"train": 24, "dev": 50, "test": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run trained on train, and one on train and dev."""
    folder = tmp_path_factory.mktemp("calibration")
    for split, size in SIZES.items():
        write_jsonl(list(SyntheticCorpus(bridged=0.0).generate(split, size)), folder / f"{split}.jsonl")
    files = [f"dataset.{split}={folder}/{split}.jsonl" for split in SIZES]
    tiny = ["encoder=tiny", "training.epochs=12", "training.batch_size=4", "optimizer.lr=5e-3"]
    command = ["dataset=jsonl", *files, "dataset.pair_types=[[Chemical,Disease]]", *tiny]
    for name, overrides in {"run": [], "both": ["setting=train+dev", f"fixed_by={folder}/run"]}.items():
        run("train", *command, *overrides, f"hydra.run.dir={name}", cwd=folder)
    return folder


def scores_of(folder):
    return json.loads((folder / "scores.json").read_text(encoding="utf-8"))


def test_a_run_has_the_calibration_of_dev(folder):
    trained, scores = load(folder / "run"), scores_of(folder / "run")
    written = read_predictions(folder / "run/predictions_dev.jsonl", trained.labels.relations)
    assert trained.calibration == Calibration(**scores["calibration"]) != NOT_CALIBRATED
    raw = replace(trained, calibration=NOT_CALIBRATED).score([*read_jsonl(folder / "dev.jsonl")])
    assert trained.calibration == fitted_calibration(raw)
    calibrated = trained.score([*read_jsonl(folder / "dev.jsonl")])
    floor = np.where(calibrated.probability < 1e-3, 0, calibrated.probability)
    np.testing.assert_allclose(written.probability, floor, atol=2e-6)
    assert scores["dev"]["calibration_error"] == calibration_error(reliability(written))
    before = calibration_error(reliability(trained.calibration.inverse.pairs(written)))
    assert scores["dev"]["calibration_error_before"] == pytest.approx(before)
    np.testing.assert_array_equal(calibrated.predicted(trained.threshold), raw.predicted(one_threshold(raw)))


def test_evaluate_says_what_calibration_is_worth(folder):
    out, _ = run("evaluate", "run=run", "split=test", cwd=folder)
    test = scores_of(folder / "run")["test"]
    error, before = test["calibration_error"], test["calibration_error_before"]
    assert f"calibration error of probabilities: {error:.4f} ({before:.4f} before calibration)" in out


def test_train_and_dev_have_the_calibration_of_the_run_that_fixes_the_epoch(folder):
    assert load(folder / "both").calibration == load(folder / "run").calibration


def test_a_saved_model_has_its_calibration(folder, tmp_path):
    save_pretrained(load(folder / "run"), tmp_path / "model")
    assert load(tmp_path / "model").calibration == load(folder / "run").calibration


def test_a_run_of_the_time_before_calibration_is_not_calibrated(folder, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "old")
    scores = scores_of(tmp_path / "old")
    del scores["calibration"]
    (tmp_path / "old/scores.json").write_text(json.dumps(scores))
    (tmp_path / "old/checksums.json").unlink()
    assert load(tmp_path / "old").calibration == NOT_CALIBRATED


def test_a_report_shows_reliability(folder):
    run("report", "runs=run", "output=report", cwd=folder)
    assert (folder / "report/reliability.png").read_bytes().startswith(b"\x89PNG")
    assert "![reliability](reliability.png)" in (folder / "report/report.md").read_text(encoding="utf-8")


def test_a_threshold_that_is_learnt_stays_where_it_was():
    pairs = drawn(0.4, -1.0, size=500)
    decision = Decision.on(pairs, lambda pairs: 0.5)
    np.testing.assert_array_equal(
        decision.calibration.pairs(pairs).predicted(decision.threshold), pairs.predicted(0.5)
    )
