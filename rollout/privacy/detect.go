package privacy

import (
	"bytes"
	"encoding/base64"
	"net/netip"

	"github.com/serin-go/serin/internal/redact"
)

// Triggers of detectors.
const (
	noTrigger = iota
	atDigit
	atSign
	atPercent
	atBackslash
	atPlus
	atColon
	atHyphen
	atB
	atForm // of a prefix only
)

// form is a prefix that identifies a value.
type form struct {
	kind   Kind
	prefix string
	offset int // of the trigger in prefix
	min    int
	max    int // 0: no bound
	in     *[256]bool
	rest   eating
	valid  func([]byte) bool
}

// arm sets the triggers of the wanted kinds.
func (r *Redactor) arm(wanted map[Kind]bool, custom []form) {
	set := func(c byte, t uint8) {
		if r.class[c] == noTrigger || r.class[c] == atForm {
			r.class[c] = t
		}
	}
	if wanted[Card] || wanted[IBAN] || wanted[IP] || wanted[SSN] {
		for c := byte('0'); c <= '9'; c++ {
			set(c, atDigit)
		}
	}
	if wanted[Email] {
		set('@', atSign)
		set('%', atPercent)
		set('\\', atBackslash)
	}
	if wanted[Phone] {
		set('+', atPlus)
	}
	if wanted[Credentials] || wanted[IP] || wanted[MAC] {
		set(':', atColon)
	}
	if wanted[MAC] || wanted[PrivateKey] {
		set('-', atHyphen)
	}
	if wanted[Token] || wanted[Credentials] {
		set('b', atB)
		set('B', atB)
	}
	forms := custom
	if wanted[Key] {
		for _, f := range redact.Forms {
			forms = append(forms, form{kind: Key, prefix: f.Prefix, offset: rare(f.Prefix), min: f.Min, in: &wordByte, rest: word})
		}
	}
	if wanted[Token] {
		forms = append(forms, form{kind: Token, prefix: "eyJ", offset: 2, min: 16, in: &wordByte, rest: dotted})
	}
	for _, f := range forms {
		c := f.prefix[f.offset]
		r.forms[c] = append(r.forms[c], f)
		set(c, atForm)
	}
}

// rare returns the index of the byte of a prefix that is the rarest one in texts.
func rare(prefix string) int {
	for i := len(prefix) - 1; i >= 0; i-- {
		if !alnum(int(prefix[i])) {
			return i
		}
	}
	return 0
}

var wordByte = func() (t [256]bool) {
	for c := range t {
		t[c] = alnum(c) || c == '-' || c == '_'
	}
	return t
}()

// detect runs the detectors of the trigger at i, for values that begin at low or later.
func (x *scanner) detect(i, low int) {
	r, c := x.r, x.buf[i]
	switch r.class[c] {
	case atDigit:
		x.digits(i, low)
	case atSign:
		x.try(Email, x.email(i, low, 1))
	case atPercent:
		x.try(Email, x.escapedAt(i, low, "%40"))
	case atBackslash:
		x.try(Email, x.escapedAt(i, low, `\u0040`))
	case atPlus:
		x.try(Phone, x.phone(i))
	case atColon:
		switch x.byteAt(i+1, i) {
		case later:
			x.found = append(x.found, found{verdict: wait, start: x.local(i, low)})
		case '/':
			x.try(Credentials, x.userinfo(i))
		default:
			x.try(IP, x.ipv6(i, low))
			x.try(MAC, x.mac(i, low, ':'))
		}
	case atHyphen:
		x.try(MAC, x.mac(i, low, '-'))
		x.try(PrivateKey, x.pem(i))
	case atB:
		x.authorization(i)
	}
	for k := range r.forms[c] {
		f := &r.forms[c][k]
		x.try(f.kind, x.form(f, i, low))
	}
}

func (x *scanner) try(kind Kind, f found) {
	if f.verdict != no && x.r.wanted[kind] {
		f.kind = kind
		x.found = append(x.found, f)
	}
}

func waits(start int) found      { return found{verdict: wait, start: start} }
func match(start, end int) found { return found{verdict: yes, start: start, end: end} }

