/* The gauges' window and names, and the public names of models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "infer/alias.h"
#include "infer/meter.h"

#define SECOND 1000000LL

/* The gauge's value; -1 when it is not told. */
static double value_of(struct meter *m, uint64_t account, int64_t now_us, const char *gauge) {
    struct buf out = {0};
    char line[100];
    double value = -1;
    meter_write(m, account, now_us, &out);
    buf_addc(&out, '\0');
    snprintf(line, sizeof line, "\n%s ", gauge);
    const char *at = strstr(out.p, line), *again = at ? strstr(at + 1, line) : NULL;
    assert_null(again);
    if (at) assert_int_equal(sscanf(at + strlen(line), "%lf", &value), 1);
    buf_free(&out);
    return value;
}

static void the_last_ten_seconds_count(void **state) {
    (void)state;
    struct meter *m = meter_new();
    int64_t start = 1234 * SECOND;
    for (int i = 0; i < 12; i++) meter_done(m, 1, STR("coco/24"), 2, 0.5, start + i * SECOND);
    int64_t now = start + 11 * SECOND + 999999;
    assert_float_equal(value_of(m, 1, now, "num_inferences_coco_24"), 20, 0);
    assert_float_equal(value_of(m, 1, now, "avg_inference_time_coco_24"), 0.25, 1e-9);
    assert_float_equal(value_of(m, 1, now + 5 * SECOND, "num_inferences_coco_24"), 10, 0);
    assert_float_equal(value_of(m, 1, now + 9 * SECOND, "num_inferences_coco_24"), 2, 0);
    assert_float_equal(value_of(m, 1, now + 10 * SECOND, "num_inferences_coco_24"), 0, 0);
    assert_float_equal(value_of(m, 1, now + 10 * SECOND, "avg_inference_time_coco_24"), 0, 0);
    meter_failed(m, 1, STR("coco/24"), now + 100 * SECOND);
    assert_float_equal(value_of(m, 1, now + 100 * SECOND, "num_errors_coco_24"), 1, 0);
    meter_free(m);
}

static void totals_and_accounts(void **state) {
    (void)state;
    struct meter *m = meter_new();
    meter_done(m, 1, STR("a/1"), 1, 1, SECOND);
    meter_done(m, 1, STR("b.c/1"), 3, 1, SECOND);
    meter_done(m, 1, STR("b-c/1"), 1, 1, SECOND); /* the same name where names have no points */
    meter_failed(m, 1, STR(""), SECOND);
    meter_done(m, 2, STR("secret/9"), 7, 1, SECOND);
    assert_float_equal(value_of(m, 1, SECOND, "num_inferences_total"), 5, 0);
    assert_float_equal(value_of(m, 1, SECOND, "avg_inference_time_total"), 0.6, 1e-9);
    assert_float_equal(value_of(m, 1, SECOND, "num_errors_total"), 1, 0);
    assert_float_equal(value_of(m, 1, SECOND, "num_inferences_b_c_1"), 4, 0);
    assert_float_equal(value_of(m, 1, SECOND, "num_inferences_"), -1, 0);
    assert_float_equal(value_of(m, 1, SECOND, "num_inferences_secret_9"), -1, 0);
    assert_float_equal(value_of(m, 2, SECOND, "num_inferences_total"), 7, 0);
    assert_float_equal(value_of(m, 3, SECOND, "num_inferences_total"), 0, 0);
    meter_free(m);
}

static void public_names(void **state) {
    (void)state;
    static const char *const table[][2] = {
        {"yolov8n-640", "coco/3"}, {"yolov8s-640", "coco/6"}, {"yolov8m-640", "coco/8"}, {"yolov8l-640", "coco/7"},
        {"yolov8x-640", "coco/5"}, {"yolov8n-1280", "coco/9"}, {"yolov8x-1280", "coco/13"},
        {"yolov8n-seg-640", "coco-dataset-vdnr1/2"}, {"yolov8x-seg-640", "coco-dataset-vdnr1/3"},
        {"yolov8n-pose-640", "coco-pose-detection/1"}, {"yolov8x-pose-640", "coco-pose-detection/5"},
        {"yolov10n-640", "coco/19"}, {"yolov10b-640", "coco/22"}, {"yolov10x-640", "coco/24"},
        {"yolov11n-640", "coco/25"}, {"yolo11x-640", "coco/29"}, {"yolo11n-1280", "coco/30"},
        {"yolov11s-seg-640", "coco-dataset-vdnr1/20"}, {"yolo26n-640", "coco/41"}, {"yolov26x-640", "coco/45"},
        {"rfdetr-base", "coco/36"}, {"rfdetr-2xlarge", "coco/48"}, {"resnet18", "classifiers/1"},
        {"resnet101", "classifiers/4"},
        /* no names */
        {"coco/3", "coco/3"}, {"yolov8n", "yolov8n"}, {"yolov8q-640", "yolov8q-640"}, {"yolov8", "yolov8"},
        {"yolov8n-640x", "yolov8n-640x"}, {"yolov8b-640", "yolov8b-640"}, {"", ""}};
    struct arena a = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct str id = alias_resolve(str_of(table[i][0]), &a);
        if (!str_is(id, table[i][1])) fail_msg("%s is " STR_FMT, table[i][0], STR_ARG(id));
    }
    assert_int_equal(alias_resolve(STR("yolov8\0-640"), &a).n, 11); /* the end of the sizes is no size */
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_ten_seconds_count),
        cmocka_unit_test(totals_and_accounts),
        cmocka_unit_test(public_names),
    };
    return cmocka_run_group_tests_name("meter", tests, NULL, NULL);
}
