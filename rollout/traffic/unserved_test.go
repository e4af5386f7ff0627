package traffic_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// upload is the body of a request whose parts come at their times. It ends with an
// error, or does not end if that is nil.
type upload struct {
	parts  int
	size   int
	every  time.Duration
	broken error
	closed chan struct{}
}

func (u *upload) Read(p []byte) (int, error) {
	if u.parts == 0 {
		if u.broken != nil {
			return 0, u.broken
		}
		<-u.closed
		return 0, io.ErrUnexpectedEOF
	}
	u.parts--
	time.Sleep(u.every)
	return copy(p, strings.Repeat(" ", u.size)), nil
}

func (u *upload) Close() error { return nil }

// TestUnserved: a request whose body cannot be had is answered before an arm is
// asked, and no arm is charged; the server here has no deadlines.
func TestUnserved(t *testing.T) {
	const s = time.Second
	for name, tt := range map[string]struct {
		body   *upload
		length int64
		status int
		why    string
		after  time.Duration
	}{
		"broken":               {&upload{parts: 1, size: 10, broken: errors.New("boom")}, 100, 400, "body broken", 0},
		"broken, no length":    {&upload{parts: 1, size: 10, broken: errors.New("boom")}, -1, 400, "body broken", 0},
		"too large":            {&upload{parts: 1, size: 10, broken: &http.MaxBytesError{Limit: 10}}, 100, 413, "body too large", 0},
		"stops":                {&upload{parts: 3, size: 10, every: s}, 100, 408, "body too slow", 13 * s},
		"never begins":         {&upload{}, 100, 408, "body too slow", 10 * s},
		"stops, no length":     {&upload{parts: 3, size: 10, every: s}, -1, 408, "body too slow", 13 * s},
		"drips":                {&upload{parts: 1000, size: 1, every: 9 * s}, 1000, 408, "body too slow", 60 * s},
		"drips, no length":     {&upload{parts: 1000, size: 1, every: 9 * s}, -1, 408, "body too slow", 60 * s},
		"drips, and says much": {&upload{parts: 1000, size: 1, every: 9 * s}, 5 << 20, 408, "body too slow", 65 * s},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				arm := documentOf(says("x"))
				r, d := scripted(t, arm, arm, nil)
				tt.body.closed = make(chan struct{})
				req := httptest.NewRequest(http.MethodPost, chat, nil)
				req.Body, req.ContentLength = tt.body, tt.length
				w := httptest.NewRecorder()
				began := time.Now()
				r.ServeHTTP(w, req)
				if took := time.Since(began); w.Code != tt.status || tt.after > 0 && (took < tt.after || took > tt.after+time.Millisecond) {
					t.Errorf("answered %d after %v, want %d after %v", w.Code, took, tt.status, tt.after)
				}
				close(tt.body.closed)
				time.Sleep(10 * s) // until the last read has ended
				synctest.Wait()
				if got := r.Unserved(); !maps.Equal(got, map[string]uint64{tt.why: 1}) {
					t.Errorf("unserved %v", got)
				}
				if arm.asked.Load() != 0 || len(d.seen) != 0 || armStats(t, r, "new").Requests != 0 {
					t.Error("an arm was asked, or charged")
				}
				if !strings.Contains(w.Body.String(), `"error"`) || w.Header().Get(traffic.VersionHeader) != "" {
					t.Errorf("header %v, body %q", w.Header(), w.Body.String())
				}
				idle(t, r)
			})
		})
	}
}

// TestUploadsInTime: slow, but never too slow.
func TestUploadsInTime(t *testing.T) {
	for name, tt := range map[string]struct {
		body   *upload
		length int64
	}{
		"with a length":    {&upload{parts: 6, size: 1, every: 9900 * time.Millisecond, broken: io.EOF}, 6},
		"without a length": {&upload{parts: 6, size: 1, every: 9900 * time.Millisecond, broken: io.EOF}, -1},
		// 7 MiB in pieces of at most 32 KiB bring 7 seconds more than a minute.
		"large": {&upload{parts: 224, size: 32 << 10, every: 290 * time.Millisecond, broken: io.EOF}, -1},
		"huge":  {&upload{parts: 1024, size: 32 << 10, every: 88 * time.Millisecond, broken: io.EOF}, 32 << 20}, // and not held
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				arm := documentOf(says("x"))
				r, d := scripted(t, arm, arm, func(c *traffic.Config) { c.MaxBody = 16 << 20 })
				req := httptest.NewRequest(http.MethodPost, chat, nil)
				req.Body, req.ContentLength = tt.body, tt.length
				w := httptest.NewRecorder()
				r.ServeHTTP(w, req)
				if o := d.one(t); w.Code != 200 || o.Class != analysis.OK || r.Unserved() != nil {
					t.Errorf("answered %d, %v, unserved %v", w.Code, o.Class, r.Unserved())
				}
				idle(t, r)
			})
		})
	}
}

