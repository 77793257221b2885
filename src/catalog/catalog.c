#include "catalog/catalog.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "catalog/activity.h"
#include "catalog/internal.h"
#include "catalog/lookup.h"

enum { BUSY_MS = 5000, LOOK_MS = 250, LOOKS_A_WRITE = 8, SECRET = 32 };

struct catalog {
    pthread_mutex_t lock; /* one at a time uses the database; guards `version` and `stop` too */
    pthread_cond_t stopping;
    sqlite3 *db;
    int64_t version; /* PRAGMA data_version at the last load: changes when another connection has written */
    bool stop;
    bool watching;
    pthread_t watcher;
    pthread_rwlock_t table_lock; /* guards the pointer; written only when something changed */
    struct lookup *table;
    bool (*reserved)(struct str slug);
    struct sightings sightings;
    struct notes notes;
    char store_id[UUID_TEXT];
    unsigned char key_hash_key[crypto_generichash_KEYBYTES], mac_key[crypto_auth_KEYBYTES];
};

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "PRAGMA foreign_keys = ON;"
    "CREATE TABLE IF NOT EXISTS store (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, id TEXT NOT "
    "NULL,"
    " secret BLOB NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS workspaces (id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL UNIQUE,"
    " created_us INTEGER NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS keys (id INTEGER PRIMARY KEY AUTOINCREMENT, workspace INTEGER NOT NULL REFERENCES "
    "workspaces,"
    " hash BLOB NOT NULL, prefix TEXT NOT NULL, name TEXT NOT NULL, created_us INTEGER NOT NULL, revoked_us INTEGER) "
    "STRICT;"
    "CREATE UNIQUE INDEX IF NOT EXISTS keys_live ON keys (hash) WHERE revoked_us IS NULL;";

/* --- small helpers; the caller holds `lock` --- */

static sqlite3_stmt *prepare(struct catalog *c, const char *sql) { return db_prepare(c->db, sql); }

static bool step_and_finish(struct catalog *c, sqlite3_stmt *s, struct err *e) {
    return db_step_and_finish(c->db, s, e);
}

/* At most size - 1 bytes of a text column. */
static void column_text(sqlite3_stmt *s, int at, char *to, size_t size) {
    const unsigned char *text = sqlite3_column_text(s, at);
    snprintf(to, size, "%s", text ? (const char *)text : "");
}

/* --- the table in memory --- */

static void hash_key(const struct catalog *c, struct str key, unsigned char out[KEY_HASH]) {
    crypto_generichash(out, KEY_HASH, (const unsigned char *)key.p, key.n, c->key_hash_key, sizeof c->key_hash_key);
}

static bool load_table(struct catalog *c, struct err *e) {
    struct lookup *fresh = lookup_new();
    sqlite3_stmt *s = prepare(c, "SELECT id, slug FROM workspaces ORDER BY id");
    int step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        struct workspace w = {.id = (uint32_t)sqlite3_column_int64(s, 0)};
        column_text(s, 1, w.slug, sizeof w.slug);
        lookup_add_workspace(fresh, &w);
    }
    sqlite3_finalize(s);
    if (step == SQLITE_DONE) {
        s = prepare(
            c, "SELECT k.id, k.hash, k.name, k.prefix, w.id, w.slug FROM keys k JOIN workspaces w ON w.id = k.workspace"
               " WHERE k.revoked_us IS NULL AND length(k.hash) = 32");
        while ((step = sqlite3_step(s)) == SQLITE_ROW) {
            struct identity who = {.key_id = sqlite3_column_int64(s, 0),
                                   .workspace_id = (uint32_t)sqlite3_column_int64(s, 4)};
            column_text(s, 2, who.key_name, sizeof who.key_name);
            column_text(s, 3, who.key_prefix, sizeof who.key_prefix);
            column_text(s, 5, who.slug, sizeof who.slug);
            lookup_add_key(fresh, sqlite3_column_blob(s, 1), &who);
        }
        sqlite3_finalize(s);
    }
    if (step == SQLITE_DONE) {
        s = prepare(c, "SELECT id, name FROM keys ORDER BY id");
        while ((step = sqlite3_step(s)) == SQLITE_ROW) {
            struct key_name name = {.key_id = sqlite3_column_int64(s, 0)};
            column_text(s, 1, name.name, sizeof name.name);
            lookup_add_key_name(fresh, &name);
        }
        sqlite3_finalize(s);
    }
    if (step != SQLITE_DONE) {
        lookup_free(fresh);
        return db_error(c->db, e, "reading");
    }
    lookup_finish(fresh);
    pthread_rwlock_wrlock(&c->table_lock);
    struct lookup *old = c->table;
    c->table = fresh;
    pthread_rwlock_unlock(&c->table_lock);
    lookup_free(old);
    return true;
}

