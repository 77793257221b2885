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

/* upstream.c */
void relay(struct request *r);
void relay_of_owner(struct request *r);

/* weights.c */
void get_model_stat(struct request *r);
void get_model_weights(struct request *r);
void get_model_file(struct request *r);
void get_ort(struct request *r);
void get_weights_by_name(struct request *r);
void get_version(struct request *r);

/* gateway.c */
void any_proxy(struct request *r);

/* elsewhere.c */
void not_served(struct request *r);
void post_gaze(struct request *r);
void get_clear_cache(struct request *r);
void get_device_stats(struct request *r);
void get_logs(struct request *r);

/* session.c */
void get_session(struct request *r);
void post_session(struct request *r);
void delete_session(struct request *r);
void delete_first_key(struct request *r);

/* metadata.c */
void post_metadata(struct request *r);
void put_metadata(struct request *r);
void delete_metadata(struct request *r);
void patch_metadata(struct request *r);

/* pingback.c */
void post_pingback(struct request *r);
void post_report(struct request *r);

/* event.c */
void post_event(struct request *r);

/* usage.c */
void post_usage(struct request *r);
void get_usage_plan(struct request *r);

/* devices.c */
void get_devices(struct request *r);

/* monitoring.c */
void get_monitoring(struct request *r);

/* errors.c */
void get_errors(struct request *r);

/* set_aside.c */
void get_set_aside(struct request *r);

/* metrics.c */
void get_metrics(struct request *r);

/* infer_v1.c */
void get_registry(struct request *r);
void post_model_add(struct request *r);
void get_start(struct request *r);
void post_model_remove(struct request *r);
void post_infer(struct request *r);

/* infer_legacy.c */
void get_legacy(struct request *r);
void post_legacy(struct request *r);

/* ingest.c */
void post_inferences(struct request *r);

/* inferences.c */
void get_inferences(struct request *r);
void get_inference_count(struct request *r);
void get_inference(struct request *r);
void get_inference_image(struct request *r);
void get_inference_thumbnail(struct request *r);
void get_inference_annotation(struct request *r);

/* upload.c */
void post_upload(struct request *r);
void post_annotate(struct request *r);

/* image_metadata.c */
void post_image_metadata(struct request *r);
void post_images_metadata(struct request *r);

/* inferences_delete.c */
void post_inference_delete(struct request *r);

/* query.c */
void post_query(struct request *r);
void get_facets(struct request *r);

/* pending.c */
void get_pending(struct request *r);

/* fields.c */
void get_fields(struct request *r);

/* stats.c */
void get_stats(struct request *r);

/* capture.c */
void get_picture_capture(struct request *r);
void put_picture_capture(struct request *r);
void get_active_learning(struct request *r);

/* shifts.c */
void get_shifts(struct request *r);
void put_shifts(struct request *r);

/* retention.c */
void get_retention(struct request *r);
void put_retention(struct request *r);

/* keys.c */
void get_keys(struct request *r);
void post_key(struct request *r);
void delete_key(struct request *r);

/* views.c */
void get_saved_views(struct request *r);
void post_saved_view(struct request *r);
void put_saved_view(struct request *r);
void delete_saved_view(struct request *r);

/* markers.c */
void get_markers(struct request *r);
void post_marker(struct request *r);
void put_marker(struct request *r);
void delete_marker(struct request *r);

/* activity.c */
void get_activity(struct request *r);

/* ui.c */
void get_ui(struct request *r);
void get_openapi(struct request *r);
