package serin_test

import (
	"context"
	"log"
	"net/http"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// The program of the README: version 1.4.0 is live, 1.5.0 is to take over.
func Example() {
	ctx := context.Background()
	router, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{
			"1.4.0": {URL: "http://10.0.0.14:8000"},
			"1.5.0": {URL: "http://10.0.0.15:8000"},
		},
		Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}},
	})
	check(err)
	store, err := boltstore.Open("serin.db")
	check(err)
	engine, err := rollout.Open(ctx, rollout.Config{
		Store: store, Targets: map[string]rollout.Splitter{"chat": router},
	})
	check(err)
	go http.ListenAndServe(":8080", router) // the callers' OpenAI-compatible endpoint

	id, err := engine.Start(ctx, rollout.Plan{
		Target:    "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
	}, rollout.Actor{Name: "ana"})
	check(err)
	for event, err := range engine.Events(ctx, id, 1) {
		check(err)
		log.Println(event) // the last one is the outcome: promoted, or rolled back and why
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
