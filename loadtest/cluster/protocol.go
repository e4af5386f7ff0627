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

// The interface of workers. Requests and answers are JSON; a run answers with
// JSON lines, which come while it goes on.
//
//	GET    /v1/clock      the worker's clock
//	POST   /v1/runs       run a part of a plan; ends when the connection does
//	DELETE /v1/runs/{id}  end a run early; its last line tells what was found
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

// runLine is one line of the answer. A line with nothing in it says that the
// worker is alive.
type runLine struct {
	Interval *loadtest.Report `json:"interval,omitempty"`
	Error    string           `json:"error,omitempty"`
	Done     *totals          `json:"done,omitempty"` // the last line
}

// totals is what the intervals of a run must add up to.
type totals struct {
	Sent   int `json:"sent"`
	Unsent int `json:"unsent"`
}

const (
	minToken  = 16
	authName  = "Authorization"
	authStart = "Bearer "
)

// checkToken says what is wrong with a token: one that can be guessed is worth
// no more than none.
func checkToken(field string, token loadtest.Secret) error {
	if len(token) < minToken {
		return &checks.InvalidError{Package: "cluster", Field: field, Value: fmt.Sprintf("%d bytes", len(token)), Want: fmt.Sprintf("a secret of at least %d bytes, the same on all machines", minToken)}
	}
	return nil
}

// authorised compares tokens in constant time, also when their lengths differ.
func authorised(r *http.Request, token loadtest.Secret) bool {
	given, found := strings.CutPrefix(r.Header.Get(authName), authStart)
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && found
}

// errLost is why a worker counts as lost.
var errLost = errors.New("its answer ended in the middle")
