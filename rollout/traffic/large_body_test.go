package traffic_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout/traffic"
)

// TestLargeStreamedBody: a body that is not held and exceeds the limit of the server is a
// 413 and no failure of its arm, whether its length is known or not.
func TestLargeStreamedBody(t *testing.T) {
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"length known": func(r io.Reader) io.Reader { return r }, "length unknown": func(r io.Reader) io.Reader { return io.MultiReader(r) },
	} {
		for _, path := range []string{chat, "/v1/files"} {
			t.Run(name+" "+path, func(t *testing.T) {
				sink := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
				r, d := newRouter(t, sink, sink, func(c *traffic.Config) { c.MaxBody = 10 })
				server := httptest.NewServer(http.MaxBytesHandler(r, 1000))
				defer server.Close()
				resp, err := http.Post(server.URL+path, "application/json", wrap(strings.NewReader(strings.Repeat(" ", 100_000))))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.StatusCode != http.StatusRequestEntityTooLarge {
					t.Error(resp.Status)
				}
				waitFor(t, func() bool { return maps.Equal(r.Unserved(), map[string]uint64{"body too large": 1}) })
				d.mu.Lock()
				defer d.mu.Unlock()
				if len(d.seen) != 0 {
					t.Errorf("observed: %+v", d.seen)
				}
			})
		}
	}
}