static int64_t data_version(struct catalog *c) {
    sqlite3_stmt *s = prepare(c, "PRAGMA data_version");
    int64_t version = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
    sqlite3_finalize(s);
    return version;
}

static void *watch(void *arg) {
    struct catalog *c = arg;
    pthread_setname_np(pthread_self(), "catalog");
    pthread_mutex_lock(&c->lock);
    for (unsigned looks = 1; !c->stop; looks++) {
        if (looks % LOOKS_A_WRITE == 0) sightings_write(&c->sightings, c->db), notes_write(&c->notes, c->db);
        int64_t version = data_version(c);
        struct err e;
        if (version != c->version && load_table(c, &e)) c->version = version;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_MS * 1000 * 1000;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&c->stopping, &c->lock, &until);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* --- open and close --- */

static bool first_values(struct catalog *c, struct err *e) {
    unsigned char secret[SECRET];
    char id[UUID_TEXT];
    randombytes_buf(secret, sizeof secret);
    sqlite3_stmt *s = prepare(c, "INSERT OR IGNORE INTO store (one, version, id, secret) VALUES (1, 1, ?, ?)");
    db_bind_text(s, 1, str_of(uuid_v4(id)));
    sqlite3_bind_blob(s, 2, secret, sizeof secret, SQLITE_TRANSIENT);
    return step_and_finish(c, s, e);
}

static bool load_store(struct catalog *c, struct err *e) {
    sqlite3_stmt *s = prepare(c, "SELECT version, id, secret FROM store");
    bool ok = sqlite3_step(s) == SQLITE_ROW;
    int64_t version = ok ? sqlite3_column_int64(s, 0) : 0;
    if (!ok) {
        db_error(c->db, e, "reading");
    } else if (version != 1) {
        ok = err_set(e, ERR_DAMAGED, "catalog.db has version %lld, this program knows 1: use the newer program",
                     (long long)version);
    } else if (sqlite3_column_bytes(s, 2) != SECRET) {
        ok = err_set(e, ERR_DAMAGED, "catalog.db: its secret is damaged; restore the file from a backup");
    } else {
        const unsigned char *secret = sqlite3_column_blob(s, 2);
        column_text(s, 1, c->store_id, sizeof c->store_id);
        crypto_kdf_derive_from_key(c->key_hash_key, sizeof c->key_hash_key, 1, "sg-keys", secret);
        crypto_kdf_derive_from_key(c->mac_key, sizeof c->mac_key, 2, "sg-macs", secret);
    }
    sqlite3_finalize(s);
    return ok;
}

static bool open_database(struct catalog *c, const char *dir, struct err *e) {
    char path[4200];
    snprintf(path, sizeof path, "%s/catalog.db", dir);
    mode_t mask = umask(077);
    int opened =
        sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL);
    if (opened == SQLITE_OK) sqlite3_busy_timeout(c->db, BUSY_MS);
    const char *const parts[] = {schema, aside_schema, failures_schema, devices_schema, activity_schema,
                                 settings_schema, views_schema, markers_schema};
    bool ok = opened == SQLITE_OK || db_error(c->db, e, "opening");
    for (size_t i = 0; ok && i < sizeof parts / sizeof *parts; i++) ok = db_run(c->db, parts[i], e);
    umask(mask);
    return (ok && first_values(c, e) && load_store(c, e) && load_table(c, e)) || err_wrap(e, "%.200s", path);
}

