// How a start is recognised, and which threads and cores follow from it.
#include "tests/base/base_test.h"

#include "launcher/bringup/start.h"

// `context` is a NULL-ended list of name, value, name, value ...
static const char *table_lookup(void *context, const char *name)
{
    for (const char **at = context; *at; at += 2)
        if (strcmp(at[0], name) == 0) return at[1];
    return NULL;
}

static void test_detect(void **state)
{
    (void)state;
    static const struct {
        const char *environment[16];
        wf_start_kind kind;
        int rank;
    } rows[] = {
        {{NULL}, WF_START_ALONE, 0},
        {{"OMPI_COMM_WORLD_SIZE", "4", "OMPI_COMM_WORLD_RANK", "3", NULL}, WF_START_MPIRUN, 3},
        {{"PMI_RANK", "2", NULL}, WF_START_MPIRUN, 2},
        {{"SLURM_STEP_ID", "0", "PMIX_RANK", "5", "SLURM_PROCID", "5", NULL}, WF_START_SRUN, 5},
        {{"SLURM_STEP_ID", "0", "SLURM_STEP_NUM_TASKS", "2", "SLURM_PROCID", "1", NULL},
         WF_START_SRUN_BARE,
         1},
        {{"SLURM_STEP_ID", "0", "SLURM_STEP_NUM_TASKS", "1", "SLURM_PROCID", "0", NULL},
         WF_START_ALONE,
         0},
        // A batch script has SLURM_PROCID and tasks, but no step.
        {{"SLURM_JOB_ID", "9", "SLURM_PROCID", "0", "SLURM_NTASKS", "8", NULL}, WF_START_ALONE, 0},
        // mpirun inside sbatch starts its daemons by srun.
        {{"SLURM_STEP_ID", "0", "OMPI_COMM_WORLD_SIZE", "2", "OMPI_COMM_WORLD_RANK", "1", NULL},
         WF_START_MPIRUN,
         1},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_start start = wf_start_detect(table_lookup, (void *)rows[i].environment);
        assert_int_equal(start.kind, rows[i].kind);
        assert_int_equal(start.rank, rows[i].rank);
    }
}

static void test_threads(void **state)
{
    (void)state;
    static const struct {
        wf_thread_input in;
        wf_thread_plan out;
    } rows[] = {
        // Alone: all cores, or those of taskset.
        {{WF_START_ALONE, 16, 16, 0, 1, 0}, {16, 0, 0}},
        {{WF_START_ALONE, 16, 4, 0, 1, 0}, {4, 0, 0}},
        {{WF_START_ALONE, 16, 16, 0, 1, 3}, {3, 0, 0}},
        // mpirun's default of one core each is replaced by a fair part.
        {{WF_START_MPIRUN, 16, 1, 1, 2, 0}, {8, 8, 8}},
        {{WF_START_MPIRUN, 16, 1, 1, 2, 4}, {4, 4, 4}},
        {{WF_START_MPIRUN, 16, 16, 1, 2, 0}, {8, 0, 0}}, // --bind-to none is the user's word
        // More ranks than cores: one thread each, nobody bound.
        {{WF_START_MPIRUN, 2, 2, 3, 4, 0}, {1, 0, 0}},
        {{WF_START_MPIRUN, 2, 1, 3, 4, 0}, {1, 0, 0}},
        // srun: its masks are kept; without masks, fair parts.
        {{WF_START_SRUN, 32, 8, 2, 4, 0}, {8, 0, 0}},
        {{WF_START_SRUN, 32, 32, 2, 4, 0}, {8, 16, 8}},
        {{WF_START_SRUN, 32, 32, 2, 4, 16}, {16, 0, 0}}, // asked for too many to keep apart
        {{WF_START_SRUN, 3, 3, 1, 2, 0}, {1, 1, 1}},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_thread_plan plan = wf_threads_decide(&rows[i].in);
        assert_int_equal(plan.threads, rows[i].out.threads);
        assert_int_equal(plan.n_bind, rows[i].out.n_bind);
        if (plan.n_bind > 0) assert_int_equal(plan.bind_first, rows[i].out.bind_first);
    }
}

static void test_mpirun_words(void **state)
{
    (void)state;
#define LINE(literal) literal, sizeof literal // with the NUL of its last word
    static const struct {
        const char *line;
        size_t n;
        const char *words, *command;
    } rows[] = {
        {LINE("mpirun\0-n\0004\0weft\0run\0j.yaml"), "mpirun -n 4", "mpirun -n 4 weft run j.yaml"},
        {LINE("/opt/mpi/bin/mpiexec\0--host\0a:2,b:2\0-x\0A=b c\0weft\0run"),
         "/opt/mpi/bin/mpiexec --host a:2,b:2 -x 'A=b c'",
         "/opt/mpi/bin/mpiexec --host a:2,b:2 -x 'A=b c' weft run j.yaml"},
        // Not mpirun; another program; several programs; nothing known.
        {LINE("bash\0-c\0weft run"), "", "mpirun -n 3 weft run j.yaml"},
        {LINE("mpirun\0other\0run"), "", "mpirun -n 3 weft run j.yaml"},
        {LINE("mpirun\0-n\0001\0weft\0:\0-n\0001\0weft"), "", "mpirun -n 3 weft run j.yaml"},
        {"", 0, "", "mpirun -n 3 weft run j.yaml"},
        {"mpirun", 6, "", "mpirun -n 3 weft run j.yaml"}, // cut off
    };
    const wf_start start = {.kind = WF_START_MPIRUN};
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char words[128], command[256];
        wf_start_mpirun_words(rows[i].line, rows[i].n, "weft", words, sizeof words);
        assert_string_equal(words, rows[i].words);
        wf_start_command(&start, words, 3, "weft run j.yaml", command, sizeof command);
        assert_string_equal(command, rows[i].command);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_detect),
                                       cmocka_unit_test(test_threads),
                                       cmocka_unit_test(test_mpirun_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
