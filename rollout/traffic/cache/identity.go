package cache

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// credentials are the request headers, in lower case, that identify a caller.
var credentials = map[string]bool{
	"authorization": true, "proxy-authorization": true, "cookie": true,
	"x-api-key": true, "api-key": true, "x-goog-api-key": true, "ocp-apim-subscription-key": true,
	"x-amz-security-token": true, "x-forwarded-access-token": true,
	"openai-organization": true, "openai-project": true,
}

// negotiation are the other standard headers that select a response.
var negotiation = map[string]bool{"accept": true, "accept-encoding": true, "content-type": true}

// protocols are the prefixes of headers that select an interface, a guardrail or a
// route of a provider or a gateway.
var protocols = []string{"anthropic-", "openai-", "x-goog-", "x-amzn-bedrock-", "x-portkey-", "x-litellm-", "helicone-", "cf-aig-"}

// identifying are parts of the names of headers that may carry the identity of a
// caller although they are not among the credentials, such as X-Auth-Token,
// X-Forwarded-User or X-Tenant-Id.
var identifying = []string{
	"auth", "token", "secret", "key", "jwt", "session", "cookie", "credential", "principal", "identity",
	"user", "tenant", "account", "organi", "project", "subject", "email",
}

// keyed reports whether the value of a request header, whose name is in lower case,
// is part of the key.
func keyed(name string) bool {
	if credentials[name] || negotiation[name] {
		return true
	}
	for _, prefix := range protocols {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "user-agent", "idempotency-key", "sec-websocket-key": // differ between requests that are the same
		return false
	}
	return slices.ContainsFunc(identifying, func(part string) bool { return strings.Contains(name, part) })
}

// identified reports whether a request has a credential.
func identified(req *http.Request) bool {
	for name, values := range req.Header {
		if name = strings.ToLower(name); !credentials[name] {
			continue
		}
		for _, v := range values {
			if filled(name, v) {
				return true
			}
		}
	}
	if !strings.Contains(req.URL.RawQuery, "key=") {
		return false
	}
	query, _ := url.ParseQuery(req.URL.RawQuery) // what can be parsed counts
	return slices.ContainsFunc(query["key"], func(v string) bool { return strings.TrimSpace(v) != "" })
}

// filled reports whether a credential is more than space and the name of a scheme:
// clients without an API key send "Authorization: Bearer ".
func filled(name, value string) bool {
	value = strings.TrimSpace(value)
	if name == "authorization" || name == "proxy-authorization" {
		switch strings.ToLower(value) {
		case "bearer", "basic", "digest", "negotiate", "apikey", "token":
			return false
		}
	}
	return value != ""
}
