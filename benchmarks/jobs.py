"""What the benchmarks measure, each in a process of its own (:func:`common.in_child`)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
import torch_geometric.typing
from common import GIB, Record, limit_memory, spread
from hydra.utils import instantiate
from invented import LABELS, WORDS, invented_document
from shares import shares
from workload import ENCODERS, EncoderChoice, Workload, configure, make_tokenizer

from glre_pyg.data.annotations import Annotations
from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.datasets import Corpus
from glre_pyg.runs.encoder_cache import FeatureStore
from glre_pyg.runs.prediction import encode_once
from glre_pyg.training.loop import LengthSampler
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.exceptions import InputError


def environment(*, device: str, threads: int) -> Record:
    """What torch says of the machine."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds none")
    _set_threads(threads)
    return {
        "threads": torch.get_num_threads(),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "torch_build": torch.__version__,
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "torch_scatter": torch_geometric.typing.WITH_TORCH_SCATTER,
    }


def steps(
    *,
    device: str,
    precision: str,
    threads: int,
    seed: int,
    overrides: Sequence[str],
    split: str,
    encoder: str,
    batch_size: int,
    batches: int,
    repeats: int,
    profiled: int,
    padded: Sequence[int],
) -> Record:
    """Steps of training and of prediction beside the encoder alone, on the same batches.

    Args:
        device, precision, threads, seed: See the command.
        overrides: Overrides that choose the corpus.
        split: Its split.
        encoder: One of :data:`workload.ENCODERS`.
        batch_size: Documents a batch.
        batches: Batches that are measured, the first of an epoch.
        repeats: Times that each is measured; the median counts.
        profiled: Batches whose steps are divided among the parts of the model.
        padded: Batch sizes whose padding is counted over an epoch.
    """
    _set_threads(threads)
    corpus, graphs, weights, work = _set_up(
        [*overrides, *ENCODERS[encoder].overrides],
        split,
        encoder,
        device=device,
        precision=precision,
        seed=seed,
    )
    lengths = [len(graph.input_ids) for graph in graphs]
    padding = {
        str(size): work.padding(
            [[graphs[i] for i in part] for part in LengthSampler(lengths, size, seed=seed)]
        )
        for size in padded
    }
    chosen = [
        [graphs[index] for index in part]
        for part in islice(LengthSampler(lengths, batch_size, seed=seed), batches)
    ]
    largest = max(chosen, key=lambda part: sum(len(graph.input_ids) for graph in part))
    densest = max(chosen, key=_pairs)
    memory: Record = {}
    for mode, step in (("predict", work.predict), ("train", work.train_step)):
        work.fit([*largest, *densest], training=mode == "train")
        memory[mode] = work.peak_of(lambda step=step: [step(largest), step(densest)])
    measured = [_measure(work, part, first, repeats) for first, part in enumerate(chosen)]
    work.fit([graph for part in chosen for graph in part], training=True)
    divided = shares(
        work.model,
        [lambda part=part: work.train_step(part) for part in chosen[:profiled]],
        cuda=device == "cuda",
    )
    return {
        "corpus": corpus.name,
        "split": split,
        "documents": len(graphs),
        "encoder": encoder,
        "weights": weights,
        "parameters": sum(each.numel() for each in work.model.parameters()),
        "batch_size": batch_size,
        "precision": precision,
        "device": device,
        "torch_scatter": torch_geometric.typing.WITH_TORCH_SCATTER,
        "train": _compared(measured, "step", "encoder_step"),
        "predict": _compared(measured, "predict", "encoder_forward"),
        "memory": memory,
        "shares": divided,
        "padding": padding,
        "batches": measured,
    }


def _measure(work: Workload, graphs: Sequence[DocumentGraph], first: int, repeats: int) -> Record:
    """Seconds of the four kinds of step on one batch, in turns that begin with another kind each time."""
    batch = work.batch(graphs)
    width = work.model.encoder.out_channels
    gradient = torch.randn(sum(word_counts(batch)), width, device=work.device)
    kinds = {
        "encoder_step": (True, lambda: work.encoder_step(batch, gradient)),
        "step": (True, lambda: work.train_step(graphs)),
        "encoder_forward": (False, lambda: work.encoder_forward(batch)),
        "predict": (False, lambda: work.predict(graphs)),
    }
    names = list(kinds)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(first, first + repeats):
        for place in range(len(names)):
            name = names[(place + turn) % len(names)]
            training, run = kinds[name]
            work.fit(graphs, training=training)
            seconds[name].append(work.timed(run))
            work.drop_gradients()
    return {
        "documents": len(graphs),
        "pieces": sum(len(graph.input_ids) for graph in graphs),
        "pairs": _pairs(graphs),
        **{f"{name}_s": median(found) for name, found in seconds.items()},
    }


