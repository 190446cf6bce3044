"""Hostile input, with seeds: each trial tries what an attacker could hand over, and checks what becomes of it.

    python tests/trials/hostile.py models --seed 0 --count 2000
    python tests/trials/hostile.py models --seed 0 --only 4711

``models`` changes the files of a saved model, one or two values at a time: types, signs, huge numbers, other
classes, names of files and repositories; and the header of the weights. Each is loaded, used and saved in a
process with little memory and time, which may not connect, start programs, or open files elsewhere. Either
it is refused in one line that names the folder, or its predictions are probabilities.

``caches`` damages the files of a cache of documents and word vectors: bytes are changed, cut off or added, and
pipes, sockets, folders and loops of links put in their place and in that of their locks. What is read must be
what was written or is made again, without a wait and in lines, not tracebacks.

``writers``, ``disks`` and ``files`` are in ``places.py``; ``settings``, ``signals`` and ``ranks`` in
``everyday.py``.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import everyday
import numpy as np
import places
import psutil
import times
import yaml
from hydra import compose, initialize_config_dir

from glre_pyg import RelationExtractor, from_pretrained, save_pretrained
from glre_pyg.data.document import Document
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.extraction.scoring import make_corpus
from glre_pyg.runs.directory import CHECKSUMS
from glre_pyg.runs.encoder_cache import FeatureStore
from glre_pyg.training.experiment import train
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError

MEMORY, SECONDS = 1 << 30, 30
"""What a process may take in addition to what it has, in bytes, and how long."""
OUTCOMES = ("as before", "otherwise", "refused", "traceback", "memory", "hang", "wrong")
FAILURES = OUTCOMES[3:]
FILES = (
    *("config.yaml", "labels.json", "scores.json", "environment.json", "model.safetensors"),
    *(
        "encoder/config.json",
        "encoder/pieces.json",
        "encoder/tokenizer.json",
        "encoder/tokenizer_config.json",
    ),
)
LINEAR = {"_target_": "torch.nn.Linear", "in_features": 32_000, "out_features": 32_000, "device": "cpu"}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 2**31, 10**6, 10**12, -(10**12), 10**30),
    *(0.5, -0.5, 1e-320, 1e308, float("nan"), float("inf"), -float("inf")),
    *(
        "",
        "a",
        "1",
        "\ud83d",
        "a\nerror: b\x1b[2J",
        "x" * 100_000,
        "../../etc/passwd",
        "/dev/zero",
        "me/model",
    ),
    *("${oc.env:HOME}", "(a|a)*$", "((((a{999}){999}){999}){999})", "I64", "F64", "BOOL", "os.system"),
    *([], {}, [[]], [0], ["a", "a"], [None] * 100_000, {"a": {"b": {}}}, {"_target_": "os.system"}),
    *(LINEAR, LINEAR | {"_partial_": True}, {"_target_": "glre_pyg.models.glre.GLRE", "_partial_": True}),
    *(
        {"_target_": "glre_pyg.datasets.CDR"},
        {"_target_": "glre_pyg.nn.nodes.NodeEncoder", "_partial_": True},
    ),
)
KEYS = (
    "auto_map",
    "backbone",
    "gguf_file",
    "quantization_config",
    "_attn_implementation",
    "_args_",
    "a",
    "dtype",
)


def small_model(folder: Path) -> Path:
    """Train a model for an instant, and save it."""
    overrides = [
        *(
            "dataset=synthetic",
            "dataset.sizes={train: 4, dev: 3, test: 3}",
            "encoder=tiny",
            "training.epochs=1",
        ),
        *("model.nodes.hidden_channels=8", "training.batch_size=4", "cache=false"),
    ]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        train(compose("train", overrides=overrides), folder / "run")
    save_pretrained(from_pretrained(folder / "run"), folder / "model")
    (folder / "model" / CHECKSUMS).unlink()
    return folder / "model"


def read(path: Path) -> Any:
    """Read a file of a model as nested values; of weights, the header."""
    if path.suffix == ".safetensors":
        raw = path.read_bytes()
        return json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    return (yaml.safe_load if path.suffix == ".yaml" else json.loads)(path.read_text())


def write(value: Any, path: Path) -> None:
    """Write what :func:`read` returned; the tensors of weights stay as they are."""
    if path.suffix == ".yaml":
        path.write_text(yaml.safe_dump(value))
    elif path.suffix == ".safetensors":
        raw = path.read_bytes()
        header = json.dumps(value).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + raw[8 + struct.unpack("<Q", raw[:8])[0] :])
    else:
        path.write_text(json.dumps(value))


def change(value: Any, random: Random) -> tuple[Any, str]:
    """Change one of nested values, and say how."""
    node, place = [value], ["$"]
    key: Any = 0
    while isinstance(node[key], dict | list) and node[key] and random.random() < 0.9:
        node = node[key]
        key = random.choice(list(node)) if isinstance(node, dict) else random.randrange(len(node))
        place.append(str(key))
    if random.random() < 0.1 and isinstance(node, dict):
        key = random.choice(KEYS)
        place[-1] = key
    elif random.random() < 0.1 and len(place) > 1:
        del node[key]
        return value, f"{'.'.join(place)} deleted"
    new = copy.deepcopy(random.choice(VALUES))
    old = node[key] if isinstance(node, list) or key in node else None
    if isinstance(old, int | float) and random.random() < 0.3:
        new = random.choice([-old, old + 1, old - 1, old * 2, old * 1000, old / 2, str(old), [old]])
    node[key] = new
    return ([value] if len(place) > 1 else [new])[0], f"{'.'.join(place)} = {str(new)[:80]!r}"


def mutant(model: Path, folder: Path, random: Random) -> str:
    """Copy a model and change it; return what was changed."""
    shutil.copytree(model, folder)
    changes = []
    for _ in range(random.choice([1, 1, 2])):
        name = random.choice(FILES)
        try:
            value, how = change(read(folder / name), random)
            write(value, folder / name)
        except (ValueError, TypeError, OverflowError, AttributeError, KeyError):
            continue  # the first of two changes left nothing to change
        changes.append(f"{name}: {how}")
    return "; ".join(changes)


def use(folder: Path, documents: Sequence[Document]) -> list[np.ndarray]:
    """Load a model, predict with it, and save it; return the probabilities."""
    run = from_pretrained(folder)
    make_corpus(run.config.dataset)
    probabilities = run.predict(run.graphs(documents))
    for document in RelationExtractor(run)(documents, reasons=False):
        assert all(0 <= fact.probability <= 1 for fact in document.facts)
    save_pretrained(run, folder.with_name("saved"))
    assert all(np.isfinite(rows).all() and (rows >= 0).all() and (rows <= 1).all() for rows in probabilities)
    return probabilities


def guard(folder: Path) -> None:
    """Limit this process, and end it where it opens what is not its own."""
    limit = psutil.Process().memory_info().vms + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.alarm(SECONDS)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(("socket.connect", "socket.getaddrinfo", "subprocess.", "os.system", "os.exec")):
            raise AssertionError(f"{event} {arguments}")
        if event == "open" and isinstance(arguments[0], str):
            is_written = isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
            own = str(folder.parent)
            forbidden = arguments[0].startswith(("/etc/passwd", "/dev/zero", "me/"))
            if forbidden or (is_written and not os.path.abspath(arguments[0]).startswith(own)):
                raise AssertionError(f"{event} {arguments}")

    sys.addaudithook(audit)


def outcome(folder: Path, documents: Sequence[Document], before: Sequence[np.ndarray]) -> tuple[str, str]:
    """What becomes of a model in a process of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        with os.fdopen(reader) as file:
            told = file.read()
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            return ("hang" if name == "SIGALRM" else "memory"), name
        kind, _, detail = told.partition("\n")
        return kind or "memory", detail
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        guard(folder)
        kind, detail = _outcome(folder, documents, before)
    except BaseException:
        kind, detail = "traceback", traceback.format_exc()
    with suppress_errors(), os.fdopen(writer, "w", errors="backslashreplace") as file:
        file.write(f"{kind}\n{detail}")
    os._exit(0)


