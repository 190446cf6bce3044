"""Numeric precision of predictions: fp32, or half precision by torch's autocast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import torch

from glre_pyg.evaluation.protocol import NumericPrecision, PrecisionSetting
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.utils.exceptions import InputError, note
from glre_pyg.utils.json_fields import Probability, convert
from glre_pyg.utils.ranges import NonNegativeInt

MAX_LOSS = 0.002
"""Loss of F1 on dev up to which a run passes its :class:`Bf16Check`."""
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Bf16Check:
    """What bf16 changes on dev, with the threshold of the run: ``bf16`` in ``scores.json``.

    Args:
        f1: F1 in bf16.
        f1_fp32: F1 in fp32.
        changed: Number of decisions that differ.
        decisions: Number of candidate pairs, times relations.
    """

    f1: Probability
    f1_fp32: Probability
    changed: NonNegativeInt
    decisions: NonNegativeInt

    @classmethod
    def of(cls, fp32: ScoredPairs, bf16: ScoredPairs, threshold: Threshold) -> Bf16Check:
        """Compare the same pairs in both precisions."""
        changed = fp32.predicted(threshold) != bf16.predicted(threshold)
        return cls(
            bf16.score(threshold, filtered=True).f1,
            fp32.score(threshold, filtered=True).f1,
            int(changed.sum()),
            int((fp32.probability > 0).sum()),
        )

    @property
    def is_passed(self) -> bool:
        """Whether bf16 loses at most :data:`MAX_LOSS`."""
        return self.f1_fp32 - self.f1 <= MAX_LOSS

    def __str__(self) -> str:
        return (
            f"on dev, F1 {self.f1:.4f} in bf16 and {self.f1_fp32:.4f} in fp32; "
            f"{self.changed} of {self.decisions} decisions differ"
        )


def has_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16, without which it is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # not in torch 2.7
    return device.type == "cpu" and any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))


def chosen_precision(setting: str, scores: Mapping[str, Any], device: torch.device) -> NumericPrecision:
    """Return the precision that a setting stands for, and print a line unless the setting is fp32.

    Args:
        setting: A :data:`PrecisionSetting`.
        scores: ``scores.json`` of the run.
        device: Device of the model.

    Raises:
        InputError: If there is no such setting, or it cannot be used on the device.
    """
    if setting not in get_args(PrecisionSetting):
        raise InputError(f"precision: '{setting}' is not one of {', '.join(get_args(PrecisionSetting))}")
    if setting == "fp32":
        return "fp32"
    found = scores.get("bf16")
    check = None if found is None else convert(found, Bf16Check, "bf16")
    if setting == "auto":
        return _automatic(check, device)
    if setting == "fp16" and device.type == "cpu":
        raise InputError("precision: fp16 needs a GPU; a CPU has bf16")
    note(f"precision: {setting}{f'; {check}' if check and setting == 'bf16' else ''}")
    return "bf16" if setting == "bf16" else "fp16"


def _automatic(check: Bf16Check | None, device: torch.device) -> NumericPrecision:
    if not has_bf16(device):
        reason = "this processor has no instructions for bf16"
    elif check is None:
        reason = "the run has no F1 in bf16"
    elif not check.is_passed:
        reason = str(check)
    else:
        note(f"precision: bf16; {check}")
        return "bf16"
    note(f"precision: fp32, as {reason}")
    return "fp32"


def autocast(precision: NumericPrecision, device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """Return a factory of contexts in which a model computes in a precision."""
    if precision == "fp32":
        return nullcontext
    return partial(torch.autocast, device.type, dtype=_TYPES[precision])


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Take numbers below 1e-38 for 0 on a CPU, which is many times slower with them than with others.

    The weights of an attention over all pairs of a document have many. OpenMP's threads follow if they are
    started inside.
    """
    was_on = bool(torch.tensor(1e-40) * 1 == 0)  # torch only has a setter
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_on)
