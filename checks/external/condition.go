package external

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Condition is a condition on the values of a measurement, in the numeric part of the
// expression language of argo-rollouts:
//
//	result[0] >= 0.95          the first value
//	result < 200               the only value
//	len(result) > 0 && !isNaN(result[0])
//	all(result, # < 5)         every value; any(result, # >= 5): at least one
//	default(result[0], 0) < 1  0 if there is no such value or it is NaN
//
// with == != < <= > >=, && || !, parentheses, isInf, asFloat and asInt.
// Comparisons with NaN are false, except for !=. The zero Condition means no condition.
//
// A Condition is immutable, and marshals to its text.
type Condition struct {
	text string
	eval func(env) (bool, error)
}

// env is the input of a condition.
type env struct {
	result []float64
	item   float64 // # of all and any
}

// ConditionError means that a text is not a condition.
type ConditionError struct {
	Text string
	// At is the byte offset of the problem in Text.
	At int
	// Want describes the accepted input at At.
	Want string
}

// Error quotes the text from the problem on.
func (e *ConditionError) Error() string {
	rest := fmt.Sprintf("%.40q", e.Text[e.At:])
	if e.At == len(e.Text) {
		rest = "the end"
	}
	return fmt.Sprintf("external: condition %q: syntax error (have %s, want %s)", e.Text, rest, e.Want)
}

// ParseCondition parses the text of a condition, at most 1,000 bytes. Every error is a
// [*ConditionError]. An empty text is the zero Condition.
func ParseCondition(text string) (Condition, error) {
	if strings.TrimSpace(text) == "" {
		return Condition{}, nil
	}
	p := &parser{text: text}
	if len(text) > maxCondition {
		return Condition{}, &ConditionError{Text: text[:maxCondition], At: maxCondition, Want: "at most 1,000 bytes"}
	}
	eval, err := p.or()
	if err == nil && p.peek() != "" {
		err = p.want("&&, || or the end")
	}
	if err != nil {
		return Condition{}, err
	}
	return Condition{text: text, eval: eval}, nil
}

const maxCondition = 1000

// MustCondition is [ParseCondition] for constants. It panics if text is not a condition.
func MustCondition(text string) Condition {
	c, err := ParseCondition(text)
	if err != nil {
		panic(err)
	}
	return c
}

// IsZero reports whether c is the zero Condition.
func (c Condition) IsZero() bool { return c.eval == nil }

// String returns the text of c.
func (c Condition) String() string { return c.text }

// Equal reports whether c and d have the same text.
func (c Condition) Equal(d Condition) bool { return c.text == d.text }

// MarshalText implements [encoding.TextMarshaler].
func (c Condition) MarshalText() ([]byte, error) { return []byte(c.text), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Condition) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCondition(string(text))
	return err
}

// Holds reports whether c holds for the values. It returns an error if c uses a value that
// does not exist. The zero Condition never holds.
func (c Condition) Holds(values []float64) (bool, error) {
	if c.IsZero() {
		return false, nil
	}
	return c.eval(env{result: values, item: math.NaN()})
}

// parser is a recursive-descent parser of conditions. Its methods return functions that
// evaluate the parsed expression.
type parser struct {
	text  string
	at    int
	depth int
	item  bool // inside all or any, where # is allowed
}

type (
	number = func(env) (float64, error)
	truth  = func(env) (bool, error)
)

func (p *parser) want(what string) error {
	p.skip()
	return &ConditionError{Text: p.text, At: p.at, Want: what}
}

func (p *parser) skip() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// peek returns the next token: an operator, a word, or a number, which begins with a digit
// or a point. It returns "" at the end.
func (p *parser) peek() string {
	p.skip()
	rest := p.text[p.at:]
	for _, op := range []string{"&&", "||", "==", "!=", "<=", ">="} {
		if strings.HasPrefix(rest, op) {
			return op
		}
	}
	n := 0
	for n < len(rest) && isWord(rest[n]) {
		n++
	}
	if n > 0 && (rest[0] == '.' || rest[0] >= '0' && rest[0] <= '9') && n < len(rest) &&
		(rest[n] == '+' || rest[n] == '-') && (rest[n-1] == 'e' || rest[n-1] == 'E') {
		n++ // the sign of an exponent
		for n < len(rest) && isWord(rest[n]) {
			n++
		}
	}
	return rest[:min(max(n, 1), len(rest))]
}

func isWord(b byte) bool {
	return b == '.' || b == '_' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
}

// accept consumes the next token if it is in tokens.
func (p *parser) accept(tokens ...string) (string, bool) {
	next := p.peek()
	for _, t := range tokens {
		if next == t {
			p.at += len(t)
			return t, true
		}
	}
	return "", false
}

func (p *parser) expect(token string) error {
	if _, ok := p.accept(token); !ok {
		return p.want(strconv.Quote(token))
	}
	return nil
}

func (p *parser) or() (truth, error)  { return p.chain("||", true, p.and) }
func (p *parser) and() (truth, error) { return p.chain("&&", false, p.not) }

// chain parses terms joined by op. The first term with the value decisive ends the
// evaluation.
func (p *parser) chain(op string, decisive bool, term func() (truth, error)) (truth, error) {
	first, err := term()
	if err != nil {
		return nil, err
	}
	terms := []truth{first}
	for {
		if _, more := p.accept(op); !more {
			break
		}
		t, err := term()
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
	}
	if len(terms) == 1 {
		return first, nil
	}
	return func(e env) (bool, error) {
		for _, t := range terms {
			if b, err := t(e); err != nil || b == decisive {
				return b, err
			}
		}
		return !decisive, nil
	}, nil
}

