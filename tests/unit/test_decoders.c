/* The decoders of common exports on hand-made outputs: YOLO tables and masks, DETR queries, poses; and how a picture is
 * laid in the input and results are taken back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/decode_detr.h"
#include "infer/decode_mask.h"
#include "infer/decode_pose.h"
#include "infer/decode_yolo.h"
#include "infer/prepare.h"

static struct decode_options all;
/* The input is 64 x 64, and so is the picture. */
static const struct decode_frame same = {.width = 64, .height = 64, .scale_x = 1, .scale_y = 1};

static int setup(void **state) {
    (void)state;
    all = (struct decode_options){
        .confidence = 0.1, .iou_threshold = 0.5, .max_candidates = 100, .max_detections = 100};
    return 0;
}

static void box_is(const struct decode_box *b, unsigned class_id, double confidence, double x, double y, double width,
                   double height) {
    assert_int_equal(b->class_id, class_id);
    assert_float_equal(b->confidence, confidence, 1e-6);
    assert_float_equal(b->x, x, 1e-5);
    assert_float_equal(b->y, y, 1e-5);
    assert_float_equal(b->width, width, 1e-5);
    assert_float_equal(b->height, height, 1e-5);
}

/* ---- yolo ---- */

enum { ANCHORS = 5, CLASSES = 3, CHANNELS = 4 + CLASSES + 6 }; /* two keypoints of three numbers, or six coefficients */
static const float anchors[ANCHORS][CHANNELS] = {
    {20, 20, 10, 20, 0.1f, 0.9f, 0.2f, 18, 19, 0.8f, 70, -3, 0.3f},
    {21, 20, 10, 20, 0.1f, 0.8f, 0.2f, 0, 0, 0, 0, 0, 0}, /* nearly the same box */
    {21, 20, 10, 20, 0.7f, 0.6f, 0.2f, 0, 0, 0, 0, 0, 0}, /* again, but surer to be another class */
    {60, 60, 20, 20, 0.0f, 0.0f, 0.5f, 0, 0, 0, 0, 0, 0}, /* reaches over the edge */
    {40, 40, 10, 10, 0.05f, 0.0f, NAN, 0, 0, 0, 0, 0, 0},
};
static float turned[CHANNELS][ANCHORS];

static struct decode_table table(bool as_columns) {
    for (size_t a = 0; a < ANCHORS; a++)
        for (size_t c = 0; c < CHANNELS; c++) turned[c][a] = anchors[a][c];
    return (struct decode_table){.data = as_columns ? &turned[0][0] : &anchors[0][0],
                                 .anchors = ANCHORS,
                                 .channels = CHANNELS,
                                 .classes = CLASSES,
                                 .anchor_step = as_columns ? 1 : CHANNELS,
                                 .channel_step = as_columns ? ANCHORS : 1};
}

static void anchors_become_boxes_either_way_round(void **state) {
    (void)state;
    for (int as_columns = 0; as_columns < 2; as_columns++) {
        const struct decode_table t = table(as_columns);
        size_t n;
        struct decode_box *b = decode_yolo(&t, &all, &same, &n);
        assert_int_equal(n, 3);
        box_is(&b[0], 1, 0.9, 20, 20, 10, 20);
        box_is(&b[1], 0, 0.7, 21, 20, 10, 20);
        box_is(&b[2], 2, 0.5, 57, 57, 14, 14);
        assert_true(b[0].source == 0 && b[1].source == 2 && b[2].source == 3);
        free(b);
    }
}

static void an_anchor_stands_for_its_best_class(void **state) {
    (void)state;
    static const bool only_middle[CLASSES] = {false, true, false};
    const struct decode_table t = table(true);
    size_t n;
    all.classes = only_middle;
    struct decode_box *b = decode_yolo(&t, &all, &same, &n);
    assert_int_equal(n, 1); /* anchor 2 is no box of the middle class, though it scores 0.6 there */
    box_is(&b[0], 1, 0.9, 20, 20, 10, 20);
    free(b);
    all.classes = NULL;
    all.class_agnostic_nms = true;
    free(decode_yolo(&t, &all, &same, &n));
    assert_int_equal(n, 2);
    all.confidence = 0.90001;
    free(decode_yolo(&t, &all, &same, &n));
    assert_int_equal(n, 0);
}

