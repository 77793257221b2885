/* What the files of the store share and nobody else sees. Who may touch what stands at each member. */
#pragma once
#include <pthread.h>

#include "journal/journal.h"
#include "store/checkpoint.h"
#include "store/store.h"

enum {
    WORKSPACE_PAGE = 1024, /* workspaces a page of the table, and pages */
    GROUP_MOST = 4 << 20,  /* bytes after which a group is written, more waiting or not */
    QUEUE_MOST = 256 << 20, /* bytes that may wait */
    CHUNK_BYTES = 64 << 20, /* a chunk that takes more memory is full, however few its rows */
    ROOM_WAIT_MS = 2000,   /* how long a write waits for a journal file, or for a chunk to be sealed */
};

struct workspace {
    uint32_t number;
    _Atomic uint64_t seq; /* of the newest record applied */
    _Atomic uint64_t conflicts, unchanged;
    struct fields *fields;       /* the writer adds */
    struct pending *pending;     /* the writer changes it */
    struct directory *directory; /* the keeper changes it */
    _Atomic bool deleted;        /* set by the writer */
    _Atomic bool aside;          /* a segment was set aside since the start */
    /* The writer's: what was resolved in a view older than this missed a chunk that was opened and sealed since. */
    uint64_t blind_before;
    struct ident *idents[CHUNKS_MOST];       /* the writer's, while it applies an inference: its id in each chunk */
    const struct chunk *since[CHUNKS_MOST];  /* the writer's, while it applies a record: see apply.c */
    _Atomic int seal_trouble;    /* enum err_code of the last try to make a segment, or of a step before it */
    _Atomic bool partials;       /* there may be rows from partial sources in segments */

    pthread_mutex_t lock; /* a leaf, held for a few instructions: the view, its readers' beginning, the list of views */
    struct view *view;    /* the newest; changed by the writer; NULL: deleted */
    struct view *oldest;  /* all that are not yet freed, by `newer` */

    /* the keeper's */
    _Atomic uint64_t sealed_through; /* inferences up to this one are in segments, or gone with them */
    uint64_t next_segment;
    uint8_t *slots_used; /* DIRECTORY_SLOTS bits */
    uint64_t round_seq; /* how far it was at the keeper's last round */
    bool quiet;         /* nothing was written since */
    bool loosened;      /* segments were folded, or it was opened, since its logs were looked through */
    uint64_t compacted_bytes; /* of its logs after the last compaction */
};

/* A job for the writer, between two groups. */
struct writer_job {
    void (*run)(void *ctx);
    void *ctx;
    bool over;
    struct writer_job *next;
};

struct store {
    struct store_options o;
    char *dir;
    struct journal *journal;
    struct checkpoint *checkpoint; /* the keeper's, under `keeping` */
    struct workspace *_Atomic *_Atomic pages[WORKSPACE_PAGE];

    /* the writer's */
    int64_t received_us;
    struct store_write *group, **group_end; /* appended, not yet committed */
    uint64_t group_bytes;
    struct additions group_adds; /* what it can add to any workspace, at the most */
    struct store_write *parked, **parked_end; /* they wait for a chunk to be sealed */
    size_t chunk_bytes; /* of the chunks of all workspaces */
    uint64_t file;      /* the journal file that was current at the last commit */
    bool journal_full; /* the last one that needed a further file did not get it */

    pthread_mutex_t lock;   /* below */
    pthread_cond_t resolve; /* for the resolver: something was submitted, or stop */
    pthread_cond_t work;    /* for the writer: something was resolved, a job, or stop */
    pthread_cond_t keep;    /* for the keeper: a file was begun, a chunk is full, the journal is full, or stop */
    pthread_cond_t room;    /* for the writer: the keeper has been round */
    pthread_cond_t job;     /* for who waits for a job */
    struct store_write *submitted, **submitted_end; /* for the resolver */
    struct store_write *queue, **queue_end;         /* for the writer */
    struct writer_job *jobs, **jobs_end;
    uint64_t queued;
    bool stopping, resolver_over, writer_runs, keeper_stop, keeper_due, failed;
    struct err failure;
    struct err trouble; /* of the keeper's last round */

    pthread_mutex_t updating; /* store_update_begin; taken with `keeping` held, never by the writer */
    pthread_mutex_t keeping; /* the keeper's work, also when asked for from outside; never taken by the writer */
    bool reserve_there;
    uint64_t kept_file; /* the journal file that was current at the keeper's last checkpoint */
    uint64_t known_seq;   /* the highest that a segment has applied, at start */
    size_t overlay_bytes, log_bytes; /* of all workspaces, as of this round */
    bool given_back; /* free memory, to the system, since something was last written */
    uint64_t shed_before; /* journal files below this number may hold what was erased; 0: none does */
    int64_t swept_us; /* when retention and expiry were last looked at; monotonic */
    pthread_t resolver, writer, keeper;
};

int64_t store_now(const struct store *s);
struct workspace *workspace_of(struct store *s, uint32_t number, bool make);
/* The workspace of *number or the next one, and *number behind it; NULL: there is none. */
struct workspace *workspace_next(struct store *s, uint32_t *number);
/* At start: its segments, opened, in the view and the directory. */
bool workspace_load(struct store *s, const struct manifest_workspace *m, struct err *e);
void poke_keeper(struct store *s);

/* Runs on the writer, between groups, and waits for it; directly where no writer runs. */
void on_writer(struct store *s, void (*run)(void *ctx), void *ctx);

/* ---- views (view.c) ---- */

struct sealed *sealed_new(struct segment *segment, uint32_t slot, uint32_t max_fields);
void sealed_free(struct sealed *s);
struct view *workspace_view(struct workspace *w); /* NULL: deleted */

