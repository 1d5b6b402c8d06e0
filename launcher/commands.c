// The table of sub-commands, in the order in which one meets them.
#include "launcher/commands.h"
#include "launcher/plan_search.h"

const wf_command wf_commands[] = {
    {.name = "run",
     .arguments = "JOB.yaml",
     .summary = "Runs a job, or goes on with one that was interrupted",
     .details =
         "Alone, under mpirun, or under srun --mpi=pmix: the same command. With parallel.layout:\n"
         "groups, or in a batch script, it starts its ranks itself, one MPI world per group, and\n"
         "starts lost groups again. Requests that an\n"
         "earlier run finished are kept and not computed again. SIGTERM, SIGINT and SIGUSR1\n"
         "drain: what is finished is sealed, and the exit code is 75. WEFT_PROGRESS=live,\n"
         "log or off chooses how progress is shown.\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_run_options,
     .run = wf_cmd_run},
    {.name = "generate",
     .arguments = "[JOB.yaml] PROMPTS...",
     .summary = "Text to text: answers the prompts of files, or one from the command line",
     .details =
         "weft generate JOB.yaml prompts.jsonl -o answers.jsonl runs the job on these prompts;\n"
         "weft generate --model DIR prompts.csv -o answers.csv needs no job file, and\n"
         "weft generate --model DIR \"a prompt\" prints its answer. It is weft run, which "
         "resumes;\n"
         "weft submit takes a job file with requests: [prompts.jsonl] and output.text to Slurm.\n"
         "Files: .jsonl (plain, chats or OpenAI batch lines), .csv, .tsv, .parquet.\n",
     .min_arguments = 1,
     .max_arguments = -1,
     .options = wf_generate_options,
     .run = wf_cmd_generate},
    {.name = "plan",
     .arguments = "JOB.yaml",
     .summary = "Shows how a job would be placed and what fits, without running it",
     .details =
         "Prints the groups, their nodes and ranks, bytes per device and the KV capacity,\n"
         "and every mistake in the job file. --ranks and --nodes ask \"what if\".\n"
         "\n"
         "--search instead asks how a model should be split over the --devices of a\n"
         "--machine, by arithmetic alone (Pope et al. 2022): JOB.yaml may then also be a\n"
         "model's folder, or palm-540b, palm-62b, palm-8b. It prints the Pareto front of\n"
         "latency and throughput, the choice, what bounds it, and the job file's lines:\n"
         "  weft plan --search models/llama-3-70b --machine h200 --devices 8 --latency 30ms\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_plan_options,
     .more_help = wf_plan_search_help,
     .run = wf_cmd_plan},
    {.name = "simulate",
     .arguments = "JOB.yaml",
     .summary = "Runs a job in simulated time, on devices that need not be here",
     .details =
         "The scheduler, the step plans, arrivals, leases and results are those of weft run; the\n"
         "device takes the time that its operations took when they were measured, and computes\n"
         "nothing. A request ends at its max_new_tokens. Results are read as a real run's, by\n"
         "report, show, diff, plots:\n"
         "  weft run job.yaml --profile -o measured               # on the device\n"
         "  weft simulate job.yaml --costs measured/profile.csv --groups 64 -o simulated\n"
         "  weft simulate job.yaml --machine h200 -s arrivals.speed=2 -o simulated2\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_simulate_options,
     .run = wf_cmd_simulate},
    {.name = "quantize",
     .arguments = "[JOB.yaml]",
     .summary = "Writes a model in fewer bytes, as Weft, vLLM and transformers load it",
     .details =
         "From the folder of a plain model (the job file's, or --model) to a folder in the form\n"
         "of compressed-tensors: numbers of 8 or 4 bits with their scales, config.json with its\n"
         "quantization_config, tokenizer and all else beside them. Embeddings, head and norms\n"
         "stay as they are:\n"
         "  weft quantize --model models/llama-3-8b --weights int8 -o models/llama-3-8b-int8\n"
         "With --calibrate SHARD (weft pack; prompts as the model meets them, their answers "
         "behind\n"
         "them) each layer gets the format that costs least within the budget: every layer is\n"
         "measured in every format by the KL divergence of the model's predictions, the sum is\n"
         "made least, and each row of a product is corrected by a scale and, where the model can\n"
         "have biases, an offset. A table tells what it cost beside one format for all, on "
         "prompts\n"
         "no format was chosen by (every second row); OUT/quantize.json keeps it:\n"
         "  weft quantize --model models/llama-3-8b --calibrate texts.h5 --budget 0.75 -o out/q\n"
         "The new folder is there when all of it is written. An interrupted start (exit code 75)\n"
         "leaves DIR.part or DIR.work, with which the same command goes on.\n",
     .min_arguments = 0,
     .max_arguments = 1,
     .options = wf_quantize_options,
     .run = wf_cmd_quantize},
    {.name = "submit",
     .arguments = "JOB.yaml",
     .summary = "Hands a job to Slurm, which drains, requeues and resumes it until it is done",
     .details =
         "Checks the job file and that its inputs are there, keeps the resolved job and its batch\n"
         "script in the output folder (submit/job.yaml, submit/job.sh), so that later edits do "
         "not\n"
         "change what waits in the queue, and prints the job's id. Shortly before the time limit\n"
         "the run drains, and the script requeues it; with --chain N, jobs of the same name "
         "follow\n"
         "each other instead, for sites without requeueing.\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_submit_options,
     .run = wf_cmd_submit},
    {.name = "study",
     .arguments = "STUDY.yaml",
     .summary = "Runs a job over a grid of settings, and tells throughput, latency and efficiency",
     .details =
         "Every combination of the grid is an ordinary run with an output folder of its own below\n"
         "DIR/points, so the same command goes on where it stopped. It ends with study.csv,\n"
         "study.h5 and study.html in DIR: throughput and efficiency against the scale, latency\n"
         "against the load.\n"
         "With --find-goodput it searches, by bisection, the highest load that meets the limits;\n"
         "with --simulate all of it is in simulated time (weft help simulate).\n"
         "Exit code 3 where runs are not complete.\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_study_options,
     .more_help = wf_study_help,
     .run = wf_cmd_study},
    {.name = "cancel",
     .arguments = "OUTPUT",
     .summary = "Stops a submitted job: what it has finished is sealed, and it is not requeued",
     .details =
         "OUTPUT is the job's output folder, or that of one task of an array (out/a3). A run\n"
         "that Slurm does not know is asked by a stop file.\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_cancel_options,
     .run = wf_cmd_cancel},
    {.name = "status",
     .arguments = "OUTPUT",
     .summary =
         "Shows where a job stands: state, progress, rate, time to go, each rank's last words",
     .details =
         "OUTPUT is a job's output folder, or that of a job array (its parts are a0, a1, ...).\n"
         "Works while the job runs and after, on any machine that sees the folder. A rank is\n"
         "alive when its heartbeat moves while we look, so it takes a few seconds.\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_status_options_table,
     .run = wf_cmd_status,
     .reads_results = true},
    {.name = "top",
     .arguments = "OUTPUT",
     .summary = "Shows a job as it runs: requests in flight, rate, queue and KV of every rank",
     .details =
         "OUTPUT as for status; the job may run elsewhere, its output folder must be seen from\n"
         "here. A bar is a request: prompt tokens computed, tokens generated, tokens to come. q "
         "or\n"
         "Ctrl-C leaves. On a pipe it prints a line at each look, until the job is over. NO_COLOR\n"
         "is heeded; where the locale is not UTF-8, bars are plain characters.\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_top_options_table,
     .run = wf_cmd_top},
    {.name = "why",
     .arguments = "OUTPUT",
     .summary = "Says why a job stopped, and what to type next",
     .details = "Names the rank, host and step where there is one to name. OUTPUT as for status.\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_why_options_table,
     .run = wf_cmd_why,
     .reads_results = true},
    {.name = "doctor",
     .arguments = "",
     .summary = "Looks at the machine as a job would find it, and says what to change",
     .details =
         "Start it as the job would be: in an allocation by srun --mpi=pmix, by mpirun, or alone.\n"
         "Ranks, hosts, devices, cores; links by MPI and NCCL; the output folder; clocks; limits;\n"
         "versions; each against an expectation whose source --json tells. Exit code 71 when\n"
         "something is bad, 0 otherwise.\n",
     .min_arguments = 0,
     .max_arguments = 0,
     .options = wf_doctor_options_table,
     .run = wf_cmd_doctor},
    {.name = "import",
     .arguments = "FORMAT LOG",
     .summary = "Turns an arrival log, or a drawn stream, into request shards, or describes it",
     .details =
         "Each row of the log becomes a request that arrives when the log says, with a prompt\n"
         "of the logged length (drawn tokens) and exactly the logged number of new tokens.\n"
         "Without FORMAT the log's first line says which it is. The name of a process or of a\n"
         "published workload (poisson, flover-w3) in place of both draws a stream. --describe\n"
         "writes nothing: it shows the rate over time, lengths, what is shared, what is wrong.\n"
         "\n"
         "weft import flover llama.ini -o job.yaml --model DIR reads a configuration of Flover\n"
         "and writes the job that it asks for, and job.h5 with its requests. Every key takes\n"
         "effect, which comments in the job file say, or is refused with what to write instead.\n",
     .min_arguments = 1,
     .max_arguments = 2,
     .options = wf_import_options_table,
     .more_help = wf_import_formats_print,
     .run = wf_cmd_import},
    {.name = "pack",
     .arguments = "LINES.jsonl",
     .summary = "Turns JSON lines of prompts, as token ids, into a request shard",
     .details =
         "A line: {\"prompt_token_ids\": [1, 15043], \"max_new_tokens\": 64, \"arrival_s\": 0.25,\n"
         "\"id\": 7, \"temperature\": 0.7, \"stop_token_ids\": [2], \"meta\": {...}}; only the "
         "first\n"
         "two are needed. Also: max_tokens, every key of sampling, logit_bias {\"id\": bias},\n"
         "allowed_token_ids, bad_words_token_ids, a list of lists of ids, and with --bytes the\n"
         "texts prompt and stop.\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_pack_options_table,
     .run = wf_cmd_pack},
    {.name = "check",
     .arguments = "OUTPUT",
     .summary = "Checks results: every input row exactly once, every value as the format promises",
     .details = "OUTPUT is a job's output folder, a job array's, a segment or a results file.\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_check_options_table,
     .run = wf_cmd_check},
    {.name = "report",
     .arguments = "OUTPUT...",
     .summary = "Prints latencies, throughput and failures of a job",
     .details =
         "OUTPUT is a job's output folder, also while the job runs, a job array's (its parts\n"
         "are counted together), or a results file. --html FILE writes all that as one page\n"
         "with pictures, which needs no network; of several OUTPUTs, side by side.\n",
     .min_arguments = 1,
     .max_arguments = -1,
     .options = wf_report_options_table,
     .run = wf_cmd_report,
     .reads_results = true},
    {.name = "diff",
     .arguments = "A B",
     .summary = "Says which rows of two results differ, where their tokens part, and the latencies",
     .details =
         "A and B are output folders, job arrays or results files; rows are matched by the "
         "content\n"
         "of their shard and their number in it. A row differs by its tokens, by having failed, "
         "or\n"
         "by why it ended; times are compared and never make a difference. Where "
         "log-probabilities\n"
         "were kept (sampling.logprobs), a token is shown with its own, and with how many nat it\n"
         "was ahead of the other side's token. As diff(1): exit code 0 when all is equal, 1 when\n"
         "something differs, others when it could not be told.\n",
     .min_arguments = 2,
     .max_arguments = 2,
     .options = wf_diff_options_table,
     .run = wf_cmd_diff,
     .reads_results = true},
    {.name = "export",
     .arguments = "OUTPUT",
     .summary = "Writes results as JSON lines, CSV, Parquet, OpenAI lines, or a timeline",
     .details =
         "OUTPUT is a job's output folder, also while the job runs, a job array's, or a results\n"
         "file. jsonl, csv and parquet: every column of every row, in the order of the input;\n"
         "openai: OpenAI batch results; vllm: the result file of vLLM's serving benchmark;\n"
         "perfetto: steps, requests, queue and KV for ui.perfetto.dev or chrome://tracing. FILE "
         "is\n"
         "there when all of it was written: killed, the same command starts anew. With --resume\n"
         "rows of jsonl and csv stand in FILE as they come, and the same command goes on with it.\n"
         "Parquet and OpenAI lines are written by weft-text (io/python/README.md).\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_export_options_table,
     .run = wf_cmd_export,
     .reads_results = true},
    {.name = "show",
     .arguments = "OUTPUT",
     .summary = "Shows single requests: times, end and tokens",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_show_options_table,
     .run = wf_cmd_show,
     .reads_results = true},
    {.name = "merge",
     .arguments = "OUTPUT...",
     .summary = "Joins sealed segments into one results.h5, in the order of the requests",
     .details =
         "Of a job array's folder, the parts a0, a1 ... are joined into its results.h5. With\n"
         "--output, joins several folders or results files into one file.\n",
     .min_arguments = 1,
     .max_arguments = -1,
     .options = wf_merge_options_table,
     .run = wf_cmd_merge,
     .reads_results = true},
    {.name = "help",
     .arguments = "[COMMAND | keys [WORD] | exit-codes | figures | man [PAGE] | completion SHELL]",
     .summary = "Explains a command, the keys of the job file, or the exit codes",
     .details =
         "weft help keys slurm shows the keys that have the word in their name.\n"
         "weft help man run | man -l - shows a page that was not installed; there is one of\n"
         "each command and of the job file (man job). source <(weft help completion bash)\n"
         "completes commands, options and keys; zsh and fish alike.\n",
     .min_arguments = 0,
     .max_arguments = 2,
     .options = wf_help_options,
     .run = wf_cmd_help},
    {.name = NULL},
};
