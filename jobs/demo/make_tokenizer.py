#!/usr/bin/env python3
"""Writes the demo model's tokenizer.json: one token per byte, BOS before a prompt.

    make_tokenizer.py > model/tokenizer.json

Byte-level BPE without merges: bytes are shown as the characters that GPT-2 gave them.
"""

import json

import tasks


def byte_characters():
    """Printable bytes stand for themselves, the others for the characters from U+0100 on."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) if b in printable else chr(256 + others.index(b)) for b in range(256)}


def special(name, token):
    return {"id": token, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True}


def tokenizer():
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
                  "use_regex": False}
    start = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    text = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special("<bos>", tasks.BOS), special("<eos>", tasks.EOS),
                         special("<pad>", tasks.PAD)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [start, text[0]],
            "pair": [start, *text],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [tasks.BOS], "tokens": ["<bos>"]}},
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "vocab": {character: byte for byte, character in byte_characters().items()},
            "merges": [],
        },
    }


if __name__ == "__main__":
    print(json.dumps(tokenizer(), ensure_ascii=False))
