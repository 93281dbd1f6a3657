"""lm_eval over our models: the same likelihoods, accuracies and answers as our own scorers give."""

import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ngram_baseline import NgramModel

from stages.editing_prior import open_prior
from stages.evaluation_harness import Harness, local_files
from stages.evaluation_tasks import Tasks
from stages.harness_model import decoding, harness_model
from stages.tasks_minimal_pairs import MinimalPairs

DATA = os.environ.get("TOKENMILL_DATA")
PAIRS = [
    ("The cat sat on the mat.", "The cat sat on mat the."),
    ("The dog sat in the sun.", "The dog sat in sun the."),
    ("The owl sat by the door.", "The owl door by the sat."),
    ("The cow sat under the old tree.", "The cow under sat the old tree."),
    ("Sun the in sat.", "The hen sat."),  # that the models have the other way round
]


def write_pairs(path, pairs, paradigm):
    rows = [
        {"sentence_good": good, "sentence_bad": bad, "UID": paradigm, "pairID": str(number)}
        for number, (good, bad) in enumerate(pairs)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def write_task(path, name, data, **settings):
    """A task of minimal pairs as lm_eval's BLiMP has it, but without a space before sentences."""
    import yaml

    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"train": str(data)}},
        "output_type": "multiple_choice",
        "validation_split": "train",
        "doc_to_text": "",
        "doc_to_target": 0,
        "doc_to_choice": "{{[sentence_good, sentence_bad]}}",
        "target_delimiter": "",
        "num_fewshot": 0,
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": True}
            for name in ("acc", "acc_bytes")
        ],
    }
    path.write_text(yaml.safe_dump(task | settings), encoding="utf-8")
    return path


@pytest.fixture
def lm_eval(tmp_path, monkeypatch):
    """The library, without any network and with caches of the test's own."""
    # Before the library: it hands these to the libraries that download.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = pytest.importorskip("lm_eval", reason="the extra `harness` is not installed")
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return found


@pytest.fixture(scope="module")
def prior(trained):
    return open_prior(trained["model"], "cpu")


@pytest.fixture
def wrapped(lm_eval, prior):
    return harness_model(prior, batch_size=4, device="cpu", threads=1)


def requests(*arguments):
    return [SimpleNamespace(args=given) for given in arguments]


def by_id(ran, metric, output=None):
    return {row["id"]: row["value"] for row in ran.rows(output) if row["metric"] == metric}


def test_likelihoods_are_those_of_our_own_scorer(wrapped, prior):
    from operators.evaluation.choices import encode_choices, score_choices

    pairs = [("", "The cat sat."), ("The cat", " sat."), ("The dog \n", "sat in the sun.")]
    encoded = encode_choices(prior.tokenizer, pairs, prior.end_of_text)
    scores = score_choices(prior.model, encoded, context=prior.context, batch_size=4, device="cpu")
    assert wrapped.loglikelihood(requests(*pairs)) == [
        (score.log_probability, score.greedy) for score in scores
    ]


def test_whole_texts_are_scored_with_each_token_once(wrapped, prior):
    long = "The owl sat under the old tree. " * 4
    whole, empty, short = wrapped.loglikelihood_rolling(requests((long,), ("",), ("The cat",)))
    assert empty == 0.0
    assert short == pytest.approx(wrapped.loglikelihood(requests(("", "The cat")))[0][0])
    assert len(prior.tokenizer.encode(long)) > prior.context
    assert -math.inf < whole < short < 0


def test_answers_are_greedy_and_end_at_the_stops_of_each_request(wrapped):
    prompt = "The cat sat on"
    given = requests(
        (prompt, {"until": ["."], "max_gen_toks": 8}),
        (prompt, {"until": "mat", "max_gen_toks": 8, "do_sample": False, "temperature": 0.0}),
        (prompt, {"until": [], "max_gen_toks": 2}),
    )
    stopped, at_word, cut = wrapped.generate_until(given)
    assert "." not in stopped
    assert "mat" not in at_word
    assert stopped.startswith(cut)


