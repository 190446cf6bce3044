"""A run: a trained model with everything that it takes to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec import Struct
from omegaconf import DictConfig

from glre_pyg.data.annotations import Annotations
from glre_pyg.data.document import Document
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.labels import Labels
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.evaluation.calibration import NOT_CALIBRATED, Calibration
from glre_pyg.evaluation.known_facts import NamedFacts
from glre_pyg.evaluation.precisions import precision_of
from glre_pyg.evaluation.protocol import NumericPrecision, PrecisionSetting
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.models.base import RelationModel
from glre_pyg.runs.checksums import write_checksums
from glre_pyg.runs.directory import ENVIRONMENT, read_scores
from glre_pyg.runs.encoder_cache import FeatureStore
from glre_pyg.runs.numeric_precision import Bf16Check, autocast, chosen_precision, has_bf16
from glre_pyg.runs.prediction import encode_once, predict, score_pairs
from glre_pyg.utils import distributed
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.exceptions import InputError, note
from glre_pyg.utils.files import read_json
from glre_pyg.utils.json_fields import Probability, convert


class _AtPrecision(Struct):
    """A row of ``by_precision`` in ``scores.json``."""

    threshold: Probability
    precision: Probability
    interval: tuple[Probability, Probability]
    recall: Probability


@dataclass(frozen=True)
class Run:
    """A trained model with everything that it takes to use it.

    Args:
        model: The model, with its best weights.
        tokenizer: The tokenizer of its encoder.
        labels: Names of relations and entity types, and which pairs are candidates.
        threshold: Calibrated probability above which a relation is predicted: one number, or one for each
            relation.
        config: The resolved config.
        known: Facts that Ign F1 leaves out, if the corpus has such a score.
        store: Cache for the word vectors of a frozen encoder; None for no cache.
        memory: Bytes that predictions may use; None for no limit.
        scores: Threshold, protocol and scores, as in ``scores.json``; empty before the run is finished.
        environment: Versions and machine of the training, as in ``environment.json``; empty if unknown.
        annotations: What the model asks for beside tokens.
        calibration: Calibration of the model's probabilities.
        precision: Numeric precision of predictions.
    """

    model: RelationModel
    tokenizer: Tokenizer
    labels: Labels
    threshold: Threshold
    config: DictConfig
    known: NamedFacts | None
    store: FeatureStore | None = None
    memory: int | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    annotations: Annotations = field(default_factory=Annotations)
    calibration: Calibration = NOT_CALIBRATED
    precision: NumericPrecision = "fp32"

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device

    def threshold_of(self, wanted: str) -> float:
        """Return the threshold that had a precision on dev, such as ``"precision:0.9"``, and print a line.

        Raises:
            InputError: If it is not such a text, or the run has no such threshold.
        """
        precision = precision_of(wanted)
        found = self.scores.get("by_precision")
        if not isinstance(found, dict):
            raise InputError(f"threshold: {wanted}: the run has no thresholds by precision")
        if precision not in found:
            raise InputError(f"threshold: {wanted}: no threshold had this precision on dev")
        row = convert(found[precision], _AtPrecision, f"by_precision.{precision}")
        note(
            f"threshold {row.threshold:.3f}: on dev, precision {row.precision:.3f} "
            f"(95 %: {row.interval[0]:.3f} to {row.interval[1]:.3f}), recall {row.recall:.3f}"
        )
        return row.threshold

    def in_precision(self, setting: PrecisionSetting) -> Run:
        """Return the run with another numeric precision, and print which, unless fp32 is asked for.

        Raises:
            InputError: If there is no such precision, or the device does not have it.
        """
        return replace(self, precision=chosen_precision(setting, self.scores, self.device))

    def graphs(self, documents: Sequence[Document]) -> list[DocumentGraph]:
        """Build graphs for prediction, which do not contain the documents' facts."""
        graphs = self._blind_graphs(documents)
        self._encode(graphs, add=False)
        return graphs

    def _blind_graphs(self, documents: Sequence[Document], cache: Cache | None = None) -> list[DocumentGraph]:
        return self.annotations.add(map(self.tokenizer, map(self.labels.blind_graph, documents)), cache)

    def _encode(self, graphs: Sequence[DocumentGraph], *, add: bool) -> None:
        """Set the word vectors of a frozen encoder, if there is a store, to which new ones may be added."""
        if self.store is not None:
            size = self.config.eval_batch_size
            encode_once(self.model, graphs, batch_size=size, device=self.device, store=self.store, add=add)

    def predict(self, graphs: Sequence[DocumentGraph], *, progress: str | None = None) -> list[np.ndarray]:
        """Return the calibrated probabilities [P, R] of the candidate pairs of each of :meth:`graphs`.

        Args:
            graphs: The graphs.
            progress: Title of a progress bar; None for no bar.

        Raises:
            InputError: If a document needs more memory than may be used, or a probability is not finite.
        """
        probabilities = predict(
            self.model,
            graphs,
            batch_size=self.config.eval_batch_size,
            device=self.device,
            autocast=autocast(self.precision, self.device),
            progress=progress,
            memory=self.memory,
        )
        if not all(np.isfinite(rows).all() for rows in probabilities):
            raise InputError("the model's probabilities are not finite")
        return [*map(self.calibration, probabilities)]

    def score(
        self,
        documents: Sequence[Document],
        *,
        graphs: Sequence[DocumentGraph] | None = None,
        progress: str | None = None,
    ) -> ScoredPairs:
        """Predict all candidate pairs of documents, and set the probabilities beside the facts.

        Several processes share the documents; all have to call this, and all get the result.

        Args:
            documents: Documents with their facts.
            graphs: Their graphs, if they exist already.
            progress: Title of a progress bar; None for no bar.
        """
        if graphs is None:
            graphs = self._blind_graphs(documents, self.store.cache if self.store else None)
        shard = distributed.shard(graphs)
        self._encode(shard, add=True)
        probabilities = distributed.all_gather(self.predict(shard, progress=progress))
        return score_pairs(documents, graphs, probabilities, self.labels, self.known)

    def bf16_check(
        self,
        documents: Sequence[Document],
        pairs: ScoredPairs,
        *,
        graphs: Sequence[DocumentGraph] | None = None,
    ) -> dict[str, Any]:
        """Predict dev in bf16, and compare it with fp32, for ``precision=auto``.

        Args:
            documents: Documents of dev.
            pairs: Their scored pairs in fp32.
            graphs: Their graphs, if they exist already.

        Returns:
            The entry ``bf16`` of ``scores.json``; none if the device has no instructions for bf16, or the
            model cannot compute in it.
        """
        if not has_bf16(self.device):
            return {}
        try:
            bf16 = replace(self, precision="bf16").score(documents, graphs=graphs, progress="dev in bf16")
        except RuntimeError:  # not every model can compute in it
            return {}
        return {"bf16": asdict(Bf16Check.of(pairs, bf16, self.threshold))}


def finish(run: Run, folder: Path) -> Run:
    """Write the checksums of a complete run directory; return the run with its scores and environment."""
    write_checksums(folder)
    return replace(run, scores=read_scores(folder), environment=read_json(folder / ENVIRONMENT))
