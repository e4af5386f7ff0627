package probe_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/probe"
)

// nameServer answers by UDP and TCP on one address, from a zone "name TYPE" to records.
// The names of its answers are compressed.
type nameServer struct {
	zone  map[string][]string
	rcode map[string]uint16 // by name, or by name and type
	// spoof sends two foreign messages first; cut truncates answers by UDP; silent answers
	// nothing; garble sends what is no answer.
	spoof, cut, silent, garble bool
	asked, byTCP               atomic.Int64
	onQuery                    func()
	addr                       string
}

var codes = map[string]uint16{"A": 1, "NS": 2, "CNAME": 5, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33}

func (s *nameServer) start(t testing.TB) *nameServer {
	t.Helper()
	var udp net.PacketConn
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		s.addr = tcp.Addr().String()
		udp, err = net.ListenPacket("udp", s.addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 2)
	t.Cleanup(func() { udp.Close(); tcp.Close(); <-done; <-done })
	go func() {
		defer func() { done <- struct{}{} }()
		buf := make([]byte, 512)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			if s.asked.Add(1); s.onQuery != nil {
				s.onQuery()
			}
			if s.silent {
				continue
			}
			if s.spoof {
				foreign := slices.Clone(buf[:n])
				foreign[0]++
				udp.WriteTo(s.answer(foreign, false), from) // another ID
				foreign = slices.Clone(buf[:n])
				foreign[13]++
				udp.WriteTo(s.answer(foreign, false), from) // another name
				udp.WriteTo(buf[:n], from)                  // a query
			}
			udp.WriteTo(s.answer(buf[:n], s.cut), from)
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			if _, err := io.ReadFull(conn, size[:]); err == nil {
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(conn, query); err == nil {
					s.byTCP.Add(1)
					answer := s.answer(query, false)
					conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
				}
			}
			conn.Close()
		}
	}()
	return s
}

// answer returns the answer to a query with one question.
func (s *nameServer) answer(query []byte, cut bool) []byte {
	at, labels := 12, []string{}
	for query[at] != 0 {
		labels = append(labels, string(query[at+1:at+1+int(query[at])]))
		at += 1 + int(query[at])
	}
	kind := binary.BigEndian.Uint16(query[at+1:])
	end := at + 5
	name := strings.ToLower(strings.Join(labels, "."))
	out := append(slices.Clone(query[:2]), 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	out = append(out, query[12:end]...)
	if s.garble {
		out[7] = 1
		return append(out, 0xc0, 12, 0, 1)
	}
	if cut {
		out[2] |= 2
		return out
	}
	for k, code := range codes {
		if rcode, ok := s.rcode[name+" "+k]; ok && code == kind {
			out[3] |= byte(rcode)
			return out
		}
	}
	if rcode, ok := s.rcode[name]; ok {
		out[3] |= byte(rcode)
		return out
	}
	suffix := []byte{0xc0, byte(12 + 1 + len(labels[0]))} // of the question
	packed := func(name string) (b []byte) {
		first, rest, _ := strings.Cut(name, ".")
		if rest == strings.ToLower(strings.Join(labels[1:], ".")) {
			return append(append([]byte{byte(len(first))}, first...), suffix...)
		}
		for label := range strings.SplitSeq(name, ".") {
			b = append(append(b, byte(len(label))), label...)
		}
		return append(b, 0)
	}
	known := false
	for i, owner, hops := 0, name, 0; hops < 20; hops++ {
		alias := ""
		for _, k := range []string{"A", "AAAA", "CNAME", "MX", "NS", "SRV", "TXT"} {
			for _, value := range s.zone[owner+" "+k] {
				known = true
				if codes[k] != kind && k != "CNAME" {
					continue
				}
				i++
				out = append(out, packed(owner)...)
				ttl := uint32(300 + 100*hops)
				out = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, codes[k]), 1)
				out = binary.BigEndian.AppendUint32(out, ttl)
				var data []byte
				f := strings.Fields(value)
				switch k {
				case "A", "AAAA":
					data = netip.MustParseAddr(value).AsSlice()
				case "TXT":
					for part := range strings.SplitSeq(value, "|") {
						data = append(append(data, byte(len(part))), part...)
					}
				default:
					for _, n := range f[:len(f)-1] {
						var x uint16
						fmt.Sscan(n, &x)
						data = binary.BigEndian.AppendUint16(data, x)
					}
					data = append(data, packed(f[len(f)-1])...)
				}
				if k == "CNAME" && kind != codes[k] {
					alias = value
				}
				out = append(binary.BigEndian.AppendUint16(out, uint16(len(data))), data...)
			}
		}
		binary.BigEndian.PutUint16(out[6:], uint16(i))
		if alias == "" {
			break
		}
		owner = alias
	}
	if !known {
		out[3] |= 3
	}
	return out
}

