#include "infer/package.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/guard.h"
#include "base/io.h"
#include "infer/onnx_file.h"

#define NETWORK "%s/model.onnx"
#define CANNOT "the model here (%s) is of a form that inference servers do not load: "
enum { NETWORK_MOST = 1 << 30, HASHES = 64 };

static const char *const names[PACKAGE_FILES] = {
    [PACKAGE_WEIGHTS] = "weights.onnx",
    [PACKAGE_CONFIG] = "inference_config.json",
    [PACKAGE_CLASSES] = "class_names.txt",
    [PACKAGE_KEYPOINTS] = "keypoints_metadata.json",
    [PACKAGE_ENVIRONMENT] = "environment.json",
};

const char *package_file_name(enum package_file file) { return names[file]; }

bool package_file_of(struct str name, enum package_file *out) {
    for (int i = 0; i < PACKAGE_FILES; i++)
        if (str_is(name, names[i])) return *out = (enum package_file)i, true;
    return false;
}

static bool one_line(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20) return false;
    return true;
}

bool package_possible(const struct model *m, struct err *e) {
    const struct model_input *in = &m->input;
    bool plain = in->layout == MODEL_NCHW && in->channels == MODEL_RGB;
    for (int i = 0; i < 3; i++) plain = plain && in->mean[i] == 0 && fabs(in->scale[i] * 255 - 1) < 1e-6;
    for (size_t i = 0; i < m->class_count; i++)
        if (!one_line(m->classes[i]))
            return err_set(e, ERR_NOT_FOUND, CANNOT "class %zu has a line end in its name", m->folder.p, i);
    if (m->decoder != MODEL_YOLO)
        return err_set(e, ERR_NOT_FOUND, CANNOT "only those with the decoder yolov8 are", m->folder.p);
    if (!plain)
        return err_set(e, ERR_NOT_FOUND, CANNOT "its input must be nchw, rgb, mean 0 and scale 1/255", m->folder.p);
    return in->resize != MODEL_CROP ||
           err_set(e, ERR_NOT_FOUND, CANNOT "its input must be stretch or letterbox", m->folder.p);
}

/* ---- the files ---- */

static void put_number_key(struct buf *to, const char *name, int64_t value) { put_key(to, name), put_int(to, value); }

static void put_config(const struct model *m, struct buf *to) {
    const struct model_input *in = &m->input;
    put_object(to);
    put_key(to, "image_pre_processing"), put_raw(to, STR("{\"auto-orient\":{\"enabled\":true}}"));
    put_key(to, "network_input"), put_object(to);
    put_key(to, "training_input_size"), put_object(to);
    put_number_key(to, "height", in->height), put_number_key(to, "width", in->width);
    put_object_end(to);
    put_key(to, "dynamic_spatial_size_supported"), put_bool(to, false);
    put_key(to, "color_mode"), put_strz(to, "rgb");
    put_key(to, "resize_mode"), put_strz(to, in->resize == MODEL_LETTERBOX ? "letterbox" : "stretch");
    if (in->resize == MODEL_LETTERBOX) put_number_key(to, "padding_value", (int64_t)in->pad);
    put_number_key(to, "input_channels", 3), put_number_key(to, "scaling_factor", 255);
    put_object_end(to);
    put_key(to, "post_processing"), put_raw(to, STR("{\"type\":\"nms\",\"fused\":false}"));
    put_object_end(to);
}

static void put_classes(const struct model *m, struct buf *to) {
    for (size_t i = 0; i < m->class_count; i++) buf_add_str(to, m->classes[i]), buf_addc(to, '\n');
}

/* Every class has the same points; how they hang together nobody has told us. */
static void put_keypoints(const struct model *m, struct buf *to) {
    char number[24];
    put_array(to);
    for (size_t i = 0; i < m->class_count; i++) {
        put_object(to);
        put_number_key(to, "object_class_id", (int64_t)i);
        put_key(to, "keypoints"), put_object(to);
        for (size_t k = 0; k < m->keypoint_count; k++) {
            snprintf(number, sizeof number, "%zu", k);
            put_key(to, number), put_str(to, m->keypoints[k]);
        }
        put_object_end(to);
        put_key(to, "edges"), put_array(to), put_array_end(to);
        put_object_end(to);
    }
    put_array_end(to);
}

/* What servers read that do not use inference_models; PREPROCESSING is JSON in a text. */
static void put_environment(const struct model *m, struct buf *to) {
    const struct model_input *in = &m->input;
    struct buf text = {0};
    const char *edges = in->pad < 1     ? "Fit (black edges) in"
                        : in->pad > 254 ? "Fit (white edges) in"
                                        : "Fit (grey edges) in";
    put_object(&text);
    put_key(&text, "auto-orient"), put_raw(&text, STR("{\"enabled\":true}"));
    put_key(&text, "resize"), put_object(&text);
    put_key(&text, "enabled"), put_bool(&text, true);
    put_number_key(&text, "width", in->width), put_number_key(&text, "height", in->height);
    put_key(&text, "format"), put_strz(&text, in->resize == MODEL_LETTERBOX ? edges : "Stretch to");
    put_object_end(&text), put_object_end(&text);
    put_object(to);
    put_key(to, "PREPROCESSING"), put_str(to, buf_str(&text));
    put_object_end(to);
    buf_free(&text);
}

void package_put(const struct model *m, enum package_file file, struct buf *to) {
    if (file == PACKAGE_CONFIG) put_config(m, to);
    if (file == PACKAGE_CLASSES) put_classes(m, to);
    if (file == PACKAGE_KEYPOINTS) put_keypoints(m, to);
    if (file == PACKAGE_ENVIRONMENT) put_environment(m, to);
}

