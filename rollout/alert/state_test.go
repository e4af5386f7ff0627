package alert

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
)

// filled returns a state with a number of alerts.
func filled(n int, text string) *document {
	d, at := newDocument(), time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for i := range n {
		a := Alert{Name: "A", Labels: map[string]string{"n": fmt.Sprint(i)}, Severity: Severity(i % 4), Summary: text, Detail: text, Began: at}
		d.fire(a.Key(), a, at, "r/rule", nil)
	}
	return d
}

func TestStateIsStored(t *testing.T) {
	for _, n := range []int{0, 10, 900} {
		d := filled(n, "it is slow")
		value, err := d.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseDocument(value)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, got, cmp.AllowUnexported(document{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%d alerts: %s", n, diff)
		}
	}
}

// A state that does not fit loses details first and then its least alerts, counted.
func TestStateFits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	d, at := newDocument(), time.Now()
	for i := range maxAlerts {
		text := make([]byte, 3000)
		for j := range text {
			text[j] = byte('!' + random.IntN(90))
		}
		a := Alert{Name: "A", Labels: map[string]string{"n": fmt.Sprint(i)}, Severity: Severity(i % 4), Summary: string(text), Detail: string(text), Began: at}
		d.fire(a.Key(), a, at, "", nil)
	}
	value, err := d.encode()
	if err != nil || len(value) > maxState {
		t.Fatalf("%d bytes, %v", len(value), err)
	}
	critical, counted := 0, 0
	for _, e := range d.Alerts {
		critical += flag(e.Severity == Critical && e.Name == "A")
	}
	for _, list := range d.Counted {
		counted += len(list)
	}
	if critical < maxAlerts/4 || d.Lost == 0 || len(d.Alerts)+counted < maxAlerts {
		t.Errorf("%d critical alerts, %d alerts, %d counted, %d lost", critical, len(d.Alerts), counted, d.Lost)
	}
}

// A state that cannot be read is replaced.
func TestStateIsDamaged(t *testing.T) {
	for _, bad := range []string{"{", "zzz", `{"format":9}`, `{"format":1,"alerts":{"x":null}}`, `{"format":1,"channels":{"a b":{"receiver":"c"}}}`, `{"format":1,"silences":{"x":null}}`} {
		store := new(memstore.Store)
		if _, err := store.Put(t.Context(), "alert/main", []byte(bad), ""); err != nil {
			t.Fatal(err)
		}
		m, err := New(Config{Store: store, Receivers: map[string]Notifier{"x": NotifierFunc(nil)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Set(t.Context(), Alert{Name: "A"}); err != nil || len(m.Firing()) != 1 {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzState(f *testing.F) {
	small, _ := filled(2, "x").encode()
	large, _ := filled(900, strings.Repeat("x", 100)).encode()
	f.Add(small)
	f.Add(large[:min(len(large), 2000)])
	f.Fuzz(func(t *testing.T, value []byte) {
		d, err := parseDocument(value)
		if err != nil {
			return
		}
		m, err := New(Config{Store: new(memstore.Store), Receivers: map[string]Notifier{"x": NotifierFunc(nil)}})
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
		d.trim(at)
		m.plan(d, at)
		d.follow(rollout.Event{Rollout: "chat/1", Seq: 1, Kind: rollout.Paused, Rule: "limit"}, at)
		again, err := d.encode()
		if err != nil {
			return // too large
		}
		if _, err := parseDocument(again); err != nil {
			t.Errorf("%v: %.200q", err, bytes.TrimSpace(again))
		}
	})
}
