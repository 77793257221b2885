#include "infer/alias.h"

/* before + one of the sizes + after is version `versions[size]` of the project. */
static const struct {
    const char *before, *sizes, *after, *project;
    int versions[6];
} families[] = {
    {"yolov8", "nsmlx", "-640", "coco", {3, 6, 8, 7, 5}},
    {"yolov8", "nsmlx", "-1280", "coco", {9, 10, 11, 12, 13}},
    {"yolov8", "nsmlx", "-seg-640", "coco-dataset-vdnr1", {2, 4, 5, 6, 3}},
    {"yolov8", "nsmlx", "-pose-640", "coco-pose-detection", {1, 2, 3, 4, 5}},
    {"yolov10", "nsmblx", "-640", "coco", {19, 20, 21, 22, 23, 24}},
    {"yolov11", "nsmlx", "-640", "coco", {25, 26, 27, 28, 29}},
    {"yolov11", "nsmlx", "-1280", "coco", {30, 31, 32, 33, 34}},
    {"yolov11", "nsmlx", "-seg-640", "coco-dataset-vdnr1", {19, 20, 21, 22, 23}},
    {"yolo11", "nsmlx", "-640", "coco", {25, 26, 27, 28, 29}},
    {"yolo11", "nsmlx", "-1280", "coco", {30, 31, 32, 33, 34}},
    {"yolo11", "nsmlx", "-seg-640", "coco-dataset-vdnr1", {19, 20, 21, 22, 23}},
    {"yolov26", "nsmlx", "-640", "coco", {41, 42, 43, 44, 45}},
    {"yolo26", "nsmlx", "-640", "coco", {41, 42, 43, 44, 45}},
};

static const struct {
    const char *name, *id;
} single[] = {
    {"rfdetr-base", "coco/36"},    {"rfdetr-nano", "coco/38"},   {"rfdetr-small", "coco/39"},
    {"rfdetr-medium", "coco/40"},  {"rfdetr-large", "coco/50"},  {"rfdetr-xlarge", "coco/47"},
    {"rfdetr-2xlarge", "coco/48"}, {"resnet18", "classifiers/1"}, {"resnet34", "classifiers/2"},
    {"resnet50", "classifiers/3"}, {"resnet101", "classifiers/4"},
};

struct str alias_resolve(struct str name, struct arena *a) {
    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
        if (str_is(name, single[i].name)) return str_of(single[i].id);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        struct str before = str_of(families[i].before);
        if (!str_starts(name, before) || name.n == before.n || !name.p[before.n]) continue;
        const char *size = strchr(families[i].sizes, name.p[before.n]);
        if (size && str_is(str_from(name, before.n + 1), families[i].after))
            return str_of(arena_printf(a, "%s/%d", families[i].project, families[i].versions[size - families[i].sizes]));
    }
    return name;
}
