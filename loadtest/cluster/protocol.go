package cluster

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
)

// The HTTP API of workers. Requests and answers are JSON. The answer to a run is a
// stream of JSON lines.
//
//	GET    /v1/clock      get the worker's clock
//	POST   /v1/runs       run a part of a plan until the connection ends
//	DELETE /v1/runs/{id}  end a run early; the stream ends with its totals
const (
	clockPath = "/v1/clock"
	runsPath  = "/v1/runs"
)

// clockReply is the answer of GET /v1/clock.
type clockReply struct {
	Now time.Time `json:"now"`
}

// runRequest is the body of POST /v1/runs.
type runRequest struct {
	ID   string        `json:"id"`
	Plan loadtest.Plan `json:"plan"`
}

// runLine is one line of the answer. An empty one is a heartbeat.
type runLine struct {
	Interval *loadtest.Report `json:"interval,omitempty"`
	Error    string           `json:"error,omitempty"`
	Done     *totals          `json:"done,omitempty"` // the last line
}

// totals are the sums over all intervals of a run.
type totals struct {
	Sent   int `json:"sent"`
	Unsent int `json:"unsent"`
}

const (
	minToken  = 16
	authName  = "Authorization"
	authStart = "Bearer "
)

// checkToken returns an error if the token is so short that it can be guessed.
func checkToken(field string, token loadtest.Secret) error {
	if len(token) < minToken {
		return &checks.InvalidError{Package: "cluster", Field: field, Value: fmt.Sprintf("%d bytes", len(token)), Want: fmt.Sprintf("a secret of at least %d bytes, the same on all machines", minToken)}
	}
	return nil
}

// authorised reports whether r has the token. It takes the same time for all tokens.
func authorised(r *http.Request, token loadtest.Secret) bool {
	given, found := strings.CutPrefix(r.Header.Get(authName), authStart)
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && found
}

// errLost is the error of a stream that ends without totals.
var errLost = errors.New("the stream ended early")
