"""Make a small model of a trained run: ``python -m glre_pyg.compress run=RUN output=FOLDER``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

from omegaconf import DictConfig

from glre_pyg.utils.cli import command, output_path
from glre_pyg.utils.console import echo
from glre_pyg.utils.ranges import CacheFolder, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from glre_pyg.datasets.base import Corpus
    from glre_pyg.runs.run import Run


class Settings(TypedDict):
    """Settings of ``conf/compress.yaml``."""

    run: str
    output: str
    rank: PositiveInt
    device: str | None
    memory: PositiveFloat | None
    cache: CacheFolder
    precision: Literal["fp32"]
    compile: str | None
    strict: bool


@command("compress", Settings)
def main(config: DictConfig) -> None:
    """Save a run as a small model, and score it again."""
    from functools import partial
    from pathlib import Path

    from glre_pyg.extraction.scoring import load_run, make_corpus
    from glre_pyg.nn.lora import merge_lora
    from glre_pyg.runs.hub import save_model
    from glre_pyg.runs.low_rank import compressed, pretrained_weights, restored, save_compressed
    from glre_pyg.utils.cache import Cache

    run = load_run(config)
    corpus = make_corpus(run.config.dataset)
    corpus.cache, corpus.strict = Cache.from_setting(config.cache), config.strict
    corpus.documents("dev")  # before anything is computed
    output_path(config, file="model.safetensors", make_folder=True)
    merge_lora(run.model)
    for settings in (run.config.encoder.get("module"), run.config.model.get("encoder")):
        if settings and "lora_rank" in settings:
            settings.lora_rank = None
    name = str(run.config.encoder.get("name"))
    base = pretrained_weights(name, run.tokenizer)
    stored = compressed(run.model, base, config.rank)
    run.model.load_state_dict(restored(stored, base))
    run = _rescored(run, corpus, {"rank": config.rank, "encoder": name})
    folder = Path(config.output)
    save_model(run, folder, partial(save_compressed, stored, name, base))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    echo(f"{folder}: {size / 1e6:.1f} MB, without the encoder {name}")


def _rescored(run: Run, corpus: Corpus, compressed: dict[str, object]) -> Run:
    """Return a run of changed weights with their decision and scores, on the splits that it has scores of."""
    from dataclasses import replace

    from hydra.utils import instantiate

    from glre_pyg.evaluation.breakdown import print_splits
    from glre_pyg.evaluation.calibration import NOT_CALIBRATED, Decision

    raw = replace(run, calibration=NOT_CALIBRATED)
    pairs = {
        split: raw.score(corpus.documents(split), progress=split)
        for split in ("dev", "test")
        if split in run.scores
    }
    decision = Decision(run.threshold, run.calibration)
    if "dev" in pairs:
        decision = Decision.on(pairs["dev"], instantiate(run.config.thresholds.choose))
    pairs = {split: decision.calibration.pairs(scored) for split, scored in pairs.items()}
    scores = {key: value for key, value in run.scores.items() if key not in ("dev_held_out", "bf16")}
    scores |= print_splits(pairs, decision, run.labels.relations, corpus.name, corpus.protocol)
    before = {split: run.scores[split]["filtered"]["f1"] for split in pairs}
    scores["compressed"] = {**compressed, "f1_before": before}
    run = replace(run, **vars(decision))
    if "dev" in pairs:
        scores |= run.bf16_check(corpus.documents("dev"), pairs["dev"])
    return replace(run, scores=scores)


if __name__ == "__main__":
    main()
