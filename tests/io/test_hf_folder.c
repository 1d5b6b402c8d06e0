#include "tests/io/test_safetensors_file.h"

#include "io/weights/hf_folder.h"
#include "io/weights/hf_stranger.h"

#include <sys/stat.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    test_folder_make(folder);
    test_write_text(test_path(folder, "config.json"), "{\"model_type\":\"llama\"}");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    test_folder_remove(folder);
    return 0;
}

static const uint8_t numbers[64] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static void write_file(const char *name, const char *tensor, const char *other)
{
    const test_tensor tensors[] = {
        {tensor, "F32", 1, {4}, 16, numbers},
        {other, "U8", 2, {2, 2}, 4, numbers + 8},
    };
    test_write_tensors(test_path(folder, name), tensors, other ? 2 : 1);
}

#define INDEX "model.safetensors.index.json"

static void single_file(void **state)
{
    (void)state;
    wf_hf_folder *hf;
    size_t i;
    write_file("model.safetensors", "w", "v");
    test_write_text(test_path(folder, "generation_config.json"), "{\"eos_token_id\": 7}");
    test_write_text(test_path(folder, INDEX), "not read when there is a single file");
    assert_ok(wf_hf_folder_open(folder, true, &hf));
    assert_string_equal(wf_hf_folder_path(hf), folder);
    assert_int_equal(wf_hf_folder_count(hf), 2);
    assert_string_equal(wf_hf_folder_at(hf, 0).tensor->name, "v");
    assert_ok(wf_hf_folder_find(hf, "w", &i));
    assert_int_equal(i, 1);
    assert_true(wf_json_has(wf_json_root(wf_hf_folder_config(hf)), "model_type"));
    assert_true(wf_json_has(wf_json_root(wf_hf_folder_generation(hf)), "eos_token_id"));
    assert_int_equal(wf_hf_folder_find(hf, "lm_head.weight", &i), WF_DATA);
    assert_contains(wf_error(), "lm_head.weight: the tensor is in no file");
    wf_hf_folder_close(&hf);
    wf_hf_folder_close(&hf);
}

static void index_of_two(void **state)
{
    (void)state;
    wf_hf_folder *hf;
    size_t i;
    uint8_t read[4];
    write_file("one.safetensors", "w", "v");
    write_file("two.safetensors", "u", NULL);
    test_write_text(test_path(folder, INDEX),
                    "{\"metadata\":{\"total_size\":36},\"weight_map\":{\"w\":\"one.safetensors\","
                    "\"u\":\"two.safetensors\",\"v\":\"one.safetensors\"}}");
    assert_ok(wf_hf_folder_open(folder, true, &hf));
    assert_null(wf_hf_folder_generation(hf));
    assert_int_equal(wf_hf_folder_count(hf), 3);
    assert_ok(wf_hf_folder_find(hf, "v", &i));
    wf_hf_tensor v = wf_hf_folder_at(hf, i);
    assert_ok(wf_safetensors_read(v.file, v.tensor, 0, 4, read));
    assert_memory_equal(read, numbers + 8, 4);
    assert_contains(wf_safetensors_path(v.file), "/one.safetensors");
    wf_hf_folder_close(&hf);
}

