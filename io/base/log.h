// The log: one line per event on standard error, with the time, the rank and a level.
//
//   12:03:44 r2 warn  shard 7 is damaged (reader died: SIGSEGV); 512 rows failed
//
// The sink is the program's only mutable global. Nothing is written before the line's level passes
// the threshold; lines are written with one write() each, so ranks do not tear each other's lines.
#ifndef WF_IO_BASE_LOG_H
#define WF_IO_BASE_LOG_H

typedef enum wf_log_level {
    WF_LOG_DEBUG,
    WF_LOG_DETAIL, // what a job stands on: shown by --verbose and in batch jobs
    WF_LOG_INFO,
    WF_LOG_WARN,
    WF_LOG_ERROR
} wf_log_level;

// Sets the threshold (default WF_LOG_INFO; environment WEFT_LOG=debug|detail|info|warn|error when
// the program starts) and the rank shown (-1: none). Local; call before threads start.
void wf_log_set_level(wf_log_level level);
void wf_log_set_default(wf_log_level level); // unless WEFT_LOG says another
void wf_log_set_rank(int rank);
int wf_log_rank(void); // -1: none

// The threshold in force, for callers that would work only to log. Local.
wf_log_level wf_log_threshold(void);

// Writes one line. A live progress line on the terminal, if any, is cleared first and drawn again
// by its owner. Thread-safe. Local.
void wf_log(wf_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define wf_debug(...)     wf_log(WF_LOG_DEBUG, __VA_ARGS__)
#define wf_detail(...)    wf_log(WF_LOG_DETAIL, __VA_ARGS__)
#define wf_info(...)      wf_log(WF_LOG_INFO, __VA_ARGS__)
#define wf_warn(...)      wf_log(WF_LOG_WARN, __VA_ARGS__)
#define wf_say_error(...) wf_log(WF_LOG_ERROR, __VA_ARGS__)

#endif
