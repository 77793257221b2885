/* A row as a hit. Under a guard when the part is a segment. */
#pragma once
#include "query/answer.h"
#include "query/part.h"

bool hit_load(const struct part *p, uint32_t row, struct arena *a, struct hit *out, struct err *e);
