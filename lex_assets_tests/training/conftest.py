"""A toy language whose relevance a two-layer model can learn: a question names a topic by another word."""

from __future__ import annotations

import multiprocessing
import random
from pathlib import Path

import polars as pl
import pytest

from lex_assets.schemas import PASSAGES, QRELS, QUERIES, TRIPLETS
from lex_assets_tests.mining.conftest import TableSearch, passage_row, query_row

TOPICS, PER_TOPIC, FILLERS = 12, 3, 20
WORDS = (
    [f"q{n}" for n in range(TOPICS)] + [f"p{n}" for n in range(TOPICS)] + [f"w{n}" for n in range(FILLERS)] + ["mark"]
)


@pytest.fixture(scope="session")
def processes():
    """Children of a server that has the heavy imports behind it; a fork of this process could hang in polars."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lex_assets.training.retriever", "lex_assets.training.reranker"])
    return context


@pytest.fixture(scope="session")
def tokenizer_files(tmp_path_factory) -> Path:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import BertProcessing
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    names = ["input_ids", "token_type_ids", "attention_mask"]
    folder = tmp_path_factory.mktemp("tokenizer")
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, model_input_names=names, **special
    )
    wrapped.save_pretrained(str(folder))
    return folder


def tiny_config():
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(WORDS) + 5,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=1,
    )


def with_distinct_words(model):
    """Untrained weights in which words, not positions, decide the output: otherwise there is little to adapt."""
    model.get_input_embeddings().weight.data.mul_(20)
    return model


@pytest.fixture(scope="session")
def bi_encoder_folder(tmp_path_factory, tokenizer_files) -> Path:
    """A random two-layer BERT with mean pooling in the sentence-transformers format."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import AutoTokenizer, BertModel

    torch.manual_seed(0)
    raw = tmp_path_factory.mktemp("bert")
    with_distinct_words(BertModel(tiny_config())).save_pretrained(str(raw))
    AutoTokenizer.from_pretrained(str(tokenizer_files)).save_pretrained(str(raw))
    folder = tmp_path_factory.mktemp("bi_encoder")
    transformer = Transformer(str(raw), max_seq_length=32)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    model = SentenceTransformer(modules=[transformer, pooling], device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="session")
def cross_encoder_folder(tmp_path_factory, tokenizer_files) -> Path:
    """A random two-layer BERT with a one-logit head."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("cross_encoder")
    with_distinct_words(BertForSequenceClassification(tiny_config())).save_pretrained(str(folder))
    AutoTokenizer.from_pretrained(str(tokenizer_files)).save_pretrained(str(folder))
    return folder


class Toy:
    """Tables of the toy problem: topic n is `qn` in questions and `pn` in passages, among filler words."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = random.Random(seed)
        topics = [(topic, copy) for topic in range(TOPICS) for copy in range(PER_TOPIC)]
        self.corpus = PASSAGES.frame(
            passage_row(f"P{topic}_{copy}", f"P{topic}", text=self._text(f"p{topic}"), family=f"F{topic}")
            for topic, copy in topics
        )
        sets = ["train"] * 4 + ["valid"]
        rows = [(f"Q{topic}_{n}", topic, name) for topic in range(TOPICS) for n, name in enumerate(sets)]
        self.queries = QUERIES.frame(query_row(i, text=self._text(f"q{topic}"), set=name) for i, topic, name in rows)
        self.qrels = QRELS.frame(
            {"query_id": i, "passage_id": f"P{topic}_{copy}", "grade": 1} for i, topic, _ in rows for copy in range(3)
        )
        self.triplets = TRIPLETS.frame(self._triplet(i, topic) for i, topic, name in rows if name == "train")

    def _text(self, word: str) -> str:
        fillers = [f"w{self.generator.randrange(FILLERS)}" for _ in range(4)]
        return " ".join(self.generator.sample([word, word, *fillers], 6))

    def _triplet(self, query_id: str, topic: int) -> dict:
        others = [f"P{other}_{copy}" for other in range(TOPICS) if other != topic for copy in range(PER_TOPIC)]
        negatives = [self._negative(passage) for passage in sorted(self.generator.sample(others, 7))]
        return {"query_id": query_id, "positives": [f"P{topic}_{n}" for n in range(3)], "negatives": negatives}

    @staticmethod
    def _negative(passage_id: str) -> dict:
        empty = dict.fromkeys(("rank_lexical", "rank_dense", "score_dense", "score_rerank"))
        return {"passage_id": passage_id, "pool": "lexical", **empty, "verdict": "hard"}

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The arguments of the training functions."""
        return {"triplets": self.triplets, "queries": self.queries, "qrels": self.qrels, "corpus": self.corpus}

    def search(self) -> TableSearch:
        """A first stage that finds 20 passages in a random order, the relevant ones among them."""
        passages = self.corpus["passage_id"].to_list()
        texts = self.queries["text"].to_list()
        return TableSearch({text: {p: self.generator.random() for p in passages} for text in texts})


class MarkedToy(Toy):
    """The toy for a cross-encoder, for which matching words is much to learn: relevant passages carry a mark, and the
    others of the corpus, which alone are negatives and candidates, do not."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        marked = pl.concat_str(pl.lit("mark "), "text")
        others = [passage_row(f"N{n}", f"N{n}", text=self._text(f"p{n}"), family=f"N{n}") for n in range(TOPICS)]
        self.corpus = pl.concat([self.corpus.with_columns(text=marked), PASSAGES.frame(others)])
        negatives = [self._negative(f"N{n}") for n in range(7)]
        rows = self.triplets.select("query_id", "positives").to_dicts()
        self.triplets = TRIPLETS.frame(row | {"negatives": negatives} for row in rows)

    def search(self) -> TableSearch:
        scores = {}
        for query_id, text in self.queries.select("query_id", "text").iter_rows():
            topic = query_id[1:].split("_")[0]
            found = [f"P{topic}_{n}" for n in range(3)] + [f"N{n}" for n in range(TOPICS)]
            scores[text] = {passage: self.generator.random() for passage in found}
        return TableSearch(scores)


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def marked_toy() -> MarkedToy:
    return MarkedToy()