def _compared(batches: Sequence[Record], step: str, alone: str) -> Record:
    """A kind of step over the encoder alone, batch by batch, and documents a second over all of them."""
    total = sum(batch[f"{step}_s"] for batch in batches)
    return {
        "ratio": spread([batch[f"{step}_s"] / batch[f"{alone}_s"] for batch in batches]),
        "documents_per_second": sum(batch["documents"] for batch in batches) / total,
        "batch_documents_per_second": spread([b["documents"] / b[f"{step}_s"] for b in batches]),
    }


def models(
    *,
    device: str,
    precision: str,
    threads: int,
    seed: int,
    corpus: str,
    models: Sequence[str],
    encoder: str,
    batch_size: int,
    batches: int,
) -> Record:
    """Steps of training and of prediction of several models on the same documents, in turns.

    Args:
        device, precision, threads, seed: See the command.
        corpus: The corpus, whose training split is measured.
        models: Names of the models; the others are compared with the first. Those that do not take the
            encoder are left out.
        encoder: Encoder of all models.
        batch_size: Documents a batch.
        batches: Batches that are measured, the first of an epoch.
    """
    _set_threads(threads)
    works, graphs = {}, {}
    for name in models:
        overrides = [f"dataset={corpus}", f"model={name}", f"encoder={encoder}"]
        # Markers make documents longer: the documents of a batch are chosen by the first model's lengths.
        try:
            _, graphs[name], _, works[name] = _set_up(
                overrides, "train", None, device=device, precision=precision, seed=seed
            )
        except InputError as error:
            if not works:
                raise
            print(f"{name} is left out: {error}", file=sys.stderr)
    models = [*works]
    lengths = [len(graph.input_ids) for graph in graphs[models[0]]]
    measured: dict[str, list[Record]] = {name: [] for name in models}
    for turn, part in enumerate(islice(LengthSampler(lengths, batch_size, seed=seed), batches)):
        for place in range(len(models)):
            name = models[(place + turn) % len(models)]
            work, documents = works[name], [graphs[name][index] for index in part]
            seconds: Record = {"documents": len(documents)}
            for mode, step in (("step", work.train_step), ("predict", work.predict)):
                work.fit(documents, training=mode == "step")
                if not turn:
                    step(documents)  # warm up
                seconds[f"{mode}_s"] = work.timed(lambda step=step, given=documents: step(given))
            measured[name].append(seconds)
    first = measured[models[0]]
    return {
        "models": {
            name: {
                "parameters": sum(each.numel() for each in works[name].model.parameters()),
                **{
                    mode: _compared(
                        [
                            one | {"reference_s": base[f"{step}_s"]}
                            for one, base in zip(found, first, strict=True)
                        ],
                        step,
                        "reference",
                    )
                    for mode, step in (("train", "step"), ("predict", "predict"))
                },
            }
            for name, found in measured.items()
        }
    }


