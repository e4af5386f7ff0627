package ledger_test

import (
	"context"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
)

// A person vouches for an item, and another one takes that back.
func Example() {
	ctx := context.Background()
	list, err := checklist.New("deployment", checklist.Section{Name: "security", Items: []checklist.Item{
		{ID: "compliance", Owner: "pia", Attest: &checklist.Attest{Rules: checklist.By("privacy")}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	led, err := ledger.Open(ctx, ledger.Config{Store: new(memstore.Store)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer led.Close()
	led.Use(list)
	release := checks.Subject{Target: "chat", Candidate: "1.5.0", Digest: "sha256:5f0c"}
	ready := list.Check(led) // for rollout.Config.Checks
	ctx = checks.WithSubject(ctx, release)

	vote, err := led.Vouch(ctx, "compliance", release, ledger.Proof{Reason: "reviewed"}, rollout.Actor{Name: "pia", Roles: []string{"privacy"}})
	fmt.Println(ready.Check(ctx).Status, err)
	err = led.Withdraw(ctx, vote.Seq, "the assessment is outdated", rollout.Actor{Name: "ana"})
	fmt.Println(ready.Check(ctx).Status, err)
	fmt.Println(led.Verify(ctx))
	// Output:
	// pass <nil>
	// fail <nil>
	// <nil>
}

// A review covers what has happened since the last one.
func ExampleLedger_Propose() {
	ctx := context.Background()
	led, err := ledger.Open(ctx, ledger.Config{Store: new(memstore.Store)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer led.Close()
	_, err = led.Waive(ctx, ledger.Waiver{
		Item: "drift", Reason: "retuning is planned for the next sprint", Until: time.Now().Add(24 * time.Hour),
	}, rollout.Actor{Name: "pia"})
	if err != nil {
		fmt.Println(err)
		return
	}
	review, err := led.Propose(ctx)
	fmt.Println(review.Sampled, err)
	review.Findings = "the waiver is justified"
	_, err = led.Review(ctx, review, rollout.Actor{Name: "pia"})
	fmt.Println(err)
	_, err = led.Review(ctx, review, rollout.Actor{Name: "eve"})
	fmt.Println(err)
	// Output:
	// [ledger/1] <nil>
	// ledger: by is pia, want a person who has not done waive (ledger/1)
	// <nil>
}
