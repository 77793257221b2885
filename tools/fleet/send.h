/* Sends the fleet's requests over a few connections. Those of a container go one after the other, each after the answer
 * to the one before, so that what comes of them does not depend on how many connections there are. */
#pragma once
#include "wire.h"

struct sent {
    uint64_t requests, inferences, resent, writes, failures; /* of which a request was made */
    uint64_t acknowledged;                                   /* inferences, of those the server says that it has them */
    uint64_t attached;                                       /* writes acknowledged */
    uint64_t refused;                                        /* requests, in whole or in part */
    uint64_t again;                                          /* requests sent once more after a 503 */
    double seconds;
    char first_refusal[300];
};

/* Everything before now as fast as it goes, then, live, each window when it is over. */
bool send_all(struct sent *out, const struct wire *wire, struct err *e);
