package haproxy

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer; thousands of servers fit.
const maxAnswer = 4 << 20

// runtime speaks HAProxy's Runtime API, one connection for each command, as the
// API does by itself: the answer ends with the connection.
type runtime struct {
	network, address, backend string
	timeout                   time.Duration // of one order
}

// do sends one command and returns the answer without the space around it.
func (r runtime) do(ctx context.Context, command string) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, r.network, r.address)
	if err != nil {
		return "", fmt.Errorf("haproxy: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err = io.WriteString(conn, command+"\n"); err == nil {
		var answer []byte
		answer, err = io.ReadAll(io.LimitReader(conn, maxAnswer+1))
		if err == nil && len(answer) <= maxAnswer {
			return strings.TrimSpace(string(answer)), nil
		} else if err == nil {
			return "", &CommandError{Command: command, Answer: fmt.Sprintf("more than %d bytes", maxAnswer)}
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx) // the deadline was only the messenger
	}
	return "", fmt.Errorf("haproxy: %s: %w", command, err)
}

// order sends a command whose answer is empty when it was carried out. It waits for the
// answer even if ctx ends meanwhile: HAProxy may carry out a command without a reader
// later than the commands that undo it.
func (r runtime) order(ctx context.Context, format string, args ...any) error {
	command := fmt.Sprintf(format, args...)
	if ctx.Err() != nil {
		return fmt.Errorf("haproxy: %s: %w", command, context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
	defer cancel()
	answer, err := r.do(ctx, command)
	if err == nil && answer != "" {
		err = &CommandError{Command: command, Answer: shorten(answer)}
	}
	return err
}

func shorten(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}

// server is what is known of one server of the backend.
type server struct {
	weight int
	admin  int // why an operator, or a file, took it out of service; see maintenance
}

// Bits of srv_admin_state, in section "show servers state" of the management
// guide.
const (
	forcedMaintenance = 0x01
	inMaintenance     = 0x01 | 0x02 | 0x04 | 0x20
	draining          = 0x08 | 0x10
)

// servers reads the backend's servers.
func (r runtime) servers(ctx context.Context) (map[string]server, error) {
	command := "show servers state " + r.backend
	answer, err := r.do(ctx, command)
	if err != nil {
		return nil, err
	}
	found, err := parseState(answer, r.backend)
	if err != nil {
		return nil, &CommandError{Command: command, Answer: shorten(answer)}
	}
	return found, nil
}

// parseState reads the answer to "show servers state": a version, a line that
// names the columns, and a line for each server.
func parseState(answer, backend string) (map[string]server, error) {
	lines := bufio.NewScanner(strings.NewReader(answer))
	lines.Buffer(nil, maxAnswer)
	if !lines.Scan() || strings.TrimSpace(lines.Text()) != "1" || !lines.Scan() {
		return nil, fmt.Errorf("no state of version 1")
	}
	column := map[string]int{}
	for i, n := range strings.Fields(strings.TrimPrefix(lines.Text(), "#")) {
		column[n] = i
	}
	for _, n := range []string{"be_name", "srv_name", "srv_admin_state", "srv_uweight"} {
		if _, ok := column[n]; !ok {
			return nil, fmt.Errorf("no column %s", n)
		}
	}
	found := map[string]server{}
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 0 {
			continue
		}
		if len(f) < len(column) || f[column["be_name"]] != backend {
			return nil, fmt.Errorf("a line with %d fields", len(f))
		}
		weight, err := strconv.Atoi(f[column["srv_uweight"]])
		if err != nil {
			return nil, err
		}
		admin, err := strconv.Atoi(f[column["srv_admin_state"]])
		if err != nil {
			return nil, err
		}
		found[f[column["srv_name"]]] = server{weight: weight, admin: admin}
	}
	return found, lines.Err()
}

// Description is how HAProxy divides the traffic of the backend.
type Description struct {
	// Algorithm is the one of "balance", such as "roundrobin". It is empty if the
	// socket does not show the configuration.
	Algorithm string
	// Cookie is the name of the cookie that keeps users with a server, Table
	// says that the backend has a stick table; see Sticky.
	Cookie string
	Table  bool
}

// Sticky reports whether users come back to the same server. It is false if each
// request is assigned at random.
func (d Description) Sticky() bool {
	switch d.Algorithm {
	case "", "roundrobin", "static-rr", "leastconn", "first", "random":
		return d.remembers()
	}
	return true // a hash of something in the request
}

// remembers reports whether HAProxy keeps users with a server that has weight 0.
func (d Description) remembers() bool { return d.Cookie != "" || d.Table }

// describe reads how the backend balances.
func (r runtime) describe(ctx context.Context) (Description, error) {
	command := "show stat " + r.backend + " 2 -1" // 2: backends only
	answer, err := r.do(ctx, command)
	if err != nil {
		return Description{}, err
	}
	d, err := parseStat(answer)
	if err != nil {
		return Description{}, &CommandError{Command: command, Answer: shorten(answer)}
	}
	tables, err := r.do(ctx, "show table")
	d.Table = strings.Contains(tables, "# table: "+r.backend+",")
	return d, err
}

func parseStat(answer string) (d Description, err error) {
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(answer, "# "))).ReadAll()
	if err == nil && len(rows) != 2 {
		err = fmt.Errorf("%d rows, want the names and one backend", len(rows))
	}
	if err != nil {
		return d, err
	}
	for i, n := range rows[0] {
		switch n {
		case "algo":
			d.Algorithm = rows[1][i]
		case "cookie":
			d.Cookie = rows[1][i]
		}
	}
	return d, nil
}
