package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// Redirects returns a check that a plain http URL is redirected permanently (status 301 or
// 308) to https on the same host and the default port 443, with the same path and query. It
// does not follow the redirect. Evidence: status, location.
func Redirects(rawURL string) checks.Check {
	bad := &invalid{options: "Redirects"}
	u := bad.url("url", rawURL, "http")
	return probing.New("redirects", 0, shown(u), bad.err(), func(ctx context.Context) checks.Result {
		resp, err := getURL(ctx, nil, rawURL)
		if err != nil {
			return failed(ctx, shown(u), err)
		}
		resp.Body.Close()
		evidence := map[string]string{"status": strconv.Itoa(resp.StatusCode)}
		fail := func(format string, args ...any) checks.Result {
			return checks.Result{Status: checks.Fail, Summary: shown(u) + ": " + fmt.Sprintf(format, args...), Evidence: evidence}
		}
		if resp.StatusCode != http.StatusMovedPermanently && resp.StatusCode != http.StatusPermanentRedirect {
			return fail("status %d, want 301 or 308", resp.StatusCode)
		}
		to, err := resp.Location()
		if err != nil {
			return fail("the redirect has no location")
		}
		location := cut(shown(to))
		evidence["location"] = location
		switch {
		case to.Scheme != "https":
			return fail("redirects to %s, want https", location)
		case !strings.EqualFold(to.Hostname(), u.Hostname()) || to.User != nil:
			return fail("redirects to %s, want the same host", location)
		case port(to) != "443":
			return fail("redirects to %s, want the default port", location)
		case slash(to) != slash(u) || to.RawQuery != u.RawQuery:
			return fail("redirects to %s, want the same path and query", location)
		}
		return checks.Result{Status: checks.Pass, Summary: shown(u) + ": redirects to https", Evidence: evidence}
	})
}

// slash is the path of u, which is "/" if it is empty.
func slash(u *url.URL) string {
	if u.Path == "" {
		return "/"
	}
	return u.EscapedPath()
}

// getURL sends a GET request with c, or with a client that keeps no connections.
func getURL(ctx context.Context, c *http.Client, rawURL string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, err
	}
	return client(c).Do(req)
}

// HSTSOptions configures [HSTS].
type HSTSOptions struct {
	// URL is the absolute https URL. Its host is a name: browsers ignore the policy of
	// an IP address.
	URL string
	// Min is the least max-age. Default 180 days.
	Min time.Duration
	// Subdomains requires includeSubDomains.
	Subdomains bool
	// Client sends the request. Default: a client that keeps no connections.
	Client *http.Client
}

// HSTS returns a check that a URL is answered with the header Strict-Transport-Security
// (RFC 6797) and a sufficient max-age, whatever the status is. As browsers do, it reads only
// the first such header. Evidence: max-age in seconds, includeSubDomains.
func HSTS(o HSTSOptions) checks.Check {
	bad := &invalid{options: "HSTSOptions"}
	u := bad.url("URL", o.URL, "https")
	if net.ParseIP(u.Hostname()) != nil {
		bad.add("URL", shown(u), "a URL with a host name")
	}
	bad.positive("Min", o.Min)
	if o.Min == 0 {
		o.Min = 180 * 24 * time.Hour
	}
	return probing.New("hsts", 0, []any{shown(u), o.Min, o.Subdomains}, bad.err(), func(ctx context.Context) checks.Result {
		resp, err := getURL(ctx, o.Client, o.URL)
		if err != nil {
			return failed(ctx, shown(u), err)
		}
		resp.Body.Close()
		fail := func(format string, args ...any) checks.Result {
			return checks.Result{Status: checks.Fail, Summary: shown(u) + ": " + fmt.Sprintf(format, args...)}
		}
		values := resp.Header.Values("Strict-Transport-Security")
		if len(values) == 0 {
			return fail("no header Strict-Transport-Security")
		}
		seconds, subdomains, ok := policy(values[0])
		if !ok {
			return fail("the header Strict-Transport-Security is malformed")
		}
		r := checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%s: max-age is %d s", shown(u), seconds),
			Evidence: map[string]string{"max-age": strconv.FormatInt(seconds, 10), "includeSubDomains": strconv.FormatBool(subdomains)}}
		if least := int64(o.Min / time.Second); seconds < least {
			r.Status, r.Summary = checks.Fail, fmt.Sprintf("%s: max-age is %d s, want at least %d s", shown(u), seconds, least)
		} else if o.Subdomains && !subdomains {
			r.Status, r.Summary = checks.Fail, shown(u)+": the policy does not include subdomains"
		}
		return r
	})
}

// policy parses the value of Strict-Transport-Security (RFC 6797, section 6.1). As the RFC
// demands, what does not conform to the syntax is refused as a whole.
func policy(value string) (seconds int64, subdomains, ok bool) {
	const space, token = " \t", "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	seen := make(map[string]bool)
	for {
		value = strings.TrimLeft(value, space+";")
		if value == "" {
			return seconds, subdomains, seen["max-age"]
		}
		rest := strings.TrimLeft(value, token)
		name := strings.ToLower(value[:len(value)-len(rest)])
		arg, assigned := strings.CutPrefix(strings.TrimLeft(rest, space), "=")
		if rest = arg; assigned {
			arg = strings.TrimLeft(arg, space)
			if quoted := quotedString.FindString(arg); quoted != "" {
				arg, rest = quoted[1:len(quoted)-1], arg[len(quoted):]
			} else {
				rest = strings.TrimLeft(arg, token)
				arg = arg[:len(arg)-len(rest)]
			}
		} else {
			arg = ""
		}
		value = strings.TrimLeft(rest, space)
		if name == "" || seen[name] || value != "" && value[0] != ';' {
			return 0, false, false
		}
		seen[name] = true
		switch name {
		case "max-age":
			n, err := strconv.ParseUint(arg, 10, 63)
			if err != nil {
				return 0, false, false
			}
			seconds = int64(n)
		case "includesubdomains":
			if subdomains = true; assigned {
				return 0, false, false
			}
		}
	}
}

// quotedString is a quoted string (RFC 2616, section 2.2).
var quotedString = regexp.MustCompile(`^"(?:[^"\\]|\\.)*"`)
