"""The command weft-text: prompts into request shards, results into text."""

import argparse
import contextlib
import shutil
import sys
import tempfile

from weft_text import __version__
from weft_text.atomic_file import atomic_file
from weft_text.decode import DecodeSettings, decode_results
from weft_text.encode import Settings, encode_source
from weft_text.errors import EXIT_FAILED_ROWS, EXIT_IO, EXIT_USAGE, TextError, counted
from weft_text.prepare import prepare
from weft_text.sharegpt_read import ShareGpt
from weft_text.source_read import JsonLines, file_sha256, open_source
from weft_text.table_rows import table_write


@contextlib.contextmanager
def opened(path):
    """The source of a name; of '-', standard input kept in a file, for it is read twice."""
    if path != "-":
        yield open_source(path)
        return
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield JsonLines(copy.name)


def settings_of(args, file_format="auto", vocab_size=0):
    return Settings(tokenizer=args.tokenizer, max_new_tokens=args.max_new_tokens, chat=args.chat,
                    prompt_key=args.prompt, pairs=args.pairs, pair_key=args.pair, before=args.before,
                    file_format=file_format, vocab_size=vocab_size, pieces=args.pieces)


def run_encode(args):
    settings = settings_of(args, args.format, args.vocab_size or 0)
    settings.n_rows, settings.skip_bad = args.rows or 0, args.skip_bad
    settings.most_new = args.most_new or 0
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(opened(args.prompts))
        if args.format == "sharegpt":
            source = ShareGpt(source.path)
        rejects = args.rejects and stack.enter_context(atomic_file(args.rejects, replace=True))
        done = encode_source(source, args.output, settings, args.replace, rejects=rejects,
                             source_sha256=file_sha256(source.path))
    print(f"{args.output}: {counted(done.n_rows, 'request')}, "
          f"{counted(done.n_tokens, 'prompt token')}, {counted(done.n_bad, 'bad row')}, "
          f"uid {done.uid}", file=sys.stderr)
    return EXIT_FAILED_ROWS if done.n_bad and not args.skip_bad else 0


def run_prepare(args):
    pairs = list(zip(args.files[::2], args.files[1::2]))
    if len(args.files) % 2:
        raise TextError("prepare: give pairs of a prompts file and its shard", EXIT_USAGE)
    return EXIT_FAILED_ROWS if prepare(pairs, settings_of(args), args.fixed) else 0


def run_decode(args):
    settings = DecodeSettings(tokenizer=args.tokenizer, file_format=args.format,
                              token_ids=args.token_ids, times=args.times,
                              columns=not args.no_columns, replace=args.replace,
                              dtype=args.dtype)
    done = decode_results(args.results, args.output, settings)
    if args.output != "-":
        print(f"{args.output}: {counted(done.n_lines, 'line')}, "
              f"{counted(done.n_failed, 'failed row')}", file=sys.stderr)
    return 0


def run_table(args):
    n_rows = table_write(sys.stdin.buffer, args.output, args.columns, args.replace)
    print(f"{args.output}: {counted(n_rows, 'row')}", file=sys.stderr)
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


TOKENIZER_HELP = "a tokenizer.json, a model's folder, or 'bytes'"


def add_row_options(sub):
    sub.add_argument("--tokenizer", required=True, help=TOKENIZER_HELP)
    sub.add_argument("--chat", action="store_true",
                     help="plain prompts become a user's message in the model's chat template")
    sub.add_argument("--max-new-tokens", type=positive, default=256,
                     help="where a row gives no max_tokens (default 256)")
    sub.add_argument("--prompt", default="prompt", metavar="NAME",
                     help="the key or column that holds the prompt (default prompt)")
    sub.add_argument("--pairs", action="store_true",
                     help="rows are to be scored: a text (prompt, text or query), or two of them "
                          "(with text_pair or document), joined as the tokenizer joins pairs")
    sub.add_argument("--pair", default="", metavar="NAME",
                     help="the key or column that holds the second text")
    sub.add_argument("--before", default="", metavar="TEXT",
                     help="stands before every prompt that is no chat, as models that embed want it")
    sub.add_argument("--pieces", action="store_true",
                     help="the shard also says what each token is in bytes, which a job's "
                          "sampling.stop needs; rows with a 'stop' of their own bring it anyway")


