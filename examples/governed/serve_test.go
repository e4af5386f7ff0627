package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/planfile"
)

// TestServe drives a whole life over the console's address: kept out by the checklist, vouched
// for, started, approved by two people with a one-time password, and promoted.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	err := stage(t.Context(), &out, func(ctx context.Context, s *story) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		return s.serve(ctx, "127.0.0.1:0", dir, func(at string, tokens map[string]string) {
			go func() {
				defer stop()
				live(t, at, dir, tokens)
			}()
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func live(t *testing.T, at, dir string, tokens map[string]string) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	as := func(name string) *client.Client {
		c, err := client.New(client.Config{URL: at, Token: tokens[name], Agent: "ctl"})
		if err != nil {
			t.Error(err)
		}
		return c
	}
	wait := func(id, situation string) client.State {
		for {
			st, err := as("ana").State(ctx, id)
			if err != nil || st.Situation == situation {
				if err != nil {
					t.Errorf("%s never was %s: %v", id, situation, err)
				}
				return st
			}
			if st.Outcome != "" {
				t.Errorf("%s is %s: %s", id, st.Situation, st.Reason)
				return st
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	plan, err := os.ReadFile(filepath.Join(dir, "plan.yaml"))
	if err != nil {
		t.Error(err)
		return
	}
	p, err := planfile.Read("plan.yaml", plan)
	p.Analysis.Metrics = []analysis.Metric{analysis.ErrorRate()} // times say nothing on a busy machine
	if err == nil {
		plan, err = planfile.Write(p)
	}
	if err != nil {
		t.Error(err)
		return
	}
	id, err := as("ben").Start(ctx, string(plan), "first")
	if err != nil {
		t.Error(err)
		return
	}
	if st := wait(id, "shut"); !strings.Contains(st.Reason, "compliance-audits") {
		t.Errorf("kept out because %s", st.Reason)
	}
	if _, err := as("pia").Vouch(ctx, "deployment", "compliance-audits", client.Vouching{Rollout: id, Reason: proof.Reason, Link: proof.Link, Sum: proof.Sum}, "vouch"); err != nil {
		t.Error(err)
	}
	if id, err = as("ben").Start(ctx, string(plan), "second"); err != nil {
		t.Error(err)
		return
	}
	for _, name := range []string{"ana", "pia"} {
		st := wait(id, "approval")
		if err := as(name).Do(ctx, id, client.Order{Command: "approve", IfSeq: st.Changed}); !isProblem(err, client.StepUpRequired) {
			t.Errorf("%s approves without a second factor: %v", name, err)
		}
		form := url.Values{"code": {phone(time.Now())}}
		r, err := http.NewRequestWithContext(ctx, "POST", at+"/me", strings.NewReader(form.Encode()))
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Bearer "+tokens[name])
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil || resp.StatusCode != http.StatusSeeOther {
			t.Errorf("%s proves the second factor: %v, %v", name, resp, err)
			return
		}
		resp.Body.Close()
		if st, err = as(name).State(ctx, id); err != nil {
			t.Error(err)
		}
		if err := as(name).Do(ctx, id, client.Order{Command: "approve", IfSeq: st.Changed}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wait(id, "promoted")
}

func isProblem(err error, name string) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Name() == name
}
