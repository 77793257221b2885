/* infer: model folders, whole and broken; the queue; and the real network on a real photo, which needs the demo model
 * (build/models, or the folder in SIGHTGLASS_MODELS) and Debian's darknet photos; without them those tests are
 * skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "infer/infer.h"

#define PHOTO "/usr/share/darknet/data/dog.jpg"

static const struct image_limits limits = {.max_bytes = 8 << 20, .max_pixels = 100 * 1000 * 1000};

/* ---- a folder of models ---- */

static char root[64];

static void path_of(const char *folder, const char *file, char out[300]) {
    snprintf(out, 300, "%s/%s%s%s", root, folder, *file ? "/" : "", file);
}

static void write_file(const char *folder, const char *file, const char *text) {
    char path[300];
    path_of(folder, "", path);
    mkdir(path, 0700);
    path_of(folder, file, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int setup(void **state) {
    (void)state;
    snprintf(root, sizeof root, "/tmp/sightglass-models-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    static const char *const folders[] = {"a", "b", "c"}, *const files[] = {"model.json", "model.onnx"};
    char path[300];
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 2; j++) path_of(folders[i], files[j], path), unlink(path);
        path_of(folders[i], "", path), rmdir(path);
    }
    return rmdir(root);
}

/* A description that is right, with one piece exchanged. */
static const char right[] =
    "{\"name\": \"Test\", \"ids\": [\"t/1\", \"t/2\"], \"aliases\": [\"t-small\"], \"task\": \"object-detection\", "
    "\"classes\": [\"cat\", \"dog\"], \"input\": {\"name\": \"in\", \"width\": 64, \"height\": 32, "
    "\"layout\": \"nchw\", \"channels\": \"bgr\", \"resize\": \"stretch\", "
    "\"mean\": [1, 2, 3], \"scale\": [0.5, 1, 2]}, "
    "\"decoder\": \"centernet\", \"outputs\": {\"scores\": \"s\", \"boxes\": \"b\"}, \"stride\": 4, "
    "\"confidence\": 0.3}";

static void write_description(const char *folder, const char *piece, const char *instead) {
    char text[2000];
    const char *at = strstr(right, piece);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - right), right, instead, at + strlen(piece));
    write_file(folder, "model.json", text);
}

static struct model *read_model(const char *folder, struct err *e) {
    char path[300];
    path_of(folder, "", path);
    return model_read(path, e);
}

static void a_description_is_read(void **state) {
    (void)state;
    struct err e;
    write_file("a", "model.json", right);
    write_file("a", "model.onnx", "x");
    struct model *m = read_model("a", &e);
    assert_non_null(m);
    assert_int_equal(m->broken.code, ERR_NONE);
    assert_string_equal(m->name.p, "Test");
    assert_string_equal(m->folder.p, "a");
    assert_true(model_answers(m, STR("t/1")) && model_answers(m, STR("t/2")) && model_answers(m, STR("t-small")));
    assert_false(model_answers(m, STR("t/3")) || model_answers(m, STR("t/")) || model_answers(m, STR("")));
    assert_int_equal(m->class_count, 2);
    assert_string_equal(m->classes[1].p, "dog");
    assert_int_equal(m->input.width, 64);
    assert_int_equal(m->input.height, 32);
    assert_int_equal(m->input.layout, MODEL_NCHW);
    assert_int_equal(m->input.channels, MODEL_BGR);
    assert_float_equal(m->input.mean[2], 3, 0);
    assert_float_equal(m->input.scale[0], 0.5, 0);
    assert_int_equal(m->stride, 4);
    assert_float_equal(m->confidence, 0.3, 1e-6);
    model_free(m);

    write_description("a", ", \"confidence\": 0.3", "");
    m = read_model("a", &e);
    assert_int_equal(m->broken.code, ERR_NONE);
    assert_float_equal(m->confidence, 0.4, 1e-6);
    model_free(m);
}