static void keypoints_of_an_anchor(void **state) {
    (void)state;
    const struct decode_table t = table(true);
    struct decode_point p[3];
    decode_yolo_points(&t, &same, 0, 2, 3, p);
    assert_true(p[0].x == 18 && p[0].y == 19 && fabs(p[0].confidence - 0.8) < 1e-6);
    assert_true(p[1].x == 64 && p[1].y == 0 && fabs(p[1].confidence - 0.3) < 1e-6); /* at the nearest place inside */
    decode_yolo_points(&t, &same, 0, 3, 2, p);
    assert_true(p[0].x == 18 && p[0].y == 19 && p[0].confidence == 1);
    assert_true(fabs(p[1].x - 0.8) < 1e-6 && p[1].y == 64);
}

static void boxes_of_a_letterbox_are_taken_back(void **state) {
    (void)state;
    /* A picture of 320 x 160 lies in the input as 64 x 32, 16 lines below the top. */
    const struct model_input in = {.width = 64, .height = 64, .resize = MODEL_LETTERBOX};
    const struct decode_frame f = prepare_frame(320, 160, &in);
    const struct decode_table t = table(true);
    size_t n;
    struct decode_box *b = decode_yolo(&t, &all, &f, &n);
    assert_int_equal(n, 2);
    box_is(&b[0], 1, 0.9, 100, 35, 50, 70); /* 10..30 is -30..70, and the picture begins at 0 */
    free(b);                                /* what lies in the band below is no box */
}

/* ---- detr ---- */

static const float detr_boxes[3][4] = {{0.5f, 0.5f, 0.25f, 0.5f}, {0.5f, 0.5f, 0.25f, 0.5f}, {0.9f, 0.9f, 0.4f, 0.4f}};

static void queries_with_sigmoid(void **state) {
    (void)state;
    static const float logits[3][2] = {{0, 1.0986123f}, {-9, -9}, {-9, 0}}; /* 0.5 and 0.75; nothing; 0.5 */
    const struct decode_queries q = {.queries = 3, .classes = 2, .logits = &logits[0][0], .boxes = &detr_boxes[0][0],
                                     .width = 64, .height = 64};
    size_t n;
    struct decode_box *b = decode_detr(&q, &all, &same, &n);
    assert_int_equal(n, 3); /* of the same place too: nothing is suppressed */
    box_is(&b[0], 1, 0.75, 32, 32, 16, 32);
    box_is(&b[1], 0, 0.5, 32, 32, 16, 32);
    box_is(&b[2], 1, 0.5, 54.4, 54.4, 19.2, 19.2);
    assert_true(b[0].source == 0 && b[2].source == 2);
    free(b);
    all.max_detections = 1;
    free(decode_detr(&q, &all, &same, &n));
    assert_int_equal(n, 1);
}

static void queries_with_softmax(void **state) {
    (void)state;
    static const float logits[3][3] = {{0, 1.0986123f, 0}, {0, 0, 9}, {2000, 0, 0}}; /* 0.2 0.6 0.2; no object; 1 */
    const struct decode_queries q = {.queries = 3, .classes = 2, .logits = &logits[0][0], .boxes = &detr_boxes[0][0],
                                     .width = 64, .height = 64, .softmax = true};
    size_t n;
    struct decode_box *b = decode_detr(&q, &all, &same, &n);
    assert_int_equal(n, 2);
    assert_true(b[0].class_id == 0 && b[0].confidence == 1 && b[0].source == 2);
    box_is(&b[1], 1, 0.6, 32, 32, 16, 32);
    free(b);
}

static void scores_of_logits(void **state) {
    (void)state;
    double out[2];
    decode_softmax((const float[]){-1000, -1000}, 2, out);
    assert_true(out[0] == 0.5 && out[1] == 0.5);
    decode_sigmoid((const float[]){1000, -1000}, 2, out);
    assert_true(out[0] == 1 && out[1] == 0);
}

/* ---- movenet ---- */

