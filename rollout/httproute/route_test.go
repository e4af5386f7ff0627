package httproute

import (
	"encoding/json"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kind":"HTTPRoute","metadata":{"resourceVersion":"1","generation":1},"spec":{"rules":[{"backendRefs":[{"name":"a","weight":1}]}]}}`))
	f.Add([]byte(`{"kind":"HTTPRoute","metadata":{"resourceVersion":"1"},"spec":{"rules":[{"backendRefs":[{"name":7,"weight":"1"},null]},{"name":{}},{}]}}`))
	f.Add([]byte(`{"kind":"HTTPRoute","metadata":{"resourceVersion":"1"},"spec":{"rules":[null]},"status":{"parents":[{"conditions":[{}]}]}}`))
	f.Fuzz(func(t *testing.T, object []byte) {
		r, err := parse(object)
		if err != nil {
			return
		}
		r.describe()
		r.accepted()
		want := map[string]int64{"a": 9000, "b": 1000}
		rules, changed, err := r.weighted("", want, []string{"a", "b"})
		if err != nil {
			return
		}
		// What is patched comes back as what was wanted, and then needs no patch.
		b, err := json.Marshal(map[string]any{"kind": "HTTPRoute", "metadata": map[string]any{"resourceVersion": "2"}, "spec": map[string]any{"rules": rules}})
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, differs, err := again.weighted("", want, []string{"a", "b"}); err != nil || differs {
			t.Errorf("after a change (%t) it differs %t, %v: %s", changed, differs, err, b)
		}
	})
}
