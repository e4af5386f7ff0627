package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// dnsTypes are the codes of the types of records.
var dnsTypes = map[string]uint16{"A": typeA, "NS": typeNS, "CNAME": typeCNAME, "MX": typeMX, "TXT": typeTXT, "AAAA": typeAAAA, "SRV": typeSRV}

const (
	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typeMX    = 15
	typeTXT   = 16
	typeAAAA  = 28
	typeSRV   = 33

	classIN      = 1
	rcodeSuccess = 0
	rcodeNoName  = 3
	headerBytes  = 12
	flagAnswer   = 1 << 15
	flagCut      = 1 << 9
	flagRecurse  = 1 << 8
	maxAliases   = 16
	maxPointers  = 127 // as many as a name has labels
)

var (
	errMessage = errors.New("the answer is malformed")
	// errForeign means that a message is not the answer to the query.
	errForeign = errors.New("the answer is to another query")
)

// dnsAnswer is the part of an answer that concerns the name and the type of the query.
type dnsAnswer struct {
	rcode     int
	truncated bool
	values    []string
	ttl       uint32 // the least, of the aliases as well
}

// packName appends a name to a message, without compression. It reports whether the name
// consists of labels of 1 to 63 printable ASCII characters, and has at most 253.
func packName(msg []byte, name string) ([]byte, bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return append(msg, 0), true // the root
	}
	if len(name) > 253 {
		return nil, false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
			return nil, false
		}
		msg = append(append(msg, byte(len(label))), label...)
	}
	return append(msg, 0), true
}

// packQuery returns a query for the records of a valid name, with recursion.
func packQuery(id uint16, name string, kind uint16) []byte {
	msg := make([]byte, headerBytes, 512)
	binary.BigEndian.PutUint16(msg, id)
	binary.BigEndian.PutUint16(msg[2:], flagRecurse)
	binary.BigEndian.PutUint16(msg[4:], 1)
	msg, _ = packName(msg, name)
	msg = binary.BigEndian.AppendUint16(msg, kind)
	return binary.BigEndian.AppendUint16(msg, classIN)
}

// dnsReader reads a message. After an error all further values are zero.
type dnsReader struct {
	msg []byte
	at  int
	bad bool
}

// bytes returns the next n bytes.
func (r *dnsReader) bytes(n int) []byte {
	if r.bad || n > len(r.msg)-r.at {
		r.bad = true
		return make([]byte, n)
	}
	r.at += n
	return r.msg[r.at-n : r.at]
}

func (r *dnsReader) uint16() uint16 { return binary.BigEndian.Uint16(r.bytes(2)) }

func (r *dnsReader) uint32() uint32 { return binary.BigEndian.Uint32(r.bytes(4)) }

// name returns a name in lower case without the final dot. Characters that a name would not
// have in text are written as \DDD. A pointer of compression must point backwards.
func (r *dnsReader) name() string {
	var text strings.Builder
	length, low, after, pointers := 1, r.at, -1, 0
	for {
		n := int(r.bytes(1)[0])
		switch {
		case r.bad:
			return ""
		case n == 0:
			if after >= 0 {
				r.at = after
			}
			return text.String()
		case n&0xc0 == 0xc0:
			to := (n&0x3f)<<8 | int(r.bytes(1)[0])
			if after < 0 {
				after = r.at
			}
			if pointers++; r.bad || to >= low || pointers > maxPointers {
				r.bad = true
				return ""
			}
			r.at, low = to, to
			continue
		case n > 63:
			r.bad = true
			return ""
		}
		if length += n + 1; length > 255 {
			r.bad = true
			return ""
		}
		if text.Len() > 0 {
			text.WriteByte('.')
		}
		for _, c := range r.bytes(n) {
			switch {
			case c >= 'A' && c <= 'Z':
				text.WriteByte(c + 'a' - 'A')
			case c <= ' ' || c > '~' || c == '.' || c == '\\':
				fmt.Fprintf(&text, `\%03d`, c)
			default:
				text.WriteByte(c)
			}
		}
	}
}

// value returns the value of a record with n bytes of data as text. It is empty for a type
// that is not in dnsTypes.
func (r *dnsReader) value(kind uint16, n int) string {
	end := r.at + n
	text := ""
	switch kind {
	case typeA:
		text = netip.AddrFrom4([4]byte(r.bytes(4))).String()
	case typeAAAA:
		text = netip.AddrFrom16([16]byte(r.bytes(16))).String()
	case typeCNAME, typeNS:
		text = r.name()
	case typeMX:
		text = fmt.Sprintf("%d %s", r.uint16(), r.name())
	case typeSRV:
		text = fmt.Sprintf("%d %d %d %s", r.uint16(), r.uint16(), r.uint16(), r.name())
	case typeTXT:
		var all strings.Builder
		for !r.bad && r.at < end {
			all.Write(r.bytes(int(r.bytes(1)[0])))
		}
		text = all.String()
	default:
		r.bytes(n)
	}
	if r.at != end {
		r.bad = true
	}
	return text
}

// parseAnswer parses the answer to a query.
func parseAnswer(msg []byte, id uint16, name string, kind uint16) (dnsAnswer, error) {
	r := &dnsReader{msg: msg}
	isID, flags, questions, records := r.uint16(), r.uint16(), r.uint16(), r.uint16()
	r.bytes(4)
	if r.bad || isID != id || flags&flagAnswer == 0 || questions > 1 {
		return dnsAnswer{}, errForeign
	}
	a := dnsAnswer{rcode: int(flags & 15), truncated: flags&flagCut != 0, ttl: 1<<32 - 1}
	owner := strings.ToLower(strings.TrimSuffix(name, "."))
	if questions == 1 {
		isName, isKind, isClass := r.name(), r.uint16(), r.uint16()
		if r.bad || isName != owner || isKind != kind || isClass != classIN {
			return dnsAnswer{}, errForeign
		}
	} else if a.rcode == rcodeSuccess || a.rcode == rcodeNoName {
		return dnsAnswer{}, errForeign // only failures may omit the question
	}
	if a.truncated || a.rcode != rcodeSuccess {
		return a, nil
	}
	type record struct {
		owner, value string
		kind         uint16
		ttl          uint32
	}
	var all []record
	for range records {
		of, is, class, ttl, n := r.name(), r.uint16(), r.uint16(), r.uint32(), int(r.uint16())
		if ttl > 1<<31-1 {
			ttl = 0 // RFC 2181, section 8
		}
		value := r.value(is, n)
		if r.bad {
			return dnsAnswer{}, errMessage
		}
		if class == classIN {
			all = append(all, record{of, value, is, ttl})
		}
	}
	for range maxAliases {
		alias := ""
		for _, rec := range all {
			switch {
			case rec.owner != owner:
			case rec.kind == kind:
				a.values, a.ttl = append(a.values, rec.value), min(a.ttl, rec.ttl)
			case rec.kind == typeCNAME:
				alias, a.ttl = rec.value, min(a.ttl, rec.ttl)
			}
		}
		if len(a.values) > 0 || alias == "" {
			return a, nil
		}
		owner = alias
	}
	return dnsAnswer{}, errMessage
}
