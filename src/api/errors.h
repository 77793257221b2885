/* What servers said of their failures, for answers that count errors. Query threads: the catalog is on a disk. */
#pragma once
#include "api/read.h"
#include "catalog/failures.h"

struct errors {
    uint64_t all, before; /* of the range, and of the other one */
    struct failure_sum *models, *buckets;
    size_t model_count, bucket_count;
};

/* Failures of models in the range of the request's plan, and in that of the other that it is compared with; none where
 * a plan has a filter, for of a failed inference nothing is known that it could ask for. */
bool errors_of(const struct read *rd, const struct plan *other, int64_t width_us, struct errors *out, struct err *e);
uint64_t errors_at(const struct errors *x, int64_t bucket); /* in the bucket of that number */