struct catalog *catalog_open(const char *dir, bool (*reserved)(struct str slug), struct err *e) {
    CHECK(sodium_init() >= 0);
    struct catalog *c = mem_zero(1, sizeof *c);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->stopping, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_rwlock_init(&c->table_lock, NULL);
    c->reserved = reserved;
    sightings_init(&c->sightings);
    notes_init(&c->notes);
    if (open_database(c, dir, e)) {
        c->watching = pthread_create(&c->watcher, NULL, watch, c) == 0;
        if (c->watching) return c;
        err_set(e, ERR_INTERNAL, "catalog: no thread for it");
    }
    catalog_close(c);
    return NULL;
}

void catalog_close(struct catalog *c) {
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_signal(&c->stopping);
    pthread_mutex_unlock(&c->lock);
    if (c->watching) pthread_join(c->watcher, NULL);
    if (c->watching) sightings_write(&c->sightings, c->db), notes_write(&c->notes, c->db);
    sightings_free(&c->sightings);
    notes_free(&c->notes);
    sqlite3_close(c->db);
    lookup_free(c->table);
    pthread_rwlock_destroy(&c->table_lock);
    pthread_cond_destroy(&c->stopping);
    pthread_mutex_destroy(&c->lock);
    sodium_memzero(c, sizeof *c);
    free(c);
}

sqlite3 *catalog_lock(struct catalog *c) {
    pthread_mutex_lock(&c->lock);
    return c->db;
}

void catalog_unlock(struct catalog *c) { pthread_mutex_unlock(&c->lock); }
struct sightings *catalog_sightings(struct catalog *c) { return &c->sightings; }
struct notes *catalog_notes(struct catalog *c) { return &c->notes; }

/* --- lookups --- */

const char *catalog_store_id(const struct catalog *c) { return c->store_id; }

bool catalog_key(struct catalog *c, struct str key, struct identity *out) {
    unsigned char hash[KEY_HASH];
    if (key.n < KEY_MIN || key.n > KEY_MAX) return false;
    hash_key(c, key, hash);
    pthread_rwlock_rdlock(&c->table_lock);
    bool found = lookup_key(c->table, hash, out);
    pthread_rwlock_unlock(&c->table_lock);
    return found;
}

bool catalog_key_by_id(struct catalog *c, int64_t key_id, struct identity *out) {
    pthread_rwlock_rdlock(&c->table_lock);
    bool found = lookup_key_by_id(c->table, key_id, out);
    pthread_rwlock_unlock(&c->table_lock);
    return found;
}

bool catalog_key_name(struct catalog *c, int64_t key_id, struct key_name *out) {
    pthread_rwlock_rdlock(&c->table_lock);
    bool found = lookup_key_name(c->table, key_id, out);
    pthread_rwlock_unlock(&c->table_lock);
    return found;
}

bool catalog_workspace(struct catalog *c, struct str slug, struct workspace *out) {
    pthread_rwlock_rdlock(&c->table_lock);
    bool found = lookup_workspace(c->table, slug, out);
    pthread_rwlock_unlock(&c->table_lock);
    return found;
}

struct workspace *catalog_workspaces(struct catalog *c, struct arena *a, size_t *count) {
    pthread_rwlock_rdlock(&c->table_lock);
    struct workspace *all = lookup_workspaces(c->table, a, count);
    pthread_rwlock_unlock(&c->table_lock);
    return all;
}

void catalog_sign(const struct catalog *c, const void *p, size_t n, unsigned char mac[MAC_SIZE]) {
    _Static_assert(MAC_SIZE == crypto_auth_BYTES, "the size in the header");
    crypto_auth(mac, p, n, c->mac_key);
}

/* --- changes --- */

