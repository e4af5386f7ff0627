package probe

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// Pinger is implemented by clients of databases, caches and queues, such as *sql.DB and
// *pgxpool.Pool. Clients with another signature need a method of one line.
type Pinger interface {
	// Ping returns an error if the server does not answer. It is safe for concurrent use.
	Ping(ctx context.Context) error
}

// Ping returns a check that p answers within 10 seconds. An error of Ping is a Fail, unless
// the context has ended or the error says that a resolver does not answer. Texts of the error
// are shown without the passwords and keys that they name. Evidence: milliseconds.
func Ping(p Pinger) checks.Check {
	bad := &invalid{options: "Ping"}
	if p == nil {
		bad.add("p", nil, "a Pinger")
	}
	return probing.New("ping", 0, nil, bad.err(), func(ctx context.Context) checks.Result {
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
	r := failed(ctx, what, err)
	if dns := (*net.DNSError)(nil); ctx.Err() == nil && !errors.As(err, &dns) {
		r.Status = checks.Fail
	}
	return r
}
