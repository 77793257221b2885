/* One port serves the platform's calls, the inference server's, and our own; their paths collide. This table holds
 * which route answers where they do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/routes.h"

static const struct {
    const char *method, *path;
    const char *pattern; /* NULL: none */
    int status;
} collisions[] = {
    /* The start page and the key lookup are one route; its handler tells them apart by api_key. */
    {"GET", "/", "/", 200},
    {"POST", "/", "/", 200},
    {"HEAD", "//", "/", 200},
    {"PUT", "/", NULL, 405},

    /* The legacy route takes any two segments... */
    {"POST", "/coco/24", "/:project/:version", 200},
    {"GET", "/coco/24", "/:project/:version", 200},
    {"POST", "//coco//24/", "/:project/:version", 200},
    {"GET", "/demo/my-dataset", "/:project/:version", 200},
    {"DELETE", "/coco/24", NULL, 405},

    /* ...but the literal first segment wins, also against the legacy route's other method. */
    {"GET", "/model/registry", "/model/registry", 200},
    {"POST", "/model/add", "/model/add", 200},
    {"GET", "/model/add", NULL, 405},
    {"POST", "/model/registry", NULL, 405},
    {"POST", "/infer/object_detection", "/infer/object_detection", 200},
    {"POST", "/infer/classification", "/infer/:task", 200},
    {"GET", "/infer/object_detection", NULL, 405},

    /* Three segments: monitoring, never legacy. */
    {"POST", "/inference-stats", "/inference-stats", 200},
    {"POST", "//inference-stats/", "/inference-stats", 200},
    {"GET", "/inference-stats", NULL, 405},
    {"GET", "/demo/inference-stats", "/:workspace/inference-stats", 200},
    {"POST", "/usage/inference", "/usage/inference", 200},
    {"GET", "/usage/plan", "/usage/plan", 200},
    {"POST", "/demo/inference-stats", "/:workspace/inference-stats", 200},
    {"POST", "/inference-stats/inference-stats", "/:workspace/inference-stats", 200},
    {"POST", "/demo/inference-stats/metadata", "/:workspace/inference-stats/metadata", 200},
    {"GET", "/demo/inference-stats/metadata", NULL, 405},
    {"POST", "/demo/24/metadata", NULL, 405},
    {"POST", "/inference-stats/inference-stats/metadata", "/:workspace/inference-stats/metadata", 200},

    /* Own API: words before names, at every level. */
    {"POST", "/api/v1/session", "/api/v1/session", 200},
    {"GET", "/api/v1/server", "/api/v1/server", 200},
    {"GET", "/api/v1/demo/inferences", "/api/v1/:workspace/inferences", 200},
    {"GET", "/api/v1/session/inferences", "/api/v1/:workspace/inferences", 200},
    {"GET", "/api/v1/demo/inferences/count", "/api/v1/:workspace/inferences/count", 200},
    {"GET", "/api/v1/demo/inferences/some-id", "/api/v1/:workspace/inferences/:id", 200},
    {"GET", "/api/v1/demo/inferences/some-id/image", "/api/v1/:workspace/inferences/:id/image", 200},
    {"PUT", "/api/v1/demo/inferences/image/metadata/image", "/api/v1/:workspace/inferences/:id/metadata/:field", 200},
    {"POST", "/api/v1/demo/inferences/some-id", NULL, 405},
    {"GET", "/api/v1", "/:project/:version", 200}, /* whose handler knows that no project is called api */
    {"GET", "/api/v1/demo", "/:owner/:dataset/:version", 200}, /* the same */
    {"GET", "/api/v2/session", "/:owner/:dataset/:version", 200},
    {"POST", "/api/v1/demo", NULL, 405},
    {"GET", "/a/b/c/d", NULL, 404},

    /* What goes to the upstream stands behind what is ours. */
    {"GET", "/ort/coco/24", "/ort/:project/:version", 200},
    {"GET", "/models/v1/external/stat", "/models/v1/external/stat", 200},
    {"GET", "/acme/workflows/count", "/:owner/workflows/:id", 200},
    {"POST", "/acme/workflows/count", "/:owner/workflows/:id", 200},
    {"POST", "/workflows/run", "/workflows/*", 200},
    {"GET", "/acme/parts/batches", "/:owner/:dataset/batches", 200},
    {"GET", "/acme/workflows/batches", "/:owner/workflows/:id", 200},
    {"POST", "/apiproxy/openai/v1/chat", "/apiproxy/*", 200},
    {"POST", "/infer/workflows", "/infer/workflows/*", 200},
    {"POST", "/infer/workflows/acme/count", "/infer/workflows/*", 200},
    {"POST", "/infer/lmm/qwen", "/infer/lmm/*", 200},
    {"POST", "/infer/depth-estimation", "/infer/:task", 200},
    {"GET", "/owlv2/owlv2-large/1", "/owlv2/*", 200},
    {"POST", "/owlv2/infer", "/owlv2/*", 200},
    {"GET", "/proxy", "/proxy", 200},
    {"GET", "/inference_pipelines/abc/status", "/inference_pipelines/*", 200},

    {"GET", "/info", "/info", 200},
    {"HEAD", "/healthz", "/healthz", 200},
    {"POST", "/info", NULL, 405},
    {"GET", "/coco", NULL, 404},
    {"GET", "/Info", NULL, 404},
    {"get", "/info", NULL, 405},
};

