"""Random models of the real formats, a few kilobytes each, with a character tokenizer."""

from __future__ import annotations

import json
import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

CHARACTERS = "가나다라마바사아자차카타파하 ①ㆍ조항호법률손해배상청구"


def save_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: n for n, token in enumerate([*special, *dict.fromkeys(CHARACTERS)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ends)
    names = {f"{name.strip('[]').lower()}_token": name for name in special}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(folder)
    return len(vocabulary)


def tiny_config(size, **extra):
    from transformers import BertConfig

    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return BertConfig(vocab_size=size, max_position_embeddings=64, **shape, **extra)


def write_checkpoint(folder, model_type, kind="retriever", pooling=None):
    """A random model of an architecture as it lies on a disk: a plain transformers folder, or with `pooling` (mean, cls) a
    sentence-transformers folder."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    special = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    size = save_tokenizer(folder)
    config = AutoConfig.for_model(
        model_type, vocab_size=size, max_position_embeddings=64, initializer_range=0.2, num_labels=1, **shape, **special
    )
    torch.manual_seed(1)
    loader = AutoModel if kind == "retriever" else AutoModelForSequenceClassification
    loader.from_config(config).save_pretrained(folder)
    if pooling:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

        modules = [Transformer(str(folder), max_seq_length=32), Pooling(16, pooling), Normalize()]
        SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="session")
def tiny_retriever(tmp_path_factory):
    """A plain BERT checkpoint, as on the hub, without sentence-transformers files."""
    import torch
    from transformers import BertModel

    folder = tmp_path_factory.mktemp("models") / "tiny-retriever"
    torch.manual_seed(1)
    BertModel(tiny_config(save_tokenizer(folder))).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_reranker(tmp_path_factory):
    import torch
    from transformers import BertForSequenceClassification

    folder = tmp_path_factory.mktemp("models") / "tiny-reranker"
    torch.manual_seed(2)
    config = tiny_config(save_tokenizer(folder), num_labels=1, initializer_range=0.2)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def save_adapter(model, folder, training_config, **lora):
    """A LoRA adapter with weights that are not zero, so that it changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model

    from lex_assets.models.architectures import ENCODER_LINEARS

    torch.manual_seed(3)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=list(ENCODER_LINEARS), **lora))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
                assert "pooler" not in name
    adapted.save_pretrained(folder)
    (folder / "training_config.json").write_text(json.dumps(training_config))
    return adapted
