package cluster

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
)

// The HTTP API of workers. Requests and answers are JSON. The answer to a run is a
// stream of JSON lines. Each request and each answer has the version of the protocol in
// a header.
//
//	GET    /v1/clock           get the worker's clock
//	POST   /v1/runs            run a part of a plan until the connection ends
//	POST   /v1/runs/{id}/give  give up a share of the rest of a run
//	DELETE /v1/runs/{id}       end a run early; the stream ends with its totals
//	POST   /v1/goodbye         the coordinator that the worker has joined ends
const (
	clockPath   = "/v1/clock"
	runsPath    = "/v1/runs"
	givePath    = "/give"
	goodbyePath = "/v1/goodbye"
)

// protocolVersion is the version of the API and of the handshake. Coordinators and
// workers of different versions refuse each other.
const (
	protocolVersion = 2
	versionName     = "Serin-Loadtest-Version"
)

// VersionError is the error of a coordinator and a worker whose protocols differ. Both
// ends return it.
type VersionError struct {
	// Peer is the other end: the name or the URL of a worker, or "the coordinator".
	Peer string
	// Ours and Theirs are the versions of the protocol. Theirs is 0 if the other end
	// did not send one.
	Ours, Theirs int
}

// Error returns a text with both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("cluster: protocol version mismatch: %s has %d, this program has %d; run the same version of Serin on all machines", e.Peer, e.Theirs, e.Ours)
}

// checkVersion returns a *VersionError if the version of the peer in h is not ours.
func checkVersion(peer string, h http.Header) error {
	theirs, err := strconv.Atoi(h.Get(versionName))
	if err != nil || theirs != protocolVersion {
		return &VersionError{Peer: peer, Ours: protocolVersion, Theirs: theirs}
	}
	return nil
}

func setVersion(h http.Header) { h.Set(versionName, strconv.Itoa(protocolVersion)) }

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
	Leaving  bool             `json:"leaving,omitempty"` // the worker wants to give up the rest
	Error    string           `json:"error,omitempty"`
	Done     *totals          `json:"done,omitempty"` // the last line
}

// totals are the sums over all intervals of a run.
type totals struct {
	Sent   int `json:"sent"`
	Unsent int `json:"unsent"`
}

// giveRequest is the body of POST /v1/runs/{id}/give: give up shard Part of Of of the
// requests that are due at From or later, counted from the start of the run. A closed
// loop gives up all.
type giveRequest struct {
	From time.Duration `json:"from_ns"`
	Part int           `json:"part"`
	Of   int           `json:"of"`
}

// giveReply is the answer. From is later than asked if the worker had already taken
// later requests from its schedule.
type giveReply struct {
	From time.Duration `json:"from_ns"`
}

const (
	minToken  = 16
	authName  = "Authorization"
	authStart = "Bearer "
)

// checkToken returns an error if the token is so short that it can be guessed. An empty
// one is not an error.
func checkToken(field string, token loadtest.Secret) error {
	if token != "" && len(token) < minToken {
		return &checks.InvalidError{Package: "cluster", Field: field, Value: fmt.Sprintf("%d bytes", len(token)), Want: fmt.Sprintf("a secret of at least %d bytes, the same on all machines", minToken)}
	}
	return nil
}

// authorised reports whether r has the token. It takes the same time for all tokens.
func authorised(r *http.Request, token loadtest.Secret) bool {
	given, found := strings.CutPrefix(r.Header.Get(authName), authStart)
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && found && token != ""
}

// errLost is the error of a stream that ends without totals.
var errLost = errors.New("the stream ended early")
