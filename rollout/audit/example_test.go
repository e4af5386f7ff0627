package audit_test

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/versioning"
)

// A log is verified, and signed for later.
func ExampleLog_Verify() {
	ctx := context.Background()
	store := new(memstore.Store)
	engine, err := rollout.Open(ctx, rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": plane{}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	if _, err := engine.Start(ctx, rollout.Plan{
		Target:    "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
	}, rollout.Actor{Name: "ana"}); err != nil {
		fmt.Println(err)
		return
	}

	log, err := audit.Read(ctx, store, "chat")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("sound:", log.Verify() == nil)

	secret, public, err := note.GenerateKey(nil, "example.com/audit")
	if err != nil {
		fmt.Println(err)
		return
	}
	signer, _ := note.NewSigner(secret)
	verifier, _ := note.NewVerifier(public)
	checkpoint, err := log.Checkpoint(signer)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("as it was signed:", log.Extends(checkpoint, verifier) == nil)
	// Output:
	// sound: true
	// as it was signed: true
}
