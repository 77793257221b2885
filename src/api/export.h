/* A list as lines for other programs: a JSON object a line, or CSV. What does not fit goes on behind the cursor that
 * the header X-Next-Cursor gives; X-Incomplete says how many segments could not be read. Any thread. */
#pragma once
#include "api/read.h"

enum { EXPORT_MOST = 10000 };

enum export_format { EXPORT_NDJSON, EXPORT_CSV };

/* Runs the request's list as rd->own, an enum export_format, says. */
read_work show_export;
request_handler answer_export;