// email looks at an @ of the given width: RFC 5321 and 6531, without quoted local parts and
// literal addresses, in Latin letters.
func (x *scanner) email(i, low, width int) found {
	start := x.local(i, low)
	for start < i && (x.buf[start] == '.' || x.buf[start] == '-' || x.buf[start] == '\'') {
		start++
	}
	if start == i {
		return found{}
	}
	end, labels := 0, 0
	for j := i + width; ; j++ { // a label
		first, tld, plain := j, 0, true
		for {
			c, n := x.byteAt(j, i), 1
			if c >= 0 && latin(byte(c)) {
				next := x.byteAt(j+1, i)
				if next == later {
					return waits(start)
				}
				if next < 0x80 || next >= 0xC0 {
					break
				}
				n = 2
			} else if c == later {
				return waits(start)
			} else if !alnum(c) && c != '-' {
				break
			}
			if plain = plain && (n == 2 || letter(c)); plain {
				tld = j + n
			}
			j += n
		}
		if j == first {
			break
		}
		next := x.byteAt(tld, i)
		switch labels++; {
		case labels > 1 && j-first > 4 && x.is(first, "xn--"):
			end = j
		case labels > 1 && tld-first >= 2 && !digit(next):
			end = tld
		}
		if x.byteAt(j, i) != '.' {
			break
		}
	}
	if end == 0 {
		return found{}
	}
	return match(start, end)
}

// is reports whether s is at i. It must have arrived.
func (x *scanner) is(i int, s string) bool {
	return i+len(s) <= len(x.buf) && string(x.buf[i:i+len(s)]) == s
}

// escapedAt looks at an @ that is escaped, in a URL or in JSON, also in JSON within JSON.
func (x *scanner) escapedAt(i, low int, escape string) found {
	const most = 16 // backslashes
	j := i + 1
	for escape[0] == '\\' && j < i+most && x.byteAt(j, i) == '\\' {
		j++
	}
	for k := 1; k < len(escape); k++ {
		switch x.byteAt(j, i) {
		case int(escape[k]):
			j++
		case later:
			return waits(x.local(i, low))
		default:
			return found{}
		}
	}
	return x.email(i, low, j-i)
}

// userinfo looks at the colon after the scheme of a URL: RFC 3986, 3.2.1. If it does not end
// within maxAhead, it goes up to the end of the authority.
func (x *scanner) userinfo(i int) found {
	if c := x.byteAt(i+2, i); c == later {
		return waits(i)
	} else if c != '/' || !alnum(int(x.before(i))) {
		return found{}
	}
	last, ascii := 0, true
	for j := i + 3; ; j++ {
		c := x.byteAt(j, i)
		if j == i+maxAhead && ascii {
			return found{verdict: yes, start: i + 3, end: j, rest: authority, closed: true}
		}
		ascii = ascii && c < 0x80
		switch c {
		case later:
			return waits(i)
		case '@':
			last = j
		case '/', '?', '#', ' ', '\t', '\r', '\n', '"', '\'', '<', '>', '\\', '`', ended:
			if last <= i+3 {
				return found{}
			}
			f := match(i+3, last)
			f.closed = true
			return f
		}
	}
}

// ipv6 looks at the first colon of an address: RFC 4291, 2.2.
func (x *scanner) ipv6(i, low int) found {
	start := i
	for start > low && i-start < 4 && hexa(int(x.buf[start-1])) && !x.escaped(start) {
		start--
	}
	if p := x.before(start); alnum(int(p)) || p == ':' || p == '.' {
		return found{}
	}
	j, colons, digits, double := start, 0, false, false
	for ; j < start+46; j++ {
		c := x.byteAt(j, i)
		if c == later {
			return waits(start)
		}
		if c == ':' {
			colons++
			double = double || j > start && x.buf[j-1] == ':'
		} else if !hexa(c) && c != '.' {
			break
		}
		digits = digits || digit(c)
	}
	if alnum(x.byteAt(j, i)) || colons < 2 || !digits {
		return found{}
	}
	for j > start && (x.buf[j-1] == '.' || x.buf[j-1] == ':' && x.buf[j-2] != ':') { // of the sentence
		j--
	}
	if !double && colons < 7 {
		return found{}
	}
	a, err := netip.ParseAddr(string(x.buf[start:j]))
	if err != nil || a.IsLoopback() || a.IsUnspecified() {
		return found{}
	}
	return match(start, j)
}

// mac looks at the first separator of a hardware address: IEEE 802.
func (x *scanner) mac(i, low int, sep byte) found {
	start := i - 2
	if start < low || !hexa(int(x.buf[start])) || !hexa(int(x.buf[start+1])) {
		return found{}
	}
	if p := x.before(start); alnum(int(p)) || p == sep {
		return found{}
	}
	for j := i; j < i+15; j++ {
		c := x.byteAt(j, i)
		switch in := (j - start) % 3; {
		case c == later:
			return waits(start)
		case in == 2 && c != int(sep), in < 2 && !hexa(c):
			return found{}
		}
	}
	end := i + 15
	switch c := x.byteAt(end, i); {
	case c == later:
		return waits(start)
	case alnum(c):
		return found{}
	case c == int(sep):
		if c := x.byteAt(end+1, i); c == later {
			return waits(start)
		} else if alnum(c) {
			return found{}
		}
	}
	return match(start, end)
}

