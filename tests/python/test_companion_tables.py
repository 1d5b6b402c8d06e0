"""Prompts files in (JSON lines, CSV, TSV, Parquet), answers out beside their rows, by weft-text.

Every column comes back, every row has its answer, bad rows fail with their reason, and shards that
still fit their source are not made again.
"""

import csv
import datetime
import decimal
import json
import os
import shutil
import unittest

from companion_case import DEMO_MODEL, Companion, weft_text


class Tables(Companion):
    def write(self, name, text, encoding="utf-8"):
        with open(self.path(name), "w", encoding=encoding, newline="") as file:
            file.write(text)
        return self.path(name)

    def prepare(self, source, *options, code=0):
        done = weft_text("prepare", source, self.path("out/text/x.h5"), "--tokenizer", DEMO_MODEL,
                         *options)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def answer(self):
        """Results that echo the prompts, as a merged file of a finished run has them."""
        shutil.copy(self.path("out/text/x.h5"), self.path("x.h5"))
        self.echo(260, 257)
        shutil.copy(self.path("out/segments/g0/r0-e0-00000.h5"), self.path("out/results.h5"))
        self.write("out/runs/0.done.json", "{}")

    def decode_to(self, name, *options, code=0):
        done = weft_text("decode", self.path("out"), "-o", self.path(name), *options)
        self.assertEqual(done.returncode, code, done.stderr)
        return self.path(name) if code == 0 else done.stderr

    def json_answers(self, *options):
        self.decode_to("out.jsonl", "--replace", *options)
        return self.read_lines("out.jsonl")

    def csv_rows(self, name, delimiter=","):
        with open(self.path(name), encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter=delimiter))


class FromCsv(Tables):
    TEXT = ('prompt,tag,max_tokens,text\n'
            'one,a,100,own\n'
            '"two, with a comma\nand a ""line""",b,,\n'
            'three,c\n'
            'four,d,none,\n'
            'fünf,é,2,x\n')

    def test_rows_come_back(self):
        error = self.prepare(self.write("p.csv", self.TEXT), code=3)
        self.assertIn("p.csv:5: has 2 cells, the header names 4", error)
        self.assertIn("p.csv:6: 'max_tokens' is 'none', an integer is expected", error)
        self.assertIn("3 requests", error)
        self.answer()
        lines = self.json_answers()
        self.assertEqual([line.get("text") for line in lines],
                         ["one", 'two, with a comma\nand a "line"', None, None, "f"])
        self.assertEqual([line["status"] for line in lines],
                         ["done", "done", "failed", "failed", "done"])
        self.assertEqual(lines[0]["input_text"], "own")
        self.assertEqual(lines[1]["tag"], "b")
        self.assertEqual(lines[2]["line"], 5)
        self.assertEqual(lines[3]["error"]["message"],
                         self.path("p.csv:6: 'max_tokens' is 'none', an integer is expected"))
        self.assertEqual(lines[4]["finish_reason"], "length")
        self.assertNotIn("ttft_s", lines[0])
        self.assertIn("ttft_s", self.json_answers("--times")[0])

    def test_tables_out(self):
        self.prepare(self.write("p.csv", self.TEXT), code=3)
        self.answer()
        for name, delimiter in (("a.csv", ","), ("a.tsv", "\t")):
            self.decode_to(name)
            rows = self.csv_rows(name, delimiter)
            self.assertEqual(list(rows[0]), ["prompt", "tag", "max_tokens", "input_text", "sample",
                                             "status", "text", "finish_reason", "error",
                                             "prompt_tokens", "completion_tokens"])
            self.assertEqual(rows[1]["text"], 'two, with a comma\nand a "line"')
            self.assertEqual(rows[1]["prompt"], rows[1]["text"])
            self.assertEqual(rows[2]["error"],
                             self.path("p.csv:5: has 2 cells, the header names 4"))
            self.assertEqual(rows[4]["completion_tokens"], "2")

    def test_headers(self):
        for text, why in (("question,answer\na,b\n", "no column 'prompt', only question, answer"),
                          ("prompt,temprature\na,1\n", "did you mean 'temperature'?"),
                          ("prompt,prompt\na,1\n", "column 2 is named 'prompt' as well"),
                          ("prompt,\na,1\n", "column 2 has no name"), ("", "no header line")):
            self.assertIn(why, self.prepare(self.write("p.csv", text), code=65))
        self.prepare(self.write("p.csv", "question,answer\na,b\n"), "--prompt", "question")
        self.answer()
        self.assertEqual(self.json_answers()[0]["text"], "a")
        self.assertEqual(self.json_answers()[0]["answer"], "b")

    def test_not_utf8(self):
        error = self.prepare(self.write("p.csv", "prompt\nfein\nfünf\n", "latin-1"), code=3)
        self.assertIn("p.csv:3: column 'prompt' is not UTF-8", error)

    def test_byte_order_mark(self):
        self.prepare(self.write("p.csv", "prompt,t\none,1\n", "utf-8-sig"))
        self.prepare(self.write("p.jsonl", '{"prompt": "one"}\n', "utf-8-sig"))


