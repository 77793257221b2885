/* Drawing: where each primitive puts its pixels, and that nothing is put beyond the picture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/draw.h"

enum { WIDTH = 20, HEIGHT = 12, GUARD = 64 };
static uint8_t memory[GUARD + WIDTH * HEIGHT * 3 + GUARD];
static struct image im = {.rgb = memory + GUARD, .width = WIDTH, .height = HEIGHT};
static const struct draw_colour red = {200, 0, 0};

static int setup(void **state) {
    (void)state;
    memset(memory, 0, sizeof memory);
    return 0;
}

/* The picture is as drawn: '#' red, '+' half of it, '.' black; and nothing around it was touched. */
static void looks_like(const char *const rows[HEIGHT]) {
    for (size_t y = 0; y < HEIGHT; y++)
        for (size_t x = 0; x < WIDTH; x++) {
            const uint8_t *p = &im.rgb[(y * WIDTH + x) * 3];
            int expected = rows[y][x] == '#' ? 200 : rows[y][x] == '+' ? 100 : 0;
            if (p[0] != expected || p[1] || p[2]) fail_msg("pixel %zu, %zu is %d, expected %d", x, y, p[0], expected);
        }
    for (size_t i = 0; i < GUARD; i++) assert_true(memory[i] == 0 && memory[sizeof memory - 1 - i] == 0);
}

static void a_frame(void **state) {
    (void)state;
    draw_frame(&im, 3, 2, 9, 7, 1, red);
    draw_frame(&im, 14, 4, 18, 10, 2, red);
    looks_like((const char *const[]){"....................", "....................", "...######...........",
                                     "...#....#....######.", "...#....#....######.", "...#....#....##..##.",
                                     "...######....##..##.", ".............##..##.", ".............##..##.",
                                     ".............######.", ".............######.", "...................."});
}

static void a_frame_ends_at_the_edge(void **state) {
    (void)state;
    draw_frame(&im, -5, -5, 17, 30, 1, red);
    looks_like((const char *const[]){"................#...", "................#...", "................#...",
                                     "................#...", "................#...", "................#...",
                                     "................#...", "................#...", "................#...",
                                     "................#...", "................#...", "................#..."});
    draw_frame(&im, 1e9, 1e9, 2e9, 2e9, 100, red);
    draw_frame(&im, -1e9, -1e9, -9e8, -9e8, 100, red);
    assert_int_equal(im.rgb[0], 0);
}

static void a_polygon_is_mixed_in(void **state) {
    (void)state;
    static const struct draw_point dent[] = {{2, 1}, {12, 1}, {12, 3}, {6, 3}, {6, 5}, {12, 5}, {12, 7}, {2, 7}};
    static const struct draw_point beyond[] = {{18, 9}, {40, 9}, {40, 40}, {18, 40}};
    draw_polygon(&im, dent, 8, 0.5, 0, red);
    draw_polygon(&im, beyond, 4, 1, 0, red);
    draw_polygon(&im, dent, 2, 1, 1, red); /* two points are nothing */
    looks_like((const char *const[]){"....................", "..++++++++++........", "..++++++++++........",
                                     "..++++..............", "..++++..............", "..++++++++++........",
                                     "..++++++++++........", "....................", "....................",
                                     "..................##", "..................##", "..................##"});
}

static void a_disc(void **state) {
    (void)state;
    draw_disc(&im, 5, 5, 2, red);
    draw_disc(&im, 20, 12, 2, red);
    draw_disc(&im, -50, -50, 3, red);
    looks_like((const char *const[]){"....................", "....................", "....................",
                                     "....##..............", "...####.............", "...####.............",
                                     "....##..............", "....................", "....................",
                                     "....................", "...................#", "..................##"});
}

static void a_label_stays_inside(void **state) {
    (void)state;
    static const struct str texts[] = {STR("dog 90%"), STR("<&>\xff\"'"), STR("")};
    for (size_t i = 0; i < 3; i++) {
        draw_label(&im, 18, 2, 11, texts[i], red);
        for (size_t k = 0; k < GUARD; k++) assert_true(memory[k] == 0 && memory[sizeof memory - 1 - k] == 0);
        if (i == 2) break;
        /* A bar of the colour with something lighter on it, where the machine has a font. */
        size_t bar = 0, light = 0;
        for (size_t k = 0; k < WIDTH * HEIGHT; k++) {
            const uint8_t *p = &im.rgb[k * 3];
            bar += p[0] >= 200, light += p[1] > 100;
        }
        if (bar == 0) print_message("no font here: labels are not tested\n");
        assert_true(bar == 0 || light > 0);
        setup(NULL);
    }
}

static void colours_differ(void **state) {
    (void)state;
    for (size_t i = 0; i < 10; i++)
        for (size_t k = 0; k < i; k++) {
            struct draw_colour a = draw_palette(i), b = draw_palette(k);
            assert_true(abs(a.red - b.red) + abs(a.green - b.green) + abs(a.blue - b.blue) > 60);
        }
    assert_true(draw_palette(13).red == draw_palette(3).red);
}

int main(void) {
    struct err e;
    if (!image_start(&e)) return fprintf(stderr, "%s\n", e.msg), 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_frame, setup),
        cmocka_unit_test_setup(a_frame_ends_at_the_edge, setup),
        cmocka_unit_test_setup(a_polygon_is_mixed_in, setup),
        cmocka_unit_test_setup(a_disc, setup),
        cmocka_unit_test_setup(a_label_stays_inside, setup),
        cmocka_unit_test(colours_differ),
    };
    int failed = cmocka_run_group_tests_name("draw", tests, NULL, NULL);
    image_stop();
    return failed;
}
