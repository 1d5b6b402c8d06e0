// What the job file's keys may say: the words of its table. Private to jobspec_table.c.
#ifndef WF_JOBS_SPEC_JOBSPEC_WORDS_H
#define WF_JOBS_SPEC_JOBSPEC_WORDS_H

#include "engine/encode_read.h"
#include "engine/model.h"
#include "jobs/spec/jobspec.h"

#define FORMAT_WORDS(name, words, long_words, ...) {words, WF_##name}, {long_words, WF_##name},
static const wf_option_word dtype_words[] = {{"auto", WF_MODEL_DTYPE_AUTO},
                                             WF_PLAIN_FORMATS(FORMAT_WORDS){"half", WF_F16},
                                             {"float", WF_F32},
                                             {NULL, 0}};
static const wf_option_word kv_words[] = {{"auto", WF_MODEL_DTYPE_AUTO},
                                          WF_PLAIN_FORMATS(FORMAT_WORDS){"half", WF_F16},
                                          {"float", WF_F32},
                                          {"fp8", WF_FP8},
                                          {"fp8_e4m3", WF_FP8},
                                          {"int8", WF_INT8},
                                          {NULL, 0}};
// Any plain format stands for model.dtype's.
#define FORMAT_WORD(name, words, ...) {words, WF_##name},
static const wf_option_word weights_format_words[] = {
    {"auto", WF_MODEL_DTYPE_AUTO}, {"plain", WF_F32}, WF_SCALED_FORMATS(FORMAT_WORD){NULL, 0}};
static const wf_option_word activations_words[] = {
    {"auto", WF_MODEL_DTYPE_AUTO}, {"plain", WF_F32}, {"fp8", WF_FP8}, {NULL, 0}};
static const wf_option_word weights_words[] = {
    {"file", WF_SPEC_WEIGHTS_FILE}, {"random", WF_SPEC_WEIGHTS_RANDOM}, {NULL, 0}};
static const wf_option_word generation_words[] = {
    {"auto", WF_SPEC_GENERATION_AUTO}, {"none", WF_SPEC_GENERATION_NONE}, {NULL, 0}};
static const wf_option_word arrivals_words[] = {{"offline", WF_SPEC_OFFLINE},
                                                {"replay", WF_SPEC_REPLAY},
                                                {"constant", WF_SPEC_CONSTANT},
                                                {"poisson", WF_SPEC_POISSON},
                                                {"gamma", WF_SPEC_GAMMA},
                                                {"sessions", WF_SPEC_SESSIONS},
                                                {NULL, 0}};
static const wf_option_word process_words[] = {
    {"replay", WF_SPEC_REPLAY},   {"offline", WF_SPEC_OFFLINE}, {"constant", WF_SPEC_CONSTANT},
    {"poisson", WF_SPEC_POISSON}, {"gamma", WF_SPEC_GAMMA},     {NULL, 0}};
static const wf_option_word think_words[] = {{"log", WF_SPEC_THINK_LOG},
                                             {"fixed", WF_SPEC_THINK_FIXED},
                                             {"exponential", WF_SPEC_THINK_EXPONENTIAL},
                                             {NULL, 0}};
static const wf_option_word split_words[] = {{"round_robin", WF_SPEC_SPLIT_ROUND_ROBIN},
                                             {"key", WF_SPEC_SPLIT_KEY},
                                             {"least_tokens", WF_SPEC_SPLIT_LEAST_TOKENS},
                                             {NULL, 0}};
static const wf_option_word backend_words[] = {{"auto", WF_SPEC_BACKEND_AUTO},
                                               {"ref", WF_SPEC_BACKEND_REF},
                                               {"cpu", WF_SPEC_BACKEND_CPU},
                                               {"cuda", WF_SPEC_BACKEND_CUDA},
                                               {NULL, 0}};
static const wf_option_word layout_words[] = {{"auto", WF_SPEC_LAYOUT_AUTO},
                                              {"world", WF_SPEC_LAYOUT_WORLD},
                                              {"groups", WF_SPEC_LAYOUT_GROUPS},
                                              {NULL, 0}};
static const wf_option_word reorder_words[] = {
    {"index", WF_REORDER_INDEX}, {"copy", WF_REORDER_COPY}, {"off", WF_REORDER_OFF}, {NULL, 0}};
static const wf_option_word fusion_words[] = {{"temporal", WF_FUSION_TEMPORAL},
                                              {"window", WF_FUSION_WINDOW},
                                              {"instances", WF_FUSION_INSTANCES},
                                              {"static", WF_FUSION_STATIC},
                                              {NULL, 0}};
static const wf_option_word prefix_words[] = {
    {"auto", WF_PREFIX_AUTO}, {"on", WF_PREFIX_ON}, {"off", WF_PREFIX_OFF}, {NULL, 0}};
static const wf_option_word order_words[] = {
    {"arrival", WF_SPEC_ORDER_ARRIVAL}, {"prefix", WF_SPEC_ORDER_PREFIX}, {NULL, 0}};
static const wf_option_word nvls_words[] = {
    {"off", WF_SPEC_NVLS_OFF}, {"auto", WF_SPEC_NVLS_AUTO}, {NULL, 0}};
static const wf_option_word capture_words[] = {
    {"auto", WF_CAPTURE_AUTO}, {"off", WF_CAPTURE_OFF}, {NULL, 0}};
static const wf_option_word all_reduce_words[] = {
    {"auto", WF_COMM_SUMS_AUTO}, {"nccl", WF_COMM_SUMS_NCCL}, {"own", WF_COMM_SUMS_OWN}, {NULL, 0}};
static const wf_option_word task_words[] = {{"generate", WF_TASK_GENERATE},
                                            {"embed", WF_TASK_EMBED},
                                            {"classify", WF_TASK_CLASSIFY},
                                            {"score", WF_TASK_SCORE},
                                            {"rerank", WF_TASK_RERANK},
                                            {"fill-mask", WF_TASK_FILL_MASK},
                                            {NULL, 0}};
static const wf_option_word activation_words[] = {{"auto", WF_ENCODE_AUTO},
                                                  {"softmax", WF_LABELS_SOFTMAX},
                                                  {"sigmoid", WF_LABELS_SIGMOID},
                                                  {"none", WF_LABELS_NONE},
                                                  {NULL, 0}};
static const wf_option_word pooling_words[] = {{"auto", WF_ENCODE_AUTO}, {"cls", WF_POOL_FIRST},
                                               {"mean", WF_POOL_MEAN},   {"max", WF_POOL_MAX},
                                               {"last", WF_POOL_LAST},   {NULL, 0}};
static const wf_option_word normalise_words[] = {
    {"auto", WF_ENCODE_AUTO}, {"true", 1}, {"false", 0}, {NULL, 0}};
static const wf_option_word truncate_words[] = {{"true", 1}, {"false", 0}, {NULL, 0}};
static const wf_option_word auto_words[] = {{"auto", 0}, {NULL, 0}};
static const wf_option_word none_words[] = {{"none", 0}, {NULL, 0}};
static const wf_option_word unlimited_words[] = {{"none", -1}, {NULL, 0}};
static const wf_option_word logprobs_words[] = {
    {"raw", WF_SPEC_LOGPROBS_RAW}, {"processed", WF_SPEC_LOGPROBS_PROCESSED}, {NULL, 0}};
static const wf_option_word seed_words[] = {{"job", -1}, {NULL, 0}};

#endif