def test_sampling_is_refused_with_the_cure():
    with pytest.raises(ValueError, match="do_sample: false"):
        decoding({"do_sample": True, "temperature": 0.7, "until": ["\n"]})
    assert decoding({"do_sample": True, "temperature": 0.0, "until": "\n"}) == (("\n",), 256)
    assert decoding({"until": ["a", ""], "max_gen_toks": 3}) == (("a",), 3)
    assert decoding({}) == ((), 256)


def test_minimal_pairs_have_one_accuracy_here_and_there(lm_eval, run_stage, trained, tmp_path):
    data = write_pairs(tmp_path / "order.jsonl", PAIRS, "order")
    task = write_task(tmp_path / "order.yaml", "order", data)
    theirs = run_stage(Harness, {"model": trained["model"]}, tasks=[str(task)], device="cpu")
    pairs = run_stage(MinimalPairs, sources=[str(data)])
    ours = run_stage(Tasks, {"model": trained["model"], "tasks": pairs["tasks"]}, device="cpu")
    assert list(by_id(theirs, "acc").values()) == list(by_id(ours, "accuracy").values())
    assert list(by_id(theirs, "acc_bytes").values()) == (
        list(by_id(ours, "accuracy_per_byte").values())
    )
    assert theirs.context.metrics["order.acc"] == ours.context.metrics["accuracy"] == 4 / 5


def test_results_have_the_standard_errors_that_lm_eval_gives(lm_eval, run_stage, trained, tmp_path):
    data = write_pairs(tmp_path / "order.jsonl", PAIRS, "order")
    task = write_task(tmp_path / "order.yaml", "order", data)
    ran = run_stage(Harness, {"model": trained["model"]}, tasks=[str(task)], device="cpu")
    rows = {row["metric"]: row for row in ran.rows("results")}
    share = rows["acc"]["value"]
    assert rows["acc_stderr"]["value"] == pytest.approx(math.sqrt(share * (1 - share) / 4))
    assert rows["acc"]["weight"] == 5.0
    assert ran.context.metrics["order.acc_stderr"] == rows["acc_stderr"]["value"]
    bare = run_stage(
        Harness, {"model": trained["model"]}, tasks=[str(task)], device="cpu",
        bootstrap_resamples=0,
    )  # fmt: skip
    assert {row["metric"] for row in bare.rows("results")} == {"acc", "acc_bytes"}
    assert "DISABLE_MULTIPROC" not in os.environ


def test_a_folder_is_its_groups_and_the_tasks_beside_them(lm_eval, run_stage, trained, tmp_path):
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name, pairs in (("one", PAIRS[:2]), ("two", PAIRS[2:]), ("alone", PAIRS)):
        write_task(
            folder / f"{name}.yaml", name, write_pairs(tmp_path / f"{name}.jsonl", pairs, "")
        )
    (folder / "both.yaml").write_text(
        "group: both\ntask: [one, two]\naggregate_metric_list:\n"
        "  - {metric: acc, weight_by_size: true}\n",
        encoding="utf-8",
    )
    ran = run_stage(
        Harness, {"model": trained["model"]}, tasks=[str(folder)], device="cpu", limit=2
    )
    found = by_id(ran, "acc", "results")
    assert found.keys() == {"alone", "both", "one", "two"}
    assert found["both"] == pytest.approx((found["one"] + found["two"]) / 2)
    assert len(by_id(ran, "acc")) == 6


