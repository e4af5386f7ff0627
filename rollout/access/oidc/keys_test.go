package oidc

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestKeysAreRemembered: the keys are used for ten seconds and read again after that. An answer
// without keys is not remembered.
func TestKeysAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, status, body := 0, http.StatusOK, `{"keys":[]}`
		k := &keysTransport{next: roundTrip(func(*http.Request) (*http.Response, error) {
			calls++
			return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}, nil
		})}
		get := func(want int, good bool) {
			t.Helper()
			resp, err := k.RoundTrip(httptest.NewRequest("GET", "https://login.example.com/keys", nil))
			if failed := (*keysError)(nil); good != (err == nil) || err != nil && !errors.As(err, &failed) {
				t.Errorf("%v, want keys: %v", err, good)
			}
			if err == nil {
				if got, err := io.ReadAll(resp.Body); err != nil || string(got) != body {
					t.Errorf("%s, %v, want %s", got, err, body)
				}
			}
			if calls != want {
				t.Errorf("%d calls, want %d", calls, want)
			}
		}
		get(1, true)
		get(1, true)
		time.Sleep(keysEvery - time.Nanosecond)
		get(1, true)
		time.Sleep(time.Nanosecond)
		body = `{"keys":[{}]}`
		get(2, true)
		time.Sleep(keysEvery)
		status = http.StatusBadGateway
		get(3, false)
		get(4, false)
		for _, body = range []string{"", "null", "{}", `{"keys":null}`, "<html>", `{"keys":["` + strings.Repeat("a", maxKeys) + `"]}`} {
			status = http.StatusOK
			get(calls+1, false)
		}
	})
}