// TestUploadThatStops: over a real connection, whose deadline is used, whether the
// body is held or passed on as it comes.
func TestUploadThatStops(t *testing.T) {
	for _, held := range []bool{true, false} {
		for _, length := range []string{"Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3e8\r\n"} {
			t.Run(fmt.Sprint(held, " ", length[:7]), func(t *testing.T) {
				asked := make(chan struct{}, 1)
				model := serve(t, func(w http.ResponseWriter, req *http.Request) {
					asked <- struct{}{}
					if _, err := io.Copy(io.Discard, req.Body); err != nil {
						return
					}
					good(w, req)
				})
				url, r, d := setup(t, model, model, func(c *traffic.Config) {
					c.RequestStall = 50 * time.Millisecond
					if !held {
						c.MaxBody = 10
					}
				})
				record(t, r)
				flights := r.Flights()
				conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(patience))
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s0123456789012345678", chat, length)
				in := bufio.NewReader(conn)
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := read(resp); got.status != http.StatusRequestTimeout || !resp.Close {
					t.Errorf("got %+v, and the connection stays: %t", got, !resp.Close)
				}
				if _, err := in.ReadByte(); err != io.EOF {
					t.Errorf("behind it: %v, want the end", err)
				}
				idle(t, r) // the arm's attempt ends a moment later
				waitFor(t, func() bool { return maps.Equal(r.Unserved(), map[string]uint64{"body too slow": 1}) })
				d.wait(t, 0)
				if s := armStats(t, r, "new"); s.Requests != 0 || s.Fallbacks != 0 || (len(asked) == 0) != held {
					t.Errorf("%+v, asked %d", s, len(asked))
				}
				for _, f := range landed(t, flights, len(asked)) {
					if f.Done[0].Class != analysis.Cancelled {
						t.Errorf("the flight ended as %v, want cancelled", f.Done[0].Class)
					}
				}
			})
		}
	}
}

// TestAnswersOutlastTheUpload: the time that a body has does not end an answer that
// takes longer than it.
func TestAnswersOutlastTheUpload(t *testing.T) {
	const stall = 30 * time.Millisecond
	for _, maxBody := range []int64{0, 10} {
		model := serve(t, func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			select {
			case <-req.Context().Done():
			case <-time.After(8 * stall): // beyond all that the body has
				good(w, req)
			}
		})
		url, _, d := setup(t, model, model, func(c *traffic.Config) { c.RequestStall, c.MaxBody = stall, maxBody })
		if got := post(t, url, `{"stream":true,"messages":[{"role":"user","content":"hello"}]}`); got.body != goodStream || got.err != nil {
			t.Errorf("MaxBody %d: got %+v", maxBody, got)
		}
		if o := d.one(t); o.Class != analysis.OK {
			t.Errorf("MaxBody %d: %v (%s)", maxBody, o.Class, o.Why)
		}
	}
}

// TestSlowUploadIsCancelled: the caller of an upload may leave, as any other.
func TestSlowUploadIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		arm := documentOf(says("x"))
		r, d := scripted(t, arm, arm, nil)
		ctx, cancel := context.WithCancel(t.Context())
		body := &upload{closed: make(chan struct{})}
		time.AfterFunc(3*time.Second, func() { cancel(); close(body.closed) }) // as a server does
		req := httptest.NewRequestWithContext(ctx, http.MethodPost, chat, nil)
		req.Body, req.ContentLength = body, 100
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if got := r.Unserved(); !maps.Equal(got, map[string]uint64{"body broken": 1}) || len(d.seen) != 0 {
			t.Errorf("unserved %v, observed %v", got, d.seen)
		}
		idle(t, r)
	})
}
