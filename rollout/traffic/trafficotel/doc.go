// Package trafficotel gives the metrics and traces of an LLM traffic router to
// OpenTelemetry, by the conventions for generative AI: request durations, time to first
// token, tokens, cost and fallbacks per canary arm, and one span per request. It is a
// module of its own, since it needs the OpenTelemetry SDK.
//
//	producer, err := trafficotel.NewProducer(router, trafficotel.Config{})
//	...
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(producer))
//	provider := metric.NewMeterProvider(metric.WithReader(reader))
//	...
//	http.ListenAndServe(":8080", trafficotel.Handler(router))
//
// Requests touch no instrument. The SDK asks a [Producer] when it collects, and the
// Producer re-buckets the router's own histograms; values up to 1.6 % above a bound may
// count as not above it. Give one reader one Producer of a router, or package
// trafficprom: both export the same metrics.
//
// # Metrics
//
// The names by [Names]:
//
//	Current                                                  Legacy
//	gen_ai.client.inference.duration                         gen_ai.client.operation.duration
//	gen_ai.client.inference.time_to_first_chunk              gen_ai.client.operation.time_to_first_chunk
//	gen_ai.client.inference.operation.input_tokens           gen_ai.client.token.usage
//	gen_ai.client.inference.operation.output_tokens          gen_ai.client.token.usage
//	gen_ai.client.inference.usage.input_tokens               none
//	gen_ai.client.inference.usage.output_tokens              none
//	gen_ai.client.inference.usage.cache_read.input_tokens    none
//	gen_ai.client.inference.usage.cache_write.input_tokens   none
//	gen_ai.client.inference.usage.reasoning.output_tokens    none
//
// Under both there are serin.traffic.requests, fallbacks, stale, in_flight, weight,
// unserved, panics, cost, unpriced, time_to_first_byte and time_per_output_token. Package
// trafficprom says what each of them counts and which attributes it has.
//
// # Traces
//
// [Handler] goes around the router, and [RoundTripper] around its RoundTripper. One CLIENT
// span, "chat gpt-5", covers a request with all its attempts, each of which is an event.
// The span's traceparent goes to the arm. A copy for a mirror has a trace of its own, which
// links to the span. Without a tracer the headers traceparent and tracestate pass as they
// came. The router drops the header baggage of requests to an arm at another public host
// than the baseline, traced or not.
package trafficotel