static size_t split(const char *path, struct str *segments) {
    size_t count = 0;
    for (struct str rest = str_of(path); rest.n;) {
        str_cut(rest, '/', &segments[count], &rest);
        if (segments[count].n) count++;
    }
    return count;
}

static void test_collisions(void **state) {
    (void)state;
    struct conf c = {0};
    struct route routes[ROUTES_MOST];
    size_t count = routes_make(routes, &c);
    for (size_t i = 0; i < sizeof collisions / sizeof *collisions; i++) {
        struct str segments[HTTP_MAX_SEGMENTS];
        char allow[HTTP_ALLOW_SIZE];
        int status;
        size_t n = split(collisions[i].path, segments);
        const struct route *r =
            route_find(routes, count, str_of(collisions[i].method), segments, n, &status, allow, sizeof allow);
        bool same =
            r && collisions[i].pattern ? strcmp(r->pattern, collisions[i].pattern) == 0 : !r && !collisions[i].pattern;
        if (!same || status != collisions[i].status)
            fail_msg("%s %s: %d %s", collisions[i].method, collisions[i].path, status, r ? r->pattern : "no route");
    }
}

static void test_every_route_finds_itself(void **state) {
    (void)state;
    struct conf c = {0};
    struct route routes[ROUTES_MOST];
    size_t count = routes_make(routes, &c);
    for (size_t i = 0; i < count; i++) {
        struct str segments[HTTP_MAX_SEGMENTS];
        char allow[HTTP_ALLOW_SIZE];
        int status;
        size_t n = split(routes[i].pattern, segments);
        for (size_t k = 0; k < n; k++)
            if (segments[k].p[0] == ':' || segments[k].p[0] == '*') segments[k] = STR("0-no-word-of-ours");
        const struct route *r =
            route_find(routes, count, str_of(routes[i].method), segments, n, &status, allow, sizeof allow);
        if (r != &routes[i])
            fail_msg("%s %s is hidden by %s", routes[i].method, routes[i].pattern, r ? r->pattern : "nothing");
        assert_true(routes[i].summary[0]);
    }
}

static void test_no_workspace_takes_a_first_segment(void **state) {
    (void)state;
    static const char *const taken[] = {"api",     "API", "model",           "infer",        "info",
                                        "healthz", "ui",  "inference-stats", "vision-events"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (!routes_reserved(str_of(taken[i]))) fail_msg("%s", taken[i]);
    static const char *const free_names[] = {"default", "demo", "coco", "line-1", "api2", ""};
    for (size_t i = 0; i < sizeof free_names / sizeof *free_names; i++)
        if (routes_reserved(str_of(free_names[i]))) fail_msg("%s", free_names[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collisions),
        cmocka_unit_test(test_every_route_finds_itself),
        cmocka_unit_test(test_no_workspace_takes_a_first_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
