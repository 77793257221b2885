#include "api/routes.h"

#include <stddef.h>

#include "api/handlers.h"
#include "base/check.h"

/* The body limit of a route: a setting of that name, or one of the two that need none. SPOOLED: and a long body lies in
 * a file. */
#define LIMIT_SETTING(name) offsetof(struct conf, name)
#define SPOOLED(name) (LIMIT_SETTING(name) | SPOOL)
enum { NO_BODY = -1, SMALL_BODY = -2, SMALL = 65536, SPOOL = 1 << 20 };
_Static_assert(sizeof(struct conf) < SPOOL, "places in it leave the bit free");

struct row {
    const char *method, *pattern;
    request_handler *run;
    long limit; /* NO_BODY, SMALL_BODY, or where in struct conf the limit stands */
    enum error_shape shape;
    enum cors cors;
    const char *summary;
};

static const struct row table[] = {
    /* Open without a key. */
    {"GET", "/", get_root, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "The start page; with ?api_key= the workspace that the key opens"},
    {"POST", "/", post_root, SMALL_BODY, SHAPE_ERROR, CORS_NONE, "The workspace that the key opens"},
    {"GET", "/info", get_info, NO_BODY, SHAPE_ERROR, CORS_ANY, "Name, version and id of this server"},
    {"GET", "/healthz", get_healthz, NO_BODY, SHAPE_ERROR, CORS_ANY, "200 as long as the program runs"},
    {"GET", "/readiness", get_readiness, NO_BODY, SHAPE_ERROR, CORS_ANY, "200 when writes are taken, else 503"},
    {"GET", "/readyz", get_readiness, NO_BODY, SHAPE_ERROR, CORS_ANY, "The same"},

    {"GET", "/ui/*", get_ui, NO_BODY, SHAPE_ERROR, CORS_NONE, "The dashboard"},

    /* Our own API. */
    {"GET", "/api/v1/session", get_session, NO_BODY, SHAPE_ERROR, CORS_NONE, "Who is signed in"},
    {"POST", "/api/v1/session", post_session, SMALL_BODY, SHAPE_ERROR, CORS_NONE, "Sign in: a key for a cookie"},
    {"DELETE", "/api/v1/session", delete_session, NO_BODY, SHAPE_ERROR, CORS_NONE, "Sign out"},
    {"GET", "/api/v1/server", get_server, NO_BODY, SHAPE_ERROR, CORS_NONE, "Where and how this server listens"},
    {"DELETE", "/api/v1/first-key", delete_first_key, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Remove the file DATA/first-key"},
    {"POST", "/api/v1/:workspace/inferences", post_inferences, LIMIT_SETTING(max_body_ingest), SHAPE_ERROR, CORS_NONE,
     "Store inferences that were computed elsewhere"},
    {"GET", "/api/v1/:workspace/inferences", get_inferences, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Inferences, newest first"},
    {"GET", "/api/v1/:workspace/inferences/count", get_inference_count, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "How many inferences a filter finds"},
    {"GET", "/api/v1/:workspace/inferences/:id", get_inference, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "One inference, with the history of its metadata"},
    {"GET", "/api/v1/:workspace/inferences/:id/image", get_inference_image, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Its picture, where one was kept"},
    {"GET", "/api/v1/:workspace/inferences/:id/thumbnail", get_inference_thumbnail, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "A small JPEG of its picture"},
    {"GET", "/api/v1/:workspace/inferences/:id/annotation", get_inference_annotation, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "What was said of a picture that was uploaded for it: a prediction as JSON"},
    {"GET", "/api/v1/:workspace/fields", get_fields, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "The metadata fields, and what waits for its inference"},
    {"GET", "/api/v1/:workspace/devices", get_devices, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Devices and the inference servers on them, when they were last heard of, and what they run"},
    {"GET", "/api/v1/:workspace/errors", get_errors, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Failed inferences that servers reported, by model, host, type and time"},
    {"GET", "/api/v1/:workspace/set-aside", get_set_aside, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Reported items that could not be stored, with the reason"},
    {"GET", "/api/v1/:workspace/stats", get_stats, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Statistics of a time range, and of the one before it or another one"},
    {"GET", "/api/v1/:workspace/facets", get_facets, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "The most frequent values of columns and metadata fields"},
    {"POST", "/api/v1/:workspace/query", post_query, SMALL_BODY, SHAPE_ERROR, CORS_NONE,
     "Any question: groups, counts, lists and facets as a plan in JSON"},
    {"PUT", "/api/v1/:workspace/inferences/:id/metadata/:field", put_metadata, SMALL_BODY, SHAPE_ERROR, CORS_NONE,
     "Set one metadata field of one inference"},
    {"DELETE", "/api/v1/:workspace/inferences/:id/metadata/:field", delete_metadata, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Remove one metadata field of one inference"},

    {"GET", "/api/v1/:workspace/shifts", get_shifts, NO_BODY, SHAPE_ERROR, CORS_NONE, "When shifts begin and end"},
    {"PUT", "/api/v1/:workspace/shifts", put_shifts, SMALL_BODY, SHAPE_ERROR, CORS_NONE, "Set the shifts"},
    {"GET", "/api/v1/:workspace/views", get_saved_views, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "The views of the dashboard that were given a name"},
    {"POST", "/api/v1/:workspace/views", post_saved_view, SMALL_BODY, SHAPE_ERROR, CORS_NONE, "Save a view"},
    {"PUT", "/api/v1/:workspace/views/:id", put_saved_view, SMALL_BODY, SHAPE_ERROR, CORS_NONE, "Change a view"},
    {"DELETE", "/api/v1/:workspace/views/:id", delete_saved_view, NO_BODY, SHAPE_ERROR, CORS_NONE, "Remove a view"},
    {"GET", "/api/v1/:workspace/markers", get_markers, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Marks on the time axis, also when a version of a model was first seen"},
    {"POST", "/api/v1/:workspace/markers", post_marker, SMALL_BODY, SHAPE_ERROR, CORS_NONE, "Set a marker"},
    {"PUT", "/api/v1/:workspace/markers/:id", put_marker, SMALL_BODY, SHAPE_ERROR, CORS_NONE, "Change a marker"},
    {"DELETE", "/api/v1/:workspace/markers/:id", delete_marker, NO_BODY, SHAPE_ERROR, CORS_NONE, "Remove a marker"},
    {"GET", "/api/v1/:workspace/activity", get_activity, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Who attached, reviewed, deleted or changed what, and when"},

    /* Inference, the SDK's v1 way. */
    {"GET", "/model/registry", get_registry, NO_BODY, SHAPE_MESSAGE, CORS_ANY, "The models that were asked for"},
    {"POST", "/model/add", post_model_add, SMALL_BODY, SHAPE_MESSAGE, CORS_ANY, "Load a model"},
    {"POST", "/model/remove", post_model_remove, SMALL_BODY, SHAPE_MESSAGE, CORS_ANY,
     "Answers an empty registry; unloads nothing"},
    {"POST", "/model/clear", post_model_remove, SMALL_BODY, SHAPE_MESSAGE, CORS_ANY, "The same"},
    {"POST", "/infer/object_detection", post_infer, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "Object detection on one picture or several"},
    {"POST", "/infer/:task", post_infer, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "The same for instance_segmentation, keypoints_detection and classification"},

    {"GET", "/metrics", get_metrics, NO_BODY, SHAPE_MESSAGE, CORS_ANY,
     "Gauges and counters for Prometheus: inferences of the last 10 seconds, requests, store"},

    /* Inference, the hosted API's way; reserved first segments are 404. */
    {"GET", "/:project/:version", get_legacy, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "The same as POST; without a picture, the platform's dataset look-up"},
    {"POST", "/:project/:version", post_legacy, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "What the model does, on the picture in the body"},

    /* The platform's monitoring calls. */
    {"POST", "/inference-stats", post_pingback, SPOOLED(max_body_pingback), SHAPE_ERROR, CORS_NONE,
     "What an inference server reports of itself and its inferences"},
    {"POST", "/usage/inference", post_usage, LIMIT_SETTING(max_body_metadata), SHAPE_ERROR, CORS_ANY,
     "What an inference server counted; failures are kept"},
    {"GET", "/usage/plan", get_usage_plan, NO_BODY, SHAPE_ERROR, CORS_ANY, "No quotas"},
    {"GET", "/:workspace/inference-stats", get_monitoring, NO_BODY, SHAPE_ERROR, CORS_ANY,
     "Statistics of Model Monitoring: by model and predicted class"},
    {"POST", "/:workspace/inference-stats", post_report, SPOOLED(max_body_pingback), SHAPE_ERROR, CORS_NONE,
     "What a workflow reports of its inferences"},
    {"POST", "/v2/events", post_event, LIMIT_SETTING(max_body_inference), SHAPE_DETAIL, CORS_NONE,
     "What a workflow sends to a local event store"},
    {"POST", "/:workspace/inference-stats/metadata", post_metadata, LIMIT_SETTING(max_body_metadata), SHAPE_ERROR,
     CORS_ANY, "Attach metadata to inferences by id"},
    {"POST", "/dataset/:project/upload", post_upload, LIMIT_SETTING(max_body_upload), SHAPE_ERROR, CORS_ANY,
     "A picture of an inference, before it or after it"},
    {"POST", "/dataset/:project/annotate/:image", post_annotate, LIMIT_SETTING(max_body_upload), SHAPE_ERROR, CORS_ANY,
     "What was predicted on an uploaded picture"},
    {"POST", "/:workspace/images/:image/metadata", post_image_metadata, SMALL_BODY, SHAPE_ERROR, CORS_ANY,
     "Metadata and tags of the inference behind an uploaded picture"},
    {"POST", "/:workspace/images/metadata", post_images_metadata, LIMIT_SETTING(max_body_metadata), SHAPE_ERROR,
     CORS_ANY, "The same of many pictures"},
};
enum { COUNT = sizeof table / sizeof *table };
_Static_assert((int)COUNT <= (int)ROUTES_MOST, "the table fits");

/* First segments of the wire protocol that this program does not serve: no workspace may stand in their way. */
static const char *const protocol[] = {
    "_next",
    "apiproxy",
    "app",
    "assets",
    "clear_cache",
    "clip",
    "core_model",
    "dataset",
    "device",
    "docs",
    "doctr",
    "easy_ocr",
    "favicon",
    "getWeights",
    "infer",
    "inference_pipelines",
    "inference-stats",
    "logs",
    "lora_bases",
    "model",
    "models",
    "notebook",
    "ocr",
    "ort",
    "owlv2",
    "proxy",
    "redoc",
    "sam",
    "sam2",
    "sam3",
    "serverless",
    "start",
    "static",
    "ui",
    "usage",
    "v2",
    "vision-events",
    "workflows",
    "yolo_world",
};

size_t routes_make(struct route routes[ROUTES_MOST], const struct conf *c) {
    for (size_t i = 0; i < COUNT; i++) {
        const struct row *row = &table[i];
        size_t limit = row->limit == NO_BODY ? 0 : SMALL;
        if (row->limit >= 0)
            limit = (size_t) * (const uint64_t *)(const void *)((const char *)c + (row->limit & ~(long)SPOOL));
        routes[i] = (struct route){row->method, row->pattern, row->run,     limit,
                                   row->shape,  row->cors,    row->summary, row->limit > 0 && row->limit & SPOOL};
    }
    return COUNT;
}

bool routes_reserved(struct str slug) {
    for (size_t i = 0; i < sizeof protocol / sizeof *protocol; i++)
        if (str_eq_nocase(slug, str_of(protocol[i]))) return true;
    for (size_t i = 0; i < COUNT; i++) {
        struct str first, rest;
        str_cut(str_of(table[i].pattern + 1), '/', &first, &rest);
        if (first.n && first.p[0] != ':' && str_eq_nocase(slug, first)) return true;
    }
    return false;
}

void routes_print_markdown(FILE *to) {
    fprintf(to, "# Routes\n\nGenerated from the table in `src/api/routes.c` by `make docs`; do not edit.\n\n"
                "| method | path | what it does |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < COUNT; i++)
        fprintf(to, "| %s | `%s` | %s |\n", table[i].method, table[i].pattern, table[i].summary);
}
