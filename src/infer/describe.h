/* The description of a network (model.json) from what its file tells: `sightglass models add`.
 *
 * Ultralytics puts task, class names, size of the input and shape of the keypoints into an export's metadata; with those
 * everything is known. Of another file, decoder and task are told from the shapes of the outputs, and what nobody can
 * read there (names, how pixels are scaled) is assumed and said so.
 *
 * Any thread. */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "infer/onnx_file.h"

struct describe_options {
    struct str name, id;      /* of the model */
    const struct str *classes; /* names from the operator; none: see above */
    size_t class_count;
    int size; /* of an input that is open; 0: not told */
};

/* NULL, with the reason: no decoder fits. Else the caller's; `notes` has a line for each thing that was assumed. */
json_t *describe(const struct onnx_file *f, const struct describe_options *o, struct buf *notes, struct err *e);