class FromParquet(Tables):
    def setUp(self):
        super().setUp()
        import pyarrow
        from pyarrow import parquet

        self.table = pyarrow.table({
            "prompt": ["one", "two", None, "four"],
            "at": pyarrow.array([datetime.datetime(2026, 1, i + 1, 3, 4, 5, 678) for i in range(4)],
                                pyarrow.timestamp("ns", "UTC")),
            "tags": [["a", "b"], [], None, ["c"]],
            "price": pyarrow.array([decimal.Decimal("1.25")] * 4, pyarrow.decimal128(8, 2)),
            "big": [2**60, None, 3, 4],
            "stop": [None, ["w"], None, None],
            "status": [1, 2, 3, 4],
            "raw": [b"\x00\xff", None, None, b"x"],
        })
        parquet.write_table(self.table, self.path("p.parquet"))
        self.prepare(self.path("p.parquet"), code=3)
        self.answer()

    def test_types_come_back(self):
        from pyarrow import parquet

        out = parquet.read_table(self.decode_to("a.parquet"))
        for name in self.table.column_names:
            kept = "input_status" if name == "status" else name
            self.assertEqual(out.column(kept).type, self.table.column(name).type)
            self.assertEqual(out.column(kept).to_pylist(), self.table.column(name).to_pylist(),
                             name)
        self.assertEqual(out.column("text").to_pylist(), ["one", "t", None, "four"])
        self.assertIn("p.parquet:3: has no prompt: give 'prompt', 'prompt_token_ids' or 'messages'",
                      out.column("error").to_pylist()[2])

    def test_other_forms(self):
        lines = self.json_answers()
        self.assertEqual(lines[0]["at"], "2026-01-01T03:04:05.000678+00:00")
        self.assertEqual((lines[0]["price"], lines[0]["raw"]), ("1.25", "AP8="))
        self.decode_to("a.csv")
        rows = self.csv_rows("a.csv")
        self.assertEqual(rows[0]["tags"], '["a", "b"]')
        self.assertEqual((rows[0]["big"], rows[1]["big"]), (str(2**60), ""))
        self.assertEqual(rows[0]["at"], "2026-01-01T03:04:05.000678+00:00")


class WithGaps(Tables):
    def test_columns_with_gaps_hold_whole_numbers(self):
        import pyarrow
        from pyarrow import parquet

        table = pyarrow.table({"prompt": ["one", "two"], "max_tokens": [3.0, float("nan")],
                               "seed": pyarrow.array([None, 7.0])})
        parquet.write_table(table, self.path("g.parquet"))
        self.prepare(self.path("g.parquet"))
        self.answer()
        self.assertEqual([a["text"] for a in self.json_answers()], ["on", "two"])


