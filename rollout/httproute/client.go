package httproute

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/serin-go/serin/checks"
)

// maxObject bounds what is read of an answer; the store behind the API server
// does not take objects of more than 1.5 MB.
const maxObject = 8 << 20

// connect reads the files that do not change and makes the client.
func (s *Splitter) connect() error {
	if s.path != "" {
		return nil
	}
	namespace := s.cfg.Namespace
	if namespace == "" {
		b, err := os.ReadFile(s.cfg.NamespaceFile)
		if err != nil {
			return fmt.Errorf("httproute: Config.Namespace is empty: %w", err)
		}
		namespace = strings.TrimSpace(string(b))
		if !name.MatchString(namespace) {
			return &checks.InvalidError{Package: "httproute", Field: s.cfg.NamespaceFile, Value: fmt.Sprintf("%.80q", namespace), Want: "a name that matches " + name.String()}
		}
	}
	client := http.Client{}
	if s.cfg.Client != nil {
		client = *s.cfg.Client
	} else {
		transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
		if strings.HasPrefix(s.cfg.Server, "https:") {
			ca, err := os.ReadFile(s.cfg.CAFile)
			if err != nil {
				return fmt.Errorf("httproute: %w", err)
			}
			transport.TLSClientConfig.RootCAs = x509.NewCertPool()
			if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(ca) {
				return &checks.InvalidError{Package: "httproute", Field: "Config.CAFile", Value: s.cfg.CAFile, Want: "a file with a certificate in PEM"}
			}
		}
		client.Transport = transport
	}
	// A redirect would send the token to another server.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = &client
	s.route = namespace + "/" + s.cfg.Name
	s.path = "/apis/gateway.networking.k8s.io/v1/namespaces/" + namespace + "/httproutes/" + s.cfg.Name
	return nil
}

// do sends a request about the route and returns the route in the answer.
func (s *Splitter) do(ctx context.Context, method string, patch any) (*route, error) {
	target := strings.TrimSuffix(s.cfg.Server, "/") + s.path
	var body io.Reader
	if patch != nil {
		b, err := json.Marshal(patch)
		if err != nil {
			return nil, fmt.Errorf("httproute: %w", err)
		}
		body = bytes.NewReader(b)
		target += "?fieldManager=serin&fieldValidation=Strict" // rather an error than a field lost
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("httproute: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if patch != nil {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	if s.cfg.TokenFile != "-" {
		token, err := os.ReadFile(s.cfg.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("httproute: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("httproute: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxObject+1))
	if err == nil && len(answer) > maxObject {
		err = fmt.Errorf("an answer of more than %d bytes", maxObject)
	}
	if err != nil {
		return nil, fmt.Errorf("httproute: %s %s: %w", method, s.path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(method+" "+s.path, resp.StatusCode, answer)
	}
	r, err := parse(answer)
	if err != nil {
		return nil, s.named(err)
	}
	return r, nil
}

// statusError reads the Status object that the API server explains itself with.
func statusError(request string, code int, answer []byte) error {
	e := &StatusError{Request: request, Code: code, Reason: http.StatusText(code), Message: string(answer)}
	var st struct{ Reason, Message string }
	if json.Unmarshal(answer, &st) == nil && st.Message != "" {
		e.Message = st.Message
		if st.Reason != "" {
			e.Reason = st.Reason
		}
	}
	if len(e.Message) > 500 {
		e.Message = e.Message[:500] + "..."
	}
	return e
}

// conflicts reports whether err says that the route has changed since it was
// read.
func conflicts(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Code == http.StatusConflict
}