static void a_wrong_description_is_told_by_field(void **state) {
    (void)state;
    static const char *const table[][3] = {
        {"\"name\": \"Test\", ", "", "a/model.json: \"name\" is missing; it is a text"},
        {"\"Test\"", "7", "a/model.json: \"name\" must be a text that is not empty"},
        {"\"Test\"", "\"\"", "a/model.json: \"name\" must be a text that is not empty"},
        {"\"object-detection\"", "\"poetry\"",
         "a/model.json: \"task\" is \"poetry\"; this version knows object-detection, "
         "instance-segmentation, keypoint-detection and classification"},
        {"[\"cat\", \"dog\"]", "[]", "a/model.json: \"classes\" is an empty list"},
        {"[\"cat\", \"dog\"]", "[\"cat\", 1]",
         "a/model.json: \"classes\" has an entry that is no text, or an empty one"},
        {"\"width\": 64", "\"width\": 0", "a/model.json: \"input.width\" must be a whole number from 1 to 8192"},
        {"\"width\": 64", "\"width\": 9999999999",
         "a/model.json: \"input.width\" must be a whole number from 1 to 8192"},
        {"\"height\": 32", "\"height\": 1.5", "a/model.json: \"input.height\" must be a whole number from 1 to 8192"},
        {"\"nchw\"", "\"chwn\"", "a/model.json: \"input.layout\" is \"chwn\"; this version knows nhwc and nchw"},
        {"[1, 2, 3]", "[1, 2]", "a/model.json: \"input.mean\" must be a list of three numbers"},
        {"\"centernet\"", "\"yolo\"", "a/model.json: \"decoder\" is \"yolo\"; this version knows centernet, yolov8, detr, "
         "movenet and scores"},
        {"{\"scores\": \"s\", \"boxes\": \"b\"}", "[]", "a/model.json: \"outputs.scores\" is missing; it is a text"},
        {"\"stride\": 4", "\"stride\": -4", "a/model.json: \"stride\" must be a whole number from 1 to 1024"},
        {"0.3", "1.1", "a/model.json: \"confidence\" must be a number from 0 to 1"},
    };
    write_file("a", "model.onnx", "x");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e;
        write_description("a", table[i][0], table[i][1]);
        struct model *m = read_model("a", &e);
        if (!m) fail_msg("%s: no model, %s", table[i][2], e.msg);
        assert_string_equal(m->broken.msg, table[i][2]);
        model_free(m);
    }
}