static void one_pose(void **state) {
    (void)state;
    static const float data[4][3] = {{0.25f, 0.5f, 0.9f}, {0.75f, 0.25f, 0.5f}, {0.0f, 0.0f, 0.1f}, {0.5f, 1.0f, 0.5f}};
    const struct decode_poses p = {.data = &data[0][0], .rows = 1, .keypoints = 4, .width = 64, .height = 64};
    struct decode_point points[4];
    size_t n;
    struct decode_box *b = decode_movenet(&p, &all, &same, &n);
    assert_int_equal(n, 1);
    box_is(&b[0], 0, 0.5, 40, 32, 48, 32); /* the third, which is not seen, is not in it */
    decode_movenet_points(&p, &same, b[0].source, points);
    assert_true(points[0].x == 32 && points[0].y == 16 && fabs(points[0].confidence - 0.9) < 1e-6);
    free(b);
    all.confidence = 0.51;
    free(decode_movenet(&p, &all, &same, &n));
    assert_int_equal(n, 0);
}

static void nobody(void **state) {
    (void)state;
    static const float data[2][3] = {{0.25f, 0.5f, 0.9f}, {0.75f, 0.25f, 0.1f}};
    const struct decode_poses p = {.data = &data[0][0], .rows = 1, .keypoints = 2, .width = 64, .height = 64};
    size_t n;
    free(decode_movenet(&p, &all, &same, &n));
    assert_int_equal(n, 0);
}

static void several_poses(void **state) {
    (void)state;
    static const float data[2][3 + 5] = {{0.5f, 0.25f, 0.9f, 0.25f, 0.0f, 0.75f, 0.5f, 0.3f},
                                         {0.5f, 0.75f, 0.8f, 0.0f, 0.5f, 0.5f, 1.0f, 0.6f}};
    const struct decode_poses p = {.data = &data[0][0], .rows = 2, .keypoints = 1, .multiple = true, .width = 64,
                                   .height = 64};
    struct decode_point point;
    size_t n;
    struct decode_box *b = decode_movenet(&p, &all, &same, &n);
    assert_int_equal(n, 2);
    box_is(&b[0], 0, 0.6, 48, 16, 32, 32);
    box_is(&b[1], 0, 0.3, 16, 32, 32, 32);
    decode_movenet_points(&p, &same, b[0].source, &point);
    assert_true(point.x == 48 && point.y == 32);
    free(b);
}

/* ---- masks ---- */

enum { SIDE = 8 }; /* protos of 8 x 8 over the input of 64 x 64 */
static float protos[2][SIDE][SIDE];
static const struct decode_protos whole = {.data = &protos[0][0][0], .count = 2, .rows = SIDE, .columns = SIDE,
                                           .input_width = 64, .input_height = 64};
static const struct decode_box everything = {.x = 32, .y = 32, .width = 64, .height = 64};

/* '#' is inside. */
static void draw(const char *const rows[SIDE]) {
    for (size_t y = 0; y < SIDE; y++)
        for (size_t x = 0; x < SIDE; x++) {
            protos[0][y][x] = rows[y][x] == '#' ? 3 : -1;
            protos[1][y][x] = -2; /* whose coefficient is a half: both together 2 and -2 */
        }
}
static const float coefficients[2] = {1, 0.5f};

static void outline_is(const struct decode_mask *m, const struct decode_frame *f, const double (*expected)[2], size_t count) {
    size_t n;
    struct decode_point *p = decode_outline(m, f, &n);
    assert_int_equal(n, count);
    for (size_t i = 0; i < n; i++)
        if (fabs(p[i].x - expected[i][0]) > 1e-9 || fabs(p[i].y - expected[i][1]) > 1e-9)
            fail_msg("corner %zu is %g, %g", i, p[i].x, p[i].y);
    free(p);
}

static void the_outline_of_the_largest_region(void **state) {
    (void)state;
    static const char *const rows[SIDE] = {"#.......", "........", "..##....", "..#.#...",
                                           "..##....", "........", "........", ".......#"};
    draw(rows);
    struct decode_mask m = decode_mask(&whole, coefficients, &everything, &same, 0);
    assert_int_equal(m.width, 8);
    /* The cell that only touches a corner is another region; the dent is followed. */
    const double expected[][2] = {{16, 16}, {32, 16}, {32, 24}, {24, 24}, {24, 32}, {32, 32}, {32, 40}, {16, 40}};
    outline_is(&m, &same, expected, 8);
    const struct decode_frame f = {.width = 128, .height = 24, .shift_y = 16, .scale_x = 2, .scale_y = 1};
    const double taken_back[][2] = {{32, 0}, {64, 0}, {64, 8}, {48, 8}, {48, 16}, {64, 16}, {64, 24}, {32, 24}};
    outline_is(&m, &f, taken_back, 8);
    free(m.cells);
}

