package traffic_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/heaptest"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cache"
	"github.com/serin-go/serin/rollout/traffic/cost"
	"github.com/serin-go/serin/rollout/traffic/replicas"
	"github.com/serin-go/serin/rollout/traffic/sticky"
	"github.com/serin-go/serin/strategies"
)

var hostile = flag.Duration("hostile", 3*time.Second, "how long TestHostileTenant lasts")

// secret is in every prompt and every answer of the tenant that is not hostile.
const secret = "anas-secret-"

// echo is a model that repeats what it is asked, streams or not, and often fails, with
// an error that repeats it as well.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return
	}
	said := "nothing"
	if i := bytes.Index(body, []byte(secret)); i >= 0 && len(body) >= i+len(secret)+16 {
		said = string(body[i : i+len(secret)+16])
	} else if len(body) > 0 {
		said = hex.EncodeToString(body[:min(len(body), 256)])
	}
	switch n := mathrand.IntN(20); {
	case n == 0 && r.Header.Get("X-Calm") == "":
		http.Error(w, `{"error":{"message":"cannot read `+said+` of DE89 3704 0044 0532 0130 00"}}`, 400+mathrand.IntN(200))
	case n == 1 && r.Header.Get("X-Calm") == "":
		panic(http.ErrAbortHandler)
	case bytes.Contains(body, []byte(`"stream":true`)):
		stream(w, role, token(said), finish, usage, done)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "session="+said)
		fmt.Fprintf(w, `{"id":"resp_%d","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":9}}`, mathrand.IntN(1e9), said)
	}
}

// logged fails a test if anything private is logged.
type logged struct {
	t     *testing.T
	lines atomic.Int64
}

func (l *logged) Write(p []byte) (int, error) {
	l.lines.Add(1)
	if bytes.Contains(p, []byte(secret)) || bytes.Contains(p, []byte("DE89")) {
		l.t.Errorf("logged: %.300q", p)
	}
	return len(p), nil
}

