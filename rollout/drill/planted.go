package drill

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/serin-go/serin/checks"
)

// PlantedOptions configure [Planted]. Send and Sinks are required.
type PlantedOptions struct {
	// Send sends a text by the way of a user's prompt, on the twin, and reads the answer to
	// its end. The model of the twin should repeat its prompt, so that answers are looked at
	// as well.
	Send func(ctx context.Context, text string) error
	// Sinks are the outputs in which personal data must not be, by name: the requests that
	// reach the model, logs, traces, the audit trail, the cache, exports. Each returns
	// everything that the output has.
	Sinks map[string]func(ctx context.Context) ([]byte, error)
	// Settle is how long outputs may take to be written after Send. Default 1 s.
	Settle time.Duration
	// Timeout is the limit of one call. Default 30 s.
	Timeout time.Duration
}

// Planted returns a check that personal data and secrets in a prompt appear in no output. It
// plants twelve random values that are valid: an e-mail address, a phone number, a payment
// card, an IBAN, addresses of networks, a social security number, keys and tokens. It fails if
// one of them is in an output, as it is, encoded, in upper or lower case, with other separators or
// as a national number, and names the outputs and the kinds of
// values, but no value. It is Unknown if a word that is planted with them is in no output:
// then the text did not get there, and it would prove nothing.
func Planted(o PlantedOptions) checks.Check {
	bad := &options{name: "PlantedOptions"}
	bad.function("Send", o.Send == nil)
	if len(o.Sinks) == 0 {
		bad.invalid("Sinks", 0, "at least one output")
	}
	for name, sink := range o.Sinks {
		bad.function("Sinks["+name+"]", sink == nil)
	}
	bad.span("Settle", &o.Settle, time.Second)
	bad.span("Timeout", &o.Timeout, 30*time.Second)
	o.Sinks = maps.Clone(o.Sinks)
	return newDrill("planted", bad.err(), o.rehearse, slices.Sorted(maps.Keys(o.Sinks)), o.Settle, o.Timeout)
}

func (o PlantedOptions) rehearse(r *run) checks.Result {
	values, marker := plant(), "marker"+strings.ToLower(rand.Text())
	text := marker
	for _, v := range values {
		text += "\n" + v.before + v.text + v.after
	}
	if _, err := call(r.ctx, r, "Send", o.Timeout, func(ctx context.Context) (bool, error) { return true, o.Send(ctx, text) }); err != nil {
		return o.stopped(r, err)
	}
	if !r.sleep(o.Settle) {
		return r.ended(nil)
	}
	arrived, hits, leaks := 0, 0, []string{}
	for _, name := range slices.Sorted(maps.Keys(o.Sinks)) {
		raw, err := call(r.ctx, r, "Sinks["+name+"]", o.Timeout, o.Sinks[name])
		if err != nil {
			return o.stopped(r, err)
		}
		out := newOutput(raw)
		if containsAny(out.raw, forms(marker)) || strings.Contains(out.decoded, marker) {
			arrived++
		}
		var kinds []string
		for _, v := range values {
			if v.in(out) {
				kinds = append(kinds, v.kind)
			}
		}
		if len(kinds) > 0 {
			hits += len(kinds)
			leaks = append(leaks, fmt.Sprintf("%s (%s)", name, strings.Join(kinds, ", ")))
		}
	}
	res := checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%d planted values, 0 found in %d outputs", len(values), len(o.Sinks)),
		Evidence: map[string]string{"planted": strconv.Itoa(len(values)), "found": strconv.Itoa(hits), "outputs": strconv.Itoa(len(o.Sinks)), "outputs with the text": strconv.Itoa(arrived)}}
	switch {
	case len(leaks) > 0:
		res.Status, res.Summary = checks.Fail, clean("planted values are in "+strings.Join(leaks, "; "))
	case arrived == 0:
		return r.unknown(res.Evidence, errors.New("the text is in no output, so nothing can be said"))
	}
	return res
}

func (o PlantedOptions) stopped(r *run, err error) checks.Result {
	if r.ctx.Err() != nil && r.abandoned.Load() == 0 {
		return r.ended(nil)
	}
	return r.unknown(nil, err)
}