/* The writer: a copy of the newest view to be changed, and then published. */
struct view *view_draft(const struct workspace *w);
void view_add(struct view *v, struct sealed *s);
void view_remove(struct view *v, const struct sealed *s);
void view_publish(struct workspace *w, struct view *v);
/* The writer: the workspace is deleted. Nobody finds it any more; who holds a view reads on. */
void workspace_hide(struct workspace *w);
/* The keeper: frees views nobody reads any more, and what only they held. */
void view_reap(struct workspace *w);
void workspace_free(struct workspace *w);

/* The writer: freezes the open chunk and opens another. There must be room. */
void freeze(struct store *s, struct workspace *w);

/* ---- resolving (resolve.c): the resolver; replay before it starts ---- */

/* A row in a segment that has the id of a record. */
struct target {
    struct sealed *sealed;
    uint32_t row, index;
    uint64_t seq;    /* an inference: of the record that made the row */
    bool same;       /* an attach: the segment has this value already; an inference: it has the same content */
    bool same_model; /* as the inference */
    bool partial;
};

struct id_state {
    uint64_t hash;
    struct target *targets;
    uint32_t target_count;
    uint32_t history_count;
    struct change *history; /* an inference: what the segment says of its id, oldest first */
};

/* A record, decoded, with what segments know of its ids. */
struct resolved {
    uint8_t type;
    struct inference inf;
    struct attach attach;
    struct id_state *ids; /* one an id */
};

bool resolve_decode(const struct store *s, const struct view *v, struct arena *a, const struct record_header *h,
                    struct str payload, struct resolved *out);
void resolve_find(const struct view *v, struct arena *a, struct str payload, struct resolved *r);
void resolve_write(struct store *s, struct store_write *w);
void *resolve_loop(void *ctx);

/* ---- applying (apply.c): the writer; replay before it starts ---- */

/* `seen`: the view it was resolved against, which may be older than the newest. */
void apply_record(struct store *s, struct workspace *w, const struct view *seen, const struct record_header *h,
                  struct str payload, const struct resolved *r, struct write_result *result);

/* ---- the writer (writer.c) ---- */

void *write_loop(void *ctx);
void writer_jobs(struct store *s); /* does those that wait */

/* ---- the keeper (keeper.c), and its steps (seal.c, fold.c, ...): under `keeping` ---- */

void *keep_loop(void *ctx);
bool keep_journal(struct store *s, bool checkpoint_due); /* a checkpoint if one is due, and a journal file in hand */

struct sealed *sealed_open(struct store *s, struct workspace *w, struct manifest_segment m, uint32_t slot,
                           struct err *e);
bool sealed_describe(struct sealed *s, struct manifest_segment *out, struct err *e); /* and notes its receipts */
bool segment_index(struct workspace *w, const struct segment *s, uint32_t slot, struct err *e); /* its ids, in the directory */
bool fields_fit(struct workspace *w, struct str name, struct err *e); /* adds a field, at start; e: one too many */
bool slot_take(struct workspace *w, uint32_t *slot, struct err *e);
void slot_give(struct workspace *w, uint32_t slot);
void freeze_now(struct store *s, struct workspace *w); /* the open chunk, if there is room */
bool seal_oldest(struct store *s, struct workspace *w, bool *any, struct err *e); /* the frozen chunk that came first */
bool fold_sealed(struct store *s, struct workspace *w, struct sealed *from, struct err *e);
bool merge_sealed(struct store *s, struct workspace *w, struct sealed **from, size_t count, struct err *e);
/* Drops segments of which no row is of a time from before_us on, or was received from received_before_us on. */
bool retain_after(struct store *s, struct workspace *w, int64_t before_us, int64_t received_before_us, struct err *e);
bool compact_logs(struct store *s, struct workspace *w, struct err *e);

/* Ids, each once, in order of their bytes. */
struct id_set {
    const struct str *ids;
    size_t count;
};
bool id_set_has(const struct id_set *set, struct str id);

/* Which records the logs must still hold (compact.c): two checkpoint_keep, of which the second is for what goes to the
 * logs of all workspaces, where nothing is known of the others. */
struct needs {
    struct store *s;
    struct workspace *w;
    uint64_t applied;            /* what came later is needed */
    const struct id_set *erased; /* nothing of these is, whenever it came; NULL: none are */
    struct arena arena;
};
enum keep needs_record(void *ctx, const struct record_header *h, struct str payload, struct buf *less);
enum keep needs_record_here(void *ctx, const struct record_header *h, struct str payload, struct buf *less);

/* A segment without some of its rows (fold.c), prepared beside it: its file is written, nobody knows of it. One without
 * any row left has no file. */
struct rewrite;
struct rewrite *rewrite_without(struct store *s, struct workspace *w, struct sealed *from, const uint8_t *gone,
                                struct err *e); /* gone: by row; e: NULL is given back, and nothing is left */
const struct sealed *rewrite_from(const struct rewrite *r);
void rewrite_enter(const struct rewrite *r);                    /* into the step under way */
void rewrite_publish(struct rewrite *r, struct view *v);        /* the writer: into a draft */
void rewrite_free(struct rewrite *r);                           /* published, or it leaves nothing */

/* In the middle of a long step, while nothing is under way in the manifest: what writes may wait for. */
void keep_up(struct store *s);
/* Journal files that hold what was erased make place for new ones (erase.c). */
void shed_journal(struct store *s);
void writer_turn(struct store *s); /* the writer: goes on in another journal file, if one is ready */
void expire_pending(struct store *s, struct workspace *w);
bool keeper_checkpoint(struct store *s, struct err *e);