// TestHostileTenant: one tenant sends random everything, over HTTP and as bytes that
// are not HTTP, while another one asks questions. The process lives, its heap stays
// within what was configured and 64 MiB, neither tenant sees a byte of the other, and
// what they say is in no log.
func TestHostileTenant(t *testing.T) {
	const configured = bodyMemory + cacheMemory + stickyMemory + ledgerMemory + 4<<20 // and pins
	remembered, err := cache.New(cache.Config{MaxBytes: cacheMemory})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = remembered.Close() }()
	store, err := sticky.New(sticky.Config{MaxBytes: stickyMemory})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	ledger, err := cost.NewLedger(cost.Config{MaxBytes: ledgerMemory})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := replicas.New(replicas.Config{Replicas: []replicas.Replica{{URL: serve(t, echo)}, {URL: serve(t, echo)}}, Hedge: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	logs := &logged{t: t}
	r, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{
			"old":  {URL: serve(t, echo), Price: tokenPrice, Model: "m-1"},
			"new":  {URL: "http://pool", Transport: remembered.Transport("new", pool), Price: tokenPrice, Model: "m-2"},
			"copy": {URL: serve(t, echo), Price: tokenPrice},
		},
		Split: strategies.Split{
			Arms:    []strategies.Arm{{Name: "old", Weight: strategies.Full / 2}, {Name: "new", Weight: strategies.Full / 2}, {Name: "copy"}},
			Rules:   []strategies.Rule{{Unit: "tester", Arm: "new"}},
			Mirrors: []strategies.Mirror{{Arm: "copy", Share: strategies.Full / 10}},
		},
		BodyMemory: bodyMemory, MaxBody: 1 << 20, RequestStall: 200 * time.Millisecond,
		Sticky: store, Tenant: tenantOf, Charged: ledger.Charge,
		Exposed:  traffic.OnceEach(1_000, func(traffic.Exposure) {}),
		Observe:  func(analysis.Observation) {},
		MayForce: func(*http.Request, string) bool { return true },
		Logger:   slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, ledger.Guard(r, tenantOf, func(string) analysis.Money { return 1e12 }).ServeHTTP)
	before := heaptest.InUse()
	ctx, stop := context.WithTimeout(t.Context(), *hostile)
	defer stop()
	var all sync.WaitGroup
	var attacks, answered, most atomic.Int64
	for range 6 {
		all.Go(func() {
			attacker := attacker{url: url, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
			defer attacker.client.CloseIdleConnections()
			for ctx.Err() == nil {
				got := attacker.attack(ctx)
				attacks.Add(1)
				if strings.Contains(got, secret) {
					t.Errorf("the hostile tenant got %.300q", got)
				}
			}
		})
	}
	for range 2 {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
			defer client.CloseIdleConnections()
			for n := 0; ctx.Err() == nil; n++ {
				mine := secret + fmt.Sprintf("%016x", mathrand.Uint64())
				body := fmt.Sprintf(`{"model":"m","temperature":0,"stream":%t,"messages":[{"role":"user","content":%q}]}`, n%2 == 0, mine)
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+chat, strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header = http.Header{"Content-Type": {"application/json"}, "X-Tenant": {"ana"}, "X-Api-Key": {"sk-ana"}, "Serin-Unit": {"ana"}, "X-Calm": {"yes"}}
				resp, err := client.Do(req)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				got := read(resp)
				switch {
				case ctx.Err() != nil:
				case got.status == http.StatusServiceUnavailable: // no room for the body at this moment
				case got.status != 200 || !strings.Contains(got.body, mine):
					t.Errorf("status %d, %.300q, want %s", got.status, got.body, mine)
				default:
					answered.Add(1)
				}
			}
		})
	}
	all.Go(func() {
		for ctx.Err() == nil {
			most.Store(max(most.Load(), heaptest.InUse()))
			select {
			case <-ctx.Done():
			case <-time.After(*hostile / 20):
			}
		}
	})
	all.Wait()
	idle(t, r)
	waitFor(t, func() bool { return r.PendingCopies() == 0 })
	grown := most.Load() - before
	t.Logf("%d attacks, %d answers, heap %d MiB more of %d, %d log lines, unserved %v", attacks.Load(), answered.Load(), grown>>20, (configured+64<<20)>>20, logs.lines.Load(), r.Unserved())
	if grown > configured+64<<20 {
		t.Errorf("the heap has grown by %d MiB, at most %d may be", grown>>20, (configured+64<<20)>>20)
	}
	if answered.Load() == 0 || attacks.Load() == 0 {
		t.Errorf("%d attacks, %d answers to the other tenant", attacks.Load(), answered.Load())
	}
	if p := r.Panics(); len(p) != 0 {
		t.Errorf("panics %v", p)
	}
}

const (
	bodyMemory   = 32 << 20
	cacheMemory  = 8 << 20
	stickyMemory = 4 << 20
	ledgerMemory = 4 << 20
)

func tenantOf(r *http.Request) string { return r.Header.Get("X-Tenant") }

// attacker sends random everything.
type attacker struct {
	url    string
	client *http.Client
}

func oneOf[T any](list ...T) T { return list[mathrand.IntN(len(list))] }

// noise returns random bytes.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return string(b)
}

