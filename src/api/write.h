/* A handler's way to the store: start, fill, send; `then` runs on an HTTP worker once it is durable or refused. The
 * write belongs to the request and goes with it. HTTP workers. */
#pragma once
#include "http/http.h"
#include "store/store.h"

/* Uses r->data and r->cleanup. */
struct store_write *write_start(struct request *r, uint32_t workspace);
struct store_write *write_of(struct request *r);

/* Waits and submits; what cannot be submitted is answered as an error. */
void write_send(struct request *r, request_handler *then);
