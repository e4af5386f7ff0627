package haproxy

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// DefaultTolerance is by how much the share of an arm may differ from what was
// asked for: 0.10 % of all traffic.
const DefaultTolerance strategies.Weight = 10

// Config configures a [Splitter]. Address and Backend are required.
type Config struct {
	// Network is "unix" or "tcp". Empty means "unix".
	Network string `env:"NETWORK"`
	// Address is the path of the socket, or host:port. The socket must be of
	// level admin.
	Address string `env:"ADDRESS"`
	// Backend is the name of the backend whose servers are weighted.
	Backend string `env:"BACKEND"`
	// Arms says which servers serve each arm; all servers of an arm get the same
	// weight. An arm that is not here is served by the server of its own name.
	Arms map[string][]string
	// Tolerance is by how much the share of an arm may differ from what was
	// asked for, in hundredths of a percent. Zero means [DefaultTolerance].
	// Whatever it is, an arm is never further off than a tenth of its share.
	Tolerance strategies.Weight `env:"TOLERANCE"`
	// Timeout bounds one SetSplit or Describe, and then undoing it. A command that was
	// sent has its own Timeout, even if the context ends. Zero means 2 s.
	Timeout time.Duration `env:"TIMEOUT"`
}

// name is what HAProxy itself accepts as the name of a proxy or a server, so
// nothing that passes can end or extend a command.
var name = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,128}$`)

// Validate reports everything that is wrong with c, joined; each problem is an
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "haproxy", Field: "Config." + field, Value: value, Want: want})
	}
	if c.Network != "" && c.Network != "unix" && c.Network != "tcp" {
		bad("Network", fmt.Sprintf("%q", c.Network), `"unix" or "tcp"`)
	}
	if c.Address == "" {
		bad("Address", `""`, "the path of HAProxy's socket, or its host:port")
	}
	if !name.MatchString(c.Backend) {
		bad("Backend", fmt.Sprintf("%q", c.Backend), "a name that matches "+name.String())
	}
	owner := map[string]string{}
	for _, arm := range slices.Sorted(maps.Keys(c.Arms)) {
		field := fmt.Sprintf("Arms[%q]", arm)
		if len(c.Arms[arm]) == 0 {
			bad(field, "empty", "at least one server")
		}
		for _, server := range c.Arms[arm] {
			if !name.MatchString(server) {
				bad(field, fmt.Sprintf("%q", server), "names of servers that match "+name.String())
			}
			if other, taken := owner[server]; taken {
				bad(field, fmt.Sprintf("%q", server), fmt.Sprintf("a server that arm %q does not have", other))
			}
			owner[server] = arm
		}
	}
	if c.Tolerance > strategies.Full {
		bad("Tolerance", uint32(c.Tolerance), "0 to 10000 (hundredths of a percent)")
	}
	if c.Timeout < 0 {
		bad("Timeout", c.Timeout, "a duration >= 0")
	}
	return errors.Join(errs...)
}

// ServerError means that a server of the backend cannot serve the split. Several may be
// joined.
type ServerError struct {
	Server string // backend/server
	Reason string // what is wrong with it
}

func (e *ServerError) Error() string { return fmt.Sprintf("haproxy: %s: %s", e.Server, e.Reason) }

// CommandError means that HAProxy did not carry out a command.
type CommandError struct {
	Command string // such as "set weight chat/green 1"
	Answer  string // what HAProxy said, shortened
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("haproxy: %s: HAProxy answered %q", e.Command, e.Answer)
}

// MismatchError means that the weight in force is not the one that was set.
type MismatchError struct {
	Server string // backend/server
	Want   int
	Got    int // what was read back
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("haproxy: %s has weight %d in force, after %d was set", e.Server, e.Got, e.Want)
}
