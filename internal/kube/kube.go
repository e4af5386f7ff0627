// Package kube sends requests to the API server of Kubernetes, as a pod does: with the
// files of its service account. It is a small part of what client-go does, without its
// modules.
package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// serviceAccount is where Kubernetes puts what a pod needs to speak with the API server.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"

// maxAnswer bounds what is read of an answer. The store behind the API server does not
// take objects of more than 1.5 MB.
const maxAnswer = 8 << 20

// Name matches a DNS subdomain, which is what Kubernetes accepts as a name. It cannot
// change the path that it becomes a part of.
var Name = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// Config says how the API server is reached. In a cluster, the zero Config is enough.
type Config struct {
	// Server is the URL of the API server. Empty means the one that the variables
	// KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name.
	Server string
	// TokenFile holds the bearer token; "-" means that no token is sent. It is read for
	// each request, since tokens change. CAFile holds the certificates of the server's
	// authority. NamespaceFile holds the namespace if Namespace is empty. Default the
	// files of the service account.
	TokenFile, CAFile, NamespaceFile string
	Namespace                        string
	// Client replaces the one that trusts CAFile alone. It may be nil.
	Client *http.Client
}

// ServerURL returns the URL of the API server, or "" if it is not known.
func (c Config) ServerURL() string {
	if c.Server != "" {
		return c.Server
	}
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return ""
	}
	return "https://" + net.JoinHostPort(host, port)
}

// WantServer describes the URLs that ValidServer accepts.
const WantServer = "a URL such as https://10.0.0.1:6443, or nothing within a cluster"

// ValidServer reports whether ServerURL is the URL of a server.
func (c Config) ValidServer() bool {
	u, err := url.Parse(c.ServerURL())
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// Client sends requests. It is safe for concurrent use.
type Client struct {
	// Namespace is the configured one, or the one of NamespaceFile.
	Namespace string

	server, tokenFile string
	http              http.Client
}

// NamespaceError means that the file of a namespace does not hold the name of one.
type NamespaceError struct{ File, Value string }

// Error returns the file and what it holds.
func (e *NamespaceError) Error() string {
	return fmt.Sprintf("kube: %s holds %.80q, want a name that matches %v", e.File, e.Value, Name)
}

// AuthorityError means that the file of the authority holds no certificate in PEM.
type AuthorityError struct{ File string }

// Error returns the file.
func (e *AuthorityError) Error() string {
	return fmt.Sprintf("kube: %s holds no certificate in PEM", e.File)
}

// Connect reads the files that do not change. It sends no request. Its errors are a failure
// to read a file, a [*NamespaceError] or an [*AuthorityError].
func Connect(c Config) (*Client, error) {
	orElse := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	k := &Client{
		Namespace: c.Namespace, server: strings.TrimSuffix(c.ServerURL(), "/"),
		tokenFile: orElse(c.TokenFile, serviceAccount+"token"),
	}
	if k.Namespace == "" {
		file := orElse(c.NamespaceFile, serviceAccount+"namespace")
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if k.Namespace = strings.TrimSpace(string(b)); !Name.MatchString(k.Namespace) {
			return nil, &NamespaceError{file, k.Namespace}
		}
	}
	if c.Client != nil {
		k.http = *c.Client
	} else {
		transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
		if strings.HasPrefix(k.server, "https:") {
			file := orElse(c.CAFile, serviceAccount+"ca.crt")
			ca, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			transport.TLSClientConfig.RootCAs = x509.NewCertPool()
			if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(ca) {
				return nil, &AuthorityError{file}
			}
		}
		k.http.Transport = transport
	}
	// A redirect would send the token to another server.
	k.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return k, nil
}

// Answer is an answer of the API server.
type Answer struct {
	Code int
	Body []byte
}

// Do sends a request for a path such as "/apis/apps/v1/namespaces/a/deployments/b/scale". A
// patch that is not nil is sent as a JSON merge patch (RFC 7386). Do returns an answer of
// any status code.
func (k *Client) Do(ctx context.Context, method, path string, patch any) (Answer, error) {
	target := k.server + path
	var body io.Reader
	if patch != nil {
		b, err := json.Marshal(patch)
		if err != nil {
			return Answer{}, err
		}
		body = bytes.NewReader(b)
		target += "?fieldManager=serin&fieldValidation=Strict" // rather an error than a field lost
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Accept", "application/json")
	if patch != nil {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	if k.tokenFile != "-" {
		token, err := os.ReadFile(k.tokenFile)
		if err != nil {
			return Answer{}, err
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := k.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return Answer{resp.StatusCode, answer}, nil
}

// Explain reads the Status object with which the API server explains an answer. Without
// one, it returns the text of the code and the body, shortened.
func (a Answer) Explain() (reason, message string) {
	reason, message = http.StatusText(a.Code), string(a.Body)
	var st struct{ Reason, Message string }
	if json.Unmarshal(a.Body, &st) == nil && st.Message != "" {
		message = st.Message
		if st.Reason != "" {
			reason = st.Reason
		}
	}
	if len(message) > 500 {
		message = message[:500] + "..."
	}
	return reason, message
}
