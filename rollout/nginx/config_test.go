package nginx_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/nginx"
	"github.com/serin-go/serin/strategies"
)

// fields returns the fields of all InvalidErrors in err.
func fields(err error) (all []string) {
	for invalid := range checks.Invalid(err) {
		all = append(all, invalid.Field)
	}
	return all
}

func TestConfigNamesAllProblems(t *testing.T) {
	_, err := nginx.New(nginx.Config{
		Path: "chat.conf", Variable: "chat; }", Key: "$a$b", Status: "localhost:http", Timeout: -1,
		Arms: map[string]string{"a": "blue green", "b": "$host", "c": ""}, Test: []string{}, Reload: []string{},
	})
	want := []string{"Config.Path", "Config.Variable", "Config.Key", `Config.Arms["a"]`, `Config.Arms["b"]`, `Config.Arms["c"]`, "Config.Status", "Config.Test", "Config.Reload", "Config.Timeout"}
	if diff := cmp.Diff(want, fields(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func splitter(t *testing.T, key string) *nginx.Splitter {
	t.Helper()
	s, err := nginx.New(nginx.Config{Path: "/etc/nginx/chat.conf", Variable: "chat", Key: key, Status: "127.0.0.1:9180"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCanSplit(t *testing.T) {
	arms := func(b string, rules ...strategies.Rule) strategies.Split {
		return strategies.Split{Arms: []strategies.Arm{{Name: "a", Weight: 9999}, {Name: b, Weight: 1}}, Rules: rules}
	}
	mirrored := arms("b")
	mirrored.Mirrors = []strategies.Mirror{{Arm: "b", Share: 1}}
	tests := map[string]struct {
		split strategies.Split
		want  []string
	}{
		"0.01 %":              {arms("b"), nil},
		"rules":               {arms("b", strategies.Rule{Arm: "b", Header: "X-Test"}, strategies.Rule{Arm: "b", Cookie: "c"}, strategies.Rule{Arm: "a", Query: "q"}), nil},
		"mirrors":             {mirrored, []string{"Split.Mirrors"}},
		"a block":             {arms("b; } server {"), []string{"Split.Arms[1].Name"}},
		"a line":              {arms("b\nload_module x"), []string{"Split.Arms[1].Name"}},
		"a variable":          {arms("$host"), []string{"Split.Arms[1].Name"}},
		"a comment":           {arms("b#"), []string{"Split.Arms[1].Name"}},
		"the same upstream":   {arms("A"), []string{"Split.Arms[1].Name"}},
		"header of two words": {arms("b", strategies.Rule{Arm: "b", Header: "X Test"}), []string{"Split.Rules[0].Header"}},
		"cookie with a dash":  {arms("b", strategies.Rule{Arm: "b", Cookie: "a-b"}), []string{"Split.Rules[0].Cookie"}},
		"query with a brace":  {arms("b", strategies.Rule{Arm: "b", Query: "a}"}), []string{"Split.Rules[0].Query"}},
		"a unit, no key":      {arms("b", strategies.Rule{Arm: "b", Unit: "u"}), []string{"Split.Rules[0].Unit"}},
		"a long value":        {arms("b", strategies.Rule{Arm: "b", Header: "H", Value: strings.Repeat("x", 4000)}), []string{"Split.Rules[0].Value"}},
	}
	s := splitter(t, "")
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, fields(s.CanSplit(tt.split))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	var invalid *checks.InvalidError
	if err := s.SetSplit(t.Context(), strategies.Split{}); !errors.As(err, &invalid) {
		t.Errorf("the zero split: %v", err)
	}
}

// shape is all that a file may look like.
var shape = regexp.MustCompile(`^# Written by a rollout\. Changes will be overwritten\.
map \$http_x_user \$chat_unit \{ "" \$request_id; default \$http_x_user; \}
split_clients "[0-9a-f]{16}\$chat_unit" \$chat_weighted \{
    5\.00% [A-Za-z0-9_.-]+;
    \* base;
\}
map \$(http|cookie|arg)_[A-Za-z0-9_]+ \$chat \{ (default \$chat_weighted; "~\^([A-Za-z0-9()?:|%]|\\x[0-9a-f]{2})*\\z"|"" \$chat_weighted; default) [A-Za-z0-9_.-]+; \}
server \{ listen 127\.0\.0\.1:9180; access_log off; return 200 "chat [0-9a-f]{16}"; \}
$`)

func FuzzNothingEscapesIntoTheFile(f *testing.F) {
	for _, v := range []string{"a", `"; } server {`, "$host", "a\nb", `\`, "é", "}", "#", "'", "~", "\x00"} {
		f.Add(v, "X-Test", "ok", uint8(0), "salt")
		f.Add("ok", v, "ok", uint8(1), v)
		f.Add("ok", "name", v, uint8(2), "")
	}
	f.Fuzz(func(t *testing.T, value, name, arm string, kind uint8, salt string) {
		r := strategies.Rule{Arm: arm, Value: value}
		switch kind % 3 {
		case 0:
			r.Header = name
		case 1:
			r.Cookie = name
		default:
			r.Query = name
		}
		file, err := splitter(t, "$http_x_user").Render(strategies.Split{
			Arms: []strategies.Arm{{Name: "base", Weight: 9500}, {Name: arm, Weight: 500}}, Rules: []strategies.Rule{r}, Salt: salt,
		})
		if err == nil && !shape.Match(file) {
			t.Errorf("the file is\n%s", file)
		}
	})
}

func Example() {
	splitter, err := nginx.New(nginx.Config{
		Path:     "/etc/nginx/conf.d/chat-split.conf",
		Variable: "chat_upstream",
		Key:      "$http_x_user",
		Status:   "127.0.0.1:9180",
		Arms:     map[string]string{"1.4.0": "blue", "1.5.0": "green"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := splitter.Render(strategies.Split{
		Arms:  []strategies.Arm{{Name: "1.4.0", Weight: 9_975}, {Name: "1.5.0", Weight: 25}},
		Rules: []strategies.Rule{{Arm: "1.5.0", Header: "X-Preview", Value: "on"}},
		Salt:  "chat/3",
	})
	fmt.Printf("%s%v\n", file, err)
	// Output:
	// # Written by a rollout. Changes will be overwritten.
	// map $http_x_user $chat_upstream_unit { "" $request_id; default $http_x_user; }
	// split_clients "fc6888cd72dff22a$chat_upstream_unit" $chat_upstream_weighted {
	//     0.25% green;
	//     * blue;
	// }
	// map $http_x_preview $chat_upstream { default $chat_upstream_weighted; "~^on\z" green; }
	// server { listen 127.0.0.1:9180; access_log off; return 200 "chat_upstream cf60e466d447f6c0"; }
	// <nil>
}
