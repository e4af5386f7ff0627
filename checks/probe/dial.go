package probe

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// TCP returns a check that a TCP connection to addr, such as "db.internal:5432", can be
// established. It closes the connection without sending anything. Evidence: the remote
// address, milliseconds.
func TCP(addr string) checks.Check {
	bad := &invalid{options: "TCP"}
	bad.hostPort("addr", addr)
	return dial("tcp", addr, bad.err())
}

// Unix returns a check that a connection to the stream socket at path can be established.
// It closes the connection without sending anything. Evidence: milliseconds.
func Unix(path string) checks.Check {
	bad := &invalid{options: "Unix"}
	if path == "" {
		bad.add("path", path, "the path of a socket")
	}
	return dial("unix", path, bad.err())
}

func dial(network, addr string, invalid error) checks.Check {
	return probing.New(network, 0, addr, invalid, func(ctx context.Context) checks.Result {
		start := time.Now()
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return failed(ctx, addr, err)
		}
		defer conn.Close()
		evidence := map[string]string{"milliseconds": milliseconds(time.Since(start))}
		if network == "tcp" {
			evidence["address"] = conn.RemoteAddr().String()
		}
		return checks.Result{Status: checks.Pass, Summary: addr + ": connected", Evidence: evidence}
	})
}

// hostPort returns the host of an address that has a host and a port from 1 to 65535.
func (v *invalid) hostPort(field, addr string) string {
	host, port, err := net.SplitHostPort(addr)
	n, numeric := strconv.ParseUint(port, 10, 16)
	_, ip := netip.ParseAddr(host)
	if err != nil || host == "" || numeric != nil || n == 0 || strings.Contains(host, ":") && ip != nil {
		v.add(field, addr, "an address such as host:443")
		return ""
	}
	return host
}

// milliseconds is d for evidence.
func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
