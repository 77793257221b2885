/* What a run must have met: states and transitions. Each is counted; a run that never met one has not tested it, and
 * fails. Counts are shared by the processes of a run. */
#pragma once
#include <stdatomic.h>

#include "disk.h"

#define COVER_MAP(X)                                                                 \
    X(ATTACH_OPEN, "attach to a row of the open chunk")                              \
    X(ATTACH_FROZEN, "attach to a row of a frozen chunk")                            \
    X(ATTACH_SEALED, "attach to a row of a segment")                                 \
    X(ATTACH_FOLDED, "attach to a row of a folded segment")                          \
    X(ATTACH_TWO_SEGMENTS, "attach to an id in two segments")                        \
    X(ATTACH_BOTH, "attach to an id in a chunk and in a segment")                    \
    X(ATTACH_UNKNOWN, "attach to an unknown id")                                     \
    X(ATTACH_WAITING, "attach to an id that waits")                                  \
    X(ATTACH_EQUAL_SEALED, "attach of what a segment's row has already")             \
    X(REMOVE_OPEN, "removal from a row of the open chunk")                           \
    X(REMOVE_FROZEN, "removal from a row of a frozen chunk")                         \
    X(REMOVE_SEALED, "removal from a row of a segment")                              \
    X(REMOVE_WAITING, "removal from an id that waits")                               \
    X(REMOVED_SEALED_FOLDED, "removed in a chunk, sealed, folded")                   \
    X(TYPES_TWO, "the same value as string and as number in one field")              \
    X(SENT_AGAIN_OPEN, "the same again while in the open chunk")                     \
    X(SENT_AGAIN_FROZEN, "the same again while in a frozen chunk")                   \
    X(SENT_AGAIN_SEALED, "the same again while in a segment")                        \
    X(SENT_AGAIN_SECOND, "the same again, the id in two segments")                   \
    X(CONFLICT_OPEN, "other content while in the open chunk")                        \
    X(CONFLICT_FROZEN, "other content while in a frozen chunk")                      \
    X(CONFLICT_SEALED, "other content while in a segment")                           \
    X(CONFLICT_SECOND, "other content, the id in two segments")                      \
    X(ASSIGNED_SEALED, "an index assigned next to one in a segment")                 \
    X(INHERIT_FROZEN, "a row that takes values from a frozen chunk")                 \
    X(INHERIT_SEALED, "a row that takes values from a segment")                      \
    X(INHERIT_OVERLAY, "a row that takes values from an overlay")                    \
    X(JOINED, "waiting metadata joined by its inference")                            \
    X(JOINED_AGAIN, "and by a second model")                                         \
    X(HIDDEN_OPEN, "a partial row hidden by a complete one, both in the open chunk") \
    X(HIDDEN_FROZEN, "a partial row of a frozen chunk hidden")                       \
    X(HIDDEN_SEALED, "a partial row of a segment hidden")                            \
    X(HIDDEN_BORN, "a partial row behind a complete one in a segment")               \
    X(BATCH, "several images under one id in one request")                           \
    X(BATCH_SPLIT, "a request whose rows end in two chunks")                         \
    X(LATE, "a time over six hours old")                                             \
    X(SUSPECT, "a time that cannot be")                                              \
    X(CLOCK_BACK, "a write after the clock was set back")                            \
    X(FIELDS_FULL, "the last field that is allowed")                                 \
    X(FIELDS_OVER, "one field more refused")                                         \
    X(PER_ID_FULL, "the last row that an id may have")                               \
    X(PER_ID_OVER, "one row more refused")                                           \
    X(WAITING_FULL, "the last id that may wait")                                     \
    X(WAITING_OVER, "one id more refused")                                           \
    X(FROZEN_FULL, "inferences refused while all chunks are full")                     \
    X(EXPIRED_JOIN, "an inference after its metadata expired")                       \
    X(EXPIRED_ATTACH, "metadata after what waited expired")                          \
    X(FROZEN, "a chunk frozen")                                                      \
    X(SEALED, "a chunk sealed")                                                      \
    X(SEALED_APART, "a chunk sealed into two segments")                              \
    X(FOLDED, "a segment folded")                                                    \
    X(MERGED, "segments merged")                                                     \
    X(RETAINED, "segments dropped")                                                  \
    X(RETAINED_HALF, "an id of which half the rows are dropped")                     \
    X(RETAINED_LATE, "metadata for an id whose rows are dropped")                    \
    X(RETAINED_AGAIN, "a dropped row sent again")                                    \
    X(EXPIRED, "waiting metadata given back")                                        \
    X(DELETED, "a workspace deleted")                                                \
    X(DURING_SEAL, "a write to a chunk while it is sealed")                          \
    X(DURING_FOLD, "a write to a segment while it is folded")                        \
    X(DURING_MERGE, "a write to a segment while it is merged")                       \
    X(DURING_RETAIN, "a write while segments are dropped")                           \
    X(DURING_CHECKPOINT, "a write during a checkpoint")                              \
    X(DURING_COMPACT, "a write while logs are compacted")                            \
    X(SEALED_RESOLVED, "a chunk sealed between resolving and writing")               \
    X(FOLDED_RESOLVED, "a segment folded between resolving and writing")             \
    X(MERGED_RESOLVED, "segments merged between resolving and writing")              \
    X(RETAINED_RESOLVED, "segments dropped between resolving and writing")           \
    X(ERASED_OPEN, "an id of the open chunk erased")                                 \
    X(ERASED_FROZEN, "an id of a frozen chunk erased")                               \
    X(ERASED_SEALED, "an id of a segment erased")                                    \
    X(ERASED_OVERLAID, "an id of a segment that something lies over erased")         \
    X(ERASED_PARTS, "an id in several parts erased")                                 \
    X(ERASED_WAITING, "an id that waits erased")                                     \
    X(ERASED_ALL, "a segment erased altogether")                                     \
    X(ERASED_NOTHING, "ids erased that are not there")                               \
    X(ERASED_AGAIN, "an erased id sent again")                                       \
    X(ERASED_LATE, "metadata for an erased id")                                      \
    X(DURING_ERASE, "a write while ids are erased")                                  \
    X(DURING_ERASE_SAME, "a write to an id while it is erased")                      \
    X(ERASED_RESOLVED, "ids erased between resolving and writing")                   \
    X(PAGES_ERASE, "a cursor across an erasing")                                     \
    X(HELD_ERASE, "a view held across an erasing")                                   \
    X(RESTARTED, "a clean restart")                                                  \
    X(KILLED, "a kill between steps")                                                \
    X(PAGES_SEAL, "a cursor across a seal")                                          \
    X(PAGES_FOLD, "a cursor across a fold")                                          \
    X(PAGES_MERGE, "a cursor across a merge")                                        \
    X(PAGES_RETAIN, "a cursor across a retention")                                   \
    X(PAGES_RESTART, "a cursor across a restart")                                    \
    X(HELD_SEAL, "a view held across a seal")                                        \
    X(HELD_FOLD, "a view held across a fold")                                        \
    X(HELD_MERGE, "a view held across a merge")                                      \
    X(HELD_RETAIN, "a view held across a retention")                                 \
    X(QUERY_PAGE, "a page")                                                          \
    X(QUERY_FURTHER, "a further page")                                               \
    X(QUERY_COUNT, "a count")                                                        \
    X(QUERY_GROUPS, "an aggregate")                                                  \
    X(SUMMED, "groups from summaries")                                               \
    X(SUMMED_HIDDEN, "groups from summaries, a row of their segments hidden since")    \
    X(SUMMED_COUNT, "a count from summaries")                                         \
    X(SUMMED_OFF, "groups that may come from summaries, which are off")               \
    X(SUMMED_PARTIAL, "the same, partial rows too")                                   \
    X(QUERY_FACETS, "facets")                                                        \
    X(QUERY_ONE, "one id")                                                           \
    X(QUERY_EMPTY, "a filter that nothing matches")                                  \
    X(QUERY_SOME, "a filter that some match")                                        \
    X(DOUBT_THERE, "a request of unknown outcome that is there")                     \
    X(DOUBT_GONE, "a request of unknown outcome that is not")

