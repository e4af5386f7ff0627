package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/internal/heaptest"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cache"
)

// TestDirectivesOfRequests sends a request that has been answered before.
func TestDirectivesOfRequests(t *testing.T) {
	for _, tt := range []struct {
		header string // lines, separated by |
		where  string
	}{
		{"", "hit"},
		{"Cache-Control: no-store", ""},
		{"Cache-Control: no-cache", ""},
		{"cache-control: NO-CACHE", ""},
		{"Cache-Control: max-age=0", ""},
		{"Cache-Control: max-age=00", ""},
		{`Cache-Control: max-age="0"`, ""},
		{"Cache-Control: max-age = 0", ""},
		{"Cache-Control: max-age", ""},
		{"Cache-Control: max-age=-1", ""},
		{"Cache-Control: max-age=soon", ""},
		{"Cache-Control: max-stale=5, No-Store", ""},
		{"Cache-Control: max-stale=5|Cache-Control: no-transform , no-cache", ""},
		{`Cache-Control: x="a, b", no-store`, ""},
		{`Cache-Control: x="a\", b", no-store`, ""},
		{`Cache-Control: x="no-store`, ""}, // the quote is open
		{"Cache-Control: no-store; max-age=5", ""},
		{"Pragma: no-cache", ""},
		{"Cache-Control: max-age=60|Pragma: no-cache", "hit"}, // which Cache-Control overrides
		{`Cache-Control: x="no-store, no-cache, max-age=0"`, "hit"},
		{"Cache-Control: no-stored, xno-cache", "hit"},
		{"Cache-Control: ,, max-age=60 ,", "hit"},
		{"Cache-Control: max-age=99999999999999999999", "hit"},
		{"Cache-Control: only-if-cached", "hit"},
		{"Cache-Control: min-fresh=60", "hit"},
		{"Cache-Control: min-fresh=4000", "miss"}, // the answer is good for an hour
		{"Cache-Control: min-fresh=x", ""},
		{"Range: bytes=0-5", ""},
		{"If-None-Match: *", ""},
	} {
		m := &model{}
		tr := newCache(t, cache.Config{}).Transport("1", m)
		header := []string{"X-Api-Key: ana"}
		send(t, tr, chat, fixed, header...)
		if tt.header != "" {
			header = append(header, strings.Split(tt.header, "|")...)
		}
		if where := send(t, tr, chat, fixed, header...).Header.Get(traffic.CacheHeader); where != tt.where || m.asked.Load() == 2 != (where != "hit") {
			t.Errorf("%s: %q, want %q", tt.header, where, tt.where)
		}
	}
}

