"""Test whether one run is better than another on the documents of a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glre_pyg.evaluation.predictions import predictions_of, read_predictions
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.evaluation.significance import PairedTest, compare, f1_interval, paired_counts
from glre_pyg.evaluation.thresholds import read_threshold
from glre_pyg.reporting.run_records import SCORES, Record, common_protocol, find_runs, read_record
from glre_pyg.utils.console import echo, plural
from glre_pyg.utils.exceptions import InputError


def compare_runs(places: str | Sequence[str], *, split: str = "test", filtered: bool = True) -> PairedTest:
    """Compare the F1 of two runs in a test paired by document, each with its own threshold, and print it.

    Args:
        places: Two run directories, or glob patterns or a folder above them.
        split: ``"dev"`` or ``"test"``.
        filtered: See :meth:`~glre_pyg.evaluation.scores.ScoredPairs.score`.

    Raises:
        InputError: If there are not two runs, one has no predictions of the split, or their protocols differ.
    """
    folders = find_runs(places)
    if len(folders) != 2:
        number = f"{len(folders)} {plural(len(folders), 'run')}"
        raise InputError(f"runs: {number}, but two are compared: {', '.join(map(str, folders))}")
    records = [read_record(folder) for folder in folders]
    protocol = common_protocol(records)
    pairs = [read_pairs(record, split) for record in records]
    thresholds = [_threshold(record) for record in records]
    test = compare(pairs[0], thresholds[0], pairs[1], thresholds[1], filtered=filtered)
    kind = "" if filtered else ", every candidate pair counts"
    echo(f"protocol: {protocol}")
    documents = plural(test.documents, "document")
    echo(f"F1 on {split} in percent, with 95 % bootstrap intervals over {test.documents} {documents}{kind}")
    width = max(len(str(folder)) for folder in folders)
    for folder, scored, threshold in zip(folders, pairs, thresholds, strict=True):
        low, high = f1_interval(scored.counts_by_document(threshold, filtered=filtered)[1])
        f1 = scored.score(threshold, filtered=filtered).f1
        echo(f"{folder!s:{width}s}  {100 * f1:.2f}  [{100 * low:.2f}, {100 * high:.2f}]")
    low, high = test.interval
    echo(
        f"{'difference':{width}s}  {100 * test.difference:+.2f}  [{100 * low:+.2f}, {100 * high:+.2f}]"
        f"  p = {test.p_value:.4f} (paired permutation test)"
    )
    if (test.p_value < 0.05) != (low > 0 or high < 0):
        echo(
            "p and the interval disagree, so the evidence is weak: p is for runs that are equally good, and "
            "exchanges them in random documents; the interval draws other documents"
        )
    return test


def aligned_counts(records: Sequence[Record], split: str) -> list[np.ndarray]:
    """Return the true positives, predictions and facts [D, 3] of runs, with documents in the same order.

    Raises:
        InputError: If a run has no predictions of the split, or two runs have different documents.
    """
    counts = [
        read_pairs(record, split).counts_by_document(_threshold(record), filtered=True) for record in records
    ]
    return [paired_counts(counts[0], each) for each in counts]


def _threshold(record: Record) -> Threshold:
    return read_threshold(record.scores.get("threshold"), record.relations, record.folder / SCORES)


def read_pairs(record: Record, split: str) -> ScoredPairs:
    """Read the scored pairs of a run on a split.

    Raises:
        InputError: If it has no predictions of that split, or they cannot be read.
    """
    path = predictions_of(record.folder, split)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return read_predictions(path, record.relations)
