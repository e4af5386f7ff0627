package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// ClockOptions configures [Clock].
type ClockOptions struct {
	// URLs are at least 3 http or https URLs of servers with different hosts. Ports do not
	// make hosts different, and all names and addresses of the loopback are one. If the clock
	// is wrong by much, https fails, since certificates are not valid; the result is then
	// Unknown.
	URLs []string
	// Max is the greatest accepted difference, from 1 s on. Default 2 s.
	Max time.Duration
	// Client sends the requests. Default: a client that keeps no connections.
	Client *http.Client
}

// Clock returns a check that the clock of this host is right, by the header Date of HTTP
// servers, without NTP. It sends a HEAD request to each server. The time of a server is the
// middle of the second that its Date names; it is compared with the middle between sending
// the request and receiving the answer. A difference is exact to half a second and half a
// round trip. Answers from a cache (Age above 0), and answers with a round trip of more than
// twice Max, do not count.
//
// The check passes if the majority of all servers (2 of 3) are within Max. It fails if the
// clock is ahead of the majority by more than Max, or behind it. Otherwise servers are
// missing or disagree, and the result is Unknown. Evidence: the difference by host; positive
// if the clock of this host is ahead.
func Clock(o ClockOptions) checks.Check {
	bad := &invalid{options: "ClockOptions"}
	if o.Max == 0 {
		o.Max = 2 * time.Second
	}
	if o.Max < time.Second {
		bad.add("Max", o.Max, "a duration from 1 s on, or 0 for the default")
	}
	if len(o.URLs) < 3 {
		bad.add("URLs", len(o.URLs), "at least 3 URLs")
	}
	var urls []*url.URL
	var requirements []string
	hosts := make(map[string]bool)
	for i, raw := range o.URLs {
		field := fmt.Sprintf("URLs[%d]", i)
		u := bad.url(field, raw, "http", "https")
		if host := machine(u.Hostname()); host != "" && hosts[host] {
			bad.add(field, shown(u), "a host that is not in the list yet")
		} else {
			hosts[host] = true
		}
		urls, requirements = append(urls, u), append(requirements, shown(u))
	}
	return probing.New("clock", 0, []any{requirements, o.Max}, bad.err(), func(ctx context.Context) checks.Result {
		offsets, errs := make([]time.Duration, len(urls)), make([]error, len(urls))
		var wg sync.WaitGroup
		for i, u := range urls {
			wg.Go(func() { offsets[i], errs[i] = offset(ctx, o.Client, u, o.Max) })
		}
		wg.Wait()
		var right, ahead, behind int
		evidence := make(map[string]string)
		for i, u := range urls {
			if errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", u.Host, errs[i])
				continue
			}
			evidence[u.Host] = fmt.Sprintf("%+.1f s", offsets[i].Seconds())
			switch {
			case offsets[i] > o.Max:
				ahead++
			case offsets[i] < -o.Max:
				behind++
			default:
				right++
			}
		}
		r := checks.Result{Evidence: evidence}
		switch majority := len(urls)/2 + 1; {
		case right >= majority:
			r.Status, r.Summary = checks.Pass, fmt.Sprintf("the clock is right within %v, by %d of %d servers", o.Max, right, len(urls))
		case ahead >= majority:
			r.Status, r.Summary = checks.Fail, fmt.Sprintf("the clock is ahead by more than %v, by %d of %d servers", o.Max, ahead, len(urls))
		case behind >= majority:
			r.Status, r.Summary = checks.Fail, fmt.Sprintf("the clock is behind by more than %v, by %d of %d servers", o.Max, behind, len(urls))
		case right+ahead+behind >= majority:
			r.Summary, r.Err = "the servers disagree about the time", errDisagree
		default:
			r.Summary, r.Err = fmt.Sprintf("%d of %d servers answer, want %d", right+ahead+behind, len(urls), majority), errors.Join(errs...)
		}
		return r
	})
}

// machine is a host in one spelling.
func machine(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	ip, err := netip.ParseAddr(host)
	switch {
	case loopback(host), err == nil && ip.IsUnspecified():
		return "localhost"
	case err == nil:
		return ip.Unmap().String()
	}
	return host
}

// errDisagree means that no majority of servers says the same about the clock.
var errDisagree = errors.New("no majority of the servers agrees")

// offset returns by how much the clock of this host is ahead of a server's.
func offset(ctx context.Context, c *http.Client, u *url.URL, most time.Duration) (time.Duration, error) {
	start := time.Now()
	var wrote, received atomic.Int64 // since start
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { wrote.Store(int64(time.Since(start))) },
		GotFirstResponseByte: func() { received.Store(int64(time.Since(start))) },
	}), http.MethodHead, u.String(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := client(c).Do(req)
	if err != nil {
		return 0, failed(ctx, u.Host, err).Err
	}
	received.CompareAndSwap(0, int64(time.Since(start)))
	resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, errors.New("no valid header Date")
	}
	if age := resp.Header.Get("Age"); age != "" && age != "0" {
		return 0, errors.New("the answer is from a cache")
	}
	trip := time.Duration(max(0, received.Load()-wrote.Load()))
	if trip > 2*most {
		return 0, fmt.Errorf("the round trip took %v", trip)
	}
	local := start.Add(time.Duration(wrote.Load())).Add(trip / 2)
	return local.Round(0).Sub(date.Add(500 * time.Millisecond)), nil
}
