/* Every handler that routes.c names, by the file it lives in. All run on HTTP workers and do not wait (http.h). */
#pragma once
#include "http/http.h"

/* health.c */
void get_info(struct request *r);
void get_healthz(struct request *r);
void get_readiness(struct request *r);
void get_server(struct request *r);

/* platform.c */
void get_root(struct request *r);
void post_root(struct request *r);

/* session.c */
void get_session(struct request *r);
void post_session(struct request *r);
void delete_session(struct request *r);
void delete_first_key(struct request *r);

/* metadata.c */
void post_metadata(struct request *r);
void put_metadata(struct request *r);
void delete_metadata(struct request *r);