// form looks at the trigger of a prefix.
func (x *scanner) form(f *form, i, low int) found {
	start := i - f.offset
	if start < low || alnum(int(x.before(start))) {
		return found{}
	}
	for k := range len(f.prefix) {
		switch c := x.byteAt(start+k, i); c {
		case int(f.prefix[k]):
		case later:
			return waits(start)
		default:
			return found{}
		}
	}
	body := start + len(f.prefix)
	n := 0
	for f.max == 0 && n < f.min || f.max > 0 && n <= f.max {
		c := x.byteAt(body+n, i)
		if c == later {
			return waits(start)
		}
		if c == ended || !f.in[c] {
			break
		}
		n++
	}
	if n < f.min || f.max > 0 && n > f.max {
		return found{}
	}
	m := match(start, body+n)
	m.rest, m.closed = f.rest, f.rest != nothing
	if f.valid != nil && !f.valid(x.buf[start:m.end]) {
		return found{}
	}
	return m
}

// authorization looks at the first letter of an authentication scheme: RFC 6750 and 7617.
func (x *scanner) authorization(i int) {
	if p := x.before(i); alnum(int(p)) || p == '_' {
		return
	}
	if f, value := x.scheme(i, "bearer"); value > 0 {
		x.try(Token, x.bearer(i, value))
	} else {
		x.try(Token, f)
	}
	if f, value := x.scheme(i, "basic"); value > 0 {
		x.try(Credentials, x.basic(i, value))
	} else {
		x.try(Credentials, f)
	}
}

// scheme returns where the credentials after the name of a scheme at i begin, 0 if there is
// no such name.
func (x *scanner) scheme(i int, name string) (f found, value int) {
	j := i
	for ; j < i+len(name)+4; j++ {
		c := x.byteAt(j, i)
		switch {
		case c == later:
			return waits(i), 0
		case j < i+len(name) && c|0x20 != int(name[j-i]):
			return found{}, 0
		case j >= i+len(name) && c != ' ':
			if j == i+len(name) {
				return found{}, 0
			}
			return found{}, j
		}
	}
	return found{}, 0
}

func (x *scanner) bearer(i, value int) found {
	const certain, least, far = 16, 8, 64
	e, digits := eater{how: bearer}, false
	for n := 0; ; n++ {
		c := x.byteAt(value+n, i)
		if c == later {
			return waits(i)
		}
		digits = digits || digit(c)
		if n >= certain && (digits || n >= far) && x.buf[value+n-1] != '.' {
			return found{verdict: yes, start: value, end: value + n, rest: bearer, closed: true}
		}
		if !e.in(c) && c != '.' {
			for n > 0 && x.buf[value+n-1] == '.' {
				n--
			}
			if n < least || !digits {
				return found{}
			}
			return found{verdict: yes, start: value, end: value + n, closed: true}
		}
	}
}

func (x *scanner) basic(i, value int) found {
	n := 0
	for {
		c := x.byteAt(value+n, i)
		if c == later {
			return waits(i)
		}
		if !alnum(c) && c != '+' && c != '/' && c != '=' {
			break
		}
		n++
	}
	token := bytes.TrimRight(x.buf[value:value+n], "=")
	if n < 4 {
		return found{}
	}
	pair, err := base64.RawStdEncoding.DecodeString(string(token[:len(token)&^3]))
	if err != nil || bytes.IndexByte(pair, ':') < 0 {
		return found{}
	}
	for _, c := range pair {
		if c < ' ' || c > '~' {
			return found{}
		}
	}
	return found{verdict: yes, start: value, end: value + n, rest: bearer, closed: true}
}

// pem looks at the first hyphen of a PEM block: RFC 7468.
func (x *scanner) pem(i int) found {
	const begin, key, dashes = "-----BEGIN ", "PRIVATE KEY", "-----"
	if x.before(i) == '-' {
		return found{}
	}
	for k := range len(begin) {
		switch c := x.byteAt(i+k, i); c {
		case int(begin[k]):
		case later:
			return waits(i)
		default:
			return found{}
		}
	}
	j := i + len(begin)
	label := j
	for ; j < label+64; j++ {
		c := x.byteAt(j, i)
		if c == later {
			return waits(i)
		}
		if !(c >= 'A' && c <= 'Z') && !digit(c) && c != ' ' {
			break
		}
	}
	for k := range len(dashes) {
		switch c := x.byteAt(j+k, i); c {
		case '-':
		case later:
			return waits(i)
		default:
			return found{}
		}
	}
	if !bytes.Contains(x.buf[label:j], []byte(key)) {
		return found{}
	}
	return found{verdict: yes, start: i, end: j + len(dashes), rest: block, closed: true}
}
