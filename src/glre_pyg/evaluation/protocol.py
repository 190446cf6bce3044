"""The conditions under which a model was scored; only scores under one protocol are comparable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

SPLITS = ("train", "dev", "test")
NumericPrecision = Literal["fp32", "bf16", "fp16"]
PrecisionSetting = Literal["auto", "fp32", "bf16", "fp16"]
"""``"auto"`` is bf16 where it is fast and has cost little F1 on dev; otherwise fp32."""


@dataclass(frozen=True)
class Protocol:
    """Conditions of a score.

    Args:
        corpus: Name of the corpus.
        pairs: How candidate pairs are counted.
        files: Checksum (sha256) of the file of each split, or of the config that generates it.
        dev: Documents on which epoch and threshold were chosen.
        ignored: Checksum of the file whose facts Ign F1 leaves out; None without such a score.
        setting: Documents that the model was trained on, ``"train"`` or ``"train+dev"``.
        threshold: What the threshold was chosen on, if the model does not learn it.
        skipped: Number of documents skipped because of an error, by split.
        precision: Numeric precision of the predictions.
    """

    corpus: str
    pairs: str
    files: Mapping[str, str]
    dev: str
    ignored: str | None
    setting: str
    threshold: str
    skipped: Mapping[str, int] = field(default_factory=dict)
    precision: NumericPrecision = "fp32"

    def differences(self, other: Protocol) -> list[str]:
        """Return the names of the fields in which two protocols differ."""
        values, others = asdict(self), asdict(other)
        return [name for name, value in values.items() if value != others[name]]

    def __str__(self) -> str:
        files = ", ".join(f"{split} {sha256[:8]}" for split, sha256 in self.files.items())
        ignored = f"; Ign without the facts of {self.ignored[:8]}" if self.ignored else ""
        skipped = ", ".join(f"{count} of {split}" for split, count in self.skipped.items())
        return (
            f"{self.corpus} ({files or 'generated'}), {self.pairs}, trained on {self.setting}, "
            f"dev: {self.dev}, threshold: {self.threshold}, in {self.precision}{ignored}"
            f"{f'; skipped: {skipped}' if skipped else ''}"
        )
