// See machine_option.h.
#include "launcher/machine_option.h"

#include "io/base/file.h"
#include "io/base/text.h"

enum { MOST_BYTES = 1 << 16 };

wf_status wf_machine_option(const wf_cli *cli, wf_machine *out, char **out_text)
{
    const char *name = wf_cli_value(cli, "machine");
    char names[128];
    if (!name) {
        return wf_cli_fail(cli, "which --machine? known: %s; or a .yaml file",
                           wf_machine_names(names, sizeof names));
    }
    wf_machine_source source = {.name = name, .path = name};
    source.set = wf_cli_values(cli, "machine-set", &source.n_set);
    if (wf_text_ends_with(name, ".yaml")) {
        WF_TRY(wf_file_read(name, MOST_BYTES, out_text, NULL));
        source.name = NULL;
        source.text = *out_text;
    }
    return wf_machine_make(&source, out);
}
