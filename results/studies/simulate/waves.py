#!/usr/bin/env python3
"""A log from which a device's costs are fitted: every number of rows, every length of prompts.

usage: results/studies/simulate/waves.py > waves.csv      (Vidur's columns)

Waves of 1 to 256 requests that arrive together and decode side by side, then mixed lengths all at
once. `weft run --profile` of this stream writes a profile.csv that `weft simulate --costs` reads.
"""
import random

print("arrived_at,num_prefill_tokens,num_decode_tokens")
at = 0.0
for rows in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256):
    for prompt in (96, 700):
        for _ in range(rows):
            print(f"{at:.3f},{prompt},24")
        at += 0.45 + 0.00006 * rows * prompt + 0.002 * rows
rng = random.Random(1)
for _ in range(300):
    prompt = min(4000, int(rng.lognormvariate(5.7, 0.9)) + 1)
    print(f"{at:.3f},{prompt},{min(400, int(rng.lognormvariate(4.2, 0.8)) + 1)}")
