package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/strategies"
)

// server is a receiver that keeps what it was sent.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request, body []byte)
	bodies [][]byte
	paths  []string
	header []http.Header
}

func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, body []byte)) *server {
	s := &server{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.bodies, s.paths, s.header = append(s.bodies, body), append(s.paths, r.URL.Path), append(s.header, r.Header.Clone())
		s.mu.Unlock()
		if s.answer != nil {
			s.answer(w, r, body)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) secret() Secret { return Secret(s.URL + "/hidden-path?token=hidden-token") }

// last decodes what was sent last.
func (s *server) last(t *testing.T) map[string]any {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.bodies) == 0 {
		t.Fatal("nothing was sent")
	}
	var v map[string]any
	if err := json.Unmarshal(s.bodies[len(s.bodies)-1], &v); err != nil {
		t.Fatal(err)
	}
	return v
}

var began = time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)

// held is a notification about a rollout that is held.
func held() alert.Notification {
	a := alert.Alert{Name: alert.RolloutHeld, Labels: map[string]string{"target": "chat", "rollout": "chat/17"}, Severity: alert.Warning, Began: began,
		Summary: "chat/17 held at 25%: staging evidence expired · 1.4.0 serves 75%, 1.5.0 serves 25% · nothing moves until a person acts · resume or abort",
		Values:  map[string]string{"stage": "25 %"}, URL: "https://console.example.com/chat/17", Runbook: "https://runbooks.example.com/held"}
	return alert.Notification{Key: "0123456789abcdef0123456789abcdef", Group: "target=chat,rollout=chat/17", Alerts: []alert.Alert{a}, At: began.Add(10 * time.Second)}
}

func resolved(n alert.Notification) alert.Notification {
	n.Alerts[0].Ended, n.Resolved = began.Add(time.Hour), true
	return n
}

// must returns a value, or panics.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const whsec = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

// all makes each notifier that posts to a URL.
func all(at Secret) map[string]alert.Notifier {
	return map[string]alert.Notifier{
		"slack": must(NewSlack(at)), "teams": must(NewTeams(at)), "discord": must(NewDiscord(at)), "alertmanager": must(NewAlertmanager(at)),
		"pagerduty": must(NewPagerDuty(PagerDutyOptions{Key: "hidden-key", URL: at})), "webhook": must(NewWebhook(WebhookOptions{URL: at, Secrets: []Secret{whsec}})),
	}
}

func TestAnswers(t *testing.T) {
	for name := range all("http://localhost/") {
		for _, tt := range []struct {
			code      int
			after     string
			permanent bool
			wait      time.Duration
		}{
			{200, "", false, 0}, {202, "", false, 0}, {204, "", false, 0},
			{400, "", true, 0}, {401, "", true, 0}, {403, "", true, 0}, {404, "", true, 0}, {410, "", true, 0}, {301, "", true, 0},
			{408, "", false, 0}, {425, "", false, 0}, {429, "7", false, 7 * time.Second}, {500, "", false, 0}, {502, "", false, 0}, {503, "120", false, 2 * time.Minute},
			{429, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), false, time.Hour}, {503, "soon", false, 0}, {503, "-5", false, 0},
		} {
			s := serve(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
				w.Header().Set("Retry-After", tt.after)
				w.Header().Set("Location", "https://example.com/")
				w.WriteHeader(tt.code)
				fmt.Fprintf(w, "I do not like %s", r.URL)
			})
			err := all(s.secret())[name].Notify(t.Context(), held())
			if (err == nil) != (tt.code/100 == 2) || rollout.IsPermanent(err) != tt.permanent {
				t.Errorf("%s, answer %d: %v", name, tt.code, err)
			}
			var asked interface{ RetryAfter() time.Duration }
			if tt.wait > 0 && (!errors.As(err, &asked) || asked.RetryAfter() < tt.wait-2*time.Second || asked.RetryAfter() > tt.wait) && name != "alertmanager" {
				t.Errorf("%s, answer %d after %q: %v", name, tt.code, tt.after, err)
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("%s shows a secret: %v", name, err)
			}
			s.Close()
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	s := Secret("https://hooks.example.com/hidden")
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%q %x %#v %+v", s, s, s, s), fmt.Sprint(PagerDutyOptions{Key: s}), string(must(json.Marshal(struct{ Password Secret }{s})))} {
		if strings.Contains(text, "hidden") || strings.Contains(text, "68696464") {
			t.Error(text)
		}
	}
	for name, n := range all("http://127.0.0.1:1/hidden-path?token=hidden-token") {
		err := n.Notify(t.Context(), held())
		if err == nil || rollout.IsPermanent(err) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s without a server: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"slack": second(NewSlack("hidden")), "teams": second(NewTeams("ftp://hidden")), "discord": second(NewDiscord("")), "alertmanager": second(NewAlertmanager("http://%zz")),
		"none": second(NewAlertmanager()), "pagerduty": second(NewPagerDuty(PagerDutyOptions{})), "webhook": second(NewWebhook(WebhookOptions{URL: "http://h/", Secrets: []Secret{"hidden"}})),
		"cloudevents": second(CloudEvents(CloudEventsOptions{URL: "hidden"})),
		"mail":        second(NewMail(MailOptions{Server: "x", From: "a\r\nb", To: []string{"a@b.c", "bad"}, User: "u"})),
	} {
		var invalid *checks.InvalidError
		if !errors.As(err, &invalid) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A receiver that hangs ends with the context.
func TestHanging(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() })
	for name := range all(s.secret()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- all(s.secret())[name].Notify(ctx, held()) }()
		cancel()
		if err := <-done; err == nil || rollout.IsPermanent(err) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// hostile is a notification with texts that break formats.
