/* Counting back through our own API: is there exactly what a W2 run was promised? Looks at the field's counts, then at
 * `sample` ids one by one (value and number of changes in the history), at ids that were never written, and joins some
 * pending ones to an inference. Prints one JSON line; e names the first difference. */
#pragma once
#include "work.h"

bool check_server(struct work *w, struct err *e);
