package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/alert/notify"
	"github.com/serin-go/serin/rollout/memstore"
)

// newAlerts returns a manager of alerts whose receivers are a chat room like Slack and a pager
// like PagerDuty, on this machine. The pager gets only what is critical.
func newAlerts(ctx context.Context, broken *fault) (*alert.Manager, *inbox, error) {
	in := &inbox{fault: broken}
	at, err := listen(ctx, in, nil)
	if err != nil {
		return nil, nil, err
	}
	slack, err := notify.NewSlack(notify.Secret(at + "/slack"))
	if err != nil {
		return nil, nil, err
	}
	pager, err := notify.NewPagerDuty(notify.PagerDutyOptions{Key: "key", URL: notify.Secret(at)})
	if err != nil {
		return nil, nil, err
	}
	m, err := alert.New(alert.Config{
		Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"slack": slack, "pager": pager}, URL: "https://console.example.com",
		Routes: []alert.Route{
			{Min: alert.Critical, To: []string{"pager"}, Continue: true},
			{To: []string{"slack"}, Wait: time.Millisecond, Every: time.Millisecond},
		},
	})
	if err == nil {
		go m.Run(ctx)
	}
	return m, in, err
}

// inbox is what the chat room and the pager were sent.
type inbox struct {
	fault *fault
	mu    sync.Mutex
	lines []string
}

// ServeHTTP takes a message as Slack and PagerDuty do.
func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if in.fault.is("alerts") {
		http.Error(w, "internal_error", http.StatusInternalServerError)
		return
	}
	var m struct {
		Text    string // of Slack
		Blocks  []struct{ Text struct{ Text string } }
		Action  string `json:"event_action"` // of PagerDuty
		Payload struct{ Summary string }
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		http.Error(w, "invalid_payload", http.StatusBadRequest)
		return
	}
	line := "pager: " + m.Action + " " + m.Payload.Summary
	if r.URL.Path == "/slack" {
		line = "slack: " + m.Text
		for _, b := range m.Blocks[1:] {
			if _, first, found := strings.Cut(b.Text.Text, "\n"); found {
				first, _, _ = strings.Cut(first, "\n")
				line += "\n       " + first
			}
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lines = append(in.lines, line)
	w.WriteHeader(http.StatusAccepted)
}

// waitFor waits until a message has come that contains name, at most a minute.
func (in *inbox) waitFor(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		in.mu.Lock()
		come := slices.ContainsFunc(in.lines, func(line string) bool { return strings.Contains(line, name) })
		in.mu.Unlock()
		if come {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("no message %s has come: %w", name, ctx.Err())
		}
	}
}

// print writes what has come.
func (in *inbox) print(out io.Writer) {
	in.mu.Lock()
	defer in.mu.Unlock()
	fmt.Fprintln(out, strings.Join(in.lines, "\n"))
}
