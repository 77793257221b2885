/* Random UUIDs (RFC 9562, version 4) in their text form. Any thread, after sodium_init. */
#pragma once

enum { UUID_TEXT = 37 }; /* 36 characters and the end */

/* "5b6c2c0e-52a4-4c1f-8a7d-0c8f4b1d2e3f"; returns out. */
const char *uuid_v4(char out[UUID_TEXT]);
