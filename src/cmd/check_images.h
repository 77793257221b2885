/* The kept pictures of a data folder that nobody uses: whether each one that an inference names is there, and holds what
 * its name says. After check_store, on the same thread. */
#pragma once
#include "store/check.h"

/* Reports and counts as c does. With c->repair a damaged one is set aside; from then on it is missing, as there is no
 * other copy of it. False, and e: not all could be looked at, or set aside. */
struct image_check {
    uint64_t named, missing, damaged; /* different pictures */
};
bool check_images(struct check *c, struct image_check *out, struct err *e);
