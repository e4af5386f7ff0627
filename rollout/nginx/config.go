package nginx

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/serin-go/serin/checks"
)

// Config configures a [Splitter]. Path, Variable and Status are required.
type Config struct {
	// Path is the file that is written, included in nginx's http section. Its
	// directory must be writable. No other program may write the file.
	Path string `env:"FILE"`
	// Variable is the name, without its $, of the variable that holds the
	// upstream. Names that begin with it and an underscore are used too.
	Variable string `env:"VARIABLE"`
	// Key is the variable that identifies the unit, such as "$http_x_user" or
	// "$cookie_session". Default "$request_id": each request is assigned at random.
	Key string `env:"KEY"`
	// Arms names the upstream of each arm. An arm that is not here has the
	// upstream of its own name.
	Arms map[string]string
	// Status is an address, an IP and a port, on which nginx returns the version of
	// the file in force. It and the port above it must be free, and should be
	// reachable from this machine only.
	Status string `env:"STATUS"`
	// Test is the command that tests the configuration. Default nginx -t.
	Test []string `env:"TEST"`
	// Reload is the command that has nginx load it. Default nginx -s reload.
	Reload []string `env:"RELOAD"`
	// Timeout bounds the test of a file, then loading it, and then undoing it. Default
	// 10 s.
	Timeout time.Duration `env:"TIMEOUT"`
}

var (
	variable = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	key      = regexp.MustCompile(`^\$[a-z][a-z0-9_]{0,63}$`)
	upstream = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
)

const eachRequest = "$request_id"

// Validate reports everything that is wrong with c, joined; each problem is an
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "nginx", Field: "Config." + field, Value: value, Want: want})
	}
	if !filepath.IsAbs(c.Path) {
		bad("Path", fmt.Sprintf("%q", c.Path), "the absolute path of a file that nginx includes")
	}
	if !variable.MatchString(c.Variable) {
		bad("Variable", fmt.Sprintf("%q", c.Variable), "a name that matches "+variable.String())
	}
	if c.Key != "" && !key.MatchString(c.Key) {
		bad("Key", fmt.Sprintf("%q", c.Key), "one variable of nginx, which matches "+key.String())
	}
	for _, arm := range slices.Sorted(maps.Keys(c.Arms)) {
		if !upstream.MatchString(c.Arms[arm]) {
			bad(fmt.Sprintf("Arms[%q]", arm), fmt.Sprintf("%q", c.Arms[arm]), "the name of an upstream that matches "+upstream.String())
		}
	}
	if _, _, err := ports(c.Status); err != nil {
		bad("Status", fmt.Sprintf("%q", c.Status), "an IP and a port from 1 to 65534, such as 127.0.0.1:9180")
	}
	if c.Test != nil && len(c.Test) == 0 {
		bad("Test", "empty", "a command, or nil")
	}
	if c.Reload != nil && len(c.Reload) == 0 {
		bad("Reload", "empty", "a command, or nil")
	}
	if c.Timeout < 0 {
		bad("Timeout", c.Timeout, "a duration >= 0")
	}
	return errors.Join(errs...)
}

// ports returns the two addresses of the status server.
func ports(status string) (a, b string, err error) {
	host, port, err := net.SplitHostPort(status)
	if err != nil {
		return "", "", err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	ip := net.ParseIP(host)
	if err != nil || ip == nil || n == 0 || n == 65535 {
		return "", "", fmt.Errorf("no IP and port: %q", status)
	}
	return net.JoinHostPort(ip.String(), strconv.FormatUint(n, 10)), net.JoinHostPort(ip.String(), strconv.FormatUint(n+1, 10)), nil
}

// CommandError means that a command failed. The previous split is in force.
type CommandError struct {
	Command string
	Output  string // its end
	Err     error  // such as an [*exec.ExitError]
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("nginx: %s: %v: %s", e.Command, e.Err, e.Output)
}

// Unwrap returns why the command failed.
func (e *CommandError) Unwrap() error { return e.Err }

// MismatchError means that nginx did not have the split in force within
// Config.Timeout.
type MismatchError struct {
	Want string // the version that was written
	Got  string // what nginx answers
	Err  error  // the end of the context
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("nginx: version %s is not in force: %s: %v", e.Want, e.Got, e.Err)
}

// Unwrap returns the error of the context.
func (e *MismatchError) Unwrap() error { return e.Err }