static void index_attacks(void **state)
{
    (void)state;
    static const struct {
        const char *map;
        wf_status st;
        const char *says;
    } rows[] = {
        {"{\"w\":\"../one.safetensors\"}", WF_DATA, "leaves the model's folder"},
        {"{\"w\":\"..\"}", WF_DATA, "leaves the model's folder"},
        {"{\"w\":\"/etc/passwd\"}", WF_DATA, "leaves the model's folder"},
        {"{\"w\":\"sub/one.safetensors\"}", WF_DATA, "leaves the model's folder"},
        {"{\"w\":\".hidden.safetensors\"}", WF_DATA, "leaves the model's folder"},
        {"{\"w\":\"\"}", WF_DATA, "is not the name of a .safetensors file"},
        {"{\"w\":\"" INDEX "\"}", WF_DATA, "is not the name of a .safetensors file"},
        {"{\"w\":\"pytorch_model.bin\"}", WF_DATA, "is not the name of a .safetensors file"},
        {"{\"w\":7}", WF_DATA, "weight_map.w: expected a string, got an integer"},
        {"{\"w\":\"absent.safetensors\"}", WF_NO_INPUT,
         "weight_map.w: absent.safetensors is not there; download it again"},
        {"{\"x\":\"one.safetensors\"}", WF_DATA, "one.safetensors does not hold this tensor"},
        {"{\"w\":\"one.safetensors\",\"w\":\"two.safetensors\"}", WF_DATA, "duplicate object key"},
        {"{\"w\":\"one.safetensors\",\"t\":\"again.safetensors\"}", WF_DATA, "w: is also in"},
        {"{\"w\":\"dir.safetensors\"}", WF_NO_INPUT, "not a regular file"},
        {"{}", WF_DATA, "maps no tensor"},
        {"[]", WF_DATA, "weight_map: expected an object"},
    };
    write_file("one.safetensors", "w", "v");
    write_file("two.safetensors", "u", NULL);
    write_file("again.safetensors", "w", "t");
    mkdir(test_path(folder, "dir.safetensors"), 0700);
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char text[512];
        wf_hf_folder *hf = NULL;
        snprintf(text, sizeof text, "{\"weight_map\":%s}", rows[i].map);
        test_write_text(test_path(folder, INDEX), text);
        assert_int_equal(wf_hf_folder_open(folder, true, &hf), rows[i].st);
        assert_null(hf);
        assert_contains(wf_error(), rows[i].says);
    }
}

// What else people download is named for what it is.
static void strangers(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text; // beside, or in place of, config.json
        bool config;
        wf_status st;
        const char *says;
    } rows[] = {
        {"adapter_config.json", "{}", false, WF_NO_INPUT,
         "holds no config.json: it is a LoRA adapter; merge it into its model first"},
        {"adapter_model.safetensors", "", true, WF_NO_INPUT, "holds a LoRA adapter"},
        {"llama-7b.Q4_K_M.gguf", "GGUF", false, WF_NO_INPUT, "it is a GGUF file (llama.cpp)"},
        {"llama-7b.Q4_K_M.gguf", "GGUF", true, WF_NO_INPUT, "holds a GGUF file (llama.cpp)"},
        {"params.json", "{}", false, WF_NO_INPUT, "it is the maker's own format"},
        {"consolidated.00.pth", "PK", true, WF_NO_INPUT, "holds the maker's own format"},
        {"model-00001-of-00002.safetensors", "", true, WF_NO_INPUT,
         "without its model.safetensors.index.json"},
        {"model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
         true, WF_DATA,
         "model.safetensors: is a git-lfs pointer, not the file: run \"git lfs pull\""},
        {"config.json", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
         false, WF_DATA, "config.json: is a git-lfs pointer"},
        {"notes.txt", "", false, WF_NO_INPUT, "must be a Hugging Face model folder"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char place[64];
        wf_hf_folder *hf = NULL;
        test_folder_make(place);
        if (rows[i].config) test_write_text(test_path(place, "config.json"), "{}");
        test_write_text(test_path(place, rows[i].file), rows[i].text);
        assert_int_equal(wf_hf_folder_open(place, true, &hf), rows[i].st);
        assert_contains(wf_error(), rows[i].says);
        test_folder_remove(place);
    }
    wf_hf_folder *hf = NULL;
    test_write_text(test_path(folder, "x.gguf"), "GGUF");
    assert_int_equal(wf_hf_folder_open(test_path(folder, "x.gguf"), true, &hf), WF_NO_INPUT);
    assert_contains(wf_error(), "x.gguf: is a GGUF file (llama.cpp)");
    unlink(test_path(folder, "x.gguf"));
    assert_string_equal(wf_hf_strange_tensor("model.layers.0.mlp.up_proj.qweight"),
                        "a quantised checkpoint (GPTQ or AWQ)");
    assert_null(wf_hf_strange_tensor("model.layers.0.mlp.up_proj.weight"));
}