def graph_building(
    *, device: str, overrides: Sequence[str], split: str, encoder: str, repeats: int, limit: int
) -> Record:
    """Documents a second from words to graphs, and from graphs to pieces, each alone on one core.

    Documents and tokenizer are made anew each time, as both remember what they have worked out.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _set_threads(1)
    choice = ENCODERS[encoder]
    config = configure([*overrides, *choice.overrides])
    corpus: Corpus = instantiate(config.dataset)
    documents = corpus.documents(split)[:limit]
    words = [document.word_texts() for document in documents]
    rates: dict[str, list[float]] = {"graphs": [], "pieces": []}
    for _ in range(repeats + 1):
        tokenizer, _ = make_tokenizer(choice, config, words)
        fresh = [replace(document) for document in documents]
        started = time.perf_counter()
        graphs = [corpus.labels.graph(document) for document in fresh]
        built = time.perf_counter()
        graphs = [tokenizer(graph) for graph in graphs]
        rates["graphs"].append(len(documents) / (built - started))
        rates["pieces"].append(len(documents) / (time.perf_counter() - built))
    return {
        "corpus": corpus.name,
        "split": split,
        "documents": len(documents),
        "words": sum(len(document.words) for document in documents),
        "graphs_per_second": spread(rates["graphs"][1:]),
        "pieces_per_second": spread(rates["pieces"][1:]),
    }


def epochs(
    *,
    device: str,
    precision: str,
    threads: int,
    seed: int,
    overrides: Sequence[str],
    split: str,
    encoder: str,
    batch_size: int,
    repeats: int,
    limit: int,
) -> Record:
    """An epoch with a frozen encoder that encodes, and one from the features that are kept on disk.

    Encoding is timed apart, and added to a training epoch; the epoch from the store reads the features first.
    """
    _set_threads(threads)
    corpus, graphs, weights, work = _set_up(
        [*overrides, *ENCODERS[encoder].frozen],
        split,
        encoder,
        limit=limit,
        device=device,
        precision=precision,
        seed=seed,
    )
    sampler = LengthSampler([len(graph.input_ids) for graph in graphs], batch_size, seed=seed)

    def encode(store: FeatureStore | None) -> None:
        for graph in graphs:
            graph.pop("features", None)
        size = work.config.eval_batch_size
        encode_once(work.model, graphs, batch_size=size, device=work.device, store=store)

    def train() -> None:
        for part in sampler:
            work.train_step([graphs[index] for index in part])

    seconds: list[tuple[float, float, float]] = []
    with TemporaryDirectory() as folder:
        encode(FeatureStore(Cache(Path(folder))))
        for _ in range(repeats + 1):
            work.fit(graphs[:batch_size], training=True)
            encoding = work.timed(partial(encode, None))
            reading = work.timed(partial(encode, FeatureStore(Cache(Path(folder)))))
            seconds.append((encoding, reading, work.timed(train)))
    seconds = seconds[1:]
    return {
        "corpus": corpus.name,
        "split": split,
        "documents": len(graphs),
        "encoder": encoder,
        "weights": weights,
        "batch_size": batch_size,
        "encode_s": spread([encoding for encoding, _, _ in seconds]),
        "read_s": spread([reading for _, reading, _ in seconds]),
        "cached_epoch_s": spread([reading + training for _, reading, training in seconds]),
        "ratio": spread([(encoding + steps) / (reading + steps) for encoding, reading, steps in seconds]),
    }


def point(
    *,
    device: str,
    precision: str,
    threads: int,
    seed: int,
    encoder: str,
    mode: str,
    words: int,
    entities: int,
    mentions: int,
    batch_size: int,
    repeats: int,
    seconds: float,
    budget_gib: float,
) -> Record:
    """Time and peak of memory of one step on invented documents.

    The model first makes two steps on a very small document. The peak of the second is the baseline: model,
    gradients, the optimizer's state and torch's threads are in it. The step that the peak is taken from is
    the first one on the documents that are measured; its time counts only where there is none for more.

    Args:
        device, precision, threads, seed, encoder: See the command.
        mode: ``"train"`` or ``"predict"``.
        words, entities, mentions: Words and entities of a document, mentions of each entity.
        batch_size: Documents a batch.
        repeats: Timed steps.
        seconds: After so many, no further step is begun.
        budget_gib: Memory limit of the process.
    """
    _set_threads(threads)
    choice = ENCODERS[encoder]
    config = configure(["dataset=redocred", *choice.overrides])
    small = invented_document(60, 4, 1, seed=seed)
    documents = [
        invented_document(words, entities, mentions, seed=seed * 1000 + n) for n in range(batch_size)
    ]
    tokenizer, weights = make_tokenizer(choice, config, [WORDS.split()])
    work = Workload(config, tokenizer, len(LABELS.relations), device=device, precision=precision, seed=seed)
    training = mode == "train"
    first = [tokenizer(LABELS.graph(small))]

    def step(batches: Sequence[Sequence[DocumentGraph]]) -> None:
        for batch in batches:
            if training:
                work.train_step(batch)
            else:
                work.predict(batch)

    work.model.train(training)
    step([first])
    baseline = work.peak_of(lambda: step([first]))["peak_mib"]
    started = time.perf_counter()
    graphs = [tokenizer(LABELS.graph(document)) for document in documents]
    built = time.perf_counter() - started
    batches = work.fit(graphs, training=training, gib=budget_gib)
    limited = device == "cpu" and limit_memory(int(budget_gib * GIB))
    whole: list[float] = []
    memory = work.peak_of(lambda: whole.append(work.timed(lambda: step(batches))))
    memory |= {"baseline_mib": baseline, "above_baseline_mib": round(memory["peak_mib"] - baseline, 2)}
    found: list[float] = []
    while len(found) < repeats and sum(whole + found) < seconds:
        found.append(work.timed(lambda: step(batches)))
    return {
        "weights": weights,
        "pieces": sum(len(graph.input_ids) for graph in graphs),
        "pairs": _pairs(graphs),
        "graph_s": built,
        "step_s": spread(found or whole),
        "memory": memory,
        "batches": len(batches),
        "limited_to_gib": budget_gib if limited else None,
    }


def _set_up(
    overrides: Sequence[str],
    split: str,
    encoder: str | None,
    *,
    limit: int | None = None,
    device: str,
    precision: str,
    seed: int,
) -> tuple[Corpus, list[DocumentGraph], str, Workload]:
    """A corpus, graphs of its first documents with pieces, what weights the encoder has, and the work.

    Without the name of an encoder, it is that of the overrides.
    """
    config = configure(overrides)
    corpus: Corpus = instantiate(config.dataset)
    documents = corpus.documents(split)[:limit]
    words = (document.word_texts() for document in documents)
    choice = ENCODERS[encoder] if encoder else EncoderChoice((), ())
    tokenizer, weights = make_tokenizer(choice, config, words)
    graphs = Annotations.of_model(config.model).add(
        map(tokenizer, map(corpus.labels.graph, documents)), Cache.from_setting(None)
    )
    work = Workload(
        config, tokenizer, len(corpus.labels.relations), device=device, precision=precision, seed=seed
    )
    return corpus, graphs, weights, work


def _pairs(graphs: Sequence[DocumentGraph]) -> int:
    return sum(graph.pair_index.size(1) for graph in graphs)


def _set_threads(threads: int) -> None:
    if threads:
        torch.set_num_threads(threads)
