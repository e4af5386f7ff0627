package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// burst is a trace in the format of the newer files of BurstGPT: a conversation of three
// turns, one that begins again, and a request of the API.
const burst = `Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
100,a,2,ChatGPT,10,5,15,Conversation log
101,b,1,GPT-4,30,6,36,Conversation log
110,a,2,ChatGPT,22,4,26,Conversation log
110.5,,1,ChatGPT,8,3,11,API log
111,b,1,GPT-4,12,5,17,Conversation log
112,a,2,ChatGPT,40,4,44,Conversation log
`

func burstTrace(t *testing.T) *workload.Trace {
	t.Helper()
	trace, err := workload.ReadTrace(strings.NewReader(burst), workload.TraceOptions{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

// asked is a request that a server has received.
type asked struct {
	at      time.Duration
	session string
	said    string // roles with numbers of words, or with the text of answers
}

// listen makes a Transport of p that keeps what is asked.
func listen(p *Plan, answer func(n int) script) (all func() []asked) {
	var mu sync.Mutex
	var got []asked
	began := time.Time{}
	p.Transport = roundTripFunc(func(r *http.Request) (*http.Response, error) {
		var body struct{ Messages []workload.Message }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		if began.IsZero() {
			began = time.Now()
		}
		one := asked{at: time.Since(began).Round(time.Millisecond), session: r.Header.Get("X-Session-Id")}
		for _, m := range body.Messages {
			text := m.Content
			if n := len(strings.Fields(text)); m.Role == "user" {
				text = fmt.Sprint(n)
			} else if text != "light" {
				text = fmt.Sprint(n, " generated")
			}
			one.said += m.Role[:1] + ":" + text + " "
		}
		got = append(got, one)
		return answer(len(got) - 1).RoundTrip(r)
	})
	return func() []asked { return got }
}

var light = script{parts: []part{{data: role + content("li")}, {at: 200 * ms, data: content("ght")}, {at: 500 * ms, data: goodTail}}}

// TestSessionsOfATrace replays conversations with the answers of the server, at the
// instants of the trace.
func TestSessionsOfATrace(t *testing.T) {
	trace := burstTrace(t)
	p := plan(nil)
	p.Prompts, p.Workload, p.Pacer, p.Requests, p.SessionHeader = nil, trace, trace, 0, "x-session-id"
	slow := light
	slow.parts = slices.Clone(light.parts)
	slow.parts[2].at = 4 * time.Second
	got := listen(&p, func(n int) script {
		if n == 2 { // the second turn of a, which ends after the third is due
			return slow
		}
		return light
	})
	report, results := simulate(t, p)
	want := []asked{
		{0, "a", "u:10 "}, {time.Second, "b", "u:30 "}, {10 * time.Second, "a", "u:10 a:light u:7 "}, {10500 * ms, "", "u:8 "},
		{11 * time.Second, "b", "u:12 "}, // its request tokens leave no room for the turn before
		{14 * time.Second, "a", "u:10 a:light u:7 a:light u:14 "},
	}
	if diff := cmp.Diff(want, got(), cmp.AllowUnexported(asked{})); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if late := results[len(results)-1]; late.SchedLag() > 0 || report.Late {
		t.Errorf("the turn that waited for an answer has a lag of %v", late.SchedLag())
	}
	if len(report.Notes) != 1 || !strings.HasPrefix(report.Notes[0], "1 turns of sessions were due later") {
		t.Errorf("notes %q", report.Notes)
	}
	if text := trace.String(); !strings.Contains(text, "5 of them in 2 sessions") {
		t.Errorf("%s", text)
	}
}

// TestSessionsWithoutAnswers sends each turn of a session whose answers have failed, or
// were received by another process, with a text of the recorded length in their place.
func TestSessionsWithoutAnswers(t *testing.T) {
	trace := burstTrace(t)
	for name, test := range map[string]struct {
		pacer   pace.Pacer
		failing bool
		want    []string
	}{
		"failed":        {trace, true, []string{"u:10 ", "u:30 ", "u:10 a:5 generated u:7 ", "u:8 ", "u:12 ", "u:10 a:5 generated u:7 a:light u:14 "}},
		"another shard": {pace.Shard(trace, 2, 3), false, []string{"u:10 a:5 generated u:7 ", "u:10 a:5 generated u:7 a:light u:14 "}},
	} {
		p := plan(nil)
		p.Prompts, p.Workload, p.Pacer, p.Requests = nil, trace, test.pacer, 0
		got := listen(&p, func(n int) script {
			if test.failing && n == 0 {
				return script{status: 500}
			}
			return light
		})
		report, _ := simulate(t, p)
		var said []string
		for _, one := range got() {
			said = append(said, one.said)
		}
		if diff := cmp.Diff(test.want, said); diff != "" {
			t.Errorf("%s: asked (-want +got):\n%s", name, diff)
		}
		if len(report.Notes) != 1 || !strings.HasPrefix(report.Notes[0], "2 turns of sessions were sent with a generated text") {
			t.Errorf("%s: notes %q", name, report.Notes)
		}
	}
}

// TestSessionsInAnyOrder replays a trace without pauses, in an open loop and by users.
// Turns of a session stay in order.
func TestSessionsInAnyOrder(t *testing.T) {
	var file strings.Builder
	file.WriteString("Timestamp,Session ID,Request tokens,Response tokens\n")
	for i := range 300 {
		fmt.Fprintf(&file, "0,s%d,%d,1\n", i%7, 1+2*(i/7))
	}
	trace, err := workload.ReadTrace(strings.NewReader(file.String()), workload.TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Plan){
		"open loop":       func(p *Plan) {},
		"few workers":     func(p *Plan) { p.Workers = 3 },
		"users in turn":   func(p *Plan) { p.Users = 5 },
		"closed loop":     func(p *Plan) { p.Users, p.Pacer, p.Requests = 5, nil, 300 },
		"twice the trace": func(p *Plan) { p.Pacer, p.Requests = pace.Constant(1e5), 600 },
	} {
		p := plan(nil)
		p.Prompts, p.Workload, p.Pacer, p.Requests, p.SessionHeader = nil, trace, trace, 0, "X-Session-ID"
		change(&p)
		got := listen(&p, func(int) script { return light })
		report, _ := simulate(t, p)
		turns := make(map[string]int)
		for _, one := range got() {
			if n := strings.Count(one.said, "a:light"); n != turns[one.session] || strings.Contains(one.said, "generated") {
				t.Errorf("%s: turn %d of session %s has the answers of %d turns: %s", name, turns[one.session], one.session, n, one.said)
			}
			turns[one.session]++
		}
		if want := map[bool]int{true: 14, false: 7}[p.Requests == 600]; len(turns) != want || report.Sent != max(300, p.Requests) {
			t.Errorf("%s: %d sessions, want %d, with %d requests", name, len(turns), want, report.Sent)
		}
	}
}

// TestSessionOfACanceledRun ends a run while a turn waits for the answer before it.
func TestSessionOfACanceledRun(t *testing.T) {
	trace, err := workload.ReadTrace(strings.NewReader("Timestamp,Session ID,Request tokens,Response tokens\n0,a,3,1\n1,a,9,1\n"), workload.TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, users := range []int{0, 2} {
		p := plan(script{parts: []part{{data: role}, {at: time.Minute, data: content("a") + goodTail}}})
		p.Prompts, p.Workload, p.Pacer, p.Requests, p.Users = nil, trace, trace, 0, users
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			report, err := Run(ctx, p)
			if err != nil || report.Sent != 1 || report.Unsent != 1 || !report.Interrupted {
				t.Errorf("%d users: %v\n%v", users, err, report)
			}
		})
	}
}

// TestSessionHeader has an identity for each conversation and each user.
func TestSessionHeader(t *testing.T) {
	talk := workload.Conversation{Turns: []string{"a", "b"}}
	p := plan(nil)
	p.Prompts, p.Conversations, p.Users, p.Pacer, p.Requests, p.SessionHeader = nil, []workload.Conversation{talk}, 1, nil, 6, "X-Session-ID"
	got := listen(&p, func(int) script { return light })
	simulate(t, p)
	all := got()
	if len(all) != 6 || all[0].session == "" || all[0].session != all[1].session || all[2].session != all[3].session || all[1].session == all[2].session || all[3].session == all[4].session {
		t.Errorf("conversations: %+v", all)
	}
	p = plan(nil)
	p.Users, p.Pacer, p.Requests, p.SessionHeader = 2, nil, 8, "X-Session-ID"
	got = listen(&p, func(int) script { return light })
	simulate(t, p)
	users := make(map[string]int)
	for _, one := range got() {
		users[one.session]++
	}
	if len(users) != 2 || users[""] > 0 || users[all[0].session] > 0 {
		t.Errorf("users: %v", users)
	}
	p = plan(nil)
	p.SessionHeader = "X-Session-ID"
	got = listen(&p, func(int) script { return light })
	simulate(t, p)
	if all := got(); len(all) != 1 || all[0].session != "" {
		t.Errorf("independent requests: %+v", all)
	}
	for _, name := range []string{"X Session", "a:b", "ä", "authorization", "host"} {
		p.SessionHeader = name
		var fields []string
		for invalid := range checks.Invalid(p.Validate()) {
			fields = append(fields, invalid.Field)
		}
		if diff := cmp.Diff([]string{"Plan.SessionHeader"}, fields); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
}