func zone() map[string][]string {
	z := map[string][]string{
		"both.test A": {"192.0.2.1", "192.0.2.2"}, "both.test AAAA": {"2001:db8::1"},
		"four.test A": {"192.0.2.1"}, "six.test AAAA": {"2001:db8::1"},
		"old.test A": {"192.0.2.1"}, "new.test AAAA": {"2001:db8::1"},
		"alias.test CNAME": {"Further.example"}, "Further.example CNAME": {"both.test"},
		"dangling.test CNAME": {"none.example"}, "loop.test CNAME": {"loop.test"},
		"mail.test MX": {"10 a.test", "20 b.other"}, "mail.test TXT": {"v=spf1| -all", "x"}, "mail.test NS": {"ns.test", "ns.other"},
		"_api._tcp.test SRV": {"0 5 443 a.test"}, "raw.test TXT": {"a\x1b\xff"},
	}
	for i := range 60 {
		z["many.test A"] = append(z["many.test A"], fmt.Sprintf("192.0.2.%d", i))
	}
	return z
}

func TestDNS(t *testing.T) {
	s := (&nameServer{zone: zone(), rcode: map[string]uint16{
		"servfail.test": 2, "refused.test": 5, "four.test AAAA": 3, "six.test A": 3, "half.test A": 3, "half.test AAAA": 2,
	}}).start(t)
	for name, c := range map[string]struct {
		o        probe.DNSOptions
		want     checks.Status
		evidence map[string]string
	}{
		"both families":           {probe.DNSOptions{Name: "both.test"}, checks.Pass, map[string]string{"A": "192.0.2.1, 192.0.2.2", "AAAA": "2001:db8::1", "ttl": "300", "server": s.addr}},
		"only IPv4":               {probe.DNSOptions{Name: "OLD.test."}, checks.Pass, map[string]string{"A": "192.0.2.1", "AAAA": "none"}},
		"only IPv6":               {probe.DNSOptions{Name: "new.test"}, checks.Pass, map[string]string{"A": "none", "AAAA": "2001:db8::1"}},
		"IPv4 of a broken server": {probe.DNSOptions{Name: "four.test"}, checks.Pass, map[string]string{"A": "192.0.2.1", "AAAA": "none"}},
		"IPv6 of a broken server": {probe.DNSOptions{Name: "six.test"}, checks.Pass, map[string]string{"A": "none", "AAAA": "2001:db8::1"}},
		"wanted":                  {probe.DNSOptions{Name: "both.test", Want: []string{"2001:DB8:0::1", "192.0.2.2"}}, checks.Pass, nil},
		"one is missing":          {probe.DNSOptions{Name: "both.test", Want: []string{"192.0.2.2", "192.0.2.3"}}, checks.Fail, nil},
		"of one type":             {probe.DNSOptions{Name: "both.test", Type: "A", Want: []string{"192.0.2.1"}}, checks.Pass, map[string]string{"AAAA": ""}},
		"none of the type":        {probe.DNSOptions{Name: "old.test", Type: "AAAA"}, checks.Fail, map[string]string{"AAAA": "none"}},
		"neither type":            {probe.DNSOptions{Name: "mail.test"}, checks.Fail, map[string]string{"A": "none", "AAAA": "none"}},
		"does not exist":          {probe.DNSOptions{Name: "nx.test"}, checks.Fail, map[string]string{"A": "none", "AAAA": "none"}},
		"SERVFAIL":                {probe.DNSOptions{Name: "servfail.test"}, checks.Unknown, nil},
		"REFUSED":                 {probe.DNSOptions{Name: "refused.test"}, checks.Unknown, nil},
		"aliases":                 {probe.DNSOptions{Name: "alias.test", Type: "AAAA"}, checks.Pass, map[string]string{"AAAA": "2001:db8::1", "ttl": "300"}},
		"alias":                   {probe.DNSOptions{Name: "alias.test", Type: "CNAME", Want: []string{"further.EXAMPLE."}}, checks.Pass, nil},
		"alias of nothing":        {probe.DNSOptions{Name: "dangling.test"}, checks.Fail, nil},
		"alias of itself":         {probe.DNSOptions{Name: "loop.test"}, checks.Unknown, nil},
		"MX":                      {probe.DNSOptions{Name: "mail.test", Type: "MX", Want: []string{"010  A.test.", "20 b.other"}}, checks.Pass, nil},
		"MX of another priority":  {probe.DNSOptions{Name: "mail.test", Type: "MX", Want: []string{"20 a.test"}}, checks.Fail, nil},
		"TXT of two strings":      {probe.DNSOptions{Name: "mail.test", Type: "TXT", Want: []string{"v=spf1 -all"}}, checks.Pass, nil},
		"NS":                      {probe.DNSOptions{Name: "mail.test", Type: "NS", Want: []string{"ns.other", "ns.test"}}, checks.Pass, nil},
		"SRV":                     {probe.DNSOptions{Name: "_api._tcp.test", Type: "SRV", Want: []string{"0 5 443 a.test"}}, checks.Pass, nil},
		"TXT that does not show":  {probe.DNSOptions{Name: "raw.test", Type: "TXT", Want: []string{"a\x1b\xff"}}, checks.Pass, map[string]string{"TXT": "a␛\ufffd"}},
		"half does not exist":     {probe.DNSOptions{Name: "half.test"}, checks.Unknown, nil},
		"TTL":                     {probe.DNSOptions{Name: "both.test", MinTTL: 300 * time.Second}, checks.Pass, nil},
		"TTL too short":           {probe.DNSOptions{Name: "both.test", MinTTL: 301 * time.Second}, checks.Fail, nil},
		"more than fits into UDP": {probe.DNSOptions{Name: "many.test", Type: "A", Want: []string{"192.0.2.59"}}, checks.Pass, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Server = s.addr
			r := want(t, probe.DNS(c.o), c.want)
			for k, v := range c.evidence {
				if r.Evidence[k] != v {
					t.Errorf("%s is %q, want %q", k, r.Evidence[k], v)
				}
			}
			if (r.Status == checks.Unknown) != (r.Err != nil) {
				t.Error(r.Err)
			}
		})
	}
	checkstest.Exercise(t, func(*testing.T) checks.Check {
		return probe.DNS(probe.DNSOptions{Name: "both.test", Server: s.addr})
	})
}

