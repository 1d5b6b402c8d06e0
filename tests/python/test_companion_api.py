"""Weft from Python: generate(), read_results(), read_requests(), on the demo model."""

import json
import os
import shutil
import subprocess
import unittest

import h5py

from companion_case import DEMO_MODEL, WEFT, Companion

CPU = {"parallel.backend": "cpu", "engine.kv_memory": "32MiB"}


class Api(Companion):
    def test_generate(self):
        import weft_text as weft

        prompts = ["add:1+2=", {"prompt": "rev:loom=", "tag": 7}, {"prompt": "", "tag": 8}]
        answers = weft.generate(model=DEMO_MODEL, prompts=prompts, settings=CPU, program=WEFT)
        self.assertEqual([(a.get("text"), a.get("tag"), a["status"]) for a in answers],
                         [("3", None, "done"), ("mool", 7, "done"), (None, 8, "failed")])
        frame = answers.to_pandas()
        self.assertEqual(list(frame["prompt"]), ["add:1+2=", "rev:loom=", ""])

    def test_folders_stay(self):
        import weft_text as weft

        out = self.path("out")
        for _ in range(2):  # the second time everything is there
            weft.generate(model=DEMO_MODEL, prompts=["add:1+2="], out=out, program=WEFT,
                          settings=CPU, max_new_tokens=9)
        answers = weft.read_results(out, token_ids=True)
        self.assertEqual([a["token_ids"] for a in answers], [[ord("3"), 257]])
        self.assertGreater(answers.to_pandas()["e2e_s"][0], 0)
        requests = weft.read_requests(os.path.join(out, "prompts.jsonl"))
        self.assertEqual([r["prompt"] for r in requests], ["add:1+2="])
        shard, = (os.path.join(out, "text", n) for n in os.listdir(os.path.join(out, "text")))
        self.assertEqual(list(weft.read_requests(shard)),
                         [{"id": 0, "arrival_ns": 0, "max_new_tokens": 9,
                           "prompt_token_ids": [256, *b"add:1+2="]}])

    def run_job(self):
        """An output folder with log-probabilities, a bad row and two samples of a row."""
        rows = [{"prompt_token_ids": list(f"add:{i}+7=".encode()), "max_new_tokens": 3 + i % 5,
                 "meta": {"i": i, "text": "a,\n\"é"}, "temperature": 0.5} for i in range(30)]
        rows[4]["prompt_token_ids"], rows[9]["n"] = [9999], 2
        self.write_lines("x.jsonl", rows)
        self.write_lines("job.yaml", [
            f"model: {{path: {DEMO_MODEL}}}", f"requests: [{self.path('x.h5')}]",
            "sampling: {logprobs: 2}", "parallel: {backend: cpu}",
            "engine: {kv_memory: 32MiB, max_rows: 4}"])
        self.weft("pack", self.path("x.jsonl"), "-o", self.path("x.h5"), "--vocab", "10000")
        self.weft("run", self.path("job.yaml"), "--out", self.path("out"), code=3)
        return self.path("out")

    def weft(self, *words, code=0):
        done = subprocess.run([WEFT, *words], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def test_every_column_is_there_in_one_call(self):
        import weft_text as weft

        out = self.run_job()
        self.weft("export", out, "-o", self.path("rows.jsonl"))
        lines = self.read_lines("rows.jsonl")
        for _ in range(2):  # merged, and from segments as rows ended
            frame = weft.read_results(out, every=True).to_pandas()
            self.assertEqual(set(frame.columns), set().union(*lines))
            for name in ("shard_uid", "row", "sample", "finish_ns", "status", "prompt_len"):
                self.assertEqual(frame[name].tolist(), [line[name] for line in lines])
            for name in ("token_ids", "token_time_ns"):
                self.assertEqual([part.tolist() for part in frame[name]],
                                 [line[name] for line in lines])
            self.assertEqual(json.loads(frame["meta"][3])["text"], "a,\n\"é")
            if os.path.exists(os.path.join(out, "results.h5")):
                os.remove(os.path.join(out, "results.h5"))
        self.assertEqual(len(list(weft.read_results(out, every=True))), 31)
        requests = weft.read_requests(self.path("x.h5"), every=True).to_pandas()
        self.assertEqual(requests["prompt_token_ids"][4].tolist(), [9999])
        self.assertEqual(requests["max_new_tokens"].tolist(), [3 + i % 5 for i in range(30)])
        self.assertEqual(json.loads(requests["meta"][7])["i"], 7)

    def test_export_to_parquet_and_openai(self):
        import pyarrow
        import pyarrow.parquet

        out, file = self.run_job(), self.path("rows.parquet")
        self.weft("export", out, "-o", self.path("rows.jsonl"))
        self.weft("export", out, "-o", file)
        self.weft("export", out, "-o", file, code=64)
        self.weft("export", out, "-o", file, "--replace")
        table = pyarrow.parquet.read_table(file)
        self.assertEqual(table.schema.field("token_ids").type, pyarrow.list_(pyarrow.int32()))
        self.assertEqual(table.schema.field("row").type, pyarrow.uint64())
        lines = self.read_lines("rows.jsonl")
        for name in table.column_names:
            got, want = table[name].to_pylist(), [line.get(name) for line in lines]
            if name in ("logprobs", "top_logprobs"):  # of 32 bits
                got = pyarrow.array(got, type=table.schema.field(name).type)
                want = pyarrow.array(want, type=table.schema.field(name).type)
            self.assertEqual(got, want, name)
        # what is cut short is said, and no file is made of it
        damaged = self.path("damaged.h5")
        shutil.copy(os.path.join(out, "results.h5"), damaged)
        with h5py.File(damaged, "r+") as results:
            results["requests/finish_ns"][20] = -2**63
        said = self.weft("export", damaged, "-o", self.path("d.parquet"), code=65)
        self.assertIn("/requests/finish_ns:20", said)
        self.assertFalse(os.path.exists(self.path("d.parquet")))
        self.weft("export", out, "-f", "openai", "-o", self.path("o.jsonl"), "--tokenizer", DEMO_MODEL)
        self.assertEqual(len(self.read_lines("o.jsonl")), 30)

    def test_import_of_conversations(self):
        import weft_text as weft

        def said(*turns):
            return [{"from": who, "value": text} for who, text in turns]

        log = [{"id": "a", "conversations": said(("human", "Hi"), ("gpt", "Hello"), ("human", "x"))},
               {"id": "b", "conversations": said(("gpt", "I"), ("user", "\u00e9?"), ("gpt", "12345678"))},
               {"id": "c", "conversations": said(("human", "alone"))},
               {"id": "d", "conversations": "none"}, {"id": "e"}]
        for style in (json.dumps(log), json.dumps(log, indent=1),
                      "\ufeff" + "\n".join(map(json.dumps, log)) + "\n"):
            with open(self.path("s.json"), "w", encoding="utf-8") as file:
                file.write(style)
            words = ["import", "sharegpt", self.path("s.json"), "-o", self.path("s.h5"), "--model",
                     DEMO_MODEL, "--replace"]
            self.assertIn("3 bad rows", self.weft(*words, code=65))
            told = self.weft(*words, "--skip-bad", "--max-new", "6")
            self.assertIn("no question with an answer", told)
            rows = list(weft.read_requests(self.path("s.h5")))
            self.assertEqual([r["prompt_token_ids"] for r in rows],
                             [[256, *b"Hi"], [256, *"\u00e9?".encode()]])
            self.assertEqual([r["max_new_tokens"] for r in rows], [5, 6])
            self.assertTrue(all(r["ignore_eos"] for r in rows))
            self.weft(*words, "--rows", "1")
            self.assertEqual(len(list(weft.read_requests(self.path("s.h5")))), 1)
        with open(self.path("s.json"), "w", encoding="utf-8") as file:
            file.write('[{"id": 1, "conversations": []},\n {"id": 2')
        self.assertIn("s.json:2: is no JSON", self.weft(*words, "--skip-bad", code=65))
        self.assertIn("--jitter does not go with", self.weft(*words, "--jitter", "1s", code=64))

    def test_import_of_openai_lines(self):
        import weft_text as weft

        lines = [{"custom_id": str(i), "method": "POST", "url": "/v1/completions",
                  "body": {"model": "m", "prompt": f"add:{i}+1=", "max_tokens": 4}} for i in range(3)]
        self.write_lines("o.jsonl", lines)
        self.weft("import", "openai", self.path("o.jsonl"), "-o", self.path("o.h5"), "--model",
                  DEMO_MODEL)
        rows = list(weft.read_requests(self.path("o.h5")))
        self.assertEqual(bytes(rows[2]["prompt_token_ids"][1:]), b"add:2+1=")
        self.assertIn("--model", self.weft("import", "openai", "x", "-o", "y.h5", code=64))

    def test_job_file_and_prompts_file(self):
        import weft_text as weft

        self.write_lines("p.jsonl", [{"prompt": "sort:loom=", "n": 2}])
        self.write_lines("job.yaml", [
            f"model: {{path: {DEMO_MODEL}}}", "requests: [none.h5]", "parallel: {backend: cpu}",
            "engine: {kv_memory: 32MiB}"])
        answers = weft.generate(job=self.path("job.yaml"), prompts=self.path("p.jsonl"), chat=True,
                                program=WEFT)
        self.assertEqual([(a["sample"], a["text"]) for a in answers], [(0, "lmoo"), (1, "lmoo")])

    def test_failures_are_told(self):
        import weft_text as weft

        for arguments, code, words in (
            ({"model": self.path("none")}, 66, "no such folder"),
            ({"model": DEMO_MODEL, "settings": {"engine.max_rows": 0}}, 78, "mistake"),
            ({"model": DEMO_MODEL, "job": "x"}, 64, "either model= or job="),
        ):
            with self.assertRaisesRegex(weft.TextError, words) as caught:
                weft.generate(prompts=["a"], program=WEFT, **arguments)
            self.assertEqual(caught.exception.exit_code, code)

    def test_places_in_a_list(self):
        import weft_text as weft

        answers = list(weft.generate(model=DEMO_MODEL, prompts=["add:1+2=", {"promt": "a"}],
                                     settings=CPU, program=WEFT))
        self.assertEqual(answers[1]["error"]["message"],
                         "prompts[1]: unknown key 'promt'; did you mean 'prompt'?")
        with self.assertRaisesRegex(weft.TextError, r"prompts\[0\]: unknown key 'promt'"):
            weft.generate(model=DEMO_MODEL, prompts=[{"promt": "a"}], program=WEFT, settings=CPU)

    def test_mistaken_arguments(self):
        import weft_text as weft

        for arguments, words in (
            ({"prompts": "a string"}, "prompts='a string' names no prompts file"),
            ({"prompts": self.path("none.jsonl")}, "prompts=.* there is no such file"),
            ({"prompts": ["a", 7]}, r"prompts\[1\] is 7: give a text"),
            ({"prompts": []}, "prompts is empty"),
            ({"prompts": 7}, "prompts is 7"),
            ({"prompts": ["a"], "model": "nowhere"}, "model='nowhere': no such folder"),
        ):
            with self.assertRaisesRegex(ValueError, words):
                weft.generate(**{"model": DEMO_MODEL, "program": WEFT, **arguments})


if __name__ == "__main__":
    unittest.main()
