// weft top: a job as it runs, on the whole screen, or as lines on a pipe. Reads what the ranks
// leave in the output folder, as weft status does, on any machine that sees it.
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/parse.h"
#include "launcher/commands.h"
#include "launcher/folders.h"
#include "launcher/watch/queue_look.h"
#include "launcher/watch/top_screen.h"

#define INTERVAL_NS  WF_NS_PER_S
#define INTERVAL_MIN (WF_NS_PER_S / 10)

// Another screen and back, so that what stood on the terminal stands there again.
#define SCREEN_ENTER "\x1b[?1049h\x1b[?25l\x1b[2J"
#define SCREEN_LEAVE "\x1b[?25h\x1b[?1049l"

enum { LOOKS_PER_ASK = 16 }; // of the queue: a controller serves everybody

const wf_cli_option wf_top_options_table[] = {
    {"interval", 'i', "TIME", "between two looks (1s); ranks speak every two seconds"},
    {NULL, 0, NULL, NULL},
};

typedef struct top {
    const char *place;
    wf_folders folders;
    wf_watch **watch;     // [folders.n]
    wf_queue_look *queue; // [folders.n]
    wf_top_part *parts;   // [folders.n]
    wf_top_history history;
    int64_t interval_ns;
    bool colour, unicode;
} top;

// ---- looking ------------------------------------------------------------------------------------

static void ask_queue(top *t)
{
    for (size_t i = 0; i < t->folders.n; i++)
        wf_queue_look_take(wf_watch_get(t->watch[i]), &t->queue[i]);
}

static void parts_take(top *t)
{
    for (size_t i = 0; i < t->folders.n; i++) {
        const wf_watch_view *view = wf_watch_get(t->watch[i]);
        t->parts[i] = (wf_top_part){
            .name = t->folders.path[i], .view = view, .stand = wf_stand_of(view, t->queue[i].word)};
    }
    wf_top_remember(t->parts, t->folders.n, &t->history);
}

static wf_status top_open(top *t)
{
    WF_TRY(wf_folders_find(t->place, &t->folders));
    WF_TRY(wf_alloc(t->folders.n, sizeof(wf_watch *), &t->watch));
    WF_TRY(wf_alloc(t->folders.n, sizeof *t->queue, &t->queue));
    WF_TRY(wf_alloc(t->folders.n, sizeof *t->parts, &t->parts));
    for (size_t i = 0; i < t->folders.n; i++)
        WF_TRY(wf_watch_open(t->folders.path[i], &t->watch[i]));
    ask_queue(t);
    if (!t->folders.is_array) WF_TRY(wf_queue_look_check(wf_watch_get(t->watch[0]), &t->queue[0]));
    parts_take(t);
    return WF_OK;
}

static void top_close(top *t)
{
    for (size_t i = 0; t->watch && i < t->folders.n; i++)
        wf_watch_close(&t->watch[i]);
    free(t->watch);
    free(t->queue);
    free(t->parts);
    wf_folders_free(&t->folders);
}

static wf_status look_again(top *t, int i_look)
{
    for (size_t i = 0; i < t->folders.n; i++)
        WF_TRY(wf_watch_look(t->watch[i]));
    if (i_look % LOOKS_PER_ASK == 0) ask_queue(t);
    parts_take(t);
    return WF_OK;
}

static bool is_over(const top *t)
{
    for (size_t i = 0; i < t->folders.n; i++) {
        wf_stand stand = t->parts[i].stand;
        if (stand != WF_STAND_FINISHED && stand != WF_STAND_FAILED && stand != WF_STAND_DRAINED &&
            stand != WF_STAND_ABSENT)
            return false;
    }
    return true;
}

// ---- a pipe -------------------------------------------------------------------------------------

static wf_status lines_print(const top *t)
{
    for (size_t i = 0; i < t->folders.n; i++) {
        wf_text line = {0};
        char *text = NULL;
        wf_top_line(&t->parts[i], &line);
        WF_TRY(wf_text_take(&line, &text));
        puts(text);
        free(text);
    }
    if (fflush(stdout) != 0) return wf_fail_errno(WF_IO, "the lines cannot be written");
    return WF_OK;
}

static wf_status lines_run(top *t)
{
    for (int i = 1;; i++) {
        WF_TRY(lines_print(t));
        if (is_over(t)) return WF_OK;
        wf_clock_sleep_until(wf_clock_ns() + t->interval_ns);
        WF_TRY(look_again(t, i));
    }
}

// ---- a terminal ---------------------------------------------------------------------------------

static volatile sig_atomic_t asked; // the last signal that came

static void take_signal(int number)
{
    asked = number;
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};

enum { N_SIGNALS = sizeof signals / sizeof signals[0] };