class suppress_errors:
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> bool:
        return True


def _outcome(folder: Path, documents: Sequence[Document], before: Sequence[np.ndarray]) -> tuple[str, str]:
    try:
        probabilities = use(folder, documents)
    except InputError as error:
        line = str(error)
        is_line = line.isprintable() and (str(folder) in line or "saved" in line or "dataset" in line)
        return ("refused" if is_line else "wrong"), line
    except AssertionError:
        return "wrong", traceback.format_exc()
    same = len(before) == len(probabilities) and all(map(np.array_equal, before, probabilities))
    return ("as before" if same else "otherwise"), ""


def models(options: argparse.Namespace) -> int:
    counts: Counter[str] = Counter()
    documents = list(SyntheticCorpus().generate("test", 3))
    with tempfile.TemporaryDirectory() as name:
        model = small_model(Path(name))
        before = use(model, documents)
        for number in [options.only] if options.only is not None else range(options.count):
            place = Path(name, "mutant")
            how = mutant(model, place / "model", Random(f"{options.seed} models {number}"))
            kind, detail = outcome(place / "model", documents, before)
            counts[kind] += 1
            if kind in FAILURES or options.only is not None or kind in options.show:
                last = detail if options.only is not None else (detail.strip().splitlines() or [""])[-1]
                print(
                    f"models: --seed {options.seed} --only {number}: {how}: {kind}: {last[:4000]}", flush=True
                )
            shutil.rmtree(place)
    print(", ".join(f"{counts[kind]} {kind}" for kind in OUTCOMES))
    return int(any(counts[kind] for kind in FAILURES))


