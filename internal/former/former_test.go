package former_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/serin-go/serin/internal/former"
)

func TestRename(t *testing.T) {
	names := []former.Name{{Now: "monitor", Former: "watch"}, {Now: "allocate", Former: "allot"}}
	for name, tt := range map[string]struct{ in, want string }{
		"today's names":                {`{"monitor": 1}`, `{"monitor": 1}`},
		"a former name":                {`{"watch" : 1,"a":2}`, `{"a":2,"monitor":1}`},
		"two former names":             {`{"watch":1,"allot":{"watch":2}}`, `{"allocate":{"watch":2},"monitor":1}`},
		"a former name as a value":     {`{"monitor":1,"a":["watch"]}`, `{"monitor":1,"a":["watch"]}`},
		"a name of today as a value":   {`{"watch":1,"a":["monitor"]}`, `{"a":["monitor"],"monitor":1}`},
		"a name of today further down": {`{"watch":1,"a":{"monitor":2}}`, `{"a":{"monitor":2},"monitor":1}`},
		"a list":                       {`["watch"]`, `["watch"]`},
		"a text":                       {`"watch"`, `"watch"`},
		"null":                         {`null`, `null`},
		"no JSON":                      {`{"watch":`, `{"watch":`},
		"nothing":                      {``, ``},
	} {
		if got, err := former.Rename([]byte(tt.in), names...); err != nil || string(got) != tt.want {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, tt.want)
		}
	}
	var both *former.BothError
	if _, err := former.Rename([]byte(`{"watch":1,"monitor":1,"allot":1,"allocate":1}`), names...); !errors.As(err, &both) || both.Name != names[0] {
		t.Errorf("got %v, want an error about the first name", err)
	}
}

func TestDecode(t *testing.T) {
	var v struct{ Monitor int }
	if err := former.Decode([]byte(`{"watch": 7}`), &v, former.Name{Now: "monitor", Former: "watch"}); err != nil || v.Monitor != 7 {
		t.Errorf("got %+v, %v", v, err)
	}
	err := former.Decode([]byte(`{"other": 7}`), &v)
	if member, ok := former.Unknown(err); !ok || member != `"other"` {
		t.Errorf("got %q, %v of %v", member, ok, err)
	}
	if err := former.Decode([]byte(`{"monitor": "x"}`), &v); !errors.As(err, new(*json.UnmarshalTypeError)) {
		t.Errorf("got %v", err)
	}
}
