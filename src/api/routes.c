#include "api/routes.h"

#include <stddef.h>

#include "api/handlers.h"
#include "base/check.h"

/* The body limit of a route: a setting of that name, or one of the two that need none. SPOOLED: and a long body lies in
 * a file. PACKED: it is left as it came. */
#define LIMIT_SETTING(name) offsetof(struct conf, name)
#define SPOOLED(name) (LIMIT_SETTING(name) | SPOOL)
#define PACKED(name) (LIMIT_SETTING(name) | AS_IT_CAME)
enum { NO_BODY = -1, SMALL_BODY = -2, SMALL = 65536, SPOOL = 1 << 20, AS_IT_CAME = 1 << 21 };
_Static_assert(sizeof(struct conf) < SPOOL, "places in it leave the bits free");

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

    {"GET", "/openapi.json", get_openapi, NO_BODY, SHAPE_ERROR, CORS_ANY, "Every route, its parameters and answers"},

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
    {"POST", "/api/v1/:workspace/inferences/delete", post_inference_delete, LIMIT_SETTING(max_body_metadata),
     SHAPE_ERROR, CORS_NONE, "Delete inferences for ever, by id"},
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
    {"GET", "/api/v1/:workspace/pending", get_pending, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Metadata that waits for its inference, by age"},
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
    {"PATCH", "/api/v1/:workspace/inferences/:id/metadata", patch_metadata, SMALL_BODY, SHAPE_ERROR, CORS_NONE,
     "Set and remove several metadata fields of one inference in one write"},

    {"GET", "/api/v1/:workspace/shifts", get_shifts, NO_BODY, SHAPE_ERROR, CORS_NONE, "When shifts begin and end"},
    {"PUT", "/api/v1/:workspace/shifts", put_shifts, SMALL_BODY, SHAPE_ERROR, CORS_NONE, "Set the shifts"},
    {"GET", "/api/v1/:workspace/picture-capture", get_picture_capture, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Which pictures stock inference servers shall send"},
    {"PUT", "/api/v1/:workspace/picture-capture", put_picture_capture, SMALL_BODY, SHAPE_ERROR, CORS_NONE,
     "Set which pictures stock inference servers shall send"},
    {"GET", "/api/v1/:workspace/retention", get_retention, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "How long inferences are kept"},
    {"PUT", "/api/v1/:workspace/retention", put_retention, SMALL_BODY, SHAPE_ERROR, CORS_NONE,
     "Set how long inferences are kept"},
    {"GET", "/api/v1/:workspace/keys", get_keys, NO_BODY, SHAPE_ERROR, CORS_NONE, "The keys of the workspace"},
    {"POST", "/api/v1/:workspace/keys", post_key, SMALL_BODY, SHAPE_ERROR, CORS_NONE, "Make a key"},
    {"DELETE", "/api/v1/:workspace/keys/:id", delete_key, NO_BODY, SHAPE_ERROR, CORS_NONE, "Revoke a key"},
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
    {"GET", "/start/:project/:version", get_start, NO_BODY, SHAPE_MESSAGE, CORS_ANY, "Load a model"},
    {"GET", "/clear_cache", get_clear_cache, NO_BODY, SHAPE_MESSAGE, CORS_ANY,
     "Answers \"Cache Cleared\": there is none; unloads nothing"},
    {"POST", "/model/remove", post_model_remove, SMALL_BODY, SHAPE_MESSAGE, CORS_ANY,
     "Answers an empty registry; unloads nothing"},
    {"POST", "/model/clear", post_model_remove, SMALL_BODY, SHAPE_MESSAGE, CORS_ANY, "The same"},
    {"POST", "/infer/object_detection", post_infer, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "Object detection on one picture or several"},
    {"POST", "/infer/:task", post_infer, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "The same for instance_segmentation, keypoints_detection and classification"},

    /* What an inference server does and this one doesn't; the summary is what the caller is told. */
    {"POST", "/infer/lmm/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "Language models that see are not served here; ask an inference server that has them"},
    {"POST", "/infer/workflows/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "Workflows do not run here; run them on an inference server that reports here"},
    {"GET", "/workflows/*", not_served, NO_BODY, SHAPE_MESSAGE, CORS_ANY,
     "Workflow blocks are not described here; ask an inference server"},
    {"POST", "/workflows/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "Workflows do not run here; run them on an inference server that reports here"},
    {"POST", "/:owner/workflows/:id", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "Workflows do not run here; run them on an inference server that reports here"},
    {"POST", "/clip/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "CLIP is not served here; ask an inference server that has it"},
    {"POST", "/doctr/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "OCR (DocTR) is not served here; ask an inference server that has it"},
    {"POST", "/easy_ocr/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "OCR (EasyOCR) is not served here; ask an inference server that has it"},
    {"POST", "/ocr/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "OCR is not served here; ask an inference server that has it"},
    {"POST", "/sam/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "Segment Anything is not served here; ask an inference server that has it"},
    {"POST", "/sam2/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "Segment Anything 2 is not served here; ask an inference server that has it"},
    {"POST", "/sam3/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "Segment Anything 3 is not served here; ask an inference server that has it"},
    {"POST", "/yolo_world/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "YOLO-World is not served here; ask an inference server that has it"},
    {"POST", "/owlv2/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "OWLv2 is not served here; ask an inference server that has it"},
    {"POST", "/gaze/*", post_gaze, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "Gaze detection was withdrawn from inference servers, and is not served here"},
    {"GET", "/inference_pipelines/*", not_served, SMALL_BODY, SHAPE_MESSAGE, CORS_ANY,
     "Video pipelines do not run here; run them on an inference server that reports here"},
    {"POST", "/inference_pipelines/*", not_served, SMALL_BODY, SHAPE_MESSAGE, CORS_ANY,
     "Video pipelines do not run here; run them on an inference server that reports here"},
    {"GET", "/device/stats", get_device_stats, NO_BODY, SHAPE_ERROR, CORS_ANY,
     "404: there is no Docker here to ask; of devices tells /api/v1/:workspace/devices"},
    {"GET", "/logs", get_logs, NO_BODY, SHAPE_MESSAGE, CORS_ANY, "404: the log goes to standard error"},
    {"GET", "/notebook/start", not_served, NO_BODY, SHAPE_MESSAGE, CORS_ANY, "There is no notebook here"},

    {"GET", "/metrics", get_metrics, NO_BODY, SHAPE_MESSAGE, CORS_ANY,
     "Gauges and counters for Prometheus: inferences of the last 10 seconds, requests, store"},

    /* Inference, the hosted API's way; reserved first segments are 404. */
    {"GET", "/:project/:version", get_legacy, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "The same as POST; without a picture, the platform's dataset look-up"},
    {"POST", "/:project/:version", post_legacy, LIMIT_SETTING(max_body_inference), SHAPE_MESSAGE, CORS_ANY,
     "What the model does, on the picture in the body"},

    /* The platform's calls that go to the upstream (upstream.h). */
    {"GET", "/models/v1/external/stat", get_model_stat, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "What kind of model it is: one of ours, or from the upstream"},
    {"GET", "/models/v1/external/weights", get_model_weights, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Where a model's files are: one of ours, or from the upstream"},
    {"GET", "/models/v1/files", get_model_file, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "A file of a model of ours, by a signed URL from the answers around"},
    {"GET", "/ort/:project/:version", get_ort, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Where a model's files are, for older inference servers: one of ours, or from the upstream"},
    {"GET", "/getWeights", get_weights_by_name, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "The same for models by name: one of ours, or from the upstream"},
    {"GET", "/core_model/*", relay, NO_BODY, SHAPE_ERROR, CORS_NONE, "The same for core models; from the upstream"},
    {"GET", "/owlv2/*", relay, NO_BODY, SHAPE_ERROR, CORS_NONE, "The same for OWLv2; from the upstream"},
    {"GET", "/lora_bases", relay, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "The same for what adapters stand on; from the upstream"},
    {"GET", "/:owner/:dataset/:version", get_version, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "The type of a version's model: one of ours, or from the upstream"},
    {"GET", "/:owner/workflows/:id", relay_of_owner, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "A workflow's specification; from the upstream"},
    {"GET", "/:owner/:dataset/batches", relay_of_owner, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Batches of a dataset; from the upstream"},
    {"GET", "/:owner/:dataset/jobs", relay_of_owner, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "Annotation jobs of a dataset; from the upstream"},
    {"POST", "/:owner/:dataset/search", relay_of_owner, PACKED(max_body_inference), SHAPE_ERROR, CORS_NONE,
     "Search in a dataset; from the upstream"},
    {"POST", "/apiproxy/*", relay, PACKED(max_body_inference), SHAPE_ERROR, CORS_NONE,
     "What workflow blocks ask of language models, e-mail and text messages; from the upstream"},
    {"GET", "/proxy", any_proxy, NO_BODY, SHAPE_ERROR, CORS_NONE,
     "With ?url= any request of this table, for that URL's path (SECURE_GATEWAY)"},
    {"POST", "/proxy", any_proxy, NO_BODY, SHAPE_ERROR, CORS_NONE, "The same"},
    {"GET", "/webrtc_plans", not_served, NO_BODY, SHAPE_ERROR, CORS_NONE, "There are no WebRTC plans here"},
    {"GET", "/vision-events/*", not_served, NO_BODY, SHAPE_ERROR, CORS_NONE, "Vision Events are not served yet"},
    {"POST", "/vision-events/*", not_served, LIMIT_SETTING(max_body_inference), SHAPE_ERROR, CORS_NONE,
     "Vision Events are not served yet"},
    {"PUT", "/vision-events/*", not_served, SMALL_BODY, SHAPE_ERROR, CORS_NONE, "Vision Events are not served yet"},

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
    {"GET", "/:workspace/:dataset/active_learning", get_active_learning, NO_BODY, SHAPE_ERROR, CORS_ANY,
     "Whether, and of what, an inference server shall send pictures"},
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
            limit = (size_t) * (const uint64_t *)(const void *)((const char *)c + (row->limit & ~(long)(SPOOL | AS_IT_CAME)));
        routes[i] = (struct route){row->method, row->pattern, row->run,     limit,
                                   row->shape,  row->cors,    row->summary, row->limit > 0 && row->limit & SPOOL,
                                   row->limit > 0 && row->limit & AS_IT_CAME};
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
