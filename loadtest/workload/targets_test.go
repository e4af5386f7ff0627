package workload

import (
	"errors"
	"strings"
	"testing"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

func TestReadTargetsNamesTheLines(t *testing.T) {
	missing := func(string) ([]byte, error) { return nil, errors.New("no such file") }
	tests := []struct {
		format TargetFormat
		text   string
		want   []string
	}{
		{HTTPTargets, "GET\n\nGET /x\nbad header\n\nG?T http://a.test/\n@none\n", []string{"line 1: \"GET\"", "line 3: the URL", "line 4: \"bad header\"", "line 6", "line 7: no such file"}},
		{JSONTargets, "{\"method\":\"GET\",\"url\":\"http://a.test/\"}\n{\n{\"url\":\"http://a.test/\"}\n{\"method\":\"GET\"}\n", []string{"line 2: unexpected end", "line 3: the method", "line 4: the URL"}},
		{HTTPTargets, "# nothing\n", []string{"file is empty"}}, {"yaml", "", []string{"http or json"}},
		{JSONTargets, strings.Repeat("x", maxLine+1), []string{"line 1: bufio"}},
	}
	for _, test := range tests {
		_, err := ReadTargets(strings.NewReader(test.text), test.format, missing)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %q in: %v", test.format, want, err)
			}
		}
	}
	var line *LineError
	if _, err := ReadTargets(strings.NewReader("{"), JSONTargets, nil); !errors.As(err, &line) || line.Line != 1 || line.Unwrap() == nil {
		t.Errorf("%v", err)
	}
}

// FuzzReadTargets compares with vegeta's own reader, for what both accept.
func FuzzReadTargets(f *testing.F) {
	f.Add("GET http://a.test/\nA: b\n\nPOST http://b.test/x\nC: d\n", false)
	f.Add(`{"method":"GET","url":"http://a.test/","header":{"A":["b"]},"body":"e30="}`+"\n", true)
	f.Fuzz(func(t *testing.T, text string, lines bool) {
		format, theirs := HTTPTargets, vegeta.NewHTTPTargeter(strings.NewReader(text), nil, nil)
		if lines {
			format, theirs = JSONTargets, vegeta.NewJSONTargeter(strings.NewReader(text), nil, nil)
		}
		none := func(string) ([]byte, error) { return nil, errors.New("none") }
		ours, err := ReadTargets(strings.NewReader(text), format, none)
		if err != nil || ours.Validate() != nil {
			return
		}
		if strings.Contains(text, "@") || strings.ContainsAny(text, "\r\t\v\f\x00\u0085\u00a0") {
			return // files, and white space that vegeta takes for text
		}
		for _, r := range ours.requests {
			var target vegeta.Target
			if theirs(&target) != nil {
				return
			}
			if target.Method != r.Method || target.URL != r.Path {
				t.Errorf("%q: %s %s, vegeta reads %s %s", text, r.Method, r.Path, target.Method, target.URL)
			}
		}
	})
}