def test_bits_per_byte_of_texts_pool_to_the_result(lm_eval, run_stage, trained, tmp_path):
    texts = ["The cat sat on the mat.", "Ξένες λέξεις", "The owl"]
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    task = write_task(
        tmp_path / "texts.yaml", "texts", data,
        output_type="loglikelihood_rolling", doc_to_target="text", doc_to_choice=None,
        metric_list=[{"metric": "bits_per_byte"}, {"metric": "word_perplexity"}],
    )  # fmt: skip
    ran = run_stage(Harness, {"model": trained["model"]}, tasks=[str(task)], device="cpu")
    rows = [row for row in ran.rows() if row["metric"] == "bits_per_byte"]
    assert [row["weight"] for row in rows] == [len(text.encode()) for text in texts]
    pooled = sum(row["value"] * row["weight"] for row in rows) / sum(row["weight"] for row in rows)
    assert pooled == pytest.approx(ran.context.metrics["texts.bits_per_byte"], rel=1e-9)
    assert {row["metric"] for row in ran.rows()} == {"bits_per_byte"}


def test_generated_answers_are_scored_by_the_measures_of_the_harness(
    lm_eval, run_stage, trained, tmp_path
):
    data = tmp_path / "asked.jsonl"
    rows = [{"asked": "The cat sat on the", "answer": "mat"}, {"asked": "The", "answer": "zebra"}]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = write_task(
        tmp_path / "asked.yaml", "asked", data,
        output_type="generate_until", doc_to_text="asked", doc_to_target="answer",
        doc_to_choice=None, generation_kwargs={"until": ["."], "max_gen_toks": 4},
        metric_list=[{"metric": "exact_match"}],
    )  # fmt: skip
    ran = run_stage(Harness, {"model": trained["model"]}, tasks=[str(task)], device="cpu")
    values = by_id(ran, "exact_match")
    assert values.keys() == {"asked:0", "asked:1"}
    assert values["asked:1"] == 0.0


def ngrams(prior, texts):
    """The baseline of the tests, in the place of a trained model."""
    rows = [[prior.end_of_text, *ids] for ids in prior.tokenizer.encode_batch(texts)]
    model = NgramModel(rows, vocab_size=len(prior.tokenizer.tokens))
    return replace(prior, model=model, context=64)


def accuracies(prior, files, folder):
    """Of minimal pairs in files, by our own scorer and measure, and by lm_eval."""
    from lm_eval import evaluator

    from operators.evaluation.choices import encode_choices, score_choices
    from operators.evaluation.minimal_pairs import pair_accuracy
    from stages.evaluation_harness import load_tasks

    pairs = [json.loads(line) for path in files for line in path.read_text("utf-8").splitlines()]
    sentences = [("", row[side]) for side in ("sentence_good", "sentence_bad") for row in pairs]
    encoded = encode_choices(prior.tokenizer, sentences, prior.end_of_text)
    logs = [
        score.log_probability
        for score in score_choices(prior.model, encoded, context=prior.context, device="cpu")
    ]
    ours = pair_accuracy(logs[: len(pairs)], logs[len(pairs) :], [row["UID"] for row in pairs])
    specs = [str(write_task(folder / f"{path.stem}.yaml", path.stem, path)) for path in files]
    model = harness_model(prior, batch_size=16, device="cpu", threads=1)
    theirs = evaluator.evaluate(lm=model, task_dict=load_tasks(specs), bootstrap_iters=0)
    return ours, {name: found["acc,none"] for name, found in theirs["results"].items()}


@pytest.mark.parametrize("kind", ["llama", "ngrams"])
def test_made_up_pairs_have_one_accuracy_here_and_there(lm_eval, prior, kind, tmp_path, sayings):
    if kind == "ngrams":
        prior = ngrams(prior, sayings.table().column("text").to_pylist())
    files = [
        write_pairs(tmp_path / "order.jsonl", PAIRS, "order"),
        write_pairs(tmp_path / "turned.jsonl", [pair[::-1] for pair in PAIRS], "turned"),
    ]
    ours, theirs = accuracies(prior, files, tmp_path)
    assert ours.ties == 0
    assert theirs == pytest.approx(dict(ours.by_paradigm))
    assert theirs == pytest.approx({"order": 4 / 5, "turned": 1 / 5})


