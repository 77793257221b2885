/* A model of ours as stock inference servers load it: the files that they expect beside the network, and what the
 * platform's answers say of it (protocol 3.6, rows 20 and 21 of its section 5).
 *
 * Only what they compute as we do is a package: the `yolov8` decoder (detection, segmentation, keypoints with scores),
 * planar RGB of 0..1, the picture stretched or laid into the middle. Anything else is refused with the reason.
 *
 * package_read reads the network's file, all of it when it is new or has changed: not on an HTTP worker. Any other
 * thread; everything is in the arena but the last hashes of networks, which the process keeps. */
#pragma once
#include "base/buf.h"
#include "infer/model.h"

enum package_file {
    PACKAGE_WEIGHTS,
    PACKAGE_CONFIG,
    PACKAGE_CLASSES,
    PACKAGE_KEYPOINTS,
    PACKAGE_ENVIRONMENT,
    PACKAGE_FILES,
};
enum { PACKAGE_MD5 = 33 };

struct package {
    const struct model *model;
    const char *model_type; /* "yolov8n", "yolov8n-seg", "yolov8n-pose": names an implementation, not a size */
    int64_t opset, batch;   /* batch 0: any */
    bool has[PACKAGE_FILES];
    char md5[PACKAGE_FILES][PACKAGE_MD5];
};

/* False with ERR_NOT_FOUND and why stock servers cannot load it, or with what is wrong with the file. */
bool package_possible(const struct model *m, struct err *e); /* from the description alone; any thread */
bool package_read(const struct model *m, struct arena *a, struct package *out, struct err *e);

const char *package_file_name(enum package_file file); /* "weights.onnx" */
bool package_file_of(struct str name, enum package_file *out);
/* The bytes of a file that is not the network. */
void package_put(const struct model *m, enum package_file file, struct buf *to);