class FromJsonLines(Tables):
    LINES = [{"prompt": "one", "n_seen": 1, "x": 1, "any": [1]}, "{",
             {"prompt": "two", "x": 1.5, "any": "s", "ok": True},
             {"prompt": "three", "id": 7}, {"prompt": "\ud800"}]

    def test_kinds_of_columns(self):
        from pyarrow import parquet

        with open(self.path("p.jsonl"), "w", encoding="ascii") as file:
            for line in self.LINES:
                file.write((line if isinstance(line, str) else json.dumps(line)) + "\n\n")
        error = self.prepare(self.path("p.jsonl"), code=3)
        self.assertIn("p.jsonl:3: the line is not JSON", error)
        self.assertIn("p.jsonl:7: give an integer 'id' on all lines or on none", error)
        self.answer()
        out = parquet.read_table(self.decode_to("a.parquet"))
        self.assertEqual(out.column("x").to_pylist(), [1.0, None, 1.5, None, None])
        self.assertEqual(out.column("any").to_pylist(), ["[1]", None, "s", None, None])
        self.assertEqual(out.column("ok").to_pylist(), [None, None, True, None, None])
        self.assertEqual(out.column("text").to_pylist(), ["one", None, "two", None, None])
        self.assertEqual(self.json_answers()[4]["prompt"], "\ud800")

    def test_twice_the_same_id(self):
        lines = [{"prompt": "p", "custom_id": f"c{i % 3000}"} for i in range(3002)]
        error = self.prepare(self.write_lines("p.jsonl", lines), code=3)
        self.assertIn("p.jsonl:3001: 'custom_id' is 'c0', as on line 1 already", error)
        self.assertIn("p.jsonl:3002: 'custom_id' is 'c1', as on line 2 already", error)
        error = self.encode([{"prompt": "p", "id": 4}, {"prompt": "p", "id": 4}], "bytes", code=65)
        self.assertIn("in.jsonl:2: 'id' is 4, as on line 1 already", error)

    def test_samples_stand_side_by_side(self):
        self.prepare(self.write_lines("p.jsonl", [{"prompt": "a", "n": 2}, {"prompt": "b"}]))
        self.answer()
        self.assertEqual([(a["prompt"], a["sample"], a["text"]) for a in self.json_answers()],
                         [("a", 0, "a"), ("a", 1, "a"), ("b", 0, "b")])

    def test_openai_batch(self):
        def line(i, **more):
            return {"custom_id": f"q{i}", "method": "POST", "url": "/v1/completions",
                    "body": {"model": "m", "prompt": f"text {i}", **more}}

        lines = [line(0), line(1, echo=True), line(2, n=2)]
        self.prepare(self.write_lines("p.jsonl", lines), code=3)
        self.answer()
        lines = self.json_answers()
        self.assertEqual([answer["custom_id"] for answer in lines], ["q0", "q1", "q2"])
        self.assertIn("p.jsonl:2: body: 'echo' is not supported", lines[1]["error"]["message"])
        self.assertIsNone(lines[1]["response"])
        self.assertEqual([c["text"] for c in lines[2]["response"]["body"]["choices"]],
                         ["text 2", "text 2"])
        self.decode_to("a.csv")
        self.assertEqual([row["text"] for row in self.csv_rows("a.csv")],
                         ["text 0", "", "text 2", "text 2"])
        self.assertIn("are JSON lines", self.decode_to("b.csv", "--format", "openai", code=64))