@pytest.mark.parametrize("kind", ["llama", "ngrams"])
def test_blimp_has_one_accuracy_here_and_there(lm_eval, prior, kind, tmp_path):
    if not DATA:
        pytest.skip("TOKENMILL_DATA is not set: the files of BLiMP are not here")
    files, known = [], []
    for path in sorted(Path(DATA, "blimp").glob("*.jsonl")):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        files.append(tmp_path / path.name)
        files[-1].write_text("".join(lines[:10]), "utf-8")
        known += [json.loads(line)["sentence_good"] for line in lines[10:300]]
    ours, theirs = accuracies(ngrams(prior, known) if kind == "ngrams" else prior, files, tmp_path)
    assert ours.ties == 0  # lm_eval counts the first of equals, which is the good one
    assert len(theirs) == 8
    assert theirs == pytest.approx(dict(ours.by_paradigm))


def test_a_tie_is_right_for_lm_eval_and_here_where_it_is_asked_for(
    lm_eval, run_stage, trained, tmp_path
):
    data = write_pairs(tmp_path / "same.jsonl", [("The cat.", "The cat."), *PAIRS[:1]], "same")
    task = write_task(tmp_path / "same.yaml", "same", data)
    theirs = run_stage(Harness, {"model": trained["model"]}, tasks=[str(task)], device="cpu")
    pairs = run_stage(MinimalPairs, sources=[str(data)])
    inputs = {"model": trained["model"], "tasks": pairs["tasks"]}
    assert theirs.context.metrics["same.acc"] == 1.0
    assert run_stage(Tasks, inputs, device="cpu", ties="first").context.metrics["accuracy"] == 1.0
    assert run_stage(Tasks, inputs, device="cpu").context.metrics["accuracy"] == 0.5


def test_the_files_of_a_task_are_its_yaml_what_it_includes_its_code_and_its_data(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "tasks"
    folder.mkdir()
    (tmp_path / "a.jsonl").write_text("{}\n")
    (folder / "base").write_text("dataset_kwargs: {data_files: {test: ['*.jsonl']}}\n")
    (folder / "own.py").write_text("def prompt(doc): ...\n")
    (folder / "task.yaml").write_text(
        "include: base\ntask: own\ndoc_to_text: !function own.prompt\n"
        "doc_to_target: !function elsewhere.target\n"
    )
    expected = {folder / "base", folder / "own.py", folder / "task.yaml", Path("a.jsonl")}
    assert local_files(str(folder / "task.yaml")) == local_files(str(folder)) == expected
    assert local_files("hellaswag") == set()
    stage = Harness(Harness.Config(tasks=[str(folder), "hellaswag"]))
    before = stage.sources()
    assert before.keys() == {str(path) for path in expected}
    (tmp_path / "a.jsonl").write_text("{ }\n")
    assert {name for name, digest in stage.sources().items() if before[name] != digest} == {
        "a.jsonl"
    }


@pytest.mark.parametrize(
    ("content", "fault"), [(None, "there is no task file"), ("a: [", "cannot be read")]
)
def test_a_task_file_that_is_none_is_a_clear_error(tmp_path, content, fault):
    path = tmp_path / "task.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=fault):
        Harness(Harness.Config(tasks=[str(path)])).sources()


def test_a_task_that_lm_eval_cannot_load_is_a_clear_error(lm_eval, run_stage, trained, tmp_path):
    task = write_task(tmp_path / "lost.yaml", "lost", tmp_path / "not-there.jsonl")
    with pytest.raises(ValueError, match=r'cannot load the task ".*lost.yaml": FileNotFound'):
        run_stage(Harness, {"model": trained["model"]}, tasks=[str(task)], device="cpu")


def test_without_the_library_the_cure_is_told(run_stage, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(ValueError, match=r"pip install 'tokenmill\[harness\]'"):
        run_stage(Harness, {"model": trained["model"]}, tasks=["blimp"], device="cpu")
