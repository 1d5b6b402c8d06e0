// Folders of several parts: what of them is not loaded, and what is refused.
#include "tests/io/test_safetensors_file.h"

#include "engine/model_arch.h"
#include "engine/model_check.h"

static wf_status read_golden(const char *name, wf_hf_folder **hf, wf_arch *arch)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/%s", WEFT_SOURCE_DIR, name);
    assert_ok(wf_hf_folder_open(path, true, hf));
    return wf_arch_read(*hf, false, arch);
}

// Each fixture names its text part in another way, and has all that the others are made of.
static void text_parts_are_whole(void **state)
{
    (void)state;
    static const struct {
        const char *name, *family, *embed, *says;
    } rows[] = {
        {"gemma3-parts", "gemma3_text", "language_model.model.embed_tokens.weight",
         "text part of gemma3 alone; 23 tensors of other parts (0.00 GiB) are not loaded"},
        {"qwen25-vl-parts", "qwen2", "model.embed_tokens.weight",
         "text part of qwen2_5_vl alone; 18 tensors of other parts (0.00 GiB) are not loaded"},
        {"qwen3-vl-parts", "qwen3", "model.language_model.embed_tokens.weight",
         "text part of qwen3_vl alone; 27 tensors of other parts (0.00 GiB) are not loaded"},
        {"llama-mini", "llama", "model.embed_tokens.weight", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wf_hf_folder *hf;
        static wf_arch arch;
        char name[128], words[160];
        assert_ok(read_golden(rows[i].name, &hf, &arch));
        assert_string_equal(arch.family->name, rows[i].family);
        wf_arch_tensor_name(&arch, WF_ROLE_EMBED, 0, 0, ".weight", name, sizeof name);
        assert_string_equal(name, rows[i].embed);
        assert_ok(wf_model_check(&arch, hf));
        assert_string_equal(wf_text_part_words(arch.part, hf, words, sizeof words), rows[i].says);
        wf_hf_folder_close(&hf);
    }
}

static void other_parts_begin_so(void **state)
{
    (void)state;
    const wf_text_part *gemma = wf_text_part_find("gemma3");
    assert_non_null(gemma);
    assert_true(wf_text_part_is_other(gemma, "vision_tower.vision_model.post_layernorm.weight"));
    assert_true(wf_text_part_is_other(gemma, "model.vision_tower.x"));
    assert_true(wf_text_part_is_other(gemma, "multi_modal_projector.x"));
    assert_false(wf_text_part_is_other(gemma, "visual.x"));
    assert_false(wf_text_part_is_other(gemma, "language_model.model.vision_tower.x"));
    assert_null(wf_text_part_find("llama"));
    assert_null(wf_text_part_find("gemma"));
}

// A tensor of no part that is known: the folder is of another model.
static void strange_tensors_are_refused(void **state)
{
    (void)state;
    wf_hf_folder *hf;
    static wf_arch arch;
    static const wf_text_part without = {.model_type = "gemma3"};
    assert_ok(read_golden("gemma3-parts", &hf, &arch));
    arch.part = &without;
    assert_int_equal(wf_model_check(&arch, hf), WF_DATA);
    assert_contains(wf_error(), "a gemma3_text model with this config.json has no such tensor");
    wf_hf_folder_close(&hf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_parts_are_whole),
        cmocka_unit_test(other_parts_begin_so),
        cmocka_unit_test(strange_tensors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
