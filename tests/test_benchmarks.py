import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.checkpoint import checkpoint

from glre_pyg.utils.download import DownloadError
from glre_pyg.utils.exceptions import InputError

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    """The modules of the benchmarks can be imported."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def run(command, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{command}.py"), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done


def is_plot(path):
    from matplotlib.image import imread

    picture = imread(path)
    return min(picture.shape[:2]) > 300 and picture.std() > 0.01


def check_header(found, command):
    assert found["benchmark"] == command
    assert found["machine"].keys() >= {"cpu", "cores", "threads", "ram_gib", "gpu", "torch_scatter"}
    assert found["machine"]["threads"] == 1
    assert found["versions"].keys() >= {"python", "torch", "torch-geometric", "transformers"}
    assert f"{command}.py --quick" in found["command"]
    assert found["seed"] == 3
    assert {"commit", "modified", "date"} <= found.keys()


@pytest.mark.slow
def test_models(tmp_path):
    output = ("--output", str(tmp_path))
    done = run("models", "--quick", "--seed", "3", "--models", "wang_two_step", "atlop", *output)
    found = json.loads((tmp_path / "models.json").read_text())
    check_header(found, "models")
    assert list(found["models"]) == ["glre", "wang_two_step", "atlop"]
    for mode in ("train", "predict"):
        assert found["models"]["glre"][mode]["ratio"]["median"] == 1
        assert found["models"]["atlop"][mode]["ratio"]["n"] == 5
        assert found["models"]["atlop"][mode]["documents_per_second"] > 0
    assert "| wang_two_step |" in done.stdout


@pytest.mark.slow
def test_throughput(tmp_path, benchmarks):
    done = run("throughput", "--quick", "--seed", "3", "--output", str(tmp_path))
    found = json.loads((tmp_path / "throughput.json").read_text())
    check_header(found, "throughput")
    assert is_plot(tmp_path / "throughput.png")
    (result,) = found["results"]
    assert (result["corpus"], result["encoder"], result["batch_size"]) == ("synthetic", "tiny", 4)
    assert len(result["batches"]) >= 5
    for mode, step, alone in (
        ("train", "step_s", "encoder_step_s"),
        ("predict", "predict_s", "encoder_forward_s"),
    ):
        ratios = sorted(batch[step] / batch[alone] for batch in result["batches"])
        ratio = result[mode]["ratio"]
        assert ratio["n"] == len(ratios)
        assert ratio["median"] == pytest.approx(ratios[len(ratios) // 2])
        assert ratios[0] <= ratio["q1"] <= ratio["median"] <= ratio["q3"] <= ratios[-1]
        seconds = sum(batch[step] for batch in result["batches"])
        documents = sum(batch["documents"] for batch in result["batches"])
        assert result[mode]["documents_per_second"] == pytest.approx(documents / seconds)
        assert result["memory"][mode]["peak_mib"] > 0
    assert sum(result["shares"].values()) == pytest.approx(1)
    assert all(result["shares"][part] > 0 for part in ("encoder", "local_layer", "classifier", "optimizer"))
    assert result["padding"].keys() == {"4", "8", "16"}
    assert all(0 <= share < 1 for share in result["padding"].values())
    assert found["graphs"]["graphs_per_second"]["n"] >= 5
    assert found["frozen"]["ratio"]["n"] >= 5
    assert found["frozen"]["ratio"]["median"] > 0
    assert "| synthetic, tiny |" in done.stdout
    assert all(line.count("|") == line.count(" |") + 1 for line in done.stdout.splitlines() if "| " in line)


@pytest.mark.slow
def test_scaling(tmp_path, benchmarks):
    done = run("scaling", "--quick", "--seed", "3", "--output", str(tmp_path), "--axes", "words", "entities")
    found = json.loads((tmp_path / "scaling.json").read_text())
    check_header(found, "scaling")
    assert is_plot(tmp_path / "scaling.png")
    assert len(found["points"]) == 8
    for point in found["points"]:
        assert point["pairs"] == point["entities"] * (point["entities"] - 1)
        assert point["size"] == point[point["axis"]]
        assert point["step_s"]["median"] > 0
        assert point["memory"]["peak_mib"] >= point["memory"]["baseline_mib"] / 2
    for axis in ("words", "entities"):
        sizes = [each["size"] for each in found["points"] if (each["axis"], each["mode"]) == (axis, "train")]
        tokenizer = [
            each["pieces"] for each in found["points"] if (each["axis"], each["mode"]) == (axis, "train")
        ]
        assert len(set(sizes)) == 2
        assert tokenizer[0] < tokenizer[1] if axis == "words" else tokenizer[0] == tokenizer[1]
    assert {(fit["measure"], fit["against"]) for fit in found["fits"]} >= {
        ("time", "words"),
        ("memory", "pairs"),
    }
    assert {"claim", "exponent", "holds"} <= found["claims"][0].keys()
    assert "| words " in done.stdout


@pytest.mark.slow
def test_a_point_without_room_is_recorded(tmp_path):
    sizes = ["--axes", "words", "--modes", "predict", "--words", "60", "--budget-gib", "0.1"]
    done = run("scaling", "--quick", *sizes, "--output", str(tmp_path), code=1)
    points = json.loads((tmp_path / "scaling.json").read_text())["points"]
    (point,) = points
    assert "0.1 GiB are not enough" in point["failed"]
    assert f"words 60, predict: {point['failed']}" in done.stdout
    assert "Traceback" not in done.stderr
    assert is_plot(tmp_path / "scaling.png")


def test_what_is_no_mistake(benchmarks):
    from common import is_refusal

    on_error = [
        MemoryError(),
        InputError("too large"),
        DownloadError("not found"),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
        ),
        torch.OutOfMemoryError("CUDA out of memory"),
    ]
    assert all(is_refusal(error) for error in on_error)
    assert not is_refusal(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.parametrize("command", ["throughput", "scaling"])
def test_help_is_a_page(command):
    out = run(command, "--help").stdout
    assert f"python benchmarks/{command}.py" in out
    assert {"--quick", "--seed", "--device", "--precision", "--output"} <= set(out.replace(",", " ").split())
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batches", "3"], "--batches: a median needs at least 5"),
        (["--precision", "fp16"], "--precision fp16: a CPU has bf16 only"),
        (["--redocred", "nowhere.json"], "--redocred nowhere.json: no such file"),
    ],
)
def test_bad_options_are_said_at_once(arguments, message):
    assert message in run("throughput", *arguments, code=2).stderr


def test_cost_of_a_start_and_of_a_document(benchmarks):
    from projection import Measurement, costs

    def measured(start):
        return [Measurement(count, start + 0.2 * count, 0, 0, 0) for count in (50, 100, 200)]

    assert costs(measured(7)) == pytest.approx((7, 0.2))
    assert costs(measured(-3))[0] == 0


def test_exponent_of_powers(benchmarks):
    from common import exponent

    sizes = [10, 20, 50, 100, 1000]
    assert exponent(sizes, [3 * size**1.7 for size in sizes])["exponent"] == pytest.approx(1.7)
    with_constant = exponent(sizes, [100 + size**2 for size in sizes])
    assert with_constant["exponent"] < with_constant["upper_half"] < 2
    # By hand: two points, twice the size and eight times the time.
    assert exponent([2, 4], [1, 8]) == {
        "exponent": pytest.approx(3),
        "upper_half": pytest.approx(3),
        "points": 2,
    }
    assert exponent([2, 4, 8], [-1, 1, 2])["points"] == 2
    assert exponent([5, 5], [1, 2])["exponent"] is None


def test_spread_is_of_quartiles(benchmarks):
    from common import spread

    assert spread([5, 1, 2, 4, 3]) == {"median": 3, "q1": 2, "q3": 4, "n": 5}


def test_claims_ask_time_of_words_and_memory_of_pairs(benchmarks):
    from scaling import claims, fits

    def point(axis, size, seconds, mib):
        return {
            "axis": axis,
            "mode": "predict",
            "size": size,
            "pairs": size * (size - 1),
            "step_s": {"median": seconds},
            "memory": {"above_baseline_mib": mib},
        }

    sizes = [10, 20, 40, 80, 160]
    points = [point("words", size, size**1.5, size**3.0) for size in sizes]
    points += [point("entities", size, size**4.0, float(size * (size - 1))) for size in sizes]
    points.append({"axis": "words", "mode": "predict", "size": 320, "failed": "out of memory"})
    time, memory = claims(fits(points))
    assert ("time" in time["claim"], "words" in time["claim"], time["holds"]) == (True, True, False)
    assert time["exponent"] == pytest.approx(1.5)
    assert ("memory" in memory["claim"], "pairs" in memory["claim"], memory["holds"]) == (True, True, True)
    assert memory["exponent"] == pytest.approx(1)


def test_ratio_without_torch_scatter_is_of_the_same_batches(benchmarks):
    from throughput import scatter_ratio

    def result(steps, *, scatter):
        batches = [
            {"step_s": 2 * step, "encoder_step_s": 2, "predict_s": step / 4, "encoder_forward_s": 1 / 4}
            for step in steps
        ]
        return {"corpus": "c", "encoder": "e", "torch_scatter": scatter, "batches": batches}

    having = [result([1.0, 10.0, 2.0], scatter=True), result([3.0, 10.0, 2.0], scatter=True)]
    lacking = [result([4.0, 10.0, 6.0], scatter=False)] * 2
    found = scatter_ratio([having, lacking])  # batch by batch 2, 1 and 3
    assert (found["train"]["median"], found["train"]["q1"], found["train"]["q3"]) == (2, 1.5, 2.5)
    assert found["predict"] == found["train"]
    assert "not installed" in scatter_ratio([lacking, lacking])["failed"]


def test_invented_documents_are_as_asked_for(benchmarks):
    from invented import LABELS, invented_document

    document = invented_document(250, 12, 3, seed=0)
    assert len(document.words) == 250
    assert {sentence.end - sentence.start for sentence in document.sentences} == {20, 10}
    assert [len(entity.mentions) for entity in document.entities] == [3] * 12
    assert document == invented_document(250, 12, 3, seed=0) != invented_document(250, 12, 3, seed=1)
    graph = LABELS.graph(document)
    assert graph.pair_index.size(1) == 12 * 11
    assert 0 < graph.pair_label.sum() < 12 * 11
    with pytest.raises(ValueError, match="do not fit"):
        invented_document(10, 4, 3, seed=0)


class _Part(nn.Module):
    """A part of a model that is called in a way of its own, with an operation of its own."""

    __module__ = "glre_pyg.nn.part"

    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def blockwise(self, x):
        return torch.cat([self.operation(block) for block in x.split(2)])


def test_time_of_gradients_counts_for_the_part_that_they_are_of(benchmarks):
    from shares import PARTS, attributed, named

    parts = {name: _Part(torch.relu) for name in PARTS}
    parts |= {"encoder": _Part(torch.tanh), "classifier": _Part(torch.exp), "nodes": _Part(torch.sigmoid)}
    model = nn.Module()
    for name, part in parts.items():
        model.add_module(name, part)
    x = torch.randn(6, 3, requires_grad=True)
    with named(model), profile(activities=[ProfilerActivity.CPU]) as found:
        words = model.encoder.blockwise(x)
        nodes = checkpoint(lambda: model.nodes.blockwise(words), use_reentrant=False)
        model.classifier.blockwise(nodes).sum().backward()
    assert "blockwise" not in vars(model.encoder)
    names = {}
    for event, name in attributed(list(found.events())):
        names.setdefault(event.name, set()).add(name)
    assert names["aten::tanh"] == names["aten::tanh_backward"] == names["TanhBackward0"] == {"encoder"}
    assert names["aten::exp"] == names["ExpBackward0"] == {"classifier"}
    # Computed once going forward and once again for the gradients.
    assert names["aten::sigmoid"] == names["aten::sigmoid_backward"] == {"nodes"}


def test_padding_is_what_the_transformer_gets(benchmarks):
    from workload import Workload

    from documents import batch_of, document, subwords, transformer

    documents = [document(["velorin eased it ."]), document(["velorin eased it . fevers"] * 2)]
    tokenizer = subwords(documents)
    encoder = transformer()(tokenizer)
    seen = []
    encoder.transformer.register_forward_pre_hook(
        lambda _, __, options: seen.append(options["attention_mask"].float().mean()), with_kwargs=True
    )
    encoder(batch_of(documents, tokenizer))
    share = Workload.padding(
        SimpleNamespace(model=SimpleNamespace(encoder=encoder)),
        [[tokenizer(graph) for graph in batch_of(documents).to_data_list()]],
    )
    assert share == pytest.approx(1 - float(seen[0]))
    assert share > 0
    assert "forward" not in vars(encoder.transformer)


def test_agreement_of_sentences(benchmarks, tmp_path):
    import sentences

    texts = [(["A title", "One rat. Two rats. None."], {6 + 7, 6 + 7 + 8})]
    assert sentences.score(sentences.pysbd(), texts) == (1, 1, 1)
    assert sentences.score(lambda text: [0, 4], texts) == (0, 0, 0)
    precision, recall, _ = sentences.score(lambda text: [0, 9] if len(text) > 7 else [0], texts)
    assert (precision, recall) == (1, 0.5)
    sents = [["It", "(", "5", "%", ")", "rose", "."], ["He", "did", "n't", "."]]
    (tmp_path / "in.json").write_text(
        json.dumps([{"title": "t", "sents": sents, "vertexSet": [], "labels": []}])
    )
    [(sections, breaks)] = sentences.docred(tmp_path / "in.json")
    assert sections == ["It (5%) rose. He didn't."]
    assert breaks == {len("It(5%)rose.")}


def test_a_quantized_run_is_near(benchmarks):
    from precisions import quantized

    from documents import random_documents, untrained_run

    run = untrained_run(random_documents(4), threshold=0.5)
    graphs = run.graphs(random_documents(4))
    for one, other in zip(run.predict(graphs), quantized(run).predict(graphs), strict=True):
        assert 0 < abs(one - other).max() < 0.1