static bool slug_ok(const struct catalog *c, struct str slug, struct err *e) {
    bool ok = slug.n >= 1 && slug.n < SLUG_SIZE;
    for (size_t i = 0; i < slug.n && ok; i++) {
        char b = slug.p[i];
        ok =
            (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || (i && (b == '_' || b == '-'));
    }
    if (!ok)
        return err_set(e, ERR_INVALID,
                       "workspace '" STR_FMT "' must be 1 to 64 letters, digits, '_' or '-', beginning with a "
                       "letter or digit",
                       (int)(slug.n < 80 ? slug.n : 80), slug.p);
    if (c->reserved && c->reserved(slug))
        return err_set(e, ERR_INVALID,
                       "workspace '" STR_FMT "': the name belongs to the program's own paths; choose another",
                       STR_ARG(slug));
    return true;
}

bool catalog_workspace_add(struct catalog *c, struct str slug, struct workspace *out, struct err *e) {
    if (catalog_workspace(c, slug, out)) return true;
    if (!slug_ok(c, slug, e)) return false;
    pthread_mutex_lock(&c->lock);
    sqlite3_stmt *s =
        prepare(c, "INSERT INTO workspaces (slug, created_us) VALUES (?, ?) ON CONFLICT (slug) DO NOTHING");
    db_bind_text(s, 1, slug);
    sqlite3_bind_int64(s, 2, clock_now_us());
    bool ok = step_and_finish(c, s, e) && load_table(c, e);
    pthread_mutex_unlock(&c->lock);
    return ok && (catalog_workspace(c, slug, out) || err_set(e, ERR_IO, "catalog: the new workspace is not there"));
}

static bool key_ok(struct str key, struct err *e) {
    bool plain = true;
    for (size_t i = 0; i < key.n; i++) plain = plain && key.p[i] > 0x20 && key.p[i] < 0x7f;
    if (key.n >= KEY_MIN && key.n <= KEY_MAX && plain) return true;
    return err_set(e, ERR_INVALID, "a key must be %d to %d printable ASCII characters without spaces", KEY_MIN,
                   KEY_MAX);
}

static bool insert_key(struct catalog *c, uint32_t workspace, struct str key, struct str name, struct err *e) {
    unsigned char hash[KEY_HASH];
    hash_key(c, key, hash);
    size_t shown = key.n / 4 < KEY_PREFIX_SIZE - 1 ? key.n / 4 : KEY_PREFIX_SIZE - 1;
    sqlite3_stmt *s = prepare(c, "INSERT INTO keys (workspace, hash, prefix, name, created_us) VALUES (?, ?, ?, ?, ?)"
                                 " ON CONFLICT DO NOTHING");
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_blob(s, 2, hash, sizeof hash, SQLITE_TRANSIENT);
    db_bind_text(s, 3, (struct str){key.p, shown});
    db_bind_text(s, 4, name);
    sqlite3_bind_int64(s, 5, clock_now_us());
    return step_and_finish(c, s, e);
}

/* Beside a change of keys, in its transaction. */
static bool note_key(struct catalog *c, uint32_t workspace, int64_t by, struct str name, struct str what,
                     struct err *e) {
    const struct activity x = {.key_id = by, .action = ACTIVITY_KEY, .subject = name, .detail = what};
    return activity_insert(c, c->db, workspace, &x, e);
}

static bool key_room(struct catalog *c, uint32_t workspace, struct err *e) {
    sqlite3_stmt *s = prepare(c, "SELECT count(*) FROM keys WHERE workspace = ?");
    sqlite3_bind_int64(s, 1, workspace);
    return db_number(s) < KEYS_MOST ||
           err_set(e, ERR_NO_SPACE, "this workspace has %d keys with the revoked ones, the most there may be",
                   KEYS_MOST);
}

static bool add_key(struct catalog *c, uint32_t workspace, struct str key, struct str name, int64_t by,
                    struct err *e) {
    if (!key_room(c, workspace, e) || !insert_key(c, workspace, key, name, e)) return false;
    return sqlite3_changes(c->db) == 0 || note_key(c, workspace, by, name, STR("added"), e);
}

bool catalog_key_add(struct catalog *c, uint32_t workspace, struct str key, struct str name, int64_t by,
                     struct err *e) {
    struct identity who;
    if (!key_ok(key, e)) return false;
    if (catalog_key(c, key, &who) && who.workspace_id == workspace) return true;
    if (name.n >= KEY_NAME_SIZE || !str_is_utf8(name) || (name.n && memchr(name.p, 0, name.n)))
        return err_set(e, ERR_INVALID, "a key's name must be at most %d bytes of UTF-8", KEY_NAME_SIZE - 1);
    pthread_mutex_lock(&c->lock);
    bool ok = db_run(c->db, "BEGIN IMMEDIATE", e) && db_end(c->db, add_key(c, workspace, key, name, by, e), e) &&
              load_table(c, e);
    pthread_mutex_unlock(&c->lock);
    if (!ok) return false;
    if (!catalog_key(c, key, &who)) return err_set(e, ERR_IO, "catalog: the new key is not there");
    if (who.workspace_id != workspace) return err_set(e, ERR_CONFLICT, "this key already opens another workspace");
    return true;
}

bool catalog_keys(struct catalog *c, uint32_t workspace, struct arena *a, struct key_info **keys, size_t *count,
                  struct err *e) {
    *count = 0;
    *keys = NULL;
    pthread_mutex_lock(&c->lock);
    sqlite3_stmt *s =
        prepare(c, "SELECT id, prefix, name, created_us, revoked_us, count(*) OVER () FROM keys WHERE workspace = ?"
                   " ORDER BY id DESC");
    sqlite3_bind_int64(s, 1, workspace);
    int step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        if (!*keys) *keys = arena_alloc(a, (size_t)sqlite3_column_int64(s, 5) * sizeof **keys);
        struct key_info *k = &(*keys)[(*count)++];
        k->id = sqlite3_column_int64(s, 0);
        column_text(s, 1, k->prefix, sizeof k->prefix);
        column_text(s, 2, k->name, sizeof k->name);
        k->created_us = sqlite3_column_int64(s, 3);
        k->revoked_us = sqlite3_column_int64(s, 4);
    }
    bool ok = step == SQLITE_DONE || db_error(c->db, e, "reading");
    sqlite3_finalize(s);
    pthread_mutex_unlock(&c->lock);
    return ok;
}

