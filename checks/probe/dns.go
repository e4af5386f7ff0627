package probe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
	"github.com/serin-go/serin/internal/visible"
)

// DNSOptions configures [DNS].
type DNSOptions struct {
	// Name is the complete name, in ASCII; search domains are not added. It is required.
	Name string
	// Type is A, AAAA, CNAME, MX, NS, SRV or TXT. Default: both A and AAAA.
	Type string
	// Want must be among the answers: an IP address, a name, "10 mail.example.com" (MX),
	// "0 5 443 api.example.com" (SRV: priority, weight, port, target), or a text. Names
	// are compared without regard to case and the final dot. Default: any answer.
	Want []string
	// Server is the IP address or the host of the server, with or without a port. Default:
	// the servers of /etc/resolv.conf, one after the other. It is required on systems
	// without that file.
	Server string
	// MinTTL is the least time to live of the answers, in whole seconds. The TTL of an
	// answer from a cache decreases: Server should be an authoritative server. Default 0.
	MinTTL time.Duration
	// MaxTime is the time limit. Default 10 s.
	MaxTime time.Duration
}

// DNS returns a check that a name has the wanted records. It sends its own queries
// (RFC 1035), without a cache and without /etc/hosts: by UDP, twice to each server with 2 s
// for an answer, and by TCP if an answer is truncated. It follows CNAME records within an
// answer.
//
// The result is Fail if the name does not exist, has no record of the type, or lacks a wanted
// one. Of A and AAAA together, one type is enough, even if the server says of the other that
// the name does not exist. It is Unknown if no server answers in time,
// or if the servers refuse or report a failure. Evidence: the values of each type that was
// asked for, or "none"; the least TTL in seconds; the server.
func DNS(o DNSOptions) checks.Check {
	return dnsOf(o, func() ([]string, error) { return nameservers(os.DirFS("/")) })
}

func dnsOf(o DNSOptions, servers func() ([]string, error)) checks.Check {
	bad := &invalid{options: "DNSOptions"}
	if _, ok := packName(nil, o.Name); !ok || strings.Trim(o.Name, ".") == "" {
		bad.add("Name", o.Name, "a name in ASCII such as example.com")
	}
	types := []string{"A", "AAAA"}
	if o.Type != "" {
		types = []string{o.Type}
		if dnsTypes[o.Type] == 0 {
			bad.add("Type", o.Type, "A, AAAA, CNAME, MX, NS, SRV or TXT")
		}
	}
	want := make([]string, len(o.Want))
	for i, w := range o.Want {
		var ok bool
		if want[i], ok = wantedRecord(o.Type, w); !ok {
			bad.add(fmt.Sprintf("Want[%d]", i), w, "a value of the type, such as 192.0.2.1, mail.example.com, or 10 mail.example.com")
		}
	}
	if o.Server != "" {
		server := withPort(o.Server)
		bad.hostPort("Server", server)
		servers = func() ([]string, error) { return []string{server}, nil }
	}
	if o.MinTTL < 0 || o.MinTTL%time.Second != 0 {
		bad.add("MinTTL", o.MinTTL, "a number of seconds from 0 on")
	}
	bad.limit("MaxTime", &o.MaxTime)
	return probing.New("dns", o.MaxTime, []any{o.Name, o.Type, want, o.Server, o.MinTTL, o.MaxTime}, bad.err(), func(ctx context.Context) checks.Result {
		list, err := servers()
		if err != nil {
			return checks.Result{Summary: o.Name + ": no server to ask", Err: err}
		}
		evidence := make(map[string]string)
		var found []string
		absent := false
		ttl := uint32(1<<32 - 1)
		for _, kind := range types {
			a, server, err := resolve(ctx, list, o.Name, dnsTypes[kind])
			if err != nil {
				if cause := context.Cause(ctx); cause != nil {
					err = errors.Join(cause, err)
				}
				return checks.Result{Summary: fmt.Sprintf("%s %s: not answered", o.Name, kind), Evidence: evidence, Err: err}
			}
			evidence["server"] = server
			absent = absent || a.rcode == rcodeNoName // some servers say so of one type only
			evidence[kind] = "none"
			if len(a.values) > 0 {
				evidence[kind] = cut(visible.Line(strings.Join(a.values, ", ")))
				ttl = min(ttl, a.ttl)
			}
			found = append(found, a.values...)
		}
		fail := func(format string, args ...any) checks.Result {
			return checks.Result{Status: checks.Fail, Summary: o.Name + ": " + fmt.Sprintf(format, args...), Evidence: evidence}
		}
		if len(found) == 0 && absent {
			return fail("the name does not exist")
		}
		if len(found) == 0 {
			return fail("no record %s", strings.Join(types, " or "))
		}
		evidence["ttl"] = strconv.FormatUint(uint64(ttl), 10)
		for _, w := range want {
			if !slices.Contains(found, w) {
				return fail("no record %s", cut(strconv.Quote(w)))
			}
		}
		if least := o.MinTTL / time.Second; time.Duration(ttl) < least {
			return fail("the TTL is %d s, want at least %d s", ttl, least)
		}
		return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%s: %d records", o.Name, len(found)), Evidence: evidence}
	})
}

