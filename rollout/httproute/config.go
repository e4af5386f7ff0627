package httproute

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/kube"
)

// Config configures a [Splitter]. Name is required; in a cluster that is enough.
type Config struct {
	// Name is the name of the HTTPRoute.
	Name string `env:"NAME"`
	// Namespace is where it is. Empty means the one in NamespaceFile.
	Namespace string `env:"NAMESPACE"`
	// Rule is the name of the rule whose weights are set. Empty means every rule
	// that names a backend of the split.
	Rule string `env:"RULE"`
	// Arms names the backendRef of each arm, which must be unique within a rule.
	// An arm that is not here has the backendRef of its own name.
	Arms map[string]string

	// Server is the URL of the API server. Empty means the one that the variables
	// KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name.
	Server string `env:"SERVER"`
	// TokenFile holds the bearer token. It is read for each request, since tokens
	// change. CAFile holds the certificates of the authority that signed the server's.
	// NamespaceFile holds the namespace. Default the files of the pod's service
	// account. TokenFile "-" means that no token is sent.
	TokenFile     string `env:"TOKEN_FILE"`
	CAFile        string `env:"CA_FILE"`
	NamespaceFile string `env:"NAMESPACE_FILE"`
	// Client speaks with the server instead of one that trusts CAFile alone.
	Client *http.Client `env:", noinit"`

	// Timeout bounds one SetSplit, and once more what it takes to undo it. Zero
	// means 30 s.
	Timeout time.Duration `env:"TIMEOUT"`
	// DangerouslySkipStatus takes a split as in force when the API server has
	// stored it, whether or not a gateway has accepted it.
	DangerouslySkipStatus bool `env:"DANGEROUSLY_SKIP_STATUS"`
}

// Validate reports everything that is wrong with c, joined; each problem is an
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "httproute", Field: "Config." + field, Value: value, Want: want})
	}
	if !kube.Name.MatchString(c.Name) {
		bad("Name", fmt.Sprintf("%q", c.Name), "the name of an HTTPRoute, which matches "+kube.Name.String())
	}
	if c.Namespace != "" && !kube.Name.MatchString(c.Namespace) {
		bad("Namespace", fmt.Sprintf("%q", c.Namespace), "a name that matches "+kube.Name.String())
	}
	if c.Rule != "" && !kube.Name.MatchString(c.Rule) {
		bad("Rule", fmt.Sprintf("%q", c.Rule), "the name of a rule, which matches "+kube.Name.String())
	}
	for _, arm := range slices.Sorted(maps.Keys(c.Arms)) {
		if !kube.Name.MatchString(c.Arms[arm]) {
			bad(fmt.Sprintf("Arms[%q]", arm), fmt.Sprintf("%q", c.Arms[arm]), "the name of a backendRef, which matches "+kube.Name.String())
		}
	}
	if !c.kube().ValidServer() {
		bad("Server", fmt.Sprintf("%q", c.Server), kube.WantServer)
	}
	if c.Timeout < 0 {
		bad("Timeout", c.Timeout, "a duration >= 0")
	}
	return errors.Join(errs...)
}

// kube returns how the API server is reached.
func (c Config) kube() kube.Config {
	return kube.Config{
		Server: c.Server, TokenFile: c.TokenFile, CAFile: c.CAFile, NamespaceFile: c.NamespaceFile,
		Namespace: c.Namespace, Client: c.Client,
	}
}

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	c.Arms = maps.Clone(c.Arms)
	return c
}

// RouteError means that the route cannot take the split. Several may be joined.
type RouteError struct {
	Route  string // namespace/name
	Path   string // to what is wrong, such as "spec.rules[0].backendRefs[1].weight"
	Reason string // what is wrong with it, and what is wanted
}

func (e *RouteError) Error() string {
	return fmt.Sprintf("httproute: %s: %s: %s", e.Route, e.Path, e.Reason)
}

// StatusError is an answer of the API server other than success.
type StatusError struct {
	Request string // such as "GET /apis/..."
	Code    int    // such as 403
	Reason  string // such as "Forbidden"
	Message string // what the server says to people, shortened
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("httproute: %s: %d %s: %s", e.Request, e.Code, e.Reason, e.Message)
}

// MismatchError says that the split did not come into force.
type MismatchError struct {
	Route string
	Got   string // what was read back
	Err   error  // the end of the context, where it was waited for
}

func (e *MismatchError) Error() string {
	s := fmt.Sprintf("httproute: %s: the split is not in force: %s", e.Route, e.Got)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns why no more was waited for.
func (e *MismatchError) Unwrap() error { return e.Err }
