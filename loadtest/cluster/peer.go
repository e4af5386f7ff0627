package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/serin-go/serin/loadtest"
)

// peer is the way to a worker: HTTP requests to its URL, or over the connection by which
// it has joined.
type peer struct {
	name   string
	url    string
	client *http.Client
	token  loadtest.Secret // empty on a connection, whose ends trust each other

	// Of a worker that has joined. gone is closed when it has left or is lost.
	gone  chan struct{}
	close func()
	ready bool // guarded by the coordinator
}

// left reports whether the worker had joined and has left or is lost.
func (p *peer) left() bool {
	select {
	case <-p.gone: // never for a nil channel
		return true
	default:
		return false
	}
}

func drain(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 64<<10)) // so that the connection is reused
	_ = body.Close()
}

// refusedError is an answer with an error.
type refusedError struct {
	peer   string
	status int // of HTTP, 0 in a handshake
	why    string
	again  bool // the reason may pass
}

func (e *refusedError) Error() string {
	if e.status == 0 {
		return fmt.Sprintf("%s refuses: %s", e.peer, strings.TrimPrefix(e.why, "cluster: "))
	}
	return fmt.Sprintf("cluster: %s: status %d: %s", e.peer, e.status, e.why)
}

// reasonOf returns the reason in the body of an answer with an error status.
func reasonOf(body io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(body, 4<<10)) // a part is enough
	var line runLine
	if json.Unmarshal(text, &line) == nil && line.Error != "" {
		return line.Error
	}
	return strings.TrimSpace(string(text))
}

// call sends one request and returns its answer. A status other than 2xx is a
// *refusedError.
func (p *peer) call(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(p.url, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	setVersion(r.Header)
	if p.token != "" {
		r.Header.Set(authName, authStart+string(p.token))
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("cluster: worker %s: %w", p.name, err)
	}
	// A proxy, whose errors count, does not send a version.
	if err := checkVersion("worker "+p.name, resp.Header); err != nil && (resp.StatusCode/100 == 2 || resp.Header.Get(versionName) != "") {
		drain(resp.Body)
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer drain(resp.Body)
	return nil, &refusedError{peer: "worker " + p.name, status: resp.StatusCode, why: reasonOf(resp.Body)}
}

// goodbyeTime limits a goodbye to a worker that may be gone.
const goodbyeTime = 5 * time.Second

// goodbye lets the worker know that the coordinator ends, and disconnects it.
func (p *peer) goodbye() {
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeTime)
	defer cancel()
	if resp, err := p.call(ctx, http.MethodPost, goodbyePath, nil); err == nil {
		drain(resp.Body)
	} // otherwise it is gone
	p.close()
}
