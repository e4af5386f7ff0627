package httproute

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/kube"
)

// connect reads the files that do not change and makes the client.
func (s *Splitter) connect() error {
	if s.path != "" {
		return nil
	}
	client, err := kube.Connect(s.cfg.kube())
	var namespace *kube.NamespaceError
	var authority *kube.AuthorityError
	switch {
	case errors.As(err, &namespace):
		return &checks.InvalidError{Package: "httproute", Field: namespace.File, Value: fmt.Sprintf("%.80q", namespace.Value), Want: "a name that matches " + kube.Name.String()}
	case errors.As(err, &authority):
		return &checks.InvalidError{Package: "httproute", Field: "Config.CAFile", Value: authority.File, Want: "a file with a certificate in PEM"}
	case err != nil && s.cfg.Namespace == "":
		return fmt.Errorf("httproute: Config.Namespace is empty: %w", err)
	case err != nil:
		return fmt.Errorf("httproute: %w", err)
	}
	s.client = client
	s.route = client.Namespace + "/" + s.cfg.Name
	s.path = "/apis/gateway.networking.k8s.io/v1/namespaces/" + client.Namespace + "/httproutes/" + s.cfg.Name
	return nil
}

// do sends a request about the route and returns the route in the answer.
func (s *Splitter) do(ctx context.Context, method string, patch any) (*route, error) {
	answer, err := s.client.Do(ctx, method, s.path, patch)
	if err != nil {
		return nil, fmt.Errorf("httproute: %w", err)
	}
	if answer.Code != http.StatusOK {
		e := &StatusError{Request: method + " " + s.path, Code: answer.Code}
		e.Reason, e.Message = answer.Explain()
		return nil, e
	}
	r, err := parse(answer.Body)
	if err != nil {
		return nil, s.named(err)
	}
	return r, nil
}

// conflicts reports whether err says that the route has changed since it was
// read.
func conflicts(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Code == http.StatusConflict
}