static void a_folder_without_ids_is_no_model(void **state) {
    (void)state;
    static const char *const table[][3] = {
        {right, "", "a/model.json line 1: '[' or '{' expected near end of file"},
        {right, "{\"ids\"", "a/model.json line 1: ':' expected near end of file"},
        {"\"ids\": [\"t/1\", \"t/2\"], ", "", "a/model.json: \"ids\" is missing; it is a list of texts"},
        {"[\"t/1\", \"t/2\"]", "[]", "a/model.json: \"ids\" is an empty list"},
        {"[\"t-small\"]", "\"t-small\"", "a/model.json: \"aliases\" must be a list of texts"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e;
        write_description("a", table[i][0], table[i][1]);
        assert_null(read_model("a", &e));
        assert_string_equal(e.msg, table[i][2]);
    }
}

/* ---- the service ---- */

static struct infer *start(const char *models, unsigned threads, unsigned queue) {
    struct err e;
    struct infer *s = infer_new(&(struct infer_config){.models_dir = models, .threads = threads, .queue = queue,
                                                       .runtime_threads = 1, .limits = limits},
                                &e);
    if (!s) fail_msg("%s", e.msg);
    return s;
}

static void post(struct infer_job *job) { sem_post(job->user); }

/* Submits and waits. */
static void run(struct infer *s, struct infer_job *job) {
    sem_t done;
    struct err e;
    sem_init(&done, 0, 0);
    job->done = post;
    job->user = &done;
    if (!infer_submit(s, job, &e)) fail_msg("%s", e.msg);
    while (sem_wait(&done) != 0) assert_int_equal(errno, EINTR);
    sem_destroy(&done);
}

static void not_found(struct infer *s, const char *id, enum err_code code, const char *text) {
    struct err e;
    assert_null(infer_find(s, str_of(id), &e));
    assert_int_equal(e.code, code);
    assert_string_equal(e.msg, text);
    struct infer_job job = {.model_id = str_of(id), .done = post};
    assert_false(infer_submit(s, &job, &e));
    assert_int_equal(e.code, code);
}

static void no_folder_means_no_models(void **state) {
    (void)state;
    char path[300];
    path_of("c", "", path);
    struct infer *s = start(path, 1, 1);
    not_found(s, "t/1", ERR_NOT_FOUND,
              "Requested Roboflow resource not found. No model here answers to \"t/1\"; there is: no models at all");
    infer_free(s);
}

static void a_broken_folder_breaks_no_other(void **state) {
    (void)state;
    write_file("a", "model.json", "{"); /* nobody knows its ids */
    write_description("b", "[\"t/1\", \"t/2\"], \"aliases\": [\"t-small\"]", "[\"b/1\"], \"aliases\": [\"t/1\"]");
    write_file("c", "model.json", right);
    write_file("c", "model.onnx", "this is no network"); /* and b has none */
    struct infer *s = start(root, 1, 1);
    struct err e;
    not_found(s, "b/1", ERR_INTERNAL,
              "Model package is broken. b/model.onnx cannot be read: No such file or directory");
    not_found(s, "a/1", ERR_NOT_FOUND,
              "Requested Roboflow resource not found. No model here answers to \"a/1\"; there is: b/1, t/1");
    assert_non_null(infer_find(s, STR("t/2"), &e));
    not_found(s, "t/1", ERR_INTERNAL, /* claimed by two: the first folder by name has it */
              "Model package is broken. b/model.onnx cannot be read: No such file or directory");

    for (int i = 0; i < 2; i++) {
        struct infer_job job = {.model_id = STR("t/2")};
        run(s, &job);
        assert_false(job.ok);
        assert_int_equal(job.err.code, ERR_INTERNAL);
        assert_memory_equal(job.err.msg, "Model package is broken. c/model.onnx: ", 39);
        assert_null(job.model_sha256);
        infer_job_free(&job);
    }
    struct arena a = {0};
    size_t n;
    infer_registry(s, &a, &n);
    assert_int_equal(n, 0);
    arena_free(&a);
    infer_free(s);
}

/* A job whose done holds the only thread until the test lets it go. */
struct gate {
    sem_t at, go;
};
static void wait_at_gate(struct infer_job *job) {
    struct gate *g = job->user;
    sem_post(&g->at);
    while (sem_wait(&g->go) != 0) assert_int_equal(errno, EINTR);
}

/* A service with one thread, a queue of two and one broken model, t/1. */
static struct infer *start_gated(struct gate *g) {
    sem_init(&g->at, 0, 0);
    sem_init(&g->go, 0, 0);
    write_file("a", "model.json", right);
    write_file("a", "model.onnx", "x");
    return start(root, 1, 2);
}

static void gate_free(struct gate *g) {
    sem_destroy(&g->at);
    sem_destroy(&g->go);
}

static void what_is_not_begun_when_it_stops_fails_at_once(void **state) {
    (void)state;
    struct err e;
    struct gate gate;
    struct infer *s = start_gated(&gate);
    struct infer_job jobs[2];
    for (size_t i = 0; i < 2; i++) {
        jobs[i] = (struct infer_job){.model_id = STR("t/1"), .done = wait_at_gate, .user = &gate};
        assert_true(infer_submit(s, &jobs[i], &e));
    }
    while (sem_wait(&gate.at) != 0) assert_int_equal(errno, EINTR);
    infer_stop(s);
    for (int i = 0; i < 2; i++) sem_post(&gate.go);
    infer_free(s);
    assert_int_equal(jobs[0].err.code, ERR_INTERNAL); /* begun before: the folder is broken */
    assert_false(jobs[1].ok);
    assert_int_equal(jobs[1].err.code, ERR_BUSY);
    for (size_t i = 0; i < 2; i++) infer_job_free(&jobs[i]);
    gate_free(&gate);
}

static void a_full_queue_says_no_at_once(void **state) {
    (void)state;
    struct err e;
    struct gate gate;
    struct infer *s = start_gated(&gate);
    const struct infer_input picture = {.bytes = STR("x")};
    struct infer_job jobs[5];
    for (size_t i = 0; i < 5; i++)
        jobs[i] = (struct infer_job){
            .model_id = STR("t/1"), .inputs = &picture, .count = 1, .done = wait_at_gate, .user = &gate};
    assert_true(infer_submit(s, &jobs[0], &e));
    while (sem_wait(&gate.at) != 0) assert_int_equal(errno, EINTR);
    assert_true(infer_submit(s, &jobs[1], &e));
    assert_true(infer_submit(s, &jobs[2], &e));
    assert_false(infer_submit(s, &jobs[3], &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_string_equal(e.msg, "The inference queue is full: 2 requests wait (inference_queue). Send it again soon.");
    jobs[4].count = 0; /* only loads the model, and waits behind no picture */
    assert_true(infer_submit(s, &jobs[4], &e));
    while (sem_wait(&gate.at) != 0) assert_int_equal(errno, EINTR);
    for (int i = 0; i < 4; i++) sem_post(&gate.go);
    infer_free(s); /* what was taken is finished first */
    int reached = 0;
    sem_getvalue(&gate.at, &reached);
    assert_int_equal(reached, 2);
    for (size_t i = 0; i < 5; i++) infer_job_free(&jobs[i]);
    gate_free(&gate);
}

/* ---- the real network ---- */

static const char *models_dir(void) {
    const char *dir = getenv("SIGHTGLASS_MODELS");
    return dir ? dir : "build/models";
}

static struct infer *start_demo(void) {
    char path[300];
    snprintf(path, sizeof path, "%s/coco-centernet/model.onnx", models_dir());
    if (access(path, R_OK) == 0 && access(PHOTO, R_OK) == 0) return start(models_dir(), 2, 8);
    print_message("skipped: %s is not built, or %s (Debian package darknet) is not there\n", path, PHOTO);
    skip();
    return NULL;
}

static struct str read_bytes(const char *path) {
    size_t n;
    char *p = io_read_file(path, 8 << 20, &n);
    if (!p) fail_msg("%s: %s", path, strerror(errno));
    return (struct str){p, n};
}

static void drop(struct str s) { free((void *)(uintptr_t)s.p); }

static struct infer_job demo_job(const char *id, const struct infer_input *inputs, size_t count) {
    return (struct infer_job){
        .model_id = str_of(id), .options = INFER_OPTIONS_DEFAULT, .inputs = inputs, .count = count};
}

static const struct result_detection *found(const struct infer_result *r, const char *class_name) {
    for (size_t i = 0; i < r->found.count; i++)
        if (str_is(r->found.detections[i].class_name, class_name)) return &r->found.detections[i];
    return NULL;
}

static void around(const struct decode_box *b, double left, double top, double right_side, double bottom) {
    assert_true(fabs(b->x - b->width / 2 - left) < 30 && fabs(b->x + b->width / 2 - right_side) < 30);
    assert_true(fabs(b->y - b->height / 2 - top) < 30 && fabs(b->y + b->height / 2 - bottom) < 30);
}

static void a_dog_a_bicycle_a_truck(void **state) {
    (void)state;
    struct infer *s = start_demo();
    struct str photo = read_bytes(PHOTO);
    const struct infer_input in = {.bytes = photo};
    struct infer_job job = demo_job("coco/24", &in, 1);
    job.options.model_confidence = true;
    job.options.confidence = 2;
    run(s, &job);
    if (!job.ok) fail_msg("%s", job.err.msg);
    const struct infer_result *r = job.results;
    assert_int_equal(r->width, 768);
    assert_int_equal(r->height, 576);
    assert_true(str_eq(r->bytes, photo));
    assert_true(job.elapsed_s > 0 && job.elapsed_s < 60);
    assert_string_equal(job.model->name.p, "CenterNet demo");
    assert_true(found(r, "dog") && found(r, "bicycle") && found(r, "truck"));
    around(&found(r, "dog")->box, 125, 207, 313, 543);
    around(&found(r, "bicycle")->box, 111, 125, 564, 446);
    around(&found(r, "truck")->box, 473, 81, 683, 165);
    for (size_t i = 0; i < r->found.count; i++) {
        assert_true(r->found.detections[i].box.confidence >= job.model->confidence);
        assert_true(i == 0 || r->found.detections[i].box.confidence <= r->found.detections[i - 1].box.confidence);
        assert_int_equal(strlen(r->found.detections[i].id), 36);
        assert_int_equal(r->found.detections[i].id[14], '4');
        assert_true(i == 0 || strcmp(r->found.detections[i].id, r->found.detections[i - 1].id) != 0);
    }

    char path[300], hex[65];
    unsigned char hash[32];
    snprintf(path, sizeof path, "%s/coco-centernet/model.onnx", models_dir());
    struct str network = read_bytes(path);
    crypto_hash_sha256(hash, (const unsigned char *)network.p, network.n);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    assert_string_equal(job.model_sha256, hex);
    drop(network);
    infer_job_free(&job);
    drop(photo);
    infer_free(s);
}

static void options_choose(void **state) {
    (void)state;
    struct infer *s = start_demo();
    struct str photo = read_bytes(PHOTO);
    const struct infer_input in = {.bytes = photo};
    const struct str filter[] = {STR("truck"), STR("dragon")};
    struct infer_job job = demo_job("yolov8n-640", &in, 1);
    job.options.confidence = 0.3;
    job.options.class_filter = filter;
    job.options.class_filter_count = 2;
    run(s, &job);
    assert_true(job.ok);
    assert_int_equal(job.results->found.count, 1);
    assert_true(found(job.results, "truck"));
    infer_job_free(&job);

    job = demo_job("coco/24", &in, 1);
    job.options.confidence = 0; /* every peak there is */
    job.options.max_detections = 7;
    run(s, &job);
    assert_int_equal(job.results->found.count, 7);
    infer_job_free(&job);

    job = demo_job("coco/24", &in, 1);
    job.options.confidence = 0.3;
    job.options.class_agnostic_nms = true; /* the truck is surer to be a car */
    run(s, &job);
    assert_true(found(job.results, "car") && !found(job.results, "truck"));
    infer_job_free(&job);

    /* Both ids in the registry as they were asked for, once each. */
    struct arena a = {0};
    size_t n;
    const struct infer_listed *list = infer_registry(s, &a, &n);
    assert_int_equal(n, 2);
    assert_true(str_is(list[0].id, "yolov8n-640") && str_is(list[1].id, "coco/24") && list[0].model == list[1].model);
    arena_free(&a);
    drop(photo);
    infer_free(s);
}

static size_t seen[3];
static void see(struct infer_job *job, size_t index, const struct image *pixels) {
    seen[index] += job->results[index].width == pixels->width && pixels->rgb;
}

static void a_batch_is_worked_off_in_order(void **state) {
    (void)state;
    struct infer *s = start_demo();
    struct str photo = read_bytes(PHOTO), turned = read_bytes("tests/data/images/turned.jpg"),
               text = read_bytes("tests/data/images/text.jpg");
    size_t room = sodium_base64_ENCODED_LEN(photo.n, sodium_base64_VARIANT_ORIGINAL);
    char *base64 = malloc(room);
    sodium_bin2base64(base64, room, (const unsigned char *)photo.p, photo.n, sodium_base64_VARIANT_ORIGINAL);
    struct infer_input in[3] = {{.bytes = str_of(base64), .base64 = true}, {.bytes = turned}, {.bytes = photo}};
    struct infer_job job = demo_job("coco/24", in, 3);
    job.each = see;
    run(s, &job);
    if (!job.ok) fail_msg("%s", job.err.msg);
    assert_true(str_eq(job.results[0].bytes, photo));
    assert_int_equal(job.results[0].found.count, job.results[2].found.count);
    for (size_t i = 0; i < job.results[0].found.count; i++)
        assert_float_equal(job.results[0].found.detections[i].box.confidence, job.results[2].found.detections[i].box.confidence, 0);
    assert_true(job.results[1].width == 32 && job.results[1].height == 24);
    assert_true(seen[0] == 1 && seen[1] == 1 && seen[2] == 1);
    infer_job_free(&job);

    job = (struct infer_job){.model_id = STR("coco/24"), .inputs = &in[1], .count = 1}; /* not upright */
    run(s, &job);
    assert_true(job.ok && job.results->width == 24 && job.results->height == 32 && job.results->found.count == 0);
    infer_job_free(&job);

    in[1].bytes = text;
    job = demo_job("coco/24", in, 3);
    run(s, &job);
    assert_false(job.ok);
    assert_int_equal(job.err.code, ERR_INVALID);
    assert_string_equal(job.err.msg, "Could not load input image. Cause: The bytes are not a JPEG, PNG, GIF, WebP, "
                                     "TIFF, HEIF or AVIF picture. (image 2 of 3)");
    infer_job_free(&job);
    free(base64);
    drop(photo), drop(turned), drop(text);
    infer_free(s);
}

/* Several threads, one session: each job the same answer. */
static void jobs_at_once(void **state) {
    (void)state;
    struct infer *s = start_demo();
    struct str photo = read_bytes(PHOTO);
    const struct infer_input in = {.bytes = photo};
    struct infer_job jobs[6];
    sem_t done;
    struct err e;
    sem_init(&done, 0, 0);
    for (size_t i = 0; i < 6; i++) {
        jobs[i] = demo_job("coco/24", &in, 1);
        jobs[i].done = post;
        jobs[i].user = &done;
        assert_true(infer_submit(s, &jobs[i], &e));
    }
    for (size_t i = 0; i < 6; i++)
        while (sem_wait(&done) != 0) assert_int_equal(errno, EINTR);
    for (size_t i = 0; i < 6; i++) {
        assert_true(jobs[i].ok && jobs[i].results->found.count == jobs[0].results->found.count && jobs[0].results->found.count > 1);
        for (size_t k = 0; k < jobs[0].results->found.count; k++)
            assert_float_equal(jobs[i].results->found.detections[k].box.x, jobs[0].results->found.detections[k].box.x, 0);
    }
    for (size_t i = 0; i < 6; i++) infer_job_free(&jobs[i]);
    sem_destroy(&done);
    drop(photo);
    infer_free(s);
}

/* A network that is good in itself, under a description that does not fit it. */
static void a_network_must_fit_its_description(void **state) {
    (void)state;
    infer_free(start_demo());
    static const char *const table[][3] = {
        {"\"input\": {\"name\": \"in\"", "\"input\": {\"name\": \"in\"", "a/model.onnx: Invalid input name: in"},
        {"\"name\": \"in\", \"width\": 64, \"height\": 32, \"layout\": \"nchw\"",
         "\"name\": \"tower_0/images\", \"width\": 512, \"height\": 512, \"layout\": \"nhwc\"",
         "a/model.onnx: output \"tower_0/keypoints\" is 1 x 128 x 128 x 80; by model.json 1 x 128 x 128 x 2"},
    };
    char network[PATH_MAX], link_path[300], path[300];
    snprintf(path, sizeof path, "%s/coco-centernet/model.onnx", models_dir());
    assert_non_null(realpath(path, network));
    write_file("a", "model.json", "");
    path_of("a", "model.onnx", link_path);
    assert_int_equal(symlink(network, link_path), 0);
    for (size_t i = 0; i < 2; i++) {
        write_description("a", table[i][0], table[i][1]);
        path_of("a", "model.json", path);
        struct str text = read_bytes(path);
        char fitted[2000];
        const char *outputs = strstr(text.p, "\"s\", \"boxes\": \"b\"");
        assert_non_null(outputs);
        snprintf(fitted, sizeof fitted, "%.*s\"tower_0/keypoints\", \"boxes\": \"tower_0/wh\"%.*s",
                 (int)(outputs - text.p), text.p, (int)(text.n - (size_t)(outputs - text.p) - 17), outputs + 17);
        write_file("a", "model.json", fitted);
        drop(text);
        struct infer *s = start(root, 1, 1);
        struct infer_job job = {.model_id = STR("t/1")};
        run(s, &job);
        assert_false(job.ok);
        if (!strstr(job.err.msg, table[i][2])) fail_msg("%s", job.err.msg);
        infer_job_free(&job);
        infer_free(s);
    }
}

int main(void) {
    struct err e;
    log_set_level(LOG_ERROR + 1); /* broken folders are logged, and most here are broken */
    if (!image_start(&e)) return fprintf(stderr, "%s\n", e.msg), 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_description_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_description_is_told_by_field, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_without_ids_is_no_model, setup, teardown),
        cmocka_unit_test_setup_teardown(no_folder_means_no_models, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_folder_breaks_no_other, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_queue_says_no_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_begun_when_it_stops_fails_at_once, setup, teardown),
        cmocka_unit_test(a_dog_a_bicycle_a_truck),
        cmocka_unit_test(options_choose),
        cmocka_unit_test(a_batch_is_worked_off_in_order),
        cmocka_unit_test(jobs_at_once),
        cmocka_unit_test_setup_teardown(a_network_must_fit_its_description, setup, teardown),
    };
    int failed = cmocka_run_group_tests_name("infer", tests, NULL, NULL);
    image_stop();
    return failed;
}
