package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
)

// keysError means that the keys of a provider could not be read, so that nothing is known of a
// signature.
type keysError struct{ err error }

func (e *keysError) Error() string {
	return "oidc: the keys of the provider cannot be read: " + e.err.Error()
}
func (e *keysError) Unwrap() error { return e.err }

// unknown is the key of a context that holds a *error: why a signature could not be checked.
// The verifier passes on only the text of an error.
type unknown struct{}

// keySet checks signatures with the keys of a provider.
type keySet struct{ gooidc.KeySet }

// newKeySet returns the keys at a URL. They are read when a key is not known, and at most once
// in keysEvery: who sends forged tokens does not decide how often.
func newKeySet(ctx context.Context, client *http.Client, url string) keySet {
	c := *client
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	c.Transport = &keysTransport{next: c.Transport}
	return keySet{gooidc.NewRemoteKeySet(gooidc.ClientContext(ctx, &c), url)}
}

// VerifySignature implements [gooidc.KeySet].
func (k keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	if failed := (*keysError)(nil); errors.As(err, &failed) {
		if why, ok := ctx.Value(unknown{}).(*error); ok {
			*why = failed
		}
	}
	return payload, err
}

const (
	keysEvery = 10 * time.Second
	maxKeys   = 1 << 20 // bytes
)

// keysTransport remembers the last answer for keysEvery.
type keysTransport struct {
	next http.RoundTripper

	mu     sync.Mutex
	read   time.Time
	header http.Header
	body   []byte
}

// RoundTrip implements [http.RoundTripper]. Only one request is under way at a time.
func (t *keysTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.body == nil || time.Since(t.read) >= keysEvery {
		if err := t.fetch(r); err != nil {
			return nil, &keysError{err}
		}
	}
	return &http.Response{Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: t.header.Clone(), Body: io.NopCloser(bytes.NewReader(t.body)), ContentLength: int64(len(t.body)), Request: r}, nil
}

func (t *keysTransport) fetch(r *http.Request) error {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeys+1))
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", resp.StatusCode)
	case len(body) > maxKeys:
		return fmt.Errorf("more than %d bytes", maxKeys)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil || set.Keys == nil {
		return errors.New("the answer is no JSON Web Key Set (RFC 7517)")
	}
	t.read, t.header, t.body = time.Now(), resp.Header, body
	return nil
}
