package notify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/alert/notify"
)

// alertmanager runs a real Alertmanager that calls a webhook, and returns its address.
func alertmanager(t *testing.T, hook string) string {
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		if program, err = exec.LookPath("alertmanager"); err != nil {
			t.Skip("no Alertmanager here; install the Debian package prometheus-alertmanager")
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	config := fmt.Sprintf("route:\n  receiver: hook\n  group_by: [target]\n  group_wait: 100ms\n  group_interval: 200ms\n  repeat_interval: 1h\nreceivers:\n- name: hook\n  webhook_configs:\n  - url: %s\n    send_resolved: true\n", hook)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	at := freePort(t)
	cmd := exec.CommandContext(t.Context(), program, "--config.file="+file, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+at, "--cluster.listen-address=")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	url := "http://" + at
	until(t, "the Alertmanager is ready", func() bool {
		resp, err := http.Get(url + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return url
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// until waits for a state.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 3000 {
		if is() {
			return
		}
		select {
		case <-t.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("not so: %s", what)
}

type hookMessage struct {
	GroupKey string `json:"groupKey"`
	Alerts   []struct {
		Status string            `json:"status"`
		Labels map[string]string `json:"labels"`
	} `json:"alerts"`
}

// TestRealAlertmanager: alerts arrive at a real Alertmanager, are grouped by it, do not resolve
// themselves over ten repetitions, and are resolved, while another instance is down.
func TestRealAlertmanager(t *testing.T) {
	told := make(chan hookMessage, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m hookMessage
		if json.NewDecoder(r.Body).Decode(&m) == nil {
			told <- m
		}
	}))
	defer hook.Close()
	at := alertmanager(t, hook.URL)
	m, err := notify.NewAlertmanager(notify.Secret("http://"+freePort(t)), notify.Secret(at)) // the first one is down
	if err != nil {
		t.Fatal(err)
	}
	var alerts []alert.Alert
	for _, name := range []string{"RolloutHeld", "SplitNotInForce"} {
		alerts = append(alerts, alert.Alert{Name: name, Labels: map[string]string{"target": "chat", "rollout": "chat/17"}, Severity: alert.Critical, Summary: "held \"é\"\n", Began: time.Now().Add(-time.Minute), Runbook: "https://example.com/runbook"})
	}
	n := alert.Notification{Key: "k", Group: "target=chat", Alerts: alerts, At: time.Now()}
	if err := m.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	both(t, told, "firing")
	for range 10 {
		if err := m.Refresh(t.Context(), alerts); err != nil {
			t.Fatal(err)
		}
	}
	if n := active(t, at); n != 2 {
		t.Errorf("%d alerts are active after ten repetitions, want 2", n)
	}
	if ok, err := m.Confirmed(t.Context(), n); err != nil && !ok || !ok {
		t.Errorf("confirmed %v, %v", ok, err)
	}
	if ok, _ := m.Confirmed(t.Context(), alert.Notification{Alerts: []alert.Alert{{Name: "Other"}}}); ok {
		t.Error("an alert that was never sent is confirmed")
	}
	for i := range alerts {
		alerts[i].Ended = time.Now()
	}
	if err := m.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	both(t, told, "resolved")
}

// both waits until both alerts have come in a state, in one group.
func both(t *testing.T, told <-chan hookMessage, state string) {
	t.Helper()
	seen, group := make(map[string]bool), ""
	for len(seen) < 2 {
		m := <-told
		if group != "" && m.GroupKey != group {
			t.Errorf("groups %s and %s", group, m.GroupKey)
		}
		group = m.GroupKey
		for _, a := range m.Alerts {
			if a.Labels["severity"] != "critical" {
				t.Errorf("labels %v", a.Labels)
			}
			if a.Status == state {
				seen[a.Labels["alertname"]] = true
			} else if state == "firing" {
				t.Errorf("%s is %s", a.Labels["alertname"], a.Status)
			}
		}
	}
}

func active(t *testing.T, at string) int {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/api/v2/alerts?active=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var list []struct{ EndsAt time.Time }
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if left := time.Until(a.EndsAt); left < 4*time.Minute || left > 5*time.Minute+time.Second {
			t.Errorf("an alert ends in %v", left)
		}
	}
	return len(list)
}

// Without an instance that takes it, the message is tried again, unless all refuse it.
func TestAlertmanagerInstances(t *testing.T) {
	answer := func(code int) notify.Secret {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		t.Cleanup(s.Close)
		return notify.Secret(s.URL)
	}
	n := alert.Notification{Alerts: []alert.Alert{{Name: "A", Began: time.Now()}}}
	for _, tt := range []struct {
		codes []int
		fails bool
	}{{[]int{200, 500}, false}, {[]int{400, 200}, false}, {[]int{500, 400}, true}, {[]int{400, 400}, true}} {
		var at []notify.Secret
		for _, code := range tt.codes {
			at = append(at, answer(code))
		}
		m, err := notify.NewAlertmanager(at...)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Notify(context.WithoutCancel(t.Context()), n); (err != nil) != tt.fails || err != nil && !strings.Contains(err.Error(), "alertmanager") {
			t.Errorf("%v: %v", tt.codes, err)
		}
	}
}
