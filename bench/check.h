/* Counting back through our own API: is there exactly what an attach run was promised? Looks at the field's counts, at
 * how many inferences there are (the data's and o.extra), at how many ids wait (o.pending and those written), then at
 * o.sample ids one by one (value, and number of changes in the history), the newest and never written ones among them,
 * and joins some pending ones to an inference. Ids whose last request got no answer may hold anything and are left
 * out. Prints one JSON line; e names the first difference. */
#pragma once
#include "work.h"

bool check_server(const struct options *o, struct err *e);
