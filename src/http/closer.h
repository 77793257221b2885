/* Closing a connection whose client is still sending. A plain close() would make the kernel answer the rest of the
 * body with a reset, and the client would lose the answer that tells it why. So the descriptor comes here: its sending
 * side is shut, and what still arrives is read and dropped until the client ends, a few seconds have passed, or too
 * many such connections wait. One thread, which polls; closer_add from any thread. */
#pragma once
#include "base/err.h"

struct closer;

struct closer *closer_new(struct err *e);
void closer_add(struct closer *l, int fd); /* takes fd */
void closer_free(struct closer *l);        /* closes what is left */
