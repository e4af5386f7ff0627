package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/alert/notify"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// room takes messages as Slack and PagerDuty do, and keeps their texts.
type room struct {
	mu    sync.Mutex
	lines []string
}

func (r *room) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var m struct {
		Text    string
		Blocks  []struct{ Text struct{ Text string } }
		Action  string `json:"event_action"`
		Payload struct{ Summary, Severity string }
	}
	if err := json.NewDecoder(req.Body).Decode(&m); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	line := strings.TrimSpace("pager: " + m.Action + " " + m.Payload.Severity + " " + m.Payload.Summary)
	if req.URL.Path == "/slack" {
		line = "slack: " + m.Text
		for _, b := range m.Blocks[1:] {
			if _, text, found := strings.Cut(b.Text.Text, "\n"); found {
				text, _, _ = strings.Cut(text, "\n")
				line += "\n       " + text
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *room) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

// TestLife compares what a chat room and a pager receive in the life of a rollout with
// testdata/life.txt: approval, held, resumed, rolled back, and a dead letter. Set UPDATE=1 to
// write it.
func TestLife(t *testing.T) {
	r := &room{}
	s := httptest.NewServer(r)
	defer s.Close()
	slack, err := notify.NewSlack(notify.Secret(s.URL + "/slack"))
	if err != nil {
		t.Fatal(err)
	}
	pager, err := notify.NewPagerDuty(notify.PagerDutyOptions{Key: "key", URL: notify.Secret(s.URL)})
	if err != nil {
		t.Fatal(err)
	}
	broken := alert.NotifierFunc(func(context.Context, alert.Notification) error { return rollout.Permanent(errors.New("answered 404")) })
	fast := alert.Route{Wait: time.Nanosecond, Every: time.Nanosecond}
	critical, all, failed := fast, fast, fast
	critical.Min, critical.To, critical.Continue = alert.Critical, []string{"pager"}, true
	failed.Match, failed.To, failed.Continue = map[string]string{"alertname": alert.RolloutRolledBack}, []string{"broken"}, true
	all.To = []string{"slack"}
	m, err := alert.New(alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"slack": slack, "pager": pager, "broken": broken}, Routes: []alert.Route{critical, failed, all}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	defer func() { cancel(); <-done }()
	at := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	for i, step := range []struct {
		kind     rollout.Kind
		phase    strategies.Phase
		rule     string
		urgent   bool
		reason   string
		messages int // that have come by then
	}{
		{rollout.Started, strategies.Preflight, "", false, "", 0},
		{rollout.PhaseEntered, strategies.Approving, "evidence", false, "baked 1h0m0s, no harm seen", 1},
		{rollout.PhaseEntered, strategies.Baking, "approval", false, "approved by pia", 2},
		{rollout.Paused, strategies.Baking, "standing", true, "staging evidence expired 09:00", 4},
		{rollout.Resumed, strategies.Baking, "command", false, "resumed by ana", 6},
		{rollout.Ended, strategies.RolledBack, "harm", false, "harm: error rate 12% against 1%", 8},
	} {
		e := rollout.Event{Rollout: "chat/17", Seq: uint64(i + 1), At: at, Kind: step.kind, Phase: step.phase, Rule: step.rule, Urgent: step.urgent, Reason: step.reason, Name: "canary 25%",
			By: rollout.Actor{Name: "ana"}, Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Percent(75)}, {Name: "1.5.0", Weight: strategies.Percent(25)}}}}
		if step.kind == rollout.Ended {
			e.Split.Arms[0].Weight, e.Split.Arms[1].Weight = strategies.Full, 0
		}
		if err := m.Notify(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		until(t, "messages about "+string(step.kind), func() bool { return len(r.all()) >= step.messages })
	}
	// Two receivers are told at the same time: their order does not matter.
	lines := r.all()
	for i := 1; i < len(lines); i++ {
		if strings.HasPrefix(lines[i], "pager") && strings.HasPrefix(lines[i-1], "slack") && i%2 == 1 {
			lines[i-1], lines[i] = lines[i], lines[i-1]
		}
	}
	got := strings.Join(lines, "\n") + "\n"
	file := filepath.Join("testdata", "life.txt")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%v\n%s", err, got)
	}
}
