// The sub-commands' handlers and their option rows, gathered in the table of commands.c.
#ifndef WF_LAUNCHER_COMMANDS_H
#define WF_LAUNCHER_COMMANDS_H

#include "jobs/streams/import.h"
#include "launcher/cli.h"

extern const wf_cli_option wf_run_options[];
extern const wf_cli_option wf_import_options_table[];
extern const wf_cli_option wf_pack_options_table[];
extern const wf_cli_option wf_generate_options[];
extern const wf_cli_option wf_plan_options[];
extern const wf_cli_option wf_simulate_options[];
extern const wf_cli_option wf_quantize_options[];
extern const wf_cli_option wf_status_options_table[];
extern const wf_cli_option wf_top_options_table[];
extern const wf_cli_option wf_why_options_table[];
extern const wf_cli_option wf_doctor_options_table[];
extern const wf_cli_option wf_check_options_table[];
extern const wf_cli_option wf_report_options_table[];
extern const wf_cli_option wf_diff_options_table[];
extern const wf_cli_option wf_export_options_table[];
extern const wf_cli_option wf_show_options_table[];
extern const wf_cli_option wf_merge_options_table[];
extern const wf_cli_option wf_study_options[];
extern const wf_cli_option wf_submit_options[];
extern const wf_cli_option wf_cancel_options[];
extern const wf_cli_option wf_help_options[];

wf_status wf_cmd_run(const wf_cli *cli);
wf_status wf_cmd_import(const wf_cli *cli);
void wf_import_formats_print(FILE *file);
void wf_import_counts_print(const wf_import_report *report);
wf_status wf_flover_import(const wf_cli *cli);                               // cmd_flover.c
wf_status wf_describe_print(const wf_import_options *options, bool as_json); // cmd_describe.c
wf_status wf_cmd_pack(const wf_cli *cli);
wf_status wf_cmd_generate(const wf_cli *cli);
wf_status wf_cmd_plan(const wf_cli *cli);
wf_status wf_cmd_simulate(const wf_cli *cli);
wf_status wf_cmd_quantize(const wf_cli *cli);
wf_status wf_cmd_status(const wf_cli *cli);
wf_status wf_cmd_top(const wf_cli *cli);
wf_status wf_cmd_why(const wf_cli *cli);
wf_status wf_cmd_doctor(const wf_cli *cli);
wf_status wf_cmd_check(const wf_cli *cli);
wf_status wf_cmd_report(const wf_cli *cli);
wf_status wf_cmd_diff(const wf_cli *cli);
wf_status wf_cmd_export(const wf_cli *cli);
wf_status wf_cmd_show(const wf_cli *cli);
wf_status wf_cmd_merge(const wf_cli *cli);
wf_status wf_cmd_study(const wf_cli *cli);
void wf_study_help(FILE *file);
wf_status wf_cmd_submit(const wf_cli *cli);
wf_status wf_cmd_cancel(const wf_cli *cli);
wf_status wf_cmd_help(const wf_cli *cli);
const char *wf_help_topic(size_t i); // "keys" ...: what help explains besides commands; NULL: none

#endif
