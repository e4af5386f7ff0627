package packs_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/checklist/packs"
)

func encrypted(context.Context) checks.Result {
	return checks.Result{Status: checks.Pass, Summary: "TLS 1.3 only"}
}

// A program reads a pack of its own and lists the controls that no item serves.
func ExampleCover() {
	house, err := packs.Parse([]byte(`{
		"id": "house", "title": "House rules", "version": "1", "checked": "2026-11-29", "source": "handbook, chapter 3",
		"controls": [
			{"id": "7", "title": "Second reader", "items": ["review: another team vouches"], "why": "Two people find more."},
			{"id": "8", "title": "Encryption", "items": ["encryption: TLS is probed"], "why": "Networks are shared."}
		]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	list, err := checklist.New("compliance", checklist.Section{Name: "security", Items: []checklist.Item{
		{ID: "encryption", Owner: "eve", Check: checks.Func(encrypted), Controls: []string{"house:8", "soc2:CC6.7", "gdpr:3200"}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	coverage, err := packs.Cover(list, house)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range coverage.Missing() {
		fmt.Println(c.Control, c.Title, c.Suggested)
	}
	for _, s := range coverage.Strays {
		fmt.Println("item", s.Item, "names", s.Control)
	}
	// Output:
	// house:7 Second reader [review: another team vouches]
	// item encryption names gdpr:3200
}

// A rollout obeys a pack through one check.
func ExampleCheck() {
	gdpr, _ := packs.Get("gdpr")
	gdpr.Controls = slices.DeleteFunc(gdpr.Controls, func(c packs.Control) bool { return c.ID != "32" }) // one article only
	list, err := checklist.New("compliance", checklist.Section{Name: "security", Items: []checklist.Item{
		{ID: "encryption", Owner: "eve", Check: checks.Func(encrypted), Controls: []string{"gdpr:32"}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	var records checklist.Memory
	result := packs.Check(&records, list, gdpr).Check(context.Background())
	fmt.Println(result.Status, result.Summary)
	fmt.Println(result.Evidence["notice"])
	// Output:
	// pass 1 of 1 controls that apply hold
	// engineering evidence, not legal advice
}
