/* CHECK: for our own bugs only, never for input. It stays on in release builds, and its text is the bug report. */
#pragma once

_Noreturn void check_failed(const char *what, const char *file, int line);

#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

/* A place that cannot be reached. */
#define WRONG(text) check_failed(text, __FILE__, __LINE__)
