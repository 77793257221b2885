/* Strings as pointer and length. Input is never NUL-terminated C text: ids, names and bodies may hold any byte.
 * A struct str owns nothing; whoever made it says how long its bytes live. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *z) { return (struct str){z, z ? strlen(z) : 0}; }
static inline bool str_eq(struct str a, struct str b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
static inline bool str_is(struct str a, const char *z) { return str_eq(a, str_of(z)); }
static inline struct str str_from(struct str s, size_t at) { return (struct str){s.p + at, s.n - at}; }
static inline bool str_starts(struct str s, struct str prefix) {
    return s.n >= prefix.n && str_eq((struct str){s.p, prefix.n}, prefix);
}

/* ASCII only, as in HTTP header names and boolean spellings. */
bool str_eq_nocase(struct str a, struct str b);

/* Orders by bytes, a prefix before what it begins. */
int str_cmp(struct str a, struct str b);

struct str str_trim(struct str s);

/* Splits off what stands before the first `sep`; false and everything in *head when there is none. */
bool str_cut(struct str s, char sep, struct str *head, struct str *tail);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing over U+10FFFF, shortest form). */
bool str_is_utf8(struct str s);

/* The whole of s as a number in JSON's or C's decimal form; false for anything else, infinities and NaN included. */
bool str_to_double(struct str s, double *out);
bool str_to_u64(struct str s, unsigned long long *out);