def damage(path: Path, random: Random) -> str:
    """Damage a file of a cache, or put something else in its place; return what was done."""
    content = path.read_bytes() if path.is_file() else b""
    place, name = random.randrange(len(content) + 1), path.name
    key, _, checksum = path.stem.rpartition("-")
    ways: dict[str, Callable[[], object]] = {
        "a bit changed": lambda: path.write_bytes(
            content[:place]
            + bytes([content[min(place, len(content) - 1)] ^ 1 << random.randrange(8)])
            + content[place + 1 :]
        ),
        "cut": lambda: path.write_bytes(content[:place]),
        "emptied": lambda: path.write_bytes(b""),
        "longer": lambda: path.write_bytes(content + random.randbytes(100)),
        "other bytes": lambda: path.write_bytes(random.randbytes(place)),
        "other name": lambda: path.rename(path.with_name(f"{key}-{checksum[::-1]}{path.suffix}")),
        "pipe": lambda: (path.unlink(), os.mkfifo(path)),
        "folder": lambda: (path.unlink(), path.mkdir()),
        "loop": lambda: (path.unlink(), path.symlink_to(path)),
        "dangling link": lambda: (path.unlink(), path.symlink_to(path.with_name("nothing"))),
        "device": lambda: (path.unlink(), path.symlink_to("/dev/zero")),
        "unreadable": lambda: path.chmod(0),
    }
    if not content:
        ways = {way: ways[way] for way in ("pipe", "folder", "loop", "dangling link", "device")}
    way = random.choice(sorted(ways))
    ways[way]()
    return f"{name}: {way}"


def caches(options: argparse.Namespace) -> int:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from documents import LABELS, random_documents, subwords, transformer

    documents = random_documents(5)
    tokenizer = subwords(documents)
    encoder = transformer(trainable=False)(tokenizer)

    def read_all(cache: Cache) -> tuple[list[Document], list[np.ndarray]]:
        graphs = [tokenizer(LABELS.blind_graph(document)) for document in documents]
        FeatureStore(cache).attach(encoder, graphs, batch_size=5, device="cpu")
        found = cache.records("documents", "key", Document, lambda: documents)
        return found, [graph.features.numpy() for graph in graphs]

    failures = 0
    with tempfile.TemporaryDirectory() as name:
        whole = Cache(Path(name, "whole"))
        _, vectors = read_all(whole)
        signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("it waits")))
        for number in [options.only] if options.only is not None else range(options.count):
            random = Random(f"{options.seed} caches {number}")
            cache = Cache(Path(name, str(number)))
            shutil.copytree(whole.folder, cache.folder)
            files = sorted(path for path in cache.folder.rglob("*") if path.is_file())
            how = [damage(path, random) for path in random.sample(files, random.randint(1, len(files)))]
            problem = ""
            signal.alarm(SECONDS)
            try:
                with redirect_stdout(StringIO()):
                    found, others = read_all(cache)
                if found != documents or not all(map(np.array_equal, vectors, others)):
                    problem = "wrong"
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            signal.alarm(0)
            shutil.rmtree(cache.folder)
            failures += bool(problem)
            if problem or options.only is not None:
                print(f"caches: --seed {options.seed} --only {number}: {'; '.join(how)}: {problem or 'well'}")
    print(f"{failures} of {options.count} damaged caches read wrongly")
    return int(failures > 0)


TRIALS: dict[str, Callable[[argparse.Namespace], int]] = {
    "models": models,
    "caches": caches,
    **places.TRIALS,
    "times": lambda options: times.main(["--seed", str(options.seed)]),
    **everyday.TRIALS,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trial", choices=TRIALS)
    parser.add_argument("--seed", type=int, default=0, help="seed of all changes (%(default)s)")
    parser.add_argument("--count", type=int, default=2000, help="number of tries (%(default)s)")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="show what becomes of one")
    parser.add_argument("--show", nargs="*", default=[], choices=OUTCOMES, help="outcomes to print as well")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    failed = TRIALS[options.trial](options)
    print(f"{time.monotonic() - start:.0f} seconds")
    return failed


if __name__ == "__main__":
    sys.exit(main())
