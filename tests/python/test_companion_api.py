"""Weft from Python: generate(), read_results(), read_requests(), on the demo model."""

import os
import unittest

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
