// weft import, pack: request shards from arrival logs and from JSON lines.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/model_arch.h"
#include "io/base/clock.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "jobs/streams/import.h"
#include "jobs/streams/pack.h"
#include "launcher/commands.h"
#include "launcher/companion.h"

enum { DEFAULT_VOCABULARY = 256 };

#define TEXT_OPTIONS " output model rows max-new skip-bad replace "

static wf_status text_import(const wf_cli *cli);

const wf_cli_option wf_import_options_table[] = {
    {"output", 'o', "FILE", "shard to write; needed, but for --describe"},
    {"describe", 'd', NULL, "says what the log is like, and writes nothing"},
    {"json", 0, NULL, "with --describe: as one JSON object"},
    {"model", 'm', "DIR", "draws tokens below this model's vocabulary"},
    {"vocab", 'v', "N", "draws tokens below N (256)"},
    {"seed", 's', "N", "seed of the drawn tokens and of the jitter (0)"},
    {"first", 0, "N", "skips the first N rows of the log"},
    {"rows", 'n', "N", "takes N rows (all)"},
    {"from", 0, "TIME", "takes what arrives from TIME of the log on, which starts at 0 (10m)"},
    {"until", 0, "TIME", "takes what arrives before TIME of the log"},
    {"shard-rows", 0, "N", "starts a new shard, FILE-00001 ..., every N rows"},
    {"jitter", 'j', "TIME",
     "moves each arrival later by a random time below TIME, for coarse clocks"},
    {"rate", 0, "N", "drawn: requests per second on average"},
    {"interval", 0, "TIME", "drawn: the same, as the mean gap; 0: all at once"},
    {"shape", 0, "N", "drawn, gamma and weibull: 1 is poisson, below is burstier"},
    {"period", 0, "TIME", "drawn, diurnal: time of one up and down (24h)"},
    {"depth", 0, "N", "drawn, diurnal: how much the rate swings, up to 1 (0.5)"},
    {"batch", 0, "N", "drawn: requests that arrive together (1)"},
    {"input-tokens", 0, "LAW", "drawn: 512, uniform:128:512 or lognormal:MEDIAN:SIGMA"},
    {"output-tokens", 0, "LAW", "drawn: the same for the tokens to generate"},
    {"lengths", 0, "FILE", "servegen: the histograms of its windows, if not beside them"},
    {"map", 0, "COLUMN=MEANING", "what a column means, in place of the format's; repeatable"},
    {"skip-bad", 0, NULL, "leaves out rows that cannot be read, and says which and why"},
    {"drop-zeros", 0, NULL, "leaves out rows with a length of 0, which is otherwise raised to 1"},
    {"max-prompt", 0, "N", "cuts longer prompts to N tokens"},
    {"max-new", 0, "N", "cuts longer outputs to N tokens"},
    {"replace", 'f', NULL, "replaces an existing shard"},
    {NULL, 0, NULL, NULL},
};

const wf_cli_option wf_pack_options_table[] = {
    {"output", 'o', "FILE", "shard to write; needed"},
    {"model", 'm', "DIR", "checks tokens against this model's vocabulary"},
    {"vocab", 'v', "N", "checks tokens against N (the greatest token there is + 1)"},
    {"bytes", 'b', NULL, "takes \"prompt\" too: its UTF-8 bytes are its tokens"},
    {"bos", 0, "TOKEN", "with --bytes: a token before each prompt"},
    {"max-new", 0, "N", "most tokens to generate where a line does not say"},
    {"replace", 'f', NULL, "replaces an existing shard"},
    {NULL, 0, NULL, NULL},
};

// What is no log of arrivals: texts, which the companion reads by the model's tokenizer, and
// configurations. `options` are those that go with it.
static const struct other {
    const char *name, *help, *options;
    wf_status (*import)(const wf_cli *cli);
} others[] = {
    {"sharegpt", "ShareGPT: JSON of conversations; the first question, as long an answer (text)",
     TEXT_OPTIONS, text_import},
    {"openai", "OpenAI batch lines (text)", TEXT_OPTIONS, text_import},
    {"flover", "Flover's FILE.ini: writes its job, -o JOB.yaml, and JOB.h5 with its requests",
     " output model seed replace ", wf_flover_import},
};

enum { N_OTHERS = sizeof others / sizeof others[0] };

