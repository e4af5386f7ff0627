package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/serin-go/serin/rollout/console/client"
)

// decodeStrictly decodes one JSON object. An unknown member, a second value and a member that
// is there twice are refused.
func decodeStrictly(body []byte, out any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(out)
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return invalid("", "", "there is more after the JSON object", "one JSON object")
		}
		return twice(body)
	case errors.As(err, &wrong):
		return invalid("", "/"+strings.ReplaceAll(wrong.Field, ".", "/"), "a JSON "+wrong.Value, "a value for "+wrong.Type.String())
	case errors.As(err, &syntax):
		line, column := position(body, int(syntax.Offset))
		p := invalid("", "", syntax.Error(), "JSON (RFC 8259)")
		p.Errors[0].Line, p.Errors[0].Column = line, column
		return p
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return invalid("", "/"+strings.Trim(name, `"`), "unknown member", "a member that the operation has; see openapi.json")
	}
	return invalid("", "", strings.TrimPrefix(err.Error(), "json: "), "a JSON object")
}

// position returns the line and the column of an offset, from 1.
func position(body []byte, offset int) (line, column int) {
	before := body[:min(max(offset-1, 0), len(body))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}

// twice returns the problem of a member that an object of valid JSON has twice: readers
// differ in which one they take.
func twice(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	var walk func(path string) *client.Problem
	walk = func(path string) *client.Problem {
		t, err := d.Token()
		if err != nil {
			return nil
		}
		switch t {
		case json.Delim('{'):
			seen := make(map[string]bool)
			for d.More() {
				t, _ := d.Token()
				name, _ := t.(string)
				at := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
				if path == "" {
					name = strings.ToLower(name) // as the decoder compares it
				}
				if seen[name] {
					return invalid("", at, "the member is there twice", "each member once")
				}
				seen[name] = true
				if p := walk(at); p != nil {
					return p
				}
			}
			_, _ = d.Token()
		case json.Delim('['):
			for i := 0; d.More(); i++ {
				if p := walk(fmt.Sprintf("%s/%d", path, i)); p != nil {
					return p
				}
			}
			_, _ = d.Token()
		}
		return nil
	}
	if p := walk(""); p != nil {
		return p
	}
	return nil
}
