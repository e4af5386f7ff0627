package alert_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/memstore"
)

// One person alone hides nothing for longer than 7 days, and not everything.
func TestSilencesOfOnePerson(t *testing.T) {
	const day = 24 * time.Hour
	type span struct {
		match    string
		from, to time.Duration
	}
	for _, tt := range []struct {
		name  string
		spans []span
		needs []bool
	}{
		{"a chain", []span{{"chat", 0, 7 * day}, {"chat", 7 * day, 14 * day}, {"chat", 14 * day, 21 * day}}, []bool{false, true, true}},
		{"in the future", []span{{"chat", 20 * day, 21 * day}}, []bool{true}},
		{"short ones", []span{{"chat", 0, 3 * day}, {"chat", 3 * day, 4 * day}, {"chat", 4 * day, 5 * day}}, []bool{false, false, true}},
		{"a wider one after a narrow one", []span{{"chat", 0, 6 * day}, {"c*", 0, 6 * day}}, []bool{false, true}},
		{"other alerts", []span{{"chat", 0, 6 * day}, {"search", 0, 6 * day}}, []bool{false, false}},
		{"everything", []span{{"*", 0, time.Hour}}, []bool{true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{}
				m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
				began := time.Now()
				for i, s := range tt.spans {
					id, err := m.Silence(t.Context(), alert.Silence{Match: map[string]string{"target": s.match}, From: began.Add(s.from), To: began.Add(s.to), Reason: "maintenance"}, ana)
					if err != nil {
						t.Fatal(err)
					}
					for _, have := range m.Silences() {
						if have.ID == id && have.NeedsSecond != tt.needs[i] {
							t.Errorf("silence %d needs a second person: %v", i, have.NeedsSecond)
						}
					}
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
		id, err := m.Silence(t.Context(), alert.Silence{Match: map[string]string{"alertname": "*"}, To: time.Now().Add(time.Hour), Reason: "maintenance"}, ana)
		if err != nil {
			t.Fatal(err)
		}
		set(t, m, critical("chat"))
		wait(time.Minute)
		want(t, "alone", r.story(), []string{"OutOfMemory critical fires"})
		if err := m.Second(t.Context(), id, ben); err != nil {
			t.Fatal(err)
		}
		set(t, m, critical("other"))
		wait(time.Minute)
		want(t, "seconded", r.story(), []string{"OutOfMemory critical fires"})
	})
}
