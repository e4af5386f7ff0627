package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/pace"
)

// script is a connection whose other end sends a fixed text.
type script struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (s *script) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error) { return s.out.Write(b) }

// FuzzHandshake has a peer that does not know the token: it is never let in, and its
// input never panics.
func FuzzHandshake(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "{}\n", "{\n", strings.Repeat("x", maxGreeting+1) + "\n",
		`{"protocol":"serin-loadtest","version":2,"name":"w1","nonce":"x"}` + "\n" + `{"proof":""}` + "\n{}\n",
		`{"protocol":"serin-loadtest","version":2,"name":"w 1"}` + "\n", `{"protocol":"serin-loadtest","version":-1,"name":"w1"}` + "\n",
		`{"protocol":"serin-loadtest","version":2,"nonce":"x","proof":"AAAA"}` + "\n{}\n", `{"protocol":"http","error":"no"}` + "\n",
		`{"protocol":"serin-loadtest","version":2,"error":"a worker of this name is connected","again":true}` + "\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, token := range []loadtest.Secret{"", "a token that cannot be guessed"} {
			begin := func() *handshake {
				h, done := newHandshake(t.Context(), &script{in: strings.NewReader(in)}, "peer", token)
				done()
				return h
			}
			if _, err := greetWorker(begin(), func(string) error { return nil }); err == nil {
				t.Errorf("a worker without the token is let in by %q", in)
			}
			if err := greetCoordinator(begin(), "w1"); err == nil {
				t.Errorf("a coordinator without the token is trusted by %q", in)
			}
		}
	})
}

// TestFinal: a worker tries again if the reason may pass.
func TestFinal(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{&VersionError{}, true}, {&refusedError{why: "wrong token"}, true}, {&refusedError{again: true}, false},
		{&refusedError{status: 502}, false}, {&refusedError{status: 403}, true}, {io.ErrUnexpectedEOF, false},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, false}, {&net.OpError{Op: "remote error", Err: errors.New("tls: expired certificate")}, true},
	} {
		if got := final(test.err); got != test.want {
			t.Errorf("%#v: %v, want %v", test.err, got, test.want)
		}
	}
}

// TestGivesAsTheCoordinatorCounts gives shares up at random moments. The coordinator
// computes what was given from the answers alone: together it is the whole.
func TestGivesAsTheCoordinatorCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		whole := pace.First(pace.Shard(pace.Poisson(1000, rng.Uint64()), rng.IntN(2), 2), 300)
		d := &divisible{Pacer: whole}
		left, given := whole, []pace.Pacer{}
		var sent []uint64
		for number, at := range d.Numbered() {
			sent = append(sent, number)
			for rng.IntN(40) == 0 {
				n := 1 + rng.IntN(4)
				asked := giveRequest{From: max(0, at+time.Duration(rng.IntN(100)-30)*time.Millisecond), Part: rng.IntN(n), Of: n}
				from := d.give(asked)
				if from < asked.From || from <= at {
					t.Fatalf("gives from %v, asked for %v at %v", from, asked.From, at)
				}
				given = append(given, pace.Shard(pace.After(left, from), asked.Part, n))
				left = pace.Without(left, from, asked.Part, n)
			}
		}
		kept := numbers(left)
		if !slices.Equal(kept, sent) {
			t.Fatalf("sent %v, the coordinator counts %v", sent, kept)
		}
		all := append(sent, numbers(pace.Merge(given...))...)
		slices.Sort(all)
		if want := numbers(whole); !slices.Equal(all, want) {
			t.Fatalf("%v becomes %v", want, all)
		}
	}
}

func numbers(p pace.Pacer) (all []uint64) {
	for number := range pace.Numbered(p) {
		all = append(all, number)
	}
	return all
}

// TestDialIsBounded has a coordinator that does not answer: the worker tries again.
func TestDialIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := NewWorker(WorkerConfig{Name: "w1"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		dials := 0
		err = w.Join(ctx, func(ctx context.Context) (net.Conn, error) {
			dials++
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) || dials < 10 {
			t.Errorf("%d attempts, %v", dials, err)
		}
	})
}

// TestStopAtTheEnd stops a run. A worker whose run has just ended stays connected.
func TestStopAtTheEnd(t *testing.T) {
	for _, test := range []struct {
		status int
		ended  bool
		want   bool
	}{{http.StatusNoContent, false, false}, {http.StatusNotFound, false, false}, {http.StatusNoContent, true, false}, {http.StatusInternalServerError, false, true}} {
		call, end := context.WithCancel(t.Context())
		client := &http.Client{Transport: answering(func(r *http.Request) (*http.Response, error) {
			if test.ended {
				end() // the last line of the run comes before the answer
				return nil, call.Err()
			}
			answer := httptest.NewRecorder()
			setVersion(answer.Header())
			answer.WriteHeader(test.status)
			return answer.Result(), nil
		})}
		hungUp := false
		m := &member{peer: &peer{name: "w1", url: "http://w1", client: client}, silence: time.Minute}
		m.stopRun(call, "1", func(error) { hungUp = true })
		end()
		if hungUp != test.want {
			t.Errorf("%+v: hung up %v", test, hungUp)
		}
	}
}

// answering is a Transport.
type answering func(*http.Request) (*http.Response, error)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// TestClock: a reading within the bounds of the one before is not a change.
func TestClock(t *testing.T) {
	const ms = time.Millisecond
	var c clock
	for _, step := range []struct {
		reading reading
		want    time.Duration
		text    string
	}{
		{reading{100 * ms, 4 * ms}, 100 * ms, "clock off by 100ms +- 4ms"},
		{reading{106 * ms, 9 * ms}, 100 * ms, "clock off by 100ms +- 4ms"},
		{reading{103 * ms, 2 * ms}, 103 * ms, "clock off by 100ms +- 4ms"},
		{reading{107 * ms, 3 * ms}, 103 * ms, "clock off by 100ms +- 4ms"},
		{reading{109 * ms, 3 * ms}, 109 * ms, "clock off by 100ms +- 4ms and since changed by 9ms +- 7ms"},
		{reading{-50 * ms, 90 * ms}, -50 * ms, "clock off by 100ms +- 4ms and since changed by -150ms +- 94ms"},
	} {
		c.update(step.reading)
		if got := c.offset(); got != step.want || c.String() != step.text {
			t.Errorf("%+v: %v, %q, want %v, %q", step.reading, got, c.String(), step.want, step.text)
		}
	}
}
