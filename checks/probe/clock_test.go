package probe_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/probe"
)

// remote answers as a server whose clock differs from the one of this host, by its name.
type remote map[string]struct {
	ahead, trip time.Duration
	age         string
	err         error
}

func (s remote) RoundTrip(r *http.Request) (*http.Response, error) {
	c := s[r.URL.Host]
	time.Sleep(c.trip / 2)
	h := http.Header{"Date": {time.Now().Add(c.ahead).UTC().Format(http.TimeFormat)}}
	if c.age != "" {
		h.Set("Age", c.age)
	}
	if c.ahead == never {
		h.Set("Date", "yesterday")
	}
	time.Sleep(c.trip - c.trip/2)
	if c.err != nil {
		return nil, c.err
	}
	return &http.Response{StatusCode: 404, Header: h, Body: http.NoBody}, nil
}

const never = 1 << 50

func TestClock(t *testing.T) {
	broken := errors.New("broken")
	const s = time.Second
	for name, c := range map[string]struct {
		servers remote
		max     time.Duration
		want    checks.Status
		more    []string
	}{
		"right":                 {remote{}, 0, checks.Pass, nil},
		"right, at 1 s":         {remote{}, s, checks.Pass, nil},
		"ahead":                 {remote{"a": {ahead: -3 * s}, "b": {ahead: -3 * s}, "c": {ahead: -3 * s}}, 0, checks.Fail, nil},
		"behind":                {remote{"a": {ahead: 3 * s}, "b": {ahead: 3 * s}, "c": {ahead: 3 * s}}, 0, checks.Fail, nil},
		"behind by less":        {remote{"a": {ahead: 3 * s}, "b": {ahead: 3 * s}, "c": {ahead: 3 * s}}, 4 * s, checks.Pass, nil},
		"slow, but right":       {remote{"a": {trip: 3 * s}, "b": {trip: 3 * s}, "c": {trip: 3 * s}}, 0, checks.Pass, nil},
		"too slow":              {remote{"a": {trip: 5 * s}, "b": {trip: 5 * s}}, 0, checks.Unknown, nil},
		"one server is wrong":   {remote{"a": {ahead: time.Hour}}, 0, checks.Pass, nil},
		"one is right":          {remote{"a": {ahead: time.Hour}, "b": {ahead: time.Minute}}, 0, checks.Fail, nil},
		"they disagree":         {remote{"a": {ahead: time.Hour}, "b": {ahead: -time.Hour}}, 0, checks.Unknown, nil},
		"one does not answer":   {remote{"a": {err: broken}}, 0, checks.Pass, nil},
		"two do not answer":     {remote{"a": {err: broken}, "b": {err: broken}}, 0, checks.Unknown, nil},
		"one, and one wrong":    {remote{"a": {err: broken}, "b": {ahead: time.Hour}}, 0, checks.Unknown, nil},
		"two of five are right": {remote{"a": {err: broken}, "b": {err: broken}, "c": {err: broken}}, 0, checks.Unknown, []string{"http://d", "http://e"}},
		"three of five":         {remote{"a": {err: broken}, "b": {err: broken}}, 0, checks.Pass, []string{"http://d", "http://e"}},
		"two are caches":        {remote{"a": {age: "60"}, "b": {age: "1"}}, 0, checks.Unknown, nil},
		"two fresh from cache":  {remote{"a": {age: "0"}, "b": {age: "0"}}, 0, checks.Pass, nil},
		"two without a date":    {remote{"a": {ahead: never}, "b": {ahead: never}}, 0, checks.Unknown, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for range 7 { // at several fractions of a second
					time.Sleep(s / 7)
					r := want(t, probe.Clock(probe.ClockOptions{
						URLs: append(c.more, "http://a", "http://b?k=hidden", "http://c"), Max: c.max, Client: &http.Client{Transport: c.servers},
					}), c.want)
					if (r.Status == checks.Unknown) != (r.Err != nil) || strings.Contains(r.Summary, "hidden") {
						t.Errorf("%+v", r)
					}
				}
			})
		})
	}
}

// named returns the URLs of three servers with names, and a client that finds them.
func named(t *testing.T) ([]string, *http.Client) {
	addrs := make(map[string]string)
	var urls []string
	for _, host := range []string{"a.test", "b.test", "c.test"} {
		addrs[host+":80"] = strings.TrimPrefix(serve(t, http.NotFound), "http://")
		urls = append(urls, "http://"+host)
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addrs[addr])
	}
	return urls, &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

func TestClockOfServers(t *testing.T) {
	urls, c := named(t)
	r := want(t, probe.Clock(probe.ClockOptions{URLs: urls, Max: 30 * time.Second, Client: c}), checks.Pass)
	for _, u := range urls {
		if r.Evidence[strings.TrimPrefix(u, "http://")] == "" {
			t.Error(r.Evidence)
		}
	}
	checkstest.Exercise(t, func(*testing.T) checks.Check { return probe.Clock(probe.ClockOptions{URLs: urls, Client: c}) })
}

// TestClockOneMachine: ports and other spellings do not make several servers of one.
func TestClockOneMachine(t *testing.T) {
	for _, urls := range [][3]string{
		{"http://a", "http://b", "http://A.:8080"},
		{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://b"},
		{"http://localhost", "https://127.0.0.2", "http://b"},
		{"http://x.localhost.", "http://[::1]", "http://b"},
		{"http://0.0.0.0", "http://[::ffff:127.0.0.1]", "http://b"},
		{"http://192.0.2.1", "http://[::ffff:192.0.2.1]", "http://b"},
	} {
		if got := fields(t, probe.Clock(probe.ClockOptions{URLs: urls[:]})); len(got) != 1 || !strings.HasPrefix(got[0], "ClockOptions.URLs[") {
			t.Errorf("%v: %v", urls, got)
		}
	}
}