// not parses a negation, parentheses, a boolean constant or call, or a comparison.
func (p *parser) not() (truth, error) {
	if p.depth++; p.depth > 50 {
		return nil, p.want("less nesting")
	}
	defer func() { p.depth-- }()
	if _, ok := p.accept("!"); ok {
		t, err := p.not()
		if err != nil {
			return nil, err
		}
		return func(e env) (bool, error) {
			b, err := t(e)
			return !b, err
		}, nil
	}
	switch word, _ := p.accept("(", "true", "false", "isNaN", "isInf", "all", "any"); word {
	case "(":
		t, err := p.or()
		if err != nil {
			return nil, err
		}
		return t, p.expect(")")
	case "true", "false":
		return func(env) (bool, error) { return word == "true", nil }, nil
	case "isNaN", "isInf":
		n, err := p.argument()
		if err != nil {
			return nil, err
		}
		return func(e env) (bool, error) {
			v, err := n(e)
			return word == "isNaN" && math.IsNaN(v) || word == "isInf" && math.IsInf(v, 0), err
		}, p.expect(")")
	case "all", "any":
		return p.every(word == "any")
	}
	return p.comparison()
}

// every parses the rest of all or any.
func (p *parser) every(decisive bool) (truth, error) {
	if p.item {
		return nil, p.want("no nested all or any")
	}
	for _, token := range []string{"(", "result", ","} {
		if err := p.expect(token); err != nil {
			return nil, err
		}
	}
	_, braces := p.accept("{")
	p.item = true
	t, err := p.or()
	p.item = false
	if err == nil && braces {
		err = p.expect("}")
	}
	if err != nil {
		return nil, err
	}
	return func(e env) (bool, error) {
		for _, v := range e.result {
			if b, err := t(env{result: e.result, item: v}); err != nil || b == decisive {
				return b, err
			}
		}
		return !decisive, nil
	}, p.expect(")")
}

func (p *parser) comparison() (truth, error) {
	left, err := p.number()
	if err != nil {
		return nil, err
	}
	op, ok := p.accept("==", "!=", "<=", ">=", "<", ">")
	if !ok {
		return nil, p.want("==, !=, <, <=, > or >=")
	}
	right, err := p.number()
	if err != nil {
		return nil, err
	}
	return func(e env) (bool, error) {
		a, err := left(e)
		if err != nil {
			return false, err
		}
		b, err := right(e)
		switch op {
		case "==":
			return a == b, err
		case "!=":
			return a != b, err
		case "<":
			return a < b, err
		case "<=":
			return a <= b, err
		case ">":
			return a > b, err
		}
		return a >= b, err
	}, nil
}

const wantNumber = "a number, result, result[0], len(result) or default(...)"

// number parses an operand.
func (p *parser) number() (number, error) {
	if p.depth++; p.depth > 50 {
		return nil, p.want("less nesting")
	}
	defer func() { p.depth-- }()
	word, _ := p.accept("-", "#", "result", "len", "default", "asFloat", "asInt")
	switch word {
	case "-":
		n, err := p.number()
		if err != nil {
			return nil, err
		}
		return func(e env) (float64, error) {
			v, err := n(e)
			return -v, err
		}, nil
	case "#":
		if !p.item {
			return nil, p.want("# only inside all or any")
		}
		return func(e env) (float64, error) { return e.item, nil }, nil
	case "result":
		return p.result()
	case "len":
		for _, token := range []string{"(", "result"} {
			if err := p.expect(token); err != nil {
				return nil, err
			}
		}
		return func(e env) (float64, error) { return float64(len(e.result)), nil }, p.expect(")")
	case "asFloat", "asInt":
		n, err := p.argument()
		if err != nil {
			return nil, err
		}
		return func(e env) (float64, error) {
			v, err := n(e)
			if word == "asInt" {
				v = math.Trunc(v)
			}
			return v, err
		}, p.expect(")")
	case "default":
		return p.fallback()
	}
	text := p.peek()
	if text == "" || text[0] != '.' && (text[0] < '0' || text[0] > '9') {
		return nil, p.want(wantNumber)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, p.want(wantNumber)
	}
	p.at += len(text)
	return func(env) (float64, error) { return v, nil }, nil
}

// argument parses a parenthesis and an operand.
func (p *parser) argument() (number, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	return p.number()
}

// errNoValue means that a condition uses a value that does not exist.
var errNoValue = errors.New("external: condition: no such value")

// result parses the rest of result.
func (p *parser) result() (number, error) {
	if _, ok := p.accept("["); !ok {
		return func(e env) (float64, error) {
			if len(e.result) != 1 {
				return 0, fmt.Errorf("%w: result (have %d values, want 1); use result[0] or all(result, ...)", errNoValue, len(e.result))
			}
			return e.result[0], nil
		}, nil
	}
	text := p.peek()
	i, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, p.want("an index from 0 to 65535")
	}
	p.at += len(text)
	return func(e env) (float64, error) {
		if int(i) >= len(e.result) {
			return 0, fmt.Errorf("%w: result[%d] (have %d values)", errNoValue, i, len(e.result))
		}
		return e.result[i], nil
	}, p.expect("]")
}

// fallback parses the rest of default.
func (p *parser) fallback() (number, error) {
	n, err := p.argument()
	if err == nil {
		err = p.expect(",")
	}
	if err != nil {
		return nil, err
	}
	otherwise, err := p.number()
	if err != nil {
		return nil, err
	}
	return func(e env) (float64, error) {
		if v, err := n(e); err == nil && !math.IsNaN(v) {
			return v, nil
		}
		return otherwise(e)
	}, p.expect(")")
}
