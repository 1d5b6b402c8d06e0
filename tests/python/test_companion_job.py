"""Text to text by the real program, weft run and weft generate, on the demo model.

Files in, answers out: alone, killed and resumed, under mpirun, as groups, in parts; refusals.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

from companion_case import DEMO_MODEL, SOURCE, WEFT, Companion, weft_text

GOLDEN = os.path.join(SOURCE, "tests", "golden")
QUESTIONS = [(f"add:{i}+{7 * i}=", str(8 * i)) for i in range(10, 40)]
WORDS = ["loom", "warp", "weft", "spool", "thread", "shuttle", "reed", "heddle"]
QUESTIONS += [(f"sort:{w}=", "".join(sorted(w))) for w in WORDS]
QUESTIONS += [(f"rev:{w}=", w[::-1]) for w in WORDS]


def kill_session(leader):
    """All processes that a session's leader began, the companion in its own group as well."""
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            if os.getsid(pid) == leader:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Job(Companion):
    def setUp(self):
        super().setUp()
        self.lines = [{"prompt": q, "want": a, "max_tokens": 32, "tag": i}
                      for i, (q, a) in enumerate(QUESTIONS)]
        self.write_lines("p.jsonl", self.lines)
        self.write_lines("job.yaml", [json.dumps({
            "model": {"path": DEMO_MODEL}, "requests": ["p.jsonl"],
            "parallel": {"backend": "cpu", "threads": 1},
            "engine": {"kv_memory": "32MiB", "max_rows": 8, "step_tokens": 64},
            "output": {"dir": "out/job", "text": "answers.jsonl", "seal_every": "100ms"}})])

    def weft(self, *args, code=0, says="", before=(), **environment):
        done = subprocess.run([*before, WEFT, *args], cwd=self.folder.name, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "WEFT_PROGRESS": "off", **environment})
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(says, done.stderr)
        return done

    def bytes_of(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def check_answers(self, name="answers.jsonl"):
        answers = self.read_lines(name)
        self.assertEqual([(a["prompt"], a["tag"], a["text"]) for a in answers],
                         [(line["prompt"], line["tag"], line["want"]) for line in self.lines])


class Embed(Companion):
    """Vectors of a small BERT: killed and resumed, bad rows and rows that are too long."""

    weft = Job.weft

    def test_vectors(self):
        model = os.path.join(GOLDEN, "bert-mini")
        with open(os.path.join(model, "vectors.json"), encoding="ascii") as file:
            cases = json.load(file)["cases"]
        lines = [{"prompt_token_ids": case["ids"], "tag": i} for i, case in enumerate(cases)]
        lines.insert(2, {"tag": "no prompt"})
        lines.insert(4, {"prompt_token_ids": [5] * 129, "tag": "too long"})
        self.write_lines("texts.jsonl", lines)
        self.write_lines("job.yaml", [json.dumps({
            "task": "embed", "model": {"path": model}, "requests": ["texts.jsonl"],
            "text": {"tokenizer": "bytes"}, "parallel": {"backend": "cpu", "threads": 1},
            "engine": {"max_rows": 1}, "output": {"dir": "out", "text": "answers.jsonl"}})])
        self.weft("run", "job.yaml", code=-signal.SIGKILL, WEFT_FAULT="kill@step=3")
        self.weft("run", "job.yaml", code=3)
        self.weft("check", "out", "--complete")
        weft_text("decode", self.path("out"), "-o", self.path("vectors.npy"))
        found = np.load(self.path("vectors.npy"))
        self.assertEqual((found.shape, found.dtype), ((len(lines), 48), np.float32))
        self.assertTrue(np.isnan(found[[2, 4]]).all())
        weft_text("decode", self.path("out"), "-o", self.path("half.npy"), "--dtype", "f16")
        half = np.load(self.path("half.npy"))
        self.assertEqual(half.dtype, np.float16)
        np.testing.assert_array_equal(half, found.astype(np.float16))
        wanted = np.array([case["vector"] for case in cases], np.float32)
        self.assertLess(np.abs(np.delete(found, [2, 4], 0) - wanted).max(), 1e-5)
        answers = self.read_lines("answers.jsonl")
        self.assertEqual([a["tag"] for a in answers], [line["tag"] for line in lines])
        self.assertIn("the model takes 128", answers[4]["error"]["message"])
        self.assertEqual(np.array(answers[5]["vector"], np.float32).tolist(), found[5].tolist())

    def test_prompts_before_texts(self):
        """The default prompt of the model's folder, another, none, and one that it has not."""
        model = self.path("model")
        shutil.copytree(os.path.join(GOLDEN, "bert-mini"), model)
        with open(os.path.join(model, "config_sentence_transformers.json"), "w") as file:
            json.dump({"prompts": {"query": "q w ", "passage": "p "}, "similarity_fn_name": None,
                       "default_prompt_name": "query"}, file)
        tokenizer = Scores.make_tokenizer(self, 0)
        self.write_lines("texts.jsonl", [{"prompt": "a b"}])
        tokens = {}
        for prompt in ("auto", "passage", "none"):
            self.write_lines("job.yaml", [json.dumps({
                "task": "embed", "model": {"path": model}, "requests": ["texts.jsonl"],
                "embed": {"prompt": prompt}, "text": {"tokenizer": tokenizer},
                "parallel": {"backend": "cpu", "threads": 1}, "output": {"dir": f"out/{prompt}"}})])
            self.weft("run", "job.yaml")
            folder = self.path(f"out/{prompt}/text")
            with h5py.File(os.path.join(folder, os.listdir(folder)[0]), "r") as file:
                tokens[prompt] = file["prompts/tokens"][:].tolist()
        self.assertEqual(tokens, {"auto": [3, 26, 32, 10, 11, 4], "passage": [3, 25, 10, 11, 4],
                                  "none": [3, 10, 11, 4]})
        for command in ("plan", "run"):
            self.weft(command, "job.yaml", "-s", "embed.prompt=title", code=78,
                      says="has no prompt 'title' (query, passage)")


class Scores(Companion):
    """Labels and scores of small models, in the order of the input."""

    weft = Job.weft

    def run_model(self, name, task, column="label", **keys):
        """The golden cases and the answers of a job with them."""
        model = os.path.join(GOLDEN, name)
        with open(os.path.join(model, "scores.json"), encoding="ascii") as file:
            golden = json.load(file)
        cases = golden["cases"]
        second = {True: lambda at: {"second_segment": at}, False: lambda at: {}}
        self.write_lines("texts.jsonl", [{"prompt_token_ids": case["ids"], column: i,
                                          **second[case["second"] > 0](case["second"])}
                                         for i, case in enumerate(cases)])
        self.write_lines("job.yaml", [json.dumps({
            "task": task, "model": {"path": model}, "requests": ["texts.jsonl"],
            "text": {"tokenizer": "bytes"}, "parallel": {"backend": "cpu", "threads": 1},
            "output": {"dir": f"out/{name}-{task}", "text": "answers.jsonl"}, **keys})])
        self.weft("run", "job.yaml", "--fresh")
        self.weft("check", f"out/{name}-{task}", "--complete")
        return golden["labels"], cases, self.read_lines("answers.jsonl")

    def test_labels(self):
        labels, cases, answers = self.run_model("bert-classify", "classify")
        self.assertEqual(labels, ["negative", "neutral", "positive"])
        for i, (case, answer) in enumerate(zip(cases, answers, strict=True)):
            self.assertEqual(answer["input_label"], i)  # the input has a column of that name
            self.assertEqual(list(answer["scores"]), labels)
            self.assertEqual(answer["label"], labels[int(np.argmax(case["scores"]))])
            self.assertEqual(answer["score"], max(answer["scores"].values()))
            self.assertLess(np.abs(np.array(list(answer["scores"].values())) -
                                   case["scores"]).max(), 1e-5)
        for name in ("all.npy", "all.parquet", "all.csv"):
            weft_text("decode", self.path("out/bert-classify-classify"), "-o", self.path(name))
        matrix = np.load(self.path("all.npy"))
        self.assertEqual((matrix.shape, matrix.dtype), ((len(cases), 3), np.float32))
        self.assertLess(np.abs(matrix - [case["scores"] for case in cases]).max(), 1e-5)
        import pyarrow.parquet
        table = pyarrow.parquet.read_table(self.path("all.parquet")).to_pylist()
        self.assertEqual([row["label"] for row in table], [a["label"] for a in answers])
        self.assertEqual([row["score"] for row in table], [a["score"] for a in answers])
        with open(self.path("all.csv"), encoding="utf-8") as file:
            self.assertIn("label,score,scores", file.readline())

    def test_masks(self):
        model = os.path.join(GOLDEN, "bert-mask")
        with open(os.path.join(model, "masks.json"), encoding="ascii") as file:
            cases = json.load(file)["cases"]
        self.write_lines("texts.jsonl", [*({"prompt_token_ids": case["ids"], "masks": i,
                                            "temperature": 1.5} for i, case in enumerate(cases)),
                                         {"prompt_token_ids": [9, 8]}])
        self.write_lines("job.yaml", [json.dumps({
            "task": "fill-mask", "model": {"path": model}, "requests": ["texts.jsonl"],
            "fill_mask": {"top_k": 3}, "text": {"tokenizer": "bytes"}, "engine": {"max_rows": 6},
            "parallel": {"backend": "cpu", "threads": 1},
            "output": {"dir": "out/x", "text": "answers.jsonl"}})])
        self.weft("run", "job.yaml", code=3)
        self.weft("check", "out/x", "--complete")
        answers = self.read_lines("answers.jsonl")
        for i, (case, answer) in enumerate(zip(cases, answers)):
            self.assertEqual(answer["input_masks"], i)
            self.assertEqual([[one["token_id"] for one in mask] for mask in answer["masks"]],
                             [mask["ids"][:3] for mask in case["masks"]])
            scores = [[one["score"] for one in mask] for mask in answer["masks"]]
            wanted = np.exp([mask["logprobs"][:3] for mask in case["masks"]])
            self.assertLess(np.abs(scores - wanted).max(), 1e-5)
            self.assertNotIn("token_logprobs", answer)
        self.assertIn("has no mask", answers[-1]["error"]["message"])

    def make_tokenizer(self, of_second):
        """Words of one letter, [CLS] a [SEP] b [SEP], the second's tokens of type `of_second`."""
        from tokenizers import Tokenizer, models, pre_tokenizers, processors

        words = {chr(ord("a") + i): 10 + i for i in range(26)}
        made = Tokenizer(models.WordLevel({"[CLS]": 3, "[SEP]": 4, "[UNK]": 5, **words}, "[UNK]"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair=f"[CLS] $A [SEP] $B:{of_second} [SEP]:{of_second}",
            special_tokens=[("[CLS]", 3), ("[SEP]", 4)])
        folder = self.path(f"tokenizer{of_second}")
        os.makedirs(folder, exist_ok=True)
        made.save(os.path.join(folder, "tokenizer.json"))
        return folder

    def rerank(self, model, tokenizer, out, code=0):
        self.write_lines("pairs.jsonl", [
            {"query": "a b c", "document": "d e", "tag": 0}, {"query": "x y", "document": "a", "tag": 1},
            {"query": "a b c", "document": "f", "tag": 2}, {"text": "a b c", "tag": 3},
            {"query": "x y", "document": "z z z z z", "tag": 4}, {"query": "a b c", "document": 5},
            {"query": "a b c", "document": "d e", "tag": 6}, {"query": "a b c", "docment": "d"}])
        self.write_lines("job.yaml", [json.dumps({
            "task": "rerank", "model": {"path": os.path.join(GOLDEN, model)},
            "requests": ["pairs.jsonl"], "text": {"tokenizer": tokenizer},
            "parallel": {"backend": "cpu", "threads": 1},
            "output": {"dir": out, "text": f"{out}.jsonl"}})])
        self.weft("run", "job.yaml", code=code)
        self.weft("check", out, "--complete")
        folder = self.path(os.path.join(out, "text"))
        with h5py.File(os.path.join(folder, os.listdir(folder)[0]), "r") as file:
            segment = file["requests/segment"][:].tolist() if "requests/segment" in file else []
            at = file["requests/prompt_offset"][:]
            tokens = file["prompts/tokens"][:]
        return self.read_lines(f"{out}.jsonl"), segment, tokens[at[0] : at[1]].tolist()

    def test_pairs_and_ranks(self):
        typed, plain = self.make_tokenizer(1), self.make_tokenizer(0)
        answers, segment, tokens = self.rerank("electra-score", typed, "typed", code=3)
        self.assertEqual(tokens, [3, 10, 11, 12, 4, 13, 14, 4])
        self.assertEqual(segment, [5, 4, 5, 4, 5])  # the row of one text has none
        self.assertEqual([a["status"] for a in answers], ["done"] * 5 + ["failed", "done", "failed"])
        self.assertIn("'query' and nothing to go with it: give 'document' or 'text_pair'",
                      answers[7]["error"]["message"])
        self.assertIn("text is expected", answers[5]["error"]["message"])
        for query in ("a b c", "x y"):
            of_query = [a for a in answers if a.get("query") == query and a["status"] == "done"]
            best_first = sorted(of_query, key=lambda a: (-a["score"], a["tag"]))
            self.assertEqual([a["rank"] for a in best_first],
                             list(range(1, len(of_query) + 1)))
        self.assertNotIn("rank", answers[5])
        self.assertEqual(answers[0]["score"], answers[6]["score"])
        self.assertEqual(answers[0]["rank"] + 1, answers[6]["rank"])
        weft_text("decode", self.path("typed"), "-o", self.path("typed.csv"))
        with open(self.path("typed.csv"), encoding="utf-8") as file:
            self.assertIn("score,scores,rank", file.readline())

        untyped, segment, _ = self.rerank("electra-score", plain, "plain", code=3)
        self.assertEqual(segment, [])
        self.assertNotEqual([a.get("score") for a in untyped], [a.get("score") for a in answers])
        self.assertEqual(untyped[3]["score"], answers[3]["score"])
        # The model's own tokenizer does not hand types on.
        with open(os.path.join(typed, "tokenizer_config.json"), "w", encoding="ascii") as file:
            json.dump({"model_input_names": ["input_ids", "attention_mask"]}, file)
        named, segment, _ = self.rerank("electra-score", typed, "named", code=3)
        self.assertEqual(segment, [])
        self.assertEqual([a.get("score") for a in named], [a.get("score") for a in untyped])
        os.unlink(os.path.join(typed, "tokenizer_config.json"))
        # A model of one type has no vector for the second segment's tokens.
        failed, _, _ = self.rerank("xlmr-rerank", typed, "one", code=3)
        self.assertEqual([a["status"] for a in failed],
                         ["failed"] * 3 + ["done"] + ["failed"] * 4)
        self.assertIn("token types are of one alone", failed[0]["error"]["message"])
        self.assertIn("5 rows", self.weft("plan", "job.yaml", code=3).stdout)

    def test_one_line(self):
        """weft generate with a task: of a prompt on the command line, and to a matrix."""
        model = self.path("m")
        shutil.copytree(os.path.join(GOLDEN, "bert-classify"), model)
        shutil.copy(os.path.join(self.make_tokenizer(0), "tokenizer.json"), model)
        keys = ("--set", "parallel.backend=cpu")
        for task, says in (("classify", r"(negative|neutral|positive) 0\.\d+\n"),
                           ("embed", r"\[-?\d.*(, -?\d[^,]*){47}\]\n")):
            done = self.weft("generate", "--model", model, "--set", f"task={task}", *keys, "a b")
            self.assertRegex(done.stdout, f"^{says}$")
        self.write_lines("t.jsonl", [{"text": "a b"}, {"text": "c"}])
        self.weft("generate", "--model", model, "--set", "task=classify", *keys, "t.jsonl", "-o",
                  "x.npy")
        self.assertEqual(np.load(self.path("x.npy")).shape, (2, 3))
        self.weft("generate", "--model", DEMO_MODEL, *keys, "t.jsonl", "-o", "y.npy", code=78,
                  says="takes numbers alone, of task: embed, classify, score and rerank")

    def test_activations(self):
        _, cases, answers = self.run_model("roberta-labels", "classify",
                                           score={"activation": "none"})
        for case, answer in zip(cases, answers, strict=True):
            found = 1 / (1 + np.exp(-np.array(list(answer["scores"].values()))))
            self.assertLess(np.abs(found - case["scores"]).max(), 1e-5)

    def test_refusals(self):
        for model, task, code, says in (
                ("bert-mini", "classify", 65, "has no head for scores (classifier.weight): task"),
                ("bert-classify", "rerank", 78, "has 3 labels, and rows are ordered by the score"),
                ("gptj-mini", "score", 78, "heads of gptj models are not known here")):
            self.write_lines("job.yaml", [json.dumps({
                "task": task, "model": {"path": os.path.join(GOLDEN, model)},
                "requests": ["none.h5"], "output": {"dir": "out/x"}})])
            self.write_lines("none.h5", [""])
            for command in ("plan", "run"):
                self.weft(command, "job.yaml", code=code, says=says)


class Run(Job):
    def test_answers_whatever_happens(self):
        """Once without an accident, then killed, in ranks, in groups: the same bytes."""
        self.weft("run", "job.yaml")
        self.check_answers()
        wanted = self.bytes_of("answers.jsonl")
        self.weft("run", "job.yaml", says="encoded already")
        self.assertEqual(self.bytes_of("answers.jsonl"), wanted)

        os.unlink(self.path("answers.jsonl"))
        self.weft("run", "job.yaml", "--out", "out/killed", code=-signal.SIGKILL,
                  WEFT_FAULT="kill@step=15")
        self.assertFalse(os.path.exists(self.path("answers.jsonl")))
        self.weft("run", "job.yaml", "--out", "out/killed", says="encoded already")
        self.assertEqual(self.bytes_of("answers.jsonl"), wanted)

        ranks = ("mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2")
        self.weft("run", "job.yaml", "--out", "out/ranks", "--set", "output.text=ranks.jsonl",
                  "--set", "parallel.tensor=2", before=ranks)
        self.assertEqual(self.bytes_of("ranks.jsonl"), wanted)
        self.weft("run", "job.yaml", "--out", "out/groups", "--set", "output.text=groups.jsonl",
                  "--set", "parallel.layout=groups", "--set", "parallel.replicas=2")
        self.assertEqual(self.bytes_of("groups.jsonl"), wanted)

    def test_killed_at_any_moment(self):
        """The program and the companion die together while they encode, run, merge or decode."""
        self.weft("run", "job.yaml", "--out", "out/once", "--set", "output.text=once.jsonl")
        random_s = random.Random(7)
        for _ in range(8):
            with open(self.path("log"), "a", encoding="ascii") as log:
                job = subprocess.Popen([WEFT, "run", "job.yaml"], cwd=self.folder.name, stdout=log,
                                       stderr=log, start_new_session=True)
            try:
                job.wait(random_s.uniform(0.1, 2.5))
            except subprocess.TimeoutExpired:
                kill_session(job.pid)
                job.wait()
            if os.path.exists(self.path("answers.jsonl")):  # then it is whole
                self.assertEqual(self.bytes_of("answers.jsonl"), self.bytes_of("once.jsonl"))
        self.weft("run", "job.yaml")
        self.assertEqual(self.bytes_of("answers.jsonl"), self.bytes_of("once.jsonl"))

    def test_changed_prompts_are_refused(self):
        self.weft("run", "job.yaml")
        self.write_lines("p.jsonl", self.lines[1:])
        self.weft("run", "job.yaml", code=78,
                  says="its content has changed; name another folder with --out DIR")
        self.weft("run", "job.yaml", "--set", "text.max_new_tokens=9", code=78)
        self.assertEqual(len(self.read_lines("answers.jsonl")), len(self.lines))
        for how in ("--force", "--fresh"):
            self.weft("run", "job.yaml", how)
            self.assertEqual([a["tag"] for a in self.read_lines("answers.jsonl")],
                             [line["tag"] for line in self.lines[1:]])

    def test_other_prompts_are_refused(self):
        self.write_lines("q.csv", ["prompt,other", "add:1+3=,5"])
        self.weft("run", "job.yaml")
        other = ("run", "job.yaml", "--set", "requests=[q.csv]", "--set", "output.text=a.csv")
        said = self.weft(*other, code=78, says="cannot go on with q.csv: ").stderr
        self.assertIn("--fresh", said)
        self.assertNotIn("--force", said)
        self.weft(*other, "--force")
        self.assertEqual([line.split(",")[:5] for line in
                          self.bytes_of("a.csv").decode().splitlines()],
                         [["prompt", "other", "sample", "status", "text"],
                          ["add:1+3=", "5", "0", "done", "4"]])

    def test_bad_rows_fail_alone(self):
        lines = [self.lines[0], "{", {"prompt": "x" * 200}, {"custom_id": "a", "want": 1},
                 self.lines[1]]
        self.write_lines("p.jsonl", lines)
        self.weft("run", "job.yaml", "--set", "engine.max_context=100", code=3,
                  says="p.jsonl:2: the line is not")
        answers = self.read_lines("answers.jsonl")
        self.assertEqual([a["status"] for a in answers],
                         ["done", "failed", "failed", "failed", "done"])
        self.assertEqual([a["error"]["code"] for a in answers if "error" in a],
                         ["bad_row", "req_context", "bad_row"])
        self.assertRegex(answers[2]["error"]["message"], r"^p.jsonl:3: prompt of 201 .* context")
        self.assertNotIn("prompt_tokens", answers[2])
        self.assertIn("p.jsonl:4: has no prompt", answers[3]["error"]["message"])
        why = self.weft("why", "out/job").stdout
        self.assertIn("rows of its prompts files are bad", why)
        self.assertIn("mend the rows in the prompts file, and start over with --fresh", why)
        for command in ("report", "check"):
            self.assertIn("2 bad rows of prompts files", self.weft(command, "out/job").stdout)
        self.assertRegex(self.weft("status", "out/job").stdout, "bad rows +2 of prompts files")
        self.write_lines("p.jsonl", ["{", self.lines[0]])
        self.weft("run", "job.yaml", "--out", "out/a", code=3)
        said = self.weft("why", "out/a").stdout
        self.assertIn("1 bad row of its prompts files failed", said)
        self.assertNotIn("none is needed", said)
        self.weft("run", "job.yaml", "--out", "out/b", "--set", "slurm.fail_on_row_errors=false")
        self.write_lines("p.jsonl", ["{", "}"])
        self.weft("run", "job.yaml", "--out", "out/c", code=65, says="has no usable row")

    @unittest.skipIf(os.geteuid(), "only root can make another user's link")
    def test_another_users_link_is_not_followed(self):
        for folder in ("out/job", "victim"):
            os.makedirs(self.path(folder))
        os.symlink(self.path("victim"), self.path("out/job/text"))
        os.lchown(self.path("out/job/text"), 12345, 12345)
        self.weft("run", "job.yaml", code=74, says="symbolic link of another user")
        self.assertEqual(os.listdir(self.path("victim")), [])

    def test_rows_done_again_count_once(self):
        self.write_lines("p.jsonl", [self.lines[0], {"prompt": "x" * 300}])
        self.weft("run", "job.yaml", "--set", "engine.kv_memory=1MiB", code=3)
        self.weft("run", "job.yaml", "--retry-failed", WEFT_FAULT="kill@merge=1",
                  code=-signal.SIGKILL)
        done = weft_text("decode", self.path("out/job/segments"), "-o", self.path("so-far.jsonl"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([a["status"] for a in self.read_lines("so-far.jsonl")], ["done", "done"])

    def test_parts(self):
        self.write_lines("q.jsonl", self.lines[:3])
        self.weft("run", "job.yaml", "--part", "1/2", "--set", "requests=[p.jsonl, q.jsonl]")
        self.assertEqual(len(self.read_lines("answers.a1.jsonl")), 3)
        self.assertTrue(os.path.exists(self.path("out/job/a1/results.h5")))
        self.weft("run", "job.yaml", "--part", "0/2", "--set", "requests=[p.jsonl, q.jsonl]")
        done = weft_text("decode", self.path("out/job"), "-o", self.path("all.jsonl"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([a["tag"] for a in self.read_lines("all.jsonl")],
                         [line["tag"] for line in self.lines + self.lines[:3]])

    def test_openai_batch(self):
        self.write_lines("batch.jsonl", [
            {"custom_id": f"q{i}", "method": "POST", "url": "/v1/chat/completions",
             "body": {"model": "demo", "messages": [{"role": "user", "content": line["prompt"]}]}}
            for i, line in enumerate(self.lines)])
        self.weft("run", "job.yaml", "--set", "requests=[batch.jsonl]")
        answers = self.read_lines("answers.jsonl")
        self.assertEqual([a["custom_id"] for a in answers],
                         [f"q{i}" for i in range(len(self.lines))])
        texts = [a["response"]["body"]["choices"][0]["message"]["content"] for a in answers]
        self.assertEqual(texts, [line["want"] for line in self.lines])

    def test_plan_and_submission_read_no_text(self):
        done = self.weft("plan", "job.yaml")
        self.assertRegex(done.stdout, r"requests  \d+ lines? in 1 prompts file, each a request")
        self.assertIn("weft' run", self.weft("submit", "job.yaml", "--dry-run").stdout.replace(
            '"$weft" run', "weft' run"))
        self.assertFalse(os.path.exists(self.path("out")))


class Companions(Job):
    """The companion that is missing, wrong, slow or dead."""

    def script(self, text):
        with open(self.path("fake"), "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(self.path("fake"), 0o755)
        return self.path("fake")

    def test_none(self):
        self.weft("run", "job.yaml", code=66, says="pip install", PATH="/usr/bin:/bin")
        self.weft("run", "job.yaml", code=66, says="is no program", WEFT_TEXT="/nowhere")
        self.assertFalse(os.path.exists(self.path("out")))

    def test_what_it_says_is_our_error(self):
        for code, said, ours in ((65, "x: no good", 65), (66, "x: gone", 66), (74, "x: full", 74),
                                 (1, "x: broken", 70)):
            fake = self.script(f"echo 'weft-text: {said}' >&2; exit {code}\n")
            self.weft("run", "job.yaml", code=ours, says=f"weft run: {said}", WEFT_TEXT=fake)
        self.weft("run", "job.yaml", code=70, says="exit code 137",
                  WEFT_TEXT=self.script("kill -9 $$\n"))

    def test_drain_while_it_works(self):
        fake = self.script(f"echo $$ > {self.path('pid')}; exec sleep 100\n")
        job = subprocess.Popen([WEFT, "run", "job.yaml"], cwd=self.folder.name,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "WEFT_TEXT": fake})
        while not os.path.exists(self.path("pid")) or not self.bytes_of("pid"):
            time.sleep(0.01)
        job.send_signal(signal.SIGTERM)
        said = job.communicate()[1]
        self.assertEqual(job.returncode, 75, said)
        self.assertIn("run the same command again", said)
        self.assertFalse(os.path.exists(f"/proc/{int(self.bytes_of('pid'))}"))


class Generate(Job):
    def test_prompts_of_the_command_line(self):
        done = self.weft("generate", "--model", DEMO_MODEL, "add:12+30=", "rev:loom=",
                         TMPDIR=self.folder.name)
        self.assertEqual(done.stdout, "42\nmool\n")
        self.assertEqual(done.stderr, "")
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["job.yaml", "p.jsonl"])
        self.weft("generate", "--model", DEMO_MODEL, "add:1+1=", code=64, says="without mpirun",
                  OMPI_COMM_WORLD_RANK="0", OMPI_COMM_WORLD_SIZE="1", PMIX_RANK="0")

    def test_files_with_a_job_file(self):
        self.weft("generate", "job.yaml", "p.jsonl", "-o", "a.jsonl", "--out", "out/a")
        self.check_answers("a.jsonl")
        self.weft("generate", "job.yaml", "--out", "out/b")  # the job file's own
        self.check_answers()

    def test_files_with_a_model(self):
        with open(self.path("q.csv"), "w", encoding="ascii") as file:
            file.write("question,n_row\n")
            file.writelines(f"{q},{i}\n" for i, (q, _) in enumerate(QUESTIONS))
        keys = ("--set", "parallel.backend=cpu", "--set", "engine.kv_memory=32MiB")
        self.weft("generate", "--model", DEMO_MODEL, "q.csv", "-o", "a.csv", "--prompt", "question",
                  "-n", "40", *keys)
        with open(self.path("a.csv"), encoding="ascii") as file:
            rows = [line.split(",") for line in file.read().splitlines()]
        self.assertEqual(rows[0][:5], ["question", "n_row", "sample", "status", "text"])
        self.assertEqual([row[4] for row in rows[1:]], [answer for _, answer in QUESTIONS])
        done = self.weft("generate", "--model", DEMO_MODEL, "q.csv", "--prompt", "question",
                         "-n", "40", *keys)
        self.assertEqual([json.loads(line)["text"] for line in done.stdout.splitlines()],
                         [answer for _, answer in QUESTIONS])
        folder, = os.listdir(self.path("out"))
        self.assertRegex(folder, r"^q\.csv-[0-9a-f]{8}$")
        self.weft("status", os.path.join("out", folder))

    def test_other_files_have_other_folders(self):
        for name in ("a/q.jsonl", "b/q.jsonl", "q.csv", "a/q.jsonl"):
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            self.write_lines(name, ["prompt", "add:1+2="] if name == "q.csv"
                             else [{"prompt": "add:1+2="}])
            self.weft("generate", "--model", DEMO_MODEL, name, "-o", "a.jsonl")
        self.assertEqual(len(os.listdir(self.path("out"))), 3)

    def test_failures_of_the_command_line(self):
        done = self.weft("generate", "--model", DEMO_MODEL, "x" * 20000, "add:2*3=?", code=3,
                         TMPDIR=self.folder.name)
        self.assertRegex(done.stdout, r"^failed: prompt 1: prompt of 20001 tokens .*\n.*\n$")
        self.assertNotIn("None", done.stdout)
        self.assertNotIn(self.folder.name, done.stdout + done.stderr)

    def test_files_are_no_prompts(self):
        self.write_lines("p.txt", ["add:1+2="])
        for name in ("p.txt", "-", "p.*", "/dev/stdin", "./none.txt", self.folder.name):
            self.weft("generate", "--model", DEMO_MODEL, name, code=64,
                      says=f"{name}: names files and is no prompt: prompts are read from files")

    def test_chats(self):
        self.weft("generate", "--chat", "job.yaml", "p.jsonl", "-o", "a.jsonl")
        self.check_answers("a.jsonl")

    def test_program_and_companion_know_the_same_names(self):
        from weft_text.source_read import SOURCES
        from weft_text.table_write import FORMATS

        said = self.weft("generate", "job.yaml", "p.txt", code=64).stderr
        endings = [word.rstrip(";") for word in said.split("end in one of ")[1].split()
                   if word.startswith(".")]
        self.assertEqual(endings, list(SOURCES))
        self.assertEqual(endings, list(FORMATS))

    def test_refusals(self):
        for args, code, says in (
            (("job.yaml", "p.txt"), 64, "p.txt: prompts are read from files that end in one of"),
            (("--model", DEMO_MODEL, "p.jsonl", "a prompt"), 64, "a prompt: prompts are read from"),
            (("job.yaml", "p.jsonl", "-o", "a.xls"), 64, "--output a.xls: the name does not say"),
            (("--model", DEMO_MODEL), 64, "usage"),
            (("job.yaml", "none.jsonl"), 66, "none.jsonl: no such file"),
            (("--model", "none", "a prompt"), 66, "--model none: no such folder"),
            (("--model", "", "a prompt"), 64, "--model: names no folder"),
            (("--model", DEMO_MODEL, ""), 64, "prompt 1 is empty"),
            (("a prompt",), 64, "a prompt: is no job file: give --model DIR, or a job file"),
            (("p.jsonl",), 64, "p.jsonl: is no job file: give --model DIR"),
            (("none.yaml", "p.jsonl"), 66, "none.yaml"),
            (("--model", DEMO_MODEL, "p.jsonl", "--out", "p.jsonl"), 64,
             "--out p.jsonl: is a file"),
            (("job.yaml", "p.jsonl", "--out", ""), 64, "--out: names no folder"),
            (("--model", DEMO_MODEL, "p.jsonl", "--out", "/proc/x"), 74, "name another folder"),
        ):
            self.weft("generate", *args, code=code, says=says)
        self.weft("run", "p.jsonl", code=64, says="weft generate --model DIR p.jsonl")
        self.weft("run", "job.yaml", "--set", "output.text=a.xls", code=78,
                  says="does not say what to")
        self.weft("run", "job.yaml", "--no-merge", code=64, says="--no-merge and output.text")


if __name__ == "__main__":
    unittest.main()
