/* Reading an ONNX file written here by hand, byte by byte, whole, damaged and cut meanwhile; and Python's texts in the
 * metadata. What becomes of whole exports: tests/http/test_models_add.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/guard.h"
#include "infer/describe.h"
#include "infer/package.h"
#include "scratch.h"

/* ---- a writer of protobuf ---- */

static void varint(struct buf *b, uint64_t v) {
    for (; v >= 128; v >>= 7) buf_addc(b, (char)(v | 128));
    buf_addc(b, (char)v);
}

static void number(struct buf *b, unsigned field, uint64_t v) { varint(b, field << 3), varint(b, v); }

static void bytes(struct buf *b, unsigned field, struct str s) {
    varint(b, field << 3 | 2), varint(b, s.n), buf_add_str(b, s);
}

/* Takes the inner message. */
static void message(struct buf *b, unsigned field, struct buf *inner) {
    bytes(b, field, buf_str(inner));
    buf_free(inner);
}

/* shape ends with 0; -1 is a dimension with a name. */
static void tensor(struct buf *graph, unsigned field, const char *name, const int64_t *shape) {
    struct buf info = {0}, type = {0}, tensor_type = {0}, dims = {0};
    for (; *shape; shape++) {
        struct buf dim = {0};
        if (*shape > 0)
            number(&dim, 1, (uint64_t)*shape);
        else
            bytes(&dim, 2, STR("batch"));
        message(&dims, 1, &dim);
    }
    number(&tensor_type, 1, ONNX_FLOAT);
    message(&tensor_type, 2, &dims);
    message(&type, 1, &tensor_type);
    bytes(&info, 1, str_of(name));
    message(&info, 2, &type);
    message(graph, field, &info);
}

static void entry(struct buf *model, const char *key, const char *value) {
    struct buf pair = {0};
    bytes(&pair, 1, str_of(key));
    bytes(&pair, 2, str_of(value));
    message(model, 14, &pair);
}

/* What an export of YOLO for detection looks like, with the names given. */
static struct buf export_of(const char *names) {
    struct buf model = {0}, graph = {0}, weight = {0}, odd = {0};
    number(&model, 1, 8); /* ir_version */
    bytes(&model, 2, STR("pytorch"));
    bytes(&weight, 8, STR("w")), number(&weight, 2, 1);
    message(&graph, 5, &weight);
    tensor(&graph, 11, "w", (const int64_t[]){3, 0}); /* a file of old has its weights here too */
    tensor(&graph, 11, "images", (const int64_t[]){-1, 3, 64, 32, 0});
    tensor(&graph, 12, "output0", (const int64_t[]){-1, 6, 42, 0});
    varint(&odd, 9 << 3 | 1), buf_add(&odd, "12345678", 8); /* fields of fixed width, to be passed over */
    varint(&odd, 10 << 3 | 5), buf_add(&odd, "1234", 4);
    buf_add_str(&graph, buf_str(&odd)), buf_free(&odd);
    message(&model, 7, &graph);
    entry(&model, "task", "detect");
    entry(&model, "names", names);
    return model;
}

static void a_file_is_read(void **state) {
    (void)state;
    struct buf model = export_of("{0: 'cat', 1: 'dog'}");
    struct arena a = {0};
    struct onnx_file f;
    struct err e;
    assert_true(onnx_read(buf_str(&model), &a, &f, &e));
    assert_true(str_is(f.producer, "pytorch"));
    assert_int_equal(f.input_count, 1);
    assert_true(str_is(f.inputs[0].name, "images") && f.inputs[0].type == ONNX_FLOAT && f.inputs[0].rank == 4);
    assert_true(f.inputs[0].shape[0] == ONNX_OPEN && f.inputs[0].shape[2] == 64 && f.inputs[0].shape[3] == 32);
    assert_int_equal(f.output_count, 1);
    assert_true(str_is(f.outputs[0].name, "output0") && f.outputs[0].shape[1] == 6);
    assert_true(str_is(onnx_metadata(&f, "task"), "detect") && onnx_metadata(&f, "nothing").n == 0);
    arena_free(&a);
    buf_free(&model);
}

/* Cut anywhere, and with any one byte turned into some others: refused or read, and nothing beyond its end touched, for
 * the copy ends where its memory does. */
static void a_damaged_file_is_refused_or_read(void **state) {
    (void)state;
    struct buf model = export_of("{0: 'cat', 1: 'dog'}");
    const struct describe_options o = {.name = STR("x"), .id = STR("x/1")};
    struct err e;
    size_t read = 0, described = 0;
    for (size_t i = 0; i < 5 * model.n; i++) {
        size_t n = i < model.n ? i : model.n;
        char *copy = malloc(n ? n : 1);
        memcpy(copy, model.p, n);
        if (i >= model.n) copy[i % model.n] = (char)(copy[i % model.n] ^ (i / model.n == 1 ? 1 : i / model.n == 2 ? 0x80 : 0x7f));
        struct arena a = {0};
        struct onnx_file f;
        struct buf notes = {0};
        if (onnx_read((struct str){copy, n}, &a, &f, &e)) {
            json_t *root = describe(&f, &o, &notes, &e);
            read++, described += root != NULL;
            json_decref(root);
        }
        arena_free(&a);
        buf_free(&notes);
        free(copy);
    }
    assert_true(read > model.n / 2 && described > 0 && described < read);
    buf_free(&model);
}

