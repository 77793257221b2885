/* decode: boxes of hand-made tensors with known answers; suppression. prepare: pixels of known pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/decode.h"
#include "infer/prepare.h"

enum { SIDE = 8, CLASSES = 3 };

static float scores[SIDE][SIDE][CLASSES];
static float boxes[SIDE][SIDE][4];
static struct decode_options all;

static int setup(void **state) {
    (void)state;
    memset(scores, 0, sizeof scores);
    memset(boxes, 0, sizeof boxes);
    all = (struct decode_options){
        .confidence = 0.25, .iou_threshold = 0.5, .max_candidates = 3000, .max_detections = 300};
    return 0;
}

static void put(int row, int column, int class_id, float score, float left, float top, float right, float bottom) {
    const float sides[4] = {left, top, right, bottom};
    scores[row][column][class_id] = score;
    memcpy(boxes[row][column], sides, sizeof sides);
}

/* The picture is as large as the input (8 cells of 4 pixels) unless scaled. */
static struct decode_box *decode(double scale_x, double scale_y, size_t *count) {
    const struct decode_grid g = {.rows = SIDE, .columns = SIDE, .classes = CLASSES, .scores = &scores[0][0][0],
                                  .boxes = &boxes[0][0][0], .stride = 4};
    const struct decode_frame f = {
        .width = 32 * scale_x, .height = 32 * scale_y, .scale_x = scale_x, .scale_y = scale_y};
    return decode_centernet(&g, &all, &f, count);
}

static void box_is(const struct decode_box *b, unsigned class_id, double confidence, double x, double y, double width,
                   double height) {
    assert_int_equal(b->class_id, class_id);
    assert_float_equal(b->confidence, confidence, 1e-6);
    assert_float_equal(b->x, x, 1e-6);
    assert_float_equal(b->y, y, 1e-6);
    assert_float_equal(b->width, width, 1e-6);
    assert_float_equal(b->height, height, 1e-6);
}

static void a_peak_becomes_a_box(void **state) {
    (void)state;
    size_t n;
    put(3, 5, 1, 0.5f, 6, 2, 10, 8); /* column 5 is x 20, row 3 is y 12: 14..30, 10..20 */
    struct decode_box *b = decode(1, 1, &n);
    assert_int_equal(n, 1);
    box_is(b, 1, 0.5, 22, 15, 16, 10);
    free(b);
    b = decode(10, 0.5, &n); /* stretched back to a picture of 320 x 16 */
    assert_int_equal(n, 1);
    box_is(b, 1, 0.5, 220, 7.5, 160, 5);
    free(b);
}

static void boxes_end_at_the_edge(void **state) {
    (void)state;
    size_t n;
    put(0, 0, 0, 0.5f, 9, 9, 4, 4);
    put(7, 7, 0, 0.4f, 4, 4, 9, 9);
    put(4, 4, 0, 0.3f, -20, 0, 25, 4); /* wholly beyond the right edge: nothing of it is in the picture */
    struct decode_box *b = decode(1, 1, &n);
    assert_int_equal(n, 2);
    box_is(&b[0], 0, 0.5, 2, 2, 4, 4);
    box_is(&b[1], 0, 0.4, 28, 28, 8, 8);
    free(b);
}

static void only_peaks_count(void **state) {
    (void)state;
    size_t n;
    put(3, 3, 0, 0.6f, 2, 2, 2, 2);
    put(3, 4, 0, 0.5f, 2, 2, 2, 2); /* beaten by its neighbour */
    put(4, 4, 1, 0.5f, 2, 2, 2, 2); /* the neighbours that beat it are of another class */
    put(3, 6, 0, 0.4f, 2, 2, 2, 2); /* two cells away */
    put(6, 2, 2, 0.3f, 2, 2, 2, 2); /* a tie: neither beats the other */
    put(6, 3, 2, 0.3f, 2, 2, 2, 2);
    struct decode_box *b = decode(1, 1, &n);
    assert_int_equal(n, 5);
    box_is(&b[0], 0, 0.6, 12, 12, 4, 4);
    box_is(&b[1], 1, 0.5, 16, 16, 4, 4);
    box_is(&b[2], 0, 0.4, 24, 12, 4, 4);
    box_is(&b[3], 2, 0.3, 8, 24, 4, 4);
    box_is(&b[4], 2, 0.3, 12, 24, 4, 4);
    free(b);
}

