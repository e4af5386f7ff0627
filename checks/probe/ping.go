package probe

import (
	"context"
	"errors"
	"net"
	"regexp"
	"time"

	"github.com/serin-go/serin/checks"
)

// Pinger is implemented by clients of databases, caches and queues, such as *sql.DB and
// *pgxpool.Pool. Clients with another signature need a method of one line.
type Pinger interface {
	// Ping returns an error if the server does not answer. It is safe for concurrent use.
	Ping(ctx context.Context) error
}

// Ping returns a check that p answers within 10 seconds. An error of Ping is a Fail, unless
// the context has ended or the error says that a resolver does not answer. Evidence: milliseconds.
func Ping(p Pinger) checks.Check {
	bad := &invalid{options: "Ping"}
	if p == nil {
		bad.add("p", nil, "a Pinger")
	}
	return newProbe("ping", 0, nil, bad.err(), func(ctx context.Context) checks.Result {
		start := time.Now()
		if err := p.Ping(ctx); err != nil {
			return refused(ctx, "ping", err)
		}
		return checks.Result{Status: checks.Pass, Summary: "ping answered",
			Evidence: map[string]string{"milliseconds": milliseconds(time.Since(start))}}
	})
}

// refused is the result after an error of a client. It is a Fail unless the context has
// ended, or a resolver does not answer. Clients wrap the other errors of the network in ways
// that [failed] does not recognize.
func refused(ctx context.Context, what string, err error) checks.Result {
	r := failed(ctx, what, &clientError{err})
	if dns := (*net.DNSError)(nil); ctx.Err() == nil && !errors.As(err, &dns) {
		r.Status = checks.Fail
	}
	return r
}

// clientError is an error of a client that may quote its connection string.
type clientError struct{ err error }

var (
	userinfo = regexp.MustCompile(`://[^/\s"]*@`)
	password = regexp.MustCompile(`(?i)(password|passwd|pwd|secret|token)=('[^']*'|[^\s;&"]+)`)
)

// Error returns the text without passwords.
func (e *clientError) Error() string {
	return password.ReplaceAllString(userinfo.ReplaceAllString(e.err.Error(), "://xxxxx@"), "$1=xxxxx")
}

func (e *clientError) Unwrap() error { return e.err }
