package checklist_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
)

// BenchmarkRun evaluates 34 items from their records, beside decoding these records.
func BenchmarkRun(b *testing.B) {
	var items []checklist.Item
	var src checklist.Memory
	var texts [][]byte
	for i := range 34 {
		item := checklist.Item{ID: fmt.Sprintf("item-%d", i), Owner: "ana", Controls: []string{"gdpr:32"}}
		r := looked(checks.Pass, time.Now())
		r.Result.Evidence = map[string]string{"p95_ms": "312", "errors": "0"}
		if i%2 == 0 {
			item.Attest = &checklist.Attest{Rules: checklist.By("privacy")}
			r = vote(pia, time.Now())
		} else {
			item.Check, item.Valid = result(checks.Fail, ""), 24*time.Hour
		}
		r.Item = item.ID
		src.Keep(b.Context(), r)
		text, err := json.Marshal(r)
		if err != nil {
			b.Fatal(err)
		}
		items, texts = append(items, item), append(texts, text)
	}
	l, err := checklist.New("deployment", checklist.Section{Name: "all", Items: items})
	if err != nil {
		b.Fatal(err)
	}
	ctx := checks.WithSubject(b.Context(), subject)
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			if r := l.Run(ctx, &src); r.State != checklist.Pass {
				b.Fatal(r.Result().Summary)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			for _, text := range texts {
				var r checklist.Record
				if err := json.Unmarshal(text, &r); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