/* ---- the network ---- */

static void md5(struct str bytes, GChecksum *sum, char out[PACKAGE_MD5]) {
    g_checksum_reset(sum);
    g_checksum_update(sum, (const guchar *)bytes.p, (gssize)bytes.n);
    snprintf(out, PACKAGE_MD5, "%s", g_checksum_get_string(sum));
}

/* The hashes that were last made of networks: servers ask at each start, many at once, and a network may be large. A
 * file whose content has changed has another ctime, which nobody can set back. */
static struct {
    pthread_mutex_t lock;
    struct {
        struct stat of;
        char md5[PACKAGE_MD5];
    } list[HASHES];
    size_t next;
} hashes = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool find_hash(const struct stat *of, char out[PACKAGE_MD5]) {
    bool found = false;
    pthread_mutex_lock(&hashes.lock);
    for (size_t i = 0; i < HASHES && !found; i++)
        if ((found = is_same(of, &hashes.list[i].of))) memcpy(out, hashes.list[i].md5, PACKAGE_MD5);
    pthread_mutex_unlock(&hashes.lock);
    return found;
}

static void keep_hash(const struct stat *of, const char md5_of_it[PACKAGE_MD5]) {
    pthread_mutex_lock(&hashes.lock);
    hashes.list[hashes.next].of = *of;
    memcpy(hashes.list[hashes.next].md5, md5_of_it, PACKAGE_MD5);
    hashes.next = (hashes.next + 1) % HASHES;
    pthread_mutex_unlock(&hashes.lock);
}

/* Keypoints without scores have two numbers a point, which stock servers do not read. */
static bool has_channels(const struct onnx_file *f, const struct model *m) {
    size_t want = 4 + m->class_count + 3 * m->keypoint_count;
    for (size_t i = 0; i < f->output_count; i++)
        if (str_eq(f->outputs[i].name, m->outputs[0]) && f->outputs[i].rank == 3)
            return f->outputs[i].shape[1] == (int64_t)want || f->outputs[i].shape[1] == ONNX_OPEN;
    return false;
}

static bool look(struct str bytes, const struct model *m, struct arena *a, struct package *out, struct err *e) {
    struct onnx_file f;
    if (!onnx_read(bytes, a, &f, e)) return e->code = ERR_INTERNAL, err_wrap(e, NETWORK, m->folder.p);
    if (f.input_count != 1 || f.inputs[0].type != ONNX_FLOAT || f.inputs[0].rank != 4)
        return err_set(e, ERR_NOT_FOUND, CANNOT "the network must have one input of 32-bit floats", m->folder.p);
    if (m->task != MODEL_SEGMENTATION && !has_channels(&f, m))
        return err_set(e, ERR_NOT_FOUND, CANNOT "its output must be 1 x channels x anchors, points with scores",
                       m->folder.p);
    out->opset = f.opset;
    out->batch = f.inputs[0].shape[0] == ONNX_OPEN ? 0 : f.inputs[0].shape[0];
    return true;
}

static bool read_network(const struct model *m, GChecksum *sum, struct arena *a, struct package *out, struct err *e) {
    struct stat s;
    struct guard g;
    struct str bytes = {0};
    volatile bool ok = false;
    int fd = io_open(arena_printf(a, NETWORK, m->dir.p), O_RDONLY, 0);
    if (fd >= 0 && fstat(fd, &s) == 0) {
        bytes.n = (size_t)s.st_size;
        errno = EFBIG;
        if (bytes.n <= NETWORK_MOST) bytes.p = bytes.n ? io_map(fd, bytes.n) : "";
    }
    if (!bytes.p) err_errno(e, NETWORK " cannot be read", m->folder.p);
    if (fd >= 0) io_close(fd);
    if (!bytes.p) return false;
    if (guard_enter(&g)) {
        ok = look(bytes, m, a, out, e);
        if (ok && !find_hash(&s, out->md5[PACKAGE_WEIGHTS])) {
            md5(bytes, sum, out->md5[PACKAGE_WEIGHTS]);
            keep_hash(&s, out->md5[PACKAGE_WEIGHTS]);
        }
        guard_leave(&g);
    } else {
        ok = err_set(e, ERR_INTERNAL, NETWORK ": %s", m->folder.p, g.e.msg);
    }
    if (bytes.n) io_unmap(bytes.p, bytes.n);
    return ok;
}

bool package_read(const struct model *m, struct arena *a, struct package *out, struct err *e) {
    static const char *const types[MODEL_TASKS] = {
        [MODEL_DETECTION] = "yolov8n", [MODEL_SEGMENTATION] = "yolov8n-seg", [MODEL_KEYPOINTS] = "yolov8n-pose"};
    *out = (struct package){.model = m, .model_type = types[m->task]};
    if (!package_possible(m, e)) return false;
    GChecksum *sum = g_checksum_new(G_CHECKSUM_MD5);
    bool ok = read_network(m, sum, a, out, e);
    for (int i = 0; i < PACKAGE_FILES; i++) {
        struct buf file = {0};
        out->has[i] = i != PACKAGE_KEYPOINTS || m->task == MODEL_KEYPOINTS;
        package_put(m, (enum package_file)i, &file);
        if (i != PACKAGE_WEIGHTS) md5(buf_str(&file), sum, out->md5[i]);
        buf_free(&file);
    }
    g_checksum_free(sum);
    return ok;
}