// Signals come while we wait and at no other time.
static void signals_take(sigset_t *outside)
{
    struct sigaction action = {.sa_handler = take_signal};
    sigset_t ours;
    sigemptyset(&ours);
    for (size_t i = 0; i < N_SIGNALS; i++)
        sigaddset(&ours, signals[i]);
    sigprocmask(SIG_BLOCK, &ours, outside);
    for (size_t i = 0; i < N_SIGNALS; i++) {
        sigdelset(outside, signals[i]);
        sigaction(signals[i], &action, NULL);
    }
}

static void say(const char *text)
{
    wf_file_write(STDOUT_FILENO, "the terminal", text, strlen(text)); // gone: the next poll tells
}

static void screen_enter(const struct termios *was)
{
    struct termios raw = *was;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    say(SCREEN_ENTER);
}

static void screen_leave(const struct termios *was)
{
    say(SCREEN_LEAVE);
    tcsetattr(STDIN_FILENO, TCSANOW, was);
}

static wf_status screen_draw(const top *t)
{
    struct winsize size = {0};
    wf_text out = {0};
    char *text = NULL;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    const wf_top_frame frame = {.place = t->place,
                                .parts = t->parts,
                                .n_parts = t->folders.n,
                                .history = &t->history,
                                .width = known ? size.ws_col : 80,
                                .height = known && size.ws_row > 0 ? size.ws_row : 24,
                                .colour = t->colour,
                                .unicode = t->unicode};
    wf_text_puts(&out, "\x1b[H");
    wf_top_draw(&frame, &out);
    WF_TRY(wf_text_take(&out, &text));
    say(text);
    free(text);
    return WF_OK;
}

// Stopped as by Ctrl-Z, with the terminal as it was; goes on when told to.
static void suspend(const struct termios *was)
{
    screen_leave(was);
    raise(SIGSTOP);
    screen_enter(was);
}

// Waits for a key, a signal or the time; false when the user leaves.
static bool wait(const struct termios *was, const sigset_t *outside, int64_t until_ns)
{
    char key;
    int64_t left_ns = until_ns - wf_clock_ns();
    struct timespec left = {left_ns / WF_NS_PER_S, left_ns % WF_NS_PER_S};
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    if (left_ns <= 0) left = (struct timespec){0};
    asked = 0;
    int ready = ppoll(&in, 1, &left, outside);
    if (ready < 0 && errno != EINTR) return false;
    if (asked == SIGTSTP) suspend(was);
    if (asked == SIGINT || asked == SIGTERM || asked == SIGHUP || asked == SIGQUIT) return false;
    if (ready <= 0) return true;
    ssize_t n = read(STDIN_FILENO, &key, 1);
    return n == 1 && key != 'q' && key != 'Q' && key != 4; // 4: Ctrl-D
}

static wf_status screen_loop(top *t, const struct termios *was, const sigset_t *outside)
{
    int64_t next_ns = wf_clock_ns() + t->interval_ns;
    for (int i = 1;;) {
        WF_TRY(screen_draw(t));
        if (!wait(was, outside, next_ns)) return WF_OK;
        if (wf_clock_ns() < next_ns) continue; // a key, or another size of the screen
        next_ns += t->interval_ns;
        if (next_ns < wf_clock_ns()) next_ns = wf_clock_ns() + t->interval_ns;
        WF_TRY(look_again(t, i++));
    }
}

static wf_status screen_run(top *t)
{
    struct termios was;
    sigset_t outside;
    if (tcgetattr(STDIN_FILENO, &was) != 0)
        return wf_fail_errno(WF_IO, "standard input: is no terminal to take keys from");
    signals_take(&outside);
    screen_enter(&was);
    wf_status st = screen_loop(t, &was, &outside);
    screen_leave(&was);
    return st;
}

// ---- the command --------------------------------------------------------------------------------

wf_status wf_cmd_top(const wf_cli *cli)
{
    const char *interval = wf_cli_value(cli, "interval"), *no_colour = getenv("NO_COLOR");
    top t = {.place = wf_cli_argument(cli, 0), .interval_ns = INTERVAL_NS};
    if (interval && wf_parse_duration(interval, &t.interval_ns) != WF_OK)
        return wf_cli_fail(cli, "--interval: %s", wf_error());
    if (t.interval_ns < INTERVAL_MIN) return wf_cli_fail(cli, "--interval: 100ms is the least");
    setlocale(LC_CTYPE, "");
    t.unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    t.colour = !(no_colour && no_colour[0]);
    wf_status st = top_open(&t);
    if (st == WF_OK)
        st = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) ? screen_run(&t) : lines_run(&t);
    top_close(&t);
    return st;
}
