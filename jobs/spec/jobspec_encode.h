// The rows of the job file's table for tasks that generate nothing: sections embed, score and
// fill_mask. Private to jobspec_table.c, whose AT says where a value stands.
#ifndef WF_JOBS_SPEC_JOBSPEC_ENCODE_H
#define WF_JOBS_SPEC_JOBSPEC_ENCODE_H

#define ENCODE_ROWS                                                                                \
    {.name = "embed.pooling",                                                                      \
     .type = WF_OPTION_ENUM,                                                                       \
     .offset = AT(embed.pooling),                                                                  \
     .words = pooling_words,                                                                       \
     .default_text = "auto",                                                                       \
     .help = "what of a row's tokens becomes its vector; auto: as the model's modules.json says "  \
             "(sentence-transformers), else mean, or last of models that read forwards",           \
     .decides = WF_SPEC_ANY_MODE | WF_SPEC_UNLESS_DEFAULT},                                        \
        {.name = "embed.normalise",                                                                \
         .type = WF_OPTION_ENUM,                                                                   \
         .offset = AT(embed.normalise),                                                            \
         .words = normalise_words,                                                                 \
         .default_text = "auto",                                                                   \
         .help = "vectors of length 1; auto: where modules.json says so",                          \
         .decides = WF_SPEC_ANY_MODE | WF_SPEC_UNLESS_DEFAULT},                                    \
        {.name = "embed.truncate",                                                                 \
         .type = WF_OPTION_ENUM,                                                                   \
         .offset = AT(embed.truncate),                                                             \
         .words = truncate_words,                                                                  \
         .default_text = "false",                                                                  \
         .help =                                                                                   \
             "true: rows that are longer than the model takes are cut, their last token kept, "    \
             "whatever the task but generate; false: they fail",                                   \
         .decides = WF_SPEC_ANY_MODE | WF_SPEC_UNLESS_DEFAULT},                                    \
        {.name = "embed.prompt",                                                                   \
         .type = WF_OPTION_STRING,                                                                 \
         .offset = AT(embed.prompt),                                                               \
         .default_text = "auto",                                                                   \
         .help = "task: embed, prompts files: which of the prompts of the model's "                \
                 "config_sentence_transformers.json is put before every text; auto: its default "  \
                 "one, where it "                                                                  \
                 "has one; none: none"},                                                           \
        {.name = "score.activation",                                                               \
         .type = WF_OPTION_ENUM,                                                                   \
         .offset = AT(score.activation),                                                           \
         .words = activation_words,                                                                \
         .default_text = "auto",                                                                   \
         .help =                                                                                   \
             "what scores are made of what the head gives; auto: classify: as problem_type of "    \
             "config.json says, else softmax, of one label sigmoid; score, rerank: as "            \
             "sentence-transformers' activation_fn says, else of one label sigmoid",               \
         .decides = WF_SPEC_ANY_MODE | WF_SPEC_UNLESS_DEFAULT},                                    \
    {                                                                                              \
        .name = "fill_mask.top_k", .type = WF_OPTION_I32, .offset = AT(fill_mask.top_k), .min = 1, \
        .max = 20, .default_text = "5",                                                            \
        .help = "task: fill-mask: so many of the likeliest tokens for each mask",                  \
        .decides = WF_SPEC_ANY_MODE | WF_SPEC_UNLESS_DEFAULT                                       \
    }

#endif
