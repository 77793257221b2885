/* What a person in the plant would have noted on the time axis: changeovers of the first container's line, and the
 * lens. New versions of models a server marks by itself. */
#pragma once
#include "wire.h"

/* Sets those that are not there yet. */
bool markers_set(const struct wire *wire, struct err *e);