void wf_import_formats_print(FILE *file)
{
    fputs("\nformats:\n", file);
    fprintf(file, "  %-25s %s\n", "auto", "whichever of these the log's first line is of");
    for (size_t i = 0; i < wf_import_n_formats(); i++)
        fprintf(file, "  %-25s %s\n", wf_import_format_name(i), wf_import_format_help(i));
    for (size_t i = 0; i < N_OTHERS; i++)
        fprintf(file, "  %-25s %s\n", others[i].name, others[i].help);
    fputs("\nstreams that are drawn, in place of a log:\n", file);
    for (size_t i = 0; i < wf_synth_n_names(); i++)
        fprintf(file, "  %-25s %s\n", wf_synth_name(i), wf_synth_help(i));
    fputs("\nmeanings of columns (--map COLUMN=MEANING):\n"
          "  arrival_s, arrival_ms, arrival_us, arrival_ns, arrival_time (a date and time)\n"
          "  input_tokens, output_tokens, meta (kept in the request's note)\n"
          "  blocks_N: list of ids of prompt blocks of N tokens; the same id is the same tokens\n"
          "  session (a name or number); or chat and parent_chat, the chat that it goes on from\n"
          "  think_s, think_ms: from the end of the turn before; or busy_s, busy_ms: what a turn\n"
          "  took, of which the next one's think time follows\n",
          file);
}

// --vocab, or the vocabulary of --model, or `otherwise`.
static wf_status vocabulary_read(const wf_cli *cli, long long otherwise, int64_t *out)
{
    const char *path = wf_cli_value(cli, "model");
    wf_hf_folder *folder = NULL;
    wf_arch arch;
    long long vocab;
    WF_TRY(wf_cli_i64(cli, "vocab", 1, INT32_MAX, otherwise, &vocab));
    *out = vocab;
    if (!path) return WF_OK;
    if (wf_cli_has(cli, "vocab")) return wf_cli_fail(cli, "--model and --vocab: one of them");
    WF_TRY(wf_hf_folder_open(path, false, &folder));
    wf_status st = wf_arch_read(folder, true, &arch);
    if (st == WF_OK) *out = arch.n_vocab;
    wf_hf_folder_close(&folder);
    return st;
}

static wf_status output_read(const wf_cli *cli, const char **out)
{
    *out = wf_cli_value(cli, "output");
    return *out ? WF_OK : wf_cli_fail(cli, "where to? give --output FILE");
}

static wf_status number_read(const wf_cli *cli, const char *option, long long max, uint64_t *out)
{
    long long value;
    WF_TRY(wf_cli_i64(cli, option, 0, max, 0, &value));
    *out = (uint64_t)value;
    return WF_OK;
}

static wf_status bound_read(const wf_cli *cli, const char *option, uint32_t *out)
{
    uint64_t value = 0;
    WF_TRY(number_read(cli, option, INT32_MAX, &value));
    *out = (uint32_t)value;
    return WF_OK;
}

// ---- import -------------------------------------------------------------------------------------

static wf_status positive_read(const wf_cli *cli, const char *option, double most, double *out)
{
    const char *text = wf_cli_value(cli, option);
    if (text && wf_parse_f64(text, 1e-6, most, out) != WF_OK)
        return wf_cli_fail(cli, "--%s: %s", option, wf_error());
    return WF_OK;
}

// 0 when it was not given.
static wf_status time_read(const wf_cli *cli, const char *option, int64_t *out_ns)
{
    const char *text = wf_cli_value(cli, option);
    *out_ns = 0;
    if (text && wf_parse_duration(text, out_ns) != WF_OK)
        return wf_cli_fail(cli, "--%s: %s", option, wf_error());
    return WF_OK;
}

static wf_status synth_options_read(const wf_cli *cli, wf_synth_options *o)
{
    double rate = 0;
    int64_t interval_ns, period_ns;
    WF_TRY(positive_read(cli, "rate", 1e9, &rate));
    WF_TRY(time_read(cli, "interval", &interval_ns));
    WF_TRY(time_read(cli, "period", &period_ns));
    o->interval_s = (double)interval_ns / (double)WF_NS_PER_S;
    o->period_s = (double)period_ns / (double)WF_NS_PER_S;
    o->has_interval = wf_cli_has(cli, "interval") || rate > 0;
    if (rate > 0 && wf_cli_has(cli, "interval"))
        return wf_cli_fail(cli, "--rate and --interval: one of them");
    if (rate > 0) o->interval_s = 1 / rate;
    WF_TRY(positive_read(cli, "shape", 1000, &o->shape));
    WF_TRY(positive_read(cli, "depth", 1, &o->depth));
    WF_TRY(bound_read(cli, "batch", &o->batch));
    o->input_tokens = wf_cli_value(cli, "input-tokens");
    o->output_tokens = wf_cli_value(cli, "output-tokens");
    return WF_OK;
}

