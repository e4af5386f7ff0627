package privacy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/serin-go/serin/checks"
)

// Config configures a [Redactor]. The zero value finds all kinds, and replaces each value by
// the name of its kind in brackets, such as [EMAIL].
type Config struct {
	// Kinds are the kinds to find. If empty, all of them.
	Kinds []Kind `env:"KINDS"`
	// Operators say what replaces the values of a kind, also of the kinds of Detectors.
	// Secrets take [Replace] and [Drop] alone. Default Replace(""), for every kind.
	Operators map[Kind]Operator `env:", noinit"`
	// Detectors find further kinds, such as customer numbers.
	Detectors []Detector `env:", noinit"`
	// MaxBody is the largest request, and the largest document in an answer, that a Handler or
	// a Transport takes, in bytes. While one is redacted, it takes up to 15 times its size of
	// memory. Default 32 MiB.
	MaxBody int `env:"MAX_BODY"`
}

// Detector finds values that begin with a prefix.
type Detector struct {
	// Kind is the kind of the values: 1 to 32 of a-z, 0-9, '-' and space.
	Kind Kind
	// Prefix is what a value begins with: 1 to 32 printable ASCII characters. The prefix is
	// found after anything but a letter or digit.
	Prefix string
	// Of are the characters that follow, in ASCII, such as "0123456789". Min and Max are
	// how many, up to 64. A value ends before the first other character.
	Of       string
	Min, Max int
	// Valid verifies a value, such as its check digit. If nil, every value is valid.
	Valid func(value []byte) bool
	// Version goes into [Redactor.Digest]. Change it with Valid.
	Version string
}

// Operator says what replaces a value. Make one with [Replace], [Mask], [Drop],
// [Pseudonyms.Operator] or [OperatorFunc].
type Operator struct {
	name    string
	append  func(dst []byte, kind Kind, value []byte) []byte
	secrets bool // it does not need the value
}

// Replace replaces a value by a text, the name of its kind in brackets if the text is empty.
func Replace(text string) Operator {
	return Operator{name: "replace " + text, secrets: true, append: func(dst []byte, kind Kind, _ []byte) []byte {
		if text != "" {
			return append(dst, text...)
		}
		return append(append(append(dst, '['), strings.ToUpper(string(kind))...), ']')
	}}
}

// Drop removes a value.
func Drop() Operator {
	return Operator{name: "drop", secrets: true, append: func(dst []byte, _ Kind, _ []byte) []byte { return dst }}
}

// Mask replaces each letter and digit of a value by *, except the last keep of them, 0 to 4.
// A value of at most 2·keep letters and digits is masked as a whole.
func Mask(keep int) Operator {
	keep = min(max(keep, 0), 4)
	return Operator{name: fmt.Sprintf("mask %d", keep), append: func(dst []byte, _ Kind, value []byte) []byte {
		counts := func(r rune) bool { return r >= 0x80 || alnum(int(r)) }
		text := string(value)
		n := 0
		for _, r := range text {
			if counts(r) {
				n++
			}
		}
		mask := n
		if n > 2*keep {
			mask = n - keep
		}
		for _, r := range text {
			if counts(r) && mask > 0 {
				mask--
				r = '*'
			}
			dst = append(dst, string(r)...)
		}
		return dst
	}}
}

// OperatorFunc replaces a value by what f appends to dst. name goes into [Redactor.Digest].
// f is called concurrently, and must not keep value.
func OperatorFunc(name string, f func(dst []byte, kind Kind, value []byte) []byte) Operator {
	return Operator{name: "func " + name, append: f}
}

// Redactor finds personal data and secrets in texts and replaces them. Make one with
// [NewRedactor]. It is safe for concurrent use.
type Redactor struct {
	wanted    map[Kind]bool
	operators map[Kind]Operator
	digest    string
	maxBody   int
	class     [256]uint8
	forms     [256][]form
	pool      sync.Pool // of *scanner
}

func invalid(field string, value any, want string) error {
	return &checks.InvalidError{Package: "privacy", Field: field, Value: value, Want: want}
}

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	for i, k := range c.Kinds {
		if !slices.Contains(Kinds(), k) || slices.Contains(c.Kinds[:i], k) {
			errs = append(errs, invalid(fmt.Sprintf("Config.Kinds[%d]", i), string(k), "one of Kinds, each once"))
		}
	}
	own := make(map[Kind]bool)
	for i, d := range c.Detectors {
		errs = append(errs, d.validate(fmt.Sprintf("Config.Detectors[%d]", i)))
		own[d.Kind] = true
	}
	for k, o := range c.Operators {
		field := fmt.Sprintf("Config.Operators[%s]", k)
		if !slices.Contains(Kinds(), k) && !own[k] {
			errs = append(errs, invalid(field, string(k), "one of Kinds, or the kind of a detector"))
		}
		if o.append == nil {
			errs = append(errs, invalid(field, nil, "an operator"))
		} else if k.endless() && !o.secrets {
			errs = append(errs, invalid(field, o.name, "Replace or Drop, since the kind is a secret"))
		}
	}
	if c.MaxBody < 0 {
		errs = append(errs, invalid("Config.MaxBody", c.MaxBody, "at least 0"))
	}
	return errors.Join(errs...)
}