def add_encode(commands):
    sub = commands.add_parser("encode", help="a file of prompts to a request shard")
    sub.add_argument("prompts", help=".jsonl, .csv, .tsv, .parquet, or - for JSON lines on "
                                     "standard input")
    sub.add_argument("-o", "--output", required=True, help="the shard to write, *.h5")
    add_row_options(sub)
    sub.add_argument("--format", choices=("auto", "jsonl", "openai", "sharegpt"), default="auto",
                     help="auto: lines with a 'body' are OpenAI batch lines; sharegpt: "
                          "conversations, of which the first question is taken, to be answered "
                          "with as many tokens as its answer has")
    sub.add_argument("--rows", type=positive, help="take so many rows")
    sub.add_argument("--most-new", type=positive, help="sharegpt: longer answers count as so many "
                                                       "tokens")
    sub.add_argument("--vocab-size", type=positive, help="of the model, if not the tokenizer's")
    sub.add_argument("--rejects", help="file for bad rows; without it one bad row stops the run")
    sub.add_argument("--skip-bad", action="store_true", help="tell bad rows and leave them out")
    sub.add_argument("--replace", action="store_true", help="replace an existing shard")
    sub.set_defaults(run=run_encode)


def add_prepare(commands):
    sub = commands.add_parser("prepare", help="what weft run does with the prompts files of a job: "
                                              "shards that are made once, bad rows kept")
    sub.add_argument("files", nargs="+", metavar="PROMPTS SHARD")
    add_row_options(sub)
    sub.add_argument("--fixed", action="store_true",
                     help="refuse a file that has changed since it was encoded")
    sub.set_defaults(run=run_prepare)


def add_decode(commands):
    sub = commands.add_parser("decode", help="results to text")
    sub.add_argument("results", help="an output folder (an array's too), results.h5, a segment, or "
                                     "segments/")
    sub.add_argument("-o", "--output", required=True,
                     help=".jsonl, .csv, .tsv or .parquet to write, .npy for vectors or scores "
                          "alone, or - "
                          "for standard output")
    sub.add_argument("--tokenizer", help=TOKENIZER_HELP + "; needed where the prompts were not "
                                                          "encoded by weft run")
    sub.add_argument("--format", default="auto",
                     choices=("auto", "jsonl", "openai", "csv", "tsv", "parquet", "text"),
                     help="auto: by the name; OpenAI lines for requests that came as such")
    sub.add_argument("--dtype", choices=("f32", "f16"), default="f32",
                     help="numbers of an .npy (default f32)")
    sub.add_argument("--token-ids", action="store_true", help="add the generated token ids")
    sub.add_argument("--times", action="store_true", help="add ttft_s and e2e_s")
    sub.add_argument("--no-columns", action="store_true",
                     help="leave out the columns of the prompts file")
    sub.add_argument("--replace", action="store_true", help="replace an existing file")
    sub.set_defaults(run=run_decode)


def add_table(commands):
    sub = commands.add_parser("table", help="what weft export does to write Parquet: rows from "
                                            "standard input, as JSON lines")
    sub.add_argument("-o", "--output", required=True, help=".parquet to write")
    sub.add_argument("--columns", required=True, metavar="NAME:KIND,...")
    sub.add_argument("--replace", action="store_true", help="replace an existing file")
    sub.set_defaults(run=run_table)


def make_parser():
    parser = Parser(prog="weft-text", description=__doc__)
    parser.add_argument("--version", action="version", version=f"weft-text {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (add_encode, add_prepare, add_decode, add_table):
        add(commands)
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
    except KeyboardInterrupt:
        return 128 + 2


if __name__ == "__main__":
    raise SystemExit(main())
