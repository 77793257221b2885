/* Asks the server for what it has, and holds it against the truth. */
#pragma once
#include "send.h"
#include "truth.h"

bool verify(const struct truth *t, const struct wire *wire, struct err *e);
/* The workspace that the key is of. */
bool verify_workspace(char out[WORKSPACE_MOST], const struct settings *s, struct err *e);