enum { FIRST_PAGE = 4096 };
static const char *to_cut;

static void *map_then_cut(int fd, size_t n) {
    void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
    assert_int_equal(truncate(to_cut, FIRST_PAGE), 0);
    return p;
}

/* Its head can still be read, and says nothing of what is missing. */
static void a_network_that_is_cut_while_it_is_hashed_has_no_package(void **state) {
    (void)state;
    struct scratch dir;
    struct io_ops cutting;
    struct buf network = export_of("{}");
    struct arena a = {0};
    struct package package;
    struct err e = {0};
    char *padding = test_calloc(1, 1 << 20);
    bytes(&network, 200, (struct str){padding, 1 << 20}); /* a field that nobody knows */
    guard_init(); /* cmocka has put a handler of its own there */
    scratch_make(&dir);
    scratch_write(scratch_path(&dir, "model.onnx"), buf_str(&network));
    struct model m = {
        .dir = str_of(dir.dir),
        .folder = STR("x"),
        .classes = (struct str[]){STR("cat"), STR("dog")},
        .class_count = 2,
        .input = {.width = 32, .height = 64, .layout = MODEL_NCHW, .scale = {1 / 255.0, 1 / 255.0, 1 / 255.0}},
        .decoder = MODEL_YOLO,
        .outputs = {STR("output0")},
    };
    assert_true(package_read(&m, &a, &package, &e));
    assert_int_equal(strlen(package.md5[PACKAGE_WEIGHTS]), PACKAGE_MD5 - 1);
    to_cut = scratch_path(&dir, "model.onnx");
    scratch_write(to_cut, buf_str(&network)); /* as new, so that it is hashed again */
    cutting = scratch_ops;
    cutting.map = map_then_cut;
    io_use(&cutting);
    assert_false(package_read(&m, &a, &package, &e));
    assert_true(e.code == ERR_INTERNAL && strstr(e.msg, "x/model.onnx: reading at byte 4096 failed"));
    scratch_remove(&dir);
    arena_free(&a);
    buf_free(&network);
    test_free(padding);
}

static void names_as_python_writes_them(void **state) {
    (void)state;
    static const char *const table[][3] = {
        {"{0: 'cat', 1: 'dog'}", "cat", "dog"},
        {"{0: \"cat's\", 1: 'dog'}", "cat's", "dog"},
        {"{0:'it\\'s',1:\"a, b: {}\",}", "it's", "a, b: {}"},
        {"['cat', 'dog']", "cat", "dog"},
        {" { 0 : 'kr\xc3\xa4" "he' , 1 : '' } ", NULL, NULL}, /* a name that is none */
        {"{0: 'cat', 2: 'dog'}", NULL, NULL},
        {"{0: 'cat', 1: 'dog'", NULL, NULL},
        {"{0: 'cat', 1: 'dog", NULL, NULL},
        {"{0: cat, 1: dog}", NULL, NULL},
        {"{'0': 'cat'}", NULL, NULL},
        {"{}", NULL, NULL},
        {"", NULL, NULL},
    };
    const struct describe_options o = {.name = STR("x"), .id = STR("x/1")};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf model = export_of(table[i][0]), notes = {0};
        struct arena a = {0};
        struct onnx_file f;
        struct err e;
        assert_true(onnx_read(buf_str(&model), &a, &f, &e));
        json_t *root = describe(&f, &o, &notes, &e);
        assert_non_null(root);
        const json_t *classes = json_object_get(root, "classes");
        assert_int_equal(json_array_size(classes), 2);
        bool assumed = notes.n && strstr(notes.p, "the names of the classes");
        if (i == 4) {
            assert_string_equal(json_string_value(json_array_get(classes, 0)), "kr\xc3\xa4he");
        } else if (assumed != !table[i][1]) {
            fail_msg("%s", table[i][0]);
        } else if (table[i][1]) {
            assert_string_equal(json_string_value(json_array_get(classes, 0)), table[i][1]);
            assert_string_equal(json_string_value(json_array_get(classes, 1)), table[i][2]);
        }
        json_decref(root);
        arena_free(&a);
        buf_free(&notes), buf_free(&model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(a_damaged_file_is_refused_or_read),
        cmocka_unit_test(a_network_that_is_cut_while_it_is_hashed_has_no_package),
        cmocka_unit_test(names_as_python_writes_them),
    };
    return cmocka_run_group_tests_name("describe", tests, NULL, NULL);
}