class OutputNames(Tables):
    def test_what_the_name_says_or_nothing(self):
        self.prepare(self.write_lines("p.jsonl", [{"prompt": "a"}]))
        self.answer()
        for name in ("a.txt", "a.json", "a"):
            self.assertIn("cannot tell what to write", self.decode_to(name, code=64))
            self.assertFalse(os.path.exists(self.path(name)))
        self.decode_to("a", "--format", "text")
        with open(self.path("a"), encoding="ascii") as file:
            self.assertEqual(file.read(), "a\n")
        self.assertIn("exists already", self.decode_to("a", "--format", "text", code=64))

    def test_source_that_is_gone_or_changed(self):
        source = self.write_lines("p.jsonl", [{"prompt": "a", "own": 1}])
        self.prepare(source)
        self.answer()
        self.write_lines("p.jsonl", [{"prompt": "b", "own": 1}])
        self.assertIn("has changed since it was encoded", self.decode_to("a.jsonl", code=65))
        os.unlink(source)
        self.assertIn("is not there any more", self.decode_to("a.jsonl", code=65))
        self.decode_to("a.jsonl", "--no-columns", "--tokenizer", "bytes")
        self.assertEqual(self.read_lines("a.jsonl")[0]["text"], "a")


class NotMergedYet(Tables):
    def test_rows_in_order_with_their_columns(self):
        """Two segments, the second one's rows before the first one's, each with a gap."""
        import h5py
        import numpy as np

        lines = [{"prompt": f"p{i}", "tag": i, "n": 2} for i in range(3000)]
        lines[7] = "{"
        self.prepare(self.write_lines("p.jsonl", lines), code=3)
        shutil.copy(self.path("out/text/x.h5"), self.path("x.h5"))
        self.echo(260, 257)
        whole = self.path("out/segments/g0/r0-e0-00000.h5")
        os.makedirs(self.path("out/segments/g1"))
        other = self.path("out/segments/g1/r0-e0-00000.h5")
        shutil.copy(whole, other)
        wanted = [line["prompt"] for line in lines if line != "{" for _ in range(2)]
        with h5py.File(whole, "r+") as file:
            first, last = file["requests/row"][:], file["requests/row"][:]
            first[:] = np.roll(first, 2)  # what ended first is not what came first: p1 is row 0's
            file["requests/row"][:] = first
        with h5py.File(other, "r+") as file:
            file["requests/row"][:] = last + 5000
        answers = self.json_answers()
        self.assertEqual([a["prompt"] for a in answers if a["status"] == "done"], wanted)
        self.assertEqual(answers[14]["status"], "failed")
        self.assertEqual([a["text"] for a in answers[2:4]], ["p2", "p2"])


class MadeOnce(Tables):
    def shard(self):
        return os.stat(self.path("out/text/x.h5")).st_ino

    def test_only_what_no_longer_fits_is_made_again(self):
        source = self.write_lines("p.jsonl", [{"prompt": "a"}, {"prompt": "b"}])
        self.prepare(source, "--fixed")
        first = self.shard()
        self.assertIn("encoded already", self.prepare(source, "--fixed"))
        self.assertEqual(self.shard(), first)
        error = self.prepare(source, "--fixed", "--max-new-tokens", "9", code=78)
        self.assertIn("max_new_tokens was 256 and is 9", error)
        self.write_lines("p.jsonl", [{"prompt": "a"}, {"prompt": "c"}])
        self.assertIn("its content has changed", self.prepare(source, "--fixed", code=78))
        self.assertEqual(self.shard(), first)
        self.prepare(source)
        self.assertNotEqual(self.shard(), first)

    def test_what_a_killed_encoder_left_goes(self):
        source = self.write_lines("p.jsonl", [{"prompt": "a"}])
        os.makedirs(self.path("out/text"))
        for name, age in (("x.h5.dead.part", 7200), ("x.h5.live.part", 0)):
            self.write(f"out/text/{name}", "")
            when = os.stat(self.path("out")).st_mtime - age
            os.utime(self.path(f"out/text/{name}"), (when, when))
        self.prepare(source)
        self.assertEqual(sorted(os.listdir(self.path("out/text"))), ["x.h5", "x.h5.live.part"])

    def test_damaged_shard_is_named(self):
        os.makedirs(self.path("out/text"))
        self.write("out/text/x.h5", "no HDF5")
        error = self.prepare(self.write_lines("p.jsonl", [{"prompt": "a"}]), code=65)
        self.assertIn("x.h5: is damaged", error)


if __name__ == "__main__":
    unittest.main()