static void the_threshold_is_part_of_what_stays(void **state) {
    (void)state;
    size_t n;
    put(1, 1, 0, 0.7f, 2, 2, 2, 2); /* as a double a little under 0.7 */
    put(5, 5, 0, 0.75f, 2, 2, 2, 2);
    all.confidence = 0.7;
    struct decode_box *b = decode(1, 1, &n);
    assert_int_equal(n, 1);
    assert_true(b[0].confidence >= 0.7);
    free(b);
    all.confidence = 0.75;
    free(decode(1, 1, &n));
    assert_int_equal(n, 1);
    all.confidence = 0.750001;
    free(decode(1, 1, &n));
    assert_int_equal(n, 0);
}

static void classes_are_filtered_before_all_else(void **state) {
    (void)state;
    size_t n;
    const bool wanted[CLASSES] = {false, true, false};
    put(3, 3, 0, 0.9f, 4, 4, 4, 4);
    scores[3][3][1] = 0.5f; /* the same box; a filtered class must not suppress it, nor take its place */
    all.class_agnostic_nms = true;
    all.max_candidates = 1;
    all.classes = wanted;
    struct decode_box *b = decode(1, 1, &n);
    assert_int_equal(n, 1);
    box_is(b, 1, 0.5, 12, 12, 8, 8);
    free(b);
}

static void broken_numbers_are_no_boxes(void **state) {
    (void)state;
    size_t n;
    put(1, 1, 0, NAN, 2, 2, 2, 2);
    put(3, 3, 0, 0.5f, NAN, 2, 2, 2);
    put(5, 5, 0, 0.5f, -3, 2, 2, 2); /* its left is right of its right */
    put(1, 5, 0, 0.5f, INFINITY, 2, INFINITY, 2);
    struct decode_box *b = decode(1, 1, &n);
    assert_int_equal(n, 1);
    box_is(b, 0, 0.5, 16, 4, 32, 4);
    free(b);
}

/* Two boxes of 10 x 10 whose intersection over union is 60 / 140. */
static const struct decode_box pair[2] = {{.x = 5, .y = 5, .width = 10, .height = 10, .confidence = 0.6},
                                          {.x = 9, .y = 5, .width = 10, .height = 10, .confidence = 0.8}};

static size_t suppress(struct decode_box out[2], double iou_threshold, unsigned second_class, bool agnostic) {
    memcpy(out, pair, sizeof pair);
    out[1].class_id = second_class;
    all.iou_threshold = iou_threshold;
    all.class_agnostic_nms = agnostic;
    return decode_nms(out, 2, &all);
}

static void the_surer_of_two_stays(void **state) {
    (void)state;
    struct decode_box b[2];
    assert_int_equal(suppress(b, 0.43, 0, false), 2);
    box_is(&b[0], 0, 0.8, 9, 5, 10, 10); /* surest first */
    assert_int_equal(suppress(b, 60.0 / 140, 0, false), 2); /* not over the threshold */
    assert_int_equal(suppress(b, 0.42, 0, false), 1);
    box_is(&b[0], 0, 0.8, 9, 5, 10, 10);
    assert_int_equal(suppress(b, 0.42, 1, false), 2);
    assert_int_equal(suppress(b, 0.42, 1, true), 1);
    assert_int_equal(suppress(b, 0, 0, false), 1);
    assert_int_equal(suppress(b, 1, 0, false), 2);
}

/* A box that was suppressed suppresses none: of a chain the first and the third stay. */
static void suppression_is_not_passed_on(void **state) {
    (void)state;
    struct decode_box b[3] = {{.x = 5, .y = 5, .width = 10, .height = 10, .confidence = 0.9},
                              {.x = 9, .y = 5, .width = 10, .height = 10, .confidence = 0.8},
                              {.x = 13, .y = 5, .width = 10, .height = 10, .confidence = 0.7}};
    all.iou_threshold = 0.3;
    assert_int_equal(decode_nms(b, 3, &all), 2);
    box_is(&b[1], 0, 0.7, 13, 5, 10, 10);
}

