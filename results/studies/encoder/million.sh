#!/usr/bin/env bash
# A million short texts to vectors on one GPU: BERT-base and a decoder of 0.6B, with random weights.
#
#   bash results/studies/encoder/million.sh BUILD OUT [ROWS]      # 1,000,000; about 3 minutes on an H200
#
# Lengths are drawn: lognormal, median 60 tokens, sigma 0.6, at most 512; the mean is 72. OUT gets
# million.csv: texts and tokens per second of the whole job, from its start to its last vector, what its
# steps held, and what the products of that many tokens take at 700 TFLOP/s, the card's rate in bf16.
# WEFT_MILLION_WORK: where shards and vectors go (OUT/work).
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"; exit 64; }
weft=$(realpath "$1")/weft
mkdir -p "$2"
out=$(realpath "$2")
rows=${3:-1000000}
work=${WEFT_MILLION_WORK:-$out/work}
export WEFT_PROGRESS=off
mkdir -p "$work"
cd "$work"

mkdir -p bert-base decoder-0.6b
cat >bert-base/config.json <<'JSON'
{"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": 768,
 "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "max_position_embeddings": 512,
 "type_vocab_size": 2, "vocab_size": 30522, "layer_norm_eps": 1e-12, "pad_token_id": 0}
JSON
cat >decoder-0.6b/config.json <<'JSON'
{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_act": "silu", "hidden_size": 1024,
 "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
 "head_dim": 128, "max_position_embeddings": 32768, "vocab_size": 151669, "rms_norm_eps": 1e-06,
 "rope_theta": 1000000, "tie_word_embeddings": true, "attention_bias": false}
JSON

[ -e texts.h5 ] || "$weft" import constant --interval 0 -n "$rows" --input-tokens lognormal:60:0.6 --output-tokens 1 \
    --max-prompt 512 --vocab 30522 --shard-rows 100000 -o texts.h5
shards=$(printf '%s\n' "$work"/texts*.h5 | paste -sd,)

one() { # one MODEL PARAMETERS_OF_A_TOKEN POOLING
    rm -rf "$1.out"
    "$weft" run /dev/stdin --out "$1.out" <<YAML
model: {path: $1, weights: random, dtype: f16}
task: embed
requests: [$shards]
embed: {pooling: $3, normalise: true}
engine: {max_rows: 512, step_tokens: 32768}
YAML
    "$weft" report "$1.out" --json >"$1.json"
    python3 - "$1" "$2" "$out/million.csv" <<'PY'
import json, os, sys
name, parameters, to = sys.argv[1], float(sys.argv[2]), sys.argv[3]
r = json.load(open(name + ".json"))
n, tokens, s = r["completed"], r["total_input_tokens"], r["duration"]
floor = 2 * parameters * tokens / 700e12
new = not os.path.exists(to)
with open(to, "a") as f:
    if new:
        f.write("model,texts,tokens,duration_s,texts_per_s,tokens_per_s,products_at_700_tflops_s,share\n")
    f.write(f"{name},{n},{tokens},{s:.2f},{n / s:.0f},{tokens / s:.0f},{floor:.2f},{floor / s:.3f}\n")
PY
    rm -rf "$1.out"
}

rm -f "$out/million.csv"
one bert-base 84934656 mean
one decoder-0.6b 440401920 last
cat "$out/million.csv"
