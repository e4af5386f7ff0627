package privacy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout/privacy"
)

func TestJSON(t *testing.T) {
	r := redactor(t, privacy.Config{})
	for _, tt := range []struct{ doc, want string }{
		{`{"a":"alice\u0040example.com"}`, `{"a":"[EMAIL]"}`},
		{`{"a": "x\/y", "b":[1, 2.50,true,null,"é\u00e9"]}`, ""},
		{`{"a":"1 \u003c 2 alice@example.com\n"}`, `{"a":"1 < 2 [EMAIL]\n"}`},
		{`{"a":"alice@example.com","a":"bob@example.com"}`, `{"a":"[EMAIL]","a":"[EMAIL]"}`},
		{`{"alice@example.com":1}`, `{"[EMAIL]":1}`},
		{`[4111111111111111, 4111111111111112]`, `["[CARD]", 4111111111111112]`},
		{`{"arguments":"{\"to\":\"alice\\u0040example.com\"}"}`, `{"arguments":"{\"to\":\"[EMAIL]\"}"}`},
		{`{"content":"{\"to\":\"alice\\u0040example.com\",\"n\":1}"}`, `{"content":"{\"to\":\"[EMAIL]\",\"n\":1}"}`},
		{`{"content":"[see alice@example.com \\u0040]"}`, `{"content":"[see [EMAIL] \\u0040]"}`},
		{`{"arguments":"{\"to\":\"alice\\u0040example.com"}`, `{"arguments":"{\"to\":\"[EMAIL]"}`},
		{`{"a":"\ud83d\udc26alice@example.com"}`, `{"a":"🐦[EMAIL]"}`},
		{`{"a":"alice\u0040example.com`, `{"a":"[EMAIL]`}, // cut off
		{`{"a":"alice\u0040example.com\ud83d\udc26 \ud83d x"`, `{"a":"[EMAIL]🐦 ` + "\uFFFD" + ` x"`},
		{`a 4111111111111111 "b`, `a "[CARD]" "b`},
		{``, ``},
		{`"`, ``},
		{`{"a":"b\`, `{"a":"b\\`},
		{strings.Repeat("[", 1000) + `"alice\u0040example.com"` + strings.Repeat("]", 1000), strings.Repeat("[", 1000) + `"[EMAIL]"` + strings.Repeat("]", 1000)},
	} {
		if tt.want == "" {
			tt.want = tt.doc
		}
		if got := string(r.JSON(nil, []byte(tt.doc))); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.doc, got, tt.want)
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":"alice\u0040example.com"}`, `[4111111111111111,{"arguments":"{\"a\":1}"}]`, `{"a":"\ud83d`, `"\u00`, `{"a":1,"a":"b@c.de"}`} {
		f.Add([]byte(s))
	}
	r := redactor(f, privacy.Config{})
	f.Fuzz(func(t *testing.T, doc []byte) {
		got := r.JSON(nil, doc)
		if json.Valid(doc) != json.Valid(got) && json.Valid(doc) {
			t.Fatalf("%q becomes %q", doc, got)
		}
		if len(r.Find(doc)) == 0 && json.Valid(doc) && !strings.Contains(string(doc), `\`) && string(got) != string(doc) {
			t.Fatalf("%q has changed to %q", doc, got)
		}
	})
}
