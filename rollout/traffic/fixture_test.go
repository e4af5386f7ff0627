package traffic_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// patience bounds waits, which end immediately when all is well.
const patience = 20 * time.Second

func split(generation uint64, candidate strategies.Weight) strategies.Split {
	return strategies.Split{Generation: generation, Arms: []strategies.Arm{
		{Name: "old", Weight: strategies.Full - candidate}, {Name: "new", Weight: candidate},
	}}
}

// diary collects observations.
type diary struct {
	mu   sync.Mutex
	seen []analysis.Observation
}

func (d *diary) observe(o analysis.Observation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, o)
}

// wait returns the observations once there are n of them, which may be a moment
// after the caller has its answer.
func (d *diary) wait(t testing.TB, n int) []analysis.Observation {
	t.Helper()
	return collected(t, &d.mu, &d.seen, n)
}

// collected returns a copy of the list that mu guards once it has n entries, and fails
// if it has more.
func collected[T any](t testing.TB, mu *sync.Mutex, list *[]T, n int) (all []T) {
	t.Helper()
	waitFor(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		all = slices.Clone(*list)
		return len(all) >= n
	})
	if len(all) > n {
		t.Fatalf("%d of %T, want %d: %+v", len(all), all, n, all)
	}
	return all
}

// waitFor waits until a state is reached, and looks at it each millisecond.
func waitFor(t testing.TB, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !reached(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the state was not reached in %v", patience)
		}
	}
}

func (d *diary) one(t testing.TB) analysis.Observation { t.Helper(); return d.wait(t, 1)[0] }

// serve starts a real server on loopback and returns its URL.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// accept starts a server that has each connection served by a function, which need not
// speak HTTP, and closed when that returns. It returns its URL.
func accept(t testing.TB, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				talk(conn)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// setup serves a router whose baseline is old and whose candidate new has all
// traffic, and returns its URL.
func setup(t testing.TB, old, new string, change func(*traffic.Config)) (string, *traffic.Router, *diary) {
	t.Helper()
	r, d := newRouter(t, old, new, change)
	return serve(t, r.ServeHTTP), r, d
}

func newRouter(t testing.TB, old, new string, change func(*traffic.Config)) (*traffic.Router, *diary) {
	t.Helper()
	d := &diary{}
	cfg := traffic.Config{
		Arms:  map[string]traffic.Backend{"old": {URL: old}, "new": {URL: new}},
		Split: split(7, strategies.Full), Observe: d.observe,
	}
	if change != nil {
		change(&cfg)
	}
	r, err := traffic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, d
}

// left reports whether a class is the one of a caller who has left. Which of the two
// it is depends on how long the answer was silent; see TestLeaving.
func left(c analysis.Class) bool { return c == analysis.Cancelled || c == analysis.Abandoned }

// chat is a route whose answers are read.
const chat = "/v1/chat/completions"

// streaming is the body of a request for a stream.
const streaming = `{"stream":true}`

// answer is what a caller got.
type answer struct {
	status  int
	body    string
	version string
	id      string
	err     error // of reading the body
}

func post(t testing.TB, url, body string) answer {
	t.Helper()
	return postTo(t, url+chat, body)
}

func postTo(t testing.TB, url, body string) answer {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return read(resp)
}

func read(resp *http.Response) answer {
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(b), resp.Header.Get(traffic.VersionHeader), resp.Header.Get(traffic.RequestHeader), err}
}

func token(text string) string {
	return fmt.Sprintf("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"finish_reason\":null}]}\n\n", text)
}

const (
	role   = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
	finish = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	usage  = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n"
	done   = "data: [DONE]\n\n"
)

// stream sends each event at once.
func stream(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		if _, err := io.WriteString(w, e); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
	}
}

func good(w http.ResponseWriter, r *http.Request) {
	stream(w, role, token("Hel"), token("lo"), token("!"), finish, usage, done)
}

const goodStream = role + "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n" +
	"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":null}]}\n\n" +
	"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"!\"},\"finish_reason\":null}]}\n\n" + finish + usage + done

// unreachable returns the URL of a server that is down. The system gives its port to no
// server of another test.
func unreachable(testing.TB) string { return "http://127.0.0.1:1" }
