"""Tiny checkpoints of every family of encoder, with the files and the settings that the real ones have."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel

TEXT = [
    "Aspirin may cause asthma in some patients, but not in others .",
    "The drug was given to 12 patients with Parkinson's disease .",
    "N-acetyl-cysteine ( NAC ) prevents hepatotoxicity after acetaminophen overdose .",
    "Naïve readers of the café menu don't see any difference at all .",
]


def checkpoint(family: str, folder: Path, *, length: int = 64, weights: bool = True) -> Path:
    """Write the checkpoint of a family, a model of two layers that takes up to ``length`` pieces."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, settings = _TOKENIZERS[family]()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    if family == "xlnet":  # which has names of its own
        size = {}
    config = AutoConfig.for_model(
        **size | {"vocab_size": tokenizer.get_vocab_size()} | _configs(tokenizer, length)[family]
    )
    config.save_pretrained(folder)
    if weights:
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
    return folder


def _configs(tokenizer: Tokenizer, length: int) -> dict[str, dict[str, object]]:
    pad = tokenizer.token_to_id("<pad>")
    width = {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32, "hidden_size": 16}
    bert = {"model_type": "bert", "max_position_embeddings": length}
    return {
        "bert_cased": bert,
        "bert_uncased": bert,
        "roberta": {
            "model_type": "roberta",
            "max_position_embeddings": length + 2,
            "pad_token_id": pad,
            "type_vocab_size": 1,
        },
        "modernbert": {
            "model_type": "modernbert",
            **{f"{name}_token_id": tokenizer.token_to_id("[SEP]") for name in ("bos", "eos", "cls", "sep")},
            "max_position_embeddings": length,
            "pad_token_id": tokenizer.token_to_id("[PAD]"),
        },
        "albert": {"model_type": "albert", "max_position_embeddings": length, "embedding_size": 8},
        "xlnet": {"model_type": "xlnet"} | width,
        "deberta": {
            "model_type": "deberta-v2",
            "max_position_embeddings": length,
            "position_biased_input": False,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "type_vocab_size": 0,
        },
    }


def _wordpiece(lowercase: bool) -> tuple[Tokenizer, dict[str, object]]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        TEXT, trainers.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer, {"tokenizer_class": "BertTokenizer", "do_lower_case": lowercase}


def _bytes(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def _roberta() -> tuple[Tokenizer, dict[str, object]]:
    tokenizer = _bytes(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return tokenizer, {"tokenizer_class": "RobertaTokenizer"}


def _modernbert() -> tuple[Tokenizer, dict[str, object]]:
    tokenizer = _bytes(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
    return tokenizer, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        **{f"{name}_token": text for name, text in names.items()},
    }


def _unigram(
    special: list[str], unknown: str, single: str, settings: dict[str, object]
) -> tuple[Tokenizer, dict[str, object]]:
    tokenizer = Tokenizer(models.Unigram())
    lowercase = [normalizers.Lowercase()] if settings["tokenizer_class"] == "AlbertTokenizer" else []
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace("``", '"'), normalizers.NFKC(), *lowercase]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=special, unk_token=unknown, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT * 5, trainer)
    used = [token.split(":")[0] for token in single.split() if "$" not in token]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(token, tokenizer.token_to_id(token)) for token in used]
    )
    return tokenizer, settings


def _xlnet() -> tuple[Tokenizer, dict[str, object]]:
    special = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]
    return _unigram(special, "<unk>", "$A:0 <sep>:0 <cls>:2", {"tokenizer_class": "XLNetTokenizer"})


def _albert() -> tuple[Tokenizer, dict[str, object]]:
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    return _unigram(special, "<unk>", "[CLS]:0 $A:0 [SEP]:0", {"tokenizer_class": "AlbertTokenizer"})


def _deberta() -> tuple[Tokenizer, dict[str, object]]:
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    return _unigram(special, "[UNK]", "[CLS]:0 $A:0 [SEP]:0", {"tokenizer_class": "DebertaV2Tokenizer"})


_TOKENIZERS = {
    "bert_cased": lambda: _wordpiece(False),
    "bert_uncased": lambda: _wordpiece(True),
    "roberta": _roberta,
    "modernbert": _modernbert,
    "albert": _albert,
    "xlnet": _xlnet,
    "deberta": _deberta,
}
FAMILIES = list(_TOKENIZERS)
