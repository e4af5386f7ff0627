// Package rolloutotel answers how rollouts show up in OpenTelemetry. An
// [Observer] is a rollout.Observer: a trace for each rollout, with a span for each
// phase of each stage, and instruments that are read when they are collected.
//
//	observer, err := rolloutotel.New(rolloutotel.Config{})
//	...
//	engine, err := rollout.Open(ctx, rollout.Config{Observer: observer, ...})
//
// It is told by the audit trail, from a goroutine of its own: no request and no
// decision waits for it, and no event is missed while the process lives, however
// slow the exporter. Requests themselves are measured by package traffic.
//
// # Spans
//
// The root span, "rollout", lasts from the event that starts the rollout, or from
// when this process took it up, to its end; its status is an error unless the
// candidate was promoted. Below it is a span for each phase of each stage, named
// as the phase is, such as "preflight", "baking" or "monitoring"; every event
// is an event of the span that it falls into, with its reason, its rule and who
// caused it. Spans carry serin.rollout, serin.target, serin.stage,
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
//	serin.rollout.urgent    {event}  counter  events that people should be woken for
//
// # Dependencies
//
// The API of OpenTelemetry, none of its SDK.
package rolloutotel