// TestDirectivesOfAnswers gives one answer and asks again after a time.
func TestDirectivesOfAnswers(t *testing.T) {
	for _, tt := range []struct {
		header string // lines, separated by |
		life   time.Duration
	}{
		{"", time.Hour},
		{"Cache-Control: no-store", 0},
		{"Cache-Control: private", 0},
		{`Cache-Control: private="x-user"`, 0},
		{"Cache-Control: PRIVATE, max-age=60", 0},
		{"Cache-Control: no-cache", 0},
		{`Cache-Control: no-cache="set-cookie"`, 0},
		{"cache-control: no-store", 0},
		{"Cache-Control: max-age=60|Cache-Control: no-store", 0},
		{"Cache-Control: no store", 0},
		{"Pragma: no-cache", 0},
		{"Cache-Control: max-age=60", time.Minute},
		{`Cache-Control: max-age="60"`, time.Minute},
		{"Cache-Control: public, MAX-AGE=60", time.Minute},
		{"Cache-Control: max-age=60|Age: 40", 20 * time.Second},
		{"Cache-Control: max-age=60|Age: 60", 0},
		{"Cache-Control: max-age=60|Age: 99999999999999999999", 0},
		{"Cache-Control: max-age=60|Age: young", time.Minute},
		{"Age: 3000", 600 * time.Second},
		{"Age: 3600", 0},
		{"Cache-Control: max-age=0", 0},
		{"Cache-Control: max-age=", 0},
		{"Cache-Control: max-age=1.5", 0},
		{"Cache-Control: max-age=60, max-age=5", 5 * time.Second},
		{"Cache-Control: s-maxage=30, max-age=60", 30 * time.Second},
		{"Cache-Control: s-maxage=60, max-age=30", 30 * time.Second},
		{"Cache-Control: max-age=86400", time.Hour}, // never longer than TTL
		{"Cache-Control: max-age=99999999999999999999", time.Hour},
		{"Expires: Sat, 01 Jan 2000 00:01:00 GMT", time.Minute}, // it is midnight
		{"Expires: Sat, 01 Jan 2000 00:00:00 GMT", 0},
		{"Expires: 0", 0},
		{"Expires: Sat, 01 Jan 2000 00:01:00 GMT|Expires: Sat, 01 Jan 2000 00:02:00 GMT", 0},
		{"Expires: 0|Cache-Control: max-age=60", time.Minute},
		{"Expires: Sat, 01 Jan 2000 00:01:00 GMT|Date: Sat, 01 Jan 2000 00:00:30 GMT", 30 * time.Second},
		{"Expires: Sun, 02 Jan 2000 00:00:00 GMT", time.Hour},
		{"Vary: *", 0},
		{"Vary: Accept, *", 0},
		{"Vary: Accept-Language", 0},
		{"Vary: User-Agent", 0},
		{"vary: Origin", 0},
		{"Vary: Accept|Vary: X-Anything", 0},
		{"Vary: Accept, accept-encoding ,Authorization, Cookie, Anthropic-Version", time.Hour},
	} {
		t.Run(tt.header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &model{answer: func(n int64, _ *http.Request) *http.Response {
					resp := document(fmt.Sprintf(`{"choices":[{"message":{"content":"%d"},"finish_reason":"stop"}]}`, n))
					for line := range strings.SplitSeq(tt.header, "|") {
						name, value, _ := strings.Cut(line, ": ")
						resp.Header[name] = append(resp.Header[name], value)
					}
					return resp
				}}
				c, err := cache.New(cache.Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				tr := c.Transport("1", m)
				hit := func() bool {
					return send(t, tr, chat, fixed, "X-Api-Key: ana").Header.Get(traffic.CacheHeader) == "hit"
				}
				hit()
				if tt.life == 0 {
					if hit() {
						t.Error("the answer is stored")
					}
					return
				}
				if !hit() {
					t.Fatal("the answer is not stored")
				}
				time.Sleep(tt.life - time.Second)
				if !hit() {
					t.Errorf("there is no answer a second before the end of %v", tt.life)
				}
				time.Sleep(time.Second)
				if hit() {
					t.Errorf("there is an answer after %v", tt.life)
				}
			})
		})
	}
}

// TestAge: hits say how old they are, and a request can limit that.
func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{answer: func(int64, *http.Request) *http.Response {
			resp := document(`{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`)
			resp.Header.Set("Age", "5")
			return resp
		}}
		c, err := cache.New(cache.Config{TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		tr := c.Transport("1", m)
		send(t, tr, chat, fixed, "X-Api-Key: ana")
		time.Sleep(10 * time.Second)
		if h := send(t, tr, chat, fixed, "X-Api-Key: ana", "Cache-Control: max-age=15").Header; h.Get("Age") != "15" || h.Get(traffic.CacheHeader) != "hit" {
			t.Errorf("%v", h)
		}
		if h := send(t, tr, chat, fixed, "X-Api-Key: ana", "Cache-Control: max-age=14").Header; h.Get(traffic.CacheHeader) != "miss" {
			t.Errorf("%v", h)
		}
	})
}

// panicking is a transport that panics, or whose responses do.
type panicking struct{ in string }

func (p panicking) RoundTrip(*http.Request) (*http.Response, error) {
	switch p.in {
	case "RoundTrip":
		panic("boom")
	case "nothing":
		return nil, nil
	case "no body":
		return &http.Response{StatusCode: 200}, nil
	}
	resp := document("")
	resp.Body = p
	return resp, nil
}

func (p panicking) Read([]byte) (int, error) {
	if p.in == "Read" {
		panic("boom")
	}
	return 0, io.EOF
}

func (p panicking) Close() error {
	if p.in == "Close" {
		panic("boom")
	}
	return nil
}