func TestDNSServers(t *testing.T) {
	good := (&nameServer{zone: zone()}).start(t)
	cut := (&nameServer{zone: zone(), cut: true}).start(t)
	spoof := (&nameServer{zone: zone(), spoof: true}).start(t)
	failing := (&nameServer{rcode: map[string]uint16{"both.test": 2}}).start(t)
	garbled := (&nameServer{garble: true}).start(t)
	silent := (&nameServer{silent: true}).start(t)
	o := probe.DNSOptions{Name: "both.test", Type: "A", Want: []string{"192.0.2.2"}}
	want(t, probe.DNSVia(o, failing.addr, garbled.addr, good.addr), checks.Pass)
	want(t, probe.DNSVia(o, spoof.addr), checks.Pass)
	if spoof.asked.Load() != 1 {
		t.Errorf("asked %d times", spoof.asked.Load())
	}
	want(t, probe.DNSVia(o, cut.addr), checks.Pass)
	if cut.asked.Load() != 1 || cut.byTCP.Load() != 1 {
		t.Errorf("asked %d times by UDP, %d by TCP", cut.asked.Load(), cut.byTCP.Load())
	}
	for _, addr := range []string{failing.addr, garbled.addr, closed(t)} {
		want(t, probe.DNSVia(o, addr), checks.Unknown)
	}
	if n := failing.asked.Load(); n != 3 { // once above, and twice alone
		t.Errorf("asked %d times", n)
	}
	o.MaxTime = time.Millisecond
	if r := want(t, probe.DNSVia(o, silent.addr), checks.Unknown); r.Err == nil {
		t.Error("no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	o.MaxTime, o.Server = 0, (&nameServer{silent: true, onQuery: cancel}).start(t).addr
	if r := probe.DNS(o).Check(ctx); r.Status != checks.Unknown || !errors.Is(r.Err, context.Canceled) {
		t.Errorf("%+v", r)
	}
}

func TestDNSDigest(t *testing.T) {
	a, errA := checks.DigestOf(probe.DNS(probe.DNSOptions{Name: "a.test"}))
	b, errB := checks.DigestOf(probe.DNS(probe.DNSOptions{Name: "a.test", MaxTime: 10 * time.Second}))
	if a != b || errors.Join(errA, errB) != nil {
		t.Error("the digest depends on whether the default is spelled out", errA, errB)
	}
}

// TestNameServer: the resolver of the standard library reads the answers of the server of
// these tests in the same way.
func TestNameServer(t *testing.T) {
	s := (&nameServer{zone: zone()}).start(t)
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.addr)
	}}
	ips, err := r.LookupHost(t.Context(), "alias.test.")
	if slices.Sort(ips); err != nil || !slices.Equal(ips, []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"}) {
		t.Error(ips, err)
	}
	if mx, err := r.LookupMX(t.Context(), "mail.test."); err != nil || len(mx) != 2 || mx[0].Host != "a.test." || mx[1].Pref != 20 {
		t.Error(mx, err)
	}
	txt, err := r.LookupTXT(t.Context(), "mail.test.")
	if err != nil || !slices.Equal(txt, []string{"v=spf1 -all", "x"}) {
		t.Error(txt, err)
	}
	if _, srv, err := r.LookupSRV(t.Context(), "api", "tcp", "test."); err != nil || len(srv) != 1 || srv[0].Port != 443 || srv[0].Target != "a.test." {
		t.Error(srv, err)
	}
	if ns, err := r.LookupNS(t.Context(), "mail.test."); err != nil || len(ns) != 2 || ns[1].Host != "ns.other." {
		t.Error(ns, err)
	}
}

