// Package trafficprom exports the metrics of an LLM traffic router to Prometheus: request
// durations, time to first token, tokens, cost, errors and fallbacks per canary arm, and the
// weights of the split. An [Exporter] serves the Prometheus text format, version 0.0.4,
// without the Prometheus client library and without OpenTelemetry.
//
//	mux.Handle("GET /metrics", trafficprom.New(router))
//
// The names follow the OpenTelemetry conventions for generative AI, as an exporter of
// OpenTelemetry spells them for Prometheus. Package trafficotel gives the same metrics
// to OpenTelemetry.
//
//	gen_ai_client_inference_duration_seconds                 histogram  all requests that have ended; error_type is the class of a failure
//	gen_ai_client_inference_time_to_first_chunk_seconds      histogram  to the first generated token of a stream
//	gen_ai_client_inference_operation_input_tokens           histogram  successful requests
//	gen_ai_client_inference_operation_output_tokens          histogram  successful requests
//	gen_ai_client_inference_usage_input_tokens_total         counter    all attempts; also output, cache_read_input, cache_write_input and reasoning_output
//	serin_traffic_time_to_first_byte_seconds                 histogram  to the first byte of the answer's body
//	serin_traffic_time_per_output_token_seconds              histogram  the mean of each successful stream
//	serin_traffic_cost_total                                 counter    all attempts whose cost is known, in the currency in use
//	serin_traffic_unpriced_total                             counter    attempts whose cost is not known
//	serin_traffic_requests_total{serin_arm,serin_class}      counter    requests that have ended
//	serin_traffic_fallbacks_total{serin_arm}                 counter    requests that the baseline served in place of their arm
//	serin_traffic_stale_total{serin_arm}                     counter    requests sent once more since an idle connection was closed
//	serin_traffic_in_flight{serin_arm}                       gauge      requests that an arm is serving
//	serin_traffic_weight{serin_arm}                          gauge      share of the split, from 0 to 1
//	serin_traffic_unserved_total{serin_why}                  counter    requests that were refused before an arm was asked
//	serin_traffic_panics_total{serin_hook}                   counter    panics of functions of the configuration
//
// Metrics down to unpriced have the labels serin_arm, server_address,
// gen_ai_operation_name, gen_ai_provider_name and gen_ai_request_model; the usage counters
// have gen_ai_token_modality as well. A label without a value is left out. No label names a
// user, a tenant, a prompt or a response. See [traffic.OperationMetrics] for what is counted.
package trafficprom
