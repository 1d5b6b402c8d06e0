"""What tokens add to a text (pieces.py) against what the tokenizers themselves decode, and the table
of it in request shards."""

import csv
import json
import os
import random
import shutil
import subprocess

from companion_case import WEFT, Companion, weft_text

TEXTS = ["The shuttle carries the weft.", "naïve café, Ελληνικά, 織物, \U0001f9f6 and\ttabs\n\nand more",
         "def main():\n    return {'key': [1, 2, 3]}\n"]


def byte_level():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TEXTS * 3, trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_tokens(["<tool call>"])  # with a letter that is no byte's, and not special
    return tokenizer


def sentencepiece(strip=True):
    """As llama-2's and gemma's files have it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models

    words = ["▁", "▁the", "▁weft", "w", "e", "f", "t", ".", "\n", "▁▁", "é", "織"]
    vocabulary = {word: i for i, word in enumerate(
        ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>",
                                     byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps + [decoders.Strip(" ", 1, 0)] * strip)
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in ("<s>", "</s>")])
    return tokenizer


def metaspace():
    from tokenizers import Tokenizer, decoders, models

    words = ["▁", "▁the", "▁weft", "s", ".", "ing", "é"]
    tokenizer = Tokenizer(models.Unigram([(w, -1.0 - i) for i, w in enumerate(["<unk>", *words])], 0))
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def words():
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "weft": 2, ".": 3}, "<unk>"))


def text_of(pieces, ids):
    return b"".join(pieces.get(i, b"") for i in ids).decode("utf-8", "replace")


def as_text_shows(text):
    """Decoders show a run of bytes that are no letter as one mark, or as one for each."""
    return "\ufffd".join(part for part in text.split("\ufffd") if part)


class Pieces(Companion):
    def same_text(self, tokenizer, ids):
        from weft_text.pieces import pieces_of

        said = tokenizer.decode(ids, skip_special_tokens=True)
        joined = text_of(pieces_of(tokenizer), ids)
        self.assertIn(as_text_shows(joined),
                      [as_text_shows(start + said) for start in ("", " ", "  ")], ids)

    def test_texts(self):
        tokenizer = byte_level()
        for text in TEXTS:
            self.same_text(tokenizer, tokenizer.encode(text).ids)
        self.same_text(tokenizer, tokenizer.encode("<s>a<tool call> b</s>").ids)

    def test_any_tokens(self):
        """Letters cut in the middle, special tokens, words that begin with a space."""
        draw = random.Random(1)
        for tokenizer in (byte_level(), metaspace(), words(), sentencepiece(), sentencepiece(False)):
            n = tokenizer.get_vocab_size()
            plain = [i for i in range(n) if not tokenizer.id_to_token(i).startswith("<0x")]
            for _ in range(200):
                self.same_text(tokenizer, [draw.choice(plain) for _ in range(draw.randint(1, 9))])

    def test_bytes_that_fall_back(self):
        tokenizer = sentencepiece()
        for letter in "é織\U0001f9f6\n":
            ids = [3 + byte for byte in letter.encode("utf-8")]
            self.same_text(tokenizer, [tokenizer.token_to_id("w"), *ids, tokenizer.token_to_id("▁the")])
            from weft_text.pieces import pieces_of

            self.assertEqual([pieces_of(tokenizer)[i] for i in ids],
                             [bytes([byte]) for byte in letter.encode("utf-8")])

    def test_refused(self):
        from tokenizers import decoders

        from weft_text.errors import TextError
        from weft_text.pieces import pieces_of

        for decoder, name in ((decoders.WordPiece(), "WordPiece"), (decoders.BPEDecoder(), "BPE"),
                              (decoders.Sequence([decoders.Fuse(), decoders.ByteFallback()]),
                               "ByteFallback"),
                              (decoders.Strip(" ", 1, 0), "Strip")):
            tokenizer = words()
            tokenizer.decoder = decoder
            with self.assertRaisesRegex(TextError, name):
                pieces_of(tokenizer)
        tokenizer.save(self.path("tokenizer.json"))
        error = self.encode([{"prompt": "the"}, {"prompt": "the", "stop": "weft"}],
                            self.path("tokenizer.json"), code=65)
        self.assertIn("in.jsonl:2: 'stop': its tokenizer's decoder (Strip)", error)


class Table(Companion):
    def read(self):
        import h5py

        with h5py.File(self.path("x.h5"), "r") as file:
            if "tokenizer" not in file:
                return None, None
            at, piece = file["tokenizer/piece_offset"][:], file["tokenizer/piece"][:].tobytes()
            stops = "requests/stop_string" in file and file["requests/stop_string"][:].tobytes()
        return [piece[a:b] for a, b in zip(at, at[1:])], stops

    def test_with_the_first_stop(self):
        from weft_text.pieces import pieces_of

        tokenizer = byte_level()
        os.makedirs(self.path("model"))
        tokenizer.save(self.path("model/tokenizer.json"))
        n, model = tokenizer.get_vocab_size(), self.path("model")
        self.encode([{"prompt": "the"}], model)
        self.assertEqual(self.read(), (None, None))
        self.encode([{"prompt": "the"}, {"prompt": "weft", "stop": ["\n\n", "é"]}], model,
                    "--vocab-size", str(n + 3))
        table, stops = self.read()
        self.assertEqual(stops, "\n\n\0é\0".encode())
        self.assertEqual(table, [pieces_of(tokenizer)[i] for i in range(n)] + [b""] * 3)
        self.echo(n + 3, 1)  # Weft's reader takes it, and its uid
        self.encode([{"prompt": "the"}], model, "--pieces")
        self.assertEqual(self.read()[0], table[:n])
        self.echo(n, 1)

    def test_as_weft_pack(self):
        lines = [{"prompt_token_ids": [3], "max_new_tokens": 1, "stop": ["ab", "c"]}]
        self.encode(lines, "bytes")
        done = subprocess.run([WEFT, "pack", self.path("in.jsonl"), "-o", self.path("p.h5"), "--vocab",
                               "260", "--bytes"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        import h5py

        with h5py.File(self.path("x.h5")) as ours, h5py.File(self.path("p.h5")) as packed:
            for name in ("tokenizer/piece_offset", "tokenizer/piece", "requests/stop_string"):
                self.assertEqual(ours[name][:].tolist(), packed[name][:].tolist(), name)

    def test_bad_stops(self):
        for stop, why in (("a\0b", "zero byte"), (["x" * 5000], "at most 4096"), ([5], "text is expected"),
                          ([""], "empty"), ({}, "neither text nor a list")):
            error = self.encode([{"prompt": "a", "stop": stop}], "bytes", code=65)
            self.assertIn(why, error, json.dumps(stop))
        done = weft_text("encode", self.path("in.jsonl"), "-o", self.path("y.h5"), "--tokenizer",
                         "bytes")
        self.assertEqual(done.returncode, 65)


class Stops(Companion):
    """Rows that end at texts, as shard_echo ends them by the shard's table: what is left of the text
    is what it was before the string, whatever the borders of tokens."""

    def check(self, tokenizer, texts, stops):
        from weft_text.pieces import pieces_of

        os.makedirs(self.path("model"), exist_ok=True)
        tokenizer.save(self.path("model/tokenizer.json"))
        rows = [(text, stop, kept) for text in texts for stop in stops for kept in (False, True)]
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text, _, _ in rows]
        lines = [{"prompt_token_ids": tokens, "max_tokens": 4000, "stop": stop,
                  "include_stop_str_in_output": kept}
                 for tokens, (_, stop, kept) in zip(ids, rows)]
        out = self.round_trip(lines, self.path("model"), tokenizer.get_vocab_size(),
                              tokenizer.token_to_id("</s>"))
        pieces, n_ended = pieces_of(tokenizer), 0
        for answer, tokens, (text, stop, kept) in zip(out, ids, rows):
            whole, raw = tokenizer.decode(tokens), text_of(pieces, tokens)
            lead = len(raw) - len(whole)  # spaces that the decoder takes away
            if stop not in raw:
                self.assertEqual(answer["text"], whole)
                self.assertNotIn("stop_reason", answer)
                continue
            n_ended += 1
            at = raw.index(stop) + len(stop) * kept
            self.assertEqual(answer["text"], raw[:at][lead:], (text, stop))
            self.assertEqual((answer["finish_reason"], answer["stop_reason"]), ("stop", stop))
            self.assertNotIn(stop, text_of(pieces, tokens[: answer["completion_tokens"] - 1]))
        self.assertGreater(n_ended, len(rows) // 4)

    def test_byte_level(self):
        self.check(byte_level(), TEXTS, ["e", "the", "\n\n", "織", "fé, Ε", "\ttabs\n", "zzz", " ",
                                         "return {'key': [1", "🧶 a"])

    def test_sentencepiece(self):
        for strip in (True, False):
            tokenizer = sentencepiece(strip)
            texts = ["▁the▁weft.織é", "▁weft\n\n▁the▁the", "🧶w▁▁weft"]
            shutil.rmtree(self.path("out"), ignore_errors=True)
            self.check(tokenizer, texts, [" the", "weft.", "\n\n", "織é", "🧶w", "f", "zzz"])

    def test_tables_have_the_reason(self):
        self.encode([{"prompt": "one\ntwo", "stop": "\n"}, {"prompt": "three"}], "bytes")
        self.echo(260, 257)
        done = weft_text("decode", self.path("out"), "-o", self.path("a.csv"), "--tokenizer", "bytes")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("a.csv"), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([(r["text"], r["stop_reason"]) for r in rows], [("one", "\n"), ("three", "")])

    def test_shards_that_leave_strings_to_the_text(self):
        """As they were made before the engine knew strings."""
        from weft_text.line_write import row_text
        from weft_text.results_read import Row
        from weft_text.text_codec import ByteCodec

        row = Row("u", {"finish_reason": 2}, list(b"one STOP two"), b"", "")
        self.assertEqual(row_text(ByteCodec(), row, {"stop": ["zz", "STOP"]}), ("one ", "stop"))
        self.assertEqual(row_text(ByteCodec(), row, {}), ("one STOP two", "length"))

    def test_a_stop_token_that_is_kept(self):
        out = self.round_trip([{"prompt": "ab", "include_stop_str_in_output": kept}
                               for kept in (True, False)], "bytes", 260, ord("!"))
        self.assertEqual([line["text"] for line in out], ["ab!", "ab"])
