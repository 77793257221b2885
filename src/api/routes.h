/* The table of every route. */
#pragma once
#include "base/conf.h"
#include "http/http.h"

enum { ROUTES_MOST = 128 };

/* Fills `routes` with the table, its body limits from the settings; returns how many there are. */
size_t routes_make(struct route routes[ROUTES_MOST], const struct conf *c);

/* First segments that no workspace may be called. */
bool routes_reserved(struct str slug);

void routes_print_markdown(FILE *to);
