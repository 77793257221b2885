/* Questions one after the other on one connection, each timed.
 *
 * A line of o.file: METHOD, path, body, and what the answer must hold, separated by tabs; the last two may be missing.
 * All lines are asked o.rounds times, or, with 0 rounds, for o.seconds. Answers of the first round go to o.out, a line
 * each. Prints one JSON line. */
#pragma once
#include "base/err.h"
#include "options.h"

bool ask(const struct options *o, struct err *e);
