package autoscale

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/kube"
)

// KubernetesConfig configures a [Kubernetes] actuator. Within a cluster, Names is enough.
type KubernetesConfig struct {
	// Kind is the resource that is scaled, in the API group apps/v1. Default "deployments".
	Kind string `env:"KIND"`
	// Names are the names of the resources by arm. An arm that is not here has the
	// resource of its own name.
	Names map[string]string `env:"NAMES"`
	// Namespace, Server, TokenFile, CAFile and Client say how the API server is reached;
	// see package httproute. Default the pod's service account.
	Namespace string       `env:"NAMESPACE"`
	Server    string       `env:"SERVER"`
	TokenFile string       `env:"TOKEN_FILE"`
	CAFile    string       `env:"CA_FILE"`
	Client    *http.Client `env:", noinit"`
}

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c KubernetesConfig) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "autoscale", Field: "KubernetesConfig." + field, Value: value, Want: want})
	}
	want := "a name that matches " + kube.Name.String()
	if c.Kind != "" && !kube.Name.MatchString(c.Kind) {
		bad("Kind", c.Kind, want)
	}
	for arm, name := range c.Names {
		if !kube.Name.MatchString(name) {
			bad(fmt.Sprintf("Names[%q]", arm), name, want)
		}
	}
	if c.Namespace != "" && !kube.Name.MatchString(c.Namespace) {
		bad("Namespace", c.Namespace, want)
	}
	if !c.kube().ValidServer() {
		bad("Server", c.Server, kube.WantServer)
	}
	return errors.Join(errs...)
}

func (c KubernetesConfig) kube() kube.Config {
	return kube.Config{Server: c.Server, TokenFile: c.TokenFile, CAFile: c.CAFile, Namespace: c.Namespace, Client: c.Client}
}

// Kubernetes scales deployments by their scale subresource. Its service account needs the
// verbs get and patch for it. It is safe for concurrent use.
type Kubernetes struct {
	cfg    KubernetesConfig
	client *kube.Client
}

var _ Actuator = (*Kubernetes)(nil)

// NewKubernetes returns an actuator. It reads the files of the service account, and sends
// no request.
func NewKubernetes(c KubernetesConfig) (*Kubernetes, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	client, err := kube.Connect(c.kube())
	if err != nil {
		return nil, fmt.Errorf("autoscale: kubernetes: %w", err)
	}
	if c.Kind == "" {
		c.Kind = "deployments"
	}
	return &Kubernetes{cfg: c, client: client}, nil
}

// scaleJSON is the scale subresource.
type scaleJSON struct {
	Spec struct {
		Replicas int `json:"replicas"`
	} `json:"spec"`
}

// StatusError is an answer of the API server, of a webhook or of a metrics page other than
// success.
type StatusError struct {
	Request string // such as "PATCH /apis/..."
	Code    int    // such as 403
	Message string // the reason, at most 500 bytes
}

// Error returns the request, the code and the message.
func (e *StatusError) Error() string {
	return fmt.Sprintf("autoscale: %s: %d: %s", e.Request, e.Code, e.Message)
}

// Scale sets spec.replicas. Errors: a [*checks.InvalidError] for an arm without the name of
// a resource, a [*StatusError], or an error of the connection.
func (k *Kubernetes) Scale(ctx context.Context, arm string, n int) error {
	var patch scaleJSON
	patch.Spec.Replicas = n
	_, err := k.do(ctx, http.MethodPatch, arm, patch)
	return err
}

// Desired returns spec.replicas, for [Input].Desired. It returns the same errors as Scale.
func (k *Kubernetes) Desired(ctx context.Context, arm string) (int, error) {
	return k.do(ctx, http.MethodGet, arm, nil)
}

func (k *Kubernetes) do(ctx context.Context, method, arm string, patch any) (int, error) {
	name := arm
	if n, ok := k.cfg.Names[arm]; ok {
		name = n
	}
	if !kube.Name.MatchString(name) {
		return 0, &checks.InvalidError{Package: "autoscale", Field: "arm", Value: arm, Want: "the name of a resource, or an arm of KubernetesConfig.Names"}
	}
	path := "/apis/apps/v1/namespaces/" + k.client.Namespace + "/" + k.cfg.Kind + "/" + name + "/scale"
	answer, err := k.client.Do(ctx, method, path, patch)
	if err != nil {
		return 0, fmt.Errorf("autoscale: %w", err)
	}
	if answer.Code != http.StatusOK {
		_, message := answer.Explain()
		return 0, &StatusError{Request: method + " " + path, Code: answer.Code, Message: message}
	}
	var scale scaleJSON
	if err := json.Unmarshal(answer.Body, &scale); err != nil {
		return 0, fmt.Errorf("autoscale: %s %s: %w", method, path, err)
	}
	return scale.Spec.Replicas, nil
}

// Command returns an actuator that runs a program for each change. The program finds the
// arm and the number in the variables SERIN_ARM and SERIN_REPLICAS, in addition to the variables
// of this process. Its exit status must be 0. It is killed when the context ends. The error
// contains the end of what it printed.
func Command(program string, args ...string) Actuator {
	return ActuatorFunc(func(ctx context.Context, arm string, n int) error {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = append(os.Environ(), "SERIN_ARM="+arm, "SERIN_REPLICAS="+strconv.Itoa(n))
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		const most = 500
		return fmt.Errorf("autoscale: %s: %w: %s", program, err, strings.TrimSpace(string(out[max(0, len(out)-most):])))
	})
}

// Webhook returns an actuator that sends {"arm":"1.5.0","replicas":3} by POST to an
// address. An answer of 2xx is a success. token is sent as a bearer token if it is not
// empty. client is [http.DefaultClient] if it is nil; redirects are not followed.
func Webhook(address, token string, client *http.Client) (Actuator, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, &checks.InvalidError{Package: "autoscale", Field: "address", Value: address, Want: "a URL such as https://scaler.internal/scale"}
	}
	c := *http.DefaultClient
	if client != nil {
		c = *client
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return ActuatorFunc(func(ctx context.Context, arm string, n int) error {
		body, err := json.Marshal(struct {
			Arm      string `json:"arm"`
			Replicas int    `json:"replicas"`
		}{arm, n})
		if err != nil {
			return fmt.Errorf("autoscale: webhook: %w", err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("autoscale: webhook: %w", err)
		}
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := c.Do(req)
		if err != nil {
			return fmt.Errorf("autoscale: webhook: %w", err)
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
			return &StatusError{Request: "POST " + u.Redacted(), Code: resp.StatusCode, Message: strings.TrimSpace(string(text))}
		}
		return nil
	}), nil
}