static void a_hole_is_left_out(void **state) {
    (void)state;
    static const char *const rows[SIDE] = {"........", ".####...", ".#..#...", ".#..#...",
                                           ".####...", "........", "........", "........"};
    draw(rows);
    struct decode_mask m = decode_mask(&whole, coefficients, &everything, &same, 0);
    const double expected[][2] = {{8, 8}, {40, 8}, {40, 40}, {8, 40}};
    outline_is(&m, &same, expected, 4);
    free(m.cells);
}

static void a_mask_ends_at_its_box(void **state) {
    (void)state;
    static const char *const rows[SIDE] = {"########", "########", "########", "########",
                                           "########", "########", "########", "########"};
    draw(rows);
    const struct decode_box box = {.x = 20, .y = 36, .width = 16, .height = 10}; /* 12..28, 31..41 */
    struct decode_mask m = decode_mask(&whole, coefficients, &box, &same, 0);
    const double coarse[][2] = {{8, 32}, {24, 32}, {24, 40}, {8, 40}}; /* the cells whose middles are in the box */
    outline_is(&m, &same, coarse, 4);
    free(m.cells);
    m = decode_mask(&whole, coefficients, &box, &same, 1);
    const double fine[][2] = {{12, 31}, {28, 31}, {28, 41}, {12, 41}};
    outline_is(&m, &same, fine, 4);
    free(m.cells);
}

static void modes_differ_in_the_grid(void **state) {
    (void)state;
    static const char *const rows[SIDE] = {"........", "........", "...##...", "...##...",
                                           "........", "........", "........", "........"};
    static const double sides[3] = {8, 36, 64}; /* cells across */
    draw(rows);
    for (int i = 0; i < 3; i++) {
        struct decode_mask m = decode_mask(&whole, coefficients, &everything, &same, i / 2.0);
        assert_true(m.width == (size_t)sides[i] && m.height == (size_t)sides[i]);
        size_t cells = 0;
        for (size_t k = 0; k < m.width * m.height; k++) cells += m.cells[k];
        /* Bilinear between 2 inside and -2 outside crosses 0 at the edge, less what the corners lose. */
        double area = (double)cells * m.cell_width * m.cell_height;
        assert_true(i == 0 ? area == 256 : area > 200 && area < 256);
        free(m.cells);
    }
}

static void nothing_inside(void **state) {
    (void)state;
    size_t n = 9;
    for (size_t i = 0; i < sizeof protos / sizeof(float); i++) (&protos[0][0][0])[i] = 0; /* not over 0 */
    struct decode_mask m = decode_mask(&whole, coefficients, &everything, &same, 0);
    assert_null(decode_outline(&m, &same, &n));
    assert_int_equal(n, 0);
    struct buf runs = {0};
    const struct decode_frame small = {.width = 4, .height = 5, .scale_x = 4.0 / 64, .scale_y = 5.0 / 64};
    decode_runs(&m, &small, &runs);
    assert_true(str_is(buf_str(&runs), "d0")); /* one run of 20 zeros: 20 is 10100, with bit 5 as the sign another 0 */
    buf_free(&runs);
    free(m.cells);
    const struct decode_box empty = {.x = 32, .y = 32, .width = 0.1, .height = 0.1};
    m = decode_mask(&whole, coefficients, &empty, &same, 0);
    assert_true(m.width * m.height == 0);
    assert_null(decode_outline(&m, &same, &n));
    free(m.cells);
}

/* Reads run lengths by the COCO API's rule, written down apart. */
static size_t unpack(struct str s, int64_t *runs) {
    size_t count = 0;
    for (size_t i = 0; i < s.n;) {
        int64_t v = 0;
        int shift = 0;
        bool more = true;
        while (more) {
            int64_t c = s.p[i++] - 48;
            v |= (c & 31) << shift;
            shift += 5;
            more = c & 32;
            if (!more && (c & 16)) v -= 1LL << shift;
        }
        if (count > 2) v += runs[count - 2];
        runs[count++] = v;
    }
    return count;
}