// TestPanicsAreContained: a transport below the cache panics, on the way through a
// flight and past it.
func TestPanicsAreContained(t *testing.T) {
	var log bytes.Buffer
	c := newCache(t, cache.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, in := range []string{"RoundTrip", "Read", "Close", "nothing", "no body"} {
		for _, control := range []string{"max-age=60", "no-store"} {
			if control == "no-store" && (in == "Read" || in == "Close") {
				continue // it is the caller who reads
			}
			req := httptest.NewRequest(http.MethodPost, "http://models"+chat, strings.NewReader(fixed))
			req.Header = http.Header{"Content-Type": {"application/json"}, "Cookie": {"a=b"}, "Cache-Control": {control}}
			resp, err := c.Transport(in, panicking{in}).RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			var p *cache.PanicError
			switch in {
			case "RoundTrip", "Read":
				if !errors.As(err, &p) || p.Value != "boom" || len(p.Stack) == 0 {
					t.Errorf("%s, %s: %v", in, control, err)
				}
			case "nothing":
				if err == nil {
					t.Errorf("%s, %s: no error", in, control)
				}
			default:
				if err != nil {
					t.Errorf("%s, %s: %v", in, control, err)
				}
			}
		}
	}
	for c.Stats().Panics < 4 { // Close is called after the answer has been read
		runtime.Gosched()
	}
	if n := strings.Count(log.String(), "panic contained"); n != 1 || !strings.Contains(log.String(), "stack=") {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

// TestMemoryOfSmallAnswers fills the cache with answers that are smaller than what
// it takes to store them, and with kept headers.
func TestMemoryOfSmallAnswers(t *testing.T) {
	const bound = 4 << 20
	for name, kept := range map[string]string{"small": "", "long header": strings.Repeat("x", 5_000)} {
		m := &model{answer: func(int64, *http.Request) *http.Response {
			resp := document(`{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`)
			resp.Header.Set("X-Kept", kept)
			return resp
		}}
		before := heaptest.InUse()
		c := newCache(t, cache.Config{MaxBytes: bound, Keep: []string{"X-Kept"}})
		tr := c.Transport("1", m)
		for i := range 8_000 {
			send(t, tr, chat, fmt.Sprintf(`{"seed":%d}`, i), "X-Api-Key: ana")
		}
		for c.Stats().Bytes > bound {
			runtime.Gosched()
		}
		s, after := c.Stats(), heaptest.InUse()
		t.Logf("%s: %d answers, %d bytes by weight, %d on the heap", name, s.Answers, s.Bytes, after-before)
		if after-before > bound {
			t.Errorf("%s: %d bytes on the heap, want at most %d", name, after-before, bound)
		}
		if s.Answers < 500 || s.Buffered != 0 {
			t.Errorf("%s: %+v", name, s)
		}
		runtime.KeepAlive(c)
	}
}

// TestFlightsAreBounded: many answers are on their way, and none of them ends.
func TestFlightsAreBounded(t *testing.T) {
	const bound = 4 << 20
	c := newCache(t, cache.Config{MaxBytes: bound})
	synctest.Test(t, func(t *testing.T) {
		begun := `{"choices":[{"message":{"content":"` + strings.Repeat("x", 20_000)
		m := &model{answer: func(_ int64, r *http.Request) *http.Response {
			out, in := io.Pipe()
			go func() { io.WriteString(in, begun) }()
			context.AfterFunc(r.Context(), func() { in.CloseWithError(r.Context().Err()) })
			return respond(200, "application/json", out)
		}}
		tr := c.Transport("1", m)
		ctx, cancel := context.WithCancel(t.Context())
		var open []io.Closer
		for i := range 1_000 {
			req := httptest.NewRequest(http.MethodPost, "http://models"+chat, strings.NewReader(fmt.Sprintf(`{"seed":%d}`, i))).WithContext(ctx)
			req.Header = http.Header{"Content-Type": {"application/json"}, "Cookie": {"a=b"}}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, resp.Body)
			synctest.Wait()
		}
		s := c.Stats()
		t.Logf("%+v", s)
		if s.Buffered > bound/4+100<<10 {
			t.Errorf("%d bytes of answers on their way, want about %d", s.Buffered, bound/4)
		}
		if s.Passed == 0 || s.Misses < 10 {
			t.Errorf("%+v", s)
		}
		cancel()
		for _, body := range open {
			body.Close()
		}
		synctest.Wait()
		if n := c.Stats().Buffered; n != 0 {
			t.Errorf("%d bytes are held after the last answer", n)
		}
	})
}
