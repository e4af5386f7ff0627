// Package console serves the web console of rollouts: a dashboard and status page for canary
// deployments of models, with approvals and abort, as an [http.Handler].
//
//	pages, err := console.New(console.Config{
//		Engine: engine, Store: store,
//		Who: sessions, May: policy.Authorize, Sessions: sessions, Factor: totp,
//		Prefix: "/serin",
//	})
//	...
//	mux.Handle("/serin/", pages)
//	go pages.Run(ctx)
//
// The page of a target answers a person who was woken: is it burning, is it the candidate,
// how much of the traffic, what happens by itself and when, and what can I do. Pages are
// rendered by the server and work without a script. With one, they follow the rollout by one
// event stream. The HTTP API of package console/api is below Prefix/api/v1/.
//
// # Rights
//
// Without Config.Who the console answers this machine alone, and changes nothing. Config.May
// decides who may read and do what. What a person may not read does not exist: the answer is
// 404. A command that is offered is one that Config.May and [rollout.Status.Allows] permit;
// others are shown with the reason. The engine decides again.
//
// GET changes nothing. A POST from another origin is refused, and so is one with a cookie
// that says nothing about its origin. An abort takes two taps, needs no reason and no second
// factor, and waits for no page to be fresh.
//
// # Dependencies
//
// The standard library, with what package api links: golang.org/x/mod for checkpoints, and
// go.yaml.in/yaml/v3 for plan files.
//
// # What belongs here
//
// Pages and the forms on them. Words about a rollout belong to package situation, JSON to
// package api, and decisions to the engine. What is heavy comes through [Panel].
package console