static void run_lengths_go_column_by_column(void **state) {
    (void)state;
    static const char *const rows[SIDE] = {"........", ".##.....", ".##.....", ".#......",
                                           "........", "........", "........", ".......#"};
    draw(rows);
    struct decode_mask m = decode_mask(&whole, coefficients, &everything, &same, 0);
    const struct decode_frame f = {.width = 8, .height = 8, .scale_x = 1.0 / 8, .scale_y = 1.0 / 8};
    static const int64_t expected[] = {9, 3, 5, 2, 44, 1};
    struct buf text = {0};
    int64_t runs[64];
    decode_runs(&m, &f, &text);
    assert_int_equal(unpack(buf_str(&text), runs), 6);
    assert_memory_equal(runs, expected, sizeof expected);
    /* Of the COCO API: 9 3 5, then 2 - 3, 44 - 5, 1 - 2. */
    assert_true(str_is(buf_str(&text), "935OW1O"));
    text.n = 0;
    decode_runs(&m, &same, &text); /* each pixel of the 64 x 64 picture */
    size_t n = unpack(buf_str(&text), runs);
    int64_t sum = 0, inside = 0;
    for (size_t i = 0; i < n; i++) sum += runs[i], inside += i % 2 ? runs[i] : 0;
    assert_int_equal(sum, 64 * 64);
    assert_int_equal(inside, 6 * 64);
    buf_free(&text);
    free(m.cells);
}

/* ---- how the picture lies ---- */

static void a_letterbox_is_filled_with_grey(void **state) {
    (void)state;
    uint8_t rgb[2 * 3] = {10, 20, 30, 40, 50, 60};
    const struct image im = {.rgb = rgb, .width = 2, .height = 1};
    const struct model_input in = {.width = 2, .height = 4, .scale = {1, 1, 1}, .resize = MODEL_LETTERBOX, .pad = 114};
    float out[2 * 4 * 3];
    prepare(&im, &in, out);
    for (size_t i = 0; i < 24; i++) /* one line too many: the smaller part comes first */
        assert_float_equal(out[i], (i / 6 == 1 ? (float)rgb[i % 6] : 114), 1e-4);
    const struct decode_frame f = prepare_frame(2, 1, &in);
    assert_true(f.shift_x == 0 && f.shift_y == 1 && f.scale_x == 1 && f.scale_y == 1);
}

static void what_stands_out_is_cut_off(void **state) {
    (void)state;
    uint8_t rgb[4 * 2 * 3];
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)i;
    const struct image im = {.rgb = rgb, .width = 4, .height = 2};
    const struct model_input in = {.width = 2, .height = 2, .scale = {1, 1, 1}, .resize = MODEL_CROP};
    float out[2 * 2 * 3];
    prepare(&im, &in, out);
    for (size_t y = 0; y < 2; y++)
        for (size_t i = 0; i < 6; i++) assert_float_equal(out[y * 6 + i], (float)rgb[y * 12 + 3 + i], 1e-4);
    const struct decode_frame f = prepare_frame(4, 2, &in);
    assert_true(f.shift_x == -1 && f.shift_y == 0 && f.scale_x == 1 && f.scale_y == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(anchors_become_boxes_either_way_round, setup),
        cmocka_unit_test_setup(an_anchor_stands_for_its_best_class, setup),
        cmocka_unit_test_setup(keypoints_of_an_anchor, setup),
        cmocka_unit_test_setup(boxes_of_a_letterbox_are_taken_back, setup),
        cmocka_unit_test_setup(queries_with_sigmoid, setup),
        cmocka_unit_test_setup(queries_with_softmax, setup),
        cmocka_unit_test(scores_of_logits),
        cmocka_unit_test_setup(one_pose, setup),
        cmocka_unit_test_setup(nobody, setup),
        cmocka_unit_test_setup(several_poses, setup),
        cmocka_unit_test(the_outline_of_the_largest_region),
        cmocka_unit_test(a_hole_is_left_out),
        cmocka_unit_test(a_mask_ends_at_its_box),
        cmocka_unit_test(modes_differ_in_the_grid),
        cmocka_unit_test(nothing_inside),
        cmocka_unit_test(run_lengths_go_column_by_column),
        cmocka_unit_test(a_letterbox_is_filled_with_grey),
        cmocka_unit_test(what_stands_out_is_cut_off),
    };
    return cmocka_run_group_tests_name("decoders", tests, NULL, NULL);
}