static const struct other *other_find(const char *name)
{
    for (size_t i = 0; i < N_OTHERS; i++)
        if (strcmp(others[i].name, name) == 0) return &others[i];
    return NULL;
}

// They have no times and lengths that could be cut: what there is to say of them, and no more.
static wf_status other_import(const wf_cli *cli, const struct other *what)
{
    for (const wf_cli_option *o = wf_import_options_table; o->name; o++) {
        char word[64];
        snprintf(word, sizeof word, " %s ", o->name);
        if (wf_cli_has(cli, o->name) && !strstr(what->options, word))
            return wf_cli_fail(cli, "--%s does not go with %s", o->name, what->name);
    }
    return what->import(cli);
}

static wf_status text_import(const wf_cli *cli)
{
    const char *name = wf_cli_argument(cli, 0), *output;
    const char *rows = wf_cli_value(cli, "rows"), *most = wf_cli_value(cli, "max-new");
    WF_TRY(output_read(cli, &output));
    if (!wf_cli_value(cli, "model"))
        return wf_cli_fail(cli, "%s is text: --model DIR, whose tokenizer it is encoded with",
                           name);
    const char *model = wf_cli_value(cli, "model");
    const char *words[20] = {
        "encode", wf_cli_argument(cli, 1), "-o", output, "--tokenizer", model, "--format", name};
    size_t n = 8;
    const struct {
        const char *option, *value; // value NULL: not given
    } pairs[] = {{"--rows", rows},
                 {strcmp(name, "sharegpt") == 0 ? "--most-new" : "--max-new-tokens", most}};
    for (size_t i = 0; i < 2; i++) {
        if (!pairs[i].value) continue;
        words[n++] = pairs[i].option;
        words[n++] = pairs[i].value;
    }
    if (wf_cli_has(cli, "skip-bad")) words[n++] = "--skip-bad";
    if (wf_cli_has(cli, "replace")) words[n++] = "--replace";
    return wf_companion_run(words, NULL);
}

// "azure LOG", "LOG" or "poisson".
static wf_status stream_read(const wf_cli *cli, wf_import_options *o)
{
    const char *first = wf_cli_argument(cli, 0), *second = wf_cli_argument(cli, 1);
    o->format = second ? first : wf_synth_is(first) ? first : "auto";
    o->input = second ? second : wf_synth_is(first) ? NULL : first;
    if (second && wf_synth_is(first))
        return wf_cli_fail(cli, "%s is drawn: it takes no log", first);
    return synth_options_read(cli, &o->synth);
}

static wf_status import_options_read(const wf_cli *cli, wf_import_options *o)
{
    if (!wf_cli_has(cli, "describe")) WF_TRY(output_read(cli, &o->output));
    WF_TRY(vocabulary_read(cli, DEFAULT_VOCABULARY, &o->vocab));
    WF_TRY(number_read(cli, "seed", UINT32_MAX, &o->seed));
    WF_TRY(number_read(cli, "first", INT64_MAX, &o->first_row));
    WF_TRY(number_read(cli, "rows", INT64_MAX, &o->n_rows));
    WF_TRY(number_read(cli, "shard-rows", INT64_MAX, &o->rows_per_shard));
    WF_TRY(bound_read(cli, "max-prompt", &o->max_prompt));
    WF_TRY(bound_read(cli, "max-new", &o->max_new));
    WF_TRY(time_read(cli, "from", &o->from_ns));
    WF_TRY(time_read(cli, "until", &o->until_ns));
    return time_read(cli, "jitter", &o->jitter_ns);
}

static void count_print(const char *what, uint64_t n)
{
    if (n > 0) printf("  %" PRIu64 " %s\n", n, what);
}

