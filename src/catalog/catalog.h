/* The control plane, in SQLite (DIR/catalog.db): the store's id and secret, workspaces, keys. What must never be lost
 * and is small. Keys are kept as BLAKE2b hashes under the secret; nobody can read them back.
 *
 * Lookups (catalog_key, catalog_key_by_id, catalog_key_name, catalog_workspace) go to a table in memory and never touch
 * the disk. A thread of the catalog sees within 250 ms when another process changed the file, and replaces the table.
 *
 * Any thread may call anything but open and close. Several processes may have the same catalog open. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/uuid.h"

struct catalog;

enum {
    SLUG_SIZE = 65,
    KEY_NAME_SIZE = 129,
    KEY_PREFIX_SIZE = 9,
    KEY_MIN = 8,
    KEY_MAX = 512,
    MAC_SIZE = 32,
    KEY_TEXT_SIZE = 36,
    KEYS_MOST = 10000
};

struct workspace {
    uint32_t id; /* never used again, not even when the workspace is gone */
    char slug[SLUG_SIZE];
};

/* Whom a key lets in. */
struct identity {
    uint32_t workspace_id;
    char slug[SLUG_SIZE];
    int64_t key_id; /* 0: no key, inference is open to all */
    char key_name[KEY_NAME_SIZE];
    char key_prefix[KEY_PREFIX_SIZE]; /* its first characters, to tell keys apart */
};

/* Who wrote something, for histories: known of revoked keys too. */
struct key_name {
    int64_t key_id;
    char name[KEY_NAME_SIZE];
};

struct key_info {
    int64_t id;
    char name[KEY_NAME_SIZE], prefix[KEY_PREFIX_SIZE];
    int64_t created_us, revoked_us; /* 0: not revoked */
};

/* Opens DIR/catalog.db, making it when it is not there. reserved: says which slugs are taken by routes; may be NULL. */
struct catalog *catalog_open(const char *dir, bool (*reserved)(struct str slug), struct err *e);
void catalog_close(struct catalog *c);

const char *catalog_store_id(const struct catalog *c); /* a UUID, made with the catalog */

/* Lookups. */
bool catalog_key(struct catalog *c, struct str key, struct identity *out);
bool catalog_key_by_id(struct catalog *c, int64_t key_id, struct identity *out);
bool catalog_key_name(struct catalog *c, int64_t key_id, struct key_name *out);
bool catalog_workspace(struct catalog *c, struct str slug, struct workspace *out);
struct workspace *catalog_workspaces(struct catalog *c, struct arena *a, size_t *count);

/* What only this catalog can sign, for session cookies: a MAC over n bytes. */
void catalog_sign(const struct catalog *c, const void *p, size_t n, unsigned char mac[MAC_SIZE]);

/* Changes; on disk when they return, seen by this process's lookups at once. */

/* A slug is [A-Za-z0-9][A-Za-z0-9_-]*, 1 to 64 bytes, and no route's first segment. One that is there is no error. */
bool catalog_workspace_add(struct catalog *c, struct str slug, struct workspace *out, struct err *e);
/* A key that already opens this workspace is no error; one that opens another is ERR_CONFLICT. by: whose key it was made
 * with, for the activity list; 0: the command line. ERR_NO_SPACE: there are KEYS_MOST, with the revoked ones. */
bool catalog_key_add(struct catalog *c, uint32_t workspace, struct str key, struct str name, int64_t by, struct err *e);
/* Newest first, in the arena; revoked ones too. */
bool catalog_keys(struct catalog *c, uint32_t workspace, struct arena *a, struct key_info **keys, size_t *count,
                  struct err *e);
/* which: a key's id, or its displayed prefix when only one key of the workspace has it. */
bool catalog_key_revoke(struct catalog *c, uint32_t workspace, struct str which, struct err *e);
bool catalog_key_revoke_id(struct catalog *c, uint32_t workspace, int64_t key_id, int64_t by, struct err *e);

/* A new random key: "sg_" and 32 letters or digits (190 bits). */
void catalog_key_make(char out[KEY_TEXT_SIZE]);