// attack sends one request and returns what comes back.
func (a attacker) attack(ctx context.Context) string {
	if mathrand.IntN(5) == 0 {
		return a.raw(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, oneOf(time.Millisecond, 20*time.Millisecond, 10*time.Second))
	defer cancel()
	path := oneOf(chat, "/v1/responses", "/v1/embeddings", "/v1/files", "/v1/files/file-"+hex.EncodeToString([]byte(noise(4))), "/v1/batches", "/v1/sleep",
		"/api/chat", "/v1/messages", "/v1beta/models/x:generateContent", "/%2e%2e/"+hex.EncodeToString([]byte(noise(40))), "/v1/audio/transcriptions")
	req, err := http.NewRequestWithContext(ctx, oneOf("POST", "POST", "POST", "GET", "DELETE", "PATCH", "HEAD", "OPTIONS"), a.url+path, a.body())
	if err != nil {
		return ""
	}
	if mathrand.IntN(3) == 0 {
		req.ContentLength = -1
	}
	req.Header = http.Header{"X-Tenant": {oneOf("mallory", "mallory-"+hex.EncodeToString([]byte(noise(8))), strings.Repeat("m", 100_000))}}
	for range mathrand.IntN(6) {
		name := oneOf("Serin-Unit", "Serin-Arm", "Serin-Mirror", "Serin-Version", "Serin-Request-Id", "Serin-Cache", "Authorization", "Cookie", "X-Api-Key",
			"Cache-Control", "Accept-Encoding", "Idempotency-Key", "X-Forwarded-For", "Content-Type", "Expect", "Te", "Range", "X-"+hex.EncodeToString([]byte(noise(3))))
		req.Header.Add(name, oneOf("", "ana", "new", "gzip", "application/json", "multipart/form-data; boundary=x", "no-store", "max-age=99999999999999999999",
			"100-continue", hex.EncodeToString([]byte(noise(32))), strings.Repeat("é", 50_000)))
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	var got bytes.Buffer
	fmt.Fprint(&got, resp.Header)
	_, _ = io.CopyN(&got, resp.Body, int64(oneOf(1, 100, 1<<20)))
	return got.String()
}

// body returns the body of a request.
func (a attacker) body() io.Reader {
	text := hex.EncodeToString([]byte(noise(oneOf(8, 1<<10))))
	good := fmt.Sprintf(`{"model":%q,"temperature":0,"stream":%t,"n":%d,"previous_response_id":%q,"messages":[{"role":"user","content":%q}]}`,
		oneOf("m", text), mathrand.IntN(2) == 0, mathrand.IntN(100), oneOf("", text), text)
	switch mathrand.IntN(8) {
	case 0:
		return strings.NewReader(noise(oneOf(10, 10_000, 900<<10)))
	case 1:
		return strings.NewReader(good[:mathrand.IntN(len(good))])
	case 2: // one byte is another
		b := []byte(good)
		b[mathrand.IntN(len(b))] = byte(mathrand.IntN(256))
		return bytes.NewReader(b)
	case 3:
		return strings.NewReader(strings.Repeat("[", oneOf(100, 100_000)))
	case 4: // larger than what is held
		return io.LimitReader(repeated(good), oneOf[int64](1<<20+1, 3<<20))
	case 5:
		return strings.NewReader(`{"messages":` + strings.Repeat(`[{"a":`, oneOf(10, 5_000)))
	}
	return strings.NewReader(good)
}

// repeated is a text without an end.
type repeated string

func (r repeated) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], r)
	}
	return n, nil
}

// raw sends bytes that are not quite HTTP, and returns what comes back.
func (a attacker) raw(ctx context.Context) string {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(oneOf(10*time.Millisecond, 500*time.Millisecond)))
	request := oneOf(
		noise(200),
		"POST "+chat+" HTTP/1.1\r\nHost: x\r\nX-Tenant: mallory\r\nContent-Length: 100000\r\n\r\n{\"model\":",
		"POST "+chat+" HTTP/1.1\r\nHost: x\r\nX-Tenant: mallory\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n{",
		"POST "+chat+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: "+strings.Repeat("x", 10_000)+"\r\n\r\n",
		"GET /v1/realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"+noise(20),
		"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD / HTTP/1.0\r\n\r\n",
	)
	_, _ = io.WriteString(conn, strings.Repeat(request, oneOf(1, 1, 20)))
	got, _ := io.ReadAll(io.LimitReader(conn, 1<<20))
	return string(got)
}