static void missing_parts(void **state)
{
    (void)state;
    wf_hf_folder *hf = NULL;
    assert_int_equal(wf_hf_folder_open(test_path(folder, "absent"), true, &hf), WF_NO_INPUT);
    assert_contains(wf_error(), "the model's folder cannot be opened");
    assert_int_equal(wf_hf_folder_open(test_path(folder, "config.json"), true, &hf), WF_NO_INPUT);
    assert_contains(wf_error(), "is a file; name the folder that holds config.json");
    assert_int_equal(wf_hf_folder_open(folder, true, &hf), WF_NO_INPUT);
    assert_contains(wf_error(), "neither model.safetensors nor");
    test_write_text(test_path(folder, "pytorch_model.bin"), "PK");
    assert_int_equal(wf_hf_folder_open(folder, true, &hf), WF_NO_INPUT);
    assert_contains(wf_error(), "holds PyTorch's .bin files; only Hugging Face folders with");
    assert_ok(wf_hf_folder_open(folder, false, &hf)); // without weights it will do
    assert_int_equal(wf_hf_folder_count(hf), 0);
    size_t i;
    assert_int_equal(wf_hf_folder_find(hf, "w", &i), WF_DATA);
    wf_hf_folder_close(&hf);
    test_write_text(test_path(folder, "config.json"), "{\"model_type\": }");
    assert_int_equal(wf_hf_folder_open(folder, false, &hf), WF_DATA);
    assert_contains(wf_error(), "config.json:1:");
    test_write_text(test_path(folder, "config.json"), "[]");
    assert_int_equal(wf_hf_folder_open(folder, false, &hf), WF_DATA);
    unlink(test_path(folder, "pytorch_model.bin"));
    unlink(test_path(folder, "config.json"));
    assert_int_equal(wf_hf_folder_open(folder, false, &hf), WF_NO_INPUT);
    assert_contains(wf_error(), "must be a Hugging Face model folder");
    assert_null(hf);
}

static void identity(char out[WF_HF_IDENTITY_MAX])
{
    wf_hf_folder *hf;
    assert_ok(wf_hf_folder_open(folder, true, &hf));
    assert_ok(wf_hf_folder_identity(hf, out));
    assert_int_equal(strlen(out), 32);
    wf_hf_folder_close(&hf);
}

static void identity_follows_content(void **state)
{
    (void)state;
    char first[WF_HF_IDENTITY_MAX], now[WF_HF_IDENTITY_MAX];
    const char *path = test_path(folder, "model.safetensors");
    const size_t n = 4 << 20; // more than the sampled blocks
    uint8_t *data = calloc(1, n);
    const test_tensor tensor = {"w", "U8", 1, {(int64_t)n}, n, data};
    test_write_tensors(path, &tensor, 1);
    identity(first);
    identity(now);
    assert_string_equal(first, now);
    const size_t places[] = {0, n - 1}; // both ends are among the sampled blocks
    for (size_t i = 0; i < N_ROWS(places); i++) {
        data[places[i]] = 1;
        test_write_tensors(path, &tensor, 1);
        identity(now);
        assert_string_not_equal(first, now);
        data[places[i]] = 0;
    }
    test_write_tensors(path, &tensor, 1);
    identity(now);
    assert_string_equal(first, now);
    test_write_text(test_path(folder, "config.json"), "{\"model_type\":\"llama\" }");
    identity(now);
    assert_string_not_equal(first, now);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(single_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(index_of_two, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(index_attacks, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(strangers, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(missing_parts, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(identity_follows_content, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
