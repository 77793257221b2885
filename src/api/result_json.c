#include "api/result_json.h"

#include "record/record.h"

/* ---- objects ---- */

static void put_keypoints(struct buf *to, const struct model *m, const struct result_detection *d) {
    put_key(to, "keypoints"), put_array(to);
    for (size_t i = 0; i < d->keypoint_count; i++) {
        const struct result_keypoint *k = &d->keypoints[i];
        put_object(to);
        put_key(to, "x"), put_double(to, k->at.x);
        put_key(to, "y"), put_double(to, k->at.y);
        put_key(to, "confidence"), put_double(to, k->at.confidence);
        put_key(to, "class_id"), put_int(to, (int64_t)k->class_id);
        put_key(to, "class"), put_str(to, m->keypoints[k->class_id]);
        put_object_end(to);
    }
    put_array_end(to);
}

static void put_mask(struct buf *to, const struct result_detection *d) {
    bool runs = d->runs.n > 0;
    if (runs) {
        put_key(to, "rle"), put_object(to);
        put_key(to, "size"), put_array(to), put_int(to, d->picture_height), put_int(to, d->picture_width), put_array_end(to);
        put_key(to, "counts"), put_str(to, d->runs);
        put_object_end(to);
    } else {
        put_key(to, "points"), put_array(to);
        for (size_t i = 0; i < d->outline_count; i++) {
            put_object(to);
            put_key(to, "x"), put_double(to, d->outline[i].x);
            put_key(to, "y"), put_double(to, d->outline[i].y);
            put_object_end(to);
        }
        put_array_end(to);
    }
    put_key(to, "mask_format"), put_strz(to, runs ? "rle" : "polygon");
}

void put_more(struct buf *to, const struct model *m, const struct result_detection *d) {
    if (m->task == MODEL_KEYPOINTS) put_keypoints(to, m, d);
    if (m->task == MODEL_SEGMENTATION) put_mask(to, d);
}

static void put_detections(struct buf *to, const struct model *m, const struct result *r) {
    put_key(to, "predictions"), put_array(to);
    for (size_t i = 0; i < r->count; i++) {
        const struct result_detection *d = &r->detections[i];
        put_object(to);
        put_key(to, "x"), put_double(to, d->box.x);
        put_key(to, "y"), put_double(to, d->box.y);
        put_key(to, "width"), put_double(to, d->box.width);
        put_key(to, "height"), put_double(to, d->box.height);
        put_key(to, "confidence"), put_double(to, d->box.confidence);
        put_key(to, "class"), put_str(to, d->class_name);
        put_key(to, "class_id"), put_int(to, d->box.class_id);
        put_key(to, "detection_id"), put_strz(to, d->id);
        put_more(to, m, d);
        put_object_end(to);
    }
    put_array_end(to);
}

/* ---- classes ---- */

static void put_single_label(struct buf *to, const struct model *m, const struct result *r) {
    put_key(to, "predictions"), put_array(to);
    for (size_t i = 0; i < m->class_count; i++) {
        size_t c = r->ranks[i];
        put_object(to);
        put_key(to, "class"), put_str(to, m->classes[c]);
        put_key(to, "class_id"), put_int(to, (int64_t)c);
        put_key(to, "confidence"), put_double(to, r->scores[c]);
        put_object_end(to);
    }
    put_array_end(to);
    put_key(to, "top"), put_str(to, m->classes[r->ranks[0]]);
    put_key(to, "confidence"), put_double(to, r->scores[r->ranks[0]]);
}

static void put_multi_label(struct buf *to, const struct infer_job *job, const struct result *r) {
    const struct model *m = job->model;
    put_key(to, "predictions"), put_object(to);
    for (size_t c = 0; c < m->class_count; c++) {
        put_key_str(to, m->classes[c]), put_object(to);
        put_key(to, "confidence"), put_double(to, r->scores[c]);
        put_key(to, "class_id"), put_int(to, (int64_t)c);
        put_object_end(to);
    }
    put_object_end(to);
    put_key(to, "predicted_classes"), put_array(to);
    for (size_t i = 0; i < m->class_count && r->scores[r->ranks[i]] >= infer_confidence(job); i++)
        put_str(to, m->classes[r->ranks[i]]);
    put_array_end(to);
}

void put_result(struct buf *to, const struct infer_job *job, const struct result *r) {
    const struct model *m = job->model;
    if (m->task != MODEL_CLASSIFICATION)
        put_detections(to, m, r);
    else if (m->multi_label)
        put_multi_label(to, job, r);
    else
        put_single_label(to, m, r);
}

/* ---- the record ---- */

static struct str other_of(const struct model *m, const struct result_detection *d, struct arena *a) {
    struct buf text = {0};
    if (m->task == MODEL_DETECTION) return (struct str){0};
    put_object(&text);
    put_more(&text, m, d);
    put_object_end(&text);
    struct str kept = {arena_copy(a, text.p, text.n), text.n};
    buf_free(&text);
    return kept;
}

struct detection *stored_detections(const struct infer_job *job, const struct result *r, struct arena *a,
                                    size_t *count) {
    const struct model *m = job->model;
    if (m->task == MODEL_CLASSIFICATION) {
        size_t n = m->multi_label ? 0 : 1;
        while (m->multi_label && n < m->class_count && r->scores[r->ranks[n]] >= infer_confidence(job)) n++;
        struct detection *list = arena_alloc(a, n * sizeof *list);
        for (size_t i = 0; i < n; i++) {
            size_t c = r->ranks[i];
            list[i] =
                (struct detection){.class_name = m->classes[c], .class_id = (int64_t)c, .confidence = r->scores[c]};
        }
        *count = n;
        return list;
    }
    struct detection *list = arena_alloc(a, r->count * sizeof *list);
    for (size_t i = 0; i < r->count; i++) {
        const struct result_detection *d = &r->detections[i];
        list[i] = (struct detection){.class_name = d->class_name,
                                     .class_id = d->box.class_id,
                                     .confidence = d->box.confidence,
                                     .has_box = true,
                                     .x = d->box.x,
                                     .y = d->box.y,
                                     .width = d->box.width,
                                     .height = d->box.height,
                                     .detection_id = str_of(d->id),
                                     .other = other_of(m, d, a)};
    }
    *count = r->count;
    return list;
}
