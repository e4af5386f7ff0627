// Package serin is the map of a library that runs the whole deployment
// lifecycle of a generative-AI model inside a Go service. Traffic is split,
// every request is measured, the measurements become a verdict, the verdict
// becomes a decision, the decision is written down before it takes effect, and
// the split changes.
//
// The packages, each of which answers one question:
//
//   - versioning: what is this version?
//   - checks: is it good, and how do we know?
//   - checks/analysis: what was seen on live traffic, and is the candidate worse?
//   - strategies: what next?
//   - rollout: how does a new version take over, durably, and who is told?
//   - rollout/traffic: who serves this request, and what happened?
//   - rollout/boltstore, rollout/memstore: where rollouts are kept;
//     rollout/storetest tells whether a store of your own keeps the rules.
//   - loadtest: what can it take, before users find out?
//
// A service that has version 1.4.0 live and wants 1.5.0 live, safely:
//
//	router, err := traffic.New(traffic.Config{
//		Arms: map[string]traffic.Backend{
//			"1.4.0": {URL: "http://10.0.0.14:8000"},
//			"1.5.0": {URL: "http://10.0.0.15:8000"},
//		},
//		Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}},
//	})
//	...
//	store, err := boltstore.Open("serin.db")
//	...
//	engine, err := rollout.Open(ctx, rollout.Config{
//		Store:   store,
//		Targets: map[string]rollout.Splitter{"chat": router},
//	})
//	...
//	go http.ListenAndServe(":8080", router)
//	id, err := engine.Start(ctx, rollout.Plan{
//		Target:    "chat",
//		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
//		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
//	}, rollout.Actor{Name: "ana"})
//	...
//	for event, err := range engine.Events(ctx, id, 1) {
//		log.Println(event, err) // ends with the outcome: promoted, or rolled back and why
//	}
//
// Run go run ./examples/quickstart in the repository to see all of it work.
package serin
