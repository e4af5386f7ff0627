package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is the maximum nesting of JSON that is read.
const maxDepth = 200

// parseJSON reads a JSON document that has one meaning: it refuses data behind the
// document, objects with a repeated key, invalid UTF-8, escapes of half a surrogate
// pair, and numbers that a double cannot hold. Errors name the line.
func parseJSON(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("text is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	at := func(err error) error {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:min(int(d.InputOffset()), len(text))], []byte("\n")), err)
	}
	v, err := parseValue(d, text, 0)
	if err != nil {
		return nil, at(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, at(errors.New("data after the JSON document"))
	}
	return v, nil
}

func parseValue(d *json.Decoder, text []byte, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested too deeply (want at most %d levels)", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			return parseArray(d, text, depth)
		}
		return parseObject(d, text, depth)
	case json.Number:
		x, err := t.Float64()
		if err != nil {
			return nil, fmt.Errorf("number %s: no double holds it", clip(string(t)))
		}
		return x, nil
	case string:
		return t, loneSurrogate(t, text, d.InputOffset())
	}
	return token, nil
}

func parseArray(d *json.Decoder, text []byte, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := parseValue(d, text, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

func parseObject(d *json.Decoder, text []byte, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		key := token.(string)
		if err := loneSurrogate(key, text, d.InputOffset()); err != nil {
			return nil, err
		}
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("key %q: repeated", clip(key))
		}
		if object[key], err = parseValue(d, text, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

// loneSurrogate returns an error if the string that ends at end replaced an escape by
// U+FFFD.
func loneSurrogate(s string, text []byte, end int64) error {
	if !bytes.ContainsRune([]byte(s), utf8.RuneError) {
		return nil
	}
	start := int(end) - 1
	for start > 0 {
		start--
		if text[start] == '"' && backslashes(text[:start])%2 == 0 {
			break
		}
	}
	written := bytes.Count(text[start:end], []byte("\uFFFD"))
	for rest := text[start:end]; ; {
		i := bytes.Index(rest, []byte(`\u`))
		if i < 0 {
			break
		}
		if len(rest) >= i+6 && bytes.EqualFold(rest[i+2:i+6], []byte("fffd")) {
			written++
		}
		rest = rest[i+2:]
	}
	count := 0
	for _, r := range s {
		if r == utf8.RuneError {
			count++
		}
	}
	if count > written {
		return errors.New("string: half of a surrogate pair")
	}
	return nil
}

func backslashes(text []byte) (n int) {
	for n < len(text) && text[len(text)-1-n] == '\\' {
		n++
	}
	return n
}

// canonical returns JSON in the form of RFC 8785 (JCS): keys sorted by UTF-16 code
// units, no blanks, numbers as ECMAScript writes them, minimal escapes.
func canonical(text []byte) ([]byte, error) {
	v, err := parseJSON(text)
	if err != nil {
		return nil, fmt.Errorf("model: JSON: %w", err)
	}
	return appendCanonical(nil, v), nil
}

func appendCanonical(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case float64:
		return appendNumber(b, v)
	case string:
		return appendString(b, v)
	case []any:
		b = append(b, '[')
		for i, x := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCanonical(b, x)
		}
		return append(b, ']')
	}
	object := v.(map[string]any)
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, key)
		b = append(b, ':')
		b = appendCanonical(b, object[key])
	}
	return append(b, '}')
}

// appendNumber writes a number as ECMAScript does (RFC 8785, section 3.2.2.3).
func appendNumber(b []byte, x float64) []byte {
	if x == 0 {
		return append(b, '0') // also for -0
	}
	size := max(x, -x)
	if size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(b, x, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, x, 'e', -1, 64)
	if n := len(b); n >= 4 && b[n-4] == 'e' && b[n-2] == '0' { // e-09 is e-9
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

// appendString writes a string with the escapes of RFC 8785, section 3.2.2.2.
func appendString(b []byte, s string) []byte {
	const hexes = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if c < ' ' {
				b = append(b, `\u00`...)
				b = append(b, hexes[c>>4], hexes[c&15])
				continue
			}
			b = append(b, c)
		}
	}
	return append(b, '"')
}