static void counts_are_limited(void **state) {
    (void)state;
    struct decode_box b[10];
    for (size_t i = 0; i < 10; i++)
        b[i] = (struct decode_box){.x = (double)i, .y = 0, .width = 0.5, .height = 1, .confidence = (double)i / 10};
    all.max_detections = 4;
    assert_int_equal(decode_nms(b, 10, &all), 4);
    box_is(&b[0], 0, 0.9, 9, 0, 0.5, 1);
    box_is(&b[3], 0, 0.6, 6, 0, 0.5, 1);
    all.max_candidates = 2; /* into suppression: what is cut off here never comes back */
    assert_int_equal(decode_nms(b, 4, &all), 2);
    all.max_detections = 0;
    assert_int_equal(decode_nms(b, 2, &all), 0);
}

/* ---- prepare ---- */

static struct model_input input_of(int width, int height) {
    return (struct model_input){.width = width, .height = height, .scale = {1, 1, 1}};
}

static void floats_are(const float *got, const float *expected, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (fabsf(got[i] - expected[i]) > 1e-4f)
            fail_msg("value %zu is %f, expected %f", i, (double)got[i], (double)expected[i]);
}

static void the_same_size_is_the_same_picture(void **state) {
    (void)state;
    uint8_t rgb[2 * 2 * 3] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 251, 252};
    const struct image im = {.rgb = rgb, .width = 2, .height = 2};
    struct model_input in = input_of(2, 2);
    float out[12];
    prepare(&im, &in, out);
    floats_are(out, (const float[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 251, 252}, 12);

    in.layout = MODEL_NCHW;
    prepare(&im, &in, out);
    floats_are(out, (const float[]){1, 4, 7, 250, 2, 5, 8, 251, 3, 6, 9, 252}, 12);

    in.channels = MODEL_BGR;
    prepare(&im, &in, out);
    floats_are(out, (const float[]){3, 6, 9, 252, 2, 5, 8, 251, 1, 4, 7, 250}, 12);

    in.layout = MODEL_NHWC;
    in.mean[0] = 3; /* of blue, which is the first here */
    in.scale[0] = 2;
    prepare(&im, &in, out);
    floats_are(out, (const float[]){0, 2, 1, 6, 5, 4, 12, 8, 7, 498, 251, 250}, 12);
}

/* Centres at half pixels: stretching 0, 100 to four gives 0, 25, 75, 100, as OpenCV and PIL do. */
static void stretching_is_bilinear(void **state) {
    (void)state;
    uint8_t rgb[2 * 3] = {0, 0, 0, 100, 100, 100}, tall[4 * 3];
    const struct image im = {.rgb = rgb, .width = 2, .height = 1}, tall_image = {.rgb = tall, .width = 1, .height = 4};
    struct model_input in = input_of(4, 1);
    float out[12];
    prepare(&im, &in, out);
    floats_are(out, (const float[]){0, 0, 0, 25, 25, 25, 75, 75, 75, 100, 100, 100}, 12);

    for (size_t i = 0; i < 12; i++) tall[i] = (uint8_t)(10 * (i / 3)); /* rows of 0, 10, 20, 30 */
    in = input_of(1, 2);
    prepare(&tall_image, &in, out);
    floats_are(out, (const float[]){5, 5, 5, 25, 25, 25}, 6);
}

static void one_pixel_fills_the_input(void **state) {
    (void)state;
    uint8_t rgb[3] = {9, 8, 7};
    const struct image im = {.rgb = rgb, .width = 1, .height = 1};
    struct model_input in = input_of(2, 2);
    float out[12];
    prepare(&im, &in, out);
    floats_are(out, (const float[]){9, 8, 7, 9, 8, 7, 9, 8, 7, 9, 8, 7}, 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_peak_becomes_a_box, setup),
        cmocka_unit_test_setup(boxes_end_at_the_edge, setup),
        cmocka_unit_test_setup(only_peaks_count, setup),
        cmocka_unit_test_setup(the_threshold_is_part_of_what_stays, setup),
        cmocka_unit_test_setup(classes_are_filtered_before_all_else, setup),
        cmocka_unit_test_setup(broken_numbers_are_no_boxes, setup),
        cmocka_unit_test_setup(the_surer_of_two_stays, setup),
        cmocka_unit_test_setup(suppression_is_not_passed_on, setup),
        cmocka_unit_test_setup(counts_are_limited, setup),
        cmocka_unit_test(the_same_size_is_the_same_picture),
        cmocka_unit_test(stretching_is_bilinear),
        cmocka_unit_test(one_pixel_fills_the_input),
    };
    return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
