/* What a model found, as the inference routes answer it (protocol 2.4) and as it is stored. Any thread. */
#pragma once
#include "base/buf.h"
#include "infer/infer.h"

/* The members of an answer from `predictions` on, without the braces. */
void put_result(struct buf *to, const struct infer_job *job, const struct result *r);

/* What a detection has beyond class, box and id: keypoints or mask. Nothing for a plain box. */
void put_more(struct buf *to, const struct model *m, const struct result_detection *d);

/* The detections of a record, in the arena: those of the answer; of a classification its best class, or with several
 * labels those that reach the confidence. */
struct detection;
struct detection *stored_detections(const struct infer_job *job, const struct result *r, struct arena *a,
                                    size_t *count);