// withPort adds the port 53 to a server without a port.
func withPort(server string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), "53")
}

// nameservers returns the servers of /etc/resolv.conf.
func nameservers(fsys fs.FS) ([]string, error) {
	text, err := read(fsys, "etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	var all []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			if ip, err := netip.ParseAddr(f[1]); err == nil && len(all) < 3 { // as glibc
				all = append(all, net.JoinHostPort(ip.String(), "53"))
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("probe: /etc/resolv.conf: no nameserver")
	}
	return all, nil
}

// wantedRecord returns a wanted value as a record has it.
func wantedRecord(kind, s string) (string, bool) {
	name := func(s string) (string, bool) {
		_, ok := packName(nil, s)
		return strings.ToLower(strings.TrimSuffix(s, ".")), ok && s != ""
	}
	numbers := map[string]int{"MX": 1, "SRV": 3}[kind]
	switch kind {
	case "", "A", "AAAA":
		ip, err := netip.ParseAddr(s)
		return ip.String(), err == nil && ip.Zone() == "" && (kind == "" || ip.Is4() == (kind == "A"))
	case "TXT":
		return s, s != ""
	case "CNAME", "NS":
		return name(s)
	}
	f := strings.Fields(s)
	if len(f) != numbers+1 {
		return "", false
	}
	for i := range numbers {
		n, err := strconv.ParseUint(f[i], 10, 16)
		if err != nil {
			return "", false
		}
		f[i] = strconv.FormatUint(n, 10)
	}
	target, ok := name(f[numbers])
	f[numbers] = target
	return strings.Join(f, " "), ok
}

const (
	dnsRounds = 2
	dnsWait   = 2 * time.Second
)

// resolve asks one server after the other until one says whether the name has records.
func resolve(ctx context.Context, servers []string, name string, kind uint16) (a dnsAnswer, server string, err error) {
	var errs []error
	for range dnsRounds {
		for _, server := range servers {
			a, err := exchange(ctx, server, name, kind)
			switch {
			case err != nil:
			case a.rcode == rcodeSuccess || a.rcode == rcodeNoName:
				return a, server, nil
			default:
				err = rcodeError(a.rcode)
			}
			errs = append(errs, fmt.Errorf("%s: %w", server, err))
			if ctx.Err() != nil {
				return dnsAnswer{}, "", errors.Join(errs...)
			}
		}
	}
	return dnsAnswer{}, "", errors.Join(errs...)
}

// rcodeError is a response code that says nothing about the name.
type rcodeError int

func (e rcodeError) Error() string {
	if names := []string{"", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}; int(e) < len(names) {
		return "the server answers " + names[e]
	}
	return "the server answers with the code " + strconv.Itoa(int(e))
}

// exchange asks one server by UDP, and by TCP if the answer is truncated.
func exchange(ctx context.Context, server, name string, kind uint16) (dnsAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsWait)
	defer cancel()
	for _, network := range []string{"udp", "tcp"} {
		a, err := ask(ctx, network, server, name, kind)
		if err != nil || !a.truncated {
			return a, err
		}
	}
	return dnsAnswer{}, errors.New("the answer by TCP is truncated")
}

func ask(ctx context.Context, network, server, name string, kind uint16) (dnsAnswer, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return dnsAnswer{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var random [2]byte
	rand.Read(random[:])
	id := binary.BigEndian.Uint16(random[:])
	query := packQuery(id, name, kind)
	buf := make([]byte, 1<<16)
	if network == "tcp" {
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
			return dnsAnswer{}, err
		}
		if _, err := io.ReadFull(conn, buf[:2]); err != nil {
			return dnsAnswer{}, err
		}
		n, err := io.ReadFull(conn, buf[:binary.BigEndian.Uint16(buf)])
		if err != nil {
			return dnsAnswer{}, err
		}
		return parseAnswer(buf[:n], id, name, kind)
	}
	if _, err := conn.Write(query); err != nil {
		return dnsAnswer{}, err
	}
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return dnsAnswer{}, err
		}
		a, err := parseAnswer(buf[:n], id, name, kind)
		if !errors.Is(err, errForeign) { // anyone can send a packet with this address
			return a, err
		}
	}
}
