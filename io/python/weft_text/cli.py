"""The command weft-text: encode prompts into a request shard, decode results into text."""

import argparse
import contextlib
import hashlib
import json
import os
import sys

from weft_text import __version__
from weft_text.chat_template import ChatTemplate
from weft_text.errors import (EXIT_FAILED_ROWS, EXIT_IO, EXIT_NO_INPUT, EXIT_USAGE,
                              LineError, TextError)
from weft_text.line_parse import LineParser
from weft_text.line_write import check_tokens, output_lines
from weft_text.results_read import read_results
from weft_text.shard_write import ShardWriter
from weft_text.text_codec import open_codec

MAX_LINE_BYTES = 64 << 20
BATCH_LINES, BATCH_CHARS = 512, 4 << 20
SHOWN_ERRORS = 20


class Rejects:
    """Bad lines: shown on standard error, the first of them, and kept in a file if there is one."""

    def __init__(self, source, path):
        self.source, self.count = source, 0
        self.file = None
        if path:
            self.file = open(path, "w", encoding="utf-8")

    def add(self, number, line, error):
        self.count += 1
        if self.count <= SHOWN_ERRORS:
            print(f"{self.source}:{number}: {error}", file=sys.stderr)
        if self.file:
            record = {"line": number, "error": str(error), "input": line.decode("utf-8", "replace")}
            self.file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def close(self):
        if self.count > SHOWN_ERRORS:
            print(f"... and {self.count - SHOWN_ERRORS} more bad lines", file=sys.stderr)
        if self.file:
            self.file.close()


def read_lines(source, digest):
    """Yields (number, line) of lines that are not blank; a line over 64 MiB comes cut, as None."""
    try:
        file = sys.stdin.buffer if source == "-" else open(source, "rb")
    except OSError as error:
        raise TextError(f"{source}: cannot be read: {error.strerror}", EXIT_NO_INPUT) from error
    with file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            digest.update(line)
            too_long = len(line) == MAX_LINE_BYTES and not line.endswith(b"\n")
            while too_long and line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE_BYTES)
                digest.update(line)
            if too_long:
                yield number, None
            elif line.strip():
                yield number, line


class Encoder:
    """Collects parsed lines, tokenizes them together, and appends them in their order."""

    def __init__(self, codec, parser, shard, rejects):
        self.codec, self.parser, self.shard, self.rejects = codec, parser, shard, rejects
        self.held, self.n_chars, self.ids_given = [], 0, None

    def add(self, number, line):
        try:
            if line is None:
                raise LineError(f"is longer than {MAX_LINE_BYTES >> 20} MiB")
            parsed = self.parser.parse(line.decode("utf-8"))
            if self.ids_given is None:
                self.ids_given = parsed.has_id
            if parsed.has_id != self.ids_given:
                raise LineError("give an integer 'id' on all lines or on none")
        except UnicodeDecodeError as error:
            self.rejects.add(number, line, f"is not UTF-8 (byte {error.start + 1})")
        except LineError as error:
            self.rejects.add(number, line or b"", error)
        else:
            self.held.append((number, line, parsed))
            self.n_chars += len(line)
            if len(self.held) >= BATCH_LINES or self.n_chars >= BATCH_CHARS:
                self.flush()

    def flush(self):
        for add_special in (True, False):
            texts = [p for _, _, p in self.held
                     if p.text is not None and p.add_special == add_special]
            for parsed, ids in zip(texts, self.codec.encode([p.text for p in texts], add_special)):
                parsed.request.prompt = ids
        for number, line, parsed in self.held:
            try:
                self.append(parsed)
            except LineError as error:
                self.rejects.add(number, line, error)
        self.held, self.n_chars = [], 0

    def append(self, parsed):
        request = parsed.request
        if not request.prompt:
            raise LineError("the prompt has no tokens")
        if not parsed.has_id:
            request.id = self.shard.n_rows
        self.shard.append(request)