func TestNameservers(t *testing.T) {
	for text, want := range map[string]string{
		"# x\nsearch a b\nnameserver 10.0.0.2\nnameserver ::1 \nnameserver fe80::1%eth0\nnameserver 10.0.0.3\n": "[10.0.0.2:53 [::1]:53 [fe80::1%eth0]:53]",
		"nameserver x\nnameserver 10.0.0.2": "[10.0.0.2:53]",
		"nameserver\n":                      "[]",
		"":                                  "[]",
	} {
		got, err := probe.Nameservers(fstest.MapFS{"etc/resolv.conf": {Data: []byte(text)}})
		if fmt.Sprint(got) != want || (err == nil) != (want != "[]") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := probe.Nameservers(fstest.MapFS{}); err == nil {
		t.Error("no file, but no error")
	}
}

func TestDNSBadOptions(t *testing.T) {
	got := fields(t, probe.DNS(probe.DNSOptions{Type: "a", Server: "a:b:c", MinTTL: 1, MaxTime: -1}))
	if s := fmt.Sprint(got); s != "[DNSOptions.Name DNSOptions.Type DNSOptions.Server DNSOptions.MinTTL DNSOptions.MaxTime]" {
		t.Error(s)
	}
	long := strings.Repeat("a", 63)
	for _, name := range []string{".", "a..b", ".a", "ä.test", "a b", strings.Repeat("a", 64), strings.Join([]string{long, long, long, long}, ".")} {
		if got := fields(t, probe.DNS(probe.DNSOptions{Name: name})); len(got) != 1 {
			t.Errorf("%q: %v", name, got)
		}
	}
	for kind, all := range map[string][]string{
		"":      {"", "a.test", "fe80::1%eth0"},
		"A":     {"::1", "::ffff:192.0.2.1", "1.2.3"},
		"AAAA":  {"192.0.2.1"},
		"CNAME": {"", "a b"},
		"MX":    {"", "a.test", "65536 a.test", "-1 a.test", "10 a.test x", "10 a..b"},
		"SRV":   {"0 5 a.test", "0 5 443"},
		"TXT":   {""},
	} {
		for _, w := range all {
			if got := fields(t, probe.DNS(probe.DNSOptions{Name: "a.test", Type: kind, Want: []string{w}})); len(got) != 1 {
				t.Errorf("%s %q: %v", kind, w, got)
			}
		}
	}
}

// TestDNSMessage: answers to "a.test", which is at offset 12.
func TestDNSMessage(t *testing.T) {
	const header, question, owner = "\x00\x07\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00", "\x01a\x04test\x00\x00\x01\x00\x01", "\xc0\x0c"
	const in, ttl = "\x00\x01", "\x00\x00\x00\x09"
	a := func(owner string) string { return owner + "\x00\x01" + in + ttl + "\x00\x04\x01\x02\x03\x04" }
	ask := strings.Repeat
	many := strings.Replace(header, "\x00\x01\x00\x00\x00\x00", "\x00\x02\x00\x00\x00\x00", 1)
	for name, c := range map[string]struct {
		msg  string
		want string // or "error"
		ttl  uint32
	}{
		"answer":                    {header + question + a(owner), "[1.2.3.4]", 9},
		"upper case":                {header + strings.ToUpper(question) + a("\x01A\x04tEsT\x00"), "[1.2.3.4]", 9},
		"another owner":             {header + question + a("\x01b\xc0\x0e"), "[]", 0},
		"a dot in a label":          {header + question + a("\x06a.test\x00"), "[]", 0},
		"TTL beyond 31 bits":        {header + question + owner + "\x00\x01" + in + "\x80\x00\x00\x00" + "\x00\x04\x01\x02\x03\x04", "[1.2.3.4]", 0},
		"another class":             {header + question + owner + "\x00\x01\x00\x03" + ttl + "\x00\x04\x01\x02\x03\x04", "[]", 0},
		"another type":              {header + question + owner + "\x01\x01" + in + ttl + "\x00\x02xx", "[]", 0},
		"longest name":              {header + question + a(ask("\x3f"+ask("x", 63), 3)+"\x3d"+ask("x", 61)+"\x00"), "[]", 0},
		"name too long":             {header + question + a(ask("\x3f"+ask("x", 63), 3)+"\x3e"+ask("x", 62)+"\x00"), "error", 0},
		"label type 0x40":           {header + question + a("\x41"+ask("x", 65)+"\x00"), "error", 0},
		"pointer to itself":         {header + question + a("\xc0\x18"), "error", 0},
		"pointer forwards":          {header + question + a("\xc0\x1a"), "error", 0},
		"pointer cut off":           {header + question + "\xc0", "error", 0},
		"short data":                {header + question + owner + "\x00\x01" + in + ttl + "\x00\x03\x01\x02\x03", "error", 0},
		"long data":                 {header + question + owner + "\x00\x01" + in + ttl + "\x00\x05\x01\x02\x03\x04\x05", "error", 0},
		"data cut off":              {header + question + owner + "\x00\x01" + in + ttl + "\x00\x04\x01", "error", 0},
		"text beyond its record":    {header + question + owner + "\x00\x10" + in + ttl + "\x00\x02\x02x", "error", 0},
		"a record is missing":       {many + question + a(owner), "error", 0},
		"no question":               {strings.Replace(header, "\x00\x01", "\x00\x00", 1), "error", 0},
		"no question, name error":   {strings.Replace(strings.Replace(header, "\x80", "\x83", 1), "\x00\x01", "\x00\x00", 1), "error", 0},
		"no question, server error": {strings.Replace(strings.Replace(header, "\x80", "\x82", 1), "\x00\x01", "\x00\x00", 1), "[]", 0},
		"two questions":             {strings.Replace(header, "\x00\x01", "\x00\x02", 1) + question + question, "error", 0},
		"another ID":                {strings.Replace(header, "\x07", "\x08", 1) + question + a(owner), "error", 0},
		"a query":                   {strings.Replace(header, "\x81", "\x01", 1) + question + a(owner), "error", 0},
		"another name":              {header + strings.Replace(question, "a", "b", 1) + a(owner), "error", 0},
		"another type of question":  {header + strings.Replace(question, "\x00\x00\x01", "\x00\x00\x02", 1) + a(owner), "error", 0},
		"another class of question": {header + question[:len(question)-1] + "\x03" + a(owner), "error", 0},
		"empty":                     {"", "error", 0},
		"header cut off":            {header[:11], "error", 0},
	} {
		values, ttl, err := probe.ParseDNS([]byte(c.msg), 7, "a.test", "A")
		got := fmt.Sprint(values)
		if err != nil {
			got = "error"
		}
		if got != c.want || got == "[1.2.3.4]" && ttl != c.ttl {
			t.Errorf("%s: %s with TTL %d, want %s with %d: %v", name, got, ttl, c.want, c.ttl, err)
		}
	}
}

// FuzzDNSAnswer: an answer is parsed without a panic, and its values are bounded.
func FuzzDNSAnswer(f *testing.F) {
	s := &nameServer{zone: zone()}
	query := func(name, kind string) []byte {
		msg := []byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
		for label := range strings.SplitSeq(name, ".") {
			msg = append(append(msg, byte(len(label))), label...)
		}
		return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(append(msg, 0), codes[kind]), 1)
	}
	for _, q := range [][2]string{{"both.test", "A"}, {"alias.test", "AAAA"}, {"mail.test", "MX"}, {"mail.test", "TXT"}, {"mail.test", "NS"}, {"_api._tcp.test", "SRV"}, {"alias.test", "CNAME"}, {"nx.test", "A"}} {
		answer := s.answer(query(q[0], q[1]), false)
		if values, ttl, err := probe.ParseDNS(answer, 7, q[0], q[1]); err != nil || len(values) == 0 != (q[0] == "nx.test") || ttl < 300 {
			f.Fatalf("%s: %v, %d, %v", q, values, ttl, err)
		}
		f.Add(answer, q[0], q[1])
	}
	f.Add(append(query("a.test", "A"), 0xc0, 24), "a.test", "A") // a name that points to itself
	f.Fuzz(func(t *testing.T, msg []byte, name, kind string) {
		values, _, err := probe.ParseDNS(msg, 7, name, kind)
		if err != nil && len(values) > 0 {
			t.Errorf("%q with %v", values, err)
		}
		for _, v := range values {
			if len(v) > max(len(msg), 4*255+30) {
				t.Errorf("a value of %d bytes from a message of %d", len(v), len(msg))
			}
		}
	})
}
