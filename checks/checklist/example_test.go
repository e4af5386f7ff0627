package checklist_test

import (
	"context"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
)

// A list with one item that a check verifies and one that people vouch for.
func Example() {
	list, err := checklist.New("deployment", checklist.Section{Name: "security", Items: []checklist.Item{
		{ID: "encryption", Owner: "eve", Firm: true, Check: checks.Func(func(context.Context) checks.Result {
			return checks.Result{Status: checks.Pass, Summary: "TLS 1.3 only"}
		})},
		{ID: "compliance", Owner: "pia", Attest: &checklist.Attest{Rules: checklist.By("privacy")}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	release := checks.Subject{Target: "chat", Candidate: "1.5.0", Digest: "sha256:5f0c"}
	ctx := checks.WithSubject(context.Background(), release)
	var records checklist.Memory
	ready := list.Check(&records)
	fmt.Println(ready.Check(ctx).Summary)

	records.Keep(ctx, checklist.Record{
		Kind: checklist.Vote, Item: "compliance", Subject: release, At: time.Now(),
		By: checklist.Person{Name: "pia", Roles: []string{"privacy"}}, Result: checks.Result{Status: checks.Pass},
	})
	fmt.Println(ready.Check(ctx).Status)
	// Output:
	// checklist deployment: 1 of 2 items do not hold; compliance (unknown, pia): 0 of 1 votes, still needed: 1 of privacy
	// pass
}

// Due lists what must be renewed within a month.
func ExampleList_Due() {
	list, err := checklist.New("ongoing", checklist.Section{Name: "compliance", Items: []checklist.Item{
		{ID: "audit", Owner: "pia", Scope: checklist.OfOrganisation, Attest: &checklist.Attest{Valid: 365 * 24 * time.Hour}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	var records checklist.Memory
	records.Keep(ctx, checklist.Record{
		Kind: checklist.Vote, Item: "audit", At: time.Now().AddDate(0, 0, -350),
		By: checklist.Person{Name: "pia"}, Result: checks.Result{Status: checks.Pass},
	})
	for _, due := range list.Due(ctx, &records, time.Now().AddDate(0, 1, 0)) {
		fmt.Println(due.Item, due.Owner, due.State, time.Until(due.Until).Round(24*time.Hour))
	}
	// Output: audit pia pass 360h0m0s
}