enum cover {
#define X(name, text) COVER_##name,
    COVER_MAP(X)
#undef X
        COVERS
};

/* Where an accident can happen. */
#define OPERATION_MAP(X) \
    X(INGEST, "ingest")   \
    X(ATTACH, "attach")  \
    X(FREEZE, "freeze")  \
    X(SEAL, "seal")      \
    X(FOLD, "fold")      \
    X(MERGE, "merge")    \
    X(RETAIN, "retain")  \
    X(CHECKPOINT, "checkpoint") \
    X(COMPACT, "compact") \
    X(EXPIRE, "expire")  \
    X(ERASE, "erase")    \
    X(DELETE, "delete")  \
    X(OPEN, "open")      \
    X(CLOSE, "close")
enum operation {
#define X(name, text) OP_##name,
    OPERATION_MAP(X)
#undef X
        OPERATIONS
};

enum { LINES = 40, LINE = 240 };

/* Shared by the processes of a run. */
struct board {
    _Atomic uint64_t covers[COVERS];
    _Atomic uint64_t operations[OPERATIONS];             /* that did something */
    _Atomic uint64_t accidents[OPERATIONS][ACCIDENTS];
    _Atomic uint64_t steps, rows, queries;
};

/* Of one sequence: what its process did last, for the one who has to tell. */
struct trail {
    unsigned step;
    unsigned line;
    char lines[LINES][LINE];
    char why[4000];
};
