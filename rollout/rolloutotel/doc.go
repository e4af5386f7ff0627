// Package rolloutotel exports rollouts to OpenTelemetry. Its [Observer] is a
// rollout.Observer. It makes a trace of each rollout, with a span for each phase of each
// stage, and metrics that are read when they are collected.
//
//	observer, err := rolloutotel.New(rolloutotel.Config{})
//	...
//	engine, err := rollout.Open(ctx, rollout.Config{Observer: observer, ...})
//
// It receives events from the audit trail, in its own goroutine. No request and no
// decision waits for it, and it misses no event while the process lives, however slow
// the exporter is. Package traffic measures requests.
//
// # Spans
//
// The root span, "rollout", lasts from the event that starts the rollout, or from
// when this process took it up, to its end; its status is an error unless the
// candidate was promoted. Below it is a span for each phase of each stage, named
// as the phase is, such as "preflight", "baking" or "monitoring". Every event of the
// rollout is an event of the span in its time, with its reason, rule and actor. Spans carry serin.rollout, serin.target, serin.stage,
// serin.baseline and serin.candidate.
//
// # Instruments
//
// Of the scope [ScopeName], by serin.target:
//
//	serin.rollout.weight    1        gauge    share of the traffic, 0 to 1, by serin.arm
//	serin.rollout.phase     1        gauge    1 for the phase the rollout is in, by serin.phase and serin.stage
//	serin.rollout.paused    1        gauge    1 while it is paused
//	serin.rollout.evidence  1        gauge    e-value over its limit, by serin.metric and serin.proof, harm or safe; 1 decides
//	serin.rollout.requests  {request} gauge   requests that the judgement rests on, by serin.arm
//	serin.rollout.events    {event}  counter  by serin.kind and serin.rule
//	serin.rollout.urgent    {event}  counter  events that need a person immediately
//
// # Dependencies
//
// The API of OpenTelemetry, none of its SDK.
package rolloutotel