func hostile() alert.Notification {
	n := held()
	n.Alerts = nil
	for i := range 10 {
		a := held().Alerts[0]
		a.Labels = map[string]string{"target": fmt.Sprint("t", i)}
		a.Summary = "<!channel> @everyone & *bold* [x](http://y) ```" + strings.Repeat("é\U0001F600", 1000)
		a.Detail = strings.Repeat("\"\\</pre><script>", 500)
		for j := range 20 {
			a.Values[fmt.Sprint("value ", j)] = strings.Repeat("&", 250)
		}
		n.Alerts = append(n.Alerts, a)
	}
	n.More = 990
	return n
}

func TestSlack(t *testing.T) {
	s := serve(t, nil)
	slack := must(NewSlack(s.secret()))
	if err := slack.Notify(t.Context(), hostile()); err != nil {
		t.Fatal(err)
	}
	got := s.last(t)
	blocks := got["blocks"].([]any)
	if len(blocks) > 50 || len(blocks) < 20 || utf8.RuneCountInString(got["text"].(string)) > 4000 {
		t.Errorf("%d blocks", len(blocks))
	}
	for _, b := range blocks {
		block := b.(map[string]any)
		texts := []any{block["text"]}
		if block["type"] == "context" {
			texts = block["elements"].([]any)
		}
		for _, part := range texts {
			text := part.(map[string]any)["text"].(string)
			limit := map[string]int{"header": 150, "section": 3000, "context": 3000}[block["type"].(string)]
			if utf8.RuneCountInString(text) > limit || strings.Contains(text, "<!") {
				t.Errorf("%s of %d characters: %.60q", block["type"], utf8.RuneCountInString(text), text)
			}
		}
	}
	// Slack refuses the blocks: once more as plain text.
	calls := 0
	s.answer = func(w http.ResponseWriter, _ *http.Request, body []byte) {
		if calls++; bytes.Contains(body, []byte(`"blocks"`)) {
			http.Error(w, "invalid_blocks", http.StatusBadRequest)
		}
	}
	if err := slack.Notify(t.Context(), hostile()); err != nil || calls != 2 {
		t.Errorf("%v, %d calls", err, calls)
	}
	if text := s.last(t)["text"].(string); utf8.RuneCountInString(text) > 4000 || strings.Contains(text, "<!") || !strings.Contains(text, "RolloutHeld") {
		t.Errorf("%.80q", text)
	}
}

func TestPagerDuty(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, body []byte) {
		var e struct {
			Payload  struct{ Summary string }
			DedupKey string `json:"dedup_key"`
		}
		if err := json.Unmarshal(body, &e); err != nil || utf8.RuneCountInString(e.Payload.Summary) > 1024 || !utf8.ValidString(e.Payload.Summary) || len(e.DedupKey) > 255 || len(body) > 512<<10 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	p := must(NewPagerDuty(PagerDutyOptions{Key: "key", URL: Secret(s.URL)}))
	n := held()
	n.Alerts[0].Summary = strings.Repeat("é", 1100)
	if err := p.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	got := s.last(t)
	summary := got["payload"].(map[string]any)["summary"].(string)
	if utf8.RuneCountInString(summary) != 1024 || !strings.HasSuffix(summary, "… (+83)") || got["event_action"] != "trigger" || got["dedup_key"] != n.Alerts[0].Key() {
		t.Errorf("%d characters, %q, %v", utf8.RuneCountInString(summary), summary[len(summary)-20:], got)
	}
	if err := p.Notify(t.Context(), resolved(held())); err != nil {
		t.Fatal(err)
	}
	if got := s.last(t); got["event_action"] != "resolve" || got["dedup_key"] != n.Alerts[0].Key() || got["payload"] != nil {
		t.Errorf("%v", got)
	}
	if err := p.Notify(t.Context(), hostile()); err != nil {
		t.Fatal(err)
	}
	if len(s.bodies) != 12 {
		t.Errorf("%d requests", len(s.bodies))
	}
	info := held()
	info.Alerts[0].Severity = alert.Info
	if err := p.Notify(t.Context(), info); err != nil || s.paths[len(s.paths)-1] != "/v2/change/enqueue" {
		t.Errorf("%v, %v", err, s.paths)
	}
	if err := p.Notify(t.Context(), resolved(info)); err != nil || s.last(t)["event_action"] != "resolve" || s.last(t)["dedup_key"] != info.Alerts[0].Key() {
		t.Errorf("what was worse before it was lowered to Info is not resolved: %v, %v", err, s.last(t))
	}
	before := len(s.bodies)
	test := held()
	test.Test = true
	if err := p.Notify(t.Context(), test); err != nil || len(s.bodies) != before+2 || s.last(t)["event_action"] != "resolve" || !bytes.Contains(s.bodies[before], []byte(`"class":"test"`)) {
		t.Errorf("%v, %s", err, s.bodies[before:])
	}
}

