package traffic

import (
	"net/http"

	"github.com/serin-go/serin/strategies"
)

// rule is a rule of the split, bound to its arm.
type rule struct {
	strategies.Rule
	arm *arm
}

// holds reports whether the rule decides about the request; req may be nil.
func (r *rule) holds(unit string, req *http.Request) bool {
	if r.Unit != "" {
		return unit == r.Unit
	}
	if req == nil {
		return false
	}
	var got string
	switch {
	case r.Header != "":
		got = req.Header.Get(r.Header)
	case r.Cookie != "":
		if c, err := req.Cookie(r.Cookie); err == nil {
			got = c.Value
		}
	default:
		got = req.URL.Query().Get(r.Query)
	}
	return got != "" && (r.Value == "" || got == r.Value)
}
