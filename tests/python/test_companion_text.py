"""The installed weft-text against Weft's own reader and writer (shard_echo): text that goes in as a
shard and comes back as results is the text it was, for a trained BPE tokenizer, chat templates,
OpenAI batch lines and plain bytes; bad lines are named and set aside."""

import json
import os
import subprocess
import unittest

from companion_case import SOURCE, WEFT, Companion, weft_text

CORPUS = [
    "The shuttle carries the weft across the warp.",
    "Four looms hum; one weaver listens, and counts the picks.",
    "naïve café, Ελληνικά, 織物, \U0001f9f6 and\ttabs\nand newlines",
    "def main():\n    return {'key': [1, 2, 3]}\n",
]
TEXTS = CORPUS + ["x", "  leading and trailing  ", "1234567890" * 20, "end.\n\n"]
TEMPLATE = (
    "{% for m in messages %}{% if m.role not in ['user', 'assistant', 'system'] %}"
    "{{ raise_exception('role ' + m.role) }}{% endif %}"
    "<|{{ m.role }}|>{{ m.content | trim }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class ByteText(Companion):
    def test_text_returns(self):
        lines = [{"prompt": t, "max_tokens": 1000, "custom_id": f"c{i}", "arrival_s": i / 8,
                  "meta": {"tenant": "a", "n": i}} for i, t in enumerate(TEXTS)]
        out = self.round_trip(lines, "bytes", 260, 257)
        self.assertEqual([line["text"] for line in out], TEXTS)
        self.assertEqual([line["custom_id"] for line in out], [f"c{i}" for i in range(len(TEXTS))])
        self.assertEqual(out[3]["meta"], {"tenant": "a", "n": 3})
        self.assertEqual(out[3]["finish_reason"], "stop")
        self.assertEqual(out[3]["completion_tokens"], len(TEXTS[3].encode()) + 2)
        self.assertAlmostEqual(out[3]["ttft_s"], 0.001)

    def test_segments_folder_reads_alike(self):
        out = self.round_trip([{"prompt": t} for t in TEXTS], "bytes", 260, 257)
        self.assertEqual(self.decode("bytes", results="out/segments"), out)
        self.assertEqual(len(out), len(TEXTS))

    def test_void_segments_do_not_count(self):
        """A second run inherits the first one's segments; what the first publishes later is void."""
        self.encode([{"prompt": "once"}], "bytes")
        self.echo(260, 257)
        first = self.path("out/segments/g0/r0-e0-00000.h5")
        with open(first, "rb") as file:
            late = file.read()
        run = {"segments": [{"path": "segments/g0/r0-e0-00000.h5"}]}
        with open(self.path("out/runs/1.json"), "w", encoding="ascii") as file:
            json.dump(run, file)
        with open(self.path("out/segments/g0/r0-e0-00001.h5"), "wb") as file:
            file.write(late)
        self.assertEqual(len(self.decode("bytes")), 1)
        os.remove(first)
        done = weft_text("decode", self.path("out"), "-o", "-", "--tokenizer", "bytes")
        self.assertEqual(done.returncode, 65)
        self.assertIn("r0-e0-00000.h5: is missing", done.stderr)

    def test_row_that_comes_twice(self):
        self.encode([{"prompt": "once"}], "bytes")
        self.echo(260, 257)
        with open(self.path("out/segments/g0/r0-e0-00000.h5"), "rb") as file:
            again = file.read()
        with open(self.path("out/segments/g0/r0-e0-00001.h5"), "wb") as file:
            file.write(again)
        done = weft_text("decode", self.path("out"), "-o", "-", "--tokenizer", "bytes")
        self.assertEqual(done.returncode, 65)
        self.assertIn("comes twice", done.stderr)

    def test_length_and_stop_strings(self):
        out = self.round_trip([
            {"prompt": "abcdef", "max_tokens": 4},
            {"prompt": "answer. Question: more", "stop": ["Question:", "zzz"]},
            {"prompt": "no such stop", "stop": "zzz"},
        ], "bytes", 260, 257)
        self.assertEqual([(o["text"], o["finish_reason"]) for o in out],
                         [("abc", "length"), ("answer. ", "stop"), ("no such stop", "stop")])

    def test_samples(self):
        out = self.round_trip([{"prompt": "a", "n": 3}, {"prompt": "b"}], "bytes", 260, 257)
        self.assertEqual([(o["row"], o["sample"], o["text"]) for o in out],
                         [(0, 0, "a"), (0, 1, "a"), (0, 2, "a"), (1, 0, "b")])

    def test_failed_row(self):
        self.encode([{"prompt": "fine"}, {"prompt_token_ids": [256, 300]}], "bytes",
                    "--vocab-size", "400")
        self.echo(260, 257)
        out = self.decode("bytes")
        self.assertEqual([o["status"] for o in out], ["done", "failed"])
        self.assertEqual(out[1]["error"]["code"], "req_token")
        self.assertIn("300", out[1]["error"]["message"])
        self.assertNotIn("text", out[1])

    def test_many_rows_in_many_chunks(self):
        lines = [{"prompt": f"row {i} " + "y" * (i % 60), "id": 3 * i,
                  **({"temperature": 0.5} if i % 7 == 0 and i > 3000 else {})}
                 for i in range(8000)]
        self.encode(lines, "bytes")
        self.echo(260, 257)
        out = self.decode("bytes")
        self.assertEqual([o["text"] for o in out], [line["prompt"] for line in lines])
        self.assertEqual([o["id"] for o in out], [line["id"] for line in lines])

    def test_demo_prompts(self):
        script = os.path.join(SOURCE, "jobs", "demo", "make_prompts.py")
        subprocess.run([script, "-o", self.path("demo.jsonl")], check=True)
        with open(self.path("demo.jsonl"), encoding="ascii") as file:
            lines = file.read().splitlines()
        out = self.round_trip(lines, "bytes", 260, 257)
        wanted = [json.loads(line) for line in lines]
        self.assertEqual([o["text"] for o in out], [w["prompt"] for w in wanted])
        self.assertEqual([o["meta"] for o in out], [w["meta"] for w in wanted])


class ShardColumns(Companion):
    def test_columns_attributes_and_filters(self):
        import h5py
        import numpy as np

        self.encode([{"prompt": "a"},
                     {"prompt": "b", "temperature": 0.5, "top_k": 4, "seed": 9, "min_tokens": 2,
                      "ignore_eos": True, "stop_token_ids": [257, 10]}], "bytes")
        with h5py.File(self.path("x.h5"), "r") as file:
            self.assertEqual(file.attrs["format"], b"weft-requests")
            self.assertEqual(file.attrs["vocab_size"], 260)
            columns = {}
            file.visititems(lambda name, item: columns.update({name: item})
                            if isinstance(item, h5py.Dataset) else None)
            for name, column in columns.items():
                self.assertEqual(column.ndim, 1, name)
                self.assertTrue(column.shuffle and column.fletcher32, name)
                self.assertEqual((column.compression, column.compression_opts), ("gzip", 1))
                for key in ("units", "description"):
                    kind = h5py.check_string_dtype(column.attrs.get_id(key).dtype)
                    self.assertEqual(kind.encoding, "ascii")
                    self.assertIsNotNone(kind.length)
            rows = {name.split("/")[1]: column[:].tolist() for name, column in columns.items()}
            self.assertTrue(np.isnan(rows["temperature"][0]))
        self.assertEqual(rows["temperature"][1], 0.5)
        self.assertEqual(rows["top_k"], [-2**31, 4])
        self.assertEqual(rows["seed"], [-2**63, 9])
        self.assertEqual(rows["min_tokens"], [2**32 - 1, 2])
        self.assertEqual(rows["ignore_eos"], [255, 1])
        self.assertEqual(rows["stop_offset"], [0, 0, 2])
        self.assertEqual(rows["stop_token_ids"], [257, 10])
        self.assertEqual(rows["prompt_offset"], [0, 2, 4])
        self.assertNotIn("top_p", rows)
        self.assertNotIn("meta", rows)
        self.assertNotIn("session", rows)

    def test_sessions_are_those_of_weft_pack(self):
        import h5py

        lines = [{"prompt_token_ids": [3], "max_new_tokens": 1},
                 {"prompt_token_ids": [3], "max_new_tokens": 1, "session": "a"},
                 {"prompt_token_ids": [4], "max_new_tokens": 1, "session": 7, "arrival_s": 1},
                 {"prompt_token_ids": [5], "max_new_tokens": 1, "session": "a", "arrival_s": 2,
                  "think_s": 1.5}]
        self.encode(lines, "bytes")
        subprocess.run([WEFT, "pack", self.path("in.jsonl"), "-o", self.path("p.h5"), "--vocab",
                        "260"], check=True, stdout=subprocess.DEVNULL)
        with h5py.File(self.path("x.h5")) as ours, h5py.File(self.path("p.h5")) as packed:
            for name in ("session", "turn", "think_ns"):
                self.assertEqual(ours["requests"][name][:].tolist(),
                                 packed["requests"][name][:].tolist(), name)
            self.assertEqual(ours["requests/turn"][:].tolist(), [0, 0, 0, 1])
            self.assertEqual(ours["requests/think_ns"][:].tolist(), [-1, -1, -1, 1500000000])
            self.assertEqual(ours.attrs["shard_uid"], packed.attrs["shard_uid"])
        self.assertIn("'think_s'", self.encode([{**lines[3], "think_s": -1}], "bytes", code=65))


class BpeText(Companion):
    def setUp(self):
        super().setUp()
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        special = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"]
        tokenizer.train_from_iterator(CORPUS * 3, trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
        os.makedirs(self.path("model"))
        tokenizer.enable_truncation(5)  # a setting that must not cut prompts
        tokenizer.save(self.path("model/tokenizer.json"))
        tokenizer.no_truncation()
        config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": TEMPLATE}
        with open(self.path("model/tokenizer_config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        self.tokenizer, self.n_vocab = tokenizer, tokenizer.get_vocab_size()
        self.end = tokenizer.token_to_id("</s>")

    def prompts(self):
        import h5py

        with h5py.File(self.path("x.h5"), "r") as file:
            at, tokens = file["requests/prompt_offset"][:], file["prompts/tokens"][:].tolist()
        return [tokens[at[i] : at[i + 1]] for i in range(len(at) - 1)]

    def test_text_returns(self):
        lines = [{"prompt": t, "max_tokens": 4000} for t in TEXTS]
        out = self.round_trip(lines, self.path("model"), self.n_vocab, self.end)
        self.assertEqual([line["text"] for line in out], TEXTS)
        self.assertEqual(self.prompts(), [self.tokenizer.encode(t).ids for t in TEXTS])
        self.assertGreater(len(TEXTS[0]), 2 * len(self.prompts()[0]) - 2, "BPE merged nothing")

    def test_chat_template(self):
        messages = [{"role": "system", "content": " brief "}, {"role": "user", "content": "hello"}]
        parts = [{"role": "user", "content": [{"type": "text", "text": "hel"},
                                              {"type": "text", "text": "lo"}]}]
        self.encode([{"messages": messages}, {"messages": parts}], self.path("model"))
        texts = ["<|system|>brief</s>\n<|user|>hello</s>\n<|assistant|>",
                 "<|user|>hello</s>\n<|assistant|>"]
        self.assertEqual(self.prompts(),
                         [self.tokenizer.encode(t, add_special_tokens=False).ids for t in texts])
        self.encode([{"prompt": "hello"}], self.path("model"), "--chat")
        self.assertEqual(self.prompts(), [self.tokenizer.encode(
            texts[1], add_special_tokens=False).ids])
        with open(self.path("model/chat_template.jinja"), "w", encoding="utf-8") as file:
            file.write("{{ bos_token }}{{ messages[0].content }}")
        self.encode([{"messages": messages}], self.path("model"))
        self.assertEqual(self.prompts(), [self.tokenizer.encode("<s> brief ",
                                                                add_special_tokens=False).ids])

    def test_template_refuses(self):
        error = self.encode([{"messages": [{"role": "tool", "content": "x"}]}, {"prompt": "y"}],
                            self.path("model"), "--rejects", self.path("bad.jsonl"), code=3)
        self.assertIn("in.jsonl:1: the chat template refuses: role tool", error)

    def test_broken_template(self):
        with open(self.path("model/chat_template.jinja"), "w", encoding="utf-8") as file:
            file.write("{% if messages %}")
        error = self.encode([{"prompt": "x"}], self.path("model"), "--chat", code=65)
        self.assertIn("chat template is no Jinja", error)

    def test_padded_vocabulary(self):
        with open(self.path("model/config.json"), "w", encoding="utf-8") as file:
            json.dump({"vocab_size": 512}, file)
        self.encode([{"prompt_token_ids": [511]}], self.path("model"))
        self.assertEqual(self.prompts(), [[511]])

    def test_openai_batch(self):
        chat = {"custom_id": "q1", "method": "POST", "url": "/v1/chat/completions",
                "body": {"model": "m", "messages": [{"role": "user", "content": "hello"}],
                         "n": 2, "logprobs": True, "max_completion_tokens": 100,
                         "temperature": 0.0, "stream": False, "user": "someone"}}
        plain = {"custom_id": "q2", "method": "POST", "url": "/v1/completions",
                 "body": {"model": "m", "prompt": "some text STOP rest", "stop": "STOP"}}
        failing = {"custom_id": "q3", "method": "POST", "url": "/v1/completions",
                   "body": {"model": "m", "prompt": [1, 700], "max_tokens": 5}}
        out = self.round_trip([chat, plain, failing], self.path("model"), self.n_vocab, self.end,
                              "--vocab-size", "1000")
        self.assertEqual([line["custom_id"] for line in out], ["q1", "q2", "q3"])
        body = out[0]["response"]["body"]
        self.assertEqual(out[0]["response"]["status_code"], 200)
        self.assertEqual(body["object"], "chat.completion")
        self.assertEqual([c["index"] for c in body["choices"]], [0, 1])
        self.assertEqual(body["choices"][0]["message"], {"role": "assistant", "content": "hello\n"})
        n_prompt = len(self.prompts()[0])
        self.assertEqual(body["usage"], {"prompt_tokens": n_prompt,
                                         "completion_tokens": 2 * (n_prompt + 1),
                                         "total_tokens": 3 * n_prompt + 2})
        self.assertEqual(body["choices"][1]["logprobs"]["content"][0]["logprob"], -0.8)
        self.assertEqual(len(body["choices"][1]["logprobs"]["content"]), n_prompt + 1)
        self.assertEqual(body["created"], 1700000000)
        text = out[1]["response"]["body"]["choices"][0]
        self.assertEqual((text["text"], text["finish_reason"]), ("some text ", "stop"))
        self.assertIsNone(out[2]["response"])
        self.assertEqual(out[2]["error"]["code"], "req_token")

    def test_bad_words_and_biases(self):
        """As vLLM encodes them: as they are and, where that makes another word of the same length,
        after a space."""
        import h5py

        body = {"model": "m", "prompt": "the", "logit_bias": {"9": -300, "3": 1.5},
                "bad_words": ["warp", " warp", "looms hum"], "allowed_token_ids": [5, 3, 5]}
        self.encode([{"prompt": "plain"},
                     {"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": body},
                     {"prompt": "x", "bad_words_token_ids": [[4, 2]], "bad_words": "picks"}],
                    self.path("model"))

        def encoded(text):
            return self.tokenizer.encode(text, add_special_tokens=False).ids

        def both(word):
            plain, spaced = encoded(word), encoded(" " + word)
            same = len(plain) != len(spaced) or plain[0] == spaced[0]
            return [plain] if same else [plain, spaced]

        with h5py.File(self.path("x.h5"), "r") as file:
            rows = {name: file[f"requests/{name}"][:].tolist()
                    for name in ("logit_bias_id", "logit_bias", "logit_bias_offset",
                                 "allowed_token_ids", "bad_words_token_ids", "bad_words_offset")}
        self.assertEqual(rows["logit_bias_id"], [3, 9])
        self.assertEqual(rows["logit_bias"], [1.5, -100])
        self.assertEqual(rows["logit_bias_offset"], [0, 0, 2, 2])
        self.assertEqual(rows["allowed_token_ids"], [3, 5])
        wanted = [[4, 2], *both("picks")]
        first = [*both("warp"), *both("warp"), *both("looms hum")]
        self.assertEqual(rows["bad_words_token_ids"],
                         [t for word in first + wanted for t in (*word, -1)])
        self.echo(self.n_vocab, self.end)  # Weft's reader takes it, and its uid

    def test_wrong_tokenizer(self):
        self.encode([{"prompt_token_ids": [self.n_vocab + 5]}], self.path("model"),
                    "--vocab-size", "1000")
        self.echo(1000, self.end)
        done = weft_text("decode", self.path("out"), "-o", "-", "--tokenizer", self.path("model"))
        self.assertEqual(done.returncode, 65)
        self.assertIn("outside", done.stderr)


class BadLines(Companion):
    CASES = [
        ("{", "the line is not JSON: "),
        ("[1]", "is not a JSON object"),
        ('{"prompt": NaN}', "NaN is no JSON number"),
        ("{}", "has no prompt"),
        ('{"prompt": ""}', "'prompt' is empty"),
        ('{"prompt": 5}', "'prompt' is 5, text is expected"),
        ('{"prompt": "\\ud800"}', "surrogate"),
        ('{"prompt_token_ids": []}', "is empty"),
        ('{"prompt_token_ids": [1, 260]}', "prompt_token_ids[1] is 260, outside the vocabulary"),
        ('{"prompt_token_ids": [1, true]}', "prompt_token_ids[1] is True"),
        ('{"prompt": "a", "temprature": 1}', "did you mean 'temperature'?"),
        ('{"prompt": "a", "temperature": -1}', "'temperature' is -1, outside"),
        ('{"prompt": "a", "temperature": "hot"}', "a number is expected"),
        ('{"prompt": "a", "temperature": 1e999}', "outside"),
        ('{"prompt": "a", "top_k": 1.5}', "an integer is expected"),
        ('{"prompt": "a", "seed": 9223372036854775808}', "'seed' is 9223372036854775808, outside"),
        ('{"prompt": "a", "ignore_eos": 1}', "true or false"),
        ('{"prompt": "a", "max_tokens": 0}', "'max_tokens' is 0, outside"),
        ('{"prompt": "a", "max_tokens": 1, "max_new_tokens": 1}', "gives both"),
        ('{"prompt": "a", "stop": [""]}', "'stop' is empty"),
        ('{"prompt": "a", "id": -1}', "'id' is -1, outside"),
        ('{"prompt": "a", "arrival_s": -1}', "outside 0 to"),
        ('{"prompt": "a", "arrival_s": 1}', "sort the lines by arrival"),
        ('{"prompt": "a", "meta": {"stop": 1}}', "'meta' uses 'stop'"),
        ('{"messages": [{"role": "user"}], "prompt": "a"}', "both 'prompt' and 'messages'"),
        ('{"custom_id": "a", "url": "/v1/embeddings", "body": {}}', "'/v1/embeddings'"),
        ('{"custom_id": "a", "url": "/v1/completions", "body": {"prompt": "a", "echo": true}}',
         "body: 'echo' is not supported"),
        ('{"custom_id": "a", "url": "/v1/completions", "body": {"prompt": "a", "best_off": 1}}',
         "body: unknown key 'best_off'"),
        ('{"url": "/v1/completions", "body": {"prompt": "a"}}', "'custom_id' is missing"),
    ]

    def test_each_bad_line_is_named_and_set_aside(self):
        lines = ['{"prompt": "first", "arrival_s": 5}'] + [text for text, _ in self.CASES]
        lines.append('{"prompt": "last", "arrival_s": 6}')
        lines = [line.replace('"prompt": "a"', '"prompt": "a", "arrival_s": 5', 1)
                 if "arrival" not in line and "body" not in line else line for line in lines]
        self.encode(lines, "bytes", "--rejects", self.path("bad.jsonl"), code=3)
        rejects = self.read_lines("bad.jsonl")
        found = {r["line"]: r["error"] for r in rejects}
        for i, (text, why) in enumerate(self.CASES):
            self.assertIn(why, found.get(i + 2, "accepted"), text)
        self.assertEqual(len(rejects), len(self.CASES))
        self.echo(260, 257)
        self.assertEqual([o["text"] for o in self.decode("bytes")], ["first", "last"])

    def test_without_a_rejects_file_nothing_is_written(self):
        error = self.encode([{"prompt": "fine"}, "{"], "bytes", code=65)
        self.assertIn("in.jsonl:2: the line is not JSON", error)
        self.assertEqual([n for n in os.listdir(self.folder.name) if "x.h5" in n], [])

    def test_not_utf8(self):
        with open(self.path("raw.jsonl"), "wb") as file:
            file.write(b'{"prompt": "\xff"}\n')
        done = weft_text("encode", self.path("raw.jsonl"), "-o", self.path("x.h5"), "--tokenizer",
                         "bytes")
        self.assertEqual(done.returncode, 65)
        self.assertIn("raw.jsonl:1: is not UTF-8 (byte 13)", done.stderr)

    def test_files(self):
        lines = self.write_lines("in.jsonl", [{"prompt": "a"}])
        for args, code, why in (
            (("encode", self.path("none"), "-o", self.path("x.h5"), "--tokenizer", "bytes"), 66,
             "none: cannot be read"),
            (("encode", lines, "-o", self.path("x.h5"), "--tokenizer", self.path("none")), 66,
             "is missing"),
            (("encode", lines, "-o", self.path("no/x.h5"), "--tokenizer", "bytes"), 74,
             "cannot be written"),
            (("encode", lines, "-o", lines, "--tokenizer", "bytes"), 64, "exists already"),
            (("encode", lines, "-o", self.path("x.h5")), 64, "--tokenizer"),
            (("encode", lines, "-o", self.path("x.h5"), "--tokenizer", "bytes", "--chat"), 64,
             "no chat template"),
            (("decode", self.path("none"), "-o", "-", "--tokenizer", "bytes"), 66, "is missing"),
            (("decode", lines, "-o", "-", "--tokenizer", "bytes"), 65, "cannot be read"),
            (("decode", self.folder.name, "-o", "-", "--tokenizer", "bytes"), 66,
             "holds no results yet"),
        ):
            done = weft_text(*args)
            self.assertEqual(done.returncode, code, (args, done.stderr))
            self.assertIn(why, done.stderr)
        self.encode([{"prompt": "a"}], "bytes")
        done = weft_text("decode", self.path("x.h5"), "-o", "-", "--tokenizer", "bytes")
        self.assertEqual(done.returncode, 65)
        self.assertIn("format is 'weft-requests'", done.stderr)


if __name__ == "__main__":
    unittest.main()
