// Package origin compares the servers that URLs name.
package origin

import (
	"net/url"
	"strings"
)

// Of returns the scheme, the host and the port of u in one form (RFC 6454, section 4, and
// RFC 3986, section 6.2): in lower case, without the default port of the scheme. It is
// equal for URLs that differ only in their spelling, their path and their user.
func Of(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := u.Port(); port == "" || scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return scheme + "://" + host
}