static bool find_live_key(struct catalog *c, uint32_t workspace, struct str which, int64_t *id, struct err *e) {
    struct arena a = {0};
    struct key_info *keys;
    size_t count, fits = 0;
    unsigned long long number = 0;
    bool is_number = str_to_u64(which, &number);
    if (!catalog_keys(c, workspace, &a, &keys, &count, e)) return arena_free(&a), false;
    for (size_t i = 0; i < count; i++) {
        if (keys[i].revoked_us || !((is_number && keys[i].id == (int64_t)number) || str_is(which, keys[i].prefix)))
            continue;
        *id = keys[i].id;
        fits++;
    }
    arena_free(&a);
    if (fits == 1) return true;
    return err_set(e, fits ? ERR_CONFLICT : ERR_NOT_FOUND,
                   fits ? "several keys begin with '" STR_FMT "': revoke by id"
                        : "no key of this workspace has the id or prefix '" STR_FMT "' (see sightglass keys list)",
                   (int)(which.n < 40 ? which.n : 40), which.p);
}

static bool revoke(struct catalog *c, uint32_t workspace, int64_t key_id, int64_t by, struct err *e) {
    struct key_name name = {0};
    catalog_key_name(c, key_id, &name);
    sqlite3_stmt *s =
        prepare(c, "UPDATE keys SET revoked_us = ? WHERE workspace = ? AND id = ? AND revoked_us IS NULL");
    sqlite3_bind_int64(s, 1, clock_now_us());
    sqlite3_bind_int64(s, 2, workspace);
    sqlite3_bind_int64(s, 3, key_id);
    if (!step_and_finish(c, s, e)) return false;
    if (sqlite3_changes(c->db) == 0)
        return err_set(e, ERR_NOT_FOUND, "no key of this workspace that opens it has this id");
    return note_key(c, workspace, by, str_of(name.name), STR("revoked"), e);
}

bool catalog_key_revoke_id(struct catalog *c, uint32_t workspace, int64_t key_id, int64_t by, struct err *e) {
    pthread_mutex_lock(&c->lock);
    bool ok = db_run(c->db, "BEGIN IMMEDIATE", e) && db_end(c->db, revoke(c, workspace, key_id, by, e), e) &&
              load_table(c, e);
    pthread_mutex_unlock(&c->lock);
    return ok;
}

bool catalog_key_revoke(struct catalog *c, uint32_t workspace, struct str which, struct err *e) {
    int64_t id = 0;
    return find_live_key(c, workspace, which, &id, e) && catalog_key_revoke_id(c, workspace, id, 0, e);
}

void catalog_key_make(char out[KEY_TEXT_SIZE]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    CHECK(sodium_init() >= 0);
    memcpy(out, "sg_", 3);
    for (size_t i = 3; i < KEY_TEXT_SIZE - 1; i++) out[i] = letters[randombytes_uniform(sizeof letters - 1)];
    out[KEY_TEXT_SIZE - 1] = '\0';
}