func (d Detector) validate(field string) error {
	var errs []error
	bad := func(name string, value any, want string) { errs = append(errs, invalid(field+"."+name, value, want)) }
	if n := len(d.Kind); n == 0 || n > 32 || strings.Trim(string(d.Kind), "abcdefghijklmnopqrstuvwxyz0123456789- ") != "" || slices.Contains(Kinds(), d.Kind) {
		bad("Kind", string(d.Kind), "1 to 32 of a-z, 0-9, '-' and space, other than one of Kinds")
	}
	printable := func(s string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
	}
	if n := len(d.Prefix); n == 0 || n > 32 || !printable(d.Prefix) {
		bad("Prefix", d.Prefix, "1 to 32 printable ASCII characters without space")
	}
	if d.Of == "" || !printable(d.Of) {
		bad("Of", d.Of, "printable ASCII characters without space")
	}
	if d.Min < 0 || d.Max < max(d.Min, 1) || d.Max > 64 {
		bad("Max", fmt.Sprintf("%d to %d", d.Min, d.Max), "0 <= Min <= Max, 1 <= Max <= 64")
	}
	return errors.Join(errs...)
}

// NewRedactor returns a redactor. It returns the errors of [Config.Validate].
func NewRedactor(c Config) (*Redactor, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if len(c.Kinds) == 0 {
		c.Kinds = Kinds()
	}
	r := &Redactor{wanted: make(map[Kind]bool), operators: make(map[Kind]Operator), maxBody: c.MaxBody}
	if r.maxBody == 0 {
		r.maxBody = 32 << 20
	}
	h := sha256.New()
	fmt.Fprintln(h, "redactor 1")
	for _, k := range Kinds() {
		r.wanted[k] = slices.Contains(c.Kinds, k)
	}
	var own []form
	for _, d := range c.Detectors {
		r.wanted[d.Kind] = true
		in := new([256]bool)
		for i := range len(d.Of) {
			in[d.Of[i]] = true
		}
		own = append(own, form{kind: d.Kind, prefix: d.Prefix, offset: 0, min: d.Min, max: d.Max, in: in, valid: d.Valid})
		fmt.Fprintf(h, "%q %q %q %d %d %q\n", d.Kind, d.Prefix, d.Of, d.Min, d.Max, d.Version)
	}
	for k, wanted := range r.wanted {
		if o, ok := c.Operators[k]; ok {
			r.operators[k] = o
		} else if wanted {
			r.operators[k] = Replace("")
		}
	}
	for _, k := range slices.Sorted(func(yield func(Kind) bool) {
		for k, wanted := range r.wanted {
			if wanted && !yield(k) {
				return
			}
		}
	}) {
		fmt.Fprintf(h, "%q %q\n", k, r.operators[k].name)
	}
	r.digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	r.arm(r.wanted, own)
	r.pool.New = func() any { return new(scanner) }
	return r, nil
}

// Digest identifies the configuration: kinds, operators, and prefixes and versions of
// detectors.
func (r *Redactor) Digest() string { return r.digest }

func (r *Redactor) replace(dst []byte, kind Kind, value []byte) []byte {
	return r.operators[kind].append(dst, kind, value)
}

// whole runs over a text that is complete.
func (r *Redactor) whole(dst, src []byte, emit func(dst []byte, kind Kind, value []byte) []byte) (_ []byte, count int) {
	x := r.pool.Get().(*scanner)
	own := x.buf
	x.reset(r)
	x.buf, x.final = src, true
	if emit != nil {
		x.emit = emit
	}
	dst = x.run(dst)
	count = x.count
	x.buf, x.emit = own, nil
	r.pool.Put(x)
	return dst, count
}

// Redact appends src to dst, with replacements in place of what it finds. dst and src must
// not overlap.
func (r *Redactor) Redact(dst, src []byte) []byte {
	dst, _ = r.whole(dst, src, nil)
	return dst
}

// Text returns s with replacements in place of what it finds. It fits the hook of
// workload.RecorderConfig, and [log/slog.HandlerOptions.ReplaceAttr] with a line of code.
func (r *Redactor) Text(s string) string {
	out, count := r.whole(nil, []byte(s), nil)
	if count == 0 {
		return s
	}
	return string(out)
}

// Find returns what Redact would replace in src, in order.
func (r *Redactor) Find(src []byte) []Finding {
	var all []Finding
	x := r.pool.Get().(*scanner)
	own := x.buf
	x.reset(r)
	x.buf, x.final = src, true
	x.scan()
	for _, s := range x.spans {
		all = append(all, Finding{s.kind, s.start, s.end})
	}
	x.buf, x.emit = own, nil
	r.pool.Put(x)
	return all
}

// Stream redacts a text that arrives in pieces. The pieces of the result, joined, are equal
// to the result of [Redactor.Redact] on the joined pieces. It holds back at most 256 bytes:
// the last word, and a value that may go on. Make one with [Redactor.Stream]. It is for one
// goroutine.
type Stream struct{ scanner scanner }

// Stream returns a stream for one text.
func (r *Redactor) Stream() *Stream {
	s := &Stream{}
	s.scanner.reset(r)
	return s
}

// Append appends to dst what can be sent on after the next piece of the text.
func (s *Stream) Append(dst, piece []byte) []byte {
	x := &s.scanner
	x.buf = append(x.buf, piece...)
	dst = x.run(dst)
	x.shift()
	return dst
}

// Flush appends the rest to dst. The text has ended; Append begins the next one.
func (s *Stream) Flush(dst []byte) []byte {
	x := &s.scanner
	x.final = true
	dst = x.run(dst)
	emit, count := x.emit, x.count
	x.reset(x.r)
	x.emit, x.count = emit, count
	return dst
}

// held returns the number of bytes that were not sent on.
func (s *Stream) held() int { return len(s.scanner.buf) - s.scanner.done }