// value is a planted value, with what stands around it in the text.
type value struct{ kind, before, text, after string }

// in reports whether the value is in an output, in one of its forms.
func (v value) in(o output) bool {
	text := strings.ToLower(v.text)
	if containsAny(o.raw, forms(v.text)) || strings.Contains(o.decoded, text) {
		return true
	}
	if v.kind == "IPv4" || v.kind == "IPv6" { // their separators count
		return false
	}
	return strings.Contains(o.bare, bare(strings.TrimPrefix(text, "+49"))) // of phones, the national number
}

// output is what an output has: as it is, decoded and in lower case, and that without
// separators.
type output struct{ raw, decoded, bare string }

func newOutput(raw []byte) output {
	decoded := escapes.ReplaceAllStringFunc(string(raw), func(e string) string {
		code, err := strconv.ParseUint(strings.TrimLeft(e, `\u=`), 16, 16)
		if err != nil {
			return e
		}
		if e[0] == '=' {
			return string([]byte{byte(code)})
		}
		return string(rune(code))
	})
	decoded = strings.ToLower(html.UnescapeString(decoded))
	return output{string(raw), decoded, bare(decoded)}
}

// escapes match the escapes of JSON, also in JSON within JSON, and of quoted-printable (RFC
// 2045, 6.7).
var escapes = regexp.MustCompile(`\\+u[0-9a-fA-F]{4}|=[0-9A-Fa-f]{2}`)

// bare returns a text without what separates groups of letters and digits.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || strings.ContainsRune(":./()_", r) {
			return -1
		}
		return r
	}, s)
}

// figures returns n random digits.
func figures(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = '0' + b[i]%10
	}
	return string(b)
}

// plant returns random values. Their check digits are right.
func plant() []value {
	random := func(n int) string { return (rand.Text() + rand.Text())[:n] }
	part := base64.RawURLEncoding.EncodeToString
	phone := figures(8)
	for luhn("49151" + phone) { // it must not be the number of a card, too
		phone = figures(8)
	}
	card, account := "4"+figures(14), figures(18)
	for c := range 10 {
		if digits := card + strconv.Itoa(c); luhn(digits) {
			card = digits
			break
		}
	}
	address := "19" + figures(1) + "." + "1" + figures(1) + ".2.1" + figures(2)
	return []value{
		{"e-mail", "Write to ", strings.ToLower(random(12)) + "@example.com", "."},
		{"phone", "Call ", "+49 151 " + phone, ", please."},
		{"card", "The card is ", card[:4] + " " + card[4:8] + " " + card[8:12] + " " + card[12:], "."},
		{"IBAN", "The account is ", fmt.Sprintf("DE%02d%s", 98-mod97(account+"131400"), account), "."},
		{"IPv4", "I am at ", address, "."},
		{"IPv6", "or ", "2001:db8::1" + figures(3) + ":2" + figures(3), "."},
		{"MAC", "with ", "02:1" + figures(1) + ":2" + figures(1) + ":3" + figures(1) + ":4" + figures(1) + ":5" + figures(1), "."},
		{"SSN", "My number is ", "2" + figures(2) + "-4" + figures(1) + "-1" + figures(3), "."},
		{"API key", "key=", "sk-proj-" + random(40), "\n"},
		{"access key", "or ", "AKIA" + random(16), "\n"},
		{"token", "Authorization: Bearer ", part([]byte(`{"alg":"HS256"}`)) + "." + part([]byte(`{"sub":"`+figures(8)+`"}`)) + "." + random(43), "\n"},
		{"password", "postgres://app:", random(20), "@db.example/x"},
	}
}

// luhn verifies the check digit of a card: ISO/IEC 7812-1, annex B.
func luhn(digits string) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			d = d*2/10 + d*2%10
		}
		sum += d
	}
	return sum%10 == 0
}

// mod97 is the remainder of a number of any length: ISO 7064.
func mod97(digits string) (rest int) {
	for _, c := range digits {
		rest = (rest*10 + int(c-'0')) % 97
	}
	return rest
}