func TestTeams(t *testing.T) {
	s := serve(t, nil)
	for _, n := range []alert.Notification{held(), hostile(), resolved(held())} {
		if err := must(NewTeams(s.secret())).Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		got := s.last(t)
		card := got["attachments"].([]any)[0].(map[string]any)["content"].(map[string]any)
		if size := len(s.bodies[len(s.bodies)-1]); size > 28<<10 || got["type"] != "message" || card["version"] != "1.4" || card["type"] != "AdaptiveCard" {
			t.Errorf("%d bytes, %v", size, got)
		}
	}
}

func TestDiscord(t *testing.T) {
	s := serve(t, nil)
	d := must(NewDiscord(s.secret()))
	if err := d.Notify(t.Context(), hostile()); err != nil {
		t.Fatal(err)
	}
	got := s.last(t)
	all := 0
	for _, e := range got["embeds"].([]any) {
		embed := e.(map[string]any)
		title, text := units16(embed["title"].(string)), units16(embed["description"].(string))
		if title > 256 || text > 4096 {
			t.Errorf("%d, %d", title, text)
		}
		all += title + text
	}
	if all > 6000 || units16(got["content"].(string)) > 2000 || len(got["embeds"].([]any)) != 10 || fmt.Sprint(got["allowed_mentions"]) != "map[parse:[]]" {
		t.Errorf("%d units, %v", all, got["allowed_mentions"])
	}
	s.answer = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"message":"slow down","retry_after":1.75}`)
	}
	var asked *Error
	if err := d.Notify(t.Context(), held()); !errors.As(err, &asked) || asked.RetryAfter() != 1750*time.Millisecond {
		t.Errorf("%v", err)
	}
}

func units16(s string) (n int) {
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

func TestWebhookVectors(t *testing.T) {
	for _, tt := range []struct {
		secret       Secret
		id, at, body string
		want         string
	}{
		{whsec, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		{"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "serin/chat/3/17", "1767225600", `{"a":1}`, "v1,mv/xLVhwhYaLYriUMlvWwaM8GMIUfGKA191OX0dlmJE="},
	} {
		if got := sign(must(webhookKey(tt.secret)), tt.id, tt.at, []byte(tt.body)); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}

func TestWebhook(t *testing.T) {
	old, other := whsec, Secret("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	s := serve(t, func(w http.ResponseWriter, r *http.Request, _ []byte) { fmt.Fprint(w, r.Header.Get("webhook-id")) })
	w := must(NewWebhook(WebhookOptions{URL: s.secret(), Secrets: []Secret{old, other}}))
	n := held()
	n.Test = true
	if err := w.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	body, header := s.bodies[0], s.header[0]
	now := time.Now()
	for _, secrets := range [][]Secret{{old}, {other}, {other, old}} { // during a change of secrets
		if id, err := VerifyWebhook(header, body, now, secrets...); err != nil || id != n.Key {
			t.Errorf("%q, %v", id, err)
		}
	}
	with := func(name, value string) http.Header { h := header.Clone(); h.Set(name, value); return h }
	for what, err := range map[string]error{
		"another body":      second(VerifyWebhook(header, append(bytes.Clone(body), ' '), now, old)),
		"another id":        second(VerifyWebhook(with("webhook-id", "x"), body, now, old)),
		"another time":      second(VerifyWebhook(with("webhook-timestamp", fmt.Sprint(now.Unix()+1)), body, now, old)),
		"a time with zeros": second(VerifyWebhook(with("webhook-timestamp", "0"+header.Get("webhook-timestamp")), body, now, old)),
		"too old":           second(VerifyWebhook(header, body, now.Add(6*time.Minute), old)),
		"too new":           second(VerifyWebhook(header, body, now.Add(-6*time.Minute), old)),
		"another secret":    second(VerifyWebhook(header, body, now, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
		"no signature":      second(VerifyWebhook(with("webhook-signature", ""), body, now, old)),
		"no secret":         second(VerifyWebhook(header, body, now)),
	} {
		if !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if ok, err := w.Confirmed(t.Context(), n); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if err := w.Sink().Notify(t.Context(), rollout.Event{Rollout: "chat/3", Seq: 17}); err != nil || s.header[1].Get("webhook-id") != "chat/3/17" {
		t.Errorf("%v, %v", err, s.header[1])
	}
	// 410 switches it off.
	s.answer = func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusGone) }
	before := len(s.bodies)
	for range 3 {
		if err := w.Notify(t.Context(), n); !rollout.IsPermanent(err) {
			t.Error(err)
		}
	}
	if len(s.bodies) != before+1 {
		t.Errorf("%d requests after 410", len(s.bodies)-before)
	}
}

func FuzzVerifyWebhook(f *testing.F) {
	f.Add("id", "1614265330", "v1,abc v1a,xyz", []byte("{}"))
	f.Fuzz(func(t *testing.T, id, at, signature string, body []byte) {
		h := http.Header{}
		h.Set("webhook-id", id)
		h.Set("webhook-timestamp", at)
		h.Set("webhook-signature", signature)
		if _, err := VerifyWebhook(h, body, time.Unix(1614265330, 0), whsec); err == nil {
			t.Error("verified")
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Wed, 21 Oct 2015 07:28:00 GMT")
	f.Fuzz(func(t *testing.T, value string) {
		if d := retryAfter(value, began); d < 0 {
			t.Error(d)
		}
	})
}

func TestCloudEvents(t *testing.T) {
	s := serve(t, nil)
	e := rollout.Event{Rollout: "chat/3", Seq: 17, At: began, Kind: rollout.PhaseEntered, Phase: strategies.Baking}
	if err := must(CloudEvents(CloudEventsOptions{URL: s.secret()})).Notify(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	got := s.last(t)
	for name, want := range map[string]any{"specversion": "1.0", "id": "chat/3/17", "source": "/serin/chat", "type": "com.github.serin-go.rollout.phase-entered", "subject": "chat/3", "time": "2026-11-29T09:00:00Z"} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if h := s.header[0].Get("Content-Type"); h != "application/cloudevents+json" || got["data"].(map[string]any)["seq"] != 17. {
		t.Errorf("%q, %v", h, got["data"])
	}
	if err := must(CloudEvents(CloudEventsOptions{URL: s.secret(), Binary: true, Header: http.Header{"Authorization": {"Bearer x"}}})).Notify(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if h := s.header[1]; h.Get("ce-id") != "chat/3/17" || h.Get("ce-type") == "" || h.Get("Authorization") != "Bearer x" || s.last(t)["seq"] != 17. {
		t.Errorf("%v", h)
	}
}

func TestLog(t *testing.T) {
	var b bytes.Buffer
	l := Log(slog.New(slog.NewTextHandler(&b, nil)))
	if err := errors.Join(l.Notify(t.Context(), held()), l.Notify(t.Context(), resolved(held()))); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "level=WARN") || !strings.Contains(text, "level=INFO") {
		t.Error(text)
	}
}

// TestGolden compares what arrives with files. Set UPDATE=1 to write them.
func TestGolden(t *testing.T) {
	incident := held()
	incident.Alerts[0].Name, incident.Alerts[0].Severity = alert.RolloutIncident, alert.Critical
	incident.Alerts[0].Summary = "chat/17: both versions have left what they were: errors rose from 1% to 12% in both · the rollout waits · look for a cause outside of the candidate"
	for name, n := range map[string]alert.Notification{"held": held(), "resolved": resolved(held()), "incident": incident} {
		for kind := range map[string]bool{"slack": true, "teams": true, "discord": true, "pagerduty": true} {
			s := serve(t, nil)
			if err := all(Secret(s.URL))[kind].Notify(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := json.Indent(&b, s.bodies[0], "", "  "); err != nil {
				t.Fatal(err)
			}
			b.WriteByte('\n')
			file := filepath.Join("testdata", kind+"-"+name+".json")
			if os.Getenv("UPDATE") != "" {
				if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(file, b.Bytes(), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(want, b.Bytes()) {
				t.Errorf("%s: %v\n%s", file, err, b.Bytes())
			}
		}
	}
}
