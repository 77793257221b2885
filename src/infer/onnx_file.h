/* What an ONNX file says of itself, without loading it: its inputs and outputs, and the metadata that its exporter put in.
 * Format: onnx.proto (ONNX 1.x), of which ModelProto.graph (7), .metadata_props (14), .producer_name (2), .opset_import (8),
 * GraphProto.initializer (5), .input (11), .output (12) are read; the rest is passed over.
 *
 * Nothing in the bytes is believed: lengths are checked before they are followed. What is given out points into the bytes
 * or the arena. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

enum { ONNX_RANK_MOST = 8, ONNX_FLOAT = 1 };
#define ONNX_OPEN (-1) /* a dimension that is decided when it runs */

struct onnx_tensor {
    struct str name;
    uint64_t type; /* TensorProto.DataType; ONNX_FLOAT is 32-bit float */
    size_t rank;
    int64_t shape[ONNX_RANK_MOST];
};
struct onnx_entry {
    struct str key, value;
};
struct onnx_file {
    struct str producer;
    int64_t opset; /* of the standard operators; 0: it does not say */
    struct onnx_tensor *inputs, *outputs; /* inputs without those that are weights */
    size_t input_count, output_count;
    struct onnx_entry *metadata;
    size_t metadata_count;
};

bool onnx_read(struct str bytes, struct arena *a, struct onnx_file *out, struct err *e);
struct str onnx_metadata(const struct onnx_file *f, const char *key); /* empty when it is not there */
