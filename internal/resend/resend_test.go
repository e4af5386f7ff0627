package resend

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/serin-go/serin/internal/hanguptest"
)

// TestResendOnce: a server that hangs up on a request gets it twice at most, however
// many idle connections there are, and once if it may not be repeated.
func TestResendOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		header http.Header
		want   int32
	}{
		"may be repeated":     {http.Header{"Idempotency-Key": nil}, 2},
		"may not be repeated": {http.Header{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			url, executed := hanguptest.Server(t)
			transport := New(&http.Transport{MaxIdleConnsPerHost: hanguptest.Idle})
			defer transport.CloseIdleConnections()
			send := func(path string) error {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, bytes.NewReader([]byte("{}")))
				if err != nil {
					return err
				}
				req.Header = tt.header.Clone()
				resp, err := transport.RoundTrip(req)
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, resp.Body)
				return err
			}
			sent := make(chan error)
			for range hanguptest.Idle {
				go func() { sent <- send("/v1/models") }()
			}
			for range hanguptest.Idle {
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
			}
			if err := send("/fatal"); err == nil {
				t.Error("a request that is never answered succeeds")
			}
			if n := executed.Load(); n != tt.want {
				t.Errorf("sent %d times, want %d", n, tt.want)
			}
		})
	}
}
