// The job file's keys in the words of vLLM, transformers, SGLang and others: nobody comes here
// without a job of his own. A key that is only spelled otherwise ("repetition_penalty" without its
// section) needs no row.
#include "jobs/spec/jobspec.h"

#define OF_A_SHARD  "for rows of prompts files that do not say; a shard says it of each request"
#define NO_PIPELINE "layers are not spread over ranks; parallel.tensor splits each layer"
#define NO_STRINGS                                                                                 \
    "stop strings belong to a request's row, where weft-text cuts; sampling.stop_token_ids takes " \
    "token ids"

const wf_option_alias wf_jobspec_aliases[] = {
    // What computes.
    {"max_model_len", "engine.max_context", NULL},
    {"max_seq_len", "engine.max_context", NULL},
    {"max_position_embeddings", "engine.max_context", NULL},
    {"context_length", "engine.max_context", NULL},
    {"gpu_memory_utilization", "engine.kv_memory", "it is KV memory alone"},
    {"mem_fraction_static", "engine.kv_memory", "it is KV memory alone"},
    {"kv_cache_memory_bytes", "engine.kv_memory", NULL},
    {"kv_cache_dtype", "model.kv_dtype", NULL},
    {"kv_format", "model.kv_dtype", NULL},
    {"max_num_seqs", "engine.max_rows", NULL},
    {"max_batch_size", "engine.max_rows", NULL},
    {"max_running_requests", "engine.max_rows", NULL},
    {"batch_size", "engine.max_rows", NULL},
    {"max_num_batched_tokens", "engine.step_tokens", NULL},
    {"chunked_prefill_size", "engine.step_tokens", NULL},
    {"enable_chunked_prefill", "engine.step_tokens", "long prompts are always cut"},
    {"block_size", "engine.page_tokens", NULL},
    {"page_size", "engine.page_tokens", NULL},
    {"enforce_eager", "engine.capture", "off launches every kernel"},
    {"disable_cuda_graph", "engine.capture", "off launches every kernel"},
    {"batch_invariant", "engine.deterministic", NULL},
    {"enable_prefix_caching", "engine.prefix_cache", NULL},
    {"disable_radix_cache", "engine.prefix_cache", "off shares nothing"},
    {"swap_space", NULL, "rows that are put back are computed again; nothing is swapped"},
    {"cpu_offload_gb", NULL, "weights stay on the device; raise parallel.tensor"},
    // The model.
    {"model_path", "model.path", NULL},
    {"pretrained_model_name_or_path", "model.path", "a folder on disk"},
    {"model_id", "model.path", "a folder on disk"},
    {"torch_dtype", "model.dtype", NULL},
    {"kv_cache_dtype", "model.kv_dtype", NULL},
    {"load_format", "model.weights", NULL},
    {"trust_remote_code", "model.trust_config", "no code of a model is ever run"},
    {"quantization", "model.weights_format", NULL},
    // Where.
    {"tensor_parallel_size", "parallel.tensor", NULL},
    {"tp_size", "parallel.tensor", NULL},
    {"expert_parallel_size", "parallel.experts", NULL},
    {"ep_size", "parallel.experts", NULL},
    {"enable_expert_parallel", "parallel.experts", "as many parts as parallel.tensor"},
    {"data_parallel_size", "parallel.replicas", NULL},
    {"dp_size", "parallel.replicas", NULL},
    {"pipeline_parallel_size", NULL, NO_PIPELINE},
    {"pp_size", NULL, NO_PIPELINE},
    {"device", "parallel.backend", NULL},
    {"num_nodes", "slurm.nodes", NULL},
    {"ntasks_per_node", "slurm.tasks_per_node", NULL},
    {"time_limit", "slurm.time", NULL},
    // Sampling.
    {"max_tokens", "text.max_new_tokens", OF_A_SHARD},
    {"max_completion_tokens", "text.max_new_tokens", OF_A_SHARD},
    {"max_length", "text.max_new_tokens", OF_A_SHARD},
    {"min_new_tokens", "sampling.min_tokens", NULL},
    {"do_sample", "sampling.temperature", "0 is greedy"},
    {"num_return_sequences", "sampling.n", NULL},
    {"num_beams", "sampling.beam_width", NULL},
    {"num_beam_groups", NULL, "beams are searched for in one group"},
    {"diversity_penalty", NULL, "beams are searched for in one group"},
    {"eos_token_id", "sampling.stop_token_ids", NULL},
    {"stop", NULL, NO_STRINGS},
    {"stop_strings", NULL, NO_STRINGS},
    {"top_logprobs", "sampling.logprobs", NULL},
    {"random_seed", "seed", NULL},
    // Requests and results.
    {"dataset", "requests", NULL},
    {"input_file", "requests", NULL},
    {"output_dir", "output.dir", NULL},
    {"output_file", "output.dir", "a folder"},
    {"request_rate", "arrivals.rate", NULL},
    {NULL, NULL, NULL},
};