void wf_import_counts_print(const wf_import_report *r)
{
    for (int i = 0; i < WF_IMPORT_N_COUNTS; i++) {
        if (r->count[i].n == 0) continue;
        printf("  %" PRIu64 " %s (first: line %" PRIu64 ")\n", r->count[i].n,
               wf_import_count_words((wf_import_what)i), r->count[i].first_line);
        if (i != WF_IMPORT_bad) continue;
        for (int k = 0; k < WF_IMPORT_MAX_REASONS && r->reason[k][0] != '\0'; k++)
            printf("    %s\n", r->reason[k]);
    }
    count_print("rows of the log not taken", r->n_lines_skipped);
    if (wf_import_rate_is_odd(r)) {
        printf("  note: %.3g requests per second; if the log's times have another unit, say it: "
               "--map COLUMN=arrival_ms\n",
               (double)r->n_rows * (double)WF_NS_PER_S / (double)r->span_ns);
    }
}

// Digits behind the point: what is below a second is not rounded away.
static int span_places(int64_t span_ns)
{
    return span_ns > 0 && span_ns < WF_NS_PER_S ? 2 : 1;
}

static void import_report_print(const wf_import_options *o, const wf_import_report *r)
{
    printf("%s: %" PRIu64 " request%s over %.*f s in %" PRIu64 " shard%s, %" PRIu64
           " prompt token%s, %" PRIu64 " to generate\n",
           o->output, r->n_rows, WF_S(r->n_rows), span_places(r->span_ns),
           (double)r->span_ns / (double)WF_NS_PER_S, r->n_shards, WF_S(r->n_shards),
           r->n_prompt_tokens, WF_S(r->n_prompt_tokens), r->n_new_tokens);
    wf_import_counts_print(r);
}

wf_status wf_cmd_import(const wf_cli *cli)
{
    char line[1024];
    wf_import_options options = {.skip_bad = wf_cli_has(cli, "skip-bad"),
                                 .drop_zeros = wf_cli_has(cli, "drop-zeros"),
                                 .replace = wf_cli_has(cli, "replace"),
                                 .generator = wf_cli_line(cli, line, sizeof line)};
    const struct other *other =
        wf_cli_n_arguments(cli) > 1 ? other_find(wf_cli_argument(cli, 0)) : NULL;
    if (other) return other_import(cli, other);
    options.lengths = wf_cli_value(cli, "lengths");
    options.maps = wf_cli_values(cli, "map", &options.n_maps);
    wf_import_report report = {0};
    WF_TRY(stream_read(cli, &options));
    WF_TRY(import_options_read(cli, &options));
    if (wf_cli_has(cli, "describe")) return wf_describe_print(&options, wf_cli_has(cli, "json"));
    if (wf_cli_has(cli, "json")) return wf_cli_fail(cli, "--json goes with --describe");
    WF_TRY(wf_import_run(&options, &report));
    import_report_print(&options, &report);
    return WF_OK;
}

// ---- pack ---------------------------------------------------------------------------------------

static wf_status pack_options_read(const wf_cli *cli, wf_pack_options *o)
{
    long long bos;
    WF_TRY(output_read(cli, &o->output));
    WF_TRY(vocabulary_read(cli, 0, &o->vocab));
    WF_TRY(wf_cli_i64(cli, "bos", 0, INT32_MAX, -1, &bos));
    WF_TRY(bound_read(cli, "max-new", &o->max_new_tokens));
    o->bos = bos;
    if (bos >= 0 && !o->bytes) return wf_cli_fail(cli, "--bos goes with --bytes");
    return WF_OK;
}

wf_status wf_cmd_pack(const wf_cli *cli)
{
    char line[1024];
    wf_pack_options options = {.input = wf_cli_argument(cli, 0),
                               .bytes = wf_cli_has(cli, "bytes"),
                               .replace = wf_cli_has(cli, "replace"),
                               .generator = wf_cli_line(cli, line, sizeof line)};
    wf_pack_report r = {0};
    WF_TRY(pack_options_read(cli, &options));
    WF_TRY(wf_pack_run(&options, &r));
    printf("%s: %" PRIu64 " request%s over %.*f s, %" PRIu64 " prompt token%s below %" PRId64 "\n",
           options.output, r.n_rows, WF_S(r.n_rows), span_places(r.span_ns),
           (double)r.span_ns / (double)WF_NS_PER_S, r.n_prompt_tokens, WF_S(r.n_prompt_tokens),
           r.vocab);
    count_print("rows came before an earlier one: sorted", r.n_out_of_order);
    return WF_OK;
}
