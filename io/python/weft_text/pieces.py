"""What each token of a tokenizer adds to a text, in bytes: what stop strings are looked for in.

    pieces_of(tokenizer)[id]   b" the", b"\\xe2" (half a letter), b"" (a special token)

The pieces of a text's tokens, one after the other, are the text as the tokenizer decodes it, special
tokens left out; but for the space that some decoders take away from a text's beginning, and for
bytes that are no UTF-8, which a text shows as U+FFFD. Decoders whose tokens depend on each other
otherwise (WordPiece, BPE with suffixes, CTC) have no such table and are refused by name.
"""

import json

from weft_text.errors import TextError

# The letters by which byte-level BPE writes bytes (GPT-2): those that print stand for themselves,
# the others for 256, 257 ... in their order.
PRINTED = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
HIDDEN = [byte for byte in range(256) if byte not in PRINTED]
BYTE_OF = {**{chr(byte): byte for byte in PRINTED},
           **{chr(256 + i): byte for i, byte in enumerate(HIDDEN)}}


def byte_level(token):
    """A token with a letter that is none of these, an added one, is what it says."""
    try:
        return bytes(BYTE_OF[letter] for letter in token)
    except KeyError:
        return token.encode("utf-8")


def byte_fallback(token):
    """<0xE2> is a byte."""
    is_byte = len(token) == 6 and token.startswith("<0x") and token.endswith(">")
    try:
        return bytes([int(token[3:5], 16)]) if is_byte else token
    except ValueError:
        return token


def replacer(step):
    pattern = step.get("pattern", {})
    if "String" not in pattern:
        raise unsupported("Replace with a regular expression")
    return lambda token: token.replace(pattern["String"], step["content"])


def stripper(step):
    """At the beginning of a text it takes away what no token in the middle loses."""
    if step.get("stop", 0):
        raise unsupported("Strip at a text's end")
    return lambda token: token


STEPS = {
    "ByteLevel": lambda step: byte_level,
    "ByteFallback": lambda step: byte_fallback,
    "Replace": replacer,
    "Metaspace": lambda step: lambda token: token.replace(step.get("replacement", "\u2581"), " "),
    "Fuse": lambda step: lambda token: token,
    "Strip": stripper,
}


def unsupported(what):
    return TextError(f"its tokenizer's decoder ({what}) joins tokens in a way that stop strings are "
                     "not looked for in; stop_token_ids take token ids")


def decoder_steps(decoder):
    """The decoder as functions of one token, applied one after the other."""
    if decoder is None:  # tokens are words
        return [lambda token: " " + token]
    described = json.loads(decoder.__getstate__())
    steps = described["decoders"] if described["type"] == "Sequence" else [described]
    names = [step["type"] for step in steps]
    for i, name in enumerate(names):
        fused = "Fuse" in names[:i]  # the step sees the text as a whole
        if name not in STEPS or fused != (name == "Strip"):
            raise unsupported(name)
    return [STEPS[step["type"]](step) for step in steps]


def pieces_of(tokenizer):
    """{id: bytes} of every token of a Hugging Face tokenizer; TextError where there is no such
    table."""
    steps = decoder_steps(tokenizer.decoder)
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    found = {}
    for token, i in tokenizer.get_vocab(with_added_tokens=True).items():
        for step in steps:
            token = step(token) if isinstance(token, str) else token
        token = token.encode("utf-8", "replace") if isinstance(token, str) else token
        found[i] = b"" if i in special else token
    return found
