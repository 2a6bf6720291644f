"""What questions made without labels are worth to a finance retriever, on real labels that it never saw.

    python -m benchmarks.synthetic_value --raw ../shared/raw --bench ../shared/bench    # an hour of CPU with AMX
    python -m benchmarks.synthetic_value … --choose training.max_steps=240              # the other part, other settings
    python -m benchmarks.synthetic_value … --ablation                                   # hours more

Starts from the built-in retriever that has seen no labels. Questions come from the offline generator over all statutes, decrees and
administrative rules at hand, those of finance and others; nothing else is learnt from. Trained as `lex-assets train retriever --config
configs/builtin-synthetic.yaml` trains, three seeds. Tested on decree article → the act article it implements (`delegation`)
and on court issues → the finance articles they cite (`core`), against BM25 and against the untuned hybrid. Differences are of
means over the seeds, with a cluster bootstrap over act families (delegation) and decisions (core).

Beside what people ask, a provision is asked for in its own wording, and what provisions cite in the words that cite it. What finance
decrees cite is left out altogether, and the command fails where a pair (citing, cited) is a question and
an answer of `delegation`. Decrees are texts like the others: their provisions, which are that bench's questions, are also
asked for by their own words; which article of the act they implement is never told.

The questions of one article in twenty do not train: they choose the checkpoint, and the fusion weight of every hybrid is
learnt on them, with the untuned base: what a team without labels can do.

A third of the families and decisions, drawn by the hash of their names, were for choosing (settings, kinds of question); the
figures are of the rest.

Seen, three seeds (NDCG@10, 95 % intervals), BM25 · untuned hybrid · tuned hybrid: core, 213 questions: .477 · .496 · .545: +.068
[+.041, +.096] over BM25, +.049 [+.031, +.068] over the untuned hybrid; of these the 117 of decisions whose text the base has not
read: .413 · .438 · .491: +.077 [+.040, +.116], +.052 [+.030, +.079]. delegation, 908 questions of 11 families: .687 · .719 · .727:
+.040 [+.013, +.051], +.008 [+.003, +.023].

On the questions for choosing (97 · 210 in 5 families) these settings gained +.059 [+.028, +.093] (core) and +.016 [+.003, +.026]
(delegation) over the untuned hybrid, one seed.

With finance documents alone, 60 steps at 5e-4, the settings before: .547 (core, +.058 [+.039, +.077]) and .718 (delegation, +.001
[-.003, +.018]). What follows, the filters too, was tried around those.

Tried on the questions for choosing, gain over the untuned hybrid (core · delegation; seeds): short questions alone +.028 ·
+.005 (3); with provisions in their own wording +.032 · +.008 (2); with citing provisions +.041 · +.007, with the lines that
cite +.030 · +.008; with both kinds +.040 · +.013, +.048 · +.014, +.019 · +.008, half of the former +.029 · +.008; citing and
cited passage as answers +.012 · +.009, +.019 · +.006, the cited alone +.020 · +.009; lines thrice +.021 · +.012 (2); lines
alone and under their heading +.026 · +.008 (3), and provisions as a whole: the settings before. Paragraphs beside the answer +.023 ·
-.002; twice the steps +.034 · +.002. Before these, and without gain for delegation: mined negatives, same-title ones
included; lower rates, temperature .02, weights between base and tuned ones; longer queries. Queries cut at 24 tokens gain .03
there, the untuned as much. Adapters (LoRA, all layers and words, three rates) ranked below the model trained whole.

Other statutes beside finance, one seed: with what the decrees of the domain law cite (17,785 questions; 120 to 400 steps, rates 5e-4
to 2e-3) +.034 to +.049 · +.009 to +.019; with all questions about all statutes (178,995) 240 steps +.064 · +.010, 480 steps +.059 ·
+.016: the settings; finance alone with that seed +.020 · +.015. Batches of one statute +.019 · +.017. On 1,200 decree articles of
eight acts of the domain law with the articles of the act that they cite (no bench; 1,739 articles; BM25 .810, untuned hybrid .829)
120 steps on questions about those acts and decrees, without these pairs, gave +.002 [-.004, +.007]: in large acts little is gained.

Without a filter, short questions alone, three seeds, questions for choosing (core · delegation): copies_passage (848 questions
rejected) -.000 [-.007, +.007] · +.000 [-.004, +.005]; ambiguous (1,483) +.003 [-.006, +.012] · +.001 [-.003, +.008];
near_duplicate (444) +.010 [-.000, +.021] · -.000 [-.010, +.010], and so it is left out here. Without all of them, with the
kinds of today (3,725): +.002 [-.010, +.012] · -.004 [-.006, -.001]: together they help delegation a little.

To be read with care: about 50 variants were tried on the questions for choosing, with seeds that differ by .003 (delegation) and
.01 (core); tuned figures of the reported part were printed twice before, with short questions alone (core +.040 [+.023, +.057],
delegation +.001 [-.004, +.004]) and with the settings before; still earlier a benchmark had printed figures for another draw of
the same questions. The interval of delegation is of 11 families, one of which has more than half of the questions.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import torch

from benchmarks.finance_tasks import (
    Articles,
    Pair,
    Task,
    article_of,
    cited_pairs,
    core,
    delegation,
    finance_laws,
    statutes_and_rules,
)
from lex_assets.evaluation.significance import bootstrap_interval
from lex_assets.models.bi_encoder import BiEncoder
from lex_assets.models.presets import retriever_preset
from lex_assets.models.weights import trained_documents
from lex_assets.passages.build import build_passages
from lex_assets.passages.corpus import build_corpus
from lex_assets.queries.filters import FILTERS, SyntheticConfig
from lex_assets.queries.inherit import SourceSets
from lex_assets.queries.rules import RuleGenerator
from lex_assets.queries.split import SplitConfig
from lex_assets.queries.statute import STATUTE_KINDS
from lex_assets.queries.synthetic import Synthetic, synthetic_queries
from lex_assets.retrieval.fusion import LearntFusion, learn_weight
from lex_assets.schemas import TRIPLETS
from lex_assets.training.files import TrainingTables
from lex_assets.training.recipe import AnyRecipe, load_recipe
from lex_assets.training.run import train_recipe

log = logging.getLogger("synthetic_value")
RECIPE = Path(__file__).parents[1] / "configs" / "builtin-synthetic.yaml"
LEAST_REJECTED = 0.01
"""Share of the questions that a filter must reject for its ablation to show anything."""
SPLIT = SplitConfig(train=0.95, valid=0.05, promotion=0, test=0, held_out=0)
"""One article in twenty is asked about for choosing the checkpoint and the fusion."""


def made_questions(passages: pl.DataFrame, config: SyntheticConfig, pairs: Sequence[Pair]) -> Synthetic:
    """Questions about all passages and pairs that the filters of `config` keep, each in the set of its article."""
    generator = RuleGenerator(config.per_passage, statute_share=config.statute_share, pairs=pairs)
    return synthetic_queries(passages, generator, config, sets=SourceSets(SPLIT))


def training_tables(passages: pl.DataFrame, made: Synthetic) -> TrainingTables:
    """What trains: questions with their passages; negatives are the other passages of a batch."""
    answers = made.qrels.group_by("query_id").agg("passage_id")
    train = made.queries.filter(pl.col("set") == "train").select("query_id").join(answers, on="query_id")
    rows = ({"query_id": q, "positives": p, "negatives": []} for q, p in train.sort("query_id").iter_rows())
    return TrainingTables(TRIPLETS.frame(rows), made.queries, made.qrels, passages)


def held_out_task(made: Synthetic, texts: dict[str, str]) -> Task:
    """The questions that do not train, over the articles of `texts`; not those in a provision's own words, which keyword
    search finds by their being the same."""
    asked = ~pl.col("meta").str.json_path_match("$.kind").is_in(STATUTE_KINDS)
    valid = made.queries.filter(pl.col("set") == "valid", asked).join(made.qrels, on="query_id").sort("query_id")
    asked = [(q, a) for q, p in valid.select("text", "passage_id").iter_rows() if (a := article_of(p)) in texts]
    return Task("held out", texts, [q for q, _ in asked], [{a} for _, a in asked], [a for _, a in asked])


def unread(task: Task) -> Task:
    """The questions of decisions whose text the base has not read either."""
    known = trained_documents(retriever_preset("builtin").hub_id) or frozenset()
    kept = task.of([f"PREC_{cluster}" not in known for cluster in task.clusters])
    return replace(kept, name=f"{task.name}, decisions that the base has not read")


@dataclass(frozen=True)
class Scores:
    """NDCG@10 of a retriever, and of its hybrid with BM25, per task and question."""

    dense: dict[str, np.ndarray]
    hybrid: dict[str, np.ndarray]


@dataclass(frozen=True)
class Experiment:
    """What every run shares: documents, tasks, the recipe, and the questions that the fusion weight is learnt on."""

    passages: pl.DataFrame
    pairs: Sequence[Pair]
    tasks: Sequence[Task]
    articles: Articles
    held_out: Task
    recipe: AnyRecipe

    @cached_property
    def fusion(self) -> LearntFusion:
        """Learnt on held-out questions with the untuned base, which does not know how the generator words things."""
        base = untuned()
        found = self.articles.search(base, self.articles.encoded(base), self.held_out)
        task = self.held_out
        fusion = learn_weight(task.lexical, found, task.scores, groups=task.clusters)
        log.info("weight %.2f (%s) by %d held-out questions", fusion.weight, fusion.method, len(found))
        return fusion

    def scores(self, encoder: BiEncoder) -> Scores:
        """How `encoder` finds the answers of all tasks."""
        vectors = self.articles.encoded(encoder)
        found = {task.name: self.articles.search(encoder, vectors, task) for task in self.tasks}
        return Scores(
            {task.name: task.scores(found[task.name]) for task in self.tasks},
            {task.name: task.hybrid(found[task.name], self.fusion) for task in self.tasks},
        )

    def tuned(self, made: Synthetic, seed: int) -> Scores:
        """The base trained on these questions as the recipe says."""
        began, tables = time.process_time(), training_tables(self.passages, made)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / f"seed-{seed}"
            training = self.recipe.training.model_copy(update={"seed": seed})
            recipe = self.recipe.model_copy(update={"training": training, "out": str(out)})
            result = train_recipe(recipe, tables, lambda step: log.info(step.line) if step.metric is not None else None)
            log.info("%d questions, seed %d: %.0f s of CPU", tables.rows, seed, time.process_time() - began)
            return self.scores(loaded(result.adapter_dir, training.tuning))


def untuned() -> BiEncoder:
    """The base; in bfloat16, which CPUs of today are several times faster in."""
    return BiEncoder("builtin", dtype="bfloat16")


def loaded(folder: Path, tuning: str) -> BiEncoder:
    """What was trained: an adapter on the base, or a whole model."""
    if tuning == "lora":
        return BiEncoder("builtin", peft_adapter_path=str(folder), dtype="bfloat16")
    return BiEncoder(str(folder), dtype="bfloat16")


def interval(task: Task, difference: np.ndarray) -> str:
    """Mean difference and its 95 % cluster-bootstrap interval."""
    low, high = bootstrap_interval(difference, np.array(task.clusters))
    return f"{difference.mean():+.4f} [{low:+.4f}, {high:+.4f}]"


def report(tasks: Sequence[Task], base: Scores, tuned: Sequence[Scores]) -> None:
    """Print means, and the differences that are the point."""
    for task in tasks:
        bm25, name = task.scores(task.lexical), task.name
        print(f"\n{name}: {len(task.questions)} questions, {len(set(task.clusters))} clusters, NDCG@10")
        print(f"  BM25 {bm25.mean():.4f}")
        for label, one in (("base  ", base), *((f"seed {n}", one) for n, one in enumerate(tuned))):
            print(f"  {label}: dense {one.dense[name].mean():.4f} · hybrid {one.hybrid[name].mean():.4f}")
        mean = np.mean([one.hybrid[name] for one in tuned], axis=0)
        print(f"  tuned hybrid − BM25: {interval(task, mean - bm25)}")
        print(f"  tuned hybrid − base hybrid: {interval(task, mean - base.hybrid[name])}", flush=True)


def ablation(experiment: Experiment, tasks: Sequence[Task], made: Synthetic, reference: Sequence[Scores]) -> None:
    """Print what leaving out each filter that rejects much, and all of them, does to the tuned hybrid, seed by seed."""
    rejected = {name: number for name, number in made.report.counts.items() if name in FILTERS}
    tried = [name for name in FILTERS if rejected.get(name, 0) >= LEAST_REJECTED * made.report.made]
    print(
        f"\nfilters: questions rejected · tuned hybrid without − with, {len(reference)} seeds, questions for choosing"
    )
    for name in (*tried, "all"):
        skip = FILTERS if name == "all" else (*experiment.recipe.questions.skip, name)
        config = experiment.recipe.questions.model_copy(update={"skip": skip})
        without = made_questions(experiment.passages, config, experiment.pairs)
        scores = [experiment.tuned(without, seed) for seed in range(len(reference))]
        changes = []
        for task in tasks:
            pairs = zip(scores, reference, strict=True)
            change = np.mean([one.hybrid[task.name] - other.hybrid[task.name] for one, other in pairs], axis=0)
            changes.append(f"{task.name} {interval(task, change)}")
        print(f"  {name:20} {rejected.get(name, sum(rejected.values())):6,} · {' · '.join(changes)}", flush=True)


def main() -> None:
    """Print the tables."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(1)
    recipe = load_recipe("retriever", RECIPE, arguments.overrides)
    documents = statutes_and_rules(arguments.raw)
    passages = build_corpus([build_passages(documents)])
    pairs = cited_pairs(documents, passages, arguments.bench, SourceSets(SPLIT))
    made = made_questions(passages, recipe.questions, pairs)
    whole = (delegation(arguments.bench), core(arguments.bench, finance_laws(arguments.raw)))
    choosing, reported = ([task.part(choosing) for task in whole] for choosing in (True, False))
    reported.append(unread(reported[1]))
    texts = {article: text for task in whole for article, text in task.texts.items()}
    held_out = held_out_task(made, whole[1].texts)
    experiment = Experiment(passages, pairs, [*choosing, *reported], Articles(passages, texts), held_out, recipe)
    print(f"{passages.height:,} passages: {made.report.counts}; {len(held_out.questions)} held out")
    base = experiment.scores(untuned())
    tuned = [experiment.tuned(made, seed) for seed in range(arguments.seeds)]
    report(choosing if arguments.choose else reported, base, tuned)
    if arguments.ablation:
        ablation(experiment, choosing, made, tuned)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="settings of the recipe, name=value")
    parser.add_argument("--raw", type=Path, default=Path("../shared/raw"), help="raw documents")
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"), help="folder of the benches")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--choose", action="store_true", help="only the questions that settings are chosen on")
    parser.add_argument("--ablation", action="store_true", help="also without each filter")
    return parser.parse_args()


if __name__ == "__main__":
    main()
