"""Stop strings by the real program: jobs of prompts files on the demo model end with the token that
completes one, and their texts before it; what has no tokenizer is refused."""

import json

from companion_case import DEMO_MODEL, Companion
from test_companion_job import QUESTIONS, Job


def cut(text, stops, kept=False):
    """The answer that vLLM would give, where a token is a letter."""
    for end in range(1, len(text) + 1):
        for stop in stops:
            if text[:end].endswith(stop):
                return text[: end if kept else end - len(stop)], stop, end
    return text, None, len(text) + 1


class StopJob(Companion):
    weft = Job.weft

    def setUp(self):
        super().setUp()
        self.lines = [{"prompt": q, "max_tokens": 32} for q, _ in QUESTIONS]
        for line in self.lines[::3]:
            line["stop"] = ["e", "6"]
        self.write_lines("p.jsonl", self.lines)

    def job(self, name="job.yaml", requests="p.jsonl", **sampling):
        self.write_lines(name, [json.dumps({
            "model": {"path": DEMO_MODEL}, "requests": [requests],
            "parallel": {"backend": "cpu", "threads": 1}, "sampling": sampling,
            "engine": {"kv_memory": "32MiB", "max_rows": 8, "step_tokens": 64},
            "output": {"dir": "out/" + name, "text": name + ".jsonl"}})])
        return name

    def check(self, name, stops=(), kept=False, code=0):
        self.weft("run", name, code=code)
        self.weft("check", "out/" + name, "--complete")
        n_ended = 0
        for answer, line, (_, want) in zip(self.read_lines(name + ".jsonl"), self.lines, QUESTIONS):
            text, stop, n_tokens = cut(want, [*line.get("stop", []), *stops], kept)
            n_ended += stop is not None
            self.assertEqual((answer["text"], answer.get("stop_reason"), answer["completion_tokens"]),
                             (text, stop, n_tokens), line)
            self.assertEqual(answer["finish_reason"], "stop")
        return n_ended

    def test_of_rows_and_of_the_job(self):
        self.assertGreater(self.check(self.job("rows")), 4)
        self.assertGreater(self.check(self.job("both", stop=["4", "ee"]), ["4", "ee"]), 10)
        self.assertGreater(self.check(self.job("kept", stop=["4", "ee"], include_stop_str_in_output=True),
                                      ["4", "ee"], kept=True), 10)
        # Nothing is left to do; of other texts it would be another job.
        self.weft("run", "both", says="nothing to do")
        self.job("both", stop=["4"])
        self.weft("run", "both", code=78, says="sampling.stop")

    def test_the_string_is_in_the_results(self):
        self.check(self.job("rows"))
        import h5py

        with h5py.File(self.path("out/rows/results.h5")) as file:
            ends, texts = (file["requests/" + name][:] for name in ("stop_string_offset", "stop_string"))
        ended = [texts[a:b].tobytes().decode() for a, b in zip(ends, ends[1:])]
        self.assertEqual(ended, [cut(want, line.get("stop", []))[1] or ""
                                 for line, (_, want) in zip(self.lines, QUESTIONS)])
        shown = self.weft("export", "out/rows", "-o", "-", "--format", "jsonl").stdout.splitlines()
        self.assertEqual([json.loads(line).get("stop_string") or "" for line in shown], ended)

    def test_generate(self):
        q, want = QUESTIONS[-1]
        done = self.weft("generate", "--model", DEMO_MODEL, "--stop", want[2:4], "--stop", 'a"\n\\b', q)
        self.assertEqual(done.stdout, want[:2] + "\n")

    def test_many_samples_and_least_tokens(self):
        self.lines = [{"prompt": q, "max_tokens": 12, "n": 3, "stop": [want[0]], "min_tokens": 2}
                      for q, want in QUESTIONS[:6]]
        self.write_lines("p.jsonl", self.lines)
        self.weft("run", self.job("many", temperature=1.0, ignore_eos=True))
        answers = self.read_lines("many.jsonl")
        self.assertEqual(len(answers), 18)
        for answer in answers:
            stop, text = answer["stop"][0], answer["text"]
            self.assertNotIn(stop, text[2:])
            self.assertGreater(answer["completion_tokens"], 2)

    def test_refused(self):
        self.write_lines("ids.jsonl", [{"prompt_token_ids": [97], "max_new_tokens": 4}])
        self.weft("pack", "ids.jsonl", "-o", "ids.h5", "--model", DEMO_MODEL)
        name = self.job("ids", "ids.h5", stop=["a"])
        says = "sampling.stop: ids.h5 does not say what its tokens are as text: make it with weft-text"
        self.weft("run", name, code=78, says=says)
        self.weft("plan", name, code=78, says=says)
        self.weft("run", self.job("beams", stop=["a"], beam_width=2), code=78,
                  says="beams are not ended by texts")
        self.lines = [{"prompt": "a", "stop": "b", "beam_width": 2, "n": 1}, {"prompt": "a"}]
        self.write_lines("p.jsonl", self.lines)
        self.weft("run", self.job("beam-rows"), code=3)
        failed = self.read_lines("beam-rows.jsonl")[0]
        self.assertIn("beam_width 2: not with stop strings", failed["error"]["message"])