def encode(args):
    codec = open_codec(args.tokenizer)
    vocab_size = args.vocab_size or codec.vocab_size
    parser = LineParser(args.format, args.max_new_tokens, vocab_size,
                        lambda: ChatTemplate(codec), args.chat)
    if args.chat:
        parser.chat = ChatTemplate(codec)  # says at once what is missing
    digest = hashlib.sha256()
    rejects = Rejects(args.prompts, args.rejects)
    with contextlib.closing(rejects):
        with ShardWriter(args.output, vocab_size, args.replace, source=args.prompts,
                         generator=f"weft-text {__version__}") as shard:
            encoder = Encoder(codec, parser, shard, rejects)
            for number, line in read_lines(args.prompts, digest):
                encoder.add(number, line)
            encoder.flush()
            shard.attributes["source_sha256"] = digest.hexdigest()
            if shard.n_rows == 0:
                raise TextError(f"{args.prompts}: has no usable line; nothing was written")
            if rejects.count and not args.rejects:
                raise TextError(f"{args.prompts}: {rejects.count} bad lines; nothing was written "
                                "(--rejects FILE sets them aside and goes on)")
    n_tokens = shard.columns["/prompts/tokens"].count
    print(f"{args.output}: {shard.n_rows} requests, {n_tokens} prompt tokens, "
          f"{rejects.count} bad lines, uid {shard.uid}", file=sys.stderr)
    return EXIT_FAILED_ROWS if rejects.count else 0


@contextlib.contextmanager
def output_file(path, replace):
    """Standard output for '-'; else a .part file that takes the name when all went well."""
    if path == "-":
        yield sys.stdout
        return
    if not replace and os.path.exists(path):
        raise TextError(f"{path}: exists already; remove it or pass --replace", EXIT_USAGE)
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise TextError(f"{path}: cannot be written: {error.strerror}", EXIT_IO) from error
    finally:
        if os.path.exists(part):
            os.unlink(part)


def decode(args):
    codec = open_codec(args.tokenizer)
    rows = (check_tokens(codec, row, args.results) for row in read_results(args.results))
    n_lines = n_failed = 0
    with output_file(args.output, args.replace) as out:
        for line, failed in output_lines(codec, rows, args.format, args.token_ids):
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            n_lines += 1
            n_failed += failed
    print(f"{args.output}: {n_lines} lines, {n_failed} failed rows", file=sys.stderr)
    return 0


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\n")


def positive(text):
    value = int(text)
    if not 1 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 2147483647")
    return value


def make_parser():
    parser = Parser(prog="weft-text", description=__doc__)
    parser.add_argument("--version", action="version", version=f"weft-text {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    tokenizer_help = "a tokenizer.json, a model's folder, or 'bytes' (the demo model)"

    sub = commands.add_parser("encode", help="JSONL of prompts to a request shard")
    sub.add_argument("prompts", help="JSONL file, or - for standard input")
    sub.add_argument("-o", "--output", required=True, help="the shard to write, *.h5")
    sub.add_argument("--tokenizer", required=True, help=tokenizer_help)
    sub.add_argument("--format", choices=("auto", "jsonl", "openai"), default="auto",
                     help="auto: lines with a 'body' are OpenAI batch lines")
    sub.add_argument("--chat", action="store_true",
                     help="plain prompts become a user's message in the model's chat template")
    sub.add_argument("--max-new-tokens", type=positive, default=256,
                     help="where a line gives no max_tokens (default 256)")
    sub.add_argument("--vocab-size", type=positive, help="of the model, if not the tokenizer's")
    sub.add_argument("--rejects", help="file for bad lines; without it one bad line stops the run")
    sub.add_argument("--replace", action="store_true", help="replace an existing shard")
    sub.set_defaults(run=encode)

    sub = commands.add_parser("decode", help="results to JSONL of text")
    sub.add_argument("results", help="results.h5, a segment, an output folder, or its segments/")
    sub.add_argument("-o", "--output", required=True, help="JSONL to write, or - for standard output")
    sub.add_argument("--tokenizer", required=True, help=tokenizer_help)
    sub.add_argument("--format", choices=("auto", "jsonl", "openai"), default="auto",
                     help="auto: OpenAI lines for requests that came as such")
    sub.add_argument("--token-ids", action="store_true", help="add the generated token ids")
    sub.add_argument("--replace", action="store_true", help="replace an existing file")
    sub.set_defaults(run=decode)
    return parser


def main(argv=None):
    args = make_parser().parse_args(argv)
    try:
        return args.run(args)
    except TextError as error:
        print(f"weft-text: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_IO
    except OSError as error:
        print(f"weft-text: {error}", file=sys.stderr)
        return EXIT_IO


if __name__ == "__main__":
    raise SystemExit(main())
