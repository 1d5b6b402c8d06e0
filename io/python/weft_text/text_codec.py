"""Text to token ids and back: Hugging Face `tokenizers`, or plain bytes.

A codec has: name, vocab_size, encode(list of text, add_special) -> list of ids, encode_pairs(list of
two texts) -> list of (ids, where tokens of the second type begin, 0: nowhere), decode(ids) -> text,
token_text(id), pieces() -> {id: bytes} (pieces.py), and folder (where a chat template may lie, or
None).
"""

import hashlib
import json
import os

from weft_text.errors import EXIT_NO_INPUT, TextError
from weft_text.pieces import pieces_of


class ByteCodec:
    """One token per byte, then BOS 256, EOS 257, PAD 258: the demo model's vocabulary."""

    BOS, EOS = 256, 257
    name, folder, vocab_size = "bytes", None, 260

    def encode(self, texts, add_special=True):
        start = [self.BOS] if add_special else []
        return [start + list(text.encode("utf-8")) for text in texts]

    def encode_pairs(self, pairs):
        """BOS, the first, EOS, the second."""
        firsts = [ids + [self.EOS] for ids in self.encode([a for a, _ in pairs])]
        return [(ids + list(b.encode("utf-8")), len(ids))
                for ids, (_, b) in zip(firsts, pairs)]

    def decode(self, ids):
        return bytes(i for i in ids if 0 <= i < 256).decode("utf-8", "replace")

    def token_text(self, token):
        return self.decode([token])

    def pieces(self):
        return {byte: bytes([byte]) for byte in range(256)}


class HubCodec:
    """A Hugging Face tokenizer.json, alone or in a model's folder."""

    def __init__(self, path):
        import tokenizers

        file = os.path.join(path, "tokenizer.json") if os.path.isdir(path) else path
        self.name, self.folder = path, os.path.dirname(os.path.abspath(file))
        if not os.path.isfile(file):
            raise TextError(f"{file}: is missing; give a tokenizer.json, a model's folder that has "
                            "one, or 'bytes'", EXIT_NO_INPUT)
        try:
            self.tokenizer = tokenizers.Tokenizer.from_file(file)
        except Exception as error:  # the library raises bare Exception
            raise TextError(f"{file}: is not a usable tokenizer: {error}") from error
        # Padding or truncation stored in the file would change prompts without a word.
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.vocab_size = self.model_vocab() or self.tokenizer.get_vocab_size(with_added_tokens=True)

    def model_vocab(self):
        """The model's own vocabulary, which may be padded beyond the tokenizer's."""
        config = read_json(os.path.join(self.folder, "config.json"))
        size = config.get("vocab_size") if isinstance(config, dict) else None
        return size if isinstance(size, int) and size > 0 else None

    def encode(self, texts, add_special=True):
        encoded = self.tokenizer.encode_batch(texts, add_special_tokens=add_special)
        return [e.ids for e in encoded]

    def encode_pairs(self, pairs):
        """Joined as the tokenizer's post-processor does, with its token types where the model's
        own tokenizer hands them on (model_input_names)."""
        config = read_json(os.path.join(self.folder, "tokenizer_config.json"))
        names = config.get("model_input_names") if isinstance(config, dict) else None
        typed = not isinstance(names, list) or "token_type_ids" in names
        return [(e.ids, second_type(self.name, e.type_ids) if typed else 0)
                for e in self.tokenizer.encode_batch(pairs)]

    def decode(self, ids):
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def token_text(self, token):
        return self.tokenizer.decode([token], skip_special_tokens=False)

    def pieces(self):
        return pieces_of(self.tokenizer)


def second_type(name, types):
    """Where tokens of type 1 begin, which must be the last ones."""
    n_first = types.index(1) if 1 in types else len(types)
    if any(types[:n_first]) or not all(kind == 1 for kind in types[n_first:]):
        raise TextError(f"{name}: gives pairs token types that are not known here: tokens of type 0 "
                        "and then of type 1 are")
    return n_first if n_first < len(types) else 0


def read_json(path):
    """The file's content, or None when there is no such file."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise TextError(f"{path}: cannot be read: {error}") from error


def open_codec(name):
    return ByteCodec() if name == "bytes" else HubCodec(name)


def codec_identity(name):
    """What decides which ids a text becomes: a hash of the files that are read."""
    if name == "bytes":
        return name
    file = os.path.join(name, "tokenizer.json") if os.path.isdir(name) else name
    folder, digest = os.path.dirname(os.path.abspath(file)), hashlib.sha256()
    extra = ("tokenizer_config.json", "chat_template.jinja")
    for path in (file, *(os.path.join(folder, n) for n in extra)):
        if os.path.isfile(path):
            with open(path, "rb") as data:
                digest.update(os.path.basename(path).encode() + data.read())
    return digest.hexdigest()[:32]
