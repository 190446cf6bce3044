"""Every model in the places where a run is used: training, saving, prediction with reasons, page and model card."""

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from documents import pipeline
from glre_pyg import RelationExtractor
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.jsonl import write_jsonl
from glre_pyg.formats.page import write_page
from glre_pyg.runs.hub import save_pretrained
from glre_pyg.runs.loading import load
from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir
from test_models import MODELS

SIZES = {"train": 6, "dev": 4, "test": 4}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Overrides for a corpus of three files, and a pipeline in a folder."""
    folder = tmp_path_factory.mktemp("corpus")
    for split, size in SIZES.items():
        write_jsonl(SyntheticCorpus().generate(split, size), folder / f"{split}.jsonl")
    pipeline().to_disk(folder / "pipeline")
    files = [f"dataset.{split}={folder}/{split}.jsonl" for split in SIZES]
    return ["dataset=jsonl", *files, "dataset.pair_types=[[Chemical,Disease]]", f"parse={folder}/pipeline"]


@pytest.mark.parametrize("name", MODELS)
def test_a_run(name, settings, tmp_path):
    encoder = "tiny" if "transformer" in MODELS[name] else "bilstm_small"
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose(
            "train", [*settings, f"model={name}", f"encoder={encoder}", "training.epochs=1", "cache=false"]
        )
    run = train(config, tmp_path / "run")
    documents = list(SyntheticCorpus().generate("test", SIZES["test"]))
    found, loaded = (
        np.concatenate(each.predict(each.graphs(documents))) for each in (run, load(tmp_path / "run"))
    )
    np.testing.assert_allclose(loaded, found, atol=1e-6)

    extractor = RelationExtractor.from_pretrained(tmp_path / "run")
    predicted = extractor(documents, threshold=0.0, reasons=True)
    facts = [fact for document in predicted for fact in document.facts]
    assert len(facts) == found.size
    assert all(fact.reasons and fact.sentence_ablation for fact in facts)
    write_page(
        [(document, None) for document in predicted],
        tmp_path / "page.html",
        title="Relations",
        relations=run.labels.relations,
        threshold=0.5,
    )
    assert facts[0].head in (tmp_path / "page.html").read_text(encoding="utf-8")

    save_pretrained(run, tmp_path / "saved")
    assert run.model.citation in (tmp_path / "saved/README.md").read_text(encoding="utf-8")
